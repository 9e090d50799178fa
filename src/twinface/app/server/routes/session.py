"""`/v1/session`: logging in with a key, for the pages."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from twinface.app.server.problems import Problem
from twinface.app.server.security import (
    Caller,
    address_of,
    authenticate,
    by_secret,
    check_origin,
    is_open,
    is_secure,
)
from twinface.app.server.sessions import COOKIE, LASTS
from twinface.app.server.state import state_of

router = APIRouter(tags=["session"])


class Login(BaseModel):
    """A key, to be exchanged for a cookie."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    key: Annotated[str, Field(max_length=200, examples=["tf_0123456789ab_..."])]


@router.post("/v1/session")
async def log_in(request: Request, response: Response, login: Login) -> dict[str, Any]:
    """Log in: sets a cookie that no script reads, and answers with the token for `x-csrf-token`."""
    check_origin(request)
    state = state_of(request)
    key = await by_secret(state, login.key, address_of(request))
    cookie, session = state.sessions.begin(key.id)
    response.set_cookie(
        COOKIE, cookie, max_age=LASTS, httponly=True, secure=is_secure(request), samesite="strict", path="/"
    )
    return _session(Caller(key.id, key.name, key.role, session), False)


@router.get("/v1/session")
async def who(request: Request) -> dict[str, Any]:
    """Who is logged in. While no key was ever made the server is open: everybody on this machine is its admin."""
    try:
        return _session(await authenticate(request), is_open(request))
    except Problem as refusal:
        if refusal.status_code != 401:
            raise
        return {"role": None, "name": None, "key": None, "csrf": None, "open": False}


@router.delete("/v1/session", status_code=204)
async def log_out(request: Request, response: Response) -> None:
    """Log out."""
    check_origin(request)
    state_of(request).sessions.end(request.cookies.get(COOKIE, ""))
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict", secure=is_secure(request))


def _session(caller: Caller, no_keys: bool) -> dict[str, Any]:
    return {
        "role": caller.role,
        "name": caller.name,
        "key": caller.key or None,
        "csrf": None if caller.session is None else caller.session.csrf,
        "open": no_keys,
    }
