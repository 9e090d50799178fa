"""The simulator of `benchmarks/`, which tests share with the measurement, and a portrait to feed it."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from twinface.services.recognition import Recognizer

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))

from liveness_attacks import Stage
from liveness_faces import HEIGHT, WIDTH, Portrait


@pytest.fixture(scope="session")
def portrait(recognizer: Recognizer, examples: Path) -> Portrait:
    """Eileen Collins, as large as LFW's faces are."""
    analysis = recognizer.analyzer.locate(examples / "collins.jpg")
    points = analysis.faces[0].landmarks.points.astype(np.float64)
    scale = 42 / Portrait(analysis.image, points).width
    small = cv2.resize(analysis.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return Portrait(np.asarray(small, np.uint8), points * scale)


@pytest.fixture
def stage(portrait: Portrait) -> Stage:
    wall = np.tile(np.linspace(70, 150, WIDTH), (HEIGHT, 1))
    return Stage(portrait, np.dstack([wall] * 3).astype(np.uint8), np.random.default_rng(7))
