"""`twinface calibrate`: pictures of known persons in, decision rules out, which `compare` then takes."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from twinface.app.wiring import load_detector
from twinface.core.decision import MeasuredWith, parse_rules
from twinface.models.registry import find_encoder

PERSONS = 46
EASY = ("--default-fmr", "1e-2", "--threads", "1")


@pytest.fixture(scope="session")
def data():
    """Looked up before the environment is scrubbed."""
    found = os.environ.get("TWINFACE_TEST_DATA")
    if not found or not (Path(found) / "lfw" / "lfw-deepfunneled.tgz").is_file():
        pytest.skip("set TWINFACE_TEST_DATA to a folder with lfw/lfw-deepfunneled.tgz and lfw/pairsDevTrain.txt")
    return Path(found)


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _shared_cache(scrubbed, cache):
    scrubbed.setenv("TWINFACE_CACHE", str(cache))


@pytest.fixture(scope="session")
def people(tmp_path_factory, examples):
    """A portrait in many tints: to an encoder that sees colours only, each tint is another person."""
    root = tmp_path_factory.mktemp("data") / "my people"
    portrait = np.asarray(Image.open(examples / "collins.jpg").convert("RGB").resize((256, 256)), np.float32)
    random = np.random.default_rng(3)
    for number in range(PERSONS):
        tint = random.uniform(0.35, 1.0, 3)
        folder = root / f"tint {number:02d}"
        folder.mkdir(parents=True)
        for shot in range(2):
            pixels = portrait * tint * random.uniform(0.96, 1.0, 3)
            Image.fromarray(pixels.round().astype(np.uint8)).save(folder / f"{shot}.png")
    return root


@pytest.fixture
def model(own_encoder, tmp_path):
    return f"arcface:{own_encoder(tmp_path / 'tiny.onnx')}"


def report(outcome):
    assert (outcome.status, outcome.err) == (0, "")
    return json.loads(outcome.out)


def rules_in(path):
    return parse_rules(path.read_text(), str(path))


# what it measures


def test_an_own_file_serves_compare_in_both_mirror_settings(cli, people, model, tmp_path):
    out = tmp_path / "own.json"
    found = report(cli("calibrate", "--on", people, "--model", model, "--out", out, "--json", *EASY))
    assert (found["dataset"], found["written"]) == ("my people", str(out))
    assert [rule["mirror"] for rule in found["rules"]] == [True, False]
    assert {rule["identity"] for rule in found["rules"]} == {rule.model for rule in rules_in(out)}
    pictures = [people / "tint 00" / "0.png", people / "tint 00" / "1.png", people / "tint 01" / "0.png"]
    for flip in ("--flip", "--no-flip"):
        words = ("--model", model, "--calibration", out, flip, "--json")
        same = json.loads(cli("compare", *pictures[:2], *words).out)
        assert same["fmr"] == 1e-2
        assert same["probability"] > 0.5
        assert json.loads(cli("compare", *pictures[1:], *words).out)["distance"] > same["distance"]


def test_json_holds_all_that_was_measured(cli, people, model, tmp_path):
    words = ("--on", people, "--model", model, "--out", tmp_path / "own.json", "--flip", "--band", "0.8", "--json")
    (rule,) = report(cli("calibrate", *words, *EASY))["rules"]
    assert rule["curve"] in rule["held_out"].keys() == {"logistic", "isotonic"}
    losses = {kind: held["log_loss"] for kind, held in rule["held_out"].items()}
    assert losses[rule["curve"]] == min(losses.values())
    assert all(0 <= held["ece"] <= 1 for held in rule["held_out"].values())
    (point,) = rule["points"]
    assert point["fmr"] == rule["default_fmr"] == 0.01
    assert point["low"] <= point["threshold"] <= point["high"]
    assert point["fnmr_low"] <= point["fnmr"] <= point["fnmr_high"]
    assert rule["left_out"] == [1e-3, 1e-4, 1e-5]
    assert rule["band"] == 0.8
    assert (rule["subjects"], rule["pictures"], rule["mated"]) == (PERSONS, 2 * PERSONS, PERSONS)
    assert rule["non_mated"] == PERSONS * (PERSONS - 1) * 2
    assert rule["couples"] == PERSONS * (PERSONS - 1) // 2
    assert rule["failures"]["pictures"] == 0 < rule["failures"]["high"]


def test_people_read_both_curves_the_points_and_what_was_left_out(cli, people, model, tmp_path):
    out = tmp_path / "own.json"
    outcome = cli("calibrate", "--on", people, "--model", model, "--out", out, "--no-flip", *EASY)
    assert (outcome.status, outcome.err) == (0, "")
    for words in ("my people", "mirror image left out", "logistic", "isotonic", "held-out log loss", "kept",
                  "1e-2 (default)", "FNMR", "no operating point for FMR 1e-3: it takes 10,000 couples of "
                  "persons, here are 1,035", "has no training record", "own.json"):  # fmt: skip
        assert words in outcome.out


def test_without_out_the_rules_go_beside_the_model_and_join_those_of_other_settings(cli, people, model, tmp_path):
    plain = report(cli("calibrate", "--on", people, "--model", model, "--no-flip", "--json", *EASY))
    path = Path(plain["written"])
    assert path == tmp_path / "arcface:tiny.onnx.decision.json"
    (first,) = rules_in(path)
    report(cli("calibrate", "--on", people, "--model", model, "--flip", "--json", *EASY))
    assert len(rules_in(path)) == 2
    assert first in rules_in(path)
    pictures = people / "tint 00" / "0.png", people / "tint 00" / "1.png"
    assert json.loads(cli("compare", *pictures, "--model", model, "--json").out)["fmr"] == 1e-2


def test_an_older_calibration_of_ones_own_is_replaced(cli, people, model, tmp_path):
    out = tmp_path / "own.json"
    words = ("--on", people, "--model", model, "--out", out, "--no-flip", "--json", *EASY)
    report(cli("calibrate", *words))
    report(cli("calibrate", *words, "--band", "0.8"))
    assert [rule.band for rule in rules_in(out)] == [0.8]


def test_a_calibration_with_another_detector_is_for_that_one(cli, people, model, lookout, tmp_path):
    out = tmp_path / "own.json"
    words = ("--on", people, "--model", model, "--detector", lookout, "--out", out, "--no-flip", "--json", *EASY)
    report(cli("calibrate", *words))
    (rule,) = rules_in(out)
    assert rule.detector == MeasuredWith("lookout", load_detector(str(lookout)).identity)
    pictures = people / "tint 00" / "0.png", people / "tint 00" / "1.png"
    words = ("--model", model, "--calibration", out, "--no-flip", "--json")
    (note,) = json.loads(cli("compare", *pictures, *words).out)["notes"]
    assert "measured with the detector lookout, not with scout" in note
    assert json.loads(cli("compare", *pictures, *words, "--detector", lookout).out)["notes"] == []


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="draws with matplotlib")
def test_the_reliability_diagrams_are_drawn(cli, people, model, tmp_path):
    folder = tmp_path / "new" / "report"
    words = ("--on", people, "--model", model, "--out", tmp_path / "own.json", "--report", folder, *EASY)
    outcome = cli("calibrate", *words)
    assert (outcome.status, outcome.err) == (0, "")
    assert sorted(path.name for path in folder.iterdir()) == [
        "reliability-flip.png", "reliability-flip.svg", "reliability-no-flip.png", "reliability-no-flip.svg",
    ]  # fmt: skip
    with Image.open(folder / "reliability-flip.png") as picture:
        assert min(picture.size) > 200


# trouble


def test_one_of_root_and_on_is_needed(cli, people, tmp_path):
    cli("calibrate").refuses("one of --root", "--on", "give one")
    cli("calibrate", "--root", tmp_path, "--on", people).refuses("one of --root", "not both")


@pytest.mark.parametrize("band", ["nan", "0.5", "1", "-1"])
def test_a_band_that_is_none_is_refused_before_any_work(cli, people, band):
    cli("calibrate", "--on", people, "--band", band).refuses("--band must lie between 0.5 and 1")


@pytest.mark.parametrize("fmr", ["0", "1", "nan"])
def test_a_rate_that_is_none_is_refused_before_any_work(cli, people, fmr):
    cli("calibrate", "--on", people, "--default-fmr", fmr).refuses("--default-fmr must lie between 0 and 1")


def test_a_band_the_pairs_cannot_support_is_refused_and_nothing_written(cli, people, model, tmp_path):
    out = tmp_path / "own.json"
    words = ("--on", people, "--model", model, "--out", out, "--no-flip", *EASY)
    cli("calibrate", *words, "--band", "0.999").refuses("band 0.999", "no more than 0.9")
    assert not out.exists()


def test_a_folder_with_one_person_is_too_small(cli, people, tmp_path):
    (tmp_path / "few").mkdir()
    (tmp_path / "few" / "me").mkdir()
    for shot in ("0.png", "1.png"):
        (tmp_path / "few" / "me" / shot).write_bytes((people / "tint 00" / shot).read_bytes())
    words = ("--on", tmp_path / "few", "--out", tmp_path / "own.json", "--no-flip", *EASY)
    cli("calibrate", *words).refuses("few: persons with two usable pictures or more: 1,", "takes 20")
    assert not (tmp_path / "own.json").exists()


def test_too_few_couples_for_the_default_rate_are_told_with_numbers(cli, people, model, tmp_path):
    words = ("--on", people, "--model", model, "--out", tmp_path / "own.json", "--no-flip")
    cli("calibrate", *words).refuses(
        "FMR 1e-3 takes 10,000 couples of different persons", "46 persons give 1,035", "--default-fmr 1e-2"
    )


@pytest.mark.parametrize("option", ["--on", "--root"])
def test_data_that_are_not_there_are_refused(cli, tmp_path, option):
    cli("calibrate", option, tmp_path / "gone").refuses("gone")
    (tmp_path / "empty").mkdir()
    cli("calibrate", option, tmp_path / "empty").refuses("empty")


def test_lfw_without_its_pair_list_is_refused(cli, people, tmp_path):
    picture = tmp_path / "Ann_A" / "Ann_A_0001.jpg"
    picture.parent.mkdir()
    picture.write_bytes((people / "tint 00" / "0.png").read_bytes())
    cli("calibrate", "--root", tmp_path).refuses("pairsDevTrain.txt")


def test_another_file_is_not_overwritten(cli, people, model, tmp_path):
    out = tmp_path / "thesis.json"
    out.write_text('{"years": 4}')
    cli("calibrate", "--on", people, "--model", model, "--out", out, *EASY).refuses("thesis.json", "not overwritten")
    assert out.read_text() == '{"years": 4}'


def test_a_folder_that_is_not_there_is_refused_before_any_work(cli, people, tmp_path):
    cli("calibrate", "--on", people, "--out", tmp_path / "gone" / "own.json").refuses("gone", "make it first")


def test_a_report_where_a_file_is_is_refused_before_any_work(cli, people, tmp_path):
    (tmp_path / "file").write_text("x")
    words = ("--on", people, "--out", tmp_path / "own.json", "--report", tmp_path / "file")
    cli("calibrate", *words).refuses("file", "no folder")


def test_a_detector_cannot_be_calibrated(cli, people):
    cli("calibrate", "--on", people, "--model", "scout").refuses("scout is a detector")


def test_rules_for_another_detector_are_not_written_beside_the_model(cli, people, model, lookout, scrubbed, tmp_path):
    said = "the rules beside a model are for faces that scout finds", "lookout.json", "--out", "--calibration"
    cli("calibrate", "--on", people, "--model", model, "--detector", lookout, *EASY).refuses(*said)
    scrubbed.setenv("TWINFACE_DETECTOR", str(lookout))
    cli("calibrate", "--on", people, "--model", model, *EASY).refuses(*said)
    assert not list(tmp_path.glob("*.decision.json"))


# the shipped rules


@pytest.mark.data
def test_the_shipped_rules_are_what_the_command_makes_of_lfw(data, cli, tmp_path):
    out = tmp_path / "own.json"
    report(cli("calibrate", "--root", data / "lfw", "--out", out, "--flip", "--json"))
    (made,) = rules_in(out)
    shipped = find_encoder("twin-r29")[0].rule(mirror=True)
    assert made.curve.kind == shipped.curve.kind
    assert made.detector == shipped.detector
    for point in shipped.points:
        assert made.point(point.fmr).threshold == pytest.approx(point.threshold, abs=1e-3)
        assert made.point(point.fmr).fnmr == pytest.approx(point.fnmr, abs=3e-3)
    for distance in np.linspace(0.2, 0.6, 9):
        assert made.curve.probability(distance) == pytest.approx(shipped.curve.probability(distance), abs=0.01)
