"""Whether an int8 model may ship: View 2 of it and of its float original, and both encoders' speed, turn about.

    python benchmarks/quantised.py FLOAT.json INT8.json --root LFW [--repeats 60] [--json]

A model is a shipped one's name or the path of a contract, as `twinface export` writes it. Both encode the same aligned
crops of LFW on one thread, without the mirror; the speed-up is the median over pairs of runs, which take turns at going
first. It ships if View 2 (with the mirror as the contract says) loses at most 0.1 points and encoding takes at most two
thirds of the time; needs a processor with int8 dot products (AVX512-VNNI or the like) and an idle machine.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from twinface.app.benchmarking.spread import Spread, spread
from twinface.app.cli.progress import progress
from twinface.app.machine import processor
from twinface.app.measuring.lfw import LfwResult, Options, evaluate_lfw
from twinface.app.measuring.system import Asked, open_system
from twinface.core.types import Image
from twinface.datasets.lfw import Lfw, open_lfw
from twinface.models.registry import find_encoder
from twinface.vision.encoder import OnnxEncoder
from twinface.vision.session import Session, SessionOptions

MOST_LOST = 0.001
"""Share of View 2's pairs; 0.1 points."""

LEAST_GAIN = 1.5
"""Times faster."""

FACES = 16
"""Crops that are encoded in turn; templates cost the same whatever the face."""


@dataclass(frozen=True)
class Figures:
    """What was measured of one model.

    Attributes:
        name: of the model.
        accuracy: on View 2, mean over the folds.
        error: its standard error.
        megabytes: of the network's file.
        encode: milliseconds a crop.
        notes: what the reader must know of the accuracy.
    """

    name: str
    accuracy: float
    error: float
    megabytes: float
    encode: Spread
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """What follows.

    Attributes:
        lost: accuracy of the float model less that of the int8 model.
        gain: how many times faster the int8 model is.
        ships: whether both are within bounds.
    """

    lost: float
    gain: Spread
    ships: bool


def judge(lost: float, gain: Spread) -> Verdict:
    """Applies the rule; rounding of the subtraction does not decide."""
    return Verdict(lost, gain, lost <= MOST_LOST + 1e-9 and gain.median >= LEAST_GAIN)


def view2(model: str, lfw: Lfw, allow_leak: bool) -> LfwResult:
    system = open_system(Asked(model), progress)
    return evaluate_lfw(system, lfw, Options(allow_leak=allow_leak))


def lfw_crops(model: str, lfw: Lfw) -> list[Image]:
    """Aligned crops of the first persons of LFW with a face that is found."""
    analyzer = open_system(Asked(model), progress).analyzer
    names = [pictures[0] for pictures in lfw.people().values()][: 2 * FACES]
    found = [analyzer.locate(content).faces[:1] for _, content in lfw.files.read(names)]
    return [face.crop for faces in found for face in faces][:FACES]


def race(models: Sequence[str], crops: Sequence[Image], repeats: int) -> tuple[list[list[float]], list[float]]:
    """Milliseconds of each model, and of each pair of runs how many times faster the second model was."""
    encoders = []
    for model in models:
        entry, contract = find_encoder(model)
        session = Session(entry.path, contract.sha256, SessionOptions(threads=1))
        encoders.append(OnnxEncoder(contract, session, mirror=False))
    times: list[list[float]] = [[], []]
    for turn in range(-3, repeats):  # the first turns only warm up
        crop = [crops[turn % len(crops)]]
        for side in (1, 0) if turn % 2 else (0, 1):
            began = time.perf_counter()
            encoders[side].encode(crop)
            if turn >= 0:
                times[side].append((time.perf_counter() - began) * 1000)
    return times, [one / other for one, other in zip(*times, strict=True)]


def measure(models: Sequence[str], lfw: Lfw, repeats: int, allow_leak: bool) -> tuple[list[Figures], Verdict]:
    """Both models' figures, float first, and the verdict."""
    times, gains = race(models, lfw_crops(models[0], lfw), repeats)
    figures = []
    for model, taken in zip(models, times, strict=True):
        entry, contract = find_encoder(model)
        result = view2(model, lfw, allow_leak)
        folded = result.folded
        assert folded is not None
        error, size = folded.deviation / len(folded.folds) ** 0.5, entry.path.stat().st_size / 1e6
        figures.append(Figures(contract.name, folded.mean, error, size, spread(taken), result.notes))
    return figures, judge(figures[0].accuracy - figures[1].accuracy, spread(gains))


def show(figures: Sequence[Figures], verdict: Verdict) -> None:
    for one in figures:
        print(
            f"{one.name:24} View 2 {one.accuracy:.4f} +- {one.error:.4f}   {one.encode.median:6.2f} ms a crop "
            f"({one.encode.low:.2f}-{one.encode.high:.2f})   {one.megabytes:.1f} MB"
        )
    print(
        f"int8 loses {100 * verdict.lost:.2f} points (at most {100 * MOST_LOST:g}) and is {verdict.gain.median:.2f}x "
        f"as fast ({verdict.gain.low:.2f}-{verdict.gain.high:.2f}; at least {LEAST_GAIN:g}): "
        + ("ships" if verdict.ships else "dropped")
    )
    for note in dict.fromkeys(note for one in figures for note in one.notes):
        print(f"note: {note}")
    print(f"one thread, {processor()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs=2, metavar="MODEL", help="the float model, then the int8 one")
    parser.add_argument("--root", type=Path, required=True, help="LFW with its pair lists: folder or archive")
    parser.add_argument("--repeats", type=int, default=60, help="of the timed encoding")
    parser.add_argument("--allow-leak", action="store_true", help="the models were trained on persons of View 2")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    options = parser.parse_args()
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    figures, verdict = measure(options.models, open_lfw(options.root), options.repeats, options.allow_leak)
    if options.json:
        facts: dict[str, Any] = {"models": [asdict(one) for one in figures], "verdict": asdict(verdict)}
        print(json.dumps(facts | {"processor": processor()}))
    else:
        show(figures, verdict)


if __name__ == "__main__":
    main()
