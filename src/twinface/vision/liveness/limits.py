"""Where the passive signs draw their lines, and what was measured for each: the one home of their thresholds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PassiveLimits:
    """When the frames of a face tell of a recording or of a picture.

    Attributes:
        seconds: least time that is judged.
        frames: least number of frames that are judged.
        window: seconds that are kept; what is older no longer counts.
        change: least mean change of the face's grey between two frames; a sensor's noise is more.
        frozen: seconds of less change than that.
        repeats: least frames that are the same as an earlier one, with others between them.
        flicker: greatest power of one frequency in the face's light relative to the others.
        ripple: least amplitude of that frequency, a share of the light.
        moire: greatest power of one wave in the face's picture relative to those about it.
        sway: least slow movement of the face, in widths of it.
    """

    seconds: float = 2.0
    frames: int = 15
    window: float = 6.0
    change: float = 0.05
    frozen: float = 0.7
    repeats: int = 3
    flicker: float = 60.0
    ripple: float = 0.002
    moire: float = 40.0
    sway: float = 0.004


LIMITS = PassiveLimits()
