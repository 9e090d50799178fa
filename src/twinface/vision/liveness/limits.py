"""Where the passive signs draw their lines, and what was measured for each: the one home of their thresholds.

Measured with the shipped detector on simulated persons and attacks made of photos of LFW people, those of the part
"tune" of `benchmarks/liveness.py`, ten frames a second; what the others then gave is in docs/liveness.md.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PassiveLimits:
    """When the frames of a face tell of a recording or of a picture.

    Attributes:
        seconds: least time that is judged.
        rate: least frames a second, on average; flicker and repeats are not seen in fewer.
        whole: least share of the frames whose face is not cut off by the picture's edge.
        window: seconds that are kept; what is older no longer counts.
        change: least mean change of the face's grey between two frames, 0..255. A print on a stand before a sensor with
            a noise of 1.2 grey levels changes by 1.1, a frozen stream by 0.
        frozen: seconds of less change than that.
        repeats: least frames that are the same as an earlier one, with others between them; a sensor's never are.
        flicker: greatest power of one frequency in the face's light relative to the others; that of 66 persons who turn
            their heads or keep still is 37 at most.
        ripple: least amplitude of that frequency, a share of the light.
        moire: greatest power of one wave in the face's picture relative to those about it; that of the same persons is
            19 at most.
        sway: least slow movement of the face, in eye distances: prints on a stand reach 0.0003, persons 0.019 and more,
            but how much they sway was put into the simulation.
    """

    seconds: float = 2.0
    rate: float = 7.0
    whole: float = 0.5
    window: float = 6.0
    change: float = 0.05
    frozen: float = 0.7
    repeats: int = 3
    flicker: float = 60.0
    ripple: float = 0.002
    moire: float = 40.0
    sway: float = 0.004


LIMITS = PassiveLimits()
