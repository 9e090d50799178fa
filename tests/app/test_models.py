"""`twinface models`: what ships, what it claims, whether it is untouched."""

from __future__ import annotations

import json
import shutil

import pytest

from twinface.models.registry import HOME, shipped


def test_the_shipped_models_are_listed(cli):
    outcome = cli("models", "list")
    assert (outcome.status, outcome.err) == (0, "")
    for entry in shipped():
        (line,) = (line for line in outcome.out.splitlines() if line.startswith(entry.name))
        assert entry.contract.sha256[:16] in line
        assert entry.contract.licence in line


def test_the_list_for_machines(cli):
    found = {one["name"]: one for one in json.loads(cli("models", "list", "--json").out)}
    assert (found["twin-r29"]["kind"], found["scout"]["kind"]) == ("encoder", "detector")
    assert found["twin-r29"]["bytes"] > 1_000_000 > found["scout"]["bytes"] > 0
    assert found["twin-r29"]["licence"] == "CC0-1.0"
    assert found["scout"].keys() == {"name", "kind", "bytes", "licence", "sha256", "path"}


def test_an_encoder_shows_its_operating_points_with_data_counts_and_intervals(cli):
    outcome = cli("models", "show", "twin-r29")
    assert (outcome.status, outcome.err) == (0, "")
    for words in ("1e-2", "1e-3", "1e-4", "95% interval", "non-mated", "FNMR", "twin-r29.onnx", "SHA-256"):
        assert words in outcome.out


def test_an_encoder_for_machines(cli):
    found = json.loads(cli("models", "show", "twin-r29", "--json").out)
    assert found["contract"]["dimension"] == 128
    assert len(found["rules"]) == 2
    for rule in found["rules"]:
        for point in rule["points"]:
            assert point["low"] <= point["threshold"] <= point["high"]
            assert point["dataset"].startswith("LFW DevTrain")


def test_a_detector_is_shown_without_rules(cli):
    found = json.loads(cli("models", "show", "scout", "--json").out)
    assert (found["kind"], found["rules"]) == ("detector", [])
    assert "operating points" not in cli("models", "show", "scout").out


def test_a_path_with_brackets_is_shown_as_it_is(cli, tmp_path):
    folder = tmp_path / "[bold]x"
    folder.mkdir()
    for path in HOME.glob("scout*"):
        shutil.copy(path, folder)
    outcome = cli("models", "show", folder / "scout.json")
    assert outcome.status == 0
    assert "[bold]x" in outcome.out


def test_all_shipped_models_are_as_released(cli):
    outcome = cli("models", "verify")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [f"{entry.name}: as released" for entry in shipped()]


def test_one_bad_model_does_not_hide_the_others(cli, tmp_path):
    for path in HOME.glob("scout*"):
        shutil.copy(path, tmp_path)
    (tmp_path / "scout.onnx").write_bytes(b"something else")
    outcome = cli("models", "verify", tmp_path / "scout.json", "twin-r29")
    assert (outcome.status, outcome.out) == (2, "twin-r29: as released\n")
    assert "scout.onnx: SHA-256 is " in outcome.err


@pytest.mark.parametrize("command", ["show", "verify"])
def test_an_unknown_model_is_refused(cli, command):
    cli("models", command, "oracle").refuses("no model named 'oracle'; shipped: resnet29, scout, twin-nano, twin-r29")
    cli("models", command, "gone.json").refuses("gone.json: no such model contract")


def test_a_model_without_its_weights_is_refused(cli, tmp_path):
    shutil.copy(HOME / "scout.json", tmp_path)
    cli("models", "verify", tmp_path / "scout.json").refuses("scout.onnx: cannot read the model (No such file")


def test_whom_a_model_was_trained_on_is_told(cli):
    detector = json.loads(cli("models", "show", "scout", "--json").out)["training"]
    assert {one["dataset"] for one in detector} == {"LFW", "CelebA", "UTKFace"}
    lfw = next(one["subjects"] for one in detector if one["dataset"] == "LFW")
    assert len(lfw) == 1281
    assert "training VGG Face (persons not listed)" in cli("models", "show", "resnet29").out
