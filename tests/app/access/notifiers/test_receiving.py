"""The receiver that the documentation shows."""

import re
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import pytest

from twinface.app.access.notifiers.webhook import WebhookNotifier
from twinface.core.access.actions import WebhookAction

PAGE = Path(__file__).parents[4] / "docs" / "access-actions.md"


@pytest.fixture
def receiver() -> Iterator[tuple[dict[str, Any], int]]:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    names: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    names["Receiver"].log_message = lambda *_: None
    with HTTPServer(("127.0.0.1", 0), names["Receiver"]) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield names, server.server_address[1]
        server.shutdown()
        thread.join()


def test_it_takes_what_we_send_once_and_nothing_else(notice, receiver, capsys) -> None:
    names, port = receiver
    action = WebhookAction("desk", f"http://127.0.0.1:{port}/", secret_env="DESK_SECRET")
    notifier = WebhookNotifier(action, {"DESK_SECRET": names["SECRET"]}.get, Path())
    notifier.notify(notice(True, id="r-1"))
    notifier.notify(notice(True, id="r-1"))
    notifier.notify(notice(False, id="r-2"))
    assert capsys.readouterr().out == "grant floor-7\nrefuse floor-7\n"
    connection = HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/", b'{"decision": "grant"}', {"TwinFace-Signature": "t=1,v1=00"})
    with connection.getresponse() as answer:
        assert answer.status == 401
    connection.close()
    assert capsys.readouterr().out == ""
