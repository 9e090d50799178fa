"""`/v1/videos` and `/v1/searches`, on a video made of the two sample portraits."""

from __future__ import annotations

import base64
import hashlib
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from twinface.app.server.containers import container_of
from twinface.app.server.shelf import fit_name
from twinface.app.video.index import search_video

av = pytest.importorskip("av")
pytest.importorskip("fastapi")

from starlette.testclient import TestClient  # noqa: E402

from twinface.app.server.create import create_app  # noqa: E402
from twinface.app.server.options import ServerOptions  # noqa: E402

RATE, WIDTH, HEIGHT = 10, 640, 360
SCENE = {"collins": (1.0, 3.0), "hopper": (4.0, 6.0)}
PATIENCE = 120


def film(examples: Path, kind: str = "mp4") -> bytes:
    """A video in which the two come and go."""
    portraits = {
        name: np.asarray(Image.open(examples / f"{name}.jpg").convert("RGB").resize((240, 240))) for name in SCENE
    }
    content = io.BytesIO()
    with av.open(content, "w", format=kind) as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH, HEIGHT, "yuv420p", 4_000_000
        for number in range(7 * RATE):
            frame = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
            for place, (name, (start, end)) in enumerate(SCENE.items()):
                if start <= number / RATE < end:
                    left = 40 + 300 * place + 2 * (number % 10)
                    frame[60:300, left : left + 240] = portraits[name]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return content.getvalue()


@pytest.fixture(scope="module")
def content(examples: Path) -> bytes:
    return film(examples)


def opened(folder: Path, **options: Any) -> TestClient:
    chosen = {"threads": 1, "rate": 1e6, "burst": 10**6, **options}
    app = create_app(ServerOptions(folder / "people.db", folder / "state", **chosen))
    return TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 50000))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[TestClient]:
    with opened(folder) as client:
        yield client


@pytest.fixture(scope="module")
def video(server: TestClient, content: bytes) -> dict[str, Any]:
    answer = server.post("/v1/videos?name=film.mp4", content=content)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/v1/videos/{answer.json()['id']}"
    return dict(answer.json())


def waited(server: TestClient, search: str, fits: Callable[[Any], bool] = lambda job: job["ended"]) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE
    while not fits(job := server.get(f"/v1/searches/{search}").json()):
        assert time.monotonic() < end, job
        time.sleep(0.02)
    return dict(job)


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def sought(server: TestClient, video: dict[str, Any], picture: Path, **fields: Any) -> dict[str, Any]:
    with picture.open("rb") as photo:
        answer = server.post(f"/v1/videos/{video['id']}/searches", files={"photo": photo}, data=fields)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/searches/{answer.json()['id']}"
    return dict(answer.json())


def refused(answer: Any, status: int, code: str) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["code"] == code, answer.text
    return str(answer.json()["detail"])


