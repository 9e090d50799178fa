"""Access control: how often the right people get in, how often others do, and how long it takes.

    python benchmarks/access.py --root LFW [--people 20] [--photos 3] [--others 60] [--fmr 1e-2,1e-3,1e-4] [--json]

Needs LFW; the persons whom the encoder was trained on are left out. A gallery of some people with some photos each.
Each of them then stands before a simulated camera (640 x 360, one photo that is not enrolled, swaying, with a sensor's
noise) and asks for places of different FMR where all of them may go, and so do strangers. Printed are the share of
requests refused of people who may, by reason, and the share granted of strangers, with 95% intervals. No liveness is
asked for, as photos have none.

The time is measured apart: with the models at work on frames as they come, from the request to the answer.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage
from video_scenes import unseen

from twinface.app.access.clocks import SystemClocks
from twinface.app.access.joining import Gate, open_gate
from twinface.app.access.requests import make_request
from twinface.app.access.sample_camera import RATE, SampleCamera
from twinface.app.benchmarking.spread import spread
from twinface.app.gallery import Gallery
from twinface.app.machine import processor, versions
from twinface.core.access.evidence import Reason
from twinface.core.access.policy import AccessRule, Person, Place, Policy
from twinface.core.naming import name_key
from twinface.core.types import Image
from twinface.core.video import VideoFrame
from twinface.datasets.photos import PhotoSet
from twinface.evaluation.intervals import rate
from twinface.services.access_control import Clocks, Outcome

SEED = 7
LATENCIES = 20


@dataclass
class CameraTime:
    """Clocks that go with the camera's frames."""

    now: float = 0.0

    def wall(self) -> datetime:
        """See `Clocks`."""
        return datetime(2026, 5, 1, tzinfo=UTC) + timedelta(seconds=self.now)

    def steady(self) -> float:
        """See `Clocks`."""
        return self.now

    def elapsed(self) -> float:
        """See `Clocks`."""
        return self.now


class Booth:
    """A gate and a camera before which one photo at a time is shown."""

    def __init__(self, gallery: Gallery, policy: Policy, clocks: Clocks, seed: int) -> None:
        self.camera = SampleCamera(seed)
        self.gate: Gate = open_gate(
            policy,
            gallery,
            dry_run=True,
            secrets=lambda _: None,
            out=io.StringIO(),
            trouble=print,
            clocks=clocks,
        )

    def show(self, photo: Image) -> None:
        """Puts a photo before the camera."""
        self.camera.portray("photo", photo)
        self.camera.show(["photo"])


def policy_of(names: Sequence[str], rates: Sequence[float]) -> Policy:
    """Everybody named may go to a place for each rate."""
    places = {f"{rate:g}": Place(f"{rate:g}", fmr=rate, liveness="none") for rate in rates}
    people = {name_key(name): Person(name, name_key(name)) for name in names}
    return Policy("UTC", places, people, rules=(AccessRule("allow", frozenset(people), frozenset(places), 1),))


def simulated(booth: Booth, clock: CameraTime, place: str) -> Outcome:
    """A request by the camera's time."""
    clock.now += 1.0
    outcomes = booth.gate.controller.ask(replace(make_request(place), at=clock.wall()))
    began = clock.now
    for number in range(1, 200):
        if outcomes:
            return outcomes[0]
        clock.now = began + number / 10
        frame = VideoFrame(booth.camera.picture(clock.now), clock.now, number, clock.now)
        outcomes = booth.gate.controller.feed(frame)
    raise AssertionError("no answer")


def timed(booth: Booth, place: str) -> Outcome:
    """A request by the time of this machine, with the newest frame each time."""
    outcomes = booth.gate.controller.ask(make_request(place))
    began, number = time.monotonic(), 0
    while not outcomes:
        number = max(number + 1, int((time.monotonic() - began) * RATE) + 1)
        due = began + number / RATE
        time.sleep(max(0.0, due - time.monotonic()))
        frame = VideoFrame(booth.camera.picture(due), due, number, time.monotonic())
        outcomes = booth.gate.controller.feed(frame)
    return outcomes[0]


