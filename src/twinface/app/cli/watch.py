"""`twinface watch SOURCE` and `twinface watch SOURCE --for photo.jpg`."""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twinface.app.cli import options
from twinface.app.cli.opening import open_gallery
from twinface.app.cli.output import complain, counted, printable, write_json
from twinface.core.files import shown
from twinface.core.identification import DEFAULT_FPIR, identification_point
from twinface.core.wording import percent
from twinface.errors import OutputError, TwinFaceError

if TYPE_CHECKING:
    from twinface.app.video.events import Commands
    from twinface.app.video.window import Window
    from twinface.core.ports import GalleryStore
    from twinface.core.video import VideoFrame, VideoInfo
    from twinface.services.watching import Watcher, WatchEvent
    from twinface.vision.video.source import VideoSource

NOT_SEEN = 1
"""Exit status when the person sought was not seen."""

TERMINATED = 143
"""Exit status after SIGTERM, as shells have it."""


def watch(
    source: Annotated[
        str,
        typer.Argument(help="A camera's number or device, a video, an rtsp or http address, or a folder of pictures."),
    ],
    photos: Annotated[
        list[Path] | None,
        typer.Option("--for", help="A photo of whom to wait for, instead of a gallery; repeat for more, they help."),
    ] = None,
    command: Annotated[
        str | None,
        typer.Option("--exec", help="Run this whenever somebody known appears: JSON on its stdin, TWINFACE_NAME, ..."),
    ] = None,
    gallery: options.Gallery = None,
    key_file: options.KeyFile = None,
    show: Annotated[
        bool | None, typer.Option("--show/--headless", help="A window with names, or none; default: if there can be.")
    ] = None,
    events: Annotated[Path | None, options.path("--events", "File that gets a line of JSON an event.")] = None,
    record: Annotated[Path | None, options.path("--record", "Video (.mp4) to record, with boxes and names.")] = None,
    confirm: Annotated[int, typer.Option("--confirm", min=1, help="Faces that must agree before a name is told.")] = 2,
    cooldown: Annotated[
        float, typer.Option("--cooldown", min=0, help="Seconds somebody must be away to be announced again.")
    ] = 10.0,
    absence: Annotated[
        float, typer.Option("--absence", min=0, help="Seconds unseen after which somebody has left.")
    ] = 2.0,
    thumbnails: Annotated[
        bool, typer.Option("--thumbnails", help="Add a small picture of the face to events, as JPEG in base64.")
    ] = False,
    fpir: options.Fpir = DEFAULT_FPIR,
    rate: Annotated[float, typer.Option("--rate", min=0.1, help="Frames a second that are searched, at most.")] = 10.0,
    longest: Annotated[int, typer.Option("--longest", min=160, help="Pixels of the longer side of the frames.")] = 1280,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Check the certificates of https and rtsps addresses.")
    ] = True,
    seconds: Annotated[float | None, typer.Option("--seconds", help="Stop after so many seconds.")] = None,
    json: options.Json = False,
    model: options.Model = None,
    detector: options.Detector = None,
    provider: options.Provider = None,
    threads: options.Threads = None,
) -> None:
    """Name people as they come and go, or wait for somebody. Ctrl-C ends it.

    With --for: exit status 0 at the first sight of the person, 1 if the video ends without; --exec goes on watching.
    Else 0 at the end; 2 trouble; 130 interrupted.
    """
    from twinface.app.video.events import Commands, EventLog
    from twinface.app.video.recording import Recording
    from twinface.app.video.seeking import photo_templates, photo_words
    from twinface.app.video.watching import Outlets, Watch, gallery_namer, make_watcher, photo_namer
    from twinface.services.watching import STALE, WatchOptions
    from twinface.vision.video.source import VideoOptions, open_video

    if photos and (gallery is not None or key_file is not None):
        raise TwinFaceError("--for asks for one person by photos, --gallery for everybody in it: say one of them")
    if seconds is not None and not 0 < seconds < threading.TIMEOUT_MAX:
        raise TwinFaceError(f"--seconds must be positive, got {seconds:g}")
    for option, value in (("--cooldown", cooldown), ("--absence", absence), ("--rate", rate)):
        if not math.isfinite(value):
            raise TwinFaceError(f"{option} must be a finite number, got {value:g}")
    if model is not None and not photos:
        raise TwinFaceError("--model belongs to --for; a gallery is searched with its own model")
    _check_places(record, events, source)
    with ExitStack() as stack, _ending():
        window = _window(stack, show, printing=json)
        commands = None if command is None else Commands(command, quiet=json)
        if photos:
            from twinface.app.wiring import load

            recognizer = load(model, detector=detector, providers=provider, threads=threads)
            name = photo_namer(photo_templates(recognizer, photos), photo_words(photos), recognizer.rule, fpir, confirm)
            known = None
        else:
            opened = open_gallery(gallery, key_file, detector=detector, providers=provider, threads=threads)
            stack.enter_context(opened)
            recognizer, store = opened.recognizer, opened.store
            name = gallery_namer(store, recognizer.rule, fpir, confirm)
            known = _knows(store)
        identification_point(recognizer.rule, 1, fpir)  # refuses a rate that cannot be before anybody is waited for
        video = stack.enter_context(open_video(source, VideoOptions(longest=longest, end=seconds, verify=verify)))
        stale = STALE if video.info.live else None
        asked = WatchOptions(confirm=confirm, cooldown=cooldown, absence=absence, rate=rate, stale=stale)
        followed = record is not None or window is not None
        watcher = make_watcher(recognizer, name, asked, known=known, thumbnails=thumbnails, followed=followed)
        log = None if events is None else stack.enter_context(EventLog(events))
        recording = None if record is None else stack.enter_context(Recording(record))
        terminal = _Terminal(video.info, watcher, json=json)
        watching = Watch(
            video,
            watcher,
            Outlets(log, commands, recording, window),
            tell=terminal.tell,
            ticked=terminal.tick,
            seeking=bool(photos),
            seconds=seconds,
        )
        stack.callback(_tell_end, video, watcher, commands)
        stack.callback(terminal.clear)
        watching.run()
    if photos and not watching.sights:
        raise typer.Exit(NOT_SEEN)


