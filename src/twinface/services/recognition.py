"""Compares faces: the one question, asked of two pictures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from twinface.core.decision import DecisionRule
from twinface.core.ports import Analyzer
from twinface.core.similarity import cosine_from_distance, distance
from twinface.core.types import Analysis, Comparison, Face
from twinface.errors import ContractMismatch, NoFace, PoorQuality, SeveralFaces

FaceChoice = Literal["largest", "all", "only"] | int
"""Which faces of a picture count: the largest, all, the only one (several are refused), or number N, 1 = largest."""

FaceChoices = FaceChoice | tuple[FaceChoice, FaceChoice]
"""One choice for both pictures of a comparison, or one for each."""


class Recognizer:
    """Answers whether faces show one person.

    Args:
        analyzer: turns pictures into faces.
        rule: judges distances between the analyzer's templates.
        models: names of encoder and detector, for reports.

    Raises:
        ContractMismatch: the rule belongs to another encoder.
    """

    def __init__(self, analyzer: Analyzer, rule: DecisionRule, models: tuple[str, str]) -> None:
        if rule.model != analyzer.encoder.identity:
            raise ContractMismatch(
                f"decision rule of {rule.model[:12]} cannot judge templates of {analyzer.encoder.identity[:12]}"
            )
        self._analyzer = analyzer
        self._rule = rule
        self.encoder_name, self.detector_name = models

    @property
    def caution(self) -> str:
        """What to say beside every answer, as that the rule was measured with another detector; mostly nothing."""
        finder = self._analyzer.detector
        return self._rule.caution(finder.name, finder.identity)

    @property
    def analyzer(self) -> Analyzer:
        """What turns pictures into templates."""
        return self._analyzer

    @property
    def rule(self) -> DecisionRule:
        """Probability curve and operating points in use."""
        return self._rule

    def locate(self, source: object) -> Analysis:
        """The faces of a picture, largest first, without templates.

        Raises:
            ImageError: the picture cannot be read.
        """
        return self._analyzer.locate(source)

    def encode(self, faces: Sequence[Face]) -> tuple[Face, ...]:
        """Faces of any pictures with their templates, encoded in batches."""
        return self._analyzer.encode(faces)

    def analyze(self, source: object, face: FaceChoice = "all") -> Analysis:
        """The faces of a picture, largest first; the chosen ones with templates. No face is no error here for "all".

        Args:
            source: a path, bytes, a binary file object, an RGB uint8 array (H, W, 3) or a Pillow image.
            face: which faces are encoded.

        Raises:
            ImageError: the picture cannot be read.
            NoFace: a certain face was asked for and is not there.
            SeveralFaces: the only face was asked for and there are more.
        """
        located = self._analyzer.locate(source)
        indices = range(len(located.faces)) if face == "all" else choose(located, face)
        return self._encoded(located, indices)

    def compare(
        self,
        a: object,
        b: object,
        *,
        fmr: float | None = None,
        band: float | None = None,
        face: FaceChoices = "largest",
        refuse_poor: bool = True,
    ) -> Comparison:
        """Compares two pictures; with `face="all"` the nearest pair of faces counts.

        Args:
            a: a picture: path, bytes, binary file object, RGB uint8 array (H, W, 3) or Pillow image.
            b: the other.
            fmr: the operating point's target false match rate; None for the model's default.
            band: how sure an answer has to be, between 0.5 and 1, else it is "inconclusive"; None for what the
                model's rule says, which is an answer always unless it was calibrated otherwise.
            face: which faces count, one choice for both pictures or a pair, as `("largest", 2)`.
            refuse_poor: whether faces with a quality reason are refused (PoorQuality) rather than compared anyway.

        Raises:
            ImageError: a picture cannot be read.
            FaceError: a picture holds no face, or not the one asked for, or a poor one.
            ContractMismatch: the operating point was not measured, or no answer can be as sure as `band` wants.
        """
        return self.compare_all(a, b, fmr=fmr, band=band, face=face, refuse_poor=refuse_poor)[0]

    def compare_all(
        self,
        a: object,
        b: object,
        *,
        fmr: float | None = None,
        band: float | None = None,
        face: FaceChoices = "all",
        refuse_poor: bool = True,
    ) -> list[Comparison]:
        """Every chosen face of `a` with every chosen face of `b`, nearest pair first; otherwise as `compare`."""
        point = self._rule.point(fmr)
        doubt = self._rule.inconclusive(point, band)
        here, there = face if isinstance(face, tuple) else (face, face)
        first, places = self._prepared(a, here, refuse_poor)
        second, others = self._prepared(b, there, refuse_poor)
        comparisons = []
        for place in places:
            for other in others:
                one, two = first.faces[place], second.faces[other]
                assert one.template is not None and two.template is not None  # noqa: PT018 - set by _prepared
                gap = distance(one.template, two.template)
                comparisons.append(
                    Comparison(
                        distance=gap,
                        similarity=cosine_from_distance(gap),
                        probability=self._rule.curve.probability(gap),
                        point=point,
                        model=self.encoder_name,
                        a=one,
                        b=two,
                        index_a=place + 1,
                        index_b=other + 1,
                        first=first,
                        second=second,
                        band=doubt,
                    )
                )
        return sorted(comparisons, key=lambda one: one.distance)

    def _prepared(self, source: object, face: FaceChoice, refuse_poor: bool) -> tuple[Analysis, list[int]]:
        located = self._analyzer.locate(source)
        places = choose(located, face)
        if refuse_poor:
            places = _fit(located, places)
        return self._encoded(located, places), places

    def _encoded(self, located: Analysis, places: Sequence[int]) -> Analysis:
        began = time.perf_counter()
        faces = list(located.faces)
        for place, face in zip(places, self._analyzer.encode([faces[place] for place in places]), strict=True):
            faces[place] = face
        spent = time.perf_counter() - began
        seconds = replace(located.seconds, encode=spent, total=located.seconds.total + spent)
        return replace(located, faces=tuple(faces), seconds=seconds)


def choose(analysis: Analysis, face: FaceChoice) -> list[int]:
    """Places of the chosen faces, from 0.

    Raises:
        NoFace: there is no face, or none of that number.
        SeveralFaces: the only one was asked for and there are more.
        ValueError: no such choice.
    """
    count = len(analysis.faces)
    if count == 0:
        raise NoFace(f"{analysis.name}: no face found; use a picture that shows the face larger or more frontally")
    if face == "largest":
        return [0]
    if face == "all":
        return list(range(count))
    if face == "only":
        if count > 1:
            raise SeveralFaces(
                f"{analysis.name}: {count} faces found where one was wanted; crop the picture or choose one by number"
            )
        return [0]
    if isinstance(face, bool) or not isinstance(face, (int, np.integer)):
        raise ValueError(f"face: expected 'largest', 'all', 'only' or a number from 1 up, got {face!r}")
    if not 1 <= face <= count:
        raise NoFace(f"{analysis.name}: no face number {face}; {count} found, 1 is the largest")
    return [int(face) - 1]


def _fit(analysis: Analysis, places: list[int]) -> list[int]:
    """The places whose faces are fit for comparison.

    Raises:
        PoorQuality: none is.
    """
    fit = [place for place in places if analysis.faces[place].quality.usable]
    if not fit:
        reasons = analysis.faces[places[0]].quality.reasons
        raise PoorQuality(
            f"{analysis.name}: face {places[0] + 1} is not fit for comparison ({', '.join(reasons)}); "
            "use a better picture, or compare anyway with --any-quality (Python: refuse_poor=False)",
            reasons[0],
        )
    return fit
