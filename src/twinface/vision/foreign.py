"""Detectors the user brings as ONNX files: how they are named, and the contract usual for their kind."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from twinface.core.contract import DetectorContract
from twinface.core.files import read_regular, shown
from twinface.errors import ModelNotFound


@dataclass(frozen=True)
class _Habits:
    """What detectors of a kind usually expect."""

    channels: Literal["RGB", "BGR"]
    mean: float
    scale: float
    confidence: float
    overlap: float


KINDS: Mapping[str, _Habits] = {
    "yunet": _Habits("BGR", 0.0, 1.0, confidence=0.6, overlap=0.3),
    "scrfd": _Habits("RGB", 127.5, 1 / 128, confidence=0.5, overlap=0.4),
    "yolo": _Habits("RGB", 0.0, 1 / 255, confidence=0.5, overlap=0.45),
}
"""Detectors the user can bring, and how their usual implementations (OpenCV, InsightFace, Ultralytics) run them."""


def parse_detector(text: str) -> tuple[str, Path]:
    """Reads `KIND:FILE`, for instance `yunet:face.onnx`.

    Raises:
        ModelNotFound: the kind is unknown or there is no such file.
    """
    kind, colon, name = text.partition(":")
    if not colon or kind not in KINDS or not name:
        known = ", ".join(f"{one}:FILE" for one in KINDS)
        raise ModelNotFound(f"{text}: no such detector; a detector of your own is written {known}")
    path = Path(name)
    if not path.is_file():
        raise ModelNotFound(f"{path}: {'not a file' if path.exists() else 'no such file'}; give the {kind} ONNX file")
    return kind, path


def user_contract(kind: str, path: Path) -> DetectorContract:
    """A contract for a detector the user brought, with the settings usual for its kind.

    Whether the network's outputs fit the kind shows when `OnnxDetector` opens it.

    Raises:
        ModelNotFound: the kind is unknown or the file cannot be read.
    """
    if kind not in KINDS:
        raise ModelNotFound(f"{kind}: no such kind of detector; known ones: {', '.join(KINDS)}")
    try:
        digest = hashlib.sha256(read_regular(path)).hexdigest()
    except OSError as error:
        raise ModelNotFound(f"{path}: cannot read the model ({error.strerror})") from error
    habits = KINDS[kind]
    return DetectorContract(
        name=f"{kind}:{shown(path.name)}",
        layout=kind,
        file=path.name,
        sha256=digest,
        channels=habits.channels,
        mean=habits.mean,
        scale=habits.scale,
        longest=640,
        confidence=habits.confidence,
        overlap=habits.overlap,
        licence="unknown (brought by the user)",
        source="brought by the user",
    )
