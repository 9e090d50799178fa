"""`twinface train`."""

from __future__ import annotations

import gc
import importlib.util
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from twinface.app.cli import options
from twinface.app.cli.output import printable
from twinface.app.settings import cache_folder
from twinface.core.files import shown
from twinface.errors import RecipeError, TwinFaceError

if TYPE_CHECKING:
    from twinface.training.loop import Hardware, Job

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
    root: Annotated[
        Path | None, options.path("--root", "Where the pictures are: sets data.root, also of --resume.")
    ] = None,
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
    place = "" if root is None else _rooted(root)
    if resume is not None:
        if recipe or changes or profile:
            raise RecipeError("a run goes on with its own recipe; give --resume without RECIPE, --set and --profile")
        job = Job(resume, cache_folder() / "training", resume=True, root=place)
    elif recipe is not None:
        folder = _begin(recipe, profile, [*(changes or ()), *([f"data.root={place}"] if place else [])], runs)
        _say(f"run: {folder}")
        job = Job(folder, cache_folder() / "training")
    else:
        raise RecipeError("give a RECIPE to begin a run, or --resume RUN to go on with one")
    gc.enable()  # off for short commands; a run of hours would keep every cycle of objects
    if not run(job, hardware, _say):
        words = ["twinface", "train", "--resume", str(job.run), *_as_given(job, hardware)]
        _say(f"go on with: {shlex.join(words)}")
        raise typer.Exit(STOPPED)
    _say(f"next: {shlex.join(['twinface', 'export', str(job.run), '--to', 'onnx'])}")


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


def _rooted(root: Path) -> str:
    """The place of the pictures, whatever folder the run goes on from."""
    if not root.exists():
        raise TwinFaceError(f"{shown(root)}: no such folder or file; give the place of the pictures with --root")
    return str(root.resolve())


def _as_given(job: Job, hardware: Hardware) -> list[str]:
    """The options with which a run that was stopped goes on as it ran."""
    found = {"--root": job.root, "--device": hardware.device, "--strategy": hardware.strategy}
    count = [] if hardware.devices == 1 else ["--devices", str(hardware.devices)]
    return [word for name, value in found.items() if value not in ("", "auto") for word in (name, value)] + count


def _say(line: str) -> None:
    typer.echo(printable(line), err=True)
