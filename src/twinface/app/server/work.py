"""A bounded pool of threads: the event loop hands work to it and never waits for a model itself."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from twinface.app.server.problems import Problem

P = ParamSpec("P")
R = TypeVar("R")

BESIDE = 4
"""Threads for calls that take a moment."""


class Work:
    """Runs functions in threads: so many at once, so many waiting, the rest refused.

    Args:
        workers: that run at once.
        queue: calls that may wait.
        patience: seconds until a caller is told that it takes too long.
    """

    def __init__(self, workers: int, queue: int, patience: float) -> None:
        self._main = _Pool(workers, queue, "twinface-work")
        self._beside = _Pool(BESIDE, 4 * queue, "twinface-beside")
        self._patience = patience

    @property
    def waiting(self) -> int:
        """Calls that wait for a worker."""
        return self._main.waiting

    @property
    def under_way(self) -> int:
        """Calls that wait or run."""
        return self._main.under_way

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs a function that takes long: models, writing to the gallery.

        A call that is given up while it runs goes on; one that still waits is dropped.

        Raises:
            Problem: 503, there is no room left in the queue, it takes too long, or the server is about to end.
        """
        return await self._await(self._main.submit(functools.partial(function, *args, **kwargs)))

    async def aside(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs a function that takes a moment, as reading from the gallery: it does not wait behind models.

        Raises:
            Problem: as `run`.
        """
        return await self._await(self._beside.submit(functools.partial(function, *args, **kwargs)))

    async def close(self) -> None:
        """Takes no more work, and waits for what was begun."""
        await asyncio.to_thread(self._main.close)
        await asyncio.to_thread(self._beside.close)

    async def _await(self, begun: Future[R]) -> R:
        future = asyncio.wrap_future(begun)
        try:
            done, _ = await asyncio.wait({future}, timeout=self._patience)
            if not done:
                raise Problem(503, "this took too long; try again later", "timeout", headers=_again(5))
            return future.result()
        finally:
            begun.cancel()  # if it still waits
            future.cancel()  # nobody asks any more what becomes of it


class _Pool:
    """Threads with a bounded queue."""

    def __init__(self, workers: int, queue: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(workers, name)
        self._workers, self._limit = workers, workers + queue
        self._count = 0
        self._closing = False
        self._lock = threading.Lock()

    @property
    def under_way(self) -> int:
        return self._count

    @property
    def waiting(self) -> int:
        return max(0, self._count - self._workers)

    def submit(self, call: Callable[[], R]) -> Future[R]:
        with self._lock:
            if self._closing:
                raise Problem(503, "the server is about to end; try again later", "closing", headers=_again(5))
            if self._count >= self._limit:
                raise Problem(503, "too many requests are waiting; try again in a moment", headers=_again(1))
            begun = self._pool.submit(call)
            self._count += 1
        begun.add_done_callback(self._ended)
        return begun

    def close(self) -> None:
        with self._lock:
            self._closing = True
        self._pool.shutdown()

    def _ended(self, _: Future[Any]) -> None:
        with self._lock:
            self._count -= 1


def _again(seconds: int) -> dict[str, str]:
    return {"Retry-After": str(seconds)}
