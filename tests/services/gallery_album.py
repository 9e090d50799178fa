"""An album for tests of galleries: pictures are words, a letter is a face, and every letter looks its own way."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from twinface.core.calibration import LogisticCurve
from twinface.core.decision import DecisionRule, OperatingPoint
from twinface.core.similarity import normalise
from twinface.core.subjects import TemplateSpace
from twinface.core.types import Analysis, Box, Detection, Face, Landmarks, Quality, Seconds, Template
from twinface.errors import UnreadableImage
from twinface.services.enrolment import Picture

DIMENSION = 32
POINTS = np.array([(30, 40), (70, 40), (50, 60), (35, 80), (65, 80)])


def point(fmr: float, threshold: float, model: str) -> OperatingPoint:
    return OperatingPoint(model, "test", fmr, threshold, threshold, threshold, 1000, 100, 0.0, 0.0, 0.1)


class Encoder:
    """Names the letter's direction; `turn` makes another encoder, whose templates have nothing to do with it."""

    dimension = DIMENSION

    def __init__(self, turn: int = 0) -> None:
        self.turn = turn
        self.name = self.identity = f"encoder {turn}"

    def direction(self, letter: str) -> np.ndarray:
        return np.random.default_rng([self.turn, ord(letter.lower())]).normal(size=DIMENSION)


class Finder:
    name = identity = "finder"

    def detect(self, image: np.ndarray) -> list[Detection]:
        raise AssertionError("an album knows its faces")


class Album:
    """An analyzer. In b"a", b"aB7!": a letter is a face, a capital one is blurred, a digit makes the face before it so
    many times as wide and high, "~" moves its template a little, "!" cannot be read.
    """

    detector = Finder()

    def __init__(self, turn: int = 0) -> None:
        self.encoder = Encoder(turn)
        self.identity = self.encoder.identity
        self.located: list[bytes] = []
        self.batches: list[int] = []

    @property
    def space(self) -> TemplateSpace:
        return TemplateSpace(self.encoder.identity, self.encoder.name, True, DIMENSION)

    @property
    def rule(self) -> DecisionRule:
        model = self.encoder.identity
        points = (point(1e-1, 0.7, model), point(1e-2, 0.6, model), point(1e-3, 0.5, model))
        return DecisionRule(model, LogisticCurve(-20.0, 10.0, 1e-4), points, 1e-2)

    def locate(self, source: object) -> Analysis:
        assert isinstance(source, bytes)
        self.located.append(source)
        text = source.decode()
        if "!" in text:
            raise UnreadableImage(f"{text}: not a picture")
        faces: list[Face] = []
        for mark in text:
            if mark.isdigit():
                faces[-1] = self._face(chr(int(faces[-1].crop[0, 0, 0])), int(mark), faces[-1].crop[0, 0, 1])
            elif mark == "~":
                last = faces[-1]
                faces[-1] = self._face(chr(int(last.crop[0, 0, 0])), int(last.box.width) // 100, last.crop[0, 0, 1] + 1)
            elif mark.isalpha():
                faces.append(self._face(mark, 1, 0))
        ranked = tuple(sorted(faces, key=lambda face: -face.box.area))
        return Analysis(text, np.zeros((100, 100, 3), np.uint8), ranked, (), Seconds(1.0, 2.0, 0.0, 3.0))

    def _face(self, letter: str, size: int, moved: int) -> Face:
        reasons = ("blurred",) if letter.isupper() else ()
        quality = Quality(40.0, 0.5, 120.0, 40.0, 0.0, 0.0, reasons)
        crop = np.zeros((2, 2, 3), np.uint8)
        crop[0, 0] = ord(letter), moved, 0
        return Face(Box(0, 0, 100 * size, 100 * size), Landmarks(POINTS), 0.9, quality, crop)

    def encode(self, faces: Sequence[Face]) -> tuple[Face, ...]:
        self.batches.append(len(faces))
        return tuple(replace(face, template=self._template(face)) for face in faces)

    def _template(self, face: Face) -> Template:
        letter, moved, _ = face.crop[0, 0]
        direction = self.encoder.direction(chr(letter))
        noise = np.random.default_rng([moved, letter]).normal(size=DIMENSION)
        return Template(normalise(normalise(direction) + 0.2 * bool(moved) * normalise(noise)), self.encoder.identity)


def picture(name: str, text: str) -> Picture:
    """A picture of somebody that shows these letters."""
    content = text.encode()
    return Picture(name, f"{name}/{text}.jpg", lambda: (content, hashlib.sha256(content).hexdigest()))


def letters(letter: str, number: int) -> str:
    """A picture of this letter that is another for every number."""
    return letter + "." * number
