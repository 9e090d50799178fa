"""Figures: every kind is drawn from any data without a warning, reads as text says, and is written whole."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from scipy.stats import norm

from twinface.errors import OutputError, TwinFaceError
from twinface.evaluation import plots
from twinface.evaluation.curves import ErrorCurve, error_curve
from twinface.evaluation.reliability import ReliabilityBin
from twinface.evaluation.scores import Scores
from twinface.evaluation.style import curve_name, percent, plain, probit, svg, thinned


def scores(mated: np.ndarray, non_mated: np.ndarray) -> Scores:
    people = np.zeros((mated.size + non_mated.size, 2), np.int32)
    people[mated.size :, 1] = 1
    return Scores(np.concatenate([mated, non_mated]), people[:, 1] == 0, people)


def likely(count: int = 500, seed: int = 0) -> Scores:
    random = np.random.default_rng(seed)
    return scores(random.normal(0.29, 0.05, count).clip(0, 2), random.normal(0.57, 0.06, count).clip(0, 2))


def every_figure(some: Scores) -> dict[str, Figure]:
    """One figure of each kind that is drawn from distances."""
    curve = error_curve(some)
    return {
        "roc": plots.roc({"one": curve}),
        "roc of two": plots.roc({"one": curve, "two": curve}, pairs=(3, 4)),
        "det": plots.det({"one": curve}),
        "det of two": plots.det({"one": curve, "two": curve}),
        "histogram": plots.distance_histogram(some, 0.4),
        "sweep": plots.threshold_sweep(curve, 0.4, pairs=(3, 4)),
    }


def words(figure: Figure) -> set[str]:
    """Every text that can be seen."""
    svg(figure)  # ticks get their texts when they are drawn
    kinds = figure.findobj(matplotlib.text.Text)
    return {text.get_text() for text in kinds if text.get_visible() and text.get_text()}


EDGES = {
    "overlapping": likely(),
    "parted": scores(np.array([0.1, 0.2]), np.array([0.7, 0.8])),
    "swapped": scores(np.array([0.7, 0.8]), np.array([0.1, 0.2])),
    "all equal": scores(np.full(3, 0.5), np.full(4, 0.5)),
    "all zero": scores(np.zeros(3), np.zeros(4)),
    "one of each": scores(np.array([0.1]), np.array([0.2])),
    "some failed": scores(np.array([0.1, np.nan]), np.array([np.nan, 0.2])),
    "all failed": scores(np.full(2, np.nan), np.full(2, np.nan)),
}


@pytest.mark.parametrize("some", EDGES.values(), ids=EDGES)
def test_any_distances_can_be_drawn_and_no_text_leaves_the_figure(some: Scores) -> None:
    for name, figure in every_figure(some).items():
        assert_inside(name, figure)


def assert_inside(name: str, figure: Figure) -> None:
    """Nothing is drawn up to the figure's edge, where it would be cut off."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    edge = (pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:])
    assert all((part == 255).all() for part in edge), name


def test_rates_by_group_rank_size_and_probability_can_be_drawn() -> None:
    bins = [
        ReliabilityBin(0.0, 0.1, 0.05, 0.04, 40, 0.02, 0.07, 0.5),
        ReliabilityBin(0.9, 1.0, 0.97, 1.0, 60, 0.9, 1.0, 0.5),
    ]
    figures = {
        "groups": plots.group_rates("by race", [("a", 0.01, 0.005, 0.02), ("b", 0.0, 0.0, 0.004)], target=1e-3),
        "no groups": plots.group_rates("none", []),
        "all zero": plots.group_rates("zero", [("a", 0.0, 0.0, 1.0), ("b", 0.0, 0.0, 1e-9)]),
        "all one": plots.group_rates("one", [("a", 1.0, 0.0, 1.0)]),
        "a very long name": plots.group_rates("False matches within " * 9, [("n" * 200, 0.5, 0.4, 0.6)]),
        "cmc": plots.cmc({"100": [0.9, 0.95, 1.0], "1,000": [0.8]}, probes=100),
        "cmc of one": plots.cmc({"": [1.0]}),
        "long cmc": plots.cmc({"x": np.linspace(0.5, 1, 100).tolist()}),
        "no cmc": plots.cmc({"none": []}),
        "fnir": plots.fnir("FNIR", [(100, 0.01, 0.0, 0.03), (5000, 0.1, 0.05, 0.2)]),
        "fnir of one": plots.fnir("FNIR", [(1, 0.0, 0.0, 0.0)]),
        "no fnir": plots.fnir("FNIR", []),
        "reliability": plots.reliability(bins),
        "no bins": plots.reliability([]),
    }
    for name, figure in figures.items():
        assert_inside(name, figure)


