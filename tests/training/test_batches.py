"""Which pictures make up each batch."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs the train extra")

from twinface.errors import RecipeError  # noqa: E402
from twinface.training import batches  # noqa: E402
from twinface.training.batches import BatchMaker  # noqa: E402
from twinface.training.mining import MemoryBank  # noqa: E402
from twinface.training.recipe import BatchPart, MiningRecipe  # noqa: E402
from twinface.training.roster import Roster  # noqa: E402

LAW = settings(max_examples=40, deadline=None)
ALBUMS = st.lists(st.integers(1, 5), min_size=2, max_size=8).filter(lambda sizes: max(sizes) > 1)


def roster_of(sizes, sources=None, groups=None, given=None):
    """Persons with so many pictures each, their pictures shuffled."""
    persons = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    names = tuple(sources[person] for person in persons) if sources else ("folder",) * len(persons)
    numbers = np.full(len(persons), -1) if groups is None else np.array(groups)[persons]
    called = tuple(f"group{number}" for number in range(numbers.max() + 1))
    return Roster(100 + np.arange(len(persons)), persons, numbers, names, given, called)


def epoch_of(maker, epoch=0):
    start = epoch * maker.steps_per_epoch
    return [maker.batch(step) for step in range(start, start + maker.steps_per_epoch)]


def pairs_of(batch):
    """The pairs as places in the roster, with whether they are mated."""
    return [(*batch.places[ends].tolist(), bool(mated)) for ends, mated in zip(batch.pairs, batch.mated, strict=True)]


def same(one, other):
    for name in ("places", "parts", "pairs", "mated"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


class TestPairs:
    @given(sizes=ALBUMS, count=st.integers(1, 20), seed=st.integers(0, 999))
    @LAW
    def test_all_brings_every_combination_exactly_once_an_epoch(self, sizes, count, seed):
        roster = roster_of(sizes)
        maker = BatchMaker(roster, [BatchPart("pairs", count=count, pairing="all")], seed)
        every = [(one, other) for one, other in combinations(range(len(roster.rows)), 2)]
        for epoch in (0, 1):
            found = [pair for batch in epoch_of(maker, epoch) for pair in pairs_of(batch)]
            assert sorted(tuple(sorted(pair[:2])) for pair in found) == every
            assert all((roster.persons[one] == roster.persons[other]) == mated for one, other, mated in found)

    @given(sizes=ALBUMS, count=st.integers(1, 20), seed=st.integers(0, 999))
    @LAW
    def test_balanced_brings_every_mated_pair_and_as_many_others(self, sizes, count, seed):
        roster = roster_of(sizes)
        maker = BatchMaker(roster, [BatchPart("pairs", count=count, pairing="balanced")], seed)
        every = [pair for pair in combinations(range(len(roster.rows)), 2) if len(set(roster.persons[[*pair]])) == 1]
        for epoch in (0, 1):
            found = [pair for batch in epoch_of(maker, epoch) for pair in pairs_of(batch)]
            assert sorted(tuple(sorted(pair[:2])) for pair in found if pair[2]) == every
            other = [pair[:2] for pair in found if not pair[2]]
            assert len(other) == len(every)
            assert all(roster.persons[one] != roster.persons[two] for one, two in other)

    def test_others_are_drawn_anew_each_epoch_and_pairs_come_in_another_order(self):
        maker = BatchMaker(roster_of([4] * 6), [BatchPart("pairs", count=100)], 1)
        first, second = (pairs_of(maker.batch(epoch)) for epoch in (0, 1))
        assert {pair for pair in first if not pair[2]} != {pair for pair in second if not pair[2]}
        assert [pair for pair in first if pair[2]] != [pair for pair in second if pair[2]]
        assert first != sorted(first, key=lambda pair: pair[2])  # mated and others are mixed

    def test_given_pairs_come_as_they_are_listed(self):
        listed = ((0, 3, True), (1, 2, False), (4, 0, False), (2, 2, True), (0, 3, True))
        maker = BatchMaker(roster_of([3, 2], given=listed), [BatchPart("pairs", count=2, pairing="given")], 1)
        found = epoch_of(maker)
        assert [len(batch.pairs) for batch in found] == [2, 2, 1]
        assert Counter(pair for batch in found for pair in pairs_of(batch)) == Counter(listed)

    def test_a_picture_in_several_pairs_is_looked_at_once(self):
        batch = BatchMaker(roster_of([3, 3]), [BatchPart("pairs", count=15, pairing="all")], 1).batch(0)
        assert batch.places.tolist() == [0, 1, 2, 3, 4, 5]
        assert (batch.pairs.shape, batch.mated.sum(), batch.parts.tolist()) == ((15, 2), 6, [0] * 6)

    def test_only_the_last_batch_is_shorter(self):
        maker = BatchMaker(roster_of([3, 3]), [BatchPart("pairs", count=4, pairing="all")], 1)
        assert maker.steps_per_epoch == 4
        assert [len(batch.pairs) for batch in epoch_of(maker)] == [4, 4, 4, 3]
        assert [len(batch.pairs) for batch in epoch_of(maker, 1)] == [4, 4, 4, 3]

    def test_pairs_are_of_the_part_s_sources(self):
        roster = roster_of([3, 3, 3], ["a", "a", "b"])
        for pairing in ("all", "balanced"):
            maker = BatchMaker(roster, [BatchPart("pairs", ("a",), 50, pairing=pairing)], 1)
            assert {roster.sources[place] for place in maker.batch(0).places} == {"a"}


class TestRows:
    def test_persons_come_with_as_many_pictures_as_asked(self):
        roster = roster_of([5, 4, 3, 3, 2, 1])
        maker = BatchMaker(roster, [BatchPart("per-class", count=3, pictures=3)], 1)
        met = set()
        for step in range(30):
            batch = maker.batch(step)
            assert (batch.pairs, batch.mated, len(set(batch.places.tolist()))) == (None, None, 9)
            persons = roster.persons[batch.places].reshape(3, 3)
            assert (persons == persons[:, :1]).all()
            assert len(set(persons[:, 0].tolist())) == 3
            met |= set(persons[:, 0].tolist())
        assert met == {0, 1, 2, 3}  # the others have too few pictures

    def test_with_fewer_persons_than_asked_some_come_twice(self):
        roster = roster_of([3, 3])
        batch = BatchMaker(roster, [BatchPart("per-class", count=5, pictures=2)], 1).batch(0)
        assert len(batch.places) == 10
        assert set(roster.persons[batch.places]) <= {0, 1}

    def test_random_pictures_are_different_ones_while_there_are_enough(self):
        roster = roster_of([2, 2, 3], ["a", "a", "b"])
        maker = BatchMaker(roster, [BatchPart("random", ("a",), 4)], 1)
        assert {tuple(sorted(maker.batch(step).places)) for step in range(5)} == {tuple(roster.within(["a"]))}
        many = BatchMaker(roster, [BatchPart("random", ("a",), 9)], 1).batch(0).places
        assert len(many) == 9
        assert set(many) <= set(roster.within(["a"]))

    def test_parts_come_one_behind_the_other(self):
        roster = roster_of([4, 4, 4], ["a", "b", "b"])
        parts = [BatchPart("random", ("a",), 3), BatchPart("per-class", ("b",), 2, 2), BatchPart("random", (), 2)]
        batch = BatchMaker(roster, parts, 1).batch(0)
        assert batch.parts.tolist() == [0] * 3 + [1] * 4 + [2] * 2
        sources = [roster.sources[place] for place in batch.places]
        assert sources[:7] == ["a"] * 3 + ["b"] * 4

    def test_an_epoch_brings_as_many_pictures_as_there_are(self):
        roster = roster_of([10] * 10, ["a"] * 5 + ["b"] * 5)
        parts = [BatchPart("random", ("a",), 6), BatchPart("per-class", ("a",), 2, 2)]
        assert BatchMaker(roster, parts, 1).steps_per_epoch == 5
        assert BatchMaker(roster, [BatchPart("random", count=1000)], 1).steps_per_epoch == 1


PEOPLE = 60
"""Each with one picture, in three groups."""


def bank_of(roster, searched=True):
    """As a run has it: who is of no part's source has no group."""
    groups = np.where(np.array(roster.sources) == "a", roster.groups, -1)
    templates = torch.from_numpy(np.random.default_rng(1).standard_normal((PEOPLE, 4)).astype(np.float32))
    bank = MemoryBank(templates, groups, MiningRecipe(nearest=5, same=0.0), 1.5, roster.persons)
    if searched:
        bank.search()
    return bank