class _Terminal:
    """Events a line each, and on a terminal a last line that says how it goes."""

    def __init__(self, info: VideoInfo, watcher: Watcher, *, json: bool) -> None:
        self._live = info.live
        self._watcher = watcher
        self._json = json
        self._wanted = sys.stderr.isatty()
        self._frames = self._searched = 0
        self._since = time.monotonic()
        self._shown = False

    def tell(self, event: WatchEvent, report: dict[str, Any]) -> None:
        """Prints an event."""
        self.clear()
        if self._json:
            write_json(report)
        else:
            typer.echo(line_of(event, live=self._live))

    def tick(self, frame: VideoFrame) -> None:
        """Counts a frame, and renews the last line every second."""
        self._frames += 1
        now = time.monotonic()
        if not self._wanted or now - self._since < 1.0:
            return
        took = now - self._since
        searched = self._watcher.searched - self._searched
        age = f", {1000 * (now - frame.arrived):.0f} ms behind" if self._live else ""
        faces = counted(len(self._watcher.seen), "face")
        self._write(f"\r\x1b[2K{self._frames / took:.1f} fps, {searched / took:.1f} searched{age}, {faces}")
        self._frames, self._searched, self._since, self._shown = 0, self._watcher.searched, now, True

    def clear(self) -> None:
        """Takes the last line away, for others to be written."""
        if self._shown:
            self._write("\r\x1b[2K")
            self._shown = False

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def line_of(event: WatchEvent, *, live: bool) -> str:
    """An event for people: the time of day, or of a file its own time, who, and what."""
    from twinface.app.video.report import clock

    when = f"{event.clock:%H:%M:%S}" if live else f"{clock(event.time):>8}"
    if event.candidate is None:
        return f"{when}  somebody unknown"
    who = printable(event.candidate.name) or "somebody who was removed from the gallery"
    sure = f"  {percent(event.candidate.probability)}" if event.kind == "appeared" else ""
    return f"{when}  {who} {event.kind}{sure}"


def _tell_end(video: VideoSource, watcher: Watcher, commands: Commands | None) -> None:
    """What there is to say when it ends, however it does."""
    if commands is not None and (left := commands.wait()):
        complain(f"{counted(left, 'command')} of --exec did not end, and is left running")
    for note in video.info.notes:
        complain(f"{video.info.name}: {note}")
    if watcher.passed_over:
        complain(f"{counted(watcher.passed_over, 'frame')} came too late to tell anything of now")


def _knows(store: GalleryStore) -> Callable[[str], bool]:
    """Whether a gallery still holds somebody."""
    return lambda uid: bool(store.names([uid]))


def _window(stack: ExitStack, show: bool | None, *, printing: bool) -> Window | None:
    """The window, if one is wanted; by default where one can be opened and a person sits at the terminal."""
    from twinface.app.video.window import Window

    if show is False or (show is None and (printing or not sys.stdout.isatty())):
        return None
    try:
        window = Window("twinface watch")
    except TwinFaceError:
        if show:
            raise
        return None
    stack.callback(window.close)
    return window


def _check_places(record: Path | None, events: Path | None, source: str) -> None:
    """Refuses where nothing can be written before the work is done, not after."""
    from twinface.app.video.events import check_log
    from twinface.app.video.recording import check_recording

    if record is not None:
        check_recording(record)
    if events is None:
        return
    if events.exists() and Path(source).exists() and events.samefile(source):
        raise OutputError(f"{shown(events)}: is the video watched; write the events elsewhere")
    if record is not None and events.absolute() == record.absolute():
        raise OutputError(f"{shown(events)}: events and recording cannot be one file")
    check_log(events)


@contextmanager
def _ending() -> Iterator[None]:
    """Lets SIGTERM end the watch as cleanly as Ctrl-C does."""
    told: list[int] = []

    def end(number: int, _: FrameType | None) -> None:
        told.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except KeyboardInterrupt:
        if told:
            raise typer.Exit(TERMINATED) from None
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
