"""Spoils crops as cameras, networks and people do, a batch at a time and on any device.

All chance is drawn by NumPy for the whole batch before any picture is touched, so that one process and many, a CPU and
a GPU, spoil the pictures of a step alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey picture, as JPEG has them (ITU-R BT.601)."""

SMALL_SIDES = 8
"""So many different sides stand for all low resolutions."""

_QUANTA = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float32,
)
"""Steps of brightness at quality 50: ITU-T T.81, table K.1."""

_COLOUR_QUANTA = np.full((8, 8), 99, np.float32)
_COLOUR_QUANTA[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]
"""Steps of colour at quality 50: ITU-T T.81, table K.2."""


@dataclass(frozen=True)
class AugmentationOptions:
    """How often and how far crops are spoiled. Shares are probabilities; a share of 0 leaves a step out.

    Attributes:
        mirror: share that is mirrored.
        rotation: largest turn either way, degrees.
        zoom: largest change of size either way, as a share.
        shift: largest shift either way, as a share of the crop's side.
        low_resolution: share shrunk and enlarged again.
        smallest: least side it is shrunk to, as a share of the crop's.
        blur: share blurred by a Gaussian.
        blur_sigma: its largest standard deviation, pixels.
        jpeg: share compressed.
        jpeg_quality: its least quality, 1 to 100; the best is 95.
        grey: share without colour.
        brightness: largest change either way, as a share of white.
        contrast: largest change either way, as a share.
        gamma: largest change either way of the exponent's logarithm.
        tint: largest change either way of one channel's strength, as a share.
        noise: share with noise.
        noise_sigma: its largest standard deviation, grey levels.
        occlusion: share partly covered by a rectangle of one colour.
        occluded: largest side of the rectangle, as a share of the crop's.

    Raises:
        ValueError: a number outside its range.
    """

    mirror: float = 0.5
    rotation: float = 6.0
    zoom: float = 0.05
    shift: float = 0.02
    low_resolution: float = 0.3
    smallest: float = 0.16
    blur: float = 0.15
    blur_sigma: float = 2.5
    jpeg: float = 0.3
    jpeg_quality: int = 20
    grey: float = 0.1
    brightness: float = 0.15
    contrast: float = 0.2
    gamma: float = 0.25
    tint: float = 0.08
    noise: float = 0.3
    noise_sigma: float = 8.0
    occlusion: float = 0.1
    occluded: float = 0.45

    def __post_init__(self) -> None:
        limits = {"rotation": 180.0, "noise_sigma": 255.0, "blur_sigma": 50.0, "jpeg_quality": 95.0, "gamma": 3.0}
        for field in fields(self):
            value, most = getattr(self, field.name), limits.get(field.name, 1.0)
            if not 0.0 <= value <= most:
                raise ValueError(f"{field.name} must lie between 0 and {most:g}, got {value}")
        if not self.smallest > 0.0 or not self.jpeg_quality >= 1 or not self.zoom < 1.0:
            raise ValueError("smallest and jpeg_quality must be above 0, zoom below 1")


PLAIN = AugmentationOptions(**{field.name: 0.0 for field in fields(AugmentationOptions)} | {"smallest": 1.0, "jpeg_quality": 95})  # type: ignore[arg-type]  # fmt: skip  # noqa: E501
"""Changes nothing."""


@dataclass(frozen=True, eq=False)
class Chances:
    """What befalls each picture of a batch, N of them. `take` parts it between processes.

    Attributes:
        warp: from the unit square of the crop to that of the stored picture, float32 (N, 2, 3), mirror included,
            before the margin is allowed for.
        side: what it is shrunk to, as a share of the crop's side; 1 for not at all.
        sigma: of its blur, pixels; 0 for none.
        quality: of its JPEG compression; 0 for none.
        light: brightness, contrast, gamma and strength of red, green and blue, float32 (N, 6).
        grey: whether colour is lost.
        noise: standard deviation, grey levels.
        cover: left, top, right and bottom of the rectangle as shares of the side, float32 (N, 4); no area for none.
        paint: colour of the rectangle, grey levels, float32 (N, 3).
        seeds: of the noise of each picture.
    """

    warp: NDArray[np.float32]
    side: NDArray[np.float32]
    sigma: NDArray[np.float32]
    quality: NDArray[np.float32]
    light: NDArray[np.float32]
    grey: NDArray[np.bool_]
    noise: NDArray[np.float32]
    cover: NDArray[np.float32]
    paint: NDArray[np.float32]
    seeds: NDArray[np.int64]

    def take(self, places: slice | NDArray[np.int64]) -> Chances:
        """Those of some of the pictures."""
        return Chances(**{field.name: getattr(self, field.name)[places] for field in fields(self)})


