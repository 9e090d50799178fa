"""`twinface watch`, as its users type it: on videos made here, in which somebody comes and goes at known times."""

from __future__ import annotations

import base64
import json
import os
import shlex
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as Pictures

from twinface.core.types import Image
from twinface.core.video import VideoFrame, VideoInfo
from twinface.errors import SourceStalled

av = pytest.importorskip("av", reason="PyAV is not installed")

Cli = Callable[..., Any]
RATE = 10
WIDTH, HEIGHT, SIDE = 640, 480, 240

COLLINS, HOPPER = (1.0, 3.0), (2.0, 6.0)
"""Seconds from which until before which each is in the film."""

END = 6.5


@dataclass(frozen=True)
class Spot:
    """A photo that moves to and fro in a film."""

    photo: Path
    span: tuple[float, float]
    left: int

    def put(self, picture: Image, time: float) -> None:
        if self.span[0] <= time < self.span[1]:
            left = self.left + round(20 * np.sin(time))
            picture[120 : 120 + SIDE, left : left + SIDE] = small(self.photo)


@cache
def small(photo: Path) -> Image:
    return np.asarray(Pictures.open(photo).convert("RGB").resize((SIDE, SIDE)))


def picture_at(spots: Sequence[Spot], time: float) -> Image:
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for spot in spots:
        spot.put(picture, time)
    return picture


