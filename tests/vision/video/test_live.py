"""Streams from real servers on this machine, which stall, drop, vanish and come back."""

from __future__ import annotations

import base64
import gc
import io
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from PIL import Image as PillowImage

from twinface.core.video import VideoFrame
from twinface.errors import SourceError, SourceStalled, SourceUnavailable
from twinface.vision.video import ring as video_ring
from twinface.vision.video.source import VideoOptions, VideoSource, open_video

av = pytest.importorskip("av", reason="PyAV is not installed")

DEADLINE = 60.0
"""Seconds; only a hang takes so long."""

STEP = 20
USER, PASSWORD = "porter", "open:s3same"
LOGIN = f"{USER}:open%3As3same@"


@cache
def jpeg(number: int) -> bytes:
    """A picture that tells its number, up to 12."""
    file = io.BytesIO()
    PillowImage.fromarray(np.full((48, 64, 3), STEP // 2 + STEP * number, np.uint8)).save(file, "JPEG")
    return file.getvalue()


def told(frame: VideoFrame) -> int:
    return round((float(frame.image.mean()) - STEP / 2) / STEP)


class Camera:
    """A camera's web server: multipart/x-mixed-replace, MPEG-TS, a plain file, and answers that are none.

    Pictures are sent as long as `flowing` is set. `only` lets a connection have so many, and then waits or hangs up.
    """

    def __init__(self) -> None:
        self.flowing = threading.Event()
        self.flowing.set()
        self.gap = 0.02
        self.sent = 0
        self.connections = 0
        self.hang_up_after: int | None = None
        self.content = b""
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.start()

    def start(self) -> None:
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.answer(self)

            def log_message(self, *words: Any) -> None:
                """Says nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *words: Any) -> None:
                """A client that hangs up is no error here."""

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Is there no more: connections break off, new ones are refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        self.drop()

    def end(self) -> None:
        self._over.set()
        self.stop()

    def drop(self) -> None:
        """Breaks all connections off."""
        with self._lock:
            for one in self._open:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def url(self, path: str = "live", login: str = "") -> str:
        return f"http://{login}127.0.0.1:{self.port}/{path}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        with self._lock:
            self.connections += 1
            self._open.add(handler.connection)
        try:
            with suppress(OSError):
                getattr(self, "on_" + handler.path.partition("?")[0].strip("/"))(handler)
        finally:
            with self._lock:
                self._open.discard(handler.connection)

    def on_private(self, handler: BaseHTTPRequestHandler) -> None:
        right = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if handler.headers.get("Authorization") != f"Basic {right}":
            handler.send_response(401)
            handler.send_header("WWW-Authenticate", 'Basic realm="door"')
            handler.end_headers()
            return
        self.on_live(handler)

    def on_live(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        given = 0
        while not self._over.is_set() and (self.hang_up_after is None or given < self.hang_up_after):
            if not self.flowing.wait(0.05):
                continue
            picture = jpeg(self.sent % 12)
            handler.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(picture))
            handler.wfile.write(picture + b"\r\n")
            given += 1
            self.sent += 1
            self._over.wait(self.gap)

    def on_ts(self, handler: BaseHTTPRequestHandler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Content-Type", "video/mp2t")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for start in range(0, len(self.content), 1880):
            part = self.content[start : start + 1880]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self._over.wait(0.001)
        self._over.wait(DEADLINE)

    def on_file(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "video/mp4")
        handler.send_header("Content-Length", str(len(self.content)))
        handler.end_headers()
        handler.wfile.write(self.content)

    def on_text(self, handler: BaseHTTPRequestHandler) -> None:
        text = b"<html>hello</html>" * 100
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    def on_silent(self, handler: BaseHTTPRequestHandler) -> None:
        self._over.wait(DEADLINE)

    def on_missing(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_error(404)

    def on_busy(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_error(503)

    def on_elsewhere(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "file:///etc/passwd")
        handler.end_headers()


@pytest.fixture
def camera() -> Iterator[Camera]:
    one = Camera()
    yield one
    one.end()


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test ends without reading threads, and without the shared memory it made."""
    made: list[str] = []
    reserved = video_ring._reserved

    def noted(size: int) -> Any:
        memory = reserved(size)
        made.append(memory.name)
        return memory

    monkeypatch.setattr(video_ring, "_reserved", noted)
    yield
    gc.collect()
    until(lambda: not [one for one in threading.enumerate() if one.name.startswith("twinface reads")])
    assert not [name for name in made if (Path("/dev/shm") / name).exists()]


def until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.005)


def live(address: str, **options: Any) -> VideoSource:
    return open_video(address, VideoOptions(**{"pause": 0.05, "longest_pause": 0.2, **options}))


def child(video: VideoSource) -> int:
    return video._held[-1].pid


def refusal(address: str, **options: Any) -> str:
    with pytest.raises(SourceUnavailable) as caught:
        live(address, **options).close()
    message = str(caught.value)
    assert message.isprintable()
    return message


def newest_waits(video: VideoSource, number: int) -> bool:
    waiting = list(video._held[-1]._waiting)
    return bool(waiting) and waiting[-1][0].number >= number


# what live sources give


def test_frames_come_as_they_are_sent(camera: Camera) -> None:
    with live(camera.url()) as video:
        info = video.info
        assert (info.name, info.live, info.width, info.height, info.duration) == (camera.url(), True, 64, 48, None)
        frames = video.frames()
        given = [next(frames) for _ in range(5)]
    numbers = [frame.number for frame in given]
    assert numbers == sorted(set(numbers))
    assert given[0].time == 0.0
    for frame in given:
        assert frame.image.shape == (48, 64, 3)
        assert frame.time == pytest.approx(frame.arrived - given[0].arrived)
        assert 0 <= time.monotonic() - frame.arrived < DEADLINE
    assert list(frames) == []


def test_the_newest_frame_comes_first(camera: Camera) -> None:
    """What nobody took meanwhile is not kept: neither here nor in the pipe."""
    with live(camera.url()) as video:
        frames = video.frames()
        first = next(frames)
        until(lambda: newest_waits(video, first.number + 30))
        camera.flowing.clear()
        sent = camera.sent
        until(lambda: camera.sent == sent)
        assert len(video._held[-1]._waiting) == 1
        assert next(frames).number >= first.number + 30


def test_mpeg_ts_over_http(camera: Camera, tmp_path: Path) -> None:
    path = tmp_path / "live.ts"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "10", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        noise = np.random.default_rng(0)
        for _ in range(60):
            picture = noise.integers(0, 255, (48, 64, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    camera.content = path.read_bytes()
    with live(camera.url("ts")) as video:
        assert video.info.live
        assert next(video.frames()).image.shape == (48, 64, 3)


def test_a_file_behind_an_address_is_read_as_a_file(camera: Camera, tmp_path: Path) -> None:
    path = tmp_path / "file.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(20):
            container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode())
    camera.content = path.read_bytes()
    with live(camera.url("file")) as video:
        assert (video.info.live, video.info.duration) == (False, pytest.approx(2.0))
        assert [frame.number for frame in video.frames()] == list(range(20))


def test_frames_are_made_smaller(camera: Camera) -> None:
    with live(camera.url(), longest=32) as video:
        assert next(video.frames()).image.shape == (24, 32, 3)
        assert video.info.notes == ("scaled from 64 x 48",)


# drops, stalls, absence


def test_a_stream_that_breaks_off_is_taken_up_again(camera: Camera) -> None:
    camera.hang_up_after = 3
    with live(camera.url()) as video:
        given: list[VideoFrame] = []
        for frame in video.frames():
            given.append(frame)
            if camera.connections >= 4:
                break
        numbers, times = [frame.number for frame in given], [frame.time for frame in given]
        assert numbers == sorted(set(numbers))
        assert times == sorted(set(times))
        (note,) = video.info.notes
        assert note in ("times the stream was lost: 3", "times the stream was lost: 4")
        assert len(video._held) <= 1


def test_a_stream_that_stalls_is_taken_up_again(camera: Camera) -> None:
    with live(camera.url(), stall=0.4) as video:
        frames = video.frames()
        next(frames)
        camera.flowing.clear()
        threading.Thread(target=lambda: (until(lambda: camera.connections >= 3), camera.flowing.set())).start()
        stopped = time.monotonic()
        while next(frames).arrived < stopped or camera.connections < 3:
            pass
        assert camera.connections >= 3


def test_a_camera_that_was_away_is_found_again(camera: Camera) -> None:
    with live(camera.url()) as video:
        frames = video.frames()
        next(frames)
        camera.stop()
        back = threading.Timer(1.0, camera.start)
        back.start()
        gone = time.monotonic()
        while next(frames).arrived < gone + 1.0:
            pass
        back.join()
        assert video.info.notes == ("times the stream was lost: 1",)


def test_pauses_grow_and_no_attempt_follows_too_soon(camera: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    with live(camera.url(), pause=0.5, longest_pause=5.0) as video:
        pauses: list[float] = []
        now = [100.0]
        monkeypatch.setattr("twinface.vision.video.source.time", SimpleNamespace(monotonic=lambda: now[0]))

        class Closing:
            def is_set(self) -> bool:
                return len(pauses) >= 7

            def set(self) -> None:
                """Closes."""

            def wait(self, seconds: float) -> None:
                pauses.append(seconds)
                now[0] += seconds

        def refuse() -> Any:
            from twinface.vision.video.decoder import Broken

            raise Broken("refused", crashed=False)

        video._held[-1].close(0)
        video._closing = Closing()  # type: ignore[assignment]
        video._open = refuse  # type: ignore[method-assign]
        assert list(video.frames()) == []
    assert pauses == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP])
def test_a_live_source_outlives_its_decoder(camera: Camera, number: int) -> None:
    with live(camera.url(), stall=1.0) as video:
        frames = video.frames()
        next(frames)
        first = child(video)
        os.kill(first, number)
        for _ in frames:
            if child(video) != first:
                break
        assert not alive(first)


def test_without_reconnecting_a_break_is_an_error(camera: Camera) -> None:
    camera.hang_up_after = 3
    with live(camera.url(), reconnect=False) as video, pytest.raises(SourceStalled, match="it broke off; check"):
        list(video.frames())


def test_without_reconnecting_a_stall_is_an_error(camera: Camera) -> None:
    with live(camera.url(), reconnect=False, stall=0.3) as video:
        camera.flowing.clear()
        with pytest.raises(SourceStalled, match=r"no frame came for 0\.3 s; check the network"):
            list(video.frames())


def test_closing_ends_waiting(camera: Camera) -> None:
    with live(camera.url()) as video:
        frames = video.frames()
        next(frames)
        camera.flowing.clear()
        threading.Timer(0.2, video.close).start()
        list(frames)
    until(lambda: not alive(child(video)))


def test_closing_ends_waiting_for_a_camera_that_is_away(camera: Camera) -> None:
    with live(camera.url(), pause=DEADLINE, longest_pause=DEADLINE) as video:
        camera.stop()
        threading.Timer(0.5, video.close).start()
        list(video.frames())


def test_what_is_forgotten_is_closed(camera: Camera) -> None:
    video = live(camera.url())
    process = child(video)
    del video
    gc.collect()
    until(lambda: not alive(process))


def drops(camera: Camera, times: int) -> None:
    """Loses the stream so often; nothing must be left of any."""

    def held() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    def frame_after(lost: int) -> None:
        next(frames)
        while f"times the stream was lost: {lost}" not in video.info.notes:
            next(frames)

    with live(camera.url(), pause=0.01, longest_pause=0.01) as video:
        frames = video.frames()
        for number in range(1, 4):
            camera.drop()
            frame_after(number)
        before, memory = held(), resident()
        for number in range(4, times + 4):
            camera.drop()
            frame_after(number)
        until(lambda: held()[0] <= before[0] and held()[1] <= before[1])
        if times >= 100:  # a few tell nothing: the process has had thousands of other tests
            assert resident() - memory < 8 * 2**20
        assert len(video._held) == 1


def resident() -> int:
    """Bytes of memory this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts by /proc")
def test_drops_leave_nothing_behind(camera: Camera) -> None:
    drops(camera, 3)


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts by /proc")
def test_a_hundred_drops_leave_nothing_behind(camera: Camera) -> None:
    drops(camera, 100)


# refusals, and what is secret


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("missing", "the server knows no such stream; check what follows the host"), ("busy", "the server refuses ("),
        ("text", "what comes from there is no video; check the address"),
        ("private", "the user name or the password is missing or wrong"), ("elsewhere", "no video; check the address"),
    ],
)  # fmt: skip
def test_servers_that_give_no_video(camera: Camera, path: str, words: str) -> None:
    assert words in refusal(camera.url(path))


def test_a_server_that_never_answers(camera: Camera) -> None:
    assert "no frame came for 0.3 s; check the network, and that the camera or server is on" in refusal(
        camera.url("silent"), stall=0.3
    )


def test_a_port_where_nothing_answers(camera: Camera) -> None:
    camera.stop()
    assert "nothing answers there; check host and port" in refusal(camera.url())
    assert "nothing answers there; check host and port" in refusal(f"rtsp://127.0.0.1:{camera.port}/x")


def test_a_host_nobody_knows() -> None:
    assert "no host of that name is known" in refusal("http://no-such-host.invalid/live")


@pytest.mark.parametrize(
    "address", ["ftp://127.0.0.1/x.mp4", "udp://127.0.0.1:1", "file:///x.mp4", "concat://a", "rtmp://127.0.0.1/x"]
)
def test_other_schemes(address: str) -> None:
    assert "TwinFace reads streams by rtsp://, rtsps://, http://, https://" in refusal(address)


def test_the_right_password_opens(camera: Camera) -> None:
    with live(camera.url("private", LOGIN)) as video:
        next(video.frames())
        assert video.info.name == f"http://***@127.0.0.1:{camera.port}/private"
        assert "s3same" not in repr(video.__dict__)
        if Path("/proc").is_dir():
            seen = (
                Path(f"/proc/{child(video)}/cmdline").read_bytes() + Path(f"/proc/{child(video)}/environ").read_bytes()
            )
            assert b"s3same" not in seen
            assert str(camera.port).encode() not in seen


@pytest.mark.parametrize("path", ["private", "missing", "text", "silent", "elsewhere", "busy"])
def test_no_error_tells_a_password(camera: Camera, path: str, capfd: pytest.CaptureFixture[str]) -> None:
    address = camera.url(path, f"{USER}:wr0ngword@") + "?channel=1&pwd=als0secret"
    with pytest.raises(SourceError) as caught:
        live(address, stall=1.0 if path == "silent" else 10.0).close()
    text = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + "".join(capfd.readouterr())
    for secret in ("wr0ngword", USER, "als0secret"):
        assert secret not in text
    assert f"http://***@127.0.0.1:{camera.port}/{path}?channel=1&pwd=***: " in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def certificate(folder: Path) -> tuple[Path, Path]:
    """Of this machine, trusted by nobody; and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    words = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*words))
    (folder / "certificate.pem").write_bytes(signed.public_bytes(Encoding.PEM))
    return folder / "certificate.pem", folder / "key.pem"


