"""What a run ran on: told in full, and told without git as well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

import twinface
from twinface.training import environment as module
from twinface.training.environment import environment, revision


def git(folder: Path, *words: str) -> str:
    """Git as nobody has set it up."""
    who = {"GIT_AUTHOR_NAME": "A", "GIT_COMMITTER_NAME": "A", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_EMAIL": "a@b"}
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", "-C", str(folder), *words],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **who, **alone},
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the folders `kept`, in its revision, and `left`, ignored."""
    root = tmp_path / "checkout"
    for name in ("kept", "left"):
        (root / name).mkdir(parents=True)
        (root / name / "file").write_text("content")
    (root / ".gitignore").write_text("left/\n")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "first")
    return root


def test_all_that_can_change_a_run_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/some/where/bin/twinface", "train", "a recipe.toml", "--set", "seed=3"])
    started = datetime(2031, 2, 3, 1, 5, 6, tzinfo=timezone(timedelta(hours=2)))

    found = environment(3, "NVIDIA H200", started)

    assert json.loads(json.dumps(found)) == found
    assert set(found) == {"seed", "git", "python", "platform", "versions", "device", "command", "started"}
    assert (found["seed"], found["device"]) == (3, "NVIDIA H200")
    assert found["started"] == "2031-02-02T23:05:06+00:00"
    assert found["command"] == "twinface train 'a recipe.toml' --set seed=3"
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["versions"]["twinface"] == twinface.__version__
    assert found["versions"]["numpy"]


def test_time_is_now_unless_it_is_given() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    assert before <= datetime.fromisoformat(environment(1, "cpu")["started"]) <= datetime.now(UTC)


def test_packages_that_are_not_there_are_told_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACKAGES", ("no-such-package",))
    assert environment(1, "cpu")["versions"] == {"no-such-package": None}


def test_a_module_is_named_as_it_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/some/where/twinface/__main__.py", "train"])
    assert environment(1, "cpu")["command"] == "python -m twinface train"


def test_a_folder_that_is_kept_has_a_revision(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    assert revision([checkout / "kept"]) == {"revision": commit, "changed": False}


@pytest.mark.parametrize("name", ["file", "another"])
def test_changes_and_new_files_are_told(checkout: Path, name: str) -> None:
    (checkout / "kept" / name).write_text("something else")
    found = revision([checkout / "kept"])
    assert found is not None
    assert found["changed"] is True


def test_changes_elsewhere_are_not_told(checkout: Path) -> None:
    (checkout / "another").write_text("something else")
    found = revision([checkout / "kept"])
    assert found is not None
    assert found["changed"] is False


def test_a_package_installed_into_a_checkout_has_no_revision(checkout: Path) -> None:
    assert revision([checkout / "left"]) is None
    assert revision([checkout / "left", checkout / "kept"]) == revision([checkout / "kept"])


@pytest.mark.parametrize("folder", ["", "missing"])
def test_without_a_checkout_there_is_no_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert revision([tmp_path / folder]) is None


def test_a_checkout_without_a_commit_has_none(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert revision([tmp_path]) is None


def test_without_git_there_is_no_revision(checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert revision([checkout / "kept"]) is None
