import json
import os
import select
import sys
from pathlib import Path

import pytest

from twinface.app.access.notifiers.command import CommandNotifier
from twinface.core.access.actions import CommandAction
from twinface.errors import ActionFailed

TELL = """
import json, os, sys
told = {"argv": sys.argv[2:], "stdin": json.loads(sys.stdin.read()), "env": dict(os.environ)}
open(sys.argv[1], "w").write(json.dumps(told))
"""


def python(code: str, *words: str, **others) -> CommandNotifier:
    return CommandNotifier(CommandAction("door", (sys.executable, "-c", code, *words), **{"timeout": 30.0, **others}))


def failure(notifier: CommandNotifier, notice) -> str:
    with pytest.raises(ActionFailed) as caught:
        notifier.notify(notice())
    return str(caught.value)


def test_a_program_is_told_by_stdin_and_variables(notice, tmp_path) -> None:
    python(TELL, str(tmp_path / "told"), "--door", "7").notify(notice(True, subject=None, words="come in"))
    told = json.loads((tmp_path / "told").read_text())
    assert told["argv"] == ["--door", "7"]
    assert told["stdin"]["decision"] == told["env"]["TWINFACE_DECISION"] == "grant"
    assert told["env"]["TWINFACE_PLACE"] == "floor-7"
    assert told["env"]["TWINFACE_WORDS"] == "come in"
    assert told["env"]["TWINFACE_SUBJECT"] == ""
    assert told["env"]["TWINFACE_DRY"] == "false"
    assert told["env"]["PATH"] == os.environ["PATH"]


def test_it_is_not_told_our_secrets(notice, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TWINFACE_PASSPHRASE", "open sesame")
    monkeypatch.setenv("HOOK_SECRET", "correct horse")
    action = CommandAction("door", (sys.executable, "-c", TELL, str(tmp_path / "told")), timeout=30.0)
    CommandNotifier(action, hidden={"HOOK_SECRET"}).notify(notice())
    text = (tmp_path / "told").read_text()
    assert "open sesame" not in text
    assert "correct horse" not in text


def test_no_shell_reads_its_words(notice, tmp_path) -> None:
    words = "$(touch pwned); `id` > x | y & *"
    python(TELL, str(tmp_path / "told"), words).notify(notice(words=words, name="'; rm -rf /"))
    told = json.loads((tmp_path / "told").read_text())
    assert told["argv"] == [words]
    assert told["env"]["TWINFACE_NAME"] == "'; rm -rf /"


def test_a_status_that_is_not_zero_is_a_failure_with_its_last_words(notice) -> None:
    message = failure(python("import sys; print('a\\nno such door', file=sys.stderr); sys.exit(3)"), notice)
    assert message.endswith("ended with status 3: no such door")
    assert message.startswith("door: ")


def test_its_last_words_cannot_steer_a_terminal_or_fill_it(notice) -> None:
    message = failure(python("import sys; sys.stderr.write('\\x1b[31m' + 'x' * 100_000); sys.exit(1)"), notice)
    assert message.isprintable()
    assert len(message) < 700


def test_a_program_that_dies_of_a_signal_is_a_failure(notice) -> None:
    assert "ended with status -9" in failure(python("import os; os.kill(os.getpid(), 9)"), notice)


def test_a_program_need_not_read_what_it_is_told(notice) -> None:
    python("import sys; sys.stdin.close()").notify(notice(words="x" * 100_000))


def test_what_it_prints_does_not_mix_with_ours(notice, capfd) -> None:
    python("import sys; print('hello'); print('there', file=sys.stderr)").notify(notice())
    assert capfd.readouterr() == ("", "")


def test_a_program_that_is_not_there_is_said_at_the_start() -> None:
    with pytest.raises(ActionFailed, match="door: there is no program open-the-door"):
        CommandNotifier(CommandAction("door", ("open-the-door",)))


def test_a_program_that_has_gone_is_a_failure(notice, tmp_path) -> None:
    program = tmp_path / "open"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    notifier = CommandNotifier(CommandAction("door", (str(program),)))
    program.unlink()
    assert "cannot be started" in failure(notifier, notice)


def test_the_program_is_that_of_the_start_whatever_becomes_of_the_path(notice, tmp_path, monkeypatch) -> None:
    mark = tmp_path / "mark"
    for folder, code in (("first", f"touch {mark}"), ("second", "exit 1")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "open").write_text(f"#!/bin/sh\n{code}\n")
        (tmp_path / folder / "open").chmod(0o755)
    usual = os.environ["PATH"]
    monkeypatch.setenv("PATH", f"{tmp_path / 'first'}:{usual}")
    notifier = CommandNotifier(CommandAction("door", ("open",), timeout=30.0))
    monkeypatch.setenv("PATH", f"{tmp_path / 'second'}:{usual}")
    notifier.notify(notice())
    assert mark.exists()


def test_one_that_takes_too_long_is_killed_with_all_it_started(notice, tmp_path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    script = f"(echo up; exec sleep 600) > {fifo} & sleep 600"
    notifier = CommandNotifier(CommandAction("door", ("sh", "-c", script), timeout=2.0))
    try:
        assert "took longer than 2 s and was killed" in failure(notifier, notice)
        assert os.read(reader, 100) == b"up\n"
        assert ended(reader), "a process it started still holds the pipe"
    finally:
        os.close(reader)


def ended(reader: int) -> bool:
    """Whether nobody has the other end of a pipe any more."""
    poll = select.poll()
    poll.register(reader, select.POLLIN | select.POLLHUP)
    return bool(poll.poll(30_000)) and os.read(reader, 1) == b""


def test_what_a_good_program_leaves_running_is_not_waited_for(notice, tmp_path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    script = f"(read _ < {tmp_path}/go; echo done) > {fifo} & exit 0"
    os.mkfifo(tmp_path / "go")
    CommandNotifier(CommandAction("door", ("sh", "-c", script), timeout=30.0)).notify(notice())
    Path(tmp_path / "go").write_text("now\n")
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    assert poll.poll(30_000)
    assert os.read(reader, 100) == b"done\n"
    os.close(reader)
