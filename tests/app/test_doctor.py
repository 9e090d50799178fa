"""`twinface doctor`: what is there, what is missing and how to get it; it reports even where little works."""

from __future__ import annotations

import json
import shutil
import sys

import onnxruntime
import pytest

from twinface.app.cli import doctor
from twinface.models import registry


def report(outcome, status):
    assert (outcome.status, outcome.err) == (status, "")
    found = json.loads(outcome.out)
    assert found["healthy"] is (status == 0)
    return {one["name"]: one for one in found["findings"]}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A copy of the shipped models in the package's place."""
    folder = tmp_path / "models"
    shutil.copytree(registry.HOME, folder)
    shipped = registry.shipped
    monkeypatch.setattr(registry, "shipped", lambda home=folder: shipped(folder))
    return folder


def test_a_sound_installation_is_healthy(cli):
    found = report(cli("doctor", "--json"), 0)
    assert {one["state"] for one in found.values()} <= {"ok", "missing"}
    assert found["onnxruntime"]["detail"] == onnxruntime.__version__
    assert "CPUExecutionProvider" in found["execution providers"]["detail"]
    for entry in registry.shipped():
        assert entry.contract.sha256[:16] in found[f"model {entry.name}"]["detail"]
    assert "twin-r29 with scout" in found["recognizer"]["detail"]
    assert {"python", "twinface", "numpy", "pillow"} <= found.keys()


def test_people_read_that_it_is_ready(cli):
    outcome = cli("doctor")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.endswith("TwinFace is ready.\n")


def test_what_is_missing_is_no_fault_and_comes_with_the_remedy(cli, monkeypatch):
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    found = report(cli("doctor", "--json"), 0)
    assert found["pillow_heif"]["state"] == found["torch"]["state"] == "missing"
    assert 'pip install "twinface[heif]"' in found["pillow_heif"]["detail"]
    assert 'pip install "twinface[train]"' in found["torch"]["detail"]


def test_a_tampered_model_is_a_fault_and_named(cli, home):
    path = home / "scout.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    found = report(cli("doctor", "--json"), 2)
    assert found["model scout"]["state"] == "bad"
    assert "scout.onnx: SHA-256 is" in found["model scout"]["detail"]
    assert found["model twin-r29"]["state"] == "ok"
    assert "not ready" in cli("doctor").out


def test_a_malformed_contract_is_a_fault_and_the_rest_is_still_reported(cli, home):
    (home / "scout.json").write_text("{")
    found = report(cli("doctor", "--json"), 2)
    assert "scout.json: not a model contract" in found["models"]["detail"]
    assert found["numpy"]["state"] == "ok"


def test_a_package_without_models_is_a_fault(cli, monkeypatch):
    monkeypatch.setattr(registry, "shipped", lambda *words: [])
    assert report(cli("doctor", "--json"), 2)["models"]["state"] == "bad"


def test_onnx_runtime_that_cannot_be_imported_is_a_fault_and_the_rest_is_still_reported(cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    found = report(cli("doctor", "--json"), 2)
    assert found["execution providers"]["state"] == "bad"
    assert found["model twin-r29"]["state"] == "ok"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TWINFACE_MODEL", "oracle", "no model named 'oracle'"),
        ("TWINFACE_DETECTOR", "yunet:gone.onnx", "gone.onnx: no such file"),
        ("TWINFACE_PROVIDERS", "WishExecutionProvider", "WishExecutionProvider is not available"),
        ("TWINFACE_THREADS", "many", "TWINFACE_THREADS must be a whole number"),
    ],
)
def test_settings_that_cannot_work_are_a_fault(cli, monkeypatch, name, value, said):
    monkeypatch.setenv(name, value)
    found = report(cli("doctor", "--json"), 2)
    assert found["recognizer"]["state"] == "bad"
    assert said in found["recognizer"]["detail"]
