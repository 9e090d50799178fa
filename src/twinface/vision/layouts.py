"""What each kind of detector writes into its outputs: one small decoder per layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from twinface.errors import ContractMismatch

Floats = NDArray[np.float32]
Outputs = Mapping[str, Floats]
"""A network's outputs by name, in the network's order."""

Size = tuple[int, int]
"""Height and width of the network's input, pixels."""

STRIDES = (8, 16, 32)
"""Pixels of input per cell, for each head."""


class Candidates(NamedTuple):
    """Possible faces before suppression, in pixels of the network's input.

    Attributes:
        boxes: shape (N, 4): left, top, right, bottom.
        scores: shape (N,), in [0, 1].
        points: shape (N, 5, 2): the five landmarks, or None from networks that yield boxes only.
    """

    boxes: Floats
    scores: Floats
    points: Floats | None


class Layout(Protocol):
    """Reads one kind of detector."""

    @property
    def padding(self) -> int:
        """Grey value that surrounds the picture in the network's input."""
        ...

    def decode(self, outputs: Outputs, size: Size) -> Candidates:
        """Faces at or above the confidence, from the outputs for one picture.

        Boxes and points may hold values that are not finite where the network yields such.

        Raises:
            ContractMismatch: outputs of other shapes (the message names those found), or scores that are not finite.
        """
        ...


@dataclass(frozen=True)
class TwinFaceLayout:
    """TwinFace's own detector: `score_S`, `box_S`, `landmarks_S` for each stride S, shape (1, cells, 1 | 4 | 10).

    A box is its centre's offset from the cell's corner (cells) and the logarithm of its size (cells).

    Attributes:
        confidence: least score of a face.
    """

    confidence: float
    padding: ClassVar[int] = 0
    widths: ClassVar[Mapping[str, int]] = {"score": 1, "box": 4, "landmarks": 10}

    def decode(self, outputs: Outputs, size: Size) -> Candidates:
        """See `Layout.decode`."""
        parts = []
        for stride, score, box, points in _cells(self.widths, outputs, size):
            parts.append(_pick(score[:, 0], box, points, stride, size, self.confidence))
        return _join(parts)


@dataclass(frozen=True)
class YunetLayout:
    """YuNet: `cls_S`, `obj_S`, `bbox_S`, `kps_S` for each stride S; boxes and landmarks as in `TwinFaceLayout`.

    The score is the geometric mean of the two probabilities (Wu, Peng and Yu, "YuNet: A Tiny
    Millisecond-level Face Detector", Machine Intelligence Research 2023; OpenCV's FaceDetectorYN).

    Attributes:
        confidence: least score of a face.
    """

    confidence: float
    padding: ClassVar[int] = 0
    widths: ClassVar[Mapping[str, int]] = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}

    def decode(self, outputs: Outputs, size: Size) -> Candidates:
        """See `Layout.decode`."""
        parts = []
        for stride, face, thing, box, points in _cells(self.widths, outputs, size):
            score = np.sqrt(np.clip(face[:, 0], 0, 1) * np.clip(thing[:, 0], 0, 1))
            parts.append(_pick(score, box, points, stride, size, self.confidence))
        return _join(parts)


