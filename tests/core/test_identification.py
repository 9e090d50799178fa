"""Thresholds for a whole gallery."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinface.core.calibration import LogisticCurve
from twinface.core.decision import DecisionRule, OperatingPoint
from twinface.core.identification import identification_point
from twinface.errors import GalleryError


def point(fmr: float, low: float, threshold: float) -> OperatingPoint:
    return OperatingPoint("twin", "people", fmr, threshold, low, threshold + 0.01, 1000, 100, 0.0, 0.0, 0.1)


POINTS = (point(1e-2, 0.49, 0.5), point(1e-3, 0.39, 0.4), point(1e-4, 0.28, 0.3))
RULE = DecisionRule("twin", LogisticCurve(-20.0, 10.0, 1e-4), POINTS, 1e-3)


def test_the_rate_of_one_comparison_is_shared_out_over_the_gallery() -> None:
    found = identification_point(RULE, 100, 0.01)
    assert found.fmr == pytest.approx(1e-4)
    assert found.threshold == pytest.approx(0.28)  # the lower end of the interval, not the threshold
    assert (found.model, found.dataset, found.templates, found.extrapolated) == ("twin", "people", 100, False)


def test_between_two_points_it_lies_on_the_line_over_the_logarithm() -> None:
    found = identification_point(RULE, 10, math.sqrt(10) * 1e-3)
    assert found.fmr == pytest.approx(math.sqrt(1e-3 * 1e-4))
    assert found.threshold == pytest.approx((0.39 + 0.28) / 2)


def test_below_the_last_point_the_line_goes_on_and_says_so() -> None:
    found = identification_point(RULE, 1000, 0.01)
    assert found.extrapolated
    assert found.threshold == pytest.approx(0.28 - 0.11)


def test_a_small_gallery_is_held_to_the_default_point() -> None:
    for templates in (0, 1, 5):
        found = identification_point(RULE, templates, 0.01)
        assert (found.threshold, found.fmr) == (0.4, 1e-3)


def test_a_lower_end_that_strays_allows_no_larger_distance() -> None:
    rule = DecisionRule("twin", RULE.curve, (*POINTS[:2], point(1e-4, 0.395, 0.396)), 1e-3)
    assert identification_point(rule, 100, 0.01).threshold <= 0.39


def test_a_huge_gallery_names_nobody_rather_than_somebody() -> None:
    found = identification_point(RULE, 10**15, 0.01)
    assert found.threshold < 0
    assert not found.accepts(0.0)


def test_doubt_refuses() -> None:
    assert not identification_point(RULE, 10).accepts(float("nan"))


@pytest.mark.parametrize("fpir", [0.0, 1.0, -0.1, 2.0, float("nan"), float("inf")])
def test_rates_that_are_none(fpir: float) -> None:
    with pytest.raises(GalleryError, match="FPIR"):
        identification_point(RULE, 10, fpir)


def test_a_rule_of_one_point_tells_only_small_galleries() -> None:
    rule = DecisionRule("twin", RULE.curve, POINTS[:1], 1e-2)
    assert identification_point(rule, 1, 0.01).threshold == pytest.approx(0.49)
    with pytest.raises(GalleryError, match="calibrate on more people"):
        identification_point(rule, 100, 0.01)


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.floats(1e-6, 0.5), st.floats(1e-6, 0.5))
def test_larger_galleries_and_smaller_rates_never_allow_more(one: int, two: int, a: float, b: float) -> None:
    small, large = sorted((one, two))
    strict, loose = sorted((a, b))
    assert identification_point(RULE, large, a).threshold <= identification_point(RULE, small, a).threshold
    assert identification_point(RULE, one, strict).threshold <= identification_point(RULE, one, loose).threshold
