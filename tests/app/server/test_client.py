"""The client against servers that really listen: `twinface serve`, and some that are none."""

from __future__ import annotations

import io
import itertools
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict

import numpy as np
import pytest
from PIL import Image

from twinface import answers
from twinface.client import Client, ClientError, Problem, ServerUnreachable
from twinface.errors import TwinFaceError

NOBODY = "0" * 32
names = (f"Somebody {number}" for number in itertools.count(1))


def fits(value: Any, kind: Any) -> bool:
    """Whether an answer has the fields its type promises."""
    if is_typeddict(kind):
        hints = get_type_hints(kind)
        return isinstance(value, dict) and all(name in value and fits(value[name], hints[name]) for name in hints)
    if get_origin(kind) is list:
        return isinstance(value, list) and all(fits(one, get_args(kind)[0]) for one in value)
    if type(None) in get_args(kind):
        return value is None or fits(value, get_args(kind)[0])
    if get_args(kind) and get_origin(kind) is not dict:
        return value in get_args(kind)
    return isinstance(value, (int, float) if kind is float else get_origin(kind) or kind)


def refused(call: Callable[[], object]) -> Problem:
    with pytest.raises(Problem) as raised:
        call()
    return raised.value


@pytest.fixture(scope="module")
def client(live: Any) -> Client:
    made: Client = live.client()
    return made


class TestAnswers:
    def test_a_comparison(self, client: Client, examples: Path) -> None:
        answer = client.compare(examples / "collins.jpg", examples / "collins_reshoot.jpg", fmr=1e-4)
        assert answer["verdict"] == "same"
        assert answer["fmr"] == 1e-4
        assert fits(answer, answers.Comparison)

    def test_pictures_come_as_paths_bytes_and_files(self, client: Client, examples: Path) -> None:
        path = examples / "collins.jpg"
        assert client.compare(str(path), path.read_bytes())["distance"] == 0
        assert client.compare(path, io.BytesIO(path.read_bytes()))["distance"] == 0

    def test_options_reach_the_server(self, client: Client, examples: Path) -> None:
        a, b = examples / "two_faces.jpg", examples / "collins.jpg"
        assert client.compare(a, b, face="2,1", band=0.9, any_quality=True)["a"]["face"] == 2
        assert client.compare(a, b, face=None)["a"]["face"] == 1

    def test_detection(self, client: Client, examples: Path) -> None:
        answer = client.detect(examples / "two_faces.jpg")
        assert len(answer["faces"]) == 2
        assert fits(answer, answers.Detection)

    def test_templates(self, client: Client, examples: Path) -> None:
        (face,) = client.embed(examples / "collins.jpg", face="only")["faces"]
        assert sum(number**2 for number in face["template"]) == pytest.approx(1, abs=1e-4)

    def test_models(self, client: Client) -> None:
        assert {"twin-r29", "scout"} <= {model["name"] for model in client.models()}

    def test_readiness(self, client: Client) -> None:
        assert client.health() == {"status": "ready"}


