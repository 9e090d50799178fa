"""`twinface export`."""

from __future__ import annotations

import hashlib
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from twinface.app.cli import options
from twinface.app.cli.output import console, write_json
from twinface.app.cli.progress import progress
from twinface.core.contract import EncoderContract
from twinface.core.files import shown
from twinface.core.provenance import TrainingSet
from twinface.errors import DatasetMissing, ImageError, TwinFaceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from twinface.datasets.files import Files
    from twinface.training.conversion import Exported
    from twinface.training.quantisation import Quantised

Dtype = Literal["fp32", "fp16", "int8"]
Crop = Literal["whole", "aligned"]

MOST = 320
"""Pictures that int8 is calibrated and judged on; more change little."""

HOW = "pip install 'twinface[train]'"


@dataclass(frozen=True)
class Stranger:
    """What a file of weights does not tell about its network; None or "" where the user has not told either.

    Attributes:
        backbone: name of the network.
        dimension: length of its embedding.
        size: side of its crops, pixels.
        crop: how they were cut.
        pixels: how grey levels were normalised.
        licence: of the weights.
    """

    backbone: str
    dimension: int | None
    size: int | None
    crop: Crop
    pixels: str
    licence: str


@dataclass(frozen=True)
class Source:
    """What is exported.

    Attributes:
        network: a torch module in eval mode.
        contract: of the network, its digest yet to come.
        training: whom it was trained on; None where nobody knows.
        out: where its files go unless the user says.
    """

    network: Any
    contract: EncoderContract
    training: Sequence[TrainingSet] | None
    out: Path


def export(
    run: Annotated[
        Path,
        typer.Argument(
            parser=options.given_path, metavar="RUN", help="A run's folder, or weights: .pt, .pth, .safetensors."
        ),
    ],
    to: Annotated[str, typer.Option("--to", help="onnx.")] = "onnx",
    dtype: Annotated[
        str, typer.Option("--dtype", help="fp32; fp16, half the file; int8, a quarter and faster.")
    ] = "fp32",
    out: Annotated[
        Path | None, options.path("--out", "Folder for the model; default: RUN/export, or beside the weights.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Of the model; default: the recipe's, or the file's.")
    ] = None,
    root: Annotated[
        Path | None, options.path("--root", "int8: pictures of faces to calibrate on, a folder or archive.")
    ] = None,
    backbone: Annotated[str, typer.Option("--backbone", help="Weights: their network, as resnet18.")] = "",
    dimension: Annotated[
        int | None, typer.Option("--dimension", min=1, max=65536, help="Weights: length of the embedding, as 1024.")
    ] = None,
    size: Annotated[
        int | None, typer.Option("--size", min=1, max=4096, help="Weights: side of the crops, as 224.")
    ] = None,
    crop: Annotated[
        str, typer.Option("--crop", help="Weights: whole, trained on pictures like LFW's; aligned, on our crops.")
    ] = "whole",
    pixels: Annotated[
        str, typer.Option("--pixels", help="Weights: imagenet, symmetric (-1 to 1) or unit (0 to 1).")
    ] = "imagenet",
    licence: Annotated[str, typer.Option("--licence", help="Weights: under which you have them.")] = "unknown",
    json: options.Json = False,
) -> None:
    """Turn a training run, or somebody's torch weights, into a model that TwinFace runs.

    The ONNX file is written once ONNX Runtime is seen to compute what torch does. Somebody's file is read without
    running anything that it may carry.
    """
    _one_of(to, ("onnx",), "--to")
    kind: Dtype = _one_of(dtype, ("fp32", "fp16", "int8"), "--dtype")
    stranger = Stranger(backbone, dimension, size, _one_of(crop, ("whole", "aligned"), "--crop"), pixels, licence)
    if (kind == "int8") != (root is not None):
        raise TwinFaceError("--dtype int8 and --root, pictures of faces to calibrate it on, go together")
    try:
        from twinface.training import conversion, quantisation
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("twinface"):
            raise
        raise TwinFaceError(f"export needs {error.name}, which is not installed: {HOW}") from error

    pictures = None if root is None else _pictures(root)
    source = open_weights(run, stranger) if run.is_file() else open_run(run, stranger)
    contract = source.contract if name is None else replace(source.contract, name=name, file=f"{name}.onnx")
    place = source.out if out is None else out
    if pictures is None:
        half = kind == "fp16"
        done = conversion.exported(source.network, contract, place, "fp16" if half else "fp32", source.training)
        _answer(done, None, done.files, kind, json)
        return
    wanted = contract
    if name is None:
        wanted = replace(contract, name=f"{contract.name}-int8", file=f"{contract.name}-int8.onnx")
    conversion.check_place(wanted, place)
    with tempfile.TemporaryDirectory() as folder:
        done = conversion.exported(source.network, contract, Path(folder))
        crops = _crops(*pictures, done.files[-1])
        small = quantisation.quantise(done.files[0], crops, wanted, place, training=source.training)
    _answer(done, small, small.files, kind, json)


