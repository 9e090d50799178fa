"""How networks of the user's own are named, and the contracts they get; `test_detector.py` runs the detectors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from twinface.errors import ContractMismatch, ModelNotFound
from twinface.models.registry import HOME
from twinface.vision.encoder import OnnxEncoder
from twinface.vision.foreign import parse_detector, parse_encoder, user_contract, user_encoder
from twinface.vision.session import Session


@pytest.mark.parametrize("kind", ["yunet", "scrfd", "yolo"])
def test_a_detector_of_the_users_is_a_kind_and_a_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "with:colon.onnx"
    path.write_bytes(b"some network")
    assert parse_detector(f"{kind}:{path}") == (kind, path)


@pytest.mark.parametrize(
    "text", ["", "yolo", "yolo:", "retina:face.onnx", ":face.onnx", "twinface:face.onnx", "face.onnx"]
)
def test_other_words_are_refused_with_the_right_spelling(text: str) -> None:
    with pytest.raises(ModelNotFound, match="yunet:FILE, scrfd:FILE, yolo:FILE") as caught:
        parse_detector(text)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"gone\.onnx: no such file"):
        parse_detector(f"yolo:{tmp_path / 'gone.onnx'}")


def test_a_folder_is_no_detector(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="not a file"):
        parse_detector(f"yolo:{tmp_path}")
    with pytest.raises(ModelNotFound, match="cannot read"):
        user_contract("yolo", tmp_path)


@pytest.mark.parametrize(
    ("kind", "channels", "seen_black", "seen_white"),
    [("yunet", "BGR", 0, 255), ("scrfd", "RGB", -0.996, 0.996), ("yolo", "RGB", 0, 1)],
)
def test_the_users_contract_is_the_usual_one_of_its_kind(
    tmp_path: Path, kind: str, channels: str, seen_black: float, seen_white: float
) -> None:
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"some network")
    contract = user_contract(kind, path)
    assert (contract.layout, contract.file, contract.channels) == (kind, "mine.onnx", channels)
    assert contract.name == f"{kind}:mine.onnx"
    assert contract.sha256 == hashlib.sha256(b"some network").hexdigest()
    assert (0 - contract.mean) * contract.scale == pytest.approx(seen_black, abs=1e-3)
    assert (255 - contract.mean) * contract.scale == pytest.approx(seen_white, abs=1e-3)
    assert contract.licence == "unknown (brought by the user)"


def test_an_unknown_kind_has_no_contract(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="known ones: yunet, scrfd, yolo"):
        user_contract("retina", tmp_path)


FLOAT = TensorProto.FLOAT
CROP = ("N", 3, 112, 112)
MIXING = np.random.default_rng(3).normal(size=(8, 3)).astype(np.float32)


def encoder(
    folder: Path, *, taken: Sequence[int | str] = CROP, yielded: Sequence[int | str] = ("N", 8), name: str = "mine.onnx"
) -> Path:
    """A network whose template is eight mixtures of the crop's mean red, green and blue."""
    nodes = [
        helper.make_node("ReduceMean", ["crops"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["means", "mixing"], ["template"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("crops", FLOAT, taken)],
        [helper.make_tensor_value_info("template", FLOAT, yielded)],
        [helper.make_tensor("mixing", FLOAT, (3, 8), MIXING.T.ravel())],
    )
    path = folder / name
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_an_encoder_of_the_users_is_a_kind_and_a_file(tmp_path: Path) -> None:
    path = encoder(tmp_path, name="with:colon.onnx")
    assert parse_encoder(f"arcface:{path}") == ("arcface", path)


@pytest.mark.parametrize("text", ["", "arcface", "arcface:", "facenet:face.onnx", ":face.onnx", "yunet:face.onnx"])
def test_other_words_for_an_encoder_are_refused_with_the_right_spelling(text: str) -> None:
    with pytest.raises(ModelNotFound, match="an encoder of your own is written arcface:FILE") as caught:
        parse_encoder(text)
    assert "\n" not in str(caught.value)


def test_a_missing_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"gone\.onnx: no such file; give the arcface ONNX file"):
        parse_encoder(f"arcface:{tmp_path / 'gone.onnx'}")


def test_the_users_encoder_gets_the_crop_of_arcface(tmp_path: Path) -> None:
    path = encoder(tmp_path)
    contract = user_encoder("arcface", path, Session(path))
    assert (contract.name, contract.file) == ("arcface:mine.onnx", "mine.onnx")
    assert contract.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (contract.size, contract.channels, contract.dimension, contract.mirror) == (112, "RGB", 8, False)
    assert [(value - contract.mean[0]) * contract.scale for value in (0, 127.5, 255)] == pytest.approx([-1, 0, 1])
    assert contract.licence == "unknown (brought by the user)"
    left_eye, right_eye, nose, left_mouth, right_mouth = np.array(contract.points)
    assert abs((left_eye + right_eye)[0] / 2 - nose[0]) < 1  # a frontal face, nose in the middle
    assert left_eye[1] < nose[1] < left_mouth[1] < contract.size
    assert left_mouth[0] < nose[0] < right_mouth[0]


def test_its_pixels_are_scaled_as_the_contract_says(tmp_path: Path) -> None:
    path = encoder(tmp_path)
    session = Session(path)
    crop = np.zeros((112, 112, 3), np.uint8)
    crop[:] = (255, 0, 51)
    (template,) = OnnxEncoder(user_encoder("arcface", path, session), session).encode([crop])
    by_hand = MIXING @ [1.0, -1.0, -0.6]
    assert template == pytest.approx(by_hand / np.linalg.norm(by_hand), abs=1e-5)


@pytest.mark.parametrize("yielded", [("N", 8), ("N", "D"), (1, 8)])
@pytest.mark.parametrize("taken", [CROP, (1, 3, 112, 112), ("N", 3, "H", "W")])
def test_the_dimension_is_read_from_the_network_or_from_what_it_yields(
    tmp_path: Path, taken: Sequence[int | str], yielded: Sequence[int | str]
) -> None:
    path = encoder(tmp_path, taken=taken, yielded=yielded)
    assert user_encoder("arcface", path, Session(path)).dimension == 8


@pytest.mark.parametrize("taken", [("N", 3, 150, 150), ("N", 112, 112, 3), ("N", 3, 112), ("N", 1, 112, 112)])
def test_an_encoder_with_another_crop_is_refused_and_the_way_out_named(
    tmp_path: Path, taken: Sequence[int | str]
) -> None:
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"")
    with pytest.raises(ContractMismatch, match=r"^arcface:mine\.onnx: the network takes .*by a contract \(\.json\)"):
        user_encoder("arcface", path, Shapes(tuple(taken), (("N", 8),)))


@pytest.mark.parametrize("yielded", [(("N", 8), ("N", 8)), (("N", 8, 1, 1),), (), (("N", 0),)])
def test_an_encoder_that_yields_anything_but_one_template_is_refused(tmp_path: Path, yielded: Any) -> None:
    with pytest.raises(ContractMismatch, match="is it an encoder"):
        user_encoder("arcface", tmp_path / "mine.onnx", Shapes(CROP, yielded))


def test_a_detector_is_no_encoder(tmp_path: Path) -> None:
    path = HOME / "scout.onnx"
    with pytest.raises(ContractMismatch, match=r"^arcface:scout\.onnx: "):
        user_encoder("arcface", path, Session(path))


def test_an_unknown_kind_of_encoder_has_no_contract(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="known ones: arcface"):
        user_encoder("facenet", tmp_path, Shapes(CROP, (("N", 8),)))


class Shapes:
    """Stands in for a network that is asked for its shapes only."""

    def __init__(self, taken: tuple[Any, ...], yielded: tuple[tuple[Any, ...], ...]) -> None:
        self.input_shape, self.output_shapes = taken, yielded

    def run(self, batch: Any) -> Any:
        raise AssertionError("nobody needs to run it")
