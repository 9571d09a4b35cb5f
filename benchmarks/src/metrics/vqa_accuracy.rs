//! VQA accuracy as `TextVQA` is scored: mmf's `EvalAI` answer processor, then the ten-annotator soft vote.
//!
//! Source: `EvalAIAnswerProcessor` and `TextVQAAccuracy` of facebookresearch/mmf; the vote is of Antol et al., "VQA",
//! ICCV 2015, in its leave-one-out form. Kept as they are there, slips included:
//! - The look-behind of the period pattern is mistyped (`(?!<=\d)` for `(?<!\d)`), so a period is removed whenever no
//!   digit follows it, and `re.UNICODE` was passed where `sub` takes its count, so at most 32 of them are.
//! - Commas and question marks are deleted before punctuation is looked at, so the `digit,digit` rule, under which all
//!   punctuation would be deleted, never fires, and is not here; nor are the contractions in upper case, since the text
//!   is in lower case by then, nor those that map a word to itself.
//! - `'s` becomes a word of its own, except where a later contraction joins other parts.
//!
//! The official evaluator asserts ten answers; here the formula is applied to as many as are given (one annotator cannot
//! be left out against himself, so a single answer scores 0), and the `TextVQA` layout insists on ten.

use super::python::{decimal_digit, split, strip};
use super::{Definition, Metric};

/// Answers that a vote is over.
pub(crate) const ANNOTATORS: usize = 10;

/// Soft vote of ten annotators after mmf's answer processor (`TextVQA`).
pub(super) const METRIC: Metric = Metric::new(&Definition {
    id: "vqa_accuracy",
    version: 1,
    description: "agreement with ten annotators, full from three matches on",
    annotators: Some(ANNOTATORS),
    score: |prediction, answers, _| score(prediction, answers),
});

/// Punctuation that is deleted where it touches a space somewhere in the text, else turned into a space.
const PUNCTUATION: [char; 19] = [
    ';', '/', '[', ']', '"', '{', '}', '(', ')', '=', '+', '\\', '_', '-', '>', '<', '@', '`', '!',
];

/// Most periods removed from one text: the value of `re.UNICODE`.
const PERIODS: usize = 32;

const ARTICLES: [&str; 3] = ["a", "an", "the"];

const NUMBERS: [(&str, &str); 12] = [
    ("none", "0"),
    ("zero", "0"),
    ("one", "1"),
    ("two", "2"),
    ("three", "3"),
    ("four", "4"),
    ("five", "5"),
    ("six", "6"),
    ("seven", "7"),
    ("eight", "8"),
    ("nine", "9"),
    ("ten", "10"),
];

/// Words without their apostrophe, and the words meant.
const CONTRACTIONS: [(&str, &str); 114] = [
    ("aint", "ain't"),
    ("arent", "aren't"),
    ("cant", "can't"),
    ("couldve", "could've"),
    ("couldnt", "couldn't"),
    ("couldn'tve", "couldn't've"),
    ("couldnt've", "couldn't've"),
    ("didnt", "didn't"),
    ("doesnt", "doesn't"),
    ("dont", "don't"),
    ("hadnt", "hadn't"),
    ("hadnt've", "hadn't've"),
    ("hadn'tve", "hadn't've"),
    ("hasnt", "hasn't"),
    ("havent", "haven't"),
    ("hed", "he'd"),
    ("hed've", "he'd've"),
    ("he'dve", "he'd've"),
    ("hes", "he's"),
    ("howd", "how'd"),
    ("howll", "how'll"),
    ("hows", "how's"),
    ("isnt", "isn't"),
    ("itd", "it'd"),
    ("itd've", "it'd've"),
    ("it'dve", "it'd've"),
    ("itll", "it'll"),
    ("maam", "ma'am"),
    ("mightnt", "mightn't"),
    ("mightnt've", "mightn't've"),
    ("mightn'tve", "mightn't've"),
    ("mightve", "might've"),
    ("mustnt", "mustn't"),
    ("mustve", "must've"),
    ("neednt", "needn't"),
    ("notve", "not've"),
    ("oclock", "o'clock"),
    ("oughtnt", "oughtn't"),
    ("ow's'at", "'ow's'at"),
    ("'ows'at", "'ow's'at"),
    ("'ow'sat", "'ow's'at"),
    ("shant", "shan't"),
    ("shed've", "she'd've"),
    ("she'dve", "she'd've"),
    ("shouldve", "should've"),
    ("shouldnt", "shouldn't"),
    ("shouldnt've", "shouldn't've"),
    ("shouldn'tve", "shouldn't've"),
    ("somebody'd", "somebodyd"),
    ("somebodyd've", "somebody'd've"),
    ("somebody'dve", "somebody'd've"),
    ("somebodyll", "somebody'll"),
    ("somebodys", "somebody's"),
    ("someoned", "someone'd"),
    ("someoned've", "someone'd've"),
    ("someone'dve", "someone'd've"),
    ("someonell", "someone'll"),
    ("someones", "someone's"),
    ("somethingd", "something'd"),
    ("somethingd've", "something'd've"),
    ("something'dve", "something'd've"),
    ("somethingll", "something'll"),
    ("thats", "that's"),
    ("thered", "there'd"),
    ("thered've", "there'd've"),
    ("there'dve", "there'd've"),
    ("therere", "there're"),
    ("theres", "there's"),
    ("theyd", "they'd"),
    ("theyd've", "they'd've"),
    ("they'dve", "they'd've"),
    ("theyll", "they'll"),
    ("theyre", "they're"),
    ("theyve", "they've"),
    ("twas", "'twas"),
    ("wasnt", "wasn't"),
    ("wed've", "we'd've"),
    ("we'dve", "we'd've"),
    ("weve", "we've"),
    ("werent", "weren't"),
    ("whatll", "what'll"),
    ("whatre", "what're"),
    ("whats", "what's"),
    ("whatve", "what've"),
    ("whens", "when's"),
    ("whered", "where'd"),
    ("wheres", "where's"),
    ("whereve", "where've"),
    ("whod", "who'd"),
    ("whod've", "who'd've"),
    ("who'dve", "who'd've"),
    ("wholl", "who'll"),
    ("whos", "who's"),
    ("whove", "who've"),
    ("whyll", "why'll"),
    ("whyre", "why're"),
    ("whys", "why's"),
    ("wont", "won't"),
    ("wouldve", "would've"),
    ("wouldnt", "wouldn't"),
    ("wouldnt've", "wouldn't've"),
    ("wouldn'tve", "wouldn't've"),
    ("yall", "y'all"),
    ("yall'll", "y'all'll"),
    ("y'allll", "y'all'll"),
    ("yall'd've", "y'all'd've"),
    ("y'alld've", "y'all'd've"),
    ("y'all'dve", "y'all'd've"),
    ("youd", "you'd"),
    ("youd've", "you'd've"),
    ("you'dve", "you'd've"),
    ("youll", "you'll"),
    ("youre", "you're"),
    ("youve", "you've"),
];

