"""The kinds of actions that a policy knows, each checking itself.

No action stands for both answers by chance: each says on which decisions it is carried out, and what moves something, a
relay or a command, does so on grants only unless it says otherwise.
"""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import urlsplit

On = Literal["grant", "refusal", "both"]
"""The decisions on which an action is carried out."""

LONGEST = {"timeout": 60.0, "within": 3600.0, "seconds": 60.0}
"""Seconds that a time may be, by its key; none may be zero."""

MOST_RETRIES = 10

PINS = 27
"""The highest GPIO number of a Raspberry Pi's header, as Broadcom counts."""


@dataclass(frozen=True)
class LightAction:
    """Green or red in the terminal.

    Attributes:
        name: of the action.
        line: one line only, not a block.
        on: the decisions it is carried out on.
    """

    name: str
    line: bool = False
    on: On = "both"

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class SoundAction:
    """A chime on grants, a buzz on refusals.

    Attributes:
        name: of the action.
        on: the decisions it is carried out on.
    """

    name: str
    on: On = "both"

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class WebhookAction:
    """A signed HTTP POST.

    Attributes:
        name: of the action.
        url: where to, https; plain http to this machine only, or where `insecure` is set.
        secret_env: environment variable with the signing secret; either this or the next.
        secret_file: file with it.
        ca_file: certificates that the server's is verified with; None: the system's.
        timeout: seconds one try may take, as a whole.
        retries: how often it is tried again.
        within: seconds after which a grant that was not delivered is given up.
        insecure: whether it may go over the network in the clear.
        on: the decisions it is carried out on.
    """

    name: str
    url: str
    secret_env: str | None = None
    secret_file: str | None = None
    ca_file: str | None = None
    timeout: float = 5.0
    retries: int = 3
    within: float = 10.0
    insecure: bool = False
    on: On = "both"

    def __post_init__(self) -> None:
        _check(self)
        if (self.secret_env is None) == (self.secret_file is None):
            raise _wrong(
                self, "secret_env", "or secret_file must say where the signing secret is, and one of them only"
            )
        if not (self.url.isascii() and self.url.isprintable()) or " " in self.url:
            raise _wrong(self, "url", "must be printable ASCII without spaces; percent-encode it")
        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _wrong(self, "url", "is no address; write it as https://host:port/path") from None
        if parts.scheme not in ("http", "https") or not host or port == 0:
            raise _wrong(self, "url", "must be https://host:port/path (or http)")
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise _wrong(self, "url", "must hold no user, password or fragment; the signature says who sent it")
        if parts.scheme == "http" and not (self.insecure or _is_loopback(host)):
            raise _wrong(self, "url", "goes over the network in the clear; use https, or set insecure = true")

    @property
    def server(self) -> str:
        """Scheme, host and port: what may be shown, as paths may hold a secret."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


@dataclass(frozen=True)
class MqttAction:
    """A message to an MQTT 5 broker; never retained, and it expires.

    Attributes:
        name: of the action.
        host: the broker's.
        topic: where to; no wildcards.
        port: the broker's.
        tls: whether the connection is encrypted and the broker's certificate verified.
        ca_file: certificates it is verified with; None: the system's.
        user: who logs in; None: nobody.
        password_env: environment variable with the password; either this or the next.
        password_file: file with it.
        qos: 1: at least once.
        timeout: seconds one try may take.
        retries: how often it is tried again.
        within: seconds after which a grant that was not delivered is given up, by us and by the broker.
        insecure: whether it may go over the network in the clear.
        on: the decisions it is carried out on.
    """

    name: str
    host: str
    topic: str
    port: int = 8883
    tls: bool = True
    ca_file: str | None = None
    user: str | None = None
    password_env: str | None = None
    password_file: str | None = None
    qos: int = 1
    timeout: float = 5.0
    retries: int = 3
    within: float = 10.0
    insecure: bool = False
    on: On = "both"

    def __post_init__(self) -> None:
        _check(self)
        if not (self.host.isascii() and self.host.isprintable()) or " " in self.host:
            raise _wrong(self, "host", "must be printable ASCII without spaces")
        if not self.topic or any(mark in self.topic for mark in "#+\0") or self.topic.startswith("$"):
            raise _wrong(self, "topic", "must be one topic: not empty, no # or +, no $ at its start")
        if len(self.topic.encode()) > 65_535:
            raise _wrong(self, "topic", "is too long")
        if not 1 <= self.port <= 65_535:
            raise _wrong(self, "port", f"must lie from 1 to 65535, got {self.port}")
        if self.qos != 1:
            why = "with 0 nobody learns whether it arrived, and of 2 paho-mqtt hides that it was refused"
            raise _wrong(self, "qos", f"must be 1, got {self.qos}; {why}")
        if self.password_env is not None and self.password_file is not None:
            raise _wrong(self, "password_env", "and password_file say the same twice; leave one out")
        if self.user is None and (self.password_env, self.password_file) != (None, None):
            raise _wrong(self, "user", "must be there where a password is")
        if not (self.tls or self.insecure or _is_loopback(self.host)):
            raise _wrong(self, "tls", "is off over the network; leave it on, or set insecure = true")


@dataclass(frozen=True)
class CommandAction:
    """A program, run without a shell.

    Attributes:
        name: of the action.
        words: the program and its arguments.
        timeout: seconds it may take before it and all it started are killed; so long a request may wait for it.
        on: the decisions it is carried out on.
    """

    name: str
    words: tuple[str, ...]
    timeout: float = 2.0
    on: On = "grant"

    def __post_init__(self) -> None:
        _check(self)
        if not self.words or not self.words[0] or any("\0" in word for word in self.words):
            raise _wrong(self, "words", "must name a program, then its arguments, without zero bytes")


@dataclass(frozen=True)
class RelayAction:
    """A pulse on a GPIO pin, on grants only; a refusal ends it.

    Attributes:
        name: of the action.
        pin: as Broadcom counts.
        seconds: how long the relay is on, at most.
        active_high: whether the pin is high while the relay is on.
    """

    name: str
    pin: int
    seconds: float = 3.0
    active_high: bool = True

    def __post_init__(self) -> None:
        _check(self)
        if not 0 <= self.pin <= PINS:
            raise _wrong(self, "pin", f"must lie from 0 to {PINS}, got {self.pin}")


Action = LightAction | SoundAction | WebhookAction | MqttAction | CommandAction | RelayAction


def _check(action: Action) -> None:
    """What attributes of one name share, whatever the action."""
    if not isinstance(action, RelayAction) and action.on not in get_args(On):
        raise _wrong(action, "on", f"must be one of {', '.join(get_args(On))}, got {action.on!r}")
    for key, most in LONGEST.items():
        value = getattr(action, key, most)
        if not (math.isfinite(value) and 0 < value <= most):
            raise _wrong(action, key, f"must lie above 0 and up to {most:g} seconds, got {value:g}")
    retries = getattr(action, "retries", 0)
    if not 0 <= retries <= MOST_RETRIES:
        raise _wrong(action, "retries", f"must lie from 0 to {MOST_RETRIES}, got {retries}")
    for key in ("host", "user", "secret_env", "secret_file", "password_env", "password_file", "ca_file"):
        value = getattr(action, key, None)
        if value is not None and (not value or "\0" in value):
            raise _wrong(action, key, "is empty or holds a zero byte; leave it out or fill it in")


def _wrong(action: Action, key: str, message: str) -> ValueError:
    return ValueError(f"actions.{action.name}.{key} {message}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
