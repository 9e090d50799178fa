"""Who passes the challenge and the passive signs: simulated persons, and simulated attacks by kind.

    python benchmarks/liveness.py --root LFW [--faces 60] [--part report|tune] [--jobs 1] [--json]

A photo of each of so many LFW people is presented as a person and in every kind of attack (`liveness_attacks.py`) to
the detector, the challenge and the passive signs. As ISO/IEC 30107-3 asks: APCER by kind of attack, the worst first,
and BPCER, each with its exact 95% interval (C. Clopper, E. Pearson, Biometrika 26, 1934); persons whose time ran out
are counted apart. The thresholds were set on people of the part "tune", a fifth of all; the others are reported.

Besides, from real photos, with nothing simulated: how deep noses are by the challenge's own measure, over people with
several frontal and turned photos.

Simulated figures are no certificate of anything: see docs/liveness.md.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from io import BytesIO
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from liveness_attacks import ATTACKS, BONA_FIDE, RATE, Presentation, Stage
from liveness_faces import HEIGHT, WIDTH, Image, Portrait
from PIL import Image as Pictures
from scipy.stats import beta

from twinface.app.wiring import load_parts
from twinface.core.liveness.challenge import SIGN, Challenge, ChallengeWatch
from twinface.core.liveness.limits import LIMITS
from twinface.core.liveness.parallax import AVERAGE, Points, as_points, depth, move, together, upright
from twinface.core.types import Face
from twinface.datasets.lfw import Lfw, open_lfw
from twinface.vision.liveness.passive import PassiveWatch
from twinface.vision.pipeline import FaceAnalyzer

ALONE = 3.0
"""Seconds that the passive signs alone are given."""

UNASKED = (
    "person", "person, lamps flicker", "print on a stand", "print moved in the hand", "print bent, moved", "replay",
    "replay, flicker", "replay, moire", "stream frozen", "stream looped",
)  # fmt: skip
"""Presentations that are tried with nothing asked, too; the others are then a print in a quiet hand."""

FRONTAL = 10.0
"""Degrees within which a photo is taken for a portrait."""

AHEAD, ASIDE = 8.0, (25.0, 45.0)
"""Degrees of photos that noses are measured from."""

TIME_OUT = "time ran out"


@dataclass(frozen=True)
class Session:
    """One presentation and what was said to it.

    Attributes:
        person: whose photo it was.
        kind: of presentation.
        challenge: whether the challenge was passed.
        reason: why not.
        passive: the sign found in the same frames; empty for none.
        alone: the sign found when nothing was asked; None where that was not tried.
        measures: of the challenge, and of the signs by "passive" and "alone".
    """

    person: str
    kind: str
    challenge: bool
    reason: str
    passive: str
    alone: str | None
    measures: Mapping[str, float]


_LOADED: list[FaceAnalyzer] = []


def analyzer_of_this_process() -> FaceAnalyzer:
    """The shipped detector, loaded once."""
    if not _LOADED:
        cv2.setNumThreads(1)
        _LOADED.append(load_parts(threads=1)[0])
    return _LOADED[0]


def largest(analyzer: FaceAnalyzer, image: Image) -> Face | None:
    faces = analyzer.locate(image).faces
    return faces[0] if faces else None


def asked_session(
    show: Presentation, analyzer: FaceAnalyzer, challenge: Challenge
) -> tuple[ChallengeWatch, PassiveWatch]:
    """A challenge from its start to its end, and the passive signs of its frames."""
    watch, signs = ChallengeWatch(challenge, 0.0), PassiveWatch()
    time = 0.0
    while watch.state == "running":
        time += 1 / RATE
        image = show(time, SIGN[watch.asked] if watch.asked else 0.0)
        face = largest(analyzer, image)
        if face is None:
            watch.lost(time)
            continue
        watch.feed(time, face.landmarks.points, face.box)
        signs.feed(time, image, face.box, face.landmarks.points)
    return watch, signs


def unasked_session(show: Presentation, analyzer: FaceAnalyzer) -> PassiveWatch:
    """The passive signs alone, with nothing asked."""
    signs = PassiveWatch()
    for number in range(1, round(ALONE * RATE) + 1):
        image = show(number / RATE, 0.0)
        face = largest(analyzer, image)
        if face is not None:
            signs.feed(number / RATE, image, face.box, face.landmarks.points)
    return signs


def present(person: str, kind: str, portrait: Portrait, scene: Image, analyzer: FaceAnalyzer) -> Session:
    """One person's photo in one kind of presentation, with a challenge and without."""
    seed = zlib.crc32(f"{person} {kind}".encode())
    make = {**BONA_FIDE, **ATTACKS}[kind]
    challenge = Challenge.random(random.Random(seed))
    watch, signs = asked_session(make(Stage(portrait, scene, np.random.default_rng(seed))), analyzer, challenge)
    verdict, alone = signs.verdict(), None
    measures = {**watch.measures, **{f"passive {name}": value for name, value in verdict.measures.items()}}
    if kind in UNASKED:
        alone = unasked_session(make(Stage(portrait, scene, np.random.default_rng(seed + 1))), analyzer).verdict()
        measures |= {f"alone {name}": value for name, value in alone.measures.items()}
    passed = watch.state == "passed"
    return Session(person, kind, passed, watch.reason, verdict.reason, alone.reason if alone else None, measures)


