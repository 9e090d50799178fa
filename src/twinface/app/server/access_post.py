"""Access control within the server: one camera, one policy, driven by a thread that nobody waits for."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinface.app.access.frames import Newest
from twinface.app.access.joining import Gate, open_gate
from twinface.app.access.policy_watch import PolicyFile
from twinface.app.access.running import AccessRun, Told
from twinface.app.server.problems import Problem
from twinface.core.access.evidence import Request
from twinface.core.access.policy import Policy
from twinface.errors import SourceError, TwinFaceError

if TYPE_CHECKING:
    from twinface.app.gallery import Gallery
    from twinface.app.server.camera import Camera, Look
    from twinface.services.access_control import Outcome

PATIENCE = 60.0
"""Seconds after which whoever asked is no longer kept waiting; longer than any decision takes."""

PAUSES = (1.0, 60.0)
"""Seconds until a camera that failed is tried again, at first and at most; they double."""

_LOG = logging.getLogger("twinface.access")


class AccessPost:
    """Answers requests for places by what the server's camera shows; close it.

    Whatever goes wrong lets nobody in. A camera that fails is tried again until the server ends.

    Args:
        path: the policy's file, which is read anew when it changes.
        gallery: people and log.
        camera: of the access point.
        detector: as the gallery was opened with.
        pauses: None for `PAUSES`.

    Raises:
        BadPolicy: it cannot be used.
        ModelError: the models cannot be loaded.
        ActionFailed: an action lacks something.
    """

    def __init__(
        self,
        path: Path,
        gallery: Gallery,
        camera: Camera,
        *,
        detector: str | None = None,
        pauses: tuple[float, float] | None = None,
    ) -> None:
        self._gallery = gallery
        self._camera = camera
        self._pauses = PAUSES if pauses is None else pauses
        self._file = PolicyFile(path)
        self._gate: Gate = open_gate(
            self._file.policy,
            gallery,
            dry_run=False,
            secrets=os.environ.get,
            out=sys.stderr,
            trouble=_trouble,
            detector=detector,
        )
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._run: AccessRun | None = None
        self._open: set[Callable[[Outcome | None], None]] = set()
        self._why = "the camera is being opened"
        self._thread = threading.Thread(target=self._drive, name="twinface-access", daemon=True)
        self._thread.start()

    @property
    def policy(self) -> Policy:
        """The one in force."""
        return self._gate.controller.policy

    def status(self) -> dict[str, Any]:
        """How it stands: what the person should do, and why nobody is answered."""
        with self._lock:
            run, why = self._run, self._why
        return {
            "running": run is not None,
            "busy": run is not None and self._gate.controller.busy,
            "prompt": "" if run is None else run.prompt,
            "trouble": None if run is not None else why,
        }

    async def ask(self, request: Request) -> Outcome:
        """Asks for a place and waits for the answer.

        Raises:
            Problem: 503, there is no camera, or too many ask; 504, there was no answer.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Outcome | None] = loop.create_future()

        def settle(outcome: Outcome | None) -> None:
            if not answer.done():
                answer.set_result(outcome)

        def reply(outcome: Outcome | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, outcome)

        with self._lock:
            if self._run is None:
                raise _unavailable(self._why)
            if not self._run.ask(request, reply):
                raise Problem(503, "too many requests wait; ask again later", headers={"Retry-After": "5"})
            self._open.add(reply)
        try:
            outcome = await asyncio.wait_for(answer, PATIENCE)
        except TimeoutError:
            raise Problem(504, "there was no answer; the events say what became of it", "no-answer") from None
        finally:
            with self._lock:
                self._open.discard(reply)
        if outcome is None:
            raise _unavailable(self._why)
        return outcome

    def close(self) -> None:
        """Ends it; what is still open is refused."""
        self._closing.set()
        with self._lock:
            if self._run is not None:
                self._run.stop()
        self._thread.join()
        self._gate.actor.close()

    def _drive(self) -> None:
        pause, longest = self._pauses
        while not self._closing.is_set():
            try:
                self._once()
                pause = self._pauses[0]
                why = "it has ended"
            except TwinFaceError as error:
                why = "the camera cannot be used" if isinstance(error, SourceError) else "the log cannot be used"
                _trouble(str(error))
            except Exception:  # noqa: BLE001 - the thread's edge: nobody is let in, and it is tried again
                why = "something went wrong that nobody thought of"
                _LOG.exception("access control failed")
            with self._lock:
                self._run, self._why = None, why
                for reply in self._open:
                    reply(None)
            self._closing.wait(pause)
            pause = min(2 * pause, longest)

    def _once(self) -> None:
        """From a camera's first frame to its last."""
        with ExitStack() as stack:
            look = self._camera.look()
            stack.callback(look.close)
            if not self._shows(look):
                return
            frames = Newest(look)
            stack.callback(frames.close)
            run = AccessRun(
                self._gate.controller,
                self._gate.actor,
                frames,
                self._file,
                self._gallery.store.audit,
                Told(lambda _: None, _trouble, lambda _: None),
                model=self._gate.model,
            )
            with self._lock:
                self._run = run
            if not self._closing.is_set():
                run.go()

    def _shows(self, look: Look) -> bool:
        """Waits for the first frame: a log that says "start" every minute helps nobody."""
        while not self._closing.is_set():
            if look.next(0.5) is not None:
                return True
        return False


def _unavailable(why: str) -> Problem:
    return Problem(503, f"nobody is let in at present: {why}", "access-unavailable", headers={"Retry-After": "5"})


def _trouble(words: str) -> None:
    _LOG.warning("%s", words)
