"""`twinface access demo`: an elevator in the terminal."""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twinface.app.cli import options
from twinface.app.cli.output import complain, console, counted, printable, write_json

if TYPE_CHECKING:
    from twinface.app.access.demo import Step
    from twinface.core.ports import Notifier
    from twinface.services.access_control import Outcome

UNEXPECTED = 1


def demo(
    pause: Annotated[float, typer.Option("--pause", min=0, max=10, help="Seconds between two requests.")] = 1.5,
    sound: Annotated[bool, typer.Option("--sound/--silent", help="A chime on a grant, a buzz on a refusal.")] = True,
    json: options.Json = False,
) -> None:
    """Watch an elevator let people in and turn people away: sample portraits, real models, policy, gallery and log.

    Nothing of yours is touched: all of it lives in a temporary folder. With your own camera: twinface access run.
    """
    from twinface.app.access.demo import POLICY, Hearers, demo_gallery, play_demo
    from twinface.app.access.notifiers import make_notifier
    from twinface.app.access.panel import Panel
    from twinface.app.access.policy_file import parse_policy
    from twinface.core.access.actions import SoundAction

    policy = parse_policy(POLICY.encode(), "the demo's policy")
    panel = Panel(policy)
    out = console()
    lively = out.is_terminal and not json
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="twinface-")))
        gallery = stack.enter_context(demo_gallery(folder))
        bell = None
        if sound and lively:
            action = SoundAction("bell")
            bell = make_notifier(action, dry_run=False, secrets=lambda _: None, out=sys.stderr)
            stack.callback(bell.close)

        def begin(step: Step) -> None:
            panel.caption = step.caption
            panel.ask(step.place)
            if not (lively or json):
                out.print(f"\n{step.caption}", style="bold")

        def prompt(words: str) -> None:
            panel.prompt = words
            if words and not (lively or json):
                out.print(f"  asks: {words}", style="dim")

        def told(outcome: Outcome) -> None:
            panel.tell(outcome)
            _print(outcome, json=json, lively=lively)
            if bell is not None:
                _ring(bell, outcome)

        hearers = Hearers(lambda frame: panel.watch(frame.image), begin, prompt, told, complain)
        if lively:
            from rich.live import Live

            with Live(panel, console=out, refresh_per_second=10, transient=False):
                played = play_demo(folder, gallery, hearers, pause)
        else:
            played = play_demo(folder, gallery, hearers, pause)
        problems = gallery.store.audit.problems()
        number, digest = gallery.store.audit.head()
    wrong = [step for step, outcome in played if outcome.ruling.granted != step.expect]
    if not json:
        sound_log = "every one fits" if not problems else f"{counted(len(problems), 'problem')}"
        out.print(f"\nThe log holds {counted(number, 'record')}: {sound_log}. Its head is {digest[:16]}.")
        out.print("Yours: twinface access check examples/access/policy.toml, then twinface access run --help")
    for step in wrong:
        complain(f"not as expected: {step.caption}")
    if wrong or problems:
        raise typer.Exit(UNEXPECTED)


def _print(outcome: Outcome, *, json: bool, lively: bool) -> None:
    """An answer, where no panel shows it."""
    from twinface.app.access.answers import line_of, outcome_json

    if json:
        write_json(outcome_json(outcome, "UTC"))
    elif not lively:
        typer.echo(f"  {printable(line_of(outcome, '', 'UTC'))}")


def _ring(bell: Notifier, outcome: Outcome) -> None:
    """Chimes or buzzes; a terminal that cannot is no trouble here."""
    from twinface.app.access.acting import notice_of
    from twinface.errors import ActionFailed

    with suppress(ActionFailed):
        bell.notify(notice_of(outcome, "", dry=False))
