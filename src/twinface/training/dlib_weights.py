"""Reads the weights of dlib's face recognition network from its .dat file, without dlib.

The file is dlib's serialization (`dlib/serialize.h`, `dlib/dnn/layers.h`). An integer is one byte (low nibble: number
of bytes that follow, bit 7: sign) and that many little-endian bytes. A name is such an integer, its length, and its
letters. A tensor is five integers (version, samples, channels, rows, columns), then raw little-endian float32. Layers
are listed from the input to the output; only those that learn (`con_4`, `affine_`, `fc_2`) concern us.
"""

from __future__ import annotations

import re
from math import prod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from twinface.errors import DatasetCorrupt, DatasetMissing
from twinface.training.backbones.resnet29 import ChannelAffine, ResNet29

HEAD = b"\x01\x01\x01\x0dloss_metric_2"
"""How a network trained with dlib's metric loss begins: the format's version, then the loss layer's name."""

TENSOR_VERSION = 2
LAYER = re.compile(rb"\x01\x05con_4|\x01\x07affine_|\x01\x04fc_2")
KINDS: dict[bytes, type[nn.Module]] = {b"con_4": nn.Conv2d, b"affine_": ChannelAffine, b"fc_2": nn.Linear}


def read_weights(path: Path) -> dict[str, Tensor]:
    """Reads dlib's file into a state dict of `ResNet29`.

    Args:
        path: `dlib_face_recognition_resnet_model_v1.dat`, as the PyPI package `face_recognition_models` carries it.

    Returns:
        float32 tensors that `ResNet29().load_state_dict` takes.

    Raises:
        DatasetMissing: no such file.
        DatasetCorrupt: the file is cut off, damaged or holds another network.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetMissing(
            f"{path}: cannot read dlib's weights ({error.strerror}); install the package face_recognition_models"
        ) from error
    if not content.startswith(HEAD):
        raise DatasetCorrupt(f"{path}: not dlib's face recognition network; expected face_recognition_models' file")
    try:
        return _assign(_layers(content))
    except ValueError as error:
        raise DatasetCorrupt(f"{path}: {error}; install face_recognition_models again") from error


def _layers(content: bytes) -> list[tuple[type[nn.Module], NDArray[np.float32]]]:
    """Kind and parameters of every layer that learns, input first."""
    layers, place = [], len(HEAD)
    while (found := LAYER.search(content, place)) is not None:
        name, place = found.group()[2:], found.end()
        if name == b"fc_2":  # its numbers of outputs and inputs come before the parameters
            place = _integer(content, _integer(content, place)[1])[1]
        values, place = _tensor(content, place)
        layers.append((KINDS[name], values))
    return layers


def _integer(content: bytes, place: int) -> tuple[int, int]:
    """The integer at a place, and the place behind it."""
    if place >= len(content):
        raise ValueError(f"the file ends at byte {len(content)}, inside a layer")
    size, negative = content[place] & 0x0F, bool(content[place] & 0x80)
    place, end = place + 1, place + 1 + size
    if not 1 <= size <= 8 or end > len(content):
        raise ValueError(f"no integer at byte {place - 1}")
    value = int.from_bytes(content[place:end], "little")
    return (-value if negative else value), end


def _tensor(content: bytes, place: int) -> tuple[NDArray[np.float32], int]:
    """The tensor at a place, flat, and the place behind it."""
    start, header = place, []
    for _ in range(5):
        value, place = _integer(content, place)
        header.append(value)
    version, *shape = header
    if version != TENSOR_VERSION or min(shape) < 1:
        raise ValueError(f"no tensor at byte {start}")
    count = prod(shape)
    if place + 4 * count > len(content):
        raise ValueError(f"the file ends at byte {len(content)}, inside a tensor of {count} values")
    values = np.frombuffer(content, "<f4", count, place).astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError(f"the tensor at byte {start} holds values that are not finite")
    return values, place + 4 * count


def _assign(layers: list[tuple[type[nn.Module], NDArray[np.float32]]]) -> dict[str, Tensor]:
    """Gives each layer of `ResNet29`, in order, the parameters of the file's layer."""
    with torch.device("meta"):
        network = ResNet29()
    wanted = [(name, module) for name, module in network.named_modules() if type(module) in KINDS.values()]
    if len(layers) != len(wanted):
        raise ValueError(f"expected {len(wanted)} layers with weights, found {len(layers)}")
    state: dict[str, Tensor] = {}
    for (kind, values), (name, module) in zip(layers, wanted, strict=True):
        shapes = {f"{name}.{part}": tuple(value.shape) for part, value in module.named_parameters()}
        count = sum(prod(shape) for shape in shapes.values())
        if not isinstance(module, kind) or values.size != count:
            raise ValueError(
                f"{name}: expected {type(module).__name__} of {count}, found {kind.__name__} of {values.size}"
            )
        place = 0
        for part, shape in shapes.items():
            piece = torch.from_numpy(values[place : place + prod(shape)])
            # dlib keeps a fully connected layer as (inputs, outputs)
            state[part] = piece.reshape(shape[::-1]).T.contiguous() if kind is nn.Linear else piece.reshape(shape)
            place += prod(shape)
    return state
