"""From pictures of known persons to a decision rule: the better curve, points the pairs allow, plain words if not."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from twinface.app.measuring.calibration import (
    FITS,
    PAIRS_A_PERSON,
    Wish,
    calibrate,
    folder_sample,
    lfw_sample,
    measure_rule,
)
from twinface.app.measuring.system import Part
from twinface.core.calibration import fit_probability, threshold_at
from twinface.core.decision import MeasuredWith
from twinface.core.provenance import TrainingSet
from twinface.core.similarity import distances, normalise
from twinface.datasets.lfw import Lfw
from twinface.errors import ContractMismatch, DataError, TwinFaceError
from twinface.evaluation.bootstrap import share_by_person

ENOUGH = 150, 2
"""Persons and pictures of each that give operating points down to FMR 1e-3: 11,175 couples of persons."""


def crowd(persons, shots, *, spread=1.2, seed=0):
    """Templates and names of people, each template so far from its person's own direction."""
    random = np.random.default_rng(seed)
    own = normalise(random.normal(size=(persons, 24)))
    vectors = normalise(np.repeat(own, shots, axis=0) + spread * normalise(random.normal(size=(persons * shots, 24))))
    return vectors, [f"person {number:03d}" for number in range(persons) for _ in range(shots)]


class TestMeasureRule:
    def test_points_are_those_of_all_pairs(self):
        vectors, people = crowd(*ENOUGH)
        found = measure_rule("id", "made", vectors, people)
        gaps = distances(vectors, vectors)
        number = np.unique(people, return_inverse=True)[1]
        one, other = np.triu_indices(len(people), 1)
        same = number[one] == number[other]
        near, far = gaps[one, other][same], gaps[one, other][~same]
        assert (found.mated, found.non_mated, found.subjects, found.templates) == (150, far.size, 150, 300)
        assert found.couples == 150 * 149 // 2
        assert [point.fmr for point in found.rule.points] == [1e-2, 1e-3]
        for point in found.rule.points:
            expected = threshold_at(far, np.column_stack([number[one], number[other]])[~same], point.fmr)
            assert (point.threshold, point.low, point.high) == pytest.approx(
                (expected.value, expected.low, expected.high), abs=1e-4
            )
            assert (far <= point.threshold).mean() == pytest.approx(point.fmr, rel=0.02)
            assert point.fnmr == pytest.approx((near > point.threshold).mean(), abs=1e-6)
            fnmr = share_by_person(near > point.threshold, number[one][same])
            assert (point.fnmr_low, point.fnmr_high) == pytest.approx((fnmr.low, fnmr.high), abs=0.01)
            assert point.fnmr_low < point.fnmr < point.fnmr_high
            assert (point.model, point.dataset) == ("id", "made")

    def test_only_rates_the_pairs_allow_have_a_point_and_the_others_are_named(self):
        found = measure_rule("id", "made", *crowd(*ENOUGH))
        assert [point.fmr for point in found.rule.points] == [1e-2, 1e-3]
        assert found.left_out == (1e-4, 1e-5)

    def test_a_default_of_ones_own_gets_its_point(self):
        found = measure_rule("id", "made", *crowd(*ENOUGH), Wish(default_fmr=0.02))
        assert [point.fmr for point in found.rule.points] == [0.02, 1e-2, 1e-3]
        assert found.rule.point().fmr == 0.02

    def test_many_pictures_of_few_persons_have_no_point_although_pairs_are_plenty(self):
        vectors, people = crowd(30, 12)  # 62,640 non-mated pairs of 435 couples
        with pytest.raises(DataError, match=r"FMR 1e-3 takes 10,000 couples of different persons, 30 persons give 435"):
            measure_rule("id", "made", vectors, people)
        found = measure_rule("id", "made", vectors, people, Wish(0.05))
        assert (found.non_mated, found.couples) == (62_640, 435)
        assert [point.fmr for point in found.rule.points] == [0.05]
        assert found.left_out == (1e-2, 1e-3, 1e-4, 1e-5)

    def test_pictures_of_one_person_that_fail_together_leave_more_doubt_of_the_fnmr(self):
        vectors, people = crowd(60, 6, spread=0.5)
        odd, _ = crowd(60, 6, spread=0.5, seed=1)
        rows = np.arange(360)
        vectors[(rows < 60) & (rows % 6 < 3)] = odd[(rows < 60) & (rows % 6 < 3)]  # ten persons show two faces each
        (point,) = measure_rule("id", "made", vectors, people, Wish(1e-2)).rule.points
        assert point.fnmr == pytest.approx(90 / 900)
        half = (point.fnmr_high - point.fnmr_low) / 2
        assert half == pytest.approx(1.96 * 0.6 * np.sqrt(1 / 6 * 5 / 6 / 60), rel=0.1)  # of persons, not of pairs

    def test_no_false_non_match_bounds_the_rate_by_the_persons(self):
        (point,) = measure_rule("id", "made", *crowd(60, 4, spread=0.1), Wish(1e-2)).rule.points
        assert (point.fnmr, point.fnmr_low, point.fnmr_high) == (0, 0, pytest.approx(3 / 60))

    def test_one_picture_in_many_folders_is_refused(self):
        vectors, people = crowd(60, 2)
        vectors[1:40:2] = vectors[1]  # in the folders of twenty
        with pytest.raises(DataError, match=r"more than one in 100 non-mated pairs are of identical pictures; persons"):
            measure_rule("id", "made", vectors, people, Wish(1e-2))

    def test_the_detector_becomes_the_rules_own(self):
        finder = MeasuredWith("finder", "its identity")
        assert measure_rule("id", "made", *crowd(60, 2), Wish(1e-2), finder).rule.detector == finder
        assert measure_rule("id", "made", *crowd(60, 2), Wish(1e-2)).rule.detector is None

    def test_the_curve_with_the_smaller_held_out_log_loss_is_kept(self):
        found = measure_rule("id", "made", *crowd(80, 3), Wish(1e-2))
        assert set(found.held) == {"logistic", "isotonic"}
        best = min(found.held.values(), key=lambda held: held.log_loss)
        assert found.held[found.rule.curve.kind] is best

    @pytest.mark.parametrize("better", ["logistic", "isotonic"])
    def test_either_curve_can_win_and_ties_go_to_the_calibration_error(self, better, monkeypatch):
        def judged(fits, scores):
            real = dict.fromkeys(FITS, cross_validate(fits, scores)["logistic"])
            return {name: replace(held, ece=0.01 if name == better else 0.02) for name, held in real.items()}

        from twinface.app.measuring import calibration

        cross_validate = calibration.cross_validate
        monkeypatch.setattr(calibration, "cross_validate", judged)
        found = measure_rule("id", "made", *crowd(80, 3), Wish(1e-2))
        assert found.rule.curve.kind == better

    def test_the_curve_is_fitted_to_all_pairs(self):
        vectors, people = crowd(80, 3, spread=0.8)
        found = measure_rule("id", "made", vectors, people, Wish(1e-2))
        gaps = distances(vectors, vectors)[np.triu_indices(240, 1)]
        same = np.equal.outer(people, people)[np.triu_indices(240, 1)]
        expected = fit_probability(gaps[same], gaps[~same])
        x = np.linspace(gaps.min(), gaps.max(), 20)
        assert found.rule.curve.kind == "logistic"
        np.testing.assert_allclose(found.rule.curve.at(x), expected.at(x), atol=2e-4)

    def test_nobody_of_many_pictures_rules_the_rest(self):
        vectors, people = crowd(40, 2)
        more, _ = crowd(1, 60, seed=1)
        found = measure_rule("id", "made", np.vstack([vectors, more]), [*people, *["many"] * 60], Wish(0.05))
        assert found.mated == 40 + PAIRS_A_PERSON

    def test_the_band_becomes_the_rules_own(self):
        assert measure_rule("id", "made", *crowd(80, 3), Wish(1e-2, band=0.9)).rule.band == 0.9
        assert measure_rule("id", "made", *crowd(80, 3), Wish(1e-2)).rule.band is None

    def test_a_band_the_pairs_cannot_support_is_refused(self):
        with pytest.raises(ContractMismatch, match=r"^band 0\.9999: .* no more than 0\.99"):
            measure_rule("id", "made", *crowd(80, 3), Wish(1e-2, band=0.9999))

    @pytest.mark.parametrize(
        ("persons", "shots", "said"),
        [
            (1, 50, "two usable pictures or more: 1, with any: 1"),
            (19, 4, "two usable pictures or more: 19, with any: 19"),
            (100, 1, "two usable pictures or more: 0, with any: 100"),
        ],
    )
    def test_too_few_persons_are_refused_with_numbers(self, persons, shots, said):
        with pytest.raises(DataError, match=f"^made: persons with {said}; a calibration takes 20"):
            measure_rule("id", "made", *crowd(persons, shots))

    def test_nobody_at_all_is_refused(self):
        with pytest.raises(DataError, match="with any: 0"):
            measure_rule("id", "made", np.zeros((0, 1), np.float32), [])

    @pytest.mark.parametrize(("persons", "couples"), [(20, "190"), (50, "1,225"), (141, "9,870")])
    def test_too_few_persons_for_the_default_are_refused_and_what_is_offered_is_taken(self, persons, couples):
        said = rf"FMR 1e-3 takes 10,000 couples of different persons, {persons} persons give {couples}; .*--default-fmr"
        with pytest.raises(DataError, match=said) as caught:
            measure_rule("id", "made", *crowd(persons, 2))
        offered = re.search(r"--default-fmr (\d+e-\d+)", str(caught.value))
        assert offered is not None
        fmr = float(offered[1])
        assert measure_rule("id", "made", *crowd(persons, 2), Wish(fmr)).rule.point().fmr == fmr

    def test_the_fewest_persons_that_are_enough(self):
        found = measure_rule("id", "made", *crowd(20, 3), Wish(0.1))
        assert [point.fmr for point in found.rule.points] == [0.1]
        assert measure_rule("id", "made", *crowd(142, 2)).rule.point().fmr == 1e-3

    def test_folders_in_disorder_are_noticed(self):
        vectors, people = crowd(80, 2, spread=0.1)
        vectors[1::2] *= -1  # the two pictures of a folder are as unlike as can be
        with pytest.raises(DataError, match=r"tells nothing of this model .*are the right pictures together"):
            measure_rule("id", "made", vectors, people, Wish(1e-2))

    def test_it_repeats_itself(self):
        one, other = (measure_rule("id", "made", *crowd(60, 3), Wish(1e-2)) for _ in range(2))
        assert one.rule == other.rule
        assert one.held == other.held


