"""Chooses from a recording of one person the few frames that are fit, good and unlike each other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from twinface.core.ports import Analyzer
from twinface.core.types import DOUBTFUL, Analysis, Face, Image, Quality
from twinface.errors import FaceError, NoFace, PoorQuality, SeveralFaces

NO_FACE, SEVERAL_FACES = "no face", "several faces"
"""Why frames are passed over, beside the reasons of quality."""

SHARP, CLOSE = 0.43, 54.0
"""Sharpness and eye distance, pixels, beyond which a face is no better: what sharp LFW faces have, and how far apart
the eyes are in the crops that encoders see."""

FINER = 4
"""Spans kept for every part of a recording whose length is not known before its end."""

FIRST_SPAN = 1 / 32
"""Seconds of the first such spans; they double as the recording goes on."""

ADVICE = {
    NO_FACE: "look into the camera from an arm's length, with the light before you",
    SEVERAL_FACES: "let only one person be in the picture",
    "too small": "come nearer",
    "cut off": "move into the middle of the picture",
    "profile": "look into the camera",
    "tilted": "hold the head, or the camera, upright",
    "too dark": "have more light on the face",
    "too bright": "have less light on the face",
    "low contrast": "have more light on the face, and wipe the lens",
    "blurred": "hold still, have more light, and wipe the lens",
}
"""What helps against each."""


class Timed(Protocol):
    """A frame of a recording."""

    @property
    def image(self) -> Image:
        """RGB uint8, shape (H, W, 3)."""
        ...

    @property
    def time(self) -> float:
        """Seconds since the start."""
        ...


@dataclass(frozen=True, eq=False)
class Chosen:
    """A frame that was chosen.

    Attributes:
        analysis: its picture.
        face: the one in it, without a template yet.
        time: seconds since the start of the recording.
        score: how good its face is, [0, 1]; see `score_of`.
    """

    analysis: Analysis
    face: Face
    time: float
    score: float

    @property
    def image(self) -> Image:
        """The frame, RGB uint8, shape (H, W, 3)."""
        return self.analysis.image


@dataclass
class Tally:
    """What a recording showed; counted on while frames arrive, so that it may be watched.

    Attributes:
        seen: frames looked at.
        usable: those with one face that is fit.
        passed: how many of the others had each reason: "no face", "several faces", or those of quality, of which a
            frame may have more than one.
    """

    seen: int = 0
    usable: int = 0
    passed: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        """One line, as "40 frames, 12 usable; no face in 20, blurred in 8"."""
        reasons = ", ".join(f"{reason} in {times}" for reason, times in self.passed.most_common())
        return f"{self.seen} frames, {self.usable} usable" + (f"; {reasons}" if reasons else "")


def best_frames(
    analyzer: Analyzer,
    frames: Iterable[Timed],
    count: int = 5,
    *,
    seconds: float | None = None,
    tally: Tally | None = None,
) -> list[Chosen]:
    """The best frame of each of `count` equal parts of a recording, so that they differ in pose and light.

    Frames count that show one face with no shortcoming. Parts without such a frame give none. Frames are let go as soon
    as a better one of their time is there: at most `count` are held, and one that is looked at. Where `seconds` is not
    told the parts are found at the end, from `FINER` times as many; they are equal up to a quarter of a part.

    Args:
        analyzer: finds and judges the faces.
        frames: in the order of their time; taken one by one.
        count: parts, 1 or more.
        seconds: length of the recording, where it is known, as with a camera; later frames belong to the last part.
        tally: is told what was seen, also where nothing is usable.

    Returns:
        In the order of time, one at least.

    Raises:
        NoFace: no frame is usable, most show no face; or there are no frames.
        SeveralFaces: no frame is usable, most show several faces.
        PoorQuality: no frame is usable, most have a shortcoming, which is its `reason`.
        ImageError: the frames are of a kind or size that is not read.
        ValueError: count or seconds are not positive.
    """
    if count < 1 or (seconds is not None and not seconds > 0):
        raise ValueError(f"count and seconds must be positive, got {count} and {seconds}")
    tally = Tally() if tally is None else tally
    spans = _Spans(seconds / count, count, grows=False) if seconds else _Spans(FIRST_SPAN, FINER * count, grows=True)
    end = 0.0
    for frame in frames:
        time = max(0.0, frame.time)
        end = max(end, time)
        chosen = _judged(analyzer, frame.image, time, tally)
        if chosen is not None:
            spans.offer(chosen)
    if not spans.best:
        raise _refusal(tally)
    if seconds:
        return spans.ordered()
    parts = _Spans(end / count or math.inf, count, grows=False)
    for chosen in spans.ordered():
        parts.offer(chosen)
    return parts.ordered()


def score_of(quality: Quality) -> float:
    """How good a fit face is for enrolment, [0, 1]: the product of three shares, so that none makes up for another.

    They are the sharpness, up to that of a sharp photo; the eye distance, up to that of the crop an encoder sees,
    beyond which pixels are lost anyway; and the cosine of the yaw, the share of the face's width that is seen.
    """
    sharp = min(1.0, max(0.0, quality.sharpness) / SHARP)
    close = min(1.0, max(0.0, quality.eye_distance) / CLOSE)
    return sharp * close * max(0.0, math.cos(math.radians(quality.yaw)))


class _Spans:
    """The best frame of each span of time.

    Args:
        width: of a span, seconds.
        most: how many there are.
        grows: whether spans double, two becoming one, when time goes beyond the last; else that takes what is later.
    """

    def __init__(self, width: float, most: int, *, grows: bool) -> None:
        self.best: dict[int, Chosen] = {}
        self._width = width
        self._most = most
        self._grows = grows

    def offer(self, chosen: Chosen) -> None:
        """Keeps the frame if it is the best of its span; of equals the earlier stays."""
        while self._grows and chosen.time >= self._width * self._most:
            self._width *= 2
            halves = self.ordered()
            self.best.clear()
            for half in halves:
                self._put(half)
        self._put(chosen)

    def _put(self, chosen: Chosen) -> None:
        place = int(min(chosen.time / self._width, self._most - 1))
        there = self.best.get(place)
        if there is None or chosen.score > there.score:
            self.best[place] = chosen

    def ordered(self) -> list[Chosen]:
        """Earliest first."""
        return [self.best[place] for place in sorted(self.best)]


def _judged(analyzer: Analyzer, image: Image, time: float, tally: Tally) -> Chosen | None:
    """The frame if it is usable; counts it either way."""
    analysis = analyzer.locate(image)
    tally.seen += 1
    best = max((face.score for face in analysis.faces), default=0.0)
    faces = [face for face in analysis.faces if face.score >= DOUBTFUL * best]
    if len(faces) != 1:
        tally.passed[SEVERAL_FACES if faces else NO_FACE] += 1
        return None
    quality = faces[0].quality
    if not quality.usable:
        tally.passed.update(quality.reasons)
        return None
    tally.usable += 1
    return Chosen(analysis, faces[0], time, score_of(quality))


def _refusal(tally: Tally) -> FaceError:
    """Why there is nothing, by the most frequent reason, and what helps."""
    if not tally.seen:
        return NoFace("the recording holds no frames; record anew")
    worst = tally.passed.most_common(1)[0][0]
    advice = ADVICE.get(worst, "mend that")
    message = f"no frame shows one face that is fit ({tally}); {advice}, and record anew"
    kinds: dict[str, Callable[[str], FaceError]] = {NO_FACE: NoFace, SEVERAL_FACES: SeveralFaces}
    return kinds[worst](message) if worst in kinds else PoorQuality(message, worst)
