"""A chime for grants and a buzz for refusals, made from sines and played by what the system has."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np
from numpy.typing import NDArray

from twinface.app.video.events import SECRETS
from twinface.core.access.actions import Notice, SoundAction
from twinface.core.files import reason
from twinface.errors import ActionFailed

RATE = 44_100
"""Samples a second."""

BUZZ = 150.0
"""Hertz; low, and with overtones that small loudspeakers can play."""

CHIME = (659.26, 880.0)
"""Hertz of its two tones, E5 and A5: rising."""

PLAYERS = (("pw-play",), ("paplay",), ("aplay", "-q"), ("afplay",))
"""Programs that play a WAV file, the best first."""

LONGEST = 3.0
"""Seconds after which a player that hangs is ended."""


def chime() -> NDArray[np.int16]:
    """Two rising tones that fade: int16 (N,), at `RATE`."""
    step = round(0.18 * RATE)
    sound = np.zeros(step + round(0.42 * RATE))
    for number, pitch in enumerate(CHIME):
        start = number * step
        time = np.arange(len(sound) - start) / RATE
        sound[start:] += np.sin(2 * np.pi * pitch * time) * np.exp(-7 * time)
    return _pcm(sound)


def buzz() -> NDArray[np.int16]:
    """Half a second of a square wave's first overtones: int16 (N,), at `RATE`."""
    time = np.arange(RATE // 2) / RATE
    overtones = range(1, 16, 2)
    return _pcm(sum((np.sin(2 * np.pi * BUZZ * k * time) / k for k in overtones), np.zeros_like(time)))


def write_wav(file: BinaryIO, samples: NDArray[np.int16]) -> None:
    """Writes samples, int16 (N,), as a WAV file with one channel."""
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(samples.astype("<i2").tobytes())


def _pcm(sound: NDArray[np.float64]) -> NDArray[np.int16]:
    """Scaled to three quarters of full loudness, its ends faded over 5 ms so that nothing clicks."""
    fade = np.minimum(1.0, np.arange(len(sound)) / (0.005 * RATE))
    faded = sound * fade * fade[::-1]
    scaled: NDArray[np.int16] = np.round(0.75 * 32_767 * faded / np.abs(faded).max()).astype(np.int16)
    return scaled


def found_players() -> tuple[tuple[str, ...], ...]:
    """Those of `PLAYERS` that are installed."""
    found = ((shutil.which(words[0]), words) for words in PLAYERS)
    return tuple((path, *words[1:]) for path, words in found if path is not None)


class SoundNotifier:
    """Plays beside the caller, who never waits for it; rings the terminal's bell where nothing plays.

    Args:
        action: what the policy says.
        out: a terminal, for the bell.
        players: programs with their options; each is given a file. None: those installed.
    """

    def __init__(self, action: SoundAction, out: TextIO, players: Sequence[Sequence[str]] | None = None) -> None:
        self._name = action.name
        self._out = out
        self._players = found_players() if players is None else tuple(tuple(words) for words in players)
        self._lock = threading.Lock()
        self._turn = 0
        self._child: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        try:
            self._folder = tempfile.TemporaryDirectory(prefix="twinface-", ignore_cleanup_errors=True)
            for name, samples in (("grant", chime()), ("refusal", buzz())):
                with (Path(self._folder.name) / f"{name}.wav").open("wb") as file:
                    write_wav(file, samples)
        except OSError as error:
            raise ActionFailed(f"{self._name}: there is no room for its sounds ({reason(error)})") from error

    def notify(self, notice: Notice) -> None:
        """Starts the sound; one that still plays is cut off.

        Raises:
            ActionFailed: the system has no thread left.
        """
        file = Path(self._folder.name) / ("grant.wav" if notice.granted else "refusal.wav")
        turn = self._interrupt()
        name = f"twinface-{self._name}-playing"
        thread = threading.Thread(target=self._play, args=(file, turn), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise ActionFailed(f"{self._name}: no sound can be started ({reason(error)})") from error
        self._thread = thread

    def close(self) -> None:
        """Ends what still plays."""
        self._interrupt()
        if self._thread is not None:
            self._thread.join(LONGEST)
        self._folder.cleanup()

    def _interrupt(self) -> int:
        """Ends what plays; the number of the turn that may play from now on."""
        with self._lock:
            self._turn += 1
            if self._child is not None:
                self._child.kill()
            return self._turn

    def _play(self, file: Path, turn: int) -> None:
        if sys.platform == "win32" and _play_windows(file):
            return
        for words in self._players:
            with self._lock:
                if turn != self._turn:
                    return
                try:
                    child = subprocess.Popen(
                        [*words, str(file)],
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                        env={name: value for name, value in os.environ.items() if name not in SECRETS},
                    )
                except OSError:
                    continue
                self._child = child
            if self._played(child) or turn != self._turn:
                return
        with contextlib.suppress(OSError, ValueError):
            if self._out.isatty():
                self._out.write("\a")
                self._out.flush()

    def _played(self, child: subprocess.Popen[bytes]) -> bool:
        """Waits for a player; whether it did its work."""
        try:
            child.wait(LONGEST)
        except subprocess.TimeoutExpired:
            child.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(LONGEST)
        with self._lock:
            if self._child is child:
                self._child = None
        return child.returncode == 0


def _play_windows(file: Path) -> bool:
    if sys.platform == "win32":
        import winsound

        with contextlib.suppress(RuntimeError):
            winsound.PlaySound(str(file), winsound.SND_FILENAME | winsound.SND_NODEFAULT)
            return True
    return False
