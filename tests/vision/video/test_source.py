"""Frames of files and of pictures in a row, decoded by PyAV from what PyAV encoded here."""

from __future__ import annotations

import importlib.util
import os
import wave
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from twinface.core.types import Image
from twinface.core.video import VideoFrame
from twinface.errors import SourceUnavailable
from twinface.vision.video import ring as video_ring
from twinface.vision.video.source import VideoOptions, VideoSource, open_video

av = pytest.importorskip("av", reason="PyAV is not installed")

RATE = 10
STEP = 20
"""Grey levels between one frame and the next."""


def grey(number: int, height: int = 48, width: int = 64) -> Image:
    """A picture that tells its number."""
    return np.full((height, width, 3), STEP // 2 + STEP * number, np.uint8)


def corners(height: int = 48, width: int = 64) -> Image:
    """A picture of four colours, red at the top left, then green, blue and white as one reads."""
    picture = np.full((height, width, 3), 255, np.uint8)
    picture[: height // 2, : width // 2] = (255, 0, 0)
    picture[: height // 2, width // 2 :] = (0, 255, 0)
    picture[height // 2 :, : width // 2] = (0, 0, 255)
    return picture


def film(
    path: Path,
    pictures: Sequence[Image],
    *,
    codec: str = "mpeg4",
    pixels: str = "yuv420p",
    rate: int = RATE,
    stamps: Sequence[float] = (),
    options: dict[str, str] | None = None,
    prepare: Any = None,
) -> Path:
    """A video.

    Args:
        path: where to; its ending says the container.
        pictures: all of one size.
        codec: the encoder's name.
        pixels: their kind.
        rate: frames a second.
        stamps: seconds of each frame, where they are not of that rate.
        options: for the encoder.
        prepare: is given the stream before it is opened.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options={"g": "5", **(options or {})})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixels
        if stamps:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if prepare is not None:
            prepare(stream)
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if stamps:
                frame.pts, frame.time_base = round(1000 * stamps[number]), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten grey frames, a second in all."""
    return film(tmp_path_factory.mktemp("ten") / "ten.mp4", [grey(number) for number in range(10)])


@pytest.fixture(autouse=True)
def nothing_shared_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The shared memory a test made is gone after it."""
    made: list[str] = []
    reserved = video_ring._reserved

    def noted(size: int) -> Any:
        memory = reserved(size)
        made.append(memory.name)
        return memory

    monkeypatch.setattr(video_ring, "_reserved", noted)
    yield
    assert not [name for name in made if (Path("/dev/shm") / name).exists()]


def read(source: str | Path | int, **options: Any) -> tuple[list[VideoFrame], VideoSource]:
    with open_video(source, VideoOptions(**options)) as video:
        return list(video.frames()), video


def greys(frames: Sequence[VideoFrame]) -> list[int]:
    return [round((float(frame.image.mean()) - STEP / 2) / STEP) for frame in frames]


def refusal(source: str | Path | int, **options: Any) -> str:
    with pytest.raises(SourceUnavailable) as caught:
        read(source, **options)
    message = str(caught.value)
    assert message.isprintable()
    assert "Error" not in message
    return message


def near(image: Image, row: int, column: int, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(image[row, column].astype(int) - colour).max() < 25)


# every frame, and when


def test_a_file_gives_every_frame_at_its_time(ten: Path) -> None:
    frames, video = read(ten)

    assert greys(frames) == list(range(10))
    assert [frame.number for frame in frames] == list(range(10))
    assert [frame.time for frame in frames] == pytest.approx([number / RATE for number in range(10)])
    info = video.info
    assert (info.name, info.live, info.width, info.height, info.notes) == (str(ten), False, 64, 48, ())
    assert (info.duration, info.rate) == (pytest.approx(1.0), pytest.approx(RATE))


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("h.mp4", "libx264", "yuv420p"), ("h.mkv", "libx264", "yuv444p"), ("h.ts", "libx264", "yuv422p"),
        ("ten.mp4", "libx265", "yuv420p10le"), ("m.avi", "mjpeg", "yuvj420p"), ("v.webm", "libvpx-vp9", "yuv420p"),
        ("f.mkv", "ffv1", "gray"), ("a.mkv", "ffv1", "yuva420p"), ("rgba.mov", "png", "rgba"), ("g.gif", "gif", "rgb8"),
        ("deep.mkv", "ffv1", "gray16le"), ("long.mkv", "ffv1", "rgb48le"),
    ],
)  # fmt: skip
def test_containers_codecs_and_kinds_of_pixels(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    given = [grey(number) for number in range(10)]
    frames, video = read(film(tmp_path / name, given, codec=codec, pixels=pixels))

    assert [frame.number for frame in frames] == list(range(10))
    assert [frame.time for frame in frames] == pytest.approx([number / RATE for number in range(10)], abs=0.002)
    for frame, picture in zip(frames, given, strict=True):
        assert frame.image.dtype == np.uint8
        assert np.abs(frame.image.astype(int) - picture).mean() <= (30 if codec == "gif" else 4)  # dithered
    assert video.info.notes == ()


def test_times_are_those_of_the_file_however_they_vary(tmp_path: Path) -> None:
    stamps = [0.0, 0.04, 0.5, 0.52, 2.0, 2.3]
    frames, _ = read(film(tmp_path / "vary.mkv", [grey(number) for number in range(6)], codec="libx264", stamps=stamps))

    assert [frame.time for frame in frames] == pytest.approx(stamps, abs=0.001)
    assert greys(frames) == list(range(6))


def test_a_frame_a_second(tmp_path: Path) -> None:
    frames, video = read(film(tmp_path / "slow.mp4", [grey(number) for number in range(4)], rate=1))
    assert [frame.time for frame in frames] == pytest.approx([0, 1, 2, 3])
    assert video.info.rate == pytest.approx(1)


def test_a_single_frame(tmp_path: Path) -> None:
    frames, _ = read(film(tmp_path / "one.mp4", [grey(3)]))
    assert [(frame.number, frame.time) for frame in frames] == [(0, 0.0)]


def test_frames_without_stamps_are_timed_by_the_rate(tmp_path: Path) -> None:
    film(tmp_path / "ten.mp4", [grey(number) for number in range(10)], codec="libx264", options={"bf": "0"})
    raw = tmp_path / "raw.h264"  # has no container that could say when
    with av.open(str(tmp_path / "ten.mp4")) as source, av.open(str(raw), "w", format="h264") as sink:
        stream = sink.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                sink.mux(packet)

    frames, _ = read(raw)
    times = [frame.time for frame in frames]
    assert len(times) == 10
    assert times[0] == 0
    assert np.diff(times) == pytest.approx(np.full(9, times[1]))
    assert times[1] > 0


def test_frames_can_be_kept_and_not_written_to(ten: Path) -> None:
    frames, _ = read(ten)
    assert greys(frames) == list(range(10))  # read after all have come, so none was overwritten
    assert not any(frame.image.flags.writeable for frame in frames)


def test_a_source_may_be_closed_at_any_time_and_twice(ten: Path) -> None:
    video = open_video(ten)
    frames = video.frames()
    assert next(frames).number == 0
    video.close()
    video.close()
    assert list(frames) == []
    assert video.info.width == 64


def test_reading_goes_on_where_it_stood(ten: Path) -> None:
    with open_video(ten) as video:
        for frame in video.frames():
            if frame.number == 3:
                break
        assert [frame.number for frame in video.frames()] == [4, 5, 6, 7, 8, 9]
        assert list(video.frames()) == []


# which frames


@pytest.mark.parametrize("codec", ["mpeg4", "mjpeg"])
def test_each_third_frame(tmp_path: Path, codec: str) -> None:
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = film(tmp_path / "ten.avi", [grey(number) for number in range(10)], codec=codec, pixels=pixels)
    frames, video = read(path, every=3)

    assert [frame.number for frame in frames] == greys(frames) == [0, 3, 6, 9]
    assert [frame.time for frame in frames] == pytest.approx([0, 0.3, 0.6, 0.9])
    assert video.info.notes == ()


@pytest.mark.parametrize(
    ("name", "codec"), [("m.mp4", "mpeg4"), ("h.mkv", "libx264"), ("h.ts", "libx264"), ("m.avi", "mpeg4"),
                        ("h.mp4", "libx264")]
)  # fmt: skip
@pytest.mark.parametrize("start", [0.3, 0.5, 0.7])
def test_a_part_of_a_file_keeps_its_times_and_numbers(tmp_path: Path, name: str, codec: str, start: float) -> None:
    path = film(tmp_path / name, [grey(number) for number in range(10)], codec=codec)
    frames, _ = read(path, start=start, end=0.9)

    wanted = list(range(round(start * RATE), 9))
    assert [frame.number for frame in frames] == greys(frames) == wanted
    assert [frame.time for frame in frames] == pytest.approx([number / RATE for number in wanted], abs=0.001)


def test_a_part_counts_each_third_frame_from_the_first_of_the_file(ten: Path) -> None:
    frames, _ = read(ten, every=3, start=0.4)
    assert [frame.number for frame in frames] == [6, 9]


def test_a_start_behind_the_end_is_refused(ten: Path) -> None:
    message = refusal(ten, start=30)
    assert "no frame of it comes 30 s after its start (it lasts 1.00 s); choose an earlier start" in message


@pytest.mark.parametrize(
    "wrong",
    [{"every": 0}, {"longest": 0}, {"start": -1}, {"start": 2, "end": 2}, {"stall": 0}, {"rate": float("nan")},
     {"pause": float("inf")}, {"pause": 9}, {"transport": "smoke"}, {"start": float("inf")}],
)  # fmt: skip
def test_options_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="video: "):
        VideoOptions(**wrong)


# sizes, directions, colours


def test_frames_are_made_smaller_but_never_larger(tmp_path: Path) -> None:
    path = film(tmp_path / "wide.mp4", [corners(180, 320)] * 2)
    (frame, _), video = read(path, longest=100)

    assert frame.image.shape == (56, 100, 3)
    assert (video.info.width, video.info.height, video.info.notes) == (100, 56, ("scaled from 320 x 180",))
    assert near(frame.image, 10, 10, (255, 0, 0))
    assert near(frame.image, 50, 90, (255, 255, 255))
    assert read(path, longest=1000)[0][0].image.shape == (180, 320, 3)


@pytest.mark.parametrize(
    ("degrees", "colours"),
    [
        (0, [(255, 0, 0), (0, 255, 0), (0, 0, 255)]), (90, [(0, 255, 0), (255, 255, 255), (255, 0, 0)]),
        (180, [(255, 255, 255), (0, 0, 255), (0, 255, 0)]), (-90, [(0, 0, 255), (255, 0, 0), (255, 255, 255)]),
    ],
)  # fmt: skip
def test_frames_are_upright(tmp_path: Path, degrees: int, colours: list[tuple[int, int, int]]) -> None:
    """The degrees are those by which a player turns the frame, against the clock."""
    path = film(tmp_path / "r.mp4", [corners(48, 80)] * 3, prepare=lambda one: one.set_display_rotation(degrees))
    frames, video = read(path)

    height, width = (80, 48) if degrees % 180 else (48, 80)
    assert (video.info.height, video.info.width) == frames[0].image.shape[:2] == (height, width)
    places = [(5, 5), (5, width - 6), (height - 6, 5)]
    for (row, column), colour in zip(places, colours, strict=True):
        assert near(frames[-1].image, row, column, colour)


def test_mirrored_frames_are_mirrored_back(tmp_path: Path) -> None:
    path = film(tmp_path / "m.mp4", [corners()], prepare=lambda one: one.set_display_rotation(0, hflip=True))
    ((frame,), _) = read(path)
    assert near(frame.image, 5, 5, (0, 255, 0))
    assert near(frame.image, 40, 5, (255, 255, 255))


def test_pixels_are_square(tmp_path: Path) -> None:
    def squeeze(stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    ((frame,), _) = read(film(tmp_path / "tv.mkv", [corners(48, 60)], prepare=squeeze))
    assert frame.image.shape == (48, 80, 3)


def test_each_frame_comes_at_its_own_size(tmp_path: Path) -> None:
    """Motion JPEG lets every frame have its size; so a larger one comes after the ring was made for smaller ones."""
    sizes = [(48, 64), (48, 64), (480, 640), (32, 32), (720, 1280), (48, 64)] * 3
    path = tmp_path / "sizes.mjpeg"
    with path.open("wb") as file:
        for height, width in sizes:
            PillowImage.fromarray(corners(height, width)).save(file, "JPEG", quality=95)
    frames, video = read(path)

    assert [frame.image.shape[:2] for frame in frames] == sizes
    assert all(near(frame.image, 5, 5, (255, 0, 0)) for frame in frames)
    assert all(near(frame.image, -5, 5, (0, 0, 255)) for frame in frames)
    assert (video.info.height, video.info.width) == (48, 64)


def test_frames_of_8k(tmp_path: Path) -> None:
    path = film(tmp_path / "8k.mp4", [corners(4320, 7680)] * 4, codec="mpeg4")
    seen = []
    with open_video(path) as video:
        assert (video.info.width, video.info.height) == (7680, 4320)
        for frame in video.frames():
            seen.append((frame.number, frame.image.shape, int(frame.image[100, 7000].argmax())))
    assert seen == [(number, (4320, 7680, 3), 1) for number in range(4)]


@pytest.mark.parametrize(("space", "weights"), [(1, (0.2126, 0.0722)), (6, (0.299, 0.114))], ids=["BT.709", "BT.601"])
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("full", [True, False])
def test_colours_follow_matrix_and_range(
    tmp_path: Path, space: int, weights: tuple[float, float], told: bool, full: bool
) -> None:
    """What a video does not say is known by its height: high definition is BT.709."""
    height = 720 if space == 1 and not told else 96
    colour = np.array([200.0, 60, 30])
    red, blue = weights
    luma = float(np.array([red, 1 - red - blue, blue]) @ colour)
    tints = (colour[2] - luma) / (2 * (1 - blue)), (colour[0] - luma) / (2 * (1 - red))
    scale, foot = (1.0, 0) if full else (219 / 255, 16)
    values = [foot + scale * luma, *(128 + (1 if full else 224 / 255) * tint for tint in tints)]
    planes = [np.full((height, 96), round(value), np.uint8) for value in values]
    path = tmp_path / "colour.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 96, height, "yuv444p"
        if told:
            stream.codec_context.colorspace = space
        stream.codec_context.color_range = 2 if full else 1
        frame = av.VideoFrame.from_ndarray(np.stack(planes), format="yuv444p")
        frame.colorspace, frame.color_range = space if told else 2, 2 if full else 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode())

    ((frame,), _) = read(path)
    assert np.abs(frame.image[50, 50] - colour).max() < 5


# damage


def test_a_file_without_its_end_gives_what_there_is(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), np.uint8)
    whole = film(tmp_path / "whole.mkv", list(noise), codec="libx264").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) * 2 // 3])
    frames, video = read(tmp_path / "cut.mkv")

    assert 15 < len(frames) < 40
    assert [frame.number for frame in frames] == list(range(len(frames)))
    assert "the end of the file is missing" in video.info.notes


def test_an_mp4_without_its_end_gives_what_there_is_where_its_index_comes_first(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), np.uint8)
    with av.open(str(tmp_path / "first.mp4"), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for picture in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    whole = (tmp_path / "first.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    frames, video = read(tmp_path / "cut.mp4")

    assert 15 < len(frames) < 40
    assert "the end of the file is missing" in video.info.notes


def test_an_mp4_without_its_index_is_refused(ten: Path, tmp_path: Path) -> None:
    content = ten.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) // 3])
    assert "not a video, or its end is missing, without which nothing" in refusal(tmp_path / "cut.mp4")


def test_damaged_frames_are_left_out_and_counted(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 48, 64, 3), np.uint8)
    path = film(tmp_path / "whole.avi", list(noise), codec="mjpeg", pixels="yuvj420p")
    content = bytearray(path.read_bytes())
    starts = [place for place in range(len(content) - 3) if content[place : place + 3] == b"\xff\xd8\xff"]
    assert len(starts) == 60
    for number in (10, 20, 30):  # without its markers it is no picture
        size = starts[number + 1] - starts[number] - 16
        content[starts[number] : starts[number] + size] = bytes(size)
    (tmp_path / "hurt.avi").write_bytes(content)
    frames, video = read(tmp_path / "hurt.avi")

    assert [frame.number for frame in frames] == [number for number in range(60) if number not in (10, 20, 30)]
    assert [frame.time for frame in frames] == pytest.approx([frame.number / RATE for frame in frames])
    assert video.info.notes == ("damaged frames left out: 3",)


def test_what_a_decoder_had_to_invent_is_left_out(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 255, (60, 48, 64, 3), np.uint8)
    content = bytearray(film(tmp_path / "whole.mkv", list(noise), codec="libx264").read_bytes())
    for place in generator.integers(len(content) // 4, len(content) * 3 // 4, 30):
        content[place] ^= 255
    (tmp_path / "hurt.mkv").write_bytes(content)
    frames, video = read(tmp_path / "hurt.mkv")

    assert 10 < len(frames) < 60
    (note,) = [one for one in video.info.notes if one.startswith("damaged frames left out: ")]
    assert int(note.rpartition(" ")[2]) > 0
    assert all(later.time > earlier.time for earlier, later in pairwise(frames))


# what is no video


def test_sound_is_no_video(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "song.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        file.writeframes(bytes(16000))
    assert "song.wav: has sound but no pictures; name a video" in refusal(tmp_path / "song.wav")


def test_a_cover_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "song.m4a"), "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        cover = container.add_stream("mjpeg")
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux([*sound.encode(frame), *sound.encode()])
        container.mux(cover.encode(av.VideoFrame.from_ndarray(corners(), format="rgb24").reformat(format="yuvj420p")))
    assert "has sound but no pictures" in refusal(tmp_path / "song.m4a")


@pytest.mark.parametrize("name", ["notes.avi", "notes.txt", "notes.mp4", "notes"])
def test_a_text_is_no_video_whatever_its_ending(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("Dear diary,\n" * 200)
    assert f"{name}: not a video, " in refusal(tmp_path / name)


def test_a_list_of_other_files_is_no_video(ten: Path, tmp_path: Path) -> None:
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile {ten}\n")
    assert "list.mp4: " in refusal(tmp_path / "list.mp4")


def test_a_video_without_frames(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "none.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    assert "not a video, damaged" in refusal(tmp_path / "none.avi")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    assert "empty.mp4: empty, there is nothing to play; get an intact copy" in refusal(tmp_path / "empty.mp4")


def test_a_pipe_is_refused_unopened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "not a regular file" in refusal(tmp_path / "pipe.mp4")


@pytest.mark.parametrize("name", ["gone.mp4", "gone/with/the.mp4", "two\nlines.mp4", "zero\0byte.mp4"], ids=ascii)
def test_a_missing_file(tmp_path: Path, name: str) -> None:
    assert "check the path" in refusal(tmp_path / name)


def test_a_file_that_may_not_be_read(ten: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *words: False)  # as the tests may run as root
    assert "permission denied; make it readable for this user" in refusal(ten)


def test_names_that_ffmpeg_would_take_for_something_else(ten: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("file:x.mp4", "-", "concat:a|b", "a%d.mp4", "ünïcode ?#.mp4"):
        (tmp_path / name).write_bytes(ten.read_bytes())
        assert greys(read(name)[0]) == list(range(10))


def test_without_pyav_it_is_said_how_to_get_it(ten: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert 'pip install "twinface[video]"' in refusal(ten)


def test_cameras_that_are_not_there() -> None:
    assert "camera 97: there is no /dev/video97" in refusal(97)
    assert "camera 97: there is no /dev/video97" in refusal("97")
    assert "cameras are numbered from 0" in refusal(-1)
    assert "/dev/video97: no such file or device; " in refusal("/dev/video97")
    assert "/dev/null: the device is no camera; " in refusal("/dev/null")


# pictures in a row


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(12):
        PillowImage.fromarray(grey(number)).save(folder / f"frame{number}.png")
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.png").write_bytes(b"no picture")
    return folder


def test_a_folder_of_pictures_in_natural_order(pictures: Path) -> None:
    frames, video = read(pictures, rate=4)

    assert greys(frames) == [frame.number for frame in frames] == list(range(12))
    assert [frame.time for frame in frames] == pytest.approx([number / 4 for number in range(12)])
    info = video.info
    assert (info.name, info.live, info.duration, info.rate, info.notes) == (str(pictures), False, 3.0, 4.0, ())


def test_a_part_of_the_pictures(pictures: Path) -> None:
    frames, _ = read(pictures, rate=4, start=1, end=2.5, every=2)
    assert greys(frames) == [frame.number for frame in frames] == [4, 6, 8]


def test_a_pattern_of_names(pictures: Path) -> None:
    for number in (3, 4):
        (pictures / f"frame{number}.png").unlink()
    frames, video = read(pictures / "frame%d.png")
    assert greys(frames) == [0, 1, 2, *range(5, 12)]
    assert video.info.notes == ("numbers missing in the sequence: 2",)
    assert greys(read(pictures / "frame%02d.png")[0]) == [10, 11]


def test_a_pattern_that_nothing_matches(pictures: Path) -> None:
    assert "no picture is named so; check the path, and the number of digits" in refusal(pictures / "x%05d.jpg")
    assert "check the path" in refusal(pictures / "nowhere" / "%05d.jpg")


def test_pictures_are_upright_and_of_any_size(tmp_path: Path) -> None:
    tags = PillowImage.Exif()
    tags[0x0112] = 6  # to be turned clockwise
    PillowImage.fromarray(corners(48, 80)).save(tmp_path / "1.jpg", exif=tags, quality=95)
    PillowImage.fromarray(corners(100, 50)).convert("RGBA").save(tmp_path / "2.png")
    first, second = read(tmp_path)[0]

    assert (first.image.shape, second.image.shape) == ((80, 48, 3), (100, 50, 3))
    assert near(first.image, 5, 5, (0, 0, 255))
    assert near(second.image, 5, 5, (255, 0, 0))


def test_damaged_pictures_are_left_out_and_counted(pictures: Path) -> None:
    content = (pictures / "frame5.png").read_bytes()
    (pictures / "frame5.png").write_bytes(content[: len(content) // 2])
    (pictures / "frame6.png").write_text("no picture")
    frames, video = read(pictures)
    assert [frame.number for frame in frames] == [0, 1, 2, 3, 4, *range(7, 12)]
    assert video.info.notes == ("pictures left out that cannot be read: 2",)


def test_one_picture_is_a_short_video(pictures: Path) -> None:
    frames, _ = read(pictures / "frame2.png")
    assert greys(frames) == [2]


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    assert "is a directory without pictures (" in refusal(tmp_path)


def test_pictures_none_of_which_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("no picture")
    assert "none of the pictures can be read; get intact copies" in refusal(tmp_path)
