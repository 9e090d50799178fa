"""`twinface compare`: two pictures in, one answer out, for people and for machines; the exit status says it too."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from twinface import load
from twinface.core.decision import write_rules
from twinface.models.registry import HOME
from twinface.services.recognition import Recognizer

KEYS = {
    "verdict", "probability", "distance", "similarity", "threshold", "fmr", "band", "model", "a", "b", "notes",
    "seconds",
}  # fmt: skip
SIDE_KEYS = {"path", "box", "landmarks", "score", "quality", "faces"}


@pytest.fixture
def same(examples):
    return examples / "collins.jpg", examples / "collins_reshoot.jpg"


@pytest.fixture
def different(examples):
    return examples / "collins.jpg", examples / "hopper.jpg"


@pytest.fixture
def doubtful(different):
    """Two persons whom the base network does not tell apart surely."""
    return *different, "--model", "resnet29"


@pytest.fixture
def both(examples):
    """A picture of two faces, twice."""
    return examples / "two_faces.jpg", examples / "two_faces.jpg"


def answer(outcome, status):
    assert (outcome.status, outcome.err) == (status, "")
    assert outcome.out.count("\n") == 1
    return json.loads(outcome.out)


# the answer


def test_the_installed_command_answers_in_a_process_of_its_own(run_cli, same):
    found = answer(run_cli("compare", *same, "--json"), 0)
    assert found["verdict"] == "same"


@pytest.mark.parametrize(("one", "other"), [("collins", "collins_reshoot"), ("hopper", "hopper_reshoot")])
def test_two_pictures_of_one_person_are_the_same_with_status_0(cli, examples, one, other):
    found = answer(cli("compare", examples / f"{one}.jpg", examples / f"{other}.jpg", "--json"), 0)
    assert found["verdict"] == "same"
    assert found["distance"] <= found["threshold"]
    assert found["probability"] > 0.9


@pytest.mark.parametrize("other", ["hopper", "hopper_reshoot"])
def test_pictures_of_two_persons_are_different_with_status_1(cli, examples, other):
    found = answer(cli("compare", examples / "collins.jpg", examples / f"{other}.jpg", "--json"), 1)
    assert found["verdict"] == "different"
    assert found["distance"] > found["threshold"]
    assert found["probability"] < 0.5


def test_the_order_of_the_pictures_does_not_matter(cli, different):
    one, other = (answer(cli("compare", *pair, "--json"), 1) for pair in (different, different[::-1]))
    assert one["distance"] == pytest.approx(other["distance"], abs=2e-6)
    assert one["a"]["path"] == other["b"]["path"]


def test_json_holds_what_is_promised(cli, different):
    found = answer(cli("compare", *different, "--json"), 1)
    assert found.keys() >= KEYS
    assert found["similarity"] == pytest.approx(1 - found["distance"] ** 2 / 2, abs=1e-5)
    assert found["fmr"] == 1e-3
    assert found["band"] is None
    assert found["notes"] == []
    assert found["model"] == "twin-r29"
    assert found["seconds"].keys() == {"decode", "detect", "encode", "total"}
    parts = sum(found["seconds"][name] for name in ("decode", "detect", "encode"))
    assert 0 < parts <= found["seconds"]["total"] + 1e-3
    assert "pairs" not in found
    for side, path in zip((found["a"], found["b"]), different, strict=True):
        assert side.keys() >= SIDE_KEYS
        assert side["path"] == str(path)
        assert side["faces"] >= side["face"] == 1
        assert side["quality"]["usable"] is True
        assert 0 < side["score"] <= 1
        left, top, width, height = side["box"]
        points = np.array(side["landmarks"])
        assert points.shape == (5, 2)
        assert (points > (left, top)).all()
        assert (points < (left + width, top + height)).all()


def test_people_read_the_verdict_and_what_it_rests_on(cli, same, different):
    outcome = cli("compare", *same)
    assert (outcome.status, outcome.err) == (0, "")
    for words in ("SAME PERSON", "calibrated", "threshold", "1 in 1,000 (FMR 1e-3)", "LFW DevTrain", "twin-r29"):
        assert words in outcome.out
    assert "faces" not in outcome.out
    outcome = cli("compare", *different)
    assert outcome.status == 1
    assert "DIFFERENT PERSONS" in outcome.out


def test_a_verdict_and_a_probability_that_seem_to_disagree_are_explained(cli, same, monkeypatch):
    compare_all = Recognizer.compare_all

    def farther(self, *words, **options):  # just beyond the threshold of the default operating point
        (found,) = compare_all(self, *words, **options)
        object.__setattr__(found, "distance", found.point.threshold + 1e-4)
        return [found]

    monkeypatch.setattr(Recognizer, "compare_all", farther)
    outcome = cli("compare", *same)
    assert outcome.status == 1
    assert "probably one person, but not surely enough for FMR 1e-3" in outcome.out


# doubt


def test_within_the_band_the_answer_is_inconclusive_with_status_3(cli, doubtful):
    found = answer(cli("compare", *doubtful, "--band", "0.99", "--json"), 3)
    assert found["verdict"] == "inconclusive"
    assert 0.01 < found["probability"] < 0.99
    band = found["band"]
    assert band["probability"] == 0.99
    assert band["low"] < found["threshold"] < found["distance"] < band["high"]


def test_outside_the_band_the_answer_is_as_sure_as_was_wanted(cli, same, different):
    found = answer(cli("compare", *different, "--band", "0.9", "--json"), 1)
    assert found["verdict"] == "different"
    assert found["probability"] <= 0.1
    assert found["distance"] >= found["band"]["high"] >= found["threshold"]
    found = answer(cli("compare", *same, "--band", "0.9", "--json"), 0)
    assert found["probability"] >= 0.9
    assert found["distance"] <= found["band"]["low"] <= found["threshold"]


def test_the_installed_command_is_inconclusive_with_status_3(run_cli, doubtful):
    assert run_cli("compare", *doubtful, "--band", "0.99", "--json").status == 3


def test_people_read_that_it_is_inconclusive_and_why(cli, doubtful):
    outcome = cli("compare", *doubtful, "--band", "0.99")
    assert outcome.status == 3
    for words in ("? INCONCLUSIVE", "probably two persons, but not surely enough", "at least 99.0% sure is wanted"):
        assert words in outcome.out
    assert "DIFFERENT" not in outcome.out


def test_an_inconclusive_answer_is_drawn_too(cli, doubtful, tmp_path):
    assert cli("compare", *doubtful, "--band", "0.99", "--json", "--save", tmp_path / "out.png").status == 3
    assert (tmp_path / "out.png").is_file()


def test_the_help_tells_all_statuses(cli):
    words = " ".join(cli("compare", "--help").out.split())
    assert "Exit status: 0 same, 1 different, 2 trouble, 3 inconclusive" in words


@pytest.mark.parametrize("band", ["nan", "0.5", "1", "-1", "inf"])
def test_a_band_that_is_none_is_trouble(cli, same, band):
    cli("compare", *same, "--band", band).refuses("band", "must lie between 0.5 and 1")


def test_a_band_surer_than_the_calibration_is_trouble(cli, same):
    cli("compare", *same, "--band", "0.99999").refuses("band 0.99999", "support no more than 0.999")


# another detector


def test_another_detector_than_the_rules_were_measured_with_is_told_beside_the_answer(cli, same, different, lookout):
    said = "these thresholds were measured with the detector scout, not with lookout: calibrate with --detector lookout"
    for pair, status in ((same, 0), (different, 1)):
        assert answer(cli("compare", *pair, "--detector", lookout, "--json"), status)["notes"] == [said]
        outcome = cli("compare", *pair, "--detector", lookout)
        assert (outcome.status, outcome.err) == (status, "")
        assert outcome.out.count(said) == 1


def test_the_environments_detector_is_told_too(cli, same, lookout, scrubbed):
    scrubbed.setenv("TWINFACE_DETECTOR", str(lookout))
    assert len(answer(cli("compare", *same, "--json"), 0)["notes"]) == 1


@pytest.mark.parametrize("words", [(), ("--detector", "scout"), ("--detector", str(HOME / "scout.json"))])
def test_the_detector_the_rules_were_measured_with_needs_no_words(cli, same, words):
    assert answer(cli("compare", *same, *words, "--json"), 0)["notes"] == []
    assert "measured with the detector" not in cli("compare", *same, *words).out


def test_a_calibration_that_records_no_detector_needs_no_words(cli, same, lookout, tmp_path, recognizer):
    path = tmp_path / "own.json"
    path.write_text(write_rules([replace(recognizer.rule, detector=None)]))
    found = answer(cli("compare", *same, "--calibration", path, "--detector", lookout, "--json"), 0)
    assert found["notes"] == []


# a calibration of one's own


@pytest.fixture
def own(recognizer, tmp_path):
    """The shipped rule with a threshold so strict that nothing passes, and a band."""
    rule = recognizer.rule
    points = tuple(replace(point, dataset="my people", threshold=0.01, low=0.01, high=0.01) for point in rule.points)
    path = tmp_path / "own.json"
    path.write_text(write_rules([replace(rule, points=points)]))
    return path


def test_a_users_calibration_decides_in_place_of_the_shipped_one(cli, same, own):
    found = answer(cli("compare", *same, "--calibration", own, "--json"), 1)
    assert (found["verdict"], found["threshold"]) == ("different", 0.01)
    assert "my people" in cli("compare", *same, "--calibration", own).out


def test_the_operating_points_are_those_of_the_users_calibration(cli, same, own, recognizer):
    rule = recognizer.rule
    own.write_text(write_rules([replace(rule, points=(replace(rule.point(), fmr=0.05),), default_fmr=0.05)]))
    found = answer(cli("compare", *same, "--calibration", own, "--json"), 0)
    assert found["fmr"] == 0.05
    cli("compare", *same, "--calibration", own, "--fmr", "1e-3").refuses("measured ones: 5e-2")


def test_a_calibrations_own_band_applies(cli, doubtful, own):
    own.write_text(write_rules([replace(load("resnet29").rule, band=0.99)]))
    found = answer(cli("compare", *doubtful, "--calibration", own, "--json"), 3)
    assert found["band"]["probability"] == 0.99
    assert cli("compare", *doubtful, "--calibration", own, "--band", "0.9").status == 1


def test_a_calibration_of_another_model_is_refused_with_the_remedy(cli, same, own, recognizer):
    text = own.read_text().replace(recognizer.rule.model, "0" * 64)
    own.write_text(text)
    cli("compare", *same, "--calibration", own).refuses(
        "own.json", "no decision rule of twin-r29", "twinface calibrate"
    )


def test_a_calibration_for_the_other_mirror_setting_says_which_option_helps(cli, same, own):
    cli("compare", *same, "--calibration", own, "--no-flip").refuses("own.json", "there is one for --flip")


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff\xd8\xff", b'{"rules": []}'])
def test_a_calibration_that_cannot_be_read_is_refused(cli, same, tmp_path, content):
    path = tmp_path / "own.json"
    if content is not None:
        path.write_bytes(content)
    cli("compare", *same, "--calibration", path).refuses("own.json")


def test_a_folder_is_no_calibration(cli, same, tmp_path):
    cli("compare", *same, "--calibration", tmp_path).refuses(tmp_path.name)


def test_an_encoder_that_nobody_has_calibrated_can_be_used_with_ones_own(cli, same, tmp_path, own):
    for path in HOME.glob("twin-r29.*"):
        shutil.copy(path, tmp_path)
    (tmp_path / "twin-r29.decision.json").unlink()
    model = tmp_path / "twin-r29.json"
    cli("compare", *same, "--model", model).refuses("no decision rules", "twinface calibrate")
    assert cli("compare", *same, "--model", model, "--calibration", own, "--json").status == 1


def test_the_picture_is_not_written_over_the_calibration(cli, same, own, tmp_path):
    alias = tmp_path / "own.png"
    alias.symlink_to(own)
    before = own.read_bytes()
    cli("compare", *same, "--calibration", own, "--save", alias).refuses("own.png", "save the answer elsewhere")
    assert own.read_bytes() == before


# options


def test_a_stricter_operating_point_has_a_smaller_threshold(cli, same):
    found = [answer(cli("compare", *same, "--json", "--fmr", fmr), 0) for fmr in ("1e-2", "0.001", "1e-4")]
    assert [one["fmr"] for one in found] == [1e-2, 1e-3, 1e-4]
    thresholds = [one["threshold"] for one in found]
    assert thresholds == sorted(thresholds, reverse=True)
    assert len(set(thresholds)) == 3
    assert len({one["distance"] for one in found}) == 1


def test_the_mirror_image_can_be_left_out_and_has_rules_of_its_own(cli, same):
    with_mirror, without = (answer(cli("compare", *same, "--json", flag), 0) for flag in ("--flip", "--no-flip"))
    assert with_mirror["distance"] != without["distance"]
    assert with_mirror["threshold"] != without["threshold"]
    assert answer(cli("compare", *same, "--json"), 0)["distance"] == with_mirror["distance"]


def test_of_several_faces_the_largest_counts_and_their_number_is_told(cli, both, examples):
    found = answer(cli("compare", both[0], examples / "hopper.jpg", "--json"), 0)
    assert (found["a"]["faces"], found["a"]["face"], found["b"]["face"]) == (2, 1, 1)
    assert "largest of 2 faces" in cli("compare", *both).out


def test_a_face_may_be_chosen_by_number(cli, both):
    outcome = cli("compare", *both, "--face", "2")
    assert outcome.status == 0
    assert outcome.out.count("number 2 of 2 faces") == 2


def test_each_picture_may_have_its_own_choice(cli, both, examples):
    found = answer(cli("compare", examples / "collins.jpg", both[1], "--face", "largest,2", "--json"), 0)
    assert (found["a"]["face"], found["b"]["face"]) == (1, 2)
    mixed = answer(cli("compare", *both, "--face", "largest,all", "--json"), 0)
    assert [(one["a"], one["b"]) for one in mixed["pairs"]] == [(1, 1), (1, 2)]
    assert mixed["a"]["left_out"] == mixed["b"]["left_out"] == []  # not chosen is not left out
    cli("compare", *both, "--face", "1,2,1").refuses("--face")
    cli("compare", *both, "--face", "9" * 5000).refuses("--face")


def test_a_mirrored_portrait_is_the_same_person(cli, examples, tmp_path):
    Image.open(examples / "collins.jpg").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "mirrored.png")
    found = answer(cli("compare", examples / "collins.jpg", tmp_path / "mirrored.png", "--json"), 0)
    assert found["b"]["face"] == 1


def test_a_closed_output_changes_no_status(run_python, same, different):
    code = "import sys; sys.stdout = None; sys.argv = ['twinface', 'compare', {!r}, {!r}]; import twinface.__main__"
    for pair, status in ((same, 0), (different, 1)):
        assert run_python(code.format(*map(str, pair))).status == status


def test_all_faces_are_compared_with_all_nearest_pair_first(cli, both):
    found = answer(cli("compare", *both, "--face", "all", "--json"), 0)
    pairs = found["pairs"]
    assert sorted((one["a"], one["b"]) for one in pairs) == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert [one["distance"] for one in pairs] == sorted(one["distance"] for one in pairs)
    assert {(one["a"], one["b"]): one["verdict"] for one in pairs} == {
        (1, 1): "same", (2, 2): "same", (1, 2): "different", (2, 1): "different",
    }  # fmt: skip
    assert (found["distance"], found["verdict"]) == (pairs[0]["distance"], "same")


def test_all_pairs_are_listed_for_people_too(cli, both):
    lines = cli("compare", *both, "--face", "all").out.splitlines()
    listed = [line.split()[:3] for line in lines if line.split()[2:3] in (["same"], ["different"])]
    assert sorted(map(tuple, listed)) == [
        ("1", "1", "same"), ("1", "2", "different"), ("2", "1", "different"), ("2", "2", "same"),
    ]  # fmt: skip


def test_faces_left_out_for_their_quality_are_told(cli, both, tmp_path):
    picture = Image.open(both[0])
    half = (0, 0, picture.width // 2, picture.height)
    picture.paste(picture.crop(half).filter(ImageFilter.GaussianBlur(6)), half)
    picture.save(tmp_path / "half_blurred.png")
    report = json.loads(cli("compare", tmp_path / "half_blurred.png", both[1], "--face", "all", "--json").out)
    assert report["a"]["faces"] == 2
    assert [one["reasons"] for one in report["a"]["left_out"]] == [["blurred"]]
    assert report["b"]["left_out"] == []
    assert {one["a"] for one in report["pairs"]}.isdisjoint({one["face"] for one in report["a"]["left_out"]})
    words = cli("compare", tmp_path / "half_blurred.png", both[1], "--face", "all").out
    assert "left out: blurred" in words


def test_the_answer_is_not_written_over_a_picture_it_is_about(cli, same, tmp_path):
    picture = tmp_path / "a.png"
    Image.open(same[0]).save(picture)
    before = picture.read_bytes()
    cli("compare", picture, same[1], "--save", picture).refuses("a.png", "save the answer elsewhere")
    assert picture.read_bytes() == before


def test_all_of_one_face_is_a_list_of_one_pair(cli, same):
    assert len(answer(cli("compare", *same, "--face", "all", "--json"), 0)["pairs"]) == 1


# the picture


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_the_side_by_side_picture_is_written_and_named(cli, same, tmp_path, ending):
    target = tmp_path / f"out.{ending}"
    outcome = cli("compare", *same, "--save", target)
    assert outcome.status == 0
    assert str(target) in outcome.out.replace("\n", "")
    with Image.open(target) as picture:
        picture.load()
        assert picture.width > picture.height > 200
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_a_picture_of_different_persons_is_written_too(cli, different, tmp_path):
    assert cli("compare", *different, "--json", "--save", tmp_path / "out.png").status == 1
    assert (tmp_path / "out.png").is_file()


def test_an_older_picture_survives_a_failure(cli, examples, tmp_path):
    target = tmp_path / "out.png"
    target.write_bytes(b"older")
    cli("compare", examples / "collins.jpg", "gone.jpg", "--save", target).refuses("gone.jpg")
    assert target.read_bytes() == b"older"


# trouble is never taken for an answer


def test_debug_shows_the_trace_before_the_line_and_the_status_stays_2(cli, examples):
    outcome = cli("compare", "gone.jpg", examples / "hopper.jpg", "--debug")
    assert (outcome.status, outcome.out) == (2, "")
    *trace, line = outcome.err.splitlines()
    assert trace[0] == "Traceback (most recent call last):"
    assert any("UnreadableImage" in one for one in trace)
    assert line == "twinface: gone.jpg: no such file; check the path"


def test_debug_changes_no_answer(cli, same):
    assert answer(cli("--debug", "compare", *same, "--json"), 0)["verdict"] == "same"


@pytest.mark.parametrize(
    ("error", "said"),
    [(KeyboardInterrupt(), "interrupted"), (ZeroDivisionError("1/0"), "unexpected ZeroDivisionError: 1/0; please")],
)
def test_an_interruption_or_a_bug_is_trouble_and_not_different(cli, same, monkeypatch, error, said):
    def fail(self, *words, **options):
        raise error

    monkeypatch.setattr(Recognizer, "compare_all", fail)
    outcome = cli("compare", *same)
    assert outcome.out == ""
    assert outcome.status not in (0, 1)
    assert "Traceback" not in outcome.err
    if outcome.status == 2:
        assert outcome.err.startswith(f"twinface: {said}")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise")
@pytest.mark.parametrize("form", [["--json"], []])
def test_a_reader_that_has_gone_is_trouble_and_not_different(run_python, form):
    program = f"""
import os, subprocess, sys
reader, writer = os.pipe()
os.close(reader)
words = [sys.executable, "-m", "twinface", "models", "list", *{form!r}]
print(subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, text=True))
"""
    done = run_python(program)
    assert "returncode=2, stderr=''" in done.out


def test_names_with_brackets_are_printed_as_they_are(cli, examples, tmp_path):
    path = tmp_path / "[bold]a.jpg"
    path.write_bytes((examples / "collins.jpg").read_bytes())
    outcome = cli("compare", path, examples / "collins.jpg", "--save", tmp_path / "[red].png")
    assert outcome.status == 0
    assert "[bold]a.jpg" in outcome.out
    assert "[red].png" in outcome.out


def test_the_version_is_told(cli):
    import twinface

    assert cli("--version").out == f"twinface {twinface.__version__}\n"


def test_without_a_command_the_commands_are_listed(cli):
    outcome = cli()
    assert (outcome.status, outcome.err) == (0, "")
    assert all(name in outcome.out for name in ("compare", "detect", "embed", "models", "doctor"))
