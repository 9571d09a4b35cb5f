#!/usr/bin/env python3
"""Tries the small files of published checkpoints: random weights, shrunk sizes, and what `transformers` computes with them.

    python3 tools/zoo.py FOLDER... [--cases harness/lmm/tests/zoo] [--rave target/release/rave] [--keep DIR]
    python3 tools/zoo.py FOLDER --complete-with FOLDER --set vision_config.patch_size=14

Needs torch, transformers 5 and pillow (not used by anything else here). FOLDER holds the small files of one checkpoint
(config.json, tokenizer, processor, chat template), or folders of such. They are taken as they are but for sizes in
config.json: layers and widths are shrunk, while vocabulary, patches, picture sizes and token counts stay. Weights and
pictures come from formulas (zoo_formula.py) under the tensor names of the hub. For twelve prompts the case holds the input
ids and the greedy tokens of `transformers` (Pillow backend, f32), and names and shapes of all tensors at full size.

--complete-with takes files that FOLDER lacks from another one. What the folders of ../shared/hub-files lack, and which of
them must be refused, stands in zoo.json: where files come from ("complete_with", "replace" for files that FOLDER has
itself, "without"), what else changes in config.json ("set"), and a key that another file is to go without ("drop").
A case (JSON, a few kB) holds nothing of the files but sizes and ids; harness/lmm/tests/zoo/main.rs makes the checkpoint from it
and the folder again (RAVE_HUB_FILES, RAVE_HUB_CASES).
With --rave the product is asked the same. Prints a table in Markdown; exit code 1 where an answer differs.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
import zoo_formula as formula
from safetensors.numpy import save_file
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor
from transformers.core_model_loading import revert_weight_conversion

NEW_TOKENS = 10
INDEX = "model.safetensors.index.json"
SMALL_FILES = """config.json generation_config.json preprocessor_config.json processor_config.json
video_preprocessor_config.json tokenizer.json tokenizer_config.json tokenizer.model vocab.json merges.txt
added_tokens.json special_tokens_map.json chat_template.json chat_template.jinja""".split()

# A question, and the pictures before it: number, width, height.
PROMPTS = [
    ("What is shown here?", [(1, 224, 168)]),
    ("Describe the picture in one sentence.", [(2, 60, 300)]),
    ("Read the text.\nThen answer: yes or no?", [(3, 300, 40)]),
    ("¿Cuál es el valor más alto del gráfico?", [(4, 9, 7)]),
    ("这张图片里有什么？请用一句话回答。", [(5, 333, 217)]),
    ("ما هو مكتوب في الصورة؟", [(6, 100, 37)]),
    ("Что изображено на картинке? Ответьте кратко.", [(7, 37, 100)]),
    ("図の中で最も大きい値は何ですか。🙂", [(8, 28, 28)]),
    ("यह क्या है? 이것은 무엇입니까?", [(9, 130, 131)]),
    ("  Two  spaces, a tab\tand 3.14159e-10 <b>bold</b> {{ x }} ", [(10, 640, 480)]),
    ("Which picture is larger, the first or the second?", [(11, 90, 60), (12, 50, 120)]),
    ("Who are you?", []),
]


class Incomplete(Exception):
    """A folder lacks a file without which no checkpoint can be made of it."""


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def target(path: Path) -> Path:
    """The file itself, where a copy has made a text file of a link between folders."""
    if path.stat().st_size < 200:
        link = path.read_text(encoding="utf-8").strip()
        if link.startswith("../") and "\n" not in link and (path.parent / link).is_file():
            return path.parent / link
    return path


def gather(folder: Path, recipe: dict) -> dict:
    """Each small file, and the folder that it comes from."""
    files = {name: folder for name in SMALL_FILES if (folder / name).is_file()}
    for other in recipe.get("complete_with", []):
        other = Path(other) if Path(other).is_dir() else folder.parent / other
        for name in SMALL_FILES:
            wanted = name not in files or name in recipe.get("replace", [])
            if wanted and name not in recipe.get("without", []) and (other / name).is_file():
                files[name] = other
    return files


def check_complete(files: dict) -> None:
    """Raises Incomplete by the name of the first file that is missing."""
    if "config.json" not in files:
        raise Incomplete("config.json is missing")
    if not {"tokenizer.json", "tokenizer.model"} & files.keys():
        for name in ("vocab.json", "merges.txt"):
            if name not in files:
                raise Incomplete(f"{name} is missing, and there is no tokenizer.json")
    nested = "processor_config.json" in files and "image_processor" in read(
        files["processor_config.json"] / "processor_config.json"
    )
    if "preprocessor_config.json" not in files and not nested:
        raise Incomplete("preprocessor_config.json is missing")
    own = "tokenizer_config.json" in files and "chat_template" in read(
        files["tokenizer_config.json"] / "tokenizer_config.json"
    )
    if not own and not {"chat_template.json", "chat_template.jinja"} & files.keys():
        raise Incomplete("the chat template is missing")


def shrunk(raw: dict) -> dict:
    """The sizes to change in a config.json, by dotted path. Keys that it leaves to their default are added where the
    default would be too large; the number of heads never is, so that defaults of it are tried."""
    kind, vision = raw["model_type"], raw["vision_config"]
    flat = "text_config" not in raw
    text, at = (raw, "") if flat else (raw["text_config"], "text_config.")
    changed = {}
    if "num_attention_heads" in text:
        heads = text["num_attention_heads"]
        ratio = heads // text.get("num_key_value_heads", heads)
        apart = kind == "qwen3_vl"  # its heads together are wider than the model
        heads, groups = {1: (4, 4), 3: (6, 2)}.get(ratio, (8, 2) if apart else (4, 2))
        changed[f"{at}num_attention_heads"] = heads
        if "num_key_value_heads" in text:
            changed[f"{at}num_key_value_heads"] = groups
        if "head_dim" in text:
            changed[f"{at}head_dim"] = 16
        hidden = 64 if apart else 16 * heads
    else:
        hidden = 4 * 32
    deep = "deepstack_visual_indexes" in vision
    changed |= {f"{at}hidden_size": hidden, f"{at}intermediate_size": 2 * hidden}
    changed[f"{at}num_hidden_layers"] = 4 if deep else 2
    for rope in ("rope_scaling", "rope_parameters"):
        if "mrope_section" in (text.get(rope) or {}):
            changed[f"{at}{rope}.mrope_section"] = [3, 3, 2] if text[rope].get("mrope_interleaved") else [2, 3, 3]

    tower = {"hidden_size": 64, "intermediate_size": 128}
    if kind == "qwen2_vl":
        # Head width 8 where their number is left to its default of 16.
        tower = {"depth": 2, "embed_dim": 64 if "num_heads" in vision else 128, "hidden_size": hidden}
    elif kind == "qwen2_5_vl":
        tower |= {"depth": 4, "out_hidden_size": hidden, "fullatt_block_indexes": [1, 3]}
    elif kind == "qwen3_vl":
        depth = vision["depth"]
        indexes = [index * 4 // depth for index in vision["deepstack_visual_indexes"]]
        tower |= {"depth": 4, "out_hidden_size": hidden, "deepstack_visual_indexes": indexes}
    else:
        tower["num_hidden_layers"] = 3
    for name in ("num_heads", "num_attention_heads"):
        if name in vision:
            tower[name] = 4
    return changed | {f"vision_config.{name}": value for name, value in tower.items()}


def with_changes(raw: dict, changed: dict) -> dict:
    raw = json.loads(json.dumps(raw))
    for path, value in changed.items():
        *parents, last = path.split(".")
        place = raw
        for name in parents:
            place = place[name]
        place[last] = value
    return raw


def shapes(folder: Path) -> dict:
    """Name on the hub and shape of every tensor of the checkpoint that config.json describes."""
    config = AutoConfig.from_pretrained(folder)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    saved = model.state_dict().keys()
    tensors = dict(model.named_parameters())  # tied ones once
    tensors |= {name: buffer for name, buffer in model.named_buffers() if name in saved}
    tensors = revert_weight_conversion(model, tensors)
    if config.model_type == "llava" and config.vision_config.model_type == "clip_vision_model":
        # transformers 5 writes the tower without this level, which every file on the hub has.
        nested = {name: name.replace("vision_tower.", "vision_tower.vision_model.", 1) for name in tensors}
        tensors = {nested[name]: tensor for name, tensor in tensors.items()}
    return {name: list(tensor.shape) for name, tensor in tensors.items()}


def index_says(folder: Path, names: dict) -> str:
    """How the tensors of an index differ from those that transformers expects."""
    if not (folder / INDEX).is_file():
        return "none"
    listed, expected = set(read(folder / INDEX)["weight_map"]), set(names)
    if listed == expected:
        return "equal"
    parts = [("lacks", sorted(expected - listed)), ("has besides", sorted(listed - expected))]
    return "; ".join(f"{word} {len(some)}: {some[0]}" for word, some in parts if some)


def write_checkpoint(folder: Path, files: dict, case: dict) -> dict:
    """Writes a checkpoint of the small files and the formula's weights, and returns the rules of its tensors."""
    folder.mkdir(parents=True)
    for name, source in files.items():
        shutil.copyfile(target(source / name), folder / name)
    raw = with_changes(read(folder / "config.json"), case["changed"])
    (folder / "config.json").write_text(json.dumps(raw, indent=1), encoding="utf-8")
    for name, key in case.get("dropped", {}).items():
        raw = read(folder / name)
        del raw[key]
        (folder / name).write_text(json.dumps(raw, indent=1), encoding="utf-8")
    names = shapes(folder)
    tied = not any(name.endswith("lm_head.weight") for name in names)
    rules, tensors = {}, {}
    for name, shape in names.items():
        spread, offset = formula.rule(name, shape, tied)
        rules[name] = {"shape": shape, "spread": spread, "offset": offset}
        tensors[name] = formula.weights(case["seed"], name, shape, spread, offset)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return rules


