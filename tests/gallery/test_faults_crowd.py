"""Eight processes enrol and remove people in one gallery, and a ninth looks on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import faults
import pytest

from twinface.errors import GalleryLocked
from twinface.gallery.sqlite import SqliteGallery

pytestmark = pytest.mark.skipif(
    not faults.CAN_KILL, reason="needs Linux: processes are watched by descriptors of theirs"
)

WORKERS = 8
KEEP = 4
RESIDENTS = [f"resident {number}" for number in range(10)]


@pytest.mark.parametrize("rounds", [6, pytest.param(100, marks=pytest.mark.long)])
def test_eight_processes_change_a_gallery_at_once_and_every_one_finds_its_own_people(
    nursery: faults.Nursery, tmp_path: Path, rounds: int
) -> None:
    path = tmp_path / "people.db"
    with closing(SqliteGallery(path, create=faults.SPACE)) as gallery, ExitStack() as processes:
        faults.fill(gallery, *RESIDENTS)
        reader = processes.enter_context(nursery.victim())
        reader.begin("watch", path=str(path), residents=RESIDENTS)
        assert reader.told() == "watching"
        workers = [processes.enter_context(nursery.victim()) for _ in range(WORKERS)]
        for number, worker in enumerate(workers):
            worker.begin("work", path=str(path), number=number, rounds=rounds, keep=KEEP)
        for worker in workers:
            worker.result()  # raises whatever it met, be it GalleryLocked
        reader.begin("stop")
        assert reader.result() > 0

        expected = {f"worker {number} person {turn}" for number in range(WORKERS) for turn in range(0, rounds, KEEP)}
        assert {one.name for one in gallery.subjects()} == expected | set(RESIDENTS)
        counted = gallery.info()
        assert (counted.subjects, counted.samples, counted.templates, counted.photos) == (
            len(expected) + len(RESIDENTS),
            len(expected) + 2 * len(RESIDENTS),
            len(expected) + 2 * len(RESIDENTS),
            len(expected) + len(RESIDENTS),
        )
        assert len(gallery.erased()) == WORKERS * rounds - len(expected)
        everybody = sorted(expected | set(RESIDENTS))
        assert faults.nearest_names(gallery, [faults.content_of(name) for name in everybody]) == everybody
        assert gallery.problems() == []
        assert not gallery.database.unpurged()
    assert faults.halves(path) == []


def test_eight_processes_that_make_the_same_gallery_at_once_make_one(nursery: faults.Nursery, tmp_path: Path) -> None:
    path = tmp_path / "people.db"
    names = [f"person {number}" for number in range(WORKERS)]
    with ExitStack() as processes:
        workers = [processes.enter_context(nursery.victim()) for _ in names]
        for worker in workers:
            worker.begin("open", path=str(path), create=True)
        for worker in workers:
            assert worker.result() is False
        for worker, name in zip(workers, names, strict=True):
            worker.begin("fill", names=[name])
        for worker in workers:
            worker.result()
        for worker in workers:
            assert sorted(worker.call("contents")) == names
    assert not list(tmp_path.glob(".twinface-*"))


def test_threads_share_a_gallery(tmp_path: Path) -> None:
    with closing(SqliteGallery(tmp_path / "people.db", create=faults.SPACE)) as gallery:
        faults.fill(gallery, *RESIDENTS)

        def work(number: int) -> None:
            for turn in range(4):
                name = f"thread {number} person {turn}"
                faults.fill(gallery, name, pictures=1)
                assert faults.nearest_name(gallery, faults.content_of(name)) == name
                if turn % 2:
                    gallery.remove([name])
                assert faults.nearest_names(gallery, [faults.content_of(one) for one in RESIDENTS]) == RESIDENTS

        with ThreadPoolExecutor(WORKERS) as threads:
            list(threads.map(work, range(WORKERS)))
        assert gallery.info().subjects == len(RESIDENTS) + 2 * WORKERS
        assert gallery.problems() == []


def test_a_removal_does_not_wait_for_ever_for_one_who_goes_on_reading_and_says_what_is_left(
    nursery: faults.Nursery, tmp_path: Path
) -> None:
    path = tmp_path / "people.db"
    with closing(SqliteGallery(path, create=faults.SPACE, patience=0.05)) as gallery:
        faults.fill(gallery, "Ada", "Bea", "Cleo")
        with nursery.victim() as reader:
            reader.call("open", path=str(path))
            reader.begin("hold")
            assert reader.told() == "reading"
            with pytest.raises(
                GalleryLocked, match=r"found no more, but bytes .* left .* run twinface gallery verify$"
            ):
                gallery.remove(["Ada"])
            assert [one.name for one in gallery.subjects()] == ["Bea", "Cleo"]
            with pytest.raises(GalleryLocked, match="another process still reads an older state"):
                gallery.problems()
            with closing(SqliteGallery(path, patience=0.05)) as other:  # it opens all the same
                assert [one.name for one in other.subjects()] == ["Bea", "Cleo"]
            assert reader.kill_after(0)
        assert gallery.problems() == []
        assert not gallery.database.unpurged()


def test_one_who_writes_without_end_is_waited_for_no_longer_than_patience_lasts(
    nursery: faults.Nursery, tmp_path: Path
) -> None:
    path = tmp_path / "people.db"
    with closing(SqliteGallery(path, create=faults.SPACE, patience=0.05)) as gallery:
        faults.fill(gallery, "Ada")
        with nursery.victim() as writer:
            writer.call("open", path=str(path))
            writer.begin("hold", writing=True)
            assert writer.told() == "writing"
            with pytest.raises(
                GalleryLocked, match=r"^.*people\.db: another process has been writing .* try again later$"
            ):
                faults.fill(gallery, "Bea")
            assert faults.nearest_name(gallery, faults.content_of("Ada")) == "Ada"
            assert writer.kill_after(0)
        faults.fill(gallery, "Bea")
        assert [one.name for one in gallery.subjects()] == ["Ada", "Bea"]