@pytest.fixture(scope="module")
def crowd():
    return roster_of([1] * PEOPLE, ["a"] * 40 + ["b"] * 20, np.repeat([0, 1, 2], 20))


class TestNeighbours:
    PART = BatchPart("neighbours", ("a",), count=4, pictures=2, views=5)

    def test_anchors_bring_pictures_that_the_bank_finds_nearest_and_some_come_twice(self, crowd):
        bank = bank_of(crowd)
        maker = BatchMaker(crowd, [self.PART], 1, bank)
        assert maker.is_mined
        for step in range(10):
            places = maker.batch(step).places
            once, again = places[:-5], places[-5:]
            assert len(set(once.tolist())) == len(once) <= 12
            assert len(set(again.tolist())) == 5
            assert set(again) <= set(once)
            assert {crowd.sources[place] for place in places} == {"a"}
            near = [place for place in once if any(place in bank.neighbours[other] for other in once)]
            assert len(near) >= len(once) - 4

    def test_each_part_draws_from_its_own_groups_as_many_anchors_as_it_says(self, crowd):
        parts = [
            BatchPart("neighbours", (), count, 2, groups=(name,)) for name, count in (("group0", 2), ("group1", 5))
        ]
        maker = BatchMaker(crowd, parts, 1, bank_of(crowd))
        for step in range(10):
            batch = maker.batch(step)
            assert (crowd.groups[batch.places] == batch.parts).all()
            for part, most in ((0, 6), (1, 15)):
                assert most / 3 <= (batch.parts == part).sum() <= most

    def test_single_pictures_can_be_of_some_groups_too(self, crowd):
        maker = BatchMaker(crowd, [BatchPart("random", groups=("group2", "group0"), count=30)], 1)
        assert set(crowd.groups[maker.batch(0).places].tolist()) == {0, 2}

    def test_pictures_of_other_sources_are_left_out_though_the_bank_knows_them(self, crowd):
        maker = BatchMaker(crowd, [BatchPart("neighbours", ("a",), count=60, pictures=1)], 1, bank_of(crowd))
        assert set(maker.batch(0).places) == set(crowd.within(["a"]))

    def test_an_epoch_is_as_long_before_the_first_search_as_after(self, crowd):
        lengths = [BatchMaker(crowd, [self.PART], 1, bank_of(crowd, one)).steps_per_epoch for one in (False, True)]
        assert lengths == [2, 2]  # 40 pictures, up to 4 * (1 + 2) + 5 in each batch

    def test_batches_follow_what_the_bank_has_learnt(self, crowd):
        bank = bank_of(crowd)
        maker = BatchMaker(crowd, [self.PART], 1, bank)
        before = maker.batch(0)
        learnt = torch.from_numpy(np.random.default_rng(2).standard_normal((PEOPLE, 4)).astype(np.float32))
        bank.update(torch.arange(PEOPLE), torch.nn.functional.normalize(learnt))
        same(before, maker.batch(0))  # until the next search
        bank.search()
        assert maker.batch(0).places.tolist() != before.places.tolist()


