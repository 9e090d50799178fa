import asyncio
import threading

import pytest

from twinface.app.server.problems import Problem
from twinface.app.server.work import Work


def test_what_a_function_returns_or_raises_comes_back():
    async def go():
        work = Work(1, 1, 60)
        assert await work.run(divmod, 7, 2) == (3, 1)
        assert await work.aside(sorted, [2, 1], reverse=True) == [2, 1]
        with pytest.raises(ZeroDivisionError):
            await work.run(divmod, 1, 0)
        with pytest.raises(TimeoutError, match="my own"):
            await work.run(raising, TimeoutError("my own"))
        assert work.under_way == 0
        await work.close()

    asyncio.run(go())


def raising(error):
    raise error


def test_the_queue_is_bounded_and_the_loop_goes_on_meanwhile():
    async def go():
        work = Work(1, 2, 60)
        gate = threading.Event()
        calls = [asyncio.create_task(work.run(gate.wait)) for _ in range(3)]
        await asyncio.sleep(0)
        assert (work.under_way, work.waiting) == (3, 2)
        with pytest.raises(Problem) as refused:
            await work.run(gate.wait)
        assert (refused.value.status_code, refused.value.code) == (503, "overloaded")
        assert refused.value.headers == {"Retry-After": "1"}
        assert await work.aside(lambda: "meanwhile") == "meanwhile"
        gate.set()
        assert await asyncio.gather(*calls) == [True] * 3
        assert await work.run(lambda: "room again") == "room again"
        await work.close()

    asyncio.run(go())


def test_who_waits_too_long_is_told_and_leaves_the_queue():
    async def go():
        work = Work(1, 2, 0.05)
        gate, done = threading.Event(), []
        calls = [asyncio.create_task(work.run(gate.wait)), asyncio.create_task(work.run(done.append, 1))]
        for call in calls:
            with pytest.raises(Problem) as refused:
                await call
            assert (refused.value.status_code, refused.value.code) == (503, "timeout")
        gate.set()
        await work.close()
        assert work.under_way == 0
        assert done == []

    asyncio.run(go())


def test_closing_finishes_what_was_begun_and_takes_no_more():
    async def go():
        work = Work(1, 5, 60)
        gate, done = threading.Event(), []
        calls = [asyncio.create_task(work.run(lambda: gate.wait() and done.append(1))) for _ in range(3)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(work.close())
        while not work._main._closing:
            await asyncio.sleep(0)
        with pytest.raises(Problem) as refused:
            await work.run(print)
        assert refused.value.code == "closing"
        gate.set()
        await closing
        await asyncio.gather(*calls)
        assert done == [1, 1, 1]

    asyncio.run(go())
