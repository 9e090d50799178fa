import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
onnx = pytest.importorskip("onnx", reason="needs the train extra")

from torch import nn  # noqa: E402

from twinface.core.contract import EncoderContract, parse_contract  # noqa: E402
from twinface.core.provenance import TrainingSet, write_training  # noqa: E402
from twinface.core.similarity import normalise  # noqa: E402
from twinface.errors import ContractMismatch, ModelNotFound, OutputError, RecipeError  # noqa: E402
from twinface.models.registry import HOME, find_encoder  # noqa: E402
from twinface.training import checkpoint, conversion  # noqa: E402
from twinface.training.backbones import build  # noqa: E402
from twinface.training.conversion import (  # noqa: E402
    exported,
    from_run,
    normalised,
    parity,
    random_crops,
    trained_on,
    write_model,
)  # fmt: skip
from twinface.training.recipe import BackboneRecipe, DataRecipe, ExportRecipe, Recipe, ScheduleRecipe  # noqa: E402
from twinface.training.recipe_file import write_recipe  # noqa: E402
from twinface.vision.encoder import OnnxEncoder  # noqa: E402
from twinface.vision.session import Session  # noqa: E402

SIDE, DIMENSION = 24, 6


class Tiny(nn.Module):
    """A convolution with batch normalisation and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 32, 5, stride=2), nn.BatchNorm2d(32), nn.ReLU())
        self.head = nn.Linear(32, DIMENSION)

    def forward(self, crops):
        return self.head(self.body(crops).mean(dim=(2, 3)))


class TwoFaced(Tiny):
    """Computes something else once it is exported."""

    def forward(self, crops):
        embeddings = super().forward(crops)
        return embeddings * torch.arange(DIMENSION) if torch.compiler.is_exporting() else embeddings


def tiny(kind: type[nn.Module] = Tiny) -> nn.Module:
    torch.manual_seed(1)
    network = kind()
    network.body[1].running_var.uniform_(0.5, 2.0)
    return network


def contract(name: str = "tiny") -> EncoderContract:
    return EncoderContract(
        name=name, file=f"{name}.onnx", sha256="0" * 64, size=SIDE, channels="RGB", mean=(120.0, 110.0, 100.0),
        scale=1 / 64, points=((8.0, 9.0), (16.0, 9.0), (12.0, 13.0), (9.0, 17.0), (15.0, 17.0)), dimension=DIMENSION,
        mirror=False, licence="none", source="a test",
    )  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return exported(tiny(), contract(), tmp_path_factory.mktemp("models") / "new" / "folder")


# what an export is


def test_the_export_is_a_model_like_any_other_and_computes_what_torch_does(done):
    entry, found = find_encoder(str(done.files[-1]))
    entry.verify()
    assert found == done.contract == replace(contract(), sha256=found.sha256)
    assert found.sha256 == hashlib.sha256(done.files[0].read_bytes()).hexdigest()
    crops = random_crops(5, SIDE)[::-1].copy()
    with torch.no_grad():
        wanted = tiny().eval()(normalised(crops, contract())).numpy()
    templates = OnnxEncoder(found, Session(entry.path, found.sha256)).encode(list(crops))
    assert np.abs(templates - normalise(wanted)).max() < 1e-5


def test_the_measured_difference_is_told(done):
    assert 0 <= done.templates < 1e-5
    assert 0 < done.embeddings < 1e-5


def test_half_storage_halves_the_file_and_says_what_it_costs(done, tmp_path):
    half = exported(tiny(), contract(), tmp_path, "fp16")
    assert half.files[0].stat().st_size < 0.7 * done.files[0].stat().st_size
    assert done.templates < half.templates < 5e-3


def test_the_same_weights_give_the_same_digest_and_stay_as_they_are(done, tmp_path):
    network = tiny().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    again = exported(network, contract(), tmp_path)
    assert again.contract == done.contract
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_whom_it_was_trained_on_stands_beside_the_model_where_somebody_knows(done, tmp_path):
    sets = (TrainingSet("LFW", frozenset({"A B", "C"})), TrainingSet("VGG Face", None))
    told, files = write_model(onnx.load(done.files[0]), contract(), tmp_path, sets)
    assert told == done.contract
    assert [path.name for path in files] == ["tiny.onnx", "tiny.training.json", "tiny.json"]
    assert find_encoder(str(files[-1]))[0].training() == sets
    assert [path.name for path in done.files] == ["tiny.onnx", "tiny.json"]
    assert find_encoder(str(done.files[-1]))[0].training() is None


def test_test_crops_use_the_whole_range_and_are_the_same_every_time():
    crops = random_crops(3, 50)
    assert (crops.shape, crops.dtype, crops.min(), crops.max()) == ((3, 50, 50, 3), np.uint8, 0, 255)
    assert np.array_equal(crops, random_crops(3, 50))
    assert not np.array_equal(crops[0], crops[1])


# what is refused


def test_a_network_that_computes_something_else_as_onnx_is_not_written(tmp_path):
    with pytest.raises(
        ContractMismatch, match=r"tiny: in fp32 ONNX Runtime differs from torch by .* more than 0\.0001"
    ):
        exported(tiny(TwoFaced), contract(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_float16_rounds_too_much_are_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "ROUNDED", 1e-9)
    with pytest.raises(ContractMismatch, match=r"in fp16 .* store it in fp32"):
        exported(tiny(), contract(), tmp_path, "fp16")
    assert list(tmp_path.iterdir()) == []


def test_weights_that_float16_cannot_hold_are_not_written(tmp_path):
    network = tiny()
    network.body[0].weight.data[0, 0, 0, 0] = 1e6
    with pytest.raises(ContractMismatch, match="cannot be written as ONNX in fp16"):
        exported(network, contract(), tmp_path, "fp16")
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_yields_nothing_is_refused(done):
    network = tiny().eval()
    nn.init.zeros_(network.head.weight)
    nn.init.zeros_(network.head.bias)
    with pytest.raises(ContractMismatch, match="yields an embedding that is zero or not finite"):
        parity(network, onnx.load(done.files[0]), contract())


def test_a_contract_that_is_not_the_networks_is_refused(done):
    with pytest.raises(ContractMismatch, match="the contract says"):
        parity(tiny().eval(), onnx.load(done.files[0]), replace(contract(), dimension=7))


def test_an_earlier_state_of_the_model_is_replaced(done, tmp_path):
    for path in done.files:
        shutil.copy(path, tmp_path)
    network = tiny()
    nn.init.ones_(network.head.bias)
    newer = exported(network, contract(), tmp_path)
    assert newer.contract.sha256 != done.contract.sha256
    find_encoder(str(tmp_path / "tiny.json"))[0].verify()


@pytest.mark.parametrize("name", ["tiny.json", "tiny.onnx"])
def test_files_that_are_no_earlier_state_of_the_model_are_left_alone(tmp_path, name):
    (tmp_path / name).write_text('{"results": 1}')
    with pytest.raises(OutputError, match=r"tiny\.json: cannot be written there .*choose another folder or name"):
        exported(tiny(), contract(), tmp_path)
    assert (tmp_path / name).read_text() == '{"results": 1}'


def test_another_models_contract_is_left_alone(tmp_path):
    shutil.copy(HOME / "scout.json", tmp_path / "tiny.json")
    with pytest.raises(OutputError, match=r"tiny\.json: is the contract of another model"):
        exported(tiny(), contract(), tmp_path)


def test_a_file_in_the_folders_place_is_told(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="cannot be written there"):
        exported(tiny(), contract(), tmp_path / "out")


# runs


RECIPE = Recipe(
    "little", data=DataRecipe(size=64), backbone=BackboneRecipe("convolutions", 8), schedule=ScheduleRecipe(steps=1),
    export=ExportRecipe(licence="CC0-1.0"),
)  # fmt: skip


def finished(folder: Path, recipe: Recipe = RECIPE, prefix: str = "export/") -> nn.Module:
    """A run's folder, and the network it ended with."""
    torch.manual_seed(2)
    network = build(recipe.backbone.name, recipe.backbone.dimension, recipe.data.size)
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "recipe.toml").write_text(write_recipe(recipe))
    tensors = {f"{prefix}{name}": value for name, value in network.state_dict().items()}
    others = {f"network/{name}": torch.zeros_like(value) for name, value in network.state_dict().items()}
    checkpoint.save(checkpoint.Checkpoint(10, 1.0, others | tensors, {}), folder / "checkpoints", "best")
    return network


