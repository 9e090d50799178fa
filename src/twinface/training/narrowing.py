"""Makes a narrow ResNet-29's first weights out of a wide one's: its most important channels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from twinface.training.backbones.resnet29 import ResidualBlock, ResNet29


def narrowed(wide: Mapping[str, Tensor], network: ResNet29) -> dict[str, Tensor]:
    """Weights for a network of the wide one's shape with fewer channels.

    A channel's importance is the product of the norms of the kernels that write it and of those that read it, summed
    over where that happens (the magnitude criterion of H. Li et al., "Pruning filters for efficient ConvNets", ICLR
    2017, taken on both sides). Within a block the channels between its two convolutions are chosen freely; those that
    shortcuts carry are one choice for all blocks of a stage, and, as a stage's first channels are the one before's,
    they stay chosen in the stages behind. The head keeps its outputs. The convolutions swallow the wide network's
    affine layers; the narrow one's, if it has any, begin neutral.

    Args:
        wide: the state of a ResNet-29 with as many blocks.
        network: says how many channels each layer keeps; it stays as it is.

    Raises:
        ValueError: the network is wider, or of other blocks.
    """
    try:
        return _narrowed(_folded(wide), network)
    except (KeyError, IndexError, RuntimeError) as error:
        raise ValueError(f"narrowing: the wide network's weights do not cover the narrow one's ({error})") from error


def _narrowed(wide: Mapping[str, Tensor], network: ResNet29) -> dict[str, Tensor]:
    blocks = [block for block in network.blocks if isinstance(block, ResidualBlock)]
    found: dict[str, Tensor] = {}
    carried = torch.empty(0, dtype=torch.int64)
    for stage in _stages(blocks):
        entering = carried  # what the shortcut into the stage carries, which comes first in it
        writers = [wide[f"blocks.{place}.body.3.weight"] for place in stage]
        readers = [wide[f"blocks.{place}.body.0.weight"] for place in stage if not blocks[place].shrinks]
        if not len(entering):
            writers.append(wide["stem.0.weight"])
        after = stage[-1] + 1
        reading = wide[f"blocks.{after}.body.0.weight"] if after < len(blocks) else wide["head.weight"]
        weight = sum(_norms(one, 0) for one in writers) * sum(_norms(one, 1) for one in [*readers, reading])
        assert isinstance(weight, Tensor)
        carried = _chosen(weight, _width(network, stage), entering)
        if not len(entering):
            _take(found, wide, "stem.0", carried, torch.arange(3))
            entering = carried
        for place in stage:
            name, inputs = f"blocks.{place}.body", entering if blocks[place].shrinks else carried
            between = _norms(wide[f"{name}.0.weight"], 0) * _norms(wide[f"{name}.3.weight"], 1)
            inner = _chosen(between, _outputs(network, place), torch.empty(0, dtype=torch.int64))
            _take(found, wide, f"{name}.0", inner, inputs)
            _take(found, wide, f"{name}.3", carried, inner)
    found["head.weight"] = wide["head.weight"][:, carried].clone()
    for name, value in network.state_dict().items():
        if name.endswith((".scale", ".shift")):
            found[name] = torch.ones_like(value) if name.endswith(".scale") else torch.zeros_like(value)
    return found


def _stages(blocks: list[ResidualBlock]) -> list[list[int]]:
    """The places of each stage's blocks; every stage but the first begins with one that shrinks."""
    stages: list[list[int]] = [[]]
    for place, block in enumerate(blocks):
        if block.shrinks:
            stages.append([])
        stages[-1].append(place)
    return stages


def _outputs(network: ResNet29, place: int) -> int:
    return int(network.state_dict()[f"blocks.{place}.body.0.weight"].shape[0])


def _width(network: ResNet29, stage: list[int]) -> int:
    return int(network.state_dict()[f"blocks.{stage[-1]}.body.3.weight"].shape[0])


def _folded(wide: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The convolutions' weights, each having swallowed the affine layer behind it."""
    found = {name: value for name, value in wide.items() if not name.endswith((".scale", ".shift"))}
    for name, scale in wide.items():
        if name.endswith(".scale"):
            layer, place, _ = name.rsplit(".", 2)
            before = f"{layer}.{int(place) - 1}"
            found[f"{before}.weight"] = found[f"{before}.weight"] * scale[:, None, None, None]
            found[f"{before}.bias"] = found[f"{before}.bias"] * scale + wide[f"{layer}.{place}.shift"]
    return found


def _norms(weights: Tensor, axis: int) -> Tensor:
    """Of the kernels that write (axis 0) or read (axis 1) each channel."""
    norms: Tensor = torch.linalg.vector_norm(weights.transpose(0, axis).flatten(1), dim=1)
    return norms


def _chosen(importance: Tensor, count: int, first: Tensor) -> Tensor:
    """So many channels: those given, in their order, then the most important others."""
    if not len(first) <= count <= len(importance):
        raise IndexError(f"{count} channels of {len(importance)}, {len(first)} of them fixed")
    others = importance.clone()
    others[first] = -torch.inf
    return torch.cat([first, others.topk(count - len(first)).indices.sort().values])


def _take(found: dict[str, Tensor], wide: Mapping[str, Tensor], name: str, out: Tensor, into: Tensor) -> None:
    """Some outputs and inputs of a convolution."""
    found[f"{name}.weight"] = wide[f"{name}.weight"][out][:, into].clone()
    found[f"{name}.bias"] = wide[f"{name}.bias"][out].clone()
