"""Makes an encoder compute in int8: static quantisation, calibrated on face crops."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from twinface.core.contract import EncoderContract
from twinface.core.provenance import TrainingSet
from twinface.errors import DatasetMissing
from twinface.training.conversion import check_place, normalised, write_model
from twinface.training.export import tidy, write_onnx
from twinface.vision.encoder import OnnxEncoder
from twinface.vision.session import Session

LEAST = 20
"""Crops below which ranges of activations would be chance."""

EVERY = 5
"""Each crop of so many in a row judges, the others calibrate."""

WEIGHTED = ("Conv", "Gemm", "MatMul")
"""Operators that hold most of the work, and the weights."""

METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}
"""How ranges of activations are found: by their extremes, by the least loss of information (S. Migacz, "8-bit Inference
with TensorRT", GTC 2017), or without the outermost values. Calibrated on 256 UTKFace crops they move templates of the
ResNet-29 by 0.031, 0.030 and 0.027, with its ends in float by 0.026, 0.024 and 0.022."""

PERCENTILE = 99.999
"""Share of an activation's values, in percent, that "percentile" keeps in range."""

Crops = NDArray[np.uint8]


@dataclass(frozen=True)
class QuantisationOptions:
    """How a network is quantised.

    Attributes:
        method: of `METHODS`.
        ends: what the first convolution and the last layer compute in: "int8", "float", or "better" for whichever keeps
            templates nearer to the float network's.
        narrow: weights in 7 bits, for x86 processors without int8 dot products (VNNI), whose sums would overflow.
        batch: crops that go through the network at once while it is calibrated; bounds the memory.

    Raises:
        ValueError: another method, or no positive batch.
    """

    method: Literal["minmax", "entropy", "percentile"] = "percentile"
    ends: Literal["int8", "float", "better"] = "better"
    narrow: bool = False
    batch: int = 8

    def __post_init__(self) -> None:
        if self.method not in METHODS or self.ends not in ("int8", "float", "better") or self.batch < 1:
            raise ValueError(f"quantisation: no such method, ends or batch: {self}")


@dataclass(frozen=True)
class Quantised:
    """What quantisation left behind.

    Attributes:
        contract: of the int8 network, digest included.
        files: what was written: network, training record if there is one, contract.
        distance: mean distance of its unit templates from the float network's, on crops it was not calibrated on.
        ends: what its first convolution and last layer compute in.
        crops: how many it was calibrated on.
    """

    contract: EncoderContract
    files: tuple[Path, ...]
    distance: float
    ends: Literal["int8", "float"]
    crops: int


def quantise(
    model: ModelProto | Path,
    crops: Crops,
    contract: EncoderContract,
    out: Path,
    options: QuantisationOptions | None = None,
    training: Sequence[TrainingSet] | None = None,
) -> Quantised:
    """Writes an int8 copy of an encoder with its contract.

    Weights are int8 with a scale for each channel, activations uint8 with one scale each; the file holds them as pairs
    of QuantizeLinear and DequantizeLinear, which ONNX Runtime joins with the operators between when it loads the file.
    The same model and crops give the same bytes with the same versions of onnxruntime and onnx on the same machine.
    Between processors, above all those without int8 dot products, templates differ more than a float network's.

    Args:
        model: the float network, as `to_onnx` or `store_half` yields it, or its file.
        crops: aligned faces, uint8 (N, S, S, 3), RGB; every fifth judges, the others calibrate.
        contract: of the copy: its name and file; the rest is the float network's. Its digest is replaced.
        out: folder, made if it is not there.
        options: None for the defaults.
        training: whom the network was trained on; None where nobody knows.

    Raises:
        ValueError: crops of another shape or kind.
        DatasetMissing: fewer than `LEAST` crops.
        ModelError: the network cannot be read, quantised or run.
        OutputError: the files cannot be written.
    """
    options = options or QuantisationOptions()
    side = contract.size
    if crops.shape[1:] != (side, side, 3) or crops.dtype != np.uint8:
        raise ValueError(
            f"quantise: expected crops of shape (N, {side}, {side}, 3), uint8, got {crops.shape}, {crops.dtype}"
        )
    if len(crops) < LEAST:
        raise DatasetMissing(
            f"{contract.name}: int8 takes {LEAST} faces to calibrate on, here are {len(crops)}; add some"
        )
    check_place(contract, out)
    judging = np.arange(len(crops)) % EVERY == EVERY - 1
    with tempfile.TemporaryDirectory() as folder:
        given, plain = Path(folder) / "given.onnx", Path(folder) / "float.onnx"
        write_onnx(_read(model) if isinstance(model, Path) else model, given)
        wanted = _encode(given, contract, crops[judging])
        # infers every shape, and brings weights stored as float16 back to float32; other sizes than the batch are known
        quant_pre_process(given, plain, skip_symbolic_shape=True)
        found: list[tuple[float, Literal["int8", "float"], ModelProto]] = []
        for ends in ("int8", "float"):
            if options.ends in (ends, "better"):
                small = _quantised(plain, _Reader(crops[~judging], contract, options.batch), ends, options)
                path = Path(folder) / f"{ends}.onnx"
                write_onnx(small, path)
                gaps = np.linalg.norm(_encode(path, contract, crops[judging]) - wanted, axis=1)
                found.append((float(gaps.mean()), ends, small))
    distance, kept, best = min(found, key=lambda one: one[0])
    signed, files = write_model(best, contract, out, training)
    return Quantised(signed, files, distance, kept, int((~judging).sum()))


def _read(path: Path) -> ModelProto:
    Session(path)  # says better than onnx.load what is wrong with a file
    return onnx.load(path)


def _quantised(plain: Path, reader: _Reader, ends: str, options: QuantisationOptions) -> ModelProto:
    graph = onnx.load(plain).graph
    weighted = [node.name for node in graph.node if node.op_type in WEIGHTED]
    reader.name, path = graph.input[0].name, plain.with_name("quantised.onnx")
    reader.set_range(0, len(reader))
    with contextlib.redirect_stdout(io.StringIO()):  # the vendor tells its progress where the answer belongs
        quantize_static(
            plain, path, reader, quant_format=QuantFormat.QDQ, activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8, per_channel=True, reduce_range=options.narrow,
            calibrate_method=METHODS[options.method],
            nodes_to_exclude=weighted[:1] + weighted[-1:] if ends == "float" else [],
            # batch by batch: else the activations of all crops would lie in memory at once
            extra_options={"CalibStridedMinMax": 1, "CalibPercentile": PERCENTILE},
        )  # fmt: skip
    model = onnx.load(path)
    domains = {node.domain for node in model.graph.node}
    opsets = [opset for opset in model.opset_import if opset.domain in domains]
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    return tidy(model)


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # the vendor's classes have no types
    """Hands out batches of normalised crops: those of a range, or all."""

    def __init__(self, crops: Crops, contract: EncoderContract, batch: int) -> None:
        self.name = ""
        self._crops, self._contract, self._batch = crops, contract, batch
        self._place = self._end = 0

    def __len__(self) -> int:
        return -(-len(self._crops) // self._batch)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._place, self._end = start_index, end_index

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        if self._place >= self._end:
            return None
        crops = self._crops[self._place * self._batch :][: self._batch]
        self._place += 1
        return {self.name: normalised(crops, self._contract).numpy()}


def _encode(path: Path, contract: EncoderContract, crops: Crops) -> NDArray[np.float32]:
    """Unit templates without the mirror, (N, D)."""
    return OnnxEncoder(contract, Session(path), mirror=False).encode(list(crops))
