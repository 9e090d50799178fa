"""The steps between two looks at the validation: what they cost, how fast they were, a line about them now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from twinface.core.facts import field_of, object_of
from twinface.core.files import reason
from twinface.errors import ContractMismatch

QUIET = 5.0
"""Seconds between two lines."""


class Stretch:
    """What is known of the steps since the last look.

    Args:
        begun: steps that the run had taken when it began.
        clock: seconds that only grow.

    Attributes:
        begun: as given.
    """

    def __init__(self, begun: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.begun, self._clock = begun, clock
        self._sums: dict[str, float] = {}
        self._steps = 0
        self._start, self._here, self._pictures = clock(), 0, 0
        self._told: float | None = None

    def start(self) -> None:
        """Time counts from now."""
        self._start = self._clock()

    def add(self, figures: Mapping[str, float], pictures: int) -> None:
        """Counts a step: the loss and its terms by name, and how many pictures it took."""
        for name, value in figures.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._steps, self._here, self._pictures = self._steps + 1, self._here + 1, self._pictures + pictures

    @property
    def means(self) -> dict[str, float]:
        """Of the loss and its terms; empty before the first step."""
        return {name: value / self._steps for name, value in self._sums.items()}

    @property
    def pace(self) -> float:
        """Pictures a second in this process; 0 before its first step."""
        return self._pictures / max(1e-9, self._clock() - self._start)

    def line(self, step: int, end: int, steps: int) -> str | None:
        """What to tell now; None if that would be too much.

        The first and the last step are always told, others when the last line is old enough.

        Args:
            step: steps that the run has taken.
            end: of the stretch.
            steps: of the whole run.
        """
        now = self._clock()
        if self._told is not None and step < end and now - self._told < QUIET:
            return None
        self._told = now
        terms = ", ".join(f"{name} {value:.4g}" for name, value in self.means.items())
        left = span((now - self._start) / max(1, self._here) * (steps - step))
        return f"step {step:,} of {steps:,}: {terms}; {self.pace:.0f} pictures/s, {left} left"

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold so that the means come out as if nobody had stopped, as JSON has it."""
        return {"begun": self.begun, "steps": self._steps, "sums": dict(self._sums)}

    @classmethod
    def restored(cls, state: object, step: int, clock: Callable[[], float] = time.monotonic) -> Stretch:
        """The stretch that gave this state; one that begins at `step` if there is none.

        Raises:
            ContractMismatch: it is no such state.
        """
        if state is None:
            return cls(step, clock)
        what = "the stretch"
        try:
            facts = object_of(state, what)
            found = cls(field_of(facts, "begun", "int", what), clock)
            found._steps = field_of(facts, "steps", "int", what)
            sums = field_of(facts, "sums", "object", what)
            found._sums = {name: field_of(sums, name, "float", "the sums") for name in sums}
        except ValueError as error:
            raise ContractMismatch(
                f"checkpoint: no run can go on from it ({reason(error)}); take the last of another run"
            ) from error
        return found


def span(seconds: float) -> str:
    """A span of time in words."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
