"""The student detector: shapes, its loss, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from twinface.training.detection.network import (  # noqa: E402
    STRIDES,
    VALUES,
    DetectorNet,
    ExportedDetector,
    LossWeights,
    distillation_loss,
)


def teacher_maps(side: int = 64) -> list[torch.Tensor]:
    """One face in the middle cell of stride 16."""
    maps = [torch.zeros(2, VALUES, side // stride, side // stride) for stride in STRIDES]
    points = torch.tensor([-0.5, -0.5, 0.5, -0.5, 0.0, 0.0, -0.4, 0.5, 0.4, 0.5])
    maps[1][:, :, 2, 2] = torch.cat([torch.tensor([0.9, 0.0, 0.0, 0.7, 0.7]), points])
    return maps


def test_one_map_of_fifteen_values_per_stride() -> None:
    maps = DetectorNet()(torch.zeros(2, 3, 64, 96))
    assert [tuple(one.shape) for one in maps] == [(2, 15, 64 // stride, 96 // stride) for stride in STRIDES]


def test_the_network_is_small() -> None:
    assert 60_000 <= sum(weight.numel() for weight in DetectorNet().parameters()) <= 120_000


def test_exported_cells_run_row_by_row() -> None:
    network = DetectorNet().eval()
    images = torch.rand(1, 3, 64, 96) * 255
    maps, outputs = network(images), ExportedDetector(network)(images)
    score, box, landmarks = outputs[:3]
    assert score.shape == (1, 8 * 12, 1)
    assert box.shape == (1, 8 * 12, 4)
    assert landmarks.shape == (1, 8 * 12, 10)
    torch.testing.assert_close(landmarks[0, 12 * 3 + 5], maps[0][0, 5:, 3, 5])
    torch.testing.assert_close(score[0, 12 * 3 + 5, 0], torch.sigmoid(maps[0][0, 0, 3, 5]))


def test_the_loss_is_least_where_student_and_teacher_agree() -> None:
    teacher = teacher_maps()
    agreeing = [one.clone() for one in teacher]
    for one in agreeing:
        one[:, 0] = torch.logit(one[:, 0].clamp(1e-6, 1 - 1e-6))
    best, parts = distillation_loss(agreeing, teacher, LossWeights())
    assert parts["box"] == pytest.approx(0.0, abs=1e-6)
    assert parts["landmarks"] == pytest.approx(0.0, abs=1e-6)
    for channel in (0, 1, 3, 5, 14):
        off = [one.clone() for one in agreeing]
        off[1][:, channel, 2, 2] += 0.3
        worse, _ = distillation_loss(off, teacher, LossWeights())
        assert worse > best


def test_landmark_error_is_in_eye_distances() -> None:
    teacher = teacher_maps()
    student = [one.clone() for one in teacher]
    student[1][:, 5::2, 2, 2] += 0.25  # the eyes are one cell apart
    _, parts = distillation_loss(student, teacher, LossWeights())
    assert parts["landmarks"] == pytest.approx(0.25)


def test_cells_the_teacher_doubts_teach_no_landmarks() -> None:
    teacher = teacher_maps()
    teacher[1][:, 0, 2, 2] = 0.3
    student = [torch.randn_like(one) for one in teacher]
    _, parts = distillation_loss(student, teacher, LossWeights())
    assert parts["landmarks"] == 0.0


def test_a_few_steps_lower_the_loss() -> None:
    torch.manual_seed(0)
    network, teacher = DetectorNet(), teacher_maps()
    images = torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (2, 3, 64, 64)).astype(np.float32))
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3)
    losses = []
    for _ in range(20):
        loss, _ = distillation_loss(network(images), teacher, LossWeights())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
