"""What came of a run: figures that anybody can compute again, whom it was trained on, and curves to look at."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("lightning_fabric", reason="needs the train extra")
pytest.importorskip("matplotlib", reason="needs the train extra")

from twinface.core.provenance import parse_training  # noqa: E402
from twinface.errors import ContractMismatch, OutputError  # noqa: E402
from twinface.training import checkpoint  # noqa: E402
from twinface.training.materials import Materials, gather, judges  # noqa: E402
from twinface.training.outcome import write_outcome  # noqa: E402
from twinface.training.recipe import BackboneRecipe, EvaluationRecipe, ExportRecipe, Recipe, ScheduleRecipe  # noqa: E402
from twinface.training.run_folder import RunFolder  # noqa: E402
from twinface.training.start import starting_network  # noqa: E402
from twinface.training.validation import draw_pairs  # noqa: E402

_spec = spec_from_file_location("tiny_runs", Path(__file__).with_name("tiny_runs.py"))
assert _spec is not None
assert _spec.loader is not None
tiny: Any = module_from_spec(_spec)
_spec.loader.exec_module(tiny)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outcome")


@pytest.fixture(scope="module")
def recipe(parent: Path) -> Recipe:
    root = tiny.write_faces(parent / "faces", persons=7, lamp=45.0)
    (root / "person02" / "1.png").write_bytes(b"no picture")
    plain = tiny.recipe_of(root, schedule=ScheduleRecipe("constant", steps=6), evaluation=EvaluationRecipe(every=3))
    found: Recipe = replace(plain, data=replace(plain.data, corrupt=0.1))
    return found


@pytest.fixture(scope="module")
def run(recipe: Recipe, parent: Path) -> RunFolder:
    found: RunFolder = tiny.finished(recipe, parent)
    return found


@pytest.fixture(scope="module")
def materials(recipe: Recipe, parent: Path) -> Materials:
    return gather(recipe, parent / "crops", CPU, lambda line: None)


def results(run: RunFolder) -> Any:
    return json.loads(run.results.read_text(encoding="utf-8"), parse_constant=pytest.fail)


def again(run: RunFolder, recipe: Recipe, materials: Materials) -> Any:
    """The results written once more, of another recipe."""
    best = checkpoint.load(run.checkpoints / "best.safetensors")
    write_outcome(run, recipe, best, judges(recipe, materials), CPU, materials)
    return results(run)


@pytest.fixture
def other(run: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of the run to spoil."""
    found = RunFolder.create(tmp_path, "other", "")
    for name in ("metrics.csv", "checkpoints/best.safetensors"):
        (found.path / name).write_bytes((run.path / name).read_bytes())
    return found


def by_hand(network: Any, recipe: Recipe, materials: Materials, threshold: float) -> tuple[float, float]:
    """Accuracy and loss on the validation pairs, picture by picture."""
    network.eval()
    pairs = draw_pairs(materials.validation, recipe.evaluation.pairs, recipe.seed)
    rows = sorted(set(pairs.ends.ravel().tolist()))
    with torch.no_grad():
        crops = torch.from_numpy(np.array(materials.store.pixels[rows])).permute(0, 3, 1, 2).float()
        found = network((crops - 127.5) / 127.5).numpy()
    units = dict(zip(rows, found / np.linalg.norm(found, axis=1, keepdims=True), strict=True))
    gaps = np.array([np.linalg.norm(units[one] - units[two]) for one, two in pairs.ends])
    loss = np.where(pairs.mated, gaps**2, np.maximum(0, 1.0 - gaps) ** 2).mean()
    return float(((gaps <= threshold) == pairs.mated).mean()), float(loss)


def test_the_figures_are_those_of_the_best_weights(run: RunFolder, recipe: Recipe, materials: Materials) -> None:
    found = results(run)
    network = starting_network(str(run.path), "convolutions", 16, tiny.SIDE)
    accuracy, loss = by_hand(network, recipe, materials, found["finished"]["train"]["threshold"])
    assert found["finished"]["validation"]["accuracy"] == pytest.approx(accuracy)
    assert found["finished"]["validation"]["loss"] == pytest.approx(loss, rel=1e-4)


