"""A large file as it comes over the network: raw, or as a part of a form, straight to the disk."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

from twinface.app.server.form_part import FormPart
from twinface.app.server.problems import Problem
from twinface.core.files import reason
from twinface.errors import OutputError

if TYPE_CHECKING:
    from starlette.requests import Request

    from twinface.app.server.work import Work

BLOCK = 2**20
"""Bytes that are written at once."""

AROUND = 16_384
"""Bytes that a form may have around its file."""


@dataclass(frozen=True)
class Received:
    """A file that came.

    Attributes:
        name: as the client called it; "" where it did not.
        size: bytes.
        sha256: of them, hexadecimal.
    """

    name: str
    size: int
    sha256: str


class _Sink:
    """A file that grows up to a limit, in blocks.

    Args:
        path: of the file; it must not be there.
        most: bytes.
        work: threads that write.
    """

    def __init__(self, path: Path, most: int, work: Work) -> None:
        self.size = 0
        self._most, self._work = most, work
        self._digest = hashlib.sha256()
        self._waiting = bytearray()
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise OutputError(f"an upload cannot be written ({reason(error)}); make room") from error

    async def add(self, content: bytes) -> None:
        """Takes more.

        Raises:
            Problem: 413, it is too much.
            OutputError: it cannot be written.
        """
        self.size += len(content)
        if self.size > self._most:
            raise too_large(self._most)
        self._waiting += content
        if len(self._waiting) >= BLOCK:
            await self._flush()

    async def end(self) -> str:
        """Writes the rest; the digest of all."""
        await self._flush()
        return self._digest.hexdigest()

    def close(self) -> None:
        """Lets go of the file."""
        os.close(self._file)

    async def _flush(self) -> None:
        block, self._waiting = bytes(self._waiting), bytearray()
        await self._work.aside(self._write, block)

    def _write(self, block: bytes) -> None:
        self._digest.update(block)
        try:
            while block:
                block = block[os.write(self._file, block) :]
        except OSError as error:
            raise OutputError(f"an upload cannot be written ({reason(error)}); make room") from error


async def receive(request: Request, field: str, path: Path, most: int, work: Work) -> Received:
    """Writes what comes into a file: the body as it is, or of a form (multipart/form-data) the part of that name.

    Args:
        request: its body was not read yet.
        field: name of the form's part; it is the only one.
        path: of the file; it must not be there.
        most: bytes that are taken.
        work: threads that write.

    Raises:
        Problem: 400 it broke off; 413 too much; 422 nothing, or a form that has not this part alone.
        OutputError: the disk is full, or the like.
    """
    content_type = request.headers.get("content-type", "")
    form = FormPart(content_type, field) if content_type.lower().startswith("multipart/form-data") else None
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most + AROUND:
        raise too_large(most)
    sink = _Sink(path, most, work)
    try:
        async for chunk in request.stream():
            await sink.add(chunk if form is None else form.feed(chunk))
        if form is not None:
            form.end()
        if not sink.size:
            raise Problem(422, f"nothing came; send the file as the body, or as the part {field} of a form")
        return Received("" if form is None else form.name, sink.size, await sink.end())
    except ClientDisconnect:
        raise Problem(400, "the upload broke off; send it again", "broke-off") from None
    finally:
        sink.close()


def too_large(most: int) -> Problem:
    """The refusal of a file that is too large."""
    return Problem(413, f"the file is larger than {most / 2**20:,.0f} MB; send a smaller one")