PARTS = {
    "all": [BatchPart("pairs", count=7, pairing="all")],
    "balanced": [BatchPart("pairs", count=7)],
    "per-class": [BatchPart("per-class", count=3, pictures=2), BatchPart("random", count=5)],
}


class TestResuming:
    @pytest.mark.parametrize("kind", PARTS)
    def test_a_fresh_maker_goes_on_with_the_same_batches(self, kind):
        roster = roster_of([3] * 6)
        old = BatchMaker(roster, PARTS[kind], 5)
        whole = [old.batch(step) for step in range(3 * old.steps_per_epoch)]
        for step in (len(whole) - 1, old.steps_per_epoch, 1, 0):  # in any order
            same(BatchMaker(roster, PARTS[kind], 5).batch(step), whole[step])
            same(old.batch(step), whole[step])

    def test_so_does_one_whose_bank_was_restored(self, crowd):
        old, other = bank_of(crowd), bank_of(crowd, searched=False)
        other.load(old.state())
        makers = [BatchMaker(crowd, [TestNeighbours.PART], 5, bank) for bank in (old, other)]
        for step in (0, 9):
            same(*(maker.batch(step) for maker in makers))

    @pytest.mark.parametrize("kind", PARTS)
    def test_another_seed_gives_other_batches(self, kind):
        roster = roster_of([3] * 6)
        one, other = (BatchMaker(roster, PARTS[kind], seed).batch(0) for seed in (5, 6))
        assert one.places.tolist() != other.places.tolist()

    def test_only_batches_with_neighbours_are_mined(self):
        assert not any(BatchMaker(roster_of([3] * 6), parts, 1).is_mined for parts in PARTS.values())


