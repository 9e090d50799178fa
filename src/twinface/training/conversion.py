"""Turns a trained network into an ONNX file with its contract, once both are seen to compute what torch does."""

from __future__ import annotations

import copy
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto
from torch import Tensor, nn

from twinface.core.contract import EncoderContract, parse_contract, write_contract
from twinface.core.files import read_regular, reason, shown, write_atomically
from twinface.core.provenance import TrainingSet, parse_training, write_training
from twinface.core.similarity import normalise
from twinface.errors import ContractMismatch, ModelNotFound, OutputError
from twinface.models.registry import TRAINING_SUFFIX
from twinface.training import checkpoint
from twinface.training.backbones import build
from twinface.training.export import store_half, to_onnx, write_onnx
from twinface.training.foreign_weights import UNSIGNED, load_weights
from twinface.training.preprocessing import Preprocessing, contract_of, input_size
from twinface.training.recipe import Recipe
from twinface.training.recipe_file import read_recipe
from twinface.vision.encoder import OnnxEncoder
from twinface.vision.session import Session

EXACT, ROUNDED = 1e-4, 5e-3
"""Largest difference to torch: in float32 the project's promise, with weights rounded to float16 what rounding does."""


@dataclass(frozen=True)
class Exported:
    """What an export left behind.

    Attributes:
        contract: of the network, digest included.
        files: what was written: network, training record if there is one, contract.
        templates: largest difference between torch's and ONNX Runtime's unit templates.
        embeddings: likewise before scaling to unit length, as a share of the embedding's length.
    """

    contract: EncoderContract
    files: tuple[Path, ...]
    templates: float
    embeddings: float


def from_run(run: Path) -> tuple[nn.Module, Recipe, EncoderContract]:
    """The network that a training run ended with.

    Args:
        run: its folder, with `recipe.toml` and the weights to export as `export/...` in `checkpoints/best.safetensors`.

    Returns:
        The network, in eval mode; its recipe; its contract, whose digest is yet to come.

    Raises:
        ModelNotFound: the folder is none of a run, or of one that has no finished weights.
        ContractMismatch: the weights are damaged or not the recipe's.
        RecipeError: the recipe is malformed.
    """
    path = run / "recipe.toml"
    if not path.is_file():
        raise ModelNotFound(f"{shown(run)}: holds no recipe.toml; give the folder of a run of twinface train")
    recipe = read_recipe(path)
    path = run / "checkpoints" / "best.safetensors"
    weights = checkpoint.load(path).under("export")
    if not weights:
        raise ModelNotFound(f"{shown(path)}: holds no finished weights; let the run go on with twinface train --resume")
    network = build(recipe.backbone.name, recipe.backbone.dimension, input_size(recipe))
    load_weights(network, weights, path)
    name = recipe.export.name or recipe.name
    return network.eval(), recipe, contract_of(recipe, file=f"{name}.onnx", sha256=UNSIGNED)


def trained_on(run: Path) -> tuple[TrainingSet, ...] | None:
    """Whom a run trained on, by the record `training.json` in its folder; None where there is none.

    Raises:
        ContractMismatch: the record is malformed or cannot be read.
    """
    path = run / "training.json"
    try:
        return parse_training(read_regular(path).decode("utf-8-sig"), shown(path)) if path.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        raise ContractMismatch(f"{shown(path)}: cannot be read ({reason(error)}); look at its rights") from error


def exported(
    network: nn.Module,
    contract: EncoderContract,
    out: Path,
    dtype: Literal["fp32", "fp16"] = "fp32",
    training: Sequence[TrainingSet] | None = None,
) -> Exported:
    """Writes a network as ONNX with its contract, once ONNX Runtime is seen to compute what torch does.

    Args:
        network: normalised crops (N, 3, S, S) to embeddings (N, D), not of unit length; it stays as it is.
        contract: of the network, for RGB; its digest is replaced.
        out: folder, made if it is not there.
        dtype: how weights are stored; computed is in float32 either way.
        training: whom it was trained on; None where nobody knows.

    Raises:
        ContractMismatch: ONNX Runtime and torch differ by more than `EXACT` (fp32) or `ROUNDED` (fp16), or the network
            cannot be expressed.
        OutputError: the files cannot be written.
    """
    check_place(contract, out)
    network = copy.deepcopy(network).cpu().float().eval()
    try:
        with _without_advice():
            model = to_onnx(network, torch.zeros(2, 3, contract.size, contract.size), outputs=["embedding"])
        model = store_half(model) if dtype == "fp16" else model
    except ValueError as error:
        raise ContractMismatch(f"{contract.name}: cannot be written as ONNX in {dtype} ({reason(error)})") from error
    templates, embeddings = parity(network, model, contract)
    worst, limit = (templates, ROUNDED) if dtype == "fp16" else (max(templates, embeddings), EXACT)
    if not worst <= limit:
        raise ContractMismatch(
            f"{contract.name}: in {dtype} ONNX Runtime differs from torch by {worst:.1e}, more than {limit:g}; "
            + ("store it in fp32" if dtype == "fp16" else "its weights or layers are beyond float32")
        )
    signed, files = write_model(model, contract, out, training)
    return Exported(signed, files, templates, embeddings)


