"""Watches with the models: who is asked, how faces are drawn, and where events and pictures go."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twinface.app.video.events import Commands, EventLog, event_json
from twinface.app.video.recording import Recording
from twinface.app.video.window import Window
from twinface.core.decision import DecisionRule
from twinface.core.identification import Candidate
from twinface.core.ports import GalleryStore
from twinface.core.types import Image
from twinface.core.video import Track, VideoFrame
from twinface.core.wording import percent
from twinface.services.recognition import Recognizer
from twinface.services.tracks import RunningTrack, TrackBuilder, TrackOptions
from twinface.services.video_search import find, name_track
from twinface.services.watching import Namer, Seen, Watcher, WatchEvent, WatchOptions
from twinface.vision.video.source import VideoSource


def gallery_namer(store: GalleryStore, rule: DecisionRule, fpir: float, confirm: int) -> Namer:
    """Asks a gallery."""
    return lambda track: name_track(track, store, rule, fpir, confirm=confirm)


def photo_namer(query: NDArray[np.float32], who: str, rule: DecisionRule, fpir: float, confirm: int) -> Namer:
    """Asks whether it is one person, by her photos: templates (K, D), unit length."""

    def name(track: Track | RunningTrack) -> Candidate | None:
        whole = Track(track.number, (track.last,), track.faces) if isinstance(track, RunningTrack) else track
        hits = find([whole], query, rule, fpir, confirm=confirm)
        return Candidate(who, "photos", hits[0].distance, hits[0].probability) if hits else None

    return name


def make_watcher(
    recognizer: Recognizer,
    name: Namer,
    options: WatchOptions,
    *,
    known: Callable[[str], bool] | None = None,
    thumbnails: bool = False,
    followed: bool = False,
) -> Watcher:
    """A watcher with the models that search for it.

    Args:
        recognizer: finds and encodes the faces.
        name: who a track shows.
        options: when something is worth telling.
        known: see `Watcher`.
        thumbnails: whether events have a picture.
        followed: whether faces are followed into frames that are not searched, for who shows them.
    """
    from twinface.app.video.index import thumbnail
    from twinface.core.tracking import TrackingOptions
    from twinface.vision.video.following import CorrelationFollower

    usual = TrackOptions()
    tracking = TrackingOptions(absence=max(usual.tracking.absence, 2.5 / options.rate))
    builder = TrackBuilder(
        recognizer.analyzer,
        TrackOptions(count=max(usual.count, options.confirm), confirm=options.confirm, live=True, tracking=tracking),
        rule=recognizer.rule,
        thumbnail=thumbnail if thumbnails else None,
        follower=CorrelationFollower() if followed else None,
    )
    return Watcher(builder, name, options, known=known)


def draw_seen(image: Image, faces: Sequence[Seen]) -> Image:
    """The frame with every face boxed: green and named whom we know, blue strangers, amber who is not known yet.

    Returns:
        RGB uint8, as large as the frame.
    """
    from twinface.vision.drawing import LABEL_COLOURS, FaceKind
    from twinface.vision.sheet import Sheet

    sheet = Sheet(image.copy())
    unit = max(0.8, float(np.sqrt(image.shape[0] * image.shape[1])) / 700)
    for face in faces:
        kind: FaceKind = "known" if face.candidate else "unknown" if face.stranger else "unfit"
        colour = LABEL_COLOURS[kind]
        outline = sheet.mark(face.box.corners, None, colour, max(1, round(min(2 * unit, face.box.width / 40))))
        who = face.candidate
        words = f"{who.name} {percent(who.probability)}" if who else "unknown" if face.stranger else ""
        if outline is not None and words:
            sheet.tag(outline[0], outline[1], words, 14 * unit, colour, above=True)
    return sheet.pixels


@dataclass(frozen=True)
class Outlets:
    """Where a watch goes to, each of them if it is wanted.

    Attributes:
        log: gets every event.
        commands: gets whoever appears.
        recording: gets every frame, drawn upon.
        window: likewise.
    """

    log: EventLog | None = None
    commands: Commands | None = None
    recording: Recording | None = None
    window: Window | None = None


class Watch:
    """One watch, from its first frame to its end.

    Args:
        video: gives the frames.
        watcher: makes events of them.
        outlets: where they go to.
        tell: told of every event, as it is and for machines.
        ticked: called after every frame.
        seeking: whether one person is waited for: strangers are not told, and without a command to run the first
            sight of her ends it.
        seconds: of the video after which it ends; of a live one also if no frame comes.
    """

    def __init__(
        self,
        video: VideoSource,
        watcher: Watcher,
        outlets: Outlets,
        *,
        tell: Callable[[WatchEvent, dict[str, Any]], object],
        ticked: Callable[[VideoFrame], object],
        seeking: bool = False,
        seconds: float | None = None,
    ) -> None:
        self.sights = 0
        """How often somebody known appeared."""
        self._video = video
        self._watcher = watcher
        self._outlets = outlets
        self._tell = tell
        self._ticked = ticked
        self._seeking = seeking
        self._seconds = seconds
        self._size = (0, 0)

    def run(self) -> None:
        """Watches until there is nothing more to see, the window is closed, or whoever is sought was seen.

        Raises:
            SourceError: the source cannot be read on.
            OutputError: the log or the recording cannot be written.
            TwinFaceError: a command cannot be started, or as the watcher's.
        """
        live = self._video.info.live
        with _closing_after(self._video, self._seconds if live else None):
            before = None
            for frame in self._video.frames():
                if self._seconds is not None and frame.time >= self._seconds:
                    break
                self._size = (frame.image.shape[1], frame.image.shape[0])
                if self._announce(self._watcher.feed(frame)):
                    return
                if not self._show(frame, 0.0 if live or before is None else frame.time - before):
                    return
                self._ticked(frame)
                before = frame.time
        if self._watcher.searched:
            self._announce(self._watcher.finish())

    def _announce(self, events: Sequence[WatchEvent]) -> bool:
        """Tells events; whether that is all that was wanted."""
        for event in events:
            if self._seeking and event.kind == "unknown":
                continue
            report = event_json(event, self._size)
            if self._outlets.log is not None:
                self._outlets.log.add(report)
            self._tell(event, report)
            if event.kind == "appeared":
                self.sights += 1
                if self._outlets.commands is not None:
                    self._outlets.commands.run(report)
                elif self._seeking:
                    return True
        return False

    def _show(self, frame: VideoFrame, pause: float) -> bool:
        """Records and shows a frame; False once the window was closed."""
        recording, window = self._outlets.recording, self._outlets.window
        if recording is None and window is None:
            return True
        drawn = draw_seen(frame.image, self._watcher.seen)
        if recording is not None:
            recording.add(drawn, frame.time)
        return window is None or window.show(drawn, pause)


@contextmanager
def _closing_after(video: VideoSource, seconds: float | None) -> Iterator[None]:
    """Closes a source after a time, even if no frame comes."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, video.close)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
