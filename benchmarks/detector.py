"""Measures a detector against the teacher: faces found, landmarks, the pool's held-out photos.

python benchmarks/detector.py --lfw DIR --pool DIR --teacher yunet_n.onnx [--detector scout] [--json]

`--lfw` is LFW's folder of people, `--pool` the folder of `celeba` and `utkface`. `--every N` takes every Nth picture
only, for a quick look; figures for the model card use all. What the landmarks do to the accuracy is told by
`twinface evaluate lfw --detector NAME`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track

from twinface.app.wiring import load_detector
from twinface.core.geometry import iou
from twinface.core.types import MIRRORED, Detection, Image
from twinface.datasets import lfw
from twinface.training.detection.pictures import held_out, pool_pictures
from twinface.training.detection.teacher import FOUR_VIEWS, label, open_teacher
from twinface.vision.detector import OnnxDetector
from twinface.vision.images import decode
from twinface.vision.session import SessionOptions

MATCH = 0.5
"""IoU from which two boxes mark one face."""


def main_face(detections: list[Detection], image: Image) -> Detection | None:
    """The detection nearest the middle of the picture, where LFW shows the person it names."""
    middle = np.array([image.shape[1], image.shape[0]]) / 2

    def away(one: Detection) -> float:
        left, top, right, bottom = one.box.corners
        return float(np.hypot((left + right) / 2 - middle[0], (top + bottom) / 2 - middle[1]))

    return min(detections, key=away, default=None)


def same_face(one: Detection, other: Detection) -> bool:
    return bool(iou(np.array([one.box.corners]), np.array([other.box.corners]))[0, 0] >= MATCH)


def landmark_error(one: np.ndarray, other: np.ndarray) -> float:
    """Mean distance of the five points in units of the second's eye distance."""
    return float(np.linalg.norm(one - other, axis=1).mean() / np.linalg.norm(other[0] - other[1]))


def shown(paths: Iterable[Path], words: str, console: Console) -> Iterator[Path]:
    yield from track(list(paths), description=words, console=console, transient=True)


def on_lfw(
    student: OnnxDetector, teacher: OnnxDetector, paths: list[Path], teacher_file: Path, console: Console
) -> dict[str, Any]:
    """Main faces found, and how far the landmarks are from the teacher's."""
    run = open_teacher(teacher_file)
    found, agreed, teacher_missed = 0, 0, 0
    errors, from_mean, teacher_from_mean, teacher_mirrored = [], [], [], []
    for place, path in enumerate(shown(paths, "LFW pictures", console)):
        image = decode(path).pixels
        own, wanted = main_face(student.detect(image), image), main_face(teacher.detect(image), image)
        if wanted is None:
            teacher_missed += 1
        middle = (image.shape[1] / 2, image.shape[0] / 2)
        if own is None:
            continue
        left, top, right, bottom = own.box.corners
        found += left <= middle[0] <= right and top <= middle[1] <= bottom
        if wanted is None or not same_face(own, wanted):
            continue
        agreed += 1
        assert own.landmarks is not None and wanted.landmarks is not None  # noqa: PT018
        errors.append(landmark_error(own.landmarks.points, wanted.landmarks.points))
        if place % 10 == 0:
            reflected = main_face(teacher.detect(np.ascontiguousarray(image[:, ::-1])), image)
            if reflected is not None and reflected.landmarks is not None:
                points = reflected.landmarks.points[list(MIRRORED)] * [-1, 1] + [image.shape[1], 0]
                teacher_mirrored.append(landmark_error(points, wanted.landmarks.points))
            for face in label(run, [image], FOUR_VIEWS):
                if landmark_error(wanted.landmarks.points, face.points) < 0.5:
                    from_mean.append(landmark_error(own.landmarks.points, face.points))
                    teacher_from_mean.append(landmark_error(wanted.landmarks.points, face.points))
    return {
        "pictures": len(paths),
        "main_face_found": found / len(paths),
        "main_face_agrees_with_teacher": agreed / max(1, len(paths) - teacher_missed),
        "teacher_found_none": teacher_missed,
        "landmarks_from_teacher_mean": float(np.mean(errors)),
        "landmarks_from_teacher_median": float(np.median(errors)),
        "landmarks_from_teachers_average_over_4_views": float(np.mean(from_mean)),
        "teacher_from_its_own_average_over_4_views": float(np.mean(teacher_from_mean)),
        "teacher_from_its_answer_to_the_mirror_image": float(np.mean(teacher_mirrored)),
        "faces_of_the_three_figures_above": len(from_mean),
    }


def on_pool(
    student: OnnxDetector, teacher: OnnxDetector, paths: list[Path], smallest: float, console: Console
) -> dict[str, Any]:
    """Recall of the teacher's confident faces and precision against its faces of at least even odds."""
    wanted, hit, drawn, right = 0, 0, 0, 0
    for path in shown(paths, "held-out photos", console):
        image = decode(path).pixels
        own, truth = student.detect(image), teacher.detect(image)
        sure = [one for one in truth if one.score >= 0.8 and min(one.box.width, one.box.height) >= smallest]
        large = [one for one in own if min(one.box.width, one.box.height) >= smallest]
        wanted += len(sure)
        hit += sum(any(same_face(one, other) for other in own) for one in sure)
        drawn += len(large)
        right += sum(any(same_face(one, other) for other in truth) for one in large)
    return {
        "photos": len(paths),
        "confident_faces": wanted,
        "recall": hit / max(1, wanted),
        "detections": drawn,
        "precision": right / max(1, drawn),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lfw", type=Path, required=True)
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--detector", default="scout")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    console = Console(stderr=True)
    threads = SessionOptions(threads=1)
    student = load_detector(options.detector, threads)
    teacher = load_detector(f"yunet:{options.teacher}", threads)
    every = options.every
    pictures = [path for paths in lfw.pictures(options.lfw).values() for path in paths]
    wild, tight = ([path for path in paths if held_out(path)] for paths in pool_pictures(options.pool))
    report = {
        "detector": options.detector,
        "lfw": on_lfw(student, teacher, pictures[::every], options.teacher, console),
        "held_out_photos": on_pool(student, teacher, wild[::every], 24.0, console),
        "held_out_tight_faces": on_pool(student, teacher, tight[::every], 24.0, console),
    }
    if options.json:
        print(json.dumps(report, indent=1))
        return
    for part, figures in report.items():
        print(part if isinstance(figures, dict) else f"{part}: {figures}")
        for name, value in figures.items() if isinstance(figures, dict) else ():
            print(f"  {name:48} {value if not isinstance(value, float) else round(value, 5)}")


if __name__ == "__main__":
    main()