def draw(options: AugmentationOptions, count: int, random: np.random.Generator) -> Chances:
    """Draws what befalls `count` pictures."""

    def befalls(share: float) -> NDArray[np.bool_]:
        return np.asarray(random.random(count) < share)

    def either_way(most: float) -> NDArray[np.float64]:
        return np.asarray(random.uniform(-most, most, count))

    angle, scale = np.radians(either_way(options.rotation)), 1.0 + either_way(options.zoom)
    flip = np.where(befalls(options.mirror), -1.0, 1.0)
    turn = np.stack([np.cos(angle) * flip, -np.sin(angle), np.sin(angle) * flip, np.cos(angle)], 1) / scale[:, None]
    moves = np.stack([either_way(options.shift), either_way(options.shift)], 1) * 2.0
    warp = np.concatenate([turn.reshape(count, 2, 2), moves[:, :, None]], 2)
    # many resolutions differ most where they are lowest, so their logarithm is drawn evenly
    sides = np.exp(np.linspace(math.log(options.smallest), 0.0, SMALL_SIDES, endpoint=False))
    side = np.where(befalls(options.low_resolution), random.choice(sides, count), 1.0)
    least = min(0.3, options.blur_sigma)
    sigma = np.where(befalls(options.blur), random.uniform(least, options.blur_sigma, count), 0.0)
    quality = np.where(befalls(options.jpeg), random.uniform(options.jpeg_quality, 95.0, count), 0.0)
    light = np.stack(
        [
            255.0 * either_way(options.brightness),
            1.0 + either_way(options.contrast),
            np.exp(either_way(options.gamma)),
            *(1.0 + either_way(options.tint) for _ in range(3)),
        ],
        1,
    )
    sizes = random.uniform(0.15, 1.0, (count, 2)) * options.occluded * befalls(options.occlusion)[:, None]
    corner = random.random((count, 2)) * (1.0 - sizes)
    grey = befalls(options.grey)
    noise = options.noise_sigma * random.random(count) * befalls(options.noise)
    return Chances(
        warp.astype(np.float32), side.astype(np.float32), sigma.astype(np.float32), quality.astype(np.float32),
        light.astype(np.float32), grey, noise.astype(np.float32),
        np.concatenate([corner, corner + sizes], 1).astype(np.float32),
        random.uniform(0.0, 255.0, (count, 3)).astype(np.float32), random.integers(0, 2**62, count),
    )  # fmt: skip


@torch.no_grad()
def augment(pictures: Tensor, chances: Chances, size: int) -> Tensor:
    """Spoils pictures as drawn.

    Args:
        pictures: uint8, (N, T, T, 3), RGB, the crop in the middle with a margin around it where T > size.
        chances: of these pictures.
        size: side of the crops to yield, pixels, at most T.

    Returns:
        float32 (N, 3, size, size), grey levels 0 to 255.

    Raises:
        ValueError: other shapes.
    """
    if pictures.ndim != 4 or pictures.shape[3] != 3 or pictures.shape[1] != pictures.shape[2]:
        raise ValueError(f"augment: expected pictures of shape (N, T, T, 3), got {tuple(pictures.shape)}")
    if len(pictures) != len(chances.side) or not 1 <= size <= pictures.shape[1]:
        raise ValueError(
            f"augment: {len(pictures)} pictures of side {pictures.shape[1]} do not go with "
            f"{len(chances.side)} chances and crops of side {size}"
        )
    device = pictures.device
    crops = _warp(pictures.permute(0, 3, 1, 2).contiguous().float(), torch.from_numpy(chances.warp).to(device), size)
    crops = _shrink(crops, chances.side)
    crops = _blur(crops, chances.sigma)
    crops = _light(crops, torch.from_numpy(chances.light).to(device))
    crops = _noise(crops, chances)
    crops = _compress(crops, chances.quality)
    crops = _cover(crops, chances)
    grey = torch.from_numpy(chances.grey).to(device)
    if grey.any():
        weights = torch.tensor(LUMINANCE, device=device)[:, None, None]
        crops[grey] = (crops[grey] * weights).sum(1, keepdim=True).expand(-1, 3, -1, -1)
    return crops


def centre(pictures: Tensor, size: int) -> Tensor:
    """The crops without their margins, unspoiled: uint8 (N, T, T, 3) to float32 (N, 3, size, size)."""
    start = (pictures.shape[1] - size) // 2
    return pictures[:, start : start + size, start : start + size].permute(0, 3, 1, 2).float()


def _warp(pictures: Tensor, warp: Tensor, size: int) -> Tensor:
    share = size / pictures.shape[2]
    warp = warp * torch.tensor([share], device=warp.device)
    grid = F.affine_grid(warp, [len(pictures), 3, size, size], align_corners=False)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _shrink(crops: Tensor, sides: NDArray[np.float32]) -> Tensor:
    size = crops.shape[2]
    for side in np.unique(sides[sides < 1.0]):
        chosen = torch.from_numpy(np.flatnonzero(sides == side)).to(crops.device)
        small = max(1, round(size * float(side)))
        shrunk = F.interpolate(crops[chosen], size=(small, small), mode="bilinear", antialias=True, align_corners=False)
        crops[chosen] = F.interpolate(shrunk, size=(size, size), mode="bilinear", align_corners=False)
    return crops


