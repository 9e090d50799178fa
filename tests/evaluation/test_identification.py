"""Open-set identification, against searching one probe after the other and answers known by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from twinface.core.similarity import distances, normalise
from twinface.evaluation import identification
from twinface.evaluation.identification import OpenSet, open_set
from twinface.evaluation.intervals import rate

Floats = NDArray[np.float32]


def towards(*degrees: float) -> Floats:
    """Unit vectors in the plane; NaN degrees make a failure to acquire."""
    angles = np.radians(degrees)
    return np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)


def world(people: int, seed: int, spread: float = 0.6, failed: float = 0.0) -> tuple[Floats, NDArray[np.int64]]:
    """Persons of one to four pictures scattered about a template of theirs."""
    random = np.random.default_rng(seed)
    subjects = random.permutation(np.repeat(np.arange(people), random.integers(1, 5, people)))
    vectors = normalise(random.normal(size=(people, 16))[subjects] + spread * random.normal(size=(subjects.size, 16)))
    vectors[random.random(subjects.size) < failed] = np.nan
    return vectors, subjects


def slow(vectors: Floats, draws: list[Any], fpir: float) -> dict[str, Any]:
    """Every probe beside every enrolled picture, in plain Python."""
    nearest, own = [], []
    for draw in draws:
        for gaps in distances(vectors[draw.foreign], vectors[draw.enrolled]).tolist():
            nearest.append(min((gap for gap in gaps if gap == gap), default=float("inf")))
        table = distances(vectors[draw.probes], vectors[draw.enrolled]).tolist()
        for gaps, place in zip(table, draw.places, strict=True):
            gap = gaps.pop(place)
            own.append((gap, 1 + sum(other <= gap for other in gaps) if gap == gap else 10**9))
    tries = sorted({-1.0, *nearest, *(gap for gap, _ in own)} - {float("inf")})
    tries = [gap for gap in tries if gap == gap]
    threshold = max(gap for gap in tries if sum(other <= gap for other in nearest) <= fpir * len(nearest))
    return {
        "probes_mated": len(own),
        "probes_non_mated": len(nearest),
        "fpir_reached": sum(gap <= threshold for gap in nearest) / len(nearest),
        "fnir": sum(not (rank == 1 and gap <= threshold) for gap, rank in own) / len(own),
        "cmc": [sum(rank <= best for _, rank in own) / len(own) for best in range(1, 21)],
    }


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99), st.sampled_from([20, 30]), st.sampled_from([0.05, 0.1, 0.5]), st.sampled_from([0.0, 0.2]))
def test_the_figures_are_what_searching_one_by_one_gives(seed: int, gallery: int, fpir: float, failed: float) -> None:
    vectors, subjects = world(60, seed, failed=failed)
    kept: list[Any] = []
    draw_one = identification._draw

    def draw(*words: Any) -> Any:
        kept.append(draw_one(*words))
        return kept[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identification, "_draw", draw)
        found = open_set(vectors, subjects, gallery, fpir=fpir, draws=3, seed=seed)
    expected = slow(vectors, kept, fpir)
    for name in ("probes_mated", "probes_non_mated", "fpir_reached", "cmc"):
        assert getattr(found, name) == pytest.approx(expected[name]), name
    assert found.fnir.value == pytest.approx(expected["fnir"])
    assert found.rank1.value == found.cmc[0]
    assert found.people_mated == len({who for draw in kept for who in draw.searchers})
    assert found.people_non_mated == len({who for draw in kept for who in draw.strangers})


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99), st.integers(1, 40))
def test_a_gallery_holds_one_picture_each_of_persons_with_several_first(seed: int, gallery: int) -> None:
    _, subjects = world(40, seed)
    counts = np.bincount(subjects)
    draw = identification._draw(subjects.astype(np.int32), gallery, np.random.default_rng(seed))
    enrolled = subjects[draw.enrolled]
    assert len(set(enrolled)) == gallery
    assert sorted({*enrolled, *draw.strangers}) == list(range(40))
    assert subjects[draw.foreign].tolist() == draw.strangers.tolist()
    assert subjects[draw.probes].tolist() == draw.searchers.tolist() == enrolled[draw.places].tolist()
    assert not set(draw.probes) & set(draw.enrolled)
    assert set(draw.searchers) == {who for who in enrolled if counts[who] > 1}
    assert min((counts > 1).sum(), gallery) == draw.searchers.size


class TestByHand:
    """Six persons of two pictures are enrolled, ten strangers with one picture search."""

    # persons 0-3 look alike in both pictures; 4 is nearer to 0 in either; 5 is the nearest to itself, yet far
    VECTORS = towards(0, 0, 30, 30, 60, 60, 90, 90, 12, -12, 180, 225, *range(96, 116, 2))
    SUBJECTS = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, *range(6, 16)])

    def identify(self, fpir: float, **options: Any) -> OpenSet:
        return open_set(self.VECTORS, self.SUBJECTS, 6, fpir=fpir, **options)

    def test_the_nearest_strangers_set_the_threshold(self) -> None:
        found = self.identify(0.2)  # strangers are 6, 8, 10, ... 24 degrees from the nearest: two may pass
        assert (found.probes_mated, found.probes_non_mated, found.people_mated, found.people_non_mated) == (
            60,
            100,
            6,
            10,
        )
        assert found.fpir_reached == 0.2
        assert 2 * np.sin(np.radians(4)) < found.threshold < 2 * np.sin(np.radians(5))

    def test_one_who_is_nearer_to_another_and_one_beyond_the_threshold_are_missed(self) -> None:
        assert self.identify(0.2).fnir.value == pytest.approx(2 / 6)
        assert self.identify(0.9).fnir.value == pytest.approx(2 / 6)

    def test_ranks_pass_over_the_threshold(self) -> None:
        # 4 searches 24 degrees from its own: 0 (12 degrees) and, from one side, 1 (18 degrees) are nearer
        found = self.identify(0.2)
        assert found.cmc[0] == found.rank1.value == pytest.approx(5 / 6)
        assert found.cmc[2:] == (1.0,) * 4
        assert 5 / 6 <= found.cmc[1] <= 1

    def test_an_enrolment_without_a_template_misses_its_person_at_every_rank(self) -> None:
        vectors = self.VECTORS.copy()
        vectors[[2, 3]] = np.nan
        found = open_set(vectors, self.SUBJECTS, 6, fpir=0.2)
        assert found.probes_mated == 60
        assert found.fnir.value == pytest.approx(3 / 6)
        assert found.cmc[-1] == pytest.approx(5 / 6)

    def test_a_probe_or_an_enrolment_that_fails_is_an_error_in_either_role(self) -> None:
        vectors = self.VECTORS.copy()
        vectors[2] = np.nan
        found = open_set(vectors, self.SUBJECTS, 6, fpir=0.2)
        assert found.probes_mated == 60
        assert found.fnir.value == pytest.approx(3 / 6)

    def test_strangers_that_fail_stay_in_the_denominator(self) -> None:
        vectors = self.VECTORS.copy()
        vectors[-5:] = np.nan
        found = open_set(vectors, self.SUBJECTS, 6, fpir=0.2)
        assert found.probes_non_mated == 100
        assert found.fpir_reached == 0.2

    def test_whoever_is_as_near_as_oneself_comes_first(self) -> None:
        vectors = self.VECTORS.copy()
        vectors[[4, 5]] = vectors[0]
        found = open_set(vectors, self.SUBJECTS, 6, fpir=0.2)
        assert found.rank1.value == pytest.approx(3 / 6)  # neither 0 nor 2, nor 4

    def test_nobody_recognised_at_all(self) -> None:
        vectors = self.VECTORS.copy()
        vectors[:12] = np.nan
        found = open_set(vectors, self.SUBJECTS, 6, fpir=0.2)
        assert (found.fnir.value, found.fnir.high, found.fpir_reached, found.threshold) == (1.0, 1.0, 0.0, -np.inf)
        assert found.cmc == (0.0,) * 6


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 99), st.sampled_from([0.02, 0.1, 0.4]))
def test_the_laws_of_the_figures(seed: int, fpir: float) -> None:
    found = open_set(*world(120, seed, spread=1.2, failed=0.05), 40, fpir=fpir, draws=3, seed=seed)
    assert list(found.cmc) == sorted(found.cmc)
    assert found.fpir_reached <= fpir
    assert found.fnir.value >= 1 - found.rank1.value - 1e-12
    assert found.fnir.low < found.fnir.high


def test_the_seed_repeats_the_answer_and_another_gives_another() -> None:
    data = world(100, 0, spread=1.2)
    assert open_set(*data, 30, fpir=0.05, seed=1) == open_set(*data, 30, fpir=0.05, seed=1)
    assert open_set(*data, 30, fpir=0.05, seed=1) != open_set(*data, 30, fpir=0.05, seed=2)


def test_names_of_persons_do_not_matter() -> None:
    vectors, subjects = world(100, 0, spread=1.2)
    assert open_set(vectors, subjects, 30, fpir=0.05) == open_set(vectors, subjects * 1000 + 17, 30, fpir=0.05)


def test_no_error_leaves_the_doubt_that_as_many_persons_leave() -> None:
    vectors = normalise(np.random.default_rng(0).normal(size=(200, 64)))
    found = open_set(np.concatenate([vectors, vectors[:50]]), [*range(200), *range(50)], 100, fpir=0.02)
    assert (found.people_mated, found.probes_mated) == (50, 500)
    assert (found.fnir.value, found.fnir.low, found.fnir.high) == (0.0, 0.0, 3 / 50)
    assert (found.rank1.value, found.rank1.low, found.rank1.high) == (1.0, 1 - 3 / 50, 1.0)


def test_more_draws_of_the_same_persons_do_not_feign_certainty() -> None:
    data = world(150, 3, spread=1.2)
    few, many = (open_set(*data, 100, fpir=0.05, draws=draws).fnir for draws in (2, 30))
    assert many.high - many.low > 0.5 * (few.high - few.low)


def test_few_strangers_leave_the_threshold_and_so_the_misses_in_doubt() -> None:
    # own pictures and strangers' nearest ones both lie 0 to 60 degrees apart, evenly: misses follow the threshold
    random = np.random.default_rng(0)
    known, strange = 300, 50
    shown = np.concatenate([np.arange(known), np.arange(known), np.arange(strange)])
    turns = np.concatenate([np.zeros(known), *(random.uniform(0, np.pi / 3, count) for count in (known, strange))])
    vectors = np.zeros((shown.size, known + 3))
    vectors[np.arange(shown.size), shown] = np.cos(turns)
    vectors[np.arange(shown.size), known + np.arange(shown.size) // known] = np.sin(turns)
    subjects = np.concatenate([shown[: 2 * known], known + np.arange(strange)])
    found = open_set(normalise(vectors), subjects, known, fpir=0.5, draws=3)
    assert found.people_mated == known
    low, high = rate(round(found.fnir.value * known), known).low, rate(round(found.fnir.value * known), known).high
    assert found.fnir.high - found.fnir.low > 1.8 * (high - low)


def test_one_person_with_two_pictures_is_enough() -> None:
    vectors = normalise(np.random.default_rng(0).normal(size=(101, 8)))
    found = open_set(np.concatenate([vectors, vectors[:1]]), [*range(101), 0], 50, fpir=0.02)
    assert (found.people_mated, found.probes_mated, found.rank1.value) == (1, 10, 1.0)


def test_larger_galleries_are_harder() -> None:
    data = world(400, 5, spread=1.0)
    rates = [open_set(*data, gallery, fpir=0.02).fnir.value for gallery in (10, 60, 250)]
    assert rates == sorted(rates)
    assert rates[0] < rates[-1]


@pytest.mark.parametrize("block", [1, 100, 1000])
def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    data = world(100, 0, spread=1.2)
    whole = open_set(*data, 30, fpir=0.05)
    monkeypatch.setattr(identification, "BLOCK", block)
    parts = open_set(*data, 30, fpir=0.05)
    assert parts.fnir.value == whole.fnir.value
    assert parts.threshold == pytest.approx(whole.threshold, abs=1e-6)


def test_five_thousand_people_are_searched() -> None:
    random = np.random.default_rng(0)
    subjects = np.concatenate([np.arange(5749), random.integers(0, 1680, 7484)])
    vectors = normalise(random.normal(size=(5749, 128))[subjects] + 0.9 * random.normal(size=(subjects.size, 128)))
    found = open_set(vectors, subjects, 5000)
    assert (found.probes_non_mated, len(found.cmc)) == (7490, 20)
    assert 0 < found.fnir.value < 0.05


def test_too_few_persons_outside_the_gallery_are_refused_naming_how_many_it_takes() -> None:
    with pytest.raises(
        ValueError, match=r"a gallery of 50 at FPIR 0.01 needs at least 150 persons, 100 of them .*got 149"
    ):
        open_set(*world(149, 0), 50)
    assert open_set(*world(150, 0), 50).probes_non_mated == 1000


def test_someone_needs_two_pictures() -> None:
    with pytest.raises(ValueError, match="nobody has two pictures"):
        open_set(normalise(np.random.default_rng(0).normal(size=(200, 4))), np.arange(200), 50)


@pytest.mark.parametrize(
    "options",
    [
        {"gallery": 0},
        {"gallery": 5, "draws": 0},
        {"gallery": 5, "fpir": 0.0},
        {"gallery": 5, "fpir": 1.0},
        {"gallery": 5, "fpir": np.nan},
    ],
)
def test_numbers_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected a gallery and draws"):
        open_set(*world(30, 0), **options)


def test_templates_and_persons_must_match() -> None:
    vectors, subjects = world(30, 0)
    for wrong in ((vectors[:-1], subjects), (vectors, subjects - 1), (vectors * 2, subjects)):
        with pytest.raises(ValueError, match="templates"):
            open_set(*wrong, 5)
