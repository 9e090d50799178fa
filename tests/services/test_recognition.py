"""The one question, asked of two pictures: which faces count, how pairs are judged, what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from twinface.core.calibration import LogisticCurve
from twinface.core.decision import DecisionRule, MeasuredWith, OperatingPoint
from twinface.core.types import Analysis, Box, Detection, Face, Landmarks, Quality, Seconds, Template
from twinface.errors import ContractMismatch, NoFace, PoorQuality, SeveralFaces, UnreadableImage
from twinface.services.recognition import Recognizer, choose

POINTS = np.array([(30, 40), (70, 40), (50, 60), (35, 80), (65, 80)])


def point(fmr: float, threshold: float, model: str = "twin") -> OperatingPoint:
    return OperatingPoint(model, "test", fmr, threshold, threshold, threshold, 1000, 100, 0.0, 0.0, 0.1)


RULE = DecisionRule("twin", LogisticCurve(-20.0, 10.0, 1e-4), (point(1e-2, 0.6), point(1e-3, 0.4)), 1e-3)


class Encoder:
    name, identity, dimension = "twin", "twin", 2


class Finder:
    name, identity = "finder", "finder's weights"

    def detect(self, image: np.ndarray) -> list[Detection]:
        raise AssertionError("an album knows its faces")


class Album:
    """An analyzer whose pictures are words: every letter is a face, an angle in tenths of a radian from `a` = 0.

    A capital letter is a face of poor quality; "!" cannot be read.
    """

    encoder, detector = Encoder(), Finder()
    identity = "an album"

    def __init__(self) -> None:
        self.encoded: list[int] = []

    def locate(self, source: object) -> Analysis:
        if source == "!":
            raise UnreadableImage("!: no such file; check the path")
        faces = tuple(self._face(letter) for letter in str(source))
        return Analysis(str(source), np.zeros((100, 100, 3), np.uint8), faces, (), Seconds(1.0, 2.0, 0.0, 3.0))

    def _face(self, letter: str) -> Face:
        angle = (ord(letter.lower()) - ord("a")) / 10
        reasons = ("blurred", "too dark") if letter.isupper() else ()
        quality = Quality(40.0, 0.5, 120.0, 40.0, 0.0, 0.0, reasons)
        return Face(Box(angle, 0, 100, 100), Landmarks(POINTS), 0.9, quality, np.zeros((2, 2, 3), np.uint8))

    def encode(self, faces: Sequence[Face]) -> tuple[Face, ...]:
        self.encoded.append(len(faces))
        vectors = [np.array([np.cos(face.box.x), np.sin(face.box.x)], np.float32) for face in faces]
        return tuple(replace(face, template=Template(v, "twin")) for face, v in zip(faces, vectors, strict=True))


@pytest.fixture
def album() -> Album:
    return Album()


@pytest.fixture
def recognizer(album: Album) -> Recognizer:
    return Recognizer(album, RULE, ("twin", "finder"))


def pairs(recognizer: Recognizer, a: str, b: str, **options: object) -> list[tuple[int, int]]:
    return [(one.index_a, one.index_b) for one in recognizer.compare_all(a, b, **options)]


# judging


def test_distance_probability_and_verdict_follow_from_the_templates(recognizer: Recognizer) -> None:
    found = recognizer.compare("a", "c")
    assert found.distance == pytest.approx(2 * np.sin(0.1), abs=1e-6)  # chord of 0.2 radians
    assert found.similarity == pytest.approx(np.cos(0.2), abs=1e-6)
    assert found.probability == RULE.curve.probability(found.distance)
    assert (found.same, found.verdict, found.model) == (True, "same", "twin")
    assert recognizer.compare("a", "h").verdict == "different"


def test_the_same_face_has_distance_zero_and_still_no_certainty(recognizer: Recognizer) -> None:
    found = recognizer.compare("k", "k")
    assert found.distance == 0.0
    assert found.probability < 1.0


def test_the_operating_point_decides(recognizer: Recognizer) -> None:
    strict, loose = (recognizer.compare("a", "f", fmr=fmr) for fmr in (1e-3, 1e-2))
    assert strict.distance == loose.distance
    assert (strict.verdict, loose.verdict) == ("different", "same")
    assert recognizer.compare("a", "f").point is strict.point


def test_an_operating_point_that_was_not_measured_is_refused_before_any_work(
    recognizer: Recognizer, album: Album
) -> None:
    with pytest.raises(ContractMismatch, match=r"no operating point for FMR 0\.5"):
        recognizer.compare("a", "b", fmr=0.5)
    assert album.encoded == []


def test_a_band_makes_what_is_not_sure_enough_inconclusive(recognizer: Recognizer) -> None:
    verdicts = {letter: recognizer.compare("a", letter, band=0.9).verdict for letter in "acdegjk"}
    assert verdicts == {
        "a": "same", "c": "same", "d": "same", "e": "inconclusive", "g": "inconclusive", "j": "different",
        "k": "different",
    }  # fmt: skip
    assert recognizer.compare("a", "g").verdict == "different"
    found = recognizer.compare("a", "g", band=0.9)
    assert found.band is not None
    assert found.band.low < found.distance < found.band.high
    assert found.same is False


def test_the_rules_own_band_applies_until_another_is_asked_for(album: Album) -> None:
    recognizer = Recognizer(album, replace(RULE, band=0.9), ("twin", "finder"))
    assert recognizer.compare("a", "g").verdict == "inconclusive"
    assert recognizer.compare("a", "g", band=0.51).verdict == "different"


@pytest.mark.parametrize("band", [0.5, 1.0, float("nan"), 0.99999])
def test_a_band_that_makes_no_sense_is_refused_before_any_work(
    recognizer: Recognizer, album: Album, band: float
) -> None:
    with pytest.raises(ContractMismatch, match=r"^band "):
        recognizer.compare("a", "b", band=band)
    assert album.encoded == []


def test_a_rule_of_another_encoder_is_refused(album: Album) -> None:
    rule = replace(RULE, model="other", points=(point(1e-3, 0.4, "other"),))
    with pytest.raises(ContractMismatch, match="decision rule of other cannot judge templates of twin"):
        Recognizer(album, rule, ("twin", "finder"))


def test_a_rule_measured_with_another_detector_is_told_and_judges_all_the_same(album: Album) -> None:
    rule = replace(RULE, detector=MeasuredWith("looker", "other weights"))
    recognizer = Recognizer(album, rule, ("twin", "finder"))
    assert recognizer.caution == (
        "these thresholds were measured with the detector looker, not with finder: calibrate with --detector finder"
    )
    assert recognizer.compare("a", "c").verdict == "same"


@pytest.mark.parametrize("detector", [None, MeasuredWith("once called looker", Finder.identity)])
def test_a_rule_of_this_detector_or_of_nobody_knows_which_needs_no_caution(
    album: Album, detector: MeasuredWith | None
) -> None:
    assert Recognizer(album, replace(RULE, detector=detector), ("twin", "finder")).caution == ""


def test_times_of_both_pictures_add_up(recognizer: Recognizer) -> None:
    seconds = recognizer.compare("a", "b").seconds
    assert (seconds.decode, seconds.detect) == (2.0, 4.0)
    assert seconds.total == pytest.approx(6.0 + seconds.encode)


# which faces count


def test_the_largest_counts_by_default_and_only_it_is_encoded(recognizer: Recognizer, album: Album) -> None:
    assert pairs(recognizer, "abc", "xy", face="largest") == [(1, 1)]
    assert album.encoded == [1, 1]
    found = recognizer.compare("abc", "xy")
    assert found.a is found.first.faces[0]
    assert [face.template is None for face in found.first.faces] == [False, True, True]


def test_all_pairs_come_nearest_first(recognizer: Recognizer) -> None:
    assert pairs(recognizer, "ak", "jc") == [(2, 1), (1, 2), (2, 2), (1, 1)]


def test_compare_answers_for_the_nearest_of_all_pairs(recognizer: Recognizer) -> None:
    found = recognizer.compare("xb", "ac", face="all")
    assert (found.index_a, found.index_b) == (2, 1)


def test_a_number_chooses_in_both_pictures(recognizer: Recognizer) -> None:
    assert pairs(recognizer, "abc", "xyz", face=2) == [(2, 2)]


@pytest.mark.parametrize("number", [3, 0, -1])
def test_a_face_that_is_not_there_is_refused(recognizer: Recognizer, number: int) -> None:
    with pytest.raises(NoFace, match=rf"^ab: no face number {number}; 2 found, 1 is the largest$"):
        recognizer.compare("ab", "abc", face=number)


def test_the_only_face_is_refused_where_there_are_several(recognizer: Recognizer) -> None:
    assert pairs(recognizer, "a", "b", face="only") == [(1, 1)]
    with pytest.raises(SeveralFaces, match=r"^ab: 2 faces found where one was wanted"):
        recognizer.compare("a", "ab", face="only")


@pytest.mark.parametrize("face", ["largest", "all", "only", 1])
def test_no_face_is_refused_whichever_was_wanted(recognizer: Recognizer, face: object) -> None:
    with pytest.raises(NoFace, match="no face found"):
        choose(recognizer.locate(""), face)


@pytest.mark.parametrize("face", ["nose", 1.0, None, True])
def test_a_choice_that_makes_no_sense_is_a_value_error(recognizer: Recognizer, face: object) -> None:
    with pytest.raises(ValueError, match=r"^face: expected 'largest', 'all', 'only' or a number from 1 up, got "):
        recognizer.compare("a", "b", face=face)


# quality


def test_a_poor_face_is_refused_with_all_its_reasons(recognizer: Recognizer, album: Album) -> None:
    with pytest.raises(PoorQuality, match=r"^B: face 1 is not fit for comparison \(blurred, too dark\)") as error:
        recognizer.compare("a", "B")
    assert error.value.reason == "blurred"
    assert album.encoded == [1]


def test_a_poor_largest_face_is_not_replaced_by_the_next(recognizer: Recognizer) -> None:
    with pytest.raises(PoorQuality):
        recognizer.compare("Ab", "a")


def test_a_poor_face_is_compared_on_demand(recognizer: Recognizer) -> None:
    assert recognizer.compare("a", "B", refuse_poor=False).same


def test_of_all_faces_the_poor_ones_are_left_out_and_refused_if_no_other_is_there(recognizer: Recognizer) -> None:
    assert pairs(recognizer, "aBc", "d") == [(3, 1), (1, 1)]
    assert sorted(pairs(recognizer, "aBc", "d", refuse_poor=False)) == [(1, 1), (2, 1), (3, 1)]
    with pytest.raises(PoorQuality):
        recognizer.compare_all("AB", "d")


# analysing


def test_analyze_encodes_all_faces_unless_told_otherwise(recognizer: Recognizer) -> None:
    assert [face.template is not None for face in recognizer.analyze("abC").faces] == [True, True, True]
    assert [face.template is not None for face in recognizer.analyze("abC", "largest").faces] == [True, False, False]
    assert [face.template is not None for face in recognizer.analyze("abC", 3).faces] == [False, False, True]


def test_a_picture_without_faces_is_an_answer_of_analyze_unless_one_is_wanted(recognizer: Recognizer) -> None:
    assert recognizer.analyze("").faces == ()
    with pytest.raises(NoFace):
        recognizer.analyze("", "largest")


def test_locate_makes_no_templates(recognizer: Recognizer, album: Album) -> None:
    assert [face.template for face in recognizer.locate("ab").faces] == [None, None]
    assert album.encoded == []


def test_templates_know_their_model_and_never_meet_those_of_another(recognizer: Recognizer) -> None:
    (face,) = recognizer.analyze("a").faces
    assert face.template is not None
    assert face.template.model == RULE.model == recognizer.rule.model


def test_what_the_analyzer_refuses_passes_through(recognizer: Recognizer) -> None:
    with pytest.raises(UnreadableImage):
        recognizer.compare("a", "!")
