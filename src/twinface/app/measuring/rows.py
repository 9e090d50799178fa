"""Results as people read them: rows of words, the same on the command line and in the report."""

from __future__ import annotations

from collections.abc import Sequence

from twinface.app.measuring.fairness import FairnessResult
from twinface.app.measuring.figures import Figures
from twinface.app.measuring.folder import FolderResult
from twinface.app.measuring.identify import IdentifyResult
from twinface.app.measuring.lfw import LfwResult
from twinface.core.rates import scientific
from twinface.evaluation.fairness import LEAST_SUBJECTS, Differential
from twinface.evaluation.heterogeneity import LEAST_P
from twinface.evaluation.identification import OpenSet
from twinface.evaluation.intervals import Interval
from twinface.evaluation.report import Table
from twinface.evaluation.verification import Confusion

FIGURES = ("figure", "value", "95% interval or meaning")


def share(value: float | None) -> str:
    """A rate in percent, with as many digits as small ones need: 0.0579 -> "5.79%", 0.00031 -> "0.031%"."""
    if value is None:
        return "unknown"
    if value == 0 or value >= 0.1:
        return f"{value:.1%}" if value else "0"
    digits = 2 if value >= 0.01 else 3 if value >= 0.0001 else 5
    return f"{value:.{digits}%}"


def spread(interval: Interval | None) -> str:
    """The ends of a rate's interval."""
    return "" if interval is None else f"{share(interval.low).rstrip('%')} - {share(interval.high)}"


def lfw_tables(result: LfwResult) -> list[Table]:
    """What `evaluate lfw` shows."""
    rows: list[tuple[str, ...]] = []
    if result.folded is not None:
        folded, pooled = result.folded, result.folded.confusion
        rows.append(("accuracy", f"{folded.mean:.4f} \u00b1 {folded.deviation:.4f}", "mean \u00b1 deviation of folds"))
        rows += [(name, _plain(value), "all folds together") for name, value in _named(pooled)[1:]]
        strict = result.poor
        rows.append(
            ("same, refusing the poor", _plain(strict.accuracy),
             f"{strict.pictures} poor faces, their {strict.pairs} pairs counted as wrong")
        )  # fmt: skip
    rows += _verification_rows(result.figures)
    rows.append(_failures(result.failures, result.failed_pictures, result.pictures))
    tables = []
    judged = [
        (words, *found)
        for words, found in (("deployed", result.at_deployed), ("best on DevTrain", result.at_best))
        if found is not None
    ]
    if judged:
        tables.append(
            Table(
                "At a threshold",
                ("threshold", "distance", "accuracy", "precision", "recall", "F1"),
                tuple((words, f"{at:.4f}", *(_plain(value) for _, value in _named(one))) for words, at, one in judged),
            )
        )
    return [*tables, Table(result.dataset, FIGURES, tuple(rows)), *_deployed_table(result.figures)]


def folder_tables(result: FolderResult) -> list[Table]:
    """What `evaluate folder` shows."""
    figures = result.figures
    rows = [
        ("persons", f"{figures.subjects:,}", f"{len(result.paths):,} pictures"),
        ("pairs", f"{figures.pairs:,}", f"{figures.mated:,} mated, {figures.non_mated:,} non-mated"),
        *_verification_rows(figures),
        _failures(result.failures, len(result.failed), len(result.paths)),
    ]
    if result.suggestion is not None:
        found = result.suggestion
        rows.append(
            (
                f"threshold for FMR {scientific(result.fmr)}",
                f"{found.value:.4f}",
                f"{found.low:.4f} to {found.high:.4f}",
            )
        )
    return [
        Table(result.dataset, FIGURES, tuple(rows)),
        *_deployed_table(figures),
    ]


def identify_tables(result: IdentifyResult) -> list[Table]:
    """What `evaluate identify` shows."""
    rows = tuple(
        (
            f"{one.gallery:,}", share(one.fnir.value), spread(one.fnir), f"{one.threshold:.4f}", share(one.rank1.value),
            share(one.cmc[-1]), f"{one.probes_mated:,}", f"{one.probes_non_mated:,}",
        )
        for one in result.sets
    )  # fmt: skip
    last = len(result.sets[0].cmc)
    header = ("gallery", "FNIR", "95% interval", "threshold", "rank 1", f"rank {last}", "probes", "strangers")
    title = f"{result.dataset}, {result.subjects:,} persons: FNIR at FPIR {result.sets[0].fpir:g}"
    note = (
        f"random galleries: {', '.join(f'{one.draws} of {one.gallery:,}' for one in result.sets)}; one picture a person"
    )
    acquired = (_failures(result.failures, result.failed_pictures, result.pictures),)
    return [Table(title, header, rows, note), *_named_table(result.sets), Table("Acquired", FIGURES, acquired)]


