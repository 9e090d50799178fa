"""The passive signs and the challenge on frames of simulated persons and attacks, with the shipped detector."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from liveness_attacks import (
    RATE,
    Presentation,
    Stage,
    person,
    print_bent,
    print_in_hand,
    print_on_stand,
    print_tilted,
    replay_flicker,
    replay_moire,
    stream_frozen,
    stream_looped,
)

from twinface.core.liveness.challenge import SIGN, Challenge, ChallengeWatch
from twinface.core.types import Box
from twinface.services.recognition import Recognizer
from twinface.vision.liveness.passive import PassiveWatch

Make = Callable[[Stage], Presentation]
BOX = Box(200, 150, 140, 180)
POINTS = np.array([[240, 210], [300, 210], [270, 245], [245, 275], [295, 275]], np.float64)


def watched(recognizer: Recognizer, show: Presentation, seconds: float = 2.5) -> PassiveWatch:
    watch = PassiveWatch()
    for number in range(round(seconds * RATE)):
        image = show(number / RATE, 0.0)
        face = recognizer.analyzer.locate(image).faces[0]
        watch.feed(number / RATE, image, face.box, face.landmarks.points)
    return watch


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (person, ""),
        (print_on_stand, "still"),
        (replay_flicker, "flicker"),
        (replay_moire, "moire"),
        (stream_frozen, "frozen"),
        (stream_looped, "looped"),
        (print_in_hand, ""),  # what signs alone do not see; the challenge does
    ],
)
def test_what_the_signs_say_of_frames_before_the_detector(
    recognizer: Recognizer, stage: Stage, make: Make, reason: str
) -> None:
    """Of one presentation of each kind; how many of them are seen, `benchmarks/liveness.py` measures."""
    verdict = watched(recognizer, make(stage)).verdict()
    assert (verdict.reason, verdict.live) == (reason, not reason), verdict


@pytest.mark.parametrize(("make", "passes"), [(person, True), (print_tilted, False), (print_bent, False)])
def test_the_challenge_on_frames_before_the_detector(
    recognizer: Recognizer, stage: Stage, make: Make, passes: bool
) -> None:
    show, watch, time = make(stage), ChallengeWatch(Challenge.random(random.Random(1)), 0.0), 0.0
    while watch.state == "running":
        time += 1 / RATE
        faces = recognizer.analyzer.locate(show(time, SIGN[watch.asked] if watch.asked else 0.0)).faces
        if faces:
            watch.feed(time, faces[0].landmarks.points, faces[0].box)
        else:
            watch.lost(time)
    assert (watch.state == "passed") == passes, watch.reason


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(100, 140, (480, 560, 3), np.uint8)


def test_nothing_is_live_before_enough_was_seen() -> None:
    watch = PassiveWatch()
    assert watch.verdict().reason == "too short"
    for number in range(19):
        watch.feed(number / RATE, noise(number), BOX, POINTS)
        assert (watch.verdict().live, watch.verdict().reason) == (False, "too short")


def test_what_is_older_than_the_window_does_not_count() -> None:
    watch = PassiveWatch()
    for number in range(100):
        seed = 0 if number < 30 else number
        watch.feed(number / RATE, noise(seed), BOX, POINTS + 4 * np.sin(number / 7))
    assert watch.verdict().measures["frozen"] == 0
    assert watch.verdict().measures["seconds"] == pytest.approx(6.0)


def test_a_stream_that_freezes_for_a_while_is_frozen() -> None:
    watch = PassiveWatch()
    for number in range(30):
        watch.feed(number / RATE, noise(min(number, 21)), BOX, POINTS + 4 * np.sin(number / 7))
    verdict = watch.verdict()
    assert verdict.reason == "frozen"
    assert verdict.measures["frozen"] == pytest.approx(0.8)


def test_frames_that_come_late_are_passed_over() -> None:
    watch = PassiveWatch()
    for time in (1.0, 1.0, 0.5):
        watch.feed(time, noise(0), BOX, POINTS)
    assert watch.verdict().measures["frames"] == 1


@pytest.mark.parametrize(("box", "every"), [(Box(-60, 400, 140, 180), 1), (BOX, 2)])
def test_a_face_that_is_cut_off_or_seldom_seen_is_never_live(box: Box, every: int) -> None:
    watch = PassiveWatch()
    for number in range(0, 60, every):
        watch.feed(number / RATE, noise(number), box, POINTS + 4 * np.sin(number / 7))
    assert watch.verdict().reason == "too short"


@pytest.mark.parametrize(
    ("image", "box", "points", "said"),
    [
        (np.zeros((480, 560), np.uint8), BOX, POINTS, "expected"),
        (np.zeros((480, 560, 3), np.uint8), BOX, POINTS[:4], "expected"),
        (np.zeros((480, 560, 3), np.uint8), BOX, POINTS * np.nan, "not finite"),
        (np.zeros((480, 560, 3), np.uint8), Box(700, 0, 50, 50), POINTS, "outside the picture"),
    ],
)
def test_what_cannot_be_judged_is_refused(image: np.ndarray, box: Box, points: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PassiveWatch().feed(0.0, image, box, points)
