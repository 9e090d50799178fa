"""Where a run stands, in one safetensors file that any machine can take it up from; nothing is pickled."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as packed
from torch import Tensor
from torch.optim import Optimizer

from twinface.core.facts import field_of, object_of
from twinface.core.files import reason, shown, write_atomically
from twinface.errors import ContractMismatch, ModelNotFound

FORMAT = 1
"""Rises when older programs could no longer read what is written."""

KEY = "twinface"
"""Under which the file's metadata holds what is no tensor; a single entry, as the library shuffles several."""

MOST_FACTS = 50_000_000
"""Bytes of the facts; safetensors writes a header beyond 100 MB but does not read it."""

HOW = ("foreach", "fused", "capturable")
"""Options of an optimiser that say how it computes here, not what; they do not travel to another machine."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """All that a run needs to be continued.

    Attributes:
        step: batches trained on.
        epoch: passes over the training data, with their fraction.
        tensors: by flat names whose first part says what they belong to, as "network/conv1.weight"; any shape and kind.
        facts: what JSON gives back equal: texts, whole numbers, finite floats, booleans, None, lists and objects.

    Raises:
        ValueError: a negative or endless step or epoch, or facts that JSON changes, for instance a tuple or NaN.
        TypeError: facts that JSON does not know at all.
    """

    step: int
    epoch: float
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.step < 0 or not 0 <= self.epoch < math.inf:
            raise ValueError(f"checkpoint: step {self.step} and epoch {self.epoch} must be finite and not negative")
        text = json.dumps(self.facts, allow_nan=False)
        if json.loads(text) != self.facts:
            raise ValueError("checkpoint: facts must be what JSON gives back equal: no tuples, keys are texts")
        if len(text) > MOST_FACTS:
            raise ValueError(f"checkpoint: facts of {len(text):,} bytes; at most {MOST_FACTS:,} fit")

    def under(self, label: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `label` and a slash, named by the rest."""
        return {
            name.removeprefix(f"{label}/"): value
            for name, value in self.tensors.items()
            if name.startswith(f"{label}/")
        }


def save(checkpoint: Checkpoint, folder: Path, name: Literal["last", "best"]) -> Path:
    """Writes `name`.safetensors into a folder; until all of it has reached the disk, the one before stays.

    The same checkpoint gives the same bytes.

    Returns:
        The file's path.

    Raises:
        OutputError: it cannot be written; the one before is intact.
    """
    path = folder / f"{name}.safetensors"
    said = {"checkpoint": FORMAT, "step": checkpoint.step, "epoch": checkpoint.epoch, "facts": checkpoint.facts}
    content = packed(_apart(checkpoint.tensors), {KEY: json.dumps(said, allow_nan=False)})

    def write(file: BinaryIO) -> None:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # or a power cut could leave the new name on an empty file

    write_atomically(path, write)
    return path


def load(path: Path) -> Checkpoint:
    """Reads what `save` wrote; the tensors lie in memory, on the CPU.

    Raises:
        ModelNotFound: no such file, or it cannot be opened.
        ContractMismatch: cut off, damaged, or no checkpoint of TwinFace.
    """
    try:
        if not path.is_file():  # a pipe would be waited for
            raise ModelNotFound(f"{shown(path)}: no such checkpoint; give the folder of a run that has saved one")
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(KEY)
            if text is None:
                raise ValueError("it says nothing of a run")
            said = object_of(json.loads(text), "its record")
            if said.get("checkpoint") != FORMAT:
                raise ValueError(f"it is of format {said.get('checkpoint')!r}, this program reads {FORMAT}")
            # cloned, as the library's tensors lie in the file, which the next save replaces
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118  no mapping
        return Checkpoint(
            field_of(said, "step", "int", "its record"),
            field_of(said, "epoch", "float", "its record"),
            tensors,
            field_of(said, "facts", "object", "its record"),
        )
    except OSError as error:
        raise ModelNotFound(f"{shown(path)}: cannot be read ({reason(error)}); give another checkpoint") from error
    except (SafetensorError, ValueError, RecursionError) as error:
        raise ContractMismatch(
            f"{shown(path)}: not a whole checkpoint of TwinFace ({reason(error)}); take another of the run's"
        ) from error


