"""What a watch needs beside the watching: who is asked, a window, a recording, a log of events and commands to run."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from twinface.core.decision import DecisionRule
from twinface.core.files import reason, shown
from twinface.core.identification import Candidate
from twinface.core.ports import GalleryStore
from twinface.core.types import Image
from twinface.core.video import Track
from twinface.core.wording import percent
from twinface.errors import OutputError, TwinFaceError
from twinface.services.recognition import Recognizer
from twinface.services.tracks import RunningTrack, TrackBuilder, TrackOptions
from twinface.services.video_search import find, name_track
from twinface.services.watching import Namer, Seen, Watcher, WatchEvent, WatchOptions

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

RECORDINGS = (".mp4", ".m4v", ".mov", ".mkv")
"""Endings of the files that are recorded."""

TICKS = 90_000
"""Of a second, in which a recording tells its times."""

KEYS = 50
"""Frames between two key frames: so much is lost of a recording whose process was killed."""

HYBRID = (61, 7)
"""Since which libavformat an MP4 file that was never finished can be played all the same."""

PATIENCE = 10.0
"""Seconds that commands which still run at the end are waited for."""

SECRETS = ("TWINFACE_PASSPHRASE",)
"""What commands are not told."""


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
    from twinface.app.video_index import thumbnail
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


def event_json(event: WatchEvent, size: tuple[int, int]) -> dict[str, Any]:
    """An event for machines.

    Args:
        event: what happened.
        size: width and height of the frames searched, in whose pixels its box is.
    """
    who = event.candidate
    box = event.box
    return {
        "event": event.kind,
        "time": round(event.time, 3),
        "clock": event.clock.isoformat(timespec="milliseconds"),
        "track": event.track,
        "name": None if who is None else who.name or None,
        "subject": None if who is None else who.uid,
        "probability": None if who is None else who.probability,
        "distance": None if who is None else round(who.distance, 6),
        "box": [round(value, 2) for value in (box.x, box.y, box.width, box.height)],
        "frame": list(size),
        "first_seen": round(event.first, 3),
        "last_seen": round(event.last, 3),
        **({"thumbnail": base64.b64encode(event.thumbnail).decode()} if event.thumbnail else {}),
    }


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


class Recording:
    """A video file of the frames it is given, each at its own time; close it, or use it in a `with`.

    It shows faces, so its owner alone may read it.

    Args:
        path: of a file that is not there yet; its folder is.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        check_recording(path)
        self._path = path
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._first = 0.0
        self._last = -1
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError as error:
            raise self._failed(error) from error

    def add(self, image: Image, time: float) -> None:
        """Adds a frame, RGB uint8 (H, W, 3), at a time in seconds, later than the one before.

        Raises:
            OutputError: the disk is full, or the like.
        """
        import av
        import cv2

        try:
            stream = self._stream or self._begin(image, time)
            ticks = round(TICKS * (time - self._first))
            if ticks <= self._last:
                return
            self._last = ticks
            if image.shape[:2] != (stream.height, stream.width):
                image = np.asarray(cv2.resize(image, (stream.width, stream.height)), np.uint8)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = ticks, Fraction(1, TICKS)
            assert self._container is not None
            self._container.mux(stream.encode(frame))
        except (av.FFmpegError, OSError) as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Finishes the file; one without frames is removed.

        Raises:
            OutputError: the disk is full, or the like.
        """
        import av

        container, stream = self._container, self._stream
        self._container = self._stream = None
        if container is None or stream is None:
            if self._last < 0:
                with contextlib.suppress(OSError):
                    self._path.unlink()
            return
        try:
            try:
                container.mux(stream.encode())
            finally:
                container.close()
        except (av.FFmpegError, OSError) as error:
            raise self._failed(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and issubclass(kind, OutputError):
            with contextlib.suppress(OutputError):  # the first trouble is the one to tell
                self.close()
        else:
            self.close()

    def _begin(self, image: Image, time: float) -> VideoStream:
        import av

        height, width = (max(2, side - side % 2) for side in image.shape[:2])
        self._first = time
        whole = self._path.suffix.lower() == ".mkv" or av.library_versions["libavformat"] < HYBRID
        options = {} if whole else {"movflags": "+hybrid_fragmented", "flush_packets": "1"}
        self._container = av.open(str(self._path.absolute()), "w", options=options)
        best = "libx264" in av.codecs_available
        stream = self._container.add_stream("libx264" if best else "mpeg4", rate=30)
        if best:
            stream.options = {"preset": "veryfast", "crf": "23", "g": str(KEYS), "bf": "0"}
        else:
            stream.bit_rate = 4_000_000
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, TICKS if best else 1000)
        self._stream = stream
        return stream

    def _failed(self, error: Exception) -> OutputError:
        return OutputError(f"{shown(self._path)}: cannot be written ({reason(error)}); choose another place")


def check_recording(path: Path) -> None:
    """Refuses a name before the work begins.

    Raises:
        OutputError: nothing can be recorded there.
    """
    import importlib.util

    if path.suffix.lower() not in RECORDINGS:
        raise OutputError(
            f"{shown(path)}: recordings are written as {', '.join(RECORDINGS)}; choose a name with one of these endings"
        )
    if os.path.lexists(path):
        raise OutputError(f"{shown(path)}: is there already; choose another name, nothing is recorded over")
    if not path.parent.is_dir():
        raise OutputError(f"{shown(path)}: there is no folder {shown(path.parent)}; make it first or choose another")
    if importlib.util.find_spec("av") is None:
        raise OutputError(f'{shown(path)}: recording needs PyAV; install it with: pip install "twinface[video]"')


class EventLog:
    """Events as lines of JSON at the end of a file, which its owner alone may read if it is new.

    Args:
        path: the file.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except (OSError, ValueError) as error:
            raise self._failed(error) from error

    def add(self, event: Mapping[str, Any]) -> None:
        """Adds a line, at once and whole.

        Raises:
            OutputError: the disk is full, or the like.
        """
        line = (json.dumps(event, allow_nan=False) + "\n").encode()
        try:
            while line:
                line = line[os.write(self._file, line) :]
        except OSError as error:
            raise self._failed(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def _failed(self, error: Exception) -> OutputError:
        return OutputError(f"{shown(self._path)}: cannot be written ({reason(error)}); choose another place")


class Commands:
    """Runs a command for every event it is given, beside the watch, without a shell.

    Args:
        command: the program and its words, quoted as in a shell.
        quiet: whether what it prints goes to stderr, as stdout is for machines.

    Raises:
        TwinFaceError: there is no such program.
    """

    def __init__(self, command: str, *, quiet: bool = False) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise TwinFaceError(f"--exec {shown(command)}: not a command ({reason(error)}); check its quotes") from None
        if not self._words or shutil.which(self._words[0]) is None:
            name = shown(self._words[0]) if self._words else "''"
            raise TwinFaceError(f"--exec: there is no program {name}; name one by its path, without a shell's syntax")
        self._quiet = quiet
        self._running: list[subprocess.Popen[bytes]] = []

    def run(self, event: Mapping[str, Any]) -> None:
        """Starts it with an event as JSON on its stdin and as variables TWINFACE_...; does not wait for it.

        Raises:
            TwinFaceError: it cannot be started.
        """
        self._running = [one for one in self._running if one.poll() is None]
        environment = {name: value for name, value in os.environ.items() if name not in SECRETS}
        environment |= {f"TWINFACE_{key.upper()}": _word(value) for key, value in event.items() if key != "thumbnail"}
        try:
            child = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=sys.__stderr__ if self._quiet else None,
                env=environment,
            )
        except (OSError, ValueError) as error:
            raise TwinFaceError(f"--exec {shown(self._words[0])}: cannot be started ({reason(error)})") from error
        self._running.append(child)
        assert child.stdin is not None
        with contextlib.suppress(OSError), child.stdin:  # it need not read
            child.stdin.write((json.dumps(event, allow_nan=False) + "\n").encode())

    def wait(self, patience: float = PATIENCE) -> int:
        """Waits for those that still run; how many did not end."""
        left = 0
        for child in self._running:
            try:
                child.wait(patience)
            except subprocess.TimeoutExpired:
                left += 1
        return left


def _word(value: object) -> str:
    """A value as a variable holds it."""
    if value is None:
        return ""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


class Window:
    """A window that shows frames.

    Args:
        title: its title.

    Raises:
        TwinFaceError: none can be opened here; says why.
    """

    def __init__(self, title: str) -> None:
        import cv2

        if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise TwinFaceError("--show: there is no screen for a window; leave --show out, or say --headless")
        self._title = title.encode("ascii", "replace").decode()
        try:
            cv2.namedWindow(self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        except cv2.error:
            raise TwinFaceError(
                "--show: this OpenCV has no windows; uninstall opencv-python-headless and install opencv-python, "
                "or say --headless"
            ) from None

    def show(self, image: Image, wait: float = 0.0) -> bool:
        """Shows a frame, RGB uint8 (H, W, 3), for some seconds at least; False once the window was closed."""
        import cv2

        try:
            cv2.imshow(self._title, np.ascontiguousarray(image[:, :, ::-1]))
            key = cv2.waitKey(max(1, round(1000 * wait))) & 0xFF
            return key not in (ord("q"), 27) and cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:
            return False

    def close(self) -> None:
        """Closes it."""
        import cv2

        with contextlib.suppress(cv2.error):
            cv2.destroyWindow(self._title)
