"""The landmark refiner: a tiny network that places five points on an upright crop around a first guess.

A cascade's second stage (Sun, Wang and Tang, "Deep Convolutional Network Cascade for Facial Point Detection",
CVPR 2013): the detector's points are good to a few percent of the eye distance, the refiner sees the face upright
and at one scale and corrects them. It learns from the same teacher as the detector.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from twinface.core.geometry import similarity_transform, transform
from twinface.core.types import MIRRORED
from twinface.training.detection.network import separable
from twinface.training.detection.scenes import Picture, WeatherOptions, weather
from twinface.training.detection.teacher import LabelledFace
from twinface.training.weights import moving_average, save_weights


class LandmarkNet(nn.Module):
    """Five points of an upright face.

    Input: RGB, float32 0..255, shape (N, 3, size, size). Output: (N, 10), x and y of five points in crop pixels.

    Args:
        points: where the first guess lies in the crop, shape (5, 2); the network yields offsets from there.
        size: of the crop, a multiple of 16.
    """

    def __init__(self, points: NDArray[np.float64], size: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(inplace=True),
            separable(16, 32),
            separable(32, 48, 2),
            separable(48, 48),
            separable(48, 64, 2),
            separable(64, 64),
            separable(64, 64),
            separable(64, 96, 2),
            separable(96, 96),
        )
        cells = size // 16
        self.gather = nn.Conv2d(96, 96 * 2, cells, groups=96)
        self.place = nn.Linear(96 * 2, 10)
        nn.init.zeros_(self.place.weight)
        nn.init.zeros_(self.place.bias)
        self.reach = size / 8
        self.register_buffer("guess", torch.tensor(points.reshape(1, 10), dtype=torch.float32))

    def forward(self, crops: Tensor) -> Tensor:
        """Points in crop pixels, shape (N, 10)."""
        gathered = torch.relu(self.gather(self.features((crops - 127.5) / 64.0))).flatten(1)
        guess: Tensor = self.guess  # type: ignore[assignment]
        placed: Tensor = guess + self.reach * self.place(gathered)
        return placed


@dataclass(frozen=True)
class LandmarkRecipe:
    """What decides the refiner's weights, beside the pictures."""

    seed: int = 1
    size: int = 64
    batch: int = 128
    steps: int = 5000
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    warmup: int = 300
    average: float = 0.999
    shift: float = 0.04
    """Standard deviation of the first guess's error as a whole, in eye distances."""
    stretch: float = 0.06
    """Standard deviation of the first guess's log scale error."""
    turn: float = 4.0
    """Standard deviation of the first guess's rotation error, degrees."""
    scatter: float = 0.04
    """Standard deviation of each single point's error, in eye distances."""
    weather: WeatherOptions = field(default_factory=WeatherOptions)


Warp = Callable[[Picture, NDArray[np.float64], int], Picture]
"""Cuts a square crop by a (2, 3) transform, exactly as the detector does when it runs."""


class CropStream(IterableDataset[tuple[Tensor, Tensor]]):
    """Endless batches of crops with the wanted points in crop pixels."""

    def __init__(
        self,
        pictures: Sequence[Picture],
        faces: Sequence[Sequence[LabelledFace]],
        shares: Sequence[float],
        points: NDArray[np.float64],
        warp: Warp,
        recipe: LandmarkRecipe,
    ) -> None:
        self._pictures, self._faces, self._points, self._warp = pictures, faces, points, warp
        self._chances = np.asarray(shares, np.float64) / np.sum(shares)
        self._recipe = recipe

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        cv2.setNumThreads(1)
        random = np.random.default_rng(self._recipe.seed)
        while True:
            drawn = [self._draw(random) for _ in range(self._recipe.batch)]
            crops = torch.from_numpy(np.stack([crop for crop, _ in drawn]))
            yield crops, torch.from_numpy(np.stack([wanted for _, wanted in drawn]).astype(np.float32))

    def _draw(self, random: np.random.Generator) -> tuple[Picture, NDArray[np.float64]]:
        recipe = self._recipe
        group = self._faces[int(random.choice(len(self._faces), p=self._chances))]
        face = group[int(random.integers(len(group)))]
        eyes = float(np.linalg.norm(face.points[0] - face.points[1]))
        middle = face.points.mean(axis=0)
        angle, scale = np.deg2rad(random.normal(0, recipe.turn)), np.exp(random.normal(0, recipe.stretch))
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        guess = (face.points - middle) @ turn.T + middle + eyes * random.normal(0, recipe.shift, 2)
        guess = guess + eyes * random.normal(0, recipe.scatter, (5, 2))
        matrix = similarity_transform(guess, self._points)
        crop = self._warp(self._pictures[face.picture], matrix, recipe.size)
        wanted = transform(face.points, matrix)
        if random.random() < 0.5:
            crop = np.ascontiguousarray(crop[:, ::-1])
            wanted = wanted[list(MIRRORED)]
            # the teacher's points mirror about the picture's middle as x -> width - x, pixels as i -> width - 1 - i
            wanted[:, 0] = recipe.size - 1 - wanted[:, 0] + float(np.hypot(matrix[0, 0], matrix[1, 0]))
        if random.random() < 0.3:
            small = int(random.uniform(0.35, 0.9) * recipe.size)
            shrunk = cv2.resize(crop, (small, small), interpolation=cv2.INTER_AREA)
            crop = cv2.resize(shrunk, (recipe.size, recipe.size)).astype(np.uint8, copy=False)
        return weather(crop, random, recipe.weather), wanted.reshape(10)


def train_landmarks(
    stream: CropStream,
    network: LandmarkNet,
    recipe: LandmarkRecipe,
    folder: Path,
    *,
    threads: int = 1,
    workers: int = 1,
    report: Callable[[str], None] = print,
) -> LandmarkNet:
    """Trains the refiner; returns the averaged network and writes it to `folder/refiner.safetensors`.

    `workers` processes draw the crops; 0 draws them in this one, as a process that already runs threads should choose.
    """
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(threads)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.json").write_text(json.dumps(asdict(recipe), indent=1))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = moving_average(network, recipe.average)
    optimiser = torch.optim.AdamW(network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=recipe.steps + 1, pct_start=recipe.warmup / recipe.steps
    )
    loader = DataLoader(stream, batch_size=None, num_workers=workers, prefetch_factor=8 if workers else None)
    began, total, seen = time.monotonic(), 0.0, 0
    for step, (crops, wanted) in enumerate(loader, 1):
        images = crops.permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)
        placed = network(images)
        loss = nn.functional.smooth_l1_loss(placed, wanted, beta=0.5)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        average.update_parameters(network)
        with torch.no_grad():
            points, goal = placed.view(-1, 5, 2), wanted.view(-1, 5, 2)
            eyes = (goal[:, 0] - goal[:, 1]).norm(dim=1, keepdim=True).clamp(min=recipe.size / 10)
            total += float(((points - goal).norm(dim=2) / eyes).mean())
        seen += 1
        if step % 250 == 0 or step == recipe.steps:
            rate = recipe.batch * step / (time.monotonic() - began)
            report(f"step {step}/{recipe.steps} error {total / seen:.4f} eye distances, {rate:.0f} crops/s")
            total, seen = 0.0, 0
        if step % 1000 == 0 or step == recipe.steps:
            save_weights(average.module, folder / "refiner.safetensors")
        if step >= recipe.steps:
            break
    network.load_state_dict(average.module.state_dict())
    return network.eval()
