#!/usr/bin/env python3
"""Write metrics.jsonl: cases composed here, scored by the official formulas as written out below.

    python3 make_metrics.py > metrics.jsonl            (Python 3.11; nothing but the standard library)

The formulas are those of the official scripts, in Python because what is tested is agreement with Python's strings,
floats and regular expressions:
  anls              evaluation script of RRC challenge 17 (DocVQA, InfographicVQA)
  relaxed_accuracy  relaxed_correctness of pix2struct (ChartQA), both sides stripped
  vqa_accuracy      EvalAIAnswerProcessor and the TextVQA vote of mmf
  ocrbench          scoring loop of the OCRBench repository
  mtvqa             scoring of the MTVQA repository
Cases: a hand-made list of the known traps, then draws from word lists under a fixed seed, corrupted at random.
"""
import json
import random
import re

CONTRACTIONS = dict(pair.split(":", 1) for pair in """
aint:ain't arent:aren't cant:can't couldve:could've couldnt:couldn't couldn'tve:couldn't've
couldnt've:couldn't've didnt:didn't doesnt:doesn't dont:don't hadnt:hadn't hadnt've:hadn't've hadn'tve:hadn't've
hasnt:hasn't havent:haven't hed:he'd hed've:he'd've he'dve:he'd've hes:he's howd:how'd howll:how'll hows:how's
isnt:isn't itd:it'd itd've:it'd've it'dve:it'd've itll:it'll maam:ma'am mightnt:mightn't mightnt've:mightn't've
mightn'tve:mightn't've mightve:might've mustnt:mustn't mustve:must've neednt:needn't notve:not've oclock:o'clock
oughtnt:oughtn't ow's'at:'ow's'at 'ows'at:'ow's'at 'ow'sat:'ow's'at shant:shan't shed've:she'd've
she'dve:she'd've shouldve:should've shouldnt:shouldn't shouldnt've:shouldn't've shouldn'tve:shouldn't've
somebody'd:somebodyd somebodyd've:somebody'd've somebody'dve:somebody'd've somebodyll:somebody'll
somebodys:somebody's someoned:someone'd someoned've:someone'd've someone'dve:someone'd've someonell:someone'll
someones:someone's somethingd:something'd somethingd've:something'd've something'dve:something'd've
somethingll:something'll thats:that's thered:there'd thered've:there'd've there'dve:there'd've therere:there're
theres:there's theyd:they'd theyd've:they'd've they'dve:they'd've theyll:they'll theyre:they're theyve:they've
twas:'twas wasnt:wasn't wed've:we'd've we'dve:we'd've weve:we've werent:weren't whatll:what'll whatre:what're
whats:what's whatve:what've whens:when's whered:where'd wheres:where's whereve:where've whod:who'd
whod've:who'd've who'dve:who'd've wholl:who'll whos:who's whove:who've whyll:why'll whyre:why're whys:why's
wont:won't wouldve:would've wouldnt:wouldn't wouldnt've:wouldn't've wouldn'tve:wouldn't've yall:y'all
yall'll:y'all'll y'allll:y'all'll yall'd've:y'all'd've y'alld've:y'all'd've y'all'dve:y'all'd've youd:you'd
youd've:you'd've you'dve:you'd've youll:you'll youre:you're youve:you've
""".split())
NUMBERS = dict(zip("none zero one two three four five six seven eight nine ten".split(), "0 0 1 2 3 4 5 6 7 8 9 10".split()))
MARKS = list(";/[]\"{}()=+\\_-><@`,?!")
PERIOD = re.compile(r"(?!<=\d)(\.)(?!\d)")
COMMA = re.compile(r"(?<=\d)(\,)+(?=\d)")


def distance(left, right):
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        above, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (a != b))
    return row[-1]


def anls(prediction, answers, dataset):
    values = []
    for answer in answers:
        left = " ".join(answer.strip().lower().split())
        right = " ".join(prediction.strip().lower().split())
        length = max(len(answer.upper()), len(prediction.upper()))
        values.append(0.0 if length == 0 else float(distance(left, right)) / float(length))
    similarity = 1 - min(values)
    return 0 if similarity < 0.5 else similarity


def number(text):
    try:
        return float(text.rstrip("%")) / 100.0 if text.endswith("%") else float(text)
    except ValueError:
        return None


def relaxed_accuracy(prediction, answers, dataset):
    def correct(p, t):
        left, right = number(p), number(t)
        if left is not None and right:
            return abs(left - right) / abs(right) <= 0.05
        return p.lower() == t.lower()
    return float(any(correct(prediction.strip(), answer.strip()) for answer in answers))


def process(text):
    text = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    text = text.replace("\n", " ").replace("\t", " ").strip()
    out = text
    for mark in MARKS:
        together = mark + " " in text or " " + mark in text or COMMA.search(text) is not None
        out = out.replace(mark, "" if together else " ")
    out = PERIOD.sub("", out, count=int(re.UNICODE))
    words = [NUMBERS.get(word, word) for word in out.lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ("a", "an", "the"))


