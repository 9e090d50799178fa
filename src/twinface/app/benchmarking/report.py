"""The benchmark's table for people, in Markdown, and for machines."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from twinface.app.benchmarking.benchmark import Benchmark, Line
from twinface.app.benchmarking.peers import UNMEASURED
from twinface.app.benchmarking.spread import Spread
from twinface.app.machine import cores, processor, versions
from twinface.evaluation.intervals import Interval

Cell = tuple[str, str]
"""What a cell says, and beneath it how sure that is."""

HEADER: tuple[Cell, ...] = (
    ("system", ""), ("accuracy", ""), ("difference", "points"), ("p", ""), ("TAR at", "FMR 1e-3"), ("no", "face"),
    ("detect", ""), ("encode", ""), ("peak", "memory"), ("weights", ""),
)  # fmt: skip
"""Names of the columns, on two lines where there is little room."""

SPEED = 6
"""The column with which cost begins; all before it but the name are of accuracy."""

TARGET = 1e-3
"""The FMR of the table's TAR; JSON has the others."""

PACKAGES = (
    "twinface", "numpy", "onnxruntime", "opencv-python-headless", "pillow", "dlib-bin", "face_recognition_models",
)  # fmt: skip

NONE = ("-", "")


def cells(line: Line, first: bool) -> tuple[Cell, ...]:
    """One system's line of the table, as `HEADER`; the first one is the reference of the differences."""
    name = (line.name, line.detail)
    if line.accuracy is None or line.cost is None:
        return ((line.name, (line.missing or "").partition(" (")[0]), *[NONE] * (len(HEADER) - 1))
    found, cost = line.accuracy, line.cost
    tar = None if found.figures is None else found.figures.tar.get(TARGET)
    difference, p = NONE, NONE
    if found.difference is not None:
        gap = found.difference
        difference = (f"{100 * gap.value:+.2f}", f"{100 * gap.low:+.2f} to {100 * gap.high:+.2f}")
        p = (f"{gap.p:.3f}" if gap.p >= 0.001 else "< 0.001", "")
    elif first and found.right is not None:
        difference = ("reference", "")
    return (
        name,
        NONE if found.folded is None else (f"{found.folded.mean:.2%}", f"\u00b1 {100 * found.folded.deviation:.2f}"),
        difference,
        p,
        ("-", "too few pairs") if tar is None else (f"{tar.value:.1%}", f"{100 * tar.low:.1f} to {100 * tar.high:.1f}"),
        (f"{found.failures:,}", f"else {found.where_acquired:.2%}" if found.failures and found.where_acquired else ""),
        _time(cost.detect),
        NONE if cost.encode is None else _time(cost.encode),
        NONE if cost.memory is None else (f"{cost.memory / 1e6:.0f} MB", ""),
        (f"{cost.disk / 1e6:.1f} MB", ""),
    )


def rows(found: Benchmark) -> list[tuple[Cell, ...]]:
    """All lines of the table; a quick run has no reference, as it tells no differences."""
    told = found.plan.pairs is None
    return [cells(line, told and place == 0) for place, line in enumerate(found.lines)]


def _time(found: Spread) -> Cell:
    return f"{found.median:.1f} ms", f"{found.low:.1f}-{found.high:.1f}"


def remarks(found: Benchmark) -> list[str]:
    """How to read the table, and what to beware of."""
    plan = found.plan
    lines = [
        f"{found.dataset}, View 2: {found.pairs:,} pairs of {found.pictures:,} pictures, the same for all; "
        f"{found.timed} of the pictures timed, {plan.rounds} rounds turn about, one process at work at a time, "
        f"{plan.threads} thread{'s' if plan.threads != 1 else ''} each.",
        "accuracy: mean and standard deviation over the folds, each judged by the threshold best on the others; of "
        "several faces the central one counts, whatever its quality; a picture with no face is an error of its pairs, "
        "and beneath their number stands the accuracy on all other pairs.",
        "difference: to the first line, with its 95% interval; it, p and the interval of TAR come from resampling "
        "persons.",
        "detect, encode: median of a picture, and the range of 80%; decoding not included. TwinFace's detect finds "
        "landmarks, cuts and judges all crops too, face_recognition's encode finds landmarks and cuts its crop.",
        "peak memory: of a process that did nothing else; weights: of the files it needs, libraries not included.",
        "What a network was trained on is told by its maker or nobody: TwinFace's cards say it, for others LFW's "
        "persons may have been among it.",
    ]
    if plan.pairs is not None:
        lines.insert(
            0,
            "QUICK: with so few pairs the accuracies are uncertain and so are the thresholds they are reached with: no "
            "difference is told; run it without --quick for a verdict.",
        )
    if any(line.cost is not None and line.cost.busy for line in found.lines):
        lines.insert(0, "The machine was BUSY with other work: the times are too long, their ratios say more.")
    return lines + list(found.notes)


