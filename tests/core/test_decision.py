import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinface.core.calibration import LogisticCurve
from twinface.core.decision import Band, DecisionRule, MeasuredWith, OperatingPoint, parse_rules, write_rules
from twinface.core.isotonic import IsotonicCurve
from twinface.errors import ContractMismatch

LAW = settings(max_examples=40, deadline=None)


def point(fmr: float, threshold: float = 0.42, model: str = "m") -> OperatingPoint:
    low, high = threshold - 0.01, threshold + 0.01
    return OperatingPoint(model, "LFW DevTrain", fmr, threshold, low, high, 100_000, 1100, 0.01, 0.006, 0.018)


RULE = DecisionRule("m", LogisticCurve(-60.0, 26.0, 1e-3), (point(1e-2, 0.45), point(1e-3), point(1e-4, 0.38)), 1e-3)


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
        with pytest.raises(ContractMismatch, match=r"for FMR .*; measured ones: 1e-2, 1e-3, 1e-4; choose one"):
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


class TestCaution:
    def test_faces_of_the_detector_it_was_measured_with_need_none(self) -> None:
        assert replace(RULE, detector=MeasuredWith("scout", "abc")).caution("scout", "abc") == ""

    def test_the_identity_counts_and_not_the_name(self) -> None:
        rule = replace(RULE, detector=MeasuredWith("scout", "abc"))
        assert rule.caution("a copy of scout", "abc") == ""
        assert rule.caution("scout", "other weights") != ""

    def test_another_detector_is_told_with_the_remedy(self) -> None:
        assert replace(RULE, detector=MeasuredWith("scout", "abc")).caution("yunet", "def") == (
            "these thresholds were measured with the detector scout, not with yunet: calibrate with --detector yunet"
        )

    def test_where_nobody_has_recorded_a_detector_there_is_nothing_to_say(self) -> None:
        assert RULE.detector is None
        assert RULE.caution("yunet", "def") == ""

    @pytest.mark.parametrize("facts", [("two\nlines", "abc"), (1, "abc"), ("scout", None), (None, None)])
    def test_names_are_text_of_one_line(self, facts: tuple[Any, Any]) -> None:
        with pytest.raises(ValueError, match="detector's name and identity must be text"):
            MeasuredWith(*facts)


