"""Letterbox, suppression, the port on real, tiny ONNX networks, and YuNet against OpenCV's own reading of it."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, helper, numpy_helper

from twinface.core.contract import DetectorContract, RefinerContract
from twinface.core.geometry import iou, non_maximum_suppression
from twinface.core.ports import Detector
from twinface.core.types import Image
from twinface.errors import ContractMismatch, ModelTampered, UnsupportedFormat
from twinface.vision.detector import Letterbox, OnnxDetector
from twinface.vision.foreign import parse_detector, user_contract
from twinface.vision.landmarks import LandmarkRefiner
from twinface.vision.session import Session

CONTRACT = DetectorContract(
    name="tiny",
    layout="yolo",
    file="tiny.onnx",
    sha256="0" * 64,
    channels="RGB",
    mean=0.0,
    scale=1.0,
    longest=320,
    confidence=0.5,
    overlap=0.4,
    licence="none",
    source="this test",
)
FREE = (1, 3, "height", "width")
POINTS = [26.0, 22, 38, 22, 32, 30, 27, 38, 37, 38]


def network(folder: Path, nodes: Sequence[onnx.NodeProto], shape: Sequence[int | str] = FREE) -> Session:
    """The network of these nodes, from `image` to `faces` (1, N, V): YOLO's rows with suppression inside."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
    faces = helper.make_tensor_value_info("faces", TensorProto.FLOAT, [1, "faces", "values"])
    graph = helper.make_graph(nodes, "detector", [image], [faces])
    path = folder / "tiny.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return Session(path)


def constant(name: str, values: object) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(values, np.float32), name))


def reporting(folder: Path, rows: Sequence[Sequence[float]], shape: Sequence[int | str] = FREE) -> Session:
    """A network that sees the same faces in every picture: left, top, right, bottom, score, class, landmarks."""
    return network(folder, [constant("faces", [rows])], shape)


def boxes_of(detector: OnnxDetector, image: Image) -> list[tuple[float, ...]]:
    return [found.box.corners for found in detector.detect(image)]


def blank(width: int, height: int) -> Image:
    return np.zeros((height, width, 3), np.uint8)


sides = st.integers(1, 5000)
coordinates = arrays(np.float32, (4, 2), elements=st.floats(-1000, 6000, width=32))


@settings(deadline=None)
@given(sides, sides, st.integers(32, 2000), coordinates)
def test_free_letterbox_and_back_is_the_same_place(width: int, height: int, longest: int, points: np.ndarray) -> None:
    letterbox = Letterbox.free(width, height, longest)
    np.testing.assert_allclose(letterbox.to_picture(letterbox.to_input(points)), points, rtol=1e-5, atol=1e-3)


@settings(deadline=None)
@given(sides, sides, coordinates)
def test_fixed_letterbox_and_back_is_the_same_place(width: int, height: int, points: np.ndarray) -> None:
    letterbox = Letterbox.fixed(width, height, (640, 480))
    np.testing.assert_allclose(letterbox.to_picture(letterbox.to_input(points)), points, rtol=1e-5, atol=1e-3)


@settings(deadline=None)
@given(sides, sides, st.integers(32, 2000))
def test_free_letterbox_shrinks_only_above_the_longest_side(width: int, height: int, longest: int) -> None:
    letterbox = Letterbox.free(width, height, longest)
    if max(width, height) <= longest:
        assert letterbox.inner == (width, height)
    else:
        assert max(letterbox.inner) == longest
        assert letterbox.inner[0] == pytest.approx(max(1, longest * width / max(width, height)), abs=0.51)
    for inner, outer in zip(letterbox.inner, letterbox.outer, strict=True):
        assert outer % 32 == 0
        assert 0 <= outer - inner < 32


@settings(deadline=None)
@given(sides, sides)
def test_fixed_letterbox_fills_one_side(width: int, height: int) -> None:
    letterbox = Letterbox.fixed(width, height, (640, 480))
    assert letterbox.outer == (640, 480)
    assert letterbox.inner[0] == 640 or letterbox.inner[1] == 480
    assert letterbox.inner[0] <= 640
    assert letterbox.inner[1] <= 480


@settings(deadline=None)
@given(sides, sides)
def test_the_corner_of_the_picture_is_the_corner_of_its_resized_form(width: int, height: int) -> None:
    letterbox = Letterbox.free(width, height, 320)
    corner = letterbox.to_input(np.array([width, height], np.float32))
    np.testing.assert_allclose(corner, letterbox.inner, rtol=1e-5)


