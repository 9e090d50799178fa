"""Requests over HTTP: from this machine only, never from a page, and nothing comes of one that is malformed."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator

import pytest

from twinface.app.access.port import RequestPort
from twinface.core.access.evidence import Reason, Request, Ruling
from twinface.errors import OutputError
from twinface.services.access_control import Outcome

JSON = {"Content-Type": "application/json"}


class House:
    """Answers requests for the lobby with a grant; remembers them."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.full = False

    def ask(self, request: Request, reply: object) -> bool:
        if self.full:
            return False
        self.asked.append(request)
        granted = request.place == "lobby"
        reason = Reason.granted if granted else Reason.not_allowed
        reply(Outcome(request, Ruling(granted, reason, request.place, ("ab" * 16,), "secret detail"), None, None, 0.5))
        return True


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def port(house: House) -> Iterator[int]:
    with RequestPort(0, house.ask, lambda: {"busy": False, "prompt": ""}) as served:
        yield served.port


def call(
    port: int, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, object]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if text.startswith(b"{") else {}
    finally:
        connection.close()


def test_a_grant_and_a_refusal(port: int, house: House) -> None:
    status, told = call(port, "POST", "/requests", b'{"place": "lobby", "pin": "1234"}', JSON)
    assert (status, told["decision"], told["reason"]) == (200, "grant", "granted")
    assert told["words"] == "Access is granted."
    status, told = call(port, "POST", "/requests", b'{"place": "roof"}', JSON)
    assert (status, told["decision"]) == (200, "refuse")
    assert [one.pin for one in house.asked] == ["1234", None]


def test_who_asks_learns_nothing_about_others(port: int) -> None:
    _, told = call(port, "POST", "/requests", b'{"place": "roof"}', JSON)
    assert set(told) == {"id", "place", "decision", "reason", "words"}


def test_the_status(port: int) -> None:
    assert call(port, "GET", "/status") == (200, {"busy": False, "prompt": ""})


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", JSON),
        (b"{", JSON),
        (b"[]", JSON),
        (b'"lobby"', JSON),
        (b'{"place": ""}', JSON),
        (b'{"place": 7}', JSON),
        (b'{"place": "lobby", "admin": "yes"}', JSON),
        (b'{"place": "lobby", "pin": 1234}', JSON),
        (b'{"place": "lobby", "pin": "' + b"1" * 300 + b'"}', JSON),
        (b'{"place": "lob\\u0007by"}', JSON),
        (b'{"place": "lobby"}' + b" " * 5000, JSON),
        (b"[" * 4000, JSON),
        (b'{"place": "lobby"}', {"Content-Type": "text/plain"}),
        (b'{"place": "lobby"}', {}),
        (b'{"place": "lobby"}', {**JSON, "Content-Length": "-1"}),
        (b'{"place": "lobby"}', {**JSON, "Content-Length": "many"}),
        (b"\xff\xfe", JSON),
    ],
)
def test_what_is_malformed_is_refused(port: int, house: House, body: bytes, headers: dict[str, str]) -> None:
    status, told = call(port, "POST", "/requests", body, headers)
    assert status == 400
    assert "1234" not in str(told)
    assert house.asked == []


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "evil.example:80"}, {"Host": ""}],
)
def test_pages_and_other_hosts_may_not_ask(port: int, house: House, headers: dict[str, str]) -> None:
    assert call(port, "POST", "/requests", b'{"place": "lobby"}', {**JSON, **headers})[0] == 403
    assert house.asked == []


@pytest.mark.parametrize(("method", "path"), [("GET", "/requests"), ("POST", "/status"), ("GET", "/../etc/passwd")])
def test_there_is_nothing_else(port: int, method: str, path: str) -> None:
    assert call(port, method, path, b"{}", JSON)[0] == 404


def test_too_many_are_told_to_come_later(port: int, house: House) -> None:
    house.full = True
    assert call(port, "POST", "/requests", b'{"place": "lobby"}', JSON)[0] == 503


def test_a_token_is_needed_where_one_is_set(house: House) -> None:
    with RequestPort(0, house.ask, dict, token="s3cret") as served:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "s3cret"}):
            assert call(served.port, "POST", "/requests", b'{"place": "lobby"}', {**JSON, **headers})[0] == 401
            assert call(served.port, "GET", "/status", headers=headers)[0] == 401
        headers = {**JSON, "Authorization": "Bearer s3cret"}
        assert call(served.port, "POST", "/requests", b'{"place": "lobby"}', headers)[0] == 200
    assert len(house.asked) == 1


def test_a_connection_that_says_nothing_stops_nobody(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)):
        assert call(port, "GET", "/status")[0] == 200


def test_the_port_is_not_to_be_had(port: int, house: House) -> None:
    with pytest.raises(OutputError, match=f"port {port}: cannot be listened on"):
        RequestPort(port, house.ask, dict)
