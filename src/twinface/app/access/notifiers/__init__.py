"""What carries out the actions of a policy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TextIO

from twinface.app.access.notifiers.credentials import Secrets
from twinface.app.access.notifiers.delivering import Dispatcher, plan_of
from twinface.core.access.actions import (
    Action,
    CommandAction,
    LightAction,
    MqttAction,
    Notice,
    RelayAction,
    SoundAction,
    WebhookAction,
    action_words,
    concerns,
    secret_variables,
)
from twinface.core.ports import Notifier
from twinface.errors import ActionFailed

__all__ = ["Dispatcher", "Secrets", "make_dispatcher", "make_notifier"]


def make_notifier(
    action: Action,
    *,
    dry_run: bool,
    secrets: Secrets,
    out: TextIO,
    folder: Path = Path(),
    hidden: Collection[str] = (),
    late: Callable[[Notice, Exception], None] | None = None,
) -> Notifier:
    """What carries out an action, on the decisions that it is meant for.

    Args:
        action: what the policy says.
        dry_run: whether it only says, in one line, what it would do; then no secret is read and nothing opened.
        secrets: looks up environment variables.
        out: for the light, the bell, and what a dry run says.
        folder: of the policy, which its files are relative to.
        hidden: environment variables that commands are not told, beside the program's own secrets.
        late: told when a relay could not be switched off after its pulse; None: the thread ends with the error.

    Raises:
        ActionFailed: it lacks something, as a program, a secret, a pin.
    """
    hidden = {*hidden, *secret_variables(action)}
    inner = None if dry_run else _make(action, secrets, out, folder, hidden, late or _raise)
    return _Gate(action, inner, out)


def make_dispatcher(
    actions: Mapping[str, Action],
    failed: Callable[[Notice, str, Exception], None],
    *,
    dry_run: bool,
    secrets: Secrets,
    out: TextIO,
    folder: Path = Path(),
) -> Dispatcher:
    """All actions of a policy, ready to be carried out.

    Args:
        actions: by name.
        failed: told of what was not done; see `Dispatcher`.
        dry_run: see `make_notifier`, as the others.
        secrets: looks up environment variables.
        out: for the light, the bell, and what a dry run says.
        folder: of the policy.

    Raises:
        ActionFailed: one lacks something; then none is left open.
    """
    hidden = {variable for action in actions.values() for variable in secret_variables(action)}
    made: dict[str, Notifier] = {}
    try:
        for name, action in actions.items():
            late = _named(failed, name)
            made[name] = make_notifier(
                action, dry_run=dry_run, secrets=secrets, out=out, folder=folder, hidden=hidden, late=late
            )
        return Dispatcher(made, failed, {name: plan_of(action) for name, action in actions.items()})
    except BaseException:
        for one in made.values():
            one.close()
        raise


class _Gate:
    """Lets through to a notifier only what its action is meant for, and nothing on a dry run."""

    def __init__(self, action: Action, inner: Notifier | None, out: TextIO) -> None:
        self._action = action
        self._inner = inner
        self._out = out

    def notify(self, notice: Notice) -> None:
        if not concerns(self._action, notice.granted):
            return
        if self._inner is not None and not notice.dry:
            self._inner.notify(notice)
            return
        words = action_words(self._action, notice.granted)
        line = f"dry run: {self._action.name} would {words} ({notice.place_name}: {notice.words})"
        try:
            self._out.write((line if line.isprintable() else ascii(line)[1:-1]) + "\n")
            self._out.flush()
        except (OSError, ValueError) as error:
            raise ActionFailed(f"{self._action.name}: the dry run cannot be shown ({error})") from error

    def close(self) -> None:
        if self._inner is not None:
            self._inner.close()


def _make(
    action: Action,
    secrets: Secrets,
    out: TextIO,
    folder: Path,
    hidden: Collection[str],
    late: Callable[[Notice, Exception], None],
) -> Notifier:
    match action:
        case LightAction():
            from twinface.app.access.notifiers.terminal import TerminalLight

            return TerminalLight(action, out)
        case SoundAction():
            from twinface.app.access.notifiers.sound import SoundNotifier

            return SoundNotifier(action, out)
        case WebhookAction():
            from twinface.app.access.notifiers.webhook import WebhookNotifier

            return WebhookNotifier(action, secrets, folder)
        case MqttAction():
            from twinface.app.access.notifiers.mqtt import MqttNotifier

            return MqttNotifier(action, secrets, folder)
        case CommandAction():
            from twinface.app.access.notifiers.command import CommandNotifier

            return CommandNotifier(action, hidden)
        case RelayAction():
            from twinface.app.access.notifiers.relay import RelayNotifier

            return RelayNotifier(action, late)


def _named(failed: Callable[[Notice, str, Exception], None], name: str) -> Callable[[Notice, Exception], None]:
    return lambda notice, error: failed(notice, name, error)


def _raise(_: Notice, error: Exception) -> None:
    raise error
