"""What the process that asks for frames and the one that decodes them say to each other: lines of JSON.

Lines, not pickles: what decodes a stranger's video may be made to say anything, and must not be believed blindly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

MOST_PIXELS = 120_000_000
"""Pixels of a frame that are refused above; as for pictures, see `vision.sources.DecodeLimits`."""


class Refusal(Exception):
    """The source cannot be read, or no further. Its text says why and what to do, without the source's name."""


@dataclass(frozen=True)
class Request:
    """What is to be decoded, and how.

    Attributes:
        kind: see `video_places.Kind`.
        targets: see `video_places.Place`; an address is here with its password, so this goes through a pipe only.
        hidden: what no text may contain.
        every: of a file or pictures, each how many-th frame is wanted.
        longest: pixels of the longer side; None for all.
        start: seconds; earlier frames of a file are left out.
        end: seconds; frames of a file from there on are left out; None for none.
        rate: pictures a second of a sequence.
        transport: by which RTSP sends.
        verify: whether the certificate of a server must be trusted.
    """

    kind: str
    targets: tuple[str, ...] = field(repr=False)
    hidden: tuple[str, ...] = field(default=(), repr=False)
    every: int = 1
    longest: int | None = None
    start: float = 0.0
    end: float | None = None
    rate: float = 25.0
    transport: str = "tcp"
    verify: bool = True

    def message(self) -> dict[str, Any]:
        """For `line`."""
        return asdict(self)

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> Request:
        """What `message` gave."""
        lists = {name: tuple(message[name]) for name in ("targets", "hidden")}
        return cls(**{**message, **lists})


@dataclass(frozen=True)
class Shape:
    """What the decoding process found the video to be.

    Attributes:
        live: whether frames come when they come.
        width: pixels of the first frame as it is handed over.
        height: pixels.
        duration: seconds, if known.
        rate: frames a second on average, if known.
    """

    live: bool
    width: int
    height: int
    duration: float | None
    rate: float | None

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 1:
            raise ValueError(f"shape: {self.width} x {self.height} pixels")


@dataclass(frozen=True)
class Placed:
    """Where in the ring a frame lies.

    Attributes:
        ring: number of the ring, counted from 1; a larger one follows a smaller one.
        slot: in it.
        height: pixels.
        width: pixels.
        time: seconds from the start of a file; of a live source 0.
        number: counted from 0, also those left out.
        arrived: `time.monotonic()`, a clock that all processes share.
    """

    ring: int
    slot: int
    height: int
    width: int
    time: float
    number: int
    arrived: float


def line(name: str, *values: object) -> bytes:
    """A message of one line."""
    return json.dumps([name, *values]).encode() + b"\n"


def parsed(content: bytes) -> tuple[str, Sequence[Any]]:
    """A message's name and its values.

    Raises:
        ValueError: it is none.
    """
    message = json.loads(content)
    if not isinstance(message, list) or not message or not isinstance(message[0], str):
        raise ValueError("message: not a list that begins with a name")
    return message[0], cast(Sequence[Any], message[1:])
