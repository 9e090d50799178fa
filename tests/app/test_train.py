"""`twinface train`: a run from the command line, stopped and gone on with, and every mistake told in one line."""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("lightning_fabric", reason="needs the train extra")
pytest.importorskip("matplotlib", reason="needs the train extra")

from twinface.app.cli.train import NEEDED  # noqa: E402
from twinface.training import checkpoint  # noqa: E402
from twinface.training.recipe_file import read_recipe, write_recipe  # noqa: E402

_spec = spec_from_file_location("tiny_runs", Path(__file__).parents[1] / "training" / "tiny_runs.py")
assert _spec is not None
assert _spec.loader is not None
tiny: Any = module_from_spec(_spec)
_spec.loader.exec_module(tiny)

PATIENCE = 300
"""Seconds; only a hang takes so long."""

SIGNALLED = """
import signal
import sys
from twinface.app.cli import run
from twinface.training.learner import Learner

learn, taken = Learner.learn, []

def counted(learner, loaded):
    taken.append(1)
    if len(taken) == 7:
        signal.raise_signal(signal.{name})
    return learn(learner, loaded)

Learner.learn = counted
sys.argv = ["twinface", *{words!r}]
run()
"""
"""A program: the command, which is sent a signal while it takes its seventh step."""


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The command changes what is the process's own."""
    threads, collecting = torch.get_num_threads(), gc.isenabled()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    (gc.enable if collecting else gc.disable)()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found: Path = tiny.write_faces(tmp_path_factory.mktemp("faces"))
    return found


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe that says nowhere where the pictures are."""
    path = tmp_path / "tiny.toml"
    path.write_text(write_recipe(tiny.recipe_of(Path())).replace('root = "."', 'root = ""'), encoding="utf-8")
    return path


def run_in(runs: Path) -> Path:
    """The only run."""
    (found,) = runs.iterdir()
    return found


def complaints(err: str) -> list[str]:
    return [line for line in err.splitlines() if line.startswith("twinface: ")]


# --- a run ------------------------------------------------------------------------------------------------------------


def test_a_run_ends_well_and_says_what_comes_next(cli: Any, recipe: Path, root: Path, tmp_path: Path) -> None:
    runs = tmp_path / "my runs"
    outcome = cli("train", recipe, "--root", root, "--runs", runs, "--set", "schedule.steps=2", "--device", "cpu")
    assert (outcome.status, outcome.out) == (0, "")
    run = run_in(runs)
    lines = outcome.err.splitlines()
    assert lines[0] == f"run: {run}"
    assert lines[-2:] == [f"finished: {run}", f"next: twinface export '{run}' --to onnx"]
    assert not complaints(outcome.err)
    assert json.loads((run / "results.json").read_text())["persons"] == {"train": 4, "validation": 2}
    kept = read_recipe(run / "recipe.toml")
    assert kept.data.root == str(root)
    assert kept.schedule.steps == 2
    assert gc.isenabled()  # short commands do without; hours of training cannot


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_run_that_is_interrupted_says_how_to_go_on_and_does(
    run_python: Any, cli: Any, recipe: Path, root: Path, tmp_path: Path, name: str
) -> None:
    words = ["train", str(recipe), "--root", str(root), "--runs", str(tmp_path / "runs"), "--device", "cpu"]
    outcome = run_python(SIGNALLED.format(name=name, words=words))
    assert (outcome.status, outcome.out) == (130, "")
    run = run_in(tmp_path / "runs")
    lines = outcome.err.splitlines()
    assert "stopped at step 7 of 12; everything is kept" in lines
    assert lines[-2:] == [f"go on with: twinface train --resume {run} --device cpu", "twinface: interrupted"]
    if name == "SIGINT":
        return  # one going on is enough

    again = cli("train", "--resume", run, "--device", "cpu")
    assert (again.status, complaints(again.err)) == (0, [])
    assert "going on from step 7 of 12" in again.err.splitlines()
    whole = tiny.finished(tiny.recipe_of(root), tmp_path / "whole")
    for kept in ("last", "best"):
        one, other = (checkpoint.load(path / "checkpoints" / f"{kept}.safetensors") for path in (run, whole.path))
        assert (one.step, one.facts) == (other.step, other.facts)
        assert all(torch.equal(value, other.tensors[key]) for key, value in one.tensors.items())


LONG = ("--set", "schedule.steps=100000", "--set", "evaluation.every=100000")
"""Makes a run that ends only when it is stopped."""


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_two_processes_stop_when_the_first_is_asked_to(recipe: Path, root: Path, tmp_path: Path) -> None:
    words = ["train", str(recipe), "--root", str(root), "--runs", str(tmp_path / "runs"), "--device", "cpu",
             "--devices", "2", "--strategy", "ddp", *LONG]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TWINFACE_CACHE": str(tmp_path / "cache")}
    with subprocess.Popen(
        [sys.executable, "-m", "twinface", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        encoding="utf-8", env=environment, stdin=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        lines: list[str] = []
        for line in process.stderr:
            lines.append(line.rstrip("\n"))
            if line.startswith("step 1 "):
                process.send_signal(signal.SIGTERM)  # to the first process alone
        assert process.wait(PATIENCE) == 130
    run = run_in(tmp_path / "runs")
    step = checkpoint.load(run / "checkpoints" / "last.safetensors").step
    assert 1 <= step < 100_000
    assert lines[-3:] == [
        f"stopped at step {step:,} of 100,000; everything is kept",
        f"go on with: twinface train --resume {run} --device cpu --strategy ddp --devices 2",
        "twinface: interrupted",
    ]
    assert sum(line.startswith("epoch") for line in lines) == 1
    assert {line.split()[0] for line in lines[1:-3]} <= {"crops", "epoch", "step"}  # no word of a library


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "optimizer.name=sgd"], ["--set: optimizer: unknown key", "did you mean optimiser?"]),
        (["--set", "schedule.steps"], ['"schedule.steps" is no key=value']),
        (["--set", "seed=many"], ["--set: seed: expected a whole number"]),
        (["--profile", "gpu"], ['there is no profile "gpu"']),
        (["--root", "nowhere"], ["nowhere: no such folder or file; give the place of the pictures with --root"]),
        (["--device", "cuda"], ["--device cuda: torch finds no CUDA device here"]),
        (["--device", "tpu"], ["--device", "tpu"]),
        (["--devices", "0"], ["--devices", "see twinface train --help"]),
        (["--strategy", "fsdp"], ["--strategy", "fsdp"]),
        (["--resume", "run"], ["a run goes on with its own recipe; give --resume without RECIPE"]),
        (["--runs", ""], ["--runs", "the path is empty"]),
        ([], ["data.root: says nowhere where the pictures are; give --root FOLDER"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_told_in_one_line_before_any_work(
    cli: Any, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: list[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.chdir(tmp_path)
    cli("train", recipe, *words).refuses(*said)
    assert [entry.name for entry in tmp_path.iterdir()] == ["tiny.toml"]


@pytest.mark.parametrize("words", [["--set", "seed=2"], ["--profile", "cpu"]], ids=" ".join)
def test_a_run_goes_on_unchanged(cli: Any, tmp_path: Path, words: list[str]) -> None:
    cli("train", "--resume", tmp_path, *words).refuses("a run goes on with its own recipe")


def test_without_recipe_and_run_there_is_nothing_to_do(cli: Any) -> None:
    cli("train").refuses("give a RECIPE to begin a run, or --resume RUN to go on with one")


def test_a_recipe_that_is_not_there_is_told(cli: Any, root: Path, tmp_path: Path) -> None:
    cli("train", tmp_path / "none.toml", "--root", root).refuses("none.toml: cannot be read", "give another recipe")


def test_an_empty_folder_is_told(cli: Any, recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    cli("train", recipe, "--root", tmp_path / "empty").refuses("empty: holds no pictures of people", "make a folder")


@pytest.mark.parametrize("place", ["nowhere", "."])
def test_what_is_no_run_does_not_go_on(cli: Any, tmp_path: Path, place: str) -> None:
    cli("train", "--resume", tmp_path / place).refuses("give the folder of a run")


def test_a_run_without_a_checkpoint_does_not_go_on(cli: Any, root: Path, tmp_path: Path) -> None:
    job = tiny.begun(tiny.recipe_of(root), tmp_path)
    cli("train", "--resume", job.run).refuses("last.safetensors: no such checkpoint", "give the folder of a run")


def test_trouble_on_the_way_is_one_line_too(cli: Any, recipe: Path, root: Path, tmp_path: Path) -> None:
    words = ["--set", "optimiser.learning_rate=1e30", "--set", "evaluation.every=1", "--device", "cpu"]
    outcome = cli("train", recipe, "--root", root, "--runs", tmp_path / "runs", *words)
    assert (outcome.status, outcome.out) == (2, "")
    (line,) = complaints(outcome.err)
    assert "became" in line
    assert "start again with a lower optimiser.learning_rate (it was 1e+30)" in line
    assert "please report it" not in line
    assert checkpoint.load(run_in(tmp_path / "runs") / "checkpoints" / "last.safetensors").step >= 0


@pytest.mark.parametrize("name", NEEDED)
def test_a_package_that_is_missing_is_told_before_any_work(
    cli: Any, recipe: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    find: Callable[..., Any] = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda one, *rest: None if one == name else find(one, *rest))
    outcome = cli("train", recipe, "--root", root, "--runs", tmp_path / "runs")
    outcome.refuses(f"{name} is not installed, which training needs; pip install 'twinface[train]'")
    assert not (tmp_path / "runs").exists()


def test_help_tells_every_option(cli: Any) -> None:
    outcome = cli("train", "--help")
    assert outcome.status == 0
    for name in ("--set", "--profile", "--root", "--resume", "--runs", "--device", "--devices", "--strategy"):
        assert name in outcome.out
