"""What several pictures of a person are worth, and by which distance to her: the evidence for `gallery/fusion.py`.

    python benchmarks/fusion.py (--root LFW | --on FOLDER) [--json]

Random galleries of people with several pictures each; a probe of everybody enrolled and of strangers. Rules: the
distance to the nearest template, to the mean template, and the mean of the two, which is what TwinFace does. For each
the FNIR at the threshold where 1% of these strangers are named, and FPIR and FNIR at the threshold that `twinface
identify` would use, which was fitted elsewhere. LFW's persons whom the encoder was trained on are left out; with
--on they are not, which flatters all rules alike.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twinface.app.cache import open_cache
from twinface.app.cli.progress import progress
from twinface.app.measuring.system import Part, System, numbered, stacked
from twinface.app.wiring import load_parts
from twinface.core.identification import identification_point
from twinface.core.similarity import distances, normalise
from twinface.datasets.lfw import open_lfw
from twinface.datasets.photos import open_folder

RULES = ("nearest", "mean", "both")
FPIR = 0.01
STRANGERS = 1500
DRAWS = 20

Floats = NDArray[np.float32]


def by_rules(probes: Floats, enrolled: Floats) -> dict[str, Floats]:
    """Distances of probes (M, D) to people (P, K, D) by each rule, shape (M, P)."""
    people, pictures, dimension = enrolled.shape
    gaps = distances(probes, enrolled.reshape(-1, dimension)).reshape(len(probes), people, pictures)
    nearest, mean = gaps.min(axis=2), distances(probes, normalise(enrolled.mean(axis=1)))
    return {"nearest": nearest, "mean": mean, "both": (nearest + mean) / 2}


def draw(
    templates: Floats, subjects: NDArray[np.int64], size: int, pictures: int, random: np.random.Generator
) -> Mapping[str, tuple[Floats, Floats]]:
    """One gallery: by rule the distances of those enrolled to themselves (2 where not nearest), and of strangers."""
    counts = np.bincount(subjects)
    people = random.choice(np.flatnonzero(counts > pictures), size, replace=False)
    rows = [random.permutation(np.flatnonzero(subjects == person)) for person in people]
    outside = np.setdiff1d(np.flatnonzero(counts), people)
    chosen = random.choice(outside, min(STRANGERS, outside.size), replace=False)
    _, first = np.unique(subjects, return_index=True)
    strangers = templates[first[np.searchsorted(np.flatnonzero(counts), chosen)]]
    enrolled = templates[np.stack([row[:pictures] for row in rows])]
    mated = by_rules(templates[[row[pictures] for row in rows]], enrolled)
    non_mated = by_rules(strangers, enrolled)
    own = {
        rule: np.where(gaps.argmin(axis=1) == np.arange(size), gaps[np.arange(size), np.arange(size)], np.float32(2))
        for rule, gaps in mated.items()
    }
    return {rule: (own[rule], non_mated[rule].min(axis=1)) for rule in RULES}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="LFW")
    parser.add_argument("--on", type=Path, help="a folder with one folder a person")
    parser.add_argument("--model")
    parser.add_argument("--sizes", default="20,100,300")
    parser.add_argument("--pictures", default="1,2,3,5")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if (asked.root is None) == (asked.on is None):
        parser.error("give --root or --on")
    analyzer, entry, mirrored = load_parts(asked.model)
    part = Part(entry.name, entry.training())
    rule = entry.rule(mirrored)
    system = System(analyzer, rule, part, Part(analyzer.detector.name, None), open_cache(), progress)
    photos = open_folder(asked.on) if asked.on is not None else system.unseen(open_lfw(asked.root).photos())
    _, numbers = numbered(photos)
    paths = [photo.path for photo in photos.photos]
    templates = stacked(system.acquire(photos.files, paths, "central"), paths, refuse_poor=True)
    sound = np.isfinite(templates).all(axis=1)
    templates, subjects = templates[sound], np.asarray(numbers, np.int64)[sound]
    told = []
    for pictures in map(int, asked.pictures.split(",")):
        for size in map(int, asked.sizes.split(",")):
            if (np.bincount(subjects) > pictures).sum() < size or np.unique(subjects).size < size + 100:
                continue
            random = np.random.default_rng(0)
            drawn = [draw(templates, subjects, size, pictures, random) for _ in range(DRAWS)]
            deployed = identification_point(rule, size * pictures, FPIR).threshold
            row: dict[str, float] = {"people": size, "pictures": pictures, "threshold": deployed}
            for name in RULES:
                own = np.concatenate([one[name][0] for one in drawn])
                nearest = np.concatenate([one[name][1] for one in drawn])
                row[f"{name} fnir"] = float((own > np.quantile(nearest, FPIR)).mean())
                row[f"{name} deployed fpir"] = float((nearest <= deployed).mean())
                row[f"{name} deployed fnir"] = float((own > deployed).mean())
            told.append(row)
    if asked.json:
        print(json.dumps(told, indent=1))
        return
    print(f"{photos.name}, {entry.name}: FNIR at FPIR {FPIR:g} here; FPIR and FNIR at the deployed threshold")
    print("people pictures | " + " | ".join(f"{name:^24}" for name in RULES))
    for row in told:
        cells = [
            f"{row[f'{name} fnir']:6.1%}; {row[f'{name} deployed fpir']:6.2%} {row[f'{name} deployed fnir']:6.1%}"
            for name in RULES
        ]
        print(f"{row['people']:6.0f} {row['pictures']:8.0f} | " + " | ".join(f"{cell:^24}" for cell in cells))


if __name__ == "__main__":
    main()