@contextmanager
def _without_advice() -> Iterator[None]:
    """Keeps torch from telling on stderr that torchvision, which nothing here needs, is not installed."""
    teller = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = teller.level
    teller.setLevel(logging.ERROR)
    try:
        yield
    finally:
        teller.setLevel(before)


def parity(network: nn.Module, model: ModelProto, contract: EncoderContract) -> tuple[float, float]:
    """How far ONNX Runtime, fed as in use, is from torch, fed as in training, on random crops.

    Returns:
        Largest difference of unit templates, and of embeddings as a share of their length.

    Raises:
        ContractMismatch: ONNX Runtime cannot run the model, it does not keep the contract, or its embeddings are zero.
    """
    crops = random_crops(8, contract.size)
    inputs = normalised(crops, contract)
    with torch.no_grad():
        wanted = network(inputs).numpy()
    try:
        units = normalise(wanted)
    except ValueError as error:
        raise ContractMismatch(
            f"{contract.name}: yields an embedding that is zero or not finite; train anew"
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / contract.file
        write_onnx(model, path)
        session = Session(path)
        found = next(iter(session.run(inputs.numpy()).values()))
        templates = OnnxEncoder(contract, session, mirror=False).encode(list(crops))
    lengths = np.linalg.norm(wanted, axis=1, keepdims=True)
    return float(np.abs(templates - units).max()), float((np.abs(found - wanted) / lengths).max())


def normalised(crops: NDArray[np.uint8], contract: EncoderContract) -> Tensor:
    """Crops as training gives them to the network: uint8 (N, S, S, 3), RGB, to float32 (N, 3, S, S)."""
    grey_levels = torch.from_numpy(crops).permute(0, 3, 1, 2).float()
    inputs: Tensor = Preprocessing(contract.size, contract.mean, contract.scale)(grey_levels)
    return inputs.contiguous()


def random_crops(count: int, size: int) -> NDArray[np.uint8]:
    """Pictures for a test of arithmetic: patches of colour with grain, uint8 (N, S, S, 3), the same every time."""
    random = np.random.default_rng([count, size])
    cell = -(-size // 8)
    patches = random.uniform(0, 255, (count, 8, 8, 3)).repeat(cell, 1).repeat(cell, 2)[:, :size, :size]
    return np.asarray(np.clip(np.rint(patches + random.normal(0, 20, patches.shape)), 0, 255), np.uint8)


def check_place(contract: EncoderContract, out: Path) -> None:
    """Makes the folder a model is to be written to, and refuses to write over what is no earlier state of that model.

    Raises:
        OutputError: the folder cannot be made, or other files are in the model's place.
    """
    path, card = out / contract.file, out / f"{contract.name}.json"
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not card.exists() and not path.exists():
            return
        found = parse_contract(read_regular(card).decode("utf-8-sig"), shown(card))
    except (OSError, ValueError, ContractMismatch) as error:
        raise OutputError(
            f"{shown(card)}: cannot be written there ({reason(error)}); choose another folder or name"
        ) from error
    if not isinstance(found, EncoderContract) or found.file != contract.file:
        raise OutputError(f"{shown(card)}: is the contract of another model; choose another folder or name")


def write_model(
    model: ModelProto, contract: EncoderContract, out: Path, training: Sequence[TrainingSet] | None
) -> tuple[EncoderContract, tuple[Path, ...]]:
    """Writes a network, its training record if there is one, and its contract, which comes last and makes it whole.

    Returns:
        The contract with the digest, and the files.

    Raises:
        OutputError: the files cannot be written.
    """
    path, card = out / contract.file, out / f"{contract.name}.json"
    signed = replace(contract, sha256=write_onnx(model, path))
    files = [path]
    if training is not None:
        files.append(out / f"{contract.name}{TRAINING_SUFFIX}")
        _write(files[-1], write_training(training))
    _write(card, write_contract(signed))
    return signed, (*files, card)


def _write(path: Path, text: str) -> None:
    content = text.encode()
    write_atomically(path, lambda file: file.write(content))
