"""Weights of networks in training: their moving average, and safetensors files of them."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def moving_average(network: nn.Module, decay: float) -> AveragedModel:
    """A copy that follows the network as an exponential moving average, buffers included."""
    rule = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(network, multi_avg_fn=rule, use_buffers=True)


def save_weights(network: nn.Module, path: Path) -> None:
    """Writes the network's weights as safetensors, whatever their memory layout."""
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)
