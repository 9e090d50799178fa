"""Networks the user brings as ONNX files: how they are named, and the contract usual for their kind."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from twinface.core.contract import DetectorContract, EncoderContract, Points
from twinface.core.files import read_regular, reason, shown
from twinface.errors import ContractMismatch, ModelNotFound


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


@dataclass(frozen=True)
class _Crop:
    """What encoders of a kind usually expect."""

    size: int
    points: Points
    channels: Literal["RGB", "BGR"]
    mean: float
    scale: float


ENCODERS: Mapping[str, _Crop] = {
    "arcface": _Crop(
        112,
        ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)),
        "RGB",
        127.5,
        1 / 127.5,
    ),
}
"""Encoders the user can bring, and how their usual implementation (InsightFace) runs them. Networks that normalise
pixels themselves, or take another crop, need a contract of their own."""

WHOSE = "brought by the user"


class Network(Protocol):
    """What must be known of a network to write its contract; `vision.session.Session` is one."""

    input_shape: tuple[Any, ...]
    output_shapes: tuple[tuple[Any, ...], ...]

    def run(self, batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Runs it."""
        ...


def parse_detector(text: str) -> tuple[str, Path]:
    """Reads `KIND:FILE`, for instance `yunet:face.onnx`.

    Raises:
        ModelNotFound: the kind is unknown or there is no such file.
    """
    return _parse(text, "detector", KINDS)


def parse_encoder(text: str) -> tuple[str, Path]:
    """Reads `KIND:FILE`, for instance `arcface:w600k.onnx`.

    Raises:
        ModelNotFound: the kind is unknown or there is no such file.
    """
    return _parse(text, "encoder", ENCODERS)


def _parse(text: str, role: str, kinds: Mapping[str, object]) -> tuple[str, Path]:
    kind, colon, name = text.partition(":")
    if not colon or kind not in kinds or not name:
        known = ", ".join(f"{one}:FILE" for one in kinds)
        article = "an" if role == "encoder" else "a"
        raise ModelNotFound(f"{shown(text)}: no such {role}; {article} {role} of your own is written {known}")
    path = Path(name)
    if not path.is_file():
        fault = "not a file" if path.exists() else "no such file"
        raise ModelNotFound(f"{shown(path)}: {fault}; give the {kind} ONNX file")
    return kind, path


def user_contract(kind: str, path: Path) -> DetectorContract:
    """A contract for a detector the user brought, with the settings usual for its kind.

    Whether the network's outputs fit the kind shows when `OnnxDetector` opens it.

    Raises:
        ModelNotFound: the kind is unknown or the file cannot be read.
    """
    if kind not in KINDS:
        raise ModelNotFound(f"{kind}: no such kind of detector; known ones: {', '.join(KINDS)}")
    habits = KINDS[kind]
    return DetectorContract(
        name=f"{kind}:{shown(path.name)}",
        layout=kind,
        file=path.name,
        sha256=_digest(path),
        channels=habits.channels,
        mean=habits.mean,
        scale=habits.scale,
        longest=640,
        confidence=habits.confidence,
        overlap=habits.overlap,
        licence=f"unknown ({WHOSE})",
        source=WHOSE,
    )


def user_encoder(kind: str, path: Path, network: Network) -> EncoderContract:
    """A contract for an encoder the user brought: the crop usual for its kind, the dimension its network yields.

    Args:
        kind: as in `ENCODERS`.
        path: the ONNX file.
        network: opened from it; run once on a black crop if it does not state its dimension.

    Raises:
        ModelNotFound: the kind is unknown or the file cannot be read.
        ContractMismatch: the network takes another crop, or yields anything but one template a crop.
    """
    if kind not in ENCODERS:
        raise ModelNotFound(f"{kind}: no such kind of encoder; known ones: {', '.join(ENCODERS)}")
    habits, name = ENCODERS[kind], f"{kind}:{shown(path.name)}"
    wanted = (3, habits.size, habits.size)
    taken = network.input_shape
    if len(taken) != 4 or any(isinstance(one, int) and one != two for one, two in zip(taken[1:], wanted, strict=True)):
        raise ContractMismatch(
            f"{name}: the network takes {taken}, {kind} networks take {('N', *wanted)}; "
            "describe yours by a contract (.json) and name that instead"
        )
    shapes = network.output_shapes
    if len(shapes) == 1 and len(shapes[0]) == 2 and not isinstance(shapes[0][1], int):
        shapes = tuple(output.shape for output in network.run(np.zeros((1, *wanted), np.float32)).values())
    if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][1] < 1:
        raise ContractMismatch(
            f"{name}: the network yields {', '.join(map(str, shapes)) or 'nothing'} where one template a crop, "
            "shape ('N', D), was expected; is it an encoder?"
        )
    return EncoderContract(
        name=name,
        file=path.name,
        sha256=_digest(path),
        size=habits.size,
        channels=habits.channels,
        mean=(habits.mean,) * 3,
        scale=habits.scale,
        points=habits.points,
        dimension=int(shapes[0][1]),
        mirror=False,
        licence=f"unknown ({WHOSE})",
        source=WHOSE,
    )


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(read_regular(path)).hexdigest()
    except (OSError, ValueError) as error:
        raise ModelNotFound(f"{shown(path)}: cannot read the model ({reason(error)})") from error
