"""An application for each test, with the shipped models, called without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from twinface.app import wiring
from twinface.app.server.create import create_app
from twinface.app.server.keys import Role
from twinface.app.server.options import ServerOptions
from twinface.services.recognition import Recognizer

LOCAL = "http://127.0.0.1:8080"


@pytest.fixture
def make_app(scrubbed: pytest.MonkeyPatch, recognizer: Recognizer, tmp_path: Path) -> Callable[..., FastAPI]:
    """Makes the application, with these options."""
    scrubbed.setattr(wiring, "load_for", lambda *words, **options: recognizer)

    def make(**options: Any) -> FastAPI:
        chosen = {"gallery": tmp_path / "people.db", "folder": tmp_path / "state", **options}
        return create_app(ServerOptions(**chosen))

    return make


@pytest.fixture
def app(make_app: Callable[..., FastAPI]) -> FastAPI:
    return make_app()


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    """Somebody on this machine, while no key was made."""
    with calling(app) as client:
        yield client


def calling(app: FastAPI, address: str = "127.0.0.1", **options: Any) -> TestClient:
    return TestClient(app, base_url=LOCAL, client=(address, 50_000), raise_server_exceptions=True, **options)


@pytest.fixture
def make_key(app: FastAPI) -> Callable[[Role], str]:
    """Makes a key; its secret."""

    def make(role: Role) -> str:
        return str(app.state.twinface.keys.make(f"a {role}", role)[1])

    return make


@pytest.fixture
def collins(examples: Path) -> bytes:
    return (examples / "collins.jpg").read_bytes()


@pytest.fixture
def hopper(examples: Path) -> bytes:
    return (examples / "hopper.jpg").read_bytes()
