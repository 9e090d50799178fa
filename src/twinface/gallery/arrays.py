"""Arrays in files of strangers: sizes are looked at first, and nothing is unpickled."""

from __future__ import annotations

import errno
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError, MemoryError)
"""What `zipfile` and the checks here raise over damaged files; RuntimeError includes RecursionError."""

_DIRECTORY = 1 << 16
"""Bytes of the longest list of contents: `zipfile` reads all of it at once."""

_HEADER = re.compile(
    rb"\{'descr': '([<>|=]?[fiuSU][1-9][0-9]{0,8})', 'fortran_order': (True|False), 'shape': \(([0-9, ]*)\), \} *\n"
)


def read_arrays(path: Path, most: int, limits: Mapping[str, int], *, packed: bool) -> dict[str, NDArray[Any]]:
    """Arrays of an `.npz` file that need not be what it says: sizes are looked at first, nothing is unpickled.

    Args:
        path: the file.
        most: bytes it may have.
        limits: the arrays wanted, and the bytes that each may have; those not there are left out, others passed over.
        packed: whether they may be compressed.

    Raises:
        OSError, and what else is in DAMAGE: it cannot be read, is too large or damaged, or an array is of objects.
    """
    if path.exists() and not path.is_file():  # a pipe may never end
        raise OSError(errno.EINVAL, "no regular file")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise ValueError(f"has {size:,} bytes, more than {most:,}")
        _check_end(file, size)
        with zipfile.ZipFile(file) as archive:
            listed = archive.infolist()
            if len({info.filename for info in listed}) < len(listed) or sum(one.compress_size for one in listed) > size:
                raise ValueError("is damaged: arrays overlap")
            wanted = {name: info for info in listed for name in limits if info.filename == f"{name}.npy"}
            for name, info in wanted.items():
                if info.file_size > limits[name]:
                    raise ValueError(f"{name} has {info.file_size:,} bytes, more than {limits[name]:,}")
                if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED if packed else 0):
                    raise ValueError(f"{name} is compressed in a way that is not read")
            return {name: parse_array(_member(archive, info)) for name, info in wanted.items()}


def _check_end(file: BinaryIO, size: int) -> None:
    """Refuses an archive whose list of contents is longer than any `.npz` needs."""
    file.seek(max(0, size - 42))
    tail = file.read(42)
    end = tail[-22:]
    if len(end) < 22 or not end.startswith(b"PK\5\6") or not end.endswith(b"\0\0"):
        raise ValueError("is no .npz file, or damaged")
    if int.from_bytes(end[12:16], "little") > _DIRECTORY or tail.startswith(b"PK\6\7"):  # the latter of 4 GB and more
        raise ValueError("is no .npz file: its list of contents is too long")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The content of a file in the archive, which must be as long as it says."""
    says = info.file_size
    info.file_size += 1  # else `zipfile` would stop where it is said to end and keep still about the rest
    with archive.open(info) as file:
        content = file.read(says + 1)
    if len(content) != says:
        raise ValueError(f"{info.filename} is not as long as it says")
    return content


def parse_array(content: bytes) -> NDArray[Any]:
    """An `.npy` file of numbers or text; the array is read-only, and views the content.

    Raises:
        ValueError: it is damaged, or of objects, which are pickled.
    """
    start = 10 + int.from_bytes(content[8:10], "little")
    if content[:8] != b"\x93NUMPY\1\0" or start > len(content):
        raise ValueError("an array is damaged")
    if b"'|O'" in content[10:start]:
        raise ValueError(
            "an array is of Python objects, which are pickled, and nothing is unpickled here; save it as text"
        )
    header = _HEADER.fullmatch(content[10:start])
    if header is None:
        raise ValueError("an array is of another kind than numbers and text")
    shape = tuple(int(length) for length in header[3].replace(b" ", b"").split(b",") if length)
    try:
        kind = np.dtype(header[1].decode())
    except TypeError as error:
        raise ValueError("an array is of an unknown kind") from error
    if math.prod(shape) * kind.itemsize != len(content) - start:
        raise ValueError("an array is not as long as it says")
    if kind.kind == "U" and (np.frombuffer(content, kind.byteorder + "u4", offset=start) > 0x10FFFF).any():
        raise ValueError("an array holds letters that are none")  # over which Python itself stumbles
    return np.ndarray(shape, kind, content, start, order="F" if header[2] == b"True" else "C")
