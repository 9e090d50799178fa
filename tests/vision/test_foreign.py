"""How detectors of the user's own are named, and the contracts they get; `test_detector.py` runs them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from twinface.errors import ModelNotFound
from twinface.vision.foreign import parse_detector, user_contract


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
