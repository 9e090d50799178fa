"""The whole way on photographs that nobody trained on: LFW pairs of View 2."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from twinface.core.calibration import wilson
from twinface.datasets.pairs import read_pairs
from twinface.services.recognition import Recognizer

PAIRS = 120


@pytest.fixture(scope="module")
def data() -> Path:
    found = os.environ.get("TWINFACE_TEST_DATA")
    if not found or not (Path(found) / "lfw" / "lfw-deepfunneled.tgz").is_file():
        pytest.skip("set TWINFACE_TEST_DATA to a folder with lfw/lfw-deepfunneled.tgz and lfw/pairs.txt")
    return Path(found) / "lfw"


@pytest.mark.data
def test_verdicts_on_lfw_are_right_at_the_rate_of_the_operating_point(data: Path, recognizer: Recognizer) -> None:
    pairs = read_pairs(data / "pairs.txt")
    chosen = pairs[:: len(pairs) // PAIRS]
    names = {
        f"lfw-deepfunneled/{name}/{name}_{number:04d}.jpg"
        for pair in chosen
        for name, number in (pair.first, pair.second)
    }
    pictures: dict[str, bytes] = {}
    with tarfile.open(data / "lfw-deepfunneled.tgz") as archive:
        for member in archive:
            if member.name in names and (stream := archive.extractfile(member)) is not None:
                pictures[Path(member.name).stem] = stream.read()

    missed, passed = 0, 0
    for pair in chosen:
        a, b = (pictures[f"{name}_{number:04d}"] for name, number in (pair.first, pair.second))
        same = recognizer.compare(a, b, fmr=1e-2, refuse_poor=False).same
        missed += pair.mated and not same
        passed += same and not pair.mated

    mated = sum(pair.mated for pair in chosen)
    point = recognizer.rule.point(1e-2)
    assert wilson(missed, mated, z=3.3)[0] <= point.fnmr_high
    assert wilson(passed, len(chosen) - mated, z=3.3)[0] <= point.fmr


@pytest.mark.data
def test_the_shipped_models_reach_their_figure_on_view_2(cli: Callable[..., Any], data: Path) -> None:
    report = json.loads(cli("evaluate", "lfw", "--root", data, "--protocol", "view2", "--json").out)
    assert report["accuracy"] >= 0.990
    assert (report["pairs"], report["pictures"], report["failures"]) == (6000, 7701, 0)
    deployed = {point["target_fmr"]: point for point in report["deployed"]}
    for target, point in deployed.items():
        assert point["fmr"]["low"] <= target  # thresholds from DevTrain hold on View 2
