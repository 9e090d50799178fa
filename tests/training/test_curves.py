"""Curves of a run: readable whatever was measured, and true to it."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib", reason="needs the evaluate extra")
pytest.importorskip("tensorboard", reason="needs the train extra")

from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from PIL import Image  # noqa: E402

from twinface.errors import DatasetCorrupt, DatasetMissing, OutputError, TwinFaceError  # noqa: E402
from twinface.training.curves import curves_figure, draw_curves  # noqa: E402
from twinface.training.metrics import Metrics, Row  # noqa: E402


def rows(steps: Iterable[int], per_epoch: int, phases: tuple[str, ...] = ("train", "validation")) -> list[Row]:
    """A likely run, with some chance in it."""
    random = np.random.default_rng(0)
    found = []
    for step in steps:
        way = float(np.exp(-step / (4 * per_epoch)))
        for phase in phases:
            gap = 0.0 if phase == "train" else 0.05
            figures = {"loss": 0.2 * way + 0.02 + gap, "accuracy": 0.97 - 0.45 * way - gap}
            noisy = {name: value + 0.004 * random.standard_normal() for name, value in figures.items()}
            found.append(Row(step, step / per_epoch, phase, noisy))
    return found


def flat(loss: float, accuracy: float) -> list[Row]:
    return [
        Row(step, step / 10, phase, {"loss": loss, "accuracy": accuracy})
        for step in (10, 20)
        for phase in ("train", "validation")
    ]


def without(name: str, some: list[Row]) -> list[Row]:
    return [
        Row(row.step, row.epoch, row.phase, {key: value for key, value in row.figures.items() if key != name})
        for row in some
    ]


RUNS = {
    "likely": rows(range(0, 2801, 140), 140),
    "within an epoch": rows(range(0, 900, 50), 10_000),
    "many": rows(range(0, 20_000, 10), 100),
    "one row": rows([0], 10, ("train",)),
    "one step": rows([7], 10),
    "one epoch": rows([0, 10], 10),
    "two epochs": rows([10, 20], 10),
    "nothing": [],
    "no validation": rows(range(0, 100, 10), 10, ("train",)),
    "validation alone": rows(range(0, 100, 10), 10, ("validation",)),
    "no accuracy": without("accuracy", rows(range(0, 100, 10), 10)),
    "no loss": without("loss", rows(range(0, 100, 10), 10)),
    "neither": without("loss", without("accuracy", rows(range(0, 100, 10), 10))),
    "perfect": flat(0.0, 1.0),
    "hopeless": flat(1e6, 0.0),
    "flat": flat(0.3, 0.5),
    "negative loss": flat(-2.0, 0.5),
    "no numbers": flat(float("nan"), float("inf")),
    "over five decades": [Row(step, step / 10, "train", {"loss": 10.0 ** (2 - step / 10)}) for step in range(0, 51, 5)],
    "tiny": flat(1e-12, 1e-12),
    "a million steps": rows(range(0, 1_000_001, 100_000), 1000),
}


def texts(figure: Any) -> list[Any]:
    """Every text that can be seen, after drawing."""
    FigureCanvasAgg(figure).draw()
    return [text for text in figure.findobj(matplotlib.text.Text) if text.get_visible() and text.get_text().strip()]


def beyond(figure: Any) -> set[Any]:
    """Labels of ticks outside the axes, which are there but not drawn."""
    found = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = axis.get_view_interval()
        found |= {tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high}
    return found


def words(figure: Any) -> list[str]:
    return [text.get_text() for text in texts(figure)]


def write(folder: Path, some: list[Row]) -> Path:
    metrics = Metrics(folder / "metrics.csv", folder / "tensorboard")
    for row in some:
        metrics.add(row)
    return folder / "metrics.csv"


# --- anybody can read them --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RUNS)
def test_no_text_lies_on_another_or_leaves_the_picture(name: str) -> None:
    figure = curves_figure(RUNS[name], f"{name}: a title that is longer than any that a recipe would have")
    drawn = [text for text in texts(figure) if text not in beyond(figure)]
    seen = {text: text.get_window_extent().padded(-1) for text in drawn}
    for (one, here), (other, there) in itertools.combinations(seen.items(), 2):
        assert not here.overlaps(there), (one.get_text(), other.get_text())
    for text, box in seen.items():
        assert figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1, text.get_text()
        assert figure.bbox.y0 <= box.y0 <= box.y1 <= figure.bbox.y1, text.get_text()


@pytest.mark.parametrize("name", ["likely", "many", "nothing"])
def test_the_picture_is_of_the_promised_size(tmp_path: Path, name: str) -> None:
    draw_curves(write(tmp_path, RUNS[name][:600]), tmp_path / "curves.png", name)
    with Image.open(tmp_path / "curves.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (1600, 780))
    assert (tmp_path / "curves.png").stat().st_size < 300_000


def test_axes_curves_and_the_best_checkpoint_are_named() -> None:
    seen = words(curves_figure(RUNS["likely"], "conv-sgd"))
    assert {"conv-sgd", "training", "validation", "best checkpoint", "epoch"} <= set(seen)
    assert {"loss (smaller is better)", "accuracy (share of pairs judged right)", "90%"} <= set(seen)


def test_within_the_first_epoch_steps_are_counted() -> None:
    figure = curves_figure(RUNS["within an epoch"], "x")
    assert {axes.get_xlabel() for axes in figure.axes} == {"step"}
    assert max(figure.axes[0].lines[0].get_xdata()) == 850


def test_many_points_are_drawn_under_their_running_mean() -> None:
    figure = curves_figure(RUNS["many"], "x")
    assert {"training (running mean)", "validation (running mean)"} <= set(words(figure))
    pale, bold = figure.axes[0].lines[:2]
    assert np.std(np.diff(bold.get_ydata())) < 0.3 * np.std(np.diff(pale.get_ydata()))
    assert bold.get_ydata()[0] == pale.get_ydata()[0]  # the start is not smoothed away
    assert max(len(line.get_xdata()) for line in figure.axes[0].lines) <= 2000


# --- they are true ----------------------------------------------------------------------------------------------------


def test_curves_show_what_was_measured() -> None:
    figure = curves_figure(RUNS["likely"], "x")
    for axes, name in zip(figure.axes, ("loss", "accuracy"), strict=True):
        for phase, shown in (("train", "training"), ("validation", "validation")):
            (line,) = [line for line in axes.lines if line.get_label() == shown]
            some = [row for row in RUNS["likely"] if row.phase == phase]
            assert line.get_xdata().tolist() == [row.epoch for row in some]
            assert line.get_ydata().tolist() == [row.figures[name] for row in some]


def best_of(figure: Any) -> list[tuple[float, float]]:
    rings = [line for axes in figure.axes for line in axes.lines if line.get_label() == "best checkpoint"]
    return [(float(ring.get_xdata()[0]), float(ring.get_ydata()[0])) for ring in rings]


RIVALS = [
    Row(10, 1.0, "train", {"loss": 0.5, "accuracy": 0.99}),
    Row(10, 1.0, "validation", {"loss": 0.5, "accuracy": 0.6}),
    Row(20, 2.0, "train", {"loss": 0.4, "accuracy": 0.8}),
    Row(20, 2.0, "validation", {"loss": 0.4, "accuracy": 0.7}),
    Row(30, 3.0, "train", {"loss": 0.3, "accuracy": 0.9}),
    Row(30, 3.0, "validation", {"loss": 0.3, "accuracy": 0.7}),
]


def test_the_best_checkpoint_is_the_first_of_the_highest_validation_accuracy() -> None:
    figure = curves_figure(RIVALS, "x")
    assert best_of(figure) == [(2.0, 0.4), (2.0, 0.7)]
    assert "best checkpoint: epoch 2, step 20; validation accuracy 70.00%, loss 0.4" in words(figure)


def test_the_best_checkpoint_may_be_given() -> None:
    figure = curves_figure(RIVALS, "x", 30)
    assert best_of(figure) == [(3.0, 0.3), (3.0, 0.7)]
    assert "best checkpoint: epoch 3, step 30; validation accuracy 70.00%, loss 0.3" in words(figure)


def test_without_validation_training_decides() -> None:
    figure = curves_figure([row for row in RIVALS if row.phase == "train"], "x")
    assert best_of(figure) == [(1.0, 0.5), (1.0, 0.99)]
    assert "best checkpoint: epoch 1, step 10; training accuracy 99.00%, loss 0.5" in words(figure)


def test_a_best_checkpoint_that_was_not_measured_is_not_marked() -> None:
    figure = curves_figure(RIVALS, "x", 25)
    assert best_of(figure) == []
    assert "30 steps" in words(figure)


def test_what_was_not_measured_is_said() -> None:
    assert words(curves_figure([], "x")).count("not measured") == 2
    assert "nothing has been measured yet" in words(curves_figure([], "x"))
    assert words(curves_figure(RUNS["no accuracy"], "x")).count("not measured") == 1
    assert words(curves_figure(RUNS["no numbers"], "x")).count("not measured") == 2


def test_chance_does_not_look_like_progress() -> None:
    some = [Row(step, step / 10, "validation", {"accuracy": 0.99 + step / 1e6}) for step in (10, 20, 30)]
    low, high = curves_figure(some, "x").axes[1].get_ylim()
    assert high - low >= 0.02


def test_no_accuracy_beyond_all_pairs_is_on_the_axis() -> None:
    for name in ("perfect", "likely", "many"):
        assert max(curves_figure(RUNS[name], "x").axes[1].get_yticks()) <= 1 + 1e-9


def test_a_loss_over_decades_is_drawn_in_decades() -> None:
    assert curves_figure(RUNS["over five decades"], "x").axes[0].get_yscale() == "log"
    assert curves_figure(RUNS["likely"], "x").axes[0].get_yscale() == "linear"


def test_hostile_titles_are_drawn_as_they_are() -> None:
    assert r"\$\frac{1}{0}\$ two lines" in words(curves_figure(RIVALS, "$\\frac{1}{0}$ two\nlines"))


# --- writing ----------------------------------------------------------------------------------------------------------


def test_the_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    metrics = write(tmp_path, RIVALS)
    for name in ("a.png", "b.png"):
        draw_curves(metrics, tmp_path / name, "\u5f20\u4f1f")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_nothing_global_is_changed(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    draw_curves(write(tmp_path, RIVALS), tmp_path / "curves.png", "x")
    assert dict(matplotlib.rcParams) == before


def test_trouble_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing, match=r"metrics\.csv: cannot be read"):
        draw_curves(tmp_path / "metrics.csv", tmp_path / "curves.png", "x")
    metrics = write(tmp_path, RIVALS)
    with pytest.raises(OutputError, match="there is no folder"):
        draw_curves(metrics, tmp_path / "none" / "curves.png", "x")
    metrics.write_text("something else\n")
    with pytest.raises(DatasetCorrupt, match="holds no metrics"):
        draw_curves(metrics, tmp_path / "curves.png", "x")


def test_without_matplotlib_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = write(tmp_path, RIVALS)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(TwinFaceError, match=r'pip install "twinface\[evaluate\]"'):
        draw_curves(metrics, tmp_path / "curves.png", "x")
