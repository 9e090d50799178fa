"""Errors as RFC 9457 problems: one table from the error tree to a status and a stable code."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from twinface import errors

MEDIA_TYPE = "application/problem+json"
TYPE_BASE = "urn:twinface:problem:"
"""A problem's `type` is this and its code: a name, no address that somebody would have to keep."""

_LOG = logging.getLogger("twinface.server")


@dataclass(frozen=True)
class Kind:
    """How an error is told.

    Attributes:
        status: of HTTP.
        code: stable, for programs.
        title: the same for every problem of this code.
        detail: told in place of the error's own message, where that is about the server; "" to tell the message.
    """

    status: int
    code: str
    title: str
    detail: str = ""


_OPERATOR = "the server cannot do this at present; its log says more"

KINDS: Mapping[type[errors.TwinFaceError], Kind] = MappingProxyType(
    {
        errors.TwinFaceError: Kind(500, "internal", "The server failed", _OPERATOR),
        errors.ImageError: Kind(422, "unreadable-image", "The picture cannot be read"),
        errors.UnreadableImage: Kind(422, "unreadable-image", "The picture cannot be read"),
        errors.ImageTooLarge: Kind(413, "image-too-large", "The picture is too large"),
        errors.UnsupportedFormat: Kind(415, "unsupported-format", "The format is not one TwinFace reads"),
        errors.FaceError: Kind(422, "no-usable-face", "The picture's faces allow no answer"),
        errors.NoFace: Kind(422, "no-face", "There is no such face"),
        errors.SeveralFaces: Kind(422, "several-faces", "There are several faces"),
        errors.PoorQuality: Kind(422, "poor-quality", "The face is not fit for comparison"),
        errors.ModelError: Kind(500, "model-error", "A model cannot be used", _OPERATOR),
        errors.ModelNotFound: Kind(500, "model-error", "A model cannot be used", _OPERATOR),
        errors.ModelTampered: Kind(500, "model-error", "A model cannot be used", _OPERATOR),
        errors.ContractMismatch: Kind(500, "model-error", "A model cannot be used", _OPERATOR),
        errors.ProviderUnavailable: Kind(500, "model-error", "A model cannot be used", _OPERATOR),
        errors.GalleryError: Kind(422, "gallery-refused", "The gallery does not take this"),
        errors.UnknownSubject: Kind(404, "unknown-person", "There is no such person"),
        errors.DuplicateSubject: Kind(409, "duplicate-person", "Somebody has this name already"),
        errors.GalleryLocked: Kind(
            503, "gallery-busy", "The gallery is busy", "others are writing to the gallery; try again in a moment"
        ),
        errors.GalleryCorrupt: Kind(500, "gallery-damaged", "The gallery is damaged", _OPERATOR),
        errors.WrongKey: Kind(500, "gallery-sealed", "The gallery cannot be opened", _OPERATOR),
        errors.SourceError: Kind(422, "unreadable-video", "The video cannot be read"),
        errors.SourceUnavailable: Kind(422, "unreadable-video", "The video cannot be read"),
        errors.SourceStalled: Kind(
            503, "source-stalled", "The camera is silent", "no pictures come from the camera; try again in a moment"
        ),
        errors.PolicyError: Kind(500, "policy-error", "The access policy cannot be applied", _OPERATOR),
        errors.BadPolicy: Kind(500, "policy-error", "The access policy cannot be applied", _OPERATOR),
        errors.ActionFailed: Kind(502, "action-failed", "An action could not be carried out", _OPERATOR),
        errors.BadRequest: Kind(422, "bad-access-request", "The request for a place cannot be understood"),
        errors.DataError: Kind(500, "data-error", "A data set cannot be used", _OPERATOR),
        errors.DatasetMissing: Kind(500, "data-error", "A data set cannot be used", _OPERATOR),
        errors.DatasetCorrupt: Kind(500, "data-error", "A data set cannot be used", _OPERATOR),
        errors.SubjectLeak: Kind(500, "data-error", "A data set cannot be used", _OPERATOR),
        errors.RecipeError: Kind(500, "internal", "The server failed", _OPERATOR),
        errors.TrainingDiverged: Kind(500, "internal", "The server failed", _OPERATOR),
        errors.OutputError: Kind(507, "cannot-write", "The server cannot write", _OPERATOR),
    }
)
"""Every class of the tree; a test holds that none is missing."""

