"""`twinface export`: a training run, or somebody's torch weights, becomes a model."""

from __future__ import annotations

import json
import os
import shlex
import shutil

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the train extra")

from twinface.app.cli.export import Stranger, open_weights  # noqa: E402
from twinface.core.provenance import TrainingSet, write_training  # noqa: E402
from twinface.models.registry import find_encoder  # noqa: E402
from twinface.training import checkpoint  # noqa: E402
from twinface.training.backbones import build  # noqa: E402
from twinface.training.backbones.resnet import ResNet, from_torchvision  # noqa: E402
from twinface.training.foreign_weights import PIXELS  # noqa: E402
from twinface.training.recipe import BackboneRecipe, DataRecipe, Recipe, ScheduleRecipe  # noqa: E402
from twinface.training.recipe_file import write_recipe  # noqa: E402

SIZE, DIMENSION = 64, 8
KNOWN = ("--backbone", "convolutions", "--dimension", DIMENSION, "--size", SIZE)


def network():
    torch.manual_seed(4)
    return build("convolutions", DIMENSION, SIZE)


@pytest.fixture
def run(tmp_path):
    """The folder of a finished run."""
    folder = tmp_path / "my run"
    (folder / "checkpoints").mkdir(parents=True)
    recipe = Recipe(
        "little", data=DataRecipe(size=SIZE), backbone=BackboneRecipe("convolutions", DIMENSION),
        schedule=ScheduleRecipe(steps=1),
    )  # fmt: skip
    (folder / "recipe.toml").write_text(write_recipe(recipe))
    tensors = {f"export/{name}": value for name, value in network().state_dict().items()}
    checkpoint.save(checkpoint.Checkpoint(1, 1.0, tensors, {}), folder / "checkpoints", "best")
    return folder


@pytest.fixture
def weights(tmp_path):
    """Somebody's file."""
    path = tmp_path / "theirs.pt"
    torch.save({"state_dict": network().state_dict()}, path)
    return path


# runs


def test_a_run_becomes_a_model_that_the_other_commands_take(cli, run):
    outcome = cli("export", run, "--to", "onnx")
    assert (outcome.status, outcome.err) == (0, "")
    card = run / "export" / "little.json"
    contract = find_encoder(str(card))[1]
    for words in ("little.onnx  ", "little.json  ", " bytes", "parity   templates within", contract.sha256):
        assert words in outcome.out
    assert f"next: twinface calibrate --model {shlex.quote(str(card))} --root LFW" in outcome.out
    assert cli("models", "verify", card).out == "little: as released\n"


def test_json_holds_all_that_was_written_and_measured(cli, run, tmp_path):
    (run / "training.json").write_text(write_training([TrainingSet("folder", frozenset({"A"}))]))
    words = ("--dtype", "fp16", "--out", tmp_path / "new" / "place", "--name", "mine", "--json")
    outcome = cli("export", run, *words)
    assert (outcome.status, outcome.err) == (0, "")
    found = json.loads(outcome.out)
    names = ["mine.onnx", "mine.training.json", "mine.json"]
    assert [one["path"] for one in found["files"]] == [str(tmp_path / "new" / "place" / name) for name in names]
    assert (found["model"], found["dtype"], found["int8"]) == ("mine", "fp16", None)
    assert found["contract"] == found["files"][-1]["path"]
    assert 0 < found["parity"]["templates"] < 5e-3
    entry, contract = find_encoder(found["contract"])
    assert found["sha256"] == contract.sha256
    assert found["files"][0]["bytes"] == entry.path.stat().st_size
    assert [one.dataset for one in entry.training() or ()] == ["folder"]


def test_int8_is_calibrated_on_pictures_and_says_what_it_costs(cli, run, examples, tmp_path):
    faces = tmp_path / "faces"
    faces.mkdir()
    portrait = np.asarray(Image.open(examples / "collins.jpg").convert("RGB").resize((200, 200)), np.float32)
    for number in range(25):
        tinted = portrait * np.random.default_rng(number).uniform(0.6, 1.0, 3)
        Image.fromarray(tinted.astype(np.uint8)).save(faces / f"{number:02d}.png")
    (faces / "25.png").write_bytes(b"no picture")
    (faces / "notes.txt").write_text("no picture either")
    outcome = cli("export", run, "--dtype", "int8", "--root", faces, "--json")
    assert (outcome.status, outcome.err) == (0, "")
    found = json.loads(outcome.out)
    assert found["model"] == "little-int8"
    assert found["int8"].keys() == {"distance", "ends", "crops"}
    assert 0 < found["int8"]["distance"] < 0.1
    assert found["int8"]["crops"] == 20
    entry, contract = find_encoder(found["contract"])
    entry.verify()
    assert (contract.name, contract.size, contract.dimension) == ("little-int8", SIZE, DIMENSION)
    assert sorted(path.name for path in (run / "export").iterdir()) == ["little-int8.json", "little-int8.onnx"]


# somebody's weights


def test_somebodys_weights_become_a_model_beside_them(cli, weights):
    outcome = cli("export", weights, *KNOWN, "--licence", "MIT", "--pixels", "unit", "--json")
    assert (outcome.status, outcome.err) == (0, "")
    entry, contract = find_encoder(str(weights.with_suffix(".json")))
    assert json.loads(outcome.out)["sha256"] == contract.sha256
    assert (contract.size, contract.dimension, contract.licence) == (SIZE, DIMENSION, "MIT")
    assert (contract.mean, contract.scale) == ((0, 0, 0), pytest.approx(1 / 255))
    assert contract.source.startswith("converted from theirs.pt (SHA-256 ")
    assert entry.training() is None


