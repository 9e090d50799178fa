"""The secret matrix changes no distance, is like no other, and makes stolen templates useless elsewhere; no more."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from twinface.app.wiring import rule_of, template_space
from twinface.core.similarity import normalise
from twinface.core.subjects import Entry, NewSample, TemplateSpace
from twinface.core.types import Template
from twinface.gallery import rotation as module
from twinface.gallery.rotation import random_rotation, turn, turn_back
from twinface.gallery.sqlite import SqliteGallery
from twinface.gallery.vault import TAG

_spec = spec_from_file_location("people_of_tests", Path(__file__).with_name("people_of_tests.py"))
assert _spec is not None
assert _spec.loader is not None
of: Any = module_from_spec(_spec)
sys.modules["people_of_tests"] = of  # where its dataclasses look for themselves
_spec.loader.exec_module(of)

LAW = settings(max_examples=15, deadline=None)
DIMENSION, PEOPLE = 128, 200
SPACE = TemplateSpace("5ace" * 16, "a-model", True, DIMENSION)

Vectors = NDArray[np.float32]


def spread_out(random: np.random.Generator, count: int, dimension: int) -> Vectors:
    """All over the sphere."""
    return normalise(random.normal(size=(count, dimension)))


def like_faces(random: np.random.Generator, count: int, dimension: int = DIMENSION) -> Vectors:
    """As encoders make them: all around one direction, two strangers some 0.6 apart."""
    common = normalise(np.ones(dimension))
    return normalise(common + 0.5 * normalise(random.normal(size=(count, dimension))))


def nearly_equal(random: np.random.Generator, count: int, dimension: int) -> Vectors:
    return normalise(spread_out(random, 1, dimension) + 1e-4 * random.normal(size=(count, dimension)))


def gaps(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    """Distances of every row of one with every row of the other."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.sqrt(squares.clip(min=0))


# the matrix


@pytest.mark.parametrize("dimension", [1, 2, 3, 64, 200])
def test_a_matrix_is_orthogonal_and_like_no_other(dimension: int) -> None:
    one, other = random_rotation(dimension), random_rotation(dimension)
    assert one.dtype == np.float64
    np.testing.assert_allclose(one @ one.T, np.eye(dimension), atol=1e-13)
    if dimension >= 64:
        assert np.abs(one - other).max() > 0.1
        assert np.abs(np.sum(one * other)) < 8  # a standard normal number, were they independent and Haar


def test_its_randomness_is_the_systems_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not NumPy's: who knows that one's state knows all of them."""
    asked = []
    monkeypatch.setattr(module.os, "urandom", lambda size: asked.append(size) or bytes(range(1, 129)) * (size // 128))
    np.random.seed(0)
    one = random_rotation(8)
    np.random.seed(1)
    assert np.array_equal(one, random_rotation(8))
    assert asked == [16 * 64] * 2  # two words of 64 bits for a number


@pytest.fixture(scope="module")
def many() -> NDArray[np.float64]:
    """Matrices of one seed, so that what is measured on them is always the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.os, "urandom", np.random.default_rng(7).bytes)
        return np.stack([random_rotation(6) for _ in range(4000)])


def test_every_direction_is_as_likely_as_any_other(many: NDArray[np.float64]) -> None:
    """What Haar's measure gives for D = 6, to five standard errors or so; without the signs mended it gives none."""
    entries = many.reshape(len(many), -1)
    assert np.abs(entries.mean(axis=0)).max() < 0.035
    np.testing.assert_allclose((entries**2).mean(axis=0), 1 / 6, atol=0.02)
    np.testing.assert_allclose((entries**4).mean(axis=0), 3 / (6 * 8), atol=0.02)
    traces = np.trace(many, axis1=1, axis2=2)
    assert (np.abs(traces.mean()), traces.var()) == (pytest.approx(0, abs=0.08), pytest.approx(1, abs=0.12))
    assert np.trace(many @ many, axis1=1, axis2=2).mean() == pytest.approx(1, abs=0.12)
    assert (np.linalg.det(many) > 0).mean() == pytest.approx(0.5, abs=0.04)


def test_wherever_it_starts_a_template_may_end_anywhere(many: NDArray[np.float64]) -> None:
    for start in (np.eye(6)[0], np.eye(6)[5], np.ones(6) / 6**0.5):
        ends = many @ start
        assert np.abs(ends.mean(axis=0)).max() < 0.04
        np.testing.assert_allclose(ends.T @ ends / len(ends), np.eye(6) / 6, atol=0.02)


# turning


