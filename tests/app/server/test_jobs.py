"""Jobs: one after another, on the disk, through restarts and cancellation."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from twinface.app.server.job import Advance, Job, JobFailed, read_job, write_job
from twinface.app.server.jobs import Jobs
from twinface.app.server.problems import Problem
from twinface.errors import OutputError

VIDEO, OTHER = "0a" * 16, "0b" * 16
PATIENCE = 60


class Bench:
    """Does jobs step by step, as the test lets it."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.steps = threading.Semaphore(0)
        self.done: list[str] = []

    def __call__(self, job: Job, advance: Advance) -> Mapping[str, Any]:
        self.begun.release()
        for step in range(1, 5):
            while not self.steps.acquire(timeout=0.01):
                advance(advance.share)
            advance(step / 4)
        self.done.append(job.words)
        return {"words": job.words}

    def let(self, steps: int) -> None:
        self.steps.release(steps)

    def wait(self) -> None:
        assert self.begun.acquire(timeout=PATIENCE)


def until(jobs: Jobs, identity: str, fits: Callable[[Job], bool]) -> Job:
    """The job as soon as it is so."""
    for _ in range(100 * PATIENCE):
        job = jobs.find(identity)
        assert job is not None
        if fits(job):
            return job
        threading.Event().wait(0.01)
    raise AssertionError(f"the job stays {jobs.find(identity)}")


def over(job: Job) -> bool:
    return job.over


def test_jobs_are_done_in_order_and_tell_how_far_they_are(tmp_path: Path) -> None:
    bench = Bench()
    with closing(Jobs(tmp_path, bench)) as jobs:
        first = jobs.add("search", VIDEO, "first", {"templates": "secret"})
        second = jobs.add("unknown", VIDEO, "second", {})
        bench.wait()
        bench.let(2)
        half = until(jobs, first.id, lambda job: job.progress == 0.5)
        waits = jobs.find(second.id)
        assert (half.state, waits and waits.state) == ("running", "waiting")
        bench.let(6)
        done = until(jobs, second.id, over)
        assert bench.done == ["first", "second"]
        assert (done.state, done.progress, done.result) == ("done", 1.0, {"words": "second"})
        assert [job.id for job in jobs.all()] == [second.id, first.id]
        assert jobs.all(OTHER) == []


def test_what_was_asked_is_gone_once_it_is_answered(tmp_path: Path) -> None:
    bench = Bench()
    with closing(Jobs(tmp_path, bench)) as jobs:
        job = jobs.add("search", VIDEO, "somebody", {"templates": "c2VjcmV0"})
        file = tmp_path / f"{job.id}.json"
        assert b"c2VjcmV0" in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0
        assert tmp_path.stat().st_mode & 0o700 == 0o700
        bench.let(4)
        until(jobs, job.id, over)
        assert b"c2VjcmV0" not in file.read_bytes()


def test_a_job_that_ran_at_the_end_is_begun_again(tmp_path: Path) -> None:
    bench = Bench()
    jobs = Jobs(tmp_path, bench)
    running = jobs.add("search", VIDEO, "running", {"subject": "Ada"})
    waiting = jobs.add("search", VIDEO, "waiting", {})
    bench.wait()
    bench.let(1)
    until(jobs, running.id, lambda job: job.progress == 0.25)
    jobs.close()
    assert bench.done == []
    bench.let(8)
    with closing(Jobs(tmp_path, bench)) as again:
        for job in (running, waiting):
            assert until(again, job.id, over).state == "done"
    assert bench.done == ["running", "waiting"]
    with closing(Jobs(tmp_path, bench)) as known:
        assert {job.state for job in known.all()} == {"done"}
    assert bench.done == ["running", "waiting"]


def test_a_job_that_a_crash_left_running_is_begun_again(tmp_path: Path) -> None:
    bench = Bench()
    with closing(Jobs(tmp_path, bench)) as jobs:
        job = jobs.add("search", VIDEO, "crash", {"subject": "Ada"})
        bench.wait()
        left = (tmp_path / f"{job.id}.json").read_bytes()
    assert json.loads(left)["state"] == "running"
    (tmp_path / f"{job.id}.json").write_bytes(left)
    bench.let(4)
    with closing(Jobs(tmp_path, bench)) as again:
        assert until(again, job.id, over).state == "done"