class TestInconclusive:
    def test_without_a_band_every_distance_has_an_answer(self) -> None:
        assert RULE.inconclusive(RULE.point()) is None

    @LAW
    @given(st.floats(0, 2), st.floats(0.51, 0.99), st.sampled_from([1e-2, 1e-3, 1e-4]), st.booleans())
    def test_same_takes_acceptance_and_surety_and_different_refusal_and_surety(
        self, distance: float, sure: float, fmr: float, bent: bool
    ) -> None:
        rule = replace(RULE, curve=IsotonicCurve((0.3, 0.38, 0.5), (1.0, 0.7, 0.0), 1e-3)) if bent else RULE
        chosen = rule.point(fmr)
        band = rule.inconclusive(chosen, sure)
        assert band is not None
        probability = rule.curve.probability(distance)
        if chosen.accepts(distance) and probability >= sure:
            expected = "same"
        elif not chosen.accepts(distance) and probability <= 1 - sure:
            expected = "different"
        else:
            expected = "inconclusive"
        assert band.verdict(distance, chosen) == expected
        if band.low < distance < band.high:
            assert expected == "inconclusive"

    @pytest.mark.parametrize(("fmr", "ends"), [(1e-2, (0.45, False)), (1e-4, (0.38, True))])
    def test_the_threshold_bounds_both_ends(self, fmr: float, ends: tuple[float, bool]) -> None:
        band = RULE.inconclusive(RULE.point(fmr), 0.6)
        assert band is not None
        assert band.low <= ends[0] <= band.high
        assert (band.low == ends[0]) is ends[1]

    def test_a_distance_that_is_none_is_inconclusive(self) -> None:
        band = RULE.inconclusive(RULE.point(), 0.9)
        assert band is not None
        assert band.verdict(math.nan, RULE.point()) == "inconclusive"

    def test_the_rules_own_band_applies_unless_another_is_asked_for(self) -> None:
        rule = replace(RULE, band=0.9)
        assert rule.inconclusive(rule.point()) == RULE.inconclusive(RULE.point(), 0.9)
        assert rule.inconclusive(rule.point(), 0.8) == RULE.inconclusive(RULE.point(), 0.8)

    @pytest.mark.parametrize("sure", [0.5, 1.0, 0.0, -0.9, 1.5, math.nan, math.inf])
    def test_what_is_no_surety_is_refused(self, sure: float) -> None:
        with pytest.raises(ContractMismatch, match=r"^band .*: must lie between 0\.5 and 1"):
            RULE.inconclusive(RULE.point(), sure)
        with pytest.raises(ContractMismatch, match=r"^band .*: must lie between 0\.5 and 1"):
            replace(RULE, band=sure)

    @pytest.mark.parametrize("curve", [RULE.curve, IsotonicCurve((0.2, 0.5), (0.995, 0.0), 1e-5)])
    def test_a_band_surer_than_the_curve_ever_is_is_refused_naming_the_limit(
        self, curve: LogisticCurve | IsotonicCurve
    ) -> None:
        rule = replace(RULE, curve=curve)
        with pytest.raises(ContractMismatch, match=r"^band 0\.9999: .* no more than 0\.99"):
            rule.inconclusive(rule.point(), 0.9999)

    @pytest.mark.parametrize("values", [(0.5, 0.1, 0.2), (1.0, 0.1, 0.2), (0.9, 0.3, 0.2), (0.9, math.nan, 0.2)])
    def test_a_band_that_is_none_is_refused(self, values: tuple[float, float, float]) -> None:
        with pytest.raises(ValueError, match=r"^band: "):
            Band(*values)


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
        rule = DecisionRule("m", LogisticCurve(slope, start, floor), (point(fmr, threshold),), fmr)
        assert parse_rules(write_rules((rule,)), "x.json") == (rule,)

    def test_an_isotonic_curve_and_a_band_come_back_as_they_went(self) -> None:
        rule = replace(RULE, curve=IsotonicCurve((0.2, 0.4, 0.6), (1.0, 0.5, 0.0), 0.01), band=0.9)
        text = write_rules((rule, RULE))
        assert parse_rules(text, "x.json") == (rule, RULE)
        assert [one["curve"]["kind"] for one in json.loads(text)["rules"]] == ["isotonic", "logistic"]

    def test_files_from_before_there_were_kinds_and_bands_are_logistic_and_always_answer(self) -> None:
        facts = json.loads(write_rules((RULE,)))
        del facts["rules"][0]["curve"]["kind"], facts["rules"][0]["band"]
        assert parse_rules(json.dumps(facts), "x.json") == (RULE,)

    @LAW
    @given(st.text(st.characters(categories=["L", "N", "P", "S"])), st.text())
    def test_the_detector_comes_back_as_it_went(self, name: str, identity: str) -> None:
        rule = replace(RULE, detector=MeasuredWith(name, identity))
        assert parse_rules(write_rules((rule, RULE)), "x.json") == (rule, RULE)

    def test_files_from_before_the_detector_was_recorded_are_read(self) -> None:
        facts = json.loads(write_rules((replace(RULE, detector=MeasuredWith("scout", "abc")),)))
        assert facts["rules"][0].pop("detector") == {"name": "scout", "identity": "abc"}
        assert parse_rules(json.dumps(facts), "x.json") == (RULE,)

    @pytest.mark.parametrize(
        "detector",
        [
            "scout", 3, False, [], {}, ["scout", "abc"], {"name": "scout"}, {"name": "scout", "identity": 3},
            {"name": None, "identity": "abc"}, {"name": "two\nlines", "identity": "abc"},
            {"name": "scout", "identity": "abc", "kind": "yunet"},
        ],
    )  # fmt: skip
    def test_a_detector_that_is_none_is_refused_naming_the_file(self, detector: object) -> None:
        facts = json.loads(write_rules((RULE,)))
        facts["rules"][0]["detector"] = detector
        with pytest.raises(ContractMismatch, match=r"^net\.json: not a decision file") as caught:
            parse_rules(json.dumps(facts), "net.json")
        assert str(caught.value).isprintable()

    @pytest.mark.parametrize("band", [0.5, 1, True, "0.9", math.nan, 0.9999, [0.9]])
    def test_a_band_that_is_none_is_refused_naming_the_file(self, band: object) -> None:
        facts = json.loads(write_rules((RULE,)))
        facts["rules"][0]["band"] = band
        with pytest.raises(ContractMismatch, match=r"^net\.json: "):
            parse_rules(json.dumps(facts), "net.json")

    @pytest.mark.parametrize(
        "curve",
        [
            {"kind": "bent", "floor": 0.1},
            {"kind": None, "slope": -1.0, "intercept": 0.0, "floor": 0.1},
            {"kind": "isotonic", "distances": [0.2], "probabilities": [1.0], "floor": 0.1},
            {"kind": "isotonic", "distances": [0.2, 0.4], "probabilities": [0.4, 0.6], "floor": 0.1},
            {"kind": "isotonic", "distances": [0.2, "x"], "probabilities": [1.0, 0.6], "floor": 0.1},
            {"kind": "isotonic", "distances": 0.2, "probabilities": 1.0, "floor": 0.1},
            {"kind": "isotonic", "slope": -1.0, "intercept": 0.0, "floor": 0.1},
            {"kind": "logistic", "distances": [0.2, 0.4], "probabilities": [1.0, 0.6], "floor": 0.1},
            [1, 2],
            None,
        ],
    )
    def test_a_curve_of_no_or_another_kind_is_refused(self, curve: object) -> None:
        facts = json.loads(write_rules((RULE,)))
        facts["rules"][0]["curve"] = curve
        with pytest.raises(ContractMismatch, match=r"^net\.json: not a decision file"):
            parse_rules(json.dumps(facts), "net.json")

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
