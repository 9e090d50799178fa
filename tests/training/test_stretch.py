"""The steps between two looks: means to the bit over a stop, and a line now and then."""

from __future__ import annotations

import json
from typing import Any

import pytest

from twinface.errors import ContractMismatch
from twinface.training.stretch import QUIET, Stretch, span


class Clock:
    """Time as the test has it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def told(seconds: float, steps: int) -> list[int]:
    """The steps that were told of in a stretch of so many, each of so many seconds."""
    clock = Clock()
    stretch = Stretch(0, clock)
    found = []
    for step in range(1, steps + 1):
        clock.now += seconds
        stretch.add({"loss": 1.0}, 1)
        if stretch.line(step, steps, steps) is not None:
            found.append(step)
    return found


def test_first_and_last_step_are_told_and_in_between_a_line_every_five_seconds() -> None:
    assert told(1.0, 13) == [1, 6, 11, 13]
    assert told(0.001, 500) == [1, 500]
    assert told(60.0, 4) == [1, 2, 3, 4]
    assert told(0.001, 1) == [1]
    assert QUIET == 5.0


def test_a_line_tells_means_speed_and_time_left() -> None:
    clock = Clock()
    stretch = Stretch(1000, clock)
    clock.now += 50  # spent on the validation
    stretch.start()
    for loss in (1.0, 2.0):
        clock.now += 2
        stretch.add({"loss": loss, "distillation_1": loss / 8}, 30)
    line = stretch.line(1002, 1100, 2000)
    assert line == "step 1,002 of 2,000: loss 1.5, distillation_1 0.1875; 15 pictures/s, 33 min 16 s left"


def test_before_the_first_step_there_are_no_means() -> None:
    assert Stretch(0, Clock()).means == {}
    assert Stretch(0, Clock()).pace == 0


def test_means_after_a_stop_are_those_of_a_stretch_without_one() -> None:
    losses = [0.1, 0.2, 1 / 3, 1e-9, 7.7]
    whole, half = Stretch(5, Clock()), Stretch(5, Clock())
    for loss in losses:
        whole.add({"loss": loss}, 8)
    for loss in losses[:2]:
        half.add({"loss": loss}, 8)
    rest = Stretch.restored(json.loads(json.dumps(half.state())), 7, Clock())
    for loss in losses[2:]:
        rest.add({"loss": loss}, 8)
    assert rest.begun == 5
    assert rest.means == whole.means


def test_speed_counts_from_the_stop() -> None:
    clock = Clock()
    half = Stretch(0, clock)
    half.add({"loss": 1.0}, 1_000_000)
    rest = Stretch.restored(half.state(), 1, clock)
    clock.now += 2
    rest.add({"loss": 1.0}, 10)
    assert rest.pace == 5


def test_a_checkpoint_that_knows_of_no_stretch_begins_one() -> None:
    found = Stretch.restored(None, 40, Clock())
    assert (found.begun, found.means) == (40, {})


@pytest.mark.parametrize(
    "state",
    [
        3,
        {},
        {"begun": 1, "steps": 2},
        {"begun": 1, "steps": 2.5, "sums": {}},
        {"begun": 1, "steps": 1, "sums": {"a": "b"}},
    ],
    ids=repr,
)
def test_what_is_no_stretch_is_refused_in_one_line(state: Any) -> None:
    with pytest.raises(ContractMismatch, match="no run can go on from it") as caught:
        Stretch.restored(state, 1)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (59.4, "59 s"), (61, "1 min 01 s"), (3599.9, "1 h 00 min"), (90_000, "25 h 00 min")],
)
def test_time_left_is_told_in_words(seconds: float, words: str) -> None:
    assert span(seconds) == words
