"""Accuracy on LFW against fairness, for several runs of twin-r29: figures, and the picture in the model's card.

    python benchmarks/frontier.py --root DIR --development --point base=dlib --point a=RUN --point b=RUN@0.6 --out DIR

DIR holds `lfw/` and `faces-pool.tar.gz`. A point is a name and weights as `backbone.start` takes them: `dlib`, a
shipped encoder's name, a run's folder, a .safetensors, or several joined by + for their mean; behind an @ the share of
these weights in a blend with dlib's. Templates are of crop and mirror image, computed by torch.

With --development, to choose by: `accuracy` is 1 - (FMR + FNMR) / 2 at its best, over all pairs of pictures of View
1's persons, every person's mated pairs weighing alike; `ratio` is of the UTKFace adults that recipes/twin-r29.toml
keeps for validation. Without, to report: `accuracy` is View 2's, over ten folds, `ratio` of UTKFace's held-out half.

`ratio`: the highest FMR within a race over the lowest, at the threshold for FMR 1e-3 over all pairs of those adults;
`tar`: at FMR 1e-3, on LFW; `quarter`: the accuracy of crops shrunk to a quarter and enlarged, on the listed pairs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from twinface.core.types import Image
from twinface.datasets.files import Files
from twinface.datasets.lfw import Lfw, View, open_lfw
from twinface.datasets.pairs import LfwPair, people_in
from twinface.datasets.photos import Photo
from twinface.datasets.pool import open_pool
from twinface.datasets.splits import held_out, split_persons
from twinface.evaluation.verification import folded_accuracy
from twinface.training.cutting import Cutter
from twinface.training.preprocessing import preprocessing
from twinface.training.recipe import DataRecipe
from twinface.training.recipe_file import read_recipe
from twinface.training.sources import Choice
from twinface.training.start import starting_network

ADULT = 20
BATCH = 64
NEAR = 0.00025
CROPS = DataRecipe(margin=0)
RECIPE = read_recipe(Path(__file__).parents[1] / "recipes" / "twin-r29.toml")
FMR = 1e-3
QUARTER = 38
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Faces:
    """Crops to judge by.

    Attributes:
        lfw: of LFW.
        persons: number of each one's person.
        ends: places of the listed pairs, (P, 2).
        mated: of these, (P,).
        folds: of these, (P,).
        adults: of UTKFace.
        races: of these.
    """

    lfw: list[Image]
    persons: NDArray[np.int64]
    ends: NDArray[np.int64]
    mated: NDArray[np.bool_]
    folds: NDArray[np.int64]
    adults: list[Image]
    races: NDArray[np.str_]


def crops_of(files: Files, paths: Sequence[str], choice: Choice) -> dict[str, Image]:
    cutter = Cutter(CROPS)
    found = {name: cutter.cut(content, choice) for name, content in files.read(paths)}
    return {name: crop for name, crop in found.items() if not isinstance(crop, str)}


def gather(root: Path, development: bool) -> Faces:
    lfw = open_lfw(root / "lfw" if (root / "lfw").is_dir() else root)
    views: tuple[View, ...] = ("train", "test") if development else ("view2",)
    pairs = [pair for view in views for pair in lfw.pairs(view)]
    crops = crops_of(lfw.files, lfw_paths(lfw, pairs, development), "central")
    place = {path: number for number, path in enumerate(crops)}
    owner = {path: number for number, paths in enumerate(lfw.people().values()) for path in paths}
    ends = np.array([[place[lfw.path(*end)] for end in (pair.first, pair.second)] for pair in pairs])
    folds = np.array([pair.fold for pair in pairs])
    if development:  # View 1 has no folds
        folds = np.random.default_rng(0).permutation(len(pairs)) % 10
    pool = open_pool(root)
    shots = [one for one in pool.photos if one.subject.startswith("utkface/")]
    shots = [one for one in chosen(shots, development) if (one.years or 0) >= ADULT]
    adults = crops_of(pool.files, [one.path for one in shots], "largest")
    return Faces(
        list(crops.values()), np.array([owner[path] for path in crops]), ends,
        np.array([pair.mated for pair in pairs]), folds,
        list(adults.values()), np.array([one.groups["race"] for one in shots if one.path in adults]),
    )  # fmt: skip


def lfw_paths(lfw: Lfw, pairs: Sequence[LfwPair], development: bool) -> list[str]:
    if not development:
        return sorted({lfw.path(*end) for pair in pairs for end in (pair.first, pair.second)})
    people = lfw.people()
    return [path for name in sorted(people_in(pairs)) for path in people[name]]


def chosen(shots: list[Photo], development: bool) -> list[Photo]:
    """The held-out half, or those of the other half that the recipe validates by."""
    secret = [held_out(one.subject.removeprefix("utkface/"), RECIPE.data.held_out) for one in shots]
    if not development:
        return [one for one, hidden in zip(shots, secret, strict=True) if hidden]
    known = [one for one, hidden in zip(shots, secret, strict=True) if not hidden]
    kept = split_persons([one.subject for one in known], RECIPE.data.validation, f"validation {RECIPE.seed}")
    return [one for one, is_kept in zip(known, kept, strict=True) if is_kept]


def network_of(point: str) -> torch.nn.Module:
    names, _, share = point.rpartition("@") if "@" in point else (point, "", "1")
    states = [starting_network(name, "resnet29", 128, 150).state_dict() for name in names.split("+")]
    network, part = starting_network("dlib", "resnet29", 128, 150), float(share)
    base = network.state_dict()
    mean = {name: torch.stack([state[name] for state in states]).mean(0) for name in base}
    network.load_state_dict({name: base[name].lerp(mean[name], part) for name in base})
    return network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


@torch.inference_mode()
def templates_of(network: torch.nn.Module, crops: Sequence[Image], bf16: bool) -> Floats:
    prepare = preprocessing(RECIPE)
    parts = []
    for start in range(0, len(crops), BATCH):
        grey = torch.from_numpy(np.stack(crops[start : start + BATCH])).permute(0, 3, 1, 2).float()
        ready = prepare(grey)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            one, other = network(ready), network(ready.flip(3))
        parts.append(F.normalize(F.normalize(one.float()) + F.normalize(other.float())))
    return torch.cat(parts).numpy()


def coarse(crop: Image) -> Image:
    small = cv2.resize(crop, (QUARTER, QUARTER), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, crop.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def tar(distances: NDArray[np.float64], mated: NDArray[np.bool_], fmr: float) -> float:
    strangers = np.sort(distances[~mated])
    return float((distances[mated] < strangers[int(fmr * len(strangers))]).mean())


def balanced(distances: NDArray[np.float64], mated: NDArray[np.bool_], persons: NDArray[np.int64]) -> float:
    """1 - (FMR + FNMR) / 2 at the best threshold; `persons` of the mated pairs, each of whom weighs alike."""
    weights = 1.0 / np.bincount(persons)[persons]
    order = np.argsort(distances[mated])
    matched = np.cumsum(weights[order]) / weights.sum()
    strangers = np.sort(distances[~mated])
    fmr = np.searchsorted(strangers, distances[mated][order], side="right") / len(strangers)
    return float((1.0 - (fmr + 1.0 - matched) / 2.0).max())


def listed(templates: Floats, faces: Faces) -> NDArray[np.float64]:
    one, other = (templates[faces.ends[:, side]].astype(np.float64) for side in (0, 1))
    return np.asarray(np.linalg.norm(one - other, axis=1))


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


def measure(network: torch.nn.Module, faces: Faces, development: bool) -> dict[str, Any]:
    templates = templates_of(network, faces.lfw, development)
    pairs = listed(templates, faces)
    if development:
        first, second = np.triu_indices(len(templates), 1)
        mated = faces.persons[first] == faces.persons[second]
        distances = np.sqrt(np.maximum(2.0 - 2.0 * (templates @ templates.T)[first, second], 0.0)).astype(np.float64)
        accuracy, rate = balanced(distances, mated, faces.persons[first][mated]), tar(distances, mated, FMR)
    else:
        accuracy, rate = folded_accuracy(pairs, faces.mated, faces.folds).mean, tar(pairs, faces.mated, FMR)
    used, ends = np.unique(faces.ends, return_inverse=True)
    small = templates_of(network, [coarse(faces.lfw[place]) for place in used], development)
    few = replace(faces, ends=ends.reshape(faces.ends.shape))
    quarter = folded_accuracy(listed(small, few), faces.mated, faces.folds).mean
    rates = within_groups(templates_of(network, faces.adults, development), faces.races)
    ratio = max(rates.values()) / min(rates.values())
    return {"accuracy": accuracy, "tar": rate, "quarter": quarter, "ratio": ratio, "fmr": rates}


def draw(figures: dict[str, dict[str, Any]], out: Path, development: bool) -> None:
    from twinface.evaluation.style import BLUE, GREY, INK, VERMILION, begin, dress

    figure = begin("Accuracy against fairness", "every run tried; right and low is better")
    axes = figure.add_subplot()
    for name, one in figures.items():
        colour = GREY if name == "base" else VERMILION if name == "twin-r29" else BLUE
        size = 6 if colour == BLUE else 9
        spot = (100 * one["accuracy"], one["ratio"])
        axes.plot(*spot, "o", color=colour, markersize=size)
        is_crowded = colour == BLUE and any(
            abs(other["accuracy"] - one["accuracy"]) < NEAR and other["ratio"] > one["ratio"]
            for other in figures.values()
        )
        shift = (-7, -11) if is_crowded else (8, 4 if colour == BLUE else -12)
        align: Literal["left", "right"] = "right" if is_crowded else "left"
        axes.annotate(name, spot, shift, textcoords="offset points", color=INK, fontsize=8, horizontalalignment=align)
    axes.axhline(5, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_yscale("log")
    axes.set_yticks([1, 2, 3, 5, 10, 20, 50, 100, 200], [str(tick) for tick in (1, 2, 3, 5, 10, 20, 50, 100, 200)])
    axes.margins(x=0.15)
    accuracy = "accuracy on the persons of LFW View 1" if development else "accuracy on LFW View 2"
    dress(axes, f"{accuracy}, %", "FMR of the worst race over that of the best")
    figure.savefig(out, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--point", action="append", default=[], help="NAME=WEIGHTS[+WEIGHTS][@SHARE]; none draws anew")
    parser.add_argument("--out", type=Path, required=True, help="folder for frontier.json, added to, and frontier.png")
    parser.add_argument("--development", action="store_true", help="the figures to choose by, on other faces, in bf16")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    path = options.out / "frontier.json"
    figures: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else {}
    faces = gather(options.root, options.development) if options.point else None
    for point in options.point:
        name, _, weights = point.partition("=")
        assert faces is not None
        figures[name] = measure(network_of(weights), faces, options.development)
        print(name, json.dumps(figures[name]), flush=True)
        path.write_text(json.dumps(figures, indent=1) + "\n")
    draw(figures, options.out / "frontier.png", options.development)


if __name__ == "__main__":
    main()
