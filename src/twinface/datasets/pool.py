"""UTKFace (Zhang, Song and Qi, CVPR 2017), whose names tell groups, and CelebA (Liu et al., ICCV 2015).

UTKFace's files are named <age>_<gender>_<race>_<stamp> and show, as a rule, another person each. CelebA's photos lie in
a folder for each identity.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from twinface.core.files import reason, shown
from twinface.datasets.archives import ENDINGS, is_archive
from twinface.datasets.files import open_files
from twinface.datasets.photos import Photo, PhotoSet, is_picture, open_table
from twinface.errors import DatasetMissing

RACES = ("White", "Black", "Asian", "Indian", "Other")
"""UTKFace's groups, in the order of its numbers."""

GENDERS = ("male", "female")
"""UTKFace's genders, in the order of its numbers."""

FOLDER = "faces-pool"
"""The folder, or the archive's stem, in which both collections lie together."""

_UTKFACE = re.compile(r"([0-9]{1,3})_([01])_([0-4])_[^_/]+")
_CELEBA_PATH = re.compile(r"(?:.*/)?celeba/([^/]+)/[^/]+", re.IGNORECASE)
_UTKFACE_PATH = re.compile(r"(?:.*/)?utkface/([^/]+)", re.IGNORECASE)
_LOOSE_PATH = re.compile(r"(?:[^/]+/)?([^/]+)")


def open_pool(root: Path) -> PhotoSet:
    """UTKFace's and CelebA's photos.

    UTKFace's photos have the groups "race", "gender" and "age" (in decades) and the age in years; their subject is
    "utkface/<file name without endings>". CelebA's have no groups; their subject is "celeba/<identity>".

    Args:
        root: a folder with `celeba/` or `utkface/` or both, one with `faces-pool/` or its archive, that archive, a
            folder of UTKFace's files, or a CSV as `open_table` reads it.

    Raises:
        DatasetMissing: it is none of these.
        DatasetCorrupt: the archive is damaged or the table malformed.
    """
    if root.suffix.lower() == ".csv":
        return open_table(root)
    place = _place(root)
    files = open_files(place)
    paths = [path for path in files.names() if is_picture(path)]
    photos, malformed = _photos(paths, _UTKFACE_PATH)
    if not photos:
        photos, malformed = _photos(paths, _LOOSE_PATH)
        malformed = malformed if photos else []
    if not photos:
        raise DatasetMissing(
            f"{shown(root)}: holds no utkface/<age>_<gender>_<race>_<stamp> and no celeba/<id>/ pictures; "
            "give the folder of UTKFace, or a CSV of path, subject and groups"
        )
    notes = (
        (
            f"{len(malformed):,} pictures of UTKFace lack an age, a gender or a race in their name and were left out, "
            f"such as {shown(malformed[0])}",
        )
        if malformed
        else ()
    )
    kinds = {photo.subject.split("/")[0] for photo in photos}
    name = " and ".join(title for kind, title in (("celeba", "CelebA"), ("utkface", "UTKFace")) if kind in kinds)
    return PhotoSet(name, files, tuple(photos), notes)


def _place(root: Path) -> Path:
    """Where in `root` the photos are."""
    try:
        if not root.is_dir() or any(entry.name.lower() in ("celeba", "utkface") for entry in root.iterdir()):
            return root
        inside = [root / FOLDER, *(root / f"{FOLDER}{ending}" for ending in reversed(ENDINGS))]
        return next((place for place in inside if place.is_dir() or (is_archive(place) and place.is_file())), root)
    except (OSError, ValueError) as error:
        raise DatasetMissing(f"{shown(root)}: cannot be read ({reason(error)}); give another place") from error


def _photos(paths: Sequence[str], utkface: re.Pattern[str]) -> tuple[list[Photo], list[str]]:
    """The photos, and UTKFace's pictures whose names are malformed."""
    photos, malformed = [], []
    for path in paths:
        if match := _CELEBA_PATH.fullmatch(path):
            photos.append(Photo(path, f"celeba/{match[1]}"))
        elif match := utkface.fullmatch(path):
            photo = _utkface(path, match[1])
            if photo is None:
                malformed.append(path)
            else:
                photos.append(photo)
    return photos, malformed


def _utkface(path: str, name: str) -> Photo | None:
    stem = name.split(".")[0]
    match = _UTKFACE.fullmatch(stem)
    if match is None:
        return None
    years = int(match[1])
    groups = {"race": RACES[int(match[3])], "gender": GENDERS[int(match[2])], "age": age_band(years)}
    return Photo(path, f"utkface/{stem}", groups, years)


def age_band(years: int) -> str:
    """The decade of an age: "0-9" to "80-89", then "90+"."""
    return "90+" if years >= 90 else f"{years // 10 * 10}-{years // 10 * 10 + 9}"
