"""Trains: takes the steps, watches, keeps checkpoints, stops when asked.

The loop is our own on Lightning Fabric, which places tensors, mixes precisions and joins processes: Lightning's Trainer
pickles its checkpoints, and batches here depend on what the network has learnt so far.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from lightning_fabric import Fabric
from torch import Tensor

from twinface.errors import RecipeError
from twinface.training import checkpoint
from twinface.training.batches import BatchMaker
from twinface.training.checkpoint import Checkpoint
from twinface.training.environment import environment
from twinface.training.interruption import Interruption
from twinface.training.launching import Asked, Joined, heeding, launch, quiet
from twinface.training.learner import Learner, diverged
from twinface.training.loading import PictureLoader, Requests
from twinface.training.materials import cut_crops, gather, judges, memory
from twinface.training.outcome import write_outcome
from twinface.training.recipe import Recipe
from twinface.training.recipe_file import read_recipe
from twinface.training.run_folder import RunFolder
from twinface.training.sources import DEVTEST
from twinface.training.start import EXPORT
from twinface.training.stretch import Stretch
from twinface.training.validation import Judgement, embedder

Report = Callable[[str], None]

COLUMNS = ("threshold", "group_ratio", "group_worst", "batch_loss", "pictures_per_second")
"""What the metrics say beside loss and accuracy; the terms of the loss follow."""


@dataclass(frozen=True)
class Job:
    """A run, by where its parts lie, so that it can be sent to several processes.

    Attributes:
        run: the run's folder, with its recipe.
        crops: folder that crops and teachers' templates are kept in.
        resume: whether to go on from the last checkpoint.
        root: where the pictures are now, if not where the recipe says; "" for there.
    """

    run: Path
    crops: Path
    resume: bool = False
    root: str = ""


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

    @property
    def joined(self) -> bool:
        """Whether processes are started and joined."""
        return self.devices > 1 or self.strategy == "ddp"

    def fabric(self, precision: Literal["32", "bf16"]) -> Fabric:
        """Lightning's fabric for this hardware."""
        quiet()
        return Fabric(
            accelerator=self.device,
            devices=self.devices,
            strategy=Joined() if self.joined else "auto",
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
        KeyboardInterrupt: it was interrupted before there was anything to keep.
        RecipeError: the recipe does not go with the data or the hardware.
        TwinFaceError: data, weights or disk are at fault, or the training diverged.
    """
    recipe = read_recipe(RunFolder.open(job.run).recipe)
    if job.root:
        recipe = replace(recipe, data=replace(recipe.data, root=job.root))
    fabric = hardware.fabric(recipe.device.precision)
    if hardware.joined:  # once, not by every process
        with Interruption() as interruption:
            told = heeding(report, lambda: interruption.asked)
            for sources in (recipe.data.sources, (DEVTEST,))[: 2 if recipe.evaluation.lfw else 1]:
                cut_crops(recipe, sources, job.crops, told)
    return launch(fabric, _work, job, recipe, report, joined=hardware.joined)


def _work(fabric: Fabric, asked: Asked, job: Job, recipe: Recipe, report: Report) -> bool:
    if recipe.device.threads:
        torch.set_num_threads(recipe.device.threads)
    return _Course(fabric, asked, job, recipe, report).go()


class _Course:
    """One process's part of a run."""

    def __init__(self, fabric: Fabric, asked: Asked, job: Job, recipe: Recipe, report: Report) -> None:
        self._fabric, self._asked, self._job, self._recipe = fabric, asked, job, recipe
        self._first = fabric.is_global_zero
        self._report = report if self._first else _silent
        self._run = RunFolder.open(job.run)
        kept = checkpoint.load(self._run.checkpoints / "last.safetensors") if job.resume else None
        told = heeding(self._report, asked)
        self._materials = gather(recipe, job.crops, fabric.device, told, cut=isinstance(fabric.strategy, Joined))
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
        self._step, self._best, self._stretch = 0, -math.inf, Stretch(0)
        if kept is not None:
            self._take_up(kept)

    def go(self) -> bool:
        """The run, from its start or from where it was left; False if it was interrupted."""
        if self._first:
            self._run.write_environment(environment(self._recipe.seed, _device_name(self._fabric.device)), self._step)
            self._run.write_skipped(f"{one.source}/{one.path}: {one.reason}" for one in self._materials.store.failures)
            self._run.start_metrics((*COLUMNS, *self._learner.loss_names), self._step)
        if not self._step:
            self._watch()
        every = self._recipe.evaluation.every or self._per_epoch
        while self._stretch.begun < self._steps:
            self._go_to(min(self._steps, (self._stretch.begun // every + 1) * every))
            if self._stopped():
                self._keep("last")
                self._report(f"stopped at step {self._step:,} of {self._steps:,}; everything is kept")
                return False
            self._watch()
        self._finish()
        self._fabric.barrier()
        return True

    def _go_to(self, end: int) -> None:
        """Takes the steps up to the next look at the validation, or to an interruption."""
        self._stretch.start()
        while self._step < end and not self._stopped():
            for loaded in self._loader.steps(self._step, self._chapter(self._step, end)):
                self._stretch.add(self._learner.learn(loaded), len(loaded.request.batch.places))
                self._step = loaded.request.step + 1
                line = self._stretch.line(self._step, end, self._steps)
                if line is not None:
                    self._report(line)
                if self._stopped():
                    break

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
            return self._asked()
        asked = torch.tensor(float(self._asked()), device=self._fabric.device)
        return bool(self._fabric.all_reduce(asked, reduce_op="sum"))

    def _watch(self) -> None:
        """Judges, writes the figures down, keeps the checkpoints."""
        means = {("batch_loss" if name == "loss" else name): mean for name, mean in self._stretch.means.items()}
        if means:
            means["pictures_per_second"] = self._stretch.pace
        self._stretch = Stretch(self._step)
        if self._first:
            found = self._judged()
            epoch = self._step / self._per_epoch
            for phase, one in found.items():
                more = {"threshold": one.threshold, **one.more, **(means if phase == "train" else {})}
                self._run.add_metrics(self._step, epoch, phase, one.loss, one.accuracy, more)
            self._report(f"epoch {epoch:.2f}: " + "; ".join(_words(phase, one) for phase, one in found.items()))
            figure = self._figure(found)
            if figure > self._best or self._recipe.evaluation.best == "last":
                self._best = figure
                self._keep("best")
            self._keep("last")
        self._fabric.barrier()

    def _judged(self) -> dict[str, Judgement]:
        """Training and validation pairs; the threshold of both is fixed, or the best on the training pairs."""
        trained = embedder(self._learner.finished(), self._learner.preprocessing, self._fabric.device)

        def embed(crops: Tensor) -> Tensor:
            found = trained(crops)
            if not bool(found.isfinite().all()):
                raise diverged("the embeddings", math.nan, self._step, self._recipe.optimiser)
            return found

        fixed = self._recipe.evaluation.threshold or None
        found = {"train": self._judges["train"](embed, fixed)}
        if "validation" in self._judges:
            found["validation"] = self._judges["validation"](embed, found["train"].threshold)
        return found

    def _figure(self, found: dict[str, Judgement]) -> float:
        one = found.get("validation", found["train"])
        return -one.loss if self._recipe.evaluation.best == "loss" else one.accuracy

    def _keep(self, name: Literal["last", "best"]) -> None:
        """Writes a checkpoint: all that resuming takes, or, of the best, the finished weights alone."""
        if not self._first:
            return
        tensors, facts = self._learner.state()
        if name == "best":
            state = self._learner.finished().backbone.state_dict()
            tensors, facts = {f"{EXPORT}{key}": value for key, value in state.items()}, {}
        else:
            facts["stretch"] = self._stretch.state()
        facts["best"] = None if math.isinf(self._best) else self._best
        tensors = {key: value.detach().cpu() for key, value in tensors.items()}
        epoch = self._step / self._per_epoch
        checkpoint.save(Checkpoint(self._step, epoch, tensors, facts), self._run.checkpoints, name)

    def _take_up(self, kept: Checkpoint) -> None:
        """Goes to where a run that was left had come to."""
        self._learner.restore(kept.tensors, kept.facts)
        self._stretch = Stretch.restored(kept.facts.get("stretch"), kept.step)
        best = kept.facts.get("best")
        self._step, self._best = kept.step, -math.inf if best is None else float(best)
        self._report(f"going on from step {self._step:,} of {self._steps:,}")

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
