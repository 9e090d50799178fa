"""kill -9 at any moment: what was told to be kept is there, nothing is there by half, and the erased stay erased."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faults
import pytest

from twinface.core.naming import name_key
from twinface.gallery.copies import back_up
from twinface.gallery.keys import Key
from twinface.gallery.sqlite import SqliteGallery
from twinface.gallery.vault import open_vault

pytestmark = pytest.mark.skipif(
    not faults.CAN_KILL, reason="needs Linux: processes are watched by descriptors of theirs"
)

PEOPLE = ADA, BEA, CLEO, DORA, EDDA, FAY, GIL, HANS = tuple(
    f"{name} {faults.digest_of(name.encode())[:32]}"  # letters that are nowhere else
    for name in ("Ada", "Bea", "Cleo", "Dora", "Edda", "Fay", "Gil", "Hans")
)
KLEOPATRA = "Kleopatra"


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with faults.quick_folder() as folder:
        yield folder


def trials(few: int, many: int) -> Any:
    return pytest.mark.parametrize("trials", [few, pytest.param(many, marks=pytest.mark.long)])


def is_whole(gallery: SqliteGallery) -> None:
    assert gallery.problems() == []
    assert faults.halves(gallery.path) == []


# enrolling


@trials(12, 200)
def test_after_a_kill_every_picture_that_was_told_to_be_enrolled_is_there_and_none_by_half(
    nursery: faults.Nursery, tmp_path: Path, trials: int
) -> None:
    kept: dict[int, dict[str, bytes]] = {}
    for trial in range(trials):
        key = faults.KEYS[trial % 2]
        path = tmp_path / f"{trial // 8} {trial % 2}.db"  # every fourth trial makes the gallery
        start = 16 * trial
        with nursery.victim() as victim:
            victim.begin("open_and_enroll", path=str(path), encrypted=key is not None, start=start)
            if trial % 3:
                victim.told()  # else it may not even have made the gallery
            assert victim.kill_after(random.Random(trial).uniform(0.0, 0.05))
            told = victim.messages
        expected = kept.setdefault(trial // 8 * 2 + trial % 2, {})
        for number, shot in told:
            content = faults.content_of(f"person {number}", shot)
            expected[faults.digest_of(content)] = content
        if not path.exists():
            assert not told
            continue
        with closing(SqliteGallery(path, key=key)) as gallery:
            is_whole(gallery)
            owners = gallery.known(list(expected))
            assert set(owners) == set(expected)
            names = faults.nearest_names(gallery, [faults.content_of(ADA), *expected.values()])
            assert names == [None, *(owners[digest] for digest in expected)]
            assert {one.name for one in gallery.subjects()} >= set(owners.values())
            faults.fill(gallery, "somebody new")  # it takes more
            gallery.remove(["somebody new"])
    assert any(kept.values())


# everything else that writes


@dataclass(frozen=True)
class Change:
    """Something that changes a gallery.

    Attributes:
        job: what the victim is told.
        words: with these words.
        after: names afterwards by names before; those that are missing are erased.
        erased: which rows are to be found nowhere afterwards, and of whom.
    """

    job: str
    words: dict[str, Any]
    after: Callable[[dict[str, list[str]]], dict[str, list[str]]]
    erased: tuple[str, ...] = ()
    whose: tuple[str, ...] = PEOPLE


def without(*names: str) -> Callable[[dict[str, list[str]]], dict[str, list[str]]]:
    return lambda people: {name: some for name, some in people.items() if name not in names}


def renamed(people: dict[str, list[str]]) -> dict[str, list[str]]:
    return {{CLEO: KLEOPATRA}.get(name, name): some for name, some in people.items()}


def merged(people: dict[str, list[str]]) -> dict[str, list[str]]:
    return {**without(EDDA, FAY)(people), DORA: [one for name in (DORA, EDDA, FAY) for one in people[name]]}


def same(people: dict[str, list[str]]) -> dict[str, list[str]]:
    return people


ALL = ("people", "pictures", "photos", "templates")
CHANGES = {
    "remove": Change("remove", {"names": [ADA, HANS]}, without(ADA, HANS), ALL, (ADA, HANS)),
    "rename": Change("rename", {"name": CLEO, "new": KLEOPATRA}, renamed, ("names",), (CLEO,)),
    "merge": Change("merge", {"into": DORA, "others": [EDDA, FAY]}, merged, ("people",), (EDDA, FAY)),
    "renew": Change("renew", {}, same, ("templates", "matrix")),
    "switch": Change("switch", {}, same, ("templates", "matrix")),
    "restore": Change("restore", {"backup": "", "path": "", "replace": True}, without(GIL), ALL, (GIL,)),
}


@dataclass(frozen=True)
class Scene:
    """A gallery with people in it, ready to be changed and killed over and over.

    Attributes:
        original: the file.
        backup: a backup of it before the last of its people came.
        path: where it is copied to.
        key: of the gallery.
        before: its people.
    """

    original: Path
    backup: Path
    path: Path
    key: Key | None
    before: dict[str, list[str]]

    def marks(self, change: Change) -> set[bytes]:
        """What must be gone after a change."""
        with closing(SqliteGallery(self.original, key=self.key)) as gallery, gallery.database.reading() as connection:
            vault = open_vault(connection.execute("SELECT vault FROM gallery").fetchone()[0], self.key)
        keys = {name: vault.blind("name", name_key(name).encode()) for name in PEOPLE}
        others = [keys[name] for name in PEOPLE if name not in change.whose]
        pieces: set[bytes] = faults.traces(self.original, [keys[name] for name in change.whose], others, *change.erased)
        return pieces

    def staying(self, people: dict[str, list[str]]) -> list[str]:
        """Of the people before, those whose pictures are there."""
        there = {digest for digests in people.values() for digest in digests}
        return [name for name, digests in self.before.items() if there.issuperset(digests)]

    def words(self, change: Change) -> dict[str, Any]:
        if change.job != "restore":
            return change.words
        return {**change.words, "backup": str(self.backup), "path": str(self.path), "encrypted": self.key is not None}

    def begin(self, nursery: faults.Nursery) -> faults.Victim:
        """A victim that has the gallery open, as it was at first."""
        faults.copy_gallery(self.original, self.path)
        victim = nursery.victim()
        victim.call("open", path=str(self.path), encrypted=self.key is not None)
        return victim

    def judge(self, change: Change, marks: set[bytes], *, answered: bool) -> bool:
        """Whether the change has happened; all of it has or nothing, and if it has, nothing of the old is left."""
        with closing(SqliteGallery(self.path, key=self.key)) as gallery:
            left = faults.share_left(self.path, marks)  # before anything else is written, or closed
            is_whole(gallery)
            people = sorted_samples(faults.contents(gallery))
            old, new = sorted_samples(self.before), sorted_samples(change.after(self.before))
            switched = gallery.info().space == faults.OTHER_SPACE
            done = people != old or switched or left < 1.0
            assert people == (new if done else old)
            assert switched == (done and change.job == "switch")
            assert done or not answered
            assert left == (0.0 if done else 1.0)
            shown = [
                next(one for one in people if self.before[name][0] in people[one]) for name in self.staying(people)
            ]
            pictures = [faults.content_of(name) for name in self.staying(people)]
            assert faults.nearest_names(gallery, pictures) == shown
        assert faults.share_left(self.path, marks) == left
        return done


def sorted_samples(people: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: sorted(some) for name, some in people.items()}


@pytest.fixture(params=faults.KEYS, ids=faults.KEY_IDS)
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Scene:
    key: Key | None = request.param
    original, backup = tmp_path / "original.db", tmp_path / "backup.db"
    with closing(SqliteGallery(original, key=key, create=faults.SPACE)) as gallery:
        faults.fill(gallery, *(name for name in PEOPLE if name != GIL))
        back_up(gallery, backup)
        faults.fill(gallery, GIL)
        numbers = {one.number: one.digest for each in gallery.subjects() for one in gallery.samples(each.uid)}
        pictures = {
            faults.digest_of(content): content
            for name in PEOPLE
            for content in (faults.content_of(name, 0), faults.content_of(name, 1))
        }
        gallery.stage(
            faults.OTHER_SPACE,
            {number: faults.template_of(pictures[digest], faults.OTHER_SPACE) for number, digest in numbers.items()},
        )
        before = faults.contents(gallery)
    (tmp_path / "there").mkdir()
    return Scene(original, backup, tmp_path / "there" / "people.db", key, before)


@pytest.mark.parametrize("what", CHANGES)
@trials(2, 34)
def test_killed_at_a_random_moment_a_change_has_happened_whole_or_not_at_all(
    nursery: faults.Nursery, scene: Scene, what: str, trials: int
) -> None:
    change = CHANGES[what]
    marks = scene.marks(change)
    with scene.begin(nursery) as victim:
        begun = time.monotonic()
        victim.call(change.job, **scene.words(change))
        lasted = time.monotonic() - begun
    assert scene.judge(change, marks, answered=True)
    for trial in range(trials):
        with scene.begin(nursery) as victim:
            victim.begin(change.job, **scene.words(change))
            cut_short = victim.kill_after(random.Random(trial).uniform(0.0, 1.1 * lasted))
        scene.judge(change, marks, answered=not cut_short)


DEATHS = {"COMMIT": False, "VACUUM": True, "PRAGMA wal_checkpoint": True, "UPDATE gallery SET unpurged = 0": True}
"""Statements before which it dies, of the transaction and of the purge; whether the change has happened."""


@pytest.mark.parametrize("what", [one for one in CHANGES if one != "restore"])
def test_killed_before_its_end_a_change_has_not_happened_and_a_purge_cut_short_is_finished_at_the_next_opening(
    nursery: faults.Nursery, scene: Scene, what: str
) -> None:
    change = CHANGES[what]
    marks = scene.marks(change)
    for statement, happened in DEATHS.items():
        with scene.begin(nursery) as victim:
            victim.call("die_before", start=statement)
            victim.begin(change.job, **scene.words(change))
            assert victim.is_dead()
        assert scene.judge(change, marks, answered=False) == happened


@pytest.mark.long
@pytest.mark.parametrize("what", [one for one in CHANGES if one != "restore"])
def test_killed_at_any_statement_a_change_has_happened_whole_or_not_at_all(
    nursery: faults.Nursery, scene: Scene, what: str
) -> None:
    change = CHANGES[what]
    marks = scene.marks(change)
    happened, cut_short = [], True
    while cut_short:
        with scene.begin(nursery) as victim:
            victim.call("die_at", statement=1 + len(happened))
            victim.begin(change.job, **scene.words(change))
            cut_short = victim.is_dead()
        happened.append(scene.judge(change, marks, answered=not cut_short))
    assert happened == sorted(happened)  # not at all at first, and from some statement on for good
    assert (happened[0], happened[-2]) == (False, True)


def test_a_purge_does_not_pass_for_one_of_what_was_erased_after_it_had_begun(
    nursery: faults.Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "people.db"
    with (
        closing(SqliteGallery(path, create=faults.SPACE)) as first,
        closing(SqliteGallery(path)) as second,
        nursery.victim() as victim,
    ):
        faults.fill(first, ADA, BEA, CLEO, DORA)
        rebuild = first.database._rebuild

        def rebuild_while_others_erase() -> None:
            rebuild()
            second.remove([BEA])
            victim.call("open", path=str(path))
            victim.call("die_before", start="VACUUM")
            victim.begin("remove", names=[CLEO])
            assert victim.is_dead()

        monkeypatch.setattr(first.database, "_rebuild", rebuild_while_others_erase)
        first.remove([ADA])
        assert list(faults.contents(first)) == [DORA]
        assert first.database.unpurged()
    with closing(SqliteGallery(path)) as third:
        assert not third.database.unpurged()
