#!/usr/bin/env python3
"""What an evaluation loses beside other work: alone, and beside as many busy single-thread processes as there are cores.

    python3 tools/bench_waiting.py [--against OLD/rave] [--model nano] [--limit 200] [--rounds 5] [--out FILE.json]

Each round runs every program in turn (a b .. b a) in each of the two situations. `slowdown` is beside over alone within a round: a
program that waits for nothing loses the share of the machine that the others take, so 2 where every core has one of them. With
`--against`, another build of `rave` is timed in the same rounds, and `faster` is its time over ours. Times are of whole processes, their
start and report included. Ratios are medians over rounds with the least and the greatest; every raw time is kept in --out.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def cores():
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def evaluate(program, options):
    """Seconds of one evaluation."""
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "eval", "--model", options.model, "--variant", "standard", "--suite", "embedded-document"]
        command += ["--dtype", "f32", "--seed", "0", "--limit", str(options.limit), "--out", f"{folder}/run"]
        start = time.monotonic()
        run = subprocess.run(command, capture_output=True, text=True)
        seconds = time.monotonic() - start
    if run.returncode != 0:
        sys.exit(f"{program}: {run.stderr}")
    return seconds


def measure(programs, options):
    """Seconds by situation and program, a list over rounds each."""
    seconds = {situation: {name: [] for name in programs} for situation in ("alone", "beside")}
    for number in range(options.rounds):
        order = list(programs) if number % 2 == 0 else list(programs)[::-1]
        for situation, by_program in seconds.items():
            busy = []
            try:
                if situation == "beside":
                    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores())]
                for name in order:
                    by_program[name].append(evaluate(programs[name], options))
            finally:
                for process in busy:
                    process.kill()
                    process.wait()
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    return seconds


def ratio(above, below):
    """Median, least and greatest of the ratios within rounds."""
    ratios = [one / other for one, other in zip(above, below)]
    return [statistics.median(ratios), min(ratios), max(ratios)]


def processor():
    """What the system calls its processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def main():
    """Measures, prints a table, writes the raw times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rave", default=str(ROOT / "target/release/rave"))
    parser.add_argument("--against", help="another build of rave, timed in the same rounds")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--limit", type=int, default=200, help="samples of an evaluation")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    programs = {"ours": options.rave}
    if options.against:
        programs["against"] = options.against
    load = os.getloadavg()[0]
    seconds = measure(programs, options)
    record = {"bench": "waiting", "model": options.model, "limit": options.limit, "cores": cores(), "processor": processor()}
    record |= {"load_before": load, "seconds": seconds}
    record["slowdown"] = {name: ratio(seconds["beside"][name], seconds["alone"][name]) for name in programs}
    if options.against:
        record["faster"] = {situation: ratio(own["against"], own["ours"]) for situation, own in seconds.items()}
    for name in programs:
        alone, beside = (statistics.median(seconds[situation][name]) for situation in seconds)
        middle, least, most = record["slowdown"][name]
        print(f"{name:8} alone {alone:.2f} s, beside {beside:.2f} s: slowdown {middle:.2f} ({least:.2f} to {most:.2f})")
    for situation, (middle, least, most) in record.get("faster", {}).items():
        print(f"{situation:8} {middle:.2f} times as fast as the other ({least:.2f} to {most:.2f})")
    if options.out:
        options.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
