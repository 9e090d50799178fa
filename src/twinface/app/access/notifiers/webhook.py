"""Webhooks: a decision as a signed HTTP POST, one try at a time, each bounded in time and size."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from twinface.app.access.notifiers.credentials import Secrets, read_secret, tls_context
from twinface.app.access.notifiers.cutting import cut_after
from twinface.core.access.actions import Notice, WebhookAction, notice_json
from twinface.core.access.signing import ID, SIGNATURE, sign
from twinface.core.files import reason
from twinface.errors import ActionFailed

SHORTEST_SECRET = 16
"""Bytes; shorter ones can be guessed by who has seen one request."""

LONGEST_WAIT = 60.0
"""Seconds that a server may ask us to wait before the next try."""

READ = 65_536
"""Bytes of an answer that are read, and passed over."""


class WebhookNotifier:
    """Posts notices as JSON. It follows no redirect and uses no proxy.

    Args:
        action: what the policy says.
        secrets: looks up environment variables.
        folder: what the action's files are relative to.
        clock: seconds since 1970, for the signature.

    Raises:
        ActionFailed: the secret or the certificates are not there.
    """

    def __init__(
        self, action: WebhookAction, secrets: Secrets, folder: Path, clock: Callable[[], float] = time.time
    ) -> None:
        self._action = action
        self._clock = clock
        secret = read_secret(action.name, action.secret_env, action.secret_file, secrets, folder)
        if secret is None or len(secret) < SHORTEST_SECRET:
            raise ActionFailed(
                f"{action.name}: the signing secret must have {SHORTEST_SECRET} bytes or more; choose a longer one"
            )
        self._secret = secret
        self._parts = urlsplit(action.url)
        self._tls = tls_context(action.name, action.ca_file, folder) if self._parts.scheme == "https" else None

    def notify(self, notice: Notice) -> None:
        """Posts it once.

        Raises:
            ActionFailed: it did not arrive, or the server would not have it; `again` says whether to retry.
        """
        began = time.monotonic()
        try:
            with self._connected() as link, cut_after(link, began + self._action.timeout - time.monotonic()) as late:
                status, wait = self._post(link, notice, late)
        except ssl.SSLCertVerificationError as error:
            raise self._failed(f"its certificate is not to be trusted ({error.verify_message}); see ca_file") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._failed(self._why(error), 0.0) from error
        if 300 <= status < 400:
            raise self._failed(f"it answered {status}, a redirect, which is not followed; state where it leads to")
        if status == 429 or status >= 500:
            raise self._failed(f"it answered {status}", wait)
        if not 200 <= status < 300:
            raise self._failed(f"it answered {status}; see its log")

    def close(self) -> None:
        """Holds nothing between notices."""

    def _connected(self) -> socket.socket:
        """A connection on which nothing was said yet."""
        host, port = self._parts.hostname or "", self._parts.port or (443 if self._tls else 80)
        link = socket.create_connection((host, port), timeout=self._action.timeout)
        if self._tls is None:
            return link
        return self._tls.wrap_socket(link, server_hostname=host, do_handshake_on_connect=False)

    def _post(self, link: socket.socket, notice: Notice, late: threading.Event) -> tuple[int, float]:
        """Sends it; the status, and the seconds after which the server wants to be asked again."""
        body = json.dumps(notice_json(notice), allow_nan=False).encode()
        target = self._parts.path or "/"
        target += f"?{self._parts.query}" if self._parts.query else ""
        connection = http.client.HTTPConnection(self._parts.netloc)
        connection.sock = link
        headers = {
            "Host": self._parts.netloc,
            "Content-Type": "application/json",
            "User-Agent": "TwinFace",
            "Connection": "close",
            ID: notice.id,
            SIGNATURE: sign(self._secret, body, int(self._clock())),
        }
        try:
            if isinstance(link, ssl.SSLSocket):
                link.do_handshake()
            connection.request("POST", target, body, headers)
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError):
            if late.is_set():
                raise TimeoutError from None
            raise
        with answer:
            if late.is_set():  # where the connection was cut, http.client takes half a header for the last one
                raise TimeoutError
            with contextlib.suppress(OSError, http.client.HTTPException):  # the status says it all
                answer.read(READ)
            return answer.status, _seconds(answer.getheader("Retry-After"))

    def _why(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"no answer within {self._action.timeout:g} s"
        return "its answer is no HTTP" if isinstance(error, http.client.HTTPException) else reason(error)

    def _failed(self, why: str, again: float | None = None) -> ActionFailed:
        return ActionFailed(f"{self._action.name}: {self._action.server}: {why}", again)


def _seconds(value: str | None) -> float:
    """A `Retry-After` in seconds; dates are not read."""
    return min(float(value), LONGEST_WAIT) if value and value.isascii() and value.isdecimal() else 0.0
