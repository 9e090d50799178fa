"""How near people of several templates are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from stage import FIT, look

from twinface.core.similarity import normalise
from twinface.core.types import Box
from twinface.core.video import TrackFace
from twinface.errors import ContractMismatch
from twinface.gallery.fusion import FusedIndex
from twinface.services.likeness import Templates, templates_of


def some(letter: str, count: int, first: int = 0) -> np.ndarray:
    return np.stack([look(letter, [first + place], 0.5) for place in range(count)])


@pytest.mark.parametrize("letter", ["a", "b"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_of_one_template_it_is_the_gallerys_distance(letter: str, count: int) -> None:
    person, probe = some("a", count), some(letter, 1, first=9)
    index = FusedIndex(32)
    index.add(person, np.arange(count), np.zeros(count, np.int64))
    ((_, _, distance),) = index.search(probe, 1)[0]

    near = Templates.of(probe).near(Templates.of(person))
    assert near.distance == pytest.approx(distance, abs=1e-6)
    assert near.alone.tolist() == [pytest.approx(distance, abs=1e-6)]
    faces = Templates.of(person).near(Templates.of(probe))
    assert faces.distance == pytest.approx(distance, abs=1e-6)


def test_it_is_the_mean_of_the_nearest_and_of_the_means() -> None:
    one, other = some("a", 3), some("a", 4, first=7)
    gaps = np.linalg.norm(one[:, None] - other[None], axis=2)
    means = np.linalg.norm(normalise(one.mean(axis=0)) - normalise(other.mean(axis=0)))

    near = Templates.of(one).near(Templates.of(other))
    assert near.distance == pytest.approx((gaps.min() + means) / 2, abs=1e-6)
    assert near.nearest == gaps.min(axis=1).argmin()
    assert Templates.of(other).near(Templates.of(one)).distance == pytest.approx(near.distance)


def test_better_faces_count_more() -> None:
    good, bad = look("a"), look("b")
    faces = [
        TrackFace(0.0, Box(0, 0, 9, 9), FIT, good),
        TrackFace(1.0, Box(0, 0, 9, 9), replace(FIT, sharpness=FIT.sharpness / 10), bad),
    ]
    mean = templates_of(faces).mean
    assert mean == pytest.approx(normalise(good + bad / 10), abs=1e-6)


def test_worthless_faces_count_alike() -> None:
    faces = [TrackFace(0.0, Box(0, 0, 9, 9), replace(FIT, sharpness=0.0), look(letter)) for letter in "ab"]
    assert templates_of(faces).mean == pytest.approx(normalise(look("a") + look("b")), abs=1e-6)


def test_templates_that_cancel_out_have_the_first_for_a_mean() -> None:
    assert Templates.of([look("a"), -look("a")]).mean == pytest.approx(look("a"))


@pytest.mark.parametrize("wrong", [np.zeros((0, 32)), np.ones(32), np.zeros((1, 32)), np.full((1, 32), np.nan)])
def test_what_are_no_templates_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"templates|normalise"):
        Templates.of(wrong)


def test_templates_of_other_lengths_do_not_meet() -> None:
    with pytest.raises(ContractMismatch, match="different models"):
        Templates.of(np.ones((1, 3))).near(Templates.of(np.ones((1, 4))))
