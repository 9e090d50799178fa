"""What drives access control: the policy's file, the frames, doors without buttons, and all of it from the shell."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twinface.app.access.demo import NAMES
from twinface.app.access.doorkeeper import Doorkeeper
from twinface.app.access.frames import Newest, Playback
from twinface.app.access.integrity import Integrity
from twinface.app.access.policy_watch import PolicyFile
from twinface.app.access.requests import make_request, read_request
from twinface.app.access.sample_camera import RATE, SampleCamera
from twinface.app.cli.access.run import lines
from twinface.app.gallery import Gallery
from twinface.core.access.evidence import Reason, Ruling
from twinface.core.video import VideoFrame, VideoInfo
from twinface.errors import BadPolicy, BadRequest, ModelTampered, SourceStalled
from twinface.services.access_control import Outcome

Cli = Callable[..., Any]

POLICY = """
zone = "UTC"
[defaults]
liveness = "none"
fmr = 1e-3
patience = 60
freshness = 10
[places.lobby]
[places.floor]
[people]
"Grace Hopper" = {}
"Eileen Collins" = {}
[[allow]]
who = "everyone"
where = "lobby"
[[allow]]
who = "Eileen Collins"
where = "floor"
"""


class TestRequests:
    def test_a_place_or_json(self) -> None:
        assert read_request("floor-7\n").place == "floor-7"
        request = read_request('{"place": "floor-7", "pin": "1234", "card": "04A1"}')
        assert (request.place, request.pin, request.card) == ("floor-7", "1234", "04A1")
        assert "1234" not in repr(request)
        assert "04A1" not in repr(request)
        assert read_request('{"place": "x", "pin": ""}').pin is None

    def test_each_has_its_own_id(self) -> None:
        assert len({make_request("x").id for _ in range(100)}) == 100

    @pytest.mark.parametrize(
        "text", ["", "{", '{"place": 3}', '{"pin": "1234"}', '{"place": "x", "pin": "987654", "y": "z"}', "a\tb"]
    )
    def test_what_is_malformed_is_refused_and_not_repeated(self, text: str) -> None:
        with pytest.raises(BadRequest) as caught:
            read_request(text)
        assert "987654" not in str(caught.value)

    def test_lines_that_are_too_long_or_no_text(self) -> None:
        text = b"lobby\n\n" + b"y" * 100_000 + b" vault\nfloor\n\xff\xfe\nlast"
        found = list(lines(io.BytesIO(text)))
        assert [line for line in found if len(line) < 100] == ["lobby", "floor", "\ufffd\ufffd", "last"]
        (long,) = (line for line in found if len(line) >= 100)
        with pytest.raises(BadRequest, match="at most"):
            read_request(long)


class TestPolicyFile:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "policy.toml"
        path.write_text(POLICY)
        return path

    def test_it_is_read_when_it_changes(self, path: Path) -> None:
        heard = []
        file = PolicyFile(path, heard.append)
        assert file.changed() is None
        path.write_text(POLICY + "# changed\n")
        changed = file.changed()
        assert changed is not None
        assert changed.digest != heard[0].digest
        assert file.changed() is None
        assert heard == [heard[0], changed]

    def test_also_when_another_takes_its_place(self, path: Path) -> None:
        file = PolicyFile(path)
        other = path.with_suffix(".new")
        other.write_text(POLICY)
        other.replace(path)
        assert file.changed() is not None

    @pytest.mark.parametrize("spoil", [lambda path: path.write_text("zone = "), Path.unlink])
    def test_a_bad_one_is_told_once_and_a_mended_one_is_read(self, path: Path, spoil: Callable[[Path], object]) -> None:
        file = PolicyFile(path)
        spoil(path)
        with pytest.raises(BadPolicy):
            file.changed()
        assert file.changed() is None
        path.write_text(POLICY)
        assert file.changed() is not None


class Films:
    """A source of frames, each of which is its number."""

    def __init__(self, times: list[float], live: bool = False, error: Exception | None = None) -> None:
        self.info = VideoInfo("film", live, 4, 4, None, None)
        self._times, self._error = times, error
        self.closed = threading.Event()

    def frames(self) -> Iterator[VideoFrame]:
        for number, at in enumerate(self._times):
            yield VideoFrame(np.full((4, 4, 3), number, np.uint8), at, number, 0.0)
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        self.closed.set()


class TestFrames:
    def test_a_file_is_played_at_its_own_pace_and_stamped(self) -> None:
        began = time.monotonic()
        frames = list(Playback(Films([0.0, 0.1, 0.2])).frames())
        assert [frame.number for frame in frames] == [0, 1, 2]
        assert all(frame.arrived - began >= frame.time for frame in frames)

    def test_the_newest_is_taken_once(self) -> None:
        newest = Newest(Films([0.0, 0.1, 0.2]))
        while not newest._ended:
            time.sleep(0.01)
        assert newest.take(0).number == 2
        assert newest.take(0) is None
        assert newest.ended
        assert newest.error is None
        newest.close()

    def test_how_it_ended_is_told(self) -> None:
        error = SourceStalled("no frame came")
        newest = Newest(Films([], error=error))
        assert newest.take(10) is None
        assert newest.error is error
        live = Newest(Films([0.0], live=True))
        while not live.ended:
            live.take(0.1)
        assert isinstance(live.error, SourceStalled)


class TestIntegrity:
    def test_a_changed_or_missing_file_is_told(self, tmp_path: Path) -> None:
        file = tmp_path / "weights.onnx"
        file.write_bytes(b"as they were")
        integrity = Integrity([file])
        integrity.check()
        file.write_bytes(b"as they are!")
        with pytest.raises(ModelTampered, match=r"weights\.onnx: was changed"):
            integrity.check()
        file.unlink()
        with pytest.raises(ModelTampered, match="cannot be read"):
            integrity.check()


class TestDoorkeeper:
    """Looks at a frame every 0.4 s; `there` says who stands before the camera."""

    def run(self, there: Callable[[float], bool], granted: bool, seconds: float = 20.0) -> list[float]:
        """Times of the requests; each is answered half a second later."""
        times: list[float] = []
        answer: tuple[float, Outcome] | None = None
        keeper = Doorkeeper("door", lambda frame: there(frame.time))
        for step in range(round(10 * seconds)):
            now = step / 10
            frame = VideoFrame(np.zeros((2, 2, 3), np.uint8), now, step, now)
            if answer is not None and now >= answer[0]:
                keeper.told(answer[1], now)
                answer = None
            request = keeper.look(frame, now)
            if request is not None:
                assert request.place == "door"
                reason = Reason.granted if granted else Reason.unknown_person
                answer = now + 0.5, Outcome(request, Ruling(granted, reason, "door"), None, None, 0.5)
                times.append(now)
        return times

    def test_nobody_asks(self) -> None:
        assert self.run(lambda now: False, granted=True) == []

    def test_who_was_let_in_is_not_asked_again_until_gone(self) -> None:
        assert len(self.run(lambda now: True, granted=True)) == 1
        assert len(self.run(lambda now: not 5 <= now < 8, granted=True)) == 2

    def test_a_glance_away_is_no_leaving(self) -> None:
        assert len(self.run(lambda now: not 5 <= now < 6, granted=True)) == 1

    def test_who_was_refused_may_try_again_after_a_while(self) -> None:
        times = self.run(lambda now: True, granted=False)
        assert len(times) > 2
        assert min(after - before for before, after in pairwise(times)) >= Doorkeeper.AGAIN


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes of Grace: longer than any test takes."""
    av = pytest.importorskip("av")
    path = tmp_path_factory.mktemp("film") / "grace.mp4"
    camera = SampleCamera()
    camera.show(["hopper"])
    pictures = [camera.picture(number / RATE) for number in range(45)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=int(RATE), options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for number in range(round(RATE) * 120):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pictures[number % 45], format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "policy.toml").write_text(POLICY)
    camera = SampleCamera()
    with Gallery.open(tmp_path / "people.db") as gallery:
        for portrait, name in NAMES.items():
            camera.show([portrait])
            gallery.enroll(name, [camera.picture(0.0)])
    return tmp_path


