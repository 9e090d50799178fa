from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinface.core.decision import Band, Verdict
from twinface.core.wording import (
    VERDICT_COLOURS,
    VERDICT_MARKS,
    VERDICT_WORDS,
    band_label,
    caution,
    fmr_label,
    percent,
    shorten,
)


@pytest.mark.parametrize(
    ("probability", "expected"),
    [
        (0.5, "50.0%"),
        (0.973, "97.3%"),
        (0.99, "99.0%"),
        (0.9912, "99.12%"),
        (0.9996, "99.96%"),
        (0.9999, "99.99%"),
        (0.99991, "> 99.99%"),
        (1.0, "> 99.99%"),
        (0.01, "1.0%"),
        (0.0004, "0.04%"),
        (0.0001, "0.01%"),
        (0.00009, "< 0.01%"),
        (0.0, "< 0.01%"),
    ],
)
def test_percent_reads_as_people_write_it(probability: float, expected: str) -> None:
    assert percent(probability) == expected


@given(st.floats(0, 1))
def test_percent_never_claims_certainty_and_stays_near_the_truth(probability: float) -> None:
    text = percent(probability)
    shown = float(text.strip("<> %"))

    assert 0 < shown < 100
    assert abs(shown - 100 * probability) <= 0.0501


@given(st.floats(0, 1), st.floats(0, 1))
def test_percent_keeps_the_order(one: float, other: float) -> None:
    low, high = sorted([one, other])

    assert float(percent(low).strip("<> %")) <= float(percent(high).strip("<> %"))


@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan"), float("inf")])
def test_percent_refuses_what_is_no_probability(value: float) -> None:
    with pytest.raises(ValueError, match="probability"):
        percent(value)


@pytest.mark.parametrize(
    ("fmr", "expected"),
    [
        (1e-2, "1 in 100 (FMR 1e-2)"),
        (1e-3, "1 in 1,000 (FMR 1e-3)"),
        (1e-4, "1 in 10,000 (FMR 1e-4)"),
        (1e-6, "1 in 1,000,000 (FMR 1e-6)"),
        (2.5e-4, "1 in 4,000 (FMR 2.5e-4)"),
        (0.03, "about 1 in 33 (FMR 3e-2)"),
        (1.0, "1 in 1 (FMR 1e0)"),
    ],
)
def test_a_false_match_rate_is_told_in_words_and_in_the_fields_form(fmr: float, expected: str) -> None:
    assert fmr_label(fmr) == expected


@pytest.mark.parametrize("fmr", [0.0, -1e-3, 1.5, float("nan")])
def test_no_label_for_what_is_no_rate(fmr: float) -> None:
    with pytest.raises(ValueError, match="FMR"):
        fmr_label(fmr)


def test_a_text_that_fits_stays_whole() -> None:
    assert shorten("portrait.jpg", lambda text: len(text) <= 12) == "portrait.jpg"


def test_a_long_name_keeps_its_start_and_its_ending() -> None:
    assert shorten("a_very_long_name_of_a_portrait.jpg", lambda text: len(text) <= 11) == "a_ver\u2026t.jpg"


@given(st.text(min_size=1, max_size=60), st.integers(1, 60))
def test_a_shortened_text_fits_and_wastes_no_room(text: str, room: int) -> None:
    short = shorten(text, lambda candidate: len(candidate) <= room)

    assert len(short) == min(len(text), room)


def test_nothing_fits_leaves_the_ellipsis() -> None:
    assert shorten("portrait.jpg", lambda text: False) == "\u2026"


@pytest.mark.parametrize(
    ("verdict", "probability", "fmr", "expected"),
    [
        ("same", 0.9, 1e-3, ""),
        ("different", 0.1, 1e-3, ""),
        ("different", 0.5, 1e-3, ""),
        ("different", 0.9, 1e-4, "probably one person, but not surely enough for FMR 1e-4"),
        ("same", 0.4, 1e-2, "near enough for FMR 1e-2, but probably two persons"),
        ("inconclusive", 0.7, 1e-3, "probably one person, but not surely enough to say so"),
        ("inconclusive", 0.2, 1e-3, "probably two persons, but not surely enough to say so"),
    ],
)
def test_a_verdict_against_the_odds_is_explained(
    verdict: Verdict, probability: float, fmr: float, expected: str
) -> None:
    assert caution(verdict, probability, fmr) == expected


def test_every_verdict_has_its_words_its_colour_and_its_mark() -> None:
    for table in (VERDICT_WORDS, VERDICT_COLOURS, VERDICT_MARKS):
        assert set(table) == set(get_args(Verdict))
        assert len(set(table.values())) == len(table)


def test_the_band_of_doubt_in_words() -> None:
    words = band_label(Band(0.9, 0.374, 0.452))
    assert words == "inconclusive from 0.374 to 0.452 (at least 90.0% sure is wanted)"
