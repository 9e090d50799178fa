"""Which pictures may be trained on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from twinface.errors import DatasetCorrupt, DatasetMissing
from twinface.training.detection.pictures import held_out, read, training_pictures


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((8, 8, 3), (0, 0, 255), np.uint8))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("Ann_A", "Bob_B", "Cyd_C", "Dan_D"):
        picture(tmp_path / "lfw" / name / f"{name}_0001.jpg")
    (tmp_path / "pairs.txt").write_text("1\t1\nAnn_A\t1\t2\nAnn_A\t1\tBob_B\t1\n")
    (tmp_path / "pairsDevTest.txt").write_text("1\nCyd_C\t1\t2\nCyd_C\t1\tAnn_A\t1\n")
    for number in range(40):
        picture(tmp_path / "pool" / "celeba" / "7" / f"{number}.webp")
    return tmp_path


def test_no_person_of_a_reported_test_and_no_held_out_picture_is_trained_on(data: Path) -> None:
    wild, tight, allowed = training_pictures(data / "lfw", data, data / "pool")
    assert [path.name for path in allowed] == ["Dan_D_0001.jpg"]
    assert 0 < len(wild) < 40
    assert not any(held_out(path) for path in wild)
    assert tight == []


def test_about_one_picture_in_ten_is_held_out() -> None:
    assert 80 <= sum(held_out(Path(f"{number}.webp")) for number in range(1000)) <= 120


def test_a_missing_pool_is_named(data: Path) -> None:
    with pytest.raises(DatasetMissing, match="celeba"):
        training_pictures(data / "lfw", data, data / "nowhere")


def test_pictures_are_read_as_rgb_and_damaged_ones_named(data: Path) -> None:
    path = data / "lfw" / "Ann_A" / "Ann_A_0001.jpg"
    (pixels,) = read([path])
    assert pixels[4, 4, 0] > 200
    assert pixels[4, 4, 2] < 60
    path.write_bytes(b"no picture")
    with pytest.raises(DatasetCorrupt, match="Ann_A_0001"):
        read([path])
