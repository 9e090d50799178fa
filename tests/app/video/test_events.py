"""What is told of a watch: to a log, and to commands."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from twinface.app.video.events import Commands, EventLog
from twinface.errors import OutputError, TwinFaceError


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk here")
def test_a_log_on_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").symlink_to("/dev/full")
    with EventLog(tmp_path / "events.jsonl") as log, pytest.raises(OutputError, match="cannot be written"):
        log.add({"event": "appeared"})


def test_a_folder_in_the_place_of_the_log(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        EventLog(tmp_path)


def test_a_command_that_does_not_read_or_fails_is_no_trouble() -> None:
    commands = Commands(shlex.join([sys.executable, "-c", "raise SystemExit(3)"]))
    commands.run({"event": "appeared"})
    assert commands.wait() == 0


def test_a_command_that_does_not_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = Commands(shlex.join([sys.executable, "-c", "import sys; sys.stdin.read(); input()"]))
    monkeypatch.setattr(subprocess.Popen, "wait", lambda *_: (_ for _ in ()).throw(subprocess.TimeoutExpired("", 0)))
    commands.run({"event": "appeared"})
    assert commands.wait(0.0) == 1
    monkeypatch.undo()
    assert commands.wait() == 0


def test_a_command_that_cannot_be_started(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x00 no program")
    program.chmod(0o755)
    with pytest.raises(TwinFaceError, match="cannot be started"):
        Commands(str(program)).run({"event": "appeared"})
