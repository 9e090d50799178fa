"""Verification figures: right, with intervals that rest on persons and never claim what nobody has seen."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinface.app.measuring.figures import measure
from twinface.core.calibration import LogisticCurve, wilson
from twinface.core.decision import DecisionRule, OperatingPoint
from twinface.evaluation.scores import Scores
from twinface.evaluation.verification import confusion

AT = 0.45
"""The threshold in use."""


def rule(*thresholds):
    points = tuple(
        OperatingPoint("id", "made", fmr, at, at, at, 1000, 100, 0.0, 0.0, 0.1)
        for fmr, at in zip((1e-2, 1e-3), thresholds, strict=False)
    )
    return DecisionRule("id", LogisticCurve(-20.0, 9.0, 0.001), points, 1e-2)


def everybody(persons, shots, near, far):
    """All pairs of pictures of so many persons; `near` and `far` give a distance each, or several at a time."""
    pictures = [(person, shot) for person in range(persons) for shot in range(shots)]
    subjects = np.array([(one, other) for (one, _), (other, _) in combinations(pictures, 2)], np.int32)
    mated = subjects[:, 0] == subjects[:, 1]
    gaps = np.empty(mated.size)
    gaps[mated], gaps[~mated] = near(mated.sum()), far((~mated).sum())
    return Scores(gaps, mated, subjects)


def apart(persons, shots, seed=0):
    """Persons whom every threshold around 0.45 tells apart."""
    random = np.random.default_rng(seed)
    return everybody(persons, shots, lambda n: random.uniform(0.1, 0.4, n), lambda n: random.uniform(0.5, 1.2, n))


def blurred(persons, shots, seed=0, spread=0.12):
    """Persons who are mixed up now and then."""
    random = np.random.default_rng(seed)
    return everybody(
        persons, shots, lambda n: random.normal(0.3, spread, n).clip(0), lambda n: random.normal(0.7, spread, n).clip(0)
    )


# without an error


@pytest.mark.parametrize(("persons", "shots"), [(12, 4), (19, 2), (45, 2), (58, 3), (60, 2), (61, 2)])
def test_perfect_separation_leaves_doubt_as_large_as_the_persons_are_few(persons, shots):
    found = measure(apart(persons, shots), rule(AT), rounds=20)  # some of these areas are rounded to just below one
    assert (found.auc.value, found.auc.low, found.auc.high) == (1.0, pytest.approx(1 - 3 / persons), 1.0)
    assert (found.eer.value, found.eer.low, found.eer.high) == (0.0, 0.0, pytest.approx(3 / persons))
    (deployed,) = found.deployed
    couples = persons * (persons - 1) // 2
    assert (deployed.fmr.value, deployed.fmr.high) == (0.0, pytest.approx(3 / couples))
    assert (deployed.fnmr.value, deployed.fnmr.high) == (0.0, pytest.approx(3 / persons))
    assert (deployed.right.value, deployed.right.low) == (1.0, pytest.approx(1 - 3 / (persons + couples)))


def test_perfect_rates_are_bounded_by_the_persons_of_mated_pairs():
    found = measure(apart(150, 2), None, rounds=20)
    assert found.deployed == ()
    for target in (1e-2, 1e-3):
        assert (found.tar[target].value, found.tar[target].low) == (1.0, pytest.approx(1 - 3 / 150))


def test_of_the_persons_only_those_with_mated_pairs_bound_a_rate_of_them():
    # given ten persons of two pictures and ninety of one
    scores = apart(100, 2)
    kept = ~scores.mated | (scores.subjects[:, 0] < 10)
    found = measure(Scores(scores.distances[kept], scores.mated[kept], scores.subjects[kept]), rule(AT), rounds=20)
    assert found.subjects == 100
    assert found.deployed[0].fnmr.high == found.eer.high == pytest.approx(3 / 10)
    assert found.deployed[0].fmr.high == pytest.approx(3 / 4950)


def test_where_all_fails_the_bounds_are_mirrored():
    found = measure(apart(20, 2), rule(0.05, 0.02), rounds=20).deployed[0]
    assert (found.fnmr.value, found.fnmr.low, found.fnmr.high) == (1.0, pytest.approx(1 - 3 / 20), 1.0)
    open_door = measure(apart(20, 2), rule(1.9), rounds=20).deployed[0]
    assert (open_door.fmr.value, open_door.fmr.low, open_door.fmr.high) == (1.0, pytest.approx(1 - 3 / 190), 1.0)


# with errors


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.integers(4, 12), st.integers(2, 4), st.floats(0.2, 0.9), st.booleans())
def test_values_are_those_of_the_confusion_and_lie_in_their_intervals(seed, persons, shots, at, failing):
    scores = blurred(persons, shots, seed)
    if failing:
        gaps = np.where(np.random.default_rng(seed).random(scores.mated.size) < 0.1, np.nan, scores.distances)
        scores = Scores(gaps, scores.mated, scores.subjects)
    judged = confusion(scores, at)
    every = measure(scores, rule(at), rounds=10)
    (found,) = every.deployed
    assert found.right.value == judged.accuracy
    assert (found.fmr.value, found.fnmr.value) == (judged.fmr, judged.fnmr)
    for interval in (found.right, found.fmr, found.fnmr):
        assert interval.low > 0 or interval.value == 0  # an error that was seen does happen
        assert interval.high < 1 or interval.value == 1
    for interval in (found.right, found.fmr, found.fnmr, every.auc, every.eer):
        assert 0 <= interval.low <= interval.value <= interval.high <= 1
        assert interval.low < interval.high


@pytest.mark.parametrize("persons", [6, 12, 29])
def test_few_persons_tell_no_more_than_as_many_independent_trials(persons):
    # given one person of whom nothing matches, whom many rounds draw never or always
    scores = apart(persons, 3)
    gaps = np.where(scores.mated & (scores.subjects[:, 0] == 0), 0.46, scores.distances)
    found = measure(Scores(gaps, scores.mated, scores.subjects), rule(AT)).deployed[0].fnmr
    low, high = wilson(1, persons)
    assert found.value == pytest.approx(1 / persons)
    assert found.low == pytest.approx(low)
    assert found.high >= high - 1e-12


@pytest.mark.parametrize("kind", ["false match", "false non-match"])
def test_once_an_error_was_seen_the_rate_is_not_bounded_by_zero(kind):
    scores = apart(40, 3)
    gaps = scores.distances.copy()
    gaps[np.flatnonzero(scores.mated != (kind == "false match"))[0]] = AT + (-0.01 if kind == "false match" else 0.01)
    (found,) = measure(Scores(gaps, scores.mated, scores.subjects), rule(AT)).deployed
    seen, unseen = (found.fmr, found.fnmr) if kind == "false match" else (found.fnmr, found.fmr)
    assert 0 < seen.low < seen.value < seen.high
    assert (unseen.value, unseen.low) == (0, 0)
    assert found.right.low < found.right.value < found.right.high < 1


def test_pairs_of_few_persons_leave_more_doubt_of_the_accuracy_than_as_many_independent_ones():
    # given persons of whom some look like many, and the same distances between strangers
    random = np.random.default_rng(0)
    common = random.normal(0, 0.08, 60)
    one, other = np.triu_indices(60)
    gaps = (np.where(one == other, 0.35, 0.6) + common[one] + common[other]).clip(0)
    honest = Scores(gaps, one == other, np.column_stack([one, other]).astype(np.int32))
    numbers = np.arange(gaps.size, dtype=np.int32) * 2
    blind = Scores(gaps, one == other, np.column_stack([numbers, numbers + (one != other)]))
    few, many = (measure(scores, rule(AT)).deployed[0].right for scores in (honest, blind))
    assert few.value == many.value
    assert few.high - few.low > 2 * (many.high - many.low)


def test_a_failure_to_acquire_is_wrong_whatever_it_shows():
    scores = apart(30, 2)
    failed = np.zeros(scores.mated.size, bool)
    failed[np.flatnonzero(scores.mated)[:3]] = failed[np.flatnonzero(~scores.mated)[:10]] = True
    scores = Scores(np.where(failed, np.nan, scores.distances), scores.mated, scores.subjects)
    found = measure(scores, rule(AT))
    (deployed,) = found.deployed
    assert found.failed_pairs == 13
    assert deployed.right.value == pytest.approx(1 - 13 / scores.mated.size)
    assert deployed.right.low < deployed.right.value < deployed.right.high < 1
    assert deployed.fmr.value == 0
    assert deployed.fnmr.value == pytest.approx(3 / 30)


# what cannot be told


@pytest.mark.parametrize(
    ("persons", "shots", "told"), [(14, 9, []), (15, 2, [1e-2]), (45, 2, [1e-2]), (46, 2, [1e-2, 1e-3])]
)
def test_a_tar_takes_a_couple_for_each_false_match_that_is_allowed(persons, shots, told):
    found = measure(apart(persons, shots), None, rounds=5)
    assert [target for target, interval in found.tar.items() if interval is not None] == told


def test_without_a_kind_of_pairs_the_rest_is_told():
    scores = apart(30, 2)
    mated, non_mated = (
        measure(Scores(scores.distances[kept], scores.mated[kept], scores.subjects[kept]), rule(AT))
        for kept in (scores.mated, ~scores.mated)
    )
    for found in (mated, non_mated):
        assert (found.curve, found.auc, found.eer) == (None, None, None)
        assert set(found.tar.values()) == {None}
    assert mated.deployed[0].fmr is None
    assert (mated.deployed[0].fnmr.value, mated.deployed[0].fnmr.high) == (0, pytest.approx(3 / 30))
    assert mated.deployed[0].right.low == pytest.approx(1 - 3 / 30)
    assert non_mated.deployed[0].fnmr is None
    assert non_mated.deployed[0].fmr.high == pytest.approx(3 / 435)
    assert non_mated.deployed[0].right.low == pytest.approx(1 - 3 / 435)


def test_it_repeats_itself():
    one, other = (measure(blurred(20, 3), rule(AT), rounds=20) for _ in range(2))
    assert (one.auc, one.eer, one.tar, one.deployed) == (other.auc, other.eer, other.tar, other.deployed)
