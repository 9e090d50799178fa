"""Pictures of results: two faces and their verdict, the faces of one picture; and writing them safely to a file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Literal

import cv2
import numpy as np
from PIL import Image as Pictures

from twinface.core.files import shown, write_atomically
from twinface.core.types import Analysis, Box, Comparison, Face, Image
from twinface.core.wording import VERDICT_COLOURS, VERDICT_WORDS, Colour, band_label, caution, fmr_label, percent
from twinface.errors import OutputError
from twinface.vision.sheet import CARD, Corners, Sheet, resize, tint
from twinface.vision.tags import Tag, arrange

INK, MUTED, LINE = (33, 37, 43), (108, 115, 126), (222, 225, 230)
PAPER, AMBER, BLUE = (247, 247, 245), (186, 104, 8), (33, 102, 172)

WIDTH, MARGIN, GAP = 1200, 40, 24
COLUMN = (WIDTH - 2 * MARGIN - GAP) // 2
TALLEST, PANEL, CROP = 480, 252, 168
ASPECTS = (0.55, 1.8)
"""Narrowest and widest view of a picture, width / height; what reaches beyond is cut away around the face."""
LEAST_SIDE = 640
"""Pictures whose longest side is shorter, pixels, are enlarged before faces are labelled."""
FEW, ROOMY, MOST_SIDE = 4, 110, 2000
"""A picture of more faces is enlarged until the usual one is so wide, pixels, but its longest side not beyond this."""

FaceKind = Literal["known", "unknown", "unfit"]
"""A face the gallery knows, a stranger's, and one that is not fit to be looked up."""

LABEL_COLOURS: Mapping[FaceKind, Colour] = MappingProxyType(
    {"known": VERDICT_COLOURS["same"], "unknown": BLUE, "unfit": AMBER}
)

_FORMATS = {".png": ("PNG", 2**31 - 1), ".jpg": ("JPEG", 65_500), ".jpeg": ("JPEG", 65_500), ".webp": ("WEBP", 16_383)}
"""By suffix: the format and the most pixels a side of its pictures."""


@dataclass(frozen=True)
class FaceLabel:
    """What is written at a face.

    Attributes:
        words: beside it, for instance "Ada 99.9%"; nothing where blank.
        detail: below it, for instance why it is not fit; nothing where blank.
        kind: gives the colour.
    """

    words: str
    detail: str
    kind: FaceKind


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
    sheet = Sheet(np.full((top + PANEL + MARGIN, WIDTH, 3), PAPER, np.uint8))
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
    labels = [
        _Label(
            f"{number} \u00b7 {face.score:.2f}",
            ", ".join(face.quality.reasons),
            BLUE if face.quality.usable else AMBER,
        )
        for number, face in enumerate(analysis.faces, 1)
    ]
    return _labelled(analysis, labels, _enlargement(analysis), landmarks=True)


def draw_identified(analysis: Analysis, labels: Sequence[FaceLabel]) -> Image:
    """The picture with every face boxed and named: green whom the gallery knows, blue strangers, amber the unfit.

    Names may hold any letters: those that Pillow's own typeface lacks come from the system's, where one of these has
    them; else accents are dropped, and letters of other scripts become question marks. Long names are cut in their
    middle. Tags stay in the picture and stand where they hide least of the faces and of each other; the
    landmarks are left out, as a name is what is looked for here.

    Args:
        analysis: the picture and its faces.
        labels: one for each of the faces, in their order.

    Returns:
        RGB uint8, as large as the picture; one whose longest side is below 640 pixels is enlarged to that, and one of a
        crowd until names have room beside most faces, at most to a longest side of 2,000 pixels.

    Raises:
        ValueError: there are not as many labels as faces.
    """
    if len(labels) != len(analysis.faces):
        raise ValueError(f"labels: one for each face wanted, got {len(labels)} for {len(analysis.faces)} faces")
    marks = [_Label(label.words, label.detail, LABEL_COLOURS[label.kind]) for label in labels]
    scale = _enlargement(analysis)
    if len(labels) > FEW:
        usual = float(np.median([face.box.width for face in analysis.faces]))
        scale = max(scale, min(ROOMY / usual, MOST_SIDE / max(analysis.image.shape[:2])))
    return _labelled(analysis, marks, scale, landmarks=False)


