"""What a network in training can do, by pairs and by groups."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs the train extra")

from torch import nn  # noqa: E402

from twinface.errors import RecipeError  # noqa: E402
from twinface.training import validation  # noqa: E402
from twinface.training.augmentation import centre  # noqa: E402
from twinface.training.crops import CropStore  # noqa: E402
from twinface.training.recipe import LossRecipe  # noqa: E402
from twinface.training.roster import Roster  # noqa: E402
from twinface.training.sources import Shot  # noqa: E402
from twinface.training.twin import Twin  # noqa: E402
from twinface.training.validation import BATCH, Judge, Pairs, draw_pairs, embedder  # noqa: E402

LAW = settings(max_examples=50, deadline=None)
SIZE, MARGIN = 4, 1


def roster_of(persons, sources=None, groups=None, given=None, first=100):
    persons = np.array(persons, np.int64)
    numbers = np.full(len(persons), -1) if groups is None else np.array(groups)
    names = tuple(sources) if sources else ("folder",) * len(persons)
    return Roster(first + 2 * np.arange(len(persons)), persons, numbers, names, given)


def who(roster, pairs):
    """The places in the roster of the pictures of each pair."""
    place = {row: number for number, row in enumerate(roster.rows)}
    return [[place[row] for row in ends] for ends in pairs.ends]


class TestDrawing:
    @given(
        persons=st.lists(st.integers(0, 6), min_size=1, max_size=40), most=st.integers(2, 60), seed=st.integers(0, 99)
    )
    @LAW
    def test_half_are_mated_and_none_of_the_others(self, persons, most, seed):
        roster = roster_of(persons)
        pairs = draw_pairs(roster, most, seed)
        every = [ends for ends in combinations(range(len(persons)), 2) if persons[ends[0]] == persons[ends[1]]]
        wanted = min(most // 2, len(every)) if len(set(persons)) > 1 else 0
        assert pairs.mated.tolist() == [True] * wanted + [False] * wanted
        found = who(roster, pairs)
        for (one, other), mated in zip(found, pairs.mated, strict=True):
            assert (persons[one] == persons[other]) == mated
        mated = [tuple(ends) for ends in found[:wanted]]
        assert len(set(mated)) == wanted
        assert set(mated) <= set(every)

    def test_the_same_seed_draws_alike_and_another_otherwise(self):
        roster = roster_of(np.arange(60) // 3)
        first, second, third = (draw_pairs(roster, 20, seed).ends.tolist() for seed in (1, 1, 2))
        assert first == second != third

    def test_pictures_of_a_non_mated_pair_are_of_one_source_with_several_pictures_of_somebody(self):
        persons = [*np.arange(20) // 2, *(10 + np.arange(20) // 2), *(20 + np.arange(20))]
        roster = roster_of(persons, ["a"] * 20 + ["b"] * 20 + ["singles"] * 20)
        sources = np.array(roster.sources)
        pairs = draw_pairs(roster, 40, 1)
        found = sources[np.array(who(roster, pairs))]
        assert (found[:, 0] == found[:, 1]).all()
        assert set(found[len(found) // 2 :].ravel()) == {"a", "b"}

    def test_where_each_source_has_one_person_they_are_of_two(self):
        roster = roster_of([0, 0, 0, 1, 1, 1], ["a"] * 3 + ["b"] * 3)
        pairs = draw_pairs(roster, 100, 1)
        assert len(pairs.mated) == 12
        assert all(len(set(roster.persons[ends].tolist())) == 2 for ends in who(roster, pairs)[6:])

    def test_a_list_is_taken_as_it_is(self):
        listed = ((0, 2, False), (1, 0, True), (0, 2, False), (2, 1, False))
        roster = roster_of([0, 0, 1], given=listed)
        pairs = draw_pairs(roster, 2, 1)
        assert [(*ends, mated) for ends, mated in zip(who(roster, pairs), pairs.mated, strict=True)] == list(listed)

    def test_an_empty_list_is_none(self):
        assert len(draw_pairs(roster_of([0, 0, 1], given=()), 10, 1).mated) == 2

    @pytest.mark.parametrize("persons", [[], [0], [0, 0, 0], [0, 1, 2]])
    def test_without_both_kinds_there_are_no_pairs(self, persons):
        pairs = draw_pairs(roster_of(persons), 10, 1)
        assert (pairs.ends.shape, pairs.mated.tolist()) == ((0, 2), [])


def store_of(count, seed=0):
    side = SIZE + 2 * MARGIN
    pixels = np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return CropStore(pixels, tuple(Shot(str(number), "", "", "folder") for number in range(count)), (), None, Path("c"))


PLANES = torch.randn(3 * SIZE * SIZE, 5, generator=torch.Generator().manual_seed(0)) / 1000


def project(crops):
    """A network of sorts."""
    return (crops - 127.5).flatten(1) @ PLANES


def unit(crops):
    return nn.functional.normalize(project(crops))


def slow_embeddings(store, embed=project):
    return [embed(centre(torch.from_numpy(one[None]), SIZE))[0].double().numpy() for one in store.pixels]


def pairs_among(count, number, seed=1):
    random = np.random.default_rng(seed)
    return Pairs(random.integers(0, count, (number, 2)), random.random(number) < 0.5)


LOSS = LossRecipe(margin=1.2, positive_margin=0.3)


class TestPairs:
    @pytest.mark.parametrize("threshold", [None, 0.6, 0.9])
    def test_figures_equal_those_made_by_hand(self, threshold):
        store, pairs = store_of(30), pairs_among(30, 80)
        found = Judge(store, SIZE, pairs, LOSS)(project, threshold)
        embeddings = slow_embeddings(store)
        gaps = [float(np.linalg.norm(embeddings[one] - embeddings[other])) for one, other in pairs.ends]
        losses = [
            max(0.0, gap - 0.3) ** 2 if mated else max(0.0, 1.2 - gap) ** 2
            for gap, mated in zip(gaps, pairs.mated, strict=True)
        ]
        assert found.loss == pytest.approx(np.mean(losses), rel=1e-4)

        def rights(limit):
            return sum((gap <= limit) == mated for gap, mated in zip(gaps, pairs.mated, strict=True))

        if threshold is None:
            assert found.accuracy == max(rights(limit) for limit in [0.0, *(gap + 1e-5 for gap in gaps)]) / 80
        else:
            assert found.threshold == threshold
        assert found.accuracy == rights(found.threshold) / 80
        counts = [
            sum(
                (gap <= found.threshold) == near and mated == kind for gap, mated in zip(gaps, pairs.mated, strict=True)
            )
            for near, kind in ((True, True), (True, False), (False, False), (False, True))
        ]
        one = found.counts
        assert [one.true_matches, one.false_matches, one.true_non_matches, one.false_non_matches] == counts
        assert found.more == {}

    def test_it_can_be_asked_again_and_again(self):
        store, pairs = store_of(10), pairs_among(10, 20)
        judge = Judge(store, SIZE, pairs, LOSS)
        first, other, again = judge(project), judge(unit), judge(project)
        assert first == again
        assert first.loss != other.loss

    def test_only_the_pictures_of_pairs_are_looked_at_each_once_and_no_gradient_is_kept(self):
        store = store_of(200)
        ends = np.stack([np.arange(0, 140, 2), np.arange(2, 142, 2)], 1)
        seen = []

        def embed(crops):
            seen.append(crops)
            assert not torch.is_grad_enabled()
            return project(crops)

        Judge(store, SIZE, Pairs(ends, np.arange(70) % 2 == 0), LOSS)(embed)
        assert [len(crops) for crops in seen] == [BATCH, 71 - BATCH]
        assert torch.equal(torch.cat(seen), centre(torch.from_numpy(store.pixels[:142:2]), SIZE))

    def test_nothing_to_judge_by_is_refused_before_any_work(self):
        with pytest.raises(RecipeError, match=r"no mated or no non-mated pair .*; add a second picture"):
            Judge(store_of(3), SIZE, draw_pairs(roster_of([0, 1, 2], first=0), 10, 1), LOSS)


class TestGroups:
    LEAST, FMR = 5, 0.2

    @pytest.fixture(autouse=True)
    def _few_are_enough(self, monkeypatch):
        monkeypatch.setattr(validation, "LEAST_GROUP", self.LEAST)
        monkeypatch.setattr(validation, "FMR", self.FMR)

    def judged(self, store, roster, embed):
        return Judge(store, SIZE, Pairs(np.array([[0, 1], [1, 2]]), np.array([True, False])), LOSS, roster)(embed).more

    def by_hand(self, store, roster, embed):
        """The false match rate of each group that is large enough, by looking at every pair."""
        embeddings = slow_embeddings(store, embed)
        known = [place for place, group in enumerate(roster.groups) if group >= 0]
        gaps, within = [], []
        for one, other in combinations(known, 2):
            if roster.persons[one] != roster.persons[other]:
                gaps.append(np.linalg.norm(embeddings[roster.rows[one]] - embeddings[roster.rows[other]]))
                within.append(roster.groups[one] if roster.groups[one] == roster.groups[other] else -1)
        limit = np.quantile(gaps, self.FMR)
        rates = {}
        for group in set(roster.groups[known].tolist()):
            persons = {roster.persons[place] for place in known if roster.groups[place] == group}
            mine = [gap for gap, which in zip(gaps, within, strict=True) if which == group]
            if len(persons) >= self.LEAST:
                rates[group] = sum(gap <= limit for gap in mine) / len(mine)
        return rates

    @pytest.mark.parametrize("embed", [project, unit])
    def test_the_ratio_is_that_of_the_false_match_rates_within_groups(self, embed):
        store = store_of(60)
        store.pixels[40:100:2] //= 3  # one group's pictures are darker and more alike
        groups = np.array([*np.repeat([0, 1], [20, 30]), *[2] * 4, *[-1] * 6])[np.arange(30) * 2 % 60]
        persons = np.array([*range(24), 0, 1, 2, 20, 21, 22])
        roster = roster_of(persons, groups=groups, first=0)
        rates = self.by_hand(store, roster, embed)
        found = self.judged(store, roster, embed)
        assert len(rates) == 2
        assert found["group_ratio"] == pytest.approx(max(rates.values()) / min(rates.values()))
        assert found["group_worst"] == pytest.approx(max(rates.values()))
        assert found["group_ratio"] > 1.2

    def test_many_pictures_of_few_persons_are_no_group(self):
        store, groups = store_of(60), np.repeat([0, 1, 2], 10)
        persons = [*range(10), *range(10, 20), *[20, 21] * 5]
        with_few = roster_of(persons, groups=groups, first=0)
        assert set(self.by_hand(store, with_few, unit)) == {0, 1}
        rates = self.by_hand(store, with_few, unit).values()
        assert self.judged(store, with_few, unit)["group_ratio"] == pytest.approx(max(rates) / min(rates))

    @pytest.mark.parametrize(
        "groups",
        [[-1] * 30, [0] * 30, [0] * 26 + [1] * 4, [-1] * 27 + [0, 1, 2]],
        ids=["none known", "a single one", "one too small", "too few known"],
    )
    def test_without_two_groups_there_is_no_ratio(self, groups):
        assert self.judged(store_of(60), roster_of(range(30), groups=groups, first=0), unit) == {}

    def test_where_one_group_has_no_false_match_there_is_no_ratio(self):
        store = store_of(60)
        store.pixels[:30] = 90  # fifteen pictures of one colour: all false matches are theirs
        assert self.judged(store, roster_of(range(30), groups=[0] * 15 + [1] * 15, first=0), unit) == {}


class Spoiled(nn.Module):
    """Answers otherwise while it learns."""

    def forward(self, crops):
        return project(crops) * (100.0 if self.training else 1.0)


class TestEmbedder:
    @pytest.mark.parametrize("learning", [True, False])
    def test_a_twin_is_asked_in_eval_mode_and_left_as_it_was(self, learning):
        twin = Twin(nn.Sequential(Spoiled(), nn.Dropout()), unit=False).train(learning)
        crops = torch.rand(3, 3, SIZE, SIZE) * 255
        found = embedder(twin, nn.Identity(), torch.device("cpu"))(crops)
        torch.testing.assert_close(found, project(crops))
        assert [part.training for part in twin.modules()] == [learning] * 4

    def test_so_it_is_when_it_fails(self):
        twin = Twin(Spoiled(), unit=False).train()
        with pytest.raises(RuntimeError):
            embedder(twin, nn.Identity(), torch.device("cpu"))(torch.zeros(1, 3, SIZE + 1, SIZE))
        assert twin.training

    def test_the_mirror_image_s_embedding_is_added_to_unit_length(self):
        twin = Twin(Spoiled(), unit=True)
        crops = torch.rand(3, 3, SIZE, SIZE) * 255
        found = embedder(twin, nn.Identity(), torch.device("cpu"), mirror=True)(crops)
        together = unit(crops) + unit(crops.flip(3))
        torch.testing.assert_close(found, together / together.norm(dim=1, keepdim=True))
        assert (found - unit(crops)).abs().max() > 1e-3

    def test_crops_are_preprocessed(self):
        class Darker(nn.Module):
            def forward(self, crops):
                return crops / 2

        crops = torch.rand(3, 3, SIZE, SIZE) * 255
        found = embedder(Twin(Spoiled(), unit=False), Darker(), torch.device("cpu"))(crops)
        torch.testing.assert_close(found, project(crops / 2))