# --- what they say ----------------------------------------------------------------------------------------------------


def test_the_roc_writes_the_tar_where_pairs_allow_it() -> None:
    # given 1000 pairs of each kind, of whom 97% and 92% are accepted with one and with ten false matches
    curve = ErrorCurve(np.array([-np.inf, 0.1, 0.2, 0.9]), np.array([0, 0.001, 0.01, 1]), np.array([1, 0.08, 0.03, 0]))
    seen = words(plots.roc({"x": curve}, pairs=(1000, 1000)))
    assert {"97.0%", "1,000 mated and 1,000 non-mated pairs", "FMR"} <= seen
    assert "92.0%" not in seen  # one false match is too few to write a number beside


def test_the_histogram_counts_its_pairs() -> None:
    some = scores(np.array([0.1, 0.2, np.nan]), np.array([0.6, 0.7, 0.8, 0.9]))
    seen = words(plots.distance_histogram(some, 0.374))
    assert {"2 mated", "4 non-mated", "threshold 0.374"} <= seen
    assert "7 pairs; 1 without a distance (failure to acquire)" in seen


def test_densities_have_area_one() -> None:
    figure = plots.distance_histogram(likely(5000))
    outlines = [patch for patch in figure.axes[0].patches if not patch.get_fill()]
    for outline in outlines:
        heights, edges, _ = outline.get_data()  # type: ignore[attr-defined]
        assert (heights * np.diff(edges)).sum() == pytest.approx(1)
    assert len(outlines) == 2


def test_accuracy_weighs_pairs_as_they_are_or_both_kinds_alike() -> None:
    curve = ErrorCurve(np.array([-np.inf, 0.2, 0.9]), np.array([0, 0.1, 1]), np.array([1, 0.3, 0]))
    for pairs, expected in ((None, [0.8, 0.5]), ((100, 300), [0.85, 0.25])):
        figure = plots.threshold_sweep(curve, pairs=pairs)
        (line,) = [one for one in figure.axes[0].lines if one.get_label() == "accuracy"]
        assert line.get_ydata() == pytest.approx(expected)
        assert line.get_drawstyle() == "steps-post"  # rates change at a distance, not on the way to it


def test_a_group_without_errors_shows_its_bound() -> None:
    seen = words(plots.group_rates("t", [("men", 0.0, 0.0, 0.0004), ("women", 0.315, 0.28, 0.35)], target=1e-3))
    assert {"0 (< 0.04%)", "31.5%", "men", "women", "target 1e-3"} <= seen


def test_parted_pairs_are_said_to_have_no_det_curve() -> None:
    assert "at no threshold both error rates lie within this figure" in words(
        plots.det({"x": error_curve(EDGES["parted"])})
    )


def test_hostile_names_are_drawn_as_they_are() -> None:
    names = ["_hidden", r"$\frac{1}{0}$", "a$b", "<b>&", "two\nlines\x00", "\u5f20\u4f1f", ""]
    rows = [(name, 0.1, 0.05, 0.2) for name in names]
    assert {r"\$\frac{1}{0}\$", "two lines", "<b>&"} <= words(plots.group_rates("$x^$ and_{", rows))
    curve = error_curve(likely(50))
    seen = {text.strip("\u200a") for text in words(plots.roc(dict.fromkeys(names, curve)))}
    assert {"_hidden", "<b>&"} <= seen


