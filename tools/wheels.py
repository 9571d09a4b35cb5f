"""Chosen members of wheels, brought through pip's own settings, resumably.

A wheel is a zip file, and a zip file says at its end where each member lies. So of torch's 530 MB wheel only the
quarter that a CPU LibTorch needs is asked for, by HTTP ranges, into files that are only ever appended to: their length
is the state, and a download that was killed goes on where it stopped. A server without ranges gives the whole wheel.

Which index is asked, through which proxy, with which certificate and credentials is pip's business: the address comes
from pip's finder and the bytes through pip's session (the same calls from pip 20.0 to 26; where pip has changed them,
`pip download` brings the whole wheel). Python 3.8 and its standard library are enough.
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Callable, Iterator, NamedTuple, Optional

CHUNK = 1 << 18
"""Bytes read from the network at a time."""

TAIL = 1 << 16
"""Bytes fetched first: the end of a zip, whose last record says where the list of members starts."""

GAP = 1 << 19
"""Two wanted members at most this far apart are brought by one request, with what lies between them."""

PATIENCE = 5
"""Attempts in a row without a byte before a download gives up."""


class FetchError(Exception):
    """What failed and what to do about it, in words for the person at the terminal."""


class CorruptError(FetchError):
    """What was brought is not what was promised; bringing it again may help."""


class Wheel(NamedTuple):
    """One wheel, and what is wanted of it."""

    name: str
    version: str
    tags: dict  # pip's words: platform (a list), and where needed python-version, implementation, abi
    wanted: Callable[[str], bool]  # by the member's path in the wheel

    def pip_arguments(self) -> list:
        """The options of `pip download` that choose this wheel, whatever Python and machine this is."""
        arguments = ["--no-deps", "--only-binary", ":all:", "--no-cache-dir"]
        for option, values in self.tags.items():
            for value in values if isinstance(values, list) else [values]:
                arguments += ["--" + option, value]
        return arguments


class Link(NamedTuple):
    """Where a wheel is: an address, or a file when the index is a folder."""

    filename: str
    url: str
    file: Optional[Path]


def disk_errors(path: Path) -> contextlib.AbstractContextManager:
    """Turns a full or read-only disk into words; other errors pass."""

    @contextlib.contextmanager
    def guard() -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise FetchError(
                    f"the disk that holds {path} is full\n"
                    "make room and run it again (what was brought is kept), or choose another disk: RAVE_CACHE=/folder"
                ) from error
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise FetchError(
                    f"cannot write to {path}: {error.strerror}\nchoose another folder: RAVE_CACHE=/folder"
                ) from error
            raise

    return guard()


class Progress:
    """A line on stderr: a bar with rate and time left in a terminal, a line now and then elsewhere."""

    WIDTH = 30
    EVERY_SECONDS = 10.0

    def __init__(self, total: int, have: int, stream=None):
        self.total, self.have = total, have
        self.stream = stream or sys.stderr
        self.terminal = self.stream.isatty()
        self.started = self.shown = time.monotonic()
        self.at_start = have

    def add(self, count: int) -> None:
        """Counts bytes that came (negative: that have to come again)."""
        self.have += count
        now = time.monotonic()
        if now - self.shown >= (0.1 if self.terminal else self.EVERY_SECONDS):
            self.shown = now
            self._show(now)

    def finish(self) -> None:
        """The last line."""
        self._show(time.monotonic())
        if self.terminal:
            self.stream.write("\n")

    def _show(self, now: float) -> None:
        share = min(1.0, self.have / max(1, self.total))
        rate = (self.have - self.at_start) / max(1e-3, now - self.started)
        left = (self.total - self.have) / rate if rate > 0 else float("inf")
        words = f"{self.have / 1e6:.1f} / {self.total / 1e6:.1f} MB  {rate / 1e6:.1f} MB/s"
        if share < 1.0:
            words += f"  {left // 60:.0f} min {left % 60:.0f} s left" if left < 36_000 else "  stalled"
        if self.terminal:
            bar = ("#" * round(share * self.WIDTH)).ljust(self.WIDTH, "-")
            self.stream.write(f"\r  [{bar}] {share:4.0%}  {words}\x1b[K")
        else:
            self.stream.write(f"  {share:4.0%}  {words}\n")
        self.stream.flush()


class Index:
    """The package index that this machine's pip is set up for."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._session = None
        self._complaints: list = []

    def __enter__(self) -> "Index":
        handler = logging.Handler(logging.DEBUG)
        handler.emit = lambda record: self._hear(record.getMessage())
        logger = logging.getLogger("pip")
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        self._stack.callback(logger.removeHandler, handler)
        return self

    def __exit__(self, *_unused) -> None:
        self._stack.close()

    def _hear(self, message: str) -> None:
        if "Could not fetch URL" in message or "but the directory does not exist" in message:
            reason = message.split(": ", 1)[-1].replace(" - skipping", "")
            core = re.search(r"\[Errno[^\]]*\] ([^'\")]+)", reason)  # what the system said, out of four wrappings
            self._complaints.append(core.group(1) if core else reason)

    def find(self, wheel: Wheel) -> Link:
        """Asks the index for `wheel`. `ImportError`, `AttributeError` or `TypeError`: this pip's inside is unlike."""
        from pip._internal.cli.cmdoptions import make_target_python
        from pip._internal.commands import create_command
        from pip._vendor.packaging.specifiers import SpecifierSet

        arguments = wheel.pip_arguments() + ["--dest", os.curdir, wheel.name]
        if "PIP_RETRIES" not in os.environ:
            arguments += ["--retries", "2"]
        command = create_command("download")
        self._stack.enter_context(command.main_context())
        options, _ = command.parse_args(arguments)
        if self._session is None:
            self._session = command.get_default_session(options)
        finder = command._build_package_finder(
            options=options, session=self._session, target_python=make_target_python(options)
        )
        specifier = SpecifierSet("==" + wheel.version)
        self._complaints.clear()
        best = finder.find_best_candidate(wheel.name, specifier).best_candidate
        if best is None:
            what = f"{wheel.name} {wheel.version} for {wheel.tags['platform']}"
            reason = self._complaints[-1] if self._complaints else "the index does not have it"
            raise FetchError(f"cannot find {what} in the package index that pip is set up for: {reason}")
        link = best.link
        return Link(link.filename, link.url_without_fragment, Path(link.file_path) if link.is_file else None)

    def get(self, url: str, span: Optional[str]):
        """One streamed request; `span` is the value of a Range header."""
        headers = {"Accept-Encoding": "identity", "Cache-Control": "no-store"}
        if span:
            headers["Range"] = "bytes=" + span
        return self._session.get(url, headers=headers, stream=True)


