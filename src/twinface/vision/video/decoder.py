"""A process that decodes one source, seen from the process that wants the frames."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any, cast

from twinface.core.files import reason
from twinface.core.types import Image
from twinface.vision.video.ring import Ring
from twinface.vision.video.wire import MOST_PIXELS, Placed, Request, Shape, line, parsed

STARTING = 30.0
"""Seconds a process may take to start and load PyAV, on a machine that has a lot to do."""

GRACE = 2.0
"""Seconds a process has to end when it is told to."""

_BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.stdin.buffer.readline()); "
    "from twinface.vision.video.child import main; main()"
)


class Stalled(Exception):
    """Nothing came for too long."""


class Broken(Exception):
    """The source cannot be read, or no further; the text says why and what to do.

    Attributes:
        crashed: whether the process broke down, rather than that it refused.
    """

    def __init__(self, text: str, *, crashed: bool) -> None:
        super().__init__(text)
        self.crashed = crashed


class Decoder:
    """Decodes one source once. Frames are asked for by one thread at a time; anybody may close.

    The process is a Python of its own, started anew like one of `multiprocessing`'s "spawn" method, but without
    importing what the caller runs as its main program: that would take longer than PyAV itself, and run scripts twice
    that do not guard against it.

    Args:
        request: what is to be decoded.
        said: what to call it.

    Raises:
        Broken: no process can be started.
    """

    def __init__(self, request: Request, said: str) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Placed, Image | None]] = deque()
        self._notes: dict[str, int] = {}
        self._ready = False
        self._shape: Shape | None = None
        self._ended = False
        self._broken: Broken | None = None
        self._ring: Ring | None = None
        self._rings = 0
        self._closed = False
        self._heard = time.monotonic()
        windows = sys.platform == "win32"
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _BOOT],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # in a session of its own, Ctrl-C ends the caller, and by that the process, in order
                start_new_session=not windows,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0) if windows else 0,
            )
        except OSError as error:
            raise Broken(
                f"no process can be started to decode it ({reason(error)}); end others", crashed=False
            ) from None
        self._commands = cast(IO[bytes], self._process.stdin)
        paths = json.dumps(sys.path).encode() + b"\n"
        self._send(paths + line("request", request.message()))
        self._thread = threading.Thread(target=self._hear, name=f"twinface reads {said}", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def notes(self) -> dict[str, int]:
        """What the process noted, each with how often, 0 where that says nothing."""
        with self._changed:
            return dict(self._notes)

    def shape(self, patience: float) -> Shape:
        """What the video is; waits for its first frame.

        Args:
            patience: seconds for the source to answer, once the process is there.

        Raises:
            Stalled: nothing came.
            Broken: it cannot be read.
        """
        with self._changed:
            self._await(lambda: bool(self._waiting), patience)
            if self._shape is None or not self._waiting:
                raise self._broken or Broken("closed while it was opened", crashed=False)
            return self._shape

    def next(self, patience: float) -> tuple[Placed, Image] | None:
        """The frame that is next, of a live source the newest; None after the last and when closed.

        Args:
            patience: seconds.

        Raises:
            Stalled: nothing came.
            Broken: no further frame can be read.
        """
        with self._changed:
            self._await(lambda: bool(self._waiting), patience)
            if self._closed:
                return None
            if self._waiting:
                placed, image = self._waiting.popleft()
                return placed, self._taken(placed) if image is None else image
            if self._broken is not None:
                raise self._broken
            return None

    def close(self, grace: float = GRACE) -> None:
        """Ends the process, by force after so many seconds, and lets go of all it held. May be called again."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
        with suppress(OSError):
            self._commands.close()  # which tells it to end
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
        if threading.current_thread() is not self._thread:
            self._thread.join(GRACE)

    def _await(self, arrived: Any, patience: float) -> None:
        """Waits until something arrived or all is over; the caller holds the condition."""
        begun = time.monotonic()
        while not (arrived() or self._ended or self._closed):
            limit = max(begun, self._heard) + (patience if self._ready else STARTING)
            left = limit - time.monotonic()
            if left <= 0:
                raise Stalled
            self._changed.wait(left)

    def _hear(self) -> None:
        """Takes in what the process says, in a thread of its own, until it ends."""
        answers = cast(IO[bytes], self._process.stdout)
        broken: Broken | None = None
        try:
            with answers:
                for content in answers:
                    with self._changed:
                        self._take(*parsed(content))
                        self._changed.notify_all()
        except (OSError, MemoryError) as error:
            text = f"there is not enough shared memory ({reason(error)}); free some, or have frames scaled smaller"
            broken = Broken(text, crashed=False)
        except (ValueError, TypeError, KeyError, IndexError):  # what no process of ours would say
            broken = Broken("the decoder said what makes no sense; get an intact copy", crashed=True)
        if broken is not None:
            self._process.kill()
        status = self._process.wait()
        with self._changed:
            over = self._ended
            self._ended = True
            self._broken = self._broken or broken
            if self._broken is None and not over:
                how = f"signal {-status}" if status < 0 else f"status {status}"
                self._broken = Broken(f"the decoder broke down ({how})", crashed=True)
            self._own_waiting()
            self._changed.notify_all()
        with suppress(OSError):
            self._commands.close()

    def _take(self, name: str, values: Sequence[Any]) -> None:
        """Takes in one message; the caller holds the condition."""
        if name == "frame":
            self._place(Placed(*values))
        elif name == "note":
            self._notes[str(values[0])] = int(values[1])
        elif name == "ring":
            self._grow(int(values[0]))
        elif name == "attached" and self._ring is not None:
            self._ring.unlink()
        elif name == "ready":
            self._ready = True
        elif name == "shape":
            self._shape = Shape(*values)
        elif name == "end":
            self._ended = True
        elif name in ("refused", "broken"):
            self._ended = True
            self._broken = Broken(str(values[0]), crashed=name == "broken")
        if name != "note":
            self._heard = time.monotonic()

    def _place(self, placed: Placed) -> None:
        if self._ring is None or placed.ring != self._rings:
            raise ValueError(f"frame in ring {placed.ring} of {self._rings}")
        if not self._ring.holds(placed.slot, placed.height, placed.width):
            raise ValueError(f"frame of {placed.width} x {placed.height} in slot {placed.slot}")
        if self._shape is not None and self._shape.live:
            while self._waiting:  # nobody will see these
                old, image = self._waiting.popleft()
                if image is None:
                    self._free(old)
        if self._closed:
            self._free(placed)
        else:
            self._waiting.append((placed, None))

    def _grow(self, frame_bytes: int) -> None:
        """Makes a ring of larger slots."""
        if not 0 < frame_bytes <= 3 * MOST_PIXELS:
            raise ValueError(f"ring of {frame_bytes} bytes a frame")
        self._own_waiting()
        self._rings += 1
        self._ring = Ring(frame_bytes)
        self._send(line("ring", self._rings, self._ring.name, frame_bytes, self._ring.slots))

    def _own_waiting(self) -> None:
        """Copies the frames that wait out of the ring and lets go of it."""
        self._waiting = deque(
            (placed, self._copied(placed) if image is None else image) for placed, image in self._waiting
        )
        if self._ring is not None:
            self._ring.close()
            self._ring = None

    def _taken(self, placed: Placed) -> Image:
        image = self._copied(placed)
        self._free(placed)
        return image

    def _copied(self, placed: Placed) -> Image:
        assert self._ring is not None, "frames that wait are copied before their ring goes"
        return self._ring.copy(placed.slot, placed.height, placed.width)

    def _free(self, placed: Placed) -> None:
        self._send(line("free", placed.ring, placed.slot))

    def _send(self, content: bytes) -> None:
        with suppress(OSError, ValueError):  # it has gone, as its end of the other pipe will tell
            self._commands.write(content)
            self._commands.flush()