@contextmanager
def started(place: Path, film: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """`twinface access run`, ended at the end whatever happens."""
    process = subprocess.Popen(
        [
            sys.executable, "-m", "twinface", "access", "run", "--policy", str(place / "policy.toml"),
            "--gallery", str(place / "people.db"), "--source", str(film), "--json", *words,
        ],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell may have it ignored
    )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            process.kill()


class TestFromTheShell:
    @pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
    def test_a_signal_ends_it_in_good_order(self, place: Path, film: Path, name: str, cli: Cli) -> None:
        if not hasattr(signal, name):
            pytest.skip(f"there is no {name} here")
        with started(place, film, "--stdin") as running:
            running.stdin.write("lobby\n")
            running.stdin.flush()
            assert json.loads(running.stdout.readline())["decision"] == "grant"
            running.send_signal(getattr(signal, name))
            assert running.wait(60) == (130 if name == "SIGINT" else 0)
        shown = cli("access", "audit", "show", "--gallery", place / "people.db", "--json")
        assert json.loads(shown.out.splitlines()[-1])["kind"] == "stop"

    def test_requests_on_stdin(self, place: Path, film: Path, cli: Cli) -> None:
        with started(place, film, "--stdin") as running:
            out, err = running.communicate('lobby\nfloor\nroof\n{"place": 3}\n', timeout=300)
        answers = {row["place"]: row for row in map(json.loads, out.splitlines())}
        assert running.returncode == 0, err
        assert answers["lobby"]["decision"] == "grant"
        assert answers["lobby"]["person"] == "Grace Hopper"
        assert (answers["floor"]["decision"], answers["floor"]["reason"]) == ("refuse", "not_allowed")
        assert answers["roof"]["reason"] == "unknown_place"
        assert "place of a request must be text" in err

        shown = cli("access", "audit", "show", "--gallery", place / "people.db", "--json")
        kinds = [json.loads(line)["kind"] for line in shown.out.splitlines()]
        assert sorted(kinds) == ["request", "request", "request", "start", "stop"]
        assert cli("access", "audit", "verify", "--gallery", place / "people.db").status == 0
        number = str(answers["floor"]["record"])
        told = cli("access", "explain", number, "--gallery", place / "people.db", "--policy", place / "policy.toml")
        assert told.status == 0
        assert "No rule lets this person in here" in told.out
        assert "Grace Hopper" in told.out
        assert "this one" in told.out
        assert cli("access", "explain", answers["floor"]["request"], "-g", place / "people.db").status == 0
        assert cli("access", "explain", "999", "-g", place / "people.db").status == 2

    def test_a_policy_that_is_spoilt_and_mended_while_it_runs(self, place: Path, film: Path) -> None:
        with started(place, film, "--stdin") as running:

            def ask() -> dict[str, Any]:
                running.stdin.write("lobby\n")
                running.stdin.flush()
                return json.loads(running.stdout.readline())

            def wait_for(words: str) -> None:
                while words not in (line := running.stderr.readline()):
                    assert line, "it has ended"

            assert ask()["decision"] == "grant"
            (place / "policy.toml").write_text("zone = ")
            wait_for("everybody is refused until the policy is mended")
            assert ask()["reason"] == "policy_invalid"
            (place / "policy.toml").write_text(POLICY)
            wait_for("the new policy is in force")
            assert ask()["decision"] == "grant"
            (place / "policy.toml").write_text(POLICY.replace('who = "everyone"', 'who = "Eileen Collins"'))
            wait_for("the new policy is in force")
            assert ask()["reason"] == "not_allowed"
            running.stdin.close()
            assert running.wait(60) == 0

    @pytest.mark.parametrize(
        ("words", "problem"),
        [
            (["--place", "roof"], "the policy has no such place; it has lobby, floor"),
            ([], "one of --place, --request-port and --stdin"),
            (["--stdin", "--place", "lobby"], "one of --place, --request-port and --stdin"),
            (["--stdin", "--zone", "1,2,3"], "expected left,top,right,bottom"),
            (["--stdin", "--zone", "0.5,0,0.4,1"], "must be less than"),
            (["--stdin", "--source", "/no/such/film.mp4"], "film.mp4"),
            (["--stdin", "--policy", "/no/such/policy.toml"], "policy.toml: cannot be read"),
            (["--stdin", "--gallery", "/no/such/people.db"], "people.db"),
        ],
    )
    def test_what_cannot_be(self, cli: Cli, place: Path, film: Path, words: list[str], problem: str) -> None:
        usual = {
            "--policy": str(place / "policy.toml"),
            "--gallery": str(place / "people.db"),
            "--source": str(film),
        }
        given = [part for name, value in usual.items() if name not in words for part in (name, value)]
        done = cli("access", "run", *given, *words)
        assert done.status == 2
        assert problem in done.err
        assert "Traceback" not in done.err


def test_times_in_answers_are_of_now() -> None:
    before = datetime.now(UTC)
    assert before <= make_request("x").at <= datetime.now(UTC)


def test_several_problems_of_a_policy_are_one_line(cli: Cli, place: Path, film: Path) -> None:
    (place / "policy.toml").write_text(POLICY.replace("fmr = 1e-3", "fmr = 2\nfmt = 3"))
    given = ["--policy", place / "policy.toml", "--gallery", place / "people.db", "--source", film, "--stdin"]
    done = cli("access", "run", *given)
    assert done.status == 2
    assert "policy.toml:5: defaults.fmr" in done.err
    assert "(and 1 more: see twinface access check)" in done.err
