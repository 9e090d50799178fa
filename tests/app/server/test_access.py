"""`/v1/access`, with the real models and the sample portraits before a camera."""

from __future__ import annotations

import io
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("fastapi")

from starlette.testclient import TestClient

from twinface.app.access.demo import NAMES
from twinface.app.access.sample_camera import SampleCamera
from twinface.app.server.camera import Camera
from twinface.app.server.create import create_app
from twinface.app.server.options import ServerOptions
from twinface.app.server.routes import live
from twinface.core.access.factors import make_hash
from twinface.errors import BadPolicy, SourceUnavailable

PIN = "271828"
PATIENCE = 120

POLICY = """
zone = "UTC"
[defaults]
liveness = "none"
fmr = 1e-3
patience = 30
freshness = 10
[audit]
thumbnails = true
retention = 30
[places.lobby]
name = "Lobby"
[places.floor]
name = "Floor 7"
factors = ["pin"]
[people]
"Grace Hopper" = { pin = "HASH" }
"Eileen Collins" = {}
[[allow]]
who = "everyone"
where = "lobby"
[[allow]]
who = "Grace Hopper"
where = "floor"
"""


def policy(folder: Path) -> Path:
    path = folder / "policy.toml"
    path.write_text(POLICY.replace("HASH", str(make_hash(PIN, bytes(16), cost=2**4))))
    return path


@contextmanager
def opened(folder: Path, camera: Camera | None = None, **options: Any) -> Iterator[TestClient]:
    chosen = {"threads": 1, "rate": 1e6, "burst": 10**6, **options}
    with pytest.MonkeyPatch.context() as patch:
        if camera is not None:
            patch.setattr(live, "camera_of", lambda _: camera)
        app = create_app(ServerOptions(folder / "people.db", folder / "state", **chosen))
        with TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 50000)) as client:
            yield client


class Hall:
    """A camera, and the server that looks through it."""

    def __init__(self, camera: SampleCamera, server: TestClient) -> None:
        self.camera, self.server = camera, server

    def ask(self, place: str, who: tuple[str, ...] = (), **factors: str) -> dict[str, Any]:
        self.camera.show(who)
        answer = self.server.post("/v1/access/requests", json={"place": place, **factors})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


def running(server: TestClient) -> None:
    end = time.monotonic() + PATIENCE
    while not server.get("/v1/access/status").json()["running"]:
        assert time.monotonic() < end, server.get("/v1/access/status").json()
        time.sleep(0.02)


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    folder = tmp_path_factory.mktemp("server")
    camera = SampleCamera()
    with opened(folder, Camera(lambda: camera), policy=policy(folder), source="0") as server:
        for portrait, name in NAMES.items():
            camera.show([portrait])
            picture = io.BytesIO()
            Image.fromarray(camera.picture(0.0)).save(picture, "PNG")
            answer = server.post("/v1/people", data={"name": name}, files={"photo": picture.getvalue()})
            assert answer.status_code == 201, answer.text
        running(server)
        yield Hall(camera, server)


def refused(answer: Any, status: int, code: str) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["code"] == code, answer.text
    return str(answer.json()["detail"])


class TestRequests:
    def test_who_may_go_in_goes_in(self, hall: Hall) -> None:
        answer = hall.ask("lobby", ("hopper",))
        assert (answer["decision"], answer["reason"], answer["place"]) == ("grant", "granted", "lobby")
        assert "name" not in answer
        assert "Grace" not in json.dumps(answer)

    def test_a_pin(self, hall: Hall, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
        assert hall.ask("floor", ("hopper",), pin=PIN)["decision"] == "grant"
        assert hall.ask("floor", ("hopper",), pin="000000")["reason"] == "factor_wrong"
        assert hall.ask("floor", ("hopper",))["decision"] == "refuse"
        told = capfd.readouterr()
        kept = hall.server.get("/v1/access/events").text
        assert PIN not in told.out + told.err + caplog.text + kept

    def test_others_stay_outside(self, hall: Hall) -> None:
        assert hall.ask("floor", ("collins",), pin=PIN)["decision"] == "refuse"
        assert hall.ask("cellar", ("hopper",))["reason"] == "unknown_place"
        assert hall.ask("lobby", ("hopper", "collins"))["reason"] == "several_faces"

    def test_several_who_ask_at_once_are_answered_each(self, hall: Hall) -> None:
        hall.camera.show(["hopper"])
        answers: list[dict[str, Any]] = []

        def ask() -> None:
            answers.append(hall.server.post("/v1/access/requests", json={"place": "lobby"}).json())

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert len({answer["id"] for answer in answers}) == 3
        assert {answer["decision"] for answer in answers} == {"grant"}

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            (b"", 422, "bad-access-request"),
            (b"[]", 422, "bad-access-request"),
            (b'"lobby"', 422, "bad-access-request"),
            (b'{"place": 7}', 422, "bad-access-request"),
            (b'{"place": ""}', 422, "bad-access-request"),
            (b'{"place": "a\\nb"}', 422, "bad-access-request"),
            (b'{"place": "lobby", "face": "Grace Hopper"}', 422, "bad-access-request"),
            (b'{"place": "lobby", "pin": 271828}', 422, "bad-access-request"),
            (b'{"place": "lobby", "pin": "' + b"271828" * 500 + b'"}', 422, "bad-access-request"),
            (b'{"place": "' + b"x" * 5000 + b'"}', 422, "bad-access-request"),
            (b"[" * 4000, 422, "bad-access-request"),
            (b'{"place": "\xff"}', 422, "bad-access-request"),
        ],
    )
    def test_what_is_no_request(self, hall: Hall, body: bytes, status: int, code: str) -> None:
        answer = hall.server.post("/v1/access/requests", content=body, headers={"content-type": "application/json"})
        assert "271828" not in refused(answer, status, code)

    def test_other_kinds_of_content(self, hall: Hall) -> None:
        """A form is what a page of another site could send without asking."""
        answer = hall.server.post("/v1/access/requests", data={"place": "lobby"})
        refused(answer, 415, "unsupported-media-type")