def test_an_encrypted_stream_must_be_trusted(camera: Camera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signed, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(signed, key)
    assert camera._server is not None
    camera._server.socket = context.wrap_socket(camera._server.socket, server_side=True)
    address = f"https://{LOGIN}localhost:{camera.port}/private"

    assert "the server's certificate is not trusted; name its authority's by SSL_CERT_FILE" in refusal(address)
    with live(address, verify=False) as video:
        next(video.frames())
    monkeypatch.setenv("SSL_CERT_FILE", str(signed))
    with live(address) as video:
        next(video.frames())
    assert "no encrypted connection comes about" in refusal(f"https://localhost:{plain_port()}/x")


def plain_port() -> int:
    """Where somebody speaks, but not encrypted."""
    server = socket.create_server(("127.0.0.1", 0))

    def speak() -> None:
        with server, suppress(OSError):
            for _ in range(2):
                client, _ = server.accept()
                with client:
                    client.sendall(b"HTTP/1.0 400 hello\r\n\r\n")

    threading.Thread(target=speak, daemon=True).start()
    return int(server.getsockname()[1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="opens a camera as Linux does")
def test_what_is_no_camera_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the driver's own answer: there is no camera here to be opened."""
    monkeypatch.setattr("twinface.vision.video.places.DEVICES", tmp_path)
    (tmp_path / "video0").touch()
    with pytest.raises(SourceUnavailable, match=r"camera 0: cannot be opened \(.*\); plug it in anew, or close other"):
        open_video(0)


# RTSP, by GStreamer's server

SERVER = """
import sys, gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    "( videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=25/1 ! x264enc tune=zerolatency "
    "key-int-max=10 ! rtph264pay name=pay0 pt=96 )"
)
factory.set_shared(True)
if len(sys.argv) > 2:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(sys.argv[2], sys.argv[3]), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("user", "media.factory.access", True)
    permissions.add_permission_for_role("user", "media.factory.construct", True)
    factory.set_permissions(permissions)
server.get_mount_points().add_factory("/door", factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""

PROBE = """
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
assert all(Gst.ElementFactory.find(one) for one in ("videotestsrc", "x264enc", "rtph264pay"))
"""


@cache
def python_of_the_system() -> str | None:
    """A Python that has GStreamer's RTSP server."""
    for name in ("/usr/bin/python3", shutil.which("python3")):
        if name and Path(name).exists():
            done = subprocess.run([name, "-c", PROBE], capture_output=True, timeout=DEADLINE, check=False)
            if done.returncode == 0:
                return name
    return None


@pytest.fixture
def rtsp() -> Iterator[Callable[..., tuple[int, subprocess.Popen[str]]]]:
    python = python_of_the_system()
    if python is None:
        pytest.skip("no RTSP server: install gir1.2-gst-rtsp-server-1.0, python3-gi and gstreamer1.0-plugins-ugly")
    running: list[subprocess.Popen[str]] = []

    def serve(port: int = 0, *login: str) -> tuple[int, subprocess.Popen[str]]:
        process = subprocess.Popen([python, "-c", SERVER, str(port), *login], stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        return int(process.stdout.readline()), process

    yield serve
    for process in running:
        process.kill()
        process.communicate()


def test_rtsp_is_read_and_found_again(rtsp: Callable[..., tuple[int, subprocess.Popen[str]]]) -> None:
    port, server = rtsp()
    with live(f"rtsp://127.0.0.1:{port}/door") as video:
        info = video.info
        assert (info.live, info.width, info.height, info.duration) == (True, 320, 240, None)
        frames = video.frames()
        given = [next(frames) for _ in range(5)]
        assert given[-1].image[10, 10].min() > 150  # the test picture begins with its light bar
        server.kill()
        server.wait()
        back, _ = rtsp(port)
        assert back == port
        returned = time.monotonic()
        while next(frames).arrived < returned:
            pass
        assert video.info.notes == ("times the stream was lost: 1",)


def test_rtsp_that_stalls_is_taken_up_again(rtsp: Callable[..., tuple[int, subprocess.Popen[str]]]) -> None:
    """A server that is stopped keeps its connection open and says nothing."""
    port, server = rtsp()
    with live(f"rtsp://127.0.0.1:{port}/door", stall=1.0) as video:
        frames = video.frames()
        next(frames)
        server.send_signal(signal.SIGSTOP)
        threading.Thread(
            target=lambda: (until(lambda: video._losses), server.send_signal(signal.SIGCONT)), daemon=True
        ).start()
        while not video._losses:
            next(frames)
        next(frames)


def test_rtsp_wants_the_right_password(rtsp: Callable[..., tuple[int, subprocess.Popen[str]]]) -> None:
    port, _ = rtsp(0, USER, "s3same")
    with live(f"rtsp://{USER}:s3same@127.0.0.1:{port}/door") as video:
        next(video.frames())
        assert video.info.name == f"rtsp://***@127.0.0.1:{port}/door"
    message = refusal(f"rtsp://{USER}:wr0ngword@127.0.0.1:{port}/door")
    assert "the user name or the password is missing or wrong" in message
    assert "wr0ngword" not in message
    assert "the server knows no such stream" in refusal(f"rtsp://{USER}:s3same@127.0.0.1:{port}/window")