def open_run(run: Path, stranger: Stranger) -> Source:
    """The network of a training run.

    Raises:
        TwinFaceError: the folder is none of a run or has no weights yet, or more is said than a run leaves open.
    """
    from twinface.training.conversion import from_run, trained_on

    if stranger.backbone or stranger.dimension or stranger.size:
        raise TwinFaceError(
            f"{shown(run)}: is no file of weights, which alone --backbone, --dimension and --size are for"
        )
    network, _, contract = from_run(run)
    return Source(network, contract, trained_on(run), run / "export")


def open_weights(path: Path, stranger: Stranger) -> Source:
    """A network of somebody's weights, which go by our names for them or by torchvision's.

    Raises:
        TwinFaceError: the file cannot be read without running what it carries, or its weights are not the network's.
    """
    from twinface.training.backbones import build
    from twinface.training.backbones.resnet import ResNet, from_torchvision
    from twinface.training.foreign_weights import absorb, foreign_contract, load_weights, read_foreign
    from twinface.training.recipe import BackboneRecipe, DataRecipe, ExportRecipe, Recipe

    if not (stranger.backbone and stranger.dimension and stranger.size):
        raise TwinFaceError(
            f"{shown(path)}: weights alone do not tell their network: give --backbone, --dimension and --size"
        )
    weights = read_foreign(path)
    network = build(stranger.backbone, stranger.dimension, stranger.size)
    if isinstance(network, ResNet) and weights.keys().isdisjoint(network.state_dict()):
        weights = from_torchvision(weights)
    load_weights(network, weights, path)
    recipe = Recipe(
        path.stem,
        data=DataRecipe(crop=stranger.crop, size=stranger.size),
        backbone=BackboneRecipe(stranger.backbone, stranger.dimension),
        export=ExportRecipe(licence=stranger.licence, source=f"converted from {path.name} (SHA-256 {_digest(path)})"),
    )
    contract = foreign_contract(recipe, stranger.pixels)
    absorb(network, stranger.pixels)
    return Source(network.eval(), contract, None, path.parent)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pictures(root: Path) -> tuple[Files, list[str]]:
    """Some pictures, evenly from all that are there, by their names."""
    from twinface.datasets.files import open_files
    from twinface.datasets.photos import is_picture

    files = open_files(root)
    names = [name for name in files.names() if is_picture(name)]
    if not names:
        raise DatasetMissing(f"{shown(root)}: holds no pictures; give a folder or archive with faces to calibrate on")
    return files, [names[place] for place in sorted({step * len(names) // MOST for step in range(MOST)})]


def _crops(files: Files, names: Sequence[str], card: Path) -> NDArray[np.uint8]:
    """Aligned crops of fit faces, one a picture, for the model whose contract this is."""
    import numpy as np

    from twinface.app import wiring

    analyzer = wiring.load_analyzer(str(card))
    crops = []
    with progress("faces", len(names)) as advance:
        for _, content in files.read(names):
            advance()
            try:
                faces = analyzer.locate(content).faces
            except ImageError:
                continue  # what is no picture calibrates nothing; how many did is told
            crops += [face.crop for face in faces if face.quality.usable][:1]
    if not crops:
        raise DatasetMissing(f"{shown(files.name)}: no fit face in {len(names)} pictures; give others to calibrate on")
    return np.stack(crops)


def _answer(done: Exported, small: Quantised | None, files: Sequence[Path], dtype: str, json: bool) -> None:
    contract = done.contract if small is None else small.contract
    if json:
        write_json(
            {
                "model": contract.name,
                "contract": str(files[-1]),
                "dtype": dtype,
                "sha256": contract.sha256,
                "files": [{"path": str(path), "bytes": path.stat().st_size} for path in files],
                "parity": {"templates": done.templates, "embeddings": done.embeddings},
                "int8": None
                if small is None
                else {"distance": round(small.distance, 6), "ends": small.ends, "crops": small.crops},
            }
        )
        return
    out = console()
    for path in files:
        out.print(f"written  {shown(path)}  {path.stat().st_size:,} bytes", soft_wrap=True, markup=False)
    out.print(
        f"parity   templates within {done.templates:.1e} of torch's, embeddings within {done.embeddings:.1e} of their "
        "length",
        soft_wrap=True,
        markup=False,
    )
    if small is not None:
        out.print(
            f"int8     moves a template by {small.distance:.4f} on average; calibrated on {small.crops} faces; first "
            f"convolution and last layer in {small.ends}",
            soft_wrap=True,
            markup=False,
        )
    out.print(f"SHA-256  {contract.sha256}", soft_wrap=True, markup=False)
    card = str(files[-1]) if str(files[-1]).isprintable() else shown(files[-1])  # whole, as it is there to be copied
    typer.echo(f"next: twinface calibrate --model {shlex.quote(card)} --root LFW")


def _one_of(text: str, known: tuple[str, ...], option: str) -> Any:
    if text not in known:
        raise TwinFaceError(f"{option} must be {' or '.join(known)}, got {text!r}")
    return text