@dataclass(frozen=True)
class _Label:
    """What is said of a face: above it, below it, and in which colour."""

    words: str
    detail: str
    colour: Colour


def _enlargement(analysis: Analysis) -> float:
    return max(1.0, LEAST_SIDE / float(max(analysis.image.shape[:2])))


def _labelled(analysis: Analysis, labels: Sequence[_Label], scale: float, *, landmarks: bool) -> Image:
    """The picture, enlarged, with every face boxed and its label in tags; or with the word that there is no face."""
    height, width = (max(1, round(side * scale)) for side in analysis.image.shape[:2])
    sheet = Sheet(resize(analysis.image, (width, height)))
    unit = max(0.8, math.sqrt(width * height) / 700)
    outlines: list[Corners] = []
    names: list[Tag] = []
    details: list[Tag] = []
    for face, label in zip(analysis.faces, labels, strict=True):
        left, top, right, bottom = (value * scale for value in face.box.corners)
        thickness = max(1, round(min(2 * unit, (right - left) / 40)))
        points = face.landmarks.points * scale if landmarks else None
        outline = sheet.mark((left, top, right, bottom), points, label.colour, thickness)
        if outline is None:
            continue
        outlines.append(outline)
        letters = min(16 * unit, max(12.0, 5 * unit, 0.11 * (bottom - top)))
        for tags, words, above in ((names, label.words, True), (details, label.detail, False)):
            if words.strip():
                tags.append(Tag(len(outlines) - 1, words, letters, label.colour, above))
    for place in reversed(arrange([*names, *details], outlines, width, height)):
        tag = place.tag
        sheet.tag(place.left, place.top, place.words, tag.letters, tag.colour, above=False)
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
    kind, most = _FORMATS.get(path.suffix.lower(), (None, 0))
    if kind is None:
        raise OutputError(
            f"{shown(path)}: pictures are written as .png, .jpg or .webp; choose a name with one of these endings"
        )
    longest = max(image.shape[:2])
    if longest > most:
        raise OutputError(f"{shown(path)}: {kind} takes at most {most} pixels a side, not {longest}; write a PNG")
    write_atomically(path, lambda file: Pictures.fromarray(image).save(file, kind, quality=92, subsampling=0))


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
    sheet = Sheet(resize(analysis.image[top:bottom, left:right], (max(1, round(window.width * scale)), tall)))

    def moved(box: Box) -> Corners:
        a, b, c, d = box.corners
        return (a - left) * scale, (b - top) * scale, (c - left) * scale, (d - top) * scale

    plain = sheet.pixels.copy()
    for face in analysis.faces:
        if face is not chosen:
            sheet.mark(moved(face.box), None, LINE, 1)
    sheet.pixels = cv2.addWeighted(sheet.pixels, 0.7, plain, 0.3, 0).astype(np.uint8)
    thickness = 1 if chosen.box.width * scale < 40 else 2
    sheet.mark(moved(chosen.box), (chosen.landmarks.points - (left, top)) * scale, colour, thickness)
    return sheet.pixels


def _caption(sheet: Sheet, middle: float, top: float, analysis: Analysis, face: Face, index: int, part: bool) -> None:
    height, width = analysis.image.shape[:2]
    faces = f"face {index} of {len(analysis.faces)}" if len(analysis.faces) > 1 else "one face"
    size = f"{width} x {height}, part shown" if part else f"{width} x {height}"
    facts = " \u00b7 ".join((size, faces, f"score {face.score:.2f}", *analysis.notes))
    sheet.text(middle, top + 32, PurePath(analysis.name).name or analysis.name, 20, INK, "ms", COLUMN)
    sheet.text(middle, top + 56, facts, 15, MUTED, "ms", COLUMN)
    if not face.quality.usable:
        sheet.text(middle, top + 80, f"quality: {', '.join(face.quality.reasons)}", 15, AMBER, "ms", COLUMN)


