"""A sheet of pixels to draw on with smooth edges: rounded shapes, words, the marks around faces."""

from __future__ import annotations

import math
import unicodedata
from functools import cache
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures
from PIL import ImageDraw, ImageFont

from twinface.core.decision import Verdict
from twinface.core.types import Image, Landmarks
from twinface.core.wording import ELLIPSIS, VERDICT_MARKS, Colour, shorten

SHADE, CARD = (77, 81, 85), (255, 255, 255)
"""What sets a thin line off from the picture below it, and the ground of words, discs and thick lines."""

OWN = frozenset(map(chr, range(ord(" "), ord("~") + 1))) | {"\u00b7", ELLIPSIS}
"""Letters of Pillow's own typeface that are used; it is all there is where a system has no typefaces."""

TYPEFACES = (
    "DejaVuSans.ttf", "NotoSans-Regular.ttf", "segoeui.ttf", "Arial Unicode.ttf", "arial.ttf", "Arial.ttf",
    "NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "msyh.ttc", "PingFang.ttc", "Hiragino Sans GB.ttc", "malgun.ttf",
    "NotoSansArabic-Regular.ttf", "NotoSansHebrew-Regular.ttf", "NotoSansDevanagari-Regular.ttf", "Nirmala.ttf",
)  # fmt: skip
"""Looked for in the system's folders, in this order, when a name has other letters."""

NO_LETTER = "\U0010ffff"
"""What no typeface has: it is drawn as the sign for that."""

_FRACTION, _FINER = 4, 4

Corners = tuple[float, float, float, float]
"""Left, top, right, bottom, pixels."""