def photos_of(photos: PhotoSet, people: int, each: int, others: int) -> tuple[dict[str, list[bytes]], list[bytes]]:
    """Files of people with photos enough, and one of everybody else."""
    random = np.random.default_rng(SEED)
    by_person: dict[str, list[str]] = {}
    for photo in photos.photos:
        by_person.setdefault(photo.subject, []).append(photo.path)
    several = sorted(person for person, paths in by_person.items() if len(paths) > each)
    chosen = [str(one) for one in random.choice(several, people, replace=False)]
    rest = [str(one) for one in random.choice(sorted(set(by_person) - set(chosen)), others, replace=False)]
    wanted = {person: by_person[person][: each + 1] for person in chosen}
    strange = [by_person[person][0] for person in rest]
    content = dict(photos.files.read([path for paths in wanted.values() for path in paths] + strange))
    return (
        {person: [content[path] for path in paths] for person, paths in wanted.items()},
        [content[path] for path in strange],
    )


def pixels(content: bytes) -> Image:
    """The middle of a photo, where LFW has the face: bystanders are not to be seen."""
    picture = PillowImage.open(io.BytesIO(content)).convert("RGB")
    width, height = picture.size
    return np.asarray(picture.crop((width // 5, height // 6, width - width // 5, height - height // 8)))


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    rates = [float(one) for one in asked.fmr.split(",")]
    known, strange = photos_of(unseen(asked.root), asked.people, asked.photos, asked.others)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, Gallery.open(Path(folder) / "people.db") as gallery:
        for person, files in known.items():
            gallery.enroll(person, files[:-1])
        names = [one.name for one in gallery.people()]
        policy = policy_of(names, rates)
        clock = CameraTime()
        booth = Booth(gallery, policy, clock, SEED)
        answers: dict[tuple[str, str], Counter[str]] = {}
        for kind, shown in (("mated", [files[-1] for files in known.values()]), ("stranger", strange)):
            for content in shown:
                booth.show(pixels(content))
                for place in policy.places:
                    outcome = simulated(booth, clock, place)
                    answers.setdefault((kind, place), Counter())[str(outcome.ruling.reason)] += 1
        for place in policy.places:
            mated, stranger = answers["mated", place], answers["stranger", place]
            rows.append(
                {
                    "fmr": float(place),
                    "refused": refused(mated),
                    "reasons": {name: count for name, count in mated.items() if name != Reason.granted},
                    "let in": share(stranger[Reason.granted], stranger.total()),
                    "strangers": dict(stranger),
                }
            )
        latencies = list(latency(gallery, policy, [files[-1] for files in known.values()]))
        templates = gallery.info().templates
    return {
        "people": len(names),
        "templates": templates,
        "rows": rows,
        "seconds": vars(spread(latencies)) | {"longest": max(latencies)},
        "machine": processor(),
        "versions": versions(("onnxruntime", "numpy")),
    }


def latency(gallery: Gallery, policy: Policy, shown: Sequence[bytes]) -> Iterator[float]:
    """Seconds from requests to answers."""
    booth = Booth(gallery, policy, SystemClocks(), SEED)
    for number in range(LATENCIES + 1):
        booth.show(pixels(shown[number % len(shown)]))
        seconds = timed(booth, next(iter(policy.places))).seconds
        if number:  # the first one warms up
            yield seconds


def refused(answers: Counter[str]) -> list[float]:
    return share(answers.total() - answers[Reason.granted], answers.total())


def share(part: int, whole: int) -> list[float]:
    """A share with the ends of its 95% interval."""
    found = rate(part, whole)
    return [found.value, found.low, found.high]


def show(told: dict[str, Any]) -> None:
    print(f"gallery of {told['people']} people, {told['templates']} templates; {told['machine']}\n")
    print("FMR of the place   refused who may       let in who may not")
    for row in told["rows"]:
        cells = [f"{100 * a:.1f}% ({100 * b:.1f} to {100 * c:.1f})" for a, b, c in (row["refused"], row["let in"])]
        print(f"{row['fmr']:<18g} {cells[0]:<21} {cells[1]}")
        print(f"  refused as {row['reasons'] or 'nothing'}; strangers {row['strangers']}")
    seconds = told["seconds"]
    print(
        f"\nfrom request to answer: median {seconds['median']:.2f} s ({seconds['low']:.2f} to {seconds['high']:.2f}), "
        f"longest of {LATENCIES}: {seconds['longest']:.2f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="LFW")
    parser.add_argument("--people", type=int, default=20, help="enrolled")
    parser.add_argument("--photos", type=int, default=3, help="of each")
    parser.add_argument("--others", type=int, default=60, help="strangers who ask")
    parser.add_argument("--fmr", default="1e-2,1e-3,1e-4", help="of the places")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if min(asked.people, asked.photos, asked.others) < 1:
        parser.error("people, photos and others must be positive")
    told = measure(asked)
    print(json.dumps(told)) if asked.json else show(told)


if __name__ == "__main__":
    main()
