"""Each layout is decoded from the outputs of a real ONNX network that yields known tensors."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from twinface.errors import ContractMismatch
from twinface.vision.layouts import LAYOUTS, Candidates, layout
from twinface.vision.session import Session

SIZE = (64, 96)
BOX = [20.0, 10.0, 44.0, 50.0]
POINTS = np.array([[26, 22], [38, 22.5], [31, 30], [27, 38], [37, 39]], np.float32)
STRIDES = (8, 16, 32)


def cells(stride: int) -> int:
    return (SIZE[0] // stride) * (SIZE[1] // stride)


def run(folder: Path, outputs: dict[str, np.ndarray], size: tuple[int, int] = SIZE) -> dict[str, np.ndarray]:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "height", "width"])
    nodes, infos = [], []
    for name, values in outputs.items():
        array = np.asarray(values, np.float32)
        nodes.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array, name)))
        infos.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape))
    graph = helper.make_graph(nodes, "constants", [image], infos)
    path = folder / "constants.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return Session(path).run(np.zeros((1, 3, *size), np.float32))


def in_cell(cell: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """BOX and POINTS as offsets from a cell's corner."""
    corner = np.array([cell % (SIZE[1] // stride), cell // (SIZE[1] // stride)], np.float32)
    low, high = np.array(BOX[:2]), np.array(BOX[2:])
    box = np.concatenate([(low + high) / 2 / stride - corner, np.log((high - low) / stride)])
    return box, (POINTS / stride - corner).ravel()


def cell_outputs(names: dict[str, int], cell: int, stride: int, score: dict[str, float]) -> dict[str, np.ndarray]:
    outputs = {f"{part}_{one}": np.zeros((1, cells(one), width)) for part, width in names.items() for one in STRIDES}
    box, points = in_cell(cell, stride)
    for part, width in names.items():
        outputs[f"{part}_{stride}"][0, cell] = {1: score.get(part, 0), 4: box, 10: points}[width]
    return outputs


TWINFACE = {"score": 1, "box": 4, "landmarks": 10}
YUNET = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}


def assert_the_face(found: Candidates, score: float, landmarks: bool = True) -> None:
    np.testing.assert_allclose(found.boxes, [BOX], atol=1e-3)
    np.testing.assert_allclose(found.scores, [score], atol=1e-6)
    if landmarks:
        assert found.points is not None
        np.testing.assert_allclose(found.points, [POINTS], atol=1e-3)
    else:
        assert found.points is None


@pytest.mark.parametrize(("stride", "cell"), [(8, 0), (8, 43), (16, 13), (32, 5)])
def test_twinface_codes_a_face_relative_to_its_cell(tmp_path: Path, stride: int, cell: int) -> None:
    outputs = run(tmp_path, cell_outputs(TWINFACE, cell, stride, {"score": 0.75}))
    assert_the_face(layout("twinface", 0.5).decode(outputs, SIZE), 0.75)


@pytest.mark.parametrize(("face", "thing"), [(0.49, 1.3), (1.3, 0.49)])
@pytest.mark.parametrize(("stride", "cell"), [(8, 95), (16, 7), (32, 2)])
def test_yunet_scores_by_the_geometric_mean_of_clipped_probabilities(
    tmp_path: Path, stride: int, cell: int, face: float, thing: float
) -> None:
    outputs = run(tmp_path, cell_outputs(YUNET, cell, stride, {"cls": face, "obj": thing}))
    assert_the_face(layout("yunet", 0.5).decode(outputs, SIZE), 0.7)


def test_a_negative_yunet_probability_is_no_face(tmp_path: Path) -> None:
    outputs = run(tmp_path, cell_outputs(YUNET, 3, 16, {"cls": -0.9, "obj": -0.9}))
    assert len(layout("yunet", 0.5).decode(outputs, SIZE).boxes) == 0


def scrfd_outputs(cell: int, anchor: int, stride: int, score: float, landmarks: bool, batch: bool) -> list[np.ndarray]:
    centre = np.array([cell % (SIZE[1] // stride), cell // (SIZE[1] // stride)], np.float32) * stride
    sides = np.concatenate([centre - BOX[:2], np.array(BOX[2:]) - centre]) / stride
    values = {1: np.array([score]), 4: sides, 10: ((POINTS - centre) / stride).ravel()}
    arrays = []
    for width in (1, 4, 10) if landmarks else (1, 4):
        for one in STRIDES:
            array = np.zeros((2 * cells(one), width))
            if one == stride:
                array[2 * cell + anchor] = values[width]
            arrays.append(array[None] if batch else array)
    return arrays


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("landmarks", [False, True])
@pytest.mark.parametrize(("stride", "cell", "anchor"), [(8, 50, 0), (8, 50, 1), (16, 11, 1), (32, 4, 0)])
def test_scrfd_measures_from_anchor_corners(
    tmp_path: Path, stride: int, cell: int, anchor: int, landmarks: bool, batch: bool
) -> None:
    arrays = scrfd_outputs(cell, anchor, stride, 0.625, landmarks, batch)
    outputs = run(tmp_path, {str(440 + place): array for place, array in enumerate(arrays)})
    assert_the_face(layout("scrfd", 0.5).decode(outputs, SIZE), 0.625, landmarks)


def test_scrfd_outputs_are_told_apart_in_any_order(tmp_path: Path) -> None:
    arrays = scrfd_outputs(11, 1, 16, 0.625, landmarks=True, batch=False)
    outputs = run(tmp_path, {f"o{place}": arrays[place] for place in (8, 1, 6, 4, 0, 3, 7, 2, 5)})
    assert_the_face(layout("scrfd", 0.5).decode(outputs, SIZE), 0.625)


def yolo_row(values: int, score: float) -> np.ndarray:
    """`values` per landmark; centre, size, score, landmarks."""
    left, top, right, bottom = BOX
    points = np.column_stack([POINTS, np.full(5, 0.9)])[:, :values]
    return np.concatenate([[(left + right) / 2, (top + bottom) / 2, right - left, bottom - top, score], points.ravel()])


@pytest.mark.parametrize("values", [0, 2, 3])
@pytest.mark.parametrize("transposed", [False, True])
def test_yolo_yields_a_candidate_per_column(tmp_path: Path, values: int, transposed: bool) -> None:
    rows = np.zeros((126, 5 + 5 * values))
    rows[77] = yolo_row(values, 0.875)
    outputs = run(tmp_path, {"output0": (rows if transposed else rows.T)[None]})
    assert_the_face(layout("yolo", 0.5).decode(outputs, SIZE), 0.875, landmarks=values > 0)


@pytest.mark.parametrize("values", [0, 2, 3])
def test_yolo_with_suppression_inside_yields_corners_and_a_class(tmp_path: Path, values: int) -> None:
    rows = np.zeros((300, 6 + 5 * values))
    rows[0] = [*BOX, 0.875, 0.0, *yolo_row(values, 0)[5:]]
    outputs = run(tmp_path, {"output0": rows[None]})
    assert_the_face(layout("yolo", 0.5).decode(outputs, SIZE), 0.875, landmarks=values > 0)


def test_the_smallest_yolo_input_has_as_many_cells_as_a_suppressed_row_has_values(tmp_path: Path) -> None:
    rows = np.zeros((21, 20))
    rows[20] = yolo_row(3, 0.875)
    outputs = run(tmp_path, {"output0": rows.T[None]}, size=(32, 32))
    assert_the_face(layout("yolo", 0.5).decode(outputs, (32, 32)), 0.875)


def test_a_yolo_score_above_one_counts_as_one(tmp_path: Path) -> None:
    outputs = run(tmp_path, {"output0": yolo_row(0, 1.0001)[None, None]})
    assert_the_face(layout("yolo", 0.5).decode(outputs, SIZE), 1.0, landmarks=False)


def blank(kind: str) -> dict[str, np.ndarray]:
    if kind == "scrfd":
        arrays = scrfd_outputs(0, 0, 8, 0.0, landmarks=True, batch=False)
        return {str(place): array for place, array in enumerate(arrays)}
    if kind == "yolo":
        return {"output0": np.zeros((1, 20, 126))}
    return cell_outputs(TWINFACE if kind == "twinface" else YUNET, 0, 8, {})


@pytest.mark.parametrize("kind", LAYOUTS)
def test_nothing_is_found_where_no_score_reaches_the_confidence(tmp_path: Path, kind: str) -> None:
    found = layout(kind, 0.5).decode(run(tmp_path, blank(kind)), SIZE)
    assert found.boxes.shape == (0, 4)
    assert found.scores.shape == (0,)
    assert found.points is not None
    assert found.points.shape == (0, 5, 2)


@pytest.mark.parametrize("kind", LAYOUTS)
def test_a_score_at_the_confidence_is_a_face(tmp_path: Path, kind: str) -> None:
    given = {
        "twinface": lambda: cell_outputs(TWINFACE, 5, 8, {"score": 0.5}),
        "yunet": lambda: cell_outputs(YUNET, 5, 8, {"cls": 0.5, "obj": 0.5}),
        "scrfd": lambda: dict(zip("abcdefghi", scrfd_outputs(5, 0, 8, 0.5, True, False), strict=True)),
        "yolo": lambda: {"output0": yolo_row(3, 0.5)[None, :, None]},
    }[kind]()
    outputs = run(tmp_path, given)
    assert_the_face(layout(kind, 0.5).decode(outputs, SIZE), 0.5)
    assert len(layout(kind, 0.51).decode(outputs, SIZE).boxes) == 0


@pytest.mark.parametrize(("kind", "other"), list(permutations(LAYOUTS, 2)))
def test_outputs_of_another_layout_are_refused_by_naming_them(tmp_path: Path, kind: str, other: str) -> None:
    given = blank(other)
    with pytest.raises(ContractMismatch) as caught:
        layout(kind, 0.5).decode(run(tmp_path, given), SIZE)
    assert all(name in str(caught.value) for name in given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["twinface", "yunet", "scrfd"])
def test_outputs_for_another_size_of_input_are_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ContractMismatch, match="64x64 input"):
        layout(kind, 0.5).decode(run(tmp_path, blank(kind)), (64, 64))


@pytest.mark.parametrize("shape", [(1, 84, 126), (2, 20, 126), (20, 126), (1, 3, 64, 85)])
def test_yolo_exports_that_are_no_face_detectors_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ContractMismatch, match="outputs found: output0"):
        layout("yolo", 0.5).decode(run(tmp_path, {"output0": np.zeros(shape)}), SIZE)


@pytest.mark.parametrize("kind", LAYOUTS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(tmp_path: Path, kind: str, value: float) -> None:
    given = blank(kind)
    if kind == "yolo":
        given["output0"][0, 4, 3] = value
    else:
        given[{"twinface": "score_16", "yunet": "cls_16", "scrfd": "1"}[kind]][..., 0] = value
    with pytest.raises(ContractMismatch, match="not finite"):
        layout(kind, 0.5).decode(run(tmp_path, given), SIZE)


def test_an_unknown_layout_is_refused_by_naming_the_known_ones() -> None:
    with pytest.raises(ContractMismatch, match=r"'retina'.*twinface, yunet, scrfd, yolo"):
        layout("retina", 0.5)