def answers(folder: Path) -> list:
    """What transformers makes of the prompts: input ids, greedy tokens, and by how much each led."""
    processor = AutoProcessor.from_pretrained(folder)
    # Pillow's resampling is the one that is matched bit for bit.
    processor.image_processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    model, loading = AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    faults = {name: found for name, found in loading.items() if found}
    if faults:
        raise ValueError(f"transformers loads the tensors otherwise: {faults}")
    model.eval()
    end = model.generation_config.eos_token_id
    ends = end if isinstance(end, list) else [end]
    result = []
    for question, pictures in PROMPTS:
        content = [{"type": "image", "image": formula.picture(*picture)} for picture in pictures]
        content.append({"type": "text", "text": question})
        asked = {"question": question, "pictures": [list(picture) for picture in pictures]}
        try:
            inputs = processor.apply_chat_template(
                [{"role": "user", "content": content}],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            )
        except ValueError as error:
            result.append(asked | {"transformers_refuses": str(error).split(".")[0]})
            continue
        with torch.no_grad():
            made = model.generate(
                **inputs, max_new_tokens=NEW_TOKENS, do_sample=False, output_scores=True, return_dict_in_generate=True
            )
        prompt = inputs["input_ids"][0].tolist()
        generated = made.sequences[0].tolist()[len(prompt) :]
        margins = []
        for scores in made.scores:
            best = scores[0].topk(2).values
            largest = scores[0][scores[0].isfinite()].abs().max()
            margins.append(float(f"{((best[0] - best[1]) / largest).item():.2g}"))
        if generated and generated[-1] in ends:
            generated.pop()
        asked["input_ids"] = formula.runs(prompt)
        if pictures:
            asked["pixels"] = formula.digest(inputs["pixel_values"].numpy())
        result.append(asked | {"generated_ids": generated, "margins": margins})
    return result