def vqa_accuracy(prediction, answers, dataset):
    predicted, wanted = process(prediction), [process(answer) for answer in answers]
    votes = []
    for left_out in range(len(wanted)):
        matching = [answer for i, answer in enumerate(wanted) if i != left_out and answer == predicted]
        votes.append(min(1, float(len(matching)) / 3))
    return sum(votes) / len(votes)


def ocrbench(prediction, answers, dataset):
    if dataset == "HME100k":
        clean = lambda text: text.strip().replace("\n", " ").replace(" ", "")
    else:
        clean = lambda text: text.lower().strip().replace("\n", " ")
    return float(any(clean(answer) in clean(prediction) for answer in answers))


def mtvqa(prediction, answers, dataset):
    return float(any(a.lower().strip() in prediction.lower().strip().replace(".", "") for a in answers))


METRICS = {f.__name__: f for f in (anls, relaxed_accuracy, vqa_accuracy, ocrbench, mtvqa)}

WORDS = """exit 24 Café MÜNCHEN Straße İstanbul ΟΔΟΣ Ǆungla ﬃ ŉ 北京 大学 서울역 ตลาด Москва مطار ٢٠٢٦ ２０２６ 𝟜𝟚 ½ 3.5 3. .75 1,250 1_250
    $19.99 42% 7%% -12 +8 1e3 1E-2 inf NaN infinity 0 0.0 -0 none ten One the A an it's its its' dont Don't youve y'alld've
    o'clock oclock mother-in-law and/or (north) [x] {y} "z" a=b c+d e_f g@h.org i>j k<l `m` no. St. U.S.A. 7.5.2 ... ?! !? ;-)
    \\alpha x^{2} \u200b \ufeff e\u0301 \U0001f600 N/A yes No TRUE""".split()
SPACES = [" ", " ", " ", "  ", "\n", "\t", "\u00a0", "\u3000", "\x1c", "\x1f", "\x85", "\u2028", "\r\n"]

TRAPS = [
    ("anls", "", [""]), ("anls", " ", [""]), ("anls", "ab", ["ax"]), ("anls", "abc", ["axx"]), ("anls", "ab   ", ["ac"]),
    ("anls", "aß", ["as"]), ("anls", "i̇", ["İ"]), ("anls", "ΟΔΟΣ", ["οδος"]), ("anls", "a\x1cb", ["a b"]),
    ("relaxed_accuracy", "1.05", ["1"]), ("relaxed_accuracy", "105", ["100"]), ("relaxed_accuracy", "0.95", ["1"]),
    ("relaxed_accuracy", "1_000", ["1000"]), ("relaxed_accuracy", "1__000", ["1000"]), ("relaxed_accuracy", "２０２６", ["2026"]),
    ("relaxed_accuracy", "inf", ["inf"]), ("relaxed_accuracy", "nan", ["nan"]), ("relaxed_accuracy", "inf", ["1"]),
    ("relaxed_accuracy", "0.0", ["0"]), ("relaxed_accuracy", "-0", ["0"]), ("relaxed_accuracy", "5%%", ["0.05"]),
    ("relaxed_accuracy", "5 %", ["5%"]), ("relaxed_accuracy", "5\x1c%", ["5%"]), ("relaxed_accuracy", "5\u3000%", ["5%"]),
    ("relaxed_accuracy", "%", ["%"]), ("relaxed_accuracy", "%5", ["5"]), ("relaxed_accuracy", "1e400", ["1e401"]),
    ("relaxed_accuracy", "٣٫٥", ["3.5"]), ("relaxed_accuracy", "\x1fYES\x1f", ["yes"]), ("relaxed_accuracy", "1,000", ["1000"]),
    ("vqa_accuracy", "." * 40, ["." * 8] * 10), ("vqa_accuracy", "1,000", ["1000"] * 10),
    ("vqa_accuracy", "3.٥", ["3٥"] * 10), ("vqa_accuracy", "don't. stop", ["dont stop"] * 10),
    ("vqa_accuracy", "the a an", [""] * 10), ("vqa_accuracy", "two dogs", ["2 dogs"] * 2 + ["3"] * 8),
    ("vqa_accuracy", "coca -cola a-b", ["coca cola ab"] * 10), ("vqa_accuracy", "stop", ["stop"] * 3 + ["go"] * 7),
    ("ocrbench", "", [""]), ("ocrbench", "", ["a"]), ("ocrbench", "a\nb", ["a b"]), ("ocrbench", "STRASSE", ["straße"]),
    ("anls", "ab", ["ab", ""]), ("anls", "", ["", "a"]), ("anls", "e\u0301", ["é"]), ("anls", "ﬃ", ["ffi"]), ("anls", "ŉa", ["na"]),
    ("anls", "a\u200bb", ["ab"]), ("anls", "\U0001f468\u200d\U0001f469", ["\U0001f468"]), ("anls", "x" * 40 + "\n", ["x" * 20]),
    ("relaxed_accuracy", "1e-320", ["1e-320"]), ("relaxed_accuracy", "+5", ["5"]), ("relaxed_accuracy", "5.", ["5"]),
    ("relaxed_accuracy", "-inf", ["-5"]), ("relaxed_accuracy", "[2012, 2013]", ["[2012, 2013]"]), ("relaxed_accuracy", "5e-2", ["5%"]),
    ("relaxed_accuracy", "0x10", ["16"]), ("relaxed_accuracy", "1_", ["1"]), ("relaxed_accuracy", "−5", ["-5"]), ("relaxed_accuracy", "%%", ["%"]),
    ("relaxed_accuracy", "SS", ["ß"]), ("relaxed_accuracy", "\ufeff5", ["5"]), ("relaxed_accuracy", "৫", ["5"]), ("relaxed_accuracy", "²", ["2"]),
    ("vqa_accuracy", "it's 5,000's", ["it 5000 s"] * 10), ("vqa_accuracy", "A.B.C", ["abc"] * 10), ("vqa_accuracy", "12.", ["12"] * 10),
    ("vqa_accuracy", "", [""] * 10), ("vqa_accuracy", "yall'd've", ["y'all'd've"] * 10), ("vqa_accuracy", "a_b", ["a b"] * 4 + ["ab"] * 6),
    ("vqa_accuracy", "\u00a0the\u3000cat", ["cat"] * 10), ("vqa_accuracy", "No.", ["no"] * 2 + ["yes"] * 8), ("vqa_accuracy", "?", [""] * 10),
    ("ocrbench", "a\tb", ["a b"]), ("ocrbench", "\x1fA\x1f", ["a"]), ("ocrbench", "İ", ["i"]), ("ocrbench", "x", ["", "y"]),
    ("ocrbench", "２０２４", ["2024"]), ("mtvqa", "Dr. No", ["dr no"]), ("mtvqa", "...", [""]), ("mtvqa", "ＡＢＣ", ["ａｂｃ"]), ("mtvqa", "ΟΔΟΣ.", ["οδος"]),
    ("mtvqa", "3.14", ["3.14"]), ("mtvqa", "3.14", ["314"]), ("mtvqa", "İZMİR", ["i̇zmi̇r"]), ("mtvqa", "", ["a"]),
]