def test_what_is_no_job_is_left_alone(tmp_path: Path) -> None:
    bench = Bench()
    with closing(Jobs(tmp_path, bench)) as jobs:
        good = write_job(jobs.add("search", VIDEO, "x", {}))
        bench.let(4)
    for place, content in enumerate(
        (b"", b"[]", b"{}", good[:-5], good.replace(b'"search"', b'"dance"'), good.replace(b'"words"', b'"worms"'))
    ):
        with pytest.raises(ValueError):
            read_job(content)
        (tmp_path / f"{place:032x}.json").write_bytes(content)
    (tmp_path / "notes.json").write_text("mine")
    with closing(Jobs(tmp_path, bench)) as jobs:
        assert len(jobs.all()) == 1
    assert (tmp_path / "notes.json").read_text() == "mine"


def test_cancelling(tmp_path: Path) -> None:
    bench = Bench()
    with closing(Jobs(tmp_path, bench)) as jobs:
        running = jobs.add("search", VIDEO, "running", {})
        waiting = jobs.add("search", VIDEO, "waiting", {})
        bench.wait()
        jobs.cancel(waiting.id)
        jobs.cancel(running.id)
        jobs.cancel("0c" * 16)
        assert until(jobs, waiting.id, over).state == "cancelled"
        assert until(jobs, running.id, over).state == "cancelled"
        last = jobs.add("search", VIDEO, "last", {})
        bench.let(4)
        assert until(jobs, last.id, over).state == "done"
        jobs.cancel(last.id)
        assert until(jobs, last.id, over).state == "done"
        assert bench.done == ["last"]


def test_what_is_over_can_be_forgotten(tmp_path: Path) -> None:
    bench = Bench()
    with closing(Jobs(tmp_path, bench)) as jobs:
        job = jobs.add("search", VIDEO, "x", {})
        bench.wait()
        jobs.forget(job.id)
        assert jobs.find(job.id) is not None
        bench.let(4)
        until(jobs, job.id, over)
        jobs.forget(job.id)
        assert jobs.find(job.id) is None
        assert list(tmp_path.iterdir()) == []


def test_a_video_is_settled_before_it_goes(tmp_path: Path) -> None:
    bench = Bench()
    with closing(Jobs(tmp_path, bench)) as jobs:
        for words in ("running", "waiting"):
            jobs.add("search", VIDEO, words, {})
        kept = jobs.add("search", OTHER, "kept", {})
        bench.wait()
        assert jobs.settle(VIDEO)
        assert [job.id for job in jobs.all()] == [kept.id]
        bench.let(4)
        assert until(jobs, kept.id, over).state == "done"


def test_only_so_many_wait_and_are_remembered(tmp_path: Path) -> None:
    bench = Bench()
    with closing(Jobs(tmp_path, bench, waiting=2, kept=3)) as jobs:
        first = jobs.add("search", VIDEO, "0", {})
        bench.wait()
        rest = [jobs.add("search", VIDEO, str(number), {}) for number in (1, 2)]
        with pytest.raises(Problem) as refused:
            jobs.add("search", VIDEO, "3", {})
        assert (refused.value.status_code, refused.value.code) == (503, "too-many-jobs")
        bench.let(12)
        until(jobs, rest[-1].id, over)
        jobs.add("search", VIDEO, "4", {})
        assert jobs.find(first.id) is None
        assert len(list(tmp_path.glob("*.json"))) == 3


def test_a_failure_is_told_and_the_next_job_is_done(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def perform(job: Job, advance: Advance) -> Mapping[str, Any]:
        if job.words == "refused":
            raise JobFailed("the video was removed")
        if job.words == "bug":
            raise ZeroDivisionError("secret")
        return {}

    with closing(Jobs(tmp_path, perform)) as jobs:
        told = [until(jobs, jobs.add("search", VIDEO, words, {}).id, over) for words in ("refused", "bug", "fine")]
    assert [job.state for job in told] == ["failed", "failed", "done"]
    assert told[0].trouble == "the video was removed"
    assert "secret" not in told[1].trouble
    assert "ZeroDivisionError" in caplog.text


def test_a_full_disk_refuses_new_jobs_and_loses_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    with closing(Jobs(tmp_path, bench)) as jobs:
        job = jobs.add("search", VIDEO, "x", {})
        bench.wait()

        def full(*_: object, **__: object) -> None:
            raise OutputError("no space left")

        monkeypatch.setattr("twinface.app.server.jobs.write_atomically", full)
        with pytest.raises(OutputError):
            jobs.add("search", VIDEO, "y", {})
        bench.let(4)
        assert until(jobs, job.id, over).state == "done"
        assert [one.id for one in jobs.all()] == [job.id]