class Sheet:
    """Pixels to draw on with smooth edges.

    Args:
        pixels: RGB uint8, shape (H, W, 3); drawn on in place.
    """

    def __init__(self, pixels: Image) -> None:
        self.pixels = pixels

    def fill(self, corners: Corners, radius: float, colour: Colour) -> None:
        """Fills a rectangle with rounded corners; a pixel spans one unit from its own row and column."""
        left, top = math.floor(corners[0]), math.floor(corners[1])
        size = (math.ceil(corners[2]) - left, math.ceil(corners[3]) - top)
        inner = (corners[0] - left, corners[1] - top, corners[2] - left, corners[3] - top)
        self._blend(_coverage(inner, radius, size), np.array(colour), left, top)

    def dot(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Fills a disc around x, y."""
        self.fill((x - radius, y - radius, x + radius, y + radius), radius, colour)

    def stroke(self, points: NDArray[np.float64], closed: bool, colour: Colour, thickness: int) -> None:
        """Draws the lines between points, shape (N, 2); back to the first if closed."""
        cv2.polylines(self.pixels, [_fixed(points)], closed, colour, thickness, cv2.LINE_AA, _FRACTION)

    def paste(self, picture: Image, left: int, top: int, radius: float) -> None:
        """Puts a picture with rounded corners at a place."""
        height, width = picture.shape[:2]
        self._blend(_coverage((0, 0, width, height), radius, (width, height)), picture, left, top)

    def mark(
        self, corners: Corners, points: NDArray[np.float32] | None, colour: Colour, thickness: int
    ) -> Corners | None:
        """Outlines a face, clipped so that its edges stay visible, and dots its landmarks where they have room.

        Returns:
            The corners drawn, or None where the face lies wholly outside.
        """
        height, width = self.pixels.shape[:2]
        edge = (thickness + 1) / 2
        left, right = (float(np.clip(value, edge, max(edge, width - 1 - edge))) for value in corners[::2])
        top, bottom = (float(np.clip(value, edge, max(edge, height - 1 - edge))) for value in corners[1::2])
        if right <= left or bottom <= top:
            return None
        outline = _rounded((left, top, right, bottom), min(right - left, bottom - top) * 0.08)
        self.stroke(outline, True, SHADE if points is None else CARD, thickness + (2 if thickness > 1 else 1))
        self.stroke(outline, True, colour, thickness)
        between = 0.0 if points is None else Landmarks(points).eye_distance
        if points is not None and between >= 12:
            radius = min(max(between / 18, 2.0), 2.0 + 1.3 * thickness)
            for x, y in points.astype(float):
                self.dot(x, y, radius + max(1.0, thickness / 3), CARD)
                self.dot(x, y, radius, colour)
        return left, top, right, bottom

    def tag(self, x: float, y: float, words: str, size: float, colour: Colour, *, above: bool) -> None:
        """White words on a coloured ground, its lower (above) or upper left corner at x, y, kept in the picture."""
        height, width = self.pixels.shape[:2]
        size *= min(1.0, max(1.0, width - size) / max(1.0, _length(words, size)))
        wide, tall = extent(words, size)
        left = max(0.0, min(x, width - wide))
        top = max(0.0, min(y - tall if above else y, height - tall))
        self.fill((left, top, left + wide, top + tall), 0.25 * size, colour)
        self.text(left + wide / 2, top + tall / 2 + 0.36 * size, words, size, CARD, "ms")

    def badge(self, x: float, y: float, radius: float, verdict: Verdict, colour: Colour) -> None:
        """A tick, a cross or a question mark in a disc: the verdict for those who do not tell the colours apart."""
        self.dot(x, y, radius, colour)
        if verdict == "inconclusive":
            self.text(x, y + radius * 0.46, VERDICT_MARKS[verdict], radius * 1.4, CARD, "ms", bold=0.5)
            return
        tick, cross = (((-11, 1), (-3, 9), (11, -8)),), (((-9, -9), (9, 9)), ((-9, 9), (9, -9)))
        for line in tick if verdict == "same" else cross:
            self.stroke(np.array(line) * radius * 0.042 + (x, y), False, CARD, 4)

    def label(self, x: float, y: float, words: str, size: float, colour: Colour, between: tuple[float, float]) -> None:
        """Words centred on x as far as they stay between two abscissae."""
        half = _length(words, size) / 2
        self.text(min(max(x, between[0] + half), between[1] - half), y, words, size, colour, "ms")

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float,
        colour: Colour,
        anchor: str,
        room: float = math.inf,
        bold: float = 0.0,
    ) -> None:
        """One line at Pillow's anchor, shortened to its room; set four times as large, so that spacing is true."""
        words = fitted(words, size, room)
        font, stroke = _font(round(size * _FINER), _face(words)), round(bold * _FINER)
        box = font.getbbox(words, anchor=anchor, stroke_width=stroke)
        left, top = math.floor(x + box[0] / _FINER), math.floor(y + box[1] / _FINER)
        right, bottom = math.ceil(x + box[2] / _FINER) + 1, math.ceil(y + box[3] / _FINER) + 1
        mask = Pictures.new("L", ((right - left) * _FINER, (bottom - top) * _FINER))
        place = ((x - left) * _FINER, (y - top) * _FINER)
        ImageDraw.Draw(mask).text(place, words, 255, font, anchor, stroke_width=stroke)
        self._blend(np.array(mask.reduce(_FINER), np.float32) / 255, np.array(colour), left, top)

    def _blend(self, share: NDArray[np.floating], over: NDArray[np.integer], left: int, top: int) -> None:
        """Puts colours over the sheet by their share of each pixel; what lies beyond the sheet is dropped."""
        height, width = self.pixels.shape[:2]
        rows = slice(max(0, -top), max(0, min(share.shape[0], height - top)))
        columns = slice(max(0, -left), max(0, min(share.shape[1], width - left)))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        under = self.pixels[max(0, top) : top + rows.stop, max(0, left) : left + columns.stop]
        share = share[rows, columns, None]
        over = over[rows, columns] if over.ndim == 3 else over
        under[:] = np.round(over.astype(np.float32) * share + under * (1 - share))


@cache
def _font(size: int, face: str = "") -> ImageFont.FreeTypeFont:
    """Letters so high; of a typeface of the system's, or of Pillow's own."""
    if face:
        return ImageFont.truetype(face, max(4, size))
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(max(4, size)))


