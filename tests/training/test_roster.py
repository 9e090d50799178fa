"""Who is in the pictures, and on which side of the line between training and validation."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="needs the train extra")

from twinface.errors import DatasetMissing
from twinface.training.crops import CropStore
from twinface.training.roster import Roster, assemble
from twinface.training.sources import Shot

LAW = settings(max_examples=80, deadline=None)


def store_of(shots, pairs=None):
    """A store of crops without a pixel."""
    pixels = np.zeros((len(shots), 1, 1, 3), np.uint8)
    return CropStore(pixels, tuple(shots), (), None if pairs is None else tuple(pairs), Path("crops.npy"))


def shot(number, person, group="", source="folder"):
    return Shot(f"{number}.jpg", person, group, source)


def roster_of(persons, groups=None, sources=None):
    persons = np.array(persons, np.int64)
    groups = np.full(len(persons), -1) if groups is None else np.array(groups)
    return Roster(10 * np.arange(len(persons)), persons, groups, tuple(sources or ["folder"] * len(persons)))


@st.composite
def stores(draw):
    """Some pictures of few persons in up to three sources; somebody may be in several. Two persons in each at least."""
    count = draw(st.integers(6, 40))
    sources = draw(st.lists(st.sampled_from(["one", "two", "three"]), min_size=count, max_size=count))
    persons = draw(st.lists(st.integers(0, 7), min_size=count, max_size=count))
    sources += [name for name in set(sources) for _ in range(2)]
    persons += [100 + number for number in range(len(sources) - count)]
    groups = draw(st.lists(st.sampled_from(["", "x", "y"]), min_size=len(sources), max_size=len(sources)))
    shots = [shot(*facts) for facts in zip(range(len(sources)), map(str, persons), groups, sources, strict=True)]
    ends = st.integers(0, len(shots) - 1)
    pairs = draw(st.none() | st.lists(st.tuples(ends, ends), max_size=12))
    listed = pairs and [(one, other, shots[one].person == shots[other].person) for one, other in pairs]
    return store_of(shots, listed)


class TestAssemble:
    @given(store=stores(), share=st.floats(0.01, 0.99), seed=st.integers(0, 2**32 - 1))
    @LAW
    def test_no_person_is_on_both_sides_and_no_picture_on_none(self, store, share, seed):
        train, validation = assemble(store, share, seed)
        sides = [{store.shots[row].person for row in side.rows} for side in (train, validation)]
        assert not sides[0] & sides[1]
        assert sorted([*train.rows, *validation.rows]) == list(range(len(store.shots)))
        assert sides[1]

    @given(store=stores(), share=st.floats(0, 0.99), seed=st.integers(0, 99))
    @LAW
    def test_each_side_numbers_its_persons_and_groups_without_gaps(self, store, share, seed):
        for side in assemble(store, share, seed):
            shots = [store.shots[row] for row in side.rows]
            assert (np.diff(side.rows) > 0).all()
            assert sorted(set(side.persons.tolist())) == list(range(len({one.person for one in shots})))
            assert len(set(zip(side.persons.tolist(), [one.person for one in shots], strict=True))) == len(
                set(side.persons.tolist())
            )
            known = sorted({one.group for one in shots} - {""})
            assert [known[group] if group >= 0 else "" for group in side.groups] == [one.group for one in shots]
            assert side.sources == tuple(one.source for one in shots)

    @given(store=stores(), share=st.floats(0, 0.99), seed=st.integers(0, 99))
    @LAW
    def test_listed_pairs_stay_where_both_their_pictures_are_on_one_side(self, store, share, seed):
        for side in assemble(store, share, seed):
            if store.pairs is None:
                assert side.given is None
                continue
            there = set(side.rows.tolist())
            wanted = [pair for pair in store.pairs if pair[0] in there and pair[1] in there]
            assert [(side.rows[one], side.rows[other], mated) for one, other, mated in side.given] == wanted

    def test_the_share_counts_persons_of_each_source(self):
        shots = [shot(number, f"{source}{number // 2}", "", source) for source in "ab" for number in range(40)]
        train, validation = assemble(store_of(shots), 0.2, 1)
        for side, wanted in ((train, 16), (validation, 4)):
            for name in "ab":
                assert len(set(side.persons[side.within([name])].tolist())) == wanted

    def test_without_a_share_nobody_is_kept_back(self):
        train, validation = assemble(store_of([shot(0, "a"), shot(1, "b")]), 0.0, 1)
        assert (train.rows.tolist(), len(validation.rows), validation.sources) == ([0, 1], 0, ())
        assert validation.persons.dtype == validation.rows.dtype == validation.groups.dtype == np.int64

    def test_the_same_seed_parts_alike_and_another_otherwise(self):
        store = store_of([shot(number, str(number)) for number in range(60)])
        kept = [assemble(store, 0.3, seed)[1].rows.tolist() for seed in (1, 1, 2)]
        assert kept[0] == kept[1] != kept[2]

    def test_a_source_of_one_person_cannot_be_parted(self):
        with pytest.raises(DatasetMissing, match="there are 1 in all"):
            assemble(store_of([shot(0, "a"), shot(1, "a")]), 0.2, 1)


class TestRoster:
    def test_pictures_of_some_sources_or_of_all(self):
        roster = roster_of([0, 1, 2, 3], sources=["a", "b", "a", "c"])
        assert roster.within(()).tolist() == [0, 1, 2, 3]
        assert roster.within(["a"]).tolist() == [0, 2]
        assert roster.within(["c", "b"]).tolist() == [1, 3]
        assert roster.within(["d"]).tolist() == []

    def test_pictures_of_some_groups_within_the_sources(self):
        shots = [
            shot(0, "a", "Black", "x"),
            shot(1, "b", "Asian", "x"),
            shot(2, "c", "", "x"),
            shot(3, "d", "Asian", "y"),
        ]
        roster, _ = assemble(store_of(shots), 0.0, 1)
        assert roster.names == ("Asian", "Black")
        assert roster.within((), ["Asian"]).tolist() == [1, 3]
        assert roster.within(["x"], ["Asian"]).tolist() == [1]
        assert roster.within((), ["Black", "Asian"]).tolist() == [0, 1, 3]
        assert roster.within((), ["White"]).tolist() == []

    def test_nobody_is_in_an_empty_roster(self):
        empty = roster_of([])
        assert empty.within(["a"]).tolist() == empty.within(()).tolist() == empty.albums(empty.within(()), 1) == []

    @given(persons=st.lists(st.integers(0, 6), max_size=40), data=st.data(), least=st.integers(1, 4))
    @LAW
    def test_albums_hold_everybody_with_enough_pictures_in_order(self, persons, data, least):
        places = sorted(data.draw(st.sets(st.sampled_from(range(len(persons)))))) if persons else []
        albums = roster_of(persons).albums(np.array(places, np.int64), least)
        wanted = [[place for place in places if persons[place] == person] for person in range(7)]
        assert [album.tolist() for album in albums] == [album for album in wanted if len(album) >= least]

    def test_lengths_that_differ_are_refused(self):
        three = np.arange(3)
        with pytest.raises(ValueError, match=r"must be of one length, got \[2, 3\]"):
            Roster(three, three, three, ("folder",) * 2)
