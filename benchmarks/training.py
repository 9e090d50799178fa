"""Whether the training loop keeps its network busy: pictures a second, beside a bare torch loop, turn about.

    python benchmarks/training.py recipes/twin-r29.toml --root DIR [--profile cpu] [--steps 10] [--rounds 5] [--json]

DIR is what `twinface train` takes as --root. In each round the four take turns, on the same batches of the recipe:

  loop     what `twinface train` does: draws batches, loads and augments, steps, averages, keeps the memory bank
  loading  the same without the network: batches drawn, pictures loaded and augmented
  bare     plain torch: network, losses and optimiser of the recipe, on pictures loaded and augmented as they are needed
  ready    the same on pictures that lie in memory, loaded and augmented before: what the network alone could do

The loop should reach 0.9 of bare, and loading alone be 3 times as fast as the loop. Figures are medians of the rounds,
ratios those of one round. It trains for a few steps and keeps nothing. Needs the `train` extra and an idle machine.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from twinface.app.benchmarking.spread import Spread, spread
from twinface.app.machine import processor
from twinface.app.settings import cache_folder
from twinface.training.batches import BatchMaker
from twinface.training.learner import Learner, build_optimiser
from twinface.training.loading import Loaded, PictureLoader, Requests
from twinface.training.loop import Hardware
from twinface.training.losses import LossInput, build_loss
from twinface.training.materials import Materials, gather, memory
from twinface.training.mining import subjects_apart
from twinface.training.preprocessing import preprocessing
from twinface.training.recipe import Recipe
from twinface.training.recipe_file import read_recipe
from twinface.training.start import starting_network
from twinface.training.twin import Twin

LEAST_OF_BARE = 0.9
LEAST_LOADING = 3.0


@dataclass(frozen=True)
class Figures:
    """Pictures a second, and ratios round by round."""

    loop: Spread
    loading: Spread
    bare: Spread
    ready: Spread
    of_bare: Spread
    of_ready: Spread
    loading_of_loop: Spread


class BareLoop:
    """The recipe's network, losses and optimiser, as a reader of torch's tutorials would join them."""

    def __init__(self, recipe: Recipe, materials: Materials, device: torch.device) -> None:
        backbone, self.prepare = recipe.backbone, preprocessing(recipe).to(device)
        network = starting_network(backbone.start, backbone.name, backbone.dimension, self.prepare.size)
        self.twin = Twin(network, backbone.unit).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.roster, self.recipe, self.device = materials.train, recipe, device
        self.targets = None if materials.targets is None else torch.from_numpy(materials.targets)
        self.teacher = materials.teacher
        persons = int(self.roster.persons.max()) + 1
        built = [(one, build_loss(one, persons=persons, dimension=backbone.dimension)) for one in recipe.loss]
        self.losses = [(one.weight, loss.to(device)) for one, loss in built]
        parameters = [*self.twin.parameters(), *(value for _, loss in self.losses for value in loss.parameters())]
        self.optimiser, self.parameters = build_optimiser(recipe.optimiser, parameters), parameters

    def there(self, values: Tensor) -> Tensor:
        """On the device."""
        return values.to(self.device)

    def step(self, loaded: Loaded) -> None:
        """Takes one step."""
        batch, pictures = loaded.request.batch, self.there(loaded.pictures)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.device.precision == "bf16"):
            embeddings = self.twin(self.prepare(pictures))
        targets = None if self.targets is None else self.there(self.targets[torch.from_numpy(batch.places)])
        apart = None if targets is None else subjects_apart(targets, self.recipe.mining.same)
        if self.teacher is not None:
            targets = self.teacher(pictures)
        given = LossInput(
            embeddings,
            self.there(torch.from_numpy(self.roster.persons[batch.places])),
            self.there(torch.from_numpy(self.roster.groups[batch.places])),
            self.there(torch.from_numpy(batch.parts)),
            None if batch.pairs is None else self.there(torch.from_numpy(batch.pairs)),
            None if batch.mated is None else self.there(torch.from_numpy(batch.mated)),
            targets,
            apart,
        )
        total = torch.stack([weight * loss(given) for weight, loss in self.losses]).sum()
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters, self.recipe.optimiser.clip or float("inf"))
        self.optimiser.step()


def pace(steps: int, work: Callable[[], Sequence[Loaded]], device: torch.device) -> float:
    """Pictures a second of some work, which yields what it was done on."""
    began = time.perf_counter()
    done = work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    assert len(done) == steps
    return sum(len(loaded.request.batch.places) for loaded in done) / (time.perf_counter() - began)


def taken(loader: PictureLoader, span: range, learn: Callable[[Loaded], object] | None) -> list[Loaded]:
    """Loads some steps and, unless only loading counts, learns from each as it comes."""
    done = []
    for loaded in loader.steps(span.start, span.stop):
        if learn is not None:
            learn(loaded)
        done.append(loaded)
    return done


def repeated(ready: list[Loaded], step: Callable[[Loaded], None]) -> list[Loaded]:
    """Steps on what lies ready."""
    for loaded in ready:
        step(loaded)
    return ready


def measure(recipe: Recipe, hardware: Hardware, steps: int, rounds: int) -> Figures:
    fabric = hardware.fabric(recipe.device.precision)
    if recipe.device.threads:
        torch.set_num_threads(recipe.device.threads)
    materials = gather(recipe, cache_folder() / "training", fabric.device, print)
    bank = memory(recipe, materials)
    if bank is not None:
        bank.search()
    maker = BatchMaker(materials.train, recipe.batch, recipe.seed, bank)
    total = (rounds + 1) * steps
    learner = Learner(fabric, recipe, materials, bank=bank, steps=recipe.schedule.steps or total)
    requests = Requests(maker, recipe.augmentation, materials.train.rows, recipe.seed)
    loader = PictureLoader(materials.store.pixels, requests, recipe, pin=fabric.device.type == "cuda")
    bare = BareLoop(recipe, materials, fabric.device)
    found: list[dict[str, float]] = []
    for number in range(rounds + 1):  # the first only warms up
        span = range(number * steps, (number + 1) * steps)
        ready = list(loader.steps(span.start, span.stop))

        works: dict[str, Callable[[], list[Loaded]]] = {
            "loop": partial(taken, loader, span, learner.learn),
            "loading": partial(taken, loader, span, None),
            "bare": partial(taken, loader, span, bare.step),
            "ready": partial(repeated, ready, bare.step),
        }
        order = list(works)[number % 4 :] + list(works)[: number % 4]
        paces = {name: pace(steps, works[name], fabric.device) for name in order}
        if number:
            found.append(paces)
    return Figures(
        spread([one["loop"] for one in found]),
        spread([one["loading"] for one in found]),
        spread([one["bare"] for one in found]),
        spread([one["ready"] for one in found]),
        spread([one["loop"] / one["bare"] for one in found]),
        spread([one["loop"] / one["ready"] for one in found]),
        spread([one["loading"] / one["loop"] for one in found]),
    )


def show(figures: Figures) -> None:
    for name in ("loop", "loading", "bare", "ready"):
        one: Spread = getattr(figures, name)
        print(f"{name:8} {one.median:8.0f} pictures/s ({one.low:.0f}-{one.high:.0f})")
    for what, one, least in (
        ("loop / bare", figures.of_bare, LEAST_OF_BARE),
        ("loading / loop", figures.loading_of_loop, LEAST_LOADING),
    ):
        verdict = "met" if one.median >= least else "missed"
        print(f"{what:15} {one.median:6.2f} ({one.low:.2f}-{one.high:.2f}); at least {least:g}: {verdict}")
    print(f"loop / ready    {figures.of_ready.median:6.2f} ({figures.of_ready.low:.2f}-{figures.of_ready.high:.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--profile", help="of the recipe")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--steps", type=int, default=10, help="of each of the four in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    options = parser.parse_args()
    if options.steps < 1 or options.rounds < 1:
        parser.error("--steps and --rounds must be at least 1")
    recipe = read_recipe(options.recipe, options.profile, [f"data.root={options.root.resolve()}"])
    figures = measure(recipe, Hardware(options.device), options.steps, options.rounds)
    if options.json:
        print(json.dumps(asdict(figures) | {"processor": processor()}))
        return
    show(figures)
    print(f"{recipe.name}, {recipe.device.precision}, {torch.get_num_threads()} threads, {processor()}")


if __name__ == "__main__":
    main()
