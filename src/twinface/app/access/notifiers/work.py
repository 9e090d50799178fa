"""One action's thread: takes notices in order, tries again where that helps, and reports what was not done."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable

from twinface.core.access.actions import Notice
from twinface.core.ports import Notifier
from twinface.errors import ActionFailed

Report = Callable[[Notice, str, Exception], None]
"""Told of a notice, the name of an action, and why it was not carried out."""

FIRST_PAUSE = 0.5
"""Seconds before the second try, about."""

LONGEST_PAUSE = 30.0


def pause(tries: int, random: float) -> float:
    """Seconds to wait after so many tries: twice as long each time, and spread so that clients do not come together.

    Args:
        tries: that failed, 1 or more.
        random: from 0 to 1.
    """
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (tries - 1)) * (0.5 + random)


class Job:
    """A notice for one action.

    Args:
        notice: the decision.
        retries: how often it is tried again.
        within: seconds after which a grant is given up; None where somebody waits for the result.
    """

    def __init__(self, notice: Notice, *, retries: int = 0, within: float | None = None) -> None:
        self.notice = notice
        self.retries = retries
        self.within = within
        self._accepted = time.monotonic()
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._begun = self._left = False
        self._error: Exception | None = None

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for the result."""
        return self.within is None

    def begin(self) -> bool:
        """Whether it is still to be done."""
        with self._lock:
            self._begun = not self._left
            return self._begun

    def end(self, error: Exception | None) -> bool:
        """Notes the result; whether somebody still wants it."""
        with self._lock:
            self._error = error
            self._done.set()
            return not self._left

    def wait(self, deadline: float) -> None:
        """Waits for the end, or until the deadline."""
        self._done.wait(max(0.0, deadline - time.monotonic()))

    def result(self, name: str, deadline: float) -> Exception | None:
        """Waits for the end, or until the deadline gives it up; why it was not done."""
        self.wait(deadline)
        return self.give_up(name) or self._error

    def give_up(self, name: str) -> ActionFailed | None:
        """Sees to it that it is not begun any more, and its end not reported; why it was not done, unless it ended."""
        with self._lock:
            if self._done.is_set():
                return None
            self._left = True
            what = "it began and may still end" if self._begun else "it did not begin, and will not"
            return ActionFailed(f"{name}: not done in time; {what}")

    def expired(self, after: float = 0.0) -> bool:
        """Whether it is a grant too old to be told, so many seconds from now."""
        return (
            self.within is not None and self.notice.granted and time.monotonic() + after - self._accepted > self.within
        )


class Worker:
    """The thread.

    Args:
        name: of the action.
        notifier: carries it out.
        failed: told of what nobody waits for.
        size: notices that may wait.
        random: numbers from 0 to 1.
    """

    def __init__(
        self, name: str, notifier: Notifier, failed: Report, *, size: int, random: Callable[[], float]
    ) -> None:
        self._name = name
        self._notifier = notifier
        self._failed = failed
        self._size = size
        self._random = random
        self._change = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._current: Job | None = None
        self._deadline: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"twinface-{name}", daemon=True)
        self._thread.start()

    def put(self, job: Job) -> ActionFailed | None:
        """Takes a job; why it does not."""
        with self._change:
            if self._deadline is not None:
                return ActionFailed(f"{self._name}: nothing is done any more, as the program ends")
            if len(self._jobs) >= self._size:
                return ActionFailed(f"{self._name}: {self._size} notices wait already; see why it is so slow")
            self._jobs.append(job)
            self._change.notify()
            return None

    def finish(self, deadline: float) -> None:
        """Takes no more jobs, and ends once those there are done; retries end at the deadline."""
        with self._change:
            self._deadline = deadline
            self._change.notify()

    def join(self, deadline: float) -> None:
        """Waits for the end until the deadline, then reports what is left."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        with self._change:
            left = [job for job in (self._current, *self._jobs) if job is not None]
            self._jobs.clear()
        for job in left:
            if (error := job.give_up(self._name)) is not None:
                self._failed(job.notice, self._name, error)

    def _run(self) -> None:
        while (job := self._next()) is not None:
            if not job.begin():
                continue
            error = self._carried_out(job)
            wanted = job.end(error)
            if error is not None and wanted and not job.awaited:
                self._report(job, error)

    def _next(self) -> Job | None:
        with self._change:
            self._current = None
            while not self._jobs:
                if self._deadline is not None:
                    return None
                self._change.wait()
            self._current = self._jobs.popleft()
            return self._current

    def _carried_out(self, job: Job) -> Exception | None:
        """Tries, and tries again; why it did not work."""
        tries = 0
        while True:
            if job.expired():
                return ActionFailed(f"{self._name}: the grant is too old to be told, so it was not")
            try:
                self._notifier.notify(job.notice)
            except ActionFailed as error:
                tries += 1
                if error.again is None or tries > job.retries:
                    return error
                seconds = max(error.again, pause(tries, self._random()))
                if job.expired(seconds) or not self._rest(seconds):
                    return error
            except Exception as error:  # noqa: BLE001 - the edge of a thread; it is reported
                return error
            else:
                return None

    def _rest(self, seconds: float) -> bool:
        """Waits; False, sooner, where the end comes before the next try."""
        until = time.monotonic() + seconds
        with self._change:
            while (now := time.monotonic()) < until:
                if self._deadline is not None and self._deadline < until:
                    return False
                self._change.wait(until - now)
        return True

    def _report(self, job: Job, error: Exception) -> None:
        try:
            self._failed(job.notice, self._name, error)
        except Exception:  # noqa: BLE001 - the thread goes on, and what was wrong is printed
            kind, value, trace = sys.exc_info()
            assert kind is not None
            threading.excepthook(threading.ExceptHookArgs((kind, value, trace, self._thread)))
