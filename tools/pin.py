#!/usr/bin/env python3
"""Writes libtorch.json: which wheels hold LibTorch for each platform, and the sha256 of what is taken from them.

Run by whoever raises the LibTorch version (change the tables below first): `python3 tools/pin.py`, about 400 MB of
traffic. The needed libraries are those that `readelf -d libtorch_cpu.so` names and a system does not have.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path

from libtorch import HEADERS, PINS, say, wheel_of
from wheels import Archive, Index, Progress

VERSION = "2.11.0"
CP311 = {"python-version": "3.11", "implementation": "cp", "abi": ["cp311", "none"]}
LINKER_SCRIPT = {"libtorch.so": "INPUT(-ltorch_cpu -lc10)\n"}


def torch(tag: str, *names: str) -> dict:
    """torch's wheel for Python 3.11: which Python does not matter, but it must be one and the same wheel."""
    members = [f"torch/lib/{name}" for name in names]
    return {"name": "torch", "version": VERSION, "tags": {"platform": tag, **CP311}, "libraries": members, "headers": ""}


def cuda_parts(*tags: str) -> list:
    """The two CUDA libraries that the CPU library lists as needed, though it calls them only with a GPU."""
    where = {"platform": list(tags), "python-version": "3.11"}
    return [
        {"name": "nvidia-cuda-runtime", "version": "13.0.96", "tags": where, "libraries": ["nvidia/cu13/lib/libcudart.so.13"]},
        {"name": "nvidia-cuda-cupti", "version": "13.0.85", "tags": where, "libraries": ["nvidia/cu13/lib/libcupti.so.13"]},
    ]


PLATFORMS = {
    "linux-x86_64": {
        "scripts": LINKER_SCRIPT,
        "wheels": [
            torch("manylinux_2_28_x86_64", "libtorch_cpu.so", "libc10.so", "libgomp.so.1"),
            *cuda_parts("manylinux_2_25_x86_64", "manylinux2014_x86_64"),
        ],
    },
    "linux-arm64": {
        "scripts": LINKER_SCRIPT,
        "wheels": [
            torch(
                "manylinux_2_28_aarch64",
                *("libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libgfortran.so.5"),
                *("libarm_compute.so", "libarm_compute_graph.so"),
                *("libnvpl_blas_core.so.0", "libnvpl_blas_lp64_gomp.so.0"),
                *("libnvpl_lapack_core.so.0", "libnvpl_lapack_lp64_gomp.so.0"),
            ),
            *cuda_parts("manylinux_2_25_aarch64", "manylinux2014_aarch64"),
        ],
    },
    "darwin-arm64": {
        "scripts": {},
        "wheels": [
            torch("macosx_11_0_arm64", "libtorch_cpu.dylib", "libc10.dylib", "libtorch.dylib", "libomp.dylib"),
        ],
    },
}


def pin(index: Index, entry: dict, folder: Path) -> int:
    """Replaces the names in `entry` by sizes and hashes; returns the bytes that unpacking writes."""
    archive = Archive(index, wheel_of(entry), folder)
    archive.plan()
    progress = Progress(archive.total(), archive.have())
    archive.bring(progress)
    progress.finish()
    unpacked, found, headers = 0, {}, hashlib.sha256()
    with archive.open() as zipped:
        for member in sorted(zipped.namelist()):
            if not archive.wheel.wanted(member):
                continue
            content = zipped.read(member)
            unpacked += len(content)
            digest = hashlib.sha256(content).hexdigest()
            if member.startswith(HEADERS):
                headers.update(f"{digest} {member}\n".encode())
            else:
                found[member] = {"size": len(content), "sha256": digest}
    missing = set(entry["libraries"]) - set(found)
    if missing:
        sys.exit(f"error: {archive.wheel.name} does not hold {sorted(missing)}")
    entry["libraries"] = found
    if "headers" in entry:
        entry["headers"] = headers.hexdigest()
    archive.forget()
    return unpacked


def main() -> None:
    """Brings every wheel's wanted members and writes the file."""
    platforms = {}
    with tempfile.TemporaryDirectory() as folder, Index() as index:
        for key, platform in PLATFORMS.items():
            say(key)
            unpacked = sum(pin(index, entry, Path(folder)) for entry in platform["wheels"])
            platforms[key] = {"unpacked": unpacked, **platform}
    header = "include/torch/csrc/api/include/torch/torch.h"
    text = json.dumps({"version": VERSION, "header": header, "platforms": platforms}, indent=2)
    PINS.write_text(text + "\n")


if __name__ == "__main__":
    main()
