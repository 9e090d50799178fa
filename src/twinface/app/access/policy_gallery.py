"""Whether a gallery can do what a policy asks of it: its people are enrolled, its model is measured that far."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from twinface.core.access.policy import Policy
from twinface.core.decision import DecisionRule
from twinface.core.files import shown
from twinface.core.identification import identification_point
from twinface.core.naming import name_key
from twinface.core.rates import scientific
from twinface.errors import GalleryError

Said = tuple[int, str]
"""A line of the policy, and words."""


def unknown_people(policy: Policy, names: Iterable[str]) -> list[Said]:
    """The people of a policy whom a gallery does not know; who is revoked need not be in it.

    Args:
        policy: which.
        names: of everybody enrolled.
    """
    enrolled = {name_key(name) for name in names}
    return [
        (
            one.line,
            f'people: "{shown(one.name)}" is not in the gallery; enrol her (twinface enroll --name "{shown(one.name)}" '
            "a.jpg), or correct the name",
        )
        for key, one in policy.people.items()
        if key not in enrolled and not one.revoked
    ]


def strangers(policy: Policy, names: Iterable[str]) -> list[str]:
    """Names of those enrolled whom the policy does not name: they may go nowhere."""
    return sorted(name for name in names if policy.person(name) is None)


def unmeasured(policy: Policy, rule: DecisionRule, templates: int) -> Iterator[Said]:
    """Places that are held to a rate no operating point of the gallery's model was measured at.

    A face of m pictures is compared with every template m times, so each comparison is held to the place's rate divided
    by all of them; see `core.identification`.

    Args:
        policy: which.
        rule: of the gallery's model.
        templates: in the gallery.
    """
    smallest = min(point.fmr for point in rule.points)
    for place in policy.places.values():
        try:
            point = identification_point(rule, templates * place.agree[1], place.fmr)
        except GalleryError as error:
            yield place.line, f"places.{place.id}: {error}"
            continue
        if point.extrapolated:
            yield (
                place.line,
                f'"{place.id}": FMR {scientific(place.fmr)} among {templates:,} templates is {scientific(point.fmr)} a '
                f"comparison, and the model was measured down to {scientific(smallest)}: its threshold is extrapolated",
            )