def test_the_picture_is_painted_at_the_top_left() -> None:
    image = np.random.default_rng(3).integers(0, 256, (40, 70, 3), np.uint8)
    canvas = Letterbox.free(70, 40, 320).paint(image, 114)
    assert canvas.shape == (64, 96, 3)
    assert np.array_equal(canvas[:40, :70], image)
    assert (canvas[40:] == 114).all()
    assert (canvas[:, 70:] == 114).all()


def test_shrinking_averages_pixels() -> None:
    stripes = blank(1280, 1280)
    stripes[:, ::4] = stripes[:, 3::4] = 200
    assert (Letterbox.free(1280, 1280, 320).paint(stripes, 0) == 100).all()


corner_pairs = arrays(np.float64, st.tuples(st.integers(0, 25), st.just(4)), elements=st.integers(0, 40).map(float))
overlaps = st.sampled_from([0.1, 0.3, 0.5, 0.9])


def sorted_corners(raw: np.ndarray) -> np.ndarray:
    low, high = np.minimum(raw[:, :2], raw[:, 2:]), np.maximum(raw[:, :2], raw[:, 2:])
    return np.hstack([low, high + 1])


@settings(deadline=None)
@given(corner_pairs, overlaps, st.integers(0, 1000))
def test_suppression_laws(raw: np.ndarray, overlap: float, seed: int) -> None:
    boxes = sorted_corners(raw)
    random = np.random.default_rng(seed)
    scores = random.permutation(len(boxes)) / 100.0
    kept = non_maximum_suppression(boxes, scores, overlap)

    # those kept do not overlap, best first
    assert (np.triu(iou(boxes[kept], boxes[kept]), 1) <= overlap).all()
    assert (np.diff(scores[kept]) < 0).all()
    # each one dropped overlaps a better one that is kept
    for dropped in set(range(len(boxes))) - set(kept.tolist()):
        better = kept[scores[kept] > scores[dropped]]
        assert (iou(boxes[dropped : dropped + 1], boxes[better]) > overlap).any()
    # once more changes nothing
    assert np.array_equal(non_maximum_suppression(boxes[kept], scores[kept], overlap), np.arange(len(kept)))
    # the order of the boxes does not matter
    order = random.permutation(len(boxes))
    assert np.array_equal(order[non_maximum_suppression(boxes[order], scores[order], overlap)], kept)


def test_faces_come_best_first_in_pixels_of_the_picture(tmp_path: Path) -> None:
    # given a picture that is halved for the network
    rows = [[10, 20, 40, 60, 0.6, 0], [100, 20, 140, 70, 0.9, 0]]
    detector: Detector = OnnxDetector(CONTRACT, reporting(tmp_path, rows))

    found = detector.detect(blank(640, 480))

    assert detector.name == "tiny"
    assert [one.box.corners for one in found] == [(200, 40, 280, 140), (20, 40, 80, 120)]
    assert [one.score for one in found] == pytest.approx([0.9, 0.6])
    assert [one.landmarks for one in found] == [None, None]


def test_a_picture_no_larger_than_the_longest_side_keeps_its_size(tmp_path: Path) -> None:
    detector = OnnxDetector(CONTRACT, reporting(tmp_path, [[10, 20, 40, 60, 0.9, 0]]))
    assert boxes_of(detector, blank(320, 77)) == [(10, 20, 40, 60)]


def test_a_network_of_one_size_sees_small_pictures_enlarged(tmp_path: Path) -> None:
    session = reporting(tmp_path, [[16, 8, 64, 32, 0.9, 0, *POINTS]], (1, 3, 64, 128))
    (found,) = OnnxDetector(CONTRACT, session).detect(blank(32, 16))
    assert found.box.corners == (4, 2, 16, 8)
    assert found.landmarks is not None
    np.testing.assert_allclose(found.landmarks.points, np.reshape(POINTS, (5, 2)) / 4)


def test_faces_smaller_than_the_contract_says_are_not_reported(tmp_path: Path) -> None:
    rows = [[0, 0, 30, 30, 0.9, 0], [50, 0, 69, 40, 0.8, 0], [0, 50, 20, 70, 0.7, 0]]
    detector = OnnxDetector(replace(CONTRACT, smallest=20.0), reporting(tmp_path, rows))
    assert boxes_of(detector, blank(100, 100)) == [(0, 0, 30, 30), (0, 50, 20, 70)]


