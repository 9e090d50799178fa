"""Does what a policy says should follow from an answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from twinface.app.access.notifiers import Dispatcher, Secrets, make_dispatcher
from twinface.core.access.actions import CommandAction, Notice, RelayAction
from twinface.core.access.evidence import Reason, in_words
from twinface.core.access.policy import Place, Policy
from twinface.errors import ActionFailed
from twinface.services.access_control import Outcome

Failed = Callable[[Notice, str, Exception], None]
"""Told what an action, by its name, did not do of a notice, and why."""


class Actor:
    """Carries out the actions of whichever policy is in force.

    Args:
        policy: in force at first.
        failed: told of what was not done.
        dry_run: whether actions only say what they would do.
        secrets: looks up environment variables.
        out: for lights, bells, and what a dry run says.

    Raises:
        ActionFailed: an action lacks something, as a program, a secret, a pin.
    """

    def __init__(self, policy: Policy, failed: Failed, *, dry_run: bool, secrets: Secrets, out: TextIO) -> None:
        self._failed = failed
        self._dry_run = dry_run
        self._secrets = secrets
        self._out = out
        self._actions = policy.actions
        self._dispatcher: Dispatcher | None = self._made(policy)

    def replace(self, policy: Policy) -> None:
        """Makes the actions of another policy ready, if they are others.

        A pin has one owner, so the old ones are let go first: where the new ones cannot be made ready there are none,
        and nobody is let in.

        Raises:
            ActionFailed: an action lacks something, or one of the old ones cannot be switched off.
        """
        if self._dispatcher is not None and policy.actions == self._actions:
            return
        before, self._dispatcher = self._dispatcher, None
        if before is not None:
            before.close()
        self._dispatcher = self._made(policy)
        self._actions = policy.actions

    def __call__(self, outcome: Outcome, policy: Policy) -> None:
        """Carries out what follows from an answer.

        Raises:
            ActionFailed: what lets somebody in did not work.
        """
        ruling, place = outcome.ruling, policy.places.get(outcome.request.place)
        if self._dispatcher is None and ruling.granted:
            raise ActionFailed("the policy's actions could not be made ready; mend the policy")
        if self._dispatcher is None or place is None:
            return
        if ruling.granted:
            names = place.on_grant
        elif ruling.reason in _NOT_LOOKED_AT:
            names = place.on_refusal
        else:
            names = (*_relays(policy, place), *place.on_refusal)
        failures = self._dispatcher.notify(notice_of(outcome, place.name, dry=self._dry_run), names)
        moved = {name: error for name, error in failures.items() if isinstance(policy.actions.get(name), _MOVING)}
        moved |= {name: error for name, error in failures.items() if name not in policy.actions}
        if ruling.granted and moved:
            name, error = next(iter(moved.items()))
            raise error if isinstance(error, ActionFailed) else ActionFailed(f"{name}: {error}")

    def close(self) -> None:
        """Switches off and lets go.

        Raises:
            ActionFailed: a relay could not be switched off.
        """
        if self._dispatcher is not None:
            self._dispatcher.close()

    def _made(self, policy: Policy) -> Dispatcher:
        folder = Path(policy.origin).parent if policy.origin else Path()
        return make_dispatcher(
            policy.actions, self._failed, dry_run=self._dry_run, secrets=self._secrets, out=self._out, folder=folder
        )


_NOT_LOOKED_AT = (Reason.overloaded, Reason.cancelled)
"""Refusals of requests that nobody looked at: they end no opening of who was let in before."""

_MOVING = (RelayAction, CommandAction)


def _relays(policy: Policy, place: Place) -> tuple[str, ...]:
    """The relays that let somebody in here: a refusal switches them off."""
    return tuple(name for name in place.on_grant if isinstance(policy.actions.get(name), RelayAction))


def notice_of(outcome: Outcome, place: str, *, dry: bool) -> Notice:
    """What actions are told: no name, as who stands outside need not learn it, and a message goes far."""
    record, ruling = outcome.record, outcome.ruling
    return Notice(
        id=outcome.request.id,
        at=outcome.request.at,
        place=outcome.request.place,
        place_name=place or outcome.request.place,
        granted=ruling.granted,
        reason=str(ruling.reason),
        words=in_words(ruling.reason),
        name=None,
        subject=ruling.uids[0] if ruling.uids else None,
        head="" if record is None else f"{record.number}:{record.digest}",
        dry=dry,
    )
