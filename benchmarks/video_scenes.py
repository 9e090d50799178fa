"""Videos with a known truth, composed of photos of people: who is seen from when to when.

    python benchmarks/video_scenes.py --root LFW --out DIR [--minutes 3] [--known 4] [--seed 0] [--crowd 3]

Known people, each with three photos put aside as questions, and strangers walk through moving pictures: they appear,
move, come nearer, turn a little, blur and leave, each time in another photo of theirs. 1280 x 720, 25 frames a second,
H.264. Beside scene.mp4 it writes truth.json (by person the intervals in seconds) and the questions, NAME-1.jpg and so
on. Nobody in it was the encoder trained on. The pictures are other people's: nothing of it may be published or
committed.
"""

from __future__ import annotations

import argparse
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from twinface.app.cli.progress import progress
from twinface.app.measuring.system import Asked, open_system
from twinface.datasets.lfw import open_lfw
from twinface.datasets.photos import PhotoSet

WIDTH, HEIGHT, RATE = 1280, 720, 25
FADE = 0.4
"""Seconds in which somebody appears or leaves; half of it counts as seen."""

ASIDE = 3
"""Photos of a known person that the video never shows."""

REACH = 0.6
"""How far from its middle something of a photo is pasted, as a share of its size."""

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Walk:
    """One appearance of somebody.

    Attributes:
        person: who.
        known: whether she is one of those searched for.
        picture: her photo, RGB.
        start: seconds.
        end: seconds.
        lane: where in the picture she stays, centre, pixels.
        swing: how far she moves from there, pixels.
        size: of the photo at the start and the end, pixels.
        tilt: degrees at most.
        phase: of her movement.
    """

    person: str
    known: bool
    picture: Picture
    start: float
    end: float
    lane: tuple[float, float]
    swing: tuple[float, float]
    size: tuple[float, float]
    tilt: float
    phase: float

    def place(self, time: float) -> tuple[float, float, float]:
        """The middle of her photo and its size at a moment, pixels."""
        share = (time - self.start) / (self.end - self.start)
        turn = 2 * math.pi * (share + self.phase)
        x = self.lane[0] + self.swing[0] * math.sin(turn)
        y = self.lane[1] + self.swing[1] * math.sin(2 * turn)
        return x, y, self.size[0] + share * (self.size[1] - self.size[0])

    def draw(self, frame: Picture, time: float) -> None:
        """Puts her into a frame."""
        x, y, size = self.place(time)
        turn = 2 * math.pi * ((time - self.start) / (self.end - self.start) + self.phase)
        scale = size / self.picture.shape[1]
        matrix = cv2.getRotationMatrix2D((125, 125), self.tilt * math.sin(3 * turn), scale)
        matrix[:, 2] += np.array([x - 125, y - 125])
        opacity = min(1.0, (time - self.start) / FADE, (self.end - time) / FADE)
        reach = REACH * size
        left, top = max(0, int(x - reach)), max(0, int(y - reach))
        right, bottom = min(WIDTH, int(x + reach)), min(HEIGHT, int(y + reach))
        if right <= left or bottom <= top or opacity <= 0:
            return
        matrix[:, 2] -= np.array([left, top])
        patch = cv2.warpAffine(self.picture, matrix, (right - left, bottom - top))
        mask = cv2.warpAffine(HEAD, matrix, (right - left, bottom - top))[..., None] * opacity
        under = frame[top:bottom, left:right]
        under[:] = (under * (1 - mask) + patch * mask).astype(np.uint8)


def _head() -> NDArray[np.float32]:
    """What of an LFW picture is pasted: the head and some of what is around it, with soft edges."""
    y, x = np.mgrid[:250, :250].astype(np.float32)
    away = np.hypot((x - 125) / 90, (y - 125) / 110)
    soft: NDArray[np.float32] = np.clip((1.12 - away) / 0.12, 0, 1).astype(np.float32)
    return soft


HEAD = _head()


