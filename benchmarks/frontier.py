"""Accuracy on LFW against fairness on held-out faces, for several runs: figures and the picture in the model's card.

    python benchmarks/frontier.py --root DIR --point base=dlib --point twin-r29=RUN --point half=RUN@0.5 --out DIR

DIR holds `lfw/` and `faces-pool.tar.gz`. A point is a name and weights as `backbone.start` takes them: `dlib`, a run's
folder, a .safetensors; behind an @ the share of these weights in a blend with dlib's. Templates are of crop and mirror
image, computed by torch. `ratio`: adults of the held-out half of UTKFace, at the threshold for FMR 1e-3 over all pairs;
the highest FMR within a race over the lowest. `quarter`: View 2 with crops shrunk to a quarter and enlarged again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from twinface.core.types import Image
from twinface.datasets.files import Files
from twinface.datasets.lfw import open_lfw
from twinface.datasets.pool import open_pool
from twinface.datasets.splits import held_out
from twinface.evaluation.verification import folded_accuracy
from twinface.training.cutting import Cutter
from twinface.training.preprocessing import preprocessing
from twinface.training.recipe import BackboneRecipe, DataRecipe, Recipe
from twinface.training.sources import Choice
from twinface.training.start import starting_network

ADULT = 20
BATCH = 64
CROPS = DataRecipe(margin=0)
FMR = 1e-3
QUARTER = 38
Floats = NDArray[np.float32]


def crops_of(files: Files, paths: Sequence[str], choice: Choice) -> dict[str, Image]:
    cutter = Cutter(CROPS)
    found = {name: cutter.cut(content, choice) for name, content in files.read(paths)}
    return {name: crop for name, crop in found.items() if not isinstance(crop, str)}


def network_of(point: str) -> torch.nn.Module:
    start, _, share = point.rpartition("@") if "@" in point else (point, "", "1")
    network = starting_network(start, "resnet29", 128, 150)
    if float(share) < 1.0:
        base = starting_network("dlib", "resnet29", 128, 150).state_dict()
        trained = network.state_dict()
        network.load_state_dict({name: base[name].lerp(trained[name], float(share)) for name in base})
    return network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


@torch.inference_mode()
def templates_of(network: torch.nn.Module, crops: Sequence[Image]) -> Floats:
    prepare = preprocessing(Recipe("frontier", backbone=BackboneRecipe("resnet29")))
    parts = []
    for start in range(0, len(crops), BATCH):
        grey = torch.from_numpy(np.stack(crops[start : start + BATCH])).permute(0, 3, 1, 2).float()
        ready = prepare(grey)
        parts.append(F.normalize(F.normalize(network(ready)) + F.normalize(network(ready.flip(3)))))
    return torch.cat(parts).numpy()


def coarse(crop: Image) -> Image:
    small = cv2.resize(crop, (QUARTER, QUARTER), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, crop.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def tar(distances: NDArray[np.float64], mated: NDArray[np.bool_], fmr: float) -> float:
    strangers = np.sort(distances[~mated])
    return float((distances[mated] < strangers[int(fmr * len(strangers))]).mean())


def within_groups(templates: Floats, groups: NDArray[np.str_]) -> dict[str, float]:
    """FMR within each group at the threshold for FMR over all pairs."""
    alike = templates @ templates.T
    every = alike[np.triu_indices(len(alike), 1)]
    place = len(every) - int(FMR * len(every))
    threshold = np.partition(every, place)[place]
    found = {}
    for group in sorted(set(groups)):
        rows = np.flatnonzero(groups == group)
        own = alike[np.ix_(rows, rows)][np.triu_indices(len(rows), 1)]
        found[str(group)] = float((own >= threshold).mean())
    return found


def draw(figures: dict[str, dict[str, Any]], out: Path) -> None:
    from twinface.evaluation.style import BLUE, GREY, INK, VERMILION, begin, dress

    figure = begin("Accuracy against fairness", "every run tried; right and low is better")
    axes = figure.add_subplot()
    for name, one in figures.items():
        colour = GREY if name == "base" else VERMILION if name == "twin-r29" else BLUE
        axes.plot(100 * one["view2"], one["ratio"], "o", color=colour, markersize=8 if colour != BLUE else 6)
        axes.annotate(
            name, (100 * one["view2"], one["ratio"]), (6, 4), textcoords="offset points", color=INK, fontsize=8
        )
    axes.axhline(5, color=GREY, linewidth=0.8, linestyle=":")
    axes.axvline(99.0, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_yscale("log")
    axes.set_yticks([1, 2, 3, 5, 10, 20, 50, 100, 200], [str(tick) for tick in (1, 2, 3, 5, 10, 20, 50, 100, 200)])
    axes.margins(x=0.15)
    dress(axes, "accuracy on LFW View 2, %", "FMR of the worst race over that of the best")
    figure.savefig(out, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--point", action="append", required=True, help="NAME=WEIGHTS or NAME=WEIGHTS@SHARE")
    parser.add_argument("--out", type=Path, required=True, help="folder for frontier.json and frontier.png")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    lfw = open_lfw(options.root / "lfw" if (options.root / "lfw").is_dir() else options.root)
    pairs = lfw.pairs("view2")
    wanted = sorted({lfw.path(*end) for pair in pairs for end in (pair.first, pair.second)})
    faces = crops_of(lfw.files, wanted, "central")
    pool = open_pool(options.root)
    shots = [one for one in pool.photos if one.subject.startswith("utkface/") and (one.years or 0) >= ADULT]
    shots = [one for one in shots if held_out(one.subject.removeprefix("utkface/"), 0.5)]
    adults = crops_of(pool.files, [one.path for one in shots], "largest")
    shots = [one for one in shots if one.path in adults]
    groups = np.array([one.groups["race"] for one in shots])
    place = {name: number for number, name in enumerate(faces)}
    ends = np.array([[place[lfw.path(*end)] for end in (pair.first, pair.second)] for pair in pairs])
    mated, folds = np.array([pair.mated for pair in pairs]), np.array([pair.fold for pair in pairs])
    path = options.out / "frontier.json"
    figures: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else {}
    for point in options.point:
        name, _, weights = point.partition("=")
        network = network_of(weights)
        one: dict[str, Any] = {}
        for key, crops in (("", list(faces.values())), ("quarter", [coarse(crop) for crop in faces.values()])):
            found = templates_of(network, crops).astype(np.float64)
            distances = np.linalg.norm(found[ends[:, 0]] - found[ends[:, 1]], axis=1)
            accuracy = folded_accuracy(distances, mated, folds).mean
            one |= {key or "view2": accuracy, f"{key}_tar_1e-3".strip("_"): tar(distances, mated, FMR)}
        rates = within_groups(templates_of(network, [adults[shot.path] for shot in shots]), groups)
        one |= {"ratio": max(rates.values()) / min(rates.values()), "fmr": rates}
        figures[name] = one
        print(name, json.dumps(one), flush=True)
        path.write_text(json.dumps(figures, indent=1) + "\n")
    draw(figures, options.out / "frontier.png")


if __name__ == "__main__":
    main()
