"""Figures of rates: by rank, by size of the gallery, by group, by predicted probability; see `plots`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from twinface.core.rates import scientific
from twinface.evaluation.style import (
    BLUE,
    DECADES,
    GREY,
    INK,
    VERMILION,
    begin,
    curve_name,
    dress,
    figure_of,
    label,
    legend,
    percent,
    plain,
    styles,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from twinface.evaluation.reliability import ReliabilityBin

Row = tuple[str, float, float, float]
"""A name, a rate and the ends of its 95% interval."""


@figure_of
def cmc(curves: Mapping[str, Sequence[float]], *, probes: int | None = None) -> Figure:
    """Identification rate over rank: how often the right person is among the nearest so many.

    Args:
        curves: by name, rates at rank 1, 2 ...
        probes: mated probes, for the headline.
    """
    figure = begin("CMC: right person among the nearest", f"{probes:,} mated probes" if probes else "")
    axes = figure.add_subplot()
    ranks = max((len(rates) for rates in curves.values()), default=1)
    least = 1.0
    for (name, rates), (colour, dash) in zip(curves.items(), styles(len(curves)), strict=True):
        if not len(rates):
            continue
        shown = f"{curve_name(name)}: {percent(rates[0])} at rank 1"
        style = {"color": colour, "linestyle": dash, "linewidth": 1.8, "label": shown, "clip_on": False}
        axes.plot(range(1, len(rates) + 1), rates, marker="o" if len(rates) <= 20 else None, markersize=4, **style)
        least = min(least, *rates)
    bottom = min(0.99, max(0.0, np.floor((least - 0.3 * (1 - least)) * 100) / 100))
    axes.set(xlim=(1, max(2, ranks)), ylim=(bottom, 1.0))
    if ranks > 30:
        axes.set_xscale("log")
    dress(axes, "rank", "identification rate")
    steps = range(1, 11) if ranks <= 10 else (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
    ticks = [rank for rank in steps if rank <= max(2, ranks)]
    axes.set_xticks(ticks, [f"{rank:,}" for rank in ticks], minor=False)
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
    legend(axes, "lower right")
    return figure


@figure_of
def fnir(title: str, rows: Sequence[tuple[int, float, float, float]]) -> Figure:
    """FNIR over the size of the gallery, with 95% intervals.

    Args:
        title: headline; says at which FPIR.
        rows: gallery size, FNIR and its interval's ends.
    """
    figure = begin(title, "share of mated probes not found, with 95% intervals", 3.7)
    axes = figure.add_subplot()
    ordered = sorted(rows)
    sizes = [size for size, *_ in ordered]
    axes.plot(sizes, [rate for _, rate, _, _ in ordered], color=BLUE, linewidth=1, alpha=0.5)
    for size, rate, low, high in ordered:
        axes.plot([size, size], [low, high], color=BLUE, linewidth=1.6, solid_capstyle="butt")
        axes.plot(size, rate, "o", color=BLUE, markersize=6, markeredgecolor="white")
        label(axes, size, rate, percent(rate), shift=(7, -8))
    top = max([high for *_, high in ordered] or [1.0]) or 1.0
    axes.set(xscale="log", ylim=(0, 1.12 * top))
    if sizes:
        axes.set_xlim(min(sizes) / 1.5, max(sizes) * 1.9)
    dress(axes, "persons in the gallery", "FNIR")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
    return figure


@figure_of
def group_rates(title: str, rows: Sequence[Row], *, target: float | None = None, rate: str = "FMR") -> Figure:
    """Rates by group with their 95% intervals on a log axis; a rate of zero is an arrow down from its upper bound.

    Args:
        title: headline.
        rows: from the top: group, rate and its interval's ends.
        target: a rate to compare with, drawn as an upright line.
        rate: what is shown, for the axis.
    """
    figure = begin(title, f"{rate} within each group, with 95% intervals; log scale", 1.35 + 0.3 * max(2, len(rows)))
    axes = figure.add_subplot()
    seen = [value for _, *values in rows for value in values if value > 0] + ([target] if target else [])
    left = 10.0 ** np.floor(np.log10(min(seen, default=1e-3) * 0.99))
    right = min(1.0, 10.0 ** np.ceil(np.log10(max(seen, default=1.0))))
    left = min(max(left, 1e-7), right / 10)
    axes.set(xscale="log", xlim=(left, right), ylim=(len(rows) - 0.4, -0.6))
    for place, (_, value, low, high) in enumerate(rows):
        if value > 0:
            axes.plot([max(low, left), high], [place, place], color=BLUE, linewidth=1.8, solid_capstyle="butt")
            axes.plot(value, place, "o", color=BLUE, markersize=6, markeredgecolor="white", clip_on=False)
        else:
            end = max(high, 1.3 * left)
            arrow = {"arrowstyle": "-|>,head_width=0.22", "color": VERMILION, "linewidth": 1.4, "shrinkA": 0}
            axes.annotate("", (left, place), (end, place), arrowprops=arrow)
            axes.plot(end, place, "|", color=VERMILION, markersize=9, markeredgewidth=1.6)
    if target:
        axes.axvline(target, color=INK, linewidth=1, linestyle=(0, (4, 2)), zorder=0.5)
        axes.text(
            target, 1.0, f"target {scientific(target)}", transform=axes.get_xaxis_transform(), fontsize=8.5,
            color=INK, ha="center", va="bottom",
        )  # fmt: skip
    dress(axes, f"{rate}", "")
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_yticks(range(len(rows)), [plain(name, 30) for name, *_ in rows])
    axes.tick_params(axis="y", length=0)
    ticks = [decade for decade in DECADES if left <= decade * 1.001 and decade <= right * 1.001]
    every = 1 + len(ticks) // 6
    ticks = ticks[(len(ticks) - 1) % every :: every]
    axes.set_xticks(ticks, [percent(decade) for decade in ticks])
    values = axes.secondary_yaxis("right")
    words = [percent(value) if value > 0 else f"0 (< {percent(high)})" for _, value, _, high in rows]
    values.set_yticks(range(len(rows)), words)
    values.tick_params(length=0, labelsize=8.5, colors=INK, pad=8)
    values.spines["right"].set_visible(False)
    return figure


@figure_of
def reliability(bins: Sequence[ReliabilityBin]) -> Figure:
    """Observed share of mated pairs over the predicted probability, above how many pairs each bin holds."""
    total = sum(one.pairs for one in bins)
    figure = begin(
        "Do the probabilities hold?",
        f"{total:,} pairs, both kinds weighing the same; 95% intervals; dashed: where all should lie",
        5.4,
    )
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 2)))
    for one in bins:
        axes.plot([one.predicted] * 2, [one.observed_low, one.observed_high], color=BLUE, linewidth=1.8)
        axes.plot(one.predicted, one.observed, "o", color=BLUE, markersize=6, markeredgecolor="white", clip_on=False)
        below.bar((one.low + one.high) / 2, one.pairs, 0.9 * (one.high - one.low), color=BLUE, alpha=0.45)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    below.set(yscale="log", ylim=(0.5, 3 * max([one.pairs for one in bins] or [1])))
    dress(axes, "", "observed share of mated pairs")
    dress(below, "predicted probability", "pairs")
    below.grid(visible=False, axis="x")
    below.set_yticks([], minor=True)
    return figure
