"""Faces keep their numbers as they move, cross, are hidden and come back, whatever the frames' distance."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from twinface.core.tracking import Look, Tracker, TrackingOptions, doubts, expected
from twinface.core.types import Box
from twinface.core.video import Sighting

Path = Callable[[float], "tuple[float, float] | None"]


def box(x: float, y: float = 300.0, size: float = 100.0) -> Box:
    return Box(x - size / 2, y - size / 2, size, size)


def followed(paths: Sequence[Path], times: Sequence[float], tracker: Tracker | None = None) -> list[list[int]]:
    """For each path the numbers it had, in order, each once."""
    tracker = tracker or Tracker()
    numbers: list[list[int]] = [[] for _ in paths]
    random = np.random.default_rng(0)
    for time in times:
        here = [(place, at) for place, path in enumerate(paths) if (at := path(time)) is not None]
        random.shuffle(here)
        boxes = [box(*(np.array(at) + random.normal(0, 1, 2))) for _, at in here]
        for (place, _), number in zip(here, tracker.update(time, boxes, [0.9] * len(boxes)), strict=True):
            if not numbers[place] or numbers[place][-1] != number:
                numbers[place].append(number)
    return numbers


def every(step: float, end: float) -> list[float]:
    return np.arange(0, end, step).tolist()


STEPS = pytest.mark.parametrize("step", [0.04, 0.1, 0.2, 0.33])


@STEPS
def test_a_walker_keeps_her_number(step: float) -> None:
    assert followed([lambda time: (100 + 400 * time, 300)], every(step, 3)) == [[1]]


@STEPS
def test_a_crowd_that_stands_close_keeps_its_numbers(step: float) -> None:
    paths: list[Path] = [lambda time, x=x: (x + 5 * np.sin(time + x), 300) for x in range(100, 1300, 110)]
    numbers = followed(paths, every(step, 3))
    assert sorted(number for one in numbers for number in one) == list(range(1, len(paths) + 1))


@STEPS
def test_two_who_cross_keep_their_numbers(step: float) -> None:
    """They pass at two heights, so that both are seen all the time."""
    paths: list[Path] = [lambda time: (200 + 200 * time, 300), lambda time: (1000 - 200 * time, 330)]
    assert all(len(numbers) == 1 for numbers in followed(paths, every(step, 4)))


@STEPS
def test_one_hidden_behind_the_other_keeps_her_number(step: float) -> None:
    hidden: Path = lambda time: None if 1.75 < time < 2.25 else (1000 - 200 * time, 300)  # noqa: E731
    assert all(
        len(numbers) == 1 for numbers in followed([lambda time: (200 + 200 * time, 300), hidden], every(step, 4))
    )


def test_frames_of_uneven_distance_are_no_trouble() -> None:
    random = np.random.default_rng(3)
    times = np.cumsum(random.uniform(0.02, 0.4, 30)).tolist()
    paths: list[Path] = [lambda time: (100 + 300 * time, 200), lambda time: (1500 - 200 * time, 420)]
    assert followed(paths, times) == [[1], [2]] or followed(paths, times) == [[2], [1]]


@pytest.mark.parametrize("step", [0.04, 0.2])
@pytest.mark.parametrize(("gone", "numbers"), [(0.8, [1]), (1.3, [1, 2])])
def test_absence_is_told_in_seconds(step: float, gone: float, numbers: list[int]) -> None:
    path: Path = lambda time: None if 1 <= time < 1 + gone - 1e-9 else (300, 300)  # noqa: E731
    assert followed([path], every(step, 4)) == [numbers]


def test_one_detection_makes_a_track_and_absence_ends_it() -> None:
    tracker = Tracker()
    assert tracker.update(0.0, [box(100)], [0.7]) == [1]
    assert tracker.expire(1.0) == {}
    (path,) = tracker.expire(1.01).values()
    assert path == (Sighting(0.0, box(100), 0.7),)
    assert tracker.paths == {}
    assert tracker.update(1.1, [box(100)], [0.7]) == [2]


def test_nothing_far_or_of_another_size_is_the_same() -> None:
    tracker = Tracker()
    tracker.update(0.0, [box(100)], [0.9])
    assert tracker.update(0.1, [box(800)], [0.9]) == [2]
    assert tracker.update(0.2, [box(800, size=30)], [0.9]) == [3]


def test_a_newcomer_does_not_push_a_row_one_place_on() -> None:
    tracker = Tracker()
    tracker.update(0.0, [box(100 * place) for place in (2, 3, 4)], [0.9] * 3)
    moved = [box(100 * place) for place in (1, 2, 3)]
    assert tracker.update(0.1, moved, [0.9] * 3) == [4, 1, 2]


def test_the_velocity_is_that_of_the_last_half_second() -> None:
    path = [Sighting(time, box(x), 0.9) for time, x in ((0, 0), (1, 1000), (1.25, 1050), (1.5, 1100))]
    assert expected(path, 1.75) == box(1150)
    assert expected(path[:2], 1.5) == box(1500)
    assert expected(path[:1], 9.0) == path[0].box
    assert expected([path[0], path[0]], 1.0) == path[0].box


def test_a_path_may_be_followed_between_detections_and_ends_with_the_last_one() -> None:
    tracker = Tracker()
    tracker.update(0.0, [box(100)], [0.8])
    tracker.update(0.2, [box(110)], [0.9])
    tracker.move(1, 0.3, box(115))
    assert tracker.seen(1) == 0.2
    assert tracker.paths[1][-1] == Sighting(0.3, box(115), 0.9, detected=False)
    assert [one.time for one in tracker.end([1])[1]] == [0.0, 0.2]


def test_a_renewed_track_goes_on_under_another_number_from_the_same_sighting() -> None:
    tracker = Tracker()
    tracker.update(0.0, [box(100)], [0.9])
    tracker.update(0.2, [box(110)], [0.9])
    number, path = tracker.renew(1)
    assert (number, len(path)) == (2, 2)
    assert tracker.paths == {2: [path[-1]]}
    assert tracker.update(0.4, [box(120)], [0.9]) == [2]


def test_another_tracker_goes_on() -> None:
    first = Tracker()
    first.update(0.0, [box(100), box(500)], [0.9, 0.9])
    second = Tracker(paths=first.paths, following=first.following)
    assert second.update(0.2, [box(505), box(900), box(105)], [0.9] * 3) == [2, 3, 1]
    assert second.take_number() == 4


def looked(costs: list[list[float]], overlap: float = 0.5, out_of_sight: int = -1) -> Look:
    table = np.array(costs)
    lost = np.arange(len(table)) == out_of_sight
    return Look(tuple(range(1, len(table) + 1)), table, np.full(table.shape, overlap), lost)


OPTIONS = TrackingOptions()
FAR = np.inf


@pytest.mark.parametrize(
    ("costs", "pairs", "expected"),
    [
        ([[0.2, FAR], [FAR, 0.2]], [(0, 0), (1, 1)], set()),
        ([[0.2, 2.0], [2.0, 0.2]], [(0, 0), (1, 1)], set()),
        ([[0.5, 0.6], [0.6, 0.5]], [(0, 0), (1, 1)], {(0, 0), (0, 1), (1, 0), (1, 1)}),
        ([[0.5, 0.6], [FAR, 0.5]], [(0, 0), (1, 1)], set()),
        ([[0.5], [0.6]], [(0, 0)], {(0, 0), (1, 0)}),
        ([[0.5], [1.6]], [(0, 0)], set()),
        ([[0.5, 0.6]], [(0, 0)], {(0, 0), (0, 1)}),
    ],
)
def test_doubtful_is_what_might_as_well_be_otherwise(
    costs: list[list[float]], pairs: list[tuple[int, int]], expected: set[tuple[int, int]]
) -> None:
    assert doubts(looked(costs), pairs, OPTIONS) == expected


def test_a_leap_is_doubtful() -> None:
    assert doubts(looked([[2.0]], overlap=0.0), [(0, 0)], OPTIONS) == {(0, 0)}


@pytest.mark.parametrize("row", [0, 1])
def test_who_was_out_of_sight_is_doubtful_wherever_another_might_be(row: int) -> None:
    everything = {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert doubts(looked([[0.1, 2.9], [2.9, 0.1]], out_of_sight=row), [(0, 0), (1, 1)], OPTIONS) == everything
    assert doubts(looked([[0.1, FAR], [FAR, 0.1]], out_of_sight=row), [(0, 0), (1, 1)], OPTIONS) == set()


@pytest.mark.parametrize(
    "wrong",
    [{"absence": 0.0}, {"reach": -1.0}, {"ratio": 1.0}, {"overlap": 1.0}, {"margin": -0.1}, {"pace": float("nan")}],
)
def test_senseless_options_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="tracking"):
        TrackingOptions(**wrong)
