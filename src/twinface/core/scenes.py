"""Where one scene of a video ends and the next begins, told from a few of its pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twinface.core.types import Image

SIDE = 64
"""Pixels looked at along a side, at most: 0.15 milliseconds a frame of 1280 x 720."""

LEAST = 0.5
"""Smallest change that can be a cut, in units of the pictures' own contrast: two pictures that have nothing to do with
one another differ by 1 to 1.4, two of one still scene by their noise."""

USUAL = 2.5
"""How many times the usual change it must be: in a moving camera's picture everything changes always."""

NOISE = 0.02
"""Added to the contrast, in [0, 1], so that noise in the dark is no change."""


class SceneWatch:
    """Sees hard cuts between the frames it is shown. It rather sees one too many: whoever asks looks at the faces.

    Args:
        sample: the pixels of the frame before, as `sample` has them; None where there is none.
        usual: the change between frames up to now, as `usual` has it.
    """

    def __init__(self, sample: NDArray[np.uint8] | None = None, usual: float = 0.0) -> None:
        self.sample = sample
        self.usual = usual

    def cut(self, image: Image) -> bool:
        """Whether this frame, RGB uint8 (H, W, 3), is of another scene than the one before."""
        height, width = image.shape[:2]
        sample: NDArray[np.uint8] = image[:: -(-height // SIDE), :: -(-width // SIDE)].copy()
        before, self.sample = self.sample, sample
        if before is None:
            return False
        if before.shape != sample.shape:
            return True
        change = change_between(before, sample)
        if change > max(LEAST, USUAL * self.usual):
            return True
        self.usual += 0.3 * (change - self.usual)
        return False


def change_between(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Mean difference of two pictures of one shape, relative to how much the pixels of each differ among themselves."""
    a, b = one.astype(np.float32) / 255, other.astype(np.float32) / 255
    contrast = (np.abs(a - a.mean(axis=(0, 1))).mean() + np.abs(b - b.mean(axis=(0, 1))).mean()) / 2
    return float(np.abs(a - b).mean() / (contrast + NOISE))
