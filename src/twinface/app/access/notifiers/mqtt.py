"""MQTT: a decision as a message to a broker, confirmed before it counts as delivered.

Every notice has a connection of its own. A client that stays connected keeps what it could not send and sends it once
the broker is back; for a grant, that would be too late.
"""

from __future__ import annotations

import contextlib
import json
import math
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING

from twinface.app.access.notifiers.credentials import Secrets, read_secret, tls_context
from twinface.app.access.notifiers.cutting import cut_after
from twinface.core.access.actions import MqttAction, Notice, notice_json
from twinface.core.files import reason
from twinface.errors import ActionFailed

if TYPE_CHECKING:
    from paho.mqtt.client import Client
    from paho.mqtt.reasoncodes import ReasonCode

BUSY = frozenset({0x88, 0x89, 0x97, 0x9F})
"""Reasons of MQTT 5 that pass: server unavailable, server busy, quota exceeded, connection rate exceeded."""


class MqttNotifier:
    """Publishes notices as JSON, with MQTT 5, never retained.

    Args:
        action: what the policy says.
        secrets: looks up environment variables.
        folder: what the action's files are relative to.

    Raises:
        ActionFailed: paho-mqtt is not installed, or the password or the certificates are not there.
    """

    def __init__(self, action: MqttAction, secrets: Secrets, folder: Path) -> None:
        try:
            import paho.mqtt.client  # noqa: F401 - used with every notice
        except ImportError:
            raise ActionFailed(
                f'{action.name}: MQTT needs paho-mqtt; install it with: pip install "twinface[access]"'
            ) from None
        self._action = action
        password = read_secret(action.name, action.password_env, action.password_file, secrets, folder)
        self._password = None if password is None else password.decode(errors="surrogateescape")
        self._tls = tls_context(action.name, action.ca_file, folder) if action.tls else None
        if self._tls is not None:
            self._tls.sslsocket_class = _Bounded

    def notify(self, notice: Notice) -> None:
        """Publishes it and waits until the broker has it.

        Raises:
            ActionFailed: the broker is not there, or would not have it; `again` says whether to retry.
        """
        link = _Link(self._action, self._client(), time.monotonic() + self._action.timeout)
        try:
            link.open()
            link.publish(json.dumps(notice_json(notice), allow_nan=False).encode(), self._expiry(notice))
        except ssl.SSLCertVerificationError as error:
            raise link.failed(f"its certificate is not to be trusted ({error.verify_message}); see ca_file") from error
        except (OSError, ValueError) as error:
            raise link.failed(link.late if isinstance(error, TimeoutError) else reason(error), 0.0) from error
        finally:
            link.close()

    def close(self) -> None:
        """Holds nothing between notices."""

    def _expiry(self, notice: Notice) -> int | None:
        """Seconds for which the broker may keep a grant for who is not connected."""
        return max(1, math.floor(self._action.within)) if notice.granted else None

    def _client(self) -> Client:
        from paho.mqtt.client import Client, MQTTv5
        from paho.mqtt.enums import CallbackAPIVersion

        client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5, reconnect_on_failure=False)
        client.connect_timeout = self._action.timeout
        if self._action.user is not None:
            client.username_pw_set(self._action.user, self._password)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        return client


class _Bounded(ssl.SSLSocket):
    """Gives a handshake the time that a single answer may take, and is closed where it fails, which paho forgets."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            with cut_after(self, self.gettimeout() or 0.0):
                super().do_handshake(block)
        except BaseException:
            self.close()
            raise


class _Link:
    """One connection, driven by its caller: no thread outlives a notice."""

    def __init__(self, action: MqttAction, client: Client, deadline: float) -> None:
        self._action = action
        self._client = client
        self._deadline = deadline
        self._answers: dict[str, ReasonCode] = {}
        client.on_connect = lambda *told: self._answers.update(connect=told[3])
        client.on_publish = lambda *told: self._answers.update(publish=told[3])

    @property
    def late(self) -> str:
        """Why a try has failed when its time is over."""
        return f"no answer within {self._action.timeout:g} s"

    def open(self) -> None:
        """Connects and logs in."""
        patience = max(1, math.ceil(self._action.timeout))
        self._client.connect(self._action.host, self._action.port, keepalive=patience)
        self._wait("connect", "would not let us in")

    def publish(self, body: bytes, expiry: int | None) -> None:
        """Sends a message and waits for the broker's receipt."""
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ContentType = "application/json"
        if expiry is not None:
            properties.MessageExpiryInterval = expiry
        self._client.publish(self._action.topic, body, self._action.qos, retain=False, properties=properties)
        self._wait("publish", "would not take the message")

    def close(self) -> None:
        """Says goodbye, if there is anybody, and lets go."""
        with contextlib.suppress(OSError, ValueError):
            self._client.disconnect()

    def failed(self, why: str, again: float | None = None) -> ActionFailed:
        """What went wrong, where."""
        return ActionFailed(f"{self._action.name}: MQTT broker {self._action.host}:{self._action.port}: {why}", again)

    def _wait(self, answer: str, refused: str) -> None:
        while answer not in self._answers:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise self.failed(self.late, 0.0)
            if self._client.loop(left) != 0 and answer not in self._answers:
                raise self.failed("it hung up, or does not speak MQTT 5", 0.0)
        code = self._answers[answer]
        if code.is_failure:
            raise self.failed(f"it {refused} ({code})", 0.0 if code.value in BUSY else None)
