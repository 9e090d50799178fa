"""`/v1/models`: what the models are, how well they do, whom they were trained on."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import Response

from twinface.app.server.problems import Problem
from twinface.app.server.security import require
from twinface.app.server.state import ServerState, state_of
from twinface.core.contract import EncoderContract
from twinface.core.files import shown
from twinface.models.registry import RESULTS_SUFFIX, ModelEntry, shipped

router = APIRouter(prefix="/v1/models", tags=["models"])

READ = [Depends(require("read"))]
Name = Annotated[str, Path(max_length=100, examples=["twin-r29"])]
EXAMPLE = {
    "models": [
        {
            "name": "twin-r29",
            "kind": "encoder",
            "bytes": 22_500_000,
            "licence": "CC0-1.0",
            "sha256": "9f86d081...",
            "in_use": True,
            "plots": ["curves"],
        }
    ]
}


@router.get("", dependencies=READ, responses={200: {"content": {"application/json": {"example": EXAMPLE}}}})
async def list_models(request: Request) -> dict[str, Any]:
    """List the models inside the package; those in use are marked."""
    state = state_of(request)
    return await state.work.aside(_list, state)


@router.get("/{name}", dependencies=READ)
async def show_model(request: Request, name: Name) -> dict[str, Any]:
    """Show a model's contract, operating points with their confidence intervals, card and training record."""
    state = state_of(request)
    return await state.work.aside(_show, state, name)


@router.get(
    "/{name}/plots/{plot}",
    dependencies=READ,
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}},
)
async def model_plot(request: Request, name: Name, plot: Annotated[str, Path(max_length=100)]) -> Response:
    """A plot of a model, as `plots` lists them."""
    content = await state_of(request).work.aside(_plot, name, plot)
    return Response(content, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})


def _list(state: ServerState) -> dict[str, Any]:
    return {"models": [_facts(state, entry) for entry in shipped()]}


def _show(state: ServerState, name: str) -> dict[str, Any]:
    entry = _find(name)
    encoder = isinstance(entry.contract, EncoderContract)
    training = entry.training()
    results = entry.folder / f"{entry.name}{RESULTS_SUFFIX}"
    return {
        **_facts(state, entry),
        "contract": asdict(entry.contract),
        "rules": [asdict(rule) for rule in entry.rules()] if encoder else [],
        "card": entry.card(),
        "results": json.loads(results.read_text("utf-8")) if results.is_file() else None,
        "training": None
        if training is None
        else [
            {"dataset": one.dataset, "subjects": None if one.subjects is None else len(one.subjects)}
            for one in training
        ],
    }


def _plot(name: str, plot: str) -> bytes:
    entry = _find(name)
    if plot not in _plots(entry):
        raise Problem(404, f"{entry.name} has no plot of that name; its plots: {', '.join(_plots(entry)) or 'none'}")
    return (entry.folder / f"{entry.name}.{plot}.png").read_bytes()


def _find(name: str) -> ModelEntry:
    """A model inside the package; what a client sends never becomes a path."""
    for entry in shipped():
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in shipped())
    raise Problem(404, f"there is no model named {shown(name)!r}; there are: {known}", "unknown-model")


def _facts(state: ServerState, entry: ModelEntry) -> dict[str, Any]:
    recognizer = state.recognizer
    return {
        "name": entry.name,
        "kind": "encoder" if isinstance(entry.contract, EncoderContract) else "detector",
        "bytes": sum(path.stat().st_size for path, _ in entry.files if path.is_file()),
        "licence": entry.contract.licence,
        "sha256": entry.contract.sha256,
        "in_use": entry.name in (recognizer.encoder_name, recognizer.detector_name),
        "plots": _plots(entry),
    }


def _plots(entry: ModelEntry) -> list[str]:
    start, end = f"{entry.name}.", ".png"
    return sorted(path.name[len(start) : -len(end)] for path in entry.folder.glob(f"{entry.name}.*{end}"))
