"""Which frames of a recording are kept, what is said of the others, and how many are held meanwhile."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import pytest

from twinface.core.types import Analysis, Box, Face, Image, Landmarks, Quality, Seconds
from twinface.errors import FaceError, NoFace, PoorQuality, SeveralFaces, UnreadableImage
from twinface.services.best_frames import ADVICE, CLOSE, SHARP, Tally, best_frames, score_of
from twinface.services.recognition import Recognizer
from twinface.vision.camera import frames

FIT = Quality(eye_distance=CLOSE, sharpness=SHARP, brightness=120, contrast=50, yaw=0, roll=0)
POINTS = Landmarks(np.array([[40, 40], [60, 40], [50, 50], [42, 60], [58, 60]], np.float32))


@dataclass(frozen=True, eq=False)
class Shot:
    """A frame made up: its pixels say how many faces there are, and how many hundredths as sharp as can be they are."""

    image: Image
    time: float


def shot(time: float, sharp: int = 100, faces: int = 1) -> Shot:
    return Shot(np.full((20, 20, 3), (sharp, faces, 0), np.uint8), time)


class Judge:
    """An analyzer of such frames; faces less sharp than half are blurred, those below a quarter too dark as well."""

    def __init__(self) -> None:
        self.most_held = 0
        self._alive: weakref.WeakSet[Analysis] = weakref.WeakSet()

    def locate(self, source: object) -> Analysis:
        assert isinstance(source, np.ndarray)
        sharp, count, broken = source[0, 0].tolist()
        if broken:
            raise UnreadableImage("broken")
        reasons = (*(["too dark"] if sharp < 25 else []), *(["blurred"] if sharp < 50 else []))
        quality = replace(FIT, sharpness=SHARP * sharp / 100, reasons=reasons)
        face = Face(Box(30, 30, 40, 40), POINTS, 0.9, quality, np.zeros((4, 4, 3), np.uint8))
        analysis = Analysis("<array>", source.copy(), (face,) * count, (), Seconds(0, 0, 0, 0))
        self._alive.add(analysis)
        self.most_held = max(self.most_held, len(self._alive))
        return analysis


def kept(shots: list[Shot], count: int = 5, **options: float) -> list[float]:
    return [one.time for one in best_frames(Judge(), shots, count, **options)]  # type: ignore[arg-type]


LENGTHS = pytest.mark.parametrize("options", [{}, {"seconds": 10.0}], ids=["of unknown length", "of known length"])


@LENGTHS
def test_the_best_of_each_part_is_kept(options: dict[str, float]) -> None:
    best = [0.5, 3.5, 5.25, 6.0, 9.75]
    shots = [shot(number / 4, 90 if number / 4 in best else 60 + number % 20) for number in range(41)]

    assert kept(shots, **options) == best


@LENGTHS
def test_of_equals_the_first_is_kept(options: dict[str, float]) -> None:
    assert kept([shot(number / 4) for number in range(41)], **options) == [0, 2, 4, 6, 8]


@LENGTHS
def test_a_part_without_a_usable_frame_gives_none(options: dict[str, float]) -> None:
    shots = [shot(number / 4, 80, 1 if number < 8 or number >= 32 else 0) for number in range(41)]

    assert kept(shots, **options) == [0, 8]


def test_one_frame_is_enough() -> None:
    assert kept([shot(0.0)]) == [0]
    assert kept([shot(0.0, 40), shot(0.1), shot(0.2, 40)]) == [0.1]


def test_what_runs_longer_than_was_told_belongs_to_the_last_part() -> None:
    assert kept([shot(time) for time in (0, 1, 2, 3, 99)], 2, seconds=2.0) == [0, 1]


def test_a_recording_shorter_than_was_told_gives_fewer() -> None:
    assert kept([shot(time) for time in (0, 1, 2, 3)], 4, seconds=8.0) == [0, 2]


@pytest.mark.parametrize("rate", [0.2, 5, 30, 240])
def test_parts_are_found_whatever_the_length(rate: float) -> None:
    """Sharpness rises within each of five parts, so their last frames are the best."""
    shots = [shot(number / rate, 60 + number % 200 // 5) for number in range(1000)]
    expected = [(200 * part + 195) / rate for part in range(5)]

    assert kept(shots) == pytest.approx(expected, abs=50 / rate)


def test_frames_are_let_go_as_they_come() -> None:
    def shots() -> Iterator[Shot]:
        for number in range(300):
            gc.collect(0)
            yield shot(number / 30, 60 + number % 37)

    known, unknown = Judge(), Judge()
    assert len(best_frames(known, shots(), 5, seconds=10.0)) == 5
    assert len(best_frames(unknown, shots(), 5)) == 5
    assert known.most_held <= 5 + 2
    assert unknown.most_held <= 4 * 5 + 2


def test_frames_with_other_than_one_fit_face_are_passed_over_and_counted() -> None:
    tally = Tally()
    shots = [shot(0, faces=0), shot(1, faces=2), shot(2, 40), shot(3, 20), shot(4), shot(5, faces=0), shot(6, 90)]
    chosen = best_frames(Judge(), shots, 2, tally=tally)

    assert [one.time for one in chosen] == [4]
    assert (tally.seen, tally.usable) == (7, 2)
    assert tally.passed == {"no face": 2, "several faces": 1, "blurred": 2, "too dark": 1}
    assert str(tally) == "7 frames, 2 usable; no face in 2, blurred in 2, several faces in 1, too dark in 1"


def test_a_doubtful_detection_is_no_second_face() -> None:
    """It stands first here, as the larger one."""
    judge = Judge()

    class Doubting(Judge):
        def locate(self, source: object) -> Analysis:
            analysis = judge.locate(source)
            (sure,) = analysis.faces
            return replace(analysis, faces=(replace(sure, score=0.7), sure))

    (chosen,) = best_frames(Doubting(), [shot(0)])
    assert chosen.face.score == 0.9


def test_what_is_chosen_comes_with_its_face_picture_and_score() -> None:
    (chosen,) = best_frames(Judge(), [shot(1.5, 80)])

    assert chosen.image[0, 0].tolist() == [80, 1, 0]
    assert chosen.face.quality.usable
    assert chosen.score == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("shots", "error", "said"),
    [
        (
            [shot(0, faces=0), shot(1, faces=0), shot(2, 40)],
            NoFace,
            "no face in 2, blurred in 1); look into the camera",
        ),
        ([shot(0, faces=3)], SeveralFaces, "several faces in 1); let only one person be in the picture, and record"),
        ([shot(0, faces=0), shot(1, 40), shot(2, 20)], PoorQuality, "blurred in 2, no face in 1, too dark in 1); hold"),
        ([], NoFace, "the recording holds no frames"),
    ],
)
def test_where_nothing_is_usable_the_most_frequent_reason_is_told(
    shots: list[Shot], error: type[FaceError], said: str
) -> None:
    tally = Tally()
    with pytest.raises(error) as caught:
        best_frames(Judge(), shots, tally=tally)

    assert said in str(caught.value)
    assert str(caught.value).isprintable()
    assert tally.seen == len(shots)
    if isinstance(caught.value, PoorQuality):
        assert caught.value.reason == "blurred"


def test_a_frame_that_cannot_be_read_is_no_frame_without_a_face() -> None:
    with pytest.raises(UnreadableImage):
        best_frames(Judge(), [shot(0), Shot(np.full((20, 20, 3), 1, np.uint8), 1.0)])


@pytest.mark.parametrize("options", [{"count": 0}, {"seconds": 0.0}, {"seconds": float("nan")}])
def test_what_is_not_positive_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        best_frames(Judge(), [shot(0)], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("worse", [{"sharpness": 0.3}, {"eye_distance": 30.0}, {"yaw": 30.0}, {"yaw": -30.0}])
def test_a_blurred_small_or_turned_face_is_worth_less(worse: dict[str, float]) -> None:
    assert score_of(FIT) == pytest.approx(1)
    assert 0.5 < score_of(replace(FIT, **worse)) < 0.9


def test_what_no_encoder_sees_is_worth_nothing() -> None:
    better = replace(FIT, sharpness=0.9, eye_distance=400.0)

    assert score_of(better) == score_of(FIT)
    assert score_of(replace(FIT, yaw=120.0)) == 0


# a real recording


def scene(photo: Image, shift: int = 0, blur: float = 0, turn: float = 0) -> Image:
    """The photo on a wall, moved sideways, blurred, turned in the plane by degrees."""
    height, width = photo.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, 0.5)
    matrix[:, 2] += (shift + 320 - width / 2, 240 - height / 2)
    moved = cv2.warpAffine(photo, matrix, (640, 480), flags=cv2.INTER_AREA, borderValue=(150, 150, 150))
    return np.asarray(cv2.GaussianBlur(moved, (0, 0), blur) if blur else moved, np.uint8)


def test_the_good_frames_of_a_real_recording_are_found(examples: Path, tmp_path: Path, recognizer: Recognizer) -> None:
    """Five parts of three frames each: the wall alone, a face blurred, one beside another, one turned, good ones."""
    collins, hopper = (np.asarray(cv2.imread(str(examples / f"{name}.jpg"))) for name in ("collins", "hopper"))
    wall = np.full((480, 640, 3), 150, np.uint8)
    pair = np.concatenate([scene(collins)[:, 160:480], scene(hopper)[:, 160:480]], axis=1)
    parts = [
        [wall, scene(collins, -60), scene(collins, -60, blur=5)],
        [scene(collins, blur=5), scene(collins, blur=2), scene(collins)],
        [pair, pair, wall],
        [scene(collins, 30, blur=2), scene(collins, 60, turn=12), wall],
        [scene(collins, 90, blur=5), wall, scene(collins, 90)],
    ]
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (640, 480))
    for picture in chain(*parts):
        writer.write(picture)
    writer.release()
    tally = Tally()

    chosen = best_frames(recognizer.analyzer, frames(path, seconds=60.0), 5, tally=tally)

    assert [round(10 * one.time) for one in chosen] == [1, 5, 10, 14]
    assert tally.seen == 15
    assert tally.passed["several faces"] == 2
    assert tally.passed["no face"] >= 4
    assert tally.passed["blurred"] >= 2
    for one in chosen:
        assert one.image.shape == (480, 640, 3)
        assert recognizer.encode([one.face])[0].template is not None
    assert set(tally.passed) <= set(ADVICE)
