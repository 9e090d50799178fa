"""One run at a time has the part of a file; a run that was killed keeps nobody from it."""

import errno
import subprocess
import sys
import threading

import pytest

from twinface.datasets.parts import Part
from twinface.errors import OutputError

HOLD = """
import pathlib, sys
from twinface.datasets.parts import Part
with Part(pathlib.Path(sys.argv[1])).held():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def part(tmp_path):
    return Part(tmp_path / "set.tgz")


def busy(part):
    with pytest.raises(OutputError, match=r"set\.tgz: is being fetched by another run; wait") as caught, part.held():
        pass
    assert "\n" not in str(caught.value)


def test_one_holds_it_at_a_time_and_leaves_nothing(part, tmp_path):
    with part.held():
        busy(part)
        busy(Part(part.target))
        with Part(tmp_path / "other.tgz").held():
            pass
    with part.held():
        busy(part)
    assert list(tmp_path.iterdir()) == []


def test_it_is_given_free_when_the_work_fails(part, tmp_path):
    with pytest.raises(KeyboardInterrupt), part.held():
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with part.held():
        busy(part)


def test_another_process_that_is_killed_gives_it_free(part):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(part.target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline().split() == [b"held"]
        busy(part)
        other.kill()
        other.wait()
    with part.held():
        busy(part)


def test_a_lock_that_was_left_behind_is_none(part, tmp_path):
    (tmp_path / "set.tgz.part.lock").write_bytes(b"")
    with part.held():
        busy(part)
    assert list(tmp_path.iterdir()) == []


def test_of_many_at_once_never_two_hold_it(part):
    inside, most, refused = [], [], []

    def work():
        for _ in range(200):
            try:
                with part.held():
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
            except OutputError:
                refused.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(most) + len(refused) == 8 * 200


@pytest.mark.skipif(sys.platform == "win32", reason="a lock that is open cannot be removed there")
def test_a_lock_removed_just_before_it_was_had_is_made_again(part, tmp_path, monkeypatch):
    import fcntl

    real, removed = fcntl.flock, []

    def late(file, how):
        if not removed:
            removed.append((tmp_path / "set.tgz.part.lock").unlink())
        real(file, how)

    monkeypatch.setattr("fcntl.flock", late)
    with part.held():
        assert removed
        busy(part)


@pytest.mark.skipif(sys.platform == "win32", reason="locks are made otherwise there")
def test_disks_without_locks_are_no_hindrance(part, monkeypatch):
    def unknown(*_words):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", unknown)
    with part.held():
        part.path.write_bytes(b"here")
    assert part.size() == 4


def test_a_folder_that_is_not_there_is_told(tmp_path):
    part = Part(tmp_path / "nowhere" / "set.tgz")
    with pytest.raises(OutputError, match=r"set\.tgz: cannot be written \(No such file"), part.held():
        pass


class TestVersion:
    def test_it_is_told_for_the_address_it_came_from(self, part):
        part.begin("https://example.org/x", '"one"')
        assert part.version("https://example.org/x") is None  # nothing has arrived
        part.path.write_bytes(b"h")
        assert part.version("https://example.org/x") == '"one"'
        assert part.version("https://example.org/y") is None

    def test_a_note_nested_without_end_is_none(self, part, tmp_path):
        part.path.write_bytes(b"h")
        (tmp_path / "set.tgz.part.json").write_bytes(b"[" * 100_000)
        assert part.version("https://example.org/x") is None

    def test_when_it_is_whole_only_the_file_is_left(self, part, tmp_path):
        part.begin("https://example.org/x", '"one"')
        part.path.write_bytes(b"here")
        part.finish()
        assert [path.name for path in tmp_path.iterdir()] == ["set.tgz"]