def phrase(rng, words):
    text = rng.choice(words)
    for _ in range(rng.choice([0, 0, 1, 1, 2, 3])):
        text += rng.choice(SPACES) + rng.choice(words)
    return text


def corrupt(rng, text):
    kind = rng.randrange(9)
    at = rng.randrange(len(text) + 1)
    if kind == 0:
        return text.upper()
    if kind == 1:
        return text.lower()
    if kind == 2:
        return text[:at] + text[at + 1:]
    if kind == 3:
        return text[:at] + rng.choice("xX7 .,'%?_-ß") + text[at:]
    if kind == 4:
        return rng.choice(SPACES) + text + rng.choice(SPACES)
    if kind == 5:
        return text + rng.choice([".", "%", " units", "!", "'s", ","])
    if kind == 6:
        return "It says: " + text
    if kind == 7 and number(text) is not None:
        return repr(number(text) * rng.choice([0.94, 0.95, 1.0, 1.05, 1.06]))
    return text


def cases(seed, count):
    rng = random.Random(seed)
    for metric, prediction, answers in TRAPS:
        yield metric, None, prediction, answers
    for _ in range(count):
        metric = rng.choice(list(METRICS))
        dataset = rng.choice(["HME100k", "IIIT5K"]) if metric == "ocrbench" else None
        answers = [phrase(rng, WORDS) for _ in range(1 if metric in ("relaxed_accuracy", "mtvqa") else rng.choice([1, 2, 3]))]
        if metric == "vqa_accuracy":
            answers = [corrupt(rng, answers[0]) if rng.random() < 0.5 else rng.choice(answers) for _ in range(10)]
        prediction = corrupt(rng, rng.choice(answers)) if rng.random() < 0.9 else phrase(rng, WORDS)
        yield metric, dataset, prediction, answers


def main(seed=20260518, count=350):
    for metric, dataset, prediction, answers in cases(seed, count):
        case = {"metric": metric, "dataset": dataset, "prediction": prediction, "answers": answers}
        case["official"] = METRICS[metric](prediction, answers, dataset)
        print(json.dumps({key: value for key, value in case.items() if value is not None}, ensure_ascii=False))


if __name__ == "__main__":
    import sys
    main(*map(int, sys.argv[1:]))
