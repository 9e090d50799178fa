"""Sessions of the pages: a cookie that no script reads, and a token against requests that other sites forge."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

COOKIE = "twinface_session"
LASTS = 12 * 3600
"""Seconds."""

MOST = 10_000
MOST_OF_ONE = 20
"""Sessions at once: all there are, and of one key; the oldest end first."""


@dataclass(frozen=True)
class Session:
    """Somebody who has logged in.

    Attributes:
        key: id of the key she used.
        csrf: what her pages send with every change, in `x-csrf-token`.
        ends: when, by the clock.
    """

    key: str
    csrf: str
    ends: float

    def meant(self, token: str) -> bool:
        """Whether the token is hers; takes the same time whatever it is."""
        return hmac.compare_digest(token.encode("utf-8", "surrogatepass"), self.csrf.encode())


class Sessions:
    """Who has logged in; kept in memory, by the digest of the cookie."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def begin(self, key: str) -> tuple[str, Session]:
        """Logs somebody in; the cookie's value and the session."""
        cookie = secrets.token_urlsafe(32)
        session = Session(key, secrets.token_urlsafe(32), self._clock() + LASTS)
        own = [digest for digest, one in self._sessions.items() if one.key == key]
        for digest in own[: max(0, len(own) - MOST_OF_ONE + 1)]:
            del self._sessions[digest]
        self._sessions[_digest(cookie)] = session
        if len(self._sessions) > MOST:
            self._sessions.popitem(last=False)
        return cookie, session

    def find(self, cookie: str) -> Session | None:
        """The session of a cookie, if it has not ended."""
        session = self._sessions.get(_digest(cookie))
        if session is not None and session.ends <= self._clock():
            self.end(cookie)
            return None
        return session

    def end(self, cookie: str) -> None:
        """Logs her out."""
        self._sessions.pop(_digest(cookie), None)


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).digest()
