"""A challenge is passed by heads that turn as they are asked, when they are asked, and by nothing flat."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from itertools import count

import numpy as np
import pytest
from heads import FLAT, RATE, UNIT, Actor, Points, bent, box_of, head, seen, smooth

from twinface.core.liveness.challenge import PAUSES, Challenge, ChallengeWatch
from twinface.core.liveness.limits import ChallengeLimits

LEFT_THEN_RIGHT = Challenge(("left", "right"), 6.0)


def watched(challenge: Challenge, show: Callable[[float, ChallengeWatch], Points | None]) -> ChallengeWatch:
    """Feeds ten frames a second until it is decided; None is a frame without a face."""
    watch = ChallengeWatch(challenge, 100.0)
    for number in count(1):
        time = number / RATE
        points = show(time, watch)
        if points is None:
            watch.lost(100.0 + time)
        else:
            watch.feed(100.0 + time, points, box_of(points))
        if watch.state != "running":
            return watch
    raise AssertionError


def performed(points: Points, angle: float = 35.0, jitter: float = 0.0, seed: int = 0, **pose: float) -> ChallengeWatch:
    actor, noise = Actor(angle), np.random.default_rng(seed)

    def show(time: float, watch: ChallengeWatch) -> Points:
        return seen(points, actor(time, watch), **pose) + noise.normal(0, jitter * UNIT, (5, 2))

    return watched(Challenge.random(random.Random(seed)), show)


@pytest.mark.parametrize("angle", [28.0, 35.0, 45.0])
@pytest.mark.parametrize("pitch", [-10.0, 0.0, 10.0])
def test_a_head_that_turns_as_asked_passes(angle: float, pitch: float) -> None:
    watch = performed(head(), angle, pitch=pitch)
    assert (watch.state, watch.reason, watch.prompt) == ("passed", "", "Thank you.")
    assert watch.measures["depth"] == pytest.approx(0.55, abs=0.06)
    assert watch.measures["turns"] == 2


def test_a_hundred_heads_pass_though_their_landmarks_scatter() -> None:
    passed = [performed(head(0.45 + 0.002 * seed), 32.0, 0.015, seed).state == "passed" for seed in range(100)]
    assert sum(passed) >= 97


def test_a_print_never_passes_on_500_paths_through_space() -> None:
    reasons = Counter()
    for seed in range(500):
        chance = np.random.default_rng(seed)
        ways = [smooth(chance, size) for size in (40, 30, 40, 1.0, 1.0, 0.4)]
        actor, jitter = Actor(chance.uniform(20, 60)), chance.uniform(0, 0.02) * UNIT

        def show(time: float, watch: ChallengeWatch) -> Points:
            yaw, pitch, roll, x, y, near = (next(way) for way in ways)  # noqa: B023
            points = seen(FLAT, yaw + actor(time, watch), pitch, roll, (x, y), np.exp(near), distance=8.0)  # noqa: B023
            return points + chance.normal(0, jitter, (5, 2))  # noqa: B023

        reasons[watched(Challenge.random(random.Random(seed)), show).reason] += 1
    assert reasons[""] == 0, reasons


@pytest.mark.parametrize("radius", [0.6, 0.8, 1.0, 1.5])
@pytest.mark.parametrize("angle", [35.0, 45.0, 55.0])
def test_a_bent_print_that_turns_as_asked_does_not_pass(radius: float, angle: float) -> None:
    assert performed(bent(radius), angle).state == "failed"


def test_a_bent_print_turned_far_enough_is_called_flat() -> None:
    actor = Actor(62.0, speed=40.0)
    challenge = Challenge(("left",), 20.0)
    watch = watched(challenge, lambda time, watch: seen(bent(0.6), actor(time, watch)))
    assert watch.reason == "flat: the nose does not stand out before the face"


def test_what_is_asked_is_told_in_words_and_left_is_the_persons_own() -> None:
    told: list[str] = []
    actor = Actor(35.0)

    def show(time: float, watch: ChallengeWatch) -> Points:
        if not told or told[-1] != watch.prompt:
            told.append(watch.prompt)
        points = seen(head(), actor(time, watch))
        if watch.asked == "left" and actor.yaw > 20:
            assert points[2, 0] > points[:2, 0].mean()  # to the picture's right
        return points

    assert watched(LEFT_THEN_RIGHT, show).state == "passed"
    assert told == [
        "Look straight at the camera.", "Turn your head slowly to the left.", "Look straight at the camera.",
        "Turn your head slowly to the right.", "Look straight at the camera.",
    ]  # fmt: skip


def test_turning_the_other_way_fails() -> None:
    actor = Actor(-35.0)
    watch = watched(LEFT_THEN_RIGHT, lambda time, watch: seen(head(), actor(time, watch)))
    assert watch.reason == "turned the other way when asked to turn left"


def recordings_passed(turns: int, trials: int = 60) -> int:
    """Recordings of a head that turns to the sides of its own order, every two seconds."""
    passed = 0
    for seed in range(trials):
        chance = np.random.default_rng(seed)
        sides, start = chance.choice([-1, 1], 20), chance.uniform(0, 1)

        def show(time: float, watch: ChallengeWatch) -> Points:
            at, within = divmod(time - start, 2.0)  # noqa: B023
            yaw = 0.0 if at < 0 or within > 1.0 else 35 * sides[int(at)] * np.sin(np.pi * within)  # noqa: B023
            return seen(head(), yaw)

        passed += watched(Challenge.random(random.Random(seed), turns, 20.0), show).state == "passed"
    return passed


def test_a_recording_passes_by_guessing_only_so_more_turns_let_fewer_pass() -> None:
    assert 18 <= recordings_passed(1) <= 42
    assert recordings_passed(4) <= 10


def test_nothing_in_time_fails() -> None:
    watch = watched(LEFT_THEN_RIGHT, lambda time, watch: seen(head()))
    assert watch.reason == "time ran out: 0 of 2 turns done"
    assert watch.measures["seconds"] == pytest.approx(6.1)


def test_turning_before_being_asked_counts_for_nothing() -> None:
    challenge = Challenge(("left",), 6.0, (1.0,))

    def show(time: float, watch: ChallengeWatch) -> Points:
        return seen(head(), 35.0 * np.sin(np.pi * max(0.0, time - 0.5)) ** 2 if watch.asked is None else 0.0)

    watch = watched(challenge, show)
    assert watch.reason == "time ran out: 0 of 1 turns done"


def test_nobody_turns_at_the_very_moment_of_the_prompt() -> None:
    challenge = Challenge(("left",), 3.0, (0.3,))

    def show(time: float, watch: ChallengeWatch) -> Points:
        return seen(head(), 15.0 if watch.asked else 0.0)

    watch = watched(challenge, show)
    assert watch.measures["turns"] == 0
    assert watch.prompt == watch.reason == "time ran out: 0 of 1 turns done"


@pytest.mark.parametrize("angle", [26.0, 30.0, 35.0])
@pytest.mark.parametrize("cover", [0.0, 0.15, 0.4])
def test_pictures_swapped_for_one_another_never_count_not_even_behind_a_covered_lens(
    angle: float, cover: float
) -> None:
    asked, since = None, 0.0

    def show(time: float, watch: ChallengeWatch) -> Points | None:
        nonlocal asked, since
        if watch.asked != asked:
            asked, since = watch.asked, time
        if 0.3 <= time - since < 0.3 + cover:
            return None
        sides = {"left": angle, "right": -angle, None: 0.0}
        return seen(head(), sides[asked] if time - since >= 0.3 else 0.0)

    watch = watched(Challenge(("left",), 6.0), show)
    assert watch.reason == "time ran out: 0 of 1 turns done"


@pytest.mark.parametrize("other", [{"shift": (2.0, 0.0)}, {"near": 1.6}])
def test_a_face_elsewhere_is_a_jump(other: dict[str, float]) -> None:
    watch = watched(LEFT_THEN_RIGHT, lambda time, watch: seen(head(), **(other if time > 1.0 else {})))
    assert watch.reason == "the face jumped from one place or size to another"


def test_a_face_that_goes_away_fails_and_one_missed_frame_does_not() -> None:
    actor = Actor(35.0)
    away = watched(LEFT_THEN_RIGHT, lambda time, watch: None if time > 1.0 else seen(head()))
    assert away.reason == "the face was out of sight"
    missed = watched(LEFT_THEN_RIGHT, lambda time, watch: None if time == 1.0 else seen(head(), actor(time, watch)))
    assert missed.state == "passed"


def test_the_first_sight_may_be_late_and_must_be_frontal() -> None:
    actor = Actor(35.0)
    late = watched(LEFT_THEN_RIGHT, lambda time, watch: None if time < 1.0 else seen(head(), actor(time, watch)))
    assert late.state == "passed"
    aside = watched(LEFT_THEN_RIGHT, lambda time, watch: seen(head(), 40.0))
    assert aside.reason == "time ran out: 0 of 2 turns done"


def test_frames_may_come_in_pairs() -> None:
    watch, actor = ChallengeWatch(LEFT_THEN_RIGHT, 0.0), Actor(35.0)
    for number in range(1, 80):
        points = seen(head(), actor(number / RATE, watch))
        watch.feed(number / RATE, points, box_of(points))
        watch.feed(number / RATE + 0.002, points + 0.5, box_of(points))
    assert watch.state == "passed", watch.reason


def test_it_stays_as_it_ended() -> None:
    watch = performed(head())
    watch.lost(1e6)
    assert watch.state == "passed"


def test_frames_that_come_again_or_late_are_passed_over() -> None:
    watch = ChallengeWatch(LEFT_THEN_RIGHT, 0.0)
    points = seen(head())
    for _ in range(10):
        watch.feed(0.1, points, box_of(points))
    watch.feed(0.05, points, box_of(points))
    assert watch.measures["seconds"] == pytest.approx(0.1)
    assert watch.prompt == "Look straight at the camera."
    assert watch.asked is None


def test_orders_are_all_as_likely_and_pauses_are_drawn() -> None:
    chance = random.Random(0)
    drawn = [Challenge.random(chance, turns=2) for _ in range(2000)]
    orders = Counter(one.turns for one in drawn)
    assert len(orders) == drawn[0].orders == 4
    assert min(orders.values()) > 430
    pauses = [pause for one in drawn for pause in one.pauses]
    assert PAUSES[0] <= min(pauses) < PAUSES[0] + 0.05
    assert PAUSES[1] - 0.05 < max(pauses) <= PAUSES[1]
    assert Challenge.random(random.SystemRandom(), turns=3).orders == 8


@pytest.mark.parametrize(
    ("turns", "seconds", "pauses"),
    [((), 6.0, ()), (("up",), 6.0, ()), (("left",), 0.0, ()), (("left",), 6.0, (1.0, 1.0)), (("left",), 6.0, (-1.0,))],
)
def test_a_challenge_that_cannot_be_is_refused(
    turns: tuple[str, ...], seconds: float, pauses: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match="challenge:"):
        Challenge(turns, seconds, pauses)  # type: ignore[arg-type]


def test_landmarks_that_are_none_are_refused_and_those_on_a_line_are_passed_over() -> None:
    watch = ChallengeWatch(LEFT_THEN_RIGHT, 0.0)
    with pytest.raises(ValueError, match="expected shape"):
        watch.feed(0.1, np.zeros((4, 2)), box_of(seen(head())))
    line = np.arange(10.0).reshape(5, 2)
    for number, points in enumerate([np.zeros((5, 2)), np.zeros((5, 2)), line, *[seen(head())] * 5, line], 2):
        watch.feed(number / RATE, points, box_of(seen(head())))
    assert watch.state == "running"
    assert watch.measures["frames"] == 2  # beyond the three of the reference


def test_limits_that_let_a_swap_count_are_refused() -> None:
    with pytest.raises(ValueError, match="would reach a turn"):
        ChallengeLimits(turn=20.0)