def test_overlapping_boxes_leave_the_best(tmp_path: Path) -> None:
    rows = [[10, 10, 50, 50, 0.7, 0], [12, 12, 50, 52, 0.95, 0], [14, 9, 52, 49, 0.8, 0], [48, 48, 90, 90, 0.6, 0]]
    detector = OnnxDetector(CONTRACT, reporting(tmp_path, rows))
    assert boxes_of(detector, blank(100, 100)) == [(12, 12, 50, 52), (48, 48, 90, 90)]
    patient = OnnxDetector(replace(CONTRACT, overlap=0.99), reporting(tmp_path, rows))
    assert len(patient.detect(blank(100, 100))) == 4


def test_boxes_may_reach_beyond_the_picture_but_not_lie_outside_or_be_empty(tmp_path: Path) -> None:
    rows = [
        [-10, -20, 30, 40, 0.9, 0],
        [60, 60, 110, 130, 0.8, 0],
        [50, 10, 50, 40, 0.7, 0],
        [90, 40, 70, 60, 0.7, 0],
        [101, 5, 120, 30, 0.7, 0],
        [5, 100, 30, 120, 0.7, 0],
        [-30, 5, 0, 30, 0.7, 0],
    ]
    detector = OnnxDetector(CONTRACT, reporting(tmp_path, rows))
    assert boxes_of(detector, blank(100, 100)) == [(-10, -20, 30, 40), (60, 60, 110, 130)]


def test_of_very_many_candidates_only_the_best_are_considered(tmp_path: Path) -> None:
    # given 5000 candidates in one place and, ahead of them, a lesser one in another
    rows = [[10.0, 10, 50, 50, 0.6, 0], *[[60.0, 60, 90, 90, 0.8, 0]] * 5000]
    detector = OnnxDetector(CONTRACT, reporting(tmp_path, rows))
    assert boxes_of(detector, blank(100, 100)) == [(60, 60, 90, 90)]


@pytest.mark.parametrize(
    ("channels", "mean", "scale", "expected"),
    [
        ("RGB", 0.0, 1.0, (40, 10, 30)),
        ("BGR", 0.0, 1.0, (10, 40, 30)),
        ("RGB", 5.0, 0.5, (17.5, 2.5, 12.5)),
        ("BGR", 5.0, 0.5, (2.5, 17.5, 12.5)),
    ],
)
def test_the_network_sees_what_the_contract_says(
    tmp_path: Path, channels: str, mean: float, scale: float, expected: tuple[float, float, float]
) -> None:
    # given a network that reports the means of its channels 0, 2 and 1 as right, bottom and first eye
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Split", ["means"], ["c0", "c1", "c2"], axis=1),
        constant("corner", [[-1, -1]]),
        constant("face", [[0.9, 0]]),
        constant("points", [[0] * 8]),
        helper.make_node("Concat", ["corner", "c0", "c2", "face", "c1", "c1", "points"], ["row"], axis=1),
        helper.make_node("Constant", [], ["axis"], value=numpy_helper.from_array(np.array([0], np.int64), "axis")),
        helper.make_node("Unsqueeze", ["row", "axis"], ["faces"]),
    ]
    contract = replace(CONTRACT, channels=channels, mean=mean, scale=scale)
    detector = OnnxDetector(contract, network(tmp_path, nodes, (1, 3, 64, 64)))

    (found,) = detector.detect(np.full((64, 64, 3), (40, 30, 10), np.uint8))

    assert found.landmarks is not None
    seen = (*found.box.corners[2:], float(found.landmarks.points[0, 0]))
    assert seen == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("place", [0, 3, 6])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_boxes_and_landmarks_that_are_not_finite_are_refused(tmp_path: Path, place: int, value: float) -> None:
    row = [10, 20, 40, 60, 0.9, 0, *POINTS]
    row[place] = value
    with pytest.raises(ContractMismatch, match=r"tiny: .*not finite"):
        OnnxDetector(CONTRACT, reporting(tmp_path, [row]))


def test_outputs_of_another_kind_are_refused_at_once_by_naming_them(tmp_path: Path) -> None:
    with pytest.raises(ContractMismatch, match=r"tiny: expected output cls_8 .* outputs found: faces \(1, 1, 6\)"):
        OnnxDetector(replace(CONTRACT, layout="yunet"), reporting(tmp_path, [[10, 20, 40, 60, 0.9, 0]]))


def test_an_unknown_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractMismatch, match="retina"):
        OnnxDetector(replace(CONTRACT, layout="retina"), reporting(tmp_path, [[10, 20, 40, 60, 0.9, 0]]))


