"""`/v1/keys`: who may call the server."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from twinface.app.server.keys import ApiKey, Role
from twinface.app.server.persons import expires_of
from twinface.app.server.problems import Problem
from twinface.app.server.security import is_open, require
from twinface.app.server.state import ServerState, state_of
from twinface.errors import OutputError, TwinFaceError

router = APIRouter(prefix="/v1/keys", tags=["keys"])

ADMIN = [Depends(require("admin"))]
KEY = {
    "id": "0123456789ab",
    "name": "front desk",
    "role": "operate",
    "created": "2026-01-31T09:00:00+00:00",
    "expires": None,
    "revoked": None,
}


class NewKey(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100, examples=["front desk"])]
    role: Annotated[Role, Field(description="read asks; operate changes people too; admin makes keys too.")] = "read"
    expires: Annotated[str | None, Field(max_length=20, examples=["30d"], description="30d, 12h or 2027-01-31.")] = None


@router.get(
    "",
    dependencies=ADMIN,
    responses={200: {"content": {"application/json": {"example": {"keys": [KEY], "open": False, "note": ""}}}}},
)
async def list_keys(request: Request) -> dict[str, Any]:
    """List the keys there ever were, without their secrets."""
    state = state_of(request)
    unlocked = is_open(request)
    note = "no key was made yet: everybody on this machine is the server's admin; the first key ends that"
    return {
        "keys": [_json(one) for one in await state.work.aside(state.keys.listed)],
        "open": unlocked,
        "note": note if unlocked else "",
    }


@router.post(
    "",
    status_code=201,
    dependencies=ADMIN,
    responses={201: {"content": {"application/json": {"example": {**KEY, "secret": "tf_0123456789ab_..."}}}}},
)
async def make_key(request: Request, response: Response, new: NewKey) -> dict[str, Any]:
    """Make a key. Its secret is in this answer and nowhere else, ever.

    The first key of a server must be an admin's: from then on every call needs one.
    """
    state = state_of(request)
    if new.role != "admin" and not state.keys.any:
        raise Problem(409, "the first key must be an admin's: from then on nobody gets in without one", "first-key")
    key, secret = await state.work.aside(_make, state, new.name, new.role, expires_of(new.expires or None))
    response.headers["Location"] = f"/v1/keys/{key.id}"
    return {**_json(key), "secret": secret}


@router.delete("/{key}", dependencies=ADMIN)
async def revoke_key(
    request: Request, key: Annotated[str, Path(pattern="^[0-9a-f]{12}$", examples=["0123456789ab"])]
) -> dict[str, Any]:
    """Revoke a key, at once and for good."""
    state = state_of(request)
    if key not in [one.id for one in await state.work.aside(state.keys.listed)]:
        raise Problem(404, "there is no such key; GET /v1/keys lists them", "unknown-key")
    return _json(await state.work.aside(state.keys.revoke, key))


def _make(state: ServerState, name: str, role: Role, expires: datetime | None) -> tuple[ApiKey, str]:
    try:
        return state.keys.make(name, role, expires)
    except OutputError:
        raise
    except TwinFaceError as error:
        raise Problem(422, str(error), "invalid") from error


def _json(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role,
        "created": key.created.isoformat(),
        "expires": None if key.expires is None else key.expires.isoformat(),
        "revoked": None if key.revoked is None else key.revoked.isoformat(),
    }
