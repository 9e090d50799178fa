"""Landmarks from boxes, and the refiner run with real, tiny ONNX networks."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from twinface.core.contract import RefinerContract
from twinface.core.geometry import invert, similarity_transform, transform
from twinface.core.types import Box, Image, Landmarks
from twinface.errors import ContractMismatch
from twinface.vision.landmarks import LandmarkRefiner, landmarks_from_box
from twinface.vision.session import Session

SIZE = 48
POINTS = ((15.0, 16.0), (33.0, 16.0), (24.0, 26.0), (17.0, 34.0), (31.0, 34.0))
FACE = np.array(POINTS)


def refiner(folder: Path, nodes: list[onnx.NodeProto], width: int = 10, size: int | str = SIZE) -> LandmarkRefiner:
    """The network of these nodes, from `image` (N, 3, S, S) to `points` (N, width)."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, size, size])
    points = helper.make_tensor_value_info("points", TensorProto.FLOAT, ["batch", width])
    graph = helper.make_graph(nodes, "refiner", [image], [points])
    path = folder / "refiner.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return LandmarkRefiner(RefinerContract(path.name, digest, SIZE, POINTS), Session(path, digest))


def constant(name: str, values: object, kind: type = np.float32) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(values, kind), name))


def answering(values: np.ndarray) -> list[onnx.NodeProto]:
    """Nodes that yield the same points for every crop."""
    return [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0),
        constant("zero", 0.0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        constant("axis", [1], np.int64),
        helper.make_node("Unsqueeze", ["nothing", "axis"], ["column"]),
        constant("answer", values.reshape(1, -1)),
        helper.make_node("Add", ["column", "answer"], ["points"]),
    ]


def reading(pixels: list[tuple[int, int]], scale: float) -> list[onnx.NodeProto]:
    """Nodes that yield red and green of five crop pixels, times `scale`."""
    places = [[[[0, y, x] for x, y in pixels], [[1, y, x] for x, y in pixels]]]
    return [
        constant("places", np.transpose(places, (0, 2, 1, 3))[0].reshape(10, 3), np.int64),
        helper.make_node("Transpose", ["image"], ["last"], perm=[1, 2, 3, 0]),
        helper.make_node("GatherND", ["last", "places"], ["values"]),
        helper.make_node("Transpose", ["values"], ["rows"], perm=[1, 0]),
        constant("scale", scale),
        helper.make_node("Mul", ["rows", "scale"], ["points"]),
    ]


def turned(points: np.ndarray, scale: float, degrees: float, shift: tuple[float, float]) -> np.ndarray:
    angle = np.deg2rad(degrees)
    rotation = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ rotation.T + shift


def gradient(side: int, step: int) -> Image:
    """Red is the column times `step`, green the row."""
    red, green = np.meshgrid(np.arange(side) * step, np.arange(side) * step)
    return np.stack([red, green, np.zeros_like(red)], axis=2).astype(np.uint8)


def no_fit() -> np.ndarray:
    """A map after which no rotation and scale brings the points nearer to FACE than a single point would."""
    centred = FACE - FACE.mean(axis=0)
    spread_x, spread_y = (centred**2).sum(axis=0)
    return np.diag([1.0, -spread_x / spread_y])


def marks(points: np.ndarray) -> Landmarks:
    return Landmarks(points.astype(np.float32))


def test_the_average_face_fills_its_box_symmetrically() -> None:
    points = landmarks_from_box(Box(100, 50, 40, 60)).points
    left, right, nose, mouth_left, mouth_right = points
    np.testing.assert_allclose(left[0] + right[0], 240, atol=1e-3)
    np.testing.assert_allclose(mouth_left[0] + mouth_right[0], 240, atol=1e-3)
    np.testing.assert_allclose(nose[0], 120, atol=1e-3)
    assert left[0] < right[0]
    assert 50 < left[1] < nose[1] < mouth_left[1] < 110


@pytest.mark.parametrize(("scale", "degrees"), [(1.0, 0.0), (0.6, 25.0), (1.7, -40.0), (1.2, 170.0)])
def test_the_answer_is_mapped_back_to_the_picture(tmp_path: Path, scale: float, degrees: float) -> None:
    better = FACE + np.array([[1, 2], [-1, 0], [3, 1], [0, 0], [2, -2]])
    shift = (120.0, 90.0)
    refined = refiner(tmp_path, answering(better)).refine(
        np.zeros((200, 240, 3), np.uint8), marks(turned(FACE, scale, degrees, shift))
    )
    np.testing.assert_allclose(refined.points, turned(better, scale, degrees, shift), atol=1e-3)


@pytest.mark.parametrize(
    ("scale", "degrees", "step"),
    [(1.0, 0.0, 1), (0.7, 20.0, 1), (1.9, -15.0, 1), (2.5, 10.0, 2), (3.4, 50.0, 1), (5.3, -5.0, 1), (7.3, 30.0, 1)],
)
def test_the_crop_shows_the_face_in_the_canonical_place(
    tmp_path: Path, scale: float, degrees: float, step: int
) -> None:
    # given a picture whose colours say where each pixel lies, exactly so when shrunk, and a network that reports them
    side = 250 // step
    guess = marks(turned(FACE - 24, scale, degrees, (side / 2, side / 2)))
    pixels = [(15, 16), (33, 16), (24, 26), (17, 34), (31, 34)]
    network = refiner(tmp_path, reading(pixels, scale=0.1))

    refined = network.refine(gradient(side, step), guess)

    # then the colours at the canonical points are those of the first guess
    to_crop = similarity_transform(guess.points, FACE)
    colours = transform(refined.points, to_crop) / 0.1
    difference = colours - guess.points * step
    assert np.abs(difference).max() < 0.9
    assert np.abs(difference.mean(axis=0)).max() < 0.3


