"""Pictures of results: two faces and their verdict, the faces of one picture; and writing them safely to a file."""

from __future__ import annotations

import math
import os
import unicodedata
import uuid
from functools import cache
from pathlib import Path, PurePath
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures
from PIL import ImageDraw, ImageFont

from twinface.core.types import Analysis, Box, Comparison, Face, Image, Landmarks
from twinface.core.wording import ELLIPSIS, VERDICT_COLOURS, VERDICT_WORDS, Colour, caution, fmr_label, percent, shorten
from twinface.errors import OutputError

INK, MUTED, SHADE, LINE = (33, 37, 43), (108, 115, 126), (77, 81, 85), (222, 225, 230)
PAPER, CARD, AMBER, BLUE = (247, 247, 245), (255, 255, 255), (186, 104, 8), (33, 102, 172)

WIDTH, MARGIN, GAP = 1200, 40, 24
COLUMN = (WIDTH - 2 * MARGIN - GAP) // 2
TALLEST, PANEL, CROP = 480, 252, 168
ASPECTS = (0.6, 1.6)
"""Narrowest and widest view of a picture, width / height; what reaches beyond is cut away around the face."""
LEAST_SIDE = 640
"""Pictures whose longest side is shorter, pixels, are enlarged before faces are labelled."""

_FRACTION, _FINER = 4, 4
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_Corners = tuple[float, float, float, float]


def draw_comparison(comparison: Comparison) -> Image:
    """Both pictures side by side with their faces, both aligned crops, and the verdict with its reasons.

    Returns:
        RGB uint8, shape (H, 1200, 3), H at most 918.
    """
    sides = (
        (comparison.first, comparison.a, comparison.index_a),
        (comparison.second, comparison.b, comparison.index_b),
    )
    windows = [_window(analysis, face) for analysis, face, _ in sides]
    tall = round(min(TALLEST, COLUMN / max(window.width / window.height for window in windows)))
    flawed = any(not face.quality.usable for _, face, _ in sides)
    top = MARGIN + tall + (106 if flawed else 80)
    sheet = _Sheet(np.full((top + PANEL + MARGIN, WIDTH, 3), PAPER, np.uint8))
    colour = VERDICT_COLOURS[comparison.verdict]
    for side, ((analysis, face, index), window) in enumerate(zip(sides, windows, strict=True)):
        middle = MARGIN + COLUMN / 2 + side * (COLUMN + GAP)
        view = _view(analysis, face, window, tall, colour)
        sheet.paste(view, round(middle - view.shape[1] / 2), MARGIN, 10)
        part = window.area < analysis.image.shape[0] * analysis.image.shape[1]
        _caption(sheet, middle, MARGIN + tall, analysis, face, index, part)
    _panel(sheet, top, comparison, colour)
    return sheet.pixels


