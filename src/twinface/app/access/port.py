"""Requests over HTTP from this machine: for a panel of buttons, a card reader, another program.

    POST /requests   {"place": "floor-7", "pin": "1234"}   waits for the answer and gives it
    GET  /status     whether a request is being decided, and what the person should do now

It listens on the loopback address only. Where a token is set, every request needs it. A browser's page cannot ask: its
requests are told by their Origin and their content type.
"""

from __future__ import annotations

import hmac
import json
import queue
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from twinface.app.access.answers import public_json
from twinface.app.access.requests import LONGEST, request_of
from twinface.core.access.evidence import Request
from twinface.core.files import reason
from twinface.errors import BadRequest, OutputError
from twinface.services.access_control import Outcome

PATIENCE = 60.0
"""Seconds after which whoever asked is no longer kept waiting; longer than any decision takes."""

IDLE = 10.0
"""Seconds that a connection may take to say what it wants."""

Ask = Callable[[Request, Callable[[Outcome], None]], bool]


class RequestPort:
    """A server for requests, in a thread of its own; close it, or use it in a `with`.

    Args:
        port: of the loopback address; 0 for any that is free.
        ask: takes a request.
        status: what /status tells.
        token: that every request has to bear; None for none.

    Raises:
        OutputError: the port cannot be had.
    """

    def __init__(self, port: int, ask: Ask, status: Callable[[], dict[str, Any]], token: str | None = None) -> None:
        def handler(*args: Any) -> _Handler:
            return _Handler(ask, status, token, *args)

        try:
            self._server = _Server(("127.0.0.1", port), handler)
        except (OSError, OverflowError) as error:
            raise OutputError(f"port {port}: cannot be listened on ({reason(error)}); choose another") from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="twinface-requests", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> RequestPort:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: a connection that broke off is no trouble of ours, and its bytes belong in no log."""


class _Handler(BaseHTTPRequestHandler):
    timeout = IDLE
    server_version = "TwinFace"
    sys_version = ""
    protocol_version = "HTTP/1.1"

    def __init__(self, ask: Ask, status: Callable[[], dict[str, Any]], token: str | None, *args: Any) -> None:
        self._ask, self._status, self._token = ask, status, token
        super().__init__(*args)

    def do_GET(self) -> None:
        """Tells the status."""
        if self._admitted() and self._known("/status"):
            self._answer(HTTPStatus.OK, self._status())

    def do_POST(self) -> None:
        """Takes a request, and answers when it is decided."""
        if not (self._admitted() and self._known("/requests")):
            return
        try:
            request = request_of(self._body())
        except BadRequest as error:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": str(error)})
            return
        answers: queue.Queue[Outcome] = queue.Queue()
        if not self._ask(request, answers.put):
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, {"error": "too many requests wait; ask again later"})
            return
        try:
            outcome = answers.get(timeout=PATIENCE)
        except queue.Empty:
            self._answer(HTTPStatus.GATEWAY_TIMEOUT, {"error": "there was no answer; see twinface access audit show"})
            return
        self._answer(HTTPStatus.OK, public_json(outcome))

    def log_message(self, format: str, *args: Any) -> None:
        """Keeps quiet: what is decided is told and logged elsewhere."""

    def _admitted(self) -> bool:
        """Refuses web pages, other names for this machine, and whoever has not the token."""
        host = (self.headers.get("Host") or "").rpartition(":")[0] or self.headers.get("Host", "")
        if self.headers.get("Origin") is not None or host not in ("127.0.0.1", "localhost"):
            self._answer(HTTPStatus.FORBIDDEN, {"error": "pages of browsers and other hosts may not ask"})
            return False
        given = (self.headers.get("Authorization") or "").encode()
        if self._token is not None and not hmac.compare_digest(given, f"Bearer {self._token}".encode()):
            self._answer(HTTPStatus.UNAUTHORIZED, {"error": "the token is missing or wrong"})
            return False
        return True

    def _known(self, path: str) -> bool:
        if self.path == path:
            return True
        self._answer(HTTPStatus.NOT_FOUND, {"error": f"there is {path} only"})
        return False

    def _body(self) -> dict[str, Any]:
        """The JSON object of a request.

        Raises:
            BadRequest: there is none.
        """
        length = self.headers.get("Content-Length", "")
        if self.headers.get_content_type() != "application/json" or not length.isdecimal() or len(length) > 6:
            raise BadRequest("send JSON with Content-Type: application/json and a Content-Length")
        if int(length) > LONGEST:
            raise BadRequest(f"a request has at most {LONGEST} bytes")
        try:
            facts = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            raise BadRequest("the request is no JSON") from None
        if not isinstance(facts, dict):
            raise BadRequest('a request is an object, as {"place": "floor-7"}')
        return facts

    def _answer(self, status: HTTPStatus, facts: dict[str, Any]) -> None:
        body = json.dumps(facts).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True
