"""The format of a video's index: one `.npz` file of numbers, JPEGs and a little JSON, from which nothing is unpickled.

`numpy.load(FILE, allow_pickle=False)` opens it. Tracks lie one after another: `tracks` says of each its number and how
many rows of `sightings` and `faces` are its own; those that still ran when the file was written come last. Nothing is
compressed, so that a file can never say more than it weighs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twinface.core.facts import field_of, list_of, object_of
from twinface.core.files import reason, shown, write_atomically
from twinface.core.types import UNIT_TOLERANCE, Box, Quality
from twinface.core.video import Sighting, Track, TrackFace
from twinface.errors import DataError
from twinface.gallery.arrays import DAMAGE, read_arrays
from twinface.services.tracks import Progress

FORMAT = "twinface video index"
VERSION = 2

LARGEST = 2_000_000_000
"""Bytes of the largest file; that of a day's film has some 200 million."""

LARGEST_META = 1 << 24

MEASURES = tuple(field.name for field in fields(Quality) if field.name != "reasons")

KINDS = {
    "tracks": ("<i8", 2),
    "sightings": ("<f8", 2),
    "faces": ("<f8", 2),
    "vectors": ("<f4", 2),
    "jpegs": ("<i8", 1),
    "pixels": ("|u1", 1),
    "sample": ("|u1", 3),
}
"""Type and number of dimensions of each array beside `meta`. `jpegs` says where each face's in `pixels` ends."""


@dataclass(frozen=True)
class IndexKey:
    """What an index was made from: only for the same question it is the answer.

    Attributes:
        video: digest of the video, see `index.fingerprint`.
        analyzer: identity of what found and encoded the faces, see `Analyzer.identity`.
        options: what was asked for, as JSON.
    """

    video: str
    analyzer: str
    options: str


@dataclass(frozen=True)
class VideoLooks:
    """What an index tells of its video, so that the video need not be opened to be told of.

    Attributes:
        duration: seconds; None where nobody knows.
        scale: how many times as large the video is as the frames searched, in whose pixels boxes are.
        notes: what the reader must know, as "the end of the file is missing".
    """

    duration: float | None = None
    scale: float = 1.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class VideoIndex:
    """What is in an index file.

    Attributes:
        key: what it was made from.
        tracks: that ended.
        progress: from where on it is to be completed; None where it is complete.
        looks: what is told of the video.
    """

    key: IndexKey
    tracks: tuple[Track, ...]
    progress: Progress | None
    looks: VideoLooks


@dataclass(frozen=True, eq=False)
class TrackRows:
    """A track as it lies in the file, at a tenth of the memory.

    Attributes:
        number: the track's.
        sightings: float64, shape (s, 7): time, box, score, whether it was detected.
        faces: float64, shape (f, 5 + len(MEASURES)): time, box, measures of quality.
        vectors: float32, shape (f, D).
        jpegs: of each face, f of them.
        reasons: of each face's quality, f of them.
    """

    number: int
    sightings: NDArray[np.float64]
    faces: NDArray[np.float64]
    vectors: NDArray[np.float32]
    jpegs: tuple[bytes, ...]
    reasons: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, track: Track) -> TrackRows:
        """Packs a track."""
        sightings = [(one.time, *_box(one.box), one.score, one.detected) for one in track.sightings]
        faces = [
            (face.time, *_box(face.box), *(getattr(face.quality, name) for name in MEASURES)) for face in track.faces
        ]
        return cls(
            track.number,
            np.array(sightings, "<f8"),
            np.array(faces, "<f8").reshape(len(faces), 5 + len(MEASURES)),
            np.array([face.vector for face in track.faces], "<f4"),
            tuple(face.thumbnail for face in track.faces),
            tuple(face.quality.reasons for face in track.faces),
        )


