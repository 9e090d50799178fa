"""Frames of video files that are real and of cameras that are not: order, times, errors, nothing left behind."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from itertools import chain, count, cycle, pairwise, repeat
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from twinface.core.types import Image
from twinface.errors import SourceStalled, SourceUnavailable
from twinface.vision import camera, capture
from twinface.vision.camera import Frame, frames
from twinface.vision.sources import DecodeLimits

RATE = 10.0
OPENCV = cv2.VideoCapture
LONG = 60.0
"""Seconds; only a hang takes so long."""


def film(path: Path, pictures: list[Image], rate: float = RATE) -> Path:
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, (width, height))
    for picture in pictures:
        writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def grey(number: int) -> Image:
    return np.full((48, 64, 3), 10 * number, np.uint8)


def numbers(given: Iterator[Frame]) -> list[int]:
    return [round(float(frame.image.mean()) / 10) for frame in given]


class Real:
    """A capture of OpenCV's, whose methods may be replaced; OpenCV's own class cannot be inherited from."""

    def __init__(self, *what: Any) -> None:
        self.inner = OPENCV(*what)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@pytest.fixture
def twenty(tmp_path: Path) -> Path:
    return film(tmp_path / "twenty.avi", [grey(number) for number in range(20)])


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Every test ends without a reading thread, and with OpenCV as talkative as before."""
    before = cv2.utils.logging.getLogLevel()
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("twinface reads"):
            thread.join(LONG)
            assert not thread.is_alive()
    assert cv2.utils.logging.getLogLevel() == before


def refusal(source: str | Path | int, **options: Any) -> str:
    with pytest.raises(SourceUnavailable) as caught:
        list(frames(source, seconds=5, **options))
    message = str(caught.value)
    assert message.isprintable()
    return message


# files


def test_a_file_gives_every_frame_in_its_order(twenty: Path) -> None:
    given = list(frames(twenty, seconds=LONG))

    assert numbers(iter(given)) == list(range(20))
    assert [frame.time for frame in given] == pytest.approx([number / RATE for number in range(20)])


def test_frames_are_rgb_and_cannot_be_written_to(tmp_path: Path, examples: Path) -> None:
    picture = cv2.cvtColor(np.asarray(cv2.imread(str(examples / "collins.jpg"))), cv2.COLOR_BGR2RGB)
    (frame,) = frames(str(film(tmp_path / "one.avi", [picture])), seconds=1)

    assert frame.image.dtype == np.uint8
    assert np.abs(frame.image.astype(int) - picture).mean() < 8
    assert not frame.image.flags.writeable


def test_a_recording_ends_after_its_seconds(twenty: Path) -> None:
    assert numbers(frames(twenty, seconds=0.5)) == [0, 1, 2, 3, 4]
    assert len(list(frames(twenty, seconds=float("inf")))) == 20


def test_a_recording_ends_after_its_frames(twenty: Path) -> None:
    assert numbers(frames(twenty, seconds=LONG, limit=3)) == [0, 1, 2]


