"""Archives made by hand, honest and hostile, and pictures' files without pictures in them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

Pack = Callable[..., Path]


def packed(path: Path, files: Mapping[str, bytes], odd: Iterable[tarfile.TarInfo] = ()) -> Path:
    """An archive of these files and then these members without content, names as they are given."""
    mode = "w" if path.suffix == ".tar" else "w:gz"
    with tarfile.open(path, mode, format=tarfile.GNU_FORMAT) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in odd:
            archive.addfile(info)
    return path


@pytest.fixture(scope="session")
def pack() -> Pack:
    return packed


@pytest.fixture(scope="session")
def lay() -> Callable[[Path, Mapping[str, bytes]], Path]:
    def laid(root: Path, files: Mapping[str, bytes]) -> Path:
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        return root

    return laid


@pytest.fixture(scope="session")
def odd_member() -> Callable[..., tarfile.TarInfo]:
    def member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        return info

    return member
