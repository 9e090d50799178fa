"""Trains: takes the steps, watches, keeps checkpoints, stops when asked.

The loop is our own on Lightning Fabric, which places tensors, mixes precisions and joins processes: Lightning's Trainer
pickles its checkpoints, and batches here depend on what the network has learnt so far.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy

from twinface.errors import RecipeError
from twinface.training import checkpoint
from twinface.training.batches import BatchMaker
from twinface.training.checkpoint import Checkpoint
from twinface.training.environment import environment
from twinface.training.interruption import Interruption
from twinface.training.learner import Learner
from twinface.training.loading import PictureLoader, Requests
from twinface.training.materials import cut_crops, gather, judges, memory
from twinface.training.outcome import write_outcome
from twinface.training.recipe import Recipe
from twinface.training.recipe_file import read_recipe
from twinface.training.run_folder import RunFolder
from twinface.training.start import EXPORT
from twinface.training.validation import Judgement, embedder

Report = Callable[[str], None]

COLUMNS = ("threshold", "group_ratio", "group_worst", "batch_loss", "pictures_per_second")
"""What the metrics say beside loss and accuracy; the terms of the loss follow."""

LINES = 20
"""So many lines tell of the steps between two looks at the validation."""


@dataclass(frozen=True)
class Job:
    """A run, by where its parts lie, so that it can be sent to several processes.

    Attributes:
        run: the run's folder, with its recipe.
        crops: folder that crops and teachers' templates are kept in.
        resume: whether to go on from the last checkpoint.
    """

    run: Path
    crops: Path
    resume: bool = False


@dataclass(frozen=True)
class Hardware:
    """What to compute on.

    Attributes:
        device: "auto", "cpu" or "cuda".
        devices: processes, each with a device of its own.
        strategy: "auto", or "ddp" to join processes even if there is only one.

    Raises:
        RecipeError: this machine lacks it.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = 1
    strategy: Literal["auto", "ddp"] = "auto"

    def __post_init__(self) -> None:
        if self.devices < 1:
            raise RecipeError(f"--devices {self.devices}: at least one is needed")
        there = torch.cuda.device_count()
        if self.device == "cuda" and not there:
            raise RecipeError("--device cuda: torch finds no CUDA device here; give --device cpu")
        if self.device != "cpu" and there and self.devices > there:
            raise RecipeError(f"--devices {self.devices}: there are {there} CUDA devices; give fewer or --device cpu")

    def fabric(self, precision: Literal["32", "bf16"]) -> Fabric:
        """Lightning's fabric for this hardware."""
        joined = self.devices > 1 or self.strategy == "ddp"
        return Fabric(
            accelerator=self.device,
            devices=self.devices,
            strategy=DDPStrategy(start_method="spawn") if joined else "auto",
            precision="bf16-mixed" if precision == "bf16" else "32-true",
        )


def train(job: Job, hardware: Hardware, report: Report) -> bool:
    """Runs a job to its end, or until it is interrupted.

    Args:
        job: what to do.
        hardware: what to do it on.
        report: told a line now and then, by the first process.

    Returns:
        Whether it was finished; False after Ctrl-C or SIGTERM, when the last checkpoint has been kept.

    Raises:
        RecipeError: the recipe does not go with the data or the hardware.
        TwinFaceError: data, weights or disk are at fault, or the training diverged.
    """
    recipe = read_recipe(job.run / "recipe.toml")
    fabric = hardware.fabric(recipe.device.precision)
    if hardware.devices > 1:
        cut_crops(recipe, recipe.data.sources, job.crops, report)  # once, not by every process
    finished: bool = fabric.launch(_work, job, recipe, report)
    return finished


def _work(fabric: Fabric, job: Job, recipe: Recipe, report: Report) -> bool:
    if recipe.device.threads:
        torch.set_num_threads(recipe.device.threads)
    with Interruption() as interruption:
        return _Course(fabric, job, recipe, report, interruption).go()


