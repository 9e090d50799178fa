"""Turns trained torch networks into small, reproducible ONNX files.

The same weights give the same bytes with the same versions of torch and onnx, so the SHA-256 in a contract can be
checked by running its recipe again.
"""

from __future__ import annotations

import copy
import hashlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper
from torch import Tensor, nn

from twinface.core.files import write_atomically
from twinface.errors import ContractMismatch
from twinface.training.backbones.resnet29 import ChannelAffine

OPSET = 18
"""Operator set of the files; ONNX Runtime has run it since 1.14."""

IR_VERSION = 10
"""Version of the file format; the newest ONNX Runtime 1.20 reads."""


def to_onnx(
    module: nn.Module,
    example: Tensor,
    *,
    inputs: str = "input",
    outputs: Sequence[str] = ("output",),
    dynamic: Mapping[int, str] | None = None,
) -> ModelProto:
    """Exports a network of one input, its normalisations folded into its convolutions.

    Args:
        module: the network; it stays as it is. Exported as it behaves after `eval()`.
        example: an input, float32; give its dynamic axes sizes above one.
        inputs: name of the input.
        outputs: names of the outputs, in the order the network yields them.
        dynamic: axes of the input whose size is free, with their names; the batch axis if None.

    Returns:
        A model in one piece, free of names and paths of the machine that made it.

    Raises:
        ValueError: the network needs control flow, which `tidy` does not cover.
    """
    axes = {0: "batch"} if dynamic is None else dict(dynamic)
    with warnings.catch_warnings():
        # torch 2.13 warns of its own use of its own deprecated class
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
        program = torch.onnx.export(
            fuse(module),
            (example,),
            input_names=[inputs],
            output_names=list(outputs),
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=({axis: torch.export.Dim(name) for axis, name in axes.items()},),
            verbose=False,
        )
    if program is None:
        raise ValueError(f"{type(module).__name__}: torch exported nothing")
    return tidy(program.model_proto)


def fuse(module: nn.Module) -> nn.Module:
    """A copy, in eval mode, whose convolutions have swallowed the affine or batch normalisation right behind them.

    Only neighbours within an `nn.Sequential` are joined. Computed in float64, so that what is left is rounding.
    """
    fused = copy.deepcopy(module).eval()
    for sequence in [part for part in fused.modules() if isinstance(part, nn.Sequential)]:
        for place, (conv, norm) in enumerate(pairwise(list(sequence))):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, ChannelAffine | nn.BatchNorm2d):
                _swallow(conv, norm)
                sequence[place + 1] = nn.Identity()
    return fused


@torch.no_grad()
def _swallow(conv: nn.Conv2d, norm: ChannelAffine | nn.BatchNorm2d) -> None:
    if isinstance(norm, ChannelAffine):
        scale, shift = norm.scale.double(), norm.shift.double()
    else:
        if norm.running_mean is None or norm.running_var is None:
            raise ValueError("fuse: batch normalisation without running statistics cannot be folded")
        scale = (norm.running_var.double() + norm.eps).rsqrt()
        scale = scale if norm.weight is None else scale * norm.weight.double()
        shift = -norm.running_mean.double() * scale
        shift = shift if norm.bias is None else shift + norm.bias.double()
    bias = shift if conv.bias is None else shift + conv.bias.double() * scale
    kernel = conv.weight.double() * scale[:, None, None, None]
    conv.weight = nn.Parameter(kernel.to(conv.weight.dtype))
    conv.bias = nn.Parameter(bias.to(conv.weight.dtype))


def store_half(model: ModelProto, at_least: int = 1024) -> ModelProto:
    """A copy whose larger float32 weights are stored as float16 and cast back to float32 before use.

    The file halves; all computation stays float32, since ONNX Runtime carries out the casts once, while loading.

    Args:
        model: as `to_onnx` yields it.
        at_least: weights of fewer values stay float32.

    Raises:
        ValueError: a weight is too large for float16.
    """
    small = ModelProto()
    small.CopyFrom(model)
    casts: list[NodeProto] = []
    for tensor in small.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < at_least:
            continue
        values, name = numpy_helper.to_array(tensor), tensor.name
        if not np.abs(values).max() <= np.finfo(np.float16).max:
            raise ValueError(f"{name}: values up to {np.abs(values).max():g} do not fit float16")
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], f"{name}.cast", to=TensorProto.FLOAT))
    nodes = casts + list(small.graph.node)
    del small.graph.node[:]
    small.graph.node.extend(nodes)
    return small


def tidy(model: ModelProto) -> ModelProto:
    """A copy reduced to what computes: no notes, traces or paths, weights sorted, values named by their place.

    Raises:
        ValueError: the model holds functions or control flow.
    """
    if model.functions or any(attribute.HasField("g") or attribute.graphs for attribute in _attributes(model)):
        raise ValueError("tidy: models with functions or control flow are not covered; write the network without them")
    graph, kept = model.graph, {value.name for value in (*model.graph.input, *model.graph.output)}
    kept |= {tensor.name for tensor in graph.initializer}
    names = {"": ""}  # an input that is left out has an empty name
    nodes = []
    for place, node in enumerate(graph.node):
        label = f"{place:03d}_{node.op_type.lower()}"
        for number, value in enumerate(node.output):
            if value:
                names[value] = value if value in kept else f"{label}_{number}"
        clean = NodeProto(op_type=node.op_type, name=label, domain=node.domain)
        clean.input.extend(names.get(value, value) for value in node.input)
        clean.output.extend(names[value] for value in node.output)
        clean.attribute.extend(sorted(node.attribute, key=lambda attribute: attribute.name))
        for attribute in clean.attribute:
            attribute.ClearField("doc_string")
        nodes.append(clean)
    tensors = [numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name) for tensor in graph.initializer]
    tensors.sort(key=lambda tensor: tensor.name)
    bare = helper.make_graph(nodes, "network", _bare(graph.input), _bare(graph.output), tensors)
    opsets = sorted(model.opset_import, key=lambda opset: opset.domain)
    return helper.make_model(bare, opset_imports=opsets, ir_version=IR_VERSION, producer_name="twinface")


def _bare(values: Iterable[ValueInfoProto]) -> list[ValueInfoProto]:
    """Names and types alone."""
    return [helper.make_value_info(value.name, value.type) for value in values]


def _attributes(model: ModelProto) -> list[onnx.AttributeProto]:
    return [attribute for node in model.graph.node for attribute in node.attribute]


def write_onnx(model: ModelProto, path: Path) -> str:
    """Checks a model and writes it in one file; what stood there is replaced only once all is written.

    Returns:
        SHA-256 of the file, hexadecimal.

    Raises:
        ContractMismatch: the model breaks ONNX's rules.
        OutputError: the file cannot be written.
    """
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ContractMismatch(f"{path}: not a valid ONNX model ({str(error).strip().splitlines()[0]})") from error
    content = model.SerializeToString(deterministic=True)
    write_atomically(path, lambda file: file.write(content))
    return hashlib.sha256(content).hexdigest()
