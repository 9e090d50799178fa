"""False matches within groups of people, at the shipped operating points, on UTKFace pictures.

python benchmarks/groups.py --pool DIR [--model resnet29] [--detector scout] [--json]

Files are named <age>_<gender>_<race>_<stamp>; every picture shows, as a rule, another person, so that all pairs within
a group count as non-mated. Adults (20 and older) only; pictures without a face found are left out and counted.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track

from twinface.app.wiring import load
from twinface.core.similarity import distances
from twinface.core.types import Face
from twinface.training.pictures import pool_pictures

RACES = ("White", "Black", "Asian", "Indian", "Other")
GENDERS = ("men", "women")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--model")
    parser.add_argument("--detector")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    recognizer = load(options.model, detector=options.detector)
    people: list[tuple[str, str]] = []
    faces: list[Face] = []
    vectors: list[np.ndarray] = []
    missed = 0
    paths = pool_pictures(options.pool)[1][:: options.every]
    for path in track(paths, description="UTKFace", console=Console(stderr=True), transient=True):
        words = path.stem.split("_")
        if len(words) != 4 or int(words[0]) < 20:  # three of UTKFace's files lack their race
            continue
        gender, race = int(words[1]), int(words[2])
        found = recognizer.locate(path).faces
        if not found:
            missed += 1
            continue
        people.append((GENDERS[gender], RACES[race]))
        faces.append(found[0])
        if len(faces) == 32:
            vectors += [one.template.vector for one in recognizer.encode(faces) if one.template]
            faces.clear()
    vectors += [one.template.vector for one in recognizer.encode(faces) if one.template]
    matrix = np.stack(vectors)
    gender_of, race_of = np.array(people).T
    groups = {"all": np.ones(len(matrix), bool)}
    groups |= {name: race_of == name for name in RACES} | {name: gender_of == name for name in GENDERS}
    groups |= {f"{race} {gender}": (race_of == race) & (gender_of == gender) for race in RACES for gender in GENDERS}
    report: dict[str, Any] = {"pictures": len(matrix), "no_face": missed, "groups": {}}
    for name, members in groups.items():
        chosen = matrix[members]
        gaps = distances(chosen, chosen)[np.triu_indices(len(chosen), 1)]
        rates = {f"{point.fmr:g}": float((gaps <= point.threshold).mean()) for point in recognizer.rule.points}
        report["groups"][name] = {"persons": int(members.sum()), "fmr_at_target": rates}
    if options.json:
        print(json.dumps(report, indent=1))
        return
    print(f"{report['pictures']} pictures of adults, {missed} more without a face found")
    targets = [f"{point.fmr:g}" for point in recognizer.rule.points]
    print(f"{'FMR within':16} {'persons':>8} " + " ".join(f"{'at ' + target:>10}" for target in targets))
    for name, figures in report["groups"].items():
        line = " ".join(f"{figures['fmr_at_target'][target]:10.5f}" for target in targets)
        print(f"{name:16} {figures['persons']:8} {line}")


if __name__ == "__main__":
    main()
