"""The data sets that can be fetched: their files, digests and terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twinface.datasets.lfw import LISTS
from twinface.errors import DatasetMissing


@dataclass(frozen=True)
class RemoteFile:
    """A file and where it is served.

    Attributes:
        name: what it is called on this disk, and on a mirror.
        url: its address.
        sha256: its digest, 64 hexadecimal digits.
        size: bytes, about; of an archive whose exact size is not published, rounded.
    """

    name: str
    url: str
    sha256: str
    size: int

    @property
    def most(self) -> int:
        """Bytes beyond which a download is not this file."""
        return 2 * self.size


@dataclass(frozen=True)
class RemoteSet:
    """A data set that can be fetched.

    Attributes:
        name: what the command calls it.
        title: what it is.
        terms: licence or terms of use, in short.
        source: the page of its authors.
        archive: the pictures.
        folder: what the archive is unpacked as.
        lists: small files beside it.
    """

    name: str
    title: str
    terms: str
    source: str
    archive: RemoteFile
    folder: str
    lists: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files together, about."""
        return sum(file.size for file in (self.archive, *self.lists))


FIGSHARE = "https://ndownloader.figshare.com/files/"
LFW_PAGE = "http://vis-www.cs.umass.edu/lfw/"
LFW_TERMS = "for research; press photographs, rights remain with their owners"

_LISTS = (
    RemoteFile(LISTS["view2"][0], f"{FIGSHARE}5976006", LISTS["view2"][1], 155_335),
    RemoteFile(LISTS["train"][0], f"{FIGSHARE}5976012", LISTS["train"][1], 56_579),
    RemoteFile(LISTS["test"][0], f"{FIGSHARE}5976009", LISTS["test"][1], 26_002),
)

_SETS = (
    RemoteSet(
        "lfw",
        "Labeled Faces in the Wild, as photographed: 13,233 pictures of 5,749 people",
        LFW_TERMS,
        LFW_PAGE,
        RemoteFile(
            "lfw.tgz",
            f"{FIGSHARE}5976018",
            "055f7d9c632d7370e6fb4afc7468d40f970c34a80d4c6f50ffec63f5a8d536c0",
            180_000_000,
        ),
        "lfw",
        _LISTS,
    ),
    RemoteSet(
        "lfw-funneled",
        "the same, aligned by funneling",
        LFW_TERMS,
        LFW_PAGE,
        RemoteFile(
            "lfw-funneled.tgz",
            f"{FIGSHARE}5976015",
            "b47c8422c8cded889dc5a13418c4bc2abbda121092b3533a83306f90d900100a",
            245_000_000,
        ),
        "lfw_funneled",
        _LISTS,
    ),
)

_ELSEWHERE = {
    "lfw-deepfunneled": "no copy of deep-funneled LFW is served with a published digest; put a copy of your own in a "
    "folder with LFW's pair lists (twinface data fetch lfw brings those), or fetch lfw or lfw-funneled",
    "utkface": "UTKFace is given for research by its authors, whom you must ask: https://susanqq.github.io/UTKFace/; "
    "then give its folder with --root",
    "celeba": "CelebA is given for research by its authors, to whose terms you must agree: "
    "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html; then give its folder with --root",
}


def catalogue() -> tuple[RemoteSet, ...]:
    """All data sets that can be fetched."""
    return _SETS


def find(name: str, sets: Sequence[RemoteSet]) -> RemoteSet:
    """The data set of that name.

    Raises:
        DatasetMissing: there is none; of well-known ones the message says how to get them.
    """
    for one in sets:
        if one.name == name:
            return one
    plain = name.lower().replace("_", "-")
    for known, advice in _ELSEWHERE.items():
        if plain in (known, known.replace("deepfunneled", "deep-funneled")):
            raise DatasetMissing(f"{name}: {advice}")
    raise DatasetMissing(f"no data set named {name!r}; there are {', '.join(one.name for one in sets)}")
