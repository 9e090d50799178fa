"""LFW View 2 with the shipped models: accuracy over ten folds, and how often the verdict is right at each FMR.

python benchmarks/view2.py --lfw DIR --lists DIR [--model resnet29] [--detector scout] [--flip/--no-flip] [--json]

`--lfw` is LFW's folder of people, `--lists` the folder that holds pairs.txt. Of several faces the central one counts,
as in LFW; a pair with a picture in which no face is found counts as judged "different".
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track

from twinface.app.wiring import load
from twinface.core.calibration import wilson
from twinface.core.types import Face
from twinface.datasets import lfw
from twinface.evaluation.verification import folded_accuracy
from twinface.services.recognition import Recognizer

Picture = tuple[str, int]


@dataclass(frozen=True, eq=False)
class Encoded:
    """Faces of pictures by person and number; pictures without a face are absent."""

    faces: dict[Picture, Face]
    wanted: int


def pictures_of(pairs: Iterable[lfw.LfwPair]) -> list[Picture]:
    return sorted({picture for pair in pairs for picture in (pair.first, pair.second)})


def encode(recognizer: Recognizer, root: Path, wanted: list[Picture], words: str) -> Encoded:
    """The central face of each picture with its template."""
    faces: dict[Picture, Face] = {}
    waiting: dict[Picture, Face] = {}
    for picture in track(wanted, description=words, console=Console(stderr=True), transient=True):
        found = recognizer.locate(lfw.picture(root, *picture)).faces
        place = lfw.central([face.box for face in found])
        if place is not None:
            waiting[picture] = found[place]
        if len(waiting) == 32:
            faces |= zip(waiting, recognizer.encode(list(waiting.values())), strict=True)
            waiting.clear()
    if waiting:
        faces |= zip(waiting, recognizer.encode(list(waiting.values())), strict=True)
    return Encoded(faces, len(wanted))


def distances(encoded: Encoded, pairs: list[lfw.LfwPair]) -> np.ndarray:
    """Distance of each pair, NaN where a face is missing."""
    gaps = []
    for pair in pairs:
        a, b = encoded.faces.get(pair.first), encoded.faces.get(pair.second)
        if a is None or b is None or a.template is None or b.template is None:
            gaps.append(math.nan)
        else:
            gaps.append(float(np.linalg.norm(a.template.vector - b.template.vector)))
    return np.array(gaps)


def accuracy(encoded: Encoded, pairs: list[lfw.LfwPair]) -> dict[str, Any]:
    result = folded_accuracy(distances(encoded, pairs), [pair.mated for pair in pairs], [pair.fold for pair in pairs])
    return {
        "accuracy": result.mean,
        "deviation_over_folds": result.deviation,
        "threshold": float(np.mean(result.thresholds)),
        "pictures_without_face": encoded.wanted - len(encoded.faces),
    }


def verdicts(recognizer: Recognizer, encoded: Encoded, pairs: list[lfw.LfwPair]) -> list[dict[str, Any]]:
    """How often the verdict is right at each operating point."""
    gaps, mated = distances(encoded, pairs), np.array([pair.mated for pair in pairs])
    report = []
    for point in recognizer.rule.points:
        same = np.array([point.accepts(gap) for gap in gaps])
        right, matches = int((same == mated).sum()), int(same[~mated].sum())
        report.append(
            {
                "target_fmr": point.fmr,
                "right": right / len(pairs),
                "right_interval": wilson(right, len(pairs)),
                "fmr": matches / int((~mated).sum()),
                "fmr_interval": wilson(matches, int((~mated).sum())),
                "fnmr": float((~same[mated]).mean()),
            }
        )
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lfw", type=Path, required=True)
    parser.add_argument("--lists", type=Path, required=True)
    parser.add_argument("--model")
    parser.add_argument("--detector")
    parser.add_argument("--flip", action=argparse.BooleanOptionalAction)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    recognizer = load(options.model, detector=options.detector, mirror=options.flip)
    pairs = lfw.read_pairs(options.lists / "pairs.txt")
    encoded = encode(recognizer, options.lfw, pictures_of(pairs), "View 2 pictures")
    poor = sum(not face.quality.usable for face in encoded.faces.values())
    report = {
        "encoder": recognizer.encoder_name,
        "detector": recognizer.detector_name,
        "pairs": len(pairs),
        "pictures": encoded.wanted,
        "pictures_refused_for_quality": poor,
        **accuracy(encoded, pairs),
        "verdicts": verdicts(recognizer, encoded, pairs),
    }
    if options.json:
        print(json.dumps(report, indent=1))
        return
    for name, value in report.items():
        if name != "verdicts":
            print(f"{name:32} {round(value, 5) if isinstance(value, float) else value}")
    for one in report["verdicts"]:
        low, high = one["right_interval"]
        print(
            f"at FMR {one['target_fmr']:g}: right {one['right']:.4f} ({low:.4f} to {high:.4f}), "
            f"FMR here {one['fmr']:.5f}, FNMR {one['fnmr']:.4f}"
        )


if __name__ == "__main__":
    main()
