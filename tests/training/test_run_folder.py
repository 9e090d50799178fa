"""A run's folder: never an old one, told apart from others, and all in it written whole."""

from __future__ import annotations

import json
import math
import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorboard", reason="needs the train extra")

from twinface.errors import ModelNotFound, OutputError
from twinface.training.metrics import Row, read_metrics
from twinface.training.run_folder import RunFolder

RECIPE = 'name = "zwölf"\nseed = 3\n'
NOON = datetime(2031, 2, 3, 12, 5, 6, tzinfo=UTC)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "runs", "twin", RECIPE, NOON)


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


# --- making and finding -----------------------------------------------------------------------------------------------


def test_a_new_run_has_a_folder_named_by_recipe_and_time(run: RunFolder, tmp_path: Path) -> None:
    assert run.path == tmp_path / "runs" / "twin-20310203-120506"
    assert run.recipe.read_bytes() == RECIPE.encode()
    assert run.checkpoints.is_dir()
    assert sorted(entry.name for entry in run.path.iterdir()) == ["checkpoints", "recipe.toml"]


def test_times_are_told_in_utc(tmp_path: Path) -> None:
    started = NOON.astimezone(timezone(timedelta(hours=14)))
    assert RunFolder.create(tmp_path, "twin", RECIPE, started).path.name == "twin-20310203-120506"


def test_a_run_begins_now_unless_it_is_told(tmp_path: Path) -> None:
    before = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    assert before <= RunFolder.create(tmp_path, "a", "").path.name[2:] <= datetime.now(UTC).strftime("%Y%m%d-%H%M%S")


def test_runs_of_one_second_have_folders_of_their_own(run: RunFolder, tmp_path: Path) -> None:
    (run.path / "note").write_text("mine")
    others = [RunFolder.create(tmp_path / "runs", "twin", "", NOON) for _ in range(2)]
    assert [one.path.name for one in others] == ["twin-20310203-120506-2", "twin-20310203-120506-3"]
    assert run.recipe.read_text(encoding="utf-8") == RECIPE


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("twin-r29.b_2", "twin-r29.b_2"),
        ("../up", "up"),
        ("a/b c\n", "a-b-c"),
        ("zwölf", "zwölf"),
        ("", "run"),
        ("..", "run"),
    ],
)
def test_any_name_makes_one_folder_in_the_right_place(tmp_path: Path, name: str, plain: str) -> None:
    assert RunFolder.create(tmp_path / "runs", name, "", NOON).path == tmp_path / "runs" / f"{plain}-20310203-120506"


def test_a_place_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("x")
    with pytest.raises(OutputError, match=r"runs: no run can be kept there \(.*\); choose another folder"):
        RunFolder.create(tmp_path / "runs", "twin", RECIPE)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"], ids=["long", "zero"])
def test_places_that_cannot_be_are_told_in_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match="no run can be kept there") as caught:
        RunFolder.create(tmp_path / name, "twin", RECIPE)
    assert str(caught.value).isprintable()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_place_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match=r"no run can be kept there \(Permission denied\)"):
        RunFolder.create(tmp_path, "twin", RECIPE)


def test_a_recipe_that_cannot_be_written_leaves_no_folder_behind(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits of file sizes are POSIX")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(OutputError, match=r"recipe\.toml: cannot be written"):
            RunFolder.create(tmp_path / "runs", "twin", RECIPE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_run_is_found_again(run: RunFolder) -> None:
    assert RunFolder.open(run.path).path == run.path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none", "none: no such folder"),
        ("file", "file: no such folder"),
        ("", r"holds no recipe\.toml"),
        ("a\0b", "no such folder"),
    ],
)
def test_what_is_no_run_is_told(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelNotFound, match=said) as caught:
        RunFolder.open(tmp_path / name)
    assert str(caught.value).isprintable()


# --- what is written --------------------------------------------------------------------------------------------------


