"""Names the faces of a picture: the nearest person of a gallery, if she is near enough, and else nobody."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from twinface.core.identification import DEFAULT_FPIR, Candidate, IdentificationPoint, identification_point
from twinface.core.ports import GalleryStore
from twinface.core.types import Analysis, Face
from twinface.errors import ContractMismatch
from twinface.services.recognition import FaceChoice, Recognizer, choose

TOP = 5
"""Candidates told of a face."""


@dataclass(frozen=True, eq=False)
class IdentifiedFace:
    """A face and who it may be.

    Attributes:
        face: as found; its template is None where it was not compared.
        number: its place in the picture, 1 = largest.
        candidates: nearest people first; empty where it was not compared or the gallery is.
        point: what the nearest has to pass to be named.
        compared: whether it was compared; poor faces are not, unless asked for.
    """

    face: Face
    number: int
    candidates: tuple[Candidate, ...]
    point: IdentificationPoint
    compared: bool

    @property
    def name(self) -> str | None:
        """Who it is; None for a stranger, and for a face that was not compared."""
        best = self.best
        return None if best is None else best.name

    @property
    def best(self) -> Candidate | None:
        """The person named; None where nobody is."""
        if self.candidates and self.point.accepts(self.candidates[0].distance):
            return self.candidates[0]
        return None


@dataclass(frozen=True, eq=False)
class Identification:
    """The faces of a picture, named.

    Attributes:
        analysis: the picture; faces that were compared have templates.
        faces: those asked for, largest first.
        point: the threshold in use.
        model: name of the encoder.
    """

    analysis: Analysis
    faces: tuple[IdentifiedFace, ...]
    point: IdentificationPoint
    model: str

    @property
    def names(self) -> tuple[str, ...]:
        """Who was named, in order of the faces."""
        return tuple(face.name for face in self.faces if face.name is not None)


class Identifier:
    """Names faces by a gallery.

    Args:
        recognizer: finds, encodes and judges.
        store: the gallery.

    Raises:
        ContractMismatch: the gallery's templates are of another model than the recognizer's.
    """

    def __init__(self, recognizer: Recognizer, store: GalleryStore) -> None:
        space = store.space()
        if space.identity != recognizer.rule.model:
            raise ContractMismatch(
                f"the gallery's templates are of {space.model} ({space.identity[:12]}), not of "
                f"{recognizer.encoder_name} ({recognizer.rule.model[:12]}); load that model, or migrate the gallery"
            )
        self._recognizer = recognizer
        self._store = store

    def uses(self, recognizer: Recognizer) -> bool:
        """Whether it was made with this one."""
        return self._recognizer is recognizer

    def identify(
        self,
        source: object,
        *,
        top: int = TOP,
        fpir: float = DEFAULT_FPIR,
        face: FaceChoice = "all",
        refuse_poor: bool = True,
    ) -> Identification:
        """Names the faces of a picture.

        Args:
            source: path, bytes, binary file object, RGB uint8 array (H, W, 3) or Pillow image.
            top: candidates told of each face.
            fpir: target false positive identification rate: how often a stranger may be taken for somebody of this
                gallery, whatever its size.
            face: which faces; "all" is no error where there is none.
            refuse_poor: whether faces with a quality reason are left unnamed, uncompared.

        Raises:
            ImageError: the picture cannot be read.
            NoFace: a certain face was asked for and is not there.
            SeveralFaces: the only face was asked for and there are more.
            GalleryError: the gallery cannot be read, or `fpir` is none.
        """
        located = self._recognizer.locate(source)
        places = list(range(len(located.faces))) if face == "all" else choose(located, face)
        fit = [place for place in places if not refuse_poor or located.faces[place].quality.usable]
        began = time.perf_counter()
        faces = dict(zip(fit, self._recognizer.encode([located.faces[place] for place in fit]), strict=True))
        spent = time.perf_counter() - began
        candidates, point = self._candidates(list(faces.values()), top, fpir)
        named = [
            IdentifiedFace(
                faces.get(place, located.faces[place]),
                place + 1,
                candidates[fit.index(place)] if place in faces else (),
                point,
                place in faces,
            )
            for place in places
        ]
        everyone = tuple(faces.get(place, one) for place, one in enumerate(located.faces))
        seconds = replace(located.seconds, encode=spent, total=located.seconds.total + spent)
        analysis = replace(located, faces=everyone, seconds=seconds)
        return Identification(analysis, tuple(named), point, self._recognizer.encoder_name)

    def _candidates(
        self, faces: Sequence[Face], top: int, fpir: float
    ) -> tuple[list[tuple[Candidate, ...]], IdentificationPoint]:
        rule = self._recognizer.rule
        dimension = self._recognizer.analyzer.encoder.dimension
        vectors = [face.template.vector for face in faces if face.template is not None]
        probes = np.stack(vectors) if vectors else np.zeros((0, dimension), np.float32)
        found, compared = self._store.nearest(probes, top)
        names = self._store.names(sorted({one.subject for neighbours in found for one in neighbours}))
        candidates = [
            tuple(
                Candidate(names[one.subject], one.subject, one.distance, rule.curve.probability(one.distance))
                for one in neighbours
                if one.subject in names  # removed by another process a moment ago
            )
            for neighbours in found
        ]
        return candidates, identification_point(rule, compared, fpir)
