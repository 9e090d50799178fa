import hashlib
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
onnx = pytest.importorskip("onnx", reason="needs the train extra")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from torch import nn  # noqa: E402

from twinface.errors import ContractMismatch, OutputError  # noqa: E402
from twinface.training.backbones.resnet29 import ChannelAffine  # noqa: E402
from twinface.training.export import fuse, store_half, tidy, to_onnx, write_onnx  # noqa: E402
from twinface.vision.session import Session  # noqa: E402


class Small(nn.Module):
    """Convolution with affine, convolution with batch normalisation, two outputs."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 24, 3, padding=1, bias=bias),
            ChannelAffine(24),
            nn.ReLU(inplace=True),
            nn.Conv2d(24, 24, 3, padding=1, bias=bias),
            nn.BatchNorm2d(24),
        )
        for part in self.body:
            for weight in (*part.parameters(recurse=False), *part.buffers(recurse=False)):
                if weight.is_floating_point():
                    nn.init.uniform_(weight, 0.1, 0.9)

    def forward(self, images):
        features = self.body((images - 100) / 64)
        return features, torch.sigmoid(features.mean(dim=(2, 3)))


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture(scope="module")
def model(small):
    names = {0: "batch", 2: "height", 3: "width"}
    return to_onnx(small, torch.zeros(2, 3, 16, 20), outputs=["features", "score"], dynamic=names)


def error(found: np.ndarray, wanted: torch.Tensor) -> float:
    return float(np.abs(found - wanted.numpy()).max() / wanted.abs().max())


def test_exported_network_computes_what_torch_computes_at_any_size(small, model, tmp_path):
    write_onnx(model, tmp_path / "small.onnx")
    session = Session(tmp_path / "small.onnx")
    images = torch.rand(5, 3, 9, 31) * 255
    with torch.no_grad():
        features, score = small(images)
    outputs = session.run(images.numpy())
    assert list(outputs) == ["features", "score"]
    assert error(outputs["features"], features) < 1e-5
    assert error(outputs["score"], score) < 1e-5


@pytest.fixture(scope="module")
def twice():
    """One network exported two times."""
    models = []
    for _ in range(2):
        torch.manual_seed(5)
        models.append(to_onnx(nn.Conv2d(3, 64, 3), torch.zeros(2, 3, 8, 8)))
    return models


def test_batch_alone_is_free_unless_more_is_asked(twice, tmp_path):
    write_onnx(twice[0], tmp_path / "conv.onnx")
    session = Session(tmp_path / "conv.onnx")
    assert session.input_shape == ("batch", 3, 8, 8)
    assert session.output_shapes == (("batch", 64, 6, 6),)


def test_same_weights_give_the_same_bytes(twice, tmp_path):
    one, other = (write_onnx(store_half(model), tmp_path / f"{place}.onnx") for place, model in enumerate(twice))
    assert one == other == hashlib.sha256((tmp_path / "0.onnx").read_bytes()).hexdigest()


def test_files_are_read_by_onnx_runtime_1_20(model):
    assert model.ir_version <= 10
    assert [(opset.domain, opset.version <= 21) for opset in model.opset_import] == [("", True)]


@pytest.mark.parametrize("bias", [True, False])
def test_fusing_leaves_no_normalisation_and_only_rounding(bias):
    network, images = Small(bias).eval(), torch.rand(2, 3, 8, 8) * 255
    fused = fuse(network)
    assert not any(isinstance(part, ChannelAffine | nn.BatchNorm2d) for part in fused.modules())
    with torch.no_grad():
        assert error(fused(images)[0].numpy(), network(images)[0]) < 1e-6


def test_fusing_leaves_the_network_itself_alone():
    network = Small().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert not fuse(network).training
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_fusing_refuses_batch_normalisation_without_statistics():
    with pytest.raises(ValueError, match="running statistics"):
        fuse(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)))


def test_shipped_encoder_is_bare_convolutions():
    path = Path(__file__).parents[2] / "src" / "twinface" / "models" / "resnet29.onnx"
    kinds = [node.op_type for node in onnx.load(path).graph.node]
    assert kinds.count("Conv") == 29
    assert "Mul" not in kinds
    assert kinds.count("Add") == 14  # one per block


def test_half_storage_halves_the_file_and_computes_in_float32(small, model, tmp_path):
    half = store_half(model)
    assert half.ByteSize() < 0.6 * model.ByteSize()
    write_onnx(half, tmp_path / "half.onnx")
    images = torch.rand(2, 3, 16, 16) * 255
    with torch.no_grad():
        wanted = small(images)[0]
    found = Session(tmp_path / "half.onnx").run(images.numpy())["features"]
    assert found.dtype == np.float32
    assert 0 < error(found, wanted) < 1e-3


def test_half_storage_spares_small_weights_and_its_argument(model):
    before = model.SerializeToString(deterministic=True)
    stored = {tensor.name: tensor.data_type for tensor in store_half(model).graph.initializer}
    assert stored["body.3.weight.half"] == TensorProto.FLOAT16
    assert stored["body.0.weight"] == stored["body.3.bias"] == TensorProto.FLOAT
    assert model.SerializeToString(deterministic=True) == before


def test_files_tell_nothing_of_the_machine_that_made_them(model):
    content = model.SerializeToString()
    for word in (Path(__file__).parents[2].as_posix(), "site-packages", "pytorch", "stack_trace", "forward"):
        assert word.encode() not in content
    assert not model.metadata_props
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)


def graph_of(nodes, tensors=()):
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [2])] for name in ("x", "y")]
    return helper.make_model(helper.make_graph(nodes, "g", *ends, list(tensors)), ir_version=10)


def test_half_storage_refuses_values_it_cannot_hold():
    large = numpy_helper.from_array(np.full(2048, 1e6, np.float32), "weight")
    with pytest.raises(ValueError, match=r"weight: values up to 1e\+06 do not fit float16"):
        store_half(graph_of([helper.make_node("Add", ["x", "weight"], ["y"])], [large]))


def test_tidying_sorts_weights_and_names_values_by_place():
    tensors = [numpy_helper.from_array(np.ones(2, np.float32), name) for name in ("w2", "w1")]
    nodes = [
        helper.make_node("Add", ["x", "w2"], ["any"]),
        helper.make_node("Mul", ["any", "w1"], ["y"], doc_string="?"),
    ]
    graph = tidy(graph_of(nodes, tensors)).graph
    assert [tensor.name for tensor in graph.initializer] == ["w1", "w2"]
    assert [list(node.input) for node in graph.node] == [["x", "w2"], ["000_add_0", "w1"]]
    assert [list(node.output) for node in graph.node] == [["000_add_0"], ["y"]]


def test_tidying_refuses_control_flow():
    branch = helper.make_graph([], "b", [], [])
    choice = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    with pytest.raises(ValueError, match="control flow"):
        tidy(graph_of([choice]))


def test_invalid_models_are_not_written(tmp_path):
    with pytest.raises(ContractMismatch, match=r"bad\.onnx: not a valid ONNX model"):
        write_onnx(graph_of([helper.make_node("NoSuchThing", ["x"], ["y"])]), tmp_path / "bad.onnx")
    assert list(tmp_path.iterdir()) == []


def test_unwritable_place_is_said(model, tmp_path):
    with pytest.raises(OutputError, match=r"folder\.onnx: there is no folder .*such"):
        write_onnx(model, tmp_path / "no" / "such" / "folder.onnx")