class _Course:
    """One process's part of a run."""

    def __init__(self, fabric: Fabric, job: Job, recipe: Recipe, report: Report, interruption: Interruption) -> None:
        self._fabric, self._job, self._recipe, self._interruption = fabric, job, recipe, interruption
        self._first = fabric.is_global_zero
        self._report = report if self._first else _silent
        self._materials = gather(recipe, job.crops, fabric.device, self._report)
        roster = self._materials.train
        self._bank = memory(recipe, self._materials)
        maker = BatchMaker(roster, recipe.batch, recipe.seed, self._bank)
        self._per_epoch = maker.steps_per_epoch
        self._steps = recipe.schedule.steps or recipe.schedule.epochs * self._per_epoch
        self._learner = Learner(fabric, recipe, self._materials, bank=self._bank, steps=self._steps)
        requests = Requests(maker, recipe.augmentation, roster.rows, recipe.seed, fabric.global_rank, fabric.world_size)
        pixels = self._materials.store.pixels
        self._loader = PictureLoader(pixels, requests, recipe, pin=fabric.device.type == "cuda")
        self._judges = judges(recipe, self._materials) if self._first else {}
        self._run = RunFolder.open(job.run)
        self._best = -math.inf

    def go(self) -> bool:
        """The run, from its start or from where it was left; False if it was interrupted."""
        step = self._take_up() if self._job.resume else 0
        if self._first:
            self._run.write_environment(environment(self._recipe.seed, _device_name(self._fabric.device)), step)
            self._run.write_skipped(f"{one.source}/{one.path}: {one.reason}" for one in self._materials.store.failures)
            self._run.start_metrics((*COLUMNS, *self._learner.loss_names), step)
        if not step:
            self._watch(0, {})
        every = self._recipe.evaluation.every or self._per_epoch
        while step < self._steps:
            step, means = self._stretch(step, min(self._steps, (step // every + 1) * every))
            if self._stopped():
                self._keep(step, "last")
                self._report(f"stopped at step {step:,} of {self._steps:,}; everything is kept")
                return False
            self._watch(step, means)
        self._finish()
        self._fabric.barrier()
        return True

    def _stretch(self, step: int, end: int) -> tuple[int, dict[str, float]]:
        """Steps up to the next look at the validation, or to an interruption.

        Returns:
            The step it came to, and the means of the losses' terms and the speed.
        """
        sums: dict[str, float] = {}
        began, start, pictures = time.monotonic(), step, 0
        while step < end and not self._stopped():
            for loaded in self._loader.steps(step, self._chapter(step, end)):
                for name, value in self._learner.learn(loaded).items():
                    sums[name] = sums.get(name, 0.0) + value
                step, pictures = loaded.request.step + 1, pictures + len(loaded.request.batch.places)
                speed = (time.monotonic() - began) / (step - start)
                if step % max(1, (end - start) // LINES) == 0 and step < end:
                    terms = ", ".join(f"{name} {value / (step - start):.4g}" for name, value in sums.items())
                    left = _span(speed * (self._steps - step))
                    rate = pictures / (time.monotonic() - began)
                    self._report(f"step {step:,} of {self._steps:,}: {terms}; {rate:.0f} pictures/s, {left} left")
                if self._stopped():
                    break
        means = {name: value / max(1, step - start) for name, value in sums.items()}
        means["pictures_per_second"] = pictures / max(1e-9, time.monotonic() - began)
        return step, means

    def _chapter(self, step: int, end: int) -> int:
        """How far batches can be drawn ahead: to the next search of the memory bank. One that is due is made."""
        if self._bank is None:
            return end
        every = self._recipe.mining.every
        if step % every == 0:
            self._bank.search()
        return min(end, (step // every + 1) * every)

    def _stopped(self) -> bool:
        """Whether any process was asked to stop."""
        if self._fabric.world_size == 1:
            return self._interruption.asked
        asked = torch.tensor(float(self._interruption.asked), device=self._fabric.device)
        return bool(self._fabric.all_reduce(asked, reduce_op="sum"))

    def _watch(self, step: int, means: dict[str, float]) -> None:
        """Judges, writes the figures down, keeps the checkpoints."""
        if self._first:
            found = self._judged()
            epoch = step / self._per_epoch
            for phase, one in found.items():
                more = {"threshold": one.threshold, **one.more}
                if phase == "train" and means:
                    more |= {("batch_loss" if name == "loss" else name): value for name, value in means.items()}
                self._run.add_metrics(step, epoch, phase, one.loss, one.accuracy, more)
            self._report(f"epoch {epoch:.2f}: " + "; ".join(_words(phase, one) for phase, one in found.items()))
            figure = self._figure(found)
            if figure > self._best or self._recipe.evaluation.best == "last":
                self._best = figure
                self._keep(step, "best")
        self._fabric.barrier()
        self._keep(step, "last")

    def _judged(self) -> dict[str, Judgement]:
        """Training and validation pairs; the threshold of both is fixed, or the best on the training pairs."""
        embed = embedder(self._learner.finished(), self._learner.preprocessing, self._fabric.device)
        fixed = self._recipe.evaluation.threshold or None
        found = {"train": self._judges["train"](embed, fixed)}
        if "validation" in self._judges:
            found["validation"] = self._judges["validation"](embed, found["train"].threshold)
        return found

    def _figure(self, found: dict[str, Judgement]) -> float:
        one = found.get("validation", found["train"])
        return -one.loss if self._recipe.evaluation.best == "loss" else one.accuracy

    def _keep(self, step: int, name: Literal["last", "best"]) -> None:
        """Writes a checkpoint: all that resuming takes, or, of the best, the finished weights alone."""
        if not self._first:
            return
        tensors, facts = self._learner.state()
        if name == "best":
            state = self._learner.finished().backbone.state_dict()
            tensors, facts = {f"{EXPORT}{key}": value for key, value in state.items()}, {}
        facts["best"] = None if math.isinf(self._best) else self._best
        tensors = {key: value.detach().cpu() for key, value in tensors.items()}
        checkpoint.save(Checkpoint(step, step / self._per_epoch, tensors, facts), self._run.checkpoints, name)

    def _take_up(self) -> int:
        """The step a run that was left had come to."""
        kept = checkpoint.load(self._run.checkpoints / "last.safetensors")
        self._learner.restore(kept.tensors, kept.facts)
        best = kept.facts.get("best")
        self._best = -math.inf if best is None else float(best)
        self._report(f"going on from step {kept.step:,} of {self._steps:,}")
        return kept.step

    def _finish(self) -> None:
        """Judges the finished network beside the one it started as; writes results and curves."""
        if not self._first:
            return
        kept = checkpoint.load(self._run.checkpoints / "best.safetensors")
        write_outcome(self._run, self._recipe, kept, self._judges, self._fabric.device, self._materials)
        self._report(f"finished: {self._job.run}")


def _words(phase: str, one: Judgement) -> str:
    more = "".join(f", {name.replace('_', ' ')} {value:.3g}" for name, value in one.more.items())
    return f"{phase} loss {one.loss:.4f}, accuracy {100 * one.accuracy:.2f}% at {one.threshold:.3f}{more}"


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()


def _silent(_line: str) -> None:
    """Reports nothing: one process speaks for all."""


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
