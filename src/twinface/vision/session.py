"""The one loader of ONNX networks: digest checked, providers honoured or refused, vendor errors translated."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as vendor

from twinface.core.files import read_regular, reason, shown
from twinface.errors import ContractMismatch, ModelNotFound, ModelTampered, ProviderUnavailable

VENDOR_ERRORS: tuple[type[Exception], ...] = tuple(
    kind for kind in vars(vendor).values() if isinstance(kind, type) and issubclass(kind, Exception)
)
"""Every exception class ONNX Runtime raises, whichever its version."""


NOWHERE = "/twinface-loads-no-weights-from-a-second-file"
"""A folder that is not there."""


@dataclass(frozen=True)
class SessionOptions:
    """How networks are run.

    Attributes:
        providers: execution providers, first choice first; every one must be there, none is replaced silently.
        threads: for one network's inner loops; 0 lets ONNX Runtime choose.
    """

    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    threads: int = 0


class Session:
    """An ONNX network ready to run.

    Args:
        path: the ONNX file.
        sha256: the digest it must have; None for a file the user brought.
        options: how to run it.

    Raises:
        ModelNotFound: no such file.
        ModelTampered: the digest differs.
        ProviderUnavailable: a provider is not offered, or was dropped while loading.
        ContractMismatch: the file is not a network ONNX Runtime can run, or has not one input.
    """

    def __init__(self, path: Path, sha256: str | None = None, options: SessionOptions | None = None) -> None:
        options = options or SessionOptions()
        check_providers(options.providers)
        try:
            content = read_regular(path)
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
            raise ModelNotFound(f"{shown(path)}: cannot read the model ({reason(error)})") from error
        if sha256 is not None:
            check_digest(content, sha256, path)
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads
        settings.log_severity_level = 4
        # idle threads would spin between runs and take the processors from the other network of the pipeline
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # ONNX Runtime would take weights kept in a second file from the current folder, under nobody's digest
        settings.add_session_config_entry("session.model_external_initializers_file_folder_path", NOWHERE)
        try:
            # without enable_fallback=0 ONNX Runtime answers a failing GPU by going on with the CPU
            self._session = onnxruntime.InferenceSession(
                content, settings, providers=list(options.providers), enable_fallback=0
            )
        except VENDOR_ERRORS as error:
            if NOWHERE in str(error) or "external" in str(error).lower():
                raise ContractMismatch(
                    f"{path}: keeps its weights in a second file, which no digest covers; save the network as one file"
                ) from error
            raise ContractMismatch(f"{path}: not a network ONNX Runtime can run ({_first_line(error)})") from error
        except (ValueError, RuntimeError) as error:  # what starting a provider raises
            raise ProviderUnavailable(
                f"{path}: {', '.join(options.providers)} could not be started ({_first_line(error)})"
            ) from error
        active = self._session.get_providers()
        missing = [name for name in options.providers if name not in active]
        if missing:
            raise ProviderUnavailable(f"{path}: {', '.join(missing)} could not be started; active: {', '.join(active)}")
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise ContractMismatch(f"{path}: takes {len(inputs)} inputs where one picture is all there is to give")
        self._path = path
        self.input_name: str = inputs[0].name
        self.input_shape: tuple[Any, ...] = tuple(inputs[0].shape)
        self.output_names: tuple[str, ...] = tuple(output.name for output in self._session.get_outputs())
        self.output_shapes: tuple[tuple[Any, ...], ...] = tuple(
            tuple(output.shape) for output in self._session.get_outputs()
        )

    def run(self, batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Runs the network on its one input; yields its outputs by name.

        Raises:
            ContractMismatch: the network does not take such a batch, or yields something else than arrays.
        """
        try:
            outputs = self._session.run(None, {self.input_name: batch})
        except VENDOR_ERRORS as error:
            raise ContractMismatch(
                f"{self._path}: refuses a batch of shape {batch.shape} ({_first_line(error)})"
            ) from error
        for name, output in zip(self.output_names, outputs, strict=True):
            if not isinstance(output, np.ndarray):
                raise ContractMismatch(f"{self._path}: output {name} is a {type(output).__name__}, not an array")
        return dict(zip(self.output_names, outputs, strict=True))


def check_providers(providers: Sequence[str]) -> None:
    """Refuses providers this installation does not offer.

    Raises:
        ProviderUnavailable: none given or one not offered; the message says how to get it.
    """
    available = onnxruntime.get_available_providers()
    missing = [name for name in providers if name not in available]
    if missing or not providers:
        hint = (
            "; for NVIDIA GPUs install onnxruntime-gpu in place of onnxruntime"
            if any("CUDA" in name or "Tensorrt" in name for name in missing)
            else ""
        )
        raise ProviderUnavailable(
            f"execution provider {', '.join(missing) or '(none)'} is not available; "
            f"this installation offers {', '.join(available)}{hint}"
        )


def check_digest(content: bytes, sha256: str, path: Path) -> None:
    """Refuses content whose SHA-256 digest is not the expected one.

    Raises:
        ModelTampered: it differs.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ModelTampered(
            f"{path}: SHA-256 is {found[:16]}..., the contract says {sha256[:16]}...; "
            "the file was changed or damaged, install twinface again"
        )


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__
