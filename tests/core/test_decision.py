import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinface.core.calibration import ProbabilityCurve
from twinface.core.decision import DecisionRule, OperatingPoint, parse_rules, write_rules
from twinface.errors import ContractMismatch

LAW = settings(max_examples=40, deadline=None)


def point(fmr: float, threshold: float = 0.42, model: str = "m") -> OperatingPoint:
    low, high = threshold - 0.01, threshold + 0.01
    return OperatingPoint(model, "LFW DevTrain", fmr, threshold, low, high, 100_000, 1100, 0.01, 0.006, 0.018)


RULE = DecisionRule("m", ProbabilityCurve(-60.0, 26.0, 1e-3), (point(1e-2, 0.45), point(1e-3), point(1e-4, 0.38)), 1e-3)


class TestOperatingPoint:
    @LAW
    @given(st.floats(0, 2))
    def test_it_accepts_distances_up_to_and_including_its_threshold(self, distance: float) -> None:
        assert point(1e-3).accepts(distance) == (distance <= 0.42)

    def test_the_threshold_itself_passes_and_the_next_number_does_not(self) -> None:
        assert point(1e-3).accepts(0.42)
        assert not point(1e-3).accepts(math.nextafter(0.42, 1))

    def test_doubt_refuses(self) -> None:
        assert not point(1e-3).accepts(math.nan)
        assert not point(1e-3).accepts(math.inf)

    @pytest.mark.parametrize("fmr", [0.0, 1.0, -0.1, math.nan])
    def test_its_target_is_a_share(self, fmr: float) -> None:
        with pytest.raises(ValueError, match=r"FMR must lie in \(0, 1\)"):
            point(fmr)

    @pytest.mark.parametrize(
        "change",
        [{"threshold": 0.5}, {"threshold": math.nan}, {"low": 0.43}, {"high": 0.41}, {"high": math.inf}, {"low": -5.0}],
    )
    def test_its_threshold_lies_in_its_interval(self, change: dict[str, float]) -> None:
        with pytest.raises(ValueError, match="threshold in its interval"):
            replace(point(1e-3), **change)

    @pytest.mark.parametrize(
        "change", [{"fnmr": 0.5}, {"fnmr": math.nan}, {"fnmr_high": 1.5}, {"non_mated": 0}, {"mated": -1}]
    )
    def test_its_fnmr_lies_in_its_interval_and_was_counted(self, change: dict[str, float]) -> None:
        with pytest.raises(ValueError, match="FNMR must lie in its interval, counts be positive"):
            replace(point(1e-3), **change)


class TestDecisionRule:
    def test_each_measured_point_is_found_by_its_fmr(self) -> None:
        assert [RULE.point(fmr).threshold for fmr in (1e-2, 1e-3, 1e-4)] == [0.45, 0.42, 0.38]

    def test_without_a_wish_the_default_is_taken(self) -> None:
        assert RULE.point() is RULE.point(1e-3)

    def test_the_way_an_fmr_is_written_does_not_matter(self) -> None:
        assert RULE.point(0.1 * 0.01) is RULE.point(1e-3)

    @pytest.mark.parametrize("fmr", [5e-3, 1e-5, 0.0, 1.0, math.nan])
    def test_an_unmeasured_fmr_is_refused_naming_the_measured_ones(self, fmr: float) -> None:
        with pytest.raises(ContractMismatch, match=r"for FMR .*; measured ones: 0\.01, 0\.001, 0\.0001$"):
            RULE.point(fmr)

    def test_a_point_of_another_model_is_refused(self) -> None:
        with pytest.raises(ContractMismatch, match="belongs to another model"):
            replace(RULE, points=(*RULE.points, point(0.1, model="other")))

    def test_a_rule_without_points_is_refused(self) -> None:
        with pytest.raises(ContractMismatch, match="no operating point"):
            replace(RULE, points=())

    def test_the_default_is_one_of_the_points(self) -> None:
        with pytest.raises(ContractMismatch, match=r"no operating point for FMR 0\.5"):
            replace(RULE, default_fmr=0.5)


def changed(**changes: Any) -> str:
    """The rule's JSON with a point's fields changed; None drops the field."""
    facts = json.loads(write_rules((RULE,)))
    for name, value in changes.items():
        facts["rules"][0]["points"][0][name] = value
        if value is None:
            del facts["rules"][0]["points"][0][name]
    return json.dumps(facts)


class TestRulesAsText:
    def test_they_come_back_as_they_went(self) -> None:
        mirrored = DecisionRule("n", RULE.curve, (point(1e-3, 0.4, "n"),), 1e-3)
        assert parse_rules(write_rules((RULE, mirrored)), "x.json") == (RULE, mirrored)

    @LAW
    @given(st.floats(-500, -1), st.floats(-50, 50), st.floats(1e-6, 0.4), st.floats(1e-6, 0.9), st.floats(0.1, 1.5))
    def test_no_digit_is_lost(self, slope: float, start: float, floor: float, fmr: float, threshold: float) -> None:
        rule = DecisionRule("m", ProbabilityCurve(slope, start, floor), (point(fmr, threshold),), fmr)
        assert parse_rules(write_rules((rule,)), "x.json") == (rule,)

    @pytest.mark.parametrize(
        "text",
        ["", "{", "null", "[]", "{}", '"rules"', '{"rules": 3}', '{"rules": [3]}', '{"rules": [{"model": "m"}]}'],
    )
    def test_what_is_no_decision_file_is_refused_naming_it(self, text: str) -> None:
        with pytest.raises(ContractMismatch, match=r"^net\.json: not a decision file") as caught:
            parse_rules(text, "net.json")
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        "change",
        [
            {"threshold": None},
            {"extra": 1},
            {"threshold": "0.4"},
            {"threshold": math.nan},
            {"threshold": 0.9},
            {"fmr": 0},
            {"fmr": [1]},
            {"fnmr": 2},
            {"mated": 0},
        ],
    )
    def test_a_field_missing_unknown_or_out_of_range_is_refused(self, change: dict[str, Any]) -> None:
        with pytest.raises(ContractMismatch, match=r"^net\.json: not a decision file"):
            parse_rules(changed(**change), "net.json")

    def test_a_point_moved_to_another_model_is_refused(self) -> None:
        with pytest.raises(ContractMismatch, match="belongs to another model"):
            parse_rules(changed(model="other"), "net.json")

    @pytest.mark.parametrize("curve", [{"slope": 1.0}, {"floor": 0.7}, {"slope": "x"}, {"bend": 1.0}])
    def test_a_curve_that_is_none_is_refused(self, curve: dict[str, Any]) -> None:
        facts = json.loads(write_rules((RULE,)))
        facts["rules"][0]["curve"].update(curve)
        with pytest.raises(ContractMismatch, match=r"^net\.json: not a decision file"):
            parse_rules(json.dumps(facts), "net.json")
