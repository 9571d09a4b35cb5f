#!/usr/bin/env python3
"""Speed and memory against Hugging Face `transformers`: same machine, checkpoint, inputs, compute type and number of threads.

    python3 tools/compare_transformers_speed.py [--dtype f32,bf16] [--rounds 5] [--out FILE.json] [--python PYTHON]

Needs `cargo build --release --workspace --bins --examples`. The peer's environment (torch 2.11.0 with its CUDA libraries, some 5 GB,
transformers 5.23.0) is made under target/transformers unless --python names one that has them; this script itself needs nothing.

Measured are, interleaved (ours, theirs, theirs, ours ..), each side in a process that stays loaded:
  vision     tower and connector of one picture
  prefill    decoder over the prompt to the first token, the vision side given
  decode     further greedy tokens through the cache; theirs as `generate` makes them, and besides in a bare loop over `forward`
  sample     from the picture's file to the answer; with 4 variants the peer, which has none, does everything 4 times
and each in a process of its own, ours being the `rave` binary:
  start-up   from the start of the process to the first token, on nano and on this checkpoint
  memory     peak resident set of one answer
Both sides get the same token ids, and must answer with the same tokens: that is checked first. Ratios are ours over theirs, in
speed: above 1 is faster; their median over rounds and its 95 % bootstrap interval. Every raw time is kept in --out.
"""

import argparse
import json
import os
import platform
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ["torch==2.11.0", "torchvision==0.26.0", "transformers==5.23.0", "num2words", "pillow", "safetensors"]
MODEL = "smolvlm-256m-random"
QUESTION = "What is written here?"
# What the aims of the project are: at least so many times the peer's speed.
AIMS = {"prefill": 1.1, "decode": 2.0, "sample x4": 3.0, "start-up": 10.0}


# ---------------------------------------------------------------------------------------- their side, in their environment


