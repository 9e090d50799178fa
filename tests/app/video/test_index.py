"""A video's index: what was written is read, of what is damaged or another's nothing is believed, and work goes on."""

from __future__ import annotations

import io
import json
import math
import os
import stat
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from stage import FIT, Actor, Stage, during, look, stage_rule, steps, still

from twinface.app.video import index as video_index
from twinface.app.video.index import (
    IndexWriter,
    fingerprint,
    index_path,
    indexes_folder,
    key_of,
    load_index,
    remove_indexes,
    search_video,
    thumbnail,
)
from twinface.app.video.index_file import IndexKey, TrackRows, VideoIndex, VideoLooks, read_index, write_index
from twinface.core.types import Box
from twinface.core.video import Sighting, Track, TrackFace, VideoFrame, VideoInfo
from twinface.errors import DataError, OutputError, SourceStalled, SourceUnavailable
from twinface.services.tracks import Progress, TrackBuilder, TrackOptions

KEY = IndexKey("sha256:1", "stage", "{}")
LOOKS = VideoLooks(12.5, 1.5, ("the end of the file is missing",))
RULE = stage_rule()


def track(number: int, faces: int = 2, start: float = 0.1) -> Track:
    sightings = tuple(Sighting(start + step / 7, Box(1 / 3 + step, 2, 30.5, 40), 0.9, step != 1) for step in range(4))
    quality = replace(FIT, yaw=-7.25, reasons=("blurred",) if number % 2 else ())
    kept = [
        TrackFace(start + step / 7, Box(1 / 3 + step, 2, 30.5, 40), quality, look("a", [step], 0.3), b"jpeg" * step)
        for step in range(faces)
    ]
    return Track(number, sightings, tuple(kept))


PROGRESS = Progress(9.5, (track(7, start=8.0), track(3, 0, start=9.0)), 8, np.full((4, 5, 3), 7, np.uint8), 0.125)


def plain(tracks: tuple[Track, ...]) -> list[tuple[Any, ...]]:
    rows = []
    for one in tracks:
        faces = [(face.time, face.box, face.quality, face.vector.tolist(), face.thumbnail) for face in one.faces]
        rows.append((one.number, one.sightings, faces))
    return rows


def written(path: Path, tracks: list[Track], progress: Progress | None = None, key: IndexKey = KEY) -> Path:
    write_index(path, key, [TrackRows.of(one) for one in tracks], progress, LOOKS)
    return path


@pytest.mark.parametrize("progress", [None, PROGRESS], ids=["complete", "begun"])
@pytest.mark.parametrize("tracks", [[], [track(1), track(2, 5), track(5, 0)]], ids=["empty", "full"])
def test_what_was_written_is_read(tmp_path: Path, tracks: list[Track], progress: Progress | None) -> None:
    index = read_index(written(tmp_path / "i.npz", tracks, progress))
    assert index.key == KEY
    assert index.looks == LOOKS
    assert plain(index.tracks) == plain(tuple(tracks))
    assert all(face.vector.dtype == np.float32 for one in index.tracks for face in one.faces)
    if progress is None:
        assert index.progress is None
        return
    assert index.progress is not None
    assert plain(index.progress.running) == plain(progress.running)
    assert (index.progress.time, index.progress.following, index.progress.usual) == (9.5, 8, 0.125)
    assert index.progress.sample is not None
    assert index.progress.sample.tolist() == PROGRESS.sample.tolist()  # type: ignore[union-attr]


def test_numpy_opens_it_and_nothing_is_pickled(tmp_path: Path) -> None:
    with np.load(written(tmp_path / "i.npz", [track(1)], PROGRESS), allow_pickle=False) as arrays:
        assert arrays["sightings"].shape == (12, 7)
        assert json.loads(arrays["meta"].item())["format"] == "twinface video index"


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_its_owner_alone_may_read_it(tmp_path: Path, scrubbed: pytest.MonkeyPatch) -> None:
    path = tmp_path / "i.npz"
    path.write_bytes(b"old")
    path.chmod(0o644)
    assert stat.S_IMODE(written(path, [track(1)]).stat().st_mode) == 0o600
    scrubbed.setenv("TWINFACE_CACHE", str(tmp_path / "cache"))
    indexes_folder().mkdir(parents=True, mode=0o755)
    kept = index_path(tmp_path / "film.mp4", KEY)
    assert kept.parent == tmp_path / "cache" / "videos"
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


