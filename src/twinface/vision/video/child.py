"""The process that decodes: reads a source, writes its frames into shared memory and says so.

It imports NumPy and PyAV only, and Pillow for pictures, so that it is there at once. A decoder that hangs or crashes
takes this process with it and no other.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import BinaryIO, NoReturn

from twinface.vision.video.names import scrubbed
from twinface.vision.video.ring import Slots
from twinface.vision.video.wire import Placed, Refusal, Request, Shape, line, parsed

SIGN = 0.25
"""Seconds between signs of life, and between news of what is noted."""

FAREWELL = 0.3
"""Seconds a source has to be closed properly, as a camera's server wants it."""

HEIR = 1.0
"""Seconds between looks whether the parent is still there."""


class Link:
    """The decoding process's end of the pipes to its parent.

    Args:
        commands: what the parent says.
        answers: what is said to it.
    """

    def __init__(self, commands: BinaryIO, answers: BinaryIO) -> None:
        self._commands = commands
        self._answers = answers
        self._changed = threading.Condition()
        self._slots: Slots | None = None
        self._rings = 0
        self._signed = time.monotonic()
        self._notes: dict[str, int] = {}
        self._unsaid: set[str] = set()
        self.closed = False
        _, (message,) = parsed(commands.readline())
        self.request = Request.from_message(message)

    def listen(self) -> None:
        """Hears the parent, in a thread of its own; ends the process when the parent has nothing more to say."""
        for message in self._commands:
            name, values = parsed(message)
            with self._changed:
                if name == "free" and self._slots is not None and values[0] == self._rings:
                    self._slots.give(values[1])
                elif name == "ring":
                    self._rings = values[0]
                    self._slots = Slots(*values[1:])
                self._changed.notify_all()
        with self._changed:
            self.closed = True
            if self._slots is not None:
                self._slots.close()
            self._changed.notify_all()
        time.sleep(FAREWELL)
        os._exit(0)

    def say(self, name: str, *values: object) -> None:
        """Tells the parent."""
        self._answers.write(line(name, *values))
        self._answers.flush()

    def alive(self) -> None:
        """See `video_reading.Report`."""
        if time.monotonic() - self._signed > SIGN:
            self.say_notes()
            self.say("alive")
            self._signed = time.monotonic()

    def note(self, text: str, more: int = 0) -> None:
        """See `video_reading.Report`."""
        if more or text not in self._notes:
            self._notes[text] = self._notes.get(text, 0) + more
            self._unsaid.add(text)

    def say_notes(self) -> None:
        """Tells what was noted and not told yet."""
        for text in sorted(self._unsaid):
            self.say("note", text, self._notes[text])
        self._unsaid.clear()

    def slots(self, frame_bytes: int) -> Slots | None:
        """The ring, of slots large enough; None when the parent has closed the source."""
        with self._changed:
            if self._slots is not None and self._slots.frame_bytes >= frame_bytes:
                return self._slots
            if self._slots is not None:
                self._slots.close()
                self._slots = None
            self.say("ring", frame_bytes)
            while self._slots is None and not self.closed:
                self._changed.wait()
            self.say("attached")
            return self._slots

    def hand_over(self, slot: int, height: int, width: int, when: tuple[float, int, float]) -> None:
        """Says that a slot holds a frame."""
        placed = Placed(self._rings, slot, height, width, *when)
        self.say("frame", *vars(placed).values())
        self._signed = time.monotonic()
        if self._unsaid:
            self.say_notes()


def decode(link: Link) -> None:
    """Hands over the frames of what the parent asks for; when the parent closes the source, the process ends.

    Raises:
        Refusal: it cannot be read, or no further.
    """
    import av

    from twinface.vision.video.faults import NO_VIDEO, Log
    from twinface.vision.video.opening import frames_of, reader_of
    from twinface.vision.video.pixels import Painter, TooLarge

    link.say("ready")
    request, log = link.request, Log.kept()
    reader = reader_of(request, link, log)
    painter = Painter(request.longest)
    told = False
    for shot in frames_of(reader, request, link, log):
        try:
            size = painter.size(shot.frame, shot.square)
        except TooLarge as large:
            raise Refusal(
                f"frames of {large.width} x {large.height}, more pixels than are read; make the video smaller"
            ) from None
        turn = painter.turn(shot.frame, reader.tagged)
        width, height = size[::-1] if turn.transposed else size
        if not told:
            told = True
            if request.longest and max(shot.frame.width, shot.frame.height) > request.longest:
                link.note(f"scaled from {shot.frame.width} x {shot.frame.height}")
            link.say_notes()
            link.say("shape", *vars(Shape(reader.live, width, height, reader.duration, reader.rate)).values())
        slots = link.slots(height * width * 3)
        slot = None if slots is None else slots.take(wait=not reader.live)
        if link.closed or slots is None:
            if reader.live:  # as a camera's server wants it
                reader.close()
            os._exit(0)  # freeing the codec may wait for FFmpeg's threads while they wait for Python's lock
        if slot is None:  # of a live source a newer frame will come
            continue
        try:
            painter.paint(shot.frame, size, turn, slots.image(slot, height, width))
        except av.error.FFmpegError as error:
            raise Refusal(f"its pixels ({shot.frame.format.name}) cannot be read; save it as MP4 (H.264)") from error
        link.hand_over(slot, height, width, (shot.time, shot.number, shot.arrived))
    if not told:
        pictures = request.kind == "pictures"
        nothing = "none of the pictures can be read; get intact copies" if pictures else NO_VIDEO
        raise Refusal(_too_late(request, reader.duration) or nothing)


def _too_late(request: Request, duration: float | None) -> str | None:
    """Why no frame came, if the request was the reason."""
    if request.start <= 0:
        return None
    if duration is None or request.start >= duration:
        lasts = "" if duration is None else f" (it lasts {duration:.2f} s)"
        return f"no frame of it comes {request.start:g} s after its start{lasts}; choose an earlier start"
    return f"no frame of it from {request.start:g} s on can be decoded; get an intact copy, or choose an earlier start"


def main() -> NoReturn:
    """Decodes, says how it ended and leaves at once, whatever FFmpeg's threads are doing."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whoever prints does not disturb the answers
    link = Link(sys.stdin.buffer, answers)
    threading.Thread(target=link.listen, daemon=True).start()
    if hasattr(os, "getppid") and sys.platform != "win32":
        threading.Thread(target=_outlive, args=(os.getppid(),), daemon=True).start()
    try:
        try:
            decode(link)
            how: tuple[str, ...] = ("end",)
        except ImportError as error:
            how = ("refused", f"PyAV cannot be loaded ({error}); install it anew: pip install --force-reinstall av")
        except Refusal as refusal:
            how = ("refused", str(refusal))
        except Exception as error:  # noqa: BLE001 - the process edge
            how = ("broken", f"{type(error).__name__}: {error}")
        link.say_notes()
        link.say(how[0], *(scrubbed(" ".join(text.split()), link.request.hidden) for text in how[1:]))
    except OSError:  # the parent has gone
        pass
    os._exit(0)


def _outlive(parent: int) -> None:
    """Ends the process when its parent has ended, even if somebody else holds the pipe open."""
    while os.getppid() == parent:
        time.sleep(HEIR)
    os._exit(0)