@LAW
@given(
    st.sampled_from([spread_out, like_faces, nearly_equal]),
    st.integers(2, 512),
    st.integers(1, 20),
    st.integers(0, 2**32 - 1),
)
@example(spread_out, 512, 20, 0)
@example(nearly_equal, 2, 20, 0)
def test_no_distance_changes(make: Callable[..., Vectors], dimension: int, count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    vectors, probes, rotation = make(random, count, dimension), make(random, 5, dimension), random_rotation(dimension)
    turned, turned_probes = turn(vectors, rotation), turn(probes, rotation)
    assert turned.dtype == np.float32
    np.testing.assert_allclose(gaps(turned_probes, turned), gaps(probes, vectors), rtol=0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(turned, axis=1), 1, atol=1e-6)


@LAW
@given(st.integers(1, 512), st.integers(0, 20), st.integers(0, 2**32 - 1))
def test_turned_back_templates_are_the_encoders_again(dimension: int, count: int, seed: int) -> None:
    vectors, rotation = spread_out(np.random.default_rng(seed), count, dimension), random_rotation(dimension)
    back = turn_back(turn(vectors, rotation), rotation)
    assert back.shape == vectors.shape
    np.testing.assert_allclose(back, vectors, rtol=0, atol=3e-7)


def test_turning_copies(many: NDArray[np.float64]) -> None:
    vectors = spread_out(np.random.default_rng(0), 3, 6)
    before = vectors.copy()
    turn(vectors, many[0])
    assert np.array_equal(vectors, before)


# in a gallery


def entries_of(vectors: Vectors, order: NDArray[np.intp] | None = None, space: TemplateSpace = SPACE) -> list[Entry]:
    """People called by their number, in any order."""
    places = range(len(vectors)) if order is None else order.tolist()
    return [
        Entry(f"person {place}", NewSample(f"{place:064x}", Template(vectors[place], space.identity)))
        for place in places
    ]


def stolen(path: Path) -> Vectors:
    """Templates as a thief reads them who has the rows of one table: behind the tag, in the order they came."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT vector FROM templates ORDER BY id").fetchall()
    return np.stack([np.frombuffer(row[TAG:], "<f4") for (row,) in rows])


@pytest.fixture(scope="module")
def faces() -> Vectors:
    return like_faces(np.random.default_rng(3), PEOPLE)


@pytest.fixture
def gallery(tmp_path: Path, faces: Vectors) -> Iterator[SqliteGallery]:
    with closing(SqliteGallery(tmp_path / "a.db", create=SPACE)) as made:
        made.enroll(entries_of(faces))
        yield made


@settings(max_examples=8, deadline=None)
@given(st.integers(2, 512), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_a_gallery_tells_the_encoders_distances(
    tmp_path_factory: pytest.TempPathFactory, dimension: int, count: int, seed: int
) -> None:
    random, space = np.random.default_rng(seed), TemplateSpace("5ace", "a-model", True, dimension)
    vectors, probes = spread_out(random, count, dimension), spread_out(random, 3, dimension)
    with closing(SqliteGallery(tmp_path_factory.mktemp("a") / "a.db", create=space)) as made:
        made.enroll(entries_of(vectors, space=space))
        numbers = {made.find(f"person {place}").uid: place for place in range(count)}
        found, compared = made.nearest(probes, count)
    assert compared == count
    for neighbours, expected in zip(found, gaps(probes, vectors), strict=True):
        told = {numbers[one.subject]: one.distance for one in neighbours}
        np.testing.assert_allclose([told[place] for place in range(count)], expected, rtol=0, atol=1e-6)


def threshold() -> float:
    """What the shipped model takes for one person at a false match rate of 1 in 100."""
    return rule_of(template_space("twin-r29")).point(1e-2).threshold


def strangers(one: NDArray[Any], other: NDArray[Any]) -> None:
    """Two sets of the same people's templates that have nothing to do with one another."""
    apart = gaps(one, other)
    assert apart.min() > 2 * threshold()
    assert apart.mean() == pytest.approx(2**0.5, abs=0.35)  # the common direction is turned, too, to somewhere
    mated, everybody = np.diag(apart), apart.mean()
    assert mated.mean() == pytest.approx(everybody, abs=0.03)
    ranks = (apart < mated[:, None]).mean(axis=1)
    assert ranks.mean() == pytest.approx(0.5, abs=0.17)  # eight standard errors
    assert (ranks == 0).sum() < 10  # by chance one in 200 is her own nearest


def test_stolen_templates_match_nothing_elsewhere(gallery: SqliteGallery, tmp_path: Path, faces: Vectors) -> None:
    """The same pictures even, which the encoder would find to be 0 apart."""
    with closing(SqliteGallery(tmp_path / "b.db", create=SPACE)) as other:
        other.enroll(entries_of(faces))
    loot, theirs = stolen(gallery.path), stolen(tmp_path / "b.db")
    assert np.diag(gaps(faces, faces)).max() < 1e-6
    assert gaps(faces, faces)[0, 1:].mean() < 2 * threshold()
    strangers(loot, theirs)
    strangers(loot, faces)


def test_without_a_common_direction_they_are_as_far_apart_as_chance_has_it(tmp_path: Path) -> None:
    vectors = spread_out(np.random.default_rng(4), PEOPLE, DIMENSION)
    for name in ("a.db", "b.db"):
        with closing(SqliteGallery(tmp_path / name, create=SPACE)) as made:
            made.enroll(entries_of(vectors))
    apart = gaps(stolen(tmp_path / "a.db"), stolen(tmp_path / "b.db"))
    assert apart.mean() == pytest.approx(2**0.5, abs=0.01)
    assert np.diag(apart).mean() == pytest.approx(2**0.5, abs=0.05)
    assert apart.min() > 0.8


def test_stolen_templates_given_to_a_gallery_as_probes_find_nobody(gallery: SqliteGallery, faces: Vectors) -> None:
    loot = stolen(gallery.path)
    nearest = [one[0].distance for one in gallery.nearest(loot, 1)[0]]
    assert min(nearest) > 2 * threshold()
    assert max(one[0].distance for one in gallery.nearest(faces, 1)[0]) < 1e-6


def test_stolen_templates_match_nothing_any_more_once_the_gallery_is_renewed(
    gallery: SqliteGallery, faces: Vectors
) -> None:
    probes = np.concatenate([faces[:20], like_faces(np.random.default_rng(5), 20)])
    before = gallery.nearest(probes, 5)
    loot = [stolen(gallery.path)]
    for _ in range(10):
        gallery.renew()
        fresh = stolen(gallery.path)
        assert min(gaps(old, fresh).min() for old in loot) > 2 * threshold()
        loot.append(fresh)
    strangers(loot[0], loot[-1])
    strangers(loot[-2], loot[-1])
    found, compared = gallery.nearest(probes, 5)
    assert compared == before[1] == PEOPLE
    for old, new in zip(before[0], found, strict=True):
        assert [(one.subject, one.sample) for one in new] == [(one.subject, one.sample) for one in old]
        np.testing.assert_allclose([one.distance for one in new], [one.distance for one in old], rtol=0, atol=1e-6)
    np.testing.assert_allclose(gallery.templates().vectors, faces, rtol=0, atol=1e-6)


# what it is not: known limits, so that nobody relies on what is not there


def test_known_limit_who_has_the_whole_file_of_a_plain_gallery_has_the_matrix(
    gallery: SqliteGallery, faces: Vectors
) -> None:
    with closing(sqlite3.connect(gallery.path)) as connection:
        ((kept,),) = connection.execute("SELECT rotation FROM spaces").fetchall()
    matrix = np.frombuffer(kept[TAG:], "<f8").reshape(DIMENSION, DIMENSION)
    np.testing.assert_allclose(stolen(gallery.path) @ matrix, faces, rtol=0, atol=1e-6)


def test_known_limit_as_many_known_faces_as_a_template_has_numbers_tell_the_matrix(
    gallery: SqliteGallery, faces: Vectors
) -> None:
    """Somebody knows which of the stolen templates are of people whose pictures he has, and encodes those himself.

    Least squares give him the matrix, exactly for D people; and for half as many the others already come near enough
    to be recognised. (Made-up faces: they differ in all D directions alike. Of real ones fewer may do.)
    """
    loot = stolen(gallery.path).astype(np.float64)
    others = slice(150, None)

    def missed_by(known: int) -> NDArray[np.float64]:
        forth, *_ = np.linalg.lstsq(loot[:known], faces[:known].astype(np.float64), rcond=None)
        return np.linalg.norm(normalise(loot[others] @ forth) - faces[others], axis=1)

    assert missed_by(5).min() > threshold()
    assert missed_by(DIMENSION // 2).mean() < threshold()
    assert missed_by(DIMENSION).max() < threshold() / 10


@pytest.mark.parametrize("other", ["another gallery of the same pictures", "the same one after it was renewed"])
def test_known_limit_distances_to_the_others_tell_who_is_who(
    gallery: SqliteGallery, tmp_path: Path, faces: Vectors, other: str
) -> None:
    """A thief of two whole sets needs no matrix: the distances of everybody to everybody are the same in both."""
    loot, order = stolen(gallery.path), np.arange(PEOPLE)
    if other.startswith("another"):
        order = np.random.default_rng(6).permutation(PEOPLE)
        with closing(SqliteGallery(tmp_path / "b.db", create=SPACE)) as made:
            made.enroll(entries_of(faces, order))
        theirs = stolen(tmp_path / "b.db")
    else:
        gallery.renew()
        theirs = stolen(gallery.path)
    shapes = [np.sort(gaps(one, one), axis=1) for one in (loot, theirs)]
    guessed = gaps(shapes[1], shapes[0]).argmin(axis=1)
    assert np.array_equal(guessed, order)
    u, _, v = np.linalg.svd(loot[guessed].T.astype(np.float64) @ theirs)  # and then the turn between them
    np.testing.assert_allclose(loot[guessed] @ (u @ v), theirs, rtol=0, atol=1e-5)
