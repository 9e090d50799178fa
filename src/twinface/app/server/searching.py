"""What jobs do: seek somebody in a video that was uploaded, or tell apart all who are in it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twinface.app.server.job import Advance, Job, JobFailed
from twinface.app.server.problems import problem_of
from twinface.errors import NoFace, PoorQuality, TwinFaceError

if TYPE_CHECKING:
    from twinface.app.server.shelf import Shelf, StoredVideo
    from twinface.app.server.state import ServerState
    from twinface.app.video.indexing import Indexed
    from twinface.core.video import Track
    from twinface.services.recognition import Recognizer
    from twinface.services.video_search import Hit

MOST_PHOTOS = 10
"""Photos of one person."""


class Searcher:
    """Does the jobs about videos.

    Args:
        state: gallery and models.
        shelf: the videos.
    """

    def __init__(self, state: ServerState, shelf: Shelf) -> None:
        self._state = state
        self._shelf = shelf

    def __call__(self, job: Job, advance: Advance) -> dict[str, Any]:
        """Does a job; see `jobs.Perform`. What was found of a video's faces stays in its index.

        Raises:
            JobFailed: it cannot be done.
        """
        video = self._shelf.find(job.video)
        if video is None:
            raise JobFailed("the video was removed")
        path = self._shelf.path(video)
        try:
            recognizer = self._state.recognizer
            query = _query(job.asked, recognizer, self._state) if job.kind == "search" else None
            indexed = self._index(path, recognizer, advance)
            if query is None:
                return _told(video, people_result(indexed, recognizer))
            return _told(video, hits_result(indexed, query, recognizer, float(job.asked["fpir"])))
        except TwinFaceError as error:
            words = str(problem_of(error, (path, *self._state.hidden)).detail)
            raise JobFailed(words) from error

    def _index(self, path: Path, recognizer: Recognizer, advance: Advance) -> Indexed:
        from twinface.app.video.indexing import Sampling, index_video

        def began(duration: float | None) -> Callable[[float], object]:
            return lambda time: advance(time / duration if duration else None)

        advance(0.0)
        return index_video(path, recognizer, Sampling(beside=True), began=began)


def photo_query(recognizer: Recognizer, photos: Sequence[object]) -> NDArray[np.float32]:
    """Templates (K, D) of the largest faces of pictures, each of which must be clear.

    Raises:
        ImageError: one cannot be read.
        FaceError: one shows no face, or none that is fit.
    """
    vectors = []
    for photo in photos:
        analysis = recognizer.analyze(photo, "largest")
        (face, *_) = analysis.faces
        if not face.quality.usable:
            reasons = face.quality.reasons
            raise PoorQuality(f"{analysis.name}: {', '.join(reasons)}; seek the person by a better photo", reasons[0])
        if face.template is None:
            raise NoFace(f"{analysis.name}: no face was encoded")
        vectors.append(face.template.vector)
    return np.stack(vectors)


def asked_by_photos(query: NDArray[np.float32], recognizer: Recognizer, fpir: float) -> dict[str, Any]:
    """What a job is asked, by photos: templates as base64 of float32, little-endian."""
    content = base64.b64encode(np.ascontiguousarray(query, "<f4").tobytes()).decode()
    return {"templates": content, "model": recognizer.rule.model, "fpir": fpir}


def asked_by_name(name: str, fpir: float) -> dict[str, Any]:
    """What a job is asked, by somebody of the gallery."""
    return {"subject": name, "fpir": fpir}


def hits_result(indexed: Indexed, query: NDArray[np.float32], recognizer: Recognizer, fpir: float) -> dict[str, Any]:
    """Where the person is, as `twinface search --json` has it, with a picture of each moment."""
    from twinface.app.video.answers import hits_json
    from twinface.services.video_search import find, search_point

    hits: Sequence[Hit] = find(indexed.index.tracks, query, recognizer.rule, fpir)
    told = hits_json(indexed, hits)
    for interval, hit in zip(told["intervals"], hits, strict=True):
        interval["thumbnail"] = _picture(hit.thumbnail)
    point = search_point(indexed.index.tracks, len(query), recognizer.rule, fpir)
    return {**told, "threshold": round(point.threshold, 6), "fmr": point.fmr, "fpir": fpir}


def people_result(indexed: Indexed, recognizer: Recognizer) -> dict[str, Any]:
    """Who is in a video, as `twinface search --unknown-clusters --json` has it, with a picture of each."""
    from twinface.app.video.answers import people_json
    from twinface.services.track_people import cluster

    people: Sequence[Sequence[Track]] = cluster(indexed.index.tracks, recognizer.rule)
    told = people_json(indexed, people)
    for person, tracks in zip(told["people"], people, strict=True):
        best = [track.faces[0] for track in tracks]
        person["best"] = [round(face.time, 3) for face in best]
        person["thumbnails"] = [_picture(face.thumbnail) for face in best]
    return told


def _told(video: StoredVideo, result: dict[str, Any]) -> dict[str, Any]:
    """A result that names the video as its owner did, not where the server keeps it."""
    del result["path"]
    return {"video": video.id, "name": video.name, **result}


def _query(asked: Mapping[str, Any], recognizer: Recognizer, state: ServerState) -> NDArray[np.float32]:
    """Templates (K, D) of whom a job seeks.

    Raises:
        JobFailed: they are of another model than the one in use now.
    """
    from twinface.app.video.seeking import subject_templates

    if "subject" in asked:
        return subject_templates(state.gallery.store, asked["subject"])[1]
    if asked["model"] != recognizer.rule.model:
        raise JobFailed("another model is in use now than when this was asked; ask again with the photos")
    vectors = np.frombuffer(base64.b64decode(asked["templates"]), "<f4").astype(np.float32)
    return vectors.reshape(-1, recognizer.analyzer.encoder.dimension)


def _picture(jpeg: bytes) -> str | None:
    """A JPEG in base64; None for none."""
    return base64.b64encode(jpeg).decode() if jpeg else None