@cache
def _face(words: str) -> str:
    """The first typeface of the system's that has all letters of the words; "" for Pillow's own."""
    if set(words) <= OWN or not words.isprintable():
        return ""
    for face in TYPEFACES:
        try:
            font = ImageFont.truetype(face, 20)
        except OSError:  # not on this system
            continue
        none = bytes(font.getmask(NO_LETTER))
        if all(bytes(font.getmask(letter)) != none for letter in set(words) if not unicodedata.combining(letter)):
            return face
    return ""


def _set(words: str) -> str:
    """The words as they can be set: in full where a typeface has their letters, else in those of Pillow's own."""
    whole = unicodedata.normalize("NFC", words)
    return whole if _face(whole) else _plain(whole)


def _length(words: str, size: float) -> float:
    """Width in pixels of words as `Sheet.text` sets them."""
    found = _set(words)
    return float(_font(round(size * _FINER), _face(found)).getlength(found)) / _FINER


def extent(words: str, size: float) -> tuple[float, float]:
    """Width and height in pixels of a tag whose letters are so large."""
    return _length(words, size) + size, 1.6 * size


def fitted(words: str, size: float, room: float) -> str:
    """The words as `Sheet.text` sets them, in letters there are, shortened in the middle to their room, pixels."""
    return shorten(_set(words), lambda candidate: _length(candidate, size) <= room)


def _plain(words: str) -> str:
    """The words in the letters Pillow's own font has: accents are dropped, other scripts become question marks."""
    letters = (letter for letter in unicodedata.normalize("NFD", words) if not unicodedata.combining(letter))
    return "".join(letter if letter in OWN else "?" for letter in letters)


def resize(image: Image, size: tuple[int, int]) -> Image:
    """A copy of the picture at this width and height, pixels."""
    shrinks = size[0] < image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(image), size, interpolation=method).astype(np.uint8, copy=False)


def _coverage(corners: Corners, radius: float, size: tuple[int, int]) -> NDArray[np.float32]:
    """How much of each pixel a rounded rectangle covers, [0, 1], from the distance to its edge; shape (H, W)."""
    left, top, right, bottom = corners
    radius = max(0.0, min(radius, (right - left) / 2, (bottom - top) / 2))
    x = abs(np.arange(size[0], dtype=np.float32) + 0.5 - (left + right) / 2) - ((right - left) / 2 - radius)
    y = abs(np.arange(size[1], dtype=np.float32) + 0.5 - (top + bottom) / 2) - ((bottom - top) / 2 - radius)
    outside = np.hypot(np.maximum(x, 0), np.maximum(y, 0)[:, None])
    distance = outside + np.minimum(np.maximum(x, y[:, None]), 0) - radius
    share: NDArray[np.float32] = np.clip(0.5 - distance, 0, 1).astype(np.float32, copy=False)
    return share


def _rounded(corners: Corners, radius: float) -> NDArray[np.float64]:
    """The outline of a rectangle with rounded corners, shape (36, 2)."""
    left, top, right, bottom = corners
    radius = max(0.0, min(radius, (right - left) / 2, (bottom - top) / 2))
    turns = np.linspace(0, math.pi / 2, 9)
    near, far = (left + radius, top + radius), (right - radius, bottom - radius)
    centres = (far, (near[0], far[1]), near, (far[0], near[1]))
    circle = radius * np.column_stack([np.cos(turns), np.sin(turns)])
    quarters = (circle, circle[:, ::-1] * (-1, 1), -circle, circle[:, ::-1] * (1, -1))
    return np.concatenate([arc + centre for arc, centre in zip(quarters, centres, strict=True)])


def _fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    """OpenCV's fixed-point coordinates, `_FRACTION` bits after the point."""
    fixed: NDArray[np.int32] = np.round(points * 2**_FRACTION).astype(np.int32)
    return fixed


def tint(colour: Colour, share: float) -> Colour:
    """The colour with a share of white."""
    red, green, blue = (round(value + (255 - value) * share) for value in colour)
    return red, green, blue
