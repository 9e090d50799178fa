"""Figures of a measurement: ROC, DET, histograms, sweeps, rank curves, rates by group, reliability.

Every function returns a matplotlib `Figure` that belongs to no window and touches no global state; `save_figure`
writes it. Raises TwinFaceError where matplotlib is not installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from twinface.evaluation.curves import ErrorCurve
from twinface.evaluation.rate_plots import cmc, fnir, group_rates, reliability
from twinface.evaluation.scores import Scores
from twinface.evaluation.style import (
    BLUE,
    DECADES,
    GREEN,
    INK,
    LINES,
    PALE,
    VERMILION,
    begin,
    counted,
    curve_name,
    dress,
    figure_of,
    label,
    legend,
    line_of_threshold,
    percent,
    probit,
    save_figure,
    styles,
    thinned,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "cmc", "det", "distance_histogram", "fnir", "group_rates", "reliability", "roc", "save_figure",
    "threshold_sweep",
]  # fmt: skip

PROBIT_TICKS = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)


@figure_of
def roc(curves: Mapping[str, ErrorCurve], *, pairs: tuple[int, int] | None = None) -> Figure:
    """TAR over FMR, the FMR on a log axis down to one false match among the pairs, at most to 1e-6.

    Args:
        curves: by name; a single one has its TAR written at FMR 1e-2, 1e-3 ... as far as pairs reach.
        pairs: how many mated and non-mated ones, for the headline.
    """
    figure = begin("ROC: true accept rate over false match rate", counted(pairs))
    axes = figure.add_subplot()
    left = _least([curve.fmr for curve in curves.values()])
    least = 1.0
    for (name, curve), (colour, dash) in zip(curves.items(), styles(len(curves)), strict=True):
        tar = 1 - curve.fnmr
        start = max(0, int(np.searchsorted(curve.fmr, left, side="right")) - 1)
        x, y = np.maximum(curve.fmr[start:], left), tar[start:]
        chosen = thinned(np.log10(x), y)
        shown = curve_name(name) if len(curves) > 1 else None
        axes.plot(x[chosen], y[chosen], color=colour, linestyle=dash, linewidth=1.8, label=shown, clip_on=False)
        least = min(least, float(y[0]))
    bottom = max(0.0, np.floor((least - 0.02 - 0.25 * (1 - least)) * 20) / 20)
    axes.set(xscale="log", xlim=(left, 1), ylim=(bottom, 1.0))
    if len(curves) == 1:
        (curve,) = curves.values()
        for target in (rate for rate in DECADES if left < rate < 0.1):
            tar_there = curve.tar(target)
            axes.plot(target, tar_there, "o", color=BLUE, markersize=4.5, markeredgecolor="white")
            label(axes, target, tar_there, f"{100 * tar_there:.1f}%", shift=(5, -9))
    dress(axes, "FMR", "TAR (1 \N{MINUS SIGN} FNMR)")
    axes.set_xticks([rate for rate in DECADES if rate >= left], [_power(rate) for rate in DECADES if rate >= left])
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
    legend(axes, "lower right")
    return figure


@figure_of
def det(curves: Mapping[str, ErrorCurve], *, pairs: tuple[int, int] | None = None) -> Figure:
    """FNMR over FMR, both on normal-deviate axes: the lower left the better; dots where both are equal."""
    figure = begin("DET: false non-matches against false matches", counted(pairs), 5.4)
    axes = figure.add_subplot()
    left = _least([curve.fmr for curve in curves.values()])
    bottom = _least([curve.fnmr for curve in curves.values()])
    right, top = 0.5, 0.5
    drawn = False
    for (name, curve), (colour, dash) in zip(curves.items(), styles(len(curves)), strict=True):
        fmr, fnmr = curve.fmr.clip(left / 2, 0.9), curve.fnmr.clip(bottom / 2, 0.9)
        seen = (curve.fmr >= left) & (curve.fmr <= right) & (curve.fnmr >= bottom) & (curve.fnmr <= top)
        drawn |= bool(seen.any())
        x, y = probit(fmr), probit(fnmr)
        chosen = thinned(x, y)
        eer = curve.eer()
        shown = f"{curve_name(name)}: EER {percent(eer)}" if len(curves) > 1 else None
        axes.plot(x[chosen], y[chosen], color=colour, linestyle=dash, linewidth=1.8, label=shown)
        if max(left, bottom) <= eer < 0.4:
            place = float(probit(eer))
            axes.plot(place, place, "o", color=colour, markersize=5, markeredgecolor="white")
            if shown is None:
                label(axes, place, place, f"EER {percent(eer)}", shift=(7, 7))
    ends = probit([left, right]), probit([bottom, top])
    axes.plot([-6, 6], [-6, 6], color=PALE, linewidth=1, zorder=0)
    axes.set(xlim=tuple(ends[0]), ylim=tuple(ends[1]))
    if not drawn:
        words = "at no threshold both error rates lie within this figure"
        axes.text(0.5, 0.4, words, transform=axes.transAxes, ha="center", color=INK)
    dress(axes, "FMR", "FNMR")
    for set_ticks, low in ((axes.set_xticks, left), (axes.set_yticks, bottom)):
        ticks = [rate for rate in PROBIT_TICKS if low <= rate <= 0.5]
        set_ticks(probit(ticks), [percent(rate) for rate in ticks])
    legend(axes, "upper right")
    return figure


@figure_of
def distance_histogram(scores: Scores, threshold: float | None = None) -> Figure:
    """How distances of mated and of non-mated pairs are spread, each kind with area one.

    Args:
        scores: failures to acquire have no distance; they are counted in the headline.
        threshold: drawn as an upright line.
    """
    known = ~np.isnan(scores.distances)
    missing = f"; {scores.failures:,} without a distance (failure to acquire)" if scores.failures else ""
    mated, non_mated = scores.distances[known & scores.mated], scores.distances[known & ~scores.mated]
    figure = begin("Distances of mated and non-mated pairs", f"{scores.distances.size:,} pairs{missing}", 3.9)
    axes = figure.add_subplot()
    every = [float(end) for part in (mated, non_mated) if part.size for end in (part.min(), part.max())]
    every += [] if threshold is None else [threshold]
    low, high = (min(every), max(every)) if every else (0.0, 2.0)
    room = max(0.02, 0.03 * (high - low))
    low, high = max(0.0, low - room), min(2.0, high + room)
    tallest = 0.0
    for part, colour, name, dash in ((mated, BLUE, "mated", "-"), (non_mated, VERMILION, "non-mated", (0, (4, 1)))):
        if not part.size:
            continue
        bars = int(np.clip(np.sqrt(part.size), 12, 90))
        density, edges = np.histogram(part, bars, (low, high), density=True)
        axes.stairs(density, edges, fill=True, color=colour, alpha=0.25)
        axes.stairs(density, edges, color=colour, linewidth=1.5, linestyle=dash, label=f"{part.size:,} {name}")
        tallest = max(tallest, float(density.max()))
    axes.set(xlim=(low, high), ylim=(0, 1.18 * (tallest or 1.0)))
    dress(axes, "distance (smaller: more alike)", "density")
    axes.grid(visible=False, axis="x")
    if threshold is not None:
        line_of_threshold(axes, threshold)
    legend(axes)
    return figure


@figure_of
def threshold_sweep(
    curve: ErrorCurve, threshold: float | None = None, *, pairs: tuple[int, int] | None = None
) -> Figure:
    """FMR, FNMR and accuracy over the threshold.

    Args:
        curve: error rates at every threshold.
        threshold: the deployed one, drawn as an upright line.
        pairs: mated and non-mated ones; without them both kinds weigh the same in the accuracy.
    """
    figure = begin("What the threshold costs", counted(pairs) or "accuracy with both kinds of pairs weighing the same")
    axes = figure.add_subplot()
    share = 0.5 if pairs is None else pairs[0] / max(1, sum(pairs))
    x = curve.thresholds[1:]
    kinds = ((curve.fmr[1:], VERMILION, LINES[1][1], "FMR"), (curve.fnmr[1:], BLUE, LINES[0][1], "FNMR"))
    accuracy = 1 - share * curve.fnmr[1:] - (1 - share) * curve.fmr[1:]
    for y, colour, dash, name in (*kinds, (accuracy, GREEN, LINES[2][1], "accuracy")):
        chosen = thinned(x, y)
        looks = {"color": colour, "linestyle": dash, "linewidth": 1.8, "drawstyle": "steps-post"}
        axes.plot(x[chosen], y[chosen], label=name, **looks)
    ends = [float(x[0]), float(x[-1])] if x.size else [0.0, 2.0]
    ends += [] if threshold is None else [threshold]
    room = max(0.01, 0.02 * (max(ends) - min(ends)))
    axes.set(xlim=(max(0.0, min(ends) - room), min(2.0, max(ends) + room)), ylim=(0, 1.14))
    dress(axes, "threshold (distances at or below it match)", "share of pairs")
    axes.set_yticks(np.linspace(0, 1, 6), [f"{share}%" for share in range(0, 101, 20)])
    if threshold is not None:
        line_of_threshold(axes, threshold)
    legend(axes)
    return figure


def _least(rates: Sequence[np.ndarray[tuple[int], np.dtype[np.float64]]]) -> float:
    """The decade at or below the smallest rate that occurs and is not zero, from 1e-6 to 1e-2."""
    smallest = min((float(values[values > 0].min()) for values in rates if (values > 0).any()), default=1e-3)
    return float(np.clip(10.0 ** np.floor(np.log10(smallest) + 1e-9), 1e-6, 1e-2))


def _power(rate: float) -> str:
    """1e-3 as it is set in formulas; 1 as it is."""
    return "1" if rate == 1 else f"$10^{{{round(np.log10(rate))}}}$"
