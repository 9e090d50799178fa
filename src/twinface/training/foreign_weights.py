"""Reads somebody else's weights, running nothing that comes with them, and makes their network one of ours."""

from __future__ import annotations

import pickle
import struct
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from twinface.core.contract import EncoderContract
from twinface.core.files import reason, shown
from twinface.errors import ContractMismatch, ModelNotFound
from twinface.training.preprocessing import contract_of
from twinface.training.recipe import Recipe

LARGEST = 2 * 1024**3
"""Bytes of weights; more than any encoder has."""

WRAPPINGS = ("state_dict", "model_state_dict")
"""Under these names training scripts put the weights beside the state of their optimiser."""

DTYPES = frozenset(
    {torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.uint8, torch.bool}
)
"""Kinds of numbers that weights and counters are made of."""

UNREADABLE = (
    RuntimeError, ValueError, LookupError, AttributeError, TypeError, AssertionError, ArithmeticError, EOFError,
    MemoryError, SafetensorError, struct.error, zlib.error,
)  # fmt: skip
"""What the readers of weights raise on damaged files, which they trust to be whole."""

UNSIGNED = "0" * 64
"""Stands for the digest of a file that is not written yet."""

PIXELS: Mapping[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "symmetric": ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "unit": ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
}
"""Mean and deviation of red, green and blue by which strangers normalise grey levels: torchvision's networks, those of
ArcFace, and those that take pixels from 0 to 1."""


def read_foreign(path: Path) -> dict[str, Tensor]:
    """Reads somebody's weights without running anything the file may carry.

    Args:
        path: a `.pt` or `.pth` with a state dict, alone or as `state_dict` or `model_state_dict`, or a `.safetensors`.

    Returns:
        Tensors by name; whether they fit a network is for `load_weights` to say.

    Raises:
        ModelNotFound: the file cannot be read.
        ContractMismatch: it holds other things than tensors, is damaged, or has more than `LARGEST` bytes.
    """
    try:
        if not path.is_file():
            raise ModelNotFound(f"{shown(path)}: no such file of weights")
        if path.suffix not in (".pt", ".pth", ".safetensors"):
            raise ContractMismatch(f"{shown(path)}: weights are read from .pt, .pth and .safetensors; save them so")
        if path.stat().st_size > LARGEST or _unpacked(path) > LARGEST:
            raise ContractMismatch(f"{shown(path)}: more than the {LARGEST:,} bytes an encoder's weights may have")
        found: object = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    except OSError as error:
        raise ModelNotFound(f"{shown(path)}: cannot be read ({reason(error)})") from error
    if isinstance(found, Mapping):
        found = next((found[name] for name in WRAPPINGS if isinstance(found.get(name), Mapping)), found)
    if not isinstance(found, Mapping) or not found:
        raise ContractMismatch(f"{shown(path)}: holds no state dict; save the network's state_dict() instead")
    for name, value in found.items():
        if not isinstance(name, str) or not _is_plain(value):
            raise ContractMismatch(
                f"{shown(path)}: {shown(str(name))} is no plain tensor; save the network's state_dict() alone"
            )
    return {name: value.detach() for name, value in found.items()}


def _read_torch(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            # of what it then refuses torch warns besides
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError as error:
        raise ContractMismatch(
            f"{shown(path)}: is damaged, or holds objects that only running its code could bring back, which is never "
            "done here; where it comes from, save the state_dict() of the network alone"
        ) from error
    except UNREADABLE as error:
        raise _damaged(path, error) from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except UNREADABLE as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ContractMismatch:
    return ContractMismatch(f"{shown(path)}: damaged, or no file of weights ({reason(error)}); fetch or save it anew")


def _unpacked(path: Path) -> int:
    """Bytes that a zip archive, which a `.pt` file is, unfolds to; 0 for other files."""
    try:
        if not zipfile.is_zipfile(path):
            return 0
        with zipfile.ZipFile(path) as archive:
            return sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, *UNREADABLE) as error:
        raise _damaged(path, error) from error


def _is_plain(value: object) -> bool:
    """Whether this is a tensor with all its numbers in memory, and not a small one that claims to be huge."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and value.dtype in DTYPES
        and value.numel() * value.element_size() <= LARGEST
    )


def load_weights(network: nn.Module, weights: Mapping[str, Tensor], origin: Path) -> None:
    """Gives a network its weights.

    Args:
        network: changed in place.
        weights: by the network's own names.
        origin: their file, for messages.

    Raises:
        ContractMismatch: weights are lacking, too many, of another shape or not finite; the first such is said.
    """
    kind, wanted = type(network).__name__, network.state_dict()
    for name in [*wanted, *(name for name in weights if name not in wanted)]:
        found = weights.get(name)
        if found is None and name.endswith("num_batches_tracked"):
            continue  # a counter that older files do without, and nothing here reads
        if found is None:
            words = f"{kind} needs it, the file does not have it"
        elif name not in wanted:
            words = f"{kind} has nothing of that name"
        elif found.shape != wanted[name].shape:
            words = f"is of shape {tuple(found.shape)}, {kind} has {tuple(wanted[name].shape)}"
        elif found.is_floating_point() and not torch.isfinite(found).all():
            raise ContractMismatch(f"{shown(origin)}: {shown(name)} is not finite; take weights of before that")
        else:
            continue
        raise ContractMismatch(f"{shown(origin)}: {shown(name)}: {words}; look at backbone, dimension and size")
    network.load_state_dict(dict(weights))


def foreign_contract(recipe: Recipe, pixels: str) -> EncoderContract:
    """What a stranger's network expects and yields, once `absorb` has made its normalisation ours.

    Args:
        recipe: says all but the normalisation: name, crop, backbone, licence and source.
        pixels: of `PIXELS`.

    Returns:
        The contract, whose digest is yet to come.

    Raises:
        ContractMismatch: `pixels` is none of those, or a field is out of range.
    """
    if pixels not in PIXELS:
        raise ContractMismatch(f"there is no normalisation {shown(pixels)}; choose one of {', '.join(PIXELS)}")
    mean, deviation = PIXELS[pixels]
    contract = contract_of(recipe, file=f"{recipe.name}.onnx", sha256=UNSIGNED)
    return replace(contract, mean=mean, scale=len(deviation) / sum(deviation))


@torch.no_grad()
def absorb(network: nn.Module, pixels: str) -> None:
    """Lets a network take grey levels that were divided by one deviation, where it learnt with one for each channel.

    A contract has one scale; what each channel's deviation differs by goes into the first convolution, whose padding
    of zeros is the mean grey either way.

    Args:
        network: changed in place; its first convolution sees the picture.
        pixels: of `PIXELS`.

    Raises:
        ContractMismatch: there is no convolution of three channels.
    """
    first = next((part for part in network.modules() if isinstance(part, nn.Conv2d)), None)
    if first is None or first.in_channels != 3:
        raise ContractMismatch(f"{type(network).__name__}: no convolution takes the picture's three channels")
    deviation = torch.tensor(PIXELS[pixels][1], dtype=torch.float64)
    factors = (deviation.mean() / deviation)[:, None, None]
    first.weight.copy_((first.weight.double() * factors).to(first.weight.dtype))
