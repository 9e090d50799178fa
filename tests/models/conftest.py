"""A Hub on this machine, a model to push to it, a place to pull to; and the modules they are made with, by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from twinface.core.contract import write_contract
from twinface.core.provenance import TrainingSet, write_training
from twinface.models.registry import ModelEntry, find

for _name in ("hub_server", "hub_models"):
    _spec = spec_from_file_location(_name, Path(__file__).with_name(f"{_name}.py"))
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules[_name] = module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_name])

import hub_server  # noqa: E402 - from here on there is such a module
from hub_models import WEIGHTS, rules_for, tiny  # noqa: E402


@pytest.fixture(scope="module")
def running() -> Iterator[Any]:
    with hub_server.running_hub() as server:
        yield server


@pytest.fixture
def hub(running: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """An empty Hub to which the library is logged in."""
    hub_server.log_in(monkeypatch, tmp_path)
    running.forget()
    return running


@pytest.fixture
def entry(tmp_path: Path) -> ModelEntry:
    """An encoder with all that may go with it but the weights for training on."""
    folder = tmp_path / "own"
    folder.mkdir()
    contract = tiny()
    (folder / "tiny.json").write_text(write_contract(contract))
    (folder / "tiny.onnx").write_bytes(WEIGHTS)
    (folder / "tiny.md").write_text("# tiny: sees very little\n")
    (folder / "tiny.decision.json").write_text(rules_for(contract))
    (folder / "tiny.training.json").write_text(write_training([TrainingSet("own", frozenset({"Ada", "Bob"}))]))
    return find(str(folder / "tiny.json"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where models are pulled to."""
    return tmp_path / "models" / "org--tiny"
