"""How every figure looks, and how it is written: quiet, in colours that all eyes and grey printers tell apart."""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twinface.core.files import reason, write_atomically
from twinface.core.wording import shorten
from twinface.errors import TwinFaceError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, VERMILION, GREEN, PURPLE, OCHRE = "#0072B2", "#D55E00", "#009E73", "#A8518A", "#C98A00"
"""After M. Okabe, K. Ito, "Color universal design" (2008), the lighter ones darkened for thin lines on white."""

Words = ParamSpec("Words")

LINES: Sequence[tuple[str, Any]] = (
    (BLUE, "-"),
    (VERMILION, (0, (5, 1.5))),
    (GREEN, (0, (1, 1))),
    (PURPLE, "-."),
    (OCHRE, (0, (7, 1, 1, 1, 1, 1))),
)
"""Colour and dash of the first curve, the second and so on."""

DECADES = tuple(10.0**power for power in range(-7, 1))
"""Ticks of a log axis of rates."""

INK, GREY, PALE = "#222222", "#6B6B6B", "#E4E4E4"

WIDTH = 6.4
"""Inches: fits a page of A4 between its margins at full size."""

RESOLUTION = 160
"""Dots per inch of PNG files."""

MOST_POINTS = 2000
"""Points of a drawn curve; more cannot be seen."""

LONGEST_NAME = 30
"""Characters of a curve's or group's name; longer ones are shortened in their middle."""


@contextmanager
def own_style() -> Iterator[None]:
    """Matplotlib as its makers set it, whatever the reader's files, folder or program say; all is put back after.

    Raises:
        TwinFaceError: matplotlib is not installed, or a settings file keeps it from loading.
    """
    try:
        import matplotlib.figure
    except ImportError as error:
        raise TwinFaceError('figures need matplotlib; install it with: pip install "twinface[evaluate]"') from error
    except (OSError, ValueError) as error:
        raise TwinFaceError(
            f"matplotlib cannot be loaded ({reason(error)}); move a broken matplotlibrc out of its way"
        ) from error
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"svg.hashsalt": "twinface", "svg.fonttype": "path"})
        yield


def figure_of(draw: Callable[Words, Figure]) -> Callable[Words, Figure]:
    """Makes a function that draws do so in `own_style`: texts take their looks when they are made."""

    @functools.wraps(draw)
    def drawn(*words: Words.args, **named: Words.kwargs) -> Figure:
        with own_style():
            return draw(*words, **named)

    return drawn


def begin(title: str, subtitle: str, height: float = 4.4) -> Figure:
    """An empty figure under a headline; called within `own_style`.

    Args:
        title: what it shows.
        subtitle: of how much.
        height: of the whole figure, in inches.
    """
    from matplotlib.figure import Figure

    head = 0.56 / height
    figure = Figure(figsize=(WIDTH, height), dpi=RESOLUTION, facecolor="white", layout="constrained")
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(rect=(0.01, 0.01, 0.98, 0.98 - head))  # type: ignore[call-arg]
    figure.text(0.022, 1 - 0.10 / height, plain(title, 60), fontsize=11.5, weight="bold", color=INK, va="top")
    figure.text(0.022, 1 - 0.33 / height, plain(subtitle, 95), fontsize=8.5, color=GREY, va="top")
    return figure


def dress(axes: Axes, x: str, y: str) -> None:
    """Names the axes and takes away what is not needed."""
    axes.set_facecolor("white")
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=9, color=INK)
    axes.tick_params(which="major", labelsize=8.5, colors=INK, color=GREY, length=3, width=0.6)
    axes.tick_params(which="minor", color=PALE, length=2, width=0.6)
    axes.grid(visible=True, which="major", color=PALE, linewidth=0.7)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(GREY)
        spine.set_linewidth(0.7)


def label(axes: Axes, x: float, y: float, text: str, *, colour: str = INK, shift: tuple[float, float] = (0, 0)) -> None:
    """Writes beside a point, `shift` points of print away; away from it on the side it is shifted to."""
    side = "left" if shift[0] > 0 else "right" if shift[0] < 0 else "center"
    level = "center" if shift[0] else "bottom" if shift[1] >= 0 else "top"
    axes.annotate(
        plain(text), (x, y), shift, textcoords="offset points", ha=side, va=level, fontsize=8.5, color=colour,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8},
    )  # fmt: skip


def legend(axes: Axes, place: str | None = None) -> None:
    """Lists the axes' labelled curves, where there are some: in a corner that is free, or in a row above the axes."""
    handles, names = axes.get_legend_handles_labels()
    if not names:
        return
    looks: dict[str, Any] = {"fontsize": 8.5, "framealpha": 0.9, "edgecolor": "none", "handlelength": 2.8, "loc": place}
    if place is None:
        looks |= {
            "loc": "lower left",
            "bbox_to_anchor": (0, 1),
            "ncols": 3,
            "borderaxespad": 0,
            "columnspacing": 1.6,
            "borderpad": 0.2,
        }
    axes.legend(handles, names, **looks)


