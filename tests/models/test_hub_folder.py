"""A pulled model's folder: whole or not there, and nothing of the user's is lost with it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hub_models import (
    REPO,
    nothing_left,
    published,
    safetensors,
    wrong,
)

from twinface.errors import ModelTampered, OutputError
from twinface.models import hub_folder
from twinface.models.hub import Pulled, pull
from twinface.models.registry import find

pytest.importorskip("huggingface_hub")


def pulled_once(hub: Any, home: Path) -> Pulled:
    hub.commit(REPO, published())
    return pull(REPO, home, endpoint=hub.url)


def alone(home: Path) -> bool:
    return [path.name for path in home.parent.iterdir()] == [home.name]


def test_a_newer_pull_replaces_an_older_one_whole(hub: Any, home: Path) -> None:
    hub.commit(REPO, published(tiny_safetensors=safetensors()))
    pull(REPO, home, endpoint=hub.url)
    hub.commit(REPO, published(README_md=b"# newer\n"))
    pull(REPO, home, endpoint=hub.url)
    assert (home / "README.md").read_bytes() == b"# newer\n"
    assert not (home / "tiny.safetensors").exists()
    assert alone(home)


def test_a_pull_that_fails_leaves_the_older_one_as_it_is(hub: Any, home: Path) -> None:
    pulled_once(hub, home)
    before = {path.name: path.read_bytes() for path in home.iterdir()}
    hub.commit(REPO, published(README_md=b"# newer\n"))
    wrong(hub, "tiny.onnx", b"other")
    with pytest.raises(ModelTampered):
        pull(REPO, home, endpoint=hub.url)
    assert {path.name: path.read_bytes() for path in home.iterdir()} == before
    assert alone(home)


@pytest.mark.parametrize("name", ["tiny.decision.json", "tiny.md", "notes"])
def test_what_was_added_to_a_pulled_model_is_not_lost(hub: Any, home: Path, name: str) -> None:
    pulled_once(hub, home)
    hub.asked.clear()
    (home / name).write_text("mine")
    with pytest.raises(OutputError, match=rf"{name}: was added or changed"):
        pull(REPO, home, endpoint=hub.url)
    assert (home / name).read_text() == "mine"
    assert not hub.asked


def test_nor_what_is_added_while_the_newer_one_arrives(hub: Any, home: Path) -> None:
    pulled_once(hub, home)
    with pytest.raises(OutputError, match="was added or changed"):
        pull(REPO, home, endpoint=hub.url, progress=lambda *_: (home / "mine").write_text("mine"))
    assert (home / "mine").read_text() == "mine"
    assert alone(home)


@pytest.mark.parametrize("there", ["notes", "source.json", "sub/x"])
def test_a_folder_with_other_things_is_not_replaced(hub: Any, home: Path, there: str) -> None:
    (home / there).parent.mkdir(parents=True)
    (home / there).write_text("mine")
    hub.commit(REPO, published())
    with pytest.raises(OutputError, match="holds no earlier pull of org/tiny"):
        pull(REPO, home, endpoint=hub.url)
    assert (home / there).read_text() == "mine"


def test_nor_is_the_pull_of_another_repository(hub: Any, home: Path) -> None:
    pulled_once(hub, home)
    hub.commit("org/other", published())
    with pytest.raises(OutputError, match="holds no earlier pull of org/other"):
        pull("org/other", home, endpoint=hub.url)
    assert json.loads((home / "source.json").read_text())["repo"] == REPO


def test_an_empty_folder_is_filled_and_a_link_followed(hub: Any, home: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    home.parent.mkdir()
    home.symlink_to(tmp_path / "elsewhere")
    pulled = pulled_once(hub, home)
    assert home.is_symlink()
    assert pulled.contract_path == tmp_path / "elsewhere" / "tiny.json"
    pulled.entry.verify()


@pytest.mark.parametrize("name", ["file", "file/below", "zero\0byte"])
def test_a_place_that_is_none_is_refused(hub: Any, tmp_path: Path, name: str) -> None:
    hub.commit(REPO, published())
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError):
        pull(REPO, tmp_path / name, endpoint=hub.url)
    assert (tmp_path / "file").read_text() == "mine"


def test_the_older_one_comes_back_when_the_newer_one_cannot_take_its_place(
    hub: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled_once(hub, home)
    rename = Path.rename

    def full(path: Path, target: Path) -> Path:
        if path.suffix == ".part":
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(hub_folder.Path, "rename", full)
    with pytest.raises(OutputError, match="No space left on device"):
        pull(REPO, home, endpoint=hub.url)
    assert alone(home)
    find(str(home / "tiny.json")).verify()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_told_so(hub: Any, home: Path) -> None:
    hub.commit(REPO, published())
    home.parent.mkdir()
    home.parent.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            pull(REPO, home, endpoint=hub.url)
    finally:
        home.parent.chmod(0o700)


def test_an_interruption_leaves_nothing(hub: Any, home: Path) -> None:
    hub.commit(REPO, published())

    def interrupted(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(REPO, home, endpoint=hub.url, progress=interrupted)
    assert nothing_left(home)
