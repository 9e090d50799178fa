import contextlib
import json
import queue
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from twinface.app.access.notifiers import work
from twinface.app.access.notifiers.delivering import Dispatcher, plan_of
from twinface.app.access.notifiers.mqtt import MqttNotifier
from twinface.core.access.actions import MqttAction
from twinface.errors import ActionFailed

MOSQUITTO = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
HASHER = shutil.which("mosquitto_passwd")
needs_broker = pytest.mark.skipif(not (MOSQUITTO and HASHER), reason="needs Mosquitto: apt-get install mosquitto")

PASSWORD = "a password of some length"
TOPIC = "doors/7"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


class Broker:
    """A Mosquitto on this machine: `door` may write to one topic, `desk` may read it."""

    def __init__(self, folder: Path, certificate: Path | None = None) -> None:
        assert MOSQUITTO is not None
        assert HASHER is not None
        self.port = free_port()
        self.config = folder / "mosquitto.conf"
        users, rights = folder / "users", folder / "rights"
        users.touch()
        for user in ("door", "desk"):
            subprocess.run([HASHER, "-b", users, user, PASSWORD], check=True, capture_output=True)
        rights.write_text(f"user door\ntopic write {TOPIC}\nuser desk\ntopic readwrite doors/#\n")
        lines = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous false",
            f"password_file {users}",
            f"acl_file {rights}",
            "persistence false",
            *([f"certfile {certificate}", f"keyfile {certificate}"] if certificate else []),
        ]
        if shutil.which("id") and subprocess.run(["id", "-u"], capture_output=True, check=True).stdout.strip() == b"0":
            lines.append("user root")
        self.config.write_text("\n".join(lines) + "\n")
        self.child: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self.child = subprocess.Popen(
            [str(MOSQUITTO), "-c", str(self.config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                assert self.child.poll() is None, "Mosquitto ended"
                time.sleep(0.05)
            else:
                return
        raise AssertionError("Mosquitto does not listen")

    def stop(self) -> None:
        if self.child is not None:
            self.child.kill()
            self.child.wait()
            self.child = None


class Desk:
    """Reads the topic."""

    def __init__(self, broker: Broker) -> None:
        self.messages: queue.Queue[MQTTMessage] = queue.Queue()
        subscribed = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        self.client.username_pw_set("desk", PASSWORD)
        self.client.on_message = lambda _client, _data, message: self.messages.put(message)
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()
        self.client.subscribe(TOPIC, qos=1)
        assert subscribed.wait(30)

    def next(self) -> MQTTMessage:
        return self.messages.get(timeout=30)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    one = Broker(tmp_path)
    yield one
    one.stop()


@pytest.fixture
def desk(broker: Broker) -> Iterator[Desk]:
    one = Desk(broker)
    yield one
    one.close()


def action(port: int, **others) -> MqttAction:
    values = {"tls": False, "user": "door", "password_env": "MQTT_PASSWORD", **others}
    return MqttAction("mqtt", "127.0.0.1", TOPIC, port=port, **values)


def make(port: int, password: str = PASSWORD, **others) -> MqttNotifier:
    return MqttNotifier(action(port, **others), {"MQTT_PASSWORD": password}.get, Path())


def failure(notifier: MqttNotifier, notice) -> ActionFailed:
    with pytest.raises(ActionFailed) as caught:
        notifier.notify(notice())
    assert PASSWORD not in str(caught.value)
    return caught.value


@needs_broker
def test_a_notice_arrives_as_json_and_a_grant_expires(notice, broker, desk) -> None:
    notifier = make(broker.port, within=8.0)
    notifier.notify(notice(True, id="r-1"))
    notifier.notify(notice(False, id="r-2"))
    granted, refused = desk.next(), desk.next()
    assert [json.loads(one.payload)["id"] for one in (granted, refused)] == ["r-1", "r-2"]
    assert [json.loads(one.payload)["decision"] for one in (granted, refused)] == ["grant", "refuse"]
    assert 0 < granted.properties.MessageExpiryInterval <= 8
    assert not hasattr(refused.properties, "MessageExpiryInterval")
    assert granted.properties.ContentType == "application/json"


@needs_broker
def test_nothing_is_retained(notice, broker) -> None:
    notifier = make(broker.port)
    notifier.notify(notice(id="before"))
    desk = Desk(broker)
    notifier.notify(notice(id="after"))
    first = desk.next()
    desk.close()
    assert json.loads(first.payload)["id"] == "after"
    assert not first.retain


@needs_broker
def test_a_wrong_password_is_not_tried_again(notice, broker) -> None:
    error = failure(make(broker.port, "another password"), notice)
    assert "would not let us in (Not authorized)" in str(error)
    assert "another password" not in str(error)
    assert error.again is None


@needs_broker
def test_without_a_user_it_does_not_get_in_either(notice, broker) -> None:
    assert failure(make(broker.port, user=None, password_env=None), notice).again is None


@needs_broker
def test_a_topic_that_is_not_ours_is_a_failure_and_not_silence(notice, broker) -> None:
    notifier = MqttNotifier(
        MqttAction("mqtt", "127.0.0.1", "doors/8", broker.port, False, user="door", password_env="P"),
        {"P": PASSWORD}.get,
        Path(),
    )
    error = failure(notifier, notice)
    assert "would not take the message (Not authorized)" in str(error)
    assert error.again is None


@needs_broker
def test_what_failed_while_the_broker_was_gone_is_not_sent_once_it_is_back(notice, broker) -> None:
    notifier = make(broker.port)
    broker.stop()
    assert failure(notifier, notice).again == 0.0
    broker.start()
    desk = Desk(broker)
    notifier.notify(notice(id="later"))
    first = desk.next()
    desk.close()
    assert json.loads(first.payload)["id"] == "later"


@needs_broker
def test_a_dispatcher_tries_until_the_broker_is_back(notice, broker, monkeypatch) -> None:
    monkeypatch.setattr(work, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(work, "LONGEST_PAUSE", 0.2)
    tried = threading.Event()
    inner = make(broker.port)

    class Seen:
        def notify(self, one) -> None:
            try:
                inner.notify(one)
            finally:
                tried.set()

        def close(self) -> None:
            inner.close()

    broker.stop()
    failed: list[Exception] = []
    plan = plan_of(action(broker.port, retries=10, within=3600.0))
    dispatcher = Dispatcher({"mqtt": Seen()}, lambda _notice, _name, error: failed.append(error), {"mqtt": plan})
    dispatcher.notify(notice(id="patient"), ["mqtt"])
    assert tried.wait(30)
    broker.start()
    dispatcher.close(60)
    assert [str(one) for one in failed] == []


def test_no_broker_is_tried_again(notice) -> None:
    port = free_port()
    error = failure(make(port), notice)
    assert error.again == 0.0
    assert f"127.0.0.1:{port}: " in str(error)


def speaking(said: bytes, over: threading.Event) -> tuple[socket.socket, threading.Thread]:
    """A server that says this to whoever connects, and keeps the line open."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with server.accept()[0] as link:
            link.sendall(said)
            over.wait(30)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return server, thread


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x20\x02\x00\x01",  # MQTT 3.1.1: unacceptable protocol version
        b"\x20\x03\x00\x84\x00",  # MQTT 5: unsupported protocol version
        b"\x20\x00",
        b"\x40\x02\x00\x01",
        b"\xff" * 64,
    ],
)
def test_what_is_no_broker_costs_its_time_and_no_more(notice, said) -> None:
    over = threading.Event()
    server, thread = speaking(said, over)
    with server:
        error = failure(make(server.getsockname()[1], timeout=0.5), notice)
        over.set()
        thread.join()
    assert "MQTT broker 127.0.0.1" in str(error)


@needs_broker
def test_tls_is_verified(notice, tmp_path, certificate) -> None:
    broker = Broker(tmp_path, certificate)
    try:
        plain = {"MQTT_PASSWORD": PASSWORD}.get
        secure = {"port": broker.port, "user": "door", "password_env": "MQTT_PASSWORD"}
        error = failure(MqttNotifier(MqttAction("mqtt", "localhost", TOPIC, **secure), plain, tmp_path), notice)
        assert "certificate is not to be trusted" in str(error)
        assert error.again is None
        trusting = MqttAction("mqtt", "localhost", TOPIC, ca_file=str(certificate), **secure)
        MqttNotifier(trusting, plain, tmp_path).notify(notice())
        other = MqttAction("mqtt", "127.0.0.1", TOPIC, ca_file=str(certificate), **secure)
        assert "certificate is not to be trusted" in str(failure(MqttNotifier(other, plain, tmp_path), notice))
    finally:
        broker.stop()


def test_a_handshake_that_never_ends_is_cut_off(notice) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        error = failure(make(deaf.getsockname()[1], tls=True, timeout=0.2), notice)
    assert error.again == 0.0


def test_a_handshake_that_drips_is_cut_off(notice) -> None:
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            with server.accept()[0] as link, contextlib.suppress(OSError):
                link.sendall(b"\x16\x03\x03\x40\x00")  # the head of a record of 16 KiB
                while not over.wait(0.02):
                    link.sendall(b"\x00")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        error = failure(make(server.getsockname()[1], tls=True, timeout=0.3), notice)
        over.set()
        thread.join()
    assert error.again == 0.0


def test_without_paho_it_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(ActionFailed, match=r'pip install "twinface\[access\]"'):
        make(1883)


def test_a_missing_password_is_said_at_the_start() -> None:
    with pytest.raises(ActionFailed, match="MQTT_PASSWORD is not set"):
        MqttNotifier(action(1883), {}.get, Path())
