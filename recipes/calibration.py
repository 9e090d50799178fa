"""Measures the decision rules of an encoder on LFW's DevTrain: probability curve and operating points.

python recipes/calibration.py --lfw DIR --lists DIR [--model resnet29]

Mated pairs: all pairs of pictures of one person, at most 45 a person, among the pictures of pairsDevTrain.txt.
Non-mated pairs: all against all among those pictures. Poor faces count: a threshold must hold for them too.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import combinations, islice
from pathlib import Path

import numpy as np

from twinface.app.wiring import load_detector
from twinface.core.calibration import fit_probability, threshold_at, wilson
from twinface.core.contract import EncoderContract
from twinface.core.decision import DecisionRule, OperatingPoint, write_rules
from twinface.core.similarity import distances
from twinface.datasets import lfw
from twinface.models.registry import RULES_SUFFIX, find_encoder
from twinface.vision.encoder import OnnxEncoder
from twinface.vision.pipeline import FaceAnalyzer
from twinface.vision.session import Session

TARGETS = (1e-2, 1e-3, 1e-4)
DEFAULT_FMR = 1e-3
PAIRS_A_PERSON = 45


def rule(contract: EncoderContract, mirror: bool, vectors: np.ndarray, people: np.ndarray) -> DecisionRule:
    names, subject = np.unique(people, return_inverse=True)
    gaps = distances(vectors, vectors)
    upper = np.triu_indices(len(vectors), 1)
    gap, pair = gaps[upper], np.column_stack([subject[upper[0]], subject[upper[1]]])
    other = pair[:, 0] != pair[:, 1]
    mated = np.array(
        [
            gaps[one, two]
            for place in range(len(names))
            for one, two in islice(combinations(np.flatnonzero(subject == place), 2), PAIRS_A_PERSON)
        ]
    )
    far, far_pairs = gap[other], pair[other]
    identity = contract.identity(mirror)
    points = []
    for target in TARGETS:
        threshold = threshold_at(far, far_pairs, target)
        missed = int((mated > threshold.value).sum())
        low, high = wilson(missed, mated.size)
        points.append(
            OperatingPoint(
                identity,
                "LFW DevTrain",
                target,
                round(threshold.value, 5),
                round(threshold.low, 5),
                round(threshold.high, 5),
                int(far.size),
                int(mated.size),
                round(missed / mated.size, 6),
                round(low, 6),
                round(high, 6),
            )
        )
        print(f"mirror={mirror} FMR {target:g}: {points[-1]}")
    curve = fit_probability(mated, far)
    curve = replace(
        curve, slope=round(curve.slope, 5), intercept=round(curve.intercept, 5), floor=round(curve.floor, 7)
    )
    print(f"mirror={mirror} {curve}")
    return DecisionRule(identity, curve, tuple(points), DEFAULT_FMR)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lfw", type=Path, required=True)
    parser.add_argument("--lists", type=Path, required=True)
    parser.add_argument("--model", default="resnet29")
    parser.add_argument("--detector", default="scout")
    options = parser.parse_args()
    entry, contract = find_encoder(options.model)
    pairs = lfw.read_pairs(options.lists / "pairsDevTrain.txt")
    wanted = sorted({picture for pair in pairs for picture in (pair.first, pair.second)})
    finder = load_detector(options.detector)
    encoders = {
        mirror: OnnxEncoder(contract, Session(entry.path, contract.sha256), mirror=mirror) for mirror in (True, False)
    }
    analyzer = FaceAnalyzer(finder, encoders[True], contract)
    faces, people = [], []
    for name, number in wanted:
        analysis = analyzer.locate(lfw.picture(options.lfw, name, number))
        place = lfw.central([face.box for face in analysis.faces])
        if place is None:
            print(f"no face: {name} {number}")
            continue
        faces.append(analysis.faces[place])
        people.append(name)
    print(f"{len(faces)} of {len(wanted)} pictures")
    crops = [face.crop for face in faces]
    rules = tuple(rule(contract, mirror, encoders[mirror].encode(crops), np.array(people)) for mirror in (True, False))
    path = entry.folder / f"{contract.name}{RULES_SUFFIX}"
    path.write_text(write_rules(rules), encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
