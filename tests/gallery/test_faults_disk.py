"""No room on the disk: what is there is read, what is refused says why, nothing is half-made, and later it goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Protocol

import faults
import pytest

from twinface.errors import GalleryError
from twinface.gallery.copies import back_up
from twinface.gallery.sqlite import SqliteGallery

pytestmark = pytest.mark.skipif(
    not faults.CAN_KILL, reason="needs Linux: processes are watched by descriptors of theirs"
)

SIZE = 4 << 20
BLOCK = 4096
ROOM = [0, 4, 40, 70, 140, 300]
"""Blocks left: too few for anything, for one thing or another, and enough."""


class Disk(Protocol):
    """A disk that is full when that is wanted."""

    folder: Path

    def process(self) -> faults.Victim:
        """A process that works on it."""

    def fill(self, leave: int = 0) -> None:
        """Leaves so many blocks."""

    def free(self) -> None:
        """Gives all room back."""


class SmallDisk:
    """A file system of 4 MB."""

    def __init__(self, folder: Path, nursery: faults.Nursery) -> None:
        self.folder = folder
        self._nursery = nursery
        self._ballast = folder.parent / "ballast"

    def process(self) -> faults.Victim:
        return self._nursery.victim()

    def fill(self, leave: int = 0) -> None:
        descriptor = os.open(self._ballast, os.O_WRONLY | os.O_CREAT)
        with suppress(OSError):
            while os.write(descriptor, b"x" * BLOCK):
                pass
        os.ftruncate(descriptor, max(0, os.fstat(descriptor).st_size - leave * BLOCK))
        os.close(descriptor)

    def free(self) -> None:
        self._ballast.unlink()


class CappedFiles:
    """No file of any process may grow beyond a limit: needs no rights, and meets SQLite as another error."""

    def __init__(self, folder: Path, nursery: faults.Nursery) -> None:
        self.folder = folder
        self._nursery = nursery
        self._processes: list[faults.Victim] = []
        self._limit = -1

    def process(self) -> faults.Victim:
        victim = self._nursery.victim()
        victim.call("limit", size=self._limit)
        self._processes.append(victim)
        return victim

    def fill(self, leave: int = 0) -> None:
        largest = max((path.stat().st_size for path in self.folder.glob("people.db*")), default=0)
        self._set(largest + leave * BLOCK if leave else 0)

    def free(self) -> None:
        self._set(-1)

    def _set(self, limit: int) -> None:
        self._limit = limit
        self._processes = [victim for victim in self._processes if not victim.closed]
        for victim in self._processes:
            victim.call("limit", size=limit)


@pytest.fixture(params=["small disk", "capped files"])
def disk(request: pytest.FixtureRequest, nursery: faults.Nursery, tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk" / "galleries"
    folder.parent.mkdir()
    if request.param == "capped files":
        folder.mkdir()
        yield CappedFiles(folder, nursery)
        return
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder.parent]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    folder.mkdir()
    try:
        yield SmallDisk(folder, nursery)
    finally:
        subprocess.run(["umount", "--lazy", folder.parent], check=True)


@pytest.fixture
def path(disk: Disk) -> Path:
    """A gallery of two people, whom nobody has open."""
    path = disk.folder / "people.db"
    with closing(SqliteGallery(path, create=faults.SPACE)) as gallery:
        faults.fill(gallery, "Ada", "Bea")
    return path


def everybody(process: faults.Victim) -> list[str]:
    return sorted(process.call("contents"))


def complaint_of(process: faults.Victim, job: str, **words: Any) -> str:
    """What keeps it from being done; nothing if it is done."""
    try:
        process.call(job, **words)
    except GalleryError as error:
        return str(error)
    return ""


def test_nobody_is_enrolled_and_everybody_is_found_and_with_room_it_goes_on(disk: Disk, path: Path) -> None:
    with disk.process() as process, disk.process() as other, disk.process() as third:
        process.call("open", path=str(path))
        process.call("fill", names=["Cleo"])
        disk.fill()
        for _ in range(3):
            with pytest.raises(GalleryError, match=r"people\.db: .*(room|disk).*; make room .*try again"):
                process.call("fill", names=["Dora"], pictures=30)
        for one in (process, other):
            if one is other:
                assert one.call("open", path=str(path)) is False
            assert everybody(one) == ["Ada", "Bea", "Cleo"]
            assert [one.call("whose", name=name) for name in ("Ada", "Cleo", "Dora")] == ["Ada", "Cleo", None]
            assert one.call("problems") == []
        disk.free()
        process.call("fill", names=["Dora"], pictures=30)
        other.call("fill", names=["Edda"])
        third.call("open", path=str(path))
        for one in (process, other, third):
            assert everybody(one) == ["Ada", "Bea", "Cleo", "Dora", "Edda"]
            assert one.call("whose", name="Edda") == "Edda"
            assert one.call("problems") == []


def test_enrolling_stops_with_what_was_told_to_be_enrolled_kept(disk: Disk, path: Path) -> None:
    with disk.process() as process:
        process.call("open", path=str(path))
        disk.fill(leave=150)
        process.begin("enroll_endlessly", start=1)
        with pytest.raises(GalleryError, match="make room"):
            process.result()
        told = {(number, shot) for number, shot in process.messages}
        assert told
        names = {f"person {number}" for number, _ in told}
        assert set(everybody(process)) == names | {"Ada", "Bea"}
        assert sum(map(len, process.call("contents").values())) == len(told) + 4


@pytest.mark.parametrize("leave", ROOM)
def test_a_removal_works_or_says_what_to_do_and_in_the_end_nothing_is_left(disk: Disk, path: Path, leave: int) -> None:
    keys = {}
    with closing(SqliteGallery(path)) as gallery, gallery.database.reading() as connection:
        for uid, key in connection.execute("SELECT uid, name_key FROM subjects"):
            keys[gallery._people.name(connection, uid)] = key
    traces = faults.traces(path, [keys["Ada"]], [keys["Bea"]], "people", "pictures", "photos", "templates")
    with disk.process() as process:
        process.call("open", path=str(path))
        disk.fill(leave)
        complaint = complaint_of(process, "remove", names=["Ada"])
        if complaint:
            gone = "found no more" in complaint
            assert (
                "; once that is mended, run twinface gallery verify" in complaint if gone else "make room" in complaint
            )
            assert everybody(process) == (["Bea"] if gone else ["Ada", "Bea"])
            assert process.call("whose", name="Bea") == "Bea"
            disk.free()
            if not gone:
                process.call("remove", names=["Ada"])
        assert process.call("problems") == []  # which finishes what was begun
        assert everybody(process) == ["Bea"]
        assert faults.share_left(path, traces) == 0.0


@pytest.mark.parametrize("leave", range(0, 70, 6))
def test_a_gallery_is_made_whole_or_not_at_all(disk: Disk, leave: int) -> None:
    path = disk.folder / "people.db"
    with disk.process() as process:
        disk.fill(leave)
        complaint = complaint_of(process, "open", path=str(path), create=True)
        assert "room" in complaint or everybody(process) == []
        disk.free()
    if path.exists():
        with closing(SqliteGallery(path)) as gallery:
            assert (gallery.info().space, gallery.problems()) == (faults.SPACE, [])
    assert [one.name for one in disk.folder.iterdir()] == (["people.db"] if path.exists() else [])


def test_with_room_enough_or_none_both_ends_of_the_range_above_are_met(disk: Disk) -> None:
    with disk.process() as process:
        disk.fill(0)
        with pytest.raises(GalleryError, match="room"):
            process.call("open", path=str(disk.folder / "people.db"), create=True)
        disk.free()
        disk.fill(80)
        assert process.call("open", path=str(disk.folder / "people.db"), create=True) is False


@pytest.mark.parametrize("leave", ROOM)
def test_a_backup_is_written_whole_or_not_at_all(disk: Disk, path: Path, leave: int) -> None:
    target = disk.folder / "people.db.backup"
    with disk.process() as process:
        process.call("open", path=str(path))
        before = set(disk.folder.iterdir())
        disk.fill(leave)
        complaint = complaint_of(process, "back_up", target=str(target))
        if complaint:
            assert complaint.startswith(f"{target}: cannot be written")
            assert set(disk.folder.iterdir()) == before
        else:
            assert set(disk.folder.iterdir()) == before | {target}
            with closing(SqliteGallery(target)) as copy:
                assert sorted(faults.contents(copy)) == ["Ada", "Bea"]
                assert copy.problems() == []
        assert everybody(process) == ["Ada", "Bea"]


@pytest.mark.parametrize("leave", ROOM)
@pytest.mark.parametrize("there", [True, False])
def test_a_backup_is_restored_whole_or_not_at_all(
    disk: Disk, path: Path, tmp_path: Path, leave: int, there: bool
) -> None:
    backup = tmp_path / "backup.db"
    with closing(SqliteGallery(path)) as gallery:
        back_up(gallery, backup)
        faults.fill(gallery, "Cleo")
    target = path if there else path.with_name("new.db")
    before = set(disk.folder.iterdir())
    with disk.process() as process:
        disk.fill(leave)
        complaint = complaint_of(process, "restore", backup=str(backup), path=str(target), replace=there)
        disk.free()
    assert "room" in complaint or "found no more" in complaint or not complaint
    assert target.exists() == (there or not complaint)
    if target.exists():
        with closing(SqliteGallery(target)) as gallery:
            replaced = not complaint or "found no more" in complaint
            assert sorted(faults.contents(gallery)) == ["Ada", "Bea", *([] if replaced else ["Cleo"])]
            assert gallery.problems() == []
    assert set(disk.folder.iterdir()) == before | ({target} if target.exists() else set())


def test_a_removal_cut_short_does_not_keep_the_gallery_from_being_opened_and_read(disk: Disk, path: Path) -> None:
    with disk.process() as victim:
        victim.call("open", path=str(path))
        victim.call("die_before", start="VACUUM")
        victim.begin("remove", names=["Ada"])
        assert victim.is_dead()
    disk.fill()
    with disk.process() as process:
        process.call("open", path=str(path))
        assert everybody(process) == ["Bea"]
        with pytest.raises(GalleryError, match="bytes of it may be left in the file"):
            process.call("problems")
    disk.free()
    with disk.process() as process:
        process.call("open", path=str(path))
        assert process.call("problems") == []
    with closing(SqliteGallery(path)) as gallery:
        assert not gallery.database.unpurged()


@pytest.mark.parametrize("log", [False, True])
def test_a_gallery_that_nobody_has_open_is_read_though_nothing_can_be_written(
    disk: Disk, path: Path, log: bool
) -> None:
    if log:  # whoever used it last was killed, and the machine was started anew
        with disk.process() as victim:
            victim.call("open", path=str(path))
            victim.call("fill", names=["Cleo"])
            assert victim.kill_after(0)
        path.with_name("people.db-shm").unlink()
    people = ["Ada", "Bea", *(["Cleo"] if log else [])]
    disk.fill()
    with disk.process() as process, disk.process() as other:
        assert process.call("open", path=str(path)) is True
        assert everybody(process) == people
        assert process.call("whose", name="Ada") == "Ada"
        with pytest.raises(
            GalleryError,
            match=r"no room on the disk or no permission .*; mend that, open it again$",
        ):
            process.call("fill", names=["Dora"])
        disk.free()
        if log:
            return
        other.call("open", path=str(path))
        other.call("fill", names=["Dora"])
        with pytest.raises(GalleryError, match="changed since it was opened; open it again"):
            process.call("contents")  # SQLite could not tell it of what is new
        assert process.call("open", path=str(path)) is False
        assert everybody(process) == ["Ada", "Bea", "Dora"]