class TestLooking:
    def test_the_policy_in_words(self, hall: Hall) -> None:
        told = hall.server.get("/v1/access/policy").json()
        assert [place["name"] for place in told["places"]] == ["Lobby", "Floor 7"]
        assert told["places"][1]["allowed"][0]["people"] == ["Grace Hopper"]
        assert "pin" not in json.dumps([place["allowed"] for place in told["places"]])
        assert "scrypt" not in json.dumps(told)

    def test_the_status(self, hall: Hall) -> None:
        told = hall.server.get("/v1/access/status").json()
        assert told == {"configured": True, "running": True, "busy": False, "prompt": "", "trouble": None}

    def test_a_frame(self, hall: Hall) -> None:
        answer = hall.server.get("/v1/access/frame")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
        assert answer.headers["cache-control"] == "no-store"
        assert Image.open(io.BytesIO(answer.content)).size == (640, 360)

    def test_events_newest_first_a_page_at_a_time(self, hall: Hall) -> None:
        hall.ask("lobby", ("hopper",))
        hall.ask("cellar", ("hopper",))
        first = hall.server.get("/v1/access/events", params={"limit": 1}).json()
        (newest,) = first["events"]
        assert (newest["place"], newest["decision"], newest["reason"]) == ("cellar", "refuse", "unknown_place")
        assert newest["words"].endswith(".")
        second = hall.server.get("/v1/access/events", params={"limit": 1, "before": first["next"]}).json()
        (older,) = second["events"]
        assert older["number"] == newest["number"] - 1
        assert (older["decision"], older["people"]) == ("grant", ["Grace Hopper"])
        everything = hall.server.get("/v1/access/events", params={"limit": 500}).json()
        assert everything["next"] is None
        assert everything["events"][-1]["number"] == 1
        of_place = hall.server.get("/v1/access/events", params={"place": "cellar"}).json()["events"]
        assert {one["place"] for one in of_place} == {"cellar"}

    def test_the_picture_beside_a_record(self, hall: Hall) -> None:
        hall.ask("lobby", ("hopper",))
        events = hall.server.get("/v1/access/events").json()["events"]
        with_picture = next((one for one in events if one["thumbnail"]), None)
        assert with_picture is not None
        answer = hall.server.get(f"/v1/access/events/{with_picture['number']}/thumbnail")
        assert Image.open(io.BytesIO(answer.content)).format == "JPEG"
        refused(hall.server.get("/v1/access/events/1/thumbnail"), 404, "not-found")
        refused(hall.server.get("/v1/access/events/99999999/thumbnail"), 404, "not-found")

    @pytest.mark.parametrize(
        "question", ["events?limit=0", "events?limit=501", "events?before=0", "events?before=x", "audit?expect=1:2"]
    )
    def test_questions_that_make_no_sense(self, hall: Hall, question: str) -> None:
        refused(hall.server.get(f"/v1/access/{question}"), 422, "invalid")

    def test_the_log_is_sound_and_a_noted_head_is_held(self, hall: Hall) -> None:
        told = hall.server.get("/v1/access/audit").json()
        assert (told["sound"], told["problems"]) == (True, [])
        hall.ask("cellar")
        assert hall.server.get("/v1/access/audit", params={"expect": told["head"]}).json()["sound"] is True
        forged = told["head"][:-4] + ("0000" if not told["head"].endswith("0000") else "1111")
        told = hall.server.get("/v1/access/audit", params={"expect": forged}).json()
        assert (told["sound"], told["problems"][0]["kind"]) == (False, "replaced")


