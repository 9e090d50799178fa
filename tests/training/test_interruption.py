"""Ctrl-C and SIGTERM are a question first, and an order when they come again."""

import signal
import threading

import pytest

pytest.importorskip("torch", reason="needs the train extra")

from twinface.training.interruption import Interruption

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@pytest.fixture
def heard():
    """What reaches the handlers that were there before."""
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda got, _: came.append(got)) for number in numbers}
    yield came
    for number, handler in before.items():
        signal.signal(number, handler)


@SIGNALS
def test_the_first_signal_only_asks(heard, number):
    with Interruption() as interruption:
        assert not interruption.asked
        signal.raise_signal(number)
        assert interruption.asked
    assert heard == []


@SIGNALS
@pytest.mark.parametrize("again", [signal.SIGINT, signal.SIGTERM])
def test_the_second_does_what_it_always_did(heard, number, again):
    with Interruption() as interruption:
        signal.raise_signal(number)
        signal.raise_signal(again)
        assert heard == [again]
        assert interruption.asked


def test_a_second_ctrl_c_ends_the_program_as_ever():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Interruption():
            signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


@SIGNALS
def test_afterwards_the_earlier_handlers_are_back(heard, number):
    earlier = signal.getsignal(number)
    with Interruption() as interruption:
        assert signal.getsignal(number) != earlier
    assert signal.getsignal(number) is earlier
    signal.raise_signal(number)
    assert heard == [number]
    assert not interruption.asked


@SIGNALS
def test_an_error_within_passes_and_restores_them_too(heard, number):
    earlier = signal.getsignal(number)
    with pytest.raises(ZeroDivisionError), Interruption():
        raise ZeroDivisionError
    assert signal.getsignal(number) is earlier


def test_one_within_another_asks_the_inner_and_leaves_the_outer(heard):
    with Interruption() as outer:
        with Interruption() as inner:
            signal.raise_signal(signal.SIGTERM)
        assert (inner.asked, outer.asked) == (True, False)
        signal.raise_signal(signal.SIGTERM)
        assert outer.asked
    assert heard == []


def test_outside_the_main_thread_nothing_is_caught(heard):
    earlier, found = signal.getsignal(signal.SIGTERM), []

    def elsewhere():
        with Interruption() as interruption:
            found.extend([interruption.asked, signal.getsignal(signal.SIGTERM)])

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [False, earlier]
    assert signal.getsignal(signal.SIGTERM) is earlier
