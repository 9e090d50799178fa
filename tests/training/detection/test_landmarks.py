"""The landmark refiner: its crops, labels and training."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from twinface.training.detection.landmarks import CropStream, LandmarkNet, LandmarkRecipe, train_landmarks  # noqa: E402
from twinface.training.detection.scenes import WeatherOptions  # noqa: E402
from twinface.training.detection.teacher import LabelledFace  # noqa: E402
from twinface.vision.alignment import cut  # noqa: E402

CALM = WeatherOptions(grey=0, blur=0, jpeg=0, noise=0)
POINTS = np.array([(20.0, 19.0), (43.0, 19.0), (32.0, 33.0), (20.0, 43.0), (41.0, 43.0)])
FACE = np.array([(70.0, 60.0), (110.0, 62.0), (92.0, 85.0), (72.0, 105.0), (108.0, 106.0)])


def dotted() -> np.ndarray:
    """A grey picture with a white disc at each of the face's points, centred as landmarks are measured."""
    picture = np.full((160, 180, 3), 60, np.uint8)
    for x, y in FACE:
        cv2.circle(picture, (round((x - 0.5) * 16), round((y - 0.5) * 16)), 5 * 16, (255, 255, 255), -1, cv2.LINE_AA, 4)
    return picture


def stream(recipe: LandmarkRecipe) -> CropStream:
    return CropStream([dotted()], [[LabelledFace(0, FACE)]], [1.0], POINTS, cut, recipe)


def disc_near(crop: np.ndarray, x: float, y: float) -> tuple[float, float]:
    """Where the brightness around a point has its middle, in pixel indices."""
    rows, columns = np.mgrid[0 : crop.shape[0], 0 : crop.shape[1]]
    grey = crop.mean(axis=2)
    near = np.hypot(columns - x, rows - y) < 6
    weight = np.where(near, np.clip(grey - np.median(grey), 0, None), 0.0)
    return float((weight * columns).sum() / weight.sum()), float((weight * rows).sum() / weight.sum())


def test_labels_mark_the_same_spots_in_plain_and_mirrored_crops() -> None:
    crops, wanted = next(iter(stream(LandmarkRecipe(batch=24, weather=CALM))))
    scale = 23 / 40
    for crop, points in zip(crops.numpy(), wanted.numpy().reshape(-1, 5, 2), strict=True):
        for x, y in points:
            # points count from pixels' corners in the picture, indices from their centres: half a picture pixel
            assert disc_near(crop, x, y) == pytest.approx((x - scale / 2, y - scale / 2), abs=0.45)


def test_the_same_seed_gives_the_same_crops() -> None:
    recipe = LandmarkRecipe(batch=4)
    for (one, a), (other, b) in zip(islice(stream(recipe), 2), islice(stream(recipe), 2), strict=True):
        assert torch.equal(one, other)
        assert torch.equal(a, b)


def test_an_untrained_network_keeps_the_first_guess() -> None:
    network = LandmarkNet(POINTS, 64).eval()
    placed = network(torch.rand(3, 3, 64, 64) * 255)
    torch.testing.assert_close(placed, torch.tensor(POINTS.reshape(1, 10), dtype=torch.float32).expand(3, 10))


def test_training_brings_the_points_nearer(tmp_path: Path) -> None:
    recipe = LandmarkRecipe(batch=16, steps=60, warmup=5, average=0.9, weather=CALM)
    torch.manual_seed(0)
    network = LandmarkNet(POINTS, 64)
    train_landmarks(stream(recipe), network, recipe, tmp_path, workers=0, report=lambda _: None)
    crops, wanted = next(iter(stream(LandmarkRecipe(batch=64, seed=7, weather=CALM))))
    with torch.no_grad():
        placed = network(crops.permute(0, 3, 1, 2).float())
    guess = torch.tensor(POINTS.reshape(1, 10), dtype=torch.float32)
    assert (placed - wanted).abs().mean() < 0.7 * (guess - wanted).abs().mean()
    assert (tmp_path / "refiner.safetensors").is_file()