def _named_table(sets: Sequence[OpenSet]) -> list[Table]:
    """What `twinface identify` does with these people; its thresholds come from other data."""
    rows = tuple(
        (
            f"{one.gallery:,}", f"{found.threshold:.4f}", share(found.fpir.value), spread(found.fpir),
            share(found.fnir.value), spread(found.fnir),
        )
        for one in sets
        if (found := one.deployed) is not None
    )  # fmt: skip
    header = ("gallery", "threshold", "FPIR", "95% interval", "FNIR", "95% interval")
    title = f"As twinface identify does it, for FPIR {sets[0].fpir:g}"
    note = "the threshold is the model's for a gallery of this size; it was not fitted here"
    return [Table(title, header, rows, note)] if rows else []


def fairness_tables(result: FairnessResult) -> list[Table]:
    """What `evaluate fairness` shows."""
    tables = []
    at = f"at the threshold for {scientific(result.point.fmr)}"
    for way in result.groupings:
        tables.append(_group_table(f"FMR within groups by {way.name} {at}", "FMR", way.matches))
        if way.non_matches is not None:
            tables.append(_group_table(f"FNMR by {way.name} {at}", "FNMR", way.non_matches))
    if result.ungrouped is not None:
        tables.append(_group_table(f"FNMR of people whose groups nobody tells {at}", "FNMR", result.ungrouped))
    failures = (_failures(result.failures, result.failed_pictures, result.pictures),)
    return [*tables, Table("Acquired", FIGURES, failures)]


def verdict_of(found: Differential) -> str:
    """Ratio and test of a differential in words; "" for one group."""
    if len(found.groups) < 2:
        return ""
    if found.ratio is not None:
        ratio = f"{found.ratio:,.1f}"
    elif found.ratio_at_least is not None:
        ratio = f"at least {found.ratio_at_least:,.1f}"
    elif found.worst is None:
        return f"too few persons to compare the groups: it takes {LEAST_SUBJECTS} in each of two"
    else:
        return "no errors: the groups cannot be told apart"
    words = f"worst / best: {ratio} ({found.worst} / {found.best})"
    if found.p is None:
        return words
    chance = f"p = {found.p:.2g}" if found.p > LEAST_P else f"p < {LEAST_P:g}"
    verdict = "the groups differ" if found.p < 0.05 else "no difference shown"
    return f"{words}; test of equal rates: {chance}, {verdict}"


def _group_table(title: str, name: str, found: Differential) -> Table:
    rows = []
    for one in found.groups:
        known = one.rate is not None and one.low is not None and one.high is not None
        ends = spread(Interval(one.rate, one.low, one.high)) if known else ""  # type: ignore[arg-type]
        few = " (few persons)" if one.small else ""
        rows.append((one.group, f"{one.subjects:,}", f"{one.pairs:,}", f"{one.errors:,}", share(one.rate), ends + few))
    header = ("group", "persons", "pairs", "errors", name, "95% interval")
    return Table(title, header, tuple(rows), verdict_of(found))


def _verification_rows(figures: Figures) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    if figures.auc is not None and figures.eer is not None:
        rows.append(("AUC", f"{figures.auc.value:.5f}", f"{figures.auc.low:.5f} to {figures.auc.high:.5f}"))
        rows.append(("EER", share(figures.eer.value), spread(figures.eer)))
    for target, tar in figures.tar.items():
        words = "too few couples of persons to tell" if tar is None else spread(tar)
        rows.append((f"TAR at FMR {scientific(target)}", "unknown" if tar is None else share(tar.value), words))
    return rows


def _deployed_table(figures: Figures) -> list[Table]:
    rows = [
        (
            scientific(one.target), f"{one.threshold:.4f}", share(one.fmr.value if one.fmr else None), spread(one.fmr),
            share(one.fnmr.value if one.fnmr else None), spread(one.fnmr), share(one.right.value),
        )
        for one in figures.deployed
    ]  # fmt: skip
    if not rows:
        return []
    header = ("for FMR", "threshold", "FMR", "95% interval", "FNMR", "95% interval", "right")
    return [Table("What its operating points do here", header, tuple(rows))]


def _failures(found: Interval, failed: int, pictures: int) -> tuple[str, ...]:
    return ("failure to acquire", f"{failed:,} of {pictures:,} pictures", spread(found))


def _named(found: Confusion) -> list[tuple[str, float | None]]:
    return [
        ("accuracy", found.accuracy), ("precision", found.precision), ("recall", found.recall), ("F1", found.f1),
    ]  # fmt: skip


def _plain(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4f}"
