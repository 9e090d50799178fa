"""Events of a watch for machines: as JSON, in a log, and as the input of a command."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from twinface.core.files import reason, shown
from twinface.errors import OutputError, TwinFaceError
from twinface.services.watching import WatchEvent

PATIENCE = 10.0
"""Seconds that commands which still run at the end are waited for."""

SECRETS = ("TWINFACE_PASSPHRASE", "TWINFACE_ACCESS_TOKEN")
"""What commands are not told."""


def event_json(event: WatchEvent, size: tuple[int, int]) -> dict[str, Any]:
    """An event for machines.

    Args:
        event: what happened.
        size: width and height of the frames searched, in whose pixels its box is.
    """
    who = event.candidate
    box = event.box
    return {
        "event": event.kind,
        "time": round(event.time, 3),
        "clock": event.clock.isoformat(timespec="milliseconds"),
        "track": event.track,
        "name": None if who is None else who.name or None,
        "subject": None if who is None else who.uid,
        "probability": None if who is None else round(who.probability, 6),
        "distance": None if who is None else round(who.distance, 6),
        "box": [round(value, 2) for value in (box.x, box.y, box.width, box.height)],
        "frame": list(size),
        "first_seen": round(event.first, 3),
        "last_seen": round(event.last, 3),
        **({"thumbnail": base64.b64encode(event.thumbnail).decode()} if event.thumbnail else {}),
    }


def check_log(path: Path) -> None:
    """Refuses to add events to a file that is none of events, before the work begins.

    Raises:
        OutputError: there is no folder for it, or the file holds something else.
    """
    try:
        if not path.parent.is_dir():
            raise OutputError(f"{shown(path)}: there is no folder {shown(path.parent)}; make it first")
        if path.is_file():
            with path.open("rb") as file:
                if file.read(1) not in (b"", b"{"):
                    raise OutputError(f"{shown(path)}: is there already, and holds no events; choose another name")
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise OutputError(f"{shown(path)}: cannot be written ({reason(error)}); choose another place") from error


class EventLog:
    """Events as lines of JSON at the end of a file, which its owner alone may read if it is new.

    Args:
        path: the file.

    Raises:
        OutputError: it cannot be written, or is another file of somebody's.
    """

    def __init__(self, path: Path) -> None:
        check_log(path)
        self._path = path
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except (OSError, ValueError) as error:
            raise self._failed(error) from error

    def add(self, event: Mapping[str, Any]) -> None:
        """Adds a line, at once and whole.

        Raises:
            OutputError: the disk is full, or the like.
        """
        line = (json.dumps(event, allow_nan=False) + "\n").encode()
        try:
            while line:
                line = line[os.write(self._file, line) :]
        except OSError as error:
            raise self._failed(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def _failed(self, error: Exception) -> OutputError:
        return OutputError(f"{shown(self._path)}: cannot be written ({reason(error)}); choose another place")


class Commands:
    """Runs a command for every event it is given, beside the watch, without a shell.

    Args:
        command: the program and its words, quoted as in a shell.
        quiet: whether what it prints goes to stderr, as stdout is for machines.

    Raises:
        TwinFaceError: there is no such program.
    """

    def __init__(self, command: str, *, quiet: bool = False) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise TwinFaceError(f"--exec {shown(command)}: not a command ({reason(error)}); check its quotes") from None
        if not self._words or shutil.which(self._words[0]) is None:
            name = shown(self._words[0]) if self._words else "''"
            raise TwinFaceError(f"--exec: there is no program {name}; name one by its path, without a shell's syntax")
        self._quiet = quiet
        self._running: list[subprocess.Popen[bytes]] = []

    def run(self, event: Mapping[str, Any]) -> None:
        """Starts it with an event as JSON on its stdin and as variables TWINFACE_...; does not wait for it.

        Raises:
            TwinFaceError: it cannot be started.
        """
        self._running = [one for one in self._running if one.poll() is None]
        environment = {name: value for name, value in os.environ.items() if name not in SECRETS}
        environment |= {f"TWINFACE_{key.upper()}": _word(value) for key, value in event.items() if key != "thumbnail"}
        try:
            child = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=sys.__stderr__ if self._quiet else None,
                env=environment,
            )
        except (OSError, ValueError) as error:
            raise TwinFaceError(f"--exec {shown(self._words[0])}: cannot be started ({reason(error)})") from error
        self._running.append(child)
        assert child.stdin is not None
        with contextlib.suppress(OSError), child.stdin:  # it need not read
            child.stdin.write((json.dumps(event, allow_nan=False) + "\n").encode())

    def wait(self, patience: float = PATIENCE) -> int:
        """Waits for those that still run; how many did not end."""
        left = 0
        for child in self._running:
            try:
                child.wait(patience)
            except subprocess.TimeoutExpired:
                left += 1
        return left


def _word(value: object) -> str:
    """A value as a variable holds it."""
    if value is None:
        return ""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
