"""What the distances between a gallery's templates make probable: doubles, mislabelled pictures, look-alikes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from twinface.core.decision import DecisionRule
from twinface.core.identification import identification_point
from twinface.errors import ContractMismatch
from twinface.services.gallery_neighbours import (
    Floats,
    Neighbours,
    Places,
    gaps_of,
    means,
    nearest_of_subjects,
    nearest_partner,
)

DUPLICATE_FMR = 1e-4
"""Two subjects may be called one person at the operating point of this FMR."""


@dataclass(frozen=True)
class Limits:
    """Largest distances, all from a decision rule.

    Attributes:
        duplicate: at which two subjects may be one person.
        usual: that counts as one person at the default operating point.
        loose: likewise at the one with the largest FMR.
        named: at which a face is named in a gallery of this size; never more than `usual`.
    """

    duplicate: float
    usual: float
    loose: float
    named: float


def limits_of(rule: DecisionRule, templates: int, fpir: float) -> Limits:
    """The limits for a gallery of so many templates that is searched at this false positive identification rate.

    Raises:
        GalleryError: the rate is none in (0, 1), or the rule's single operating point cannot tell.
    """
    points = sorted(rule.points, key=lambda point: point.fmr)
    try:
        duplicate = rule.point(DUPLICATE_FMR)
    except ContractMismatch:  # it was not measured
        duplicate = points[0]
    named = identification_point(rule, templates, fpir).threshold
    return Limits(duplicate.threshold, rule.point().threshold, points[-1].threshold, named)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of templates of two subjects.

    Attributes:
        first: places of one side, shape (M,).
        second: of the other.
        gaps: their distances, float32.
    """

    first: Places
    second: Places
    gaps: Floats

    def __iter__(self) -> Iterator[tuple[int, int, float]]:
        """Both places and the distance, pair by pair."""
        return zip(self.first.tolist(), self.second.tolist(), self.gaps.tolist(), strict=True)


@dataclass(frozen=True, eq=False)
class Suspicions:
    """What seems to be wrong; `gallery_health.examine` says when.

    Attributes:
        duplicates: the nearest templates of two subjects who are probably one.
        means: distances of these subjects' mean templates, float32.
        alike: the nearest templates of two look-alikes.
        mislabelled: a template, and the one of another subject that it is nearest to.
        odd: for each subject that has any the places of her odd templates.
        all_odd: for each of these, whether those are all of hers, mislabelled ones aside.
    """

    duplicates: Pairs
    means: Floats
    alike: Pairs
    mislabelled: Pairs
    odd: tuple[Places, ...]
    all_odd: tuple[bool, ...]


def judge(near: Neighbours, vectors: Floats, owners: Places, limits: Limits) -> Suspicions:
    """Tells from distances what is wrong with which templates.

    Args:
        near: what lies near each, with the pairs up to `limits.named`.
        vectors: float32, shape (N, D), unit length.
        owners: whose each is, from 0, shape (N,).
        limits: the distances that decide.
    """
    one, two, gaps = nearest_partner(near)
    strays = np.isfinite(near.own) & (near.own > limits.usual)
    stray = strays[one]
    wrong = Pairs(one[stray], two[stray], gaps[stray])
    right = np.ones(len(owners), np.bool_)
    right[wrong.first] = False
    rightly = np.bincount(owners[right], minlength=int(owners.max(initial=0)) + 1)
    counted = right | (rightly[owners] == 0)  # where all seem mislabelled the name is in doubt, not the pictures

    first, second, gaps = nearest_of_subjects(near, owners, counted)
    apart = gaps_of(means(vectors, owners, counted), owners[first], owners[second])
    double = (gaps <= limits.duplicate) & (apart <= limits.duplicate)  # false for NaN: doubt makes no duplicate
    keys = _keys(owners, first, second)
    wrong_keys = _keys(owners, wrong.first, wrong.second)
    told = np.isin(wrong_keys, keys[double])
    alike = ~double & ~np.isin(keys, wrong_keys)

    odd = (near.own > limits.loose) & (near.other > limits.named)  # in a crowd not every near pair is known
    odd &= right & (rightly[owners] > 1)
    places = np.flatnonzero(odd)
    places = places[np.argsort(owners[places], kind="stable")]
    groups = np.split(places, np.flatnonzero(np.diff(owners[places])) + 1) if places.size else []
    return Suspicions(
        Pairs(first[double], second[double], gaps[double]),
        apart[double],
        Pairs(first[alike], second[alike], gaps[alike]),
        Pairs(wrong.first[~told], wrong.second[~told], wrong.gaps[~told]),
        tuple(groups),
        tuple(bool(group.size == rightly[owners[group[0]]]) for group in groups),
    )


def _keys(owners: Places, first: Places, second: Places) -> Places:
    """A number for the two subjects of each pair of templates, whichever comes first."""
    one, two = owners[first], owners[second]
    keys: Places = np.minimum(one, two) * (int(owners.max(initial=0)) + 1) + np.maximum(one, two)
    return keys