def loaded(checkpoint: str, dtype: str):
    """Processor and model, as a user opens them."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    kind = {"f32": torch.float32, "bf16": torch.bfloat16}[dtype]
    model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=kind).eval()
    return AutoProcessor.from_pretrained(checkpoint), model, kind


def inputs_of(processor, kind, picture: str, question: str):
    """What the processor makes of a question, with a picture if there is one."""
    from PIL import Image

    content = [{"type": "image"}] * bool(picture) + [{"type": "text", "text": question}]
    chat = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    pages = [Image.open(picture).convert("RGB")] if picture else None
    return processor(text=chat, images=pages, return_tensors="pt").to(kind)


def peer_once(checkpoint: str, dtype: str, new: str, picture: str) -> None:
    """One answer in a process of its own."""
    import torch

    processor, model, kind = loaded(checkpoint, dtype)
    with torch.inference_mode():
        inputs = inputs_of(processor, kind, picture, QUESTION)
        model.generate(**inputs, max_new_tokens=int(new), do_sample=False)


def peer(checkpoint: str, dtype: str, new: str, picture: str) -> None:
    """Stays loaded: reads the prompt that examples/speed.rs wrote, then answers the same requests as that."""
    import torch
    from transformers import AutoImageProcessor
    from transformers.generation.streamers import BaseStreamer

    class Clock(BaseStreamer):
        """When the prompt and then each token came."""

        def __init__(self):
            self.times = []

        def put(self, value):
            self.times.append(time.perf_counter())

        def end(self):
            pass

    first = json.loads(sys.stdin.readline())
    torch.set_num_threads(first["threads"])
    processor, model, kind = loaded(checkpoint, dtype)
    ids, new = torch.tensor([first["ids"]]), int(new)

    def pixels(processor) -> dict:
        inputs = inputs_of(processor, kind, picture, QUESTION)
        return {name: inputs[name] for name in ("pixel_values", "pixel_attention_mask")}

    def generate(seen: dict, streamer=None) -> list:
        lengths = {"max_new_tokens": new, "min_new_tokens": new}
        mask = torch.ones_like(ids)
        done = model.generate(input_ids=ids, attention_mask=mask, **seen, **lengths, do_sample=False, streamer=streamer)
        return done[0, ids.shape[1] :].tolist()

    def answer(seen: dict, given) -> dict:
        start = time.perf_counter()
        done = model(input_ids=ids, mm_encoder_outputs={"image": given}, use_cache=True, logits_to_keep=1)
        tokens = [done.logits[0, -1].argmax().item()]
        between = time.perf_counter()
        while len(tokens) < new:
            done = model(input_ids=torch.tensor([tokens[-1:]]), past_key_values=done.past_key_values, use_cache=True)
            tokens.append(done.logits[0, -1].argmax().item())
        bare = time.perf_counter() - between
        clock = Clock()
        generate(seen, clock)
        decode = clock.times[-1] - clock.times[1]
        return {"prefill": between - start, "decode": decode, "bare decode": bare, "ids": tokens}

    with torch.inference_mode():
        # The tokens of this prompt are compared, so its pixels are those that ours equals bit for bit; whole samples are read
        # with the default processor, which is the faster one.
        exact, _, _ = loaded(checkpoint, dtype)
        exact.image_processor = AutoImageProcessor.from_pretrained(checkpoint, backend="pil")
        seen = pixels(exact)
        given = model.get_image_features(**seen)
        print(json.dumps({"threads": torch.get_num_threads()}), flush=True)
        for line in sys.stdin:
            what, _, count = line.strip().partition(" ")
            start = time.perf_counter()
            if what == "vision":
                model.get_image_features(**seen)
                done = {"vision": time.perf_counter() - start}
            elif what == "answer":
                done = answer(seen, given)
            else:
                runs = [generate(pixels(processor)) for _ in range(int(count))]
                done = {"sample": time.perf_counter() - start, "ids": runs}
            print(json.dumps(done), flush=True)


# --------------------------------------------------------------------------------------------------------------- this script


def environment() -> Path:
    """The Python of an environment with the peer in it, made where it is not there yet."""
    folder = ROOT / "target" / "transformers"
    python = folder / "bin" / "python"
    made = folder / "made"
    if not made.is_file() or made.read_text() != "\n".join(PACKAGES):
        print(f"making {folder} with {', '.join(PACKAGES)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        made.write_text("\n".join(PACKAGES))
    return python


def versions(python: Path) -> dict:
    code = "import json, torch, transformers; print(json.dumps({'torch': torch.__version__, 'transformers': transformers.__version__}))"
    return json.loads(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout)


def write_picture(path: Path, width: int, height: int) -> None:
    """A PNG of stripes and noise, the same every time."""
    draws = random.Random(0)

    def row(y: int) -> bytes:
        noise = draws.randbytes(width)
        return bytes(value for x in range(width) for value in (x * 255 // width, y * 255 // height, noise[x] // 2))

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    lines = b"".join(b"\0" + row(y) for y in range(height))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b""))


class Side:
    """A process that stays loaded and measures what it is asked for, a line at a time."""

    def __init__(self, command: list, greeting: str = ""):
        self.process = subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if greeting:
            self.tell(greeting)
        self.first = self.hear()

    def tell(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.process.args[0]} ended with status {self.process.wait()}")
        return json.loads(line)

    def ask(self, line: str) -> dict:
        self.tell(line)
        return self.hear()

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def once(command: list) -> dict:
    """Wall time and peak resident memory of a process."""
    start = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command[0]} failed: {errors.decode(errors='replace').strip()}")
    return {"seconds": time.perf_counter() - start, "peak_bytes": usage.ru_maxrss * 1024}


def interleaved(rounds: int, ours, theirs, warm_up: bool = True) -> list:
    """Results of both, ours first in one round and theirs in the next, after an untimed one of each."""
    if warm_up:
        ours(), theirs()
    results = []
    for number in range(rounds):
        if number % 2:
            second, first = theirs(), ours()
        else:
            first, second = ours(), theirs()
        results.append((first, second))
    return results


def summary(name: str, unit: str, amount: float, pairs: list, least: float | None) -> dict:
    """Medians in units a second, and how many times theirs ours is."""
    ratios = [theirs / ours for ours, theirs in pairs]
    draws = random.Random(0)
    resampled = sorted(statistics.median(draws.choices(ratios, k=len(ratios))) for _ in range(2000))
    ours, theirs = (statistics.median(side) for side in zip(*pairs))
    ratio, interval = statistics.median(ratios), [resampled[49], resampled[1949]]
    verdict = "" if least is None else f"   aim {least}: {'met' if ratio >= least else 'not met'}"
    shown = (amount / ours, amount / theirs) if unit.endswith("/s") else (ours, theirs)
    both = f"{shown[0]:>9.3f} {shown[1]:>9.3f} {unit:<10}"
    print(f"{name:<20} {both} {ratio:>6.2f} times [{interval[0]:.2f}, {interval[1]:.2f}]{verdict}", flush=True)
    return {
        "what": name, "unit": unit, "ours": shown[0], "theirs": shown[1], "ratio": ratio, "ratio_95": interval, "aim": least,
        "raw_ours": [ours for ours, _ in pairs], "raw_theirs": [theirs for _, theirs in pairs],
    }  # fmt: skip


def compare(options, python: Path, dtype: str, picture: Path, new: int) -> dict:
    """All measures in one compute type."""
    variants = options.variants.split(",")
    script = [python, Path(__file__).resolve()]
    speed = options.rave.parent / "examples" / "speed"
    ours = Side([speed, options.model, picture, dtype, options.text_tokens, new, options.variants])
    folder = Path(ours.first["folder"])
    theirs = Side([*script, "peer", folder, dtype, new, picture], json.dumps(ours.first))
    visual = ours.first["visual"]
    tokens = len(ours.first["ids"])
    print(f"\n{dtype}, {visual} visual + {tokens - visual} text tokens, {new} new, {theirs.first['threads']} threads; ours, theirs")
    first, second = ours.ask("answer")["ids"], theirs.ask("answer")["ids"]
    agree = next((at for at, (a, b) in enumerate(zip(first, second)) if a != b), new)
    print(f"the first {agree} of {new} greedy tokens are the same")
    results = []

    def add(name, unit, amount, pairs, least=None):
        results.append(summary(name, unit, amount, pairs, least))

    def both(request: str) -> list:
        # Whole samples begin warm, after what was measured before them.
        warm_up = not request.startswith("sample")
        return interleaved(options.rounds, lambda: ours.ask(request), lambda: theirs.ask(request), warm_up)

    answers = both("answer")

    def seconds(name: str, other: str) -> list:
        return [(a[name], b[other]) for a, b in answers]

    add("prefill", "tokens/s", tokens, seconds("prefill", "prefill"), AIMS["prefill"])
    add("decode", "tokens/s", new - 1, seconds("decode", "decode"), AIMS["decode"])
    add("decode, bare loop", "tokens/s", new - 1, seconds("decode", "bare decode"))
    add("vision", "pictures/s", 1, [(a["vision"], b["vision"]) for a, b in both("vision")])
    for count in (1, len(variants)):
        pairs = [(a["sample"], b["sample"]) for a, b in both(f"sample {count}")]
        name = "sample" if count == 1 else f"sample x{count}"
        add(name, "samples/s", 1, pairs, AIMS.get(name))
    ours.close()
    theirs.close()

    def alone(model, checkpoint, page, count, warm_up=True):
        page_of_ours = ["--image", page] if page else []
        rave = [options.rave, "generate", "--model", model, *page_of_ours, "--prompt", QUESTION]
        rave += ["--max-new-tokens", count, "--dtype", dtype]
        peer = [*script, "once", checkpoint, dtype, count, page]
        return interleaved(options.processes, lambda: once(rave), lambda: once(peer), warm_up)

    nano = ROOT / "harness/lmm/models/nano/seed-0/standard"
    small = picture.with_name("small.png")
    write_picture(small, 128, 128)
    for name, model, checkpoint, page in (("nano", nano, nano, small), ("this shape", options.model, folder, "")):
        pairs = [(a["seconds"], b["seconds"]) for a, b in alone(model, checkpoint, page, 1)]
        add(f"start-up, {name}", "s", 1, pairs, AIMS["start-up"])
    peaks = alone(options.model, folder, picture, new, warm_up=False)
    gib = 2**30
    add("peak memory", "GiB", 1, [(a["peak_bytes"] / gib, b["peak_bytes"] / gib) for a, b in peaks], 1.0)
    same = {"tokens_that_agree": agree, "new_tokens": new, "visual_tokens": visual, "text_tokens": tokens - visual}
    return {"dtype": dtype, **same, "threads": theirs.first["threads"], "results": results}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", type=Path, help="a Python with the peer in it; left out, an environment is made")
    parser.add_argument("--rave", type=Path, default=ROOT / "target/release/rave")
    parser.add_argument("--model", default=MODEL, help="a built-in model, or a checkpoint folder")
    parser.add_argument("--dtype", default="f32", help="compute types, with commas")
    parser.add_argument("--tiles", type=int, choices=(5, 17), default=5, help="tiles of 512 px that the picture is cut into")
    parser.add_argument("--text-tokens", type=int, default=64)
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--variants", default="standard,rave,rave-key-only,rave-query-only")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=3, help="rounds of what needs a process of its own")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()

    python = options.python or environment()
    record = {
        "bench": "transformers", "machine": processor_name(), "peer": versions(python), "model": options.model,
        "tiles": options.tiles, "variants": options.variants, "load_average_before": os.getloadavg(), "compared": [],
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.png"
        # A side of 2,048 after resizing: 4 x 1 tiles and the whole, or 4 x 4 and the whole.
        write_picture(picture, 1024, 256 if options.tiles == 5 else 1024)
        for dtype in options.dtype.split(","):
            record["compared"].append(compare(options, python, dtype, picture, options.new_tokens))
    if options.out:
        options.out.write_text(json.dumps(record, indent=1) + "\n")
        print(f"raw times in {options.out}")


def processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} ({len(names)} CPUs)" if names else platform.processor()


if __name__ == "__main__":
    if sys.argv[1:2] == ["peer"]:
        peer(*sys.argv[2:])
    elif sys.argv[1:2] == ["once"]:
        peer_once(*sys.argv[2:])
    else:
        main()
