#!/usr/bin/env python3
"""Opens a checkpoint with `transformers` and holds its answers against those of `rave generate`.

    python3 tools/check_transformers.py CHECKPOINT [--rave target/release/rave] [--pictures 8] [--write DIR]

Needs torch, transformers 5, pillow and safetensors (not used by anything else here). For a few drawn pictures and
questions it compares the token ids of the prompt and of a greedy answer (must be equal) and the logits of the prompt
(must agree within 1e-4, relative to the largest). Prints what it found; exit code 1 on a difference.
With --write the first picture and what `transformers` makes of it go to DIR, as the Rust tests read them
(harness/lmm/tests/fixtures/nano was written so, from harness/lmm/models/nano/seed-0/standard).
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor

QUESTIONS = ["What is the underlined word?", "What is the value of bado?", "How many red circles are there?", "Où est «ü»?"]
NEW_TOKENS = 12
TOLERANCE = 1e-4


def picture(number: int) -> Image.Image:
    """A page with a few words and shapes, of the size of the embedded pictures."""
    draws = random.Random(number)
    page = Image.new("RGB", (128, 128), tuple(draws.randrange(200, 256) for _ in range(3)))
    pen = ImageDraw.Draw(page)
    for _ in range(8):
        place = (draws.randrange(100), draws.randrange(116))
        word = "".join(draws.choice("abdefgkmnoprstuvz0123456789") for _ in range(4))
        pen.text(place, word, fill=tuple(draws.randrange(120) for _ in range(3)))
    corner = (draws.randrange(100), draws.randrange(100))
    pen.ellipse([corner, (corner[0] + 20, corner[1] + 20)], fill=(196, 16, 24))
    return page


def ask_rave(rave: Path, checkpoint: Path, image: Path, question: str, logits: Path) -> dict:
    command = [rave, "generate", "--model", checkpoint, "--image", image, "--prompt", question]
    command += ["--max-new-tokens", NEW_TOKENS, "--logits", logits, "--json"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{rave} failed: {done.stderr.strip()}")
    return json.loads(done.stdout)


def write_case(folder: Path, page: Image.Image, question: str, inputs: dict, answer: list, logits: torch.Tensor) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    page.save(folder / "image.png")
    case = {"prompt": question, "input_ids": inputs["input_ids"][0].tolist(), "generated_ids": answer}
    (folder / "case.json").write_text(json.dumps(case) + "\n")
    tensors = {"logits": logits.contiguous(), "pixel_values": inputs["pixel_values"].contiguous()}
    save_file(tensors, folder / "expected.safetensors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--rave", type=Path, default=Path("target/release/rave"))
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()

    processor = AutoProcessor.from_pretrained(options.checkpoint)
    # Pillow's resampling is the one that is matched bit for bit.
    processor.image_processor = AutoImageProcessor.from_pretrained(options.checkpoint, backend="pil")
    model = AutoModelForImageTextToText.from_pretrained(
        options.checkpoint, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    worst, unequal = 0.0, []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.pictures):
            question = QUESTIONS[number % len(QUESTIONS)]
            path, logits = Path(folder) / "picture.png", Path(folder) / "logits.safetensors"
            page = picture(number)
            page.save(path)
            ours = ask_rave(options.rave, options.checkpoint, path, question, logits)
            content = [{"type": "image"}, {"type": "text", "text": question}]
            text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
            inputs = processor(text=text, images=[page], return_tensors="pt")
            with torch.no_grad():
                expected = model(**inputs).logits[0]
                generated = model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False)[0]
            prompt = inputs["input_ids"][0].tolist()
            answer = generated.tolist()[len(prompt):]
            end = model.generation_config.eos_token_id
            ends = end if isinstance(end, list) else [end]
            if answer and answer[-1] in ends:
                answer.pop()
            if options.write and number == 0:
                write_case(options.write, page, question, inputs, answer, expected)
            if ours["input_ids"] != prompt:
                unequal.append(f"picture {number}: input ids differ")
                continue
            if ours["generated_ids"] != answer:
                unequal.append(f"picture {number}: answers {ours['generated_ids']} and {answer}")
            found = load_file(logits)["logits"]
            worst = max(worst, ((found - expected).abs().max() / expected.abs().max()).item())
    print(f"{options.pictures} pictures: logits within {worst:.1e} of the largest; {len(unequal)} differences in tokens")
    for line in unequal:
        print(line)
    if unequal or worst > TOLERANCE:
        sys.exit(1)


if __name__ == "__main__":
    main()