class TestPeople:
    def test_enrolling_naming_changing_and_forgetting(self, client: Client, examples: Path) -> None:
        enrolled = client.enroll("Eileen Collins", examples / "collins.jpg", keep_photos=True, expires="30d")
        uid = enrolled["person"]["uid"]
        assert enrolled["photos"][0]["result"] == "enrolled"
        assert fits(enrolled["person"], answers.Person)

        answer = client.identify(examples / "two_faces.jpg", top=2)
        assert "Eileen Collins" in {face["subject"] for face in answer["faces"]}
        assert fits(answer, answers.Identification)

        assert client.add_photos(uid, examples / "collins_reshoot.jpg")["person"]["pictures"] == 2
        assert client.change(uid, name="E. Collins", expires="never")["name"] == "E. Collins"
        assert client.person(uid)["expires"] is None
        assert client.remove(uid)["subjects"] == [uid]
        assert refused(lambda: client.person(uid)).status == 404

    def test_the_same_try_enrols_once(self, client: Client, examples: Path) -> None:
        name, photo = next(names), examples / "hopper.jpg"
        first, second = (client.enroll(name, photo, once="the same word")["person"]["uid"] for _ in range(2))
        assert first == second
        assert refused(lambda: client.enroll(name, photo)).code == "duplicate-person"
        client.remove(first)

    def test_everybody_over_many_pages(self, client: Client, examples: Path) -> None:
        enrolled = [client.enroll(next(names), examples / photo) for photo in ("hopper.jpg", "collins.jpg")]
        listed = list(client.people(limit=1))
        assert [one["uid"] for one in listed] == [one["person"]["uid"] for one in enrolled]
        assert all(fits(one, answers.Person) for one in listed)
        for one in listed:
            client.remove(one["uid"])

    def test_an_address_made_of_a_uid_leads_nowhere_else(self, client: Client) -> None:
        for uid in ("../models", "a/b", "?x=1", "%2e%2e", "ü", ""):
            assert refused(lambda uid=uid: client.person(uid) if uid else client.remove(uid)).status in (404, 405, 422)


class TestVideos:
    def test_uploading_and_seeking(self, client: Client, examples: Path, tmp_path: Path) -> None:
        film = tmp_path / "a film.mp4"
        make_film(film, examples / "hopper.jpg")
        video = client.upload_video(film)
        assert video["name"] == "a film.mp4"
        assert video["size"] == film.stat().st_size
        found = client.wait(client.search_video(video["id"], examples / "hopper_reshoot.jpg")["id"], pause=0.05)
        assert found["state"] == "done", found
        assert found["intervals"]

    def test_waiting_ends(self, client: Client) -> None:
        assert refused(lambda: client.wait(NOBODY)).status == 404


class TestRefusals:
    def test_a_problem_has_all_that_the_server_said(self, client: Client, examples: Path) -> None:
        problem = refused(lambda: client.compare(examples / "collins.jpg", b"no picture"))
        assert (problem.status, problem.code, problem.retry_after) == (415, "unsupported-format", None)
        assert problem.title
        assert problem.detail.startswith("b: ")
        assert str(problem) == f"{problem.detail} (415 unsupported-format)"

    def test_too_large_is_told_although_not_all_was_sent(self, client: Client) -> None:
        assert refused(lambda: client.detect(bytes(30 * 2**20))).status == 413

    def test_access_is_refused_where_there_is_none(self, client: Client) -> None:
        problem = refused(lambda: client.request_access("floor-7", pin="1234"))
        assert problem.code == "access-not-configured"

    def test_keys_and_how_often(self, serve: Callable[..., Any], examples: Path) -> None:
        server = serve(rate=0.01, burst=2)
        admin = server.key("admin")
        assert refused(server.client().models).status == 401
        assert refused(server.client(admin[:-1] + ("a" if admin[-1] != "a" else "b")).models).code == "wrong-key"
        reader = server.client(server.key("read"))
        assert reader.models()
        assert refused(lambda: reader.embed(examples / "collins.jpg")).status == 403
        assert reader.models()
        problem = refused(reader.models)
        assert problem.status == 429
        assert problem.retry_after is not None
        assert problem.retry_after >= 1


