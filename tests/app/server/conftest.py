"""Servers that really listen: one in a thread of the tests, for what is asked; one in a process, for what it takes."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from twinface.client import Client

PATIENCE = 120.0
"""Seconds; only a hang takes so long."""


@dataclass(frozen=True)
class Live:
    """A server that listens on loopback, and the folder where all that it keeps lies."""

    port: int
    folder: Path
    app: Any

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, key: str | None = None) -> Client:
        return Client(self.url, key, timeout=PATIENCE)

    def key(self, role: str) -> str:
        """A new key; from then on the server asks for one."""
        _, secret = self.app.state.twinface.keys.make(f"a {role}", role)
        return str(secret)


@contextlib.contextmanager
def listening(folder: Path, **options: Any) -> Iterator[Live]:
    uvicorn = pytest.importorskip("uvicorn")
    from twinface.app.server.create import create_app
    from twinface.app.server.options import ServerOptions

    state = folder / "state"
    state.mkdir(mode=0o700)
    chosen = {"gallery": folder / "people.db", "folder": state, "threads": 1, "rate": 1e6, "burst": 10**6, **options}
    app = create_app(ServerOptions(**chosen))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="tests-server")
    thread.start()
    try:
        with contextlib.closing(listener):
            while not (server.started and app.state.twinface.ready) and thread.is_alive():
                thread.join(0.01)
            assert server.started
            yield Live(listener.getsockname()[1], folder, app)
            server.should_exit = True
            thread.join(PATIENCE)
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
    assert not thread.is_alive()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Live]]:
    """Starts servers with these options; they end with the test."""
    with contextlib.ExitStack() as stack:

        def start(**options: Any) -> Live:
            folder = tmp_path / "server"
            folder.mkdir()
            return stack.enter_context(listening(folder, **options))

        yield start


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One server for the tests of a module, on which no key was made."""
    with listening(tmp_path_factory.mktemp("server")) as server:
        yield server


@dataclass(frozen=True)
class Process:
    """A server in a process of its own, and the folder where all that it keeps, and writes meanwhile, lies."""

    port: int
    folder: Path
    running: subprocess.Popen[bytes]

    def client(self) -> Client:
        return Client(f"http://127.0.0.1:{self.port}", timeout=PATIENCE)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    @property
    def memory(self) -> int:
        """Bytes of it that lie in memory."""
        status = Path(f"/proc/{self.running.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return 1024 * int(found[1])


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """`twinface serve` with an environment of its own."""
    pytest.importorskip("uvicorn")
    folder = tmp_path_factory.mktemp("process")
    (folder / "temporary").mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TWINFACE_")}
    set_here = {"TMPDIR": str(folder / "temporary"), "TWINFACE_CACHE": str(folder / "cache")}
    words = ["serve", "--port", "0", "--gallery", folder / "people.db", "--state", folder / "state", "--rate", "1e6"]
    with (folder / "log").open("w") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "twinface", *map(str, words)], cwd=folder, env=kept | set_here, stderr=log
        )
    try:
        yield Process(_port(running, folder / "log"), folder, running)
    finally:
        running.terminate()
        status = running.wait(PATIENCE)
    assert status == 0


def _port(running: subprocess.Popen[bytes], log: Path) -> int:
    """Where it listens, once it says so."""
    while running.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", log.read_text())
        if found is not None:
            return int(found[1])
        time.sleep(0.05)
    raise AssertionError(log.read_text())
