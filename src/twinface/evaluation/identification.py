"""Open-set identification: who is it among those enrolled, or is it none of them.

Terms and method follow ISO/IEC 19795-1 and P. Grother, M. Ngan, K. Hanaoka, "Face Recognition Vendor Test (FRVT)
Part 2: Identification", NISTIR 8271: FNIR at the threshold that yields a wanted FPIR.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twinface.core.similarity import distances
from twinface.evaluation.bootstrap import draw_people, number, percentiles
from twinface.evaluation.curves import error_curve
from twinface.evaluation.intervals import Interval, rate
from twinface.evaluation.pairing import BLOCK, checked
from twinface.evaluation.scores import Scores

Numbers = NDArray[np.int64]

RANKS = 20
"""Ranks of the cumulative match characteristic."""

ROUNDS = 200
"""Bootstrap rounds of the intervals."""


@dataclass(frozen=True)
class Deployed:
    """What a threshold that was fixed beforehand does.

    Attributes:
        threshold: distance up to which the nearest candidate is named.
        fpir: share of the non-mated probes that name somebody.
        fnir: share of the mated probes whose own person is not named.
    """

    threshold: float
    fpir: Interval
    fnir: Interval


@dataclass(frozen=True)
class OpenSet:
    """How well probes are identified in galleries of one size.

    Attributes:
        gallery: persons enrolled, one picture each.
        draws: galleries drawn; the figures are over the probes of all of them.
        probes_mated: searches by persons who were enrolled.
        probes_non_mated: searches by persons who were not.
        people_mated: different persons among the first.
        people_non_mated: different persons among the second.
        fpir: false positive identification rate asked for.
        fpir_reached: share of the non-mated probes with a candidate at or below the threshold; not above `fpir`.
        fnir: false negative identification rate: share of the mated probes whose own person is not the nearest
            candidate, at or below the threshold.
        threshold: the largest distance threshold whose FPIR does not exceed the one asked for.
        rank1: share of the mated probes whose own person is the nearest, whatever the distance.
        cmc: share of the mated probes whose own person is among the nearest 1, 2, ... 20 (or all the gallery).
        deployed: what another threshold does, one that was fixed without looking at these persons.
    """

    gallery: int
    draws: int
    probes_mated: int
    probes_non_mated: int
    people_mated: int
    people_non_mated: int
    fpir: float
    fpir_reached: float
    fnir: Interval
    threshold: float
    rank1: Interval
    cmc: tuple[float, ...]
    deployed: Deployed | None = None


def open_set(
    templates: NDArray[np.float32],
    subjects: ArrayLike,
    gallery: int,
    *,
    fpir: float = 0.01,
    draws: int = 10,
    seed: int = 0,
    fixed: float | None = None,
) -> OpenSet:
    """Searches galleries of random persons for persons in and out of them.

    In each draw a gallery is filled with persons of several pictures first, in random order, then with others. Each
    enrols one random picture; each of several pictures searches with one other (one per person, so that the much
    photographed do not rule the figures), and everybody outside the gallery searches with one. The probes of all
    draws are judged by one threshold. A picture without a template is never a candidate, and as a probe finds nobody:
    it stays in the denominators. Where another person is as near as one's own, the other comes first.

    The intervals are the wider of two: persons resampled (not probes, as one person may search in many draws), each
    round with a threshold of its own; and a proportion of as many trials as there are different persons.

    Args:
        templates: unit vectors, float32, shape (N, D); a row of NaN is a failure to acquire.
        subjects: person on each picture, shape (N,), integers from 0.
        gallery: persons enrolled.
        fpir: false positive identification rate to hold, in (0, 1).
        draws: galleries drawn.
        seed: of the drawing.
        fixed: a threshold that was fixed beforehand, whose rates are wanted too.

    Raises:
        ValueError: too few persons outside the gallery to hold the FPIR (fewer than 1 / fpir), nobody with two
            pictures, numbers out of range or shapes that do not match.
    """
    vectors, people = checked(templates, subjects)
    if gallery < 1 or draws < 1 or not 0 < fpir < 1:
        raise ValueError(
            f"identification: expected a gallery and draws of at least 1 and an FPIR in (0, 1), "
            f"got {gallery}, {draws} and {fpir:g}"
        )
    people, count = number(people)
    needed = int(np.ceil(1 / fpir * (1 - 1e-12)))
    if count < gallery + needed:
        raise ValueError(
            f"identification: a gallery of {gallery} at FPIR {fpir:g} needs at least {gallery + needed} persons, "
            f"{needed} of them outside the gallery; got {count}"
        )
    if not (np.bincount(people) > 1).any():
        raise ValueError(
            f"identification: nobody has two pictures, one to enrol and one to search with; got {people.size} "
            f"pictures of {count} persons"
        )
    random = np.random.default_rng(seed)
    drawn = [_draw(people, gallery, random) for _ in range(draws)]
    found = [_search(vectors, draw) for draw in drawn]
    own, rank = np.concatenate([one.own for one in found]), np.concatenate([one.rank for one in found])
    nearest = np.concatenate([one.nearest for one in found])
    searchers = np.concatenate([draw.searchers for draw in drawn])
    strangers = np.concatenate([draw.strangers for draw in drawn])
    people_mated, people_non_mated = (int(np.bincount(who).astype(np.bool_).sum()) for who in (searchers, strangers))

    # FNIR at an FPIR is FNMR at an FMR: of one's own distance where it ranks first, and of strangers' nearest candidate
    gaps = np.concatenate([np.where(rank == 1, own, np.float32(np.nan)), nearest])
    everybody = np.full(strangers.size, count)  # the gallery, as the other party of a stranger's search
    parties = np.column_stack([np.append(searchers, strangers), np.append(searchers, everybody)]).astype(np.int32)
    scores = Scores(gaps, parties[:, 0] == parties[:, 1], parties)
    curve = error_curve(scores)
    threshold = curve.threshold(fpir)
    cmc = tuple(float((rank <= best).mean()) for best in range(1, min(RANKS, gallery) + 1))
    rounds = _resampled(scores, rank == 1, (fpir, fixed), count, random)
    deployed = None
    if fixed is not None:
        deployed = Deployed(
            fixed,
            _wider(percentiles(curve.fmr_at(fixed), rounds.named), people_non_mated),
            _wider(percentiles(curve.fnmr_at(fixed), rounds.not_named), people_mated),
        )
    return OpenSet(
        gallery=gallery,
        draws=draws,
        probes_mated=own.size,
        probes_non_mated=nearest.size,
        people_mated=people_mated,
        people_non_mated=people_non_mated,
        fpir=fpir,
        fpir_reached=curve.fmr_at(threshold),
        fnir=_wider(percentiles(curve.fnmr_at(threshold), rounds.missed), people_mated),
        threshold=threshold,
        rank1=_wider(percentiles(cmc[0], rounds.hit), people_mated),
        cmc=cmc,
        deployed=deployed,
    )


@dataclass(frozen=True, eq=False)
class _Draw:
    """One gallery and its probes: rows of the templates, and the persons they show."""

    enrolled: Numbers
    probes: Numbers
    places: Numbers
    searchers: Numbers
    foreign: Numbers
    strangers: Numbers


def _draw(people: NDArray[np.int32], gallery: int, random: np.random.Generator) -> _Draw:
    shuffled = random.permutation(people.size)
    rows = shuffled[np.argsort(people[shuffled], kind="stable")]  # by person, each one's pictures in random order
    counts = np.bincount(people)
    first = np.cumsum(counts) - counts
    several = counts > 1
    ranked = np.lexsort([random.random(counts.size), ~several])
    inside, outside = ranked[:gallery], ranked[gallery:]
    places = np.flatnonzero(several[inside])
    searchers = inside[places]
    return _Draw(rows[first[inside]], rows[first[searchers] + 1], places, searchers, rows[first[outside]], outside)


@dataclass(frozen=True, eq=False)
class _Found:
    """Of each mated probe the distance of its own person and its rank, of each other one the nearest candidate."""

    own: NDArray[np.float32]
    rank: Numbers
    nearest: NDArray[np.float32]


def _search(vectors: NDArray[np.float32], draw: _Draw) -> _Found:
    enrolled = vectors[draw.enrolled]
    own, nearest = np.empty(draw.probes.size, np.float32), np.empty(draw.foreign.size, np.float32)
    rank = np.empty(draw.probes.size, np.int64)
    height = max(1, BLOCK // len(enrolled))
    for start in range(0, own.size, height):
        part = slice(start, start + height)
        gaps = distances(vectors[draw.probes[part]], enrolled)
        own[part] = gaps[np.arange(len(gaps)), draw.places[part]]
        rank[part] = (gaps <= own[part, None]).sum(axis=1)
    rank[np.isnan(own)] = len(enrolled) + 1
    for start in range(0, nearest.size, height):
        part = slice(start, start + height)
        nearest[part] = np.fmin.reduce(distances(vectors[draw.foreign[part]], enrolled), axis=1)
    return _Found(own, rank, nearest)


@dataclass(frozen=True, eq=False)
class _Rounds:
    """Of every bootstrap round FNIR and rank-1 rate, and FPIR and FNIR at the threshold fixed beforehand."""

    missed: list[float] = field(default_factory=list)
    hit: list[float] = field(default_factory=list)
    named: list[float] = field(default_factory=list)
    not_named: list[float] = field(default_factory=list)


def _resampled(
    scores: Scores,
    first: NDArray[np.bool_],
    at: tuple[float, float | None],
    count: int,
    random: np.random.Generator,
) -> _Rounds:
    """The rounds, for a target FPIR and a fixed threshold; one without searches of either kind is drawn anew."""
    fpir, fixed = at
    rounds = _Rounds()
    order = np.argsort(scores.distances, kind="stable")  # sorting anew is quick in what is in order already
    ordered = Scores(scores.distances[order], scores.mated[order], scores.subjects[order])
    searchers = scores.subjects[: first.size, 0]
    while len(rounds.missed) < ROUNDS:
        drawn = draw_people(count, random)
        weights = drawn[ordered.subjects[:, 0]]
        if weights[ordered.mated].any() and weights[~ordered.mated].any():
            curve = error_curve(ordered, weights)
            rounds.missed.append(curve.fnmr_at(curve.threshold(fpir)))
            rounds.hit.append(float(np.average(first, weights=drawn[searchers])))
            if fixed is not None:
                rounds.named.append(curve.fmr_at(fixed))
                rounds.not_named.append(curve.fnmr_at(fixed))
    return rounds


def _wider(interval: Interval, trials: int) -> Interval:
    bound = rate(round(interval.value * trials), trials)
    return Interval(interval.value, min(interval.low, bound.low), max(interval.high, bound.high))
