"""Recipe of the shipped detector's landmark refiner.

python recipes/landmarks.py --lfw DIR --lists DIR --pool DIR --teacher yunet_n.onnx. Same pictures as `detector.py`.
The labels are the teacher's points on each picture, averaged over four views of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from detector import open_teacher, read, training_pictures

from twinface.core.geometry import iou, non_maximum_suppression
from twinface.training.distillation import Teacher, teacher_maps
from twinface.training.landmarks import MIRRORED, CropStream, LabelledFace, LandmarkNet, LandmarkRecipe, train_landmarks
from twinface.training.scenes import Picture
from twinface.vision.landmarks import _crop

CONFIDENCE = 0.7
SMALLEST_EYES = 9.0


def faces_in(teacher: Teacher, picture: Picture) -> tuple[np.ndarray, np.ndarray]:
    """Teacher's boxes (N, 4; corners) and points (N, 5, 2) of a picture."""
    height, width = picture.shape[:2]
    canvas = np.zeros((1, -(-height // 32) * 32, -(-width // 32) * 32, 3), np.uint8)
    canvas[0, :height, :width] = picture
    boxes, scores, points = [], [], []
    for stride, maps in zip((8, 16, 32), teacher_maps(teacher, canvas), strict=True):
        rows, columns = np.nonzero(maps[0, 0] >= CONFIDENCE)
        values = maps[0][:, rows, columns].T.astype(np.float64)
        corner = np.column_stack([columns, rows])
        centre, size = (corner + values[:, 1:3]) * stride, np.exp(values[:, 3:5]) * stride
        boxes.append(np.hstack([centre - size / 2, centre + size / 2]))
        scores.append(values[:, 0])
        points.append((values[:, 5:].reshape(-1, 5, 2) + corner[:, None]) * stride)
    box, point = np.concatenate(boxes), np.concatenate(points)
    keep = non_maximum_suppression(box, np.concatenate(scores), 0.3)
    return box[keep], point[keep]


def views(picture: Picture) -> Iterator[tuple[Picture, Callable[[np.ndarray], np.ndarray]]]:
    """The picture, its mirror image and both at another size, each with the way back for points (..., 2)."""
    height, width = picture.shape[:2]
    for scale, mirrored in ((1.0, False), (1.0, True), (1.25, False), (0.8, True)):
        view = picture if scale == 1.0 else cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        across, down = view.shape[1] / width, view.shape[0] / height

        def back(points: np.ndarray, across: float = across, down: float = down, mirrored: bool = mirrored) -> np.ndarray:
            own = points / [across, down]
            return np.stack([width - own[..., 0], own[..., 1]], axis=-1) if mirrored else own

        yield np.ascontiguousarray(view[:, ::-1] if mirrored else view).astype(np.uint8), back


def label(teacher: Teacher, pictures: list[Picture]) -> list[LabelledFace]:
    """The teacher's points, averaged over views: one view alone is off its own average by 5% of the eye distance."""
    faces = []
    for index, picture in enumerate(pictures):
        own: list[list[np.ndarray]] = []
        boxes = np.zeros((0, 4))
        for place, (view, back) in enumerate(views(picture)):
            found, points = faces_in(teacher, view)
            corners = back(found.reshape(-1, 2, 2))
            found = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
            points = back(points)
            if place % 2:
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
            if len(points_of) == 4 and np.linalg.norm(mean[0] - mean[1]) >= SMALLEST_EYES:
                faces.append(LabelledFace(index, mean))
    return faces


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lfw", type=Path, required=True)
    parser.add_argument("--lists", type=Path, required=True)
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/landmarks"))
    parser.add_argument("--steps", type=int, default=LandmarkRecipe.steps)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    pictures = [one for paths in training_pictures(options.lfw, options.lists, options.pool) for one in read(paths)]
    faces = label(open_teacher(options.teacher), pictures)
    print(f"{len(pictures)} pictures, {len(faces)} faces", flush=True)
    recipe = LandmarkRecipe(steps=options.steps)
    points = CANONICAL * recipe.size / 150
    stream = CropStream(pictures, faces, points, _crop, recipe)
    train_landmarks(
        stream, LandmarkNet(points, recipe.size), recipe, options.out, threads=options.threads,
        report=lambda line: print(line, flush=True),
    )


CANONICAL = np.array([(46.98, 43.84), (100.83, 44.58), (74.07, 77.02), (48.02, 100.67), (96.46, 101.92)])
"""The encoder's canonical points in its 150 x 150 crop, at which the refiner sees the face too."""


if __name__ == "__main__":
    main()
