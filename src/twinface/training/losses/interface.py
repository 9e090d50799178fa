"""What every loss is given and what it yields."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class LossInput:
    """A batch as losses see it: B pictures, P pairs of them, embeddings of dimension D, all on one device.

    Attributes:
        embeddings: (B, D), floating, of unit length if the recipe says so.
        persons: number of each picture's person, int64 (B,); -1 for unknown.
        groups: number of each picture's group, int64 (B,); -1 for none.
        parts: which part of the batch brought each picture, int64 (B,).
        pairs: positions in the batch of each pair, int64 (P, 2); None where all pairs count.
        mated: whether a pair shows one person, bool (P,); None just when `pairs` is.
        targets: the teacher's templates, floating (B, D); None without a teacher.
        apart: bool (B, B), False where two pictures must not be taken for a non-mated pair, since they may show one
            person after all; None where persons are certain.
        distil: factor on each picture's distillation, floating (B,); None for 1.

    Raises:
        ValueError: an array of another shape or type.
    """

    embeddings: Tensor
    persons: Tensor
    groups: Tensor
    parts: Tensor
    pairs: Tensor | None = None
    mated: Tensor | None = None
    targets: Tensor | None = None
    apart: Tensor | None = None
    distil: Tensor | None = None

    def __post_init__(self) -> None:
        if self.embeddings.ndim != 2 or not self.embeddings.is_floating_point():
            raise ValueError(f"embeddings must be floating (B, D), got {_kind(self.embeddings)}")
        count = len(self.embeddings)
        for name in ("persons", "groups", "parts"):
            self._expect(name, torch.int64, (count,))
        if (self.pairs is None) != (self.mated is None):
            raise ValueError("pairs and mated must be given together or not at all")
        if self.pairs is not None:
            self._expect("pairs", torch.int64, (len(self.pairs), 2))
            self._expect("mated", torch.bool, (len(self.pairs),))
        self._expect("apart", torch.bool, (count, count))
        self._expect("distil", None, (count,))
        # another dimension than the embeddings' is the recipe's fault, and the distillation loss says so
        self._expect("targets", None, (count, None))

    def _expect(self, name: str, dtype: torch.dtype | None, shape: tuple[int | None, ...]) -> None:
        """Checks one field unless it is left out; no dtype stands for any floating one, no size for any."""
        value: Tensor | None = getattr(self, name)
        if value is None:
            return
        fits = value.ndim == len(shape) and all(
            size is None or size == found for size, found in zip(shape, value.shape, strict=True)
        )
        if not fits or (value.dtype != dtype if dtype else not value.is_floating_point()):
            sizes = ", ".join("any" if size is None else str(size) for size in shape)
            wanted = str(dtype or "floating").removeprefix("torch.")
            raise ValueError(f"{name} must be {wanted} ({sizes}), got {_kind(value)}")


def _kind(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"


class Loss(nn.Module, ABC):
    """One term of the loss. Computes in float32 whatever the network's precision, in float64 if it is given that."""

    def __init__(self) -> None:
        super().__init__()
        self._figures: Mapping[str, Tensor] = {}

    def forward(self, given: LossInput) -> Tensor:
        """The term for one batch, unweighted: a scalar with a gradient, 0 where nothing in the batch takes part."""
        embeddings = given.embeddings
        embeddings = embeddings if embeddings.dtype == torch.float64 else embeddings.float()
        with torch.autocast(embeddings.device.type, enabled=False):
            loss, figures = self.compute(embeddings, given)
        self._figures = {name: value.detach() for name, value in figures.items()}
        return loss

    @property
    def last(self) -> dict[str, float]:
        """Figures of the last batch for logs, by name; what they are, each kind of loss says. Waits for the device."""
        return {name: float(value) for name, value in self._figures.items()}

    @abstractmethod
    def compute(self, embeddings: Tensor, given: LossInput) -> tuple[Tensor, dict[str, Tensor]]:
        """The term and the figures for `last`; `embeddings` are those of `given` in the precision to compute in."""
