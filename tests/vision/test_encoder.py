import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from twinface.core.contract import parse_contract
from twinface.errors import ContractMismatch, UnsupportedFormat
from twinface.vision.encoder import OnnxEncoder
from twinface.vision.session import Session, SessionOptions

MODELS = Path(__file__).parents[2] / "src" / "twinface" / "models"


@pytest.fixture(scope="module")
def contract():
    return parse_contract((MODELS / "resnet29.json").read_text(encoding="utf-8"), "resnet29.json")


@pytest.fixture(scope="module")
def session(contract):
    return Session(MODELS / contract.file, contract.sha256, SessionOptions(threads=1))


@pytest.fixture(scope="module")
def crops():
    random = np.random.default_rng(4)
    coarse = [random.integers(0, 256, (9, 9, 3), dtype=np.uint8) for _ in range(5)]
    return [cv2.resize(picture, (150, 150), interpolation=cv2.INTER_CUBIC) for picture in coarse]


def by_hand(session, crop):
    """Unit template of one RGB crop, from the port's facts and plain float64 arithmetic."""
    pixels = (crop.astype(np.float64) - (122.782, 117.001, 104.298)) / 256
    (output,) = session.run(pixels.transpose(2, 0, 1)[None].astype(np.float32)).values()
    return output[0] / np.linalg.norm(output[0])


class Network:
    """Stands in for a session: yields what it is given, or the mean of each channel."""

    def __init__(self, shape=("batch", 3, 150, 150), outputs=(("batch", 128),), answer=None):
        self.input_shape, self.output_shapes, self.answer = shape, outputs, answer
        self.batches = []

    def run(self, batch):
        self.batches.append(batch)
        if self.answer is not None:
            return {"embedding": np.broadcast_to(self.answer, (len(batch), 128)).astype(np.float32)}
        means = np.zeros((len(batch), 128), np.float32)
        means[:, :3] = batch.mean(axis=(2, 3))
        return {"embedding": means}


def test_templates_have_unit_length_and_float32(contract, session, crops):
    templates = OnnxEncoder(contract, session).encode(crops)
    assert templates.shape == (5, 128)
    assert templates.dtype == np.float32
    assert np.abs(np.linalg.norm(templates, axis=1) - 1).max() < 1e-6


def test_without_mirror_the_template_is_the_networks_output_at_unit_length(contract, session, crops):
    templates = OnnxEncoder(contract, session, mirror=False).encode(crops)
    assert np.abs(templates - [by_hand(session, crop) for crop in crops]).max() < 1e-6


def test_with_mirror_it_is_the_sum_of_both_unit_templates(contract, session, crops):
    templates = OnnxEncoder(contract, session, mirror=True).encode(crops)
    sums = np.array([by_hand(session, crop) + by_hand(session, crop[:, ::-1]) for crop in crops])
    assert np.abs(templates - sums / np.linalg.norm(sums, axis=1, keepdims=True)).max() < 1e-6


def test_with_mirror_a_face_and_its_mirror_image_are_one(contract, session, crops):
    one, other = OnnxEncoder(contract, session, mirror=True).encode([crops[0], crops[0][:, ::-1]])
    assert np.abs(one - other).max() < 1e-6


@pytest.mark.parametrize("mirror", [True, False])
@pytest.mark.parametrize("batch", [1, 2, 3, 64])
def test_batch_size_does_not_change_templates(contract, session, crops, mirror, batch):
    whole = OnnxEncoder(contract, session, mirror=mirror).encode(crops)
    parts = OnnxEncoder(contract, session, mirror=mirror, batch=batch).encode(crops)
    assert np.abs(parts - whole).max() < 1e-5


@pytest.mark.parametrize(("mirror", "sizes"), [(False, [4, 1]), (True, [4, 4, 2])])
def test_no_batch_exceeds_the_limit(contract, crops, mirror, sizes):
    network = Network()
    OnnxEncoder(contract, network, mirror=mirror, batch=4).encode(crops)
    assert [len(batch) for batch in network.batches] == sizes


def test_network_fixed_to_one_picture_gets_one_at_a_time(contract, crops):
    network = Network(shape=(1, 3, 150, 150), outputs=((1, 128),))
    assert OnnxEncoder(contract, network, mirror=True).encode(crops).shape == (5, 128)
    assert {len(batch) for batch in network.batches} == {1}


