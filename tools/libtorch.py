#!/usr/bin/env python3
"""Brings LibTorch once, or takes an existing one, and tells cargo where it is (`./just setup`).

- A LibTorch named by `LIBTORCH=/folder`, or the torch of the Python on PATH with `LIBTORCH_USE_PYTORCH=1`, is checked
  and taken; it is remembered, so later calls need no variable.
- Else the CPU part of torch's wheel, and the two CUDA libraries that even its CPU library asks the loader for, are
  brought into `${RAVE_CACHE:-${XDG_CACHE_HOME:-~/.cache}/rave-bench}/libtorch-<version>-cpu` (see wheels.py), each
  library checked against the sha256 in libtorch.json. The folder appears under its name only when it is complete.

The answer goes into `.cargo/config.toml`, from where every later `cargo build` and `cargo test` has it.
Python 3.8, its standard library and pip are enough.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Iterator, Optional

from wheels import Archive, CorruptError, FetchError, Index, Progress, Wheel, disk_errors

ROOT = Path(__file__).resolve().parent.parent
PINS = Path(__file__).with_name("libtorch.json")
HEADERS = "torch/include/"
OTHER_WAYS = """\
  - check the network and pip's settings (`python3 -m pip config list` shows index, proxy and certificate), then run
    `./just setup` again: what was brought is kept
  - or give an existing LibTorch {version}: LIBTORCH=/folder ./just setup
  - or a Python that has torch {version}: LIBTORCH_USE_PYTORCH=1 ./just setup"""


def say(words: str) -> None:
    """A line for the person at the terminal; stdout stays free for data."""
    print(words, file=sys.stderr, flush=True)


def cache_folder() -> Path:
    """Where everything that is brought once lies."""
    given = os.environ.get("RAVE_CACHE")
    if given:
        return Path(given).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "rave-bench"


def platform_key() -> str:
    """This machine in the words of libtorch.json."""
    machine = {"amd64": "x86_64", "aarch64": "arm64"}.get(platform.machine().lower(), platform.machine().lower())
    return f"{platform.system().lower()}-{machine}"


# What is pinned: for each platform the wheels, and of each the libraries with size and sha256.


def wheel_of(pin: dict) -> Wheel:
    """The wheel that a pin describes; wanted are its libraries and, of torch, the headers."""
    wanted = set(pin["libraries"])
    headers = "headers" in pin
    return Wheel(
        pin["name"],
        pin["version"],
        pin["tags"],
        lambda member: member in wanted or (headers and member.startswith(HEADERS) and not member.endswith("/")),
    )


def libraries(pins: dict) -> dict:
    """File name under lib/ -> (size, sha256)."""
    return {
        Path(member).name: (library["size"], library["sha256"])
        for pin in pins["wheels"]
        for member, library in pin["libraries"].items()
    }


def is_complete(prefix: Path, pins: dict) -> bool:
    """Whether `prefix` holds the whole LibTorch. Sizes are compared, not hashes: this runs at each `just test`."""
    try:
        version = (prefix / "build-version").read_text().strip()
        sizes = all((prefix / "lib" / name).stat().st_size == size for name, (size, _) in libraries(pins).items())
        linkers = all((prefix / "lib" / name).read_text() == text for name, text in pins.get("scripts", {}).items())
    except OSError:
        return False
    return version == pins["version"] and sizes and linkers and (prefix / pins["header"]).exists()


def unpack(archive: Archive, pin: dict, prefix: Path) -> None:
    """Writes the wanted members below `prefix`, each checked; raises `CorruptError` on any difference."""
    headers = hashlib.sha256()
    with archive.open() as zipped:
        try:
            for member in sorted(zipped.namelist()):
                if not archive.wheel.wanted(member):
                    continue
                is_header = member.startswith(HEADERS)
                target = prefix / (member[len("torch/") :] if is_header else Path("lib") / Path(member).name)
                digest = hashlib.sha256()
                with disk_errors(prefix):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with zipped.open(member) as source, open(target, "wb") as file:
                        for block in iter(lambda: source.read(1 << 20), b""):
                            digest.update(block)
                            file.write(block)
                if is_header:
                    headers.update(f"{digest.hexdigest()} {member}\n".encode())
                elif digest.hexdigest() != pin["libraries"][member]["sha256"]:
                    raise CorruptError(f"{member} is not the file that was promised (its sha256 differs)")
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise CorruptError(f"the download of {pin['name']} {pin['version']} is damaged ({error})") from error
    if headers.hexdigest() != pin.get("headers", headers.hexdigest()):
        raise CorruptError("the header files are not those that were promised (their sha256 differs)")
    missing = [member for member in pin["libraries"] if not (prefix / "lib" / Path(member).name).exists()]
    if missing:
        raise CorruptError(f"{archive.wheel.name} {archive.wheel.version} does not hold {', '.join(missing)}")


def bring(prefix: Path, pins: dict) -> None:
    """Downloads, checks and unpacks into `prefix`, which appears only when all is well."""
    cache = prefix.parent
    partial = prefix.with_name(prefix.name + ".partial")
    with Index() as index:
        archives = [(Archive(index, wheel_of(pin), cache / "downloads"), pin) for pin in pins["wheels"]]
        say(f"bringing LibTorch {pins['version']} (CPU) into {prefix}")
        for archive, _ in archives:
            archive.plan()
        total, have = (sum(getattr(archive, what)() for archive, _ in archives) for what in ("total", "have"))
        check_room(cache, total - have + pins["unpacked"])
        if have > 4e6 + sum(archive.have() for archive, _ in archives if not archive.total()):
            say(f"  going on from {have / 1e6:.1f} MB")
        progress = Progress(total, have)
        for archive, _ in archives:
            archive.bring(progress)
        progress.finish()
        say("  checking and unpacking")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            for archive, pin in archives:
                unpack_or_forget(archive, pin, partial)
            finish_prefix(partial, pins)
            old = prefix.with_name(prefix.name + ".old")
            shutil.rmtree(old, ignore_errors=True)
            if prefix.exists():
                prefix.rename(old)
            partial.rename(prefix)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        for archive, _ in archives:
            archive.forget()


def unpack_or_forget(archive: Archive, pin: dict, prefix: Path) -> None:
    """`unpack`; a damaged download is removed, so that the next attempt brings it anew."""
    try:
        unpack(archive, pin, prefix)
    except CorruptError:
        archive.forget()
        raise


def finish_prefix(prefix: Path, pins: dict) -> None:
    """Adds what no wheel holds: the version that torch-sys reads, and linker scripts.

    torch-sys links a `libtorch`; the wheel's own one is empty but asks for CUDA, so a script stands in its place.
    """
    with disk_errors(prefix):
        for name, text in pins.get("scripts", {}).items():
            (prefix / "lib" / name).write_text(text)
        (prefix / "build-version").write_text(pins["version"] + "\n")


def check_room(folder: Path, needed: int) -> None:
    """Says beforehand that the disk is too small, rather than after a long download."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise FetchError(
            f"LibTorch needs {needed / 1e6:.0f} MB in {folder} and {free / 1e6:.0f} MB are free there\n"
            "make room, or choose another disk: RAVE_CACHE=/folder ./just setup"
        )