def optimiser_state(optimiser: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All that an optimiser remembers, parted into tensors and what JSON holds.

    Args:
        optimiser: of torch, or Fabric's wrapper of one.

    Returns:
        Tensors by flat names, as "state/0/exp_avg"; they are the optimiser's own and change with its next step. Facts:
        its kind, the rest of its state, and its groups.
    """
    own = _bare(optimiser)
    whole = own.state_dict()
    tensors: dict[str, Tensor] = {}
    state = {
        str(number): _without_tensors(values, f"state/{number}", tensors) for number, values in whole["state"].items()
    }
    groups = [
        _without_tensors(values, f"group/{number}", tensors) for number, values in enumerate(whole["param_groups"])
    ]
    return tensors, {"kind": type(own).__name__, "state": state, "groups": groups}


def restore_optimiser(optimiser: Optimizer, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Gives an optimiser the state that `optimiser_state` took from one of the same kind over the same network.

    It goes on bit for bit as the other would have. How it computes (`HOW`) stays its own affair.

    Args:
        optimiser: of torch, or Fabric's wrapper of one.
        tensors: on any device; they are copied.
        facts: as `optimiser_state` gave them, or as JSON gave those back.

    Raises:
        ContractMismatch: of another kind of optimiser or another network.
    """
    own = _bare(optimiser)
    if facts.get("kind") != type(own).__name__:
        raise ContractMismatch(
            f"checkpoint: its optimiser is {facts.get('kind')}, the recipe's {type(own).__name__}; resume with the "
            "recipe of the run"
        )
    try:
        state = {int(number): dict(values) for number, values in facts["state"].items()}
        groups = [dict(values) for values in facts["groups"]]
        for name, value in tensors.items():
            kind, number, key = name.split("/", 2)
            {"state": state, "group": groups}[kind][int(number)][key] = value.clone()  # type: ignore[index]
        for group, here in zip(groups, own.param_groups, strict=True):
            group |= {key: here[key] for key in HOW if key in here}
            # JSON knows lists only
            group |= {key: tuple(group[key]) for key, value in here.items() if isinstance(value, tuple)}
        _lay_out(own, state)
        own.load_state_dict({"state": state, "param_groups": groups})
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ContractMismatch(
            f"checkpoint: its optimiser does not fit this network ({reason(error)}); resume with the recipe of the run"
        ) from error


def _bare(optimiser: Optimizer) -> Optimizer:
    """The optimiser itself, where Fabric has wrapped it."""
    own: Optimizer = getattr(optimiser, "optimizer", optimiser)
    return own


def _without_tensors(values: Mapping[str, Any], label: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """The values that are no tensors, with lists for tuples; the tensors go to `tensors`."""
    tensors |= {f"{label}/{key}": value.detach() for key, value in values.items() if isinstance(value, Tensor)}
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in values.items()
        if not isinstance(value, Tensor)
    }


def _lay_out(optimiser: Optimizer, state: Mapping[int, dict[str, Any]]) -> None:
    """Gives what is remembered of each parameter the parameter's layout in memory, on which the last bit may hang.

    Raises:
        ValueError: it is neither a number nor as large as the parameter, which torch does not look at.
    """
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    for number, values in state.items():
        for key, value in values.items():
            if not isinstance(value, Tensor) or not value.dim():
                continue
            if value.shape != parameters[number].shape:
                sizes = f"{tuple(value.shape)} for {tuple(parameters[number].shape)}"
                raise ValueError(f"{key} of parameter {number} is of shape {sizes}")
            values[key] = torch.empty_like(parameters[number], dtype=value.dtype, device=value.device).copy_(value)


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU, row by row and each in memory of its own, as the library wants them."""
    found: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, value in tensors.items():
        here = value.detach().cpu().contiguous()
        place = here.untyped_storage().data_ptr()
        found[name] = here.clone() if place in taken else here
        taken.add(place)
    return found
