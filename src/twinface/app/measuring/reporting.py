"""Results as a page, with its plots and figures beside it."""

from __future__ import annotations

import io
import json
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from twinface.app.machine import processor, versions
from twinface.app.measuring.fairness import FairnessResult
from twinface.app.measuring.figures import Figures
from twinface.app.measuring.folder import FolderResult
from twinface.app.measuring.identify import IdentifyResult
from twinface.app.measuring.lfw import LfwResult
from twinface.app.measuring.rows import fairness_tables, folder_tables, identify_tables, lfw_tables
from twinface.app.measuring.system import System
from twinface.core.files import reason, shown, write_atomically
from twinface.core.rates import scientific
from twinface.datasets.files import Files
from twinface.datasets.lfw import Lfw
from twinface.datasets.photos import PhotoSet
from twinface.errors import ImageError, OutputError, TwinFaceError
from twinface.evaluation import plots
from twinface.evaluation.fairness import Differential
from twinface.evaluation.report import Gallery, Notes, PicturePair, Plot, Report, Section, Table, write_report
from twinface.evaluation.scores import Scores
from twinface.vision.images import decode

WORST = 20
"""Errors of each kind that are shown as pictures."""

THUMBNAIL = 180
"""Longest side of those pictures, pixels."""

LIBRARIES = ("twinface", "numpy", "onnxruntime", "opencv-python-headless", "pillow")


def prepare(folder: Path, option: str = "--out") -> None:
    """Makes the folder and sees that a report can be written, before the work is done rather than after.

    Raises:
        OutputError: it cannot be made.
        TwinFaceError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise TwinFaceError(f'{option} draws with matplotlib; install it with: pip install "twinface[evaluate]"')
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{shown(folder)}: is a file, no folder; name a folder for the report")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".twinface-probe"
        probe.touch()
        probe.unlink()
    except (OSError, ValueError) as error:
        raise OutputError(f"{shown(folder)}: no report can be written there ({reason(error)}); name another") from error


def report_lfw(folder: Path, result: LfwResult, system: System, lfw: Lfw, figures: dict[str, Any]) -> Path:
    """Writes what `evaluate lfw` found; returns the page's path."""
    names = [
        (lfw.path(*pair.first), lfw.path(*pair.second)) for pair in result.pairs
    ]  # fmt: skip
    threshold = figures["threshold"]
    title = "LFW View 2" if result.options.protocol == "view2" else f"LFW View 1, {result.options.split}"
    return _write(
        folder,
        f"{title}: {system.encoder.name} with {system.detector.name}",
        _summary(system, result.dataset, result.seconds),
        lfw_tables(result),
        [
            *_verification_plots(result.figures, result.scores, threshold),
            *_worst(lfw.files, result.scores, names, threshold),
        ],
        result.notes,
        figures,
    )


def report_folder(
    folder: Path, result: FolderResult, system: System, photos: PhotoSet, figures: dict[str, Any]
) -> Path:
    """Writes what `evaluate folder` found; returns the page's path."""
    threshold = None
    if result.suggestion is not None:
        threshold = result.suggestion.value
    elif system.rule is not None:
        threshold = system.rule.point().threshold
    pairing = result.pairing
    sections: list[Section] = []
    if result.figures.curve is not None:
        sections = _verification_plots(result.figures, pairing.scores, threshold)
    if threshold is not None:
        sections += _worst(photos.files, pairing.scores, _Names(result.paths, pairing.first, pairing.second), threshold)
    if result.failed:
        sections.append(Table("Pictures without a usable face", ("picture", "reason"), result.failed))
    return _write(
        folder, f"{result.dataset}: {system.encoder.name} with {system.detector.name}",
        _summary(system, result.dataset, result.seconds), folder_tables(result), sections,
        (*result.warnings, *result.notes), figures,
    )  # fmt: skip


def report_identify(folder: Path, result: IdentifyResult, system: System, figures: dict[str, Any]) -> Path:
    """Writes what `evaluate identify` found; returns the page's path."""
    fpir = result.sets[0].fpir
    rows = [(one.gallery, one.fnir.value, one.fnir.low, one.fnir.high) for one in result.sets]
    sections = [
        Plot("Misses by size of the gallery", plots.fnir(f"FNIR at FPIR {fpir:g} by gallery size", rows),
             "How often an enrolled person is not found, at the threshold that lets so few strangers pass."),
        Plot("Right person among the nearest", plots.cmc({f"{one.gallery:,} enrolled": one.cmc for one in result.sets}),
             "Identification rate over rank, whatever the distance."),
    ]  # fmt: skip
    return _write(
        folder, f"Identification on {result.dataset}: {system.encoder.name} with {system.detector.name}",
        _summary(system, result.dataset, result.seconds), identify_tables(result), sections, result.notes, figures,
    )  # fmt: skip


def report_fairness(folder: Path, result: FairnessResult, system: System, figures: dict[str, Any]) -> Path:
    """Writes what `evaluate fairness` found; returns the page's path."""
    sections: list[Section] = []
    for way in result.groupings:
        sections.append(_group_plot(f"False matches by {way.name}", way.matches, "FMR", result.point.fmr))
        if way.non_matches is not None:
            sections.append(_group_plot(f"False non-matches by {way.name}", way.non_matches, "FNMR", None))
    return _write(
        folder, f"Error rates by group on {result.dataset}: {system.encoder.name} with {system.detector.name}",
        _summary(system, result.dataset, result.seconds), fairness_tables(result), sections, result.notes, figures,
    )  # fmt: skip


