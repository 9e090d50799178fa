"""Draws how a run went: loss and accuracy, training and validation, as one picture that anybody can read."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twinface.core.files import write_atomically
from twinface.evaluation.style import (
    BLUE,
    GREY,
    INK,
    LINES,
    VERMILION,
    begin,
    dress,
    figure_of,
    legend,
    own_style,
    thinned,
)
from twinface.training.metrics import Row, read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (8.0, 3.9)
RESOLUTION = 200
"""Inches and dots per inch: 1600 x 780 pixels."""

HEAD = 0.76
"""Inches for headline, summary and legend."""

KINDS = (("train", "training", BLUE, LINES[0][1]), ("validation", "validation", VERMILION, LINES[1][1]))
"""Phase, name, colour and dash of each curve."""

FEW, MANY = 40, 120
"""Up to so many points each gets a dot; beyond so many a curve is drawn pale under its running mean."""

LEAST = 0.02
"""Share of pairs that the axis of the accuracy spans at least, lest chance look like progress."""

WIDE = 100
"""Factor between the largest and the smallest loss beyond which the axis is logarithmic."""


@dataclass(frozen=True)
class _Curve:
    """One figure of one phase: finite values over epochs or steps, shapes (K,)."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    steps: NDArray[np.int64]

    def at(self, step: int) -> float | None:
        """The value at a step; None where it was not measured."""
        found = np.flatnonzero(self.steps == step)
        return float(self.y[found[-1]]) if found.size else None


def draw_curves(metrics: Path, out: Path, title: str, best: int | None = None) -> None:
    """Draws a run's metrics.csv as a PNG of two panels, loss and accuracy, over epochs or, within the first, steps.

    Args:
        metrics: as `metrics` writes it; figures that are missing or no number are left out.
        out: the picture's path.
        title: headline.
        best: step of the best checkpoint, which is marked; None for the first one of the highest accuracy, on
            validation if that was measured.

    Raises:
        TwinFaceError: matplotlib is not installed.
        DatasetMissing: there are no metrics.
        DatasetCorrupt: the file holds something else.
        OutputError: the picture cannot be written.
    """
    figure = curves_figure(read_metrics(metrics)[1], title, best)
    buffer = io.BytesIO()
    with own_style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # a title in a script the font lacks
        figure.savefig(buffer, format="png", dpi=RESOLUTION, metadata={"Software": "TwinFace"})
    write_atomically(out, lambda file: file.write(buffer.getvalue()))


@figure_of
def curves_figure(rows: Sequence[Row], title: str, best: int | None = None) -> Figure:
    """The figure that `draw_curves` writes; it belongs to no window.

    Raises:
        TwinFaceError: matplotlib is not installed.
    """
    epochs = max((row.epoch for row in rows), default=0.0) >= 1
    loss, accuracy = (
        {phase: _curve(rows, phase, name, epochs) for phase, *_ in KINDS} for name in ("loss", "accuracy")
    )
    best = _best(accuracy) if best is None else best
    figure = begin(title, _summary(rows, loss, accuracy, best), SIZE[1])
    figure.set_size_inches(*SIZE)
    engine = figure.get_layout_engine()
    assert engine is not None  # begin has set it
    engine.set(rect=(0.01, 0.01, 0.98, 0.98 - HEAD / SIZE[1]), wspace=0.07)  # type: ignore[call-arg]
    left, right = figure.subplots(1, 2)
    place = next(((row.epoch if epochs else row.step) for row in rows if row.step == best), None)
    seen = [kind for kind in KINDS if loss[kind[0]].y.size or accuracy[kind[0]].y.size]
    for axes, curves in ((left, loss), (right, accuracy)):
        _draw(axes, curves, seen)
        if best is not None and place is not None:
            _mark(axes, curves, best, place)
    dress(left, "epoch" if epochs else "step", "loss (smaller is better)")
    dress(right, "epoch" if epochs else "step", "accuracy (share of pairs judged right)")
    _scale_loss(left, loss)
    _scale_accuracy(right, accuracy)
    for axes in (left, right):
        places = [float(row.epoch if epochs else row.step) for row in rows]
        _scale_progress(axes, places, whole=not epochs or max(places) >= 2)
    legend(left)
    named = left.get_legend()
    if named is not None:
        named.set_in_layout(False)  # it speaks for both panels and may be wider than one
    return figure


def _curve(rows: Sequence[Row], phase: str, name: str, epochs: bool) -> _Curve:
    chosen = [row for row in rows if row.phase == phase and np.isfinite(row.figures.get(name, np.nan))]
    x = [row.epoch if epochs else row.step for row in chosen]
    return _Curve(
        np.array(x, np.float64),
        np.array([row.figures[name] for row in chosen], np.float64),
        np.array([row.step for row in chosen], np.int64),
    )


