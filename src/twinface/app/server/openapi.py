"""The description of the API for programs."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from twinface.app.server.problems import MEDIA_TYPE

_ALTERNATIVES: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}, {"session": []}]
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key, as Authorization: Bearer."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "A key."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "twinface_session",
        "description": "Of the pages; changes need the header x-csrf-token too.",
    },
}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:twinface:problem:no-face"]},
        "title": {"type": "string", "examples": ["There is no such face"]},
        "status": {"type": "integer", "examples": [422]},
        "detail": {"type": "string", "examples": ["a: no face found; use a picture that shows the face larger"]},
        "code": {"type": "string", "description": "Stable, for programs.", "examples": ["no-face"]},
        "reason": {"type": "string", "description": "Of poor-quality: the shortcoming.", "examples": ["blurred"]},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "problem": {"type": "string"}},
            },
        },
    },
}


def openapi(app: FastAPI) -> dict[str, Any]:
    """OpenAPI of the app, with problems as its errors; made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            summary="Are these two faces the same person? And who is this?",
            routes=app.routes,
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = _PROBLEM
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        document["components"]["securitySchemes"] = _SCHEMES
        for path in document["paths"].values():
            for operation in path.values():
                _complete(operation)
        app.openapi_schema = document
    return app.openapi_schema


def _complete(operation: dict[str, Any]) -> None:
    """How a caller proves who she is, and what a refusal looks like."""
    if operation.get("security"):
        operation["security"] = _ALTERNATIVES
    responses = operation["responses"]
    responses.pop("422", None)
    responses["default"] = {
        "description": "A refusal (RFC 9457).",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
