"""Enrols pictures of people: one face of each that is fit, in batches that are kept whole or not at all."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import PurePath
from typing import Literal

from twinface.core.files import shown
from twinface.core.naming import clean_name, name_key
from twinface.core.ports import Analyzer, GalleryStore
from twinface.core.subjects import Entry, NewSample
from twinface.core.types import DOUBTFUL, Analysis, Face
from twinface.errors import FaceError, GalleryError, ImageError, NoFace, SeveralFaces
from twinface.services.recognition import FaceChoice, choose

Fate = Literal[
    "enrolled", "duplicate", "conflict", "unreadable", "no face", "several faces", "poor quality", "refused name"
]
"""What became of a picture."""

BATCH = 16
"""Pictures that are encoded together and kept in one transaction."""

DOMINANT = 4.0
"""How many times as large as every other face one must be to be the picture's face beyond doubt."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture of a person to be enrolled.

    Attributes:
        name: the person's.
        source: what a report calls the picture.
        read: gives the picture as a file and its SHA-256, hexadecimal; called once, by any thread, so that not all of
            them lie in memory. It may raise an ImageError.
    """

    name: str
    source: str
    read: Callable[[], tuple[bytes, str]]


@dataclass(frozen=True)
class EnrolmentOptions:
    """How pictures are enrolled.

    Attributes:
        face: which face counts: "clear", the one far larger than all others, if there is one; "only"; "largest"; or
            its number, 1 = largest.
        refuse_poor: whether faces with a quality reason are refused.
        keep_photos: whether the pictures are kept, so that another model can make templates of them later.
        expires: when the people are to be forgotten.
        workers: threads.
    """

    face: FaceChoice | Literal["clear"] = "clear"
    refuse_poor: bool = True
    keep_photos: bool = False
    expires: datetime | None = None
    workers: int = 1

    def __post_init__(self) -> None:
        if self.expires is not None and self.expires.tzinfo is None:
            raise GalleryError(f"the time {self.expires} has no time zone; give one, as datetime.UTC")
        if self.face == "all":
            raise GalleryError("all faces of a picture cannot be one person; choose clear, only, largest or a number")


@dataclass(frozen=True)
class Enrolment:
    """What became of a picture. One that is "enrolled" is on the disk.

    Attributes:
        name: the person's.
        source: the picture's.
        fate: what became of it.
        why: what was wrong, and what to do; "" for what was enrolled.
    """

    name: str
    source: str
    fate: Fate
    why: str = ""

    @property
    def there(self) -> bool:
        """Whether the person has this picture now."""
        return self.fate in ("enrolled", "duplicate")


@dataclass(frozen=True, eq=False)
class _Fit:
    """A picture with a face that is fit."""

    picture: Picture
    digest: str
    face: Face
    photo: bytes | None


Judged = tuple[Picture, "Entry | Enrolment"]
"""A picture with what is to be kept of it, or why there is nothing."""


class Enroller:
    """Enrols pictures into a gallery.

    Args:
        analyzer: finds and encodes faces; called by several threads at once.
        store: where they are kept.
        options: how.
    """

    def __init__(self, analyzer: Analyzer, store: GalleryStore, options: EnrolmentOptions | None = None) -> None:
        self._analyzer = analyzer
        self._store = store
        self._options = options or EnrolmentOptions()

    def enroll(self, pictures: Iterable[Picture]) -> Iterator[Enrolment]:
        """Enrols, and tells of every picture, in order, once it is kept or refused.

        Pictures that are enrolled already are not computed again.

        Raises:
            GalleryError: the gallery cannot take more; what was told to be enrolled is.
        """
        running: deque[Future[list[Judged]]] = deque()
        with ThreadPoolExecutor(self._options.workers) as pool:
            try:
                for batch in _in_batches(pictures):
                    running.append(pool.submit(self._judge, batch))
                    if len(running) > self._options.workers:
                        yield from self._keep(running.popleft().result())
                while running:
                    yield from self._keep(running.popleft().result())
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _judge(self, batch: Sequence[Picture]) -> list[Judged]:
        """An entry for each picture that is fit, a refusal for the others."""
        looked = [self._look(picture) for picture in batch]
        fit = [one for one in looked if isinstance(one, _Fit)]
        faces = iter(self._analyzer.encode([one.face for one in fit]) if fit else ())
        return [
            (picture, one if isinstance(one, Enrolment) else self._entry(one, next(faces)))
            for picture, one in zip(batch, looked, strict=True)
        ]

    def _entry(self, fit: _Fit, face: Face) -> Entry:
        assert face.template is not None  # encode gives every face one
        file = PurePath(fit.picture.source).name  # the folder's name is the person's, who may be renamed
        sample = NewSample(fit.digest, face.template, file, face.quality, face.box, fit.photo)
        return Entry(fit.picture.name, sample, self._options.expires)

    def _look(self, picture: Picture) -> _Fit | Enrolment:
        """The face that counts, or why there is none; the picture's pixels are let go on return."""
        try:
            name = clean_name(picture.name)
        except GalleryError as error:
            return Enrolment(picture.name, picture.source, "refused name", str(error))
        try:
            content, digest = picture.read()
            digest = self._digest(digest)
            owner = self._store.known([digest]).get(digest)
            if owner is not None:
                return _settled(picture, owner, name_key(owner) == name_key(name))
            analysis = self._analyzer.locate(content)
            face = analysis.faces[self._place(analysis)]
        except ImageError as error:
            return Enrolment(picture.name, picture.source, "unreadable", _why(error))
        except NoFace:
            return Enrolment(picture.name, picture.source, "no face", "show it larger or more frontally")
        except FaceError as error:
            return Enrolment(picture.name, picture.source, "several faces", _why(error))
        if self._options.refuse_poor and not face.quality.usable:
            reasons = ", ".join(face.quality.reasons)
            return Enrolment(
                picture.name, picture.source, "poor quality", f"{reasons}; use a better picture, or --any-quality"
            )
        return _Fit(picture, digest, face, content if self._options.keep_photos else None)

    def _place(self, analysis: Analysis) -> int:
        if self._options.face != "clear" or not analysis.faces:
            return choose(analysis, "largest" if self._options.face == "clear" else self._options.face)[0]
        largest, best = analysis.faces[0], max(face.score for face in analysis.faces)
        rivals = [
            face
            for face in analysis.faces[1:]
            if face.score >= DOUBTFUL * best and DOMINANT * face.box.area > largest.box.area
        ]
        if rivals:
            raise SeveralFaces(f"{1 + len(rivals)} of like size; crop the picture, or say --face largest")
        return 0

    def _digest(self, digest: str) -> str:
        """Of the picture, and of which face counts if that is not the first: two friends may share a picture."""
        face = self._options.face
        if not isinstance(face, int) or face == 1:
            return digest
        return hashlib.sha256(f"{digest} face {face}".encode()).hexdigest()

    def _keep(self, judged: Sequence[Judged]) -> list[Enrolment]:
        """Keeps a batch in one transaction; what became of each picture."""
        outcomes = iter(self._store.enroll([one for _, one in judged if isinstance(one, Entry)]))
        told = []
        for picture, one in judged:
            if isinstance(one, Enrolment):
                told.append(one)
                continue
            outcome = next(outcomes)
            if outcome.kind == "enrolled":
                told.append(Enrolment(outcome.name, picture.source, "enrolled"))
            else:
                told.append(_settled(picture, outcome.name, outcome.kind == "duplicate"))
        return told


def _settled(picture: Picture, owner: str, same: bool) -> Enrolment:
    """A picture that somebody has already."""
    if same:
        return Enrolment(owner, picture.source, "duplicate", "this picture is enrolled already")
    return Enrolment(
        picture.name,
        picture.source,
        "conflict",
        f"this picture is enrolled for {shown(owner)}; remove it there first if that is wrong",
    )


def _why(error: Exception) -> str:
    """What was wrong; the report names the picture itself, in a column of its own."""
    text = str(error)
    head, colon, rest = text.partition(": ")
    return rest if colon and (head.startswith("<") or "/" in head or "." in head) else text


def _in_batches(pictures: Iterable[Picture]) -> Iterator[list[Picture]]:
    rest = iter(pictures)
    while batch := list(islice(rest, BATCH)):
        yield batch