def write_index(
    path: Path, key: IndexKey, tracks: Sequence[TrackRows], progress: Progress | None, looks: VideoLooks
) -> None:
    """Writes an index, whole or not at all; its owner alone may read it.

    Raises:
        DataError: it would be larger than is read again.
        OutputError: it cannot be written.
    """
    running = [] if progress is None else [TrackRows.of(track) for track in progress.running]
    rows = [*tracks, *running]
    reasons = [words for one in rows for words in one.reasons]
    facts = {
        "format": FORMAT,
        "version": VERSION,
        "video": key.video,
        "analyzer": key.analyzer,
        "options": key.options,
        "duration": looks.duration,
        "scale": looks.scale,
        "notes": list(looks.notes),
        "reasons": {str(place): list(words) for place, words in enumerate(reasons) if words},
        "running": len(running),
        "progress": progress
        and {"time": float(progress.time), "following": progress.following, "usual": float(progress.usual)},
    }
    meta = json.dumps(facts, allow_nan=False).encode()
    jpegs = [jpeg for one in rows for jpeg in one.jpegs]
    vectors = [one.vectors for one in rows if len(one.vectors)]
    arrays: dict[str, NDArray[Any]] = {
        "meta": np.array(meta),
        "tracks": np.array([(one.number, len(one.sightings), len(one.faces)) for one in rows], "<i8").reshape(-1, 3),
        "sightings": np.concatenate([np.zeros((0, 7)), *(one.sightings for one in rows)]),
        "faces": np.concatenate([np.zeros((0, 5 + len(MEASURES))), *(one.faces for one in rows)]),
        "vectors": np.concatenate(vectors) if vectors else np.zeros((0, 0), "<f4"),
        "jpegs": np.cumsum([len(jpeg) for jpeg in jpegs], dtype="<i8"),
        "pixels": np.frombuffer(b"".join(jpegs), np.uint8),
    }
    if progress is not None and progress.sample is not None:
        arrays["sample"] = progress.sample
    size = sum(array.nbytes for array in arrays.values()) + 10_000
    if size > LARGEST or len(meta) > LARGEST_META:
        raise DataError(f"{shown(path)}: the index would have {size:,} bytes, more than are read; search fewer frames")
    write_atomically(path, lambda file: np.savez(file, **arrays), private=True)  # type: ignore[arg-type]


def read_index(path: Path) -> VideoIndex:
    """Reads a file that `write_index` wrote, and trusts nothing in it.

    Raises:
        DataError: it is missing, no such file, too large, damaged, of another version, or says what cannot be.
    """
    try:
        limits = {"meta": LARGEST_META} | dict.fromkeys(KINDS, LARGEST)
        arrays = read_arrays(path, LARGEST, limits, packed=False)
        meta = arrays.pop("meta", None)
        if meta is None or meta.dtype.kind != "S" or meta.ndim:
            raise ValueError("is no video index")
        facts = object_of(json.loads(meta.item()), "meta")
        if field_of(facts, "format", "str", "meta") != FORMAT:
            raise ValueError("is no video index")
        if (version := field_of(facts, "version", "int", "meta")) != VERSION:
            raise ValueError(f"is of version {version}; this TwinFace reads version {VERSION}")
        for name, (kind, dimensions) in KINDS.items():
            array = arrays.get(name)
            if name == "sample" and array is None:
                continue
            if array is None or array.dtype != np.dtype(kind) or array.ndim != dimensions:
                raise ValueError(f"{name} is missing or of another kind")
        return _index(facts, arrays)
    except (*DAMAGE, OverflowError) as error:
        raise DataError(f"{shown(path)}: {reason(error)}; remove it, and it is made anew") from error


