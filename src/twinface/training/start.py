"""Weights to start from: dlib's, a shipped encoder's, those of an earlier run or of a safetensors file."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from twinface.core.files import reason, shown
from twinface.errors import ModelNotFound, RecipeError
from twinface.models.registry import find_encoder
from twinface.training import checkpoint
from twinface.training.backbones import build
from twinface.training.backbones.resnet29 import STAGES, ResNet29
from twinface.training.dlib_weights import read_weights
from twinface.training.narrowing import narrowed

DLIB = "dlib_face_recognition_resnet_model_v1.dat"
EXPORT = "export/"
"""Prefix of the weights in a checkpoint that `twinface export` takes."""


def starting_network(start: str, name: str, dimension: int, size: int) -> nn.Module:
    """A network with weights to start from.

    Args:
        start: "" for random ones, "dlib", a shipped encoder's name, a contract's path, a run's folder, a checkpoint or
            another .safetensors of the same network. A "resnet29-narrow" takes a ResNet-29's too, and keeps its most
            important channels.
        name: of the backbone.
        dimension: of its embedding.
        size: of its input, pixels.

    Raises:
        RecipeError: the weights are those of another network.
        ModelError: they cannot be found or read.
    """
    network = build(name, dimension, size)
    if start:
        weights = _weights(start, network)
        if name == "resnet29-narrow" and _is_wide(weights):
            assert isinstance(network, ResNet29)
            try:
                weights = narrowed(weights, network)
            except ValueError as error:
                raise RecipeError(
                    f"backbone.start: {shown(start)} is no whole ResNet-29 ({reason(error)}); give another start"
                ) from error
        _fill(network, weights, start)
    return network


def installed_weights() -> Path:
    """The weights' file in the installed package, found without importing it: its import needs an outdated setuptools.

    Raises:
        ModelNotFound: the package is not installed.
    """
    package = importlib.util.find_spec("face_recognition_models")
    if package is None or not package.submodule_search_locations:
        raise ModelNotFound("face_recognition_models is not installed; pip install face_recognition_models==0.3.0")
    return Path(package.submodule_search_locations[0]) / "models" / DLIB


def _weights(start: str, network: nn.Module) -> Mapping[str, Tensor]:
    if start == "dlib":
        return read_weights(installed_weights())
    path = Path(start)
    if path.is_dir():
        return _exported(checkpoint.load(path / "checkpoints" / "best.safetensors").tensors, start)
    if path.suffix == ".safetensors":
        return _tensors(path, start)
    entry, _ = find_encoder(start)
    entry.verify()
    return _folded(onnx.load(entry.path), network, start)


def _is_wide(weights: Mapping[str, Tensor]) -> bool:
    """Whether they are a whole ResNet-29's."""
    first = weights.get("stem.0.weight")
    return first is not None and len(first) == STAGES[0][0]


def _tensors(path: Path, start: str) -> Mapping[str, Tensor]:
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        why = reason(error) if isinstance(error, OSError) else "no safetensors file"
        raise ModelNotFound(f"{shown(path)}: cannot read the weights ({why}); give another file") from error
    is_checkpoint = any("/" in name for name in tensors)
    return _exported(tensors, start) if is_checkpoint else tensors


def _exported(tensors: Mapping[str, Tensor], start: str) -> Mapping[str, Tensor]:
    found = {name.removeprefix(EXPORT): value for name, value in tensors.items() if name.startswith(EXPORT)}
    if not found:
        raise ModelNotFound(f"{shown(start)}: holds no finished weights; give a run that was judged at least once")
    return found


def _folded(model: onnx.ModelProto, network: nn.Module, start: str) -> Mapping[str, Tensor]:
    """Weights of an exported ResNet-29: its affine layers were folded into the convolutions and become neutral."""
    if not isinstance(network, ResNet29):
        raise RecipeError(f"backbone.start: {shown(start)} can only start a resnet29; give a run or a .safetensors")
    found = {
        tensor.name.removesuffix(".half"): torch.from_numpy(numpy_helper.to_array(tensor).astype(np.float32))
        for tensor in model.graph.initializer
    }
    state = network.state_dict()
    for name in state:
        stem, _, kind = name.rpartition(".")
        if kind in ("scale", "shift") and name not in found:
            before, _, place = stem.rpartition(".")
            folded = found.get(f"{before}.{int(place) - 1}.bias", state[name])
            found[name] = torch.ones_like(folded) if kind == "scale" else torch.zeros_like(folded)
        elif name.endswith("head.weight") and name not in found:
            found[name] = _head(found, len(state[name]), start)
    return {name: value for name, value in found.items() if name in state}


def _head(found: Mapping[str, Tensor], dimension: int, start: str) -> Tensor:
    """The last layer's weights, which the exporter keeps transposed under a name of its own."""
    for value in found.values():
        if value.ndim == 2 and value.shape[1] == dimension:
            return value.T.contiguous()
    raise RecipeError(
        f"backbone.start: {shown(start)} holds no last layer of {dimension} numbers; mend backbone.dimension"
    )


def _fill(network: nn.Module, weights: Mapping[str, Tensor], start: str) -> None:
    state = network.state_dict()
    missing = sorted(set(state).difference(weights))
    strange = sorted(set(weights).difference(state))
    if missing or strange:
        name = (missing or strange)[0]
        raise RecipeError(
            f"backbone.start: the weights of {shown(start)} are of another network "
            f"({'without' if missing else 'with'} {shown(name)}); name the backbone they were trained with"
        )
    for name, value in state.items():
        if value.shape != weights[name].shape:
            raise RecipeError(
                f"backbone.start: {shown(name)} of {shown(start)} has shape {tuple(weights[name].shape)}, the recipe's "
                f"network {tuple(value.shape)}; mend backbone.dimension or backbone.size"
            )
    network.load_state_dict(dict(weights))
