import contextlib
import http.server
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from twinface.app.access.notifiers.webhook import WebhookNotifier
from twinface.core.access.actions import WebhookAction
from twinface.core.access.signing import verify_signature
from twinface.errors import ActionFailed

SECRET = "correct horse battery staple"
NOW = 1_700_000_000.0

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


def status(code: int, **headers: str) -> Answer:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


class Server:
    """An HTTP server that answers as it is told, and keeps what it was asked."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.answer: Answer = status(200)
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            timeout = 30

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.requests.append((self.path, dict(self.headers), body))
                with contextlib.suppress(OSError):
                    outer.answer(self)

            do_GET = do_POST  # noqa: N815 - a redirect would be followed by it

            def log_message(self, *_: object) -> None:
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                pass

        self.server = Quiet(("127.0.0.1", 0), Handler)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.scheme = "http" if certificate is None else "https"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.server.server_address[1]}/doors/7?t=1"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


def make(url: str, **others) -> WebhookNotifier:
    action = WebhookAction("hook", url, secret_env="HOOK_SECRET", **others)
    return WebhookNotifier(action, {"HOOK_SECRET": SECRET}.get, Path(), lambda: NOW)


def test_a_notice_arrives_signed_with_its_id(notice, server) -> None:
    make(server.url).notify(notice(False, id="r-77"))
    ((path, headers, body),) = server.requests
    assert path == "/doors/7?t=1"
    assert headers["Content-Type"] == "application/json"
    assert headers["Host"] == f"localhost:{server.server.server_address[1]}"
    assert headers["TwinFace-Id"] == "r-77"
    told = json.loads(body)
    assert (told["id"], told["decision"], told["place"], told["head"]) == ("r-77", "refuse", "floor-7", "12:ab34")
    assert verify_signature(SECRET, headers["TwinFace-Signature"], body, NOW)
    assert not verify_signature(SECRET, headers["TwinFace-Signature"], body.replace(b"refuse", b"grant"), NOW)
    assert not verify_signature(SECRET, headers["TwinFace-Signature"], body, NOW + 301)


def test_a_grant_says_grant(notice, server) -> None:
    make(server.url).notify(notice(True))
    assert json.loads(server.requests[0][2])["decision"] == "grant"


def failure(url: str, notice, **others) -> ActionFailed:
    with pytest.raises(ActionFailed) as caught:
        make(url, **others).notify(notice())
    assert SECRET not in str(caught.value)
    assert "/doors" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("code", "again"),
    [(500, 0.0), (502, 0.0), (503, 0.0), (429, 0.0), (400, None), (401, None), (404, None), (410, None), (422, None)],
)
def test_servers_in_trouble_are_tried_again_and_those_who_refuse_are_not(notice, server, code, again) -> None:
    server.answer = status(code)
    error = failure(server.url, notice)
    assert f"it answered {code}" in str(error)
    assert error.again == again


@pytest.mark.parametrize(("value", "again"), [("7", 7.0), ("86400", 60.0), ("tomorrow", 0.0), ("-1", 0.0)])
def test_a_server_may_ask_for_patience_within_reason(notice, server, value, again) -> None:
    server.answer = status(429, Retry_After=value)
    assert failure(server.url, notice).again == again


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(notice, server, code) -> None:
    other = Server()
    server.answer = status(code, Location=other.url)
    error = failure(server.url, notice)
    other.close()
    assert other.requests == []
    assert len(server.requests) == 1
    assert "redirect" in str(error)
    assert error.again is None


def test_nobody_there_is_tried_again(notice) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    error = failure(f"http://127.0.0.1:{port}/", notice)
    assert error.again == 0.0
    assert f"http://127.0.0.1:{port}: " in str(error)


def test_an_unknown_host_is_tried_again(notice) -> None:
    assert failure("https://door.invalid/", notice).again == 0.0


def test_a_server_that_never_answers_costs_its_time_and_no_more(notice, server) -> None:
    over = threading.Event()
    server.answer = lambda handler: over.wait(30) and None
    error = failure(server.url, notice, timeout=0.2)
    over.set()
    assert "no answer" in str(error)
    assert error.again == 0.0


def dripping(over: threading.Event) -> Answer:
    """Never pauses for long, and never ends."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        while not over.wait(0.02):
            handler.wfile.write(b"x")

    return answer


def test_a_server_that_drips_is_cut_off_as_a_whole(notice, server) -> None:
    over = threading.Event()
    server.answer = dripping(over)
    error = failure(server.url, notice, timeout=0.3)
    over.set()
    assert "no answer within 0.3 s" in str(error)


def test_no_more_of_an_answer_is_read_than_its_status_needs(notice, server) -> None:
    over, sent = threading.Event(), []

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not over.is_set():
            sent.append(handler.wfile.write(bytes(1 << 16)))

    server.answer = answer
    make(server.url, timeout=30).notify(notice())
    over.set()
    assert sum(sent) < 64 << 20


