"""Jobs: a queue, one worker, and a file for each, so that a restart loses nothing.

A job that ran when the server ended is begun again; whatever does it must bear that.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from twinface.app.server.job import ID, Advance, Job, JobFailed, JobStopped, Kind, new_job, read_job, write_job
from twinface.app.server.problems import Problem
from twinface.app.server.storage import make_private, overwrite
from twinface.core.files import reason, write_atomically
from twinface.errors import OutputError

WAITING = 16
"""Jobs that may wait; more are refused."""

KEPT = 200
"""Jobs that are remembered; the oldest that have ended are forgotten."""

PATIENCE = 30.0
"""Seconds that a job may take to end once it should."""

Perform = Callable[[Job, Advance], Mapping[str, Any]]
"""Does a job and gives its result, as JSON. It calls the second argument often, and raises JobFailed."""

_LOG = logging.getLogger("twinface.server")


class Jobs:
    """Does jobs one after another, in a thread of its own; close it.

    Args:
        folder: where their files lie; made if it is missing. Its owner alone may read them.
        perform: does a job.
        waiting: how many may wait.
        kept: how many are remembered.

    Raises:
        OutputError: the folder cannot be made.
    """

    def __init__(self, folder: Path, perform: Perform, *, waiting: int = WAITING, kept: int = KEPT) -> None:
        self._folder = folder
        self._perform = perform
        self._most, self._kept = waiting, kept
        self._changed = threading.Condition()
        self._jobs = _read_all(folder)
        self._running: str | None = None
        self._advance = Advance()
        self._cancelled = False
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="twinface-jobs", daemon=True)
        self._thread.start()

    def add(self, kind: Kind, video: str, words: str, asked: Mapping[str, Any]) -> Job:
        """Takes a job; it is on the disk when this returns. For the arguments see `Job`.

        Raises:
            Problem: 503, as many wait as may wait.
            OutputError: it cannot be written.
        """
        job = new_job(kind, video, words, asked)
        with self._changed:
            if self._closing or sum(one.state == "waiting" for one in self._jobs.values()) >= self._most:
                raise Problem(
                    503,
                    "too many searches are waiting; try again when one is over",
                    "too-many-jobs",
                    headers={"Retry-After": "30"},
                )
            self._put(job)
            self._forget_oldest()
            self._changed.notify_all()
        return job

    def find(self, identity: str) -> Job | None:
        """A job as it stands; None where there is none of that id."""
        with self._changed:
            job = self._jobs.get(identity)
            return None if job is None else self._now(job)

    def all(self, video: str | None = None) -> list[Job]:
        """The jobs, newest first; of one video if it is named."""
        with self._changed:
            found = [self._now(one) for one in self._jobs.values() if video in (None, one.video)]
        return sorted(found, key=lambda one: (one.created, one.id), reverse=True)

    def cancel(self, identity: str) -> None:
        """Ends a job that waits or runs; the latter ends a moment later.

        Raises:
            OutputError: that cannot be written.
        """
        with self._changed:
            job = self._jobs.get(identity)
            if job is not None and job.state == "waiting":
                self._put(job.closed("cancelled"))
            elif job is not None and self._running == identity:
                self._cancelled = True
                self._advance.stop()

    def forget(self, identity: str) -> None:
        """Removes a job that has ended, and its file, overwritten.

        Raises:
            OutputError: the file cannot be removed.
        """
        with self._changed:
            job = self._jobs.get(identity)
            if job is not None and job.over:
                overwrite(self._path(identity))
                del self._jobs[identity]

    def drop(self, identity: str, patience: float = PATIENCE) -> None:
        """Cancels a job if it has not ended, waits until it has, and forgets it."""
        self.cancel(identity)
        with self._changed:
            self._changed.wait_for(lambda: self._running != identity, patience)
        self.forget(identity)

    def settle(self, video: str, patience: float = PATIENCE) -> bool:
        """Cancels all jobs of a video and forgets them; False if one of them still runs after so many seconds."""
        for job in self.all(video):
            self.cancel(job.id)
        with self._changed:
            ended = self._changed.wait_for(
                lambda: self._running is None or self._jobs[self._running].video != video, patience
            )
        for job in self.all(video):
            self.forget(job.id)
        return ended

    def close(self, patience: float = PATIENCE) -> None:
        """Ends the worker. A job that runs is not lost: the next `Jobs` of this folder begins it again."""
        with self._changed:
            self._closing = True
            self._advance.stop()
            self._changed.notify_all()
        self._thread.join(patience)

    def _now(self, job: Job) -> Job:
        """A job with its progress of this moment."""
        return replace(job, progress=self._advance.share) if job.id == self._running else job

    def _work(self) -> None:
        while (job := self._take()) is not None:
            after = self._done(job)
            with self._changed:
                self._running = None
                self._keep(after)
                self._changed.notify_all()

    def _take(self) -> Job | None:
        """The next job, now running; None when there is to be none any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._waiting())
            if self._closing:
                return None
            job = replace(min(self._waiting(), key=lambda one: (one.created, one.id)), state="running")
            self._running, self._advance, self._cancelled = job.id, Advance(), False
            self._keep(job)
            return job

    def _done(self, job: Job) -> Job:
        """The job after it was done, as far as that went."""
        try:
            return job.closed("done", self._perform(job, self._advance))
        except JobStopped:
            with self._changed:
                return job.closed("cancelled") if self._cancelled else job.begun_again()
        except JobFailed as error:
            return job.closed("failed", trouble=str(error))
        except Exception:  # noqa: BLE001 - the worker's edge: the next job must not suffer
            _LOG.exception("a job failed")
            return job.closed("failed", trouble="something went wrong that nobody thought of; the log says more")

    def _waiting(self) -> list[Job]:
        return [one for one in self._jobs.values() if one.state == "waiting"]

    def _forget_oldest(self) -> None:
        over = sorted((one for one in self._jobs.values() if one.over), key=lambda one: one.created)
        for job in over[: max(0, len(self._jobs) - self._kept)]:
            overwrite(self._path(job.id))
            del self._jobs[job.id]

    def _keep(self, job: Job) -> None:
        """As `_put`, for the worker, whom a full disk must not end."""
        try:
            self._put(job)
        except OutputError as error:
            self._jobs[job.id] = job
            _LOG.warning("%s", error)

    def _put(self, job: Job) -> None:
        content = write_job(job)
        write_atomically(self._path(job.id), lambda file: file.write(content), private=True)
        self._jobs[job.id] = job

    def _path(self, identity: str) -> Path:
        return self._folder / f"{identity}.json"


def _read_all(folder: Path) -> dict[str, Job]:
    """The jobs of a folder; those that ran wait again, and what is no job is left alone."""
    make_private(folder)
    for part in folder.glob(".twinface-*.part"):
        with contextlib.suppress(OutputError):
            overwrite(part)
    found: dict[str, Job] = {}
    for path in sorted(folder.glob("*.json")):
        if not ID.fullmatch(path.stem):
            continue
        try:
            job = read_job(path.read_bytes())
        except (OSError, ValueError) as error:
            _LOG.warning("%s: no job that one could go on with (%s)", path.name, reason(error))
            continue
        found[job.id] = job.begun_again() if job.state == "running" else job
    return found
