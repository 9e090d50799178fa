"""`twinface access run`: answers requests by what a camera shows."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from twinface.app.cli import options
from twinface.app.cli.opening import open_gallery
from twinface.app.cli.output import complain, printable, write_json
from twinface.errors import BadRequest, TwinFaceError

if TYPE_CHECKING:
    from twinface.app.access.running import AccessRun
    from twinface.app.gallery import Gallery
    from twinface.core.access.policy import Policy
    from twinface.core.ports import FrameSource
    from twinface.services.access_control import Outcome
    from twinface.services.access_seeing import Span

PATIENCE = 1.0
"""Seconds that a decision waits for others who write into the gallery; then it is a refusal."""

ENDINGS = ("SIGTERM", "SIGHUP", "SIGQUIT")
"""Signals that end it in good order: what lets somebody in is switched off."""

TOKEN = "TWINFACE_ACCESS_TOKEN"  # noqa: S105 - the variable's name


def run(
    policy: Annotated[Path, options.path("--policy", "Who may go where (TOML); it is read anew when it changes.")],
    source: Annotated[
        str, typer.Option("--source", "-s", help="A camera's number or device, an rtsp or http address, or a video.")
    ],
    gallery: options.Gallery = None,
    key_file: options.KeyFile = None,
    place: Annotated[
        str | None, typer.Option("--place", help="Ask for this place whenever somebody steps before the camera.")
    ] = None,
    request_port: Annotated[
        int | None,
        typer.Option("--request-port", min=0, max=65535, help="Take HTTP requests from this machine; 0: any port."),
    ] = None,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Take requests as lines: a place, or JSON with place, pin, card.")
    ] = False,
    zone: Annotated[
        str | None,
        typer.Option("--zone", help="Where people stand: left,top,right,bottom as shares of the picture, 0 to 1."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide and log; only say what would be done.")] = False,
    trust_clock: Annotated[
        bool,
        typer.Option("--trust-clock", help="The clock is right, though the log holds later times: it was wrong once."),
    ] = False,
    seconds: Annotated[float | None, typer.Option("--seconds", min=0.1, help="Stop after so many seconds.")] = None,
    longest: Annotated[int, typer.Option("--longest", min=160, help="Pixels of the longer side of the frames.")] = 1280,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Check the certificates of https and rtsps addresses.")
    ] = True,
    json: options.Json = False,
    detector: options.Detector = None,
    provider: options.Provider = None,
    threads: options.Threads = None,
) -> None:
    """Let people in by their faces, as a policy says. Whatever goes wrong is a refusal. Ctrl-C ends it.

    Say one of --place, --request-port and --stdin. Exit status 0 at the end, 2 trouble, 130 interrupted.
    """
    from twinface.app.access.doorkeeper import Doorkeeper
    from twinface.app.access.frames import Newest, Playback
    from twinface.app.access.joining import WHOLE, open_gate
    from twinface.app.access.policy_watch import PolicyFile
    from twinface.app.access.port import RequestPort
    from twinface.app.access.running import AccessRun, Told
    from twinface.vision.video.source import VideoOptions, open_video

    if (place is not None) + (request_port is not None) + stdin != 1:
        raise TwinFaceError("say how requests come: one of --place, --request-port and --stdin")
    area = WHOLE if zone is None else read_zone(zone)
    with ExitStack() as stack:
        opened = open_gallery(
            gallery, key_file, detector=detector, providers=provider, threads=threads, patience=PATIENCE
        )
        stack.enter_context(opened)
        file = PolicyFile(policy, lambda read: warn(read, opened))
        if place is not None and place not in file.policy.places:
            known = ", ".join(file.policy.places)
            raise TwinFaceError(f"--place {printable(place)}: the policy has no such place; it has {known}")
        gate = open_gate(
            file.policy,
            opened,
            dry_run=dry_run,
            secrets=os.environ.get,
            out=sys.stderr if json else sys.stdout,
            trouble=complain,
            zone=area,
            detector=detector,
            trust_clock=trust_clock,
        )
        stack.callback(gate.actor.close)
        video: FrameSource = stack.enter_context(open_video(source, VideoOptions(longest=longest, verify=verify)))
        frames = Newest(video if video.info.live else Playback(video))
        stack.callback(frames.close)

        def tell(outcome: Outcome) -> None:
            tell_outcome(outcome, running, json=json)

        told = Told(tell, complain, lambda words: complain(f"asks: {words}") if words else None)
        keeper = None if place is None else Doorkeeper(place, gate.sees)
        running = AccessRun(
            gate.controller, gate.actor, frames, file, opened.store.audit, told, model=gate.model, asker=keeper
        )
        if request_port is not None:
            port = stack.enter_context(
                RequestPort(
                    request_port,
                    running.ask,
                    lambda: {"busy": gate.controller.busy, "prompt": running.prompt},
                    os.environ.get(TOKEN),
                )
            )
            complain(f"takes requests at http://127.0.0.1:{port.port}/requests")
        if stdin:
            threading.Thread(target=_read_stdin, args=(running,), name="twinface-stdin", daemon=True).start()
        if seconds is not None:
            timer = threading.Timer(seconds, running.stop)
            timer.daemon = True
            timer.start()
            stack.callback(timer.cancel)
        for name in ENDINGS:
            if (number := getattr(signal, name, None)) is not None:
                stack.callback(signal.signal, number, signal.signal(number, lambda *_: running.stop()))
        running.go()


def warn(policy: Policy, gallery: Gallery) -> None:
    """Says whom of a policy the gallery does not know, and which rates its model was not measured at.

    Neither lets anybody in: whoever is not in the gallery is recognised nowhere, and a threshold that has to be
    extrapolated is stricter than any that was measured.
    """
    from twinface.app.access.policy_gallery import unknown_people, unmeasured

    found = unknown_people(policy, [one.name for one in gallery.people()])
    found += unmeasured(policy, gallery.recognizer.rule, gallery.info().templates)
    for line, words in sorted(found):
        complain(f"{policy.origin}:{line}: {words}")


def tell_outcome(outcome: Outcome, running: AccessRun, *, json: bool) -> None:
    """Prints an answer."""
    from twinface.app.access.answers import line_of, outcome_json

    policy = running.policy
    if json:
        write_json(outcome_json(outcome, policy.zone))
        return
    place = policy.places.get(outcome.request.place)
    typer.echo(printable(line_of(outcome, "" if place is None else place.name, policy.zone)))


def read_zone(text: str) -> Span:
    """Reads --zone.

    Raises:
        TwinFaceError: it is none.
    """
    try:
        left, top, right, bottom = (float(word) for word in text.split(","))
    except ValueError:
        raise TwinFaceError(f"--zone {printable(text)}: expected left,top,right,bottom as 0.2,0,0.8,1") from None
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise TwinFaceError(f"--zone {printable(text)}: left and top must be less than right and bottom, all in 0 to 1")
    return left, top, right, bottom


def _read_stdin(running: AccessRun) -> None:
    """Takes requests from lines until there are no more."""
    from twinface.app.access.requests import read_request

    for line in lines(sys.stdin.buffer):
        try:
            request = read_request(line)
        except BadRequest as error:
            complain(str(error))
            continue
        if not running.ask(request):
            complain("too many requests wait; one was passed over")
    running.drain()


def lines(file: BinaryIO) -> Iterator[str]:
    """The lines of a file that are not empty; of a longer one than requests are, only what tells that it is."""
    from twinface.app.access.requests import LONGEST

    while line := file.readline(4 * LONGEST):
        whole = line.endswith(b"\n")
        while not whole and (rest := file.readline(4 * LONGEST)):
            line, whole = b"x" * (LONGEST + 1), rest.endswith(b"\n")
        if text := line.decode(errors="replace").strip():
            yield text
