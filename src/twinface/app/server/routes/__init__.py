"""The addresses of the server: a module for each resource, with a `router`.

A module may also have `lifespan(state)`, an asynchronous context manager entered when the server starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

ROUTERS = (
    "health",
    "session",
    "keys",
    "models",
    "compare",
    "detect",
    "embed",
    "identify",
    "people",
    "photos",
    "gallery",
    "videos",
    "live",
    "access",
    "compreface",
    "docs",
    "pages",
)
"""Modules, in the order in which their routes are tried."""

PUBLIC = frozenset(
    {
        "/healthz",
        "/readyz",
        "/v1/session",
        "/docs",
        "/docs/{name}",
        "/login",
        "/static/{name}",
        "/",
        "/compare",
        "/people",
        "/live",
        "/search",
        "/access",
        "/models",
        "/settings",
    }
)
"""Paths, as routes write them, that anybody may ask for: they tell nothing. Every other one demands a role."""


def modules() -> Iterator[ModuleType]:
    """The modules that are there."""
    for name in ROUTERS:
        if find_spec(f"{__name__}.{name}") is not None:
            yield import_module(f"{__name__}.{name}")