def test_a_large_face_is_averaged_before_it_is_sampled(tmp_path: Path) -> None:
    # given stripes one pixel wide on a face eight times as large as the crop
    stripes = np.zeros((600, 600, 3), np.uint8)
    stripes[:, ::2] = 200
    guess = marks(turned(FACE - 24, 8.0, 0.0, (300, 300)))
    network = refiner(tmp_path, reading([(15, 16), (33, 16), (24, 26), (17, 34), (31, 34)], scale=0.1))

    refined = network.refine(stripes, guess)

    # then the network sees grey, not a sample of black and white
    colours = transform(refined.points, similarity_transform(guess.points, FACE)) / 0.1
    np.testing.assert_allclose(colours, 100, atol=2)


def test_each_face_of_a_picture_is_refined_by_its_own_crop(tmp_path: Path) -> None:
    image = np.zeros((100, 300, 3), np.uint8)
    image[:, :100], image[:, 100:200], image[:, 200:] = 240, 120, 40
    guesses = [marks(FACE + np.array([26 + 100 * place, 26])) for place in range(3)]
    network = refiner(tmp_path, reading([(24, 24)] * 5, scale=0.1))

    refined = network.refine_all(image, guesses)

    for place, (face, grey) in enumerate(zip(refined, (24, 12, 4), strict=True)):
        np.testing.assert_allclose(face.points, np.array([[grey + 26 + 100 * place, grey + 26]] * 5), atol=1e-3)
    assert np.array_equal(network.refine(image, guesses[1]).points, refined[1].points)


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_answers_for_crop_and_mirror_image_are_averaged_where_the_contract_says_so(
    tmp_path: Path, scale: float
) -> None:
    lopsided = FACE + np.array([3.0, 1.0])
    plain = refiner(tmp_path, answering(lopsided))
    contract = replace(plain._contract, mirror=True)
    both = LandmarkRefiner(contract, Session(tmp_path / contract.file, contract.sha256))
    image = np.zeros((96, 96, 3), np.uint8)
    guess = Landmarks((FACE * scale).astype(np.float32))

    np.testing.assert_allclose(plain.refine(image, guess).points, lopsided * scale, atol=1e-3)
    flipped = lopsided[[1, 0, 2, 4, 3]]
    flipped[:, 0] = SIZE - 1 + 1 / scale - flipped[:, 0]  # one picture pixel is 1 / scale crop pixels
    expected = (lopsided + flipped) / 2 * scale
    np.testing.assert_allclose(both.refine(image, guess).points, expected, atol=1e-3)


def test_a_picture_without_faces_needs_no_run(tmp_path: Path) -> None:
    assert refiner(tmp_path, answering(FACE)).refine_all(np.zeros((9, 9, 3), np.uint8), []) == []


@pytest.mark.parametrize(
    "guess",
    [
        np.full((5, 2), 30.0),
        FACE * 1e7,
        FACE * 1e-5,
        # mirrored and turned: its best fit to the canonical points has no size
        (FACE - FACE.mean(axis=0)) @ no_fit(),
    ],
)
def test_a_degenerate_guess_stays_and_the_others_are_refined(tmp_path: Path, guess: np.ndarray) -> None:
    bad, good = marks(guess), marks(FACE + 20)
    refined = refiner(tmp_path, answering(FACE + 1)).refine_all(np.zeros((90, 90, 3), np.uint8), [bad, good])
    assert refined[0] is bad
    np.testing.assert_allclose(refined[1].points, FACE + 21, atol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e30, SIZE * 1.6, -SIZE * 0.6])
def test_a_senseless_answer_leaves_the_guess(tmp_path: Path, value: float) -> None:
    answer = FACE.copy()
    answer[3, 1] = value
    guess = marks(FACE + 20)
    assert refiner(tmp_path, answering(answer)).refine(np.zeros((90, 90, 3), np.uint8), guess) is guess


@pytest.mark.parametrize("shift", [(-500.0, 20.0), (20.0, 5000.0)])
@pytest.mark.parametrize("scale", [1.0, 6.0])
def test_a_face_off_the_picture_is_seen_as_black(tmp_path: Path, scale: float, shift: tuple[float, float]) -> None:
    guess = marks(turned(FACE, scale, 0.0, shift))
    network = refiner(tmp_path, reading([(24, 24)] * 5, scale=1.0))
    refined = network.refine(np.full((90, 90, 3), 40, np.uint8), guess)
    corner = transform(np.zeros((5, 2)), invert(similarity_transform(guess.points, FACE)))
    np.testing.assert_allclose(refined.points, corner, atol=1e-2)


def test_a_network_of_another_crop_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractMismatch, match=r"S = 48.*64"):
        refiner(tmp_path, answering(FACE), size=64)


def test_a_network_of_any_crop_size_is_welcome(tmp_path: Path) -> None:
    network = refiner(tmp_path, answering(FACE), size="side")
    np.testing.assert_allclose(network.refine(np.zeros((90, 90, 3), np.uint8), marks(FACE)).points, FACE, atol=1e-4)


def test_a_network_that_yields_other_than_five_points_is_refused(tmp_path: Path) -> None:
    network = refiner(tmp_path, answering(np.zeros(12)), width=12)
    with pytest.raises(ContractMismatch, match=r"expected output \(1, 10\), got \(1, 12\)"):
        network.refine(np.zeros((90, 90, 3), np.uint8), marks(FACE))