class TestRefusals:
    @pytest.mark.parametrize(
        ("sizes", "part", "said"),
        [
            ([2, 2], BatchPart("random", ("b",)), r"batch\.0\.sources: there are no training pictures of b$"),
            (
                [2, 2],
                BatchPart("random", ("folder",), groups=("Asian",)),
                r"batch\.0\.groups: there are no training pictures of folder and Asian; the groups are not known",
            ),
            (
                [4, 2],
                BatchPart("per-class", pictures=3),
                r"batch\.0\.pictures: 1 persons of any source have 3 pictures",
            ),
            ([2, 2], BatchPart("neighbours"), r"batch\.0\.kind: neighbours need a memory bank"),
            (
                [2, 2],
                BatchPart("pairs", pairing="given"),
                r'batch\.0\.pairing: "given" needs a source that lists pairs',
            ),
            ([1, 1], BatchPart("pairs", pairing="all"), r"batch\.0: .* lack two pictures of one person"),
            ([1, 1], BatchPart("pairs"), r"batch\.0: .* lack two pictures of one person"),
            ([3], BatchPart("pairs", pairing="all"), r"batch\.0: .* lack two persons"),
            ([3], BatchPart("pairs", ("folder",)), r"batch\.0: the training pictures of folder lack two persons"),
        ],
    )
    def test_a_part_that_cannot_be_filled_is_refused_by_its_path(self, sizes, part, said):
        with pytest.raises(RecipeError, match=said):
            BatchMaker(roster_of(sizes), [part], 1)

    def test_groups_that_there_are_get_named(self, crowd):
        with pytest.raises(RecipeError, match=r"of White; the groups are group0, group1, group2$"):
            BatchMaker(crowd, [BatchPart("random", groups=("White",))], 1)

    def test_the_part_at_fault_is_named(self):
        parts = [BatchPart("random"), BatchPart("per-class", pictures=9)]
        with pytest.raises(RecipeError, match=r"batch\.1\.pictures: 0 persons"):
            BatchMaker(roster_of([3, 3]), parts, 1)

    def test_more_combinations_than_can_be_held_are_refused(self, monkeypatch):
        monkeypatch.setattr(batches, "MOST_PAIRS", 14)
        part = BatchPart("pairs", pairing="all")
        with pytest.raises(RecipeError, match='"all" would be 15 pairs; choose "balanced"'):
            BatchMaker(roster_of([3, 3]), [part], 1)
        monkeypatch.setattr(batches, "MOST_PAIRS", 15)
        assert len(BatchMaker(roster_of([3, 3]), [part], 1).batch(0).pairs) == 15