def draw_faces(analysis: Analysis) -> Image:
    """The picture with every face boxed, numbered from the largest, with landmarks, score and shortcomings.

    Returns:
        RGB uint8, as large as the picture; one whose longest side is below 640 pixels is enlarged to that.
    """
    height, width = analysis.image.shape[:2]
    scale = max(1.0, LEAST_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    sheet = _Sheet(_resize(analysis.image, size))
    unit = max(0.8, math.sqrt(size[0] * size[1]) / 700)
    for number, face in reversed(list(enumerate(analysis.faces, 1))):
        left, top, right, bottom = (value * scale for value in face.box.corners)
        colour = BLUE if face.quality.usable else AMBER
        thickness = round(min(2.0 * unit, max(1.0, (right - left) / 40)))
        corners = sheet.mark((left, top, right, bottom), face.landmarks.points * scale, colour, max(1, thickness))
        if corners is None:
            continue
        letters = min(16 * unit, max(12.0, 0.15 * (bottom - top)))
        sheet.tag(corners[0], corners[1], f"{number} \u00b7 {face.score:.2f}", letters, colour, above=True)
        if face.quality.reasons:
            sheet.tag(corners[0], corners[3], ", ".join(face.quality.reasons), letters, colour, above=False)
    if not analysis.faces:
        sheet.tag(8 * unit, 8 * unit, "no face found", 16 * unit, AMBER, above=False)
    return sheet.pixels


def save(image: Image, path: Path) -> None:
    """Writes a picture as PNG, JPEG or WebP, chosen by the suffix; whatever was there stays until all is written.

    Args:
        image: RGB uint8, shape (H, W, 3).
        path: where to; a link is followed.

    Raises:
        OutputError: unknown suffix, missing or unwritable folder, a picture too large for the format, disk full.
    """
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise OutputError(
            f"{path}: pictures are written as .png, .jpg or .webp; choose a name with one of these endings"
        )
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise OutputError(f"{path}: there is no folder {path.parent}; make it first or choose another")
    part = target.parent / f".twinface-{uuid.uuid4().hex}.part"
    try:
        with part.open("xb") as file:
            Pictures.fromarray(image).save(file, kind, quality=92, subsampling=0)
        part.replace(target)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"{path}: cannot be written ({reason}); choose another place or format") from error
    finally:
        part.unlink(missing_ok=True)


def _window(analysis: Analysis, face: Face) -> Box:
    """The part of the picture that is shown: all of it, or of very wide or tall ones the part around the face."""
    height, width = analysis.image.shape[:2]
    wide = max(1, min(width, round(height * ASPECTS[1])))
    tall = max(1, min(height, round(width / ASPECTS[0])))
    left = np.clip(round(face.box.x + (face.box.width - wide) / 2), 0, width - wide)
    top = np.clip(round(face.box.y + (face.box.height - tall) / 2), 0, height - tall)
    return Box(int(left), int(top), wide, tall)


def _view(analysis: Analysis, chosen: Face, window: Box, tall: int, colour: Colour) -> Image:
    """The window, `tall` pixels high, with the other faces boxed faintly and the chosen one strongly."""
    left, top, right, bottom = (int(value) for value in window.corners)
    scale = tall / window.height
    sheet = _Sheet(_resize(analysis.image[top:bottom, left:right], (max(1, round(window.width * scale)), tall)))

    def moved(box: Box) -> _Corners:
        a, b, c, d = box.corners
        return (a - left) * scale, (b - top) * scale, (c - left) * scale, (d - top) * scale

    plain = sheet.pixels.copy()
    for face in analysis.faces:
        if face is not chosen:
            sheet.mark(moved(face.box), None, LINE, 2)
    sheet.pixels = cv2.addWeighted(sheet.pixels, 0.7, plain, 0.3, 0).astype(np.uint8)
    thickness = 1 if chosen.box.width * scale < 40 else 2
    sheet.mark(moved(chosen.box), (chosen.landmarks.points - (left, top)) * scale, colour, thickness)
    return sheet.pixels


def _caption(sheet: _Sheet, middle: float, top: float, analysis: Analysis, face: Face, index: int, part: bool) -> None:
    height, width = analysis.image.shape[:2]
    faces = f"face {index} of {len(analysis.faces)}" if len(analysis.faces) > 1 else "one face"
    facts = " \u00b7 ".join(
        (f"{width} x {height}", *(["part shown"] if part else []), faces, f"score {face.score:.2f}", *analysis.notes)
    )
    sheet.text(middle, top + 32, PurePath(analysis.name).name or analysis.name, 20, INK, "ms", COLUMN)
    sheet.text(middle, top + 56, facts, 15, MUTED, "ms", COLUMN)
    if not face.quality.usable:
        sheet.text(middle, top + 80, f"quality: {', '.join(face.quality.reasons)}", 15, AMBER, "ms", COLUMN)


