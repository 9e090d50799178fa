"""Faces made unrecognisable in pictures, and pictures encoded as a copy of a video."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from twinface.core.types import Box, Image
from twinface.errors import OutputError
from twinface.services.recognition import Recognizer
from twinface.vision.video.blurring import Area, Style, enlarged, obscure, write_copy
from twinface.vision.video.source import open_video

av = pytest.importorskip("av", reason="PyAV is not installed")

STYLES: tuple[Style, ...] = ("blur", "pixelate", "box")


def noise(height: int = 200, width: int = 300) -> Image:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("style", STYLES)
def test_only_the_enlarged_box_changes(style: Style) -> None:
    image, box = noise(), Box(100, 80, 40, 50)
    before = image.copy()
    out = obscure(image, [Area(box, True)], [], style)
    assert np.array_equal(image, before)
    changed = (out != image).any(axis=2)
    left, top, right, bottom = enlarged(box).corners
    assert (left, top, right, bottom) == (90, 57.5, 150, 142.5)
    assert changed[58:142, 90:150].mean() > 0.95
    changed[57:143, 90:150] = False
    assert not changed.any()


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("box", [Box(-30, -30, 40, 40), Box(290, 190, 40, 40), Box(400, 10, 20, 20), Box(3, 3, 1, 1)])
def test_boxes_may_reach_beyond_the_picture(style: Style, box: Box) -> None:
    assert obscure(noise(), [Area(box, True)], [], style).shape == (200, 300, 3)


@pytest.mark.parametrize("style", ["blur", "pixelate"])
def test_little_is_left(style: Style) -> None:
    """The picture that remains is told by few numbers: what varies within a cell is gone."""
    fine = np.indices((200, 200)).sum(axis=0) % 2 * 255
    image = np.repeat(fine[..., None], 3, axis=2).astype(np.uint8)
    out = obscure(image, [Area(Box(60, 60, 80, 80), True)], [], style)
    inside = out[40:150, 50:150].astype(int)
    assert np.abs(inside - 127).max() < 12
    colours = obscure(noise(), [Area(Box(100, 80, 80, 80), True)], [], "pixelate")[60:170, 90:190]
    assert len(np.unique(colours.reshape(-1, 3), axis=0)) <= 9 * 10


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("who", ["collins", "hopper"])
@pytest.mark.parametrize("size", [160, 512])
def test_a_hidden_face_is_nobodys(style: Style, who: str, size: int, examples: Path, recognizer: Recognizer) -> None:
    with PillowImage.open(examples / f"{who}.jpg") as picture:
        image = np.asarray(picture.convert("RGB").resize((size, round(size * picture.height / picture.width))))
    (face,) = recognizer.analyze(image).faces
    out = obscure(image, [Area(face.box, True)], [], style)
    loosest = max(point.threshold for point in recognizer.rule.points)
    for found in recognizer.analyzer.encode(recognizer.analyzer.locate(out).faces):
        assert found.template is not None
        assert face.template is not None
        assert np.linalg.norm(found.template.vector - face.template.vector) > loosest


def test_a_kept_face_stays_within_its_box_unless_it_would_show_another() -> None:
    image, kept = noise(), Box(100, 50, 60, 60)
    beside = Box(165, 50, 60, 60)
    out = obscure(image, [Area(beside, True)], [kept])
    assert np.array_equal(out[50:110, 100:160], image[50:110, 100:160])
    assert (out[50:110, 161:240] != image[50:110, 161:240]).any(axis=2).mean() > 0.95
    before = Box(130, 50, 60, 60)
    assert np.array_equal(obscure(image, [Area(before, False)], [kept])[50:110, 100:160], image[50:110, 100:160])
    out = obscure(image, [Area(before, True)], [kept])
    assert (out[50:110, 130:160] != image[50:110, 130:160]).any(axis=2).mean() > 0.95


def original(path: Path, size: tuple[int, int], prepare: Any = None) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        if prepare is not None:
            prepare(container, stream)
        for number in range(6):
            picture = np.full((size[1], size[0], 3), 40 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def copied(video: Path, target: Path) -> tuple[list[tuple[float, Image]], tuple[str, ...]]:
    with open_video(video) as source:
        notes = write_copy(video, target, source.info, ((frame.time, frame.image) for frame in source.frames()))
    with open_video(target) as source:
        return [(frame.time, frame.image) for frame in source.frames()], notes


@pytest.mark.parametrize(("ending", "h264"), [(".mp4", True), (".mp4", False), (".mov", True), (".mkv", True)])
def test_a_copy_has_the_same_pictures_at_the_same_times(
    ending: str, h264: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not h264:
        monkeypatch.setattr(av, "codecs_available", set(av.codecs_available) - {"libx264"})
    video = original(tmp_path / "video.mp4", (64, 48))
    frames, notes = copied(video, tmp_path / f"copy{ending}")
    assert notes == ()
    assert [time for time, _ in frames] == pytest.approx([number / 10 for number in range(6)], abs=1e-3)
    for number, (_, image) in enumerate(frames):
        assert image.shape == (48, 64, 3)
        assert abs(float(image.mean()) - 40 * number) < 5


def test_odd_sizes_and_shapes_of_pixels_are_applied(tmp_path: Path) -> None:
    def narrow(container: Any, stream: Any) -> None:
        stream.sample_aspect_ratio = stream.codec_context.sample_aspect_ratio = Fraction(67, 64)

    frames, _ = copied(original(tmp_path / "video.mp4", (64, 48), narrow), tmp_path / "copy.mp4")
    assert frames[0][1].shape == (48, 68, 3)  # 67, made even


def test_sound_that_the_copy_cannot_hold_is_left_out_and_told(tmp_path: Path) -> None:
    def with_sound(container: Any, stream: Any) -> None:
        audio = container.add_stream("wavpack", rate=16000)
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 4000), np.float32), format="fltp", layout="mono")
        tone.sample_rate, tone.pts = 16000, 0
        container.mux([*audio.encode(tone), *audio.encode()])

    video = original(tmp_path / "video.mkv", (64, 48), with_sound)
    frames, notes = copied(video, tmp_path / "copy.mp4")
    assert len(frames) == 6
    assert any(".mkv" in note for note in notes)


def test_pictures_that_change_their_size_are_refused(tmp_path: Path) -> None:
    video = original(tmp_path / "video.mp4", (64, 48))
    with open_video(video) as source:
        pictures = [(0.0, noise(48, 64)), (0.1, noise(64, 48))]
        with pytest.raises(OutputError, match="change their size after"):
            write_copy(video, tmp_path / "copy.mp4", source.info, pictures)
    assert [one.name for one in tmp_path.iterdir()] == ["video.mp4"]


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    video, copy = original(tmp_path / "video.mp4", (64, 48)), tmp_path / "copies" / "copy.mp4"
    copy.parent.mkdir()

    def full() -> Iterator[tuple[float, Image]]:
        yield 0.0, noise(48, 64)
        raise OSError(28, "No space left on device")

    def outrun() -> Iterator[tuple[float, Image]]:
        yield 0.0, noise(48, 64)
        copy.write_bytes(b"another's")

    with open_video(video) as source:
        with pytest.raises(OutputError, match="No space left"):
            write_copy(video, copy, source.info, full())
        assert list(copy.parent.iterdir()) == []
        with pytest.raises(OutputError, match="there already"):
            write_copy(video, copy, source.info, outrun())
    assert copy.read_bytes() == b"another's"
    assert list(copy.parent.iterdir()) == [copy]
