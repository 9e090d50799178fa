from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import IO, BinaryIO

import pytest

from twinface.core.files import read_regular, reason, shown, write_atomically
from twinface.errors import OutputError


def words(file: BinaryIO) -> None:
    file.write(b"the new content")


def halfway(file: BinaryIO) -> None:
    """Writes a part that reaches the disk, then fails as a full disk does."""
    file.write(b"half of the")
    file.flush()
    raise OSError(errno.ENOSPC, "No space left on device")


def names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


def one_line(caught: pytest.ExceptionInfo[OutputError]) -> str:
    message = str(caught.value)
    assert message.isprintable()
    return message


def test_the_file_holds_what_was_written_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.bin", words)

    assert (tmp_path / "a.bin").read_bytes() == b"the new content"
    assert names(tmp_path) == ["a.bin"]


def test_an_older_file_is_replaced_whole(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"an older content, longer than the new one")

    write_atomically(tmp_path / "a.bin", words)

    assert (tmp_path / "a.bin").read_bytes() == b"the new content"


def test_an_older_file_stays_whole_while_the_new_one_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"the old content")

    def look(file: BinaryIO) -> None:
        file.write(b"half of the")
        file.flush()
        assert path.read_bytes() == b"the old content"
        assert len(names(tmp_path)) == 2  # in the same folder, as moving between disks is not atomic

    write_atomically(path, look)

    assert path.read_bytes() == b"half of the"


def test_an_older_file_stays_whole_when_writing_fails(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"the old content")

    with pytest.raises(OutputError, match=r"a\.bin: cannot be written \(No space left on device\); choose") as caught:
        write_atomically(tmp_path / "a.bin", halfway)

    one_line(caught)
    assert (tmp_path / "a.bin").read_bytes() == b"the old content"
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full to stand for a full disk")
def test_an_older_file_stays_whole_when_the_disk_fills_at_the_very_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a disk that takes what fits the buffer and complains when it is flushed
    (tmp_path / "a.bin").write_bytes(b"the old content")
    opened = Path.open

    def full(path: Path, mode: str) -> IO[bytes]:
        opened(path, mode).close()
        return opened(Path("/dev/full"), "wb")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OutputError, match=r"a\.bin: cannot be written \(No space left on device\)"):
        write_atomically(tmp_path / "a.bin", words)
    monkeypatch.undo()

    assert (tmp_path / "a.bin").read_bytes() == b"the old content"
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("failure", [ValueError("a mistake"), KeyboardInterrupt()], ids=repr)
def test_other_failures_pass_and_leave_nothing_behind(tmp_path: Path, failure: BaseException) -> None:
    def fail(file: BinaryIO) -> None:
        file.write(b"half of the")
        raise failure

    with pytest.raises(type(failure)) as caught:
        write_atomically(tmp_path / "a.bin", fail)
    assert caught.value is failure
    assert names(tmp_path) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"there is no folder .*nowhere; make it first") as caught:
        write_atomically(tmp_path / "nowhere" / "a.bin", words)
    one_line(caught)


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(OutputError, match=r"there is no folder .*file"):
        write_atomically(tmp_path / "file" / "a.bin", words)


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.bin").mkdir()

    with pytest.raises(OutputError, match="cannot be written"):
        write_atomically(tmp_path / "a.bin", words)
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_an_unwritable_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises(OutputError, match="cannot be written"):
        write_atomically(tmp_path / "a.bin", words)


@pytest.mark.parametrize("name", ["two\nlines", "two\r\nlines/a.bin", "a\0b", "x" * 300, "\udcff/a.bin"], ids=ascii)
def test_a_message_is_one_line_whatever_the_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError) as caught:
        write_atomically(tmp_path / name, halfway)
    one_line(caught)
    assert names(tmp_path) == []


def test_a_link_is_followed_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link.bin").symlink_to(tmp_path / "elsewhere" / "real.bin")

    write_atomically(tmp_path / "link.bin", words)

    assert (tmp_path / "link.bin").is_symlink()
    assert (tmp_path / "elsewhere" / "real.bin").read_bytes() == b"the new content"


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002], ids=oct)
def test_the_file_is_as_readable_as_any_other(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        (tmp_path / "other").write_bytes(b"")
        write_atomically(tmp_path / "a.bin", words)
    finally:
        os.umask(before)

    assert (tmp_path / "a.bin").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o640, 0o666, 0o400], ids=oct)
def test_a_file_that_is_replaced_keeps_its_readers(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"the old content")
    path.chmod(mode)

    def look(file: BinaryIO) -> None:
        file.write(b"the new content")
        file.flush()
        assert {one.stat().st_mode & 0o777 for one in tmp_path.iterdir()} == {mode}  # while it is written too

    write_atomically(path, look)

    assert path.stat().st_mode & 0o777 == mode
    assert path.read_bytes() == b"the new content"


def test_a_plain_name_is_shown_as_it_is() -> None:
    assert shown("holiday photos/Zoë 北.jpg") == "holiday photos/Zoë 北.jpg"
    assert shown(Path("a") / "b.jpg") == str(Path("a") / "b.jpg")


@pytest.mark.parametrize("name", ["line\nbreak", "tab\tstop", "\udcff.jpg", "\x1b[31mred", "a\u2028b"], ids=ascii)
def test_what_breaks_a_line_or_a_terminal_is_escaped(name: str) -> None:
    assert shown(name) == ascii(name)


def test_a_long_name_keeps_its_start_and_its_ending() -> None:
    name = "start" + "x" * 5000 + "ending.jpg"
    assert len(shown(name)) < 200
    assert shown(name).startswith("start")
    assert shown(name).endswith("ending.jpg")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a.png"), "No space left on device"),
        (ValueError("two\n  lines"), "two lines"),
        (EOFError(), "EOFError"),
    ],
    ids=repr,
)
def test_the_reason_of_an_error_is_one_line(error: Exception, said: str) -> None:
    assert reason(error) == said


def test_pipes_devices_and_folders_are_not_opened(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, Path(os.devnull)):
        with pytest.raises(OSError, match="no regular file"):
            read_regular(path)
    file = tmp_path / "file"
    file.write_bytes(b"content")
    assert read_regular(file) == b"content"
