"""Who calls, and whether they may: keys, sessions of the pages, and this machine's own user where no key was made."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from twinface.app.server.keys import ApiKey, Role, at_least
from twinface.app.server.options import is_loopback
from twinface.app.server.problems import Problem
from twinface.app.server.rates import retry_after
from twinface.app.server.sessions import COOKIE, Session
from twinface.app.server.state import ServerState, state_of

CSRF_HEADER = "x-csrf-token"
SAFE = ("GET", "HEAD", "OPTIONS")
_CALLER = "twinface.caller"
_FORWARDED = (
    "forwarded", "via", "x-forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port",
    "x-forwarded-server", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip",
)  # fmt: skip
"""What proxies add, each of them some."""


@dataclass(frozen=True)
class Caller:
    """Who makes a request.

    Attributes:
        key: id of the key; "" for this machine's own user where no key was ever made.
        name: for people.
        role: what they may do.
        session: the pages' session; None for programs.
    """

    key: str
    name: str
    role: Role
    session: Session | None = None


class Requirement(SecurityBase):
    """A role that a route demands; a dependency that gives the caller. See `require`."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.model = HTTPBearer()
        self.scheme_name = "key"

    async def __call__(self, connection: HTTPConnection) -> Caller:
        """The caller, who has the role.

        Raises:
            Problem: 401 nobody, or a wrong key; 403 the role is too low or another site asks; 429 too often.
        """
        caller = connection.scope.get(_CALLER)
        if isinstance(caller, Caller):
            return caller
        caller = await authenticate(connection)
        if not at_least(caller.role, self.role):
            raise Problem(403, f"this needs a key of the role {self.role}; {caller.name!r} has the role {caller.role}")
        wait = state_of(connection).buckets.take(caller.key)
        if wait:
            raise Problem(429, "this key is used too often; slow down", headers=retry_after(wait))
        connection.scope[_CALLER] = caller
        return caller


@functools.cache
def require(role: Role) -> Requirement:
    """The dependency of a route that demands a role: `Depends(require("read"))`; it gives the `Caller`.

    It holds for WebSockets as well, and is checked before a byte of the body is read.
    """
    return Requirement(role)


class Guard:
    """Checks a route's requirement before the route reads anything.

    Args:
        app: the route.
        requirement: what it demands.
    """

    def __init__(self, app: ASGIApp, requirement: Requirement) -> None:
        self._app, self._requirement = app, requirement

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses, or lets the route answer."""
        await self._requirement(HTTPConnection(scope))
        await self._app(scope, receive, send)


def requirement_of(dependant: Any) -> Requirement | None:
    """The highest role among a route's dependencies; None where it demands none."""
    found = list(_requirements(dependant))
    return max(found, key=lambda one: at_least(one.role, "operate") + at_least(one.role, "admin"), default=None)


def _requirements(dependant: Any) -> Iterator[Requirement]:
    if isinstance(dependant.call, Requirement):
        yield dependant.call
    for one in dependant.dependencies:
        yield from _requirements(one)


async def authenticate(connection: HTTPConnection) -> Caller:
    """Who makes a request.

    Raises:
        Problem: 401 nobody, or a wrong key; 403 another site's page asks; 429 locked out.
    """
    state = state_of(connection)
    method = connection.scope.get("method", "GET")
    changes = method not in SAFE or connection.scope["type"] == "websocket"
    if changes:
        check_origin(connection)
    secret = presented(connection)
    if secret is not None:
        key = await by_secret(state, secret, address_of(connection))
        return Caller(key.id, key.name, key.role)
    session = _session(connection)
    found = None if session is None else state.keys.find(session.key)
    if session is not None and found is not None:
        _check_site(connection)
        if method not in SAFE and not session.meant(connection.headers.get(CSRF_HEADER, "")):
            raise Problem(403, f"the page must send its token in {CSRF_HEADER}; load it again", "csrf")
        return Caller(found.id, found.name, found.role, session)
    if is_open(connection):
        _check_site(connection)
        return Caller("", "this machine", "admin")
    raise Problem(
        401,
        "give a key in the header x-api-key or Authorization: Bearer, or log in",
        headers={"WWW-Authenticate": "Bearer"},
    )


async def by_secret(state: ServerState, secret: str, address: str) -> ApiKey:
    """The key of a secret.

    Raises:
        Problem: 401 it is wrong, revoked or expired; 429 this address has guessed too often.
    """
    key = state.keys.known(secret)
    if key is not None:
        return key
    address = network_of(address)
    wait = state.lockout.remaining(address)
    if wait:
        raise Problem(429, "too many wrong keys came from this address; wait", "locked-out", headers=retry_after(wait))
    state.lockout.fail(address)  # before the proof, so that many guesses at once are counted too
    try:
        key = await state.work.aside(state.keys.prove, secret)
    except Problem:
        state.lockout.forgive(address)
        raise
    if key is None:
        raise Problem(401, "this key is wrong, revoked or expired", "wrong-key", headers={"WWW-Authenticate": "Bearer"})
    state.lockout.forgive(address)
    return key


def presented(connection: HTTPConnection) -> str | None:
    """The key in a request's headers; None where there is none."""
    scheme, _, rest = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    return connection.headers.get("x-api-key")


def is_open(connection: HTTPConnection) -> bool:
    """Whether no key is needed: none was ever made, and the request comes from this machine, through no proxy."""
    state = state_of(connection)
    return (
        state.options.loopback
        and not state.options.proxied
        and is_local(connection)
        and not any(name in connection.headers for name in _FORWARDED)
        and connection.scope.get("http_version") != "1.0"  # as proxies speak that are not told otherwise
        and not state.keys.any
    )


def is_local(connection: HTTPConnection) -> bool:
    """Whether the request comes from this machine."""
    return is_loopback(address_of(connection))


def address_of(connection: HTTPConnection) -> str:
    """The client's address."""
    client = connection.client
    return "" if client is None else client.host


def network_of(address: str) -> str:
    """What counts as one guesser: an address, or of IPv6 the /64 that one customer has."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 4 or found.is_loopback:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False))


def is_secure(connection: HTTPConnection) -> bool:
    """Whether cookies must travel by HTTPS alone."""
    return connection.url.scheme in ("https", "wss") or not state_of(connection).options.loopback


def _session(connection: HTTPConnection) -> Session | None:
    cookie = connection.cookies.get(COOKIE)
    return None if cookie is None else state_of(connection).sessions.find(cookie)


def check_origin(connection: HTTPConnection) -> None:
    """Refuses what the page of another site asks; programs send no Origin."""
    origin = connection.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != connection.headers.get("host", "").lower():
        raise Problem(403, "the page of another site asked for this", "foreign-origin")


def _check_site(connection: HTTPConnection) -> None:
    """Refuses what another site makes the browser ask in the user's name."""
    if connection.headers.get("sec-fetch-site", "none") in ("cross-site", "same-site"):
        raise Problem(403, "the page of another site asked for this", "foreign-origin")
