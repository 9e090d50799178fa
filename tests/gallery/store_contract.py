"""What every gallery store must do, whatever keeps the people: the port `GalleryStore` as tests.

A pupil is a class that inherits `StoreContract` and gives the fixture `open_store`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from twinface.core.ports import GalleryStore
from twinface.core.similarity import normalise
from twinface.core.subjects import Entry, NewSample, TemplateSpace
from twinface.core.types import Box, Quality, Template
from twinface.errors import ContractMismatch, DuplicateSubject, GalleryError, UnknownSubject

DIMENSION = 64
SPACE = TemplateSpace("the present encoder", "twin-r29", True, DIMENSION)
OTHER = TemplateSpace("another encoder", "twin-nano", False, 2 * DIMENSION)
QUALITY = Quality(60.0, 0.5, 120.0, 40.0, -3.0, 1.0, ("blurred",))

OpenStore = Callable[[], GalleryStore]


def vector(seed: int, dimension: int = DIMENSION) -> NDArray[np.float32]:
    """A template of its own for every number."""
    return normalise(np.random.default_rng(seed).normal(size=dimension))


def sample(seed: int, *, photo: bytes | None = None, space: TemplateSpace = SPACE) -> NewSample:
    digest = hashlib.sha256(f"picture {seed}".encode()).hexdigest()
    template = Template(vector(seed, space.dimension), space.identity)
    return NewSample(digest, template, f"album/{seed}.jpg", QUALITY, Box(1, 2, 30, 40), photo)


def entries(name: str, *seeds: int, photos: bool = False, expires: datetime | None = None) -> list[Entry]:
    return [Entry(name, sample(seed, photo=b"photo %d" % seed if photos else None), expires) for seed in seeds]


def fill(store: GalleryStore) -> GalleryStore:
    """Ada with pictures 1 and 2, Bob with 3, Cyd with 4, 5 and 6."""
    store.enroll([*entries("Ada", 1, 2), *entries("Bob", 3), *entries("Cyd", 4, 5, 6)])
    return store


def fused(probe: NDArray[np.float32], *seeds: int) -> float:
    """The distance to a person of these pictures: mean of that to the nearest and that to their mean."""
    vectors = np.stack([vector(seed) for seed in seeds])
    nearest = float(np.linalg.norm(vectors - probe, axis=1).min())
    return (nearest + float(np.linalg.norm(normalise(vectors.mean(axis=0)) - probe))) / 2


def found(store: GalleryStore, *seeds: int, top: int = 1) -> list[list[str]]:
    """Names of those nearest to pictures, as far as they are so near as only those who have the picture."""
    neighbours, _ = store.nearest(np.stack([vector(seed) for seed in seeds]), top)
    return [[store.names([one.subject])[one.subject] for one in some if one.distance < 0.8] for some in neighbours]


class StoreContract:
    """The port, as tests. `open_store` gives one more handle on one and the same gallery, empty at first."""

    @pytest.fixture
    def open_store(self) -> OpenStore:
        raise NotImplementedError

    @pytest.fixture
    def store(self, open_store: OpenStore) -> GalleryStore:
        return open_store()

    # enrolment

    def test_a_new_gallery_is_empty_and_says_what_makes_its_templates(self, store: GalleryStore) -> None:
        info = store.info()
        assert (info.subjects, info.samples, info.photos, info.templates, info.expiring) == (0, 0, 0, 0, 0)
        assert info.space == SPACE
        assert store.subjects() == []
        assert store.nearest(vector(1)[None], 3) == ([[]], 0)
        assert store.templates().vectors.shape == (0, DIMENSION)
        assert store.problems() == []

    def test_people_are_made_as_their_pictures_come(self, store: GalleryStore) -> None:
        outcomes = store.enroll([*entries("Ada", 1), *entries("Bob", 2), *entries("Ada", 3)])
        assert [(one.kind, one.name) for one in outcomes] == [
            ("enrolled", "Ada"), ("enrolled", "Bob"), ("enrolled", "Ada"),
        ]  # fmt: skip
        assert [(one.name, one.samples) for one in store.subjects()] == [("Ada", 2), ("Bob", 1)]
        assert store.info().templates == 3

    def test_the_same_picture_changes_nothing(self, store: GalleryStore) -> None:
        fill(store)
        before = store.info()
        again = store.enroll([*entries("Ada", 1), *entries("ADA ", 2)])
        assert [(one.kind, one.name) for one in again] == [("duplicate", "Ada"), ("duplicate", "Ada")]
        assert store.info() == before

    def test_the_same_picture_twice_in_one_call_is_enrolled_once(self, store: GalleryStore) -> None:
        assert [one.kind for one in store.enroll(entries("Ada", 1, 1))] == ["enrolled", "duplicate"]
        assert store.info().samples == 1

    def test_a_picture_of_somebody_else_is_a_conflict_and_makes_nobody(self, store: GalleryStore) -> None:
        fill(store)
        (outcome,) = store.enroll(entries("Eve", 3))
        assert (outcome.kind, outcome.name) == ("conflict", "Bob")
        with pytest.raises(UnknownSubject):
            store.find("Eve")

    def test_a_name_is_found_however_it_is_written(self, store: GalleryStore) -> None:
        store.enroll(entries("Zoe\u0301  M\u00fcller", 1))
        person = store.find("ZO\u00c9 m\u00fcller")
        assert person.name == "Zo\u00e9 M\u00fcller"
        assert store.names([person.uid, "00" * 16]) == {person.uid: person.name}

    def test_nothing_is_kept_of_a_call_that_fails(self, store: GalleryStore) -> None:
        foreign = Entry("Bob", sample(9, space=TemplateSpace("yet another", "x", True, DIMENSION)))
        with pytest.raises(ContractMismatch, match="another model"):
            store.enroll([*entries("Ada", 1), foreign])
        with pytest.raises(GalleryError, match="slash"):
            store.enroll([*entries("Ada", 1), *entries("a/b", 2)])
        assert store.info().samples == 0
        assert store.subjects() == []

    def test_an_empty_call_is_none(self, store: GalleryStore) -> None:
        assert store.enroll([]) == []

    def test_what_is_kept_of_a_picture_comes_back(self, store: GalleryStore) -> None:
        store.enroll(entries("Ada", 1, 2, photos=True))
        person = store.find("Ada")
        first, second = store.samples(person.uid)
        assert (first.source, first.quality, first.box) == ("album/1.jpg", QUALITY, Box(1, 2, 30, 40))
        assert first.digest == sample(1).digest
        assert first.number < second.number
        assert (store.photo(first.number), store.photo(second.number)) == (b"photo 1", b"photo 2")
        assert (person.photos, first.has_photo) == (2, True)

    def test_photos_are_not_kept_unless_given(self, store: GalleryStore) -> None:
        fill(store)
        (only,) = store.samples(store.find("Bob").uid)
        assert (only.has_photo, store.photo(only.number), store.photo(12345)) == (False, None, None)

    def test_known_pictures_are_told_with_whose_they_are(self, store: GalleryStore) -> None:
        fill(store)
        known = store.known([sample(seed).digest for seed in (1, 3, 99)])
        assert known == {sample(1).digest: "Ada", sample(3).digest: "Bob"}
        assert store.known([]) == {}

    # search

    def test_everybody_is_found_by_her_own_picture(self, store: GalleryStore) -> None:
        assert found(fill(store), 1, 2, 3, 6) == [["Ada"], ["Ada"], ["Bob"], ["Cyd"]]

    def test_distances_are_those_of_the_encoder(self, store: GalleryStore) -> None:
        fill(store)
        probe = vector(77)
        neighbours, compared = store.nearest(probe[None], 10)
        pictures = {"Ada": (1, 2), "Bob": (3,), "Cyd": (4, 5, 6)}
        expected = sorted((fused(probe, *seeds), name) for name, seeds in pictures.items())
        names = store.names([one.subject for one in neighbours[0]])
        assert [names[one.subject] for one in neighbours[0]] == [name for _, name in expected]
        assert [one.distance for one in neighbours[0]] == pytest.approx([gap for gap, _ in expected], abs=1e-6)
        assert compared == 6

    def test_templates_come_back_as_the_encoder_made_them(self, store: GalleryStore) -> None:
        enrolled = fill(store).templates()
        assert enrolled.space == SPACE
        assert enrolled.vectors == pytest.approx(np.stack([vector(seed) for seed in range(1, 7)]), abs=1e-6)
        names = store.names(enrolled.uids)
        assert [names[enrolled.uids[place]] for place in enrolled.subjects] == ["Ada"] * 2 + ["Bob"] + ["Cyd"] * 3
        assert (np.diff(enrolled.samples) > 0).all()

    # changes by others

    def test_what_another_handle_changes_is_seen_at_once(self, open_store: OpenStore) -> None:
        one, other = fill(open_store()), open_store()
        assert found(other, 3) == [["Bob"]]
        one.enroll(entries("Dan", 7))
        assert found(other, 7) == [["Dan"]]
        one.remove(["Bob"])
        assert found(other, 3) == [[]]
        one.rename("Ada", "Ada Lovelace")
        assert found(other, 1) == [["Ada Lovelace"]]
        one.merge("Cyd", ["Dan"])
        assert found(other, 7, 4) == [["Cyd"], ["Cyd"]]
        one.renew()
        assert found(other, 7, 4, 1) == [["Cyd"], ["Cyd"], ["Ada Lovelace"]]
        assert other.nearest(vector(1)[None], 9)[1] == one.info().templates == 6

    # names

    def test_renaming_keeps_everything_else(self, store: GalleryStore) -> None:
        fill(store)
        before = store.find("Ada")
        store.rename("ada", "Augusta")
        after = store.find("Augusta")
        assert (after.uid, after.samples, after.created) == (before.uid, before.samples, before.created)
        assert found(store, 1) == [["Augusta"]]
        with pytest.raises(UnknownSubject):
            store.find("Ada")

    def test_a_name_may_be_written_otherwise(self, store: GalleryStore) -> None:
        fill(store)
        store.rename("ada", "ADA")
        assert store.find("ada").name == "ADA"

    def test_nobody_takes_the_name_of_somebody_else(self, store: GalleryStore) -> None:
        fill(store)
        with pytest.raises(DuplicateSubject, match="Bob"):
            store.rename("Ada", "bob")
        with pytest.raises(UnknownSubject, match="Eve"):
            store.rename("Eve", "Bob")
        assert [one.name for one in store.subjects()] == ["Ada", "Bob", "Cyd"]

    def test_merging_gives_all_pictures_to_one(self, store: GalleryStore) -> None:
        store.enroll([*entries("Ada", 1), *entries("Augusta", 2, photos=True), *entries("Bob", 3)])
        receipt = store.merge("Ada", ["Augusta", "ada"])
        assert len(receipt.subjects) == 1
        assert [(one.name, one.samples, one.photos) for one in store.subjects()] == [("Ada", 2, 1), ("Bob", 1, 0)]
        assert found(store, 1, 2) == [["Ada"], ["Ada"]]
        assert store.photo(store.samples(store.find("Ada").uid)[1].number) == b"photo 2"
        assert store.problems() == []

    def test_merging_with_a_stranger_changes_nothing(self, store: GalleryStore) -> None:
        fill(store)
        with pytest.raises(UnknownSubject, match="Eve"):
            store.merge("Ada", ["Bob", "Eve"])
        assert [one.name for one in store.subjects()] == ["Ada", "Bob", "Cyd"]

    # removal

    def test_removal_says_what_it_removed(self, store: GalleryStore) -> None:
        fill(store)
        store.enroll(entries("Ada", 8, photos=True))
        uids = {store.find(name).uid for name in ("Ada", "Bob")}
        receipt = store.remove(["ADA", "Bob", "ada"])
        assert (set(receipt.subjects), receipt.samples, receipt.photos) == (uids, 4, 1)
        assert receipt.gallery == store.info().id
        assert [one.name for one in store.subjects()] == ["Cyd"]
        assert found(store, 1, 3, 8, 4) == [[], [], [], ["Cyd"]]
        assert store.info().photos == 0

    def test_nobody_is_removed_if_one_is_unknown(self, store: GalleryStore) -> None:
        fill(store)
        with pytest.raises(UnknownSubject, match="Eve"):
            store.remove(["Ada", "Eve"])
        assert store.find("Ada").samples == 2

    def test_who_was_removed_may_come_again(self, store: GalleryStore) -> None:
        fill(store)
        before = store.find("Ada").uid
        store.remove(["Ada"])
        assert [one.kind for one in store.enroll(entries("Ada", 1, 2))] == ["enrolled", "enrolled"]
        assert store.find("Ada").uid != before

    def test_single_pictures_are_removed_and_with_the_last_the_person(self, store: GalleryStore) -> None:
        fill(store)
        numbers = [one.number for one in store.samples(store.find("Ada").uid)]
        assert store.remove_samples(numbers[:1]).subjects == ()
        assert found(store, 1, 2) == [[], ["Ada"]]
        assert len(store.remove_samples(numbers[1:]).subjects) == 1
        assert found(store, 2) == [[]]
        with pytest.raises(UnknownSubject):
            store.find("Ada")
        with pytest.raises(GalleryError, match="no picture number"):
            store.remove_samples([4, 12345])
        assert store.info().samples == 4

    # expiry

    def test_those_whose_time_is_over_are_not_found_and_then_removed(self, store: GalleryStore) -> None:
        soon = datetime.now(UTC) + timedelta(days=1)
        store.enroll([*entries("Ada", 1, expires=soon), *entries("Bob", 2)])
        assert store.find("Ada").expires == soon.replace(microsecond=0)
        assert found(store, 1) == [["Ada"]]
        assert store.expire() is None
        store.set_expiry("Ada", datetime.now(UTC) - timedelta(seconds=5))
        assert found(store, 1, 2) == [[], ["Bob"]]
        receipt = store.expire()
        assert receipt is not None
        assert (len(receipt.subjects), receipt.samples) == (1, 1)
        assert [one.name for one in store.subjects()] == ["Bob"]

    def test_an_expiry_can_be_taken_back(self, store: GalleryStore) -> None:
        store.enroll(entries("Ada", 1, expires=datetime.now(UTC) + timedelta(days=1)))
        assert store.info().expiring == 1
        store.set_expiry("Ada", None)
        assert (store.find("Ada").expires, store.info().expiring) == (None, 0)
        with pytest.raises(UnknownSubject):
            store.set_expiry("Eve", None)

    # another model

    def test_staged_templates_meet_nobody_until_the_switch(self, store: GalleryStore) -> None:
        fill(store)
        numbers = store.templates().samples.tolist()
        fresh = {number: vector(100 + number, OTHER.dimension) for number in numbers}
        store.stage(OTHER, fresh)
        staged = store.staged(OTHER)
        assert {number: staged[number] == pytest.approx(fresh[number], abs=1e-6) for number in staged} == dict.fromkeys(
            numbers, True
        )
        assert found(store, 1) == [["Ada"]]
        assert store.info().space == SPACE
        store.switch(OTHER)
        assert store.info().space == OTHER
        neighbours, compared = store.nearest(np.stack([fresh[number] for number in numbers]), 1)
        assert [one[0].sample for one in neighbours] == numbers
        assert compared == len(numbers)
        with pytest.raises(ContractMismatch):
            store.enroll(entries("Dan", 7))
        assert store.staged(SPACE) == {}

    def test_those_without_a_new_template_keep_the_old_one_and_are_not_found(self, store: GalleryStore) -> None:
        fill(store)
        (first, *_) = store.templates().samples.tolist()
        store.stage(OTHER, {first: vector(7, OTHER.dimension), 12345: vector(8, OTHER.dimension)})
        store.switch(OTHER)
        assert store.info().templates == 1
        assert store.info().samples == 6
        assert store.nearest(vector(7, OTHER.dimension)[None], 9)[1] == 1
        store.switch(SPACE)
        assert store.info().templates == 5
        assert found(store, 2, 3) == [["Ada"], ["Bob"]]

    def test_nothing_staged_is_nothing(self, store: GalleryStore) -> None:
        assert fill(store).staged(OTHER) == {}

    # renewal

    def test_renewed_templates_are_found_as_before(self, store: GalleryStore) -> None:
        fill(store)
        before = store.nearest(vector(55)[None], 3)[0][0]
        for _ in range(3):
            store.renew()
        after = store.nearest(vector(55)[None], 3)[0][0]
        assert [one.subject for one in after] == [one.subject for one in before]
        assert [one.distance for one in after] == pytest.approx([one.distance for one in before], abs=1e-6)
        assert store.problems() == []

    def test_a_closed_store_says_so(self, open_store: OpenStore) -> None:
        store = open_store()
        store.close()
        with pytest.raises(GalleryError, match="closed"):
            store.info()