STATUSES: Mapping[int, tuple[str, str]] = MappingProxyType(
    {
        400: ("bad-request", "The request cannot be understood"),
        401: ("unauthenticated", "A key is needed"),
        403: ("forbidden", "This key may not do that"),
        404: ("not-found", "There is nothing here"),
        405: ("method-not-allowed", "This address does not take that method"),
        406: ("not-acceptable", "There is no such form of the answer"),
        408: ("too-slow", "The request came too slowly"),
        409: ("conflict", "This contradicts what is there"),
        412: ("changed-meanwhile", "It was changed meanwhile"),
        413: ("too-large", "The request is too large"),
        415: ("unsupported-media-type", "This kind of content is not taken here"),
        416: ("range-not-satisfiable", "There is no such part"),
        421: ("wrong-host", "This server is not the one that was meant"),
        422: ("invalid", "A value makes no sense"),
        428: ("precondition-required", "An If-Match header is needed"),
        429: ("too-many-requests", "Too many requests"),
        500: ("internal", "The server failed"),
        502: ("bad-gateway", "Another machine failed"),
        503: ("overloaded", "The server has too much to do"),
        507: ("cannot-write", "The server cannot write"),
    }
)
"""Code and title of what no error of the tree stands for."""

TITLES: Mapping[str, str] = MappingProxyType(
    {
        "wrong-key": "The key is none",
        "locked-out": "Too many wrong keys",
        "csrf": "The page's token is missing",
        "foreign-origin": "Another site asked",
        "closing": "The server is about to end",
        "timeout": "It took too long",
        "not-ready": "The server is not ready",
        "unmeasured": "This was not measured",
        "stale-cursor": "The list has to begin anew",
        "no-photo": "No photo was kept",
        "nothing-enrolled": "No picture was enrolled",
        "idempotency-key-reused": "The idempotency key is taken",
        "unknown-model": "There is no such model",
        "unknown-photo": "There is no such picture",
        "first-key": "The first key must be an admin's",
        "unknown-key": "There is no such key",
    }
)
"""Titles of the codes that routes give themselves."""

_HINTS = (
    (" or compare anyway with --any-quality (Python: refuse_poor=False)", " or compare anyway with any_quality=true"),
    ("--any-quality", "any_quality=true"),
    ("--face ", "face="),
    ("; see twinface people show", ""),
    ("; twinface people list names everybody", ""),
    (" or raise max_pixels", ""),
    (" or raise max_bytes", ""),
)
"""What messages advise on the command line, and what that is here."""


class Problem(HTTPException):
    """A refusal that a route makes itself.

    Args:
        status: of HTTP.
        code: stable; "" for the one that `STATUSES` has.
        detail: what was wrong, and what to do next.
        headers: more of the response's.
        title: "" for the one that `STATUSES` has.
        members: more of the body's.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        code: str = "",
        *,
        title: str = "",
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        usual = STATUSES.get(status, ("error", "The request was refused"))
        self.code = code or usual[0]
        self.title = title or TITLES.get(self.code, usual[1])
        self.members = members

    def response(self) -> JSONResponse:
        """The answer."""
        return problem_response(
            self.status_code, self.code, self.title, str(self.detail), headers=self.headers, **self.members
        )


def problem_response(
    status: int, code: str, title: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any
) -> JSONResponse:
    """A problem as the answer to a request."""
    body = {"type": TYPE_BASE + code, "title": title, "status": status, "detail": detail, "code": code, **members}
    return JSONResponse(body, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def kind_of(error: errors.TwinFaceError) -> Kind:
    """The table's row: of the error's class, or of the nearest one above it."""
    return next(KINDS[one] for one in type(error).__mro__ if one in KINDS)


def problem_of(error: errors.TwinFaceError, hidden: tuple[Path, ...] = ()) -> Problem:
    """An error of the tree as a problem; what is the server's own affair goes to its log, not to the client.

    Args:
        error: what was raised.
        hidden: paths of the server that the message must not tell.
    """
    kind = kind_of(error)
    if kind.status >= 500:
        _LOG.warning("%s: %s", kind.code, error)
    headers = {"Retry-After": "1"} if kind.status == 503 else None
    members = {"reason": error.reason} if isinstance(error, errors.PoorQuality) else {}
    detail = kind.detail or told(str(error), hidden)
    return Problem(kind.status, detail, kind.code, title=kind.title, headers=headers, **members)


def told(message: str, hidden: tuple[Path, ...] = ()) -> str:
    """A message as a client may read it: without paths of the server, with the server's own words for options."""
    from twinface.core.files import shown

    for path in hidden:
        for written in dict.fromkeys((str(path), shown(path), str(path.absolute()), shown(path.absolute()))):
            message = message.replace(f"{written}: ", "").replace(written, path.name)
    for there, here in _HINTS:
        message = message.replace(there, here)
    return re.sub(r"\s+", " ", message).strip()
