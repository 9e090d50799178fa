"""Labeled Faces in the Wild (Huang et al., UMass Amherst TR 07-49, 2007): people, pictures and pair lists."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from twinface.core.files import reason, shown
from twinface.datasets.archives import is_archive
from twinface.datasets.files import Files, FolderFiles, open_files, refuse_missing
from twinface.datasets.pairs import LfwPair, read_pairs
from twinface.datasets.photos import Photo, PhotoSet
from twinface.errors import DatasetMissing

View = Literal["view2", "train", "test"]
"""View 2, and the two halves of View 1."""

LISTS: Mapping[View, tuple[str, str]] = {
    "view2": ("pairs.txt", "ea42330c62c92989f9d7c03237ed5d591365e89b3e649747777b70e692dc1592"),
    "train": ("pairsDevTrain.txt", "1d454dada7dfeca0e7eab6f65dc4e97a6312d44cf142207be28d688be92aabfa"),
    "test": ("pairsDevTest.txt", "7cb06600ea8b2814ac26e946201cdb304296262aad67d046a16a7ec85d0ff87c"),
}
"""Pair lists: file name and SHA-256 of the official one."""

FOLDERS = {"lfw-deepfunneled": "deep-funneled", "lfw_funneled": "funneled", "lfw": "original"}
"""Folders of people as LFW's archives unpack them, and the alignment of their pictures; the better alignment first."""

ARCHIVES = ("lfw-deepfunneled", "lfw-funneled", "lfw")
"""Stems of LFW's archives, in the same order."""

UNKNOWN = "unknown variant"

_PICTURE = re.compile(r"(?:(?P<above>.+)/)?(?P<person>[^/]+)/(?P=person)_[0-9]{4}\.jpg")


def pictures(root: Path) -> dict[str, list[Path]]:
    """People and their pictures, both sorted, below `root` (the folder of one folder a person).

    Raises:
        DatasetMissing: `root` is no folder or holds no such pictures.
    """
    if not root.is_dir():
        raise DatasetMissing(f"{root}: no such folder; unpack LFW there or give its folder with --root")
    people = {
        folder.name: sorted(folder.glob(f"{folder.name}_[0-9][0-9][0-9][0-9].jpg"))
        for folder in sorted(root.iterdir())
        if folder.is_dir()
    }
    people = {name: paths for name, paths in people.items() if paths}
    if not people:
        raise DatasetMissing(f"{root}: holds no <Name>/<Name>_0001.jpg; is it LFW's folder of people?")
    return people


@dataclass(frozen=True)
class Lfw:
    """LFW as it lies on this disk.

    Attributes:
        files: where the pictures are.
        variant: "deep-funneled", "funneled", "original" or "unknown variant", by the name of the folder of people.
        above: what stands before a person's name in `files`, "" or ending with a stroke.
        lists: folders to look for pair lists in, first choice first.
    """

    files: Files
    variant: str
    above: str
    lists: tuple[Path, ...]

    @property
    def name(self) -> str:
        """The data set with its variant, as a report names it."""
        return f"LFW ({self.variant})"

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of figures must know: pair lists that are not the official ones.

        Raises:
            DatasetMissing: a list cannot be read.
        """
        found = []
        for view, (name, digest) in LISTS.items():
            path = self._list(view)
            if path is not None and hashlib.sha256(_read(path)).hexdigest() != digest:
                found.append(f"{shown(path)} is not the official {name}: figures do not compare with published ones")
        return tuple(found)

    def path(self, name: str, number: int) -> str:
        """A picture's name in `files`; numbers count from 1."""
        return f"{self.above}{name}/{name}_{number:04d}.jpg"

    def people(self) -> dict[str, list[str]]:
        """People and their pictures' names in `files`, both sorted.

        Raises:
            DataError: the pictures cannot be read.
        """
        found: dict[str, list[str]] = {}
        for picture in self.files.names():
            match = _PICTURE.fullmatch(picture)
            if match and (f"{match['above']}/" if match["above"] else "") == self.above:
                found.setdefault(match["person"], []).append(picture)
        return {person: found[person] for person in sorted(found)}

    def photos(self) -> PhotoSet:
        """All pictures with their people.

        Raises:
            DataError: the pictures cannot be read.
        """
        photos = [Photo(path, name) for name, paths in self.people().items() for path in paths]
        return PhotoSet(self.name, self.files, tuple(photos))

    def pairs(self, view: View) -> list[LfwPair]:
        """The pairs of a view, all of whose pictures are there.

        Raises:
            DatasetMissing: the list or pictures it names are missing.
            DatasetCorrupt: the list is malformed.
        """
        path = self._list(view)
        if path is None:
            looked = " or ".join(shown(folder) for folder in self.lists)
            raise DatasetMissing(
                f"{LISTS[view][0]}: no such pair list in {looked}; put it there (twinface data fetch lfw has it)"
            )
        pairs = read_pairs(path)
        named = {self.path(*picture) for pair in pairs for picture in (pair.first, pair.second)}
        refuse_missing(self.files.name, sorted(named.difference(self.files.names())), path.name)
        return pairs

    def _list(self, view: View) -> Path | None:
        return next((folder / LISTS[view][0] for folder in self.lists if (folder / LISTS[view][0]).is_file()), None)


