"""Decides requests for places: evidence, ruling, log, and only then the door. Whatever goes wrong is a refusal.

A grant is acted on when, and only when, the ruling was a grant, is in the log for good, and still is one with all that
others wrote into the log meanwhile. Errors of every kind end the request as a refusal with its reason; what remains is
to say so: to the log, if it can be written, and to the person, by the actions for refusals.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from twinface.core.access.evidence import Evidence, Reason, Request, Ruling
from twinface.core.access.policy import Policy
from twinface.core.access.ruling import decide
from twinface.core.audit import AuditRecord
from twinface.core.ports import AuditLog
from twinface.core.video import VideoFrame
from twinface.errors import GalleryCorrupt
from twinface.services.access_evidence import Attempt
from twinface.services.access_record import History, draft_of, fault_of, refusal, words_of
from twinface.services.access_seeing import Seeing

WAITING = 4
"""Requests that may wait for the one being decided."""

LONGEST_WAIT = 10.0
"""Seconds that they may: whoever asked has gone, or others stand there by now."""

BACK = timedelta(seconds=2)
"""By which a clock may be set back unnoticed; leap seconds and rounding are less."""

AHEAD = timedelta(seconds=60)
"""By which it may be set forward. More, and schedules could be passed by with a wrong clock."""


class Clocks(Protocol):
    """Clocks, of which only the first can be set."""

    def wall(self) -> datetime:
        """The time of day, with a time zone."""
        ...

    def steady(self) -> float:
        """Seconds from anywhere; the clock by which frames say when they arrived."""
        ...

    def elapsed(self) -> float:
        """Seconds from anywhere, counted also while the machine sleeps."""
        ...


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of a request.

    Attributes:
        request: who asked for what.
        ruling: the answer.
        record: what the log holds of it; None where it could not be written, which is a refusal.
        evidence: what it rests on; None where nothing was looked at.
        seconds: from the beginning of the request, or the end of the challenge, to the answer.
    """

    request: Request
    ruling: Ruling
    record: AuditRecord | None
    evidence: Evidence | None
    seconds: float


class Act(Protocol):
    """Does what follows from an answer: opens, lights, sounds, tells."""

    def __call__(self, outcome: Outcome, policy: Policy) -> None:
        """Does it.

        Raises:
            TwinFaceError: what lets somebody in did not work; then nobody was let in.
        """
        ...


