"""What `twinface serve` answers, as types: JSON with the fields of the command line's `--json`."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

Json = dict[str, Any]


class Face(TypedDict):
    """A face: box (x, y, width, height) and five landmarks (x, y), in pixels of the upright picture."""

    box: list[float]
    landmarks: list[list[float]]
    score: float
    quality: Json


class ComparedFace(Face):
    """One side of a comparison: which face of how many, 1 being the largest."""

    face: int
    faces: int


class NamedFace(Face):
    """A face that was looked up: whose it is, if anybody's, and whose it may be, nearest first."""

    compared: bool
    subject: str | None
    candidates: list[Json]


class Comparison(TypedDict):
    """Whether two pictures show one person; distance and threshold are in [0, 2]."""

    verdict: Literal["same", "different", "inconclusive"]
    probability: float
    distance: float
    similarity: float
    threshold: float
    fmr: float
    model: str
    a: ComparedFace
    b: ComparedFace


class Detection(TypedDict):
    """A picture (pixels) and its faces, largest first."""

    width: int
    height: int
    faces: list[Face]


class Identification(TypedDict):
    """The faces of a picture, and up to which distance they were named."""

    faces: list[NamedFace]
    threshold: float
    fpir: float


class Person(TypedDict):
    """Somebody enrolled; times are ISO 8601."""

    uid: str
    name: str
    pictures: int
    photos: int
    created: str
    expires: str | None
