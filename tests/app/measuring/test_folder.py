"""A user's own people: right figures where there is enough, plain words where there is not."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from twinface.app.measuring.as_json import folder_json
from twinface.app.measuring.folder import Options, evaluate_folder
from twinface.app.measuring.rows import folder_tables
from twinface.app.measuring.system import Part
from twinface.core.decision import MeasuredWith
from twinface.core.provenance import TrainingSet
from twinface.errors import DataError, SubjectLeak


def cells(tables) -> str:
    return "\n".join(" | ".join(row) for table in tables for row in table.rows)


def test_enough_people_give_all_figures_and_a_threshold_that_keeps_its_promise(make_system, make_photos):
    photos = make_photos(60, 4, spread=0.6)
    result = evaluate_folder(make_system(rule=None), photos, Options(fmr=1e-2))
    figures, scores = result.figures, result.pairing.scores
    assert (figures.mated, figures.non_mated, figures.subjects) == (60 * 6, 60 * 59 * 16 // 2, 60)
    assert result.suggestion is not None
    assert (scores.distances[~scores.mated] <= result.suggestion.value).mean() <= 1e-2
    assert figures.auc is not None
    assert figures.auc.low <= figures.auc.value <= figures.auc.high
    assert figures.tar[0.01] is not None
    assert figures.tar[0.01].value == pytest.approx(
        (scores.distances[scores.mated] <= result.suggestion.value).mean(), abs=0.03
    )
    assert not result.failed
    assert result.warnings == ()
    assert "threshold for FMR 1e-2" in cells(folder_tables(result))


def test_no_error_bounds_the_rate_and_does_not_make_it_zero(make_system, make_photos):
    result = evaluate_folder(make_system(), make_photos(40, 3, spread=0.01), Options(fmr=1e-2))
    deployed = result.figures.deployed[1]
    assert deployed.fmr is not None
    assert deployed.fmr.value == 0
    assert result.figures.non_mated == 7_020
    assert deployed.fmr.high == pytest.approx(3 / 780)
    assert any("no false match between 780 couples of persons" in warning for warning in result.warnings)
    assert any("3.85e-3 (3 / couples)" in warning for warning in result.warnings)
    assert deployed.fnmr is not None
    assert (deployed.fnmr.value, deployed.fnmr.high) == (0, pytest.approx(3 / 40))


def test_too_few_couples_give_no_threshold_but_say_what_they_could_give(make_system, make_photos):
    result = evaluate_folder(make_system(), make_photos(20, 2), Options(fmr=1e-3))
    assert result.suggestion is None
    said = " ".join(result.warnings)
    assert "only 20 persons" in said
    assert "only 20 mated pairs" in said
    assert "it takes 10,000 couples of different persons" in said
    assert "here are 190" in said
    assert "--fmr 1e-1" in said
    offered = evaluate_folder(make_system(), make_photos(20, 2), Options(fmr=0.1))
    assert offered.suggestion is not None


def test_very_few_couples_are_offered_no_rate_that_is_worth_nothing(make_system, make_photos):
    result = evaluate_folder(make_system(), make_photos(8, 2), Options(fmr=1e-3))
    (said,) = [warning for warning in result.warnings if "no threshold" in warning]
    assert "here are 28" in said
    assert "--fmr" not in said


def test_many_pictures_of_few_persons_give_no_threshold_although_pairs_are_plenty(make_system, make_photos):
    result = evaluate_folder(make_system(), make_photos(12, 15, spread=0.6), Options(fmr=1e-2))
    assert result.figures.non_mated == 66 * 15 * 15
    assert result.suggestion is None
    assert any("1,000 couples of different persons" in warning for warning in result.warnings)


def test_persons_without_a_template_are_no_couples_to_place_a_threshold_by(make_system, make_photos):
    # given 1,035 couples, of which 132 have no template of one person
    blind = {f"{person:04d}/{shot}.jpg": b'{"no": "no face"}' for person in range(3) for shot in range(2)}
    result = evaluate_folder(make_system(), make_photos(46, 2, spoilt=blind), Options(fmr=1e-2))
    assert result.suggestion is None
    (said,) = [warning for warning in result.warnings if "no threshold" in warning]
    assert "it takes 1,000 couples" in said
    assert "here are 903" in said


def test_one_picture_in_many_folders_gives_no_threshold_and_says_why(make_system, make_photos):
    one = make_photos(1, 2).files.contents["0000/1.jpg"]
    shared = {f"{person:04d}/1.jpg": one for person in range(20)}
    result = evaluate_folder(make_system(), make_photos(60, 2, spoilt=shared), Options(fmr=1e-2))
    assert result.suggestion is None
    said = " ".join(result.warnings)
    assert "more pairs than that are of one picture in two persons' folders" in said
    assert "pairs more: mend it" in said


def test_one_person_and_no_second_pictures_are_told_apart(make_system, make_photos):
    alone = evaluate_folder(make_system(), make_photos(1, 5), Options())
    assert alone.figures.curve is None
    assert alone.figures.deployed[0].fmr is None
    assert alone.figures.deployed[0].fnmr is not None
    assert any("one person only" in warning for warning in alone.warnings)
    singles = evaluate_folder(make_system(), make_photos(50, 1), Options(fmr=1e-2))
    assert singles.figures.deployed[0].fnmr is None
    assert singles.suggestion is not None
    assert any("nobody has two pictures" in warning for warning in singles.warnings)
    for result in (alone, singles):
        json.dumps(folder_json(result, make_system()), allow_nan=False)
        assert "unknown" in cells(folder_tables(result))


def test_failures_to_acquire_are_counted_listed_and_never_dropped(make_system, make_photos):
    spoilt = {"0000/0.jpg": b'{"no": "unreadable"}', "0001/1.jpg": b'{"no": "no face"}'}
    photos = make_photos(40, 2, spoilt=spoilt)
    result = evaluate_folder(make_system(), photos, Options(fmr=1e-2))
    assert result.failed == (("0000/0.jpg", "unreadable"), ("0001/1.jpg", "no face"))
    assert result.failures.value == pytest.approx(2 / 80)
    assert result.figures.mated == 40
    assert result.figures.deployed[0].fnmr is not None
    assert result.figures.deployed[0].fnmr.value >= 2 / 40
    assert result.figures.failed_pairs == 2 + 2 * 78 - 1


def test_poor_faces_count_unless_they_are_to_be_refused(make_system, make_photos):
    poor = {"0003/0.jpg": json.dumps({"person": 3, "shot": 0, "no": "blurred"}).encode()}
    photos = make_photos(40, 2, spoilt=poor)
    assert not evaluate_folder(make_system(), photos, Options(fmr=1e-2)).failed
    strict = evaluate_folder(make_system(), photos, Options(fmr=1e-2, refuse_poor=True))
    assert strict.failed == (("0003/0.jpg", "blurred"),)


def test_a_picture_in_two_persons_folders_is_pointed_out(make_system, make_photos):
    photos = make_photos(40, 2, spoilt={"0005/1.jpg": make_photos(40, 2).files.contents["0009/0.jpg"]})
    (warning,) = [w for w in evaluate_folder(make_system(), photos, Options(fmr=1e-2)).warnings if "two persons" in w]
    assert "0005/1.jpg and 0009/0.jpg" in warning


def test_persons_of_the_training_are_refused_or_shouted_about(make_system, make_photos):
    system = make_system(encoder=Part("numbers", (TrainingSet("made", frozenset({"0007", "0011"})),)))
    with pytest.raises(SubjectLeak, match=r"trained on 2 of the 40 persons tested \(0007, 0011\).*--allow-leak"):
        evaluate_folder(system, make_photos(40, 2), Options(fmr=1e-2))
    allowed = evaluate_folder(system, make_photos(40, 2), Options(fmr=1e-2, allow_leak=True))
    assert any(note.startswith("LEAK: ") for note in allowed.notes)


def test_a_detectors_training_is_told_not_refused(make_system, make_photos):
    system = make_system(detector=Part("finder", (TrainingSet("made", frozenset({"0007"})),)))
    (note,) = evaluate_folder(system, make_photos(40, 2), Options(fmr=1e-2)).notes
    assert note == "finder was trained on 1 of the 40 persons tested (0007)"


def test_a_detector_trained_on_unlisted_pictures_of_the_test_is_told(make_system, make_photos):
    system = make_system(detector=Part("finder", (TrainingSet("Made", None), TrainingSet("the web", None))))
    (note,) = evaluate_folder(system, make_photos(40, 2), Options(fmr=1e-2)).notes
    assert note == "finder was trained on pictures of Made, which is tested here"


def test_a_rule_of_another_detector_is_told(make_system, make_photos):
    rule = replace(make_system().rule, detector=MeasuredWith("looker", "another identity"))
    (note,) = evaluate_folder(make_system(rule=rule), make_photos(40, 2), Options(fmr=1e-2)).notes
    assert note.startswith("these thresholds were measured with the detector looker")
    own = replace(make_system().rule, detector=MeasuredWith("looker", make_system().analyzer.detector.identity))
    assert evaluate_folder(make_system(rule=own), make_photos(40, 2), Options(fmr=1e-2)).notes == ()


def test_unlisted_training_and_no_record_are_admitted(make_system, make_photos):
    unlisted = make_system(encoder=Part("numbers", (TrainingSet("the web", None),)))
    assert any("not listed" in note for note in evaluate_folder(unlisted, make_photos(4, 2), Options()).notes)
    silent = make_system(encoder=Part("stranger", None))
    notes = evaluate_folder(silent, make_photos(4, 2), Options()).notes
    assert "stranger has no training record: nobody can tell whether it has seen these persons" in notes


def test_nothing_to_compare_is_refused(make_system, make_photos):
    with pytest.raises(DataError, match="nothing to compare"):
        evaluate_folder(make_system(), make_photos(1, 1), Options())
    nobody = {f"{person:04d}/{shot}.jpg": b'{"no": "no face"}' for person in range(2) for shot in range(2)}
    with pytest.raises(DataError, match=r"none of 4 pictures gave a template"):
        evaluate_folder(make_system(), make_photos(0, 0, spoilt=nobody), Options())


@pytest.mark.parametrize("fmr", [0.0, 1.0, -1.0, float("nan")])
def test_impossible_rates_are_refused(fmr):
    with pytest.raises(DataError, match="--fmr must lie between 0 and 1"):
        Options(fmr=fmr)


def test_an_encoder_without_rules_still_gives_figures(make_system, make_photos):
    result = evaluate_folder(make_system(rule=None), make_photos(40, 2), Options(fmr=1e-2))
    assert result.figures.deployed == ()
    assert result.figures.eer is not None
    assert np.isfinite(result.figures.eer.value)