def test_beside_them_are_those_of_the_network_it_started_as(
    run: RunFolder, recipe: Recipe, materials: Materials
) -> None:
    found = results(run)
    torch.manual_seed(recipe.seed)
    network = starting_network("", "convolutions", 16, tiny.SIDE)
    accuracy, loss = by_hand(network, recipe, materials, found["start"]["train"]["threshold"])
    assert found["start"]["validation"]["accuracy"] == pytest.approx(accuracy)
    assert found["start"]["validation"]["loss"] == pytest.approx(loss, rel=1e-4)
    first = run.metrics.read_text().splitlines()[2].split(",")
    assert first[:3] == ["0", "0.0", "validation"]
    assert found["start"]["validation"]["loss"] == pytest.approx(float(first[3]), rel=1e-5)


def test_every_figure_follows_from_the_counts(run: RunFolder) -> None:
    for network in ("start", "finished"):
        for figures in results(run)[network].values():
            pairs = figures["pairs"]
            matches = pairs["true_matches"] + pairs["false_matches"]
            mated = pairs["true_matches"] + pairs["false_non_matches"]
            assert figures["accuracy"] == pytest.approx(
                (pairs["true_matches"] + pairs["true_non_matches"]) / sum(pairs.values())
            )
            assert figures["precision"] == pytest.approx(pairs["true_matches"] / matches)
            assert figures["recall"] == pytest.approx(pairs["true_matches"] / mated)
            assert figures["f1"] == pytest.approx(2 * pairs["true_matches"] / (matches + mated))


def test_who_was_there_is_counted_and_named(run: RunFolder, materials: Materials) -> None:
    found = results(run)
    assert found["persons"] == {"train": 5, "validation": 2}
    assert found["pictures"]["train"] + found["pictures"]["validation"] == 27
    assert found["skipped"] == 1
    (one,) = parse_training((run.path / "training.json").read_text(encoding="utf-8"), "training.json")
    assert one.dataset == "faces"
    assert one.subjects == {f"person{number:02d}" for number in range(7)}


def test_the_best_checkpoint_is_told(run: RunFolder) -> None:
    found = results(run)
    assert found["best_step"] == checkpoint.load(run.checkpoints / "best.safetensors").step
    assert found["best_epoch"] == pytest.approx(found["best_step"] / 3, abs=0.4)


def test_the_curves_are_a_picture(run: RunFolder) -> None:
    with Image.open(run.curves) as picture:
        picture.load()
        assert picture.format == "PNG"
        assert min(picture.size) > 400
        assert len(picture.convert("RGB").resize((200, 150)).getcolors(30_000) or []) > 20


def test_a_fixed_threshold_is_everybodys(other: RunFolder, recipe: Recipe, materials: Materials) -> None:
    fixed = replace(recipe, evaluation=replace(recipe.evaluation, threshold=0.375))
    found = again(other, fixed, materials)
    assert {figures["threshold"] for side in ("start", "finished") for figures in found[side].values()} == {0.375}


def test_a_model_that_is_used_with_mirror_images_is_judged_so(
    other: RunFolder, run: RunFolder, recipe: Recipe, materials: Materials
) -> None:
    mirrored = replace(recipe, export=ExportRecipe(mirror=True))
    plain = results(run)["finished"]["validation"]["loss"]
    assert again(other, mirrored, materials)["finished"]["validation"]["loss"] != pytest.approx(plain, rel=1e-3)


def test_weights_of_another_network_are_refused_and_nothing_is_written(
    other: RunFolder, recipe: Recipe, materials: Materials
) -> None:
    wide = replace(recipe, backbone=BackboneRecipe("convolutions", 8))
    with pytest.raises(ContractMismatch, match="the weights of its best network are not the recipe's") as caught:
        again(other, wide, materials)
    assert str(caught.value).isprintable()
    assert not other.results.exists()


@pytest.mark.parametrize("name", ["results.json", "training.json", "curves.png"])
def test_what_cannot_be_written_is_told_with_its_path(
    other: RunFolder, recipe: Recipe, materials: Materials, name: str
) -> None:
    (other.path / name).mkdir()
    with pytest.raises(OutputError, match=rf"{name}: cannot be written"):
        again(other, recipe, materials)
