"""Opens what a recipe's data name: whose pictures there are, who is in them, and whom no run may see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from twinface.core.files import shown
from twinface.core.provenance import TrainingSet
from twinface.datasets.files import Files
from twinface.datasets.lfw import Lfw, View, open_lfw
from twinface.datasets.pairs import people_in
from twinface.datasets.photos import Photo, PhotoSet, open_named, open_photos
from twinface.datasets.pool import open_pool
from twinface.datasets.splits import held_out
from twinface.errors import DatasetMissing, RecipeError
from twinface.training.recipe import SOURCES, DataRecipe

DEVTEST = "lfw-dev-test"
"""The people of View 1's test pairs: a source to judge by, which no recipe may train on."""

CELEBA_PART = 0.4
"""Of the share of UTKFace that is held out, so much is held out of CelebA's persons: a fifth for a half. UTKFace
measures the groups and is plentiful; CelebA's 299 persons in the pool carry all real mated pairs of training."""

Choice = Literal["central", "largest"]
"""Which face of a picture counts: the one nearest the picture's middle, as in LFW, or the largest."""

Pair = tuple[int, int, bool]
"""Two pictures by their places, and whether they show one person."""


@dataclass(frozen=True)
class Shot:
    """One picture of one person.

    Attributes:
        path: its name in the source's files.
        person: equal for all pictures of one person, and only for those.
        group: the person's, by UTKFace's races or a table's column `race`; "" where it is unknown.
        source: name of the source.
    """

    path: str
    person: str
    group: str
    source: str


@dataclass(frozen=True, eq=False)
class Source:
    """Pictures of one origin.

    Attributes:
        name: of `recipe.SOURCES`.
        dataset: what a model's training record calls it.
        files: reads `Shot.path`.
        shots: what may be trained or validated on.
        face: which face of a picture is the person's.
        pairs: the source's own list, as places in `shots`, in its order; None where there is none.
        notes: what was left out, and what the reader must know.
    """

    name: str
    dataset: str
    files: Files
    shots: tuple[Shot, ...]
    face: Choice
    pairs: tuple[Pair, ...] | None = None
    notes: tuple[str, ...] = ()


def open_sources(recipe: DataRecipe) -> tuple[Source, ...]:
    """The sources of a recipe, in its order.

    "folder" is a folder or archive with one folder for each person, a CSV, or a folder of pictures that are named after
    their persons (see `datasets.photos`). "lfw-dev-train" is everybody in LFW's pairsDevTrain.txt, with its pairs;
    "lfw-outside" everybody in no pair of View 1 and View 2, so that both views stay clean. "utkface" and "celeba" are
    `datasets.pool`'s, without the persons who are held out: of UTKFace, where a picture's name without endings has a
    `fraction` below `held_out`; of CelebA, where "celeba/<identity>" has one below `CELEBA_PART` of that.

    Raises:
        RecipeError: no root, or names of sources that are unknown, doubled or do not go together.
        DataError: a source is missing, damaged or empty.
    """
    _check(recipe)
    places = _Places(Path(recipe.root))
    return tuple(_OPENERS[name](places, recipe) for name in recipe.sources)


def training_sets(sources: Iterable[Source], kept_persons: Collection[str]) -> tuple[TrainingSet, ...]:
    """Whom a model was trained on, by data set, for its training record.

    Args:
        sources: what the run opened.
        kept_persons: all who were used, in training or validation.
    """
    kept, found = set(kept_persons), dict[str, set[str]]()
    for source in sources:
        found.setdefault(source.dataset, set()).update(shot.person for shot in source.shots if shot.person in kept)
    return tuple(TrainingSet(dataset, frozenset(persons)) for dataset, persons in found.items())


def _check(recipe: DataRecipe) -> None:
    if not recipe.root:
        raise RecipeError("data.root: says nowhere where the pictures are; give --root FOLDER, or set it in the recipe")
    unknown = [name for name in recipe.sources if name not in _OPENERS]
    if unknown or not recipe.sources:
        found = shown(unknown[0]) if unknown else "none"
        raise RecipeError(f"data.sources: choose among {', '.join(SOURCES)}; found {found}")
    if len(set(recipe.sources)) < len(recipe.sources):
        raise RecipeError("data.sources: names a source twice; name each once")
    if "folder" in recipe.sources and len(recipe.sources) > 1:
        raise RecipeError("data.sources: folder goes with no other source, as data.root is its place; leave one out")


