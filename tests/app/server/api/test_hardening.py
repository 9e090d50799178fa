"""What somebody who attacked the server found, and does not find any more."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from twinface.app.server import serving
from twinface.app.server.jobs import Jobs
from twinface.app.server.keys import KeyRing
from twinface.app.server.routes.live import MOST_OF_ONE, LiveDesk
from twinface.app.server.security import network_of
from twinface.app.server.sessions import MOST_OF_ONE as SESSIONS_OF_ONE
from twinface.app.server.sessions import Sessions
from twinface.app.server.video_desk import VideoDesk

MakeKey = Callable[[str], str]


class TestBodies:
    def test_a_login_is_small(self, client: TestClient) -> None:
        refused = client.post("/v1/session", json={"key": "x", "more": "y" * 5000})
        assert refused.status_code == 413

    def test_json_is_small_where_it_holds_no_pictures(self, client: TestClient) -> None:
        body = json.dumps({"name": "a", "role": "read", "more": "y" * 100_000})
        refused = client.post("/v1/keys", content=body, headers={"Content-Type": "application/json"})
        assert refused.status_code == 413

    def test_few_mistakes_are_told(self, client: TestClient) -> None:
        refused = client.post("/v1/keys", json={f"field{number}": 1 for number in range(300)})
        assert refused.status_code == 422
        assert 1 <= len(refused.json()["errors"]) <= 10


@pytest.mark.parametrize(
    "header", ["Via", "X-Forwarded-Proto", "X-Forwarded-For", "CF-Connecting-IP", "Forwarded", "X-Real-IP"]
)
def test_what_comes_through_a_proxy_is_not_this_machines_user(client: TestClient, header: str) -> None:
    assert client.get("/v1/people").status_code == 200
    assert client.get("/v1/people", headers={header: "1.1 proxy"}).status_code == 401


def test_a_guesser_is_a_network_of_ipv6() -> None:
    assert network_of("2001:db8:1:2::1") == network_of("2001:db8:1:2:ffff::9") != network_of("2001:db8:1:3::1")
    assert network_of("192.0.2.1") != network_of("192.0.2.2")
    assert network_of("::1") == "::1"
    assert network_of("testclient") == "testclient"


def test_one_key_ends_nobody_elses_session() -> None:
    sessions = Sessions()
    admin, _ = sessions.begin("admin")
    others = [sessions.begin("reader")[0] for _ in range(3 * SESSIONS_OF_ONE)]
    assert sessions.find(admin) is not None
    assert [sessions.find(one) is not None for one in others] == [False] * 40 + [True] * 20


def test_one_key_leaves_room_for_others_live_views() -> None:
    desk = LiveDesk(None)
    places = [desk.place("greedy") for _ in range(MOST_OF_ONE + 1)]
    got = [place.__enter__() for place in places]
    assert got == [True] * MOST_OF_ONE + [False]
    with desk.place("other") as free:
        assert free
    for place in places:
        place.__exit__(None, None, None)


def test_a_name_that_is_taken_changes_nothing(client: TestClient, collins: bytes, hopper: bytes) -> None:
    first = client.post("/v1/people", data={"name": "Eileen"}, files={"photo": ("a.jpg", collins)})
    client.post("/v1/people", data={"name": "Grace"}, files={"photo": ("b.jpg", hopper)})
    uid, etag = first.json()["person"]["uid"], first.headers["ETag"]
    changes = {"name": "Grace", "expires": "2099-01-01"}
    assert client.patch(f"/v1/people/{uid}", json=changes, headers={"If-Match": etag}).status_code == 409
    assert client.get(f"/v1/people/{uid}").json()["expires"] is None


def test_processes_that_write_keys_lose_none(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path)
    made = [ring.make(f"key {number}", "read")[0] for number in range(8)]
    code = (
        "import sys, pathlib; from twinface.app.server.keys import KeyRing\n"
        "ring = KeyRing(pathlib.Path(sys.argv[1]))\n"
        "for number in range(8): ring.make(f'other {number}', 'read')\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    for key in made:
        ring.revoke(key.id)
        time.sleep(0.05)
    assert other.wait(120) == 0
    kept = {one.id: one for one in KeyRing(tmp_path).listed()}
    assert len(kept) == 16
    assert all(kept[one.id].revoked is not None for one in made)


class TestSomebodyWhoIsForgotten:
    def test_leaves_no_search_by_her_name(self, tmp_path: Path) -> None:
        jobs = Jobs(tmp_path / "jobs", lambda job, advance: {"intervals": []})
        desk = VideoDesk(SimpleNamespace(), jobs)
        try:
            video = "a" * 32
            asked = [jobs.add("search", video, words, {}) for words in ("Ada", "Bea", "the person of 1 photo")]
            while any(not jobs.find(one.id).over for one in asked):
                time.sleep(0.01)
            desk.forget("Ada")
            assert {one.words for one in jobs.all()} == {"Bea", "the person of 1 photo"}
            written = b"".join(path.read_bytes() for path in (tmp_path / "jobs").iterdir())
            assert b"Ada" not in written
        finally:
            jobs.close()

    def test_is_told_to_all_who_keep_names(self, app: FastAPI, collins: bytes) -> None:
        heard: list[str] = []

        class Keeper:
            def forget(self, name: str) -> None:
                heard.append(name)

        with TestClient(app, base_url="http://127.0.0.1:8080", client=("127.0.0.1", 50_000)) as client:
            app.state.twinface.attached["keeper"] = Keeper()
            made = client.post("/v1/people", data={"name": "Eileen"}, files={"photo": ("a.jpg", collins)})
            uid = made.json()["person"]["uid"]
            seen = {"If-Match": made.headers["ETag"]}
            renamed = client.patch(f"/v1/people/{uid}", json={"name": "Collins"}, headers=seen)
            assert renamed.status_code == 200
            assert client.delete(f"/v1/people/{uid}").status_code == 200
        assert heard == ["Eileen", "Collins"]


def test_a_connection_that_says_nothing_is_closed(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "FIRST", 0.2)
    server = uvicorn.Server(uvicorn.Config(app, http=serving._Http, log_config=None, lifespan="off"))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        for sent in (b"", b"GET / HT"):
            with socket.create_connection(listener.getsockname(), timeout=60) as silent:
                silent.sendall(sent)
                assert silent.recv(1) == b""
        speaking = http.client.HTTPConnection(*listener.getsockname(), timeout=60)
        for _ in range(2):
            speaking.request("GET", "/healthz")
            assert speaking.getresponse().read() == b'{"status":"ok"}'
            time.sleep(0.5)
        speaking.close()
    finally:
        server.should_exit = True
        thread.join(60)
        listener.close()