@pytest.mark.parametrize(
    "said", [b"SSH-2.0-OpenSSH\r\n", b"", b"HTTP/1.1 abc\r\n\r\n", b"\x00" * 70_000 + b"\n", b"HTTP/1.1 "]
)
def test_what_is_no_http_is_a_failure_that_may_pass(notice, server, said) -> None:
    server.answer = lambda handler: handler.wfile.write(said) and None
    assert failure(server.url, notice).again == 0.0


def test_a_thousand_headers_are_no_answer(notice, server) -> None:
    server.answer = lambda handler: handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1000 + b"\r\n") and None
    assert failure(server.url, notice).again == 0.0


@pytest.fixture
def secure(certificate: Path) -> Iterator[Server]:
    one = Server(certificate)
    yield one
    one.close()


def test_a_certificate_of_its_own_making_is_refused(notice, secure) -> None:
    error = failure(secure.url, notice)
    assert "certificate is not to be trusted" in str(error)
    assert error.again is None
    assert secure.requests == []


def test_unless_the_policy_names_it(notice, secure, certificate) -> None:
    make(secure.url, ca_file=str(certificate)).notify(notice())
    assert len(secure.requests) == 1


def test_and_only_for_its_own_name(notice, secure, certificate) -> None:
    error = failure(secure.url.replace("localhost", "127.0.0.1"), notice, ca_file=str(certificate))
    assert "certificate is not to be trusted" in str(error)
    assert secure.requests == []


def test_a_secure_server_that_drips_is_cut_off_too(notice, secure, certificate) -> None:
    over = threading.Event()
    secure.answer = dripping(over)
    error = failure(secure.url, notice, timeout=0.5, ca_file=str(certificate))
    over.set()
    assert "no answer within 0.5 s" in str(error)


def test_a_handshake_that_never_ends_is_cut_off(notice) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        error = failure(f"https://localhost:{deaf.getsockname()[1]}/", notice, timeout=0.2)
    assert error.again == 0.0


def test_proxies_of_the_environment_are_not_used(notice, server, monkeypatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    make(server.url).notify(notice())
    assert len(server.requests) == 1


def test_every_try_has_the_same_id_and_a_new_time(notice, server) -> None:
    times = iter([NOW, NOW + 400])
    action = WebhookAction("hook", server.url, secret_env="HOOK_SECRET")
    notifier = WebhookNotifier(action, {"HOOK_SECRET": SECRET}.get, Path(), lambda: next(times))
    notifier.notify(notice(id="r-1"))
    notifier.notify(notice(id="r-1"))
    (_, first, body), (_, second, again) = server.requests
    assert (first["TwinFace-Id"], body) == (second["TwinFace-Id"], again)
    assert verify_signature(SECRET, second["TwinFace-Signature"], again, NOW + 400)
    assert not verify_signature(SECRET, first["TwinFace-Signature"], body, NOW + 400)


def test_the_secret_may_lie_in_a_file_beside_the_policy(notice, server, tmp_path) -> None:
    (tmp_path / "hook.key").write_text(SECRET + "\n")
    action = WebhookAction("hook", server.url, secret_file="hook.key")
    WebhookNotifier(action, {}.get, tmp_path, lambda: NOW).notify(notice())
    _, headers, body = server.requests[0]
    assert verify_signature(SECRET, headers["TwinFace-Signature"], body, NOW)


def test_a_secret_that_is_missing_or_short_is_said_at_the_start(tmp_path) -> None:
    action = WebhookAction("hook", "https://a.example", secret_env="HOOK_SECRET")
    with pytest.raises(ActionFailed, match="hook: the environment variable HOOK_SECRET is not set"):
        WebhookNotifier(action, {}.get, tmp_path)
    with pytest.raises(ActionFailed, match="16 bytes or more") as caught:
        WebhookNotifier(action, {"HOOK_SECRET": "hunter2"}.get, tmp_path)
    assert "hunter2" not in str(caught.value)
    filed = replace(action, secret_env=None, secret_file="hook.key")
    with pytest.raises(ActionFailed, match=r"hook\.key cannot be read"):
        WebhookNotifier(filed, {}.get, tmp_path)
    (tmp_path / "hook.key").write_bytes(bytes(10_000))
    with pytest.raises(ActionFailed, match="up to 4096 bytes"):
        WebhookNotifier(filed, {}.get, tmp_path)


def test_certificates_that_are_none_are_said_at_the_start(tmp_path) -> None:
    action = WebhookAction("hook", "https://a.example", secret_env="S", ca_file="ca.pem")
    with pytest.raises(ActionFailed, match=r"ca\.pem cannot be used"):
        WebhookNotifier(action, {"S": SECRET}.get, tmp_path)
    (tmp_path / "ca.pem").write_text("hello")
    with pytest.raises(ActionFailed, match=r"ca\.pem cannot be used"):
        WebhookNotifier(action, {"S": SECRET}.get, tmp_path)


def test_the_secret_is_in_no_repr(server) -> None:
    notifier = make(server.url)
    assert SECRET not in repr(notifier) + repr(notifier._action)
