"""Runs access control: frames, requests and the policy's file come in, answers go out."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from twinface.app.access.acting import Actor
from twinface.app.access.frames import Newest
from twinface.app.access.policy_watch import PolicyFile
from twinface.core.access.evidence import Reason, Request
from twinface.core.access.policy import Policy
from twinface.core.audit import AuditDraft
from twinface.core.files import shown
from twinface.core.ports import AuditLog
from twinface.core.video import VideoFrame
from twinface.errors import TwinFaceError
from twinface.services.access_control import AccessController, Outcome
from twinface.services.access_record import words_of

STEP = 0.05
"""Seconds within which a request is taken up, and a deadline noticed."""

RELOAD = 0.5
"""Seconds between two looks at the policy's file."""

PURGE = 3600.0
"""Seconds between two times that thumbnails past their retention are erased."""

Reply = Callable[[Outcome], None]


class Asker(Protocol):
    """Asks for a place by itself when somebody steps before the camera."""

    def look(self, frame: VideoFrame, now: float) -> Request | None:
        """A request, if it is time for one."""
        ...

    def told(self, outcome: Outcome, now: float) -> None:
        """Hears what became of it."""
        ...


@dataclass(frozen=True)
class Told:
    """Where words go.

    Attributes:
        outcome: hears every answer.
        trouble: hears what went wrong, in words.
        prompt: hears what the person should do now, whenever that changes.
    """

    outcome: Callable[[Outcome], None]
    trouble: Callable[[str], None]
    prompt: Callable[[str], None]