def ask_rave(rave: Path, checkpoint: Path, prompt: dict, folder: Path) -> dict:
    command = [rave, "generate", "--model", checkpoint, "--prompt", prompt["question"]]
    command += ["--max-new-tokens", NEW_TOKENS, "--json"]
    for number, width, height in prompt["pictures"]:
        path = folder / f"{number}.png"
        formula.picture(number, width, height).save(path)
        command += ["--image", path]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else {"refusal": done.stderr.strip()}


def same_tokens(prompt: dict, generated: list, tie: float) -> bool:
    """Whether tokens agree up to the first at which the likeliest two were nearly equal."""
    for at, margin in enumerate(prompt["margins"]):
        if margin < tie:
            return True
        if prompt["generated_ids"][at : at + 1] != generated[at : at + 1]:
            return False
    return True


def compare(rave: Path, checkpoint: Path, case: dict, row: dict) -> None:
    """Asks the product what transformers was asked, and notes in the row what agrees."""
    ids = tokens = 0
    prompts = [prompt for prompt in case["prompts"] if "input_ids" in prompt]
    with tempfile.TemporaryDirectory() as folder:
        for prompt in prompts:
            found = ask_rave(rave, checkpoint, prompt, Path(folder))
            if "refusal" in found:
                row["refusal"] = found["refusal"]
                break
            if formula.runs(found["input_ids"]) == prompt["input_ids"]:
                ids += 1
            tokens += same_tokens(prompt, found["generated_ids"], case["tie"])
    count = len(prompts)
    row["ids"], row["tokens"] = f"{ids} of {count}", f"{tokens} of {count}"
    if count < len(case["prompts"]):
        row["ids"] += f" (transformers refuses {len(case['prompts']) - count})"
    row["differs"] = ids < count or tokens < count


