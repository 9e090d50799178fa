"""`twinface access check`: what is wrong with a policy, and what it means."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twinface.app.cli import options
from twinface.app.cli.output import TROUBLE, complain, counted, printable, write_json
from twinface.core.files import shown
from twinface.errors import BadPolicy, TwinFaceError

if TYPE_CHECKING:
    from twinface.app.access.policy_words import Now
    from twinface.core.access.policy import Policy

Said = tuple[int, str]


def check(
    policy: Annotated[Path, typer.Argument(help="A policy, .toml.", parser=options.given_path, metavar="POLICY")],
    gallery: Annotated[
        Path | None,
        options.path("--gallery", "Check too that this gallery knows the people, and its model is measured that far."),
    ] = None,
    key_file: options.KeyFile = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", help="Tell who gets in where at this time of the wall, as 2026-12-24T18:00.", metavar="TIME"
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Say what is wrong with a policy, line by line; or, if nothing is, what it means. Exit status 2 if it is wrong."""
    from twinface.app.access.policy_file import read_policy
    from twinface.app.access.policy_words import at_moment, moment, warnings
    from twinface.app.cli.access.policy_print import print_moment, print_policy, print_warnings

    origin = shown(policy)
    try:
        read = read_policy(policy)
        told = warnings(read, datetime.now(UTC))
        if gallery is not None:
            told += _ask_gallery(read, gallery, key_file)
    except BadPolicy as error:
        _refuse(origin, str(error).splitlines(), json)
    told = [*_mode_warnings(policy, read), *told]
    try:
        when = None if at is None else moment(at, read.zone)
    except ValueError as error:
        raise TwinFaceError(f"--at: {error}") from error
    now = [] if when is None else at_moment(read, when)
    if json:
        write_json(_json(read, origin, told, when, now))
    else:
        print_policy(read, origin)
        if when is not None:
            print_moment(read, when, now)
        print_warnings(told)


def _ask_gallery(policy: Policy, path: Path, key_file: Path | None) -> list[Said]:
    """What is odd about a policy for this gallery.

    Raises:
        BadPolicy: the gallery does not know its people.
    """
    from twinface.app.access.policy_gallery import strangers, unknown_people, unmeasured
    from twinface.app.cli.access.policy_print import some
    from twinface.app.cli.opening import open_gallery
    from twinface.app.wiring import rule_of

    with open_gallery(path, key_file, read_only=True) as opened:
        now = datetime.now(UTC)
        names = [one.name for one in opened.people() if one.expires is None or one.expires > now]
        told = opened.info()
    unknown = unknown_people(policy, names)
    if unknown:
        raise BadPolicy("\n".join(f"{policy.origin}:{line}: {words}" for line, words in unknown))
    others = strangers(policy, names)
    found = [(0, f"enrolled, but not in the policy, so they may go nowhere: {some(others)}")] if others else []
    return [*unmeasured(policy, rule_of(told.space), told.templates), *found]


def _mode_warnings(path: Path, policy: Policy) -> list[Said]:
    """Who else may read or change the file."""
    mode = path.stat().st_mode
    if mode & stat.S_IWOTH:
        return [(0, f"everybody on this machine may change the file, and so let anybody in: chmod o-w {shown(path)}")]
    secret = any(person.pin or person.card for person in policy.people.values())
    if secret and mode & stat.S_IROTH:
        return [(0, f"everybody on this machine may read the file and try out its PINs: chmod o-r {shown(path)}")]
    return []


def _refuse(origin: str, problems: Sequence[str], json: bool) -> None:
    """Tells what is wrong, one problem a line, and ends.

    Raises:
        typer.Exit: always.
    """
    if json:
        write_json({"policy": origin, "sound": False, "problems": list(problems)})
    else:
        for problem in problems:
            typer.echo(printable(problem), err=True)
        complain(f"{origin}: {counted(len(problems), 'problem')}; nobody gets in by this policy until they are mended")
    raise typer.Exit(TROUBLE)


def _json(
    policy: Policy, origin: str, told: Sequence[Said], when: datetime | None, now: Sequence[Now]
) -> dict[str, Any]:
    from twinface.app.access.policy_words import nowhere, place_words

    facts = {
        "policy": origin,
        "sound": True,
        "digest": policy.digest,
        "zone": policy.zone,
        "places": [asdict(place_words(policy, place)) for place in policy.places.values()],
        "people": len(policy.people),
        "nowhere": list(nowhere(policy)),
        "warnings": [{"line": line or None, "words": words} for line, words in told],
    }
    if when is not None:
        facts["at"] = when.isoformat()
        facts["now"] = [
            {"place": one.place, "may": one.may, "not_now": {str(why): who for why, who in one.not_now.items()}}
            for one in now
        ]
    return facts