def test_a_flipped_bit_is_an_error_or_changes_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "i.npz", [track(1), track(2)], PROGRESS)
    sound = path.read_bytes()
    expected = plain(read_index(path).tracks)
    random = np.random.default_rng(0)
    caught: list[str] = []
    for place in random.integers(0, 8 * len(sound), 1500).tolist():
        bad = bytearray(sound)
        bad[place // 8] ^= 1 << place % 8
        path.write_bytes(bad)
        try:
            index = read_index(path)
        except DataError as error:
            caught.append(str(error))
        else:
            assert (plain(index.tracks), index.key) == (expected, KEY)
    assert len(caught) > 1000
    assert all(said.startswith(str(path)) and "\n" not in said for said in caught)


def test_a_file_cut_short_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path / "i.npz", [track(1)], PROGRESS)
    sound = path.read_bytes()
    for length in range(0, len(sound), 97):
        path.write_bytes(sound[:length])
        with pytest.raises(DataError):
            read_index(path)


def changed(path: Path, **arrays: Any) -> Path:
    """The file with other arrays; `meta` as a dictionary of what is to be changed in it."""
    with np.load(path, allow_pickle=False) as file:
        there = dict(file)
    facts = json.loads(there["meta"].item()) | arrays.pop("meta", {})
    there = {name: value for name, value in (there | arrays).items() if value is not None}
    np.savez(path, **{**there, "meta": np.array(json.dumps(facts).encode())})
    return path


def rows(*values: tuple[float, ...]) -> np.ndarray:
    return np.array(values, "<i8")


@pytest.mark.parametrize(
    "lie",
    [
        {"meta": {"format": "twinface people"}},
        {"meta": {"version": 3}},
        {"meta": {"reasons": {"x": []}}},
        {"meta": {"reasons": {"0": [1]}}},
        {"meta": {"reasons": None}},
        {"meta": {"notes": ["\x1b[2J"]}},
        {"meta": {"duration": -1.0}},
        {"meta": {"duration": "long"}},
        {"meta": {"scale": 0.0}},
        {"meta": {"scale": math.inf}},
        {"meta": {"running": 9}},
        {"meta": {"running": -1}},
        {"meta": {"progress": None}},
        {"meta": {"progress": {"time": 9.5, "following": 2, "usual": 0.1}}},
        {"meta": {"progress": {"time": 1.0, "following": 8, "usual": 0.1}}},
        {"meta": {"progress": {"time": "soon", "following": 8, "usual": 0.1}}},
        {"meta": {"video": 7}},
        {"tracks": rows((1, 4, 2), (1, 4, 2), (3, 4, 0))},
        {"tracks": rows((0, 4, 2), (7, 4, 2), (3, 4, 0))},
        {"tracks": rows((1, 5, 2), (7, 4, 2), (3, 4, 0))},
        {"tracks": rows((1, 12, 2), (7, 0, 2), (3, 0, 0))},
        {"tracks": rows((1, 2**62, 2), (7, 2**62, 2), (3, 2**62, 0))},
        {"tracks": rows((1, 4, 3), (7, 4, 1), (3, 4, -1))},
        {"tracks": np.zeros((3, 2), "<i8")},
        {"tracks": np.zeros((3, 3), "<f8")},
        {"sightings": np.full((12, 7), np.nan)},
        {"sightings": np.zeros((12, 7))},
        {"sightings": np.arange(12, 0, -1.0)[:, None] * np.ones(7)},
        {"sightings": np.ones((12, 7)) * [1, 1, 1, 1, 1, 1, 0]},
        {"vectors": np.ones((4, 32), "<f4")},
        {"vectors": np.zeros((4, 0), "<f4")},
        {"vectors": None},
        {"jpegs": rows(4, 2, 4, 8).ravel()},
        {"jpegs": rows(0, 4, 4, 9**9).ravel()},
        {"faces": np.ones((4, 10))},
        {"sample": np.zeros((4, 4, 4), np.uint8)},
        {"sample": np.zeros((0, 4, 3), np.uint8)},
        {"sample": np.array(["a"])},
    ],
)
def test_what_cannot_be_is_not_believed(tmp_path: Path, lie: dict[str, Any]) -> None:
    path = written(tmp_path / "i.npz", [track(1)], PROGRESS)
    assert read_index(changed(path)).tracks
    with pytest.raises(DataError):
        read_index(changed(path, **lie))


@pytest.mark.parametrize("content", [b"", b"PK", b"{}", os.urandom(3000)])
def test_what_is_no_index_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "i.npz"
    path.write_bytes(content)
    with pytest.raises(DataError):
        read_index(path)
    np.savez(path, meta=np.array([1.0]))
    with pytest.raises(DataError, match="no video index"):
        read_index(path)


