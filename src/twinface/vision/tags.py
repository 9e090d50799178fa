"""Where the tags of faces go: at their own face, and in a crowd over as little as possible of faces and other tags."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twinface.core.wording import Colour
from twinface.vision.sheet import Corners, extent, fitted

LONGEST, SHORTEST = 20.0, 3.0
"""Room for words where there is much space, and what they are never cut below, in heights of their letters: about 36
letters and 5."""

OVER_TAG, CUT = 4.0, 0.35
"""What a square pixel costs that covers another tag, and one of a tag that is lost by cutting its words. One costs 1
that covers a face, or where the tag of another face wants to be."""

_PERCENT = re.compile(r"(.*?)((?: [<>])? ?[\d.]+%)", re.DOTALL)


@dataclass(frozen=True)
class Tag:
    """Words at a face.

    Attributes:
        face: place of the face's outline among all, from 0.
        words: what they say.
        letters: height of the letters, pixels.
        colour: of the ground.
        above: whether they stand at the face's upper edge rather than at its lower one.
    """

    face: int
    words: str
    letters: float
    colour: Colour
    above: bool


@dataclass(frozen=True)
class Place:
    """Where a tag came to stand.

    Attributes:
        tag: which one.
        words: what there is room for.
        left: pixels.
        top: pixels.
    """

    tag: Tag
    words: str
    left: float
    top: float


def arrange(tags: Sequence[Tag], outlines: Sequence[Corners], width: int, height: int) -> list[Place]:
    """Finds a place for every tag, one after the other: those that come first choose first.

    A tag always touches the same edge of its face, so that it is clear in a crowd whose it is: outside or, where that
    hides less, inside; flush with the left, the right or the middle. Long words are cut where they would hide more than
    is lost.

    Args:
        tags: the words.
        outlines: of all faces, pixels.
        width: of the picture, pixels.
        height: likewise.
    """
    faces = np.array(outlines, np.float64).reshape(-1, 4)
    taken = np.zeros((len(tags), 4))
    places: list[Place] = []
    for tag in tags:
        whole, tall = extent(tag.words, tag.letters)
        own = faces[tag.face]
        others = np.delete(faces, tag.face, axis=0) - (0.0, tall, 0.0, 0.0)
        found: list[tuple[float, Place]] = []
        for words in _cuts(tag, own, width):
            wide = extent(words, tag.letters)[0]
            spots = _spots(tag, own, wide, tall)
            spots = np.clip(spots, 0.0, np.maximum(0.0, (width - wide, height - tall)))
            costs = _overlap(spots, wide, tall, others) + OVER_TAG * _overlap(spots, wide, tall, taken)
            costs += np.arange(len(spots)) * 0.02 * wide * tall
            hidden = _overlap(spots, wide, tall, own[None])  # no reason to cut words: whose face it is says more
            best = int((costs + hidden).argmin())
            cost = float(costs[best]) + CUT * (whole - wide) * tall
            found.append((cost, Place(tag, words, float(spots[best, 0]), float(spots[best, 1]))))
        place = min(found, key=lambda one: one[0])[1]
        taken[len(places)] = place.left, place.top, place.left + extent(place.words, tag.letters)[0], place.top + tall
        places.append(place)
    return places


def cut(words: str, letters: float, room: float) -> str:
    """The words, shortened to their room in pixels; a percentage at their end stays whole, as half of it misleads."""
    match = _PERCENT.fullmatch(words)
    start, end = (match[1], match[2]) if match is not None else (words, "")
    beside = extent(end, letters)[0] - letters
    return fitted(start, letters, max(SHORTEST * letters, room - beside)) + end


def _cuts(tag: Tag, face: NDArray[np.float64], width: int) -> list[str]:
    """The words for much room and for ever less, each once."""
    wide = float(face[2] - face[0])
    rooms = (max(LONGEST * tag.letters, 2 * wide), *(share * wide for share in (2.0, 1.7, 1.4, 1.2, 1.0)))
    return list(dict.fromkeys(cut(tag.words, tag.letters, min(room, width) - tag.letters) for room in rooms))


def _spots(tag: Tag, face: NDArray[np.float64], wide: float, tall: float) -> NDArray[np.float64]:
    """Left and top of where a tag may stand, the best first; shape (6, 2)."""
    left, top, right, bottom = face
    rows = (top - tall, top) if tag.above else (bottom, bottom - tall)
    columns = (left, (left + right - wide) / 2, right - wide)
    return np.array([(column, row) for row in rows for column in columns])


def _overlap(spots: NDArray[np.float64], wide: float, tall: float, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much of the boxes (N, 4) a tag at each of the spots (M, 2) would cover: square pixels, shape (M,)."""
    left, top = spots[:, :1], spots[:, 1:]
    across = np.minimum(left + wide, boxes[:, 2]) - np.maximum(left, boxes[:, 0])
    down = np.minimum(top + tall, boxes[:, 3]) - np.maximum(top, boxes[:, 1])
    covered: NDArray[np.float64] = (np.maximum(0, across) * np.maximum(0, down)).sum(axis=1)
    return covered
