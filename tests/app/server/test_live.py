"""`/v1/live`: frames in, names out, and no more than that."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("av")
pytest.importorskip("fastapi")

from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from twinface.app.access.sample_camera import SampleCamera
from twinface.app.server.camera import Camera
from twinface.app.server.create import create_app
from twinface.app.server.live_session import MOST_BYTES, LiveFrame, read_frame, write_frame
from twinface.app.server.options import ServerOptions
from twinface.app.server.routes import live
from twinface.errors import SourceUnavailable, UnreadableImage

LIVE = "ws://127.0.0.1/v1/live"
ORIGIN = {"origin": "http://127.0.0.1"}
PATIENCE = 120


def opened(folder: Path, **options: Any) -> TestClient:
    chosen = {"threads": 1, "rate": 1e6, "burst": 10**6, **options}
    app = create_app(ServerOptions(folder / "people.db", folder / "state", **chosen))
    return TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 50000))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Iterator[TestClient]:
    with opened(tmp_path_factory.mktemp("server")) as client:
        with (examples / "hopper.jpg").open("rb") as photo:
            assert client.post("/v1/people", data={"name": "Grace"}, files={"photo": photo}).status_code == 201
        yield client


def jpeg(picture: Path | None = None, size: tuple[int, int] = (640, 480)) -> bytes:
    canvas = Image.new("RGB", size, (90, 90, 90))
    if picture is not None:
        canvas.paste(Image.open(picture).convert("RGB").resize((300, 300)), (40, 60))
    file = io.BytesIO()
    canvas.save(file, "JPEG", quality=90)
    return file.getvalue()


def sent(socket: Any, number: int, picture: bytes, milliseconds: int | None = None) -> dict[str, Any]:
    moment = (200 * number if milliseconds is None else milliseconds) / 1000
    socket.send_bytes(write_frame(LiveFrame(number, moment, picture)))
    answer = json.loads(socket.receive_text())
    assert answer["seq"] == number
    return dict(answer)


def closed(socket: Any) -> int:
    """The code with which the server ends."""
    with pytest.raises(WebSocketDisconnect) as end:
        socket.receive_text()
    return end.value.code


def denied(server: TestClient, address: str = LIVE, **words: Any) -> Any:
    with pytest.raises(WebSocketDenialResponse) as refusal, server.websocket_connect(address, **words):
        pass
    assert refusal.value.headers["content-type"].startswith("application/problem+json")
    return refusal.value


class TestMessages:
    def test_there_and_back(self) -> None:
        frame = LiveFrame(7, 1234.567, b"\xff\xd8\xff")
        assert write_frame(frame) == b"\x00\x00\x00\x07\x00\x12\xd6\x87\xff\xd8\xff"
        assert read_frame(write_frame(frame)) == frame

    @pytest.mark.parametrize("content", [b"", b"1234567", b"12345678"])
    def test_without_a_picture(self, content: bytes) -> None:
        with pytest.raises(UnreadableImage):
            read_frame(content)


class TestBrowser:
    def test_somebody_known(self, server: TestClient, examples: Path) -> None:
        with server.websocket_connect(LIVE + "?thumbnails=true", headers=ORIGIN) as socket:
            answers = [sent(socket, number, jpeg(examples / "hopper_reshoot.jpg")) for number in range(1, 8)]
            assert answers[0]["faces"][0]["state"] == "new"
            assert answers[0]["frame"] == [640, 480]
            (face,) = answers[-1]["faces"]
            assert (face["state"], face["name"]) == ("known", "Grace")
            assert face["probability"] > 0.9
            assert face["quality"]["usable"] is True
            left, top, width, height = face["box"]
            assert (40 <= left < 340, 60 <= top < 360, 50 < width < 300, 50 < height < 300) == (True,) * 4
            (event,) = [one for answer in answers for one in answer["events"]]
            assert (event["event"], event["name"], event["track"]) == ("appeared", "Grace", face["track"])
            assert event["thumbnail"]
            for number in range(8, 30):
                left_ = sent(socket, number, jpeg())["events"]
                if left_:
                    break
            assert [one["event"] for one in left_] == ["left"]

    def test_a_stranger(self, server: TestClient, examples: Path) -> None:
        with server.websocket_connect(LIVE, headers=ORIGIN) as socket:
            answers = [sent(socket, number, jpeg(examples / "collins.jpg")) for number in range(1, 12)]
        assert answers[-1]["faces"][0]["state"] == "unknown"
        assert [one["event"] for answer in answers for one in answer["events"]] == ["unknown"]

    def test_each_view_is_its_own(self, server: TestClient, examples: Path) -> None:
        with (
            server.websocket_connect(LIVE, headers=ORIGIN) as one,
            server.websocket_connect(LIVE, headers=ORIGIN) as other,
        ):
            assert len(sent(one, 1, jpeg(examples / "hopper.jpg"))["faces"]) == 1
            assert sent(other, 1, jpeg())["faces"] == []

    def test_the_newest_of_those_that_wait_counts(self, server: TestClient, examples: Path) -> None:
        picture = jpeg(examples / "hopper.jpg")
        with server.websocket_connect(LIVE, headers=ORIGIN) as socket:
            for number in range(1, 101):
                socket.send_bytes(write_frame(LiveFrame(number, number / 5, picture)))
            numbers: list[int] = []
            while not numbers or numbers[-1] != 100:
                numbers.append(json.loads(socket.receive_text())["seq"])
        assert numbers == sorted(set(numbers))
        assert len(numbers) < 50

    def test_ten_frames_a_second_at_most(self, server: TestClient) -> None:
        with server.websocket_connect(LIVE, headers=ORIGIN) as socket:
            sent(socket, 1, jpeg(), 0)
            began = time.monotonic()
            for number in range(2, 12):
                sent(socket, number, jpeg(), 10 * number)
            assert time.monotonic() - began > 0.8

    def test_a_clock_that_stands_still_is_no_trouble(self, server: TestClient, examples: Path) -> None:
        with server.websocket_connect(LIVE, headers=ORIGIN) as socket:
            for number, milliseconds in enumerate((5000, 5000, 1000, 0, 2**32 - 1), 1):
                sent(socket, number, jpeg(examples / "hopper.jpg"), milliseconds)

    @pytest.mark.parametrize(
        ("picture", "code"),
        [
            (b"\xff\xd8\xff no picture", "unreadable-image"),
            (b"\x89PNG\r\n\x1a\n", "unsupported-format"),
            (jpeg(size=(1921, 1921)), "image-too-large"),
            (jpeg(size=(8, 8)), "unsupported-format"),
            (jpeg()[:-200], "unreadable-image"),
        ],
        ids=["noise", "another format", "too many pixels", "tiny", "cut off"],
    )
    def test_a_frame_that_cannot_be_read_is_told_and_the_next_is_seen(
        self, server: TestClient, examples: Path, picture: bytes, code: str
    ) -> None:
        with server.websocket_connect(LIVE, headers=ORIGIN) as socket:
            answer = sent(socket, 1, picture)
            assert (answer["faces"], answer["events"], answer["problem"]["code"]) == ([], [], code)
            assert len(sent(socket, 2, jpeg(examples / "hopper.jpg"))["faces"]) == 1

    def test_full_hd_is_taken(self, server: TestClient) -> None:
        with server.websocket_connect(LIVE, headers=ORIGIN) as socket:
            assert sent(socket, 1, jpeg(size=(1920, 1080)))["frame"] == [1920, 1080]

    def test_nothing_but_bad_frames_ends_it(self, server: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("twinface.app.server.live_socket.MOST_BAD", 3)
        with server.websocket_connect(LIVE, headers=ORIGIN) as socket:
            for number in (1, 2):
                sent(socket, number, b"\xff\xd8\xff")
            socket.send_bytes(write_frame(LiveFrame(3, 3.0, b"\xff\xd8\xff")))
            assert closed(socket) == 1003

    @pytest.mark.parametrize(
        ("send", "code"),
        [
            (lambda socket: socket.send_text("hello"), 1003),
            (lambda socket: socket.send_bytes(b"1234"), 1003),
            (lambda socket: socket.send_bytes(bytes(MOST_BYTES + 1)), 1009),
        ],
        ids=["text", "no header", "too large"],
    )
    def test_what_is_no_frame_ends_it(self, server: TestClient, send: Callable[[Any], None], code: int) -> None:
        with server.websocket_connect(LIVE, headers=ORIGIN) as socket:
            send(socket)
            assert closed(socket) == code

    def test_silence_ends_it(self, server: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("twinface.app.server.live_socket.IDLE", 0.2)
        with server.websocket_connect(LIVE, headers=ORIGIN) as socket:
            assert closed(socket) == 1001

    def test_a_bug_ends_it_and_nothing_else(
        self, server: TestClient, examples: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(*_: object) -> None:
            raise ZeroDivisionError("secret")

        with server.websocket_connect(LIVE, headers=ORIGIN) as socket, monkeypatch.context() as patch:
            patch.setattr("twinface.app.server.live_session.decode_frame", fail)
            socket.send_bytes(write_frame(LiveFrame(1, 1.0, jpeg())))
            assert closed(socket) == 1011
        assert "ZeroDivisionError" in caplog.text
        with server.websocket_connect(LIVE, headers=ORIGIN) as socket:
            sent(socket, 1, jpeg())

    def test_as_many_views_as_there_may_be(self, server: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(live, "MOST", 2)
        with ExitStack() as stack:
            for _ in range(2):
                sent(stack.enter_context(server.websocket_connect(LIVE, headers=ORIGIN)), 1, jpeg())
            with server.websocket_connect(LIVE, headers=ORIGIN) as third:
                assert closed(third) == 1013
        with server.websocket_connect(LIVE, headers=ORIGIN) as socket:
            sent(socket, 1, jpeg())

    @pytest.mark.parametrize("question", ["fpir=0", "fpir=nan", "fpir=2", "source=file:///etc/passwd", "thumbnails=x"])
    def test_questions_that_make_no_sense(self, server: TestClient, question: str) -> None:
        with (
            pytest.raises((WebSocketDisconnect, WebSocketDenialResponse)),
            server.websocket_connect(f"{LIVE}?{question}", headers=ORIGIN),
        ):
            pass


class TestDoor:
    def test_pages_of_other_sites(self, server: TestClient) -> None:
        for origin in ("http://evil.example", "https://127.0.0.1:444", "http://127.0.0.1.evil.example", "null"):
            assert denied(server, headers={"origin": origin}).status_code == 403
        assert denied(server, headers={"origin": "http://evil.example", "host": "evil.example"}).status_code == 421

    def test_keys(self, tmp_path: Path) -> None:
        with opened(tmp_path) as server:
            keys = server.app.state.twinface.keys  # type: ignore[attr-defined]
            key, secret = keys.make("reader", "read")
            assert denied(server).status_code == 401
            assert denied(server, headers={"x-api-key": "wrong"}).status_code == 401
            assert denied(server, subprotocols=["twinface.live", "twinface.key.wrong"]).status_code == 401
            with server.websocket_connect(LIVE, headers={"x-api-key": secret}) as socket:
                assert socket.accepted_subprotocol is None
                sent(socket, 1, jpeg())
            offered = ["twinface.live", f"twinface.key.{secret}"]
            with server.websocket_connect(LIVE, subprotocols=offered) as socket:
                assert socket.accepted_subprotocol == "twinface.live"
                sent(socket, 1, jpeg())
                keys.revoke(key.id)
                socket.send_bytes(write_frame(LiveFrame(2, 2.0, jpeg())))
                assert closed(socket) == 1008
            assert denied(server, subprotocols=offered).status_code == 401

    def test_the_cookie_of_the_pages(self, tmp_path: Path) -> None:
        with opened(tmp_path) as server:
            _, secret = server.app.state.twinface.keys.make("reader", "read")  # type: ignore[attr-defined]
            assert server.post("/v1/session", json={"key": secret}).status_code == 200
            assert denied(server, headers={"origin": "http://evil.example"}).status_code == 403
            with server.websocket_connect(LIVE, headers=ORIGIN) as socket:
                sent(socket, 1, jpeg())
                assert server.delete("/v1/session").status_code == 204
                socket.send_bytes(write_frame(LiveFrame(2, 2.0, jpeg())))
                assert closed(socket) == 1008
            assert denied(server, headers=ORIGIN).status_code == 401

    def test_the_first_key_ends_views_without_one(self, tmp_path: Path) -> None:
        with opened(tmp_path) as server, server.websocket_connect(LIVE) as socket:
            sent(socket, 1, jpeg())
            server.app.state.twinface.keys.make("first", "admin")  # type: ignore[attr-defined]
            socket.send_bytes(write_frame(LiveFrame(2, 2.0, jpeg())))
            assert closed(socket) == 1008


class TestServersCamera:
    def test_there_is_none(self, server: TestClient) -> None:
        refusal = denied(server, LIVE + "?source=server", headers=ORIGIN)
        assert (refusal.status_code, refusal.json()["code"]) == (409, "no-camera")

    def test_several_look_through_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        made: list[SampleCamera] = []

        def sample(_: str) -> Camera:
            return Camera(lambda: made.append(SampleCamera()) or made[-1])  # type: ignore[func-returns-value]

        monkeypatch.setattr(live, "camera_of", sample)
        with opened(tmp_path, source="0") as server:
            for turn in (1, 2):
                with (
                    server.websocket_connect(LIVE + "?source=server", headers=ORIGIN) as one,
                    server.websocket_connect(LIVE + "?source=server", headers=ORIGIN) as other,
                ):
                    for socket in (one, other):
                        for number in (1, 2, 3):
                            frame = read_frame(socket.receive_bytes())
                            answer = json.loads(socket.receive_text())
                            assert (frame.number, answer["seq"]) == (number, number)
                            assert list(Image.open(io.BytesIO(frame.jpeg)).size) == answer["frame"]
                    assert len(made) == turn

    def test_one_that_fails(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken() -> SampleCamera:
            raise SourceUnavailable("rtsp://camera/secret: no route")

        monkeypatch.setattr(live, "camera_of", lambda _: Camera(broken))
        with (
            opened(tmp_path, source="rtsp://camera/secret") as server,
            server.websocket_connect(LIVE + "?source=server", headers=ORIGIN) as socket,
        ):
            assert closed(socket) == 1011


class TestCamera:
    def test_it_is_let_go_after_the_last_look(self) -> None:
        sources: list[SampleCamera] = []

        def source() -> SampleCamera:
            assert all(one._closing.is_set() for one in sources)
            sources.append(SampleCamera())
            return sources[-1]

        camera = Camera(source)
        assert camera.newest() is None
        with closing(camera.look()) as first, closing(camera.look()) as second:
            seen = first.next(PATIENCE)
            assert seen is not None
            assert second.next(PATIENCE) is not None
            later = first.next(PATIENCE)
            assert later is not None
            assert later.number > seen.number
            assert camera.newest() is not None
        assert camera.newest() is None
        with closing(camera.look()) as again:
            assert again.next(PATIENCE) is not None
        assert len(sources) == 2

    def test_whoever_looks_hears_why_it_ended(self) -> None:
        class Broken(SampleCamera):
            def frames(self) -> Iterator[Any]:
                raise SourceUnavailable("the cable is out")

        with closing(Camera(Broken).look()) as look, pytest.raises(SourceUnavailable, match="cable"):
            look.next(PATIENCE)
