"""Parts of reading videos: addresses without secrets, clocks, turns, and keeping up with a stream."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from twinface.errors import SourceUnavailable
from twinface.vision.video.names import is_address, scrubbed, secrets, shown_address
from twinface.vision.video.places import Place, locate, natural

av = pytest.importorskip("av", reason="PyAV is not installed")

from twinface.vision.video.live import BEHIND, Pace  # noqa: E402 - they need PyAV
from twinface.vision.video.pixels import Painter, TooLarge, Turn  # noqa: E402
from twinface.vision.video.shots import Clock, believed  # noqa: E402

# addresses


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://cam.local/live", "rtsp://cam.local/live"), ("rtsp://cam:554/live", "rtsp://cam:554/live"),
        ("rtsp://bob:s3same@cam:554/live", "rtsp://***@cam:554/live"), ("http://bob@cam/x", "http://***@cam/x"),
        ("http://cam/x?channel=1&pwd=s3same", "http://cam/x?channel=1&pwd=***"),
        ("http://cam/x?token=s3same#s3same=s3same", "http://cam/x?token=***#s3same=***"),
        ("rtsp://cam/user=bob_password=s3same_channel=1.sdp", "rtsp://cam/user=***"),
        ("rtsp://cam/user=bob&password=s3same&channel=1&stream=0.sdp?",
         "rtsp://cam/user=***&password=***&channel=1&stream=0.sdp?"),
        ("rtsp://cam/channel=1_password=s3same", "rtsp://cam/channel=***"),
        ("rtsp://bob:s3@same@cam/x", "rtsp://***@cam/x"), ("rtsp://bob:s3/same@cam/x", "rtsp://***@cam/x"),
        ("rtsp://bob:s3#same?s3same@cam/x", "rtsp://***@cam/x"), ("RTSP://bob:s3same@[::1]:8554/x", "RTSP://***@[::1]:8554/x"),
        ("rtsp://bob:s3same\n@cam/x", "rtsp://***@cam/x"),
    ],
)  # fmt: skip
def test_addresses_are_shown_without_what_is_secret(address: str, shown: str) -> None:
    assert is_address(address)
    assert shown_address(address) == shown


@pytest.mark.parametrize(
    "text",
    [
        "Connection to rtsp://bob:open%3As3same@cam/x failed", "'rtsp://bob:open%3As3same@cam/x'", "said open:s3same",
        "Authorization: Basic Ym9iYnk6b3BlbjpzM3NhbWU=", "open%3As3same is wrong", "tcp://bobby:open:s3same@1.2.3.4",
    ],
)  # fmt: skip
def test_texts_of_others_lose_what_is_secret(text: str) -> None:
    hidden = secrets("rtsp://bobby:open%3As3same@cam/x?pwd=open:s3same")
    assert "s3same" not in scrubbed(text, hidden)
    assert "Ym9iYnk6b3BlbjpzM3NhbWU" not in scrubbed(text, hidden)


def test_texts_without_secrets_stay() -> None:
    hidden = secrets("http://a:b@cam/x")
    assert scrubbed("a stream broke off: 3", hidden) == "a stream broke off: 3"
    assert secrets("no address") == ()


@pytest.mark.parametrize(
    "address",
    ["rtsp://", "rtsp:///x", "rtsp://cam:port/x", "rtsp://cam:99999/x", "rtsp://bob:12/34@cam/x", "rtsp://[::1/x",
     "rtsp://bob:p#w@cam/x", "http://cam/a b", "http://cäm/x", "http://cam:0/x"],
)  # fmt: skip
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(SourceUnavailable, match="not an address; write ") as caught:
        locate(address)
    assert "bob" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_place_hides_its_address() -> None:
    place = locate("http://bob:s3same@cam/x")
    assert place.targets == ("http://bob:s3same@cam/x",)
    assert "s3same" not in repr(place)
    with pytest.raises(ValueError, match="place: file with 2 targets"):
        Place("file", "x", ("a", "b"))


def test_windows_paths_are_no_addresses() -> None:
    assert not is_address(r"C:\videos\a.mp4")
    assert not is_address("C:/videos/a.mp4")


def test_natural_order() -> None:
    names = ["a10.png", "a9.png", "b1.png", "a09.png", "10.png", "9.png", "a.png"]
    assert sorted(names, key=natural) == ["9.png", "10.png", "a09.png", "a9.png", "a10.png", "a.png", "b1.png"]


def test_cameras_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twinface.vision.video.places.DEVICES", tmp_path)
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("video10", "video2", "video-other"):
        (tmp_path / name).touch()
    assert locate(2).targets == (str(tmp_path / "video2"),)
    with pytest.raises(SourceUnavailable, match=r"there are .*video2, .*video10$"):
        locate("5")
    monkeypatch.setattr("os.access", lambda *words: False)
    with pytest.raises(SourceUnavailable, match="added to the group that owns it, mostly video, and log in again"):
        locate(2)
    monkeypatch.setattr("sys.platform", "darwin")
    assert locate(0).targets == ("0",)


# clocks


def times(stamps: list[float | None], origin: float | None = 0.0) -> tuple[list[float], int]:
    mended: list[None] = []
    clock = Clock(origin, 0.1, lambda: mended.append(None))
    return [clock.time(stamp) for stamp in stamps], len(mended)


def test_times_begin_with_the_file() -> None:
    assert times([5.0, 5.1], 5.0)[0] == pytest.approx([0, 0.1])
    assert times([5.5, 5.6], 5.0)[0] == pytest.approx([0.5, 0.6])  # sound begins before
    assert times([5.5, 5.6], None)[0] == pytest.approx([0, 0.1])
    assert times([4.9, 5.0], 5.0)[0] == pytest.approx([0, 0.1])  # none is negative


def test_missing_stamps_are_made_up_by_the_rate() -> None:
    assert times([None, None, 0.5, None])[0] == pytest.approx([0, 0.1, 0.5, 0.6])


def test_a_stamp_given_twice_moves_no_other() -> None:
    given, mended = times([0, 0.1, 0.1, 0.2, 0.3])
    assert given == pytest.approx([0, 0.1, 0.15, 0.2, 0.3])
    assert mended == 1


def test_a_clock_that_begins_anew_goes_on() -> None:
    given, mended = times([10.0, 10.1, 10.2, 0.0, 0.1, 0.2], 10.0)
    assert given == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert mended == 1


def test_times_rise_whatever_the_stamps() -> None:
    generator = np.random.default_rng(0)
    stamps = [None if value < 0.1 else float(20 * value) for value in generator.random(300)]
    given, _ = times(stamps)
    assert all(later > earlier for earlier, later in pairwise(given))


@pytest.mark.parametrize(
    ("rate", "known"), [(None, None), (Fraction(0), None), (Fraction(25), 25), (Fraction(90000), None)]
)
def test_rates_that_cannot_be_are_not_believed(rate: Fraction | None, known: float | None) -> None:
    assert believed(rate) == known


# turns and sizes


def test_turns_by_matrix_and_by_degrees_agree() -> None:
    picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    matrices = {0: (1, 0, 0, 0, 1), 90: (0, 1, 0, -1, 0), 180: (-1, 0, 0, 0, -1), 270: (0, -1, 0, 1, 0)}
    for degrees, numbers in matrices.items():
        matrix = np.array(numbers, np.int32) * 65536
        expected = np.rot90(picture, -degrees // 90)
        assert (Turn.of_matrix(matrix.tobytes()).applied(picture) == expected).all()
        assert (Turn.of_degrees(degrees).applied(picture) == expected).all()
        assert (Turn.of_degrees(degrees + 3).applied(picture) == expected).all()
    assert Turn.of_degrees(-90) == Turn.of_degrees(270)


def test_sizes_of_frames() -> None:
    frame = av.VideoFrame(1920, 1080, "yuv420p")
    assert Painter(None).size(frame, None) == (1920, 1080)
    assert Painter(640).size(frame, None) == (640, 360)
    assert Painter(640).size(frame, Fraction(1, 2)) == (569, 640)
    assert Painter(None).size(frame, Fraction(0)) == (1920, 1080)
    assert Painter(1).size(av.VideoFrame(1000, 2, "yuv420p"), None) == (1, 1)
    with pytest.raises(TooLarge):
        Painter(100).size(av.VideoFrame(20000, 8000, "gray"), None)


# keeping up


def test_a_stream_that_is_decoded_in_time_is_decoded_whole() -> None:
    pace, now = Pace(0.0), 0.0
    for number in range(200):
        now += 0.04
        assert not pace.passes_over(now - 0.03, now, key=number % 50 == 0)


def test_what_piled_up_is_passed_over_up_to_a_key_frame() -> None:
    pace, now, passed = Pace(0.0), 0.0, []
    for number in range(60):  # each takes 40 ms to decode and is there at once
        now += 0.04
        passed.append(pace.passes_over(now, now, key=number % 10 == 0))
    assert abs(passed.index(True) - BEHIND / 0.04) < 2
    assert all(passed[passed.index(True) :])
    assert pace.passes_over(now, now + 0.03, key=False)  # drained, but decoding cannot begin here
    assert pace.passes_over(now, now, key=False)
    assert not pace.passes_over(now, now + 0.03, key=True)
    assert not pace.passes_over(now, now + 0.03, key=False)