class _Names:
    """Paths of pairs, made when asked for: there may be millions."""

    def __init__(self, paths: Sequence[str], first: np.ndarray, second: np.ndarray) -> None:
        self._paths, self._first, self._second = paths, first, second

    def __getitem__(self, place: int) -> tuple[str, str]:
        return self._paths[self._first[place]], self._paths[self._second[place]]


def _write(
    folder: Path,
    title: str,
    summary: list[tuple[str, str]],
    tables: Sequence[Table],
    sections: Sequence[Section],
    notes: Sequence[str],
    figures: dict[str, Any],
) -> Path:
    for place, section in enumerate(sections, 1):
        if isinstance(section, Plot):
            stem = "".join(letter if letter.isalnum() else "-" for letter in section.title.lower())[:60]
            plots.save_figure(section.figure, folder, f"{place:02d}-{stem}")
    text = json.dumps(figures, indent=1, allow_nan=False) + "\n"
    write_atomically(folder / "figures.json", lambda file: file.write(text.encode()))
    return write_report(folder, Report(title, summary, [Notes("Read this first", notes), *tables, *sections]))


def _summary(system: System, dataset: str, seconds: float) -> list[tuple[str, str]]:
    program, *words = sys.argv or ["twinface"]
    name = "twinface" if Path(program).stem in ("twinface", "__main__") else Path(program).name
    return [
        ("model", system.encoder.name),
        ("detector", system.detector.name),
        ("data", dataset),
        ("command", shlex.join([name, *words])),
        ("date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("took", f"{seconds:.1f} s on {processor()}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions(LIBRARIES).items())),
    ]


def _verification_plots(figures: Figures, scores: Scores, threshold: float | None) -> list[Section]:
    assert figures.curve is not None  # whoever has both kinds of pairs has a curve
    pairs = (figures.mated, figures.non_mated)
    curve = {"": figures.curve}
    return [
        Plot("Distances", plots.distance_histogram(scores, threshold),
             "Mated pairs lie to the left, non-mated pairs to the right; where they overlap, errors are made."),
        Plot("ROC", plots.roc(curve, pairs=pairs),
             "The share of mated pairs accepted over the share of non-mated ones."),
        Plot("DET", plots.det(curve, pairs=pairs), "Both error rates on normal-deviate axes."),
        Plot("Threshold sweep", plots.threshold_sweep(figures.curve, threshold, pairs=pairs),
             "Both error rates and the accuracy over the threshold."),
    ]  # fmt: skip


def _worst(files: Files, scores: Scores, names: Any, threshold: float) -> list[Section]:
    """The nearest non-mated and the farthest mated pairs, as pictures, where the threshold judges them wrongly."""
    gaps = scores.distances.astype(np.float64)
    matches = np.flatnonzero(~scores.mated & (gaps <= threshold))
    misses = np.flatnonzero(scores.mated & (gaps > threshold))
    kinds = (
        ("Worst false matches", "pairs of two persons taken for one", matches[np.argsort(gaps[matches])]),
        ("Worst false non-matches", "pairs of one person taken for two", misses[np.argsort(-gaps[misses])]),
    )
    wanted = {path for _, _, places in kinds for place in places[:WORST] for path in names[place]}
    pictures = {path: _thumbnail(content) for path, content in files.read(wanted)} if wanted else {}
    sections: list[Section] = []
    for title, words, places in kinds:
        pairs = []
        for place in places[:WORST]:
            left, right = names[place]
            caption = f"{_short(left)} and {_short(right)}: {gaps[place]:.3f}"
            pairs.append(PicturePair(pictures[left], pictures[right], caption))
        shown_here = f", the {len(pairs)} worst of them" if places.size > len(pairs) else ""
        note = f"{places.size:,} {words} at threshold {threshold:.4f}{shown_here}. Captions end with the distance."
        sections.append(Gallery(title, pairs, note))
    return sections


def _short(path: str) -> str:
    """A picture's own name: its folder says no more where LFW repeats it."""
    folder, _, name = path.rpartition("/")
    person = folder.rpartition("/")[2]
    return name if not person or name.startswith(person) else f"{person}/{name}"


def _thumbnail(content: bytes) -> bytes:
    """A small JPEG of a picture; nothing where it cannot be read."""
    try:
        picture = PillowImage.fromarray(decode(content).pixels)
    except ImageError:
        return b""
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return file.getvalue()


def _group_plot(title: str, found: Differential, rate: str, target: float | None) -> Plot:
    rows = [
        (one.group, one.rate, one.low, one.high)
        for one in found.groups
        if one.rate is not None and one.low is not None and one.high is not None
    ]
    words = f"{rate} within each group with its 95% interval"
    caption = f"{words}; the dashed line is what the threshold was made for, {scientific(target)}." if target else words
    return Plot(title, plots.group_rates(title, rows, target=target, rate=rate), caption)
