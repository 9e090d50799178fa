"""A piece of work that takes longer than a request, and how it is written down."""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from twinface.core.facts import object_of

Kind = Literal["search", "unknown"]
"""Where one person is in a video, or who is in it at all."""

State = Literal["waiting", "running", "done", "failed", "cancelled"]

ENDED: frozenset[State] = frozenset(("done", "failed", "cancelled"))

ID = re.compile("[0-9a-f]{32}")


class JobStopped(BaseException):
    """Raised within a job that is to end; no `Exception`, so that nothing takes it for a failure."""


class JobFailed(Exception):
    """The job cannot be done; the message is for whoever asked."""


@dataclass(frozen=True)
class Job:
    """A piece of work, as it stands.

    Attributes:
        id: 32 hexadecimal digits, random.
        kind: what is to be done.
        video: the id of the video it is about.
        words: what was asked, for people.
        asked: the same for machines, as JSON; emptied when the job has ended, as it may hold templates.
        created: when, with a time zone.
        state: how it stands.
        progress: share that is done, 0 to 1; None where nobody knows.
        ended: when it ended; None before.
        result: what came of it, as JSON; None where nothing did.
        trouble: why it failed, in words.
    """

    id: str
    kind: Kind
    video: str
    words: str
    asked: Mapping[str, Any]
    created: datetime
    state: State = "waiting"
    progress: float | None = 0.0
    ended: datetime | None = None
    result: Mapping[str, Any] | None = None
    trouble: str = ""

    def __post_init__(self) -> None:
        if not (ID.fullmatch(self.id) and ID.fullmatch(self.video)):
            raise ValueError("a job and its video have ids of 32 hexadecimal digits")
        if self.kind not in get_args(Kind) or self.state not in get_args(State):
            raise ValueError(f"no job is of kind {self.kind!r} and {self.state!r}")

    @property
    def over(self) -> bool:
        """Whether it has ended, however."""
        return self.state in ENDED

    def closed(self, state: State, result: Mapping[str, Any] | None = None, trouble: str = "") -> Job:
        """The job ended now."""
        progress = 1.0 if state == "done" else self.progress
        ended = datetime.now(UTC)
        return replace(self, state=state, asked={}, progress=progress, ended=ended, result=result, trouble=trouble)

    def begun_again(self) -> Job:
        """The job waiting, as if nothing had been done."""
        return replace(self, state="waiting", progress=0.0)


class Advance:
    """Given to whoever does a job: hears how far it is, and ends it when that is wanted."""

    def __init__(self) -> None:
        self.share: float | None = 0.0
        """How much is done, 0 to 1; None where nobody knows."""
        self._stop = threading.Event()

    def __call__(self, share: float | None) -> None:
        """Notes how much is done, 0 to 1.

        Raises:
            JobStopped: the job is to end.
        """
        self.share = None if share is None else min(1.0, max(0.0, share))
        if self._stop.is_set():
            raise JobStopped

    def stop(self) -> None:
        """Ends the job at its next step."""
        self._stop.set()


def new_job(kind: Kind, video: str, words: str, asked: Mapping[str, Any]) -> Job:
    """A job that waits; see `Job`."""
    return Job(secrets.token_hex(16), kind, video, words, asked, datetime.now(UTC))


def write_job(job: Job) -> bytes:
    """The job as JSON."""
    ended = None if job.ended is None else job.ended.isoformat()
    return json.dumps({**asdict(job), "created": job.created.isoformat(), "ended": ended}, allow_nan=False).encode()


def read_job(content: bytes) -> Job:
    """A job of such JSON.

    Raises:
        ValueError: it is none.
    """
    try:
        facts = object_of(json.loads(content), "a job")
        if set(facts) != {field.name for field in fields(Job)}:
            raise ValueError("it has not what a job has")
        ended = facts["ended"]
        facts["created"] = datetime.fromisoformat(facts["created"])
        facts["ended"] = None if ended is None else datetime.fromisoformat(ended)
        return Job(**facts)
    except (TypeError, RecursionError) as error:
        raise ValueError("it is not written as a job is") from error
