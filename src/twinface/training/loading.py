"""Loads the pictures of each step and augments them, here or in processes of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from twinface.training.augmentation import AugmentationOptions, Chances, augment, draw
from twinface.training.batches import Batch, BatchMaker
from twinface.training.recipe import Recipe
from twinface.training.roster import Rows

AUGMENT = 13
"""Names the random stream of augmentation."""


@dataclass(frozen=True, eq=False)
class Request:
    """What is to be loaded for a step.

    Attributes:
        step: from 0.
        batch: of all processes together.
        rows: of the crop store that this process loads, (b,); padded so that each process has as many.
        chances: of these.
    """

    step: int
    batch: Batch
    rows: Rows
    chances: Chances


@dataclass(frozen=True, eq=False)
class Loaded:
    """The pictures of a step.

    Attributes:
        request: what was asked for.
        pictures: augmented crops, float32 (b, 3, S, S), or stored pictures, uint8 (b, T, T, 3).
    """

    request: Request
    pictures: Tensor

    def pin_memory(self) -> Loaded:
        """In memory that a GPU copies from without waiting; DataLoader calls it."""
        return Loaded(self.request, self.pictures.pin_memory())


class Requests(Sampler[Request]):
    """The requests of one process for a run of steps.

    Args:
        maker: draws the batches.
        options: how pictures are spoiled.
        rows: row in the crop store of each place in the roster.
        seed: of the run.
        rank: number of this process.
        world: how many there are.
    """

    def __init__(
        self, maker: BatchMaker, options: AugmentationOptions, rows: Rows, seed: int, rank: int = 0, world: int = 1
    ) -> None:
        self._maker, self._options, self._rows = maker, options, rows
        self._seed, self._rank, self._world = seed, rank, world
        self.steps: Iterable[int] = ()

    def __iter__(self) -> Iterator[Request]:
        for step in self.steps:
            yield self.request(step)

    def request(self, step: int) -> Request:
        """What this process loads for a step."""
        batch = self._maker.batch(step)
        chances = draw(self._options, len(batch.places), np.random.default_rng([self._seed, AUGMENT, step]))
        mine = shares(len(batch.places), self._world)[self._rank]
        return Request(step, batch, self._rows[batch.places[mine]], chances.take(mine))


def shares(count: int, world: int) -> list[NDArray[np.int64]]:
    """Which positions of a batch each process takes: as many each, the last filled up with the batch's last one."""
    each = -(-count // world)
    return [np.minimum(np.arange(rank * each, (rank + 1) * each), count - 1) for rank in range(world)]


class _Shelf(Dataset[Loaded]):
    """Pictures by request."""

    def __init__(self, pixels: NDArray[np.uint8], size: int | None) -> None:
        self._pixels, self._size = pixels, size

    def __getitem__(self, request: Request) -> Loaded:  # our sampler yields requests
        stored = torch.from_numpy(np.ascontiguousarray(self._pixels[request.rows]))
        pictures = stored if self._size is None else augment(stored, request.chances, self._size)
        return Loaded(request, pictures)


class PictureLoader:
    """Yields the pictures of steps, in their order.

    Args:
        pixels: of the crop store, uint8 (N, T, T, 3).
        requests: what each step needs.
        recipe: says where augmentation happens and in how many processes.
        pin: whether batches are pinned for a GPU.
    """

    def __init__(self, pixels: NDArray[np.uint8], requests: Requests, recipe: Recipe, *, pin: bool = False) -> None:
        self._requests = requests
        size = recipe.data.size if recipe.device.augment == "loader" else None
        workers = recipe.device.workers
        self._loader: DataLoader[Loaded] = DataLoader(
            _Shelf(pixels, size),
            sampler=requests,
            batch_size=None,
            num_workers=workers,
            persistent_workers=workers > 0,
            prefetch_factor=4 if workers else None,
            worker_init_fn=_alone if workers else None,
            pin_memory=pin,
        )

    def steps(self, first: int, end: int) -> Iterator[Loaded]:
        """Those of the steps from `first` up to, without, `end`. Loader processes live on from call to call."""
        self._requests.steps = range(first, end)
        yield from self._loader


def _alone(_worker: int) -> None:
    torch.set_num_threads(1)  # many processes of many threads each would hinder one another