def _panel(sheet: Sheet, top: float, comparison: Comparison, colour: Colour) -> None:
    point = comparison.point
    sheet.fill((MARGIN, top, WIDTH - MARGIN, top + PANEL), 14, LINE)
    sheet.fill((MARGIN + 1, top + 1, WIDTH - MARGIN - 1, top + PANEL - 1), 13, CARD)
    left = MARGIN + 28
    for side, face in enumerate((comparison.a, comparison.b)):
        sheet.paste(resize(face.crop, (CROP, CROP)), left + side * (CROP + 12), round(top) + 28, 8)
    sheet.text(left + CROP + 6, top + 28 + CROP + 27, "the two faces, aligned", 15, MUTED, "ms")
    left, right = left + 2 * CROP + 12 + 40, WIDTH - MARGIN - 28
    sheet.badge(left + 19, top + 52, 19, comparison.verdict, colour)
    sheet.text(left + 52, top + 64, VERDICT_WORDS[comparison.verdict].upper(), 34, colour, "ls", bold=0.5)
    doubt = caution(comparison.verdict, comparison.probability, point.fmr)
    sheet.text(left + 53, top + 88, doubt, 15, AMBER, "ls", right - left - 53 - 215)
    sheet.text(right, top + 64, percent(comparison.probability), 34, INK, "rs", bold=0.5)
    sheet.text(right, top + 88, "probability of the same person", 15, MUTED, "rs")
    _gauge(sheet, left, right, top + 146, comparison, colour)
    interval = f"(95% interval of the threshold: {point.low:.3f} to {point.high:.3f})"
    facts = f"False match rate {fmr_label(point.fmr)} on {point.dataset} {interval}"
    sheet.text(left, top + 210, facts, 14, MUTED, "ls", right - left)
    doubt = f" \u00b7 {band_label(comparison.band)}" if comparison.band is not None else ""
    sheet.text(left, top + 231, f"Model {comparison.model}{doubt}", 14, MUTED, "ls", right - left)


def _gauge(sheet: Sheet, left: float, right: float, y: float, comparison: Comparison, colour: Colour) -> None:
    """Where the distance lies between "alike" and "unlike", with the threshold, its interval and the band of doubt."""
    point, distance, band = comparison.point, comparison.distance, comparison.band
    reach = 1.2 if max(distance, point.high, point.threshold, band.high if band else 0.0) <= 1.1 else 2.0
    left, right = left + 26, right - 40

    def place(value: float) -> float:
        return left + (right - left) * min(max(value, 0.0), reach) / reach

    cut = float(round(place(point.threshold)))
    tints = {verdict: tint(tone, 0.72) for verdict, tone in VERDICT_COLOURS.items()}
    sheet.fill((left, y - 6, right, y + 6), 6, tints["different"])
    sheet.fill((left, y - 6, max(cut, left + 12), y + 6), 6, tints["same"])
    sheet.fill((cut - 6, y - 6, cut, y + 6), 0, tints["same"])
    if band is not None:
        sheet.fill((place(band.low), y - 6, place(band.high), y + 6), 0, tints["inconclusive"])
    sheet.fill((place(point.low), y - 6, place(point.high), y + 6), 0, tint(INK, 0.62))
    sheet.dot(place(distance), y, 10.5, CARD)
    sheet.dot(place(distance), y, 8.5, colour)
    sheet.fill((cut - 1, y - 14, cut + 1, y + 11), 0, INK)
    sheet.text(left - 15, y + 5, "0", 14, MUTED, "rs")
    sheet.text(right + 15, y + 5, f"{reach:g}", 14, MUTED, "ls")
    sheet.label(cut, y - 21, f"threshold {point.threshold:.3f}", 15, INK, (left, right))
    sheet.label(place(distance), y + 31, f"distance {distance:.3f}", 15, colour, (left, right))
