"""Which face of this frame is which of the frames before: place, motion and size, matched at least cost.

Frames may be far apart and of uneven distance; all is reckoned in seconds and in sizes of the face (the square root of
its box's area).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twinface.core.assignment import Matrix, Pair, assign
from twinface.core.geometry import iou
from twinface.core.types import Box
from twinface.core.video import Sighting

MEMORY = 0.5
"""Seconds of a path that its velocity is told from; the last two sightings at least. Less is noise, more is past."""


@dataclass(frozen=True)
class TrackingOptions:
    """When a face is the one of before.

    Attributes:
        absence: seconds without a detection after which a track ends; at least twice the time between two detections.
        reach: how far from where it is expected a face may be found at once, in its sizes.
        pace: how much farther a second since it was seen, in its sizes; half of it once its velocity is known.
        farthest: the largest reach of all, in its sizes.
        ratio: how many times as large or as small it may be.
        overlap: IoU with the expected box below which a match is a leap: possible, but doubtful.
        margin: a match is doubtful when another one costs no more than this beyond it.
    """

    absence: float = 1.0
    reach: float = 0.6
    pace: float = 8.0
    farthest: float = 2.5
    ratio: float = 1.8
    overlap: float = 0.15
    margin: float = 1.0

    def __post_init__(self) -> None:
        positive = (self.absence, self.reach, self.pace, self.farthest)
        if not (all(value > 0 and math.isfinite(value) for value in positive) and self.ratio > 1):
            raise ValueError(f"tracking: times and distances must be positive and the ratio above 1, got {self}")
        if not (0 <= self.overlap < 1 and self.margin >= 0):
            raise ValueError(f"tracking: overlap must lie in [0, 1) and margin not be negative, got {self}")


@dataclass(frozen=True, eq=False)
class Look:
    """What the geometry of a frame says.

    Attributes:
        numbers: of the running tracks, one a row.
        costs: of every match, from 0 up, shape (N, M); infinite where it is impossible.
        overlaps: IoU of every detection with where each track is expected, shape (N, M).
        lost: whether each track was out of sight when others were last seen, shape (N,).
    """

    numbers: tuple[int, ...]
    costs: Matrix
    overlaps: Matrix
    lost: NDArray[np.bool_]


class Tracker:
    """Follows faces; numbers count from 1 and are never given twice.

    Args:
        options: when a face is the one of before.
        paths: sightings of tracks that are running already, by number.
        following: the number that the next new track gets.
    """

    def __init__(
        self,
        options: TrackingOptions | None = None,
        paths: Mapping[int, Sequence[Sighting]] | None = None,
        following: int = 1,
    ) -> None:
        self.options = options or TrackingOptions()
        self.paths: dict[int, list[Sighting]] = {number: list(path) for number, path in (paths or {}).items()}
        self.following = following
        self._seen = {number: _last_detected(path) for number, path in self.paths.items()}

    def seen(self, number: int) -> float:
        """When a running track was last detected, seconds."""
        return self._seen[number]

    def update(self, time: float, boxes: Sequence[Box], scores: Sequence[float]) -> list[int]:
        """Takes the detections of a frame by geometry alone; the tracks' numbers, in their order."""
        self.expire(time)
        look = self.look(time, boxes)
        owners = {column: look.numbers[row] for row, column in assign(look.costs)}
        return self.settle(time, boxes, scores, owners)

    def expire(self, time: float) -> dict[int, tuple[Sighting, ...]]:
        """Ends the tracks that have not been detected for too long at this time; their sightings, by number."""
        return self.end([number for number, seen in self._seen.items() if time - seen > self.options.absence])

    def end(self, numbers: Iterable[int]) -> dict[int, tuple[Sighting, ...]]:
        """Ends tracks; their sightings up to the last detection, by number."""
        ended = {}
        for number in list(numbers):
            path = self.paths.pop(number)
            del self._seen[number]
            while not path[-1].detected:
                path.pop()
            ended[number] = tuple(path)
        return ended

    def renew(self, number: int) -> tuple[int, tuple[Sighting, ...]]:
        """Ends a track and begins another one with its last detection: its new number, and the old one's sightings."""
        ended = self.end([number])[number]
        return self._born(ended[-1]), ended

    def look(self, time: float, boxes: Sequence[Box]) -> Look:
        """How well each detection of a frame would fit each running track."""
        rows = list(self.paths.items())
        if not rows or not boxes:
            nothing = np.zeros((len(rows), len(boxes)))
            return Look(tuple(self.paths), nothing, nothing, np.zeros(len(rows), np.bool_))
        places = np.array([expected(path, time).corners for _, path in rows])
        found = np.array([box.corners for box in boxes])
        overlaps = iou(places, found)
        sizes, others = _sizes(places), _sizes(found)
        gaps = np.linalg.norm(_middles(places)[:, None] - _middles(found)[None], axis=2)
        gaps /= (sizes[:, None] + others[None]) / 2
        ratios = np.abs(np.log(sizes[:, None] / others[None])) / math.log(self.options.ratio)
        gaps /= np.array([self._reach(path, time) for _, path in rows])[:, None]
        unseen = np.array([time - path[-1].time for _, path in rows])
        behind = unseen - unseen.min()  # who was seen just now is likelier to be seen again
        staleness = behind[:, None] / self.options.absence
        costs = np.where((gaps <= 1) & (ratios <= 1), 1 - overlaps + gaps + ratios + staleness, np.inf)
        return Look(tuple(self.paths), costs, overlaps, behind > 0)

    def settle(
        self, time: float, boxes: Sequence[Box], scores: Sequence[float], owners: Mapping[int, int]
    ) -> list[int]:
        """Takes the detections of a frame as matched; what is left begins new tracks.

        Args:
            time: of the frame, seconds.
            boxes: of the detections, M of them.
            scores: the detector's confidence in each.
            owners: number of the running track, by place of the detection.

        Returns:
            Number of each detection's track, M of them.
        """
        numbers = []
        for place, (box, score) in enumerate(zip(boxes, scores, strict=True)):
            sighting = Sighting(time, box, score)
            number = owners.get(place)
            if number is None:
                number = self._born(sighting)
            else:
                self.paths[number].append(sighting)
                self._seen[number] = time
            numbers.append(number)
        return numbers

    def move(self, number: int, time: float, box: Box) -> None:
        """Notes where a running track was followed to, without a detection."""
        path = self.paths[number]
        path.append(Sighting(time, box, path[-1].score, detected=False))

    def take_number(self) -> int:
        """A number for a track that did not begin here."""
        self.following += 1
        return self.following - 1

    def _born(self, sighting: Sighting) -> int:
        number = self.take_number()
        self.paths[number] = [sighting]
        self._seen[number] = sighting.time
        return number

    def _reach(self, path: Sequence[Sighting], time: float) -> float:
        pace = self.options.pace if len(path) == 1 else self.options.pace / 2
        return min(self.options.farthest, self.options.reach + pace * (time - path[-1].time))