/// Score of `prediction`: the mean, over leaving out one of the `answers`, of `min(1, matches / 3)`; in `[0, 1]`.
fn score(prediction: &str, answers: &[String]) -> f64 {
    if answers.is_empty() {
        return 0.0;
    }
    let predicted = process(prediction);
    let matches: Vec<bool> = answers
        .iter()
        .map(|answer| process(answer) == predicted)
        .collect();
    let all = matches.iter().filter(|&&matched| matched).count();
    // Summed in the official order, so that the last bit agrees.
    let sum: f64 = matches
        .iter()
        .map(|&matched| ((all - usize::from(matched)) as f64 / 3.0).min(1.0))
        .sum();
    sum / answers.len() as f64
}

/// The answer processor: text to its canonical words.
fn process(raw: &str) -> String {
    let tokenised = raw
        .to_lowercase()
        .replace([',', '?'], "")
        .replace("'s", " 's");
    let spaced = strip(&tokenised).replace(['\n', '\t'], " ");
    words(&remove_punctuation(strip(&spaced)))
}

fn remove_punctuation(text: &str) -> String {
    let touches_space =
        |mark: char| text.contains(&format!("{mark} ")) || text.contains(&format!(" {mark}"));
    let deleted = PUNCTUATION.map(touches_space);
    let mut without_marks = String::with_capacity(text.len());
    for character in text.chars() {
        match PUNCTUATION.iter().position(|&mark| mark == character) {
            None => without_marks.push(character),
            Some(mark) if deleted[mark] => {}
            Some(_) => without_marks.push(' '),
        }
    }
    remove_periods(&without_marks)
}

fn remove_periods(text: &str) -> String {
    let mut left = PERIODS;
    let mut characters = text.chars().peekable();
    let mut kept = String::with_capacity(text.len());
    while let Some(character) = characters.next() {
        let digit_follows = characters
            .peek()
            .is_some_and(|&next| decimal_digit(next).is_some());
        if character == '.' && !digit_follows && left > 0 {
            left -= 1;
        } else {
            kept.push(character);
        }
    }
    kept
}

fn words(text: &str) -> String {
    let look_up = |table: &[(&str, &'static str)], word: &str| {
        table
            .iter()
            .find(|(from, _)| *from == word)
            .map(|(_, to)| *to)
    };
    split(&text.to_lowercase())
        .map(|word| look_up(&NUMBERS, word).unwrap_or(word))
        .filter(|word| !ARTICLES.contains(word))
        .map(|word| look_up(&CONTRACTIONS, word).unwrap_or(word))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::{process, score};

    #[test]
    fn the_processor_step_by_step() {
        for (raw, expected) in [
            (" The  Two\tdogs, a cat? ", "2 dogs cat"),
            ("Pepper's", "pepper 's"),
            ("coca-cola", "coca cola"),
            ("coca -cola a-b", "coca cola ab"),
            ("1,234.56", "1234.56"),
            ("No. 5.", "no 5"),
            ("3.x .5 ٣.٥ 3.", "3x .5 ٣.٥ 3"),
            ("dont oclock she's", "don't o'clock she 's"),
            ("none", "0"),
            ("a.", ""),
            ("", ""),
        ] {
            assert_eq!(process(raw), expected, "{raw:?}");
        }
    }

    #[test]
    fn at_most_thirty_two_periods_go() {
        assert_eq!(process(&".".repeat(40)), ".".repeat(8));
        assert_eq!(process(&"a.".repeat(33)), format!("{}a.", "a".repeat(32)));
    }

    #[test]
    fn the_vote_leaves_one_out() {
        let answers = |matching: usize| -> Vec<String> {
            (0..10)
                .map(|index| if index < matching { "stop" } else { "other" }.to_owned())
                .collect()
        };
        assert_eq!(score("stop", &answers(0)), 0.0);
        assert!((score("stop", &answers(1)) - 0.3).abs() < 1e-12);
        assert!((score("stop", &answers(2)) - 0.6).abs() < 1e-12);
        assert!((score("stop", &answers(3)) - 0.9).abs() < 1e-12);
        assert_eq!(score("STOP.", &answers(4)), 1.0);
        assert_eq!(score("stop", &[]), 0.0);
    }
}