# --- writing ----------------------------------------------------------------------------------------------------------


def test_png_and_svg_are_written(tmp_path: Path) -> None:
    png, vector = plots.save_figure(plots.roc({"x": error_curve(likely())}), tmp_path, "roc")
    assert (png, vector) == (tmp_path / "roc.png", tmp_path / "roc.svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["roc.png", "roc.svg"]
    with Image.open(png) as picture:
        assert picture.size == (1024, 704)


@pytest.mark.parametrize("kind", ["roc", "det", "histogram", "sweep"])
def test_the_same_figure_gives_the_same_bytes_without_a_date(kind: str) -> None:
    first, second = (svg(every_figure(likely())[kind]) for _ in range(2))
    assert first == second
    assert not re.search(rb"<dc:date>|20\d\d-\d\d-\d\d", first)


def test_a_missing_folder_is_a_one_line_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        plots.save_figure(plots.cmc({"x": [1.0]}), tmp_path / "none", "cmc")


def test_nothing_global_is_changed(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    plots.save_figure(plots.roc({"x": error_curve(likely())}), tmp_path, "roc")
    assert dict(matplotlib.rcParams) == before


HOSTILE = {
    "text.usetex": True, "font.family": ["no such font"], "font.size": 3.0, "figure.dpi": 20.0, "savefig.dpi": 20.0,
    "savefig.transparent": True, "savefig.bbox": "tight", "axes.grid": True, "axes.labelcolor": "red",
    "xtick.direction": "in", "lines.antialiased": False, "axes.spines.top": False, "svg.fonttype": "none",
    "path.sketch": (9.0, 9.0, 9.0), "figure.constrained_layout.use": True, "legend.facecolor": "red",
    "axes.formatter.use_locale": True, "axes.unicode_minus": False, "axes.prop_cycle": matplotlib.cycler(color=["red"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["roc", "det of two", "histogram", "sweep"])
def test_figures_look_the_same_whatever_the_readers_settings(kind: str) -> None:
    expected = svg(every_figure(likely())[kind])
    with matplotlib.rc_context(HOSTILE):
        assert svg(every_figure(likely())[kind]) == expected
        assert matplotlib.rcParams["text.usetex"]


@pytest.mark.parametrize("draw", [
    lambda: plots.cmc({"x": [0.5, 1.0]}, probes=100),
    lambda: plots.fnir("FNIR", [(100, 0.01, 0.0, 0.03), (5000, 0.1, 0.05, 0.2)]),
    lambda: plots.group_rates("by race", [("a", 0.01, 0.005, 0.02)], target=1e-3),
    lambda: plots.reliability([ReliabilityBin(0.0, 0.1, 0.05, 0.04, 40, 0.02, 0.07, 0.5)]),
])  # fmt: skip
def test_figures_of_rates_too(draw: Callable[[], Figure]) -> None:
    expected = svg(draw())
    with matplotlib.rc_context(HOSTILE):
        assert svg(draw()) == expected


DRAW = (
    "import twinface.evaluation.plots as plots, pathlib\n"
    "plots.save_figure(plots.cmc({'x': [1.0]}), pathlib.Path(), 'c')"
)


def test_a_settings_file_in_the_folder_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nsavefig.dpi: 20\n")
    subprocess.run([sys.executable, "-c", DRAW], check=True, timeout=60, cwd=tmp_path)
    plots.save_figure(plots.cmc({"x": [1.0]}), tmp_path, "here")
    for kind in ("svg", "png"):
        assert (tmp_path / f"c.{kind}").read_bytes() == (tmp_path / f"here.{kind}").read_bytes()


def test_a_settings_file_that_keeps_matplotlib_from_loading_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_bytes(b"text.usetex: \xff\n")
    done = subprocess.run(
        [sys.executable, "-c", DRAW], check=False, timeout=60, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert re.search(r"TwinFaceError: matplotlib cannot be loaded \(.*\); move a broken matplotlibrc", done.stderr)


def test_neither_pyplot_nor_matplotlib_is_loaded_before_it_is_needed() -> None:
    code = (
        "import sys, twinface.evaluation.plots as plots, twinface.evaluation.report\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plots.cmc({'x': [0.5, 1.0]})\n"
        "assert 'matplotlib.pyplot' not in sys.modules and 'scipy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_without_matplotlib_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(TwinFaceError, match=r'pip install "twinface\[evaluate\]"'):
        plots.cmc({"x": [1.0]})


# --- ten million pairs ------------------------------------------------------------------------------------------------


def smooth_curve(size: int) -> ErrorCurve:
    """FMR and FNMR of normal scores at many thresholds."""
    x = np.linspace(0.05, 1.0, size - 1)
    fmr, fnmr = norm.cdf(x[::1000], 0.57, 0.06), norm.sf(x[::1000], 0.29, 0.05)
    fmr, fnmr = (np.interp(x, x[::1000], rates) for rates in (fmr, fnmr))
    return ErrorCurve(np.append(-np.inf, x), np.append(0.0, fmr), np.append(1.0, fnmr))


@pytest.mark.parametrize("draw", [plots.roc, plots.det])
def test_ten_million_thresholds_are_drawn_in_seconds_with_few_points(draw: Callable[..., Figure]) -> None:
    curve = smooth_curve(10_000_000)
    began = time.process_time()
    figure = draw({"x": curve})
    assert time.process_time() - began < 20  # about 2 here
    assert max(len(line.get_xdata()) for line in figure.axes[0].lines) <= 2000  # type: ignore[arg-type]


def test_a_thinned_curve_keeps_its_shape() -> None:
    curve = smooth_curve(1_000_000)
    x, y = probit(curve.fmr.clip(1e-6, 0.9)), probit(curve.fnmr.clip(1e-6, 0.9))
    chosen = thinned(x, y)
    inner = np.flatnonzero((x > x[0]) & (x < x[-1]) & (y < y[0]) & (y > y[-1]))[::97]
    assert inner.size > 1000
    assert np.abs(np.interp(x[inner], x[chosen], y[chosen]) - y[inner]).max() < 0.02


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=80), st.integers(2, 40))
def test_thinning_keeps_the_ends_and_the_order(values: list[float], most: int) -> None:
    x = np.sort(np.array(values))
    chosen = thinned(x, np.linspace(1, 0, x.size), most)
    assert chosen[0] == 0
    assert chosen[-1] == x.size - 1
    assert (np.diff(chosen) > 0).all()
    assert chosen.size <= max(most, 2)


# --- words and scales -------------------------------------------------------------------------------------------------


@given(st.floats(1e-7, 1 - 1e-7))
def test_the_probit_scale_is_that_of_the_normal_distribution(rate: float) -> None:
    assert float(probit(rate)) == pytest.approx(norm.ppf(rate), abs=1e-4)


@pytest.mark.parametrize(
    ("rate", "text"),
    [(0.0, "0"), (0.315, "31.5%"), (0.05, "5%"), (0.00031, "0.031%"), (1.0, "100%"), (0.2, "20%"), (1e-6, "0.0001%"),
     (0.0999, "10%"), (0.012, "1.2%")],
)  # fmt: skip
def test_rates_are_written_in_as_few_digits_as_tell_them(rate: float, text: str) -> None:
    assert percent(rate) == text


def test_long_names_are_shortened_in_their_middle() -> None:
    assert plain("a" * 50 + "z" * 50, 11) == "aaaaa\u2026zzzzz"
    assert len(curve_name("x" * 99)) == 30
