"""Downloads that go on where they were interrupted, and are kept only when their SHA-256 is the expected one."""

from __future__ import annotations

import hashlib
import http.client
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO

from twinface.core.files import reason, shown
from twinface.datasets.parts import Part, writing
from twinface.datasets.transport import Broken, Clock, NotGiven, opened, refuse_unsafe
from twinface.errors import DatasetCorrupt, DatasetMissing

Progress = Callable[[int, int | None], None]
"""Told the bytes that are here and the bytes there will be, where the server says."""

PORTION = 2**18
"""Bytes read at once, at most."""

HEADWAY = 2**20
"""Bytes beyond all that was ever here that make an attempt count as a success although the connection broke."""


@dataclass(frozen=True)
class Effort:
    """How hard to try.

    Attributes:
        attempts: attempts in a row without headway before giving up.
        timeout: seconds without a byte before a connection counts as broken; so does one that is very slow for long.
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
    clock: Clock = time.monotonic,
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
        clock: what speed is measured with.

    Returns:
        Whether anything was downloaded.

    Raises:
        DatasetMissing: the server does not have it, cannot be reached or keeps breaking off; what has arrived is kept.
        DatasetCorrupt: the file has another digest or is too large; it is removed.
        OutputError: the target cannot be written, or another run is fetching it.
    """
    refuse_unsafe(url)
    if _is_here(target, sha256):
        return False
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    part = Part(target)
    with part.held():
        if _is_here(target, sha256):  # another run may have been quicker
            return False
        _complete(url, sha256, part, effort or Effort(), progress, sleep, clock)
        with writing(target):
            found = digest(part.path)
            if found == sha256:
                part.finish()
                return True
            part.discard()
    raise DatasetCorrupt(
        f"{shown(url)}: SHA-256 is {found}, expected {sha256}; the download was removed, try another mirror"
    )


def _is_here(target: Path, sha256: str) -> bool:
    with writing(target):
        if target.is_dir():
            raise IsADirectoryError("a folder is in its place")
        return target.is_file() and digest(target) == sha256


def _complete(
    url: str,
    sha256: str,
    part: Part,
    effort: Effort,
    progress: Progress | None,
    sleep: Callable[[float], None],
    clock: Clock,
) -> None:
    """As many requests as it takes and `effort` allows."""
    with writing(part.target):
        if part.size() and digest(part.path) == sha256:
            return
        furthest = part.size() if part.version(url) else 0
    failures = 0
    while True:
        try:
            _attempt(url, part, effort, progress, clock)
            return
        except NotGiven as refusal:
            raise DatasetMissing(
                f"{shown(url)}: HTTP status {refusal.status}; give another address of it, "
                f"or save it with a browser as {shown(part.target)} and run again"
            ) from refusal
        except Broken as trouble:
            failures += 1
            if part.size() - furthest >= HEADWAY:  # a server that keeps changing the file brings it nowhere
                failures, furthest = 1, part.size()
            if failures >= effort.attempts:
                raise DatasetMissing(
                    f"{shown(url)}: {trouble}, {failures} times in a row; run it again later, what has arrived is kept"
                ) from trouble
            sleep(effort.pause * 2 ** (failures - 1))


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _attempt(url: str, part: Part, effort: Effort, progress: Progress | None, clock: Clock) -> None:
    """One request; returns when the file is complete."""
    validator = part.version(url)
    held = part.size() if validator else 0
    asked = {"Range": f"bytes={held}-", "If-Range": validator} if validator else {}
    try:
        with opened(url, asked, effort.timeout, clock) as response:
            start, total = _placed(response)
            version = _validator(response.headers)
            if start != 0 and (start != held or version not in (None, validator)):
                part.discard()
                raise Broken("the server continued another version of the file")
            with writing(part.target):
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
            portion = response.read1(PORTION)  # what there is: `read` loses it when the connection breaks
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Broken(f"the connection broke ({reason(error)})") from error
        if not portion:
            break
        file.write(portion)
        here += len(portion)
    return here


_SIZE = "[0-9]{1,15}"
"""A number of bytes; longer ones Python may refuse to convert."""


def _placed(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Where the body begins in the file, and the file's size; None where the server does not say."""
    if response.status == 206:
        said = response.headers.get("Content-Range", "").strip()
        match = re.fullmatch(rf"bytes ({_SIZE})-{_SIZE}/({_SIZE}|\*)", said)
        if match is None:
            return -1, None
        return int(match[1]), None if match[2] == "*" else int(match[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if re.fullmatch(_SIZE, length) else None


def _validator(headers: Message) -> str | None:
    """What tells one version of the file from another; a weak ETag does not (RFC 9110, section 13.1.5)."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified")