class TestOtherServers:
    def test_nobody_listens(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with pytest.raises(ServerUnreachable, match="is it running"):
            Client(f"http://127.0.0.1:{port}").health()

    def test_nobody_answers(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(ServerUnreachable, match="timed out"):
            Client(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.2).health()

    @pytest.mark.parametrize("body", [b"<html>", b"[1]", b'"a"', b"\xff"])
    def test_an_answer_that_is_none(self, body: bytes) -> None:
        with answering(200, body) as (url, _), pytest.raises(ServerUnreachable, match="is it TwinFace"):
            Client(url).health()

    @pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b"[]", b'{"detail": null}'])
    def test_a_proxy_that_refuses(self, body: bytes) -> None:
        with answering(502, body, {"Retry-After": "7"}) as (url, _):
            problem = refused(Client(url).health)
        assert (problem.status, problem.code, problem.detail, problem.retry_after) == (502, "", "", 7)
        assert str(problem) == "Bad Gateway (502)"

    def test_the_key_does_not_follow_a_redirect(self) -> None:
        with answering(200, b"{}") as (elsewhere, asked), answering(307, b"", {"Location": elsewhere}) as (url, _):
            assert refused(Client(url, "secret").health).status == 307
            assert not asked

    def test_behind_a_proxy_with_a_path(self) -> None:
        with answering(200, b"{}") as (url, asked):
            Client(f"{url}/faces/", "secret").health()
        assert asked[0]["path"] == "/faces/readyz"
        assert asked[0]["Authorization"] == "Bearer secret"

    def test_names_of_files_do_not_break_out_of_the_form(self, tmp_path: Path) -> None:
        photo = tmp_path / 'a"; name="b"\r\nX: y\r\n\r\n.jpg'
        photo.write_bytes(b"picture")
        with answering(200, b"{}") as (url, asked):
            Client(url).detect(photo)
        head, _, content = asked[0]["body"].partition(b"\r\n\r\n")
        assert head.count(b"\r\n") == 2
        assert b'name="picture"; filename="a%22; name=%22b%22%0D%0AX: y%0D%0A%0D%0A.jpg"\r\n' in head
        assert content.startswith(b"picture\r\n--")

    def test_a_certificate_that_nobody_vouches_for(self, examples: Path, tmp_path: Path) -> None:
        key, certificate = self_signed(tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        with answering(200, b"{}", tls=context) as (url, asked):
            with pytest.raises(ServerUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
                Client(url, "secret").health()
            assert not asked
            trusting = ssl.create_default_context(cafile=certificate)
            assert Client(url, "secret", context=trusting).health() == {}


@pytest.mark.parametrize("url", ["faces.example.org", "ftp://a", "http://", "http://u:p@a", "http://a/?q", ""])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match="expected an address"):
        Client(url)


@pytest.mark.parametrize("key", ["secret\n", "", "a b", "schlüssel"])
def test_keys_that_are_none_are_not_repeated(key: str) -> None:
    with pytest.raises(ValueError, match="strip it") as raised:
        Client(key=key)
    assert not key.strip() or key.strip() not in str(raised.value)


def test_its_errors_are_of_the_tree() -> None:
    assert issubclass(ClientError, TwinFaceError)
    assert issubclass(Problem, ClientError)
    assert issubclass(ServerUnreachable, ClientError)


def test_it_needs_the_standard_library_alone(run_python: Callable[[str], Any]) -> None:
    done = run_python(
        "import sys\nbefore = {*sys.modules}\nimport twinface.client\n"
        "loaded = {name.partition('.')[0] for name in {*sys.modules} - before}\n"
        "print(sorted(loaded - sys.stdlib_module_names))"
    )
    assert (done.status, done.out, done.err) == (0, "['twinface']\n", "")


@contextmanager
def answering(
    status: int, body: bytes, headers: Mapping[str, str] | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that says this to everybody, and what it was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append({"path": self.path, "body": content, **self.headers})
            self.send_response(status)
            for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the library's name

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(HTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def make_film(path: Path, portrait: Path) -> None:
    """A second of somebody who sways."""
    av = pytest.importorskip("av")
    face = np.asarray(Image.open(portrait).convert("RGB").resize((240, 240)))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 480, 320, "yuv420p", 4_000_000
        for number in range(20):
            frame = np.full((320, 480, 3), 90, np.uint8)
            frame[40:280, 100 + 2 * number : 340 + 2 * number] = face
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A key, and a certificate of it for 127.0.0.1."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    files = folder / "key.pem", folder / "certificate.pem"
    files[0].write_bytes(key.private_bytes(pem, *plain))
    files[1].write_bytes(certificate.public_bytes(pem))
    return files
