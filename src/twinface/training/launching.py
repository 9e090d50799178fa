"""Runs a piece of work in one process or several; its answer, its error and a wish to stop reach the right place.

Lightning starts the processes and joins them. What it leaves open is closed here: only the first process may hear of
SIGTERM, an error of another process would arrive as the text of its trace, and an interrupted one as an end in peace.
"""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any

from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import distributed
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from twinface.errors import TwinFaceError
from twinface.training.interruption import Interruption

Asked = Callable[[], bool]
"""Whether the work was asked to stop."""

Work = Callable[..., bool]
"""Given the fabric, `Asked` and whatever else `launch` was given; with several processes it must be known by name."""

INTERRUPTED = 130
"""Exit status of a process that was interrupted."""

TALKERS = ("lightning_fabric", "torch.multiprocessing.spawn")
"""Loggers that tell of precision, processes and their end; what matters of it we say ourselves."""


def launch(fabric: Fabric, work: Work, *given: Any, joined: bool) -> bool:
    """Runs the work on the fabric.

    Args:
        fabric: not yet launched.
        work: see `Work`.
        given: for the work; picklable if there are several processes.
        joined: whether the fabric starts processes.

    Returns:
        The work's answer, of the first process.

    Raises:
        KeyboardInterrupt: the work was interrupted without an answer.
        TwinFaceError: the work raised it, or a process ended without a word.
    """
    quiet()
    if joined:
        return _launch_joined(fabric, work, given)
    with Interruption() as interruption:
        answer: bool = fabric.launch(partial(_alone, work=work, interruption=interruption, given=given))
        return answer


class Joined(DDPStrategy):
    """Processes that compute on a part of each batch and average gradients, started by `launch`."""

    def __init__(self) -> None:
        super().__init__(start_method="spawn")

    def setup_environment(self) -> None:
        """Joins this process to the others."""
        quiet()
        super().setup_environment()


def quiet() -> None:
    """Keeps what the libraries tell of themselves in this process off the terminal; their errors stay."""
    for name in TALKERS:
        logging.getLogger(name).setLevel(logging.ERROR)


def heeding(report: Callable[[str], None], asked: Asked) -> Callable[[str], None]:
    """A report that ends the work when it was asked to stop: for the time when there is nothing to keep yet.

    Args:
        report: told what is done.
        asked: whether to stop; then the next line raises KeyboardInterrupt.
    """

    def heed(line: str) -> None:
        if asked():
            raise KeyboardInterrupt
        report(line)

    return heed


def _alone(fabric: Fabric, work: Work, interruption: Interruption, given: tuple[Any, ...]) -> bool:
    return work(fabric, lambda: interruption.asked, *given)


@dataclass(frozen=True)
class _Line:
    """Between the process that was called and those it starts.

    Attributes:
        asked: whether the first was asked to stop, a shared c_bool.
        trouble: what went wrong in one of the others.
    """

    asked: Any
    trouble: Any


class _PassedOn(Interruption):
    """Tells the other processes too, which a signal to the first alone does not reach."""

    def __init__(self, line: _Line) -> None:
        super().__init__()
        self._line = line

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._line.asked.value = True
        super()._ask(number, frame)


def _launch_joined(fabric: Fabric, work: Work, given: tuple[Any, ...]) -> bool:
    context = multiprocessing.get_context("spawn")
    line = _Line(context.Value(ctypes.c_bool, False, lock=False), context.SimpleQueue())
    # bound here, as Fabric looks into arguments for networks, and chokes on frozen dataclasses
    part = partial(_part, work=work, line=line, given=given)
    try:
        with _PassedOn(line):
            answer: bool = fabric.launch(part)
            return answer
    except (ProcessRaisedException, ProcessExitedException) as error:
        ended = error
    # beyond the handler, so that the error does not hold the frames and with them the system's semaphores
    if not line.trouble.empty():
        trouble: TwinFaceError = line.trouble.get()
        trouble.add_note(str(ended).strip())
        raise trouble
    if line.asked.value or (isinstance(ended, ProcessExitedException) and ended.exit_code == INTERRUPTED):
        raise KeyboardInterrupt
    if isinstance(ended, ProcessRaisedException) and "Connection" not in str(ended).strip().splitlines()[-1]:
        raise ended.with_traceback(None)
    signal = getattr(ended, "signal_name", None)
    how = f"({signal})" if signal else "without a word"
    raise TwinFaceError(
        f"one of the run's processes ended {how}; perhaps memory ran out: give the run smaller batches or fewer "
        "processes, then resume it"
    )


def _part(fabric: Fabric, work: Work, line: _Line, given: tuple[Any, ...]) -> bool:
    """One process's part."""
    with Interruption() as interruption:
        try:
            answer = work(fabric, lambda: interruption.asked or bool(line.asked.value), *given)
            if distributed.is_initialized():  # else its threads may outlive it, and end the process with a crash
                distributed.destroy_process_group()
            return answer
        except TwinFaceError as error:
            line.trouble.put(error)
            raise
        except KeyboardInterrupt:
            raise SystemExit(INTERRUPTED) from None