def _panel(sheet: _Sheet, top: float, comparison: Comparison, colour: Colour) -> None:
    point = comparison.point
    sheet.fill((MARGIN, top, WIDTH - MARGIN, top + PANEL), 14, LINE)
    sheet.fill((MARGIN + 1, top + 1, WIDTH - MARGIN - 1, top + PANEL - 1), 13, CARD)
    left = MARGIN + 28
    for side, face in enumerate((comparison.a, comparison.b)):
        sheet.paste(_resize(face.crop, (CROP, CROP)), left + side * (CROP + 12), round(top) + 28, 8)
    sheet.text(left + CROP + 6, top + 28 + CROP + 27, "the two faces, aligned", 15, MUTED, "ms")
    left, right = left + 2 * CROP + 12 + 40, WIDTH - MARGIN - 28
    sheet.badge(left + 19, top + 52, 19, comparison.same, colour)
    sheet.text(left + 52, top + 64, VERDICT_WORDS[comparison.verdict].upper(), 34, colour, "ls", bold=0.5)
    doubt = caution(comparison.verdict, comparison.probability, point.fmr)
    sheet.text(left + 53, top + 88, doubt, 15, AMBER, "ls", right - left - 53 - 215)
    sheet.text(right, top + 64, percent(comparison.probability), 34, INK, "rs", bold=0.5)
    sheet.text(right, top + 88, "probability of the same person", 15, MUTED, "rs")
    _gauge(sheet, left, right, top + 146, comparison, colour)
    interval = f"(95% interval of the threshold: {point.low:.3f} to {point.high:.3f})"
    facts = f"False match rate {fmr_label(point.fmr)} on {point.dataset} {interval}"
    sheet.text(left, top + 210, facts, 14, MUTED, "ls", right - left)
    sheet.text(left, top + 231, f"Model {comparison.model}", 14, MUTED, "ls", right - left)


def _gauge(sheet: _Sheet, left: float, right: float, y: float, comparison: Comparison, colour: Colour) -> None:
    """Where the distance lies between "alike" and "unlike", with the threshold and its interval."""
    point, distance = comparison.point, comparison.distance
    reach = 1.2 if max(distance, point.high, point.threshold) <= 1.1 else 2.0
    left, right = left + 26, right - 40

    def place(value: float) -> float:
        return left + (right - left) * min(max(value, 0.0), reach) / reach

    cut, tints = place(point.threshold), {name: _tint(tone, 0.72) for name, tone in VERDICT_COLOURS.items()}
    sheet.fill((left, y - 6, right, y + 6), 6, tints["different"])
    sheet.fill((left, y - 6, max(cut, left + 12), y + 6), 6, tints["same"])
    sheet.fill((cut - 6, y - 6, cut, y + 6), 0, tints["same"])
    sheet.fill((place(point.low), y - 6, place(point.high), y + 6), 0, _tint(INK, 0.62))
    sheet.dot(place(distance), y, 10.5, CARD)
    sheet.dot(place(distance), y, 8.5, colour)
    sheet.fill((cut - 1, y - 14, cut + 1, y + 11), 0, INK)
    sheet.text(left - 15, y + 5, "0", 14, MUTED, "rs")
    sheet.text(right + 15, y + 5, f"{reach:g}", 14, MUTED, "ls")
    sheet.label(cut, y - 21, f"threshold {point.threshold:.3f}", 15, INK, (left, right))
    sheet.label(place(distance), y + 31, f"distance {distance:.3f}", 15, colour, (left, right))


