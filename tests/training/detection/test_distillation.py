"""The loop that trains the detector, with a teacher that is plain to see through."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from twinface.training.detection.distillation import DistillationRecipe, SceneStream, distil  # noqa: E402
from twinface.training.detection.scenes import SceneOptions  # noqa: E402
from twinface.training.detection.teacher import STRIDES, faces_in, label, teacher_maps  # noqa: E402

FOUND = np.array([0.5, 0.5, 0.4, 0.4], np.float32)


def bright_teacher(batch: np.ndarray) -> dict[str, np.ndarray]:
    """Sees a face in every cell whose mean blue is above 200."""
    outputs = {}
    count, _, height, width = batch.shape
    for stride in STRIDES:
        cells = batch[:, 0].reshape(count, height // stride, stride, width // stride, stride).mean(axis=(2, 4))
        flat = (cells.reshape(count, -1, 1) > 200).astype(np.float32)
        outputs[f"cls_{stride}"] = outputs[f"obj_{stride}"] = flat
        outputs[f"bbox_{stride}"] = np.broadcast_to(FOUND, (*flat.shape[:2], 4)).copy()
        outputs[f"kps_{stride}"] = np.broadcast_to(np.linspace(0, 0.9, 10, dtype=np.float32), (*flat.shape[:2], 10))
    return outputs


def test_the_teachers_maps_have_the_students_layout() -> None:
    scene = np.zeros((1, 64, 96, 3), np.uint8)
    scene[0, 32:64, 64:96, 2] = 255  # blue is last in RGB
    maps = teacher_maps(bright_teacher, scene)
    assert [one.shape for one in maps] == [(1, 15, 64 // stride, 96 // stride) for stride in STRIDES]
    assert maps[2][0, 0].tolist() == [[0, 0, 0], [0, 0, 1]]
    np.testing.assert_allclose(maps[2][0, 1:5, 1, 2], FOUND)


def test_faces_are_decoded_into_pixels() -> None:
    scene = np.zeros((60, 96, 3), np.uint8)  # 60 is padded to 64
    scene[:, 64:, 2] = 255
    boxes, points = faces_in(bright_teacher, scene, 0.7, overlap=0.01)
    assert len(boxes) == len(points) > 0
    assert (boxes[:, 0] > 55).all()
    width = boxes[:, 2] - boxes[:, 0]
    assert {round(float(value), 3) for value in width} <= {round(stride * float(np.exp(0.4)), 3) for stride in STRIDES}


def test_labels_are_averaged_over_picture_and_mirror_image() -> None:
    scene = np.zeros((64, 64, 3), np.uint8)
    scene[16:48, 16:48, 2] = 255
    views = [(1.0, False), (1.0, True)]
    faces = label(bright_teacher, [scene], views, smallest=0.0)
    assert faces
    for face in faces:
        boxes, _ = faces_in(bright_teacher, scene, 0.7)
        centres = (boxes[:, 0] + boxes[:, 2]) / 2
        left, right = face.points[0, 0], face.points[1, 0]
        # the toy teacher's own points lean to the left of its boxes; their average over mirrored views does not
        assert np.abs((left + right) / 2 - centres).min() == pytest.approx(0, abs=1e-4)


def test_training_writes_weights_a_log_and_can_be_resumed(tmp_path: Path) -> None:
    photo = np.zeros((64, 64, 3), np.uint8)
    photo[16:48, 16:48] = 255
    recipe = DistillationRecipe(batch=2, steps=3, warmup=1, average=0.5, scene=SceneOptions(side=32))
    stream = SceneStream([[photo]], [1.0], lambda: bright_teacher, recipe)

    network = distil(stream, recipe, tmp_path, workers=0, report=lambda _: None)

    saved = load_file(tmp_path / "student.safetensors")
    assert all(torch.equal(value, saved[name]) for name, value in network.state_dict().items())
    assert json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])["step"] == 3
    longer = DistillationRecipe(batch=2, steps=5, warmup=1, average=0.5, scene=SceneOptions(side=32))
    distil(stream, longer, tmp_path, workers=0, resume=True, report=lambda _: None)
    assert json.loads((tmp_path / "state.json").read_text()) == {"step": 5}
    again = load_file(tmp_path / "student.safetensors")
    assert any(not torch.equal(value, again[name]) for name, value in saved.items())
