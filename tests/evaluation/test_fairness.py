"""Error rates by group: counted rightly, bounded honestly, and tested by a test that keeps its level."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinface.core.similarity import normalise
from twinface.evaluation import subject_pairs
from twinface.evaluation.fairness import (
    LEAST_SUBJECTS,
    Differential,
    crossed,
    false_match_differential,
    false_non_match_differential,
)

EAST, NORTH = [1.0, 0.0], [0.0, 1.0]  # at distance 1.41 of each other
NEAR = 0.5


def faces(*vectors: list[float]) -> np.ndarray:
    return np.array(vectors, np.float32)


def random_faces(count: int, seed: int = 0, size: int = 3) -> np.ndarray:
    return normalise(np.random.default_rng(seed).normal(size=(count, size)))


def slow_counts(
    vectors: np.ndarray, people: np.ndarray, labels: np.ndarray, threshold: float, mated: bool
) -> dict[str, tuple[int, int]]:
    """Errors and pairs of each group, pair by pair, in double precision."""
    counts: dict[str, tuple[int, int]] = {}
    for group in sorted(set(labels.tolist()) - {""}):
        errors = pairs = 0
        for one, other in combinations(np.flatnonzero(labels == group), 2):
            if (people[one] == people[other]) == mated:
                gap = np.linalg.norm(vectors[one].astype(np.float64) - vectors[other])
                pairs += 1
                errors += bool(gap <= threshold) != mated
        counts[group] = errors, pairs
    return counts


def counts(result: Differential) -> dict[str, tuple[int, int]]:
    return {one.group: (one.errors, one.pairs) for one in result.groups}


def two_groups(first: int, second: int, count: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two groups of `count` persons, of whom `first` and `second` look all alike and the rest like nobody else."""
    vectors = np.eye(2 * count, dtype=np.float32)
    vectors[1:first] = vectors[0]
    vectors[count + 1 : count + second] = vectors[count]
    return vectors, np.arange(2 * count), np.repeat(["a", "b"], count)


# --- counting ---------------------------------------------------------------------------------------------------------


def test_pairs_of_different_persons_with_one_label_are_judged() -> None:
    # given Ann twice, Bob and Eve like Ann, Dan unlike; Eve of another group, and a picture of no group
    vectors = faces(EAST, EAST, EAST, NORTH, EAST, EAST)
    people, labels = np.array([0, 0, 1, 2, 3, 4]), ["x", "x", "x", "x", "y", ""]

    result = false_match_differential(vectors, people, labels, NEAR)

    # then Ann's two pictures with Bob match, Dan matches none of three, and Ann with Ann is no pair
    x, y = result.groups
    assert (x.group, x.subjects, x.pairs, x.errors, x.rate) == ("x", 3, 5, 2, 0.4)
    assert (y.group, y.subjects, y.pairs, y.errors, y.rate, y.low, y.high) == ("y", 1, 0, 0, None, None, None)


def test_pairs_of_one_person_with_one_label_are_judged_for_false_non_matches() -> None:
    vectors = faces(EAST, EAST, NORTH, EAST, EAST)
    result = false_non_match_differential(vectors, np.array([0, 0, 0, 0, 1]), ["x", "x", "x", "y", "x"], NEAR)
    x, y = result.groups
    assert (x.subjects, x.pairs, x.errors) == (1, 3, 2)
    assert (y.subjects, y.pairs, y.rate) == (0, 0, None)


def test_a_failure_to_acquire_never_matches_and_counts_as_a_pair() -> None:
    vectors = faces(EAST, EAST, [np.nan, np.nan], [1.0, np.nan])
    fmr = false_match_differential(vectors, np.arange(4), ["x"] * 4, 2.0)
    fnmr = false_non_match_differential(vectors, np.zeros(4, int), ["x"] * 4, 2.0)
    assert counts(fmr) == {"x": (1, 6)}
    assert counts(fnmr) == {"x": (5, 6)}


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.sampled_from(["", "a", "b"]), st.integers(-1, 8)), max_size=24),
    st.floats(0, 2),
    st.integers(1, 6),
)
def test_counts_agree_with_counting_pair_by_pair(
    pictures: list[tuple[int, str, int]], threshold: float, rows: int
) -> None:
    # given pictures as (person, label, one of nine looks or none), and blocks of any height
    looks = np.vstack([random_faces(9), np.full((1, 3), np.nan, np.float32)])
    people = np.array([person for person, _, _ in pictures], np.int64)
    labels = np.array([label for _, label, _ in pictures], np.str_)
    vectors = looks[[look for _, _, look in pictures]] if pictures else np.zeros((0, 3), np.float32)
    between = np.linalg.norm(looks[:9, None].astype(np.float64) - looks[:9], axis=2)
    if np.abs(between - threshold).min() < 1e-3:  # too near for single precision to tell
        threshold += 2e-3

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject_pairs, "ROWS", rows)
        fmr = false_match_differential(vectors, people, labels, threshold, rounds=5)
        fnmr = false_non_match_differential(vectors, people, labels, threshold, rounds=5)

    assert counts(fmr) == slow_counts(vectors, people, labels, threshold, mated=False)
    assert counts(fnmr) == slow_counts(vectors, people, labels, threshold, mated=True)
    for one in (*fmr.groups, *fnmr.groups):
        if one.rate is not None and one.low is not None and one.high is not None:
            assert 0 <= one.low <= one.rate <= one.high <= 1


