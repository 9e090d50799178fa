"""Figures of a run: rows that are whole, that a resumed run does not double, and that TensorBoard shows."""

from __future__ import annotations

import errno
import math
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorboard", reason="needs the train extra")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from twinface.errors import DatasetCorrupt, DatasetMissing, OutputError, TwinFaceError
from twinface.training.metrics import Metrics, Row, append_whole, read_metrics


def opened(folder: Path, *columns: str, step: int = 0) -> Metrics:
    return Metrics(folder / "metrics.csv", folder / "tensorboard", columns, step)


def row(step: int, phase: str = "train", **figures: float) -> Row:
    return Row(step, step / 10, phase, figures or {"loss": 1 / (1 + step), "accuracy": 0.5})


def text(folder: Path) -> str:
    return (folder / "metrics.csv").read_text(encoding="utf-8")


def shown(folder: Path, tag: str) -> list[tuple[int, float]]:
    """Steps and values as TensorBoard draws them."""
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [(one.step, one.value) for one in events.Scalars(tag)]


# --- rows -------------------------------------------------------------------------------------------------------------


def test_rows_are_written_as_they_come_in_columns_that_stay(tmp_path: Path) -> None:
    metrics = opened(tmp_path, "threshold", "contrastive")
    metrics.add(row(10, contrastive=0.25, loss=0.5))
    assert text(tmp_path) == "step,epoch,phase,loss,accuracy,threshold,contrastive\n10,1.0,train,0.5,,,0.25\n"

    metrics.add(row(10, "validation", accuracy=0.75, loss=1, threshold=0.1 + 0.2))
    assert text(tmp_path).splitlines()[2:] == ["10,1.0,validation,1.0,0.75,0.30000000000000004,"]


def test_rows_come_back_equal(tmp_path: Path) -> None:
    metrics = opened(tmp_path, 'a "name", quoted')
    rows = [row(1, **{'a "name", quoted': 5e-324}), row(2, loss=math.inf), row(3, "validation", accuracy=-0.0), row(4)]
    for one in rows:
        metrics.add(one)
    assert read_metrics(tmp_path / "metrics.csv") == (["loss", "accuracy", 'a "name", quoted'], rows)


def test_a_figure_that_is_no_number_is_told_as_it_is(tmp_path: Path) -> None:
    opened(tmp_path).add(row(1, loss=math.nan, accuracy=0.5))
    ((found,),) = (read_metrics(tmp_path / "metrics.csv")[1],)
    assert math.isnan(found.figures["loss"])
    assert shown(tmp_path, "accuracy/train") == [(1, 0.5)]


def test_figures_and_phases_that_nobody_announced_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no column for recall; there are loss, accuracy, threshold"):
        opened(tmp_path, "threshold").add(row(1, recall=0.5))
    with pytest.raises(ValueError, match="must be one of train, validation, got 'test'"):
        row(1, "test")


# --- going on ---------------------------------------------------------------------------------------------------------


def test_a_run_that_goes_on_doubles_nothing(tmp_path: Path) -> None:
    # given a run that went to step 40 before it was killed, and whose last checkpoint is of step 20
    whole = [row(step, phase, loss=step / 7) for step in (0, 10, 20, 30, 40, 50) for phase in ("train", "validation")]
    metrics = opened(tmp_path)
    for one in whole[:10]:
        metrics.add(one)

    # when it goes on from there
    metrics = opened(tmp_path, step=20)
    for one in whole[6:]:
        metrics.add(one)

    # then it reads as if it had never stopped
    assert read_metrics(tmp_path / "metrics.csv")[1] == whole
    curve = shown(tmp_path, "loss/validation")
    assert [step for step, _ in curve] == [0, 10, 20, 30, 40, 50]
    assert [value for _, value in curve] == pytest.approx([step / 7 for step in (0, 10, 20, 30, 40, 50)])


def test_a_run_that_begins_anew_keeps_nothing(tmp_path: Path) -> None:
    opened(tmp_path).add(row(0))
    opened(tmp_path, "threshold").add(row(0, loss=0.25))
    assert text(tmp_path) == "step,epoch,phase,loss,accuracy,threshold\n0,0.0,train,0.25,,\n"
    assert shown(tmp_path, "loss/train") == [(0, 0.25)]


