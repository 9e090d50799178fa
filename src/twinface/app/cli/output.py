"""What the commands say: one line for trouble, JSON for machines, fields shared by both."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import typer

from twinface.core.decision import Verdict
from twinface.core.files import shown
from twinface.core.types import Analysis, Face, Quality, Seconds
from twinface.errors import OutputError, TwinFaceError
from twinface.services.recognition import FaceChoice

if TYPE_CHECKING:
    from rich.console import Console

SAME, DIFFERENT, TROUBLE, INCONCLUSIVE = 0, 1, 2, 3
"""Exit statuses, as `cmp` has them, and one for doubt."""

STATUSES: Mapping[Verdict, int] = MappingProxyType({"same": SAME, "different": DIFFERENT, "inconclusive": INCONCLUSIVE})


def complain(message: str) -> None:
    """One line on stderr, whatever the message holds."""
    line = " ".join(message.split())
    typer.echo("twinface: " + (line if line.isprintable() else ascii(line)), err=True)


def printable(text: str) -> str:
    """Text from folders and tables, fit for a screen: what would move the cursor or colour it is shown as its code."""
    return text if text.isprintable() else ascii(text)[1:-1]


def console(stderr: bool = False) -> Console:
    """Where tables are printed."""
    from rich.console import Console

    return Console(highlight=False, stderr=stderr)


def write_json(value: Any) -> None:
    """One line of JSON on stdout, ASCII, as file names may hold anything; refuses NaN, which is no JSON."""
    typer.echo(json.dumps(value, allow_nan=False))


def face_json(face: Face) -> dict[str, Any]:
    """Box, landmarks, score and quality; pixels to a hundredth."""
    return {
        "box": [round(value, 2) for value in (face.box.x, face.box.y, face.box.width, face.box.height)],
        "landmarks": [[round(float(x), 2), round(float(y), 2)] for x, y in face.landmarks.points],
        "score": round(face.score, 4),
        "quality": quality_json(face.quality),
    }


def quality_json(quality: Quality) -> dict[str, Any]:
    """Every measure, and the reasons why the face is not fit, if any."""
    return {
        "usable": quality.usable,
        "reasons": list(quality.reasons),
        "eye_distance": round(quality.eye_distance, 1),
        "sharpness": round(quality.sharpness, 3),
        "brightness": round(quality.brightness, 1),
        "contrast": round(quality.contrast, 1),
        "yaw": round(quality.yaw, 1),
        "roll": round(quality.roll, 1),
    }


def seconds_json(seconds: Seconds) -> dict[str, float]:
    """Wall times to a tenth of a millisecond."""
    return {
        "decode": round(seconds.decode, 4),
        "detect": round(seconds.detect, 4),
        "encode": round(seconds.encode, 4),
        "total": round(seconds.total, 4),
    }


def analysis_json(analysis: Analysis) -> dict[str, Any]:
    """A picture with all its faces."""
    height, width = analysis.image.shape[:2]
    return {
        "path": analysis.name,
        "width": width,
        "height": height,
        "faces": [face_json(face) for face in analysis.faces],
        "notes": list(analysis.notes),
        "seconds": seconds_json(analysis.seconds),
    }


def refuse_overwriting(output: Path, inputs: Iterable[str | Path]) -> None:
    """Refuses to write an answer over a picture it is about.

    Raises:
        OutputError: it would.
    """
    if not output.exists():
        return
    for path in inputs:
        try:
            same = output.samefile(path)
        except (OSError, ValueError):
            continue  # what cannot be looked at is refused where it is read
        if same:
            raise OutputError(f"{shown(output)}: is one of the pictures read; save the answer elsewhere")


def parse_choices(text: str) -> tuple[FaceChoice, FaceChoice]:
    """Reads --face of a comparison: one choice for both pictures, or one for each with a comma between.

    Raises:
        TwinFaceError: there are more than two, or one is none.
    """
    words = text.split(",")
    if len(words) > 2:
        raise TwinFaceError(f"--face takes one choice, or two with a comma between, got {text!r}")
    return parse_choice(words[0].strip()), parse_choice(words[-1].strip())


def parse_choice(text: str) -> FaceChoice:
    """Reads --face.

    Raises:
        TwinFaceError: it is none of largest, all, only and a number from 1 up.
    """
    words: dict[str, FaceChoice] = {"largest": "largest", "all": "all", "only": "only"}
    if text in words:
        return words[text]
    if text.isdecimal() and len(text) < 10 and int(text) >= 1:
        return int(text)
    raise TwinFaceError(f"--face must be largest, all, only or a number from 1 up, got {text!r}")


def counted(count: int, one: str, several: str | None = None) -> str:
    """A number with its noun: 1 person, 2 people, 1,000 templates."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"
