"""What several routes ask in their query."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from twinface.app.cli.output import parse_choice, parse_choices
from twinface.app.server.problems import Problem, told
from twinface.errors import TwinFaceError
from twinface.services.recognition import FaceChoice

AnyQuality = Annotated[bool, Query(description="Take blurred, profile or tiny faces too.")]


def parsed_choice(text: str) -> FaceChoice:
    """Which faces of a picture count.

    Raises:
        Problem: 422, it is no choice.
    """
    try:
        return parse_choice(text)
    except TwinFaceError as error:
        raise Problem(422, told(str(error)), "invalid") from error


def parsed_choices(text: str) -> tuple[FaceChoice, FaceChoice]:
    """Which faces of two pictures count.

    Raises:
        Problem: 422, it is no choice.
    """
    try:
        return parse_choices(text)
    except TwinFaceError as error:
        raise Problem(422, told(str(error)), "invalid") from error
