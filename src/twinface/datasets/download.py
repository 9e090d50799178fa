"""Downloads that go on where they were interrupted, and are kept only when their SHA-256 is the expected one."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO

from twinface.core.files import reason, shown, write_atomically
from twinface.datasets.transport import Broken, NotGiven, opened, refuse_unsafe
from twinface.errors import DatasetCorrupt, DatasetMissing, OutputError

Progress = Callable[[int, int | None], None]
"""Told the bytes that are here and the bytes there will be, where the server says."""

PORTION = 2**18
"""Bytes read at once."""

HEADWAY = 2**20
"""Bytes that make an attempt count as a success although the connection broke."""


@dataclass(frozen=True)
class Effort:
    """How hard to try.

    Attributes:
        attempts: attempts in a row without headway before giving up.
        timeout: seconds without a byte before a connection counts as broken.
        pause: seconds before the second attempt; doubled before each one after.
        most: bytes beyond which a file is refused.
    """

    attempts: int = 5
    timeout: float = 30.0
    pause: float = 0.5
    most: int = 2**30


def fetch(
    url: str,
    sha256: str,
    target: Path,
    *,
    effort: Effort | None = None,
    progress: Progress | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Downloads a file unless it is there already, whole and as expected.

    What has arrived waits in `<target>.part`, with the validator of its version beside it, so that the next attempt, or
    the next run, asks only for the rest (RFC 9110, sections 13.1.5 and 14: If-Range and Range).

    Args:
        url: https, or http on this very machine; redirects are followed to https only.
        sha256: the file's digest.
        target: where to; its folder is made. An older file stays until the new one is whole.
        effort: how hard to try.
        progress: told how far it is.
        sleep: waits between attempts.

    Returns:
        Whether anything was downloaded.

    Raises:
        DatasetMissing: the server does not have it, cannot be reached or keeps breaking off; what has arrived is kept.
        DatasetCorrupt: the file has another digest or is too large; it is removed.
        OutputError: the target cannot be written.
    """
    effort = effort or Effort()
    refuse_unsafe(url)
    part = _Part(target)
    with _disk(target):
        if target.is_dir():
            raise IsADirectoryError("a folder is in its place")
        if target.is_file() and digest(target) == sha256:
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        complete = part.size() > 0 and digest(part.path) == sha256
    failures = 0
    while not complete:
        before = part.size()
        try:
            _attempt(url, part, effort, progress)
            complete = True
        except NotGiven as refusal:
            raise DatasetMissing(
                f"{shown(url)}: HTTP status {refusal.status}; give another address of it, "
                f"or save it with a browser as {shown(target)} and run again"
            ) from refusal
        except Broken as trouble:
            failures = 1 if part.size() - before >= HEADWAY else failures + 1
            if failures >= effort.attempts:
                raise DatasetMissing(
                    f"{shown(url)}: {trouble}, {failures} times in a row; run it again later, what has arrived is kept"
                ) from trouble
            sleep(effort.pause * 2 ** (failures - 1))
    with _disk(target):
        found = digest(part.path)
        if found == sha256:
            part.finish()
            return True
        part.discard()
    raise DatasetCorrupt(
        f"{shown(url)}: SHA-256 is {found}, expected {sha256}; the download was removed, try another mirror"
    )


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Part:
    """What has arrived of a file, and the version of the file it is a part of."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(target.name + ".part")
        self._version = target.with_name(target.name + ".part.json")

    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def version(self, url: str) -> str | None:
        """The validator to resume with; None where there is nothing to resume."""
        try:
            noted = json.loads(self._version.read_bytes())
            validator = noted["validator"] if noted["url"] == url and self.size() else None
        except (OSError, ValueError, LookupError, TypeError):
            return None
        return validator if isinstance(validator, str) else None

    def begin(self, url: str, validator: str | None) -> None:
        self.discard()
        note = json.dumps({"url": url, "validator": validator}).encode()
        write_atomically(self._version, lambda file: file.write(note))

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._version.unlink(missing_ok=True)

    def finish(self) -> None:
        self.path.replace(self.target)
        self._version.unlink(missing_ok=True)


def _attempt(url: str, part: _Part, effort: Effort, progress: Progress | None) -> None:
    """One request; returns when the file is complete."""
    validator = part.version(url)
    held = part.size() if validator else 0
    asked = {"Range": f"bytes={held}-", "If-Range": validator} if validator else {}
    try:
        with opened(url, asked, effort.timeout) as response:
            start, total = _placed(response)
            version = _validator(response.headers)
            if start != 0 and (start != held or version not in (None, validator)):
                part.discard()
                raise Broken("the server continued another version of the file")
            with _disk(part.target):
                if start == 0:
                    part.begin(url, version)
                with part.path.open("ab") as file:
                    here = _copy(response, file, (start, total), effort.most, progress)
        if max(here, total or 0) > effort.most:
            part.discard()
            raise DatasetCorrupt(f"{shown(url)}: more than the {effort.most:,} bytes expected at most; try a mirror")
        if total is not None and here < total:
            raise Broken(f"the connection broke after {here:,} of {total:,} bytes")
    except NotGiven as refusal:
        if refusal.status == 416:  # what is held is no part of what the server has now
            part.discard()
            raise Broken("the server has another version of the file") from refusal
        raise


def _copy(
    response: http.client.HTTPResponse,
    file: IO[bytes],
    extent: tuple[int, int | None],
    most: int,
    progress: Progress | None,
) -> int:
    """Appends the body, as long as it is no more than `most`; returns how far in the file it came."""
    here, total = extent
    while max(here, total or 0) <= most:
        if progress is not None:
            progress(here, total)
        try:
            portion = response.read(PORTION)
        except (OSError, http.client.HTTPException) as error:
            raise Broken(f"the connection broke ({reason(error)})") from error
        if not portion:
            break
        file.write(portion)
        here += len(portion)
    return here


def _placed(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Where the body begins in the file, and the file's size; None where the server does not say."""
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
        if match is None:
            return -1, None
        return int(match[1]), None if match[2] == "*" else int(match[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _validator(headers: Message) -> str | None:
    """What tells one version of the file from another; a weak ETag does not (RFC 9110, section 13.1.5)."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified")


@contextmanager
def _disk(target: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise OutputError(f"{shown(target)}: cannot be written ({reason(error)}); choose another place") from error