@contextlib.contextmanager
def alone(cache: Path) -> Iterator[None]:
    """Lets one setup at a time work on `cache`; the others wait, and then find the work done."""
    import fcntl

    with disk_errors(cache):
        cache.mkdir(parents=True, exist_ok=True)
        lock = open(cache / "setup.lock", "w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another setup is at work on the same folder: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def cached(pins: dict) -> Path:
    """The LibTorch of the cache folder, brought if it is not there."""
    prefix = cache_folder() / f"libtorch-{pins['version']}-cpu"
    if is_complete(prefix, pins):
        return prefix
    with alone(prefix.parent):
        if not is_complete(prefix, pins):
            with_pip(pins)
            try:
                bring(prefix, pins)
            except CorruptError as error:
                say(f"  {error}: bringing it once more")
                bring(prefix, pins)
    return prefix


def with_pip(pins: dict) -> None:
    """Goes on in a virtual environment when this Python has no pip of its own."""
    try:
        import pip  # noqa: F401
    except ImportError:
        folder = cache_folder() / "tools" / "pip"
        made = subprocess.run([sys.executable, "-m", "venv", str(folder)], capture_output=True, text=True)
        if made.returncode or os.environ.get("RAVE_PIP_VENV"):
            raise FetchError(
                f"{sys.executable} has neither pip nor a working venv, and LibTorch is a Python package\n"
                "  - install one of them (Debian and Ubuntu: apt-get install python3-venv), then run `./just setup`\n"
                f"  - or give an existing LibTorch {pins['version']}: LIBTORCH=/folder ./just setup"
            ) from None
        python = str(folder / "bin" / "python")
        os.environ["RAVE_PIP_VENV"] = "1"
        os.execv(python, [python, *sys.argv])


# A LibTorch that is here already


def version_of(folder: Path) -> Optional[str]:
    """The version of the LibTorch in `folder` (a LibTorch archive, or Python's torch package), if it tells."""
    places = [
        ("build-version", r"^\s*([0-9][^\s+]*)"),
        ("version.py", r"__version__ = '([0-9][^'+]*)"),
    ]
    for name, pattern in places:
        if (folder / name).exists():
            found = re.search(pattern, (folder / name).read_text(errors="replace"))
            if found:
                return found.group(1)
    for header in ("include/torch/headeronly/version.h", "include/torch/csrc/api/include/torch/version.h"):
        if (folder / header).exists():
            text = (folder / header).read_text(errors="replace")
            numbers = re.findall(r"#define TORCH_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", text)
            if len(numbers) == 3:
                return ".".join(numbers)
    return None


def check_existing(folder: Path, given_by: str, pins: dict) -> dict:
    """Checks a LibTorch that a person named; returns what goes into cargo's [env]."""
    wanted = pins["version"]
    if not any((folder / "lib" / name).exists() for name in ("libtorch_cpu.so", "libtorch_cpu.dylib")):
        raise FetchError(
            f"{given_by} names {folder}, which has no lib/libtorch_cpu.so\n"
            "name the folder that holds lib/ and include/, or unset it and run `./just setup` to have LibTorch brought"
        )
    if not (folder / "include" / "torch").exists():
        raise FetchError(f"{given_by} names {folder}, which has no include/torch: it needs LibTorch with its headers")
    version = version_of(folder)
    bypass = "LIBTORCH_BYPASS_VERSION_CHECK" in os.environ
    if version is None:
        say(f"warning: {folder} does not tell its version; {wanted} is expected")
    elif version.split(".")[:2] != wanted.split(".")[:2] and not bypass:
        raise FetchError(
            f"{given_by} names {folder}, which is LibTorch {version}; this project is built against {wanted}\n"
            f"give a LibTorch {wanted}, or unset it and run `./just setup` to have one brought"
        )
    env = {"LIBTORCH": str(folder)}
    if version is not None and version != wanted:
        # torch-sys asks for the very patch release; within one minor release the interface is the same.
        env["LIBTORCH_BYPASS_VERSION_CHECK"] = "1"
    return env


def from_python(pins: dict) -> dict:
    """The torch of the Python that torch-sys would ask, found without importing it."""
    python = "python" if os.environ.get("VIRTUAL_ENV") else "python3"
    script = "import importlib.util as u; s = u.find_spec('torch'); print(s.origin if s else '')"
    try:
        answer = subprocess.run([python, "-c", script], capture_output=True, text=True)
    except OSError as error:
        raise FetchError(f"LIBTORCH_USE_PYTORCH is set, and {python} cannot be run: {error.strerror}") from error
    if not answer.stdout.strip():
        raise FetchError(
            f"LIBTORCH_USE_PYTORCH is set, and {shutil.which(python)} has no torch\n"
            f"activate the environment that has it (or pip install torch=={pins['version']}), or unset the variable"
        )
    return check_existing(Path(answer.stdout.strip()).parent, "LIBTORCH_USE_PYTORCH", pins)


# What cargo is told


def read_config(path: Path) -> Optional[dict]:
    """The [env] of a config file that holds nothing but LibTorch's place; None when a person wrote more into it."""
    env = {}
    for line in path.read_text().splitlines():
        line = line.strip()
        entry = re.fullmatch(r'(LIBTORCH\w*)\s*=\s*("(?:[^"\\]|\\.)*")', line)
        if entry:
            env[entry.group(1)] = json.loads(entry.group(2))
        elif line and not line.startswith("#") and line != "[env]":
            return None
    return env


def write_config(path: Path, env: dict) -> None:
    """Writes `path` when it would say something new; never touches one that a person wrote."""
    if path.exists():
        present = read_config(path)
        if present == env:
            return
        if present is None:
            if "LIBTORCH" in path.read_text():
                return
            lines = "\n".join(f"  {key} = {json.dumps(value)}" for key, value in env.items())
            raise FetchError(f"{path} is yours and does not say where LibTorch is; add to its [env] table:\n{lines}")
    text = "# Written by `./just setup` (tools/libtorch.py), which writes it anew when LibTorch moves; not in git.\n"
    text += "# A variable of the same name in the environment wins over a line here.\n[env]\n"
    text += "".join(f"{key} = {json.dumps(value)}\n" for key, value in env.items())
    with disk_errors(path):
        path.parent.mkdir(exist_ok=True)
        fresh = path.with_name(path.name + f".{os.getpid()}")
        fresh.write_text(text)
        fresh.replace(path)


def choose(config: Path, pins: dict, arguments: argparse.Namespace) -> dict:
    """Which LibTorch it is to be: named in the environment, remembered, or the cache folder's."""
    if "LIBTORCH_USE_PYTORCH" in os.environ:
        return from_python(pins)
    if os.environ.get("LIBTORCH"):
        return check_existing(Path(os.environ["LIBTORCH"]).expanduser().absolute(), "LIBTORCH", pins)
    remembered = (read_config(config) or {}).get("LIBTORCH") if config.exists() else None
    if remembered and not arguments.download and "wheels" in pins:
        folder = Path(remembered)
        is_ours = folder.name == f"libtorch-{pins['version']}-cpu"
        if is_ours and is_complete(folder, pins):
            return {"LIBTORCH": remembered}
        if not is_ours and folder.exists():
            return check_existing(folder, str(config), pins)
    if arguments.cuda:
        raise FetchError(
            "a CUDA LibTorch is not brought (it is several GB, and which one fits is the driver's choice); give yours:\n"
            f"  pip install torch=={pins['version']}   (in a virtual environment; activate it)\n"
            "  LIBTORCH_USE_PYTORCH=1 ./just setup   (or LIBTORCH=/folder ./just setup)"
        )
    if "wheels" not in pins:
        raise FetchError(
            f"there is no LibTorch {pins['version']} to bring for {platform_key()}\n"
            "give one that was built for it: LIBTORCH=/folder ./just setup"
        )
    return {"LIBTORCH": str(cached(pins))}


def load_pins(key: str) -> dict:
    """What libtorch.json says of a platform, with the version; without `wheels` when it says nothing."""
    everything = json.loads(PINS.read_text())
    return {"version": everything["version"], "header": everything["header"], **everything["platforms"].get(key, {})}


def main(arguments: Optional[list] = None, config: Path = ROOT / ".cargo" / "config.toml") -> int:
    """Exit 0 with cargo told; 1 with one message on stderr."""
    parser = argparse.ArgumentParser(prog="./just setup", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--cuda",
        action="store_true",
        default=os.environ.get("RAVE_LIBTORCH") == "cuda",
        help="insist on a LibTorch with CUDA (or RAVE_LIBTORCH=cuda)",
    )
    parser.add_argument("--download", action="store_true", help="forget a LibTorch that was given; bring one")
    parser.add_argument("--quiet", action="store_true", help="say nothing when all is well already")
    options = parser.parse_args(arguments)
    pins = load_pins(platform_key())
    try:
        env = choose(config, pins, options)
        has_cuda = any(Path(env["LIBTORCH"], "lib").glob("libtorch_cuda*"))
        if options.cuda and not has_cuda:
            raise FetchError(f"{env['LIBTORCH']} has no CUDA library, and --cuda was asked for")
        write_config(config, env)
    except FetchError as error:
        say(f"error: {error}")
        if type(error) is FetchError and error.__cause__ is None and "\n" not in str(error):
            say(OTHER_WAYS.format(version=pins["version"]))
        return 1
    except KeyboardInterrupt:
        say("\nstopped; what was brought is kept: run `./just setup` to go on")
        return 130
    if options.quiet:
        return 0
    say(f"LibTorch {version_of(Path(env['LIBTORCH'])) or '?'} ({'CUDA' if has_cuda else 'CPU'}): {env['LIBTORCH']}")
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++")):
        say("warning: no C++ compiler found, and torch-sys needs one (Debian and Ubuntu: apt-get install g++)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
