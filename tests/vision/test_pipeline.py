"""The way from a picture to faces with templates."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from twinface.core.contract import parse_contract
from twinface.core.types import Box, Detection, Image, Landmarks
from twinface.errors import ImageTooLarge, UnsupportedFormat
from twinface.models.registry import HOME
from twinface.vision import pipeline
from twinface.vision.alignment import align
from twinface.vision.images import DecodeLimits, decode
from twinface.vision.landmarks import landmarks_from_box
from twinface.vision.pipeline import FaceAnalyzer
from twinface.vision.quality import QualityLimits

CONTRACT = parse_contract((HOME / "resnet29.json").read_text(encoding="utf-8"), "resnet29.json")
FACE = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)])
"""Landmarks in a box of one by one."""

TURNED = np.where(np.arange(5)[:, None] == 2, np.add(FACE, (0.35, 0)), FACE)
"""The nose far to one side."""


class Finder:
    """Reports what it is told, and keeps the pictures it saw."""

    name = "finder"

    def __init__(self, *found: Detection) -> None:
        self.found = list(found)
        self.seen: list[Image] = []

    def detect(self, image: Image) -> list[Detection]:
        self.seen.append(image)
        return self.found


class Mean:
    """An encoder whose template is the mean colour of the crop."""

    name, identity, dimension = "mean", "mean:1", 3

    def __init__(self) -> None:
        self.batches: list[int] = []

    def encode(self, crops: Sequence[Image]) -> np.ndarray:
        self.batches.append(len(crops))
        means = np.array([crop.mean(axis=(0, 1)) for crop in crops], np.float32).reshape(-1, 3) + 1
        return means / np.linalg.norm(means, axis=1, keepdims=True)


def face(left: float, top: float, size: float, score: float = 0.9, points: np.ndarray = FACE) -> Detection:
    return Detection(Box(left, top, size, size), score, Landmarks(points * size + (left, top)))


def noise(width: int = 320, height: int = 240) -> Image:
    coarse = np.random.default_rng(1).integers(40, 220, (height // 8, width // 8, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((8, 8, 1), np.uint8))


def analyzer(*found: Detection, **options: object) -> FaceAnalyzer:
    return FaceAnalyzer(Finder(*found), Mean(), CONTRACT, **options)


def test_faces_come_largest_first_and_doubtful_ones_last() -> None:
    found = face(0, 0, 50, 0.99), face(60, 0, 120, 0.8), face(200, 0, 80, 0.9), face(0, 200, 150, 0.7)
    analysis = analyzer(*found).locate(noise())
    assert [one.box.width for one in analysis.faces] == [120, 80, 50, 150]
    assert [one.score for one in analysis.faces] == [0.8, 0.9, 0.99, 0.7]
    assert all(one.template is None for one in analysis.faces)


def test_faces_of_one_size_keep_the_detectors_order() -> None:
    analysis = analyzer(face(0, 0, 60, 0.9), face(100, 0, 60, 0.8)).locate(noise())
    assert [one.score for one in analysis.faces] == [0.9, 0.8]


def test_the_detector_sees_the_decoded_picture_and_the_analysis_keeps_it(examples) -> None:
    line = analyzer()
    analysis = line.locate(examples / "hopper.jpg")
    picture = decode(examples / "hopper.jpg")
    assert np.array_equal(line.detector.seen[0], picture.pixels)
    assert analysis.image is line.detector.seen[0]
    assert analysis.name == str(examples / "hopper.jpg")
    assert analysis.faces == ()


def test_crops_are_aligned_as_the_contract_says() -> None:
    image, found = noise(), face(60, 20, 120)
    (one,) = analyzer(found).locate(image).faces
    assert one.crop.shape == (CONTRACT.size, CONTRACT.size, 3)
    assert np.array_equal(one.crop, align(image, found.landmarks, CONTRACT.points, CONTRACT.size))


def test_a_detector_of_boxes_only_gets_the_average_face() -> None:
    box = Box(60, 20, 120, 120)
    (one,) = analyzer(Detection(box, 0.9)).locate(noise()).faces
    assert np.array_equal(one.landmarks.points, landmarks_from_box(box).points)


def test_landmarks_that_span_no_crop_mark_no_face() -> None:
    point = face(60, 20, 120, points=np.full((5, 2), 0.5))
    mirrored = face(60, 20, 120, points=FACE[[1, 0, 2, 4, 3]])
    outside = face(5000, 20, 120)
    analysis = analyzer(point, outside, face(0, 0, 50)).locate(noise())
    assert [one.box.width for one in analysis.faces] == [50]
    assert len(analyzer(mirrored).locate(noise()).faces) <= 1  # judged or dropped, never an error


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (face(100, 60, 25), "too small"),
        (face(60, 20, 120, points=TURNED), "profile"),
        (face(60, 20, 120, points=FACE[:, ::-1] * (1, -1) + (0, 1)), "tilted"),
        (face(260, 20, 120), "cut off"),
    ],
)
def test_faces_unfit_for_comparison_are_kept_and_named(found: Detection, reason: str) -> None:
    (one,) = analyzer(found).locate(noise()).faces
    assert not one.quality.usable
    assert reason in one.quality.reasons


def test_a_dark_picture_and_a_flat_one_are_named() -> None:
    (dark,) = analyzer(face(60, 20, 120)).locate(noise() // 16).faces
    assert "too dark" in dark.quality.reasons
    (flat,) = analyzer(face(60, 20, 120)).locate(np.full((240, 320, 3), 128, np.uint8)).faces
    assert {"low contrast", "blurred"} <= set(flat.quality.reasons)


def test_limits_of_quality_and_decoding_can_be_set() -> None:
    assert analyzer(face(60, 20, 120)).locate(noise()).faces[0].quality.usable
    (one,) = analyzer(face(60, 20, 120), quality=QualityLimits(eye_distance=200)).locate(noise()).faces
    assert one.quality.reasons == ("too small",)
    with pytest.raises(ImageTooLarge):
        analyzer(decoding=DecodeLimits(max_pixels=1000)).locate(noise())


def test_what_is_no_picture_never_reaches_the_detector() -> None:
    line = analyzer()
    with pytest.raises(UnsupportedFormat):
        line.locate(np.zeros((64, 64, 3), np.float32))
    assert line.detector.seen == []


def test_encoding_adds_unit_templates_that_name_their_model_and_changes_nothing_else() -> None:
    line = analyzer(face(60, 20, 120), face(0, 0, 50))
    located = line.locate(noise()).faces
    encoded = line.encode(located)
    for before, after in zip(located, encoded, strict=True):
        assert after.template is not None
        assert after.template.model == "mean:1"
        assert np.linalg.norm(after.template.vector) == pytest.approx(1, abs=1e-6)
        assert replace(after, template=None).crop is before.crop
        assert (after.box, after.quality, after.landmarks) == (before.box, before.quality, before.landmarks)
    assert line.encoder.batches == [2]


def test_faces_of_several_pictures_are_encoded_together_each_with_its_own_template() -> None:
    line = analyzer(face(60, 20, 120))
    red, blue = (np.broadcast_to(np.uint8(colour), (240, 320, 3)) for colour in ([200, 0, 0], [0, 0, 200]))
    encoded = line.encode([*line.locate(red).faces, *line.locate(blue).faces])
    assert line.encoder.batches == [2]
    assert [int(np.argmax(one.template.vector)) for one in encoded if one.template] == [0, 2]


def test_no_faces_give_no_templates() -> None:
    assert analyzer().encode([]) == ()


def test_the_identity_changes_with_all_code_that_shapes_templates(tmp_path, monkeypatch) -> None:
    # given a copy of the code, of which one module after the other is touched
    source = Path(pipeline.__file__).parents[1]
    for room in ("vision", "core"):
        shutil.copytree(source / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(pipeline, "__file__", str(tmp_path / "vision" / "pipeline.py"))
    revision = pipeline._revision.__wrapped__
    seen = {revision()}
    touched = [*(tmp_path / "vision").glob("*.py"), *(tmp_path / "core" / f"{name}.py" for name in pipeline.SHAPING)]
    for path in touched:
        path.write_text(path.read_text() + "# changed\n")
        seen.add(revision())
    assert len(seen) == 1 + len(touched)
    (tmp_path / "core" / "decision.py").write_text("")
    assert revision() in seen  # what judges distances makes no templates


def test_no_module_of_the_core_that_shapes_templates_is_forgotten() -> None:
    room = Path(pipeline.__file__).parent
    used = {name for path in room.glob("*.py") for name in re.findall(r"from twinface\.core\.(\w+)", path.read_text())}
    assert used - {"files", "ports", "wording", "decision"} == set(pipeline.SHAPING)


def test_times_are_of_decoding_and_detecting_only() -> None:
    seconds = analyzer(face(60, 20, 120)).locate(noise()).seconds
    assert min(seconds.decode, seconds.detect) >= 0
    assert seconds.encode == 0
    assert seconds.total == pytest.approx(seconds.decode + seconds.detect)


def test_the_shipped_parts_agree_with_themselves_whatever_the_picture_is_called(recognizer, examples) -> None:
    by_path = recognizer.analyze(examples / "hopper.jpg").faces[0]
    by_array = recognizer.analyze(decode(examples / "hopper.jpg").pixels).faces[0]
    assert by_path.box == by_array.box
    assert by_path.template.vector == pytest.approx(by_array.template.vector, abs=1e-6)