def write_film(path: Path, spots: Sequence[Spot], end: float) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH, HEIGHT, "yuv420p", 4_000_000
        for number in range(round(end * RATE)):
            frame = av.VideoFrame.from_ndarray(picture_at(spots, number / RATE), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def spots(examples: Path) -> list[Spot]:
    return [Spot(examples / "collins.jpg", COLLINS, 40), Spot(examples / "hopper.jpg", HOPPER, 360)]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    examples = Path(__file__).parents[2] / "examples"
    return write_film(tmp_path_factory.mktemp("film") / "film.mp4", spots(examples), END)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that is not through before it is interrupted."""
    examples = Path(__file__).parents[2] / "examples"
    spot = Spot(examples / "collins.jpg", (0, 999), 40)
    return write_film(tmp_path_factory.mktemp("long") / "long.mp4", [spot], 60)


@pytest.fixture
def friends(cli: Cli, examples: Path, tmp_path: Path) -> Path:
    """A gallery that knows one of the two."""
    path = tmp_path / "people.db"
    assert cli("enroll", examples / "collins_reshoot.jpg", "--name", "Eileen", "-g", path).status == 0
    return path


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def decoded(path: Path) -> tuple[list[Any], float]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0)), container.duration / av.time_base


class TestGalleryOfFriends:
    def test_everything_at_once(self, cli: Cli, film: Path, friends: Path, tmp_path: Path) -> None:
        log, recorded = tmp_path / "events.jsonl", tmp_path / "seen.mp4"
        done = cli(
            "watch", film, "-g", friends, "--json", "--events", log, "--record", recorded, "--thumbnails", "--headless",
            "--absence", "1.5",
        )  # fmt: skip

        assert (done.status, done.err) == (0, "")
        assert log.read_text() == done.out
        assert stat.S_IMODE(log.stat().st_mode) == stat.S_IMODE(recorded.stat().st_mode) == 0o600
        came, stranger, left = lines(done.out)
        assert [one["event"] for one in (came, stranger, left)] == ["appeared", "unknown", "left"]
        assert [one["name"] for one in (came, stranger, left)] == ["Eileen", None, "Eileen"]
        assert came["time"] == pytest.approx(COLLINS[0] + 0.6, abs=0.6)
        assert came["first_seen"] == pytest.approx(COLLINS[0], abs=0.25)
        assert stranger["time"] == pytest.approx(HOPPER[0] + 1.5, abs=1.0)
        assert left["last_seen"] == pytest.approx(COLLINS[1] - 0.1, abs=0.25)
        assert left["time"] == pytest.approx(COLLINS[1] + 1.4, abs=0.35)
        assert came["probability"] > 0.99
        assert came["distance"] < 0.5
        assert came["frame"] == [WIDTH, HEIGHT]
        assert came["box"][0] < WIDTH / 2 < stranger["box"][0]
        assert stranger["probability"] is stranger["subject"] is None
        assert Pictures.open(BytesIO(base64.b64decode(came["thumbnail"]))).format == "JPEG"

        frames, duration = decoded(recorded)
        assert duration == pytest.approx(END, abs=0.15)
        assert [frame.time for frame in frames] == pytest.approx([n / RATE for n in range(round(END * RATE))], abs=1e-3)
        given, _ = decoded(film)
        marked = [
            np.abs(one.to_ndarray(format="rgb24").astype(int) - two.to_ndarray(format="rgb24")).mean()
            for one, two in zip(frames, given, strict=True)
        ]
        assert marked[25] > 2 * marked[5]  # boxes and names are there, and none where nobody is

    def test_lines_for_people(self, cli: Cli, film: Path, friends: Path) -> None:
        done = cli("watch", film, "-g", friends, "--absence", "1")
        assert (done.status, done.err) == (0, "")
        came, stranger, left = done.out.splitlines()
        assert came.split()[:3] == ["0:01", "Eileen", "appeared"]
        assert came.endswith("%")
        assert stranger.endswith("somebody unknown")
        assert left.split() == ["0:03", "Eileen", "left"] or left.split() == ["0:04", "Eileen", "left"]

    def test_events_are_added_to_a_log(self, cli: Cli, film: Path, friends: Path, tmp_path: Path) -> None:
        log = tmp_path / "events.jsonl"
        log.write_text('{"event": "of before"}\n')
        log.chmod(0o640)
        cli("watch", film, "-g", friends, "--events", log, "--seconds", "2")
        assert [one["event"] for one in lines(log.read_text())] == ["of before", "appeared"]
        assert stat.S_IMODE(log.stat().st_mode) == 0o640

    def test_a_folder_of_pictures(self, cli: Cli, friends: Path, examples: Path, tmp_path: Path) -> None:
        folder = tmp_path / "pictures"
        folder.mkdir()
        for number in range(40):
            Pictures.fromarray(picture_at([Spot(examples / "collins.jpg", (0, 99), 40)], number / 25)).save(
                folder / f"{number}.png"
            )
        done = cli("watch", folder, "-g", friends, "--json")
        assert [one["name"] for one in lines(done.out)] == ["Eileen"]

    def test_a_command_is_run_when_somebody_known_appears(
        self, cli: Cli, film: Path, friends: Path, tmp_path: Path, scrubbed: pytest.MonkeyPatch
    ) -> None:
        scrubbed.setenv("TWINFACE_PASSPHRASE", "not for others")
        done = cli("watch", film, "-g", friends, "--exec", tattler(tmp_path / "told"))
        assert done.status == 0
        (heard,) = lines((tmp_path / "told").read_text())
        assert heard["stdin"]["name"] == heard["variables"]["TWINFACE_NAME"] == "Eileen"
        assert heard["variables"]["TWINFACE_EVENT"] == "appeared"
        assert len(heard["variables"]["TWINFACE_BOX"].split()) == 4
        assert "TWINFACE_PASSPHRASE" not in heard["variables"]


def tattler(path: Path) -> str:
    """A command that writes down what it hears."""
    program = (
        "import json, os, sys; heard = {'stdin': json.load(sys.stdin), 'variables': "
        "{k: v for k, v in os.environ.items() if k.startswith('TWINFACE_')}, 'words': sys.argv[2:]}; "
        "open(sys.argv[1], 'a').write(json.dumps(heard) + chr(10))"
    )
    return shlex.join([sys.executable, "-c", program, str(path), "$HOME; false"])


class TestOnePerson:
    def test_the_first_sight_ends_it(self, cli: Cli, film: Path, examples: Path) -> None:
        done = cli("watch", film, "--for", examples / "collins_reshoot.jpg", "--json")
        assert (done.status, done.err) == (0, "")
        (sight,) = lines(done.out)
        assert (sight["event"], sight["name"]) == ("appeared", "collins_reshoot.jpg")
        assert sight["time"] == pytest.approx(COLLINS[0] + 0.6, abs=0.6)

    def test_who_is_not_there(self, cli: Cli, film: Path, examples: Path) -> None:
        done = cli("watch", film, "--for", examples / "hopper_reshoot.jpg", "--seconds", "2")
        assert (done.status, done.out, done.err) == (1, "", "")

    def test_with_a_command_it_goes_on(self, cli: Cli, film: Path, examples: Path, tmp_path: Path) -> None:
        command = tattler(tmp_path / "told")
        photo = examples / "hopper_reshoot.jpg"
        done = cli("watch", film, "--for", photo, "--for", examples / "hopper.jpg", "--exec", command, "--json")
        assert done.status == 0
        assert [one["event"] for one in lines(done.out)] == ["appeared"]
        (heard,) = lines((tmp_path / "told").read_text())
        assert heard["stdin"] == lines(done.out)[0]
        assert heard["words"] == ["$HOME; false"]  # no shell has seen it

    def test_a_photo_without_a_face(self, cli: Cli, film: Path, tmp_path: Path) -> None:
        Pictures.new("RGB", (300, 300)).save(tmp_path / "black.png")
        cli("watch", film, "--for", tmp_path / "black.png").refuses("black.png")


class Live:
    """A live source of the test's own."""

    def __init__(self, pictures: Sequence[Image], *, late: float = 0.0, ends: Exception | None = None) -> None:
        self.info = VideoInfo("rtsp://***@camera/1", True, WIDTH, HEIGHT, None, None, ("times the stream was lost: 2",))
        self.closed = False
        self._pictures, self._late, self._ends = pictures, late, ends

    def frames(self) -> Iterator[VideoFrame]:
        for number, picture in enumerate(self._pictures):
            if self.closed:
                return
            yield VideoFrame(picture, number / RATE, number, time.monotonic() - self._late)
        if self._ends is not None:
            raise self._ends

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class TestLive:
    @pytest.fixture
    def pictures(self, examples: Path) -> list[Image]:
        spot = Spot(examples / "collins.jpg", (0, 99), 40)
        return [picture_at([spot], number / RATE) for number in range(20)]

    def test_the_time_of_day_is_told(
        self, cli: Cli, friends: Path, pictures: list[Image], scrubbed: pytest.MonkeyPatch
    ) -> None:
        live = Live(pictures)
        scrubbed.setattr("twinface.vision.video.source.open_video", lambda *_: live)
        done = cli("watch", "rtsp://me:secret@camera/1", "-g", friends)
        (line,) = done.out.splitlines()
        when, *words = line.split()
        assert len(when) == 8
        assert words[:2] == ["Eileen", "appeared"]
        assert done.err == "twinface: rtsp://***@camera/1: times the stream was lost: 2\n"
        assert live.closed

    def test_what_comes_too_late_decides_nothing(
        self, cli: Cli, friends: Path, pictures: list[Image], scrubbed: pytest.MonkeyPatch
    ) -> None:
        scrubbed.setattr("twinface.vision.video.source.open_video", lambda *_: Live(pictures, late=1.5))
        done = cli("watch", "0", "-g", friends)
        assert (done.status, done.out) == (0, "")
        assert "20 frames came too late" in done.err

    def test_a_source_that_stalls(
        self, cli: Cli, friends: Path, pictures: list[Image], scrubbed: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        live = Live(pictures, ends=SourceStalled("rtsp://***@camera/1: no frame came for 10 s; check the network"))
        scrubbed.setattr("twinface.vision.video.source.open_video", lambda *_: live)
        done = cli("watch", "0", "-g", friends, "--record", tmp_path / "seen.mp4")
        assert done.status == 2
        assert done.err.splitlines()[-1].startswith("twinface: rtsp://***@camera/1: no frame came")
        assert len(decoded(tmp_path / "seen.mp4")[0]) == len(pictures)

    def test_the_time_given_is_kept_even_if_no_frame_comes(
        self, cli: Cli, friends: Path, scrubbed: pytest.MonkeyPatch
    ) -> None:
        import threading

        class Silent(Live):
            def __init__(self) -> None:
                super().__init__([])
                self.end = threading.Event()

            def frames(self) -> Iterator[VideoFrame]:
                self.end.wait(60)
                yield from ()

            def close(self) -> None:
                self.end.set()

        scrubbed.setattr("twinface.vision.video.source.open_video", lambda *_: Silent())
        assert cli("watch", "0", "-g", friends, "--seconds", "0.05").status == 0


class TestWindow:
    def test_an_opencv_without_windows(self, cli: Cli, film: Path, scrubbed: pytest.MonkeyPatch) -> None:
        scrubbed.setenv("DISPLAY", ":9")

        def refuse(*_: object) -> None:
            raise cv2.error("The function is not implemented")

        scrubbed.setattr(cv2, "namedWindow", refuse)
        cli("watch", film, "-g", "nowhere.db", "--show").refuses("install opencv-python", "--headless")

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there is a screen always")
    def test_no_screen(self, cli: Cli, film: Path, scrubbed: pytest.MonkeyPatch) -> None:
        for name in ("DISPLAY", "WAYLAND_DISPLAY"):
            scrubbed.delenv(name, raising=False)
        cli("watch", film, "-g", "nowhere.db", "--show").refuses("no screen", "--headless")

    @pytest.mark.parametrize("key", [ord("q"), 27, 255])
    def test_a_window(self, cli: Cli, film: Path, friends: Path, scrubbed: pytest.MonkeyPatch, key: int) -> None:
        scrubbed.setenv("DISPLAY", ":9")
        shown: list[Image] = []
        ended: list[str] = []
        scrubbed.setattr(cv2, "namedWindow", lambda *_: None)
        scrubbed.setattr(cv2, "imshow", lambda title, picture: shown.append(picture))
        scrubbed.setattr(cv2, "waitKey", lambda wait: key if len(shown) == 3 else -1)
        scrubbed.setattr(cv2, "getWindowProperty", lambda *_: 1.0 if len(shown) < 5 else 0.0)
        scrubbed.setattr(cv2, "destroyWindow", ended.append)
        assert cli("watch", film, "-g", friends, "--show").status == 0
        assert len(shown) == (5 if key == 255 else 3)
        assert shown[0].shape == (HEIGHT, WIDTH, 3)
        assert ended == ["twinface watch"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_ends_cleanly_when_it_is_told_to(
    friends: Path, long: Path, tmp_path: Path, number: int, status: int
) -> None:
    words = [
        sys.executable,
        "-m",
        "twinface",
        "watch",
        *map(str, (long, "-g", friends, "--record", tmp_path / "seen.mp4")),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TWINFACE_")}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored, and so the child
    try:
        child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    finally:
        signal.signal(signal.SIGINT, before)
    assert child.stdout is not None
    assert "Eileen appeared" in child.stdout.readline()
    child.send_signal(number)
    _, err = child.communicate(timeout=60)

    assert child.returncode == status
    assert err == ("twinface: interrupted\n" if status == 130 else "")
    frames, _ = decoded(tmp_path / "seen.mp4")
    assert 0 < len(frames) < 600


class TestWrongUsage:
    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--for", "a.jpg", "--gallery", "g.db"], "one of them"),
            (["--model", "twin-r29"], "--model belongs to --for"),
            (["--seconds", "0"], "--seconds must be positive"),
            (["--seconds", "nan"], "--seconds must be positive"),
            (["--record", "seen.gif"], ".mp4"),
            (["--record", "nowhere/seen.mp4"], "there is no folder"),
            (["--events", "nowhere/events.jsonl"], "there is no folder"),
            (["--events", "seen.mp4", "--record", "seen.mp4"], "one file"),
            (["--exec", "no-such-program --at-all"], "there is no program no-such-program"),
            (["--exec", "'open quote"], "check its quotes"),
            (["--exec", ""], "there is no program"),
            (["--confirm", "0"], "--confirm"),
            (["--rate", "0"], "--rate"),
            (["--rate", "inf"], "--rate must be a finite number"),
            (["--cooldown", "inf"], "--cooldown must be a finite number"),
            (["--absence", "nan"], "--absence"),
            (["--gallery", "nowhere.db"], "nowhere.db"),
        ],
    )
    def test_is_refused_before_anything_starts(
        self, cli: Cli, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        cli("watch", film, *words).refuses(said)
        assert not list(tmp_path.iterdir())

    def test_nothing_is_recorded_over(self, cli: Cli, film: Path) -> None:
        before = film.read_bytes()
        cli("watch", film, "--record", film).refuses("is there already")
        cli("watch", film, "--events", film).refuses("is the video watched")
        assert film.read_bytes() == before

    def test_events_are_added_to_events_only(self, cli: Cli, film: Path, friends: Path, tmp_path: Path) -> None:
        before = friends.read_bytes()
        cli("watch", film, "-g", friends, "--events", friends).refuses("holds no events")
        assert friends.read_bytes() == before
        for _ in range(2):
            cli("watch", film, "-g", friends, "--events", tmp_path / "e.jsonl")
        told = [line["event"] for line in lines((tmp_path / "e.jsonl").read_text())]
        assert told == 2 * told[: len(told) // 2] != []

    @pytest.mark.parametrize("fpir", ["0", "1.5", "nan"])
    def test_a_rate_that_cannot_be(self, cli: Cli, film: Path, friends: Path, fpir: str) -> None:
        cli("watch", film, "-g", friends, "--fpir", fpir, "--seconds", "0.5").refuses("FPIR")  # nobody is there yet

    def test_a_source_that_is_not_there_leaves_no_files(
        self, cli: Cli, friends: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = sorted(tmp_path.iterdir())
        out = ("--record", tmp_path / "seen.mp4", "--events", tmp_path / "events.jsonl")
        cli("watch", tmp_path / "nowhere.mp4", "-g", friends, *out).refuses("nowhere.mp4")
        cli("watch", "http://me:sesame@127.0.0.1:9/", "-g", friends, *out).refuses("http://***@127.0.0.1:9")
        assert sorted(tmp_path.iterdir()) == before
