"""A real server, and a real browser whose camera shows a film of the sample portraits."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from twinface.app.gallery import Gallery

EXAMPLES = Path(__file__).parents[3] / "examples"
PATIENCE = 30_000
"""Milliseconds that a page may take."""

POLICY = """\
zone = "UTC"

[defaults]
fmr = 1e-3
liveness = "none"  # the portraits are pictures, and everywhere else a picture is to be refused

[places.lobby]
name = "Lobby"

[places.floor-1]
name = "Floor 1, offices"

[places.floor-7]
name = "Floor 7, laboratory"

[people]
"Grace Hopper" = {}
"Eileen Collins" = {}

[[allow]]
who = "everyone"
where = "lobby"

[[allow]]
who = "Grace Hopper"
where = "floor-7"

[[allow]]
who = "Eileen Collins"
where = "floor-1"
"""


@dataclass(frozen=True)
class Served:
    """A server that runs.

    Attributes:
        address: without a slash at its end.
        gallery: what it serves; it may be filled and emptied.
        state: of the server.
    """

    address: str
    gallery: Gallery
    state: Any


@contextmanager
def serving(folder: Path, **options: Any) -> Iterator[Served]:
    """A server in a thread, on a free port of this machine."""
    uvicorn = pytest.importorskip("uvicorn")
    from twinface.app.server.create import create_app
    from twinface.app.server.options import ServerOptions

    with socket.socket() as listening, Gallery.open(folder / "people.db", threads=1) as gallery:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        chosen = ServerOptions(gallery=folder / "people.db", folder=folder / "state", port=port, **options)
        app = create_app(chosen, gallery=gallery)
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2, ws="websockets-sansio")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), name="twinface-server", daemon=True)
        thread.start()
        try:
            await_true(lambda: app.state.twinface.ready or not thread.is_alive())
            assert thread.is_alive(), "the server did not start"
            yield Served(f"http://127.0.0.1:{port}", gallery, app.state.twinface)
        finally:
            server.should_exit = True
            thread.join(60)


def await_true(holds: Callable[[], object], seconds: float = 60.0) -> None:
    """Waits until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "this should hold by now"
        time.sleep(0.02)


def write_film(path: Path, picture: Path, size: tuple[int, int] = (640, 480)) -> Path:
    """A film of a picture that hardly moves, as the browser's fake camera takes it (YUV4MPEG2, 4:2:0)."""
    width, height = size
    photo = cv2.imread(str(picture))
    assert photo is not None
    scale = max(width / photo.shape[1], height / photo.shape[0])
    photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    top, left = (photo.shape[0] - height) // 4, (photo.shape[1] - width) // 2
    with path.open("wb") as film:
        film.write(f"YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420jpeg\n".encode())
        for shift in (0, 1, 2, 1):
            frame = np.ascontiguousarray(np.roll(photo, shift, axis=1)[top : top + height, left : left + width])
            film.write(b"FRAME\n" + cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420).tobytes())
    return path


def write_video(path: Path, pictures: list[Path | None], each: float = 2.0, rate: int = 10) -> Path:
    """A video that shows one picture after another, hardly moving, for some seconds each; None is a grey wall."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 480, 480, "yuv420p"
        stream.options = {"preset": "ultrafast"}
        for picture in pictures:
            image = np.full((480, 480, 3), 128, np.uint8)
            if picture is not None:
                photo = cv2.imread(str(picture))
                assert photo is not None
                side = min(photo.shape[:2])
                image = cv2.resize(photo[:side, :side], (480, 480))
            for number in range(round(each * rate)):
                shifted = np.ascontiguousarray(np.roll(image, number % 3, axis=1))
                container.mux(stream.encode(av.VideoFrame.from_ndarray(shifted, format="bgr24")))
        container.mux(stream.encode())
    return path


def enrol_both(gallery: Gallery) -> None:
    """Enrols the two portraits."""
    gallery.enroll("Grace Hopper", [EXAMPLES / "hopper.jpg"], keep_photos=True)
    gallery.enroll("Eileen Collins", [EXAMPLES / "collins.jpg"], keep_photos=True)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium without a window, with a camera that shows Grace Hopper."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = os.environ.get("TWINFACE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no Chromium here; apt-get install chromium, or name one in TWINFACE_CHROMIUM")
    film = write_film(tmp_path_factory.mktemp("film") / "camera.y4m", EXAMPLES / "hopper.jpg")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(
            executable_path=program,
            args=[
                "--no-sandbox",
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                f"--use-file-for-fake-video-capture={film}",
                "--mute-audio",
            ],
        )
        yield started
        started.close()


@pytest.fixture(scope="session")
def server(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server without keys and without a door."""
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def door(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with a policy, before whose door Grace Hopper stands; she and Eileen Collins are enrolled."""
    folder = tmp_path_factory.mktemp("door")
    policy = folder / "policy.toml"
    policy.write_text(POLICY)
    film = write_video(folder / "door.mp4", [EXAMPLES / "hopper.jpg"], each=120, rate=5)
    with serving(folder, policy=policy, source=str(film)) as running:
        enrol_both(running.gallery)
        await_true(lambda: _answers(f"{running.address}/v1/access/frame"))
        yield running


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return bool(answer.read())
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return False


@pytest.fixture
def fresh(browser: Any, tmp_path: Path) -> Iterator[Served]:
    """A server that nobody has used: no key, nobody enrolled."""
    with serving(tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds: Eileen Collins from the second to the fourth, and from the eighth on; Grace Hopper before."""
    portraits = [None, EXAMPLES / "collins.jpg", None, EXAMPLES / "hopper.jpg", EXAMPLES / "collins_reshoot.jpg"]
    return write_video(tmp_path_factory.mktemp("video") / "film.mp4", portraits)


@pytest.fixture
def people(server: Served) -> Iterator[Served]:
    """The server with Grace Hopper and Eileen Collins enrolled, and nobody afterwards."""
    enrol_both(server.gallery)
    yield server
    if names := [one.name for one in server.gallery.people()]:
        server.gallery.remove(*names)


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page of a server; what its console complains of, or its policy refuses, fails the test."""
    complaints: list[str] = []
    with ExitStack() as stack:

        def go(server: Served, path: str, *, heard: bool = True, **context: Any) -> Any:
            surroundings = browser.new_context(**{"viewport": {"width": 1280, "height": 860}, **context})
            stack.callback(surroundings.close)
            page = surroundings.new_page()
            page.set_default_timeout(PATIENCE)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda one: complaints.append(one.text) if heard and one.type == "error" else None)
            page.goto(server.address + path)
            return page

        yield go
    assert complaints == []


@pytest.fixture
def until() -> Callable[[Any, str], None]:
    """Waits until an expression holds in a page. Playwright's own way needs `eval`, which the pages' policy forbids."""
    return lambda page, expression: await_true(lambda: page.evaluate(expression), PATIENCE / 1000)


@pytest.fixture
def grave() -> Callable[[Any], list[Any]]:
    """What axe-core finds serious about a page, where TWINFACE_AXE names its axe.min.js (`npm pack axe-core`).

    It is no part of this project (MPL-2.0); without it the test is skipped.
    """
    axe = os.environ.get("TWINFACE_AXE")
    if not axe:
        pytest.skip("TWINFACE_AXE names no axe.min.js")
    script = Path(axe).read_text("utf-8")

    def findings(page: Any) -> list[Any]:
        page.evaluate(script)
        found = page.evaluate("async () => (await axe.run(document)).violations")
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        return [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in serious]

    return findings
