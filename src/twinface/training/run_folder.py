"""A run's folder: its recipe, what it ran on, its figures, checkpoints and results, each in a file of its own."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from twinface.core.files import reason, shown, write_atomically
from twinface.errors import ModelNotFound, OutputError
from twinface.training.metrics import Metrics, Row

RECIPE = "recipe.toml"
"""The file that makes a folder a run."""


class RunFolder:
    """The folder of one run; `create` makes a new one, `open` finds it again.

    Attributes:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._metrics: Metrics | None = None

    @classmethod
    def create(cls, parent: Path, name: str, recipe: str, started: datetime | None = None) -> RunFolder:
        """Makes `<name>-<YYYYMMDD-HHMMSS>`, of the time in UTC, with the recipe; never one that is there.

        Args:
            parent: folder of all runs; it is made if it is missing.
            name: of the recipe; runs of what is no letter, digit, point or underscore become a hyphen.
            recipe: as run, TOML.
            started: with a time zone; None for now.

        Raises:
            OutputError: the folder or its files cannot be written.
        """
        time = (started or datetime.now(UTC)).astimezone(UTC).strftime("%Y%m%d-%H%M%S")
        plain = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            path = _unused(parent, f"{plain}-{time}")
            (path / "checkpoints").mkdir()
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
            raise OutputError(
                f"{shown(parent)}: no run can be kept there ({reason(error)}); choose another folder"
            ) from error
        run = cls(path)
        try:
            _write_text(run.recipe, recipe)
        except OutputError:
            run.checkpoints.rmdir()
            path.rmdir()
            raise
        return run

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Finds a run again.

        Raises:
            ModelNotFound: there is no such folder, or it is no run's.
        """
        try:
            if not path.is_dir():
                raise ModelNotFound(f"{shown(path)}: no such folder; give the folder of a run")
            if not (path / RECIPE).is_file():
                raise ModelNotFound(f"{shown(path)}: holds no {RECIPE}; give the folder of a run")
        except (OSError, ValueError) as error:
            raise ModelNotFound(f"{shown(path)}: cannot be read ({reason(error)}); look at its rights") from error
        return cls(path)

    @property
    def recipe(self) -> Path:
        """The recipe as run, TOML."""
        return self.path / RECIPE

    @property
    def checkpoints(self) -> Path:
        """Folder of last.safetensors and best.safetensors."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        """The figures as they came, CSV; see `metrics`."""
        return self.path / "metrics.csv"

    @property
    def curves(self) -> Path:
        """The picture of the figures."""
        return self.path / "curves.png"

    @property
    def results(self) -> Path:
        """What came out, JSON."""
        return self.path / "results.json"

    def write_environment(self, facts: Mapping[str, Any], step: int = 0) -> None:
        """Writes what the run began on; of a later step, adds what it goes on on.

        Args:
            facts: see `environment`.
            step: where the run begins or goes on.

        Raises:
            OutputError: it cannot be written.
        """
        path = self.path / "environment.json"
        whole: dict[str, Any] = {**facts, "resumed": []}
        if step:
            now = {"step": step, **facts}
            try:
                before = json.loads(path.read_bytes())
                whole = {**before, "resumed": [*before["resumed"], now]}
            except (OSError, ValueError, LookupError, TypeError):
                whole = {"resumed": [now]}  # nothing is known of the beginning
        _write_json(path, whole)

    def start_metrics(self, columns: Sequence[str] = (), step: int = 0) -> None:
        """Opens metrics.csv and the folder `tensorboard`.

        Args:
            columns: of the run's own figures, beside loss and accuracy.
            step: where the run goes on; what was measured later is removed. 0 for its beginning.

        Raises:
            TwinFaceError: tensorboard is not installed.
            DatasetCorrupt: there is a metrics.csv that holds no metrics.
            OutputError: the files cannot be written.
        """
        self._metrics = Metrics(self.metrics, self.path / "tensorboard", columns, step)

    def add_metrics(
        self,
        step: int,
        epoch: float,
        phase: str,
        loss: float | None = None,
        accuracy: float | None = None,
        more: Mapping[str, float] | None = None,
    ) -> None:
        """Writes down what was measured at a step, after `start_metrics`.

        Args:
            step: batches trained on.
            epoch: passes over the training data, with their fraction.
            phase: "train" or "validation".
            loss: mean over what was judged; None if it was not measured.
            accuracy: share of pairs judged right; None if it was not measured.
            more: the run's own figures, by column.

        Raises:
            ValueError: before `start_metrics`, of another phase, or a figure has no column.
            OutputError: they cannot be written.
        """
        if self._metrics is None:
            raise ValueError("metrics: start_metrics comes first")
        figures = {"loss": loss, "accuracy": accuracy, **(more or {})}
        known = {name: value for name, value in figures.items() if value is not None}
        self._metrics.add(Row(step, epoch, phase, known))

    def write_results(self, results: Mapping[str, Any]) -> None:
        """Writes results.json, keys sorted; what is no finite number, as an average of nothing, becomes null.

        Args:
            results: texts, numbers (NumPy's too), booleans, None, lists and mappings of such.

        Raises:
            TypeError: a value of another kind.
            OutputError: it cannot be written.
        """
        _write_json(self.results, results)

    def write_skipped(self, lines: Iterable[str]) -> None:
        """Writes skipped.txt: pictures that were left out and why, a line each; without any, nothing.

        Raises:
            OutputError: it cannot be written.
        """
        text = "".join(f"{shown(line)}\n" for line in lines)
        if text:
            _write_text(self.path / "skipped.txt", text)


def _unused(parent: Path, stem: str) -> Path:
    """A new folder: `stem`, or with a number behind it where that is taken."""
    number = 1
    while True:
        path = parent / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
        else:
            return path


def _write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda file: file.write(text.encode(errors="backslashreplace")))


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    text = json.dumps(_plain(value), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    _write_text(path, f"{text}\n")


def _plain(value: Any) -> Any:
    """The value in the kinds that JSON has."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