@pytest.mark.parametrize("shape", [(1, 1, "h", "w"), (2, 3, "h", "w"), (1, 3, 100, 100), (1, 64, 64, 3), (3, 64, 64)])
def test_networks_for_other_inputs_are_refused(tmp_path: Path, shape: tuple[int | str, ...]) -> None:
    with pytest.raises(ContractMismatch, match=r"tiny: expected input \(1, 3, H, W\)"):
        OnnxDetector(CONTRACT, reporting(tmp_path, [[10, 20, 40, 60, 0.9, 0]], shape))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((64, 64), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((64, 64, 3), np.float32),
        np.zeros((0, 64, 3), np.uint8),
    ],
)
def test_pixels_of_another_shape_or_type_are_refused(tmp_path: Path, image: np.ndarray) -> None:
    detector = OnnxDetector(CONTRACT, reporting(tmp_path, [[10, 20, 40, 60, 0.9, 0]]))
    with pytest.raises(UnsupportedFormat, match="expected RGB pixels"):
        detector.detect(image)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 700), (5000, 2), (33, 31)])
def test_pictures_of_any_shape_pass(tmp_path: Path, width: int, height: int) -> None:
    detector = OnnxDetector(CONTRACT, reporting(tmp_path, [[-1, -1, 400, 400, 0.9, 0]]))
    assert len(detector.detect(blank(width, height))) == 1


def test_views_and_read_only_pictures_give_the_same_answer(tmp_path: Path) -> None:
    detector = OnnxDetector(CONTRACT, reporting(tmp_path, [[10, 20, 40, 60, 0.9, 0]]))
    view = blank(1400, 1200)[::2, ::-2]
    view.setflags(write=False)
    assert boxes_of(detector, view) == boxes_of(detector, blank(700, 600))


def refiner(folder: Path) -> LandmarkRefiner:
    """Puts every landmark at the middle of a 32 x 32 crop."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 32, 32])
    points = helper.make_tensor_value_info("points", TensorProto.FLOAT, ["batch", 10])
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0),
        constant("nothing", np.zeros((3, 10))),
        constant("middle", np.full((1, 10), 16)),
        helper.make_node("MatMul", ["mean", "nothing"], ["zeros"]),
        helper.make_node("Add", ["zeros", "middle"], ["points"]),
    ]
    path = folder / "refiner.onnx"
    graph = helper.make_graph(nodes, "refiner", [image], [points])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    corners = ((6.0, 6.0), (26.0, 6.0), (16.0, 16.0), (6.0, 26.0), (26.0, 26.0))
    return LandmarkRefiner(RefinerContract(path.name, "0" * 64, 32, corners), Session(path))


def test_overlapping_boxes_lend_their_landmarks_where_the_contract_says_so(tmp_path: Path) -> None:
    near = [value + 2 for value in POINTS]
    rows = [[20, 15, 44, 45, 0.8, 0, *POINTS], [20, 15, 44, 45, 0.4, 0, *near], [70, 60, 90, 90, 0.5, 0, *near]]
    plain = replace(CONTRACT, confidence=0.3)

    alone, _ = OnnxDetector(plain, reporting(tmp_path, rows)).detect(blank(100, 100))
    blended, far = OnnxDetector(replace(plain, blend=0.5), reporting(tmp_path, rows)).detect(blank(100, 100))

    assert alone.landmarks is not None
    assert blended.landmarks is not None
    assert far.landmarks is not None
    expected = np.reshape(POINTS, (5, 2))
    np.testing.assert_allclose(alone.landmarks.points, expected)
    np.testing.assert_allclose(blended.landmarks.points, expected + 2 / 3, atol=1e-4)  # 0.4 of 1.2 lies 2 further on
    np.testing.assert_allclose(far.landmarks.points, expected + 2, atol=1e-4)
    assert blended.box == alone.box


def test_landmarks_of_every_face_are_refined(tmp_path: Path) -> None:
    square = [0.0, 0, 20, 0, 10, 10, 0, 20, 20, 20]
    rows = [[0, 0, 30, 30, 0.9, 0, *(value + 5 for value in square)]]
    rows += [[60, 0, 90, 30, 0.8, 0, *(value + (60 if place % 2 == 0 else 0) for place, value in enumerate(square))]]

    found = OnnxDetector(CONTRACT, reporting(tmp_path, rows), refiner(tmp_path)).detect(blank(100, 100))

    assert [one.score for one in found] == pytest.approx([0.9, 0.8])
    for one, middle in zip(found, [(15, 15), (70, 10)], strict=True):
        assert one.landmarks is not None
        np.testing.assert_allclose(one.landmarks.points, [middle] * 5, atol=1e-4)


def test_a_refiner_does_nothing_for_boxes_without_landmarks(tmp_path: Path) -> None:
    session = reporting(tmp_path, [[10, 20, 40, 60, 0.9, 0]])
    (found,) = OnnxDetector(CONTRACT, session, refiner(tmp_path)).detect(blank(100, 100))
    assert found.landmarks is None


def test_a_refiner_does_nothing_for_pictures_without_faces(tmp_path: Path) -> None:
    session = reporting(tmp_path, [[10, 20, 40, 60, 0.1, 0, *POINTS]])
    assert OnnxDetector(CONTRACT, session, refiner(tmp_path)).detect(blank(100, 100)) == []


def test_a_file_changed_after_its_contract_was_made_is_refused(tmp_path: Path) -> None:
    reporting(tmp_path, [[10, 20, 40, 60, 0.9, 0]])
    path = tmp_path / "tiny.onnx"
    contract = user_contract("yolo", path)
    assert boxes_of(OnnxDetector(contract, Session(path, contract.sha256)), blank(99, 99)) == [(10, 20, 40, 60)]
    path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(ModelTampered):
        Session(path, contract.sha256)


@pytest.fixture(scope="module")
def teacher() -> Path:
    """YuNet's file, beside the data folder."""
    root = os.environ.get("TWINFACE_TEST_DATA")
    if not root:
        pytest.skip("TWINFACE_TEST_DATA is not set: it names the folder of the LFW data, beside teachers/yunet_n.onnx")
    path = Path(root).resolve().parent / "teachers" / "yunet_n.onnx"
    if not path.is_file():
        pytest.skip("there is no teachers/yunet_n.onnx beside the folder TWINFACE_TEST_DATA names")
    return path


