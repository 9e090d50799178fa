"""Every kind of action, made as a policy states it: what it does, when, and that a dry run does nothing."""

import contextlib
import io
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from twinface.app.access.notifiers import make_dispatcher, make_notifier
from twinface.core.access.actions import KINDS, Action, action_of
from twinface.core.ports import Notifier
from twinface.errors import ActionFailed

SECRETS = {"SECRET": "correct horse battery staple"}


class World:
    """What actions could touch, and whether they did."""

    def __init__(self, folder: Path, server: socket.socket, pins: MockFactory) -> None:
        self.out = io.StringIO()
        self.folder = folder
        self.server = server
        self.pins = pins

    @property
    def tables(self) -> dict[str, dict[str, object]]:
        port = self.server.getsockname()[1]
        touch = f"open({str(self.folder / 'ran')!r}, 'w')"
        return {
            "light": {},
            "sound": {},
            "webhook": {"url": f"http://127.0.0.1:{port}/", "secret_env": "SECRET", "timeout": 0.2},
            "mqtt": {"host": "127.0.0.1", "port": port, "tls": False, "topic": "doors/7", "timeout": 0.2},
            "command": {"words": [sys.executable, "-c", touch], "timeout": 30.0},
            "relay": {"pin": 17, "seconds": 60.0},
        }

    def action(self, kind: str, **others: object) -> Action:
        return action_of("it", {"kind": kind, **self.tables[kind], **others})

    def make(self, action: Action, dry_run: bool = False) -> Notifier:
        return make_notifier(action, dry_run=dry_run, secrets=SECRETS.get, out=self.out, folder=self.folder)

    def touched(self) -> set[str]:
        found: set[str] = set()
        if self.out.getvalue():
            found.add("light")
        found |= {name for name, file in (("command", "ran"), ("sound", "played")) if (self.folder / file).exists()}
        try:
            self.server.accept()[0].close()
            found.add("network")
        except BlockingIOError:
            pass
        if True in [one.state for one in self.pins.pin(17).states]:
            found.add("relay")
        return found


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    player = tmp_path / "aplay"
    player.write_text(f"#!/bin/sh\ntouch {tmp_path}/played\n")
    player.chmod(0o755)
    monkeypatch.setattr("twinface.app.access.notifiers.sound.PLAYERS", ((str(player), "-q"),))
    Device.pin_factory = MockFactory()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield World(tmp_path, server, Device.pin_factory)
    Device.pin_factory.close()
    Device.pin_factory = None


def carried_out(notifier: Notifier, one) -> None:
    """Nobody answers in this world, so what reaches the network fails."""
    with contextlib.suppress(ActionFailed):
        notifier.notify(one)
    thread = getattr(getattr(notifier, "_inner", None), "_thread", None)
    if thread is not None and thread.name.endswith("playing"):
        thread.join(30)


ON = [kind for kind in KINDS if kind != "relay"]


@pytest.mark.parametrize("kind", ON)
@pytest.mark.parametrize("granted", [True, False])
def test_an_action_is_carried_out_on_its_own_decision_and_never_on_the_other(notice, world, kind, granted) -> None:
    other = world.make(world.action(kind, on="refusal" if granted else "grant"))
    carried_out(other, notice(granted))
    other.close()
    assert world.touched() == set()
    own = world.make(world.action(kind, on="grant" if granted else "refusal"))
    carried_out(own, notice(granted))
    own.close()
    assert world.touched() == {{"webhook": "network", "mqtt": "network"}.get(kind, kind)}


def test_a_relay_is_never_on_for_a_refusal(notice, world) -> None:
    relay = world.make(world.action("relay"))
    relay.notify(notice(False))
    assert world.touched() == set()
    relay.notify(notice(True))
    assert world.touched() == {"relay"}
    relay.notify(notice(False))
    assert not world.pins.pin(17).state
    relay.close()


