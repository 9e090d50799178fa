"""`twinface blur`: in the copy nobody who is to be hidden can be recognised, in no frame; the rest stays as it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

from twinface.app.video import blurring
from twinface.app.video.blurring import Plan, clear
from twinface.core.identification import DEFAULT_FPIR
from twinface.core.types import Box, Image, Quality
from twinface.core.video import Sighting, Track, TrackFace, VideoFrame
from twinface.services.recognition import Recognizer
from twinface.services.video_search import search_point
from twinface.vision.video.source import VideoOptions, open_video

av = pytest.importorskip("av", reason="PyAV is not installed")

FRAMES = 28
WIDTH, HEIGHT = 512, 288
STAMPS = tuple(40 * number + 13 * (number % 3) + (90 if number > 20 else 0) for number in range(FRAMES))
"""Milliseconds, at no constant rate."""

CUTS = {"collins": (120, 0, 340, 240), "hopper": (130, 60, 400, 390)}
"""Left, top, right, bottom of the heads in the examples."""


def head(examples: Path, who: str, height: int) -> Image:
    with PillowImage.open(examples / f"{who}.jpg") as picture:
        cut = picture.convert("RGB").crop(CUTS[who])
    return np.asarray(cut.resize((round(cut.width * height / cut.height), height)))


@pytest.fixture(scope="module")
def film(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Collins walks along on the left, Hopper on the right, who is not there at first; with sound, title and place."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    noise = np.random.default_rng(1).integers(60, 200, (HEIGHT // 16, WIDTH // 16, 3), np.uint8)
    back = noise.repeat(16, axis=0).repeat(16, axis=1)
    collins, hopper = head(examples, "collins", 170), head(examples, "hopper", 180)
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "secret title"
        container.metadata["location"] = "+52.5200+013.4050/"
        stream = container.add_stream("libx264", rate=25, options={"crf": "18", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        audio = container.add_stream("aac", rate=16000)
        for number, stamp in enumerate(STAMPS):
            picture = back.copy()
            paste(picture, collins, 10 + 3 * number, 20 + 2 * number)
            if number >= 6:
                paste(picture, hopper, 355 - 3 * number, 10 + 2 * (number % 9))
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        tone = np.sin(np.arange(24000, dtype=np.float32) / 9)[None]
        sound = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        sound.sample_rate, sound.pts = 16000, 0
        container.mux(audio.encode(sound))
        container.mux(audio.encode())
    return path


def paste(picture: Image, cut: Image, x: int, y: int) -> None:
    part = picture[y : y + cut.shape[0], x : x + cut.shape[1]]
    part[:] = cut[: part.shape[0], : part.shape[1]]


@pytest.fixture(scope="module")
def people(examples: Path, recognizer: Recognizer) -> dict[str, NDArray[np.float32]]:
    """A template of each."""
    return {who: template(recognizer, examples / f"{who}.jpg") for who in CUTS}


def template(recognizer: Recognizer, photo: Path) -> NDArray[np.float32]:
    (face,) = recognizer.analyze(photo).faces
    assert face.template is not None
    return face.template.vector


def loosest(recognizer: Recognizer) -> float:
    return max(point.threshold for point in recognizer.rule.points)


def frames(path: Path) -> list[VideoFrame]:
    with open_video(path, VideoOptions()) as source:
        return list(source.frames())


def recognised(recognizer: Recognizer, path: Path, people: dict[str, NDArray[np.float32]]) -> dict[str, list[int]]:
    """In which frames each person can be recognised, by the loosest threshold, of whatever is found there."""
    seen: dict[str, list[int]] = {who: [] for who in people}
    for frame in frames(path):
        for face in recognizer.analyzer.encode(recognizer.analyzer.locate(frame.image).faces):
            assert face.template is not None
            for who, vector in people.items():
                if float(np.linalg.norm(face.template.vector - vector)) <= loosest(recognizer):
                    seen[who].append(frame.number)
    return seen


def sound(path: Path) -> list[tuple[Any, bytes]]:
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return []
        packets = container.demux(container.streams.audio[0])
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in packets if packet.size]


def folder(path: Path) -> list[str]:
    return sorted(one.name for one in path.iterdir())


def test_the_film_is_one_in_which_both_are_recognised(
    film: Path, recognizer: Recognizer, people: dict[str, NDArray[np.float32]]
) -> None:
    seen = recognised(recognizer, film, people)
    assert len(seen["collins"]) > 0.8 * FRAMES
    assert len(seen["hopper"]) > 0.8 * (FRAMES - 6)


@pytest.mark.parametrize("style", ["blur", "pixelate"])
def test_all_hides_everybody_in_every_frame(
    style: str,
    film: Path,
    tmp_path: Path,
    cli: Callable[..., Any],
    recognizer: Recognizer,
    people: dict[str, NDArray[np.float32]],
) -> None:
    copy = tmp_path / "copy.mp4"
    done = cli("blur", film, "--out", copy, "--all", "--style", style)
    assert done.status == 0, done
    assert "2 faces followed, 2 hidden, 0 kept" in done.out
    assert done.out.count("\n") == 1
    assert recognised(recognizer, copy, people) == {"collins": [], "hopper": []}
    assert folder(tmp_path) == ["copy.mp4"]


def test_others_keeps_the_one_of_the_photo_and_times_and_sound(
    film: Path,
    tmp_path: Path,
    cli: Callable[..., Any],
    examples: Path,
    recognizer: Recognizer,
    people: dict[str, NDArray[np.float32]],
) -> None:
    copy = tmp_path / "copy.mp4"
    done = cli("blur", film, "--out", copy, "--others", "--for", examples / "collins.jpg")
    assert done.status == 0, done
    assert "2 faces followed, 1 hidden, 1 kept" in done.out
    seen = recognised(recognizer, copy, people)
    assert seen["hopper"] == []
    assert len(seen["collins"]) > 0.8 * FRAMES
    before, after = frames(film), frames(copy)
    assert [frame.time for frame in after] == [frame.time for frame in before]
    assert after[0].image.shape == before[0].image.shape
    corner = np.s_[-40:, :40]
    gap = np.abs(after[0].image[corner].astype(int) - before[0].image[corner]).mean()
    assert gap < 6  # neither place nor colours are others than before
    assert sound(copy) == sound(film)
    content = copy.read_bytes()
    assert b"secret title" not in content
    assert b"+52.5200" not in content


def test_by_the_gallery_without_sound_to_matroska(
    film: Path, tmp_path: Path, cli: Callable[..., Any], examples: Path
) -> None:
    gallery = tmp_path / "g.db"
    assert cli("enroll", examples / "hopper.jpg", "--name", "Hopper", "--gallery", gallery).status == 0
    words = ("--others", "--subject", "Hopper", "--gallery", gallery, "--no-sound")
    done = cli("blur", film, "--out", tmp_path / "copy.mkv", *words)
    assert done.status == 0, done
    assert "1 hidden, 1 kept" in done.out
    assert len(frames(tmp_path / "copy.mkv")) == FRAMES
    assert sound(tmp_path / "copy.mkv") == []


def test_refusals(film: Path, tmp_path: Path, cli: Callable[..., Any], examples: Path) -> None:
    there = tmp_path / "there.mp4"
    there.write_bytes(b"mine")
    link = tmp_path / "link.mp4"
    link.symlink_to(tmp_path / "nowhere.mp4")
    no_video = tmp_path / "no.mp4"
    no_video.write_text("no video")
    new = tmp_path / "new.mp4"
    before = film.read_bytes()
    cli("blur", film, "--out", there, "--all").refuses("there already")
    cli("blur", film, "--out", link, "--all").refuses("there already")
    cli("blur", film, "--out", film, "--all").refuses("the video itself")
    cli("blur", film, "--out", tmp_path / "new.txt", "--all").refuses(".mp4")
    cli("blur", film, "--out", tmp_path / "no" / "new.mp4", "--all").refuses("no folder")
    cli("blur", no_video, "--out", new, "--all").refuses("not a video")
    cli("blur", tmp_path / "none.mp4", "--out", new, "--all").refuses("no such video")
    cli("blur", film, "--out", new).refuses("--all, --others")
    cli("blur", tmp_path, "--out", new, "--all").refuses("is a folder")
    own = ("--others", "--subject", "Ada", "--model", "resnet29")
    cli("blur", film, "--out", new, *own).refuses("a gallery is searched with its own model")
    cli("blur", film, "--out", new, "--all", "--others").refuses("--all, --others")
    cli("blur", film, "--out", new, "--all", "--for", examples / "hopper.jpg").refuses("--others")
    cli("blur", film, "--out", new, "--others").refuses("--for")
    cli("blur", film, "--out", new, "--all", "--style", "glass").refuses("--style")
    assert film.read_bytes() == before
    assert there.read_bytes() == b"mine"
    assert folder(tmp_path) == ["link.mp4", "no.mp4", "there.mp4"]


def test_what_breaks_off_leaves_nothing(
    film: Path, tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def breaks(image: Image, *rest: Any) -> Image:
        calls.append(folder(tmp_path))
        if len(calls) == 20:
            raise KeyboardInterrupt
        return image

    monkeypatch.setattr(blurring, "obscure", breaks)
    assert cli("blur", film, "--out", tmp_path / "copy.mp4", "--all").status == 130
    assert calls[-1] != []
    assert "copy.mp4" not in calls[-1]
    assert folder(tmp_path) == []


FIT = Quality(60.0, 1.0, 120.0, 40.0, 0.0, 0.0, ())


def track(number: int, places: Sequence[tuple[float, float]], faces: Sequence[float] = ()) -> Track:
    """Seconds and left edge of each sighting, 40 x 50 pixels; seconds of its faces."""
    path = tuple(Sighting(time, Box(x, 0, 40, 50), 0.9) for time, x in places)
    vector = np.eye(1, 8, dtype=np.float32)[0]
    return Track(number, path, tuple(TrackFace(time, Box(0, 0, 40, 50), FIT, vector) for time in faces))


def test_a_face_is_hidden_before_it_comes_and_after_it_went() -> None:
    plan = Plan([track(1, [(1.0, 100), (1.1, 110)])], set(), 0.5)
    assert plan.hidden(0.45) == []
    assert plan.hidden(1.65) == []
    (early,), (late,), (seen,) = plan.hidden(0.5), plan.hidden(1.6), plan.hidden(1.05)
    assert early.box.corners == pytest.approx((50, 0, 140, 50))
    assert late.box.corners == pytest.approx((110, 0, 200, 50))
    assert (early.seen, late.seen, seen.seen) == (False, False, True)
    assert seen.box.corners == pytest.approx((105, 0, 145, 50))


def test_gaps_are_hidden_wherever_the_face_may_be() -> None:
    plan = Plan([track(1, [(1.0, 100), (1.8, 160)])], set(), 0.5)
    (area,) = plan.hidden(1.1)
    assert area.box.corners == pytest.approx((100, 0, 200, 50))
    assert not area.seen
    plan = Plan([track(1, [(1.0, 100)]), track(2, [(2.9, 130)]), track(3, [(2.9, 900)])], set(), 0.5)
    (area,) = plan.hidden(2.0)
    assert area.box.corners == pytest.approx((100, 0, 170, 50))


def test_a_kept_box_is_certain_between_its_faces_only() -> None:
    one = track(1, [(step / 10, 100.0) for step in range(11)], [0.3, 0.7])
    plan = Plan([one], {1}, 0.5)
    assert plan.hidden(0.5) == []
    assert plan.kept(0.2) == []
    assert plan.kept(0.8) == []
    assert [box.corners for box in plan.kept(0.5)] == [pytest.approx((100, 0, 140, 50))]


def of(number: int, vectors: Sequence[NDArray[np.float32]], start: float = 0.0) -> Track:
    """A track with a face each second."""
    plain = track(number, [(start, 0), (start + 4, 0)], [start + place for place in range(len(vectors))])
    faces = [TrackFace(face.time, face.box, FIT, one) for face, one in zip(plain.faces, vectors, strict=True)]
    return Track(number, plain.sightings, tuple(faces))


def test_a_track_without_faces_enough_or_with_anothers_is_not_clear(recognizer: Recognizer) -> None:
    near, far = np.eye(2, 8, dtype=np.float32)
    tracks = [
        of(1, [near, near]),
        of(2, [near], 10),
        of(3, [near, near, far], 20),
        of(4, [], 30),
        of(5, [far, far], 40),
    ]
    assert clear(tracks, near[None], recognizer.rule) == {1}
    assert len(clear([of(1, [near, near]), of(2, [near, near])], near[None], recognizer.rule)) == 1


def test_a_track_is_clear_by_itself_not_by_another(recognizer: Recognizer) -> None:
    """Whoever is clearly there does not vouch for a track that only looks like hers."""
    rule = recognizer.rule
    person, aside, stranger = np.eye(3, 8, dtype=np.float32)

    def away(distance: float) -> NDArray[np.float32]:
        angle = 2 * np.arcsin(distance / 2)
        return np.asarray(np.cos(angle) * person + np.sin(angle) * aside, np.float32)

    strangers = [of(number, [stranger], 10.0 * number) for number in range(3, 40)]
    limit = search_point(strangers, 1, rule, DEFAULT_FPIR).threshold
    doubtful = (limit + rule.point().threshold) / 2
    assert limit < doubtful < rule.point().threshold
    tracks = [of(1, [away(0.9 * limit)] * 2), of(2, [away(doubtful)] * 2, 10.0), *strangers]
    assert clear(tracks, person[None], rule) == {1}