def _blur(crops: Tensor, sigmas: NDArray[np.float32]) -> Tensor:
    chosen = np.flatnonzero(sigmas)
    if not len(chosen):
        return crops
    places = torch.from_numpy(chosen).to(crops.device)
    sigma = torch.from_numpy(sigmas[chosen]).to(crops.device)
    reaches = np.ceil(2.5 * sigmas[chosen])  # each its own, or a picture's blur would depend on the others' beside it
    reach = int(reaches.max())
    steps = torch.arange(-reach, reach + 1, device=crops.device, dtype=torch.float32)
    kernels = torch.exp(-0.5 * (steps / sigma[:, None]) ** 2)
    kernels = kernels * (steps.abs() <= torch.from_numpy(reaches).to(crops.device)[:, None])
    kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(3, 0)
    size = crops.shape[2]
    side = size + 2 * reach
    planes = F.pad(crops[places], (reach, reach, reach, reach), mode="replicate").reshape(1, -1, side, side)
    planes = F.conv2d(planes, kernels[:, None, :, None], groups=len(kernels))
    planes = F.conv2d(planes, kernels[:, None, None, :], groups=len(kernels))
    crops[places] = planes.reshape(len(chosen), 3, size, size)
    return crops


def _light(crops: Tensor, light: Tensor) -> Tensor:
    brightness, contrast, gamma = (light[:, place, None, None, None] for place in range(3))
    crops = (crops.clamp(0.0, 255.0) / 255.0) ** gamma * 255.0
    crops = crops * light[:, 3:, None, None]
    mean = crops.mean(dim=(1, 2, 3), keepdim=True)
    return ((crops - mean) * contrast + mean + brightness).clamp(0.0, 255.0)


def _noise(crops: Tensor, chances: Chances) -> Tensor:
    for place in np.flatnonzero(chances.noise):
        random = torch.Generator().manual_seed(int(chances.seeds[place]))
        grains = torch.randn(crops.shape[1:], generator=random).to(crops.device)
        crops[place] = (crops[place] + grains * float(chances.noise[place])).clamp(0.0, 255.0)
    return crops


def _compress(crops: Tensor, qualities: NDArray[np.float32]) -> Tensor:
    """JPEG's loss without its file: 8x8 cosine transform, quantised; colour at half resolution (ITU-T T.81)."""
    chosen = np.flatnonzero(qualities)
    if not len(chosen):
        return crops
    places = torch.from_numpy(chosen).to(crops.device)
    size = crops.shape[2]
    extra = -size % 16
    pictures = F.pad(crops[places].clamp(0.0, 255.0), (0, extra, 0, extra), mode="replicate")
    red, green, blue = pictures.unbind(1)
    bright = LUMINANCE[0] * red + LUMINANCE[1] * green + LUMINANCE[2] * blue
    colours = torch.stack([(blue - bright) / 1.772, (red - bright) / 1.402], 1)
    quality = torch.from_numpy(qualities[chosen]).to(crops.device)
    factor = torch.where(quality < 50.0, 50.0 / quality, 2.0 - quality / 50.0)
    bright = _quantise(bright[:, None] - 128.0, factor, _QUANTA) + 128.0
    colours = _quantise(F.avg_pool2d(colours, 2), factor, _COLOUR_QUANTA)
    colours = F.interpolate(colours, scale_factor=2.0, mode="nearest")
    bluish, reddish = colours[:, 0], colours[:, 1]
    bright = bright[:, 0]
    red, blue = bright + 1.402 * reddish, bright + 1.772 * bluish
    green = (bright - LUMINANCE[0] * red - LUMINANCE[2] * blue) / LUMINANCE[1]
    crops[places] = torch.stack([red, green, blue], 1)[:, :, :size, :size].clamp(0.0, 255.0)
    return crops


def _quantise(planes: Tensor, factor: Tensor, quanta: NDArray[np.float32]) -> Tensor:
    """Rounds the cosine coefficients of each 8x8 block of (N, C, H, W) to multiples of the quanta."""
    count, channels, height, width = planes.shape
    place = np.arange(8)
    basis = np.cos((2 * place[None] + 1) * place[:, None] * np.pi / 16) * np.where(
        place[:, None], 0.5, math.sqrt(0.125)
    )
    cosines = torch.from_numpy(basis.astype(np.float32)).to(planes.device)
    blocks = planes.reshape(count, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    steps = (torch.from_numpy(quanta).to(planes.device) * factor[:, None, None]).clamp(1.0, 255.0)[:, None, None, None]
    coefficients = torch.round(cosines @ blocks @ cosines.T / steps) * steps
    return (cosines.T @ coefficients @ cosines).transpose(3, 4).reshape(count, channels, height, width)


def _cover(crops: Tensor, chances: Chances) -> Tensor:
    size = crops.shape[2]
    edges = np.round(chances.cover * size).astype(int)
    for place in np.flatnonzero((edges[:, 2] > edges[:, 0]) & (edges[:, 3] > edges[:, 1])):
        left, top, right, bottom = edges[place]
        paint = torch.from_numpy(chances.paint[place]).to(crops.device)
        crops[place, :, top:bottom, left:right] = paint[:, None, None]
    return crops