WOULD: dict[tuple[str, bool], str] = {
    ("light", True): "show green",
    ("light", False): "show red",
    ("sound", True): "sound a chime",
    ("sound", False): "sound a buzz",
    ("webhook", True): "POST to http://127.0.0.1:",
    ("webhook", False): "POST to http://127.0.0.1:",
    ("mqtt", True): "publish to 'doors/7' at 127.0.0.1:",
    ("mqtt", False): "publish to 'doors/7' at 127.0.0.1:",
    ("command", True): "run '",
    ("relay", True): "switch on the relay at pin 17 for 60 s",
    ("relay", False): "switch off the relay at pin 17",
}


def forbidden(what: str) -> Callable[..., None]:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError(f"a dry run used {what}")

    return refuse


@pytest.mark.parametrize(("kind", "granted"), list(WOULD))
def test_a_dry_run_says_in_one_line_what_it_would_do_and_does_nothing(
    notice, world, monkeypatch, kind, granted
) -> None:
    monkeypatch.setattr(socket, "create_connection", forbidden("the network"))
    monkeypatch.setattr(subprocess, "Popen", forbidden("a process"))
    monkeypatch.setattr("gpiozero.OutputDevice", forbidden("a pin"))
    dry = world.make(world.action(kind), dry_run=True)
    dry.notify(notice(granted))
    dry.close()
    (line,) = world.out.getvalue().splitlines()
    assert line.startswith(f"dry run: it would {WOULD[kind, granted]}")
    assert line.endswith("(7th floor: come in)" if granted else "(7th floor: nobody we know)")
    world.out.truncate(0)
    assert world.touched() == set()


def test_a_dry_run_of_a_command_says_nothing_of_refusals_it_is_not_meant_for(notice, world) -> None:
    world.make(world.action("command"), dry_run=True).notify(notice(False))
    assert world.out.getvalue() == ""


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_dry_notice_does_nothing_either(notice, world, kind) -> None:
    notifier = world.make(world.action(kind))
    notifier.notify(notice(True, dry=True))
    notifier.close()
    assert world.out.getvalue().startswith("dry run: it would ")
    world.out.truncate(0)
    assert world.touched() == set()


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_dry_run_needs_neither_secrets_nor_programs_nor_pins(world, kind, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiozero", None)
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    make_notifier(world.action(kind), dry_run=True, secrets={}.get, out=world.out).close()


def test_words_of_a_dry_run_cannot_steer_the_terminal(notice, world) -> None:
    world.make(world.action("light"), dry_run=True).notify(notice(words="\x1b[2J\nGREEN"))
    assert world.out.getvalue().count("\n") == 1
    assert "\x1b" not in world.out.getvalue()


def test_all_actions_of_a_policy_are_made_and_commands_are_not_told_the_secrets_of_others(
    notice, world, monkeypatch, tmp_path
) -> None:
    monkeypatch.setenv("SECRET", SECRETS["SECRET"])
    code = f"import os; open({str(tmp_path / 'told')!r}, 'w').write(str(dict(os.environ)))"
    actions = {
        "hook": world.action("webhook"),
        "command": action_of("command", {"kind": "command", "words": [sys.executable, "-c", code], "timeout": 30.0}),
        "light": world.action("light"),
    }
    failures: list[str] = []
    dispatcher = make_dispatcher(
        actions, lambda _notice, name, _error: failures.append(name), dry_run=False, secrets=SECRETS.get, out=world.out
    )
    assert dispatcher.notify(notice(), ["command", "light"]) == {}
    dispatcher.close()
    assert SECRETS["SECRET"] not in (tmp_path / "told").read_text()
    assert world.out.getvalue() == "GREEN  7th floor: come in\n"
    assert failures == []


def test_if_one_cannot_be_made_none_is_left_open(world) -> None:
    actions = {"relay": world.action("relay"), "hook": world.action("webhook")}
    with pytest.raises(ActionFailed, match="SECRET is not set"):
        make_dispatcher(actions, lambda *_: None, dry_run=False, secrets={}.get, out=world.out)
    world.make(world.action("relay")).close()
