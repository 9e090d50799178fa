"""Another encoder: templates anew from kept photos, what would change is told, and all switch at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gallery_album import Album, picture

from twinface.core.types import Analysis, Box, Face
from twinface.errors import ContractMismatch, GalleryError
from twinface.gallery.sqlite import SqliteGallery
from twinface.services.enrolment import Enroller, EnrolmentOptions
from twinface.services.identification import Identifier
from twinface.services.migration import Change, Plan, commit, prepare
from twinface.services.recognition import Recognizer

PICTURES = ("a", "a~", "a~~", "b", "b~")


@pytest.fixture
def old() -> Album:
    return Album()


@pytest.fixture
def new() -> Album:
    return Album(turn=1)


@pytest.fixture
def store(tmp_path: Path, old: Album) -> Iterator[SqliteGallery]:
    opened = SqliteGallery(tmp_path / "people.db", create=old.space)
    people = {"a": "Ada", "b": "Bob"}
    options = EnrolmentOptions(keep_photos=True)
    list(Enroller(old, opened, options).enroll(picture(people[text[0]], text) for text in PICTURES))
    yield opened
    opened.close()


def migrate(store: SqliteGallery, old: Album, new: Album) -> Plan:
    return prepare(store, new, new.space, (old.rule, new.rule))


def names(store: SqliteGallery, album: Album, text: bytes) -> tuple[str, ...]:
    return Identifier(Recognizer(album, album.rule, ("e", "f")), store).identify(text).names


def test_a_plan_changes_nothing_for_anybody(store: SqliteGallery, old: Album, new: Album) -> None:
    plan = migrate(store, old, new)
    assert (plan.ready, plan.left_behind, plan.lost, plan.changes, plan.compared) == (5, (), 0, (), 5)
    assert names(store, old, b"a2b") == ("Ada", "Bob")
    assert store.info().space == old.space


def test_after_the_switch_the_new_model_names_them(store: SqliteGallery, old: Album, new: Album) -> None:
    commit(store, migrate(store, old, new))
    assert names(store, new, b"a2bx") == ("Ada", "Bob")
    with pytest.raises(ContractMismatch):
        names(store, old, b"a")
    assert store.problems() == []
    back = migrate(store, new, old)
    commit(store, back)
    assert names(store, old, b"a2b") == ("Ada", "Bob")


def test_what_was_made_is_not_made_again(store: SqliteGallery, old: Album, new: Album) -> None:
    """An interrupted run goes on where it was."""
    migrate(store, old, new)
    new.located.clear()
    list(Enroller(old, store, EnrolmentOptions(keep_photos=True)).enroll([picture("Cyd", "c")]))
    assert migrate(store, old, new).ready == 6
    assert new.located == [b"c"]


def test_people_without_kept_photos_are_named_before_it_is_too_late(
    store: SqliteGallery, old: Album, new: Album
) -> None:
    list(Enroller(old, store).enroll([picture("Cyd", "c"), picture("Ada", "a~~~")]))
    plan = migrate(store, old, new)
    assert [one.name for one in plan.left_behind] == ["Cyd"]
    assert (plan.ready, plan.lost) == (5, 1)
    commit(store, plan)
    assert names(store, new, b"c") == ()
    assert store.find("Cyd").samples == 1  # she is kept, and comes back with the old model
    store.switch(old.space)
    assert names(store, old, b"c") == ("Cyd",)


def test_decisions_that_change_are_listed(store: SqliteGallery, old: Album, new: Album) -> None:
    """The new encoder takes Bob's face for Ada's."""
    new.encoder.direction = lambda letter: np.random.default_rng(7).normal(size=32)  # type: ignore[method-assign]
    plan = migrate(store, old, new)
    assert Change("Bob", 5, "b~.jpg", "Bob", "Bob") not in plan.changes
    taken = {(one.subject, one.source, one.before, one.after) for one in plan.changes}
    assert ("Bob", "b.jpg", "Bob", "Ada") in taken
    assert plan.compared == 5


def test_strangers_to_one_another_are_strangers_in_both(tmp_path: Path, old: Album, new: Album) -> None:
    store = SqliteGallery(tmp_path / "one.db", create=old.space)
    options = EnrolmentOptions(keep_photos=True)
    list(Enroller(old, store, options).enroll([picture("Ada", "a"), picture("Bob", "b")]))
    assert migrate(store, old, new).changes == ()
    store.close()


def test_of_several_faces_the_enrolled_one_is_found_again(tmp_path: Path, old: Album, new: Album) -> None:
    class Boxed(Album):
        """Its faces lie side by side."""

        def locate(self, source: object) -> Analysis:
            analysis = super().locate(source)
            faces: Sequence[Face] = [
                replace(face, box=Box(1000.0 * place, 0, face.box.width, face.box.height))
                for place, face in enumerate(sorted(analysis.faces, key=lambda face: int(face.crop[0, 0, 0])))
            ]
            return replace(analysis, faces=tuple(sorted(faces, key=lambda face: -face.box.area)))

    store = SqliteGallery(tmp_path / "boxed.db", create=old.space)
    options = EnrolmentOptions(face=2, keep_photos=True)
    list(Enroller(Boxed(), store, options).enroll([picture("Bob", "a2b")]))
    commit(store, migrate(store, old, Boxed(turn=1)))
    assert names(store, new, b"b") == ("Bob",)
    assert names(store, new, b"a") == ()
    store.close()


def test_a_photo_in_which_nobody_is_found_any_more_is_lost(store: SqliteGallery, old: Album) -> None:
    class Blind(Album):
        def locate(self, source: object) -> Analysis:
            return super().locate(b"." if b"b" in bytes(source) else source)  # type: ignore[call-overload]

    blind = Blind(turn=2)
    plan = migrate(store, old, blind)
    assert (plan.ready, [one.name for one in plan.left_behind]) == (3, ["Bob"])


def test_to_the_same_model_there_is_nothing_to_do(store: SqliteGallery, old: Album, new: Album) -> None:
    with pytest.raises(ContractMismatch, match="nothing to migrate"):
        migrate(store, old, old)
    with pytest.raises(ContractMismatch, match="different encoders"):
        prepare(store, old, new.space, (old.rule, new.rule))


def test_an_empty_gallery_moves_too(tmp_path: Path, old: Album, new: Album) -> None:
    store = SqliteGallery(tmp_path / "empty.db", create=old.space)
    plan = migrate(store, old, new)
    assert (plan.ready, plan.changes, plan.compared) == (0, (), 0)
    commit(store, plan)
    assert store.info().space == new.space
    with pytest.raises(ContractMismatch, match="nothing to migrate"):
        migrate(store, old, new)
    store.close()


def test_a_plan_that_is_out_of_date_is_not_carried_out(store: SqliteGallery, old: Album, new: Album) -> None:
    plan = migrate(store, old, new)
    list(Enroller(old, store).enroll([picture("Cyd", "c")]))
    with pytest.raises(GalleryError, match="meanwhile"):
        commit(store, plan)
    assert names(store, old, b"c") == ("Cyd",)
