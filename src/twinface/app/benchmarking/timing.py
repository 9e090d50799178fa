"""How long systems take and how much they hold: in processes of their own, turn about, nothing else at work."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from twinface.app.benchmarking.contenders import Entrant
from twinface.app.benchmarking.spread import Spread, spread
from twinface.app.benchmarking.trial import Round, Trial
from twinface.app.measuring.system import Progress

BUSY = 1.15
"""Wall time over processor time of single-threaded work from which the machine had other work too."""


@dataclass(frozen=True)
class Cost:
    """What a system takes.

    Attributes:
        detect: milliseconds a picture.
        encode: milliseconds a face; None where none was found.
        memory: most bytes that its process ever held; None where the system does not tell.
        disk: bytes of its weights.
        busy: whether the processor had other work while it was timed; None where several threads hide it.
    """

    detect: Spread
    encode: Spread | None
    memory: int | None
    disk: int
    busy: bool | None


def race(
    entrants: Sequence[Entrant], contents: Sequence[bytes], progress: Progress, *, rounds: int, threads: int
) -> list[Cost]:
    """What each system takes for the same pictures: rounds turn about, one process at work at a time.

    Args:
        entrants: the systems.
        contents: the pictures, decoded before the clock runs.
        progress: shows how far the work is.
        rounds: how often each goes over the pictures, after one round that only warms up.
        threads: within each system.

    Raises:
        TwinFaceError: a system cannot be loaded, or its process died.
    """
    with ExitStack() as stack:
        trials = [stack.enter_context(Trial(entrant, threads=threads, cached=False)) for entrant in entrants]
        advance = stack.enter_context(progress("speed", len(trials) * (rounds + 1)))
        taken: list[list[Round]] = [[] for _ in trials]
        for turn in range(rounds + 1):
            for step in range(len(trials)):
                place = (turn + step) % len(trials)  # nobody is always first
                if not turn:
                    trials[place].take(contents)
                found = trials[place].time()
                if turn:  # the first round only warms up
                    taken[place].append(found)
                advance()
        return [
            _cost(found, trial.peak_memory(), trial.size_on_disk, threads)
            for found, trial in zip(taken, trials, strict=True)
        ]


def _cost(rounds: Sequence[Round], memory: int | None, disk: int, threads: int) -> Cost:
    wall, processor = sum(one.wall for one in rounds), sum(one.processor for one in rounds)
    detect = spread([taken for one in rounds for taken in one.detect])
    encode = [taken for one in rounds for taken in one.encode]
    busy = wall > BUSY * processor if threads == 1 else None
    return Cost(detect, spread(encode) if encode else None, memory, disk, busy)