class TestUploads:
    def test_what_is_known_of_a_video(self, server: TestClient, video: dict[str, Any], content: bytes) -> None:
        assert (video["name"], video["media_type"], video["size"]) == ("film.mp4", "video/mp4", len(content))
        assert video["sha256"] == hashlib.sha256(content).hexdigest()
        assert (video["width"], video["height"], video["rate"]) == (WIDTH, HEIGHT, RATE)
        assert video["duration"] == pytest.approx(7.0, abs=0.2)
        assert server.get(f"/v1/videos/{video['id']}").json() == video
        assert video in server.get("/v1/videos").json()["videos"]

    def test_as_a_form_in_small_pieces(self, server: TestClient, content: bytes) -> None:
        whole = server.build_request("POST", "/v1/videos", files={"video": ("C:\\films\\a b.mp4", content)})
        body = whole.read()

        def pieces() -> Iterator[bytes]:
            yield from (body[place : place + 997] for place in range(0, len(body), 997))

        answer = server.post("/v1/videos", content=pieces(), headers={"content-type": whole.headers["content-type"]})
        assert answer.status_code == 201, answer.text
        assert answer.json()["sha256"] == hashlib.sha256(content).hexdigest()
        assert answer.json()["name"] == "a b.mp4"
        assert server.delete(f"/v1/videos/{answer.json()['id']}").status_code == 204

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (b"", "multipart/form-data"),
            (b"x", "multipart/form-data; boundary="),
            (b"--b\r\n\r\nhello", "multipart/form-data; boundary=b"),
            (
                b'--b\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--b--\r\n',
                "multipart/form-data; boundary=b",
            ),
            (b'--b\r\nContent-Disposition: form-data; name="video"\r\n\r\nx', "multipart/form-data; boundary=b"),
            (
                b'--b\r\nContent-Disposition: form-data; name="video"\r\n\r\nx\r\n'
                b'--b\r\nContent-Disposition: form-data; name="video"\r\n\r\nx\r\n--b--\r\n',
                "multipart/form-data; boundary=b",
            ),
            (b"", "application/octet-stream"),
        ],
    )
    def test_what_is_no_upload(self, server: TestClient, folder: Path, body: bytes, kind: str) -> None:
        before = len(list((folder / "state" / "videos").iterdir()))
        refused(server.post("/v1/videos", content=body, headers={"content-type": kind}), 422, "invalid")
        assert len(list((folder / "state" / "videos").iterdir())) == before

    @pytest.mark.parametrize(
        "body",
        [
            b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
            b"ffconcat version 1.0\nfile /etc/passwd\n",
            b'<!--ftyp--><MPD profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><BaseURL>file:///a.mp4</BaseURL></MPD>',
            b"<!--G-->".ljust(196) + b"G".ljust(192) + b"G<MPD/>",
            b"\x89PNG\r\n\x1a\n" + bytes(100),
            b"hello, I am a video",
        ],
        ids=["playlist", "list of files", "manifest", "manifest in disguise", "picture", "text"],
    )
    def test_kinds_that_are_not_taken(self, server: TestClient, folder: Path, body: bytes) -> None:
        before = sorted((folder / "state" / "videos").iterdir())
        refused(server.post("/v1/videos?name=film.mp4", content=body), 415, "unsupported-format")
        assert sorted((folder / "state" / "videos").iterdir()) == before

    def test_a_playlist_in_disguise(self, server: TestClient) -> None:
        """What begins as a transport stream and goes on as a list of files is not followed."""
        body = bytearray(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n".ljust(1000))
        body[0] = body[188] = body[376] = ord("G")
        refused(server.post("/v1/videos", content=bytes(body)), 422, "unreadable-video")

    def test_a_damaged_video_names_no_path(self, server: TestClient, folder: Path, content: bytes) -> None:
        detail = refused(server.post("/v1/videos", content=content[:300]), 422, "unreadable-video")
        assert str(folder) not in detail
        assert "content" not in detail

    def test_too_large(self, tmp_path: Path, content: bytes) -> None:
        with opened(tmp_path, max_video_bytes=5000) as server:
            refused(server.post("/v1/videos", content=content), 413, "too-large")
            refused(server.post("/v1/videos", content=(content[:4000], content[4000:])), 413, "too-large")
            assert list((tmp_path / "state" / "videos").iterdir()) == []

    def test_one_that_breaks_off_leaves_nothing(
        self, serve: Callable[..., Any], content: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = serve()
        shelf = server.app.state.twinface.options.folder / "videos"
        head = f"POST /v1/videos HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: {len(content)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head.encode() + content[:50_000])
            until(lambda: any(shelf.iterdir()))
        until(lambda: not any(shelf.iterdir()))
        assert "unexpected" not in caplog.text
        assert server.client().health()

    def test_no_room(self, server: TestClient, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("twinface.app.server.video_desk.RESERVE", 2**62)
        refused(server.post("/v1/videos", content=content), 507, "cannot-write")

    def test_names_are_shown_and_open_nothing(self) -> None:
        assert fit_name("../../etc/passwd", ".mp4") == "passwd"
        assert fit_name("..\\..\\film.mp4", ".mp4") == "film.mp4"
        assert fit_name("a\x1b[31m\nb.mp4", ".mp4") == "a[31mb.mp4"
        assert fit_name("...", ".mp4") == "video.mp4"
        assert len(fit_name("x" * 300, ".mp4")) == 100

    def test_kinds_by_their_first_bytes(self, examples: Path) -> None:
        for kind, ending in (
            ("mp4", ".mp4"),
            ("matroska", ".mkv"),
            ("avi", ".avi"),
            ("mpegts", ".ts"),
            ("mov", ".mov"),
        ):
            found = container_of(film(examples, kind)[:4096])
            assert found is not None
            assert found.ending == ending


class TestPlaying:
    def test_whole_and_in_parts(self, server: TestClient, video: dict[str, Any], content: bytes) -> None:
        address = f"/v1/videos/{video['id']}/content"
        whole = server.get(address)
        assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, content, "video/mp4")
        assert whole.headers["accept-ranges"] == "bytes"
        assert whole.headers["content-disposition"].startswith("inline")
        part = server.get(address, headers={"range": "bytes=100-199"})
        assert (part.status_code, part.content) == (206, content[100:200])
        assert part.headers["content-range"] == f"bytes 100-199/{len(content)}"
        assert server.get(address, headers={"range": "bytes=-50"}).content == content[-50:]
        assert server.get(address, headers={"range": f"bytes={len(content)}-"}).status_code == 416

    @pytest.mark.parametrize("identity", ["0" * 32, "..", "%2e%2e%2fkeys.json", "x" * 3000])
    def test_only_what_was_uploaded(self, server: TestClient, identity: str) -> None:
        for address in (f"/v1/videos/{identity}", f"/v1/videos/{identity}/content", f"/v1/searches/{identity}"):
            refused(server.get(address), 404, "not-found")
        refused(server.delete(f"/v1/videos/{identity}"), 404, "not-found")
        refused(server.post(f"/v1/videos/{identity}/unknown"), 404, "not-found")


class TestSearches:
    def test_a_photo_finds_the_moments(self, server: TestClient, video: dict[str, Any], examples: Path) -> None:
        asked = sought(server, video, examples / "hopper_reshoot.jpg")
        job = waited(server, asked["id"])
        assert (job["state"], job["progress"], job["trouble"]) == ("done", 1.0, None)
        assert (job["video"], job["name"], job["kind"]) == (video["id"], "film.mp4", "search")
        (interval,) = job["intervals"]
        start, end = SCENE["hopper"]
        assert abs(interval["start"] - start) <= 0.3
        assert abs(interval["end"] - end) <= 0.4
        assert interval["probability"] > 0.99
        face = Image.open(io.BytesIO(base64.b64decode(interval["thumbnail"])))
        assert face.format == "JPEG"
        assert "path" not in job

    def test_the_report_plays_the_video_beside_it(
        self, server: TestClient, video: dict[str, Any], examples: Path
    ) -> None:
        asked = sought(server, video, examples / "collins_reshoot.jpg")
        waited(server, asked["id"])
        answer = server.get(f"/v1/searches/{asked['id']}/report")
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.headers["content-disposition"].startswith("attachment")
        assert 'src="film.mp4#t=' in answer.text
        assert "data:image/jpeg;base64," in answer.text
        assert "/twinface-" not in answer.text
        assert "<h2>film.mp4</h2>" in answer.text

    def test_somebody_of_the_gallery(self, server: TestClient, video: dict[str, Any], examples: Path) -> None:
        with (examples / "collins.jpg").open("rb") as photo:
            assert server.post("/v1/people", data={"name": "Eileen"}, files={"photo": photo}).status_code == 201
        answer = server.post(f"/v1/videos/{video['id']}/searches", data={"subject": "eileen"})
        assert answer.status_code == 202, answer.text
        job = waited(server, answer.json()["id"])
        assert (job["asked"], len(job["intervals"])) == ("Eileen", 1)
        answer = server.post(f"/v1/videos/{video['id']}/searches", data={"subject": "Nobody"})
        refused(answer, 404, "unknown-person")

    def test_everybody_told_apart(self, server: TestClient, video: dict[str, Any]) -> None:
        answer = server.post(f"/v1/videos/{video['id']}/unknown")
        assert answer.status_code == 202
        job = waited(server, answer.json()["id"])
        assert len(job["people"]) == 2
        assert all(person["thumbnails"][0] for person in job["people"])
        page = server.get(f"/v1/searches/{job['id']}/report").text
        assert "person 2" in page

    @pytest.mark.parametrize(
        ("fields", "files", "status", "code"),
        [
            ({}, [], 422, "invalid"),
            ({"subject": "Eileen"}, ["hopper.jpg"], 422, "invalid"),
            ({"fpir": "0"}, ["hopper.jpg"], 422, "invalid"),
            ({"fpir": "nan"}, ["hopper.jpg"], 422, "invalid"),
            ({"subject": "x" * 1000}, [], 422, "invalid"),
            ({}, ["hopper.jpg"] * 11, 422, "invalid"),
            ({}, ["README.md"], 415, "unsupported-format"),
        ],
    )
    def test_questions_that_make_no_sense(
        self,
        server: TestClient,
        video: dict[str, Any],
        examples: Path,
        fields: dict[str, str],
        files: list[str],
        status: int,
        code: str,
    ) -> None:
        photos = [("photo", (name, (examples / name).read_bytes())) for name in files]
        refused(server.post(f"/v1/videos/{video['id']}/searches", data=fields, files=photos), status, code)

    def test_the_list_and_forgetting(self, server: TestClient, video: dict[str, Any], examples: Path) -> None:
        asked = sought(server, video, examples / "hopper.jpg")
        waited(server, asked["id"])
        listed = server.get("/v1/searches", params={"video": video["id"]}).json()["searches"]
        assert asked["id"] == listed[0]["id"]
        assert "intervals" not in listed[0]
        assert server.delete(f"/v1/searches/{asked['id']}").status_code == 204
        refused(server.get(f"/v1/searches/{asked['id']}"), 404, "not-found")

    def test_nothing_on_the_disk_is_for_others(self, video: dict[str, Any], folder: Path) -> None:
        kept = [path for place in ("videos", "jobs") for path in (folder / "state" / place).rglob("*")]
        assert any(path.suffix == ".npz" for path in kept)
        assert all(path.stat().st_mode & 0o077 == 0 for path in kept)


class Brake:
    """Holds a search up until the test lets it go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.go = threading.Event(), threading.Event()

        def slow(source: Any, builder: Any, writer: Any, advance: Any) -> None:
            def braked(moment: float) -> None:
                if moment > 2 and not self.go.is_set():
                    self.reached.set()
                    while not self.go.wait(0.01):
                        advance(moment)
                advance(moment)

            search_video(source, builder, writer, braked)

        monkeypatch.setattr("twinface.app.video.indexing.search_video", slow)


class TestInterruptions:
    def test_a_restart_goes_on(
        self, tmp_path: Path, content: bytes, examples: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        brake = Brake(monkeypatch)
        with opened(tmp_path) as server:
            video = server.post("/v1/videos", content=content).json()
            asked = sought(server, video, examples / "hopper_reshoot.jpg")
            assert brake.reached.wait(PATIENCE)
            job = server.get(f"/v1/searches/{asked['id']}").json()
            assert (job["state"], 0.1 < job["progress"] < 0.9) == ("running", True)
            refused(server.get(f"/v1/searches/{asked['id']}/report"), 409, "conflict")
        brake.go.set()
        with opened(tmp_path) as server:
            assert server.get(f"/v1/videos/{video['id']}").json() == video
            job = waited(server, asked["id"])
            assert (job["state"], len(job["intervals"])) == ("done", 1)

    def test_cancelling(self, tmp_path: Path, content: bytes, examples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        brake = Brake(monkeypatch)
        with opened(tmp_path) as server:
            video = server.post("/v1/videos", content=content).json()
            asked = sought(server, video, examples / "hopper_reshoot.jpg")
            assert brake.reached.wait(PATIENCE)
            assert server.delete(f"/v1/searches/{asked['id']}").status_code == 204
            assert waited(server, asked["id"])["state"] == "cancelled"
            brake.go.set()
            again = sought(server, video, examples / "hopper_reshoot.jpg")
            assert waited(server, again["id"])["state"] == "done"

    def test_removing_a_video_that_is_searched(
        self, tmp_path: Path, content: bytes, examples: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        brake = Brake(monkeypatch)
        with opened(tmp_path) as server:
            video = server.post("/v1/videos", content=content).json()
            asked = sought(server, video, examples / "hopper_reshoot.jpg")
            assert brake.reached.wait(PATIENCE)
            assert server.delete(f"/v1/videos/{video['id']}").status_code == 204
            refused(server.get(f"/v1/videos/{video['id']}/content"), 404, "not-found")
            refused(server.get(f"/v1/searches/{asked['id']}"), 404, "not-found")
            assert list((tmp_path / "state" / "videos").iterdir()) == []
            assert list((tmp_path / "state" / "jobs").iterdir()) == []

    def test_what_an_interruption_left_is_removed(self, tmp_path: Path, content: bytes) -> None:
        with opened(tmp_path) as server:
            server.post("/v1/videos", content=content)
        shelf = tmp_path / "state" / "videos"
        for name in (".upload-" + "1" * 32, ".removed-" + "2" * 32):
            (shelf / name).mkdir()
            (shelf / name / "content").write_bytes(b"face")
        (shelf / "mine").mkdir()
        with opened(tmp_path) as server:
            assert len(server.get("/v1/videos").json()["videos"]) == 1
        assert len(list(shelf.iterdir())) == 2


def test_roles(tmp_path: Path, content: bytes) -> None:
    with opened(tmp_path) as server:
        keys = server.app.state.twinface.keys  # type: ignore[attr-defined]
        reader, operator = ({"x-api-key": keys.make(role, role)[1]} for role in ("read", "operate"))
        refused(server.post("/v1/videos", content=content), 401, "unauthenticated")
        refused(server.post("/v1/videos", content=content, headers=reader), 403, "forbidden")
        video = server.post("/v1/videos", content=content, headers=operator).json()
        address = f"/v1/videos/{video['id']}"
        assert server.get(address, headers=reader).json() == video
        refused(server.post(f"{address}/unknown", headers=reader), 403, "forbidden")
        refused(server.delete(address, headers=reader), 403, "forbidden")
        assert server.delete(address, headers=operator).status_code == 204