@pytest.fixture(scope="module")
def photos() -> list[Image]:
    """The first twelve LFW pictures."""
    archive = Path(os.environ.get("TWINFACE_TEST_DATA", "")) / "lfw" / "lfw-deepfunneled.tgz"
    if not archive.is_file():
        pytest.skip("there is no lfw/lfw-deepfunneled.tgz in the folder TWINFACE_TEST_DATA names")
    pictures: list[Image] = []
    with tarfile.open(archive, "r|gz") as stream:
        for member in stream:
            content = stream.extractfile(member) if member.name.endswith(".jpg") else None
            if content is not None:
                pixels = cv2.imdecode(np.frombuffer(content.read(), np.uint8), cv2.IMREAD_COLOR)
                pictures.append(np.ascontiguousarray(pixels[..., ::-1]))
            if len(pictures) == 12:
                break
    return pictures


@pytest.mark.data
def test_yunet_is_read_as_opencv_reads_it(teacher: Path, photos: list[Image]) -> None:
    contract = user_contract(*parse_detector(f"yunet:{teacher}"))
    detector = OnnxDetector(contract, Session(teacher, contract.sha256))
    collage = np.vstack([np.hstack(photos[:3]), np.hstack(photos[3:6])])[:487, :699]
    for image in [*photos, collage]:
        height, width = image.shape[:2]
        scale = max(width, height) / min(contract.longest, max(width, height))
        small = image if scale == 1 else cv2.resize(image, (640, round(height / scale)), interpolation=cv2.INTER_AREA)
        reference = cv2.FaceDetectorYN.create(
            str(teacher), "", (small.shape[1], small.shape[0]), contract.confidence, contract.overlap
        )
        _, rows = reference.detect(np.ascontiguousarray(small[..., ::-1]))
        rows = rows[np.argsort(-rows[:, 14])]

        found = detector.detect(image)

        assert len(found) == len(rows) >= 1
        for one, row in zip(found, rows, strict=True):
            box = [one.box.x, one.box.y, one.box.width, one.box.height]
            assert one.landmarks is not None
            np.testing.assert_allclose(box, row[:4] * scale, atol=0.2)
            np.testing.assert_allclose(one.landmarks.points, row[4:14].reshape(5, 2) * scale, atol=0.2)
            assert one.score == pytest.approx(row[14], abs=1e-3)


@pytest.mark.data
@pytest.mark.parametrize("kind", ["scrfd", "yolo"])
def test_yunet_is_no_other_kind(teacher: Path, kind: str) -> None:
    contract = user_contract(kind, teacher)
    with pytest.raises(ContractMismatch, match=rf"{kind}:yunet_n.onnx: .*outputs found: cls_8"):
        OnnxDetector(contract, Session(teacher))
