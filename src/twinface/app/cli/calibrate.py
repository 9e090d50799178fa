"""`twinface calibrate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twinface.app.cli import options
from twinface.app.cli.output import console, printable, write_json
from twinface.app.cli.progress import progress
from twinface.app.settings import Settings
from twinface.core.calibration import ENOUGH
from twinface.core.files import shown
from twinface.core.rates import scientific
from twinface.core.wording import percent
from twinface.errors import OutputError, TwinFaceError
from twinface.models.registry import DEFAULT_DETECTOR

if TYPE_CHECKING:
    from twinface.app.measuring.calibration import Calibration, Sample
    from twinface.core.decision import DecisionRule


def calibrate(
    root: Annotated[
        Path | None,
        options.path("--root", "LFW with its pair lists: its folder or archive; DevTrain is used."),
    ] = None,
    on: Annotated[
        Path | None,
        options.path("--on", "Your own people: one folder each, or a CSV path,subject."),
    ] = None,
    band: Annotated[
        float | None,
        typer.Option("--band", help="Let compare answer 'inconclusive' below this probability, 0.5 to 1, as 0.9."),
    ] = None,
    default_fmr: Annotated[
        float, typer.Option("--default-fmr", help="Target false match rate when compare is given none.")
    ] = 1e-3,
    out: Annotated[
        Path | None,
        options.path("--out", "Your own file, for compare --calibration; else beside the model."),
    ] = None,
    report: Annotated[
        Path | None,
        options.path("--report", "Folder for the reliability diagrams (PNG, SVG)."),
    ] = None,
    json: options.Json = False,
    no_cache: options.NoCache = False,
    flip: options.Flip = None,
    model: options.Model = None,
    detector: options.Detector = None,
    provider: options.Provider = None,
    threads: options.Threads = None,
) -> None:
    """Measure what a model's distances mean: probabilities and thresholds, from pictures of known persons.

    Without --flip or --no-flip both are measured, as each has rules of its own.
    """
    from twinface.app import wiring
    from twinface.app.measuring.calibration import Wish
    from twinface.app.measuring.calibration import calibrate as measure
    from twinface.app.measuring.system import Asked, open_system

    wish = Wish(default_fmr, band)
    sample = _sample(root, on)
    finder = detector or Settings.from_environment().detector
    if out is None and finder != DEFAULT_DETECTOR:
        raise TwinFaceError(
            f"the rules beside a model are for faces that {DEFAULT_DETECTOR} finds, not {shown(finder)}; "
            "write yours to a file with --out and give it to compare with --calibration"
        )
    entry = wiring.encoder_entry(model)
    target = entry.rules_path if out is None else out
    _check(target, out is not None, report)
    found: dict[bool, Calibration] = {}
    for mirror in (True, False) if flip is None else (flip,):
        providers = tuple(provider) if provider else None
        system = open_system(Asked(model, detector, providers, threads, mirror, None, not no_cache), progress)
        found[mirror] = measure(system, sample, wish)
    rules = [one.found.rule for one in found.values()]
    if out is None:
        entry.keep(rules)
    else:
        _write(out, rules)
    if report is not None:
        _draw(found, report)
    if json:
        write_json(calibration_json(entry.name, target, sample, found))
    else:
        _print(entry.name, target, sample, found, report)


def _sample(root: Path | None, on: Path | None) -> Sample:
    from twinface.app.measuring.calibration import folder_sample, lfw_sample
    from twinface.datasets.lfw import open_lfw
    from twinface.datasets.photos import open_photos

    if root is not None and on is None:
        return lfw_sample(open_lfw(root))
    if on is not None and root is None:
        return folder_sample(open_photos(on))
    raise TwinFaceError(
        "calibrate takes one of --root (a folder with LFW) and --on (a folder of your own people), "
        + ("not both" if root is not None else "give one")
    )


def _check(target: Path, own: bool, report: Path | None) -> None:
    """Refuses what would fail when the work is done.

    Raises:
        OutputError: no folder to write to, or another file in the place.
        ModelError: the rules there are malformed.
    """
    from twinface.models.registry import read_rules

    if own and not target.parent.is_dir():
        raise OutputError(f"{shown(target)}: there is no folder {shown(target.parent)}; make it first")
    if target.exists():
        try:
            read_rules(target)
        except TwinFaceError as error:
            raise OutputError(f"{error}; it is not overwritten, move it away or choose another --out") from error
    if report is not None:
        from twinface.app.measuring.reporting import prepare

        prepare(report, "--report")


def _write(out: Path, rules: list[DecisionRule]) -> None:
    from twinface.core.decision import write_rules
    from twinface.core.files import write_atomically

    content = write_rules(rules).encode()
    write_atomically(out, lambda file: file.write(content))


def _draw(found: Mapping[bool, Calibration], folder: Path) -> None:
    from twinface.evaluation.plots import reliability, save_figure

    for mirror, one in found.items():
        bins = one.found.held[one.found.rule.curve.kind].bins
        save_figure(reliability(bins), folder, f"reliability-{'flip' if mirror else 'no-flip'}")


def calibration_json(name: str, target: Path, sample: Sample, found: Mapping[bool, Calibration]) -> dict[str, Any]:
    """All that was measured."""
    return {
        "model": name,
        "dataset": sample.name,
        "written": str(target),
        "rules": [_rule_json(mirror, one) for mirror, one in found.items()],
    }


def _rule_json(mirror: bool, one: Calibration) -> dict[str, Any]:
    found = one.found
    rule = found.rule
    return {
        "identity": rule.model,
        "mirror": mirror,
        "curve": rule.curve.kind,
        "held_out": {
            kind: {
                "log_loss": round(held.log_loss, 6), "ece": round(held.ece, 6),
                "mated": held.mated, "non_mated": held.non_mated,
            }
            for kind, held in found.held.items()
        },
        "default_fmr": rule.default_fmr,
        "band": rule.band,
        "points": [
            {
                "fmr": point.fmr, "threshold": point.threshold, "low": point.low, "high": point.high,
                "fnmr": point.fnmr, "fnmr_low": point.fnmr_low, "fnmr_high": point.fnmr_high,
            }
            for point in rule.points
        ],
        "left_out": list(found.left_out),
        "subjects": found.subjects,
        "pictures": found.templates + sum(one.failed.values()),
        "failures": {"pictures": sum(one.failed.values()), "rate": round(one.failures.value, 6),
                     "low": round(one.failures.low, 6), "high": round(one.failures.high, 6), "reasons": one.failed},
        "poor": one.poor,
        "mated": found.mated,
        "non_mated": found.non_mated,
        "couples": found.couples,
        "notes": list(one.notes),
    }  # fmt: skip


def _print(name: str, target: Path, sample: Sample, found: Mapping[bool, Calibration], report: Path | None) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    out = console()
    for mirror, one in found.items():
        rule, measured = one.found.rule, one.found
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", justify="right")
        grid.add_column()
        grid.add_row("", Text(f"{name}, mirror image {'added' if mirror else 'left out'}", style="bold"))
        failed = sum(one.failed.values())
        why = "".join(f", {count} {reason}" for reason, count in one.failed.items())
        grid.add_row(
            "measured on",
            Text(
                f"{sample.name}: {measured.templates + failed:,} pictures of {measured.subjects:,} persons; "
                f"{measured.mated:,} mated and {measured.non_mated:,} non-mated pairs"
            ),
        )
        grid.add_row(
            "no template",
            f"{failed:,} of {measured.templates + failed:,} pictures{why} "
            f"[dim](95%: {percent(one.failures.low)} to {percent(one.failures.high)}; "
            f"{one.poor:,} poor faces count all the same)[/dim]",
        )
        for kind, held in measured.held.items():
            kept = " [bold]kept[/bold]" if kind == rule.curve.kind else ""
            grid.add_row(
                kind, f"held-out log loss {held.log_loss:.4f}, calibration error (ECE) {100 * held.ece:.2f}%{kept}"
            )
        if rule.band is not None:
            grid.add_row("band", f"inconclusive below {percent(rule.band)}")
        out.print(Padding(grid, (1, 1, 0, 1), expand=False))
        table = Table(
            "FMR", "threshold", "95% interval", "FNMR", "95% interval", box=None, padding=(0, 2), header_style="dim"
        )
        for point in rule.points:
            table.add_row(
                scientific(point.fmr) + (" (default)" if point is rule.point() else ""),
                f"{point.threshold:.4f}",
                f"{point.low:.4f} to {point.high:.4f}",
                percent(point.fnmr),
                f"{percent(point.fnmr_low)} to {percent(point.fnmr_high)}",
            )
        out.print(Padding(table, (1, 1, 0, 1), expand=False))
        for note in (*_left_out(one), *one.notes):
            style = "bold red" if note.startswith("LEAK") else "yellow"
            out.print(Padding(Text(f"note: {printable(note)}", style=style), (0, 3), expand=False))
    out.print(Padding(Text(f"written: {shown(target)}"), (1, 3, 0, 3)), soft_wrap=True)
    if report is not None:
        out.print(Padding(Text(f"diagrams: {shown(report)}"), (0, 3)), soft_wrap=True)


def _left_out(one: Calibration) -> list[str]:
    return [
        f"no operating point for FMR {scientific(target)}: it takes {ENOUGH / target:,.0f} couples of persons, "
        f"here are {one.found.couples:,}"
        for target in one.found.left_out
    ]
