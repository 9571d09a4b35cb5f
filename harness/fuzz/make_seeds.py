"""Writes the corpus's seeds (corpus/<target>/seed-*, valid files; refused-*, some that are not) and the runs beside which a run's file is read (runs/): from the parity
fixtures, from published runs and from made-up rows. What fuzzing has found lies beside the seeds and stays.

    pip install polars==1.35 pillow==12 && python harness/fuzz/make_seeds.py
"""

import io
import json
import shutil
import struct
from pathlib import Path

import polars as pl
from PIL import Image

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FIXTURES = ROOT / "harness/lmm/tests/fixtures"
FAMILIES = ["smolvlm_new", "smolvlm_old", "llava", "llava_onevision", "qwen2_vl", "qwen2_5_vl", "qwen3_vl"]
CONFIGS = ["config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json", "tokenizer_config.json"]
# Of the pictures and columns of many kinds, those that are read by code of our own.
READING = [
    "exif_in_two_segments.jpg", "xmp.jpg", "profile_packed.png", "no_end.png", "exif_6.webp", "small_own_transparent.gif", "turned_big.tif",
    "fax_4.tif", "palette_4_be.tif", "planes_le.tif", "premultiplied_le.tif", "float_32.tif", "jpeg_ycbcr.tif",
]
COLUMNS = ["list_of_fixed_size", "list_of_dictionary", "view", "float"]


def seed(target, name, content, header=None, kind="seed"):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    content = content.encode() if isinstance(content, str) else content
    first = b"" if header is None else header.encode() + b"\n"
    (folder / f"{kind}-{name}").write_bytes(first + content)


def compact(path):
    """JSON without its white space: a shorter input is a better one to mutate."""
    return json.dumps(json.loads(path.read_text()), ensure_ascii=False, separators=(",", ":"))


