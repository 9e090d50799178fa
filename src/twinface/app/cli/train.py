"""`twinface train`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated, Literal

import typer

from twinface.app.cli import options
from twinface.app.cli.output import complain, printable
from twinface.app.settings import cache_folder
from twinface.core.files import shown
from twinface.errors import RecipeError, TwinFaceError

NEEDED = ("torch", "lightning_fabric", "pytorch_metric_learning", "safetensors", "onnx", "tensorboard", "matplotlib")
"""What training imports beside what every command does."""

STOPPED = 130
"""Exit status of a run that was interrupted, as shells have it."""

Device = Literal["auto", "cpu", "cuda"]
Strategy = Literal["auto", "ddp"]


def train(
    recipe: Annotated[
        Path | None, typer.Argument(parser=options.given_path, metavar="[RECIPE]", help="The recipe, a TOML file.")
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe; repeat for more.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", help="Which of the recipe's profiles, as cpu or gpu.")
    ] = None,
    root: Annotated[Path | None, options.path("--root", "Where the pictures are: sets data.root.")] = None,
    resume: Annotated[Path | None, options.path("--resume", "Go on with this run, from its last checkpoint.")] = None,
    runs: Annotated[Path, options.path("--runs", "Folder in which the run gets a folder of its own.")] = Path("runs"),
    device: Annotated[Device, typer.Option("--device", help="What the network runs on.")] = "auto",
    devices: Annotated[int, typer.Option("--devices", min=1, help="Processes, each with a device of its own.")] = 1,
    strategy: Annotated[Strategy, typer.Option("--strategy", help="How processes work together.")] = "auto",
) -> None:
    """Train a twin network as a recipe says, and draw how it learnt. Ctrl-C stops it; --resume goes on."""
    refuse_missing(NEEDED)
    from twinface.training.loop import Hardware, Job
    from twinface.training.loop import train as run

    hardware = Hardware(device, devices, strategy)
    if resume is not None:
        if recipe or changes or profile or root:
            raise RecipeError(
                "a run goes on with its own recipe; give --resume without RECIPE, --set, --profile, --root"
            )
        folder = resume
    elif recipe is not None:
        folder = _begin(recipe, profile, [*(changes or ()), *_rooted(root)], runs)
    else:
        raise TwinFaceError("give a RECIPE to begin a run, or --resume RUN to go on with one")
    _say(f"run: {folder}")
    finished = run(Job(folder, cache_folder() / "training", resume is not None), hardware, _say)
    if not finished:
        complain(f"interrupted; go on with: twinface train --resume {folder}")
        raise typer.Exit(STOPPED)
    _say(f"next: twinface export {folder} --to onnx")


def refuse_missing(packages: tuple[str, ...]) -> None:
    """Refuses to begin without the packages that training needs.

    Raises:
        TwinFaceError: one is not installed.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise TwinFaceError(f"{missing[0]} is not installed, which training needs; pip install 'twinface[train]'")


def _begin(recipe: Path, profile: str | None, changes: list[str], runs: Path) -> Path:
    """A new run's folder, made only once the recipe has been found to be sound and its data to be there."""
    from twinface.training.recipe_file import read_recipe, write_recipe
    from twinface.training.run_folder import RunFolder
    from twinface.training.sources import open_sources

    found = read_recipe(recipe, profile, changes)
    open_sources(found.data)
    return RunFolder.create(runs, found.name, write_recipe(found)).path


def _rooted(root: Path | None) -> list[str]:
    if root is None:
        return []
    if not root.exists():
        raise TwinFaceError(f"{shown(root)}: no such folder or file; give the place of the pictures with --root")
    return [f"data.root={root.resolve()}"]


def _say(line: str) -> None:
    typer.echo(printable(line), err=True)
