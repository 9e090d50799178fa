"""Work in several processes: what ended it arrives as one clear error, and a wish to stop reaches them all."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("lightning_fabric", reason="needs the train extra")

from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from twinface.errors import OutputError, PoorQuality, TwinFaceError
from twinface.training.launching import INTERRUPTED, heeding, launch, quiet

TRACE = "\n\n-- Process 1 terminated with the following error:\nTraceback (most recent call last):\n  File\n"


class Processes:
    """Stands for a fabric that starts processes: the work is done here, and ends as theirs would."""

    def __init__(self, end: Exception | None = None, do: Callable[[], object] = lambda: None) -> None:
        self.end, self.do = end, do

    def launch(self, part: Any) -> bool:
        self.do()
        try:
            answer: bool = part(self)
        finally:
            if self.end is not None:
                raise self.end from None
        return answer


def joined(work: Callable[..., bool], end: Exception | None = None, do: Callable[[], object] = lambda: None) -> bool:
    return launch(Processes(end, do), work, 3, joined=True)  # type: ignore[arg-type]  # a fake


def failing(error: BaseException) -> Callable[..., bool]:
    def work(*given: Any) -> bool:
        raise error

    return work


def test_the_work_is_given_what_it_asks_for_and_its_answer_comes_back() -> None:
    def work(fabric: Any, asked: Callable[[], bool], number: int) -> bool:
        return not asked() and number == 3

    assert joined(work) is True
    assert launch(Processes(), work, 3, joined=False) is True  # type: ignore[arg-type]
    assert launch(Processes(), work, 4, joined=False) is False  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [OutputError("a: cannot be written"), PoorQuality("blurred", "blur")], ids=repr)
@pytest.mark.parametrize("end", [ProcessRaisedException(TRACE + "RuntimeError: Connection closed", 1, 7),
                                 ProcessExitedException("", 0, 7, 1)], ids=["raised", "exited"])  # fmt: skip
def test_an_error_of_a_process_arrives_as_itself_whichever_process_ended_first(
    error: TwinFaceError, end: Exception
) -> None:
    with pytest.raises(type(error)) as caught:
        joined(failing(error), end)
    assert str(caught.value) == str(error)
    assert caught.value.__context__ is None
    assert caught.value.__notes__ == [str(end).strip()]  # for --debug


def test_a_process_that_was_killed_is_told_in_one_line() -> None:
    killed = ProcessExitedException("", 1, 7, -9, "SIGKILL")
    with pytest.raises(TwinFaceError, match=r"processes ended \(SIGKILL\); perhaps memory ran out") as caught:
        joined(lambda *given: True, killed)
    assert str(caught.value).isprintable()


def test_a_process_that_lost_another_is_no_error_of_its_own() -> None:
    lost = ProcessRaisedException(TRACE + "RuntimeError: [gloo/pair.cc:1] Connection closed by peer [::1]:1\n", 1, 7)
    with pytest.raises(TwinFaceError, match="processes ended without a word; perhaps") as caught:
        joined(lambda *given: True, lost)
    assert str(caught.value).isprintable()


def test_a_mistake_of_ours_stays_one() -> None:
    mistake = ProcessRaisedException(TRACE + "KeyError: 'a'\n", 1, 7)
    with pytest.raises(ProcessRaisedException, match="KeyError: 'a'"):
        joined(lambda *given: True, mistake)


def test_a_process_that_was_interrupted_is_no_end_in_peace() -> None:
    with pytest.raises(KeyboardInterrupt):
        joined(failing(KeyboardInterrupt()), ProcessExitedException("", 0, 7, INTERRUPTED))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_first_process_alone_is_passed_on(number: signal.Signals) -> None:
    before = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)]

    def work(fabric: Any, asked: Callable[[], bool], given: int) -> bool:
        return asked()

    assert joined(work, do=lambda: signal.raise_signal(number)) is True
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)] == before


def test_processes_that_end_after_a_wish_to_stop_were_interrupted() -> None:
    with pytest.raises(KeyboardInterrupt):
        joined(lambda *given: True, ProcessExitedException("", 0, 7, 1), lambda: signal.raise_signal(signal.SIGINT))


def test_what_cannot_be_kept_yet_ends_at_the_next_line_when_asked_to_stop() -> None:
    told, asked = list[str](), list[bool]()
    report = heeding(told.append, lambda: bool(asked))
    report("one")
    asked.append(True)
    with pytest.raises(KeyboardInterrupt):
        report("two")
    assert told == ["one"]


def test_the_libraries_tell_of_their_errors_only() -> None:
    for name in ("lightning_fabric.utilities.distributed", "torch.multiprocessing.spawn"):
        logger = logging.getLogger(name)
        logging.getLogger(name).setLevel(logging.NOTSET)
        quiet()
        assert not logger.isEnabledFor(logging.WARNING)
        assert logger.isEnabledFor(logging.ERROR)
