"""Commands: a program run without a shell, told the decision, and ended with all it started if it takes too long."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection
from typing import BinaryIO

from twinface.app.video.events import SECRETS
from twinface.core.access.actions import CommandAction, Notice, notice_json
from twinface.core.files import reason, shown
from twinface.errors import ActionFailed

SAID = 4096
"""Bytes at the end of what a program wrote to stderr, of which the last line is quoted."""


class CommandNotifier:
    """Runs a program and waits for it.

    Args:
        action: what the policy says.
        hidden: environment variables that it is not told, beside those with our own secrets.

    Raises:
        ActionFailed: there is no such program.
    """

    def __init__(self, action: CommandAction, hidden: Collection[str] = ()) -> None:
        self._action = action
        self._hidden = frozenset(hidden) | frozenset(SECRETS)
        program = shutil.which(action.words[0])
        if program is None:
            raise ActionFailed(
                f"{action.name}: there is no program {shown(action.words[0])}; name one by its path, without a shell's "
                "syntax"
            )
        self._words = (os.path.abspath(program), *action.words[1:])  # noqa: PTH100 - links are not to be resolved

    def notify(self, notice: Notice) -> None:
        """Runs it with the notice as JSON on its stdin and as variables TWINFACE_...

        Raises:
            ActionFailed: it cannot be started, failed, or took too long and was killed.
        """
        told = notice_json(notice)
        environment = {name: value for name, value in os.environ.items() if name not in self._hidden}
        environment |= {f"TWINFACE_{key.upper()}": _word(value) for key, value in told.items()}
        try:
            with tempfile.TemporaryFile() as said:
                child = subprocess.Popen(
                    self._words,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    env=environment,
                    start_new_session=True,
                )
                with child:
                    self._wait(child, (json.dumps(told, allow_nan=False) + "\n").encode())
                    if child.returncode != 0:
                        raise self._failed(f"ended with status {child.returncode}{_last_line(said)}")
        except (OSError, ValueError) as error:
            raise self._failed(f"cannot be started ({reason(error)})") from error

    def close(self) -> None:
        """Holds nothing between notices."""

    def _wait(self, child: subprocess.Popen[bytes], told: bytes) -> None:
        try:
            child.communicate(told, timeout=self._action.timeout)
        except subprocess.TimeoutExpired:
            raise self._failed(f"took longer than {self._action.timeout:g} s and was killed") from None
        finally:
            if child.returncode is None:
                _kill(child)

    def _failed(self, why: str) -> ActionFailed:
        return ActionFailed(f"{self._action.name}: {shown(self._action.words[0])} {why}")


def _kill(child: subprocess.Popen[bytes]) -> None:
    """Ends a program and, where the system has process groups, all it started."""
    if sys.platform == "win32":
        child.kill()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _last_line(said: BinaryIO) -> str:
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - SAID))
    lines = said.read().decode(errors="replace").strip().splitlines()
    return f": {shown(lines[-1])}" if lines else ""


def _word(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value).replace("\0", " ")
