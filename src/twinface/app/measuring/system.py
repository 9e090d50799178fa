"""The system under test: what makes templates, what judges them, and whom its models were trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twinface.app import wiring
from twinface.app.cache import open_cache
from twinface.app.machine import cores
from twinface.app.settings import Settings
from twinface.core.decision import DecisionRule
from twinface.core.ports import Analyzer, TemplateCache
from twinface.core.provenance import TrainingSet, shared_subjects
from twinface.core.types import Acquired
from twinface.datasets.files import Files
from twinface.datasets.photos import PhotoSet
from twinface.errors import DataError, DatasetMissing, SubjectLeak
from twinface.models.registry import ModelEntry, find
from twinface.services.embedding import Choice, embed

Progress = Callable[[str, int], AbstractContextManager[Callable[[], object]]]
"""Given words and a number of steps, yields what is called once a step."""


UNCALIBRATED = "{} has no operating points with these settings: measure them with twinface calibrate"


@dataclass(frozen=True)
class Asked:
    """What the user wants measured.

    Attributes:
        model: encoder, as `twinface.load` takes it; None for the default one.
        detector: likewise.
        providers: ONNX Runtime execution providers; None for the usual ones.
        threads: within a network; None for one, as several pictures are worked on at once.
        mirror: whether the mirror image counts; None for what the contract says.
        calibration: the user's own decision rules; None for those beside the model.
        cache: whether templates are kept between runs.
    """

    model: str | None = None
    detector: str | None = None
    providers: tuple[str, ...] | None = None
    threads: int | None = None
    mirror: bool | None = None
    calibration: Path | None = None
    cache: bool = True


@dataclass(frozen=True)
class Part:
    """A model within the system.

    Attributes:
        name: short name.
        training: whom it was trained on; None where there is no record.
    """

    name: str
    training: tuple[TrainingSet, ...] | None


@dataclass(frozen=True, eq=False)
class System:
    """What is measured.

    Attributes:
        analyzer: pictures to templates.
        rule: distances to verdicts; None for an encoder that nobody has calibrated.
        encoder: name and training of the encoder.
        detector: likewise.
        cache: templates computed before.
        progress: shows how far the work is.
    """

    analyzer: Analyzer
    rule: DecisionRule | None
    encoder: Part
    detector: Part
    cache: TemplateCache | None
    progress: Progress

    def acquire(self, files: Files, paths: Iterable[str], choice: Choice) -> dict[str, Acquired]:
        """What each picture gives, by its path."""
        wanted = sorted(set(paths))
        with self.progress("templates", len(wanted)) as advance:
            return embed(
                self.analyzer, files.read(wanted), choice=choice, cache=self.cache, advance=advance, workers=cores()
            )

    def unseen(self, photos: PhotoSet) -> PhotoSet:
        """The photos of persons the encoder was not trained on, with a note on how many that leaves out.

        Raises:
            DatasetMissing: nobody is left.
        """
        subjects = {photo.subject for photo in photos.photos}
        seen = shared_subjects(self.encoder.training or (), subjects)
        if not seen:
            return photos
        kept = tuple(photo for photo in photos.photos if photo.subject not in seen)
        if not kept:
            raise DatasetMissing(
                f"{photos.name}: {self.encoder.name} was trained on everybody in it; test it on others"
            )
        note = (
            f"{len(photos.photos) - len(kept):,} pictures of {len(seen):,} person{'s' * (len(seen) > 1)} that "
            f"{self.encoder.name} was "
            "trained on are left out"
        )
        return replace(photos, photos=kept, notes=(*photos.notes, note))

    def check_leak(self, tested: Iterable[str], allowed: bool, dataset: str = "", *, judging: bool = True) -> list[str]:
        """Sees to it that the encoder was trained on none of the persons it is tested on, and its rule fits.

        The detector's training can flatter a figure too, but little: it knows faces, not persons. It is told, not
        refused.

        Args:
            tested: names of the persons of the test.
            allowed: whether a leak is only told too.
            dataset: name of the test; training on a part of it that nobody has listed is told too.
            judging: whether the system's rule is put to use, so that it must fit.

        Returns:
            What the reader of the figures must know.

        Raises:
            SubjectLeak: there are such persons.
        """
        people = set(tested)
        finder = self.analyzer.detector
        caution = self.rule.caution(finder.name, finder.identity) if self.rule is not None else UNCALIBRATED
        if not judging:
            caution = ""
        notes = [caution.format(self.encoder.name)] if caution else []
        for part, refused in ((self.encoder, not allowed), (self.detector, False)):
            if part.training is None:
                notes.append(f"{part.name} has no training record: nobody can tell whether it has seen these persons")
                continue
            seen = shared_subjects(part.training, people)
            if seen:
                few = ", ".join(sorted(seen)[:3]) + (", ..." if len(seen) > 3 else "")
                words = f"{part.name} was trained on {len(seen)} of the {len(people)} persons tested ({few})"
                if refused:
                    raise SubjectLeak(
                        f"{words}; leave them out with --unseen, test it on others, or say --allow-leak and call the "
                        "figure flattering"
                    )
                notes.append(f"LEAK: {words}; the figures flatter it" if part is self.encoder else words)
            unlisted = [one.dataset for one in part.training if one.subjects is None]
            if unlisted and part is self.encoder:
                notes.append(
                    f"{part.name} was trained on {', '.join(unlisted)}, whose persons are not listed: "
                    "some may be tested here"
                )
            for name in unlisted if part is self.detector else ():
                if name.casefold() in dataset.casefold():
                    notes.append(f"{part.name} was trained on pictures of {name}, which is tested here")
        return notes


def open_system(asked: Asked, progress: Progress) -> System:
    """Loads what is to be measured.

    Raises:
        ModelError: a model is missing, tampered with or unfit, or the calibration belongs to another.
        OutputError: the template cache cannot be used.
    """
    settings = Settings.from_environment()
    model, detector = asked.model or settings.model, asked.detector or settings.detector
    threads = (settings.threads or 1) if asked.threads is None else asked.threads
    analyzer, entry, mirrored = wiring.load_parts(
        model, detector=detector, providers=asked.providers, threads=threads, mirror=asked.mirror
    )
    finder = None if wiring.names_own_file(detector) else find(detector).training()
    return System(
        analyzer=analyzer,
        rule=_rule(entry, analyzer.encoder.identity, mirrored, asked.calibration),
        encoder=Part(entry.name, entry.training()),
        detector=Part(analyzer.detector.name, finder),
        cache=open_cache(asked.cache),
        progress=progress,
    )


def _rule(entry: ModelEntry, identity: str, mirrored: bool, calibration: Path | None) -> DecisionRule | None:
    """The rule asked for, or the one beside the model if there is one: most figures need none."""
    if calibration is not None:
        return entry.rule(mirrored, calibration)
    rules = entry.rules() if entry.rules_path.exists() else ()
    return next((rule for rule in rules if rule.model == identity), None)


def numbered(photos: PhotoSet) -> tuple[list[str], NDArray[np.int32]]:
    """The persons in order of their names, and whose each photo is, as a place among them, shape (N,)."""
    names = sorted({photo.subject for photo in photos.photos})
    number = {name: place for place, name in enumerate(names)}
    return names, np.array([number[photo.subject] for photo in photos.photos], np.int32)


def stacked(acquired: Mapping[str, Acquired], paths: Sequence[str], *, refuse_poor: bool) -> NDArray[np.float32]:
    """Templates of pictures, float32 (N, D); a row of NaN is a failure to acquire.

    Raises:
        DataError: not one picture gave a template.
    """
    vectors = {path: acquired[path].vector for path in paths if acquired[path].usable(refuse_poor)}
    first = next((vector for vector in vectors.values() if vector is not None), None)
    if first is None:
        raise DataError(f"none of {len(paths)} pictures gave a template; are there faces in them?")
    empty = np.full(first.shape, np.nan, np.float32)
    rows = [empty if (vector := vectors.get(path)) is None else vector for path in paths]
    return np.stack(rows)
