#!/usr/bin/env python3
"""Tests of `./just setup` (libtorch.py, wheels.py) against a package index of their own on this machine.

The index serves small wheels in torch's layout through pip's own finder and session, with the faults that a network
has: connections cut, no ranges, damaged bytes, a server that is away. Run: `python3 tools/test_libtorch.py`.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zipfile
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))
import libtorch
import wheels

VERSION = "2.11.0"
HEADER = "include/torch/torch.h"
LIBRARY = os.urandom(600_000)


def make_wheel(name: str, members: dict) -> bytes:
    """A wheel in memory, with the metadata that pip wants."""
    stem = name.replace("-", "_")
    info = f"{stem}-{VERSION}.dist-info"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {VERSION}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return buffer.getvalue()


WHEELS = {
    "torch-2.11.0-py3-none-any.whl": make_wheel(
        "torch",
        {
            f"torch/{HEADER}": "// torch",
            "torch/lib/libtorch_cpu.so": LIBRARY,
            "torch/lib/libtorch_cuda.so": os.urandom(3_000_000),  # what is not wanted
            "torch/a.py": "",
        },
    ),
    "nvidia_part-2.11.0-py3-none-any.whl": make_wheel("nvidia-part", {"nvidia/lib/libcudart.so": "cuda"}),
}


class PackageIndex(http.server.ThreadingHTTPServer):
    """A package index with faults to order, counting the wheel bytes it sends."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {}  # file name -> bytes
        self.ranges, self.cut_after, self.cuts, self.damage, self.delay = True, None, 10**9, 0, 0.0
        self.sent, self.fault_codes = 0, []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, *_unused):
        """A client that was killed is what some tests are about."""


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers /simple/<name>/ and /files/<wheel>."""

    def log_message(self, *_unused):
        """Quiet."""

    def reply(self, code: int, body: bytes, headers: dict) -> None:
        self.send_response(code)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        server = self.server
        for at in range(0, len(body), 1 << 15):
            if server.cut_after is not None and server.cuts > 0 and at >= server.cut_after:
                server.cuts -= 1
                self.close_connection = True
                return
            self.wfile.write(body[at : at + (1 << 15)])
            server.sent += len(body[at : at + (1 << 15)]) if self.path.startswith("/files/") else 0
            time.sleep(server.delay)

    def do_GET(self) -> None:
        kind, _, name = self.path.strip("/").partition("/")
        if kind == "simple":
            stem = name.replace("-", "_") + "-"
            links = "".join(f'<a href="/files/{file}">{file}</a>' for file in self.server.files if file.startswith(stem))
            self.reply(200, f"<!DOCTYPE html><html><body>{links}</body></html>".encode(), {"Content-Type": "text/html"})
            return
        if self.server.fault_codes:
            self.reply(self.server.fault_codes.pop(0), b"", {})
            return
        body = bytearray(self.server.files[name])
        span = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        place = body.find(b"torch/lib/libtorch_cpu.so") + 1000
        if self.server.damage and name.startswith("torch") and span and int(span.group(1)) <= place <= int(span.group(2)):
            self.server.damage -= 1
            body[place] ^= 0xFF
        if span and self.server.ranges:
            start, end = int(span.group(1)), min(len(body), int(span.group(2)) + 1)
            self.reply(206, bytes(body[start:end]), {"Content-Range": f"bytes {start}-{end - 1}/{len(body)}"})
        else:
            self.reply(200, bytes(body), {})


def pins() -> dict:
    """What libtorch.json would say of the small wheels."""
    tags = {"platform": ["any"]}
    sha = hashlib.sha256(LIBRARY).hexdigest()
    header = f"{hashlib.sha256(b'// torch').hexdigest()} torch/{HEADER}\n"
    entry = {
        **{"name": "torch", "version": VERSION, "tags": tags},
        "libraries": {"torch/lib/libtorch_cpu.so": {"size": len(LIBRARY), "sha256": sha}},
        "headers": hashlib.sha256(header.encode()).hexdigest(),
    }
    cuda = {"size": 4, "sha256": hashlib.sha256(b"cuda").hexdigest()}
    part = {"name": "nvidia-part", "version": VERSION, "tags": tags, "libraries": {"nvidia/lib/libcudart.so": cuda}}
    scripts = {"libtorch.so": "INPUT(-ltorch_cpu)\n"}
    return {"unpacked": 700_000, "scripts": scripts, "wheels": [entry, part]}


class SetupTest(unittest.TestCase):
    """Each test has its own index, cache folder and cargo config."""

    def setUp(self):
        self.folder = Path(self.enter(tempfile.TemporaryDirectory()))
        self.index = PackageIndex()
        self.addCleanup(self.index.server_close)
        self.addCleanup(self.index.shutdown)
        self.index.files.update(WHEELS)
        self.pins_file = self.folder / "libtorch.json"
        self.write_pins(pins())
        self.cache, self.config = self.folder / "cache", self.folder / "repository" / ".cargo" / "config.toml"
        self.config.parent.parent.mkdir()
        self.prefix = self.cache / "libtorch-2.11.0-cpu"
        self.environment = {
            **{key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ},
            "RAVE_CACHE": str(self.cache),
            "PIP_INDEX_URL": f"http://127.0.0.1:{self.index.server_address[1]}/simple",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_RETRIES": "0",
            "NO_PROXY": "127.0.0.1",
        }
        self.enter(mock.patch.dict(os.environ, self.environment, clear=True))
        self.enter(mock.patch.object(libtorch, "PINS", self.pins_file))
        self.enter(mock.patch.object(wheels, "PATIENCE", 3))
        self.enter(mock.patch.object(wheels, "CHUNK", 1 << 14))

    def enter(self, context):
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def write_pins(self, platform: dict) -> None:
        platforms = {libtorch.platform_key(): platform}
        self.pins_file.write_text(json.dumps({"version": VERSION, "header": HEADER, "platforms": platforms}))

    def run_setup(self, *arguments: str) -> tuple:
        """Exit status and what stood on stderr."""
        with contextlib.redirect_stderr(io.StringIO()) as stderr:
            status = libtorch.main(list(arguments), config=self.config)
        return status, stderr.getvalue()

    def assert_complete(self) -> None:
        self.assertEqual((self.prefix / "lib" / "libtorch_cpu.so").read_bytes(), LIBRARY)
        self.assertEqual((self.prefix / "lib" / "libcudart.so").read_bytes(), b"cuda")
        self.assertEqual((self.prefix / HEADER).read_text(), "// torch")
        self.assertFalse((self.prefix / "lib" / "libtorch_cuda.so").exists())
        self.assertIn(f'LIBTORCH = "{self.prefix}"', self.config.read_text())
        self.assertEqual(sorted(path.name for path in self.cache.iterdir()), ["downloads", self.prefix.name, "setup.lock"])
        self.assertEqual(list((self.cache / "downloads").iterdir()), [])

    def test_brings_only_what_is_needed_and_nothing_the_second_time(self):
        status, words = self.run_setup()
        self.assertEqual(status, 0, words)
        self.assert_complete()
        self.assertLess(self.index.sent, 1_000_000, "the 3 MB that nobody wants were brought too")
        sent, written = self.index.sent, self.config.stat().st_mtime_ns
        self.assertEqual(self.run_setup()[0], 0)
        self.assertEqual(self.index.sent, sent)
        self.assertEqual(self.config.stat().st_mtime_ns, written, "cargo's config was written without need")

    def test_a_connection_that_is_cut_goes_on_where_it_stopped(self):
        self.index.cut_after = 1 << 16
        status, words = self.run_setup()
        self.assertEqual(status, 0, words)
        self.assert_complete()
        self.assertLess(self.index.sent, 1_000_000)

    def test_a_later_run_goes_on_where_a_failed_one_stopped(self):
        self.index.cut_after, self.index.cuts = 0, 0
        with mock.patch.object(wheels.Progress, "add", side_effect=KeyboardInterrupt):
            status, words = self.run_setup()
        self.assertEqual(status, 130, words)
        kept = sum(path.stat().st_size for path in (self.cache / "downloads").rglob("*-*") if path.is_file())
        self.assertGreater(kept, 80_000)
        before = self.index.sent
        self.assertEqual(self.run_setup()[0], 0)
        self.assert_complete()
        self.assertLess(self.index.sent - before, 700_000 - 16_384)

    def test_killed_in_the_middle_and_run_again(self):
        self.index.delay = 0.05
        script = (
            f"import sys; sys.path.insert(0, {str(Path(libtorch.__file__).parent)!r}); import libtorch, pathlib;"
            f"libtorch.PINS = pathlib.Path({str(self.pins_file)!r});"
            f"sys.exit(libtorch.main([], config=pathlib.Path({str(self.config)!r})))"
        )
        first = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while self.index.sent < 300_000 and time.monotonic() < deadline:
            time.sleep(0.02)
        first.send_signal(signal.SIGKILL)
        first.wait()
        self.assertFalse(self.prefix.exists())
        self.index.delay = 0.0
        both = [subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True) for _ in range(2)]
        words = [process.communicate()[1] for process in both]
        self.assertEqual([process.returncode for process in both], [0, 0], words)
        self.assert_complete()
        self.assertLess(self.index.sent, 1_100_000, "the two at once brought it twice, or the first one's part was lost")

    def test_a_server_without_ranges_gives_the_whole_wheel(self):
        self.index.ranges = False
        self.index.cut_after, self.index.cuts = 1 << 20, 1
        status, words = self.run_setup()
        self.assertEqual(status, 0, words)
        self.assert_complete()

    def test_damage_is_found_and_brought_again(self):
        self.index.damage = 1
        status, words = self.run_setup()
        self.assertEqual(status, 0, words)
        self.assertIn("bringing it once more", words)
        self.assert_complete()

    def test_damage_that_stays_is_an_error_and_leaves_nothing(self):
        self.index.damage = 10**6
        status, words = self.run_setup()
        self.assertEqual(status, 1)
        self.assertIn("libtorch_cpu.so", words)
        self.assertFalse(self.prefix.exists())
        self.assertFalse(self.config.exists())

    def test_a_part_that_rotted_on_disk_is_brought_again(self):
        self.test_a_later_run_goes_on_where_a_failed_one_stopped()
        library = self.prefix / "lib" / "libtorch_cpu.so"
        library.write_bytes(LIBRARY[:-1])
        self.assertEqual(self.run_setup()[0], 0)
        self.assert_complete()

    def test_other_files_of_the_same_size_are_refused(self):
        platform = pins()
        platform["wheels"][0]["libraries"]["torch/lib/libtorch_cpu.so"]["sha256"] = "0" * 64
        self.write_pins(platform)
        status, words = self.run_setup()
        self.assertEqual(status, 1)
        self.assertIn("sha256 differs", words)

    def test_other_headers_are_refused(self):
        platform = pins()
        platform["wheels"][0]["headers"] = "0" * 64
        self.write_pins(platform)
        status, words = self.run_setup()
        self.assertEqual(status, 1)
        self.assertIn("header files", words)

    def test_a_server_in_trouble_is_asked_again(self):
        self.index.fault_codes = [503, 503]
        with mock.patch("time.sleep"):
            status, words = self.run_setup()
        self.assertEqual(status, 0, words)

    def test_no_network_says_what_to_do(self):
        os.environ["PIP_INDEX_URL"] = "http://127.0.0.1:9/simple"
        status, words = self.run_setup()
        self.assertEqual(status, 1)
        self.assertIn("cannot find torch 2.11.0", words)
        self.assertIn("refused", words)
        self.assertIn("LIBTORCH=/folder ./just setup", words)
        self.assertFalse(self.config.exists())

    def test_an_index_without_the_version(self):
        del self.index.files["torch-2.11.0-py3-none-any.whl"]
        status, words = self.run_setup()
        self.assertEqual(status, 1)
        self.assertIn("the index does not have it", words)

    def test_a_disk_that_is_too_small_is_told_before_the_download(self):
        with mock.patch("shutil.disk_usage", return_value=mock.Mock(free=1000)):
            status, words = self.run_setup()
        self.assertEqual(status, 1)
        self.assertIn("RAVE_CACHE=", words)

    def test_a_pip_of_another_shape_brings_the_wheels_itself(self):
        os.environ["PIP_QUIET"] = "2"
        with mock.patch.object(wheels.Index, "find", side_effect=AttributeError("moved")):
            status, words = self.run_setup()
        self.assertEqual(status, 0, words)
        self.assert_complete()

    def existing(self, version: str) -> Path:
        folder = self.folder / "mine"
        (folder / "lib").mkdir(parents=True)
        (folder / "include" / "torch").mkdir(parents=True)
        (folder / "lib" / "libtorch_cpu.so").write_text("")
        (folder / "build-version").write_text(version)
        os.environ["LIBTORCH"] = str(folder)
        return folder

    def test_an_existing_libtorch_is_taken_and_remembered(self):
        folder = self.existing("2.11.0+cpu\n")
        self.assertEqual(self.run_setup()[0], 0)
        del os.environ["LIBTORCH"]
        self.assertEqual(self.run_setup()[0], 0)
        self.assertEqual(libtorch.read_config(self.config), {"LIBTORCH": str(folder)})
        self.assertEqual(self.index.sent, 0)
        self.assertEqual(self.run_setup("--download")[0], 0)
        self.assert_complete()

    def test_an_existing_libtorch_of_another_patch_release(self):
        self.existing("2.11.1")
        self.assertEqual(self.run_setup()[0], 0)
        self.assertEqual(libtorch.read_config(self.config)["LIBTORCH_BYPASS_VERSION_CHECK"], "1")

    def test_an_existing_libtorch_of_another_version_is_refused(self):
        for version in ("2.10.0", "2.1.0+cu118", "1.11.0"):
            with self.subTest(version):
                folder = self.existing(version)
                status, words = self.run_setup()
                self.assertEqual(status, 1)
                self.assertIn(f"{folder}, which is LibTorch {version.split('+')[0]}", words)
                self.assertFalse(self.config.exists())
                subprocess.run(["rm", "-r", str(folder)], check=True)

    def test_a_folder_that_is_no_libtorch_is_refused(self):
        os.environ["LIBTORCH"] = str(self.folder / "nowhere")
        status, words = self.run_setup()
        self.assertEqual(status, 1)
        self.assertIn("no lib/libtorch_cpu.so", words)

    def test_the_torch_of_a_python(self):
        site = self.folder / "site" / "torch"
        (site / "lib").mkdir(parents=True)
        (site / "include" / "torch").mkdir(parents=True)
        (site / "lib" / "libtorch_cpu.so").write_text("")
        (site / "lib" / "libtorch_cuda.so").write_text("")
        (site / "__init__.py").write_text("raise SystemExit('torch must not be imported: that takes seconds')")
        (site / "version.py").write_text("__all__ = []\n__version__ = '2.11.0+cu130'\n")
        os.environ.update({"LIBTORCH_USE_PYTORCH": "1", "PYTHONPATH": str(site.parent)})
        status, words = self.run_setup("--cuda")
        self.assertEqual(status, 0, words)
        self.assertIn("(CUDA)", words)
        self.assertEqual(libtorch.read_config(self.config), {"LIBTORCH": str(site)})
        os.environ["PYTHONPATH"] = str(self.folder)
        status, words = self.run_setup()
        self.assertEqual(status, 1)
        self.assertIn("has no torch", words)

    def test_cuda_asked_for_without_one(self):
        status, words = self.run_setup("--cuda")
        self.assertEqual(status, 1)
        self.assertIn("LIBTORCH_USE_PYTORCH=1 ./just setup", words)

    def test_a_config_that_a_person_wrote_is_not_touched(self):
        self.config.parent.mkdir()
        theirs = "[build]\njobs = 2\n"
        self.config.write_text(theirs)
        status, words = self.run_setup()
        self.assertEqual(status, 1)
        self.assertIn(f'LIBTORCH = "{self.prefix}"', words)
        self.assertEqual(self.config.read_text(), theirs)
        self.config.write_text(theirs + f'[env]\nLIBTORCH = "{self.prefix}"\n')
        self.assertEqual(self.run_setup()[0], 0)

    def test_a_platform_without_wheels(self):
        self.pins_file.write_text(json.dumps({"version": VERSION, "header": HEADER, "platforms": {}}))
        status, words = self.run_setup()
        self.assertEqual(status, 1)
        self.assertIn("LIBTORCH=/folder", words)


class PinsTest(unittest.TestCase):
    """The committed table."""

    def test_every_platform_is_whole(self):
        everything = json.loads((Path(libtorch.__file__).parent / "libtorch.json").read_text())
        self.assertEqual(sorted(everything["platforms"]), ["darwin-arm64", "linux-arm64", "linux-x86_64"])
        for key, platform in everything["platforms"].items():
            torch = platform["wheels"][0]
            self.assertEqual((torch["name"], torch["version"]), ("torch", everything["version"]), key)
            self.assertRegex(torch["headers"], "^[0-9a-f]{64}$")
            for entry in platform["wheels"]:
                for library in entry["libraries"].values():
                    self.assertRegex(library["sha256"], "^[0-9a-f]{64}$")
                    self.assertGreater(library["size"], 1000)


if __name__ == "__main__":
    unittest.main()
