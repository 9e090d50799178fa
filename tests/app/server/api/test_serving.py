"""`twinface serve` in a process of its own: what it says, whom it lets in, how it ends."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from twinface.app.server.options import ServerOptions, is_loopback
from twinface.errors import TwinFaceError

PATIENCE = 120
"""Seconds; only a hang takes so long."""


@contextmanager
def served(folder: Path, environment: dict[str, str], *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "twinface", "serve", "--port", "0", "--gallery", str(folder / "people.db")]
    process = subprocess.Popen(
        [*command, "--state", str(folder / "state"), *words], stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        found = re.fullmatch(r"twinface: serving (http://127\.0\.0\.1:\d+)/ \(Ctrl-C ends it\)\n", line)
        assert found, line + process.stderr.read()
        yield process, found[1]
    finally:
        process.kill()
        process.wait(PATIENCE)
        process.stderr.close()


@pytest.fixture
def environment() -> dict[str, str]:
    import os

    kept = {name: value for name, value in os.environ.items() if not name.startswith("TWINFACE_")}
    return {**kept, "PYTHONPATH": str(Path(__file__).parents[4] / "src"), "OMP_NUM_THREADS": "1"}


def test_sigterm_in_the_midst_of_a_request_finishes_it(tmp_path, environment, examples):
    picture = (examples / "collins.jpg").read_bytes()
    with served(tmp_path, environment) as (process, url):
        half, told = threading.Event(), threading.Event()

        def body() -> Iterator[bytes]:
            yield b'--x\r\nContent-Disposition: form-data; name="picture"; filename="x"\r\n\r\n' + picture[:1000]
            half.set()
            assert told.wait(PATIENCE)
            yield picture[1000:] + b"\r\n--x--\r\n"

        answers = []

        def ask() -> None:
            kind = {"content-type": "multipart/form-data; boundary=x"}
            answers.append(httpx.post(f"{url}/v1/detect", content=body(), headers=kind, timeout=PATIENCE))

        asking = threading.Thread(target=ask)
        asking.start()
        assert half.wait(PATIENCE)
        host, port = url.removeprefix("http://").split(":")
        while httpx.get(f"{url}/readyz").status_code != 200:
            pass
        process.send_signal(signal.SIGTERM)
        while _listens(host, int(port)):
            pass
        assert process.poll() is None
        told.set()
        asking.join(PATIENCE)
        assert answers[0].status_code == 200
        assert len(answers[0].json()["faces"]) == 1
        assert process.wait(PATIENCE) == 0


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=PATIENCE):
            return True
    except OSError:
        return False


def test_a_restart_loses_nobody(tmp_path, environment, examples):
    with served(tmp_path, environment) as (process, url), (examples / "collins.jpg").open("rb") as photo:
        answer = httpx.post(f"{url}/v1/people", data={"name": "Ada"}, files={"photo": photo}, timeout=PATIENCE)
        assert answer.status_code == 201
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    with served(tmp_path, environment) as (_, url):
        assert [one["name"] for one in httpx.get(f"{url}/v1/people").json()["people"]] == ["Ada"]


def test_init_makes_one_key_and_shows_it_once(cli, tmp_path):
    made = cli("serve", "init", "--state", tmp_path)
    assert made.status == 0
    assert re.fullmatch(r"tf_[0-9a-f]{12}_[\w-]{43}\n", made.out)
    assert "this is shown once" in made.err
    cli("serve", "init", "--state", tmp_path).refuses("there is an admin's key already")
    listed = cli("serve", "key", "list", "--json", "--state", tmp_path)
    assert made.out.strip() not in listed.out
    assert '"role": "admin"' in listed.out


def test_keys_are_made_and_revoked(cli, tmp_path):
    cli("serve", "key", "make", "desk", "--state", tmp_path).refuses("the first must be an admin's")
    cli("serve", "init", "--state", tmp_path)
    desk = cli("serve", "key", "make", "desk", "--role", "operate", "--expires", "30d", "--state", tmp_path)
    assert desk.status == 0
    cli("serve", "key", "make", "desk", "--role", "king", "--state", tmp_path).refuses("read, operate, admin")
    revoked = cli("serve", "key", "revoke", desk.out.split("_")[1], "--state", tmp_path)
    assert "opens nothing any more" in revoked.out
    assert "revoked" in cli("serve", "key", "list", "--state", tmp_path).out
    cli("serve", "key", "revoke", "x", "--state", tmp_path).refuses("there is no key 'x'")


@pytest.mark.parametrize("words", [("--host", "0.0.0.0"), ("--public-host", "face.example.org")])
def test_others_are_not_let_in_without_keys(cli, tmp_path, words):
    refused = cli("serve", *words, "--port", "0", "--gallery", tmp_path / "people.db", "--state", tmp_path / "state")
    refused.refuses("twinface serve init makes the first key")


def test_an_address_that_is_taken_is_told_in_one_line(cli, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = cli("serve", "--port", port, "--gallery", tmp_path / "people.db", "--state", tmp_path / "state")
    refused.refuses(f"127.0.0.1:{port}: cannot be listened on", "choose another --host or --port")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_this_machine_is_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", "", "localhost.example.org"])
def test_others_are_not(host):
    assert not is_loopback(host)


@pytest.mark.parametrize("options", [{"port": -1}, {"port": 65536}, {"workers": 0}, {"rate": 0.0}, {"patience": -1.0}])
def test_options_that_make_no_sense_are_refused(tmp_path, options):
    with pytest.raises(TwinFaceError, match="must be"):
        ServerOptions(tmp_path / "people.db", tmp_path, **options)


def test_options_do_not_tell_what_opens_the_gallery(tmp_path):
    assert "open sesame" not in repr(ServerOptions(tmp_path, tmp_path, passphrase="open sesame"))


def test_the_command_line_loads_no_server(run_python):
    done = run_python(
        "import sys, twinface.app.cli\n"
        "print([name for name in ('fastapi', 'uvicorn', 'argon2', 'starlette') if name in sys.modules])"
    )
    assert (done.status, done.out) == (0, "[]\n")
