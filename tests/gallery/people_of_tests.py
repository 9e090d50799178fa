"""People whose every trace is unmistakable, galleries full of them, and eyes that find what is left of one in files."""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twinface.core.similarity import normalise
from twinface.core.subjects import Entry, NewSample, TemplateSpace
from twinface.core.types import Box, Quality, Template
from twinface.gallery.keys import Key
from twinface.gallery.spaces import current_space
from twinface.gallery.sqlite import SqliteGallery
from twinface.gallery.vault import TAG

DIMENSION = 64
SPACE = TemplateSpace("5ace" * 16, "a-model", True, DIMENSION)
OTHER_SPACE = TemplateSpace("0ade" * 16, "another-model", False, 96)
KEY = Key("key file", bytes(range(32)))

PIECE = 8
"""Bytes that count as a trace: of a name or a template no more than this must be left together."""


@dataclass(frozen=True)
class Person:
    """Somebody with a name and pictures that nobody else has."""

    name: str
    samples: tuple[NewSample, ...]

    @property
    def vectors(self) -> NDArray[np.float32]:
        return np.stack([one.template.vector for one in self.samples])

    def entries(self, **more: Any) -> list[Entry]:
        return [Entry(self.name, one, **more) for one in self.samples]


class Maker:
    """Makes people up, the same ones for the same seed."""

    def __init__(self, seed: int = 0, dimension: int = DIMENSION) -> None:
        self.random = np.random.default_rng(seed)
        self._dimension = dimension

    def letters(self, count: int) -> str:
        return "".join(self.random.choice(list(string.ascii_letters), count))

    def name(self) -> str:
        """From 12 to 190 letters, one of them beyond ASCII."""
        return self.letters(int(self.random.integers(12, 190))) + "\u00eb"

    def vector(self, dimension: int | None = None) -> NDArray[np.float32]:
        return normalise(self.random.normal(size=dimension or self._dimension))

    def sample(self, *, photo: bool = False, space: TemplateSpace = SPACE) -> NewSample:
        return NewSample(
            hashlib.sha256(self.random.bytes(16)).hexdigest(),
            Template(self.vector(space.dimension), space.identity),
            f"/{self.letters(int(self.random.integers(16, 120)))}\u00fc.jpg",
            Quality(61.5, 0.4, 120.0, 50.0, -3.0, 1.5, ("blurred",)),
            Box(1.5, -2.0, 30.0, 40.25),
            self.random.bytes(int(self.random.integers(1000, 9000))) if photo else None,
        )

    def person(self, samples: int = 1, photos: bool = False) -> Person:
        return Person(self.name(), tuple(self.sample(photo=photos) for _ in range(samples)))