def _index(facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> VideoIndex:
    key = IndexKey(*(str(field_of(facts, name, "str", "meta")) for name in ("video", "analyzer", "options")))
    looks = _looks(facts)
    reasons = {int(place): _words(words) for place, words in field_of(facts, "reasons", "object", "meta").items()}
    tracks = _tracks(arrays, reasons)
    if len({track.number for track in tracks}) < len(tracks) or any(track.number < 1 for track in tracks):
        raise ValueError("numbers of tracks are not positive or not unique")
    running: int = field_of(facts, "running", "int", "meta")
    if not 0 <= running <= len(tracks):
        raise ValueError("more tracks run than there are")
    ended = tracks[: len(tracks) - running]
    if facts.get("progress") is None:
        if running:
            raise ValueError("it is complete, and tracks run")
        return VideoIndex(key, ended, None, looks)
    told = object_of(facts["progress"], "progress")
    time, usual = (float(field_of(told, name, "float", "progress")) for name in ("time", "usual"))
    following = field_of(told, "following", "int", "progress")
    if any(track.number >= following for track in ended):
        raise ValueError("a track has a number not given yet")
    sample = arrays.get("sample")
    if sample is not None and (sample.shape[2] != 3 or not sample.size):
        raise ValueError("sample is no picture")
    return VideoIndex(key, ended, Progress(time, tracks[len(ended) :], following, sample, usual), looks)


def _looks(facts: Mapping[str, Any]) -> VideoLooks:
    duration = None if facts.get("duration") is None else float(field_of(facts, "duration", "float", "meta"))
    scale = float(field_of(facts, "scale", "float", "meta"))
    if not (duration is None or 0 <= duration < math.inf) or not 0 < scale < math.inf:
        raise ValueError("a duration or scale cannot be")
    notes = tuple(map(str, list_of(facts, "notes", 1000, "meta")))
    if not all(note.isprintable() for note in notes):
        raise ValueError("notes must be printable")
    return VideoLooks(duration, scale, notes)


def _tracks(arrays: Mapping[str, NDArray[Any]], reasons: Mapping[int, tuple[str, ...]]) -> tuple[Track, ...]:
    listed, sightings, faces, vectors = (arrays[name] for name in ("tracks", "sightings", "faces", "vectors"))
    ends, pixels = arrays["jpegs"], arrays["pixels"].tobytes()
    if listed.shape[1] != 3 or sightings.shape[1] != 7 or faces.shape[1] != 5 + len(MEASURES):
        raise ValueError("its rows are of another length")
    if (listed[:, 1] < 1).any() or (listed[:, 2] < 0).any() or (listed[:, 1:] > LARGEST).any():
        raise ValueError("a track has no sighting")
    seen, shown_faces = (int(column.sum()) for column in listed[:, 1:].T)
    if seen != len(sightings) or not shown_faces == len(faces) == len(vectors) == len(ends):
        raise ValueError("its arrays are of different lengths")
    if not all(np.isfinite(array).all() for array in (sightings, faces, vectors)):
        raise ValueError("it holds values that are not finite")
    if len(vectors) and (np.abs(np.linalg.norm(vectors.astype(np.float64), axis=1) - 1) > UNIT_TOLERANCE).any():
        raise ValueError("templates are not of unit length")
    if (np.diff(ends, prepend=0) < 0).any() or (int(ends[-1]) if len(ends) else 0) != len(pixels):
        raise ValueError("its pictures are of other lengths")
    tracks, first, face = [], 0, 0
    for number, count, best in listed.tolist():
        path = tuple(
            Sighting(time, Box(*box), score, bool(detected))
            for time, *box, score, detected in sightings[first : first + count].tolist()
        )
        if any(after.time < before.time for before, after in pairwise(path)):
            raise ValueError("a track's sightings are not in order of time")
        if not path[0].detected:
            raise ValueError("a track begins where nobody was detected")
        kept = []
        for place in range(face, face + best):
            time, *numbers = faces[place].tolist()
            quality = Quality(**dict(zip(MEASURES, numbers[4:], strict=True)), reasons=reasons.get(place, ()))
            jpeg = pixels[int(ends[place - 1]) if place else 0 : int(ends[place])]
            kept.append(TrackFace(time, Box(*numbers[:4]), quality, vectors[place], jpeg))
        tracks.append(Track(number, path, tuple(kept)))
        first, face = first + count, face + best
    return tuple(tracks)


def _words(words: object) -> tuple[str, ...]:
    if not isinstance(words, list) or not all(isinstance(word, str) and word.isprintable() for word in words):
        raise ValueError("reasons must be words")
    return tuple(words)


def _box(box: Box) -> tuple[float, float, float, float]:
    return box.x, box.y, box.width, box.height