def test_figures_are_written_beside_tensorboards(run: RunFolder) -> None:
    run.start_metrics(["threshold"])
    run.add_metrics(10, 0.5, "train", 0.25, None, {"threshold": 0.4})
    run.add_metrics(10, 0.5, "validation", accuracy=0.75)

    names, rows = read_metrics(run.metrics)
    assert names == ["loss", "accuracy", "threshold"]
    assert rows == [
        Row(10, 0.5, "train", {"loss": 0.25, "threshold": 0.4}),
        Row(10, 0.5, "validation", {"accuracy": 0.75}),
    ]
    assert len(list((run.path / "tensorboard").iterdir())) == 1


def test_a_run_found_again_goes_on_where_its_checkpoint_was(run: RunFolder) -> None:
    run.start_metrics()
    for step in (0, 10, 20):
        run.add_metrics(step, step / 20, "train", 1.0)

    again = RunFolder.open(run.path)
    again.start_metrics(step=10)
    again.add_metrics(20, 1.0, "train", 0.5)

    assert [(row.step, row.figures["loss"]) for row in read_metrics(run.metrics)[1]] == [(0, 1.0), (10, 1.0), (20, 0.5)]


def test_figures_before_the_start_are_a_mistake(run: RunFolder) -> None:
    with pytest.raises(ValueError, match="start_metrics comes first"):
        run.add_metrics(1, 0.1, "train", 0.5)


def test_the_environment_tells_where_a_run_began_and_went_on(run: RunFolder) -> None:
    path = run.path / "environment.json"
    run.write_environment({"seed": 3, "device": "cpu"})
    assert read(path) == {"seed": 3, "device": "cpu", "resumed": []}

    run.write_environment({"seed": 3, "device": "H200"}, 20)
    run.write_environment({"seed": 3, "device": "cpu"}, 40)
    assert read(path) == {
        "seed": 3,
        "device": "cpu",
        "resumed": [{"step": 20, "seed": 3, "device": "H200"}, {"step": 40, "seed": 3, "device": "cpu"}],
    }


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"resumed": 3}'])
def test_a_lost_environment_keeps_no_run_from_going_on(run: RunFolder, content: str | None) -> None:
    path = run.path / "environment.json"
    if content is not None:
        path.write_text(content)
    run.write_environment({"device": "cpu"}, 20)
    assert read(path) == {"resumed": [{"step": 20, "device": "cpu"}]}


def test_results_are_sorted_and_of_finite_numbers_only(run: RunFolder) -> None:
    run.write_results(
        {
            "z": math.nan,
            "accuracy": {"validation": np.float32(0.5), "train": np.float64(math.inf)},
            "counts": (np.int64(3), True, np.bool_(False), 2**70),
            "title": "zwölf",
            "none": None,
        }
    )
    text = run.results.read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=pytest.fail) == {
        "accuracy": {"train": None, "validation": 0.5},
        "counts": [3, True, False, 2**70],
        "none": None,
        "title": "zwölf",
        "z": None,
    }
    assert [line for line in text.splitlines() if line.startswith(' "')] == sorted(
        line for line in text.splitlines() if line.startswith(' "')
    )
    assert "zwölf" in text
    assert text.endswith("}\n")


def test_results_that_json_does_not_know_leave_the_old_ones(run: RunFolder) -> None:
    run.write_results({"a": 1})
    with pytest.raises(TypeError):
        run.write_results({"a": object()})
    assert read(run.results) == {"a": 1}


def test_pictures_that_were_skipped_are_listed_a_line_each(run: RunFolder) -> None:
    run.write_skipped(["zoë/1.jpg: no face", "a\nb.jpg: damaged"])
    assert (run.path / "skipped.txt").read_bytes() == "zoë/1.jpg: no face\n'a\\nb.jpg: damaged'\n".encode()


def test_where_nothing_was_skipped_nothing_is_listed(run: RunFolder) -> None:
    run.write_skipped([])
    assert not (run.path / "skipped.txt").exists()


def test_results_that_cannot_be_written_are_told_with_their_path(run: RunFolder) -> None:
    run.results.mkdir()
    with pytest.raises(OutputError, match=r"results\.json: cannot be written"):
        run.write_results({"a": 1})
