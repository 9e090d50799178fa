"""Access control whole, with real models, gallery and log, on videos made from the sample portraits."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from gatehouse import Time

from twinface.app.access.demo import NAMES
from twinface.app.access.joining import Gate, open_gate
from twinface.app.access.policy_file import parse_policy
from twinface.app.access.requests import make_request
from twinface.app.access.sample_camera import RATE, SampleCamera
from twinface.app.gallery import Gallery
from twinface.core.access.evidence import Reason
from twinface.core.access.policy import Policy
from twinface.core.video import VideoFrame
from twinface.services.access_control import Outcome
from twinface.vision.video.source import open_video

av = pytest.importorskip("av")

POLICY = """
zone = "UTC"
[defaults]
liveness = "none"
fmr = 1e-3
[places.lobby]
[places.floor]
[places.hall]
most = 2
[places.still]
liveness = "passive"
[places.turn]
liveness = "challenge"
[people]
"Grace Hopper" = {}
"Eileen Collins" = {}
[[allow]]
who = "everyone"
where = ["lobby", "hall", "still", "turn"]
[[allow]]
who = "Grace Hopper"
where = "floor"
"""


def film(path: Path, shown: Sequence[str], seconds: float) -> Path:
    """H.264 of the sample camera."""
    camera = SampleCamera()
    camera.show(shown)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=int(RATE))
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for number in range(round(RATE * seconds)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(camera.picture(number / RATE), format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("films")
    scenes = {"grace": ["hopper"], "eileen": ["collins"], "both": ["hopper", "collins"], "nobody": []}
    return {
        name: film(folder / f"{name}.mp4", shown, 10.0 if name == "grace" else 4.0) for name, shown in scenes.items()
    }


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    camera = SampleCamera()
    with Gallery.open(tmp_path / "people.db") as opened:
        for portrait, name in NAMES.items():
            camera.show([portrait])
            (fate,) = opened.enroll(name, [camera.picture(0.0)])
            assert fate.there
        yield opened


class Door:
    """A gate, a film before it, and clocks that go with the film."""

    def __init__(self, gallery: Gallery, path: Path, policy: Policy | None = None) -> None:
        self.time = Time()
        self.out = io.StringIO()
        self.trouble: list[str] = []
        self.policy = policy or parse_policy(POLICY.encode(), "policy.toml")
        self.gate: Gate = open_gate(
            self.policy,
            gallery,
            dry_run=True,
            secrets=lambda _: None,
            out=self.out,
            trouble=self.trouble.append,
            clocks=self.time,
        )
        self._source = open_video(path)
        self._frames = self._source.frames()

    def next(self) -> VideoFrame:
        frame = next(self._frames)
        self.time.steady_time = frame.time + 0.05
        return replace(frame, arrived=frame.time)

    def answer(self, place: str, during: object = None) -> Outcome:
        """Asks for a place; `during` is done once half of the film is over."""
        request = replace(make_request(place), at=self.time.wall())
        outcomes = self.gate.controller.ask(request)
        while not outcomes:
            frame = self.next()
            if callable(during) and frame.number == 5:
                during()
            outcomes = self.gate.controller.feed(frame)
        (outcome,) = outcomes
        self._source.close()
        return outcome


def test_grace_gets_where_she_may_within_two_seconds(gallery: Gallery, films: dict[str, Path]) -> None:
    outcome = Door(gallery, films["grace"]).answer("floor")
    assert outcome.ruling.granted
    assert outcome.seconds <= 2.0
    assert [person.name for person in outcome.evidence.people] == ["Grace Hopper"]
    assert outcome.record.subjects == (gallery.store.find("Grace Hopper").uid,)
    assert gallery.store.audit.problems() == []


@pytest.mark.parametrize(
    ("shown", "place", "reason"),
    [
        ("eileen", "floor", Reason.not_allowed),
        ("both", "floor", Reason.several_faces),
        ("nobody", "lobby", Reason.no_face),
        ("grace", "roof", Reason.unknown_place),
        ("grace", "turn", Reason.challenge_failed),
    ],
)
def test_refusals(gallery: Gallery, films: dict[str, Path], shown: str, place: str, reason: Reason) -> None:
    outcome = Door(gallery, films[shown]).answer(place)
    assert (outcome.ruling.granted, outcome.ruling.reason) == (False, reason)
    assert outcome.record.reason == reason


def test_both_where_two_may_stand(gallery: Gallery, films: dict[str, Path]) -> None:
    outcome = Door(gallery, films["both"]).answer("hall")
    assert outcome.ruling.granted
    assert len(outcome.ruling.uids) == 2


def test_a_stranger(gallery: Gallery, films: dict[str, Path]) -> None:
    gallery.remove("Eileen Collins")
    assert Door(gallery, films["eileen"]).answer("lobby").ruling.reason is Reason.unknown_person


@pytest.mark.parametrize("place", ["lobby", "turn"])
def test_removed_while_she_is_looked_at(gallery: Gallery, films: dict[str, Path], place: str) -> None:
    outcome = Door(gallery, films["grace"]).answer(place, lambda: gallery.remove("Grace Hopper"))
    assert not outcome.ruling.granted
    assert outcome.evidence.people == ()
    assert outcome.record.subjects == ()


def test_a_twin(gallery: Gallery, films: dict[str, Path]) -> None:
    """Somebody else is enrolled who looks the same: nobody knows which of the two it is."""
    examples = Path(__file__).parents[3] / "examples"
    (fate,) = gallery.enroll("Her Twin", [examples / "hopper.jpg"])
    assert fate.there
    assert Door(gallery, films["grace"]).answer("floor").ruling.reason is Reason.inconclusive


def test_a_picture_that_stands_still(gallery: Gallery, films: dict[str, Path]) -> None:
    """The camera gives one frame over and over, and says it is new."""
    door = Door(gallery, films["grace"])
    first = door.next()
    door.next = lambda following=door.next: replace(following(), image=first.image)
    assert door.answer("lobby").ruling.reason is Reason.picture_frozen


def test_a_model_file_that_was_changed(
    gallery: Gallery, films: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    weights = tmp_path / "weights.onnx"
    weights.write_bytes(b"as they were")
    monkeypatch.setattr("twinface.app.wiring.weight_files", lambda *_: [weights])
    door = Door(gallery, films["grace"])
    weights.write_bytes(b"as they are")
    outcome = door.answer("floor")
    assert outcome.ruling.reason is Reason.model_tampered
    assert "weights.onnx" in outcome.record.detail


def test_passive_signs_need_time_and_get_it(gallery: Gallery, films: dict[str, Path]) -> None:
    """A portrait that sways is no still picture: the passive signs let it pass, as docs/liveness.md says they do."""
    outcome = Door(gallery, films["grace"]).answer("still")
    assert outcome.ruling.granted, outcome.ruling
    assert outcome.record.liveness == "passive"
    assert 2.0 <= outcome.seconds <= 4.0


def test_actions_say_what_they_would_do(gallery: Gallery, films: dict[str, Path]) -> None:
    text = POLICY.replace("fmr = 1e-3", 'fmr = 1e-3\non_grant = ["light"]\non_refusal = ["light"]', 1)
    policy = parse_policy((text + '[actions.light]\nkind = "light"\n').encode(), "policy.toml")
    granted, refused = Door(gallery, films["grace"], policy), Door(gallery, films["eileen"], policy)
    granted.answer("floor")
    refused.answer("floor")
    assert granted.out.getvalue() == "dry run: light would show green (floor: Access is granted.)\n"
    assert "show red (floor: No rule lets this person in here.)" in refused.out.getvalue()
    assert "Grace" not in granted.out.getvalue()
