"""Photos of known people: a folder for each person, names that begin with the person's, or a table."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from twinface.core.files import read_regular, reason, shown
from twinface.datasets.archives import plain
from twinface.datasets.files import Files, FolderFiles, TarFiles, open_files
from twinface.errors import DatasetCorrupt, DatasetMissing

PICTURES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".avif", ".heic", ".heif"}
)
"""Endings by which pictures are known among other files."""

_NUMBERED = re.compile(r"(.*[^\W\d])[\s.-]*[0-9]+")
"""A name that ends in a number, and what stands before it, as far as its last letter."""


@dataclass(frozen=True)
class Photo:
    """A picture whose person is known.

    Attributes:
        path: its name in the set's files.
        subject: the person; equal for all pictures of one person, and only for those.
        groups: the groups the person belongs to by kind, such as {"race": "Asian"}; unknown ones are absent.
        years: age of the person in the picture, where the data set tells it.

    Raises:
        ValueError: path or subject is empty, or the age negative.
    """

    path: str
    subject: str
    groups: Mapping[str, str] = field(default_factory=dict)
    years: int | None = None

    def __post_init__(self) -> None:
        if not self.path or not self.subject:
            raise ValueError(f"a photo needs a path and a subject, got {self.path!r} and {self.subject!r}")
        if self.years is not None and self.years < 0:
            raise ValueError(f"ages count from 0, got {self.years}")


@dataclass(frozen=True)
class PhotoSet:
    """Photos and where their files lie.

    Attributes:
        name: what a report calls the set.
        files: reads `Photo.path`.
        photos: in order of path.
        notes: what was left out, and why.
    """

    name: str
    files: Files
    photos: tuple[Photo, ...]
    notes: tuple[str, ...] = ()


def is_picture(name: str) -> bool:
    """Whether a name is that of a picture, by its ending, and nothing on its path is hidden."""
    path = PurePosixPath(name)
    return path.suffix.lower() in PICTURES and not any(part.startswith(".") for part in path.parts)


def open_photos(root: Path) -> PhotoSet:
    """Photos of a table, if the name ends in .csv, or of a folder or archive with one folder for each person.

    Raises:
        DataError: as `open_table` and `open_folder`.
    """
    return open_table(root) if root.suffix.lower() == ".csv" else open_folder(root)


def open_folder(root: Path) -> PhotoSet:
    """A folder, or an archive, with one folder for each person and the pictures in it, at any depth.

    In an archive, one folder around all of them is passed through.

    Raises:
        DatasetMissing: there is no person in it.
        DatasetCorrupt: the archive is damaged, or a link leads out of the folder.
    """
    files = open_files(root)
    paths = [path for path in files.names() if is_picture(path)]
    depth = _wrapping(paths) if isinstance(files, TarFiles) else 0
    inside = [path for path in paths if path.count("/") > depth]
    if not inside:
        raise DatasetMissing(f"{shown(root)}: holds no person; make a folder for each, with the pictures in it")
    photos = tuple(Photo(path, path.split("/")[depth]) for path in inside)
    astray = sorted(set(paths).difference(inside))
    others = [name for name in files.names() if not is_picture(name)]
    notes = [
        f"{len(some):,} {words}, such as {shown(some[0])}"
        for some, words in (
            (astray, "pictures in no person's folder were left out"),
            (others, "files are no pictures by their names and were left out"),
        )
        if some
    ]
    return PhotoSet(root.resolve().name, files, photos, tuple(notes))


def _wrapping(paths: Sequence[str]) -> int:
    """1 where all pictures lie in one folder and some in folders of that one, else 0."""
    tops = {path.split("/")[0] for path in paths}
    return 1 if len(tops) == 1 and any(path.count("/") > 1 for path in paths) else 0


def open_named(root: Path) -> PhotoSet:
    """A folder, or an archive, of pictures that lie side by side and are named after their persons.

    Of "Ada_Lovelace_2.jpg" the person is what stands before the last underscore, of "Ada2.jpg", without any, what
    stands before the number at the end.

    Raises:
        DatasetMissing: there is no picture in it.
        DatasetCorrupt: a name tells no person, the archive is damaged, or a link leads out of the folder.
    """
    files = open_files(root)
    paths = [path for path in files.names() if is_picture(path) and "/" not in path]
    if not paths:
        raise DatasetMissing(
            f"{shown(root)}: holds no pictures of people; make a folder for each person, or name pictures Ada_1.jpg"
        )
    photos = tuple(Photo(path, _named_after(root, path)) for path in paths)
    return PhotoSet(root.resolve().name, files, photos)


def _named_after(root: Path, path: str) -> str:
    """The person whose name begins the picture's."""
    stem = PurePosixPath(path).stem
    match = _NUMBERED.fullmatch(stem)
    person = stem.rpartition("_")[0] if "_" in stem else match[1] if match else ""
    if not person:
        raise DatasetCorrupt(
            f"{shown(root / path)}: the name tells no person; name it like Ada_1.jpg, or make a folder for each person"
        )
    return person


def open_table(table: Path) -> PhotoSet:
    """A CSV file (UTF-8, commas) with the columns `path`, `subject` and, as you like, one for each kind of group.

    Paths count from the table's folder and do not leave it. An empty field in a group's column means unknown.

    Raises:
        DatasetMissing: the table cannot be read.
        DatasetCorrupt: it is malformed; the message has the line.
    """
    try:
        content = read_regular(table)
    except (OSError, ValueError) as error:
        raise DatasetMissing(f"{shown(table)}: cannot be read ({reason(error)}); give another table") from error
    photos: dict[str, tuple[int, Photo]] = {}
    rows = csv.reader(io.StringIO(_decoded(table, content), newline=""), strict=True)
    try:
        header = _header(table, next(rows, []))
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                raise _wrong(table, rows.line_num, f"has {len(row)} fields where the header has {len(header)}")
            photo = _photo(table, rows.line_num, dict(zip(header, (word.strip() for word in row), strict=True)))
            if photo.path in photos:
                earlier = photos[photo.path][0]
                raise _wrong(table, rows.line_num, f"names {shown(photo.path)} again, after line {earlier}")
            photos[photo.path] = (rows.line_num, photo)
    except csv.Error as error:
        raise _wrong(table, rows.line_num, f"is not CSV ({error})") from error
    if not photos:
        raise DatasetMissing(f"{shown(table)}: names no photos; write one line for each below the header")
    return PhotoSet(table.name, FolderFiles(table.parent), tuple(photos[path][1] for path in sorted(photos)))


def _decoded(table: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _wrong(table, line, "is not UTF-8; save the table with that encoding") from error


def _header(table: Path, row: Sequence[str]) -> list[str]:
    names = [name.strip() for name in row]
    if not {"path", "subject"} <= set(names):
        raise _wrong(table, 1, "must name the columns path and subject, with commas between")
    if "" in names or len(set(names)) < len(names):
        raise _wrong(table, 1, "has a column without a name, or two with one name")
    return names


def _photo(table: Path, line: int, fields: dict[str, str]) -> Photo:
    subject, given = fields.pop("subject"), fields.pop("path")
    path = plain(given)
    if path is None:
        wrong = f"names the path {shown(given)}, which leaves the table's folder" if given else "has no path"
        raise _wrong(table, line, wrong)
    if not subject:
        raise _wrong(table, line, "has no subject")
    return Photo(path, subject, {name: value for name, value in fields.items() if value})


def _wrong(table: Path, line: int, what: str) -> DatasetCorrupt:
    return DatasetCorrupt(f"{shown(table)}: line {line} {what}")