class TestWish:
    @pytest.mark.parametrize("band", [0.5, 1.0, 0.0, -1.0, float("nan"), float("inf")])
    def test_a_band_that_is_none_is_refused(self, band):
        with pytest.raises(TwinFaceError, match=r"--band must lie between 0\.5 and 1"):
            Wish(band=band)

    @pytest.mark.parametrize("fmr", [0.0, 1.0, -1e-3, float("nan")])
    def test_a_rate_that_is_none_is_refused(self, fmr):
        with pytest.raises(TwinFaceError, match="--default-fmr must lie between 0 and 1"):
            Wish(default_fmr=fmr)


class TestCalibrate:
    def test_failures_are_counted_and_poor_faces_count_all_the_same(self, make_system, make_photos):
        spoilt = {
            "0000/0.jpg": b'{"no": "no face"}',
            "0001/0.jpg": b'{"no": "unreadable"}',
            "0001/1.jpg": b'{"no": "no face"}',
            "0002/0.jpg": b'{"no": "blurred", "person": 2, "shot": 0}',
        }
        photos = make_photos(60, 3, spread=0.8, spoilt=spoilt)
        found = calibrate(make_system(rule=None), folder_sample(photos), Wish(1e-2))
        assert found.failed == {"no face": 2, "unreadable": 1}
        assert found.failures.value == pytest.approx(3 / 180)
        assert found.failures.low < 3 / 180 < found.failures.high
        assert found.poor == 1
        assert (found.found.templates, found.found.subjects) == (177, 60)
        assert found.found.rule.model == make_system().analyzer.encoder.identity
        assert found.found.rule.points[0].dataset == "made people"

    def test_pictures_without_a_face_are_too_few_persons(self, make_system, make_photos):
        spoilt = {f"{person:04d}/0.jpg": b'{"no": "no face"}' for person in range(30)}
        with pytest.raises(DataError, match="with any: 0"):
            calibrate(make_system(), folder_sample(make_photos(30, 1, spoilt=spoilt)), Wish())

    def test_persons_of_the_training_are_told_loudly(self, make_system, make_photos):
        trained = Part("numbers", (TrainingSet("their people", frozenset({"0003"})),))
        found = calibrate(make_system(encoder=trained), folder_sample(make_photos(60, 3)), Wish(1e-2))
        assert any(note.startswith("LEAK: numbers was trained on 1 of the 60") for note in found.notes)

    def test_the_rule_knows_the_detector_that_found_the_faces(self, make_system, make_photos):
        system = make_system(rule=None, detector=Part("finder", ()))
        rule = calibrate(system, folder_sample(make_photos(60, 2)), Wish(1e-2)).found.rule
        assert rule.detector == MeasuredWith("finder", system.analyzer.detector.identity)

    def test_an_older_rule_of_another_detector_is_not_complained_of(self, make_system, make_photos):
        older = replace(make_system().rule, detector=MeasuredWith("looker", "another identity"))
        found = calibrate(make_system(rule=older), folder_sample(make_photos(60, 2)), Wish(1e-2))
        assert not any("looker" in note for note in found.notes)

    def test_lfw_gives_the_pictures_of_its_devtrain_pairs_each_once(self, tmp_path, make_photos):
        (tmp_path / "pairsDevTrain.txt").write_text("1\nAnn_A\t1\t2\nAnn_A\t1\tBob_B\t3\n")
        names = ["Ann_A/Ann_A_0001.jpg", "Ann_A/Ann_A_0002.jpg", "Ann_A/Ann_A_0004.jpg", "Bob_B/Bob_B_0003.jpg"]
        files = replace(make_photos(0, 0).files, contents=dict.fromkeys(names, b""))
        sample = lfw_sample(Lfw(files, "deep-funneled", "", (tmp_path,)))
        assert sample.name == "LFW DevTrain (deep-funneled)"
        assert sample.paths == (names[0], names[1], names[3])
        assert sample.people == ("Ann_A", "Ann_A", "Bob_B")
        assert any("not the official" in note for note in sample.notes)

    def test_a_folders_name_that_cannot_be_printed_is_escaped(self, make_photos):
        assert folder_sample(replace(make_photos(1, 1), name="my\nfolk")).name == "'my\\nfolk'"
