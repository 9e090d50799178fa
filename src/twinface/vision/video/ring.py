"""A ring of frames in shared memory: one process writes them, another copies them out."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Sized
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np

from twinface.core.types import Image

SLOTS = 4
"""Frames in a ring: one is written, one waits, one is copied out, one is to spare."""

FEW_SLOTS = 2
"""Frames in a ring of large ones."""

LARGE = 32 * 2**20
"""Bytes of a frame from which on a ring has few of them."""

_SHARED = Path("/dev/shm")  # noqa: S108 - where Linux keeps shared memory


class Ring:
    """The side that makes the memory and copies frames out of it.

    The memory has a name only until the other side holds it, after `unlink`; from then on it goes when both processes
    have let it go, however they end.

    Args:
        frame_bytes: of the largest frame, positive.

    Raises:
        OSError: there is not enough shared memory.
    """

    def __init__(self, frame_bytes: int) -> None:
        self.frame_bytes = frame_bytes
        self._named = True
        try:
            self.slots = FEW_SLOTS if frame_bytes > LARGE else SLOTS
            self._memory = _reserved(self.slots * frame_bytes)
        except OSError:
            if self.slots == FEW_SLOTS:
                raise
            self.slots = FEW_SLOTS
            self._memory = _reserved(self.slots * frame_bytes)

    @property
    def name(self) -> str:
        """By which the other side finds the memory."""
        return self._memory.name

    def holds(self, slot: int, height: int, width: int) -> bool:
        """Whether there is such a slot, and room in it for a frame of that size."""
        return 0 <= slot < self.slots and min(height, width) > 0 and height * width * 3 <= self.frame_bytes

    def copy(self, slot: int, height: int, width: int) -> Image:
        """The frame in a slot, shape (height, width, 3), as memory of its own, read-only."""
        image = _view(self._memory, slot * self.frame_bytes, height, width).copy()
        image.setflags(write=False)
        return image

    def unlink(self) -> None:
        """Takes the name away; whoever holds the memory keeps it. May be called again."""
        if self._named:
            self._named = False
            with suppress(FileNotFoundError):
                self._memory.unlink()

    def close(self) -> None:
        """Lets go of the memory, and of its name."""
        self.unlink()
        self._memory.close()


class Slots:
    """The side that writes frames.

    Args:
        name: of the memory.
        frame_bytes: size of a slot.
        slots: their number.
    """

    def __init__(self, name: str, frame_bytes: int, slots: int) -> None:
        self.frame_bytes = frame_bytes
        self._memory = _attached(name)
        self._free = deque(range(slots))
        self._changed = threading.Condition()
        self._closed = False

    def take(self, *, wait: bool) -> int | None:
        """A slot that may be written; None where none is free and that is not waited for, or the ring is closed."""
        with self._changed:
            while wait and not self._free and not self._closed:
                self._changed.wait()
            return self._free.popleft() if self._free and not self._closed else None

    def give(self, slot: int) -> None:
        """Says that a slot may be written again."""
        with self._changed:
            self._free.append(slot)
            self._changed.notify()

    def image(self, slot: int, height: int, width: int) -> Image:
        """A slot's memory as a picture (height, width, 3) to be written; not to be kept."""
        return _view(self._memory, slot * self.frame_bytes, height, width)

    def close(self) -> None:
        """Ends all waiting and lets go of the memory."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        with suppress(BufferError):  # somebody still writes; the process's end lets go of it
            self._memory.close()


def _view(memory: SharedMemory, offset: int, height: int, width: int) -> Image:
    assert memory.buf is not None, "the memory is let go"
    return np.frombuffer(memory.buf, np.uint8, height * width * 3, offset).reshape(height, width, 3)


def _reserved(size: int) -> SharedMemory:
    """New memory that is really there: of a full /dev/shm one learns here, not by a signal when writing."""
    memory = SharedMemory(create=True, size=size)
    file = _SHARED / memory.name
    if sys.platform.startswith("linux") and file.exists():
        try:
            handle = os.open(file, os.O_RDWR)
            try:
                os.posix_fallocate(handle, 0, size)
            finally:
                os.close(handle)
        except OSError:
            memory.close()
            memory.unlink()
            raise
    return memory


def _attached(name: str) -> SharedMemory:
    """Memory of another process, which alone answers for its name: this one's tracker is not to know of it."""
    if sys.version_info >= (3, 13):
        return SharedMemory(name, track=False)
    with _untracked:
        register = resource_tracker.register
        try:
            resource_tracker.register = _nothing
            return SharedMemory(name)
        finally:
            resource_tracker.register = register


_untracked = threading.Lock()


def _nothing(name: Sized, rtype: str) -> None:
    """In place of the tracker's register."""