def decoded(content: bytes) -> Image:
    with Pictures.open(BytesIO(content)) as opened:
        return np.asarray(opened.convert("RGB"), np.uint8)


def sessions_of(task: tuple[str, bytes, bytes, Sequence[str]]) -> list[Session]:
    """All presentations of one person; none where the photo is no portrait."""
    person, content, behind, kinds = task
    analyzer, pixels = analyzer_of_this_process(), decoded(content)
    face = largest(analyzer, pixels)
    if face is None or not face.quality.usable or max(abs(face.quality.yaw), abs(face.quality.roll)) > FRONTAL:
        return []
    portrait = Portrait(pixels, face.landmarks.points.astype(np.float64))
    wall = cv2.resize(decoded(behind)[:40], (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    scene = np.asarray(cv2.GaussianBlur(wall, (0, 0), 3), np.uint8)
    return [present(person, kind, portrait, scene, analyzer) for kind in kinds]


def people(lfw: Lfw, part: str) -> list[str]:
    """The people of a part, in an order of chance that is always the same."""
    names = sorted(lfw.people())
    random.Random(0).shuffle(names)
    fifth = len(names) // 5
    return names[:fifth] if part == "tune" else names[fifth:]


def tasks(lfw: Lfw, names: Sequence[str], kinds: Sequence[str]) -> list[tuple[str, bytes, bytes, Sequence[str]]]:
    """A photo of each but the first, and that of the person before for what is behind; read at one go."""
    paths = [lfw.path(name, 1) for name in names]
    content = dict(lfw.files.read(paths))
    named = zip(names[1:], pairwise(paths), strict=True)
    return [(name, content[photo], content[before], kinds) for name, (before, photo) in named]


def run(lfw: Lfw, part: str, faces: int, kinds: Sequence[str], jobs: int) -> Iterator[Session]:
    """Sessions of so many people whose photo is a portrait, person by person."""
    names = people(lfw, part)
    names, batch = [names[-1], *names], 4 * faces
    done = 0
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for first in range(0, len(names) - 1, batch):
            todo = tasks(lfw, names[first : first + batch + 1], kinds)
            for start in range(0, len(todo), jobs):
                for sessions in pool.map(sessions_of, todo[start : start + jobs]):
                    if sessions and done < faces:
                        done += 1
                        print(f"{done} of {faces} people", file=sys.stderr)
                        yield from sessions
                if done == faces:
                    return


def noses(lfw: Lfw, part: str) -> list[float]:
    """Depth of the noses of people with several frontal and turned photos, face widths, sorted."""
    analyzer, by_person = analyzer_of_this_process(), lfw.people()
    owner = {path: name for name in people(lfw, part) if len(by_person[name]) >= 4 for path in by_person[name]}
    ahead: dict[str, list[Points]] = {}
    aside: dict[str, list[Points]] = {}
    for path, content in lfw.files.read(list(owner)):
        face = largest(analyzer, decoded(content))
        if face is None:
            continue
        view = upright(as_points(face.landmarks.points))
        angle = abs(move(AVERAGE, view).yaw)
        if angle < AHEAD:
            ahead.setdefault(owner[path], []).append(view)
        elif ASIDE[0] < angle < ASIDE[1]:
            aside.setdefault(owner[path], []).append(view)
    several = [name for name in ahead if min(len(ahead[name]), len(aside.get(name, ()))) >= 2]
    return sorted(nose(ahead[name], aside[name]) for name in several)


def nose(ahead: Sequence[Points], aside: Sequence[Points]) -> float:
    """Its depth as the challenge measures it; infinite where the face never narrowed."""
    reference = together(ahead)
    k, _ = depth([move(reference, view) for view in [*ahead, *aside]])
    return float(k**-0.5) if k > 0 else float("inf")


def share(errors: int, trials: int) -> str:
    """A rate with its 95% interval by Clopper and Pearson."""
    low = float(beta.ppf(0.025, errors, trials - errors + 1)) if errors else 0.0
    high = float(beta.ppf(0.975, errors + 1, trials - errors)) if errors < trials else 1.0
    return f"{errors / trials:6.1%} ({low:.1%} to {high:.1%})"


Accepts = Callable[[Session], bool]

ACCEPTED: Mapping[str, Accepts] = {
    "challenge": lambda one: one.challenge,
    "passive signs alone": lambda one: not one.alone,
    "challenge and signs": lambda one: one.challenge and not one.passive,
}


def table(sessions: Sequence[Session]) -> Iterator[str]:
    """APCER by kind, the worst first, then BPCER and time-outs, for each check."""
    by_kind: dict[str, list[Session]] = {}
    for one in sessions:
        by_kind.setdefault(one.kind, []).append(one)
    for name, accepts in ACCEPTED.items():
        tried = {kind: [one for one in rows if name != "passive signs alone" or one.alone is not None]
                 for kind, rows in by_kind.items()}  # fmt: skip
        tried = {kind: rows for kind, rows in tried.items() if rows}
        passed = {kind: sum(map(accepts, rows)) for kind, rows in tried.items()}
        yield f"\n{name}: APCER, the share of attacks that pass"
        attacks = [kind for kind in tried if kind in ATTACKS]
        for kind in sorted(attacks, key=lambda kind: (-passed[kind] / len(tried[kind]), kind)):
            yield f"  {kind:30} {share(passed[kind], len(tried[kind]))}  of {len(tried[kind])}"
        yield f"{name}: BPCER, the share of persons refused, and of those whose time ran out"
        for kind in [kind for kind in tried if kind in BONA_FIDE]:
            late = 0 if name == "passive signs alone" else sum(TIME_OUT in one.reason for one in tried[kind])
            refused = len(tried[kind]) - passed[kind] - late
            yield f"  {kind:30} {share(refused, len(tried[kind]))}; late {share(late, len(tried[kind]))}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="LFW: its folder or archive")
    parser.add_argument("--faces", type=int, default=60)
    parser.add_argument("--part", choices=("report", "tune"), default="report")
    parser.add_argument("--kinds", help="only these, separated by semicolons")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="a line for each session, then one for the noses")
    asked = parser.parse_args()
    lfw = open_lfw(asked.root)
    kinds = asked.kinds.split(";") if asked.kinds else [*BONA_FIDE, *ATTACKS]
    sessions = []
    for one in run(lfw, asked.part, asked.faces, kinds, asked.jobs):
        sessions.append(one)
        if asked.json:
            print(json.dumps(asdict(one)), flush=True)
    deep = noses(lfw, asked.part)
    if asked.json:
        print(json.dumps({"noses": deep}))
        return
    print(f"{lfw.name}, part {asked.part}: {len({one.person for one in sessions})} people; simulated, no certificate")
    print("\n".join(table(sessions)))
    marks = ", ".join(f"{mark:.2f}" for mark in np.percentile(deep, [1, 5, 50, 95, 99], method="nearest"))
    outside = sum(not LIMITS.shallow <= one <= LIMITS.deep for one in deep)
    print(f"\nnoses of {len(deep)} people in real photos, face widths at 1, 5, 50, 95, 99%: {marks}")
    print(f"  outside {LIMITS.shallow} to {LIMITS.deep}: {share(outside, len(deep))}")


if __name__ == "__main__":
    main()