def open_lfw(root: Path) -> Lfw:
    """Finds LFW in a folder of people, in an archive, or in a folder with either, however deep-funneled.

    The best aligned variant is taken, and of that rather the unpacked folder than the archive. Pair lists may lie among
    the people, beside them or in `root`.

    Raises:
        DatasetMissing: there is no LFW.
        DatasetCorrupt: the archive is damaged.
    """
    try:
        for place in _candidates(root):
            found = _look(place, root)
            if found is not None:
                return found
    except (OSError, ValueError) as error:
        raise DatasetMissing(f"{shown(root)}: cannot be read ({reason(error)}); give another place") from error
    if not root.exists():
        raise DatasetMissing(f"{shown(root)}: no such folder or archive; get LFW with: twinface data fetch lfw")
    raise DatasetMissing(
        f"{shown(root)}: holds no LFW, neither <Name>/<Name>_0001.jpg nor {ARCHIVES[0]}.tgz; give its folder or archive"
    )


def _candidates(root: Path) -> Iterator[Path]:
    """Where LFW may be, first choice first: `root`, what it holds, what the folders in it hold."""
    yield root
    if root.is_dir():
        yield from _inside(root)
        for folder in sorted(root.iterdir()):
            if folder.is_dir() and not folder.name.startswith("."):
                yield from _inside(folder)


def _inside(folder: Path) -> Iterator[Path]:
    for stem, name in zip(ARCHIVES, FOLDERS, strict=True):
        yield folder / name
        yield from (folder / f"{stem}{ending}" for ending in (".tgz", ".tar.gz", ".tar"))


def _look(place: Path, root: Path) -> Lfw | None:
    """LFW, if this is its folder of people or an archive of one."""
    if place.is_dir():
        if not _holds_people(place):
            return None
        files: Files = FolderFiles(place)
        folder, above = place.resolve().name, ""
    elif place.is_file() and (place == root or is_archive(place)):
        files = open_files(place)
        tops = {match["above"] or "" for match in map(_PICTURE.fullmatch, files.names()) if match}
        if not tops:
            raise DatasetMissing(f"{shown(place)}: holds no <Name>/<Name>_0001.jpg; give LFW's archive or folder")
        folder = next((name for name in FOLDERS if name in tops), min(tops))
        above = f"{folder}/" if folder else ""
    else:
        return None
    lists = [folder for folder in (place, place.parent, root) if folder.is_dir()]
    return Lfw(files, FOLDERS.get(folder, UNKNOWN), above, tuple(dict.fromkeys(lists)))


def _holds_people(folder: Path) -> bool:
    people = (person for person in folder.iterdir() if person.is_dir())
    return any(_PICTURE.fullmatch(f"{person.name}/{file.name}") for person in people for file in person.iterdir())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetMissing(f"{shown(path)}: cannot be read ({reason(error)}); look at its rights") from error