class TestTrouble:
    def test_others_who_write_for_too_long(self, hall: Hall) -> None:
        """The answer is a refusal, and comes before the gallery is free again."""
        path = hall.server.app.state.twinface.gallery.store.path  # type: ignore[attr-defined]
        assert hall.ask("lobby", ("hopper",))["decision"] == "grant"
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert hall.ask("lobby", ("hopper",))["reason"] in ("audit_unavailable", "gallery_unavailable")
            other.execute("ROLLBACK")
        assert hall.ask("lobby", ("hopper",))["decision"] == "grant"

    def test_not_configured(self, tmp_path: Path) -> None:
        with opened(tmp_path) as server:
            for method, address in (("GET", "policy"), ("GET", "frame"), ("POST", "requests")):
                refused(server.request(method, f"/v1/access/{address}"), 409, "access-not-configured")
            assert server.get("/v1/access/status").json()["configured"] is False
            assert server.get("/v1/access/events").json() == {"events": [], "next": None}
            assert server.get("/v1/access/audit").json()["sound"] is True

    def test_a_bad_policy_ends_the_start(self, tmp_path: Path) -> None:
        path = tmp_path / "policy.toml"
        path.write_text("zone = 7")
        with pytest.raises(BadPolicy), opened(tmp_path, Camera(SampleCamera), policy=path, source="0"):
            pass

    def test_no_camera_at_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("twinface.app.server.access_post.PAUSES", (0.05, 0.05))
        plugged = threading.Event()

        def source() -> SampleCamera:
            if not plugged.is_set():
                raise SourceUnavailable("rtsp://camera: no route")
            return SampleCamera()

        with opened(tmp_path, Camera(source), policy=policy(tmp_path), source="0") as server:
            answer = server.post("/v1/access/requests", json={"place": "lobby"})
            assert "rtsp" not in refused(answer, 503, "access-unavailable")
            refused(server.get("/v1/access/frame"), 503, "no-picture")
            assert server.get("/v1/access/events").json()["events"] == []
            plugged.set()
            running(server)
            assert server.post("/v1/access/requests", json={"place": "cellar"}).json()["reason"] == "unknown_place"

    def test_a_camera_that_breaks_lets_nobody_in(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("twinface.app.server.access_post.PAUSES", (0.05, 0.05))
        broken = threading.Event()

        class Breaking(SampleCamera):
            def frames(self) -> Iterator[Any]:
                for frame in super().frames():
                    if broken.is_set():
                        raise SourceUnavailable("the cable is out")
                    yield frame

        with opened(tmp_path, Camera(Breaking), policy=policy(tmp_path), source="0") as server:
            running(server)
            answers: list[Any] = []
            thread = threading.Thread(
                target=lambda: answers.append(server.post("/v1/access/requests", json={"place": "lobby"}))
            )
            thread.start()
            end = time.monotonic() + PATIENCE
            while not server.get("/v1/access/status").json()["busy"] and thread.is_alive():
                assert time.monotonic() < end
            broken.set()
            thread.join(PATIENCE)
            (answer,) = answers
            assert answer.status_code == 503 or answer.json()["decision"] == "refuse"
            while server.get("/v1/access/status").json()["running"]:
                assert time.monotonic() < end
            refused(server.post("/v1/access/requests", json={"place": "lobby"}), 503, "access-unavailable")
            broken.clear()
            running(server)

    def test_roles(self, tmp_path: Path) -> None:
        with opened(tmp_path, Camera(SampleCamera), policy=policy(tmp_path), source="0") as server:
            keys = server.app.state.twinface.keys  # type: ignore[attr-defined]
            reader, operator, admin = ({"x-api-key": keys.make(role, role)[1]} for role in ("read", "operate", "admin"))
            for method, address in (("GET", "policy"), ("GET", "frame"), ("GET", "events"), ("POST", "requests")):
                refused(server.request(method, f"/v1/access/{address}"), 401, "unauthenticated")
                refused(server.request(method, f"/v1/access/{address}", headers=reader), 403, "forbidden")
            refused(server.get("/v1/access/audit", headers=operator), 403, "forbidden")
            assert server.get("/v1/access/audit", headers=admin).status_code == 200
            assert server.get("/v1/access/events", headers=operator).status_code == 200