class _Sheet:
    """Pixels to draw on with smooth edges."""

    def __init__(self, pixels: Image) -> None:
        self.pixels = pixels

    def fill(self, corners: _Corners, radius: float, colour: Colour) -> None:
        cv2.fillPoly(self.pixels, [_fixed(_rounded(corners, radius))], colour, cv2.LINE_AA, _FRACTION)

    def dot(self, x: float, y: float, radius: float, colour: Colour) -> None:
        self.fill((x - radius, y - radius, x + radius, y + radius), radius, colour)

    def stroke(self, points: NDArray[np.float64], closed: bool, colour: Colour, thickness: int) -> None:
        cv2.polylines(self.pixels, [_fixed(points)], closed, colour, thickness, cv2.LINE_AA, _FRACTION)

    def paste(self, picture: Image, left: int, top: int, radius: float) -> None:
        """Puts a picture with rounded corners at a place."""
        height, width = picture.shape[:2]
        mask = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask, [_fixed(_rounded((0, 0, width - 1, height - 1), radius))], 255, cv2.LINE_AA, _FRACTION)
        self._blend(mask, picture, left, top)

    def mark(
        self, corners: _Corners, points: NDArray[np.float32] | None, colour: Colour, thickness: int
    ) -> _Corners | None:
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
        wide, tall = _length(words, size) + size, 1.6 * size
        left = max(0.0, min(x, width - wide))
        top = max(0.0, min(y - tall if above else y, height - tall))
        self.fill((left, top, left + wide, top + tall), 0.25 * size, colour)
        self.text(left + wide / 2, top + tall / 2 + 0.36 * size, words, size, CARD, "ms")

    def badge(self, x: float, y: float, radius: float, same: bool, colour: Colour) -> None:
        """A tick or a cross in a disc: the verdict for those who do not tell green from red."""
        self.dot(x, y, radius, colour)
        tick, cross = (((-11, 1), (-3, 9), (11, -8)),), (((-9, -9), (9, 9)), ((-9, 9), (9, -9)))
        for line in tick if same else cross:
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
        words = shorten(_plain(words), lambda candidate: _length(candidate, size) <= room)
        font, stroke = _font(round(size * _FINER)), round(bold * _FINER)
        box = font.getbbox(words, anchor=anchor, stroke_width=stroke)
        left, top = math.floor(x + box[0] / _FINER), math.floor(y + box[1] / _FINER)
        right, bottom = math.ceil(x + box[2] / _FINER) + 1, math.ceil(y + box[3] / _FINER) + 1
        mask = Pictures.new("L", ((right - left) * _FINER, (bottom - top) * _FINER))
        place = ((x - left) * _FINER, (y - top) * _FINER)
        ImageDraw.Draw(mask).text(place, words, 255, font, anchor, stroke_width=stroke)
        self._blend(np.array(mask.reduce(_FINER)), np.array(colour), left, top)

    def _blend(self, mask: NDArray[np.uint8], over: NDArray[np.integer], left: int, top: int) -> None:
        """Puts colours over the sheet where the mask says so; what lies beyond the sheet is dropped."""
        height, width = self.pixels.shape[:2]
        rows = slice(max(0, -top), max(0, min(mask.shape[0], height - top)))
        columns = slice(max(0, -left), max(0, min(mask.shape[1], width - left)))
        under = self.pixels[max(0, top) : top + rows.stop, max(0, left) : left + columns.stop]
        share = mask[rows, columns, None] / np.float32(255)
        over = over[rows, columns] if over.ndim == 3 else over
        under[:] = np.round(over * share + under * (1 - share))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(max(4, size)))


def _length(words: str, size: float) -> float:
    """Width in pixels of words as `_Sheet.text` sets them."""
    return float(_font(round(size * _FINER)).getlength(_plain(words))) / _FINER


def _plain(words: str) -> str:
    """The words in the letters Pillow's own font has: accents are dropped, other scripts become question marks."""
    letters = (letter for letter in unicodedata.normalize("NFD", words) if not unicodedata.combining(letter))
    return "".join(letter if " " <= letter <= "~" or letter in ("\u00b7", ELLIPSIS) else "?" for letter in letters)


def _resize(image: Image, size: tuple[int, int]) -> Image:
    """A copy of the picture at this width and height, pixels."""
    shrinks = size[0] < image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(image), size, interpolation=method).astype(np.uint8, copy=False)


def _rounded(corners: _Corners, radius: float) -> NDArray[np.float64]:
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


def _tint(colour: Colour, share: float) -> Colour:
    """The colour with a share of white."""
    red, green, blue = (round(value + (255 - value) * share) for value in colour)
    return red, green, blue
