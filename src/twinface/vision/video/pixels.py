"""From decoded frames to upright RGB pixels of the size wanted. Runs in the decoding process."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.reformatter import Colorspace, VideoReformatter
from numpy.typing import NDArray

from twinface.core.types import Image
from twinface.vision.video.wire import MOST_PIXELS

HIGH_DEFINITION = 720
"""Lines from which on a video that does not say so has the colours of BT.709, below those of BT.601."""

_UNSPECIFIED, _FULL_RANGE = 2, 2
_SQUEEZED = (Fraction(1, 4), Fraction(4))
"""Between these, a pixel's width by its height is believed."""


class TooLarge(Exception):
    """A frame has too many pixels.

    Attributes:
        width: pixels.
        height: pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        super().__init__(width, height)
        self.width = width
        self.height = height


@dataclass(frozen=True)
class Turn:
    """How a frame becomes upright: first transposed, then mirrored.

    Attributes:
        transposed: rows become columns.
        left_right: mirrored so.
        top_bottom: mirrored so.
    """

    transposed: bool = False
    left_right: bool = False
    top_bottom: bool = False

    @classmethod
    def of_matrix(cls, content: bytes) -> Turn:
        """The nearest quarter turn, mirrored or not, to a display matrix: nine int32 in the machine's order."""
        a, b, _, c, d = (int(value) for value in np.frombuffer(content, np.int32, 5))
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(left_right=a < 0, top_bottom=d < 0)
        return cls(transposed=True, left_right=c < 0, top_bottom=b < 0)

    @classmethod
    def of_degrees(cls, clockwise: float) -> Turn:
        """The nearest quarter turn."""
        quarters = round(clockwise / 90) % 4
        return (cls(), cls(True, True, False), cls(False, True, True), cls(True, False, True))[quarters]

    def applied(self, image: Image) -> Image:
        """The picture (H, W, 3) turned; a view of the same memory."""
        turned: NDArray[np.uint8] = image.transpose(1, 0, 2) if self.transposed else image
        turned = turned[:, ::-1] if self.left_right else turned
        return turned[::-1] if self.top_bottom else turned


class Painter:
    """Writes frames as upright RGB pixels.

    Pixels that are not square are made so, by stretching the shorter way.

    Args:
        longest: most pixels of the longer side; None for all.
    """

    def __init__(self, longest: int | None) -> None:
        self._longest = longest
        self._reformatter = VideoReformatter()

    def turn(self, frame: av.VideoFrame, tagged: Turn) -> Turn:
        """How the frame becomes upright: as its display matrix says, and where it has none as the file's tag does."""
        try:
            matrix: Any = frame.side_data.get("DISPLAYMATRIX")
        except ValueError:  # beside it lies a kind of data that PyAV does not know
            return Turn.of_degrees(-frame.rotation) if frame.rotation else tagged
        return tagged if matrix is None else Turn.of_matrix(bytes(matrix))

    def size(self, frame: av.VideoFrame, square: Fraction | None) -> tuple[int, int]:
        """Width and height the frame will have before it is turned.

        Args:
            frame: as decoded.
            square: a pixel's width by its height, as far as known.

        Raises:
            TooLarge: the frame has more pixels than are read.
        """
        width, height = float(frame.width), float(frame.height)
        if square is not None and square != 1 and _SQUEEZED[0] <= square <= _SQUEEZED[1]:
            width, height = (width * float(square), height) if square > 1 else (width, height / float(square))
        if width * height > MOST_PIXELS:
            raise TooLarge(frame.width, frame.height)
        factor = min(1.0, self._longest / max(width, height)) if self._longest else 1.0
        return max(1, round(width * factor)), max(1, round(height * factor))

    def paint(self, frame: av.VideoFrame, size: tuple[int, int], turn: Turn, out: Image) -> None:
        """Writes the frame's pixels.

        Args:
            frame: as decoded.
            size: as `size` gave it.
            turn: as `turn` gave it.
            out: where to, (height, width, 3) of the upright picture.

        Raises:
            av.error.FFmpegError: its kind of pixels cannot be converted.
        """
        width, height = size
        untold = frame.colorspace == _UNSPECIFIED and frame.height >= HIGH_DEFINITION
        rgb = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="rgb24",
            src_colorspace=Colorspace.ITU709 if untold else None,
            dst_color_range=_FULL_RANGE,
            threads=1,
        )
        plane = rgb.planes[0]
        content: Any = plane  # a buffer, which its type does not tell
        rows = np.frombuffer(content, np.uint8, plane.line_size * height).reshape(height, plane.line_size)
        np.copyto(out, turn.applied(rows[:, : width * 3].reshape(height, width, 3)))