def eventful(path: Path, key: Key | None, count: int = 240) -> dict[str, Person]:
    """Makes a gallery with a past: people came in any order, were renamed, merged and removed, and more came.

    Returns:
        Those who were left alone from first to last, by name. They have two pictures each; every fourth kept photos.
    """
    maker = Maker(1)
    stay = [maker.person(2, photos=place % 4 == 0) for place in range(count)]
    pass_by = [maker.person(photos=place % 3 == 0) for place in range(count // 4)]
    everybody = [stay[: count // 2] + pass_by[: count // 8], stay[count // 2 :] + pass_by[count // 8 :]]
    with closing(SqliteGallery(path, key=key, create=SPACE)) as gallery:
        for half, some in enumerate(everybody):
            entries = [entry for person in some for entry in person.entries()]
            maker.random.shuffle(entries)
            while entries:
                size = int(maker.random.integers(1, 40))
                gallery.enroll(entries[:size])
                entries = entries[size:]
            if half == 0:
                names = [person.name for person in pass_by[: count // 8]]
                gallery.rename(names[0], maker.name())
                gallery.merge(names[1], names[2:5])
                gallery.remove(names[5:9])
    return {person.name: person for person in stay}


def text_traces(*texts: str) -> list[bytes]:
    """The letters that nobody else's name or path has, as they are and folded, in every encoding of text."""
    heads = [re.split("[^/A-Za-z]", text)[0] for text in texts]
    forms = sorted({form for head in heads for form in (head, head.casefold())})
    return [form.encode(code) for form in forms for code in ("utf-8", "utf-16-le", "utf-16-be")]


def vector_traces(vectors: NDArray[np.float32]) -> list[bytes]:
    """The bytes of templates, as float32 and float64."""
    return [row.astype(kind).tobytes() for row in vectors for kind in ("<f4", "<f8")]


def digest_traces(samples: Iterable[NewSample]) -> list[bytes]:
    return [form for one in samples for form in (one.digest.encode(), bytes.fromhex(one.digest))]


def photo_traces(samples: Iterable[NewSample]) -> list[bytes]:
    return [one.photo for one in samples if one.photo is not None]


def content_traces(samples: Sequence[NewSample]) -> list[bytes]:
    """All that is told of pictures, as it was before it was kept."""
    return [
        *text_traces(*(one.source for one in samples)),
        *digest_traces(samples),
        *photo_traces(samples),
        *vector_traces(np.stack([one.template.vector for one in samples])),
    ]


def turned_traces(gallery: SqliteGallery, person: Person) -> list[bytes]:
    """Her templates as they are kept, or would be if nothing were encrypted."""
    with gallery.database.reading() as connection:
        return vector_traces(current_space(connection, gallery._vault).turned(person.vectors))


@dataclass(frozen=True)
class Rows:
    """What lies of a person in the file, sealed or tagged as it is there; of readable facts, which are much alike, the
    tags alone."""

    uid: bytes
    name: bytes
    name_key: bytes
    key: bytes | None
    facts: tuple[bytes, ...]
    digests: tuple[bytes, ...]
    photos: tuple[bytes, ...]
    vectors: tuple[bytes, ...]

    @property
    def of_herself(self) -> list[bytes]:
        return [self.name, self.name_key, *([] if self.key is None else [self.key])]

    @property
    def of_pictures(self) -> list[bytes]:
        return [*self.digests, *self.facts, *self.photos, *self.vectors]

    @property
    def everything(self) -> list[bytes]:
        return [*self.of_herself, *self.of_pictures]


def rows_of(gallery: SqliteGallery, name: str) -> Rows:
    uid = bytes.fromhex(gallery.find(name).uid)
    with gallery.database.reading() as connection:
        row, *of_herself = connection.execute(
            "SELECT id, name, name_key, key FROM subjects WHERE uid = ?", (uid,)
        ).fetchone()

        sealed = of_herself[-1] is not None

        def column(query: str) -> tuple[bytes, ...]:
            return tuple(one[0] for one in connection.execute(query, (row,)))

        facts = column("SELECT facts FROM samples WHERE subject = ? ORDER BY id")
        return Rows(
            uid,
            *of_herself,
            facts=tuple(one if sealed else one[:TAG] for one in facts),
            digests=column("SELECT digest FROM samples WHERE subject = ? ORDER BY id"),
            photos=column("SELECT content FROM photos JOIN samples ON id = sample WHERE subject = ? ORDER BY id"),
            vectors=column(
                "SELECT vector FROM templates JOIN samples ON samples.id = sample WHERE subject = ? ORDER BY samples.id"
            ),
        )


def files_under(folder: Path, *but: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(path.is_relative_to(one) for one in but):
            yield path


def all_bytes(folder: Path, *but: Path) -> bytes:
    """Every byte in a folder: the gallery, what SQLite has put beside it, backups, whatever else is there."""
    return (b"\0" * PIECE).join(path.read_bytes() for path in files_under(folder, *but))


def left_of(traces: Iterable[bytes], content: bytes) -> float:
    """Share of the traces that is somewhere in the content, looked for in pieces of 8 bytes.

    Pieces of less than four different bytes, as zeros in a row, may be anybody's and are passed over.
    """
    pieces = {one[at : at + PIECE] for one in traces for at in range(0, len(one) - PIECE + 1, PIECE)}
    wanted = np.unique(np.frombuffer(b"".join(piece for piece in pieces if len(set(piece)) > 3), "<u8"))
    starts = np.zeros(1 << 16, np.bool_)
    starts[(wanted & 0xFFFF).astype(np.intp)] = True
    found: set[int] = set()
    for shift in range(PIECE):
        windows = np.frombuffer(content, "<u8", (len(content) - shift) // PIECE, shift)
        likely = windows[starts[windows.view("<u2")[::4]]]
        found.update(np.intersect1d(likely, wanted).tolist())
    return len(found) / len(wanted)


def states(folder: Path) -> dict[str, str]:
    """Names and digests of all files, to tell whether anything has changed."""
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files_under(folder)}
