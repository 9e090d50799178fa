"""People made of numbers: a picture's content names the direction of its template."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
import pytest

from twinface.app.measuring.system import Part, System
from twinface.core.calibration import LogisticCurve
from twinface.core.decision import DecisionRule, OperatingPoint
from twinface.core.types import Analysis, Box, Face, Landmarks, Quality, Seconds, Template
from twinface.datasets.photos import Photo, PhotoSet
from twinface.errors import UnreadableImage

DIMENSION = 16
IDENTITY = "made of numbers"
FIT = Quality(50, 0.5, 120, 50, 0, 0)
POINTS = Landmarks(np.array([[40, 40], [60, 40], [50, 50], [42, 60], [58, 60]], np.float32))


class Numbers:
    """An analyzer of pictures that are JSON: {"person", "shot", "spread"}, or {"no": reason}."""

    identity = name = IDENTITY
    dimension = DIMENSION

    @property
    def encoder(self) -> Numbers:
        return self

    @property
    def detector(self) -> Numbers:
        return self

    def locate(self, source: object) -> Analysis:
        assert isinstance(source, bytes)
        facts = json.loads(source)
        if facts.get("no") == "unreadable":
            raise UnreadableImage("torn")
        faces: tuple[Face, ...] = ()
        if facts.get("no") != "no face":
            reasons = (facts["no"],) if "no" in facts else ()
            crop = np.frombuffer(hashlib.sha256(source).digest(), np.uint8)[None, :, None].repeat(3, axis=2)
            template = Template(_vector(facts), IDENTITY)
            faces = (Face(Box(1, 1, 9, 9), POINTS, 0.9, replace(FIT, reasons=reasons), crop, template),)
        return Analysis("made", np.zeros((20, 20, 3), np.uint8), faces, (), Seconds(0, 0, 0, 0))

    def encode(self, faces: Sequence[Face]) -> tuple[Face, ...]:
        return tuple(faces)


def _vector(facts: Mapping[str, object]) -> np.ndarray:
    person = np.random.default_rng([1, int(str(facts["person"]))]).normal(size=DIMENSION)
    shot = np.random.default_rng([2, int(str(facts["person"])), int(str(facts["shot"]))]).normal(size=DIMENSION)
    vector = person / np.linalg.norm(person) + float(str(facts.get("spread", 0.1))) * shot / np.linalg.norm(shot)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@dataclass(frozen=True)
class MadeFiles:
    """Files in memory."""

    contents: Mapping[str, bytes]
    name: str = "made"

    def names(self) -> list[str]:
        return sorted(self.contents)

    def read(self, wanted: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        for path in sorted(set(wanted)):
            yield path, self.contents[path]


def picture(person: int, shot: int, **facts: object) -> bytes:
    return json.dumps({"person": person, "shot": shot, **facts}).encode()


def point(fmr: float, threshold: float) -> OperatingPoint:
    return OperatingPoint(IDENTITY, "made up", fmr, threshold, threshold, threshold, 1000, 100, 0.0, 0.0, 0.1)


RULE = DecisionRule(IDENTITY, LogisticCurve(-20.0, 12.0, 0.001), (point(1e-2, 0.6), point(1e-3, 0.5)), 1e-3)


@pytest.fixture
def make_system() -> Callable[..., System]:
    """A system around the analyzer of numbers."""

    def make(rule: DecisionRule | None = RULE, encoder: Part | None = None, detector: Part | None = None) -> System:
        return System(
            Numbers(), rule, encoder or Part("numbers", ()), detector or Part("finder", ()), None,
            lambda words, total: nullcontext(lambda: None),
        )  # fmt: skip

    return make


@pytest.fixture
def make_photos() -> Callable[..., PhotoSet]:
    """Photos of persons 0 to N - 1, each with so many shots; `spoilt` replaces contents by path."""

    def make(
        persons: int,
        shots: int,
        *,
        spoilt: Mapping[str, bytes] | None = None,
        group: Callable[[int], Mapping[str, str]] = lambda person: {},
        years: Callable[[int], int | None] = lambda person: None,
        spread: float = 0.1,
    ) -> PhotoSet:
        contents = {
            f"{person:04d}/{shot}.jpg": picture(person, shot, spread=spread)
            for person in range(persons)
            for shot in range(shots)
        } | dict(spoilt or {})
        photos = tuple(
            Photo(path, path.split("/")[0], group(int(path[:4])), years(int(path[:4]))) for path in sorted(contents)
        )
        return PhotoSet("made people", MadeFiles(contents), photos)

    return make
