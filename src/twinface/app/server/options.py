"""What a server is started with."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from twinface.errors import TwinFaceError

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
"""Names by which a server on this machine alone is reached."""


@dataclass(frozen=True)
class ServerOptions:
    """How a server is reached, what it serves, and where its limits are.

    Attributes:
        gallery: the gallery's file.
        folder: where the server keeps its keys, jobs and uploads.
        host: address to listen on; any other than this machine's own demands keys.
        port: likewise; 0 for one that is free.
        policy: access policy; None for no access control.
        source: camera, stream or file of the access point and the live view; None for the browser's alone.
        public_hosts: names it is reached by through a reverse proxy, whose word on client addresses is then taken.
        gallery_key: file that opens an encrypted gallery.
        passphrase: likewise.
        model: encoder of a gallery that is made.
        detector: as `load` takes it; also the two that follow.
        providers: ONNX Runtime execution providers.
        threads: threads within a network; 0 lets ONNX Runtime choose.
        workers: pictures worked on at once.
        queue: calls that may wait for a worker.
        patience: seconds until a call is answered or given up.
        rate: calls a second that one key may make on average.
        burst: calls it may make at once.
        max_bytes: of an upload.
        max_video_bytes: of a video.
        max_pixels: of a picture, before it is decoded.

    Raises:
        TwinFaceError: a number makes no sense.
    """

    gallery: Path
    folder: Path
    host: str = "127.0.0.1"
    port: int = 8080
    policy: Path | None = None
    source: str | None = None
    public_hosts: tuple[str, ...] = ()
    gallery_key: Path | None = None
    passphrase: str | None = None
    model: str | None = None
    detector: str | None = None
    providers: tuple[str, ...] | None = None
    threads: int | None = None
    workers: int = 2
    queue: int = 64
    patience: float = 60.0
    rate: float = 50.0
    burst: int = 100
    max_bytes: int = 10 * 2**20
    max_video_bytes: int = 2 * 2**30
    max_pixels: int = 50_000_000

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise TwinFaceError(f"port must be a number from 0 to 65535, got {self.port}")
        if min(self.workers, self.queue, self.burst, self.max_bytes, self.max_video_bytes, self.max_pixels) < 1:
            raise TwinFaceError(f"workers, queue, burst and limits of size must be positive, got {self}")
        if not (self.patience > 0 and self.rate > 0):
            raise TwinFaceError(f"patience and rate must be positive, got {self.patience} and {self.rate}")

    def __repr__(self) -> str:
        """Says nothing about what opens the gallery."""
        return f"ServerOptions(host={self.host!r}, port={self.port}, workers={self.workers}, queue={self.queue})"

    @property
    def loopback(self) -> bool:
        """Whether only this machine's own programs reach it."""
        return is_loopback(self.host)

    @property
    def proxied(self) -> bool:
        """Whether a reverse proxy stands before it."""
        return bool(self.public_hosts)

    @property
    def address(self) -> str:
        """Where it is reached, for people."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"


def is_loopback(host: str) -> bool:
    """Whether an address or name means this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