def expected(path: Sequence[Sighting], time: float) -> Box:
    """Where a face will be: on from its last place with its velocity over the last MEMORY, its size unchanged."""
    last = path[-1].box
    recent = [one for one in path[-16:] if path[-1].time - one.time <= MEMORY]
    if len(recent) < 2:
        recent = list(path[-2:])
    times = [one.time for one in recent]
    across = _slope(times, [one.box.x + one.box.width / 2 for one in recent])
    down = _slope(times, [one.box.y + one.box.height / 2 for one in recent])
    ahead = time - path[-1].time
    return Box(last.x + ahead * across, last.y + ahead * down, last.width, last.height)


def _slope(times: Sequence[float], values: Sequence[float]) -> float:
    """Least-squares slope, units a second; 0 where there is but one time."""
    middle, mean = sum(times) / len(times), sum(values) / len(values)
    spread = sum((time - middle) ** 2 for time in times)
    if spread < 1e-9:  # frames of one time have no velocity
        return 0.0
    return sum((time - middle) * (value - mean) for time, value in zip(times, values, strict=True)) / spread


def doubts(look: Look, pairs: Sequence[Pair], options: TrackingOptions) -> set[Pair]:
    """Matches that geometry alone does not settle, with those that might be instead.

    A chosen match is in doubt if it is a leap, or if another match that takes its track or its detection, with what
    becomes of the two that lose theirs, costs at most `margin` more; or whatever more, where one of the tracks was out
    of sight: who is hidden by somebody may come out on either side.
    """
    costs = look.costs
    column_of, row_of = dict(pairs), {column: row for row, column in pairs}
    found = {pair for pair in pairs if look.overlaps[pair] < options.overlap}
    for row, column in np.argwhere(np.isfinite(costs)).tolist():
        if column_of.get(row) == column:
            continue
        loser, loss = row_of.get(column), column_of.get(row)
        if loser is None and loss is None:
            continue  # the matching leaves no possible pair unmatched, so this is none
        now = sum(costs[pair] for pair in ((loser, column), (row, loss)) if None not in pair)
        then = costs[row, column]
        if loser is not None and loss is not None:
            swapped = costs[loser, loss]
            if not np.isfinite(swapped):
                continue
            then += swapped
        hidden = look.lost[row] or (loser is not None and look.lost[loser])
        if hidden or then - now <= options.margin:
            pairs_here = {(row, column), (loser, column), (row, loss), (loser, loss)}
            found |= {(one, two) for one, two in pairs_here if one is not None and two is not None}
    return found


def _last_detected(path: Sequence[Sighting]) -> float:
    return next(one.time for one in reversed(path) if one.detected)


def _middles(corners: Matrix) -> Matrix:
    return (corners[:, :2] + corners[:, 2:]) / 2


def _sizes(corners: Matrix) -> Matrix:
    sizes: Matrix = np.sqrt((corners[:, 2:] - corners[:, :2]).prod(axis=1))
    return sizes
