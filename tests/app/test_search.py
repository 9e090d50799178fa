"""`twinface search` and `twinface index`, on videos made of the two sample portraits."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from twinface.app.video.report import Moment, Section, clock, write_report

av = pytest.importorskip("av")

Cli = Callable[..., Any]
RATE, WIDTH, HEIGHT = 10, 640, 360
SCENE = {"collins": (1.0, 3.0), "hopper": (4.0, 6.0)}
"""When each of the two is seen, seconds."""


def film(path: Path, examples: Path, scene: dict[str, tuple[float, float]], seconds: float = 7.0) -> Path:
    """A video in which the two come and go, moving a little."""
    portraits = {
        name: np.asarray(Image.open(examples / f"{name}.jpg").convert("RGB").resize((240, 240))) for name in scene
    }
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH, HEIGHT, "yuv420p", 4_000_000
        for number in range(round(seconds * RATE)):
            frame = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
            for place, (name, (start, end)) in enumerate(scene.items()):
                if start <= number / RATE < end:
                    left = 40 + 300 * place + 2 * (number % 10)
                    frame[60:300, left : left + 240] = portraits[name]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Path:
    return film(tmp_path_factory.mktemp("film") / "film.mp4", examples, SCENE)


@pytest.fixture
def own_cache(cli: Cli, scrubbed: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    scrubbed.setenv("TWINFACE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_photo_finds_the_moments(cli: Cli, own_cache: Path, video: Path, examples: Path) -> None:
    done = cli("search", video, "--for", examples / "hopper_reshoot.jpg", "--json")
    assert done.status == 0
    (told,) = json.loads(done.out)["videos"]
    (interval,) = told["intervals"]
    start, end = SCENE["hopper"]
    assert abs(interval["start"] - start) <= 0.3
    assert abs(interval["end"] - end) <= 0.4
    assert start <= interval["best"] <= end
    assert interval["probability"] > 0.99
    left, top, width, height = interval["box"]
    assert (340 < left < 600, 60 < top < 200, 60 < width < 200, 60 < height < 240) == (True,) * 4
    assert told["duration"] == pytest.approx(7.0, abs=0.2)


def test_a_second_question_takes_the_index(
    cli: Cli, own_cache: Path, video: Path, examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("index", video).status == 0
    (index,) = (own_cache / "videos").iterdir()
    assert index.stat().st_mode & 0o077 == 0
    monkeypatch.setattr("twinface.app.video.indexing.open_video", None)  # whoever so much as opens it fails
    again = cli("index", video)
    assert (again.status, "known already" in again.out) == (0, True)
    assert cli("search", video, "--for", examples / "collins_reshoot.jpg").status == 0


@pytest.mark.parametrize("beside", [(), ("--beside",)], ids=["cache", "beside"])
def test_what_hides_faces_leaves_the_answers_be(
    cli: Cli,
    own_cache: Path,
    video: Path,
    examples: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    beside: tuple[str, ...],
) -> None:
    """An index for `search` and one for `blur`, which is denser, live side by side."""
    copy = tmp_path / "film.mp4"
    copy.write_bytes(video.read_bytes())
    question = ("search", copy, "--for", examples / "collins.jpg", "--json", *beside)
    first = cli(*question)
    cli("blur", copy, "--all", "--out", tmp_path / "safe.mp4")
    monkeypatch.setattr("twinface.app.video.indexing.search_video", None)  # whoever searches now fails
    assert cli(*question).out == first.out
    assert cli("blur", copy, "--all", "--out", tmp_path / "again.mp4").status == 0
    assert json.loads(cli("data", "cache", "--json").out)["indexes"]["videos"] == 1
    cli("data", "cache", "--clear")
    assert list((own_cache / "videos").iterdir()) == []


def test_an_index_of_one_purpose_replaces_the_older(cli: Cli, own_cache: Path, video: Path) -> None:
    for rate in ("5", "4"):
        cli("index", video, "--rate", rate)
    assert len(list((own_cache / "videos").iterdir())) == 1


def test_the_cache_tells_of_indexes_and_forgets_them(cli: Cli, own_cache: Path, video: Path) -> None:
    cli("index", video)
    assert json.loads(cli("data", "cache", "--json").out)["indexes"]["videos"] == 1
    assert "faces of 1 video" in cli("data", "cache").out
    cli("data", "cache", "--clear")
    assert list((own_cache / "videos").iterdir()) == []


def test_words_for_people(cli: Cli, own_cache: Path, video: Path, examples: Path) -> None:
    done = cli("search", video, "--for", examples / "collins.jpg")
    assert "1 hit among 2 faces" in done.out
    assert "distance up to" in done.out


def test_who_is_not_there_is_not_found(cli: Cli, own_cache: Path, tmp_path: Path, examples: Path) -> None:
    video = film(tmp_path / "one.mp4", examples, {"collins": (0.5, 2.0)}, 3.0)
    done = cli("search", video, "--for", examples / "hopper.jpg")
    assert done.status == 1
    assert "0 hits among 1 face" in done.out


def test_somebody_of_the_gallery(cli: Cli, own_cache: Path, video: Path, tmp_path: Path, examples: Path) -> None:
    gallery = tmp_path / "people.db"
    cli("enroll", "--name", "Grace", examples / "hopper.jpg", examples / "hopper_reshoot.jpg", "-g", gallery)
    done = cli("search", video, "--subject", "grace", "-g", gallery, "--json")
    assert done.status == 0
    assert len(json.loads(done.out)["videos"][0]["intervals"]) == 1
    cli("search", video, "--subject", "Eve", "-g", gallery).refuses("nobody is named")


def test_who_else_is_here(cli: Cli, own_cache: Path, video: Path, tmp_path: Path) -> None:
    done = cli("search", video, "--unknown-clusters", "--json", "--out", tmp_path / "report")
    assert done.status == 0
    (told,) = json.loads(done.out)["videos"]
    spans = [person["intervals"] for person in told["people"]]
    assert [len(one) for one in spans] == [1, 1]
    assert spans[0][0][0] < spans[1][0][0]
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("<h3>person") == 2


def test_the_report_opens_from_disk(cli: Cli, own_cache: Path, video: Path, tmp_path: Path, examples: Path) -> None:
    out = tmp_path / "report"
    done = cli("search", video, "--for", examples / "collins.jpg", "--out", out, "--clips")
    assert done.status == 0
    assert {path.name for path in out.iterdir()} == {"report.html", "hits.json", "hits.csv", "film-1.0-2.8.mp4"}
    page = (out / "report.html").read_text()
    assert "data:image/jpeg;base64," in page
    assert 'src="../' in page
    assert "http" not in page.replace("http-equiv", "")
    (row,) = list(csv.DictReader((out / "hits.csv").read_text().splitlines()))
    assert abs(float(row["start"]) - SCENE["collins"][0]) <= 0.3
    with av.open(str(out / "film-1.0-2.8.mp4")) as clip:
        frames = sum(1 for _ in clip.decode(video=0))
    assert 20 <= frames <= 70
    assert all(path.stat().st_mode & 0o077 == 0 for path in out.glob("hits.*"))


def test_a_second_answer_takes_the_place_of_the_first(
    cli: Cli, own_cache: Path, video: Path, tmp_path: Path, examples: Path
) -> None:
    """Of two videos of one name each has its clips, and the folder can be used again."""
    twin = tmp_path / "other" / video.name
    twin.parent.mkdir()
    film(twin, examples, SCENE, 8.0)
    words = ("search", video, twin, "--for", examples / "collins.jpg", "--out", tmp_path / "report", "--clips")
    assert [cli(*words).status for _ in range(2)] == [0, 0]
    clips = sorted(path.name for path in (tmp_path / "report").glob("*.mp4"))
    assert clips == ["film-1-1.0-2.8.mp4", "film-2-1.0-2.8.mp4"]
    assert not list((tmp_path / "report").glob(".*"))


def test_a_clip_that_cannot_be_cut_is_told_and_the_answer_stays(
    cli: Cli, own_cache: Path, video: Path, tmp_path: Path, examples: Path
) -> None:
    (tmp_path / "report" / "film-1.0-2.8.mp4").mkdir(parents=True)
    done = cli("search", video, "--for", examples / "collins.jpg", "--out", tmp_path / "report", "--clips")
    assert done.status == 2
    assert "film-1.0-2.8.mp4: cannot be written" in done.err
    assert (tmp_path / "report" / "report.html").exists()
    assert not list((tmp_path / "report").glob(".*"))


def test_videos_that_cannot_be_read_do_not_stop_the_others(
    cli: Cli, own_cache: Path, video: Path, tmp_path: Path, examples: Path
) -> None:
    (tmp_path / "broken.mp4").write_text("not a video")
    done = cli("search", tmp_path / "broken.mp4", video, tmp_path / "none.mp4", "--for", examples / "collins.jpg")
    assert done.status == 2
    assert "1 hit" in done.out
    assert "broken.mp4" in done.err
    assert "none.mp4: there is no such video file" in done.err


def test_an_interruption_keeps_what_was_found_and_goes_on(
    cli: Cli, own_cache: Path, video: Path, tmp_path: Path, examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the second video: the first one's hits are told, and the same command ends the work."""
    from twinface.app.video import index as video_index
    from twinface.services.tracks import TrackBuilder

    second = film(tmp_path / "second.mp4", examples, {"collins": (0.5, 3.5)}, 4.0)
    really, fed = TrackBuilder.feed, []

    def feed(self: TrackBuilder, frame: Any) -> Any:
        if len(fed) == 45:
            raise KeyboardInterrupt
        fed.append(frame.time)
        return really(self, frame)

    monkeypatch.setattr(TrackBuilder, "feed", feed)
    monkeypatch.setattr(video_index, "PERIOD", 0.0)
    page = tmp_path / "report" / "report.html"
    words = ("search", video, second, "--for", examples / "collins_reshoot.jpg", "--json", "--rate", "10",
             "--out", page.parent)  # fmt: skip
    cut = cli(*words)
    while cut.status != 130 and len(fed) < 45:
        cut = cli(*words, "--anew")
    assert cut.status == 130
    told = json.loads(cut.out)
    assert not told["complete"]
    assert ("interrupted" in page.read_text()) if told["videos"] else not page.exists()
    monkeypatch.setattr(TrackBuilder, "feed", really)
    whole = cli(*words)
    assert whole.status == 0
    assert [len(one["intervals"]) for one in json.loads(whole.out)["videos"]] == [1, 1]
    assert "interrupted" not in page.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "whom to find?"),
        (("--for", "a.jpg", "--subject", "Ada"), "whom to find?"),
        (("--for", "none.jpg"), "no such file"),
        (("--for", "{examples}/two_faces.jpg", "--clips"), "--clips need a folder"),
        (("--for", "{examples}/hopper.jpg", "--rate", "inf"), "--rate"),
        (("--for", "{examples}/hopper.jpg", "--rate", "nan"), "--rate"),
        (("--for", "{examples}/hopper.jpg", "--fpir", "2"), "FPIR 2"),
        (("--subject", "Ada", "--model", "resnet29"), "a gallery is searched with its own model"),
        (("--for", "{examples}/hopper.jpg", "--out", "{examples}/hopper.jpg"), "the folder cannot be made"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    cli: Cli,
    own_cache: Path,
    video: Path,
    examples: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.setattr("twinface.app.video.indexing.search_video", None)  # nothing of it takes a search to be found
    cli("search", video, *(word.format(examples=examples) for word in words)).refuses(said)


def test_a_folder_that_takes_no_files_is_refused_before_the_search(
    cli: Cli, own_cache: Path, video: Path, examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: not mode & os.W_OK)
    monkeypatch.setattr("twinface.app.video.indexing.search_video", None)  # whoever searches now fails
    cli("search", video, "--for", examples / "hopper.jpg", "--out", tmp_path / "r").refuses("nothing may be written")


def test_live_ends_at_the_first_sure_sight(cli: Cli, own_cache: Path, video: Path, examples: Path) -> None:
    done = cli("search", "--live", video, "--for", examples / "collins_reshoot.jpg")
    assert (done.status, "appeared" in done.out) == (0, True)
    cli("search", "--live", video, "--for", examples / "collins.jpg", "--fpir", "2").refuses("FPIR 2")
    cli("search", video, "--live", video, "--for", examples / "collins.jpg").refuses("--live takes --for")
    cli("search", "--live", video).refuses("--live takes --for")
    cli("search", video, "--exec", "true", "--for", examples / "collins.jpg").refuses("which videos?")


def test_a_folder_without_videos(cli: Cli, own_cache: Path, tmp_path: Path, examples: Path) -> None:
    (tmp_path / "empty").mkdir()
    cli("search", tmp_path / "empty", "--for", examples / "collins.jpg").refuses("holds no videos")


class TestReport:
    def test_names_are_escaped(self, tmp_path: Path) -> None:
        video = tmp_path / '<img src=x onerror="alert(1)">.mp4'
        moment = Moment(1.0, 2.0, 1.5, "<script>alert(2)</script>", b"")
        write_report(tmp_path / "r.html", "<b>", "<i>", [Section(video, 10.0, (("<u>", (moment,)),), ("<s>",))])
        page = (tmp_path / "r.html").read_text()
        for tag in ("<img src=x", "<script>alert(2)", "<b>", "<i>", "<u>", "<s>"):
            assert tag not in page

    def test_it_is_its_owners_alone(self, tmp_path: Path) -> None:
        write_report(tmp_path / "r.html", "t", "w", [])
        assert (tmp_path / "r.html").stat().st_mode & 0o077 == 0

    @pytest.mark.parametrize(("seconds", "words"), [(0, "0:00"), (75.3, "1:15"), (3675, "1:01:15")])
    def test_times_as_players_show_them(self, seconds: float, words: str) -> None:
        assert clock(seconds) == words