@dataclass(frozen=True)
class ScrfdLayout:
    """SCRFD as InsightFace exports it: three scores (N, 1), three boxes (N, 4), perhaps three landmarks (N, 10).

    The outputs' names mean nothing; their widths and lengths tell them apart. Every cell has two anchors at its
    corner; a box is the four distances to its sides and a landmark an offset, both from the anchor, in strides
    (Guo et al., "Sample and Computation Redistribution for Efficient Face Detection", ICLR 2022).

    Attributes:
        confidence: least score of a face.
    """

    confidence: float
    padding: ClassVar[int] = 0
    anchors: ClassVar[int] = 2

    def decode(self, outputs: Outputs, size: Size) -> Candidates:
        """See `Layout.decode`."""
        scores, boxes, points = (_by_width(outputs, width) for width in (1, 4, 10))
        lengths = [self.anchors * _count(stride, size) for stride in STRIDES]
        found = [[len(array) for array in group] for group in (scores, boxes, points)]
        if len(outputs) not in (6, 9) or found != [lengths, lengths, lengths if len(outputs) == 9 else []]:
            rows = f"{lengths[0]}, {lengths[1]} and {lengths[2]} rows for a {size[1]}x{size[0]} input"
            raise _mismatch(f"three outputs (N, 1), three (N, 4) and none or three (N, 10) with {rows}", outputs)
        parts = []
        for level, stride in enumerate(STRIDES):
            chosen = np.flatnonzero(_finite(scores[level][:, 0]) >= self.confidence)
            anchor = _corners(chosen // self.anchors, stride, size)
            sides = boxes[level][chosen]
            corners = np.hstack([anchor - sides[:, :2], anchor + sides[:, 2:]]) * np.float32(stride)
            landmarks = None
            if points:
                landmarks = (anchor[:, None] + points[level][chosen].reshape(-1, 5, 2)) * np.float32(stride)
            parts.append(Candidates(corners, scores[level][chosen, 0], landmarks))
        return _join(parts)


@dataclass(frozen=True)
class YoloLayout:
    """YOLO face exports (Ultralytics YOLOv8, YOLO11): one output, one row of values per candidate.

    A row is centre x, centre y, width, height, score, in pixels of the input, then nothing or five landmarks of two or
    three values (x, y and visibility, which is not read); shape (1, values, N), or (1, N, values) where transposed.
    Exports with suppression inside yield (1, N, values) with rows left, top, right, bottom, score, class, landmarks.

    Attributes:
        confidence: least score of a face.
    """

    confidence: float
    padding: ClassVar[int] = 114
    raw: ClassVar[tuple[int, ...]] = (5, 15, 20)
    suppressed: ClassVar[tuple[int, ...]] = (6, 16, 21)
    expected: ClassVar[str] = "one output (1, 5 | 15 | 20, N), or (1, N, 6 | 16 | 21) with suppression inside"

    def decode(self, outputs: Outputs, size: Size) -> Candidates:
        """See `Layout.decode`."""
        rows, start = self._rows(outputs, size)
        rows = rows[_finite(rows[:, 4]) >= self.confidence]
        boxes = rows[:, :4]
        if start == 5:
            half = boxes[:, 2:] / 2
            boxes = np.hstack([boxes[:, :2] - half, boxes[:, :2] + half])
        values = (rows.shape[1] - start) // 5
        points = rows[:, start:].reshape(len(rows), 5, values)[:, :, :2] if values else None
        return Candidates(boxes, np.clip(rows[:, 4], 0, 1), points)

    def _rows(self, outputs: Outputs, size: Size) -> tuple[Floats, int]:
        """One row per candidate, and where the landmarks begin in it."""
        arrays = list(outputs.values())
        if len(arrays) == 1 and arrays[0].ndim == 3 and len(arrays[0]) == 1:
            array = arrays[0][0]
            cells = sum(_count(stride, size) for stride in STRIDES)
            upright = array.shape[0] in self.raw
            if array.shape[1] in self.suppressed and not (upright and array.shape[1] == cells):
                return array, 6
            if upright:
                return array.T, 5
            if array.shape[1] in self.raw:
                return array, 5
        raise _mismatch(self.expected, outputs)


LAYOUTS: Mapping[str, Callable[[float], Layout]] = {
    "twinface": TwinFaceLayout,
    "yunet": YunetLayout,
    "scrfd": ScrfdLayout,
    "yolo": YoloLayout,
}
"""Layouts by the name contracts give them; called with the confidence."""


def layout(name: str, confidence: float) -> Layout:
    """The decoder of that name.

    Raises:
        ContractMismatch: there is none.
    """
    if name not in LAYOUTS:
        raise ContractMismatch(f"no detector layout {name!r}; known ones: {', '.join(LAYOUTS)}")
    return LAYOUTS[name](confidence)


def _mismatch(expected: str, outputs: Outputs) -> ContractMismatch:
    found = ", ".join(f"{name} {array.shape}" for name, array in outputs.items())
    return ContractMismatch(f"expected {expected}; outputs found: {found}; is it another kind of detector?")


def _cells(widths: Mapping[str, int], outputs: Outputs, size: Size) -> list[tuple[Any, ...]]:
    """For each stride: the stride, then its parts, each of shape (cells, width)."""
    levels: list[tuple[Any, ...]] = []
    for stride in STRIDES:
        level: list[Any] = [stride]
        cells = _count(stride, size)
        for part, width in widths.items():
            array = outputs.get(f"{part}_{stride}")
            if array is None or array.shape != (1, cells, width):
                expected = f"output {part}_{stride} (1, {cells}, {width}) for a {size[1]}x{size[0]} input"
                raise _mismatch(expected, outputs)
            level.append(_finite(array[0]) if width == 1 else array[0])
        levels.append(tuple(level))
    return levels


def _pick(scores: Floats, boxes: Floats, points: Floats, stride: int, size: Size, confidence: float) -> Candidates:
    """Decodes the confident cells of one stride; offsets are in cells from the cell's corner."""
    chosen = np.flatnonzero(scores >= confidence)
    corner = _corners(chosen, stride, size)
    boxes = boxes[chosen]
    centre = (corner + boxes[:, :2]) * np.float32(stride)
    half = np.exp(boxes[:, 2:]) * np.float32(stride / 2)
    landmarks = (corner[:, None] + points[chosen].reshape(-1, 5, 2)) * np.float32(stride)
    return Candidates(np.hstack([centre - half, centre + half]), scores[chosen], landmarks)


def _finite(scores: Floats) -> Floats:
    if not np.isfinite(scores).all():
        raise ContractMismatch("the network yields scores that are not finite; the file is damaged or ill-converted")
    return scores


def _count(stride: int, size: Size) -> int:
    return (size[0] // stride) * (size[1] // stride)


def _corners(cells: NDArray[np.intp], stride: int, size: Size) -> Floats:
    row, column = np.divmod(cells, size[1] // stride)
    return np.stack([column, row], axis=1).astype(np.float32)


def _by_width(outputs: Outputs, width: int) -> list[Floats]:
    """Outputs of that many columns as (rows, width), longest first."""
    arrays = [array.reshape(-1, width) for array in outputs.values() if array.ndim >= 2 and array.shape[-1] == width]
    return sorted(arrays, key=len, reverse=True)


def _join(parts: Sequence[Candidates]) -> Candidates:
    points = [part.points for part in parts if part.points is not None]
    return Candidates(
        np.concatenate([part.boxes for part in parts]),
        np.clip(np.concatenate([part.scores for part in parts]), 0, 1),
        np.concatenate(points) if points else None,
    )
