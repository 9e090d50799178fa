"""How a video is read."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class VideoOptions:
    """How a source is read.

    Attributes:
        every: only each how many-th frame of a file or of pictures, counted from the first; live sources give their
            newest frame anyway.
        longest: pixels of the longer side of the frames handed over, which are never enlarged; None for all. What
            `VideoInfo` tells is the size handed over; the size before is a note.
        start: seconds; earlier frames of a file are left out.
        end: seconds; frames of a file from there on are left out; None for none.
        stall: seconds without a frame after which a source has stalled.
        reconnect: whether a live source that stalls or breaks off is opened again, until it is closed.
        pause: seconds between the first two attempts to open it again; the pause doubles each time.
        longest_pause: seconds it grows to. A stream that holds for as long begins with the first pause again.
        rate: pictures a second of a sequence.
        transport: by which RTSP sends: tcp, or udp, which loses pictures.
        verify: whether an encrypted stream's server must have a certificate that this system trusts, or that the file
            named by SSL_CERT_FILE does; otherwise anybody on the way may see the password.
    """

    every: int = 1
    longest: int | None = None
    start: float = 0.0
    end: float | None = None
    stall: float = 10.0
    reconnect: bool = True
    pause: float = 0.5
    longest_pause: float = 5.0
    rate: float = 25.0
    transport: str = "tcp"
    verify: bool = True

    def __post_init__(self) -> None:
        if self.every < 1 or (self.longest is not None and self.longest < 1):
            raise ValueError(f"video: every and longest must be positive, got {self.every} and {self.longest}")
        if not (math.isfinite(self.start) and self.start >= 0 and (self.end is None or self.end > self.start)):
            raise ValueError(f"video: start must not be negative, and end after it, got {self.start} and {self.end}")
        for name in ("stall", "pause", "longest_pause", "rate"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"video: {name} must be positive and finite, got {getattr(self, name)}")
        if self.longest_pause < self.pause:
            raise ValueError(f"video: longest_pause {self.longest_pause} is shorter than pause {self.pause}")
        if self.transport not in ("tcp", "udp"):
            raise ValueError(f"video: transport must be tcp or udp, got {self.transport!r}")