def test_a_run_yields_its_final_network_with_its_recipe_and_contract(tmp_path):
    wanted = finished(tmp_path / "run")
    network, recipe, found = from_run(tmp_path / "run")
    assert not network.training
    assert all(torch.equal(value, wanted.state_dict()[name]) for name, value in network.state_dict().items())
    assert recipe == RECIPE
    assert (found.name, found.file, found.size, found.dimension) == ("little", "little.onnx", 64, 8)
    assert found.licence == "CC0-1.0"


def test_the_recipe_may_name_the_model(tmp_path):
    finished(tmp_path / "run", replace(RECIPE, export=ExportRecipe(name="twin")))
    found = from_run(tmp_path / "run")[2]
    assert (found.name, found.file) == ("twin", "twin.onnx")


def test_a_runs_training_record_is_read_where_there_is_one(tmp_path):
    assert trained_on(tmp_path) is None
    sets = (TrainingSet("folder", frozenset({"A"})),)
    (tmp_path / "training.json").write_text(write_training(sets))
    assert trained_on(tmp_path) == sets
    (tmp_path / "training.json").write_text("{}")
    with pytest.raises(ContractMismatch, match=r"training\.json: not a training record"):
        trained_on(tmp_path)


def test_what_is_no_run_or_has_no_weights_yet_is_told(tmp_path):
    with pytest.raises(ModelNotFound, match="holds no recipe"):
        from_run(tmp_path / "gone")
    finished(tmp_path / "run", prefix="other/")
    with pytest.raises(ModelNotFound, match=r"holds no finished weights; .* --resume"):
        from_run(tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "best.safetensors").unlink()
    with pytest.raises(ModelNotFound, match=r"best\.safetensors: no such checkpoint"):
        from_run(tmp_path / "run")


def test_a_run_that_contradicts_itself_is_told(tmp_path):
    finished(tmp_path / "run")
    other = replace(RECIPE, backbone=BackboneRecipe("convolutions", 9))
    (tmp_path / "run" / "recipe.toml").write_text(write_recipe(other))
    with pytest.raises(ContractMismatch, match=r"head\.weight: is of shape \(8, .* has \(9, "):
        from_run(tmp_path / "run")
    (tmp_path / "run" / "recipe.toml").write_text("nam = 1")
    with pytest.raises(RecipeError, match=r"recipe\.toml"):
        from_run(tmp_path / "run")


def test_contracts_are_plain_json(done):
    text = done.files[-1].read_text()
    assert json.loads(text)["kind"] == "encoder"
    assert parse_contract(text, "it") == done.contract
