#!/usr/bin/env python3
"""Lists the tensors of a checkpoint as `transformers` has them, or holds those that `rave` expects against that list.

    python3 tools/transformers_tensors.py FOLDER                             # name and shape, as JSON
    python3 tools/transformers_tensors.py FOLDER --rave target/release/rave  # what differs; exit code 1 if anything does

Needs torch and transformers 5, and of FOLDER only its config.json: the model is made on the meta device, without memory.
Names are those of the hub's files, by the library's own conversion, run backwards. A head that is tied to the embedding is
left out, as `save_pretrained` leaves it out.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForImageTextToText
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import revert_weight_conversion


def tensors(folder: Path) -> dict[str, list[int]]:
    config = AutoConfig.from_pretrained(folder)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    tied = set(model.all_tied_weights_keys)
    state = {name: tensor for name, tensor in model.state_dict().items() if name not in tied}
    # Without these the conversion takes the model for a new one, and leaves prefixes of the hub's names out.
    model._weight_conversions = get_model_conversion_mapping(model, add_legacy=False)
    state = revert_weight_conversion(model, state)
    return {name: list(tensor.shape) for name, tensor in sorted(state.items())}


def expected(rave: Path, folder: Path) -> dict[str, list[int]]:
    command = [str(rave), "check", "checkpoint", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout) if done.stdout else {}
    if not found.get("tensors"):
        sys.exit(f"{rave} expects nothing of {folder}: {done.stderr.strip() or found.get('problems')}")
    return found["tensors"]["expected"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rave", type=Path)
    arguments = parser.parse_args()
    theirs = tensors(arguments.folder)
    if arguments.rave is None:
        print(json.dumps(theirs, indent=1))
        return
    ours = expected(arguments.rave, arguments.folder)
    differing = [name for name in theirs.keys() & ours.keys() if theirs[name] != ours[name]]
    for what, names in [
        ("only transformers", theirs.keys() - ours.keys()),
        ("only rave", ours.keys() - theirs.keys()),
        ("another shape", differing),
    ]:
        if names:
            print(f"{what}: {len(names)}: {', '.join(sorted(names)[:5])}")
    same = theirs == ours
    print(f"{arguments.folder}: {len(theirs)} tensors, {'the same' if same else 'DIFFERENT'}")
    sys.exit(not same)


if __name__ == "__main__":
    main()
