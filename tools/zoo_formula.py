"""What a case of the zoo is made of, by formulas that give the same bits here and in Rust (harness/lmm/tests/zoo/formula.rs).

Weights and pictures are not stored: a weight is a function of seed, tensor name and index, a picture one of its size and
number. Integers are hashed; a float comes only from an exact conversion, one product and one sum, each rounded once, so no
order of additions and no library function of another machine can change a bit.
"""

import json
import re

import numpy as np
from PIL import Image

WORD = (1 << 64) - 1
STEP = 0x9E3779B97F4A7C15  # of splitmix64
BLOCK = 1 << 22  # values drawn at once


def fnv(name: str) -> int:
    """FNV-1a, 64 bits."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) & WORD
    return value


def mixed(value: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def weights(seed: int, name: str, shape: list, spread: float, offset: float) -> np.ndarray:
    """offset + spread * g, where g is a sum of four 16-bit numbers about zero, nearly normal, of deviation 1.155."""
    with np.errstate(over="ignore"):
        key = mixed(np.array([(seed + fnv(name)) & WORD], dtype=np.uint64))[0]
        count = int(np.prod(shape))
        values = np.empty(count, dtype=np.float32)
        for start in range(0, count, BLOCK):
            index = np.arange(start, min(start + BLOCK, count), dtype=np.uint64) + np.uint64(1)
            drawn = mixed(key + index * np.uint64(STEP))
            total = sum((drawn >> np.uint64(shift)) & np.uint64(0xFFFF) for shift in (0, 16, 32, 48))
            g = (total.astype(np.int64) - 131070).astype(np.float32) * np.float32(2.0**-15)
            values[start : start + len(g)] = np.float32(offset) + np.float32(spread) * g
    return values.reshape(shape)


def picture(number: int, width: int, height: int) -> Image.Image:
    """Slopes, a pattern of fine edges and dark blocks; nothing that reads."""
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    dark = (x // 16 + y // 8 + number) % 5 == 0
    channels = []
    for channel in range(3):
        value = x * (1 + (number + channel) % 4) + y * (1 + (2 * number + 3 * channel) % 5) + (x ^ y) * channel
        channels.append(np.where(dark, (value & 255) >> 2, value & 255))
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def digest(values: np.ndarray) -> str:
    """One number for many floats: any other bit, or another order, gives another."""
    values = values.astype(np.float32).ravel() + np.float32(0)
    with np.errstate(over="ignore"):
        index = np.arange(1, len(values) + 1, dtype=np.uint64)
        total = mixed(values.view(np.uint32).astype(np.uint64) + index * np.uint64(STEP)).sum(dtype=np.uint64)
    return f"{int(total):016x}"


def rule(name: str, shape: list, tied: bool) -> tuple:
    """Spread and offset of a tensor: wide enough that a chosen token leads clearly, and that pictures move it."""
    norm = re.search(r"norm|layrnorm|ln_q", name)
    if "q_norm" in name or "k_norm" in name:
        return 0.4, 2.0  # so that attention chooses and does not average
    if len(shape) == 1 and norm and name.endswith("weight"):
        return 0.2, 1.0
    if name.endswith("bias"):
        return 0.05, 0.0
    if "embed_tokens" in name:
        return (0.2 if tied else 0.5), 0.0  # a wider tied one would only repeat the last token
    if "position_embedding" in name or "pos_embed" in name or "class_embedding" in name:
        return 0.5, 0.0
    sharper = 2 if re.search(r"\.[qk]_proj", name) else 1  # so that attention chooses, as above
    return round(sharper / float(np.prod(shape[1:])) ** 0.5, 4), 0.0


def collapsed(entries: dict) -> dict:
    """Names that differ in their first number alone, and have the same value, as one: `layers.{0..27}.norm.weight`."""
    groups = {}
    for name, value in entries.items():
        found = re.search(r"(?<=\.)\d+(?=\.)", name)
        if found:
            key = (name[: found.start()], name[found.end() :], json.dumps(value))
            groups.setdefault(key, []).append(int(found.group()))
        else:
            groups[(name, None, json.dumps(value))] = []
    result = {}
    for (front, back, value), numbers in groups.items():
        numbers.sort()
        while numbers:
            run = 1
            while run < len(numbers) and numbers[run] == numbers[0] + run:
                run += 1
            part = f"{{{numbers[0]}..{numbers[run - 1]}}}" if run > 1 else str(numbers[0])
            result[f"{front}{part}{back}"] = json.loads(value)
            numbers = numbers[run:]
        if back is None:
            result[front] = json.loads(value)
    return result


def runs(ids: list) -> list:
    """Token ids with three or more of one as [id, count]."""
    result = []
    for number in ids:
        if result and result[-1][0] == number:
            result[-1][1] += 1
        else:
            result.append([number, 1])
    short = []
    for number, count in result:
        short.extend([[number, count]] if count > 2 else [number] * count)
    return short


def text(case: dict) -> str:
    """A case as JSON that reads and diffs well: one line a tensor and a prompt."""
    lines = []
    for key, value in case.items():
        if isinstance(value, (dict, list)) and value:
            marks = "{}" if isinstance(value, dict) else "[]"
            inner = (
                [f"{json.dumps(name)}: {json.dumps(item, ensure_ascii=False)}" for name, item in value.items()]
                if isinstance(value, dict)
                else [json.dumps(item, ensure_ascii=False) for item in value]
            )
            body = ",\n  ".join(inner)
            lines.append(f"{json.dumps(key)}: {marks[0]}\n  {body}\n {marks[1]}")
        else:
            lines.append(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n " + ",\n ".join(lines) + "\n}\n"