def try_folder(folder: Path, recipe: dict, options: argparse.Namespace, work: Path) -> dict:
    """Makes the case of one folder, writes it, and returns its row of the table."""
    files = gather(folder, recipe)
    row = {"checkpoint": folder.name, "ids": "", "tokens": "", "tensors": "", "refusal": "", "differs": False}
    others = sorted({source.name for source in files.values() if source != folder})
    row["files"] = f"{sum(source == folder for source in files.values())} own"
    row["files"] += f", {len(files)} with {', '.join(others)}" if others else ""
    case = {"checkpoint": folder.name, "transformers": transformers.__version__, "torch": torch.__version__}
    if note := recipe.get("note"):
        case["note"] = note
    case["files"] = {name: source.name for name, source in files.items()}
    if files.get("config.json") == folder:
        full = shapes(folder)
        case["index"] = index_says(folder, full)
        row["tensors"] = f"{len(full)}; index: {case['index']}"
        case["full_size"] = formula.collapsed(full)
    try:
        if "refused" in recipe:
            case["refused"] = recipe["refused"]
            row["refusal"] = f"expected: {', '.join(recipe['refused'])}"
            if options.rave:
                found = ask_rave(options.rave, folder, {"question": "?", "pictures": []}, work)
                row["refusal"] = found.get("refusal", "answered")
                row["differs"] = not all(word.lower() in row["refusal"].lower() for word in recipe["refused"])
        else:
            check_complete(files)
            case["changed"] = shrunk(read(files["config.json"] / "config.json")) | recipe.get("set", {})
            if "drop" in recipe:
                case["dropped"] = recipe["drop"]
            case |= {"seed": options.seed, "new_tokens": NEW_TOKENS, "tie": options.tie}
            checkpoint = work / folder.name
            rules = write_checkpoint(checkpoint, files, case)
            case["tensors"] = formula.collapsed(rules)
            case["prompts"] = answers(checkpoint)
            if options.rave:
                compare(options.rave, checkpoint, case, row)
    except Incomplete as missing:
        row["refusal"] = f"not tried: {missing}"
        return row
    for place in (work, folder.parent):  # which says nothing to a reader of the table
        row["refusal"] = row["refusal"].replace(f"{place}/", "")
    if options.cases:
        options.cases.mkdir(parents=True, exist_ok=True)
        (options.cases / f"{folder.name}.json").write_text(formula.text(case), encoding="utf-8")
    return row


def table(rows: list) -> str:
    """The rows in Markdown."""
    lines = ["| checkpoint | files | ids equal | tokens equal | tensors | refusal |", "|---|---|---|---|---|---|"]
    for row in rows:
        refusal = row["refusal"].replace("\n", " ").replace("|", "\\|")
        cells = [row[name] for name in ("checkpoint", "files", "ids", "tokens", "tensors")]
        lines.append("| " + " | ".join([*cells, refusal]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--complete-with", action="append", default=[], metavar="FOLDER")
    parser.add_argument("--set", action="append", default=[], metavar="PATH=JSON", help="a further change of config.json")
    parser.add_argument("--cases", type=Path, help="where to write the cases")
    parser.add_argument("--rave", type=Path, help="the product, to be asked the same")
    parser.add_argument("--keep", type=Path, help="where to leave the checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tie", type=float, default=1e-4, help="lead over the second token below which either is right")
    options = parser.parse_args()

    recipes = read(Path(__file__).with_suffix(".json"))
    folders = []
    for folder in options.folders:
        inner = sorted(path for path in folder.iterdir() if path.is_dir())
        folders += [folder] if any((folder / name).is_file() for name in SMALL_FILES) else inner
    rows = []
    for folder in folders:
        recipe = dict(recipes.get(folder.name, {}))
        if options.complete_with:
            recipe = {"complete_with": options.complete_with}
        if options.set:
            recipe["set"] = {path: json.loads(value) for path, value in (item.split("=", 1) for item in options.set)}
        with tempfile.TemporaryDirectory() as work:
            try:
                rows.append(try_folder(folder, recipe, options, options.keep or Path(work)))
            except Exception as error:  # what transformers cannot load is a result as well
                said = f"transformers: {type(error).__name__}: {error}".splitlines()[0]
                rows.append({"checkpoint": folder.name, "refusal": said, "differs": True})
                rows[-1] |= dict.fromkeys(("files", "ids", "tokens", "tensors"), "")
        print(f"{folder.name}: {rows[-1]['ids']} {rows[-1]['tokens']} {rows[-1]['refusal']}", file=sys.stderr)
    print(table(rows))
    if any(row["differs"] for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
