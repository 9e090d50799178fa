import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from gpiozero import Device, OutputDevice
from gpiozero.pins.mock import MockFactory
from hypothesis import given, settings
from hypothesis import strategies as st

from twinface.app.access.notifiers.relay import RelayNotifier
from twinface.core.access.actions import Notice, RelayAction
from twinface.errors import ActionFailed

LONG = RelayAction("door", 17, seconds=60.0)


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    Device.pin_factory = MockFactory()
    yield Device.pin_factory
    Device.pin_factory.close()
    Device.pin_factory = None


def fail(_notice, error) -> None:
    raise error


def make(action: RelayAction, late=fail, device=OutputDevice) -> RelayNotifier:
    return RelayNotifier(action, late, device)


@pytest.fixture
def ended(monkeypatch) -> threading.Event:
    """Set once a device is switched off after it was on."""
    event = threading.Event()
    off = OutputDevice.off

    def noted(self) -> None:
        was = self.is_active
        off(self)
        if was:
            event.set()

    monkeypatch.setattr(OutputDevice, "off", noted)
    return event


@pytest.mark.parametrize("active_high", [True, False])
def test_it_is_off_from_the_start_on_for_a_grant_and_off_after_closing(notice, pins, active_high) -> None:
    pin = pins.pin(17)
    relay = make(RelayAction("door", 17, seconds=60.0, active_high=active_high))
    assert pin.state is not active_high
    relay.notify(notice(True))
    assert pin.state is active_high
    relay.close()
    assert [one.state for one in pin.states][-2:] == [active_high, not active_high]


def test_a_pulse_ends_by_itself(notice, pins, ended) -> None:
    relay = make(RelayAction("door", 17, seconds=0.05))
    relay.notify(notice(True))
    assert ended.wait(30)
    assert not pins.pin(17).state
    relay.close()


def test_every_grant_has_its_pulse(notice, pins, ended) -> None:
    relay = make(RelayAction("door", 17, seconds=0.02))
    for _ in range(3):
        ended.clear()
        relay.notify(notice(True))
        assert ended.wait(30)
    relay.close()
    assert [one.state for one in pins.pin(17).states].count(True) == 3


def test_a_refusal_never_switches_it_on(notice, pins) -> None:
    relay = make(LONG)
    for _ in range(3):
        relay.notify(notice(False))
    relay.close()
    assert True not in [one.state for one in pins.pin(17).states]


def test_a_refusal_ends_a_pulse(notice, pins) -> None:
    relay = make(LONG)
    relay.notify(notice(True))
    relay.notify(notice(False))
    assert not pins.pin(17).state
    relay.notify(notice(True))
    assert pins.pin(17).state
    relay.close()


class Faulty:
    """A device whose switching fails as it is told."""

    def __init__(self, pin: int, *, active_high: bool, initial_value: bool) -> None:
        self.log = ["off" if not initial_value else "on"]
        self.broken: set[str] = set()
        self.failures = 99

    def on(self) -> None:
        self._do("on")

    def off(self) -> None:
        self._do("off")

    def close(self) -> None:
        self.log.append("closed")

    def _do(self, what: str) -> None:
        if what in self.broken and self.failures:
            self.failures -= 1
            raise OSError(5, "Input/output error")
        self.log.append(what)


def device_of(relay: RelayNotifier) -> Faulty:
    found = relay._device
    assert isinstance(found, Faulty)
    return found


def test_grants_that_come_meanwhile_neither_lengthen_nor_repeat_a_pulse(notice) -> None:
    relay = make(LONG, device=Faulty)
    relay.notify(notice(True))
    until = relay._until
    for _ in range(3):
        relay.notify(notice(True))
    assert relay._until == until
    assert device_of(relay).log.count("on") == 1
    relay.close()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.booleans(), max_size=12))
