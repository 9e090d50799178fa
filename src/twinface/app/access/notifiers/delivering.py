"""Brings notices to notifiers: what lets somebody in first, what is shown next, what is told others beside.

Nothing is done late: an action that could not begin in time is given up, and so is a grant that a webhook or a broker
was not there for. Failures are reported, none is swallowed, and none stops the others.
"""

from __future__ import annotations

import math
import random as chance
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from twinface.app.access.notifiers.work import Job, Report, Worker
from twinface.core.access.actions import Action, CommandAction, MqttAction, Notice, RelayAction, WebhookAction
from twinface.core.ports import Notifier
from twinface.errors import ActionFailed

PATIENCE = 1.0
"""Seconds that a decision waits for an action that is shown or switched."""


Role = Literal["runs", "switches", "shows", "tells"]

IN: tuple[Role, ...] = ("runs", "switches")
OUT: tuple[Role, ...] = ("switches", "runs")
"""The order of what lets somebody in: on a grant no relay is on before the commands have worked, on a refusal it goes
off before they run."""


@dataclass(frozen=True)
class Plan:
    """When an action is carried out.

    Attributes:
        role: "runs" and "switches" let somebody in, and a grant goes on only while they work; "shows" comes after them;
            "tells" is not waited for.
        patience: seconds that a decision waits for it; not for "tells".
        retries: how often it is tried again; for "tells" only.
        within: seconds after which a grant is given up; for "tells" only.
    """

    role: Role = "shows"
    patience: float = PATIENCE
    retries: int = 0
    within: float = 10.0


def plan_of(action: Action) -> Plan:
    """When an action of a policy is carried out."""
    match action:
        case RelayAction():
            return Plan("switches")
        case CommandAction():
            return Plan("runs", patience=action.timeout + PATIENCE)
        case WebhookAction() | MqttAction():
            return Plan("tells", retries=action.retries, within=action.within)
        case _:
            return Plan("shows")


class Dispatcher:
    """Gives notices to the notifiers of their actions.

    Args:
        notifiers: by name of their action; they are closed with the dispatcher.
        failed: told of the notice, the action's name and why, for everything that was not done. For actions that are
            not waited for it is called from another thread.
        plans: by name; those left out are shown.
        size: notices that may wait for one action.
        random: numbers from 0 to 1, which spread retries.
    """

    def __init__(
        self,
        notifiers: Mapping[str, Notifier],
        failed: Report,
        plans: Mapping[str, Plan] | None = None,
        *,
        size: int = 64,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self._notifiers = dict(notifiers)
        self._failed = failed
        self._plans = {name: (plans or {}).get(name, Plan()) for name in self._notifiers}
        self._workers = {
            name: Worker(name, one, failed, size=size, random=random) for name, one in self._notifiers.items()
        }
        self._closed = False

    def notify(self, notice: Notice, names: Iterable[str]) -> dict[str, Exception]:
        """Carries actions out: it returns when those that are not merely told others are done, or their time is over.

        If one that lets somebody in fails on a grant, nobody was let in: those that were told of the grant are told of
        a refusal, which switches a relay off, and nothing is shown or told others.

        Args:
            notice: the decision.
            names: of the actions, as the policy has them for the place and the decision.

        Returns:
            Why, by name, what was to be done at once was not; `failed` was told too.
        """
        wanted = list(dict.fromkeys(names))
        failures: dict[str, Exception] = {
            name: ActionFailed(f"{name}: there is no action of this name; reload the policy")
            for name in wanted
            if name not in self._workers
        }
        begun: list[str] = []
        for role in IN if notice.granted else OUT:
            if not (failures and notice.granted):
                begun += self._of(role, wanted)
                failures |= self._at_once(notice, self._of(role, wanted))
        if failures and notice.granted:
            self._take_back(notice, begun, ", ".join(failures))
        else:
            for name in self._of("tells", wanted):
                self._tell(notice, name)
            failures |= self._at_once(notice, self._of("shows", wanted))
        for name, error in failures.items():
            self._failed(notice, name, error)
        return failures

    def close(self, timeout: float = 5.0) -> None:
        """Switches off and lets go; delivers what it can of what is to be told, and reports the rest.

        Args:
            timeout: seconds that this may take.

        Raises:
            ActionFailed: a relay could not be switched off.
        """
        if self._closed:
            return
        self._closed = True
        deadline = time.monotonic() + timeout
        for worker in self._workers.values():
            worker.finish(deadline)
        names = sorted(self._notifiers, key=lambda name: (*OUT, "shows", "tells").index(self._plans[name].role))
        trouble: list[ActionFailed] = []
        for name in names:
            if self._plans[name].role == "tells":
                self._workers[name].join(deadline)
            try:
                self._notifiers[name].close()
            except ActionFailed as error:
                trouble.append(error)
        if trouble:
            raise trouble[0]

    def _of(self, role: Role, names: list[str]) -> list[str]:
        return [name for name in names if name in self._plans and self._plans[name].role == role]

    def _tell(self, notice: Notice, name: str) -> None:
        plan = self._plans[name]
        refused = self._workers[name].put(Job(notice, retries=plan.retries, within=plan.within))
        if refused is not None:
            self._failed(notice, name, refused)

    def _take_back(self, notice: Notice, names: list[str], failed: str) -> None:
        """Tells all that moved, or may still move, of a refusal; one that is stuck hears of it when it goes on."""
        refusal = replace(notice, granted=False, reason="actuator_failed", words=f"{failed} failed")
        jobs = {name: Job(refusal, within=math.inf) for name in names}
        for name, job in jobs.items():
            self._workers[name].put(job)
        for name, job in jobs.items():
            job.wait(time.monotonic() + self._plans[name].patience)

    def _at_once(self, notice: Notice, names: list[str]) -> dict[str, Exception]:
        """Carries actions out side by side; those that failed."""
        began = time.monotonic()
        jobs = {name: Job(notice) for name in names}
        refused = {name: self._workers[name].put(job) for name, job in jobs.items()}
        results = {
            name: refused[name] or job.result(name, began + self._plans[name].patience) for name, job in jobs.items()
        }
        return {name: error for name, error in results.items() if error is not None}
