"""An elevator to look at: the sample portraits ask for floors, one after another, and everything is real but them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from twinface.app.access.frames import Newest
from twinface.app.access.joining import open_gate
from twinface.app.access.policy_watch import PolicyFile
from twinface.app.access.requests import make_request
from twinface.app.access.running import AccessRun, Told
from twinface.app.access.sample_camera import PORTRAITS, SampleCamera
from twinface.app.gallery import Gallery
from twinface.core.video import VideoFrame
from twinface.services.access_control import Outcome

NAMES = {"hopper": "Grace Hopper", "collins": "Eileen Collins"}

POLICY = """\
zone = "UTC"

[defaults]
fmr = 1e-3
liveness = "none"  # the sample portraits are pictures, and everywhere else a picture is to be refused

[places.lobby]
name = "Lobby"
most = 2

[places.floor-1]
name = "Floor 1"

[places.floor-7]
name = "Floor 7"
liveness = "challenge"

[people]
"Grace Hopper" = {}
"Eileen Collins" = {}

[[allow]]
who = "everyone"
where = "lobby"

[[allow]]
who = "Grace Hopper"
where = ["floor-1", "floor-7"]
"""


@dataclass(frozen=True)
class Step:
    """Something that happens.

    Attributes:
        caption: in words.
        place: asked for.
        shows: who stands before the camera.
        plugged: whether the camera's cable is in.
        forget: whom the gallery forgets before.
        expect: whether it should be a grant.
    """

    caption: str
    place: str
    shows: tuple[str, ...] = ()
    plugged: bool = True
    forget: str = ""
    expect: bool = False


STEPS = (
    Step("Grace Hopper asks for floor 1.", "floor-1", ("hopper",), expect=True),
    Step("Eileen Collins asks for floor 1, which is not for her.", "floor-1", ("collins",)),
    Step("Both ask for the lobby, which lets in two at once.", "lobby", ("hopper", "collins"), expect=True),
    Step("Grace asks for floor 1, and somebody stands beside her.", "floor-1", ("hopper", "collins")),
    Step("Nobody stands before the camera.", "lobby"),
    Step("Floor 7 asks for a turn of the head, which a photo of Grace cannot make.", "floor-7", ("hopper",)),
    Step("Somebody has pulled the camera's cable.", "lobby", ("hopper",), plugged=False),
    Step("Grace is removed from the gallery, and asks once more.", "floor-1", ("hopper",), forget="Grace Hopper"),
)


class Watched:
    """A source whose frames are shown to somebody else as well.

    Args:
        source: the frames.
        show: sees each.
    """

    def __init__(self, source: SampleCamera, show: Callable[[VideoFrame], None]) -> None:
        self._source, self._show = source, show
        self.info = source.info

    def frames(self) -> Iterator[VideoFrame]:
        """See the port."""
        for frame in self._source.frames():
            self._show(frame)
            yield frame

    def close(self) -> None:
        """See the port."""
        self._source.close()


@dataclass(frozen=True, eq=False)
class Hearers:
    """Who is told what happens.

    Attributes:
        frame: every frame.
        step: what begins.
        prompt: what the person should do.
        outcome: every answer.
        trouble: what went wrong.
    """

    frame: Callable[[VideoFrame], None]
    step: Callable[[Step], None]
    prompt: Callable[[str], None]
    outcome: Callable[[Outcome], None]
    trouble: Callable[[str], None]


@contextmanager
def demo_gallery(folder: Path) -> Iterator[Gallery]:
    """A gallery of the two portraits, in a folder."""
    with Gallery.open(folder / "people.db") as gallery:
        camera = SampleCamera()
        for portrait in PORTRAITS:
            camera.show([portrait])
            gallery.enroll(NAMES[portrait], [camera.picture(0.0)])
        yield gallery


def play_demo(folder: Path, gallery: Gallery, hearers: Hearers, pause: float) -> list[tuple[Step, Outcome]]:
    """Plays STEPS with the real models, policy, gallery and log.

    Args:
        folder: in which a policy is written.
        gallery: of `demo_gallery`.
        hearers: are told.
        pause: seconds between two steps.

    Returns:
        The steps with what came of each.
    """
    path = folder / "policy.toml"
    path.write_text(POLICY)
    camera = SampleCamera(seed=1)
    answers: list[Outcome] = []
    with ExitStack() as stack:
        file = PolicyFile(path)
        gate = open_gate(
            file.policy, gallery, dry_run=False, secrets=lambda _: None, out=StringIO(), trouble=hearers.trouble
        )
        stack.callback(gate.actor.close)
        frames = Newest(Watched(camera, hearers.frame))
        stack.callback(frames.close)

        def tell(outcome: Outcome) -> None:
            answers.append(outcome)
            hearers.outcome(outcome)

        running = AccessRun(
            gate.controller,
            gate.actor,
            frames,
            file,
            gallery.store.audit,
            Told(tell, hearers.trouble, hearers.prompt),
            model=gate.model,
        )
        failed: list[BaseException] = []
        thread = threading.Thread(target=_go, args=(running, failed), name="twinface-demo", daemon=True)
        thread.start()
        stack.callback(running.stop)
        for step in STEPS:
            hearers.step(step)
            if step.forget:
                gallery.remove(step.forget)
            camera.show(step.shows)
            camera.plug(plugged=step.plugged)
            time.sleep(pause)
            done = threading.Event()
            running.ask(make_request(step.place), lambda _, done=done: done.set())  # type: ignore[misc]
            while not done.wait(0.1):
                if failed:
                    raise failed[0]
        running.stop()
        thread.join()
    return list(zip(STEPS, answers, strict=True))


def _go(running: AccessRun, failed: list[BaseException]) -> None:
    try:
        running.go()
    except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
        failed.append(error)