def line_of_threshold(axes: Axes, threshold: float, word: str = "threshold") -> None:
    """A dashed upright at a threshold, named at its top."""
    low, high = axes.get_xlim()
    axes.axvline(threshold, color=INK, linewidth=1, linestyle=(0, (4, 2)))
    right = threshold < (low + high) / 2
    axes.annotate(
        f"{word} {threshold:.3f}", (threshold, 1), (5 if right else -5, -3), xycoords=("data", "axes fraction"),
        textcoords="offset points", ha="left" if right else "right", va="top", fontsize=8.5, color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8},
    )  # fmt: skip


def styles(count: int) -> list[tuple[str, Any]]:
    """Colours and dashes for so many curves; they repeat after the fifth."""
    return [LINES[place % len(LINES)] for place in range(count)]


def plain(text: str, longest: int = 60) -> str:
    """Text that is drawn as it is: no formulas, no line breaks, shortened in its middle."""
    flat = "".join(letter if letter.isprintable() else " " for letter in text).strip()
    return shorten(flat, lambda part: len(part) <= longest).replace("$", r"\$")


def curve_name(text: str) -> str:
    """A name for a legend, which leaves out names that begin with an underscore."""
    name = plain(text, LONGEST_NAME)
    return f"\u200a{name}" if name.startswith("_") else name


def percent(rate: float) -> str:
    """A rate in as few digits as tell it: 0.315 -> "31.5%", 0.05 -> "5%", 0.00031 -> "0.031%"."""
    if rate == 0:
        return "0"
    text = f"{100 * rate:.1f}" if rate >= 0.0995 else f"{float(f'{100 * rate:.2g}'):.12f}".rstrip("0")
    return f"{text.removesuffix('.0').rstrip('.')}%"


def counted(pairs: tuple[int, int] | None) -> str:
    """How many mated and non-mated pairs, in words; empty when it is not known."""
    return f"{pairs[0]:,} mated and {pairs[1]:,} non-mated pairs" if pairs else ""


def probit(rates: ArrayLike) -> NDArray[np.float64]:
    """Normal deviates of rates within (0, 1), over a table that is finer than a figure's points.

    The scale of DET curves (A. Martin et al., "The DET curve in assessment of detection task performance",
    Eurospeech 1997), on which normal scores give straight lines.
    """
    deviates = np.linspace(-6, 6, 4001)
    normal = NormalDist()
    return np.interp(np.asarray(rates, np.float64), [normal.cdf(deviate) for deviate in deviates], deviates)


def thinned(x: NDArray[np.float64], y: NDArray[np.float64], most: int = MOST_POINTS) -> NDArray[np.intp]:
    """Indices of at most `most` points of a curve that show its shape, evenly spaced along it; its ends are kept.

    Args:
        x: finite, in the units the axis is even in, shape (K,).
        y: likewise.
        most: at least 2.
    """
    if x.size <= most:
        return np.arange(x.size)
    steps = sum(np.abs(np.diff(values)) / (np.ptp(values) or 1.0) for values in (x, y))
    way = np.concatenate([[0.0], np.cumsum(steps)])
    chosen = np.searchsorted(way, np.linspace(0, way[-1], most))
    return np.unique(np.concatenate([[0], chosen[1:-1].clip(0, x.size - 1), [x.size - 1]]))


def svg(figure: Figure) -> bytes:
    """The figure as SVG, the same bytes for the same figure."""
    return _rendered(figure, "svg", {"Date": None, "Creator": "TwinFace"})


def save_figure(figure: Figure, folder: Path, stem: str) -> tuple[Path, Path]:
    """Writes `stem`.png and `stem`.svg into a folder, each whole or not at all, and returns their paths.

    Raises:
        OutputError: they cannot be written.
    """
    pictures = (
        (folder / f"{stem}.png", _rendered(figure, "png", {"Software": "TwinFace"})),
        (folder / f"{stem}.svg", svg(figure)),
    )
    for path, content in pictures:
        write_atomically(path, lambda file, content=content: file.write(content))  # type: ignore[misc]
    return pictures[0][0], pictures[1][0]


def _rendered(figure: Figure, kind: str, metadata: dict[str, str | None]) -> bytes:
    buffer = io.BytesIO()
    with own_style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # a name in a script the font lacks
        figure.savefig(buffer, format=kind, metadata=metadata)
    return buffer.getvalue()