def test_too_large_an_index_is_refused_before_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twinface.app.video.index_file.LARGEST", 10_100)
    with pytest.raises(DataError, match="search fewer frames"):
        written(tmp_path / "i.npz", [track(1)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (replace(KEY, video="sha256:2"), "another video"),
        (replace(KEY, analyzer="other"), "another model"),
        (replace(KEY, options='{"every": 1}'), "other options"),
    ],
)
def test_anothers_index_is_passed_over_with_a_note(tmp_path: Path, key: IndexKey, said: str) -> None:
    path = written(tmp_path / "i.npz", [track(1)])
    index, note = load_index(path, KEY)
    assert (index is not None, note) == (True, "")
    index, note = load_index(path, key)
    assert index is None
    assert said in note
    assert note.endswith("it is made anew")


def test_a_damaged_index_is_passed_over_with_a_note_and_a_missing_one_without(tmp_path: Path) -> None:
    path = tmp_path / "i.npz"
    assert load_index(path, KEY) == (None, "")
    path.write_bytes(b"rubbish")
    index, note = load_index(path, KEY)
    assert index is None
    assert note.startswith(str(path))
    assert note.endswith("it is made anew")
    path.unlink()
    path.mkdir()
    assert load_index(path, KEY)[0] is None


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    path.write_bytes(bytes(range(256)) * 40)
    return path


def test_a_video_is_known_by_its_content(film: Path, tmp_path: Path) -> None:
    known = fingerprint(film)
    copy = tmp_path / "copy.mov"
    copy.write_bytes(film.read_bytes())
    os.utime(copy, (1, 1))
    assert fingerprint(copy) == known
    copy.write_bytes(film.read_bytes()[:-1] + b"x")
    assert fingerprint(copy) != known


def test_a_large_video_is_known_by_its_parts_and_its_time(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_index, "WHOLE", 1000)
    monkeypatch.setattr(video_index, "PART", 100)
    os.utime(film, ns=(5, 5))
    content, known = film.read_bytes(), fingerprint(film)
    assert known.startswith("parts:")
    moved = film.rename(film.with_name("moved.mp4"))
    assert fingerprint(moved) == known
    for place in (0, len(content) // 2, len(content) - 1):
        moved.write_bytes(content[:place] + b"!" + content[place + 1 :])
        os.utime(moved, ns=(5, 5))
        assert fingerprint(moved) != known
    moved.write_bytes(content)
    os.utime(moved, ns=(5, 6))
    assert fingerprint(moved) != known


def test_a_video_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "none.mp4", tmp_path, Path("a\0b")):
        with pytest.raises(SourceUnavailable):
            fingerprint(path)


def test_a_key_holds_all_that_matters(film: Path) -> None:
    stage = Stage([], [])
    key = key_of(film, stage, TrackOptions(), every=5, longest=None)
    assert key == key_of(film, stage, TrackOptions(), longest=None, every=5)
    assert key != key_of(film, stage, TrackOptions(count=4), every=5, longest=None)
    assert key != key_of(film, stage, TrackOptions(), every=5, longest=640)
    assert json.loads(key.options)["tracks"] == asdict(TrackOptions())


def test_its_place_is_the_cache_or_beside_the_video(film: Path, tmp_path: Path, scrubbed: pytest.MonkeyPatch) -> None:
    assert index_path(film, KEY, beside=True) == film.with_name("film.mp4.twinface.npz")
    scrubbed.setenv("TWINFACE_CACHE", str(tmp_path / "cache"))
    one = index_path(film, KEY)
    assert one.parent.is_dir()
    assert index_path(film, replace(KEY, analyzer="other")) == one
    assert index_path(film, replace(KEY, video="sha256:2")) != one
    places = {
        index_path(film, KEY, purpose, beside=beside) for purpose in ("search", "blur") for beside in (True, False)
    }
    assert len(places) == 4
    scrubbed.setenv("TWINFACE_CACHE", str(film))
    with pytest.raises(OutputError, match="TWINFACE_CACHE"):
        index_path(film, KEY)


def test_indexes_in_the_cache_can_be_removed(film: Path, tmp_path: Path, scrubbed: pytest.MonkeyPatch) -> None:
    scrubbed.setenv("TWINFACE_CACHE", str(tmp_path / "cache"))
    assert remove_indexes() == 0
    path = written(index_path(film, KEY), [track(1)])
    other = os.link(path, tmp_path / "link") or tmp_path / "link"
    beside = written(index_path(film, KEY, beside=True), [track(1)])
    written(index_path(film, KEY, "blur"), [track(1)])
    (indexes_folder() / ".twinface-killed.part").write_bytes(b"templates")
    assert remove_indexes() == 2
    assert list(indexes_folder().iterdir()) == []
    assert set(other.read_bytes()) == {0}
    assert beside.exists()
    path.mkdir()
    with pytest.raises(OutputError, match="remove it yourself"):
        remove_indexes()