def test_it_is_on_exactly_while_a_grant_is_the_last_word(decisions: list[bool]) -> None:
    relay = make(LONG, device=Faulty)
    device = device_of(relay)
    try:
        for granted in decisions:
            relay.notify(Notice("r", datetime(2026, 1, 1, tzinfo=UTC), "p", "p", granted, "r", "w", None, None, "1:a"))
            assert (device.log[-1] == "on") is granted
    finally:
        relay.close()
    assert device.log[-2:] == ["off", "closed"]


def test_one_that_cannot_be_switched_on_is_switched_off(notice) -> None:
    relay = make(LONG, device=Faulty)
    device_of(relay).broken = {"on"}
    with pytest.raises(ActionFailed, match="door: the relay at pin 17 cannot be switched on"):
        relay.notify(notice(True))
    assert device_of(relay).log[-1] == "off"
    relay.close()


def test_a_hiccup_when_switching_off_is_tried_again(notice) -> None:
    relay = make(LONG, device=Faulty)
    relay.notify(notice(True))
    device_of(relay).broken, device_of(relay).failures = {"off"}, 2
    relay.notify(notice(False))
    assert device_of(relay).log[-1] == "off"
    relay.close()


def test_one_that_cannot_be_switched_off_is_given_up_told_and_never_used_again(notice) -> None:
    told: list[tuple[str, Exception]] = []
    heard = threading.Event()

    def late(one, error) -> None:
        told.append((one.id, error))
        heard.set()

    relay = make(RelayAction("door", 17, seconds=0.05), late, Faulty)
    device_of(relay).broken = {"off"}
    relay.notify(notice(True, id="r-9"))
    assert heard.wait(30)
    ((id, error),) = told
    assert id == "r-9"
    assert "could not be switched off" in str(error)
    assert device_of(relay).log[-1] == "closed"
    with pytest.raises(ActionFailed, match="could not be switched off"):
        relay.notify(notice(True))
    assert device_of(relay).log.count("on") == 1
    relay.close()


def test_closing_says_when_it_cannot_be_switched_off_and_lets_go_of_the_pin(notice) -> None:
    relay = make(LONG, device=Faulty)
    relay.notify(notice(True))
    device_of(relay).broken = {"off"}
    with pytest.raises(ActionFailed, match="could not be switched off"):
        relay.close()
    assert device_of(relay).log[-1] == "closed"


def test_after_closing_nothing_switches_it_on(notice, pins) -> None:
    relay = make(LONG)
    relay.close()
    relay.close()
    with pytest.raises(ActionFailed):
        relay.notify(notice(True))


def test_a_pin_in_use_is_said_at_the_start(pins) -> None:
    relay = make(LONG)
    with pytest.raises(ActionFailed, match="door: pin 17 cannot be used"):
        make(LONG)
    relay.close()
    make(LONG).close()


def test_a_machine_without_pins_is_said_at_the_start(monkeypatch) -> None:
    monkeypatch.setattr(Device, "pin_factory", None)
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "none-such")
    with pytest.raises(ActionFailed, match="this needs a machine with GPIO pins"):
        make(LONG)


def test_without_gpiozero_it_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiozero", None)
    with pytest.raises(ActionFailed, match="pip install gpiozero lgpio"):
        RelayNotifier(LONG, fail)


def test_a_process_that_ends_without_closing_switches_it_off(notice, tmp_path) -> None:
    code = f"""
from datetime import UTC, datetime
from twinface.app.access.notifiers.relay import RelayNotifier
from twinface.core.access.actions import Notice, RelayAction
class Device:
    def __init__(self, pin, **_): self.log = open({str(tmp_path / "log")!r}, "w", buffering=1)
    def on(self): self.log.write("on ")
    def off(self): self.log.write("off ")
    def close(self): self.log.write("closed"); self.log.close()
relay = RelayNotifier(RelayAction("door", 17, seconds=60.0), lambda *_: None, Device)
relay.notify(Notice("r", datetime.now(UTC), "p", "p", True, "r", "w", None, None, "1:a"))
raise SystemExit("a bug")
"""
    subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert (tmp_path / "log").read_text() == "on off closed"