def absent(found: Benchmark) -> dict[str, str]:
    """Systems that were not measured, and why."""
    return {line.name: line.missing for line in found.lines if line.missing is not None} | dict(UNMEASURED)


def machine() -> dict[str, Any]:
    """Where and when it was measured."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cpu": processor(),
        "cores": cores(),
        "python": platform.python_version(),
        "packages": versions(PACKAGES),
    }


def machine_words(facts: Mapping[str, Any]) -> str:
    """The same in a line."""
    packages = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    count = facts["cores"]
    return (
        f"{facts['date']}: {facts['machine']}, {count} core{'s' if count != 1 else ''} of {facts['cpu']}; "
        f"Python {facts['python']}, {packages}"
    )


def to_markdown(found: Benchmark, facts: Mapping[str, Any]) -> str:
    """A page with the table."""
    table = [tuple(" ".join(name).strip() for name in HEADER), ("---",) + ("---:",) * (len(HEADER) - 1)]
    for row in rows(found):
        (name, detail), *rest = row
        table.append((f"{name}, {detail}", *map(_joined, rest)))
    return "\n".join(
        [
            "# Benchmark: TwinFace and others",
            "",
            *("| " + " | ".join(_plain(cell) for cell in row) + " |" for row in table),
            "",
            *(f"- {_plain(line)}" for line in remarks(found)),
            "",
            "Not measured:",
            "",
            *(f"- **{_plain(name)}** {_plain(why)}" for name, why in absent(found).items()),
            "",
            _plain(machine_words(facts)),
            "",
        ]
    )


def _joined(cell: Cell) -> str:
    upper, lower = cell
    return f"{upper} ({lower})" if lower and not lower.startswith("\u00b1") else f"{upper} {lower}".rstrip()


def _plain(text: str) -> str:
    """Text that is no Markdown."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("_", "\\_").replace("*", "\\*").replace("<", "&lt;")


def to_json(found: Benchmark, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Everything, None where nothing is known; times in milliseconds, sizes in bytes, rates as fractions."""
    return {
        "dataset": found.dataset,
        "protocol": "view2",
        "quick": found.plan.pairs is not None,
        "pairs": found.pairs,
        "pictures": found.pictures,
        "timed_pictures": found.timed,
        "rounds": found.plan.rounds,
        "threads": found.plan.threads,
        "systems": [_system(line) for line in found.lines],
        "not_measured": dict(UNMEASURED),
        "machine": dict(facts),
        "notes": remarks(found),
        "seconds": round(found.seconds, 1),
    }


def _system(line: Line) -> dict[str, Any]:
    accuracy, cost = line.accuracy, line.cost
    folded = None if accuracy is None else accuracy.folded
    figures = None if accuracy is None else accuracy.figures
    return {
        "name": line.name,
        "detail": line.detail,
        "missing": line.missing,
        "accuracy": None if folded is None else folded.mean,
        "accuracy_std": None if folded is None else folded.deviation,
        "accuracy_where_acquired": None if accuracy is None else accuracy.where_acquired,
        "folds": None if folded is None else list(folded.folds),
        "difference": None if accuracy is None or accuracy.difference is None else asdict(accuracy.difference),
        "eer": None if figures is None else _interval(figures.eer),
        "auc": None if figures is None else _interval(figures.auc),
        "tar": None if figures is None else {f"{fmr:g}": _interval(one) for fmr, one in figures.tar.items()},
        "failures": None if accuracy is None else accuracy.failures,
        "failed_pairs": None if accuracy is None else accuracy.failed_pairs,
        "detect_ms": None if cost is None else asdict(cost.detect),
        "encode_ms": None if cost is None or cost.encode is None else asdict(cost.encode),
        "peak_memory_bytes": None if cost is None else cost.memory,
        "size_on_disk_bytes": None if cost is None else cost.disk,
        "machine_busy": None if cost is None else cost.busy,
    }


def _interval(found: Interval | None) -> dict[str, float] | None:
    return None if found is None else asdict(found)
