"""The detector's teacher, YuNet: its maps for dense distillation, its faces and its landmarks averaged over views."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from twinface.core.geometry import iou, non_maximum_suppression
from twinface.core.types import MIRRORED
from twinface.training.detection.scenes import Picture
from twinface.vision.session import Session, SessionOptions

Floats = NDArray[np.floating]
Teacher = Callable[[NDArray[np.float32]], Mapping[str, NDArray[np.float32]]]
"""Runs YuNet on BGR float32 0..255, shape (N, 3, H, W); yields its outputs by name."""

STRIDES = (8, 16, 32)
"""Pixels of input per cell, for each of the teacher's heads."""

View = tuple[float, bool]
"""Scale and mirroring."""

TWO_VIEWS: tuple[View, ...] = ((1.0, False), (1.0, True))
FOUR_VIEWS: tuple[View, ...] = (*TWO_VIEWS, (1.25, False), (0.8, True))


@dataclass(frozen=True, eq=False)
class LabelledFace:
    """A face of a training picture: index of the picture and the teacher's points (5, 2) in its pixels."""

    picture: int
    points: Floats


def open_teacher(path: Path) -> Teacher:
    """Loads YuNet on one thread.

    Raises:
        ModelError: the file is missing or not a network.
    """
    return Session(path, options=SessionOptions(threads=1)).run


def teacher_maps(teacher: Teacher, scenes: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """The teacher's maps in the student's layout.

    Args:
        teacher: runs YuNet.
        scenes: RGB uint8, shape (N, H, W, 3), H and W multiples of 32.

    Returns:
        Per stride a float32 map (N, 15, H/stride, W/stride): score in [0, 1], box, landmarks.
    """
    count, height, width = scenes.shape[:3]
    outputs = teacher(np.ascontiguousarray(scenes[..., ::-1].transpose(0, 3, 1, 2), dtype=np.float32))
    maps = []
    for stride in STRIDES:
        product = np.clip(outputs[f"cls_{stride}"], 0, 1) * np.clip(outputs[f"obj_{stride}"], 0, 1)
        cells = np.concatenate([np.sqrt(product), outputs[f"bbox_{stride}"], outputs[f"kps_{stride}"]], axis=2)
        shaped = cells.reshape(count, height // stride, width // stride, -1).transpose(0, 3, 1, 2)
        maps.append(np.ascontiguousarray(shaped, dtype=np.float32))
    return maps


def faces_in(teacher: Teacher, picture: Picture, confidence: float, overlap: float = 0.3) -> tuple[Floats, Floats]:
    """The teacher's boxes (N, 4: left, top, right, bottom) and points (N, 5, 2) of a picture, best score first."""
    height, width = picture.shape[:2]
    canvas = np.zeros((1, -(-height // 32) * 32, -(-width // 32) * 32, 3), np.uint8)
    canvas[0, :height, :width] = picture
    boxes, scores, points = [], [], []
    for stride, maps in zip(STRIDES, teacher_maps(teacher, canvas), strict=True):
        rows, columns = np.nonzero(maps[0, 0] >= confidence)
        values = maps[0][:, rows, columns].T.astype(np.float64)
        corner = np.column_stack([columns, rows])
        centre, size = (corner + values[:, 1:3]) * stride, np.exp(values[:, 3:5]) * stride
        boxes.append(np.hstack([centre - size / 2, centre + size / 2]))
        scores.append(values[:, 0])
        points.append((values[:, 5:].reshape(-1, 5, 2) + corner[:, None]) * stride)
    box, point = np.concatenate(boxes), np.concatenate(points)
    keep = non_maximum_suppression(box, np.concatenate(scores), overlap)
    return box[keep], point[keep]


def label(
    teacher: Teacher,
    pictures: Sequence[Picture],
    views: Sequence[View],
    *,
    confidence: float = 0.7,
    smallest: float = 9.0,
) -> list[LabelledFace]:
    """Faces with the teacher's points averaged over views: two views differ by 7% of the eye distance.

    Args:
        teacher: runs YuNet.
        pictures: RGB uint8.
        views: over which the points are averaged; the first must be the picture as it is.
        confidence: least score of a face; it must be found in every view.
        smallest: least eye distance, pixels.
    """
    faces = []
    for index, picture in enumerate(pictures):
        own: list[list[Floats]] = []
        boxes: Floats = np.zeros((0, 4))
        for place, (view, back, mirrored) in enumerate(_seen(picture, views)):
            found, points = faces_in(teacher, view, confidence)
            corners, points = back(found.reshape(-1, 2, 2)), back(points)
            found = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
            if mirrored:
                points = points[:, list(MIRRORED)]
            if place == 0:
                boxes, own = found, [[one] for one in points]
                if not len(boxes):
                    break
            elif len(found):
                for face, overlaps in zip(own, iou(boxes, found), strict=True):
                    if overlaps.max() > 0.5:
                        face.append(points[int(overlaps.argmax())])
        for points_of in own:
            mean = np.mean(points_of, axis=0)
            if len(points_of) == len(views) and np.linalg.norm(mean[0] - mean[1]) >= smallest:
                faces.append(LabelledFace(index, mean))
    return faces


def _seen(picture: Picture, views: Sequence[View]) -> Iterator[tuple[Picture, Callable[[Floats], Floats], bool]]:
    """Each view of a picture with the way back for points (..., 2), and whether it is mirrored."""
    height, width = picture.shape[:2]
    for scale, mirrored in views:
        view = picture
        if scale != 1.0:
            view = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        across, down = view.shape[1] / width, view.shape[0] / height

        def back(points: Floats, across: float = across, down: float = down, mirrored: bool = mirrored) -> Floats:
            own = points / np.array([across, down])
            return np.stack([width - own[..., 0], own[..., 1]], axis=-1) if mirrored else own

        yield np.ascontiguousarray(view[:, ::-1] if mirrored else view), back, mirrored
