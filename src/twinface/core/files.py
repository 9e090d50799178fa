"""Files people name: how a name and a failure read in a one-line message, and files written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from twinface.errors import OutputError


def shown(name: str | os.PathLike[str]) -> str:
    """A name fit for a one-line message: long ones are cut in the middle, line breaks and the like are escaped."""
    text = os.fspath(name)
    short = text if len(text) <= 200 else f"{text[:100]}...{text[-90:]}"
    return short if short.isprintable() else ascii(short)


def reason(error: Exception) -> str:
    """What an error says, fit for a one-line message; of an operating system's error without its number and name."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return shown(" ".join(text.split()))


def read_regular(path: Path) -> bytes:
    """The content of a regular file; pipes and devices, which may never end, are not opened.

    Raises:
        OSError: it is missing, unreadable or no regular file.
        ValueError: a zero byte in the path.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "no regular file")
    return path.read_bytes()


def write_atomically(path: Path, write: Callable[[BinaryIO], object], *, private: bool = False) -> None:
    """Writes a file whole or not at all: whatever was there stays until everything is written.

    Who may read a file that is replaced may read the new one, and nobody else.

    Args:
        path: where to; a link is followed.
        write: writes the content to the file it is given, a temporary one in the same folder; its result is ignored.
        private: whether its owner alone may read it, from the first moment on, whoever could read the old one.

    Raises:
        OutputError: missing or unwritable folder, a folder in the file's place, disk full. What else `write` raises
            passes through; either way nothing is left behind.
    """
    try:
        target = Path(os.path.realpath(path))
        if not target.parent.is_dir():
            raise OutputError(
                f"{shown(path)}: there is no folder {shown(path.parent)}; make it first or choose another"
            )
        part = target.parent / f".twinface-{uuid.uuid4().hex}.part"
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666))
        file = part.open("wb")
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise _unwritable(path, error) from error
    try:
        with file:
            if not private:
                _take_over_mode(target, part)
            write(file)
        part.replace(target)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        part.unlink(missing_ok=True)


def _take_over_mode(target: Path, part: Path) -> None:
    """Gives the new file the permissions of the one it replaces, before there is anything to read in it."""
    if target.is_file():
        mode = stat.S_IMODE(target.stat().st_mode) & 0o777
        if mode != stat.S_IMODE(part.stat().st_mode):
            part.chmod(mode)


def _unwritable(path: Path, error: Exception) -> OutputError:
    return OutputError(f"{shown(path)}: cannot be written ({reason(error)}); choose another place")