@settings(deadline=None, max_examples=25)
@given(st.permutations(range(30)))
def test_the_order_of_pictures_and_the_numbers_of_persons_do_not_matter(order: list[int]) -> None:
    vectors, people = random_faces(30), np.arange(30) // 2
    labels = np.repeat(["a", "b"], 15)
    one = false_match_differential(vectors, people, labels, 0.8, rounds=2)
    other = false_match_differential(vectors[order], 90 - 3 * people[order], labels[order], 0.8, rounds=2)
    assert counts(one) == counts(other)


def test_nobody_gives_no_groups() -> None:
    result = false_match_differential(np.zeros((0, 2), np.float32), np.zeros(0, int), [], NEAR)
    assert result == Differential((), None, None, None)


# --- how sure ---------------------------------------------------------------------------------------------------------


def slow_resampled(people: np.ndarray, matches: np.ndarray, rounds: int) -> np.ndarray:
    """FMR of persons drawn anew, each draw bringing all pictures, pair by pair of draws."""
    random, rates = np.random.default_rng(5), []
    for _ in range(rounds):
        drawn = random.integers(0, people.max() + 1, people.max() + 1)
        rows = np.concatenate([np.flatnonzero(people == person) for person in drawn])
        different = people[rows][:, None] != people[rows]
        rates.append(matches[np.ix_(rows, rows)][different].mean())
    return np.array(rates)


def test_the_interval_is_that_of_persons_drawn_anew() -> None:
    vectors, people = random_faces(90), np.arange(90) // 2
    matches = np.linalg.norm(vectors[:, None] - vectors, axis=2) <= 0.4
    slow = np.quantile(slow_resampled(people, matches, 2000), [0.025, 0.975])

    (group,) = false_match_differential(vectors, people, ["x"] * 90, 0.4, rounds=4000).groups

    assert (group.low, group.high) == pytest.approx(slow, rel=0.05)