class AccessRun:
    """Drives an `AccessController` until it is stopped or the source ends.

    Args:
        controller: decides.
        actor: carries actions out; it follows the policy.
        frames: the camera's.
        policy: the file that is watched.
        audit: hears of starts, stops, and changes of the policy.
        told: where words go.
        model: digest of the models, for the log.
        asker: makes requests by itself; None for none.
    """

    def __init__(
        self,
        controller: AccessController,
        actor: Actor,
        frames: Newest,
        policy: PolicyFile,
        audit: AuditLog,
        told: Told,
        *,
        model: str,
        asker: Asker | None = None,
    ) -> None:
        self._controller = controller
        self._actor = actor
        self._frames = frames
        self._policy = policy
        self._audit = audit
        self._told = told
        self._model = model
        self._asker = asker
        self._requests: queue.Queue[tuple[Request, Reply | None]] = queue.Queue(maxsize=16)
        self._replies: dict[str, Reply] = {}
        self._counting = threading.Lock()
        self._passed_over = 0
        self._stopping = threading.Event()
        self._draining = False
        self._prompt = ""

    @property
    def policy(self) -> Policy:
        """The one in force."""
        return self._controller.policy

    @property
    def prompt(self) -> str:
        """What the person should do now; "" for nothing. May be asked from any thread."""
        return self._prompt

    def ask(self, request: Request, reply: Reply | None = None) -> bool:
        """Takes a request from any thread; False if too many wait already.

        Args:
            request: what is asked.
            reply: called with the answer, from the thread that runs.
        """
        try:
            self._requests.put_nowait((request, reply))
        except queue.Full:
            with self._counting:
                self._passed_over += 1
            return False
        return True

    def drain(self) -> None:
        """Ends it when all requests up to now are answered."""
        self._draining = True

    def stop(self) -> None:
        """Ends it soon; what is still open is refused."""
        self._stopping.set()

    def go(self) -> None:
        """Runs.

        Raises:
            GalleryError: the log cannot be read or written at the start; then nothing is begun.
            SourceError: the source ended badly.
        """
        self._controller.catch_up()
        self._note("start", "")
        look_at_policy = erase = passed_over = -math.inf
        try:
            while not self._stopping.is_set():
                now = time.monotonic()
                if now >= look_at_policy:
                    look_at_policy = now + RELOAD
                    self._reload()
                if now >= erase:
                    erase = now + PURGE
                    self._erase()
                self._take_request()
                if now >= passed_over:
                    passed_over = now + 1.0
                    self._tell_passed_over()
                frame = self._frames.take(STEP)
                if frame is not None:
                    self._take_frame(frame)
                else:
                    self._tell(self._controller.tick())
                if self._frames.ended:
                    self._end()
                    return
                if self._draining and self._requests.empty() and not self._controller.busy:
                    return
        finally:
            self._tell(self._controller.close())
            self._turn_away_the_rest()
            self._tell_passed_over()
            try:
                self._note("stop", "")
            except TwinFaceError as error:
                self._told.trouble(str(error))

    def _take_request(self) -> None:
        """One at a time, so that a flood of them keeps nobody from the frames and the policy."""
        try:
            request, reply = self._requests.get_nowait()
        except queue.Empty:
            return
        if reply is not None:
            self._replies[request.id] = reply
        self._tell(self._controller.ask(request))

    def _turn_away_the_rest(self) -> None:
        """Refuses the requests that nobody has looked at yet, at the end."""
        while True:
            try:
                request, reply = self._requests.get_nowait()
            except queue.Empty:
                return
            if reply is not None:
                self._replies[request.id] = reply
            self._tell([self._controller.turn_away(request, Reason.cancelled, "the program was ended")])

    def _tell_passed_over(self) -> None:
        """Writes down that requests came for which there was no room."""
        with self._counting:
            count, self._passed_over = self._passed_over, 0
        if count:
            self._note_later("fault", f"{count} requests were passed over, as too many waited", "overloaded")

    def _take_frame(self, frame: VideoFrame) -> None:
        if self._controller.busy or self._asker is None:
            self._tell(self._controller.feed(frame))
            return
        try:
            request = self._asker.look(frame, time.monotonic())
        except Exception as error:  # noqa: BLE001 - the door stays shut, and the next frame may be better
            self._told.trouble(words_of(error))
            return
        if request is not None:
            self._tell(self._controller.ask(request))

    def _end(self) -> None:
        """The source gives no more frames."""
        error = self._frames.error
        if error is not None:
            self._tell(self._controller.fail(error))
            raise error

    def _reload(self) -> None:
        """Takes over a policy that has changed; one that cannot be used lets nobody in."""
        try:
            policy = self._policy.changed()
            if policy is None:
                return
            self._actor.replace(policy)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody is let in until the policy is good again
            words = words_of(error)
            self._controller.break_policy(words)
            self._told.trouble(f"everybody is refused until the policy is mended: {words}")
            self._note_later("policy", "cannot be used", "policy_invalid")  # the words may hold names
            return
        self._controller.replace(policy)
        self._told.trouble(f"{shown(self._policy.path)}: the new policy is in force")
        self._note_later("policy", "is in force")

    def _erase(self) -> None:
        """Erases thumbnails that were kept for long enough."""
        days = self._controller.policy.retention
        try:
            self._audit.expire_thumbnails(datetime.now(UTC) - timedelta(days=days))
        except TwinFaceError as error:
            self._told.trouble(str(error))

    def _tell(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            self._told.outcome(outcome)
            if self._asker is not None:
                self._asker.told(outcome, time.monotonic())
            if (reply := self._replies.pop(outcome.request.id, None)) is not None:
                reply(outcome)
        prompt = self._controller.prompt
        if prompt != self._prompt:
            self._prompt = prompt
            self._told.prompt(prompt)

    def _note_later(self, kind: str, detail: str, why: str = "") -> None:
        try:
            self._note(kind, detail, why)
        except TwinFaceError as error:
            self._told.trouble(str(error))

    def _note(self, kind: str, detail: str, why: str = "") -> None:
        """Writes into the log what is no request."""
        self._audit.append(
            AuditDraft(
                at=datetime.now(UTC),
                kind=kind,
                reason=why,
                policy=self._controller.policy.digest,
                model=self._model,
                detail=detail,
            )
        )
