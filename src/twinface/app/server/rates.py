"""How often somebody may call: token buckets of keys, and the lock-out of addresses that guess."""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable

FAILURES, WITHIN = 10, 60.0
"""After so many wrong keys within so many seconds an address is locked out until the oldest is so long ago."""

REMEMBERED = 10_000
"""Addresses and keys; the one longest unseen is forgotten first."""


class Buckets:
    """A token bucket for each caller.

    Args:
        rate: calls a second on average.
        burst: calls at once.
        clock: seconds, never going back.
    """

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> float:
        """Takes a token. Returns 0, or the seconds until there is one."""
        now = self._clock()
        level, then = self._levels.pop(caller, (float(self._burst), now))
        level = min(self._burst, level + (now - then) * self._rate)
        wait = 0.0 if level >= 1 else (1 - level) / self._rate
        self._levels[caller] = (level if wait else level - 1, now)
        if len(self._levels) > REMEMBERED:
            self._levels.popitem(last=False)
        return wait


class Lockout:
    """Counts the wrong keys of each address."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def remaining(self, address: str) -> float:
        """Seconds for which the address is locked out; 0 if it is not."""
        failures = self._recent(address)
        return 0.0 if len(failures) < FAILURES else max(0.0, failures[-FAILURES] + WITHIN - self._clock())

    def fail(self, address: str) -> None:
        """Notes a wrong key."""
        failures = self._recent(address)
        failures.append(self._clock())
        self._failures[address] = failures
        self._failures.move_to_end(address)
        if len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)

    def forgive(self, address: str) -> None:
        """Takes the last note back: the key was right after all."""
        failures = self._recent(address)
        if failures:
            failures.pop()

    def _recent(self, address: str) -> deque[float]:
        failures = self._failures.get(address, deque(maxlen=FAILURES))
        while failures and failures[0] <= self._clock() - WITHIN:
            failures.popleft()
        return failures


def retry_after(seconds: float) -> dict[str, str]:
    """The header that says when to come again."""
    return {"Retry-After": str(max(1, math.ceil(seconds)))}