def checkpoints():
    for family in FAMILIES:
        for name in CONFIGS:
            path = FIXTURES / family / name
            if path.is_file():
                seed("config", f"{family}-{path.stem}", compact(path), f"{family}/{name}")
        for name in ["chat_template.jinja", "chat_template.json"]:
            path = FIXTURES / family / name
            if path.is_file():
                seed("template", f"{family}", path.read_bytes(), f"{family}/{name}")
    for family in ["smolvlm_new", "llava", "qwen3_vl"]:
        seed("tokenizer", family, compact(FIXTURES / family / "tokenizer.json"), f"{family}/tokenizer.json")
    words = {word: number for number, word in enumerate(["[UNK]", "<image>", "<fake_token_around_image>", "<global-img>", "what", "is", "it", "?"])}
    # The fixture's config.json says which token stands for pictures.
    image = json.loads((FIXTURES / "smolvlm_new/config.json").read_text())["image_token_id"]
    words["<image>"] = image
    wordly = {
        "version": "1.0", "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}, "padding": None,
        "added_tokens": [{"id": image, "content": "<image>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "\\p{L}+|[^\\s]"}, "behavior": "Isolated", "invert": False}, {"type": "Metaspace", "replacement": "_", "prepend_scheme": "first", "split": True}]},
        "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "[UNK]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": {"[UNK]": {"id": "[UNK]", "ids": [0], "tokens": ["[UNK]"]}}},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": words},
    }
    seed("tokenizer", "wordpiece", json.dumps(wordly), "smolvlm_new/tokenizer.json")
    known = {number: word for word, number in words.items()}
    listed = [[known.get(number, f"w{number}"), -1.0 - number] for number in range(image + 1)]
    unigram = dict(wordly, model={"type": "Unigram", "unk_id": 0, "vocab": listed, "byte_fallback": False})
    seed("tokenizer", "unigram", json.dumps(unigram), "smolvlm_new/tokenizer.json")


def safetensors(tensors, metadata=None):
    """A file of `(name, dtype, shape, bytes)`."""
    header, data = ({"__metadata__": metadata} if metadata else {}), b""
    for name, dtype, shape, content in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def weights():
    tensors = [("a", "F32", [2, 3], bytes(24)), ("b", "BF16", [4], bytes(8)), ("c", "F16", [], bytes(2)), ("d", "F32", [0, 5], b"")]
    seed("weights", "plain", safetensors(tensors, {"format": "pt"}), "model.safetensors")
    seed("weights", "integers", safetensors([("a", "I64", [1], bytes(8))]), "model.safetensors", "refused")
    index = (FIXTURES / "smolvlm_old/model.safetensors.index.json").read_text()
    seed("weights", "index", json.dumps(json.loads(index), separators=(",", ":")), "model.safetensors.index.json")
    # The sizes and the options are those of weights.rs and of the registry's `rave`.
    rave = {"query": ("F32", [2, 4, 8], bytes(256)), "key": ("F32", [1, 4, 8], bytes(128))}
    gate = [(f"rave.layers.0.{name}", *rest) for name, rest in rave.items()]
    options = json.dumps({"method": "rave", "features": "pre-rope", "pair": "pair", "rank": 8}, separators=(",", ":"))
    seed("weights", "adapter", safetensors(gate, {"variant": "rave", "version": "1", "options": options, "base_sha256": "base"}), "adapter")


def gguf():
    def text(value):
        return struct.pack("<Q", len(value.encode())) + value.encode()

    def pair(key, kind, value):
        return text(key) + struct.pack("<I", kind) + value

    def listed(kind, values):
        return struct.pack("<IQ", kind, len(values)) + b"".join(values)

    config = json.loads((FIXTURES / "smolvlm_new/config.json").read_text())["text_config"]
    width, hidden = config["hidden_size"], config["intermediate_size"]
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    tokens = [chr(0x100 + number) for number in range(12)]
    pairs = [
        pair("general.architecture", 8, text("llama")), pair("general.alignment", 4, struct.pack("<I", 32)),
        pair("llama.block_count", 4, struct.pack("<I", config["num_hidden_layers"])), pair("llama.embedding_length", 4, struct.pack("<I", width)),
        pair("llama.feed_forward_length", 4, struct.pack("<I", hidden)), pair("llama.attention.head_count", 4, struct.pack("<I", heads)),
        pair("llama.attention.head_count_kv", 4, struct.pack("<I", groups)), pair("llama.context_length", 4, struct.pack("<I", 512)),
        pair("llama.rope.freq_base", 6, struct.pack("<f", 10000)), pair("llama.attention.layer_norm_rms_epsilon", 6, struct.pack("<f", 1e-5)),
        pair("tokenizer.ggml.model", 8, text("gpt2")), pair("tokenizer.ggml.pre", 8, text("smollm")),
        pair("tokenizer.ggml.tokens", 9, listed(8, [text(token) for token in tokens])),
        pair("tokenizer.ggml.token_type", 9, listed(5, [struct.pack("<i", 1)] * len(tokens))),
        pair("tokenizer.ggml.merges", 9, listed(8, [])), pair("tokenizer.ggml.eos_token_id", 4, struct.pack("<I", 2)),
    ]
    shared = width // heads * groups
    own = {"attn_norm": [width], "ffn_norm": [width], "attn_q": [width, width], "attn_k": [shared, width], "attn_v": [shared, width],
           "attn_output": [width, width], "ffn_gate": [hidden, width], "ffn_up": [hidden, width], "ffn_down": [width, hidden]}
    tensors = [("token_embd.weight", [len(tokens), width]), ("output_norm.weight", [width])]
    tensors += [(f"blk.{layer}.{name}.weight", shape) for layer in range(config["num_hidden_layers"]) for name, shape in own.items()]
    # Norms are f32; the others are blocks of a kind each: Q4_0, Q8_0, Q4_1, F16, BF16. All lie over the same bytes.
    kinds = [(2, 32, 18), (8, 32, 34), (3, 32, 20), (1, 1, 2), (30, 1, 2)]
    entries, largest = b"", 0
    for number, (name, shape) in enumerate(tensors):
        kind, block, size = (0, 1, 4) if len(shape) == 1 else kinds[min(number % 16, 4) if number % 16 > 2 else number % 3 % 2]
        count = 1
        for side in shape:
            count *= side
        if count % block:
            kind, block, size = 1, 1, 2
        entries += text(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", side) for side in reversed(shape))
        entries += struct.pack("<IQ", kind, 0)
        largest = max(largest, count // block * size)
    file = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(pairs) + entries
    file += bytes(-len(file) % 32)
    seed("gguf", "whole", file + bytes(largest))
    seed("gguf", "header", file, kind="refused")


def images():
    for path in sorted((FIXTURES / "pictures").iterdir()):
        if path.suffix != ".json":
            seed("image", path.name.replace(".", "-"), path.read_bytes())
    for name in READING:
        seed("image", name.replace(".", "-"), (FIXTURES / "reading" / name).read_bytes())
    noise = Image.frombytes("RGB", (9, 7), bytes(range(189)))

    def made(name, picture, **options):
        buffer = io.BytesIO()
        picture.save(buffer, **options)
        seed("image", name, buffer.getvalue())

    made("lossy-webp", noise, format="WEBP", quality=50)
    made("animated-webp", noise, format="WEBP", save_all=True, append_images=[noise.rotate(90)], lossless=True)
    made("animated-gif", noise.quantize(16), format="GIF", save_all=True, append_images=[noise.quantize(8)])
    made("progressive-jpg", noise, format="JPEG", progressive=True)
    made("lzw-tiff", noise, format="TIFF", compression="tiff_lzw")
    made("deflate-tiff", noise, format="TIFF", compression="tiff_adobe_deflate")
    made("jpeg-tiff", noise, format="TIFF", compression="jpeg")
    made("grey16-png", noise.convert("I;16"), format="PNG")
    made("palette-bmp", noise.quantize(16), format="BMP")


def suites():
    buffer = io.BytesIO()
    Image.frombytes("RGB", (4, 3), bytes(range(36))).save(buffer, format="PNG")
    image = {"bytes": buffer.getvalue(), "path": "1.png"}
    rows = {
        "docvqa": {"questionId": "1", "question": "What?", "docId": 7, "answers": ["this", "that"], "image": image},
        "chartqa": {"type": "human_test", "question": "What?", "answer": "12.5", "image": image},
        "textvqa": {"question_id": 5, "question": "what?", "image_id": "a", "answers": ["yes"] * 10, "image": image},
        "ocrbench": {"dataset": "IIIT5K", "question": "what?", "question_type": "Regular Text Recognition", "answer": ["ab"], "image": image},
        "mtvqa": {"id": "1", "lang": "FR", "qa_pairs": '[{"question": "Quoi?", "answer": "rien"}]', "image": image},
    }
    for name, row in rows.items():
        for compression in ["uncompressed", "zstd"]:
            buffer = io.BytesIO()
            another = {"docvqa": {"questionId": "2"}, "textvqa": {"question_id": 6}, "mtvqa": {"id": "2"}}.get(name, {})
            pl.DataFrame([row, row | another]).write_parquet(buffer, compression=compression)
            seed("parquet", f"{name}-{compression}", buffer.getvalue(), name)
    for name in COLUMNS:
        content = (ROOT / "benchmarks/tests/fixtures/columns" / name / "test.parquet").read_bytes()
        seed("parquet", f"chartqa-{name}", content, "chartqa")
    for folder in sorted((ROOT / "benchmarks/suites").iterdir()):
        if folder.name in ("embedded-ocr", "textvqa", "chartqa"):
            text = (folder / "suite.toml").read_text().replace(f'id = "{folder.name}"', 'id = "mine"')
            seed("suite", folder.name, text, "suite.toml", "refused")
    own = 'id = "mine"\nlayout = "jsonl"\nmax_new_tokens = 8\nmetric = "anls"\naverage = "categories"\ndata = "test.jsonl"\nreading = false\nitems = 3\n'
    seed("suite", "own", own, "suite.toml")
    lines = [
        {"image": "a.png", "question": "What?", "answers": ["this"], "id": 1, "category": "a"},
        {"image": "b.png", "question": "Why?", "answer": "so", "id": "x", "dataset": "d", "metric": "relaxed_accuracy"},
    ]
    seed("suite", "lines", "\ufeff" + "\n\n".join(json.dumps(line) for line in lines), "test.jsonl")


def predictions():
    ours = {"id": "1", "prediction": "12", "answers": ["12.0"], "category": "human", "dataset": "d"}
    logged = {"doc_id": 3, "doc": {"question": "?", "answers": ["a"]}, "target": "['a', \"b\"]", "resps": [["a"]], "filtered_resps": ["a"]}
    seed("predictions", "ours", json.dumps(ours) + "\n", "jsonl")
    seed("predictions", "lmms-eval", json.dumps(logged) + "\n", "jsonl")
    vlmeval = {"index": 1, "question": "?", "answer": "['a', 'b']", "prediction": "a", "category": "c"}
    seed("predictions", "list", json.dumps([vlmeval]), "json")
    for name, mark in [("csv", ","), ("tsv", "\t")]:
        seed("predictions", name, mark.join(vlmeval) + "\n" + mark.join(f'"{value}"' for value in vlmeval.values()) + "\n", name)


def runs():
    shutil.rmtree(HERE / "runs", ignore_errors=True)
    published = ROOT / "results/runs"
    record = json.loads((published / "nano-attention/run.json").read_text())
    samples = pl.read_parquet(published / "nano-attention/samples.parquet").head(6)
    probes = pl.read_parquet(published / "nano-attention/attention.parquet")
    probes = probes.join(samples.select("variant", "suite", "sample", "seed"), on=["variant", "suite", "sample", "seed"], how="semi")
    folders = {name: HERE / "runs" / name for name in ["finished", "interrupted", "latency"]}
    for folder in folders.values():
        folder.mkdir(parents=True)

    def table(frame, path):
        frame.write_parquet(path, compression="zstd", statistics=False)
        return path.read_bytes()

    def stored(name, file, content):
        (folders[name] / file).write_text(content)
        seed("run", f"{name}-{file.replace('.', '-')}", content, f"{name}/{file}")

    stored("finished", "run.json", json.dumps(record, separators=(",", ":")))
    stored("interrupted", "run.json", json.dumps(record | {"finished": None}, separators=(",", ":")))
    seed("run", "samples-parquet", table(samples, folders["finished"] / "samples.parquet"), "finished/samples.parquet")
    seed("run", "attention-parquet", table(probes.head(40), folders["finished"] / "attention.parquet"), "finished/attention.parquet")
    lines = [json.dumps(row | {"number": None}) for row in samples.to_dicts()]
    log(folders["interrupted"] / "samples.log", "samples", lines)
    heads = ["layer", "head", "visual_tokens", *probes.columns[11:]]
    keys = ["model", "seed", "variant", "suite", "sample", "image_id", "queries", "error"]
    lines = []
    for _, rows in probes.group_by(["variant", "suite", "sample", "seed"], maintain_order=True):
        own = rows.to_dicts()
        lines.append(json.dumps({key: own[0][key] for key in keys} | {"heads": [{key: head[key] for key in heads} for head in own[:3]]}))
    log(folders["interrupted"] / "attention.log", "attention", lines[:3])
    latency = published / "latency-smolvlm-256m"
    stored("latency", "latency.json", json.dumps(json.loads((latency / "latency.json").read_text()), separators=(",", ":")))
    numbers = pl.read_parquet(latency / "latency.parquet").head(12)
    seed("run", "latency-parquet", table(numbers, folders["latency"] / "latency.parquet"), "latency/latency.parquet")


def log(path, name, lines):
    import hashlib

    path.write_text("".join(f"{hashlib.sha256(line.encode()).hexdigest()[:16]} {line}\n" for line in lines))
    seed("run", f"{name}-log", path.read_bytes(), f"interrupted/{name}.log")
    seed("run", f"{name}-log-summed", "".join(line + "\n" for line in lines), f"interrupted/{name}.log summed")


for make in [checkpoints, weights, gguf, images, suites, predictions, runs]:
    make()