class _NoRanges(Exception):
    """The server answered a range request with the whole file."""


class Archive:
    """A wheel that grows here: the parts that were asked for, each a file named by the bytes that it will hold."""

    def __init__(self, index: Index, wheel: Wheel, folder: Path):
        self.index, self.wheel = index, wheel
        self.folder = folder / f"{wheel.name}-{wheel.version}"  # becomes the wheel's full name once that is known
        self.whole: Optional[Path] = None  # set when the wheel lies on this machine as one file
        self.parts: list = []  # (start, end), sorted
        self.size = 0
        self.link: Optional[Link] = None

    def plan(self) -> None:
        """Finds the wheel, reads its list of members, and notes which bytes are needed."""
        try:
            self.link = self.index.find(self.wheel)
        except (ImportError, AttributeError, TypeError) as error:
            self._pip_download(error)
            return
        if self.link.file is not None:
            self.whole = self.link.file
            return
        self.folder = self.folder.with_name(self.link.filename + ".parts")
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        finished = self.folder / self.link.filename
        if finished.exists():
            self.whole = finished
            return
        try:
            self._plan_ranges()
        except _NoRanges:
            self.parts = []
            self.size = 0

    def _plan_ranges(self) -> None:
        response = self._request("0-0")
        with contextlib.closing(response):
            self.size = int(response.headers["Content-Range"].rpartition("/")[2])
        tail = max(0, self.size - TAIL)
        self.parts = [(tail, self.size)]
        self._bring_part(tail, self.size, None)
        end_record = self._part(tail, self.size).read_bytes()
        found = end_record.rfind(b"PK\x05\x06")
        if found < 0:
            self._corrupt("it does not end as a zip file does")
        directory = int.from_bytes(end_record[found + 16 : found + 20], "little")
        if directory < tail:
            self.parts = [(directory, self.size)]
            self._bring_part(directory, self.size, None)
        with self.open() as archive:
            members = sorted(archive.infolist(), key=lambda member: member.header_offset)
        ends = [member.header_offset for member in members[1:]] + [directory]
        spans: list = []
        for member, end in zip(members, ends):
            if not self.wheel.wanted(member.filename):
                continue
            if spans and member.header_offset - spans[-1][1] <= GAP:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((member.header_offset, end))
        self.parts = spans + self.parts

    def total(self) -> int:
        """Bytes to bring in all, those that are here included; 0 when that is not known."""
        return 0 if self.whole else sum(end - start for start, end in self.parts)

    def have(self) -> int:
        """Bytes of them that are here."""
        return 0 if self.whole else sum(_length(self._part(*part)) for part in self.parts)

    def bring(self, progress: Progress) -> None:
        """Brings what `plan` noted."""
        if self.whole:
            return
        if not self.parts:
            self._bring_whole(progress)
            return
        for start, end in self.parts:
            self._bring_part(start, end, progress)

    def open(self) -> zipfile.ZipFile:
        """The wheel as a zip; only the members asked for can be read."""
        try:
            return zipfile.ZipFile(self.whole or io.BufferedReader(_Parts(self.size, self._files()), CHUNK))
        except zipfile.BadZipFile as error:
            self._corrupt(str(error))

    def forget(self) -> None:
        """Removes what was brought (never a file that was here before)."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _corrupt(self, reason: str) -> None:
        self.forget()
        raise CorruptError(f"the download of {self.wheel.name} {self.wheel.version} is damaged ({reason})")

    def _part(self, start: int, end: int) -> Path:
        return self.folder / f"{start}-{end}"

    def _files(self) -> list:
        return [(start, end, self._part(start, end)) for start, end in self.parts]

    def _request(self, span: Optional[str]):
        """A response with status 206 (200 without a span); tries again while the server or the line is at fault."""
        reason = ""
        for attempt in range(PATIENCE):
            time.sleep(min(0.5 * attempt * attempt, 8.0))
            try:
                response = self.index.get(self.link.url, span)
            except OSError as error:  # requests' errors are OSErrors too
                reason = str(error)
                continue
            if response.status_code == (206 if span else 200):
                return response
            response.close()
            if span and response.status_code == 200:
                raise _NoRanges
            reason = f"the server answered {response.status_code}"
            if response.status_code < 500 and response.status_code != 429:
                break
        raise FetchError(f"cannot download {self.link.filename}: {reason}")

    def _append(self, path: Path, span: Optional[str], limit: Optional[int], progress: Optional[Progress]) -> str:
        """One request, appended to `path` up to `limit` bytes; returns why it ended early, or nothing."""
        response = self._request(span)
        with disk_errors(path), contextlib.closing(response), open(path, "ab") as file:
            chunks = response.iter_content(CHUNK)
            while True:
                try:
                    chunk = next(chunks, b"")
                except OSError as error:
                    return str(error)
                if limit is not None:
                    chunk = chunk[:limit]
                    limit -= len(chunk)
                if not chunk:
                    return ""
                file.write(chunk)
                file.flush()
                if progress:
                    progress.add(len(chunk))

    def _bring_part(self, start: int, end: int, progress: Optional[Progress]) -> None:
        """Appends until the part is whole; a cut connection goes on where it stopped."""
        path = self._part(start, end)
        if _length(path) > end - start:
            path.unlink()
        failures, reason = 0, "the connection was closed"
        while True:
            before = _length(path)
            if before == end - start:
                return
            if failures == PATIENCE:
                raise FetchError(f"the download of {self.link.filename} keeps stopping: {reason}")
            reason = self._append(path, f"{start + before}-{end - 1}", end - start - before, progress) or reason
            failures = 0 if _length(path) > before else failures + 1
            time.sleep(min(0.5 * failures * failures, 8.0))

    def _bring_whole(self, progress: Progress) -> None:
        """Without ranges nothing can be resumed: each attempt starts from the first byte."""
        path = self.folder / "whole.partial"
        reason = ""
        for _attempt in range(3):
            progress.add(-_length(path))
            path.unlink() if path.exists() else None
            response = self._request(None)
            expected = int(response.headers.get("Content-Length") or 0)
            response.close()
            progress.total += max(0, expected - self.size)
            self.size = max(expected, self.size)
            reason = self._append(path, None, None, progress)
            if not reason and _length(path) >= expected and zipfile.is_zipfile(path):
                self.whole = self.folder / self.link.filename
                path.rename(self.whole)
                return
        raise FetchError(f"the download of {self.link.filename} keeps stopping: {reason or 'the connection was closed'}")

    def _pip_download(self, cause: Exception) -> None:
        """The way of last resort, for a pip whose inside has changed: the command, whose words are stable."""
        print(f"  this pip is unlike the known ones ({cause}): bringing the whole wheel with it", file=sys.stderr)
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--dest", str(self.folder)] + self.wheel.pip_arguments()
        if subprocess.run(command + [f"{self.wheel.name}=={self.wheel.version}"], stdout=2).returncode:
            raise FetchError(f"pip could not download {self.wheel.name} {self.wheel.version} (its words are above)")
        self.whole = next(self.folder.glob("*.whl"))


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


class _Parts(io.RawIOBase):
    """Read-only view of a large file of which only some parts are here."""

    def __init__(self, size: int, files: list):
        self.size, self.files, self.position = size, files, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.size}[whence]
        return self.position

    def readinto(self, buffer) -> int:
        for start, end, path in self.files:
            if start <= self.position < end:
                with open(path, "rb") as file:
                    file.seek(self.position - start)
                    count = file.readinto(memoryview(buffer)[: end - self.position])
                self.position += count
                return count
        return 0