def _best(accuracy: dict[str, _Curve]) -> int | None:
    """Step of the first of the highest accuracies on validation, or else on training; None without any."""
    for phase in ("validation", "train"):
        curve = accuracy[phase]
        if curve.y.size:
            return int(curve.steps[curve.y.argmax()])
    return None


def _summary(rows: Sequence[Row], loss: dict[str, _Curve], accuracy: dict[str, _Curve], best: int | None) -> str:
    """What the best checkpoint is and reaches, in words."""
    if not rows:
        return "nothing has been measured yet"
    there = [row for row in rows if row.step == best]
    if best is None or not there:
        return f"{max(row.step for row in rows):,} steps"
    words = f"best checkpoint: epoch {there[0].epoch:.4g}, step {best:,}"
    for phase, name, *_ in reversed(KINDS):
        right, lost = accuracy[phase].at(best), loss[phase].at(best)
        said = [f"accuracy {100 * right:.2f}%"] if right is not None else []
        said += [f"loss {lost:.3g}"] if lost is not None else []
        if said:
            return f"{words}; {name} {', '.join(said)}"
    return words


def _draw(axes: Axes, curves: dict[str, _Curve], kinds: Sequence[tuple[str, str, str, Any]]) -> None:
    """A curve of each kind; one without values is named in the legend all the same, which speaks for both panels."""
    for phase, name, colour, dash in kinds:
        x, y = curves[phase].x, curves[phase].y
        if y.size > MANY:
            chosen = thinned(x, y)
            axes.plot(x[chosen], y[chosen], color=colour, linewidth=0.6, alpha=0.3)
            y, name = _running_mean(y, y.size // 40), f"{name} (running mean)"
        chosen = thinned(x, y)
        dots: dict[str, Any] = {"marker": "o", "markersize": 3.2} if y.size <= FEW else {}
        axes.plot(x[chosen], y[chosen], color=colour, linestyle=dash, linewidth=1.7, label=name, **dots)


def _mark(axes: Axes, curves: dict[str, _Curve], best: int, place: float) -> None:
    """Where the best checkpoint lies, and on the curve of validation, or else of training, a ring."""
    axes.axvline(place, color=GREY, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
    values = (curves[phase].at(best) for phase, *_ in reversed(KINDS))
    value = next((value for value in values if value is not None), np.nan)
    looks: dict[str, Any] = {"markersize": 8, "markeredgewidth": 1.6, "markerfacecolor": "none"}
    axes.plot(place, value, "o", label="best checkpoint", zorder=4, markeredgecolor=INK, **looks)


def _running_mean(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """The mean of each value, up to `reach` before it and as many behind it, as far as there are any."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(values.size)
    before = np.minimum(reach, places)
    behind = np.minimum(before, values.size - 1 - places)
    means: NDArray[np.float64] = (sums[places + behind + 1] - sums[places - before]) / (before + behind + 1)
    return means


def _every(curves: dict[str, _Curve]) -> NDArray[np.float64]:
    return np.concatenate([curve.y for curve in curves.values()])


def _scale_loss(axes: Axes, curves: dict[str, _Curve]) -> None:
    values = _every(curves)
    if not values.size:
        _say_nothing(axes)
        return
    low, high = float(values.min()), float(values.max())
    if low > 0 and high > WIDE * low:
        axes.set_yscale("log")
        axes.set_ylim(low / 1.3, high * 1.3)
    else:
        span = (high - low) or abs(high) or 0.1
        axes.set_ylim(low - 0.06 * span, high + (0.06 if high > low else 1.0) * span)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.6g}")


def _scale_accuracy(axes: Axes, curves: dict[str, _Curve]) -> None:
    from matplotlib.ticker import MaxNLocator

    values = _every(curves)
    if not values.size:
        _say_nothing(axes)
        return
    low, high = float(values.min()), float(values.max())
    high = min(1.0, high + max(0.0, LEAST - (high - low)) / 2)
    low = min(low, high - LEAST)
    room = 0.06 * (high - low)
    axes.set_ylim(low - room, high + room)
    ticks = MaxNLocator(nbins=6, steps=[1, 2, 5, 10]).tick_values(low, high)
    shown = [tick for tick in ticks if low - room <= tick <= min(1.0, high + room) + 1e-9]
    axes.set_yticks(shown, [f"{100 * tick:.4g}%" for tick in shown])


def _scale_progress(axes: Axes, places: Sequence[float], whole: bool) -> None:
    """An axis from the start to the end."""
    from matplotlib.ticker import MaxNLocator

    end = max(places, default=0.0) or 1.0
    axes.set_xlim(-0.03 * end, 1.03 * end)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=whole, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")


def _say_nothing(axes: Axes) -> None:
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", va="center", fontsize=9, color=GREY)
