"""What learns: the network, its losses, its optimiser, the moving average; one step at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from twinface.core.files import reason
from twinface.errors import ContractMismatch, TrainingDiverged
from twinface.training.augmentation import augment
from twinface.training.checkpoint import optimiser_state, restore_optimiser
from twinface.training.loading import Loaded
from twinface.training.losses import Loss, LossInput, build_loss
from twinface.training.materials import Materials
from twinface.training.mining import MemoryBank, subjects_apart
from twinface.training.preprocessing import preprocessing
from twinface.training.recipe import OptimiserRecipe, Recipe, ScheduleRecipe
from twinface.training.start import starting_network
from twinface.training.twin import Twin

MIX = 15
"""Names the random stream of mixed pictures."""

LEAST_RATE = 0.01
"""Share of the learning rate that half a cosine ends at."""

AVERAGE_WARMUP = 10
"""The average follows the weights closely at first: after n steps its decay is at most (1 + n) / (this + n)."""


def rate_at(schedule: ScheduleRecipe, step: int, steps: int) -> float:
    """Share of the learning rate at a step, counted from 1."""
    if step < schedule.warmup:
        return step / schedule.warmup
    if schedule.kind == "constant":
        return 1.0
    progress = (step - schedule.warmup) / max(1, steps - schedule.warmup)
    return LEAST_RATE + (1.0 - LEAST_RATE) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


def build_optimiser(recipe: OptimiserRecipe, parameters: list[nn.Parameter]) -> Optimizer:
    """The recipe's optimiser."""
    if recipe.name == "sgd":
        return SGD(parameters, recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    kind = Adam if recipe.name == "adam" else AdamW
    return kind(parameters, recipe.learning_rate, weight_decay=recipe.weight_decay)


def diverged(what: str, value: float, step: int, recipe: OptimiserRecipe) -> TrainingDiverged:
    """The error for a training that has left all bounds."""
    return TrainingDiverged(
        f"{what} became {value} at step {step}; start again with a lower optimiser.learning_rate (it was "
        f"{recipe.learning_rate:g}) or optimiser.clip (it was {recipe.clip:g}, 0 for none); the checkpoints made "
        "before are intact"
    )


class Learner:
    """A network in training.

    Args:
        fabric: launched; moves everything to its device.
        recipe: of the run.
        materials: who is trained on, and the teacher.
        bank: kept up to date with what the network makes of the pictures; None without.
        steps: of the whole run.

    Raises:
        RecipeError: a loss does not fit the network.
        ModelError: the starting weights cannot be read.
    """

    def __init__(
        self,
        fabric: Fabric,
        recipe: Recipe,
        materials: Materials,
        *,
        bank: MemoryBank | None,
        steps: int,
    ) -> None:
        self._fabric, self._recipe, self._roster, self._steps = fabric, recipe, materials.train, steps
        self._bank = bank
        self._targets = None if materials.targets is None else torch.from_numpy(materials.targets)
        self._teacher = None if materials.teacher is None else materials.teacher.fused().to(fabric.device)
        torch.manual_seed(recipe.seed)
        backbone, self.preprocessing = recipe.backbone, preprocessing(recipe).to(fabric.device)
        twin: Twin = Twin(
            starting_network(backbone.start, backbone.name, backbone.dimension, self.preprocessing.size), backbone.unit
        ).to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._start = deepcopy(twin.backbone).requires_grad_(False) if recipe.optimiser.blend < 1.0 else None
        self._average = deepcopy(twin).requires_grad_(False) if recipe.optimiser.average else None
        persons = int(self._roster.persons.max()) + 1
        self._losses: list[tuple[str, float, Loss]] = []
        for number, one in enumerate(recipe.loss):
            loss = build_loss(one, persons=persons, dimension=backbone.dimension).to(fabric.device)
            self._losses.append((f"{one.kind}_{number}", one.weight, loss))
        self._twin = twin
        self._parameters = [*twin.parameters(), *(value for _, _, loss in self._losses for value in loss.parameters())]
        self._network, self._optimiser = fabric.setup(twin, build_optimiser(recipe.optimiser, self._parameters))
        if recipe.device.compile:
            self._network.compile()

    @property
    def loss_names(self) -> list[str]:
        """Of the terms of the loss, in their order."""
        return [name for name, _, _ in self._losses]

    def learn(self, loaded: Loaded) -> dict[str, float]:
        """Takes one step.

        Returns:
            The loss, as "loss", and each of its terms, unweighted, by name; of all processes together.

        Raises:
            TrainingDiverged: the loss or its gradient is no finite number; the weights are still those of before.
        """
        step = loaded.request.step + 1
        for group in self._optimiser.param_groups:
            group["lr"] = self._recipe.optimiser.learning_rate * rate_at(self._recipe.schedule, step, self._steps)
        crops = self._crops(loaded)
        self._network.train()
        local = self._network(self.preprocessing(crops))
        given = self._input(loaded, self._gathered(local, loaded), crops)
        terms = {name: loss(given) for name, _, loss in self._losses}
        total = torch.stack([weight * terms[name] for name, weight, _ in self._losses]).sum()
        # at once, as each look at a GPU's figures waits for it
        loss, *values = torch.stack([total, *terms.values()]).detach().tolist()
        if not math.isfinite(loss):
            raise diverged("the loss", loss, step, self._recipe.optimiser)
        self._optimiser.zero_grad(set_to_none=True)
        self._fabric.backward(total)
        norm = float(nn.utils.clip_grad_norm_(self._parameters, self._recipe.optimiser.clip or math.inf))
        if not math.isfinite(norm):
            raise diverged("the gradient's norm", norm, step, self._recipe.optimiser)
        self._optimiser.step()
        self._follow(step)
        if self._bank is not None:
            rows = torch.from_numpy(loaded.request.batch.places)
            self._bank.update(rows, given.embeddings.detach().cpu())
        return {"loss": loss, **dict(zip(terms, values, strict=True))}

    def _crops(self, loaded: Loaded) -> Tensor:
        pictures = loaded.pictures.to(self._fabric.device, non_blocking=True)
        crops = pictures
        if self._recipe.device.augment == "device":
            crops = augment(pictures, loaded.request.chances, self._recipe.data.size)
        if self._recipe.teacher.mixup:
            random = np.random.default_rng([self._recipe.seed, MIX, loaded.request.step, self._fabric.global_rank])
            share = np.where(random.random(len(crops)) < self._recipe.teacher.mixup, random.random(len(crops)), 0.0)
            other = torch.from_numpy(random.permutation(len(crops))).to(crops.device)
            weight = torch.from_numpy(share.astype(np.float32)).to(crops.device)[:, None, None, None]
            crops = crops * (1.0 - weight) + crops[other] * weight
        return crops

    def _gathered(self, local: Tensor, loaded: Loaded) -> Tensor:
        """What all processes made of the batch, without what was added to give each as many pictures."""
        world = self._fabric.world_size
        if world == 1:
            return local
        parts = [torch.empty_like(local) for _ in range(world)]
        torch.distributed.all_gather(parts, local.detach().contiguous())
        # a gradient flows through this process's pictures alone, and is then averaged over the processes: so much more
        parts[self._fabric.global_rank] = local + (world - 1) * (local - local.detach())
        return torch.cat(parts)[: len(loaded.request.batch.places)]

    def _input(self, loaded: Loaded, embeddings: Tensor, crops: Tensor) -> LossInput:
        batch, device = loaded.request.batch, embeddings.device

        def there(values: NDArray[Any] | None) -> Tensor | None:
            return None if values is None else torch.from_numpy(np.ascontiguousarray(values)).to(device)

        targets = None if self._targets is None else self._targets[torch.from_numpy(batch.places)].to(device)
        apart = None if targets is None else subjects_apart(targets, self._recipe.mining.same)
        if self._teacher is not None:
            with self._fabric.autocast():
                answers = self._teacher(crops)
            targets = self._gathered(answers, loaded)
        parts = torch.from_numpy(batch.parts)
        distil = torch.tensor([part.distil for part in self._recipe.batch])[parts].to(device)
        persons = torch.from_numpy(self._roster.persons[batch.places]).to(device)
        groups = torch.from_numpy(self._roster.groups[batch.places]).to(device)
        return LossInput(
            embeddings,
            persons,
            groups,
            parts.to(device),
            there(batch.pairs),
            there(batch.mated),
            targets,
            apart,
            distil,
        )

    def _follow(self, step: int) -> None:
        if self._average is None:
            return
        decay = min(self._recipe.optimiser.average, (1 + step) / (AVERAGE_WARMUP + step))
        with torch.no_grad():
            for old, new in zip(self._average.state_dict().values(), self._twin.state_dict().values(), strict=True):
                if old.is_floating_point():
                    old.lerp_(new, 1.0 - decay)
                else:
                    old.copy_(new)

    def finished(self) -> Twin:
        """The twin whose weights count: averaged if the recipe says so, and blended with those of the start."""
        twin = self._twin if self._average is None else self._average
        if self._start is None:
            return twin
        blended = deepcopy(twin)
        pairs = zip(self._start.state_dict().values(), blended.backbone.state_dict().values(), strict=True)
        with torch.no_grad():
            for start, value in pairs:
                if value.is_floating_point():
                    value.copy_(start.lerp(value, self._recipe.optimiser.blend))
        return blended

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that a checkpoint must hold to go on bit for bit."""
        tensors = {f"network/{name}": value for name, value in self._twin.state_dict().items()}
        if self._start is not None:
            tensors |= {f"start/{name}": value for name, value in self._start.state_dict().items()}
        if self._average is not None:
            tensors |= {f"average/{name}": value for name, value in self._average.state_dict().items()}
        for name, _, loss in self._losses:
            tensors |= {f"loss/{name}/{key}": value for key, value in loss.state_dict().items()}
        if self._bank is not None:
            tensors |= {f"bank/{name}": value for name, value in self._bank.state().items()}
        remembered, facts = optimiser_state(self._optimiser)
        return tensors | {f"optimiser/{name}": value for name, value in remembered.items()}, {"optimiser": facts}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Takes over what `state` gave.

        Raises:
            ContractMismatch: it is of another recipe.
            RecipeError: its memory bank is of other data.
        """

        def under(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

        fill(self._twin, under("network/"), "network")
        if self._start is not None:
            fill(self._start, under("start/"), "start")
        if self._average is not None:
            fill(self._average, under("average/"), "average")
        for name, _, loss in self._losses:
            fill(loss, under(f"loss/{name}/"), f"loss {name}")
        if self._bank is not None:
            self._bank.load(under("bank/"))
        restore_optimiser(self._optimiser, under("optimiser/"), facts.get("optimiser", {}))


def fill(module: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Copies a checkpoint's tensors into a module's, whose place and layout in memory stay.

    Raises:
        ContractMismatch: they are another module's.
    """
    try:
        module.load_state_dict(dict(state))
    except RuntimeError as error:
        raise ContractMismatch(
            f"checkpoint: the weights of its {what} are not the recipe's ({reason(error)}); resume with the run's own "
            "recipe"
        ) from error
