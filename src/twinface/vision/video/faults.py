"""What FFmpeg's failures mean, in words that say what to do. Runs in the decoding process."""

from __future__ import annotations

import errno
import logging
from collections import deque

import av
from av import error as faults

from twinface.core.files import reason

CAMERA_BUSY = (errno.EBUSY, errno.EAGAIN)
GONE = (errno.ENODEV, errno.ENXIO, errno.ENOENT)
UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)

NO_VIDEO = (
    "not a video, damaged, cut short, or of a kind that cannot be read; get an intact copy, or save it as MP4 (H.264)"
)


class Log(logging.Handler):
    """Keeps the last lines FFmpeg wrote; nothing of them reaches stderr."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: deque[str] = deque(maxlen=20)

    @classmethod
    def kept(cls) -> Log:
        """One that is fed from now on."""
        log = cls()
        libav = logging.getLogger("libav")
        libav.propagate = False
        libav.addHandler(log)
        av.logging.set_level(av.logging.ERROR)
        return log

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps a line."""
        self.lines.append(record.getMessage())

    def says(self, *words: str) -> bool:
        """Whether a kept line contains one of these."""
        return any(word in one for one in self.lines for word in words)


def explained(error: Exception, kind: str, log: Log) -> str:
    """Why a source cannot be opened or read, and what to do.

    Args:
        error: of PyAV, or of the system.
        kind: of the source; see `video_places.Kind`.
        log: what FFmpeg wrote meanwhile.
    """
    if kind == "stream":
        return _of_stream(error, log)
    if isinstance(error, PermissionError):
        return "permission denied; make it readable for this user"
    if kind == "camera":
        return _of_camera(error)
    if isinstance(error, FileNotFoundError):
        return "no such file; check the path"
    if isinstance(error, OSError) and not isinstance(error, faults.InvalidDataError):
        return f"cannot be read ({_word(error)}); check the disk it is on, or get an intact copy"
    if log.says("moov atom not found"):
        return "not a video, or its end is missing, without which nothing of it can be read; get an intact copy"
    return NO_VIDEO


def _of_camera(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number in CAMERA_BUSY:
        return "used by another program; close that one"
    if number in GONE:
        return "there is no such camera any more; plug it in anew"
    return f"cannot be opened ({_word(error)}); plug it in anew, or close other programs that use it"


def _of_stream(error: Exception, log: Log) -> str:
    if isinstance(error, faults.HTTPUnauthorizedError | faults.HTTPForbiddenError):
        return "the user name or the password is missing or wrong; write them as rtsp://NAME:PASSWORD@HOST/..."
    if isinstance(error, faults.HTTPNotFoundError):
        return "the server knows no such stream; check what follows the host in the address"
    if isinstance(error, faults.HTTPError | faults.HTTPClientError):
        return f"the server refuses ({_word(error)}); check the address, or try later"
    if isinstance(error, ConnectionRefusedError):
        return "nothing answers there; check host and port, and that the camera or server is on"
    if log.says("Failed to resolve hostname"):
        return "no host of that name is known; check the address and the network"
    if log.says("failed verification", "does not match"):
        return "the server's certificate is not trusted; name its authority's by SSL_CERT_FILE, or do not verify it"
    if log.says("certificate", "TLS", "SSL", "handshake"):
        return "no encrypted connection comes about; check the address, or use http:// or rtsp:// in a trusted network"
    if isinstance(error, TimeoutError) or getattr(error, "errno", None) in UNREACHABLE:
        return "the host cannot be reached; check the address and the network"
    if isinstance(error, faults.InvalidDataError | faults.ArgumentError | faults.PatchWelcomeError):
        return "what comes from there is no video; check the address"
    return f"the connection fails ({_word(error)}); check the address and the network"


def _word(error: Exception) -> str:
    """What an error's number means: FFmpeg's own text contains the address."""
    return reason(error) if getattr(error, "strerror", None) else type(error).__name__