class AccessController:
    """Answers requests, one after another, by the frames it is fed.

    It does nothing by itself: whoever drives it feeds frames as they come, and calls `tick` every now and then, also
    when none come.

    Args:
        policy: who may go where.
        seeing: what to look with.
        audit: the log.
        act: does what follows.
        clocks: tell the time.
        integrity: checks that the models are those of the policy's start, whenever somebody is about to be let in.
        model: digest of the models, for the log.
        trust_clock: whether the clock is right although the log holds later times: it was wrong once.
    """

    def __init__(
        self,
        policy: Policy,
        seeing: Seeing,
        audit: AuditLog,
        act: Act,
        clocks: Clocks,
        *,
        integrity: Callable[[], None],
        model: str,
        trust_clock: bool = False,
    ) -> None:
        self._policy = policy
        self._broken = ""
        self._seeing = seeing
        self._audit = audit
        self._act = act
        self._clocks = clocks
        self._integrity = integrity
        self._model = model
        self._wall, self._elapsed = clocks.wall(), clocks.elapsed()
        self._waiting: deque[tuple[Request, float]] = deque()
        self._current: tuple[Request, Attempt] | None = None
        self._history = History(seeing.store.names, self._wall if trust_clock else None)

    @property
    def policy(self) -> Policy:
        """The one in force."""
        return self._policy

    @property
    def busy(self) -> bool:
        """Whether a request is being decided."""
        return self._current is not None

    @property
    def prompt(self) -> str:
        """What the person should do now; "" for nothing."""
        return "" if self._current is None else self._current[1].prompt

    def replace(self, policy: Policy) -> None:
        """Puts another policy in force, at once and whole, also for the request being decided."""
        self._policy, self._broken = policy, ""

    def break_policy(self, why: str) -> None:
        """Refuses all requests until there is a good policy: nobody knows what the broken one would have forbidden."""
        self._broken = why or "the policy cannot be read"

    def ask(self, request: Request) -> list[Outcome]:
        """Takes a request; what is answered at once, as that there is no such place, is returned."""
        if request.place not in self._policy.places:
            return [self._refuse(request, Reason.unknown_place, "")]
        if len(self._waiting) >= WAITING:
            return [self._refuse(request, Reason.overloaded, f"{WAITING} others wait already")]
        self._waiting.append((request, self._clocks.steady()))
        return self.tick()

    def feed(self, frame: VideoFrame) -> list[Outcome]:
        """Takes a frame; the requests that are answered by it."""
        if self._current is not None:
            request, attempt = self._current
            try:
                attempt.feed(frame, self._clocks.steady(), self._clocks.wall())
            except Exception as error:  # noqa: BLE001 - whatever it is, it lets nobody in
                return [self._end(request, attempt, *fault_of(error)), *self.tick()]
        return self.tick()

    def fail(self, error: Exception) -> list[Outcome]:
        """Ends the request being decided, as what it rests on has failed: the camera, say."""
        if self._current is None:
            return []
        return [self._end(*self._current, *fault_of(error)), *self.tick()]

    def tick(self) -> list[Outcome]:
        """Decides what it is time to decide."""
        outcomes: list[Outcome] = []
        while True:
            if self._current is None:
                if not self._waiting:
                    return outcomes
                self._begin(outcomes)
                continue
            request, attempt = self._current
            try:
                now = self._clocks.steady()
                due = now >= attempt.deadline or attempt.ready()
            except Exception as error:  # noqa: BLE001
                outcomes.append(self._end(request, attempt, *fault_of(error)))
                continue
            if not due:
                return outcomes
            outcomes.append(self._decide(request, attempt))

    def catch_up(self) -> None:
        """Reads what was written into the log since, by whomever. The first time it reads all of it.

        Raises:
            GalleryError: the log cannot be read, or was damaged.
        """
        first = self._history.read == 0
        if first and (problems := self._audit.problems()):
            raise GalleryCorrupt(
                f"the log is not what was written: {problems[0].words}; see twinface access audit verify"
            )
        if self._audit.head()[0] < self._history.read:
            raise GalleryCorrupt("the log is shorter than it was; see twinface access audit verify")
        now, memory = self._clocks.wall(), self._policy.memory()
        for record in self._audit.records(self._history.read + 1):
            self._history.take(record, now, memory, old=first)

    def turn_away(self, request: Request, reason: Reason, detail: str) -> Outcome:
        """Refuses a request without looking, as when too many wait: it is logged, and told."""
        return self._refuse(request, reason, detail)

    def close(self) -> list[Outcome]:
        """Refuses what is still open."""
        open_requests = [request for request, _ in self._waiting]
        if self._current is not None:
            open_requests.insert(0, self._current[0])
        self._current = None
        self._waiting.clear()
        return [self._refuse(request, Reason.cancelled, "the program was ended") for request in open_requests]

    def _begin(self, outcomes: list[Outcome]) -> None:
        """Starts on the next request."""
        request, asked = self._waiting.popleft()
        now = self._clocks.steady()
        place = self._policy.places.get(request.place)
        if now - asked > LONGEST_WAIT:
            outcomes.append(self._refuse(request, Reason.overloaded, f"it waited for more than {LONGEST_WAIT:g} s"))
            return
        if place is None:
            outcomes.append(self._refuse(request, Reason.unknown_place, ""))
            return
        try:
            self._current = request, Attempt(place, self._seeing, now)
        except Exception as error:  # noqa: BLE001
            outcomes.append(self._refuse(request, *fault_of(error)))

    def _decide(self, request: Request, attempt: Attempt) -> Outcome:
        """Answers by what was seen."""
        try:
            self.catch_up()
        except Exception as error:  # noqa: BLE001
            return self._end(request, attempt, Reason.audit_unavailable, words_of(error))
        try:
            evidence = self._evidence(attempt)
        except Exception as error:  # noqa: BLE001
            return self._end(request, attempt, *fault_of(error))
        ruling = decide(self._policy, request, evidence, self._history.past, self._clocks.wall())
        self._current = None
        return self._settle(request, attempt, evidence, ruling)

    def _evidence(self, attempt: Attempt) -> Evidence:
        """What was seen, with what is wrong beside it."""
        evidence = attempt.evidence(self._clocks.steady())
        faults = list(evidence.faults)
        if self._broken:
            faults.append(Reason.policy_invalid)
        if not self._clock_is_right():
            faults.append(Reason.clock_wrong)
        return replace(evidence, faults=tuple(faults))

    def _clock_is_right(self) -> bool:
        """Whether the time of day has gone on as the steady clock has, and is not before what the log holds."""
        wall, expected, latest = self._clocks.wall(), self._expected(), self._history.latest
        before_log = latest is not None and wall < latest - BACK
        return expected - BACK <= wall <= expected + AHEAD and not before_log

    def _expected(self) -> datetime:
        """What time of day it should be, by the steady clock."""
        return self._wall + timedelta(seconds=self._clocks.elapsed() - self._elapsed)

    def _settle(self, request: Request, attempt: Attempt, evidence: Evidence, ruling: Ruling) -> Outcome:
        """Writes an answer down, and does what follows from it."""
        if ruling.granted:
            try:
                self._integrity()
            except Exception as error:  # noqa: BLE001
                ruling = refusal(request, *fault_of(error))
        known = self._history.read
        outcome = self._written(request, attempt, evidence, ruling)
        if outcome.ruling.granted and outcome.record is not None and outcome.record.number != known + 1:
            outcome = self._again(outcome, attempt)
        return self._acted(outcome, attempt)

    def _again(self, outcome: Outcome, attempt: Attempt) -> Outcome:
        """A grant that others wrote before: it holds only if it holds with what they wrote."""
        assert outcome.record is not None
        assert outcome.evidence is not None
        try:
            others = self._audit.records(self._history.read + 1, last=outcome.record.number - 1)
            past = self._history.with_records(others, self._clocks.wall(), self._policy.memory())
            ruling = decide(self._policy, outcome.request, outcome.evidence, past, self._clocks.wall())
        except Exception as error:  # noqa: BLE001
            ruling = refusal(outcome.request, *fault_of(error))
        if ruling.granted:
            return outcome
        return self._written(outcome.request, attempt, outcome.evidence, ruling)

    def _acted(self, outcome: Outcome, attempt: Attempt | None) -> Outcome:
        """Does what follows; a grant whose door did not open is a refusal."""
        try:
            self._act(outcome, self._policy)
        except Exception as error:  # noqa: BLE001
            if not outcome.ruling.granted:
                return outcome
            ruling = refusal(outcome.request, Reason.actuator_failed, words_of(error))
            return self._acted(self._written(outcome.request, attempt, outcome.evidence, ruling), attempt)
        return outcome

    def _end(self, request: Request, attempt: Attempt, reason: Reason, detail: str) -> Outcome:
        """Ends the current request by a fault."""
        self._current = None
        return self._acted(self._written(request, attempt, None, refusal(request, reason, detail)), attempt)

    def _refuse(self, request: Request, reason: Reason, detail: str) -> Outcome:
        """Refuses a request that nothing was looked at for."""
        return self._acted(self._written(request, None, None, refusal(request, reason, detail)), None)

    def _written(self, request: Request, attempt: Attempt | None, evidence: Evidence | None, ruling: Ruling) -> Outcome:
        """An answer that is in the log; one that cannot be written is a refusal, whatever it was."""
        seconds = 0.0 if attempt is None else max(0.0, self._clocks.steady() - attempt.started)
        try:
            shown = attempt is not None and evidence is not None and self._policy.thumbnails
            picture = attempt.thumbnail() if attempt is not None and shown else b""
            draft = draft_of(
                request,
                ruling,
                evidence,
                self._policy,
                at=self._clocks.wall() if self._clock_is_right() else self._expected(),
                model=self._model,
                measures={} if attempt is None else attempt.measures,
            )
            record = self._audit.append(draft, picture or None)
            if ruling.granted and record.number <= self._history.read:
                raise GalleryCorrupt("the log is shorter than it was; see twinface access audit verify")
        except Exception as error:  # noqa: BLE001
            if ruling.granted:
                ruling = refusal(request, Reason.audit_unavailable, words_of(error))
            return Outcome(request, ruling, None, evidence, seconds)
        return Outcome(request, ruling, record, evidence, seconds)
