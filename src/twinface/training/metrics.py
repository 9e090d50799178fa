"""What a run measures, as it goes: rows of metrics.csv, and the same figures for TensorBoard.

TensorBoard's events are written here, record by record. Torch's `SummaryWriter` writes from a thread, which dies with a
trace of its own when the disk is full, and which the processes a loader forks would inherit half of.
"""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinface.core.files import reason, shown, write_atomically
from twinface.errors import DatasetCorrupt, DatasetMissing, OutputError, TwinFaceError

PHASES = ("train", "validation")
"""What was judged: pictures the run learns from, or those of other persons."""

PLACE = ("step", "epoch", "phase")
FIGURES = ("loss", "accuracy")
"""Columns of every file; a run's own follow."""


@dataclass(frozen=True)
class Row:
    """What was measured at once.

    Attributes:
        step: batches trained on.
        epoch: passes over the training data, with their fraction.
        phase: what was judged, of `PHASES`.
        figures: by column; those that were not measured are left out.

    Raises:
        ValueError: no such phase.
    """

    step: int
    epoch: float
    phase: str
    figures: Mapping[str, float]

    def __post_init__(self) -> None:
        if self.phase not in PHASES:
            raise ValueError(f"metrics: the phase must be one of {', '.join(PHASES)}, got {self.phase!r}")


class Metrics:
    """The figures of a run, open for more.

    Args:
        path: of the CSV file.
        log: folder of TensorBoard's files.
        columns: of the run's own figures, in their order; those of an older file stay before them.
        step: where the run goes on. Rows of later steps are removed and TensorBoard hides them; at 0, all are.

    Raises:
        TwinFaceError: tensorboard is not installed.
        DatasetCorrupt: the older file holds no metrics.
        OutputError: the files cannot be written.
    """

    def __init__(self, path: Path, log: Path, columns: Sequence[str] = (), step: int = 0) -> None:
        before, rows = read_metrics(path) if step and path.exists() else ([], [])
        self._path, self._columns = path, list(dict.fromkeys([*FIGURES, *before, *columns]))
        content = self._text(*([*PLACE, *self._columns], *(self._cells(row) for row in rows if row.step <= step)))
        write_atomically(path, lambda file: file.write(content))
        self._events = Events(log, hidden_from=step + 1 if step else 0)

    def add(self, row: Row) -> None:
        """Appends a row; of each figure TensorBoard draws training and validation side by side.

        Raises:
            ValueError: a figure has no column.
            OutputError: a file cannot be written; it ends where it ended before.
        """
        unknown = [name for name in row.figures if name not in self._columns]
        if unknown:
            raise ValueError(f"metrics: no column for {', '.join(unknown)}; there are {', '.join(self._columns)}")
        append_whole(self._path, self._text(self._cells(row)))
        self._events.add(row.step, {f"{name}/{row.phase}": value for name, value in row.figures.items()})

    def _cells(self, row: Row) -> list[str]:
        figures = (repr(float(row.figures[name])) if name in row.figures else "" for name in self._columns)
        return [str(row.step), repr(float(row.epoch)), row.phase, *figures]

    @staticmethod
    def _text(*rows: Iterable[str]) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue().encode()


def read_metrics(path: Path) -> tuple[list[str], list[Row]]:
    """Reads metrics.csv: the names of its figures, and its rows.

    A last line that a process did not live to finish is left out.

    Raises:
        DatasetMissing: it cannot be read.
        DatasetCorrupt: it holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
        header, *lines = list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1]))) or [[]]
    except OSError as error:
        raise DatasetMissing(f"{shown(path)}: cannot be read ({reason(error)}); give the folder of a run") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetCorrupt(f"{shown(path)}: holds no metrics ({reason(error)}); start the run again") from error
    if tuple(header[: len(PLACE)]) != PLACE:
        raise DatasetCorrupt(f"{shown(path)}: holds no metrics (its first line is no header); start the run again")
    names, rows = header[len(PLACE) :], []
    for number, line in enumerate(lines, 2):
        try:
            step, epoch, phase, *values = line
            figures = {name: float(value) for name, value in zip(names, values, strict=True) if value}
            rows.append(Row(int(step), float(epoch), phase, figures))
        except ValueError as error:
            raise DatasetCorrupt(
                f"{shown(path)}: line {number} holds no metrics ({reason(error)}); repair it"
            ) from error
    return names, rows


class Events:
    """A new file of events; TensorBoard reads all files of a folder as one.

    Args:
        folder: is made if it is missing.
        hidden_from: of older files, TensorBoard leaves out what was logged at this step and later.

    Raises:
        TwinFaceError: tensorboard is not installed.
        OutputError: the file cannot be written.
    """

    def __init__(self, folder: Path, hidden_from: int = 0) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.record_writer import RecordWriter
        except ImportError as error:
            raise TwinFaceError(
                'the log of a run needs tensorboard; install it with: pip install "twinface[train]"'
            ) from error
        self._event, self._summary, self._records = event_pb2.Event, summary_pb2.Summary, RecordWriter
        # files are read in the order of their names, and none may be written to again
        self.path = folder / f"events.out.tfevents.{time.time_ns():020d}"
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise _unwritable(folder, error) from error
        self._write(self._event(wall_time=time.time(), file_version="brain.Event:2"))
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._write(self._event(wall_time=time.time(), step=hidden_from, session_log=start))

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """Logs figures of a step by name; names that are alike up to a slash are shown together.

        Raises:
            OutputError: they cannot be written.
        """
        values = [
            self._summary.Value(tag=name, simple_value=value) for name, value in figures.items() if math.isfinite(value)
        ]
        self._write(self._event(wall_time=time.time(), step=step, summary=self._summary(value=values)))

    def _write(self, event: Any) -> None:
        record = io.BytesIO()
        self._records(record).write(event.SerializeToString())
        append_whole(self.path, record.getvalue())


def append_whole(path: Path, content: bytes) -> None:
    """Appends to a file, which is made if it is missing, all or nothing as far as the disk allows.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        with path.open("ab", buffering=0) as file:  # a buffer would be written once more when the file is closed
            end = file.tell()
            try:
                if file.write(content) != len(content):
                    raise OSError("no space left")
            except OSError:
                with suppress(OSError):
                    file.truncate(end)
                raise
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: Exception) -> OutputError:
    return OutputError(f"{shown(path)}: cannot be written ({reason(error)}); make room, then resume the run")