def test_channels_mean_and_scale_come_from_the_contract(contract):
    bgr = dataclasses.replace(contract, channels="BGR", mean=(1.0, 2.0, 3.0), scale=0.5)
    network = Network()
    OnnxEncoder(bgr, network, mirror=False).encode([np.full((150, 150, 3), (10, 20, 31), np.uint8)])
    assert network.batches[0].dtype == np.float32
    assert network.batches[0].shape == (1, 3, 150, 150)
    assert network.batches[0][0, :, 7, 7].tolist() == [15.0, 9.0, 3.5]


def test_no_crops_give_no_templates(contract, session):
    assert OnnxEncoder(contract, session).encode([]).shape == (0, 128)


def test_identity_tells_the_use_of_the_mirror_apart(contract, session):
    mirrored, plain, default = (OnnxEncoder(contract, session, mirror=mirror) for mirror in (True, False, None))
    assert mirrored.identity != plain.identity
    assert default.identity == mirrored.identity == contract.identity(True)
    assert (default.name, default.dimension) == ("resnet29", 128)


wrong = {
    "another size": np.zeros((112, 112, 3), np.uint8),
    "grey": np.zeros((150, 150), np.uint8),
    "alpha": np.zeros((150, 150, 4), np.uint8),
    "floats": np.zeros((150, 150, 3), np.float32),
}


@pytest.mark.parametrize("crop", wrong.values(), ids=wrong.keys())
def test_crops_of_other_shape_or_type_are_refused(contract, session, crops, crop):
    with pytest.raises(UnsupportedFormat, match=r"crop 1: resnet29 takes uint8 of shape \(150, 150, 3\), got"):
        OnnxEncoder(contract, session).encode([crops[0], crop])


misfits = {
    "size": (("batch", 3, 112, 112), (("batch", 128),), "takes"),
    "channels last": (("batch", 150, 150, 3), (("batch", 128),), "takes"),
    "fixed batch": ((8, 3, 150, 150), ((8, 128),), "takes"),
    "rank": (("batch", 3), (("batch", 128),), "takes"),
    "dimension": (("batch", 3, 150, 150), (("batch", 512),), "yields"),
    "two outputs": (("batch", 3, 150, 150), (("batch", 128), ("batch", 128)), "yields"),
    "map": (("batch", 3, 150, 150), (("batch", 128, 1, 1),), "yields"),
}


@pytest.mark.parametrize(("shape", "outputs", "word"), misfits.values(), ids=misfits.keys())
def test_network_that_does_not_fit_its_contract_is_refused(contract, shape, outputs, word):
    with pytest.raises(ContractMismatch, match=f"resnet29: the network {word} .*the contract says"):
        OnnxEncoder(contract, Network(shape, outputs))


def test_contract_of_another_model_is_refused(contract, session):
    with pytest.raises(ContractMismatch, match="the contract says"):
        OnnxEncoder(dataclasses.replace(contract, size=112), session)
    with pytest.raises(ContractMismatch, match="the contract says"):
        OnnxEncoder(dataclasses.replace(contract, dimension=512), session)


@pytest.mark.parametrize("answer", [np.nan, np.inf, 0.0])
def test_output_that_is_no_template_is_refused(contract, crops, answer):
    with pytest.raises(ContractMismatch, match="zero or not finite"):
        OnnxEncoder(contract, Network(answer=answer)).encode(crops)


def test_output_whose_free_axis_turns_out_wrong_is_refused(contract, crops):
    class Odd(Network):
        def run(self, batch):
            return {"embedding": np.ones((len(batch), 64), np.float32)}

    with pytest.raises(ContractMismatch, match=r"yields shape \(10, 64\), the contract says \(10, 128\)"):
        OnnxEncoder(contract, Odd(outputs=(("batch", "length"),))).encode(crops)


@pytest.mark.parametrize("batch", [0, -1])
def test_batch_must_be_positive(contract, session, batch):
    with pytest.raises(ValueError, match="batch must be positive"):
        OnnxEncoder(contract, session, batch=batch)
