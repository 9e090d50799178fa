"""What the routes of a server share."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinface.app.server.analyzing import serving
from twinface.app.server.keys import KeyRing
from twinface.app.server.metrics import Metrics
from twinface.app.server.rates import Buckets, Lockout
from twinface.app.server.sessions import Sessions
from twinface.app.server.storage import make_private
from twinface.app.server.work import Work
from twinface.services.identification import Identifier
from twinface.vision.images import DecodeLimits

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from twinface.app.gallery import Gallery
    from twinface.app.server.options import ServerOptions
    from twinface.services.recognition import Recognizer


class ServerState:
    """The gallery, the models, the threads, the keys; `request.app.state.twinface`, or `state_of(request)`.

    Attributes:
        options: how the server was started.
        gallery: people; its calls block, so that they go through `work`.
        work: threads; `await work.run(...)` for models and writing, `await work.aside(...)` for quick reading.
        metrics: counters.
        keys: who may call.
        sessions: who has logged in.
        buckets: how often each key calls.
        lockout: which addresses guess.
        changing: held by threads that change people, so that what they looked at still holds.
        attached: what a resource keeps for itself, by its name.
        ready: whether the models are loaded.
    """

    def __init__(self, options: ServerOptions, gallery: Gallery) -> None:
        make_private(options.folder)
        self.options = options
        self.gallery = gallery
        self.work = Work(options.workers, options.queue, options.patience)
        self.metrics = Metrics()
        self.metrics.watch_queue(lambda: self.work.waiting)
        self.keys = KeyRing(options.folder)
        self.sessions = Sessions()
        self.buckets = Buckets(options.rate, options.burst)
        self.lockout = Lockout()
        self.changing = threading.Lock()
        self.attached: dict[str, Any] = {}
        self.ready = False
        self._lock = threading.Lock()
        self._plain: Recognizer | None = None
        self._recognizer: Recognizer | None = None
        self._identifier: Identifier | None = None

    @property
    def limits(self) -> DecodeLimits:
        """What pictures are refused before they are decoded."""
        return DecodeLimits(max_pixels=self.options.max_pixels, max_bytes=self.options.max_bytes)

    @property
    def recognizer(self) -> Recognizer:
        """The gallery's models behind the server's limits. Loads them when first asked for: call it within `work`."""
        with self._lock:
            plain = self.gallery.recognizer
            if self._recognizer is None or self._plain is not plain:
                self._plain, self._recognizer = plain, serving(plain, self.limits, self.metrics)
            return self._recognizer

    @property
    def identifier(self) -> Identifier:
        """Names faces by the gallery, within the same limits: call it within `work`."""
        recognizer = self.recognizer
        with self._lock:
            if self._identifier is None or not self._identifier.uses(recognizer):
                self._identifier = Identifier(recognizer, self.gallery.store)
            return self._identifier

    @property
    def hidden(self) -> tuple[Path, ...]:
        """Paths that no answer may tell."""
        options = self.options
        paths = [self.gallery.store.path, options.gallery, options.folder, options.policy, options.gallery_key]
        found = [path for path in paths if path is not None]
        return tuple(dict.fromkeys([*found, *(path.resolve() for path in found), *(path.parent for path in found)]))


def state_of(connection: HTTPConnection) -> ServerState:
    """The state of the server that answers a request."""
    state: ServerState = connection.app.state.twinface
    return state
