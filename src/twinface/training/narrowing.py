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
    they stay chosen in the stages behind. The head keeps its outputs.

    Args:
        wide: the state of a ResNet-29 with as many blocks.
        network: says how many channels each layer keeps; it stays as it is.

    Raises:
        ValueError: the network is wider, or of other blocks.
    """
    try:
        return _narrowed(wide, network)
    except (KeyError, IndexError, RuntimeError) as error:
        raise ValueError(f"narrowing: the wide network's weights do not cover the narrow one's ({error})") from error


def _narrowed(wide: Mapping[str, Tensor], network: ResNet29) -> dict[str, Tensor]:
    blocks = [block for block in network.blocks if isinstance(block, ResidualBlock)]
    found: dict[str, Tensor] = {}
    carried = torch.empty(0, dtype=torch.int64)
    for stage in _stages(blocks):
        entering = carried  # what the shortcut into the stage carries, which comes first in it
        writers = [_kernel(wide, f"blocks.{place}.body", 3) for place in stage]
        readers = [_kernel(wide, f"blocks.{place}.body", 0) for place in stage if not blocks[place].shrinks]
        if not len(entering):
            writers.append(_kernel(wide, "stem", 0))
        after = stage[-1] + 1
        reading = _kernel(wide, f"blocks.{after}.body", 0) if after < len(blocks) else wide["head.weight"]
        weight = sum(_norms(one, 0) for one in writers) * sum(_norms(one, 1) for one in [*readers, reading])
        assert isinstance(weight, Tensor)
        carried = _chosen(weight, _width(network, stage), entering)
        if not len(entering):
            _take(found, wide, "stem", 0, carried, torch.arange(3))
            entering = carried
        for place in stage:
            name, inputs = f"blocks.{place}.body", entering if blocks[place].shrinks else carried
            between = _norms(_kernel(wide, name, 0), 0) * _norms(_kernel(wide, name, 3), 1)
            inner = _chosen(between, _outputs(network, place), torch.empty(0, dtype=torch.int64))
            _take(found, wide, name, 0, inner, inputs)
            _take(found, wide, name, 3, carried, inner)
    found["head.weight"] = wide["head.weight"][:, carried].clone()
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


def _kernel(wide: Mapping[str, Tensor], name: str, place: int) -> Tensor:
    """A convolution's weights, times what the affine layer behind it makes of them."""
    return wide[f"{name}.{place}.weight"] * wide[f"{name}.{place + 1}.scale"][:, None, None, None]


def _norms(weights: Tensor, axis: int) -> Tensor:
    """Of the kernels that write (axis 0) or read (axis 1) each channel."""
    return weights.transpose(0, axis).flatten(1).norm(dim=1)


def _chosen(importance: Tensor, count: int, first: Tensor) -> Tensor:
    """So many channels: those given, in their order, then the most important others."""
    if not len(first) <= count <= len(importance):
        raise IndexError(f"{count} channels of {len(importance)}, {len(first)} of them fixed")
    others = importance.clone()
    others[first] = -torch.inf
    return torch.cat([first, others.topk(count - len(first)).indices.sort().values])


def _take(
    found: dict[str, Tensor], wide: Mapping[str, Tensor], name: str, place: int, out: Tensor, into: Tensor
) -> None:
    """Some outputs and inputs of a convolution, with the affine layer behind it."""
    found[f"{name}.{place}.weight"] = wide[f"{name}.{place}.weight"][out][:, into].clone()
    for key in (f"{place}.bias", f"{place + 1}.scale", f"{place + 1}.shift"):
        found[f"{name}.{key}"] = wide[f"{name}.{key}"][out].clone()