def test_the_variance_is_that_of_repeated_measurement() -> None:
    # given many draws of 60 persons, two pictures each, of whom some look like many
    random = np.random.default_rng(3)
    errors, variances = [], []
    for _ in range(3000):
        persons = random.normal(size=(60, 3)) * [1, 1, 0.4]
        vectors = normalise(np.repeat(persons, 2, axis=0) + 0.05 * random.normal(size=(120, 3)))
        tally = subject_pairs.false_matches(vectors, np.arange(120) // 2, 0.3, 1, (0,))
        errors.append(tally.errors)
        variances.append(tally.own + tally.shared)

    # then the estimated variance is right on average
    assert np.mean(variances) == pytest.approx(np.var(errors, ddof=1), rel=0.1)


@pytest.mark.parametrize("shots", [1, 2, 5])
def test_without_errors_the_rate_is_bounded_at_three_over_the_couples_however_many_pictures(shots: int) -> None:
    vectors, people = np.repeat(np.eye(20, dtype=np.float32), shots, axis=0), np.repeat(np.arange(20), shots)
    (matches,) = false_match_differential(vectors, people, ["x"] * people.size, NEAR).groups
    assert (matches.pairs, matches.rate, matches.low) == (190 * shots**2, 0.0, 0.0)
    assert matches.high == pytest.approx(3 / 190)


@pytest.mark.parametrize("shots", [2, 5])
def test_without_false_non_matches_the_rate_is_bounded_at_three_over_the_persons(shots: int) -> None:
    vectors, people = np.repeat(np.eye(20, dtype=np.float32), shots, axis=0), np.repeat(np.arange(20), shots)
    (missed,) = false_non_match_differential(vectors, people, ["x"] * people.size, NEAR).groups
    assert (missed.pairs, missed.rate, missed.low) == (20 * shots * (shots - 1) // 2, 0.0, 0.0)
    assert missed.high == pytest.approx(3 / 20)


def test_persons_of_one_picture_bound_no_fnmr() -> None:
    # given ten persons of two pictures and ten of one
    people = np.append(np.repeat(np.arange(10), 2), np.arange(10, 20))
    (missed,) = false_non_match_differential(np.eye(20, dtype=np.float32)[people], people, ["x"] * 30, NEAR).groups
    assert (missed.subjects, missed.pairs, missed.high) == (10, 10, pytest.approx(3 / 10))


def test_without_errors_among_single_pictures_the_bound_is_three_over_the_pairs() -> None:
    result = false_match_differential(np.eye(20, dtype=np.float32), np.arange(20), ["x"] * 20, NEAR)
    (group,) = result.groups
    assert (group.rate, group.low, group.high) == (0.0, 0.0, pytest.approx(3 / 190))


def test_when_all_match_the_rate_is_bounded_from_below() -> None:
    (group,) = false_match_differential(np.tile(faces(EAST), (20, 1)), np.arange(20), ["x"] * 20, NEAR).groups
    assert (group.rate, group.low, group.high) == (1.0, pytest.approx(1 - 3 / 190), 1.0)


def test_a_groups_interval_does_not_hang_on_other_groups() -> None:
    vectors, labels = random_faces(80), np.repeat(["a", "b"], 40)
    both = false_match_differential(vectors, np.arange(80), labels, 0.4)
    alone = false_match_differential(vectors[40:], np.arange(40), labels[40:], 0.4)
    assert both.groups[1] == alone.groups[0]


def test_the_same_seed_gives_the_same_answer() -> None:
    vectors, labels = random_faces(80), np.repeat(["a", "b"], 40)
    first, second, third = (
        false_match_differential(vectors, np.arange(80), labels, 0.4, seed=seed, rounds=50) for seed in (1, 1, 2)
    )
    assert first == second
    assert first.groups[0].low != third.groups[0].low


# --- ratio ------------------------------------------------------------------------------------------------------------


def test_the_ratio_is_worst_over_best() -> None:
    # given 4 and 3 look-alikes: 6 and 3 matches
    result = false_match_differential(*two_groups(4, 3), NEAR)
    assert (result.ratio, result.ratio_at_least) == (2.0, None)
    assert (result.worst, result.best) == ("a", "b")


def test_over_a_best_of_zero_the_ratio_is_bounded_from_below() -> None:
    # given 20 look-alikes among 40, 190 of 780 pairs, and none among the others: at most 3 of 780
    result = false_match_differential(*two_groups(20, 1), NEAR)
    assert result.ratio is None
    assert result.ratio_at_least == pytest.approx(190 / 3)


def test_the_bound_of_a_ratio_is_never_below_one() -> None:
    assert false_match_differential(*two_groups(2, 1), NEAR).ratio_at_least == 1.0


@pytest.mark.parametrize("look", [np.eye(80, dtype=np.float32), np.tile(faces(EAST), (80, 1))], ids=["none", "all"])
def test_rates_that_are_all_zero_or_all_one_show_no_difference(look: np.ndarray) -> None:
    result = false_match_differential(look, np.arange(80), np.repeat(["a", "b"], 40), NEAR)
    assert result.p == 1.0
    assert result.ratio in (None, 1.0)
    assert result.ratio_at_least is None


def test_a_small_group_is_reported_but_neither_ranked_nor_tested() -> None:
    # given two groups of enough persons and one of too few, all of them look-alikes
    vectors, _, labels = two_groups(4, 3)
    few = LEAST_SUBJECTS - 1
    vectors = np.vstack([vectors, np.tile(-vectors[:1], (few, 1))])
    more = np.concatenate([labels, ["c"] * few])

    result = false_match_differential(vectors, np.arange(len(vectors)), more, NEAR)

    assert [(one.group, one.small) for one in result.groups] == [("a", False), ("b", False), ("c", True)]
    assert result.groups[2].rate == 1.0
    without = false_match_differential(*two_groups(4, 3), NEAR)
    assert (result.ratio, result.p) == (without.ratio, without.p)


def test_one_group_has_nothing_to_be_compared_with() -> None:
    result = false_match_differential(random_faces(40), np.arange(40), ["x"] * 40, NEAR)
    assert (result.ratio, result.ratio_at_least, result.p, result.worst) == (None, None, None, None)


# --- the test ---------------------------------------------------------------------------------------------------------


def p_of_random_groups(seed: int, spread: tuple[float, float], threshold: float, apart: float = 0.0) -> float | None:
    """P value over two groups of 60 and 120 persons; `spread` tells how unlike each other a group's persons are."""
    random = np.random.default_rng(seed)
    sizes, vectors = (60, 120), []
    for number, (size, scale) in enumerate(zip(sizes, spread, strict=True)):
        centre = np.array([apart * (-1) ** number, 0, 0, 1.0])
        vectors.append(centre + scale * random.normal(size=(size, 4)))
    labels = np.repeat(["a", "b"], sizes)
    return false_match_differential(normalise(np.vstack(vectors)), np.arange(180), labels, threshold, rounds=1).p


@pytest.mark.parametrize(("threshold", "apart"), [(0.15, 0.0), (0.3, 0.0), (0.3, 2.0)])
def test_groups_alike_are_seldom_told_apart(threshold: float, apart: float) -> None:
    # given groups with one rate: few matches, many, and groups of which no two persons look alike across
    values = [p_of_random_groups(seed, (0.7, 0.7), threshold, apart) for seed in range(300)]
    shares = [np.mean([value is not None and value <= level for value in values]) for level in (0.05, 0.2, 0.5)]

    # then p values are uniform or larger, within 3 standard errors
    assert shares[0] <= 0.05 + 0.038
    assert shares[1] <= 0.2 + 0.069
    assert shares[2] <= 0.5 + 0.087
    assert shares[2] > 0.25  # and not all near one


def test_a_real_difference_is_found() -> None:
    # given groups of which one's persons are more alike
    found = [p_of_random_groups(seed, (0.7, 0.4), 0.3) for seed in range(50)]
    assert np.mean([value is not None and value <= 0.05 for value in found]) > 0.8


@pytest.mark.parametrize(("rates", "least", "most"), [((0.05, 0.05, 0.05), 0.0, 0.11), ((0.02, 0.02, 0.15), 0.9, 1.0)])
def test_false_non_matches_that_cluster_in_persons_are_tested_as_clusters(
    rates: tuple[float, float, float], least: float, most: float
) -> None:
    # given persons with five pictures of whom a share looks like somebody else in every one but the first
    told = []
    for seed in range(120):
        random = np.random.default_rng(seed)
        odd = random.random((3, 100)) < np.array(rates)[:, None]
        looks = np.where(odd.ravel()[:, None] & (np.arange(5) > 0), 1, 0)
        vectors = np.eye(2, dtype=np.float32)[looks.ravel()]
        labels = np.repeat(["a", "b", "c"], 500)
        p = false_non_match_differential(vectors, np.repeat(np.arange(300), 5), labels, NEAR, rounds=1).p
        told.append(p is not None and p <= 0.05)
    assert least <= np.mean(told) <= most


# --- labels and arguments ---------------------------------------------------------------------------------------------


def test_labelings_are_crossed_where_both_are_known() -> None:
    joint = crossed(["Asian", "Asian", "", "White"], ["women", "", "men", "men"])
    assert joint.tolist() == ["Asian women", "", "", "White men"]


@pytest.mark.parametrize("labelings", [(), (["a"], ["b", "c"]), ([["a"]],)])
def test_labelings_that_do_not_fit_are_refused(labelings: tuple[list[str], ...]) -> None:
    with pytest.raises(ValueError, match="groups: expected labelings of one length"):
        crossed(*labelings)


@pytest.mark.parametrize(
    ("vectors", "people", "labels", "threshold", "rounds"),
    [
        (np.zeros(3), np.arange(3), ["a"] * 3, 1.0, 5),
        (np.zeros((3, 2)), np.arange(2), ["a"] * 3, 1.0, 5),
        (np.zeros((3, 2)), np.arange(3), ["a"] * 2, 1.0, 5),
        (np.zeros((3, 2)), np.arange(3.0), ["a"] * 3, 1.0, 5),
        (np.zeros((3, 2)), np.arange(3), ["a"] * 3, np.nan, 5),
        (np.zeros((3, 2)), np.arange(3), ["a"] * 3, 1.0, 0),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    vectors: np.ndarray, people: np.ndarray, labels: list[str], threshold: float, rounds: int
) -> None:
    with pytest.raises(ValueError, match="groups: expected"):
        false_match_differential(vectors, people, labels, threshold, rounds=rounds)