def test_torchvisions_names_are_understood_whatever_stands_before_them(tmp_path):
    torch.manual_seed(4)
    ours = ResNet(18, DIMENSION).state_dict()
    theirs = list(_torchvision_names())
    known = from_torchvision(dict.fromkeys(theirs, torch.ones(1)))
    assert known.keys() == ours.keys()
    path = tmp_path / "face-recog-resnet18.pt"
    torch.save({f"model.{name}": ours[own] for name, own in zip(theirs, known, strict=True)}, path)
    source = open_weights(path, Stranger("resnet18", DIMENSION, 224, "whole", "imagenet", "unknown"))
    assert (source.contract.name, source.contract.size, source.out) == ("face-recog-resnet18", 224, tmp_path)
    pixels = torch.rand(1, 3, 64, 64) * 255
    mean, deviation = (torch.tensor(values)[:, None, None] for values in PIXELS["imagenet"])
    theirs_network = ResNet(18, DIMENSION).eval()
    theirs_network.load_state_dict(ours)
    with torch.no_grad():
        wanted = theirs_network((pixels - mean) / deviation)
        found = source.network((pixels - mean) * source.contract.scale)
    assert (wanted - found).abs().max() < 1e-4 * wanted.norm()


def _torchvision_names():
    """Names in the state dict of torchvision's resnet18, from its own definition."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    yield from ("conv1.weight", *(f"bn1.{part}" for part in norm), "fc.weight", "fc.bias")
    for layer in (1, 2, 3, 4):
        for block in (0, 1):
            for number in (1, 2):
                yield f"layer{layer}.{block}.conv{number}.weight"
                yield from (f"layer{layer}.{block}.bn{number}.{part}" for part in norm)
        if layer > 1:
            yield f"layer{layer}.0.downsample.0.weight"
            yield from (f"layer{layer}.0.downsample.1.{part}" for part in norm)


class Hostile:
    """Unpickled, it would make a folder."""

    def __init__(self, trace: str) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (self.trace,)


def test_code_in_somebodys_file_is_never_run(cli, tmp_path):
    trace = tmp_path / "it ran"
    torch.save({"head.weight": Hostile(str(trace))}, tmp_path / "theirs.pt")
    cli("export", tmp_path / "theirs.pt", *KNOWN).refuses("theirs.pt: is damaged, or holds objects", "state_dict()")
    assert not trace.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["theirs.pt"]


# trouble


def test_weights_alone_do_not_tell_their_network(cli, weights):
    cli("export", weights).refuses("theirs.pt: weights alone do not tell", "--backbone, --dimension and --size")
    cli("export", weights, "--backbone", "resnet18", "--size", SIZE).refuses("--dimension")


def test_weights_of_another_network_are_refused(cli, weights):
    words = ("--dimension", DIMENSION, "--size", SIZE)
    cli("export", weights, "--backbone", "mobilefacenet", *words).refuses("theirs.pt: ", "MobileFaceNet needs it")
    cli("export", weights, "--backbone", "resnet18", *words).refuses("stem.0.weight: ResNet needs it")
    cli("export", weights, "--backbone", "resnet", *words).refuses('there is no "resnet"; choose')
    cli("export", weights, *KNOWN[:2], "--dimension", "9", *KNOWN[4:]).refuses("head.weight: is of shape (8,")


def test_what_is_no_run_is_refused(cli, tmp_path):
    cli("export", tmp_path / "gone").refuses("gone: holds no recipe.toml")
    cli("export", tmp_path).refuses("holds no recipe.toml; give the folder of a run of twinface train")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--to", "coreml"), "--to must be onnx, got 'coreml'"),
        (("--dtype", "int4"), "--dtype must be fp32 or fp16 or int8, got 'int4'"),
        (("--crop", "round"), "--crop must be whole or aligned, got 'round'"),
        (("--dtype", "int8"), "--dtype int8 and --root"),
        (("--root", "."), "--dtype int8 and --root"),
        (KNOWN, "is no file of weights"),
        (("--name", "../up"), "name no folder, got '../up'"),
        (("--dtype", "int8", "--root", "nowhere"), "nowhere: no such folder or archive"),
    ],
)
def test_wishes_that_make_no_sense_are_refused(cli, run, words, said):
    cli("export", run, *words).refuses(said)
    assert not any((run / "export").glob("*.json"))


def test_pictures_without_faces_calibrate_nothing(cli, run, tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    cli("export", run, "--dtype", "int8", "--root", tmp_path).refuses("no fit face in 1 pictures")


def test_a_folder_without_pictures_is_refused_before_any_work(cli, run):
    cli("export", run, "--dtype", "int8", "--root", run).refuses("my run: holds no pictures")


def test_an_unknown_normalisation_is_refused(cli, weights):
    cli("export", weights, *KNOWN, "--pixels", "clip").refuses("there is no normalisation clip; choose one of imagenet")


def test_what_others_left_in_the_models_place_is_left_alone(cli, run):
    (run / "export").mkdir()
    (run / "export" / "little.json").write_text("{}")
    cli("export", run).refuses("little.json: cannot be written there", "choose another folder or name")
    shutil.rmtree(run / "export")


def test_without_torch_it_says_what_to_install(run_python, run):
    outcome = run_python(
        "import sys\n"
        "sys.modules['torch'] = None\n"
        f"sys.argv = ['twinface', 'export', {str(run)!r}]\n"
        "from twinface.app.cli import main\n"
        "main()\n"
    )
    outcome.refuses("export needs torch, which is not installed: pip install 'twinface[train]'")
