"""Where a challenge draws its lines, and what was measured for each: the one home of its thresholds.

Measured with the shipped detector on simulated heads and attacks made of photos of LFW people, those of the part "tune"
of `benchmarks/liveness.py` (what the others then gave is in docs/liveness.md), and on real photos where it says so.
"""

from __future__ import annotations

from dataclasses import dataclass

NOSE_DEPTH = 0.55
"""How far the nose tip stands before the plane of eyes and mouth, in widths of the frontal face (the mean of eye and
mouth distance): the middle of people. Of 79 LFW people with several frontal and turned real photos, half lie between
0.51 and 0.59 (`benchmarks/liveness.py`); `vision/quality.py` tells of another way to the same figure."""


@dataclass(frozen=True)
class ChallengeLimits:
    """When a head has turned, and when it is one.

    Attributes:
        front: degrees within which a head looks straight ahead; a still one's landmarks scatter by 3.
        turn: degrees from which it has turned. Prints turned by 60 degrees reach 13, since their nose moves with them.
        astray: degrees the other way from which it has turned the wrong way.
        aside: degrees off a camera's axis at which somebody may stand before the first turn.
        settle: frames looking straight ahead that the first reference is made of.
        reaction: seconds after the prompt before which nobody can have begun to turn.
        gap: seconds without a face after which the person may be another.
        spin: degrees a second beyond which a turn is not followed, and counts for nothing. Heads turned at 50 to 90
            degrees a second on average stay below 220 in 99.5% of steps.
        blink: seconds a turn is followed over, at most: with `spin`, no step may reach from straight ahead to a turn,
            so that pictures shown one after the other count for nothing, whatever hides their change.
        brief: seconds between two frames, at least, that movement is reckoned over, as their times scatter.
        leap: face widths a second that no face moves; 99.9% of steps stay below 7.3.
        swell: factor a second by which no face grows or shrinks; 99.9% of steps stay below 4.
        shallow: least depth of the nose in face widths. 8% of 74 simulated heads lie below, as do 2 of 79 LFW people in
            real photos; 3 of 84 prints that were bent and turned as asked lie above.
        deep: greatest; none of those 79 people lies above.

    Raises:
        ValueError: a step that is followed may reach a turn.
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
    brief: float = 0.03
    leap: float = 15.0
    swell: float = 6.0
    shallow: float = 0.43
    deep: float = 0.85

    def __post_init__(self) -> None:
        if not self.spin * self.blink < self.turn:
            raise ValueError(
                f"challenge: a step of {self.spin * self.blink:g} degrees would reach a turn: {self.turn:g}"
            )


LIMITS = ChallengeLimits()
