"""Where a challenge draws its lines, and what was measured for each: the one home of its thresholds."""

from __future__ import annotations

from dataclasses import dataclass

NOSE_DEPTH = 0.55
"""How far the nose tip stands before the plane of eyes and mouth, in widths of the frontal face (the mean of eye and
mouth distance): the mean over people. `vision/quality.py` tells how it was fitted."""


@dataclass(frozen=True)
class ChallengeLimits:
    """When a head has turned, and when it is one.

    Attributes:
        front: degrees within which a head looks straight ahead.
        turn: degrees from which it has turned.
        astray: degrees the other way from which it has turned the wrong way.
        aside: degrees off a camera's axis at which somebody may stand before the first turn.
        settle: frames looking straight ahead that the reference is made of.
        reaction: seconds after the prompt before which nobody can have begun to turn.
        gap: seconds without a face after which the person may be another.
        spin: degrees a second beyond which a turn cannot be followed, and counts for nothing.
        blink: seconds between two frames of a face, at most, that its turning is followed over.
        leap: face widths a second that no face moves.
        swell: factor a second by which no face grows or shrinks.
        shallow: least depth of the nose in face widths; a bent photo's is less.
        deep: greatest.
    """

    front: float = 10.0
    turn: float = 25.0
    astray: float = 15.0
    aside: float = 20.0
    settle: int = 3
    reaction: float = 0.15
    gap: float = 0.5
    spin: float = 240.0
    blink: float = 0.1
    leap: float = 15.0
    swell: float = 6.0
    shallow: float = 0.43
    deep: float = 0.85


LIMITS = ChallengeLimits()