class Play:
    """A stage as a source of frames; it may break off."""

    def __init__(self, stage: Stage, fault: BaseException | None = None, after: int = 0) -> None:
        self.info = VideoInfo("play", False, 64, 36, None, 5.0, ("a note\nin two lines",))
        self._stage = stage
        self._fault = fault
        self._after = after

    def frames(self) -> Iterator[VideoFrame]:
        for place, frame in enumerate(self._stage.frames()):
            if self._fault is not None and place == self._after:
                raise self._fault
            yield frame

    def close(self) -> None:
        pass


def stage() -> Stage:
    actors = [
        Actor("a", lambda time: (600 - 150 * abs(time - 2), 300)),
        Actor("b", lambda time: None if 1.7 < time < 2.3 else (600 + 150 * abs(time - 2), 300)),
        Actor("c", during(still(1500), (1, 3), (5, 8))),
    ]
    return Stage(actors, steps(9), cuts=[4.2])


def searched(path: Path, source: Play, play: Stage, **options: Any) -> VideoIndex:
    begun, _ = load_index(path, KEY)
    builder = TrackBuilder(play, rule=RULE, thumbnail=thumbnail, begun=None if begun is None else begun.progress)
    search_video(source, builder, IndexWriter(path, KEY, begun, **options))
    return read_index(path)


def test_a_search_leaves_a_complete_index(tmp_path: Path) -> None:
    play = stage()
    index = searched(tmp_path / "i.npz", Play(play), play)
    builder = TrackBuilder(play, rule=RULE, thumbnail=thumbnail)
    tracks = [one for frame in play.frames() for one in builder.feed(frame)] + builder.finish()
    assert index.progress is None
    assert plain(index.tracks) == plain(tuple(tracks))
    assert len(index.tracks) == 4
    assert index.looks.notes == (ascii("a note\nin two lines"),)


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), SourceStalled("no frames")], ids=["Ctrl-C", "stalled"])
@pytest.mark.parametrize("after", [1, 9, 21, 44])
def test_what_goes_on_after_an_interruption_is_as_one_go(tmp_path: Path, fault: BaseException, after: int) -> None:
    play = stage()
    whole = searched(tmp_path / "whole.npz", Play(play), play)
    path = tmp_path / "parts.npz"
    with pytest.raises(type(fault)):
        searched(path, Play(play, fault, after), play)
    begun = read_index(path)
    assert begun.progress is not None
    assert begun.progress.time == pytest.approx(play.times[after - 1])
    seen = play.located
    index = searched(path, Play(play), play)
    assert plain(index.tracks) == plain(whole.tracks)
    assert play.located - seen == len(play.times) - after


def test_an_interruption_before_the_first_frame_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "i.npz", Play(stage(), KeyboardInterrupt()), stage())
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_amid_a_frame_goes_on_from_the_last_write(tmp_path: Path) -> None:
    """What a builder knows then may be half of something."""
    path, play = tmp_path / "i.npz", stage()
    whole = searched(tmp_path / "whole.npz", Play(play), play)
    locate, times = play.locate, iter(range(99))
    clock = iter(np.arange(0, 1e4, 1.0).tolist())

    def interrupted(source: object) -> Any:
        if next(times) == 23:
            raise KeyboardInterrupt
        return locate(source)

    play.locate = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        searched(path, Play(play), play, period=10.0, clock=lambda: next(clock))
    begun = read_index(path)
    assert begun.progress is not None
    assert 0 < begun.progress.time < play.times[22]
    play.locate = locate  # type: ignore[method-assign]
    assert plain(searched(path, Play(play), play).tracks) == plain(whole.tracks)


def test_it_is_written_at_once_and_then_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play, now = stage(), [0.0]
    saved: list[float] = []
    monkeypatch.setattr(IndexWriter, "save", lambda self, progress, notes: saved.append(now[0]) or self._write(progress, notes))  # fmt: skip  # noqa: E501
    begun = TrackBuilder(play, rule=RULE)
    search_video(
        Play(play),
        begun,
        IndexWriter(tmp_path / "i.npz", KEY, period=30.0, clock=lambda: now[0]),
        lambda time: now.__setitem__(0, 10 * time),
    )
    assert saved == pytest.approx([0, 30, 60])


def test_trouble_with_the_place_shows_at_the_first_frame(tmp_path: Path) -> None:
    play = stage()
    with pytest.raises(OutputError):
        searched(tmp_path / "nowhere" / "i.npz", Play(play), play)
    assert play.located == 1


def test_a_thumbnail_is_a_small_picture() -> None:
    content = thumbnail(np.random.default_rng(0).integers(0, 256, (150, 150, 3), np.uint8))
    picture = PillowImage.open(io.BytesIO(content))
    assert (picture.format, picture.size) == ("JPEG", (112, 112))
