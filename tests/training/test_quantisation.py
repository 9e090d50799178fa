import tempfile
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
onnx = pytest.importorskip("onnx", reason="needs the train extra")

from onnx import TensorProto  # noqa: E402
from torch import nn  # noqa: E402

from twinface.core.contract import EncoderContract  # noqa: E402
from twinface.core.provenance import TrainingSet  # noqa: E402
from twinface.errors import ContractMismatch, DatasetMissing, ModelNotFound, OutputError  # noqa: E402
from twinface.models.registry import find_encoder  # noqa: E402
from twinface.training.conversion import random_crops  # noqa: E402
from twinface.training.export import store_half, to_onnx, write_onnx  # noqa: E402
from twinface.training.quantisation import LEAST, METHODS, QuantisationOptions, quantise  # noqa: E402
from twinface.vision.encoder import OnnxEncoder  # noqa: E402
from twinface.vision.session import Session  # noqa: E402

SIDE, DIMENSION = 16, 8


class Tiny(nn.Module):
    """Three convolutions, a shortcut and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.second = nn.Conv2d(16, 64, 3, stride=2, padding=1)
        self.third = nn.Conv2d(64, 64, 3, padding=1)
        self.head = nn.Linear(64 * 64, DIMENSION, bias=False)

    def forward(self, crops):
        features = torch.relu(self.second(torch.relu(self.first(crops))))
        features = torch.relu(features + self.third(features))
        return self.head(features.flatten(1))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    return to_onnx(Tiny(), torch.zeros(2, 3, SIDE, SIDE), outputs=["embedding"])


@pytest.fixture(scope="module")
def crops():
    return random_crops(40, SIDE)


def contract(name: str = "small") -> EncoderContract:
    return EncoderContract(
        name=name, file=f"{name}.onnx", sha256="0" * 64, size=SIDE, channels="RGB", mean=(127.5, 127.5, 127.5),
        scale=1 / 127.5, points=((5.0, 6.0), (11.0, 6.0), (8.0, 9.0), (6.0, 12.0), (10.0, 12.0)), dimension=DIMENSION,
        mirror=True, licence="none", source="a test",
    )  # fmt: skip


@pytest.fixture(scope="module")
def done(model, crops, tmp_path_factory):
    return quantise(model, crops, contract(), tmp_path_factory.mktemp("int8") / "new")


def templates(path, crops, sha256=None):
    return OnnxEncoder(contract(), Session(path, sha256), mirror=False).encode(list(crops))


# what comes out


def test_the_int8_copy_is_a_model_like_any_other(done, crops):
    entry, found = find_encoder(str(done.files[-1]))
    assert found == done.contract == replace(contract(), sha256=found.sha256)
    session = Session(entry.path, found.sha256)
    assert session.input_shape == ("batch", 3, SIDE, SIDE)
    together = OnnxEncoder(found, session).encode(list(crops[:7]))
    alone = OnnxEncoder(found, session, batch=1).encode(list(crops[:7]))
    assert together.shape == (7, DIMENSION)
    assert np.abs(together - alone).max() < 1e-5


def test_it_stays_near_the_float_network_and_says_how_near_on_crops_it_did_not_see(done, model, crops, tmp_path):
    write_onnx(model, tmp_path / "float.onnx")
    judging = crops[4::5]
    gaps = np.linalg.norm(templates(done.files[0], judging) - templates(tmp_path / "float.onnx", judging), axis=1)
    assert done.distance == pytest.approx(gaps.mean(), rel=1e-5)
    assert 0 < done.distance < 0.1
    assert done.crops == 32


def test_weights_are_int8_with_a_scale_for_each_channel(model, crops, tmp_path):
    small = quantise(model, crops, contract(), tmp_path, QuantisationOptions(ends="int8"))
    tensors = {tensor.name: tensor for tensor in onnx.load(small.files[0]).graph.initializer}
    for name, channels in (("first", 16), ("second", 64), ("third", 64)):
        assert tensors[f"{name}.weight_quantized"].data_type == TensorProto.INT8
        assert list(tensors[f"{name}.weight_scale"].dims) == [channels]
    assert small.files[0].stat().st_size < 0.5 * model.ByteSize()


def test_the_ends_stay_in_float_if_asked(model, crops, tmp_path):
    small = quantise(model, crops, contract(), tmp_path, QuantisationOptions(ends="float"))
    found = {tensor.name: tensor.data_type for tensor in onnx.load(small.files[0]).graph.initializer}
    assert found["first.weight"] == TensorProto.FLOAT
    assert found["second.weight_quantized"] == found["third.weight_quantized"] == TensorProto.INT8
    assert small.ends == "float"


def test_the_nearer_of_both_is_kept_unless_asked_otherwise(done, model, crops, tmp_path):
    both = {
        ends: quantise(model, crops, contract(), tmp_path, QuantisationOptions(ends=ends)) for ends in ("int8", "float")
    }
    best = min(both.values(), key=lambda one: one.distance)
    assert (done.contract, done.ends, done.distance) == (best.contract, best.ends, best.distance)
    assert both["int8"].contract.sha256 != both["float"].contract.sha256


@pytest.mark.parametrize("method", METHODS)
def test_every_method_calibrates_quietly(model, crops, tmp_path, capfd, method):
    small = quantise(model, crops, contract(), tmp_path, QuantisationOptions(method=method, ends="int8", batch=5))
    assert small.distance < 0.1
    assert capfd.readouterr() == ("", "")


def test_narrow_weights_leave_room_for_processors_whose_sums_overflow(model, crops, tmp_path):
    small = quantise(model, crops, contract(), tmp_path, QuantisationOptions(ends="int8", narrow=True))
    tensors = {tensor.name: tensor for tensor in onnx.load(small.files[0]).graph.initializer}
    assert np.abs(onnx.numpy_helper.to_array(tensors["third.weight_quantized"]).astype(int)).max() <= 64


def test_a_file_stored_in_half_serves_as_well(done, model, crops, tmp_path):
    write_onnx(store_half(model), tmp_path / "half.onnx")
    small = quantise(tmp_path / "half.onnx", crops, contract(), tmp_path)
    assert small.distance == pytest.approx(done.distance, rel=0.1)
    assert "Cast" not in {node.op_type for node in onnx.load(small.files[0]).graph.node}


def test_whom_it_was_trained_on_is_handed_on(model, crops, tmp_path):
    sets = (TrainingSet("folder", frozenset({"A"})),)
    small = quantise(model, crops, contract(), tmp_path, QuantisationOptions(ends="int8"), sets)
    assert find_encoder(str(small.files[-1]))[0].training() == sets


# what it leaves behind


def test_nothing_is_left_but_the_model_and_it_names_only_what_it_needs(done, model, crops, tmp_path, monkeypatch):
    for name in ("scratch", "here", "out"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    monkeypatch.chdir(tmp_path / "here")
    again = quantise(model, crops, contract(), tmp_path / "out")
    assert list((tmp_path / "scratch").iterdir()) == list((tmp_path / "here").iterdir()) == []
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["small.json", "small.onnx"]
    assert again.contract.sha256 == done.contract.sha256  # the same bytes every time
    written = onnx.load(again.files[0])
    assert {opset.domain for opset in written.opset_import} == {""}
    assert not written.metadata_props
    assert str(tmp_path).encode() not in again.files[0].read_bytes()


# what is refused


def test_too_few_faces_are_told(model, crops, tmp_path):
    with pytest.raises(DatasetMissing, match=rf"int8 takes {LEAST} faces to calibrate on, here are 19"):
        quantise(model, crops[:19], contract(), tmp_path)


@pytest.mark.parametrize("wrong", [np.zeros((30, 8, 8, 3), np.uint8), np.zeros((30, SIDE, SIDE, 3), np.float32)])
def test_other_crops_are_refused(model, tmp_path, wrong):
    with pytest.raises(ValueError, match=r"quantise: expected crops of shape \(N, 16, 16, 3\), uint8"):
        quantise(model, wrong, contract(), tmp_path)


def test_a_file_that_is_no_network_is_refused(crops, tmp_path):
    (tmp_path / "no.onnx").write_bytes(b"no network")
    with pytest.raises(ContractMismatch, match=r"no\.onnx: not a network"):
        quantise(tmp_path / "no.onnx", crops, contract(), tmp_path)
    with pytest.raises(ModelNotFound, match=r"gone\.onnx"):
        quantise(tmp_path / "gone.onnx", crops, contract(), tmp_path)


def test_files_of_others_are_left_alone(model, crops, tmp_path):
    (tmp_path / "small.json").write_text("[]")
    with pytest.raises(OutputError, match="choose another folder or name"):
        quantise(model, crops, contract(), tmp_path)


@pytest.mark.parametrize("wrong", [{"method": "best"}, {"ends": "both"}, {"batch": 0}])
def test_options_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match="no such method, ends or batch"):
        QuantisationOptions(**wrong)
