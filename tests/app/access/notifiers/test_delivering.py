import contextlib
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinface.app.access.notifiers import work
from twinface.app.access.notifiers.delivering import Dispatcher, Plan, plan_of
from twinface.app.access.notifiers.work import LONGEST_PAUSE, pause
from twinface.core.access.actions import (
    CommandAction,
    LightAction,
    MqttAction,
    Notice,
    RelayAction,
    SoundAction,
    WebhookAction,
)
from twinface.errors import ActionFailed

RUNS, SWITCHES, SHOWS = (Plan(role, patience=30.0) for role in ("runs", "switches", "shows"))


class Recorder:
    """Writes down what it is told, and fails or waits as it is told."""

    def __init__(self, does: Callable[[Notice], None] = lambda _: None) -> None:
        self.does = does
        self.told: list[tuple[str, bool]] = []
        self.closed = False
        self.close_error: ActionFailed | None = None

    def notify(self, notice: Notice) -> None:
        self.told.append((notice.id, notice.granted))
        self.does(notice)

    def close(self) -> None:
        self.closed = True
        if self.close_error is not None:
            raise self.close_error


class Failures:
    """What the dispatcher reported."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str, Exception]] = []
        self.one = threading.Semaphore(0)

    def __call__(self, notice: Notice, name: str, error: Exception) -> None:
        self.all.append((notice.id, name, error))
        self.one.release()

    def names(self) -> list[tuple[str, str]]:
        return [(id, name) for id, name, _ in self.all]


def failing(message: str = "no", again: float | None = None) -> Callable[[Notice], None]:
    def fail(_: Notice) -> None:
        raise ActionFailed(message, again)

    return fail


@pytest.fixture
def failures() -> Failures:
    return Failures()


@pytest.fixture
def dispatch(failures, monkeypatch):
    monkeypatch.setattr(work, "FIRST_PAUSE", 0.001)
    with contextlib.ExitStack() as stack:

        def make(plans: dict[str, Plan], notifiers: dict[str, Recorder], **others) -> Dispatcher:
            dispatcher = Dispatcher(notifiers, failures, plans, **others)
            stack.callback(dispatcher.close, 30.0)
            return dispatcher

        yield make


def test_every_kind_of_action_has_its_place() -> None:
    hook = WebhookAction("h", "https://a.example", secret_env="S", retries=7, within=9.0)
    assert plan_of(RelayAction("r", 17)).role == "switches"
    assert plan_of(CommandAction("c", ("x",), timeout=5.0)) == Plan("runs", patience=6.0)
    assert plan_of(LightAction("l")).role == plan_of(SoundAction("s")).role == "shows"
    assert plan_of(hook) == Plan("tells", retries=7, within=9.0)
    assert plan_of(MqttAction("m", "b", "t")).role == "tells"


def test_only_what_was_asked_for_is_done_and_once(notice, dispatch) -> None:
    one, other = Recorder(), Recorder()
    dispatcher = dispatch({"one": SHOWS, "other": SHOWS}, {"one": one, "other": other})
    assert dispatcher.notify(notice(), ["one", "one"]) == {}
    assert one.told == [("r-1", True)]
    assert other.told == []


@pytest.mark.parametrize(("granted", "order"), [(True, ["command", "relay"]), (False, ["relay", "command"])])
def test_a_relay_is_on_last_and_off_first_and_only_then_something_is_shown(notice, dispatch, granted, order) -> None:
    done: list[str] = []
    parts = {name: Recorder(lambda _, name=name: done.append(name)) for name in ("light", "relay", "command")}
    dispatcher = dispatch({"relay": SWITCHES, "command": RUNS, "light": SHOWS}, parts)
    assert dispatcher.notify(notice(granted), ["light", "relay", "command"]) == {}
    assert done == [*order, "light"]


def test_no_relay_goes_on_and_nothing_is_shown_or_told_of_a_grant_whose_command_failed(
    notice, dispatch, failures
) -> None:
    stuck = Recorder(lambda one: failing("stuck")(one) if one.granted else None)
    parts = {"relay": Recorder(), "command": stuck, "other": Recorder(), "light": Recorder(), "hook": Recorder()}
    plans = {"relay": SWITCHES, "command": RUNS, "other": RUNS, "light": SHOWS, "hook": Plan("tells")}
    dispatcher = dispatch(plans, parts)
    result = dispatcher.notify(notice(), list(parts))
    dispatcher.close(30.0)
    assert [str(error) for error in result.values()] == ["stuck"]
    assert failures.names() == [("r-1", "command")]
    assert parts["relay"].told == parts["light"].told == parts["hook"].told == []
    assert parts["command"].told == parts["other"].told == [("r-1", True), ("r-1", False)]


def test_of_two_relays_one_that_works_goes_off_if_the_other_fails(notice, dispatch) -> None:
    parts = {"good": Recorder(), "bad": Recorder(lambda one: failing()(one) if one.granted else None)}
    dispatcher = dispatch({"good": SWITCHES, "bad": SWITCHES}, parts)
    assert list(dispatcher.notify(notice(), ["good", "bad"])) == ["bad"]
    assert parts["good"].told == [("r-1", True), ("r-1", False)]


def test_a_refusal_is_shown_and_told_whatever_fails(notice, dispatch) -> None:
    parts = {"command": Recorder(failing()), "light": Recorder(), "hook": Recorder()}
    dispatcher = dispatch({"command": RUNS, "light": SHOWS, "hook": Plan("tells")}, parts)
    assert list(dispatcher.notify(notice(False), list(parts))) == ["command"]
    dispatcher.close(30.0)
    assert parts["light"].told == parts["hook"].told == [("r-1", False)]


def test_an_action_that_is_not_there_is_a_failure_and_ends_a_grant(notice, dispatch, failures) -> None:
    light, relay = Recorder(), Recorder()
    dispatcher = dispatch({"light": SHOWS, "relay": SWITCHES}, {"light": light, "relay": relay})
    assert "there is no action of this name" in str(dispatcher.notify(notice(), ["light", "relay", "gone"])["gone"])
    assert light.told == relay.told == []
    assert failures.names() == [("r-1", "gone")]


def test_one_that_fails_to_show_does_not_stop_the_others(notice, dispatch, failures) -> None:
    light = Recorder()
    dispatcher = dispatch({"sound": SHOWS, "light": SHOWS}, {"sound": Recorder(failing()), "light": light})
    assert list(dispatcher.notify(notice(), ["sound", "light"])) == ["sound"]
    assert light.told == [("r-1", True)]


def test_errors_of_any_kind_are_reported(notice, dispatch, failures) -> None:
    def bug(_: Notice) -> None:
        raise KeyError("a bug")

    dispatcher = dispatch({"light": SHOWS, "hook": Plan("tells")}, {"light": Recorder(bug), "hook": Recorder(bug)})
    assert isinstance(dispatcher.notify(notice(), ["light", "hook"])["light"], KeyError)
    dispatcher.close(30.0)
    assert sorted(failures.names()) == [("r-1", "hook"), ("r-1", "light")]


def test_one_that_hangs_is_not_waited_for_and_not_carried_out_late(notice, dispatch, failures) -> None:
    gate = threading.Event()
    light = Recorder(lambda _: gate.wait(60) and None)
    dispatcher = dispatch({"light": Plan("shows", patience=0.05)}, {"light": light})
    first = dispatcher.notify(notice(id="r-1"), ["light"])
    second = dispatcher.notify(notice(id="r-2"), ["light"])
    gate.set()
    dispatcher.notify(notice(id="r-3"), ["light"])
    assert "it began and may still end" in str(first["light"])
    assert "it did not begin, and will not" in str(second["light"])
    assert ("r-2", True) not in light.told
    assert failures.names()[:2] == [("r-1", "light"), ("r-2", "light")]


def test_a_relay_that_is_stuck_in_a_grant_hears_of_the_refusal_first_when_it_goes_on(notice, dispatch) -> None:
    gate, heard = threading.Event(), threading.Event()

    def does(one: Notice) -> None:
        if one.granted:
            gate.wait(60)
        else:
            heard.set()

    relay = Recorder(does)
    dispatcher = dispatch({"relay": Plan("switches", patience=0.05)}, {"relay": relay})
    assert list(dispatcher.notify(notice(), ["relay"])) == ["relay"]
    gate.set()
    assert heard.wait(30)
    assert relay.told == [("r-1", True), ("r-1", False)]


def test_what_is_told_is_not_waited_for(notice, dispatch) -> None:
    gate = threading.Event()
    hook = Recorder(lambda _: gate.wait(60) and None)
    dispatcher = dispatch({"hook": Plan("tells")}, {"hook": hook})
    assert dispatcher.notify(notice(), ["hook"]) == {}
    assert not gate.is_set()
    gate.set()


def test_it_is_tried_again_as_often_as_planned_then_reported(notice, dispatch, failures) -> None:
    hook = Recorder(failing("down", again=0.0))
    dispatcher = dispatch({"hook": Plan("tells", retries=3, within=3600.0)}, {"hook": hook})
    dispatcher.notify(notice(), ["hook"])
    assert failures.one.acquire(timeout=30)
    assert len(hook.told) == 4
    assert failures.names() == [("r-1", "hook")]


def test_what_would_not_help_is_not_tried_again(notice, dispatch, failures) -> None:
    hook = Recorder(failing("forbidden"))
    dispatcher = dispatch({"hook": Plan("tells", retries=3)}, {"hook": hook})
    dispatcher.notify(notice(), ["hook"])
    assert failures.one.acquire(timeout=30)
    assert len(hook.told) == 1


def test_it_stops_trying_once_it_worked(notice, dispatch, failures) -> None:
    tries: list[int] = []

    def third_time(_: Notice) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise ActionFailed("down", 0.0)

    dispatcher = dispatch({"hook": Plan("tells", retries=9, within=3600.0)}, {"hook": Recorder(third_time)})
    dispatcher.notify(notice(), ["hook"])
    dispatcher.close(30.0)
    assert len(tries) == 3
    assert failures.all == []


@pytest.mark.parametrize(("granted", "tries"), [(True, 1), (False, 2)])
def test_a_grant_is_given_up_when_the_next_try_would_be_too_late_and_a_refusal_is_not(
    notice, dispatch, failures, granted, tries
) -> None:
    hook = Recorder(failing("busy", again=0.3))
    dispatcher = dispatch({"hook": Plan("tells", retries=1, within=0.2)}, {"hook": hook})
    dispatcher.notify(notice(granted), ["hook"])
    assert failures.one.acquire(timeout=30)
    assert len(hook.told) == tries
    assert str(failures.all[0][2]) == "busy"


def test_a_grant_that_waited_too_long_is_not_told_at_all(notice, dispatch, failures) -> None:
    gate = threading.Event()
    hook = Recorder(lambda one: one.id == "r-1" and gate.wait(60) and None)
    dispatcher = dispatch({"hook": Plan("tells", within=0.05)}, {"hook": hook})
    for id, granted in (("r-1", False), ("r-2", True), ("r-3", False)):
        dispatcher.notify(notice(granted, id=id), ["hook"])
    assert not gate.wait(0.1)
    gate.set()
    dispatcher.close(30.0)
    assert hook.told == [("r-1", False), ("r-3", False)]
    assert failures.names() == [("r-2", "hook")]
    assert "too old" in str(failures.all[0][2])


def test_a_full_queue_drops_and_says_so(notice, dispatch, failures) -> None:
    gate, begun = threading.Event(), threading.Event()

    def does(_: Notice) -> None:
        begun.set()
        gate.wait(60)

    hook = Recorder(does)
    dispatcher = dispatch({"hook": Plan("tells")}, {"hook": hook}, size=2)
    dispatcher.notify(notice(False, id="r-0"), ["hook"])
    assert begun.wait(30)
    for number in range(1, 5):
        dispatcher.notify(notice(False, id=f"r-{number}"), ["hook"])
    assert failures.names() == [("r-3", "hook"), ("r-4", "hook")]
    assert "2 notices wait already" in str(failures.all[0][2])
    gate.set()
    dispatcher.close(30.0)
    assert [id for id, _ in hook.told] == ["r-0", "r-1", "r-2"]


def test_one_slow_server_does_not_hold_up_another(notice, dispatch) -> None:
    gate, heard = threading.Event(), threading.Event()
    parts = {"slow": Recorder(lambda _: gate.wait(60) and None), "fast": Recorder(lambda _: heard.set())}
    dispatcher = dispatch({"slow": Plan("tells"), "fast": Plan("tells")}, parts)
    dispatcher.notify(notice(), ["slow", "fast"])
    assert heard.wait(30)
    gate.set()


def test_closing_delivers_what_it_can(notice, dispatch, failures) -> None:
    hook = Recorder()
    dispatcher = dispatch({"hook": Plan("tells")}, {"hook": hook})
    for number in range(20):
        dispatcher.notify(notice(id=f"r-{number}"), ["hook"])
    dispatcher.close(30.0)
    assert len(hook.told) == 20
    assert hook.closed
    assert failures.all == []


def test_closing_reports_what_it_could_not_deliver(notice, failures) -> None:
    gate, begun = threading.Event(), threading.Event()

    def does(_: Notice) -> None:
        begun.set()
        gate.wait(60)

    hook = Recorder(does)
    dispatcher = Dispatcher({"hook": hook}, failures, {"hook": Plan("tells", within=3600.0)})
    for number in range(3):
        dispatcher.notify(notice(id=f"r-{number}"), ["hook"])
    assert begun.wait(30)
    dispatcher.close(0.05)
    assert failures.names() == [("r-0", "hook"), ("r-1", "hook"), ("r-2", "hook")]
    assert "may still end" in str(failures.all[0][2])
    assert hook.closed
    gate.set()


def test_closing_does_not_wait_for_a_retry_that_would_come_too_late(notice, failures) -> None:
    hook = Recorder(failing("busy", again=3000.0))
    dispatcher = Dispatcher({"hook": hook}, failures, {"hook": Plan("tells", retries=3, within=3600.0)})
    dispatcher.notify(notice(), ["hook"])
    dispatcher.close(30.0)
    assert failures.names() == [("r-1", "hook")]
    assert str(failures.all[0][2]) == "busy"


def test_what_moves_is_let_go_first_and_everything_is_whatever_fails(failures) -> None:
    order: list[str] = []

    class Closing(Recorder):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def close(self) -> None:
            order.append(self.name)
            super().close()

    parts = {name: Closing(name) for name in ("hook", "light", "relay")}
    parts["relay"].close_error = ActionFailed("stuck on")
    dispatcher = Dispatcher(parts, failures, {"hook": Plan("tells"), "light": SHOWS, "relay": SWITCHES})
    with pytest.raises(ActionFailed, match="stuck on"):
        dispatcher.close()
    assert order == ["relay", "light", "hook"]
    dispatcher.close()
    assert len(order) == 3


def test_after_closing_nothing_is_done(notice, dispatch, failures) -> None:
    parts = {"relay": Recorder(), "hook": Recorder()}
    dispatcher = dispatch({"relay": SWITCHES, "hook": Plan("tells")}, parts)
    dispatcher.close()
    assert list(dispatcher.notify(notice(False), ["relay", "hook"])) == ["relay"]
    assert sorted(failures.names()) == [("r-1", "hook"), ("r-1", "relay")]
    assert parts["relay"].told == parts["hook"].told == []


def test_no_thread_remains(notice, dispatch) -> None:
    dispatcher = dispatch({"moving": RUNS, "hook": Plan("tells")}, {"moving": Recorder(), "hook": Recorder()})
    workers = [one for one in threading.enumerate() if one.name in ("twinface-moving", "twinface-hook")]
    assert len(workers) == 2
    dispatcher.close(30.0)
    for one in workers:
        one.join(30)
        assert not one.is_alive()


def test_a_report_that_fails_does_not_end_the_thread(notice, monkeypatch) -> None:
    printed: list[object] = []
    monkeypatch.setattr(threading, "excepthook", printed.append)

    def failed(one: Notice, _name: str, _error: Exception) -> None:
        raise ValueError(f"cannot report {one.id}")

    hook = Recorder(failing())
    dispatcher = Dispatcher({"hook": hook}, failed, {"hook": Plan("tells")})
    for number in range(2):
        dispatcher.notify(notice(id=f"r-{number}"), ["hook"])
    dispatcher.close(30.0)
    assert len(hook.told) == len(printed) == 2


@given(st.integers(1, 20), st.floats(0, 1), st.floats(0, 1))
def test_pauses_grow_are_spread_and_have_a_limit(tries: int, one: float, other: float) -> None:
    assert 0.25 <= pause(tries, one) <= 1.5 * LONGEST_PAUSE
    assert pause(tries + 2, one) >= pause(tries, other) or pause(tries, other) >= LONGEST_PAUSE / 2
    assert pause(1, 0.5) == 0.5
    assert pause(4, 0.5) == 4.0
