import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from twinface.app.server.batching import Batcher


class Machine:
    """Doubles numbers; the first batch waits until it is let go."""

    def __init__(self):
        self.batches = []
        self.gate = threading.Event()
        self.entered = threading.Event()

    def __call__(self, items):
        self.batches.append(list(items))
        self.entered.set()
        assert self.gate.wait(60)
        if 13 in items:
            raise ValueError("unlucky")
        return [2 * item for item in items]


def ask_together(machine, batcher, first, *others):
    with ThreadPoolExecutor(1 + len(others)) as pool:
        calls = [pool.submit(batcher, first)]
        assert machine.entered.wait(60)
        for number, items in enumerate(others, 1):
            calls.append(pool.submit(batcher, items))
            while len(batcher._waiting) < number:
                pass
        machine.gate.set()
    return calls


def test_calls_that_come_meanwhile_share_the_next_run():
    machine = Machine()
    calls = ask_together(machine, Batcher(machine), [1], [2, 3], [4])
    assert [call.result() for call in calls] == [(2,), (4, 6), (8,)]
    assert machine.batches == [[1], [2, 3, 4]]


def test_a_batch_has_a_largest_size_and_a_larger_call_is_worked_whole():
    machine = Machine()
    calls = ask_together(machine, Batcher(machine, 2), [1], [2], [3, 4, 5], [6])
    assert [call.result() for call in calls] == [(2,), (4,), (6, 8, 10), (12,)]
    assert machine.batches == [[1], [2], [3, 4, 5], [6]]


def test_what_goes_wrong_is_raised_to_those_of_the_batch_alone():
    machine = Machine()
    batcher = Batcher(machine)
    calls = ask_together(machine, batcher, [1], [13], [2])
    assert calls[0].result() == (2,)
    for call in calls[1:]:
        with pytest.raises(ValueError, match="unlucky"):
            call.result()
    assert batcher([3]) == (6,)
