"""Calls that come while a network runs are answered by its next run, all at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")


class Batcher(Generic[A, B]):
    """Joins the calls of several threads: one thread works for all that wait, the others wait.

    A call that finds nobody at work begins at once: nothing is ever waited for in the hope of more.

    Args:
        work: answers several items at once, in their order.
        most: items of one batch; a single call with more is worked whole.
    """

    def __init__(self, work: Callable[[Sequence[A]], Sequence[B]], most: int = 32) -> None:
        self._work, self._most = work, most
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._waiting: list[_Call[A, B]] = []

    def __call__(self, items: Sequence[A]) -> tuple[B, ...]:
        """The answers to these items; raises what the work on their batch raised."""
        call: _Call[A, B] = _Call(items)
        with self._lock:
            self._waiting.append(call)
        with self._turn:
            while call.answers is None and call.error is None:
                self._run(self._next())
        if call.error is not None:
            raise call.error
        assert call.answers is not None  # the loop ends with one or the other
        return call.answers

    def _next(self) -> list[_Call[A, B]]:
        """The calls of the next batch, those that came first."""
        with self._lock:
            batch = [self._waiting.pop(0)]
            size = len(batch[0].items)
            while self._waiting and size + len(self._waiting[0].items) <= self._most:
                batch.append(self._waiting.pop(0))
                size += len(batch[-1].items)
        return batch

    def _run(self, batch: Sequence[_Call[A, B]]) -> None:
        try:
            answers = self._work([item for call in batch for item in call.items])
        except BaseException as error:  # noqa: BLE001 - it is raised where the answers are waited for
            for call in batch:
                call.error = error
            return
        at = 0
        for call in batch:
            call.answers = tuple(answers[at : at + len(call.items)])
            at += len(call.items)


class _Call(Generic[A, B]):
    """What one thread asks."""

    def __init__(self, items: Sequence[A]) -> None:
        self.items = items
        self.answers: tuple[B, ...] | None = None
        self.error: BaseException | None = None