@dataclass(frozen=True)
class _Places:
    """What lies below the root, each opened once, since archives are read to their end to know their names."""

    root: Path

    @cached_property
    def lfw(self) -> Lfw:
        try:
            return open_lfw(self.root)
        except DatasetMissing:
            if not (self.root / "lfw").is_dir():
                raise
            return open_lfw(self.root / "lfw")

    @cached_property
    def people(self) -> dict[str, list[str]]:
        return self.lfw.people()

    @cached_property
    def pool(self) -> PhotoSet:
        return open_pool(self.root)


def _folder(places: _Places, _: DataRecipe) -> Source:
    try:
        found = open_photos(places.root)
    except DatasetMissing:
        if not places.root.is_dir():
            raise
        found = open_named(places.root)
    shots = tuple(Shot(one.path, one.subject, one.groups.get("race", ""), "folder") for one in found.photos)
    counts = Counter(shot.person for shot in shots)
    lonely = sorted(person for person, count in counts.items() if count == 1)
    notes = list(found.notes)
    if lonely:
        have = "has" if len(lonely) == 1 else "have"
        notes.append(
            f"{len(lonely):,} of {len(counts):,} persons {have} one picture and cannot form mated pairs: {_few(lonely)}"
        )
    return Source("folder", shown(found.name) or "folder", found.files, shots, "largest", None, tuple(notes))


def _lfw_dev_train(places: _Places, _: DataRecipe) -> Source:
    return _lfw_view(places, "train", "lfw-dev-train")


def _lfw_dev_test(places: _Places, _: DataRecipe) -> Source:
    return _lfw_view(places, "test", DEVTEST)


def _lfw_view(places: _Places, view: View, name: str) -> Source:
    pairs = places.lfw.pairs(view)
    shots = _lfw_shots(places, people_in(pairs), name)
    place = {shot.path: number for number, shot in enumerate(shots)}
    listed = tuple(
        (place[places.lfw.path(*pair.first)], place[places.lfw.path(*pair.second)], pair.mated) for pair in pairs
    )
    return Source(name, "LFW", places.lfw.files, shots, "central", listed, places.lfw.notes)


def _lfw_outside(places: _Places, _: DataRecipe) -> Source:
    tested = people_in([*places.lfw.pairs("view2"), *places.lfw.pairs("train"), *places.lfw.pairs("test")])
    shots = _lfw_shots(places, set(places.people) - tested, "lfw-outside")
    if not shots:
        raise DatasetMissing(f"{shown(places.root)}: everybody in this LFW is in its pair lists; give the whole of LFW")
    return Source("lfw-outside", "LFW", places.lfw.files, shots, "central", None, places.lfw.notes)


def _lfw_shots(places: _Places, persons: Collection[str], source: str) -> tuple[Shot, ...]:
    return tuple(Shot(path, name, "", source) for name in sorted(persons) for path in places.people[name])


def _utkface(places: _Places, recipe: DataRecipe) -> Source:
    def secret(photo: Photo) -> bool:
        return held_out(photo.subject.removeprefix("utkface/"), recipe.held_out)

    return _of_pool(places, "utkface", "UTKFace", secret, places.pool.notes)


def _celeba(places: _Places, recipe: DataRecipe) -> Source:
    def secret(photo: Photo) -> bool:
        return held_out(photo.subject, CELEBA_PART * recipe.held_out)

    return _of_pool(places, "celeba", "CelebA", secret, ())


def _of_pool(
    places: _Places, name: str, dataset: str, secret: Callable[[Photo], bool], notes: tuple[str, ...]
) -> Source:
    """One of the pool's collections, without the photos that are held out."""
    there = [photo for photo in places.pool.photos if photo.subject.startswith(f"{name}/")]
    kept = [photo for photo in there if not secret(photo)]
    if not kept:
        why = "all are held out; lower data.held_out" if there else "look at its spelling, or name another source"
        raise DatasetMissing(f"{shown(places.root)}: no picture of {dataset} to train on: {why}")
    if len(kept) < len(there):
        notes = (*notes, f"{len(there) - len(kept):,} of {len(there):,} pictures of {dataset} are held out")
    shots = tuple(Shot(one.path, one.subject, one.groups.get("race", ""), name) for one in kept)
    return Source(name, dataset, places.pool.files, shots, "largest", None, notes)


def _few(names: list[str]) -> str:
    return ", ".join(shown(name) for name in names[:3]) + (", ..." if len(names) > 3 else "")


_OPENERS: Mapping[str, Callable[[_Places, DataRecipe], Source]] = {
    "folder": _folder,
    "lfw-dev-train": _lfw_dev_train,
    DEVTEST: _lfw_dev_test,
    "lfw-outside": _lfw_outside,
    "utkface": _utkface,
    "celeba": _celeba,
}