def test_a_file_that_does_not_know_its_times_is_given_some(twenty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Timeless(Real):
        def get(self, what: int) -> float:
            return 0.0 if what in (cv2.CAP_PROP_POS_MSEC, cv2.CAP_PROP_FPS) else self.inner.get(what)

    monkeypatch.setattr(cv2, "VideoCapture", Timeless)
    times = [frame.time for frame in frames(twenty, seconds=LONG)]

    assert times == pytest.approx([number / 25 for number in range(20)])


def test_a_truncated_video_gives_its_whole_frames(twenty: Path, tmp_path: Path) -> None:
    content = twenty.read_bytes()
    (tmp_path / "half.avi").write_bytes(content[: (content.index(b"movi") + len(content)) // 2])

    given = numbers(frames(tmp_path / "half.avi", seconds=LONG))
    assert 5 <= len(given) <= 15
    assert given[:-1] == list(range(len(given)))[:-1]


def test_a_video_cut_within_its_header_is_refused(twenty: Path, tmp_path: Path) -> None:
    (tmp_path / "head.avi").write_bytes(twenty.read_bytes()[:300])
    assert "get an intact copy" in refusal(tmp_path / "head.avi")


def test_a_video_without_frames_is_refused(tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "none.avi"), cv2.VideoWriter.fourcc(*"MJPG"), RATE, (64, 48))
    writer.release()
    assert "not a video, damaged" in refusal(tmp_path / "none.avi")


@pytest.mark.parametrize("name", ["notes.avi", "notes.txt"])
def test_a_text_is_no_video_whatever_its_ending(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("Dear diary,\n" * 200)
    assert "not a video" in refusal(tmp_path / name)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.avi").touch()
    assert "empty.avi: empty, there is nothing to play" in refusal(tmp_path / "empty.avi")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert "is a directory; name a video file" in refusal(tmp_path)


def test_a_pipe_is_refused_unopened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.avi")
    assert "not a regular file" in refusal(tmp_path / "pipe.avi")


@pytest.mark.parametrize("name", ["gone.avi", "gone/with/the.avi", "two\nlines.avi", "zero\0byte.avi"], ids=ascii)
def test_a_missing_file_is_told(tmp_path: Path, name: str) -> None:
    assert "check the path" in refusal(tmp_path / name)


def test_a_file_that_may_not_be_read_is_told(twenty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may read everything
    assert "permission denied; make it readable" in refusal(twenty)


def test_a_name_that_is_no_text_is_told(twenty: Path) -> None:
    strange = twenty.rename(twenty.with_name(os.fsdecode(b"\xff.avi")))
    assert "its name is no Unicode text; rename it" in refusal(strange)


def test_a_name_of_any_script_is_read(twenty: Path) -> None:
    assert len(list(frames(twenty.rename(twenty.with_name("فيلم 影片 %02d.avi")), seconds=LONG))) == 20


def test_streams_of_the_network_are_refused() -> None:
    assert "reads no network streams" in refusal("rtsp://example.org/door")


def test_frames_beyond_the_limit_of_pixels_are_refused(twenty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "DEFAULT_LIMITS", DecodeLimits(max_pixels=64 * 48 - 1))
    assert "frames of 64 x 48, more pixels than the limit of 3,071" in refusal(twenty)


def test_what_opencv_raises_is_translated(twenty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Torn(Real):
        def read(self) -> tuple[bool, Image]:
            raise cv2.error("OpenCV(5)\n out of memory")

    monkeypatch.setattr(cv2, "VideoCapture", Torn)
    assert "cannot be read (OpenCV(5) out of memory)" in refusal(twenty)


def test_an_error_of_our_own_comes_through_whole(twenty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(pixels: object) -> Image:
        raise MemoryError

    monkeypatch.setattr(capture, "_rgb", broken)
    with pytest.raises(MemoryError):
        list(frames(twenty, seconds=LONG))


@pytest.mark.parametrize("options", [{"seconds": 0}, {"seconds": float("nan")}, {"seconds": 1, "limit": 0},
                                     {"seconds": 1, "patience": -1}])  # fmt: skip
def test_what_is_not_positive_is_refused(twenty: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        frames(twenty, **options)


def test_a_refusal_comes_at_once_and_not_with_the_first_frame(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable):
        frames(tmp_path / "gone.avi", seconds=1)


def test_a_closed_recording_releases_the_file(twenty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    class Watched(Real):
        def release(self) -> None:
            self.inner.release()
            released.set()

    monkeypatch.setattr(cv2, "VideoCapture", Watched)
    recording = frames(twenty, seconds=LONG)
    next(recording)
    assert not released.is_set()  # the reader waits with its queue full
    recording.close()

    assert released.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("twinface reads")]


def test_an_unused_recording_opens_nothing(twenty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", None)
    frames(twenty, seconds=LONG).close()


# cameras


class Webcam:
    """A camera made up: `script` gives for every read a picture, None for nothing, or waits."""

    def __init__(self, script: Iterator[Image | None], opens: bool = True) -> None:
        self.script, self.opens = script, opens
        self.released = threading.Event()
        self.opened: list[object] = []

    def __call__(self, target: object, backend: int) -> Webcam:
        self.opened.append(target)
        return self

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.opens

    def get(self, what: int) -> float:
        return 0.0

    def read(self) -> tuple[bool, Image | None]:
        picture = next(self.script)
        return picture is not None, picture

    def release(self) -> None:
        self.released.set()


@pytest.fixture
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for /dev, with three cameras in it."""
    for number in (0, 2, 10):
        (tmp_path / f"video{number}").touch()
    (tmp_path / "videocard").touch()
    monkeypatch.setattr(camera, "DEVICES", tmp_path)
    monkeypatch.setattr("sys.platform", "linux")
    return tmp_path


@pytest.fixture
def plug(devices: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Webcam]:
    def connect(script: Iterator[Image | None], opens: bool = True) -> Webcam:
        webcam = Webcam(script, opens)
        monkeypatch.setattr(cv2, "VideoCapture", webcam)
        return webcam

    return connect


@pytest.mark.parametrize("source", [0, "0"])
def test_a_camera_is_recorded_for_its_seconds(
    plug: Callable[..., Webcam], monkeypatch: pytest.MonkeyPatch, source: int | str
) -> None:
    webcam = plug(grey(number % 20) for number in count())
    monkeypatch.setattr(capture, "_Clock", Ticks)

    times = [frame.time for frame in frames(source, seconds=3)]
    assert times == sorted(set(times))
    assert all(0 <= time < 3 for time in times)
    assert webcam.opened == [0]
    assert webcam.released.is_set()


class Ticks:
    """A clock by which every frame comes half a second after the last."""

    def __init__(self, capture: object) -> None:
        self._times = count(0, 0.5)

    def now(self) -> float:
        return next(self._times)


def test_a_camera_gives_its_newest_frame(plug: Callable[..., Webcam]) -> None:
    """Nothing is taken until ten frames were read; the first nine are dropped."""
    ten_read, go_on = threading.Event(), threading.Event()

    def script() -> Iterator[Image]:
        for number in range(10):
            yield grey(number)
        ten_read.set()
        go_on.wait(LONG)
        yield from (grey(20) for _ in count())

    plug(script())
    reader = capture.Reader("camera 2", 2)
    reader.start()
    assert ten_read.wait(LONG)
    frame = reader.next(LONG)
    assert frame is not None
    assert numbers(iter([frame])) == [9]
    go_on.set()
    reader.close(LONG)


def test_a_dropped_frame_is_no_end(plug: Callable[..., Webcam], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "PAUSE", 0)
    plug(cycle([None, None, grey(3)]))

    assert len(list(frames(0, seconds=LONG, limit=2))) == 2


def test_a_camera_without_frames_has_stalled(plug: Callable[..., Webcam], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "PAUSE", 0)
    webcam = plug(None for _ in count())

    with pytest.raises(SourceStalled, match=r"camera 0: no frame arrived for 0.05 s; plug it in anew") as caught:
        list(frames(0, seconds=1, patience=0.05))
    assert str(caught.value).isprintable()
    assert webcam.released.wait(LONG)


def test_a_read_that_hangs_does_not_hang_us(plug: Callable[..., Webcam]) -> None:
    unplugged = threading.Event()

    def script() -> Iterator[Image | None]:
        unplugged.wait(LONG)
        yield from (None for _ in count())

    webcam = plug(script())
    with pytest.raises(SourceStalled):
        next(frames(0, seconds=LONG, patience=0.05))
    assert not webcam.released.is_set()
    unplugged.set()
    assert webcam.released.wait(LONG)


def test_a_camera_that_is_pulled_out_has_stalled(plug: Callable[..., Webcam]) -> None:
    plug(chain([grey(5)], repeat(None)))
    reader = capture.Reader("camera 0", 0)
    reader.start()

    assert reader.next(LONG) is not None
    with pytest.raises(SourceStalled):
        reader.next(0.05)
    reader.close(LONG)


def test_a_camera_that_does_not_open_is_told(plug: Callable[..., Webcam]) -> None:
    webcam = plug(iter([]), opens=False)
    assert "camera 2: cannot be opened; close other programs" in refusal(2)
    assert webcam.released.is_set()


def test_a_missing_camera_is_told_with_those_there_are(devices: Path) -> None:
    for source in (1, "1"):
        assert refusal(source) == (
            f"camera 1: there is no {devices}/video1; there are {devices}/video0, {devices}/video2, {devices}/video10"
        )


def test_where_no_camera_is_connected_it_is_said(devices: Path) -> None:
    for path in devices.iterdir():
        path.unlink()
    assert "no camera is connected; connect one" in refusal(0)
    assert "no such file or device; no camera is connected" in refusal("/dev/twinface-nowhere")


def test_a_camera_below_zero_is_refused(devices: Path) -> None:
    assert "numbered from 0" in refusal(-1)  # OpenCV would take whichever


def test_a_camera_that_may_not_be_used_is_told(devices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert f"no permission for {devices}/video0; have yourself added to the group" in refusal(0)


def test_a_device_that_is_no_camera_is_refused() -> None:
    assert "the device is no camera" in refusal(os.devnull)


def test_elsewhere_the_system_is_asked(plug: Callable[..., Webcam], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    plug(iter([]), opens=False)
    assert "camera 7: cannot be opened" in refusal(7)
    assert "give the number of another" in refusal(-1)


def test_failures_write_nothing_of_their_own(run_python: Callable[[str], Any], tmp_path: Path) -> None:
    """In a process of its own, as FFmpeg asks once how much to say: a camera that is not there, damaged frames."""
    noise = np.random.default_rng(7)
    pictures = [noise.integers(0, 256, (240, 320, 3), np.uint8) for _ in range(5)]
    damaged = bytearray(film(tmp_path / "whole.avi", pictures).read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 20_000] = noise.bytes(20_000)
    (tmp_path / "damaged.avi").write_bytes(damaged)
    (tmp_path / "head.avi").write_bytes(damaged[:300])
    (tmp_path / "video99").touch()
    program = f"""
from pathlib import Path
from twinface.errors import SourceUnavailable
from twinface.vision import camera
camera.DEVICES = Path({str(tmp_path)!r})
for source in (99, {str(tmp_path / "head.avi")!r}):
    try:
        list(camera.frames(source, seconds=1))
    except SourceUnavailable as error:
        print(error)
print(len(list(camera.frames({str(tmp_path / "damaged.avi")!r}, seconds=60))), "frames")
"""
    outcome = run_python(program)
    assert (outcome.status, outcome.err) == (0, "")
    first, second, third = outcome.out.splitlines()
    assert "camera 99: cannot be opened" in first
    assert "not a video, damaged" in second
    assert third.endswith("frames")


def test_two_recordings_at_once_leave_opencv_as_it_was(twenty: Path) -> None:
    before = cv2.utils.logging.getLogLevel()
    first, second = frames(twenty, seconds=LONG), frames(twenty, seconds=LONG)
    pairs = [(next(first).time, next(second).time) for _ in range(20)]

    assert all(a == b for a, b in pairs)
    assert all(a[0] < b[0] for a, b in pairwise(pairs))
    first.close()
    second.close()
    assert cv2.utils.logging.getLogLevel() == before