def plan(
    photos: dict[str, list[Picture]], known: Sequence[str], seconds: float, crowd: int, random: np.random.Generator
) -> list[Walk]:
    """Appearances of known people and strangers, at most `crowd` at once, each in a lane of her own."""
    strangers = [person for person in photos if person not in known]
    lanes = [WIDTH * (place + 0.5) / crowd for place in range(crowd)]
    free = [float(random.uniform(0, 3)) for _ in lanes]
    walks: list[Walk] = []
    last: dict[str, float] = {}
    while min(free) < seconds - 3:
        lane = int(np.argmin(free))
        start = free[lane]
        end = min(seconds, start + float(random.uniform(3, 10)))
        absent = [one for one in known if last.get(one, -10.0) < start - 4]  # else two intervals would be one
        person = str(random.choice(absent)) if absent and random.random() < 0.4 else str(random.choice(strangers))
        if end - start < 2:
            break
        blur, picture = float(random.choice([0, 0, 0.8])), photos[person][int(random.integers(len(photos[person])))]
        size = random.uniform(150, min(420, 1.5 * WIDTH / crowd), 2)
        walks.append(
            Walk(
                person=person,
                known=person in known,
                picture=cv2.GaussianBlur(picture, (0, 0), blur).astype(np.uint8) if blur else picture,
                start=start,
                end=end,
                lane=(lanes[lane], float(random.uniform(0.35, 0.65)) * HEIGHT),
                swing=(float(random.uniform(0, 0.25 * WIDTH / crowd)), float(random.uniform(0, 60))),
                size=(float(size[0]), float(size[1])),
                tilt=float(random.uniform(0, 8)),
                phase=float(random.random()),
            )
        )
        last[person] = end
        free[lane] = end + float(random.uniform(0.5, 4))
    return sorted(walks, key=lambda walk: walk.start)


def frames(walks: Sequence[Walk], seconds: float, random: np.random.Generator) -> Iterator[Picture]:
    """The video, frame by frame, over a slowly moving background."""
    small = random.integers(40, 200, (9, 16, 3)).astype(np.uint8)
    ground = cv2.GaussianBlur(cv2.resize(small, (WIDTH + 200, HEIGHT), interpolation=cv2.INTER_CUBIC), (0, 0), 3)
    for number in range(round(seconds * RATE)):
        time = number / RATE
        shift = int(100 + 90 * math.sin(time / 7))
        frame = ground[:, shift : shift + WIDTH].astype(np.uint8)
        for walk in walks:
            if walk.start <= time < walk.end:
                walk.draw(frame, time)
        yield frame


def write(path: Path, pictures: Iterator[Picture]) -> None:
    """Encodes H.264."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "23", "g": "50"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, RATE)
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def truth(walks: Sequence[Walk], known: Sequence[str]) -> dict[str, list[list[float]]]:
    """By known person the intervals in which she is seen."""
    return {
        person: [
            [round(walk.start + FADE / 2, 3), round(walk.end - FADE / 2, 3)] for walk in walks if walk.person == person
        ]
        for person in known
    }


def unseen(root: Path) -> PhotoSet:
    """LFW without the persons whom the encoder was trained on."""
    return open_system(Asked(cache=False), progress).unseen(open_lfw(root).photos())


def load(
    photos: PhotoSet, known: int, strangers: int, seed: int
) -> tuple[dict[str, list[Picture]], dict[str, list[bytes]]]:
    """Photos by person, and of the known ones the files of those that are put aside."""
    random = np.random.default_rng(seed)
    by_person: dict[str, list[str]] = {}
    for photo in photos.photos:
        by_person.setdefault(photo.subject, []).append(photo.path)
    several = sorted(person for person, paths in by_person.items() if ASIDE + 2 <= len(paths) <= ASIDE + 12)
    chosen = [str(person) for person in random.choice(several, known, replace=False)]
    others = sorted(set(by_person) - set(chosen))
    people = [*chosen, *(str(person) for person in random.choice(others, strangers, replace=False))]
    wanted = [path for person in people for path in by_person[person]]
    content = dict(photos.files.read(wanted))
    questions = {person: [content[path] for path in by_person[person][:ASIDE]] for person in chosen}
    pictures = {
        person: [
            np.asarray(Image.open(io.BytesIO(content[path])).convert("RGB"))
            for path in by_person[person][ASIDE if person in questions else 0 :]
        ]
        for person in people
    }
    return pictures, questions


def compose(photos: PhotoSet, out: Path, minutes: float, known: int, crowd: int, seed: int) -> list[Walk]:
    """Writes scene.mp4, truth.json and the questions into a folder; who walks through it."""
    out.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    pictures, questions = load(photos, known, max(20, round(12 * minutes)), seed)
    walks = plan(pictures, list(questions), 60 * minutes, crowd, random)
    for person, contents in questions.items():
        for number, content in enumerate(contents, 1):
            (out / f"{person}-{number}.jpg").write_bytes(content)
    facts = {"seconds": 60 * minutes, "crowd": crowd, "people": truth(walks, list(questions))}
    (out / "truth.json").write_text(json.dumps(facts, indent=1) + "\n")
    write(out / "scene.mp4", frames(walks, 60 * minutes, random))
    return walks


def main() -> None:
    """Composes one video."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--known", type=int, default=4)
    parser.add_argument("--crowd", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    compose(unseen(asked.root), asked.out, asked.minutes, asked.known, asked.crowd, asked.seed)
    print(f"{asked.out / 'scene.mp4'}: {asked.minutes:g} minutes")


if __name__ == "__main__":
    main()
