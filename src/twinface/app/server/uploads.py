"""Pictures that come with requests: as a field of a form, or as the whole body."""

from __future__ import annotations

from typing import Any

from fastapi import Request, UploadFile

from twinface.app.server.analyzing import Upload
from twinface.app.server.problems import Problem

RAW: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            f"image/{kind}": {"schema": {"type": "string", "format": "binary"}} for kind in ("jpeg", "png", "webp")
        },
    }
}
"""For `openapi_extra`: the whole body may be the picture."""


async def picture(request: Request, upload: UploadFile | None, field: str) -> Upload:
    """The picture of a request. The name of the client's file is not looked at.

    Args:
        request: whose whole body may be the picture, if its type says image/...
        upload: the form's field, if it was sent.
        field: its name, for messages.

    Raises:
        Problem: there is none, or the body is no form and no picture.
    """
    if upload is not None:
        return Upload(await upload.read(), field)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith("image/") or kind == "application/octet-stream":
        return Upload(await request.body(), field)
    if kind and not kind.startswith(("multipart/form-data", "application/x-www-form-urlencoded")):
        raise Problem(415, f"send the picture as the field {field} of a multipart form, or as a body of type image/...")
    raise Problem(422, f"there is no picture; send one as the field {field} of a multipart form", "invalid")
