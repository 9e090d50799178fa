import contextlib
import os
import pickle
import random
import zipfile
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("safetensors", reason="needs the train extra")

from safetensors.torch import save_file  # noqa: E402
from torch import nn  # noqa: E402

from twinface.errors import ContractMismatch, ModelError, ModelNotFound  # noqa: E402
from twinface.training import foreign_weights  # noqa: E402
from twinface.training.foreign_weights import (  # noqa: E402
    PIXELS,
    absorb,
    foreign_contract,
    load_weights,
    read_foreign,
)
from twinface.training.recipe import BackboneRecipe, DataRecipe, ExportRecipe, Recipe  # noqa: E402


def state():
    return {"conv.weight": torch.arange(12.0).reshape(2, 3, 1, 2), "norm.num_batches_tracked": torch.tensor(3)}


class Hostile:
    """Unpickled, it would make a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


class HostileCall(Hostile):
    """Likewise, through the shell."""

    def __reduce__(self):
        return os.system, (f"touch '{self.trace}'",)


# what is read


@pytest.mark.parametrize(
    "wrapped",
    [lambda it: it, lambda it: {"state_dict": it, "epoch": 3}, lambda it: {"model_state_dict": it, "loss": 0.1}],
)
@pytest.mark.parametrize("modern", [True, False])
def test_a_state_dict_is_read_alone_or_beside_the_rest_of_a_training(tmp_path, wrapped, modern):
    path = tmp_path / "weights.pt"
    torch.save(wrapped(state()), path, _use_new_zipfile_serialization=modern)
    found = read_foreign(path)
    assert found.keys() == state().keys()
    assert all(torch.equal(found[name], value) for name, value in state().items())


def test_safetensors_and_pth_are_read_too(tmp_path):
    save_file(state(), tmp_path / "weights.safetensors")
    torch.save(state(), tmp_path / "weights.pth")
    for name in ("weights.safetensors", "weights.pth"):
        assert torch.equal(read_foreign(tmp_path / name)["conv.weight"], state()["conv.weight"])


def test_a_parameter_comes_without_its_gradient(tmp_path):
    torch.save({"weight": nn.Parameter(torch.ones(2))}, tmp_path / "weights.pt")
    assert not read_foreign(tmp_path / "weights.pt")["weight"].requires_grad


# what is not run


@pytest.mark.parametrize("kind", [Hostile, HostileCall])
@pytest.mark.parametrize("way", ["zip", "legacy", "pickle"])
def test_code_in_a_file_is_never_run(tmp_path, kind, way):
    trace, path = tmp_path / "it ran", tmp_path / "weights.pt"
    content = {**state(), "x": kind(trace)}
    if way == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=way == "zip")
    with pytest.raises(ContractMismatch, match=r"weights\.pt: is damaged, or holds objects .* save the state_dict\(\)"):
        read_foreign(path)
    assert not trace.exists()
    torch.load(path, weights_only=False) if way != "pickle" else pickle.loads(path.read_bytes())
    assert trace.exists()  # the file was as hostile as it claims


def test_a_whole_module_is_refused(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "module.pt")
    with pytest.raises(ContractMismatch, match=r"save the state_dict\(\) of the network alone"):
        read_foreign(tmp_path / "module.pt")


# what is refused


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        {},
        {"epoch": 3},
        {"state_dict": {}},
        {"weight": torch.ones(3).to_sparse()},
        {"weight": torch.ones(3, dtype=torch.complex64)},
        {"weight": torch.empty(3, device="meta")},
        {"weight": torch.ones(1).expand(10**12)},
        {3: torch.ones(1)},
    ],
    ids=["list", "empty", "number", "empty within", "sparse", "complex", "meta", "claims to be huge", "3"],
)
def test_anything_but_plain_tensors_by_name_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "odd.pt")
    with pytest.raises(ContractMismatch, match=r"odd\.pt: .*state_dict\(\)"):
        read_foreign(tmp_path / "odd.pt")


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_files_that_are_no_weights_are_refused_in_one_line(tmp_path, suffix):
    whole = tmp_path / f"whole.{suffix}"
    torch.save(state(), whole) if suffix == "pt" else save_file(state(), whole)
    content = whole.read_bytes()
    for place, broken in enumerate([b"", b"no weights at all", content[: len(content) // 2], os.urandom(3000)]):
        path = tmp_path / f"broken{place}.{suffix}"
        path.write_bytes(broken)
        with pytest.raises(ContractMismatch) as refusal:
            read_foreign(path)
        assert path.name in str(refusal.value)
        assert str(refusal.value).isprintable()


def test_whatever_a_damaged_file_holds_it_is_a_models_error(tmp_path):
    chance = random.Random(5)
    path = tmp_path / "weights.pt"
    for modern in (True, False):
        torch.save(state(), path, _use_new_zipfile_serialization=modern)
        content = path.read_bytes()
        for _ in range(150):
            broken = bytearray(content)
            for _ in range(chance.randint(1, 5)):
                broken[chance.randrange(len(broken))] = chance.randrange(256)
            path.write_bytes(broken)
            with contextlib.suppress(ModelError):
                read_foreign(path)


@pytest.mark.parametrize("name", ["gone.pt", "folder.pt"])
def test_a_missing_file_is_told(tmp_path, name):
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(ModelNotFound, match="no such file of weights"):
        read_foreign(tmp_path / name)


def test_a_file_of_another_kind_is_refused_before_it_is_opened(tmp_path):
    (tmp_path / "weights.pkl").write_bytes(pickle.dumps(state()))
    with pytest.raises(ContractMismatch, match=r"read from \.pt, \.pth and \.safetensors"):
        read_foreign(tmp_path / "weights.pkl")


def test_a_file_that_is_or_unfolds_to_more_than_the_limit_is_refused(tmp_path, monkeypatch):
    torch.save(state(), tmp_path / "large.pt")
    with zipfile.ZipFile(tmp_path / "folded.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(100_000))
    assert (tmp_path / "folded.pt").stat().st_size < 1000
    monkeypatch.setattr(foreign_weights, "LARGEST", 1000)
    for name in ("large.pt", "folded.pt"):
        with pytest.raises(ContractMismatch, match="more than the 1,000 bytes"):
            read_foreign(tmp_path / name)


# what fits


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))


def test_weights_that_fit_are_taken_over():
    wanted, given = network().state_dict(), nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))
    older = {name: value for name, value in wanted.items() if not name.endswith("num_batches_tracked")}
    load_weights(given, older, Path("older.pt"))
    assert all(torch.equal(given.state_dict()[name], value) for name, value in older.items())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"0.weight": torch.ones(5, 3, 3, 3)}, r"0\.weight: is of shape \(5, 3, 3, 3\), Sequential has \(4, 3, 3, 3\)"),
        ({"0.bias": None}, r"0\.bias: Sequential needs it, the file does not have it"),
        ({"fc.weight": torch.ones(1)}, r"fc\.weight: Sequential has nothing of that name"),
        ({"0.bias": torch.full((4,), torch.nan)}, r"0\.bias is not finite"),
    ],
)
def test_the_first_weight_that_does_not_fit_is_named(change, said):
    weights = {name: value for name, value in (network().state_dict() | change).items() if value is not None}
    with pytest.raises(ContractMismatch, match=rf"w\.pt: {said}"):
        load_weights(network(), weights, Path("w.pt"))


# normalisation


@pytest.mark.parametrize("pixels", PIXELS)
def test_a_strangers_normalisation_becomes_the_contracts(pixels):
    theirs, ours = network().eval(), network().eval()
    absorb(ours, pixels)
    recipe = Recipe("it", data=DataRecipe(size=64), backbone=BackboneRecipe("convolutions", 4))
    contract = foreign_contract(recipe, pixels)
    crops = torch.rand(2, 3, 6, 6) * 255
    mean, deviation = (torch.tensor(values)[:, None, None] for values in PIXELS[pixels])
    with torch.no_grad():
        wanted = theirs((crops - mean) / deviation)
        found = ours((crops - torch.tensor(contract.mean)[:, None, None]) * contract.scale)
    assert (wanted - found).abs().max() < 1e-5


def test_the_contract_says_what_the_user_said():
    recipe = Recipe(
        "it", data=DataRecipe(crop="whole", size=224), backbone=BackboneRecipe("resnet18", 1024),
        export=ExportRecipe(licence="MIT", source="somebody"),
    )  # fmt: skip
    contract = foreign_contract(recipe, "imagenet")
    assert (contract.name, contract.file, contract.size, contract.dimension) == ("it", "it.onnx", 224, 1024)
    assert (contract.licence, contract.source, contract.mean) == ("MIT", "somebody", (123.675, 116.28, 103.53))
    assert contract.scale == pytest.approx(1 / 57.63)
    left_eye, right_eye, *_ = contract.points
    assert right_eye[0] - left_eye[0] < 224 / 4  # a face amid its surroundings


def test_an_unknown_normalisation_and_a_network_without_channels_are_refused():
    with pytest.raises(ContractMismatch, match="no normalisation clip; choose one of imagenet, symmetric, unit"):
        foreign_contract(Recipe("it"), "clip")
    with pytest.raises(ContractMismatch, match="no convolution takes the picture's three channels"):
        absorb(nn.Linear(3, 3), "unit")