def test_a_line_that_nobody_lived_to_finish_is_left_out(tmp_path: Path) -> None:
    opened(tmp_path).add(row(10))
    before = text(tmp_path)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("20,2.0,tra")

    assert read_metrics(tmp_path / "metrics.csv")[1] == [row(10)]
    opened(tmp_path, step=10)
    assert text(tmp_path) == before


def test_new_columns_follow_the_old_ones(tmp_path: Path) -> None:
    opened(tmp_path, "b", "a").add(row(10, a=1))
    opened(tmp_path, "c", "a", step=10).add(row(20, c=2))
    assert text(tmp_path).splitlines() == [
        "step,epoch,phase,loss,accuracy,b,a,c",
        "10,1.0,train,,,,1.0,",
        "20,2.0,train,,,,,2.0",
    ]


def test_a_run_whose_figures_were_lost_goes_on(tmp_path: Path) -> None:
    opened(tmp_path, "a", step=10).add(row(20, a=1))
    assert read_metrics(tmp_path / "metrics.csv")[1] == [row(20, a=1)]


# --- trouble ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "its first line is no header"),
        (b"step,epoch,phase,loss", "its first line is no header"),
        (b"a,b\n1,2\n", "its first line is no header"),
        (b"\xff\xfe\n", "utf-8"),
        (b"step,epoch,phase,loss\nx,0.0,train,1\n", "line 2 holds no metrics"),
        (b"step,epoch,phase,loss\n1,0.0,train,1\n2,0.1,train\n", "line 3 holds no metrics"),
        (b"step,epoch,phase,loss\n1,0.0,test,1\n", "line 2 holds no metrics"),
        (b"step,epoch,phase,loss\n1\n", "line 2 holds no metrics"),
        (b"step,epoch,phase,loss\n" + b"x" * 200_000 + b"\n", "holds no metrics"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_files_of_other_things_are_refused_in_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "metrics.csv").write_bytes(content)
    with pytest.raises(DatasetCorrupt, match=r"metrics\.csv: ") as caught:
        read_metrics(tmp_path / "metrics.csv")
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


def test_missing_figures_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing, match=r"metrics\.csv: cannot be read \(No such file or directory\); give"):
        read_metrics(tmp_path / "metrics.csv")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full to stand for a full disk")
@pytest.mark.parametrize("full", ["metrics.csv", "events"])
def test_a_full_disk_is_told_with_the_file(tmp_path: Path, full: str) -> None:
    metrics = opened(tmp_path)
    path = tmp_path / full if full == "metrics.csv" else next((tmp_path / "tensorboard").iterdir())
    path.unlink()
    path.symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"cannot be written \(No space left on device\); make room") as caught:
        metrics.add(row(10))
    assert path.name in str(caught.value)


def test_a_row_that_fits_in_part_only_is_taken_back(tmp_path: Path) -> None:
    # given a system that lets a file grow by some bytes, but not by a row
    resource = pytest.importorskip("resource", reason="limits of file sizes are POSIX")
    metrics = opened(tmp_path)
    metrics.add(row(10))
    before, content = resource.getrlimit(resource.RLIMIT_FSIZE), text(tmp_path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(content) + 9, before[1]))
    try:
        with pytest.raises(OutputError, match=r"metrics\.csv: cannot be written"):
            metrics.add(row(20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert text(tmp_path) == content
    metrics.add(row(20))
    assert [one.step for one in read_metrics(tmp_path / "metrics.csv")[1]] == [10, 20]


def test_what_is_appended_to_may_be_missing(tmp_path: Path) -> None:
    append_whole(tmp_path / "a", b"one")
    append_whole(tmp_path / "a", b"two")
    assert (tmp_path / "a").read_bytes() == b"onetwo"


def test_a_log_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("x")
    with pytest.raises(OutputError, match=r"tensorboard: cannot be written") as caught:
        opened(tmp_path)
    assert caught.value.__cause__.errno == errno.EEXIST  # type: ignore[union-attr]


def test_without_tensorboard_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto", None)
    with pytest.raises(TwinFaceError, match=r'needs tensorboard; install it with: pip install "twinface\[train\]"'):
        opened(tmp_path)
