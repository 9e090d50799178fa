"""Downloads from a real server on this machine that breaks off, lies, changes its mind and leads astray."""

from __future__ import annotations

import hashlib
import itertools
import re
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from twinface.datasets.download import HEADWAY, PORTION, Effort, digest, fetch
from twinface.datasets.parts import Part
from twinface.errors import DataError, DatasetCorrupt, DatasetMissing, OutputError

CONTENT = hashlib.shake_256(b"pictures").digest(3 * PORTION + 17)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Site:
    """A server of one file, and what it does wrong.

    Attributes:
        content: the file.
        tag: its ETag; None for a server without.
        modified: its Last-Modified.
        ranges: whether it knows Range; "blind" continues whatever If-Range says.
        cut: bytes of body after which it breaks off, for one answer after another.
        abrupt: whether it breaks off with a reset, once `arrived` is set.
        fickle: whether the file changes with every answer that is not a continuation.
        statuses: refusals, for one answer after another.
        sized: whether it says how long the file is.
        location: where it redirects to.
        stall: stops before the body until this is set.
        asked: the Range and If-Range of every request.
        sent: bytes of body of every answer.
    """

    content: bytes = CONTENT
    tag: str | None = '"one"'
    modified: str | None = None
    ranges: bool | str = True
    cut: list[int] = field(default_factory=list)
    abrupt: bool = False
    fickle: bool = False
    statuses: list[int] = field(default_factory=list)
    sized: bool = True
    location: str | None = None
    stall: threading.Event | None = None
    arrived: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str | None, str | None]] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    url: str = ""


class Answer(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site = self.site
        if site.location is not None and self.path == "/file":
            self.send_response(302)
            self.send_header("Location", site.location)
            self.end_headers()
            return
        asked, condition = self.headers["Range"], self.headers["If-Range"]
        site.asked.append((asked, condition))
        if site.statuses:
            self.send_response(site.statuses.pop(0))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if site.fickle:
            site.tag = f'"{len(site.asked)}"'
        start = 0
        same = condition is not None and condition in (site.tag, site.modified)
        if asked and (same or site.ranges == "blind") and site.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if start >= len(site.content):
                self.send_response(416)
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(site.content) - 1}/{len(site.content)}")
        else:
            self.send_response(200)
        body = site.content[start:]
        if site.sized:
            self.send_header("Content-Length", str(len(body)))
        if site.tag:
            self.send_header("ETag", site.tag)
        if site.modified:
            self.send_header("Last-Modified", site.modified)
        self.end_headers()
        if site.stall is not None:
            self.wfile.flush()
            site.stall.wait(60)
            return
        cut = site.cut.pop(0) if site.cut else None
        site.sent.append(len(body[:cut]))  # before: the client may be done the moment it has the last byte
        self.wfile.write(body[:cut])
        self.wfile.flush()
        if cut is not None and site.abrupt:
            site.arrived.wait(60)  # a reset also takes what is still on its way
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, *_words: object) -> None:
        """Says nothing."""


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_words: object) -> None:
        """Says nothing of connections that were meant to break."""


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()
    server = Quiet(("127.0.0.1", 0), type("Answer", (Answer,), {"site": found}))
    found.url = f"http://127.0.0.1:{server.server_port}/file"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    if found.stall is not None:
        found.stall.set()
    server.shutdown()
    thread.join()
    server.server_close()


class Fetch:
    """`fetch` into a folder, without waiting."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site, self.target = site, folder / "set.tgz"
        self.pauses: list[float] = []
        self.told: list[int] = []
        self.awaited = PORTION

    def __call__(self, expected: bytes = CONTENT, *, clock: Callable[[], float] = lambda: 0.0, **options) -> bool:
        effort = Effort(**{"attempts": 3, "timeout": 20.0, **options})
        return fetch(
            self.site.url,
            sha256(expected),
            self.target,
            effort=effort,
            sleep=self.pauses.append,
            progress=self.progress,
            clock=clock,
        )

    def progress(self, here: int, _total: int | None) -> None:
        self.told.append(here)
        if here >= self.awaited:
            self.site.arrived.set()

    @property
    def left(self) -> list[str]:
        return sorted(path.name for path in self.target.parent.iterdir())


@pytest.fixture
def get(site: Site, tmp_path: Path) -> Fetch:
    return Fetch(site, tmp_path)


class TestWhole:
    @pytest.mark.parametrize("sized", [True, False])
    def test_a_file_arrives_as_it_is(self, site, get, sized):
        site.sized = sized
        assert get() is True
        assert get.target.read_bytes() == CONTENT
        assert (get.left, site.asked, get.pauses) == (["set.tgz"], [(None, None)], [])

    def test_an_empty_file(self, site, get):
        site.content = b""
        assert get(b"") is True
        assert get.target.read_bytes() == b""

    def test_what_is_there_is_not_fetched_again(self, site, get):
        get.target.write_bytes(CONTENT)
        assert get() is False
        assert site.asked == []

    def test_an_older_file_is_replaced_when_the_new_one_is_whole(self, site, get):
        get.target.write_bytes(b"older")
        site.statuses = [404]
        with pytest.raises(DatasetMissing):
            get()
        assert get.target.read_bytes() == b"older"
        get()
        assert get.target.read_bytes() == CONTENT

    def test_the_folder_is_made(self, site, tmp_path):
        get = Fetch(site, tmp_path / "a" / "b")
        assert get() is True
        assert get.left == ["set.tgz"]

    def test_progress_goes_from_nothing_to_everything(self, site, tmp_path):
        told = []
        fetch(site.url, sha256(CONTENT), tmp_path / "x", progress=lambda *words: told.append(words))
        assert told[0] == (0, len(CONTENT))
        assert told[-1] == (len(CONTENT), len(CONTENT))
        assert told == sorted(told)

    def test_a_redirect_within_this_machine_is_followed(self, site, get):
        site.location = "/elsewhere"
        assert get() is True


class TestInterrupted:
    @pytest.mark.parametrize("abrupt", [True, False])
    @pytest.mark.parametrize(
        "validator", [{"tag": '"one"'}, {"tag": None, "modified": "Sat, 01 Jan 2022 00:00:00 GMT"}]
    )
    def test_the_second_request_asks_only_for_the_rest(self, site, get, validator, abrupt):
        vars(site).update(validator)
        site.cut, site.abrupt = [PORTION], abrupt
        assert get() is True
        assert get.target.read_bytes() == CONTENT
        assert site.asked == [(None, None), (f"bytes={PORTION}-", site.tag or site.modified)]
        assert site.sent == [PORTION, len(CONTENT) - PORTION]
        assert get.left == ["set.tgz"]

    def test_every_byte_that_arrived_is_kept_and_told_though_the_rest_of_its_portion_did_not_come(self, site, get):
        site.cut, site.abrupt, get.awaited = [PORTION - 1], True, PORTION - 1
        assert get() is True
        assert site.asked[1][0] == f"bytes={PORTION - 1}-"
        assert PORTION - 1 in get.told

    def test_a_later_run_goes_on_where_the_first_gave_up(self, site, get):
        site.cut = [PORTION + 1]
        with pytest.raises(
            DatasetMissing, match=r"the connection broke .*, 1 times in a row; .*what has arrived is kept"
        ):
            get(attempts=1)
        assert get.left == ["set.tgz.part", "set.tgz.part.json"]
        assert get() is True
        assert site.asked[1] == (f"bytes={PORTION + 1}-", '"one"')
        assert sum(site.sent) == len(CONTENT)
        assert (get.target.read_bytes(), get.left) == (CONTENT, ["set.tgz"])

    def test_a_file_that_only_lacked_its_name_is_not_asked_for(self, site, get):
        (get.target.parent / "set.tgz.part").write_bytes(CONTENT)
        assert get() is True
        assert (site.asked, get.left) == ([], ["set.tgz"])

    def test_it_gives_up_after_so_many_attempts_and_waits_longer_each_time(self, site, get):
        site.cut = [10] * 9
        with pytest.raises(DatasetMissing, match=r"broke after 30 of .* bytes, 3 times in a row"):
            get(pause=0.5)
        assert get.pauses == [0.5, 1.0]
        assert len(site.asked) == 3

    def test_headway_makes_an_attempt_a_success(self, site, get):
        site.content = bytes(HEADWAY) * 5
        site.cut = [HEADWAY + 5] * 4
        assert get(site.content, attempts=2) is True
        assert get.pauses == [0.5] * 4
        assert sum(site.sent) == len(site.content)

    def test_headway_is_what_was_never_reached_before(self, site, get):
        site.content, site.cut = bytes(HEADWAY) * 3, [HEADWAY + 5, 0] * 9
        site.fickle, site.ranges = True, "blind"
        with pytest.raises(DatasetMissing, match="3 times in a row"):
            get(site.content)
        assert site.sent == [HEADWAY + 5, 0, HEADWAY + 5]

    def test_what_another_address_left_does_not_count_as_reached(self, site, get):
        (get.target.parent / "set.tgz.part").write_bytes(bytes(5 * HEADWAY))
        (get.target.parent / "set.tgz.part.json").write_text('{"url": "https://example.org/x", "validator": "one"}')
        site.content = bytes(HEADWAY) * 4
        site.cut = [HEADWAY + 5] * 3
        assert get(site.content, attempts=2) is True

    def test_a_server_that_knows_no_ranges_sends_all_again(self, site, get):
        site.cut, site.ranges = [PORTION], False
        assert get() is True
        assert site.asked[1][0] is not None
        assert site.sent == [PORTION, len(CONTENT)]
        assert get.target.read_bytes() == CONTENT

    def test_a_server_without_versions_is_not_asked_for_a_rest(self, site, get):
        site.cut, site.tag = [PORTION], None
        assert get() is True
        assert site.asked == [(None, None)] * 2

    def test_a_weak_tag_is_no_version(self, site, get):
        site.cut, site.tag = [PORTION], 'W/"one"'
        assert get() is True
        assert site.asked == [(None, None)] * 2

    @pytest.mark.parametrize("ranges", [True, "blind"])
    def test_a_file_that_changed_meanwhile_is_fetched_from_the_start(self, site, get, ranges):
        site.cut = [PORTION]
        with pytest.raises(DatasetMissing):
            get(attempts=1)
        site.content, site.tag, site.ranges = CONTENT[::-1], '"two"', ranges
        assert get(CONTENT[::-1]) is True
        assert get.target.read_bytes() == CONTENT[::-1]
        assert site.asked[-1] == ((f"bytes={PORTION}-", '"one"') if ranges is True else (None, None))

    def test_a_file_that_became_shorter_is_fetched_from_the_start(self, site, get):
        site.cut = [PORTION]
        with pytest.raises(DatasetMissing):
            get(attempts=1)
        site.content = b"short"
        assert get(b"short") is True
        assert get.target.read_bytes() == b"short"

    def test_another_address_does_not_continue_this_one(self, site, get):
        site.cut = [PORTION]
        with pytest.raises(DatasetMissing):
            get(attempts=1)
        site.url += "?mirror"
        assert get() is True
        assert site.asked[-1] == (None, None)

    @pytest.mark.parametrize(
        "note", [b"", b"nonsense", b"[]", b'{"url": 1}', b'{"url": "URL", "validator": 5}', b"\xff"]
    )
    def test_a_spoilt_note_costs_a_new_start_and_no_more(self, site, get, note):
        (get.target.parent / "set.tgz.part").write_bytes(b"old")
        (get.target.parent / "set.tgz.part.json").write_bytes(note.replace(b"URL", site.url.encode()))
        assert get() is True
        assert (site.asked, get.left) == ([(None, None)], ["set.tgz"])

    def test_a_server_that_says_nothing_is_not_waited_for(self, site, get):
        site.stall = threading.Event()
        with pytest.raises(DatasetMissing, match=r"the connection broke \(timed out\)"):
            get(attempts=1, timeout=0.1)

    def test_a_server_that_drips_is_not_waited_for(self, site, get):
        with pytest.raises(DatasetMissing, match=r"slower than 1,000 bytes a second\), 3 times in a row"):
            get(clock=itertools.count(step=3600.0).__next__)
        assert len(site.asked) == 3

    def test_a_slow_server_is_waited_for(self, site, get):
        site.content = bytes(20 * PORTION)
        assert get(site.content, clock=itertools.count(step=1.0).__next__) is True
        assert len(site.asked) == 1

    @pytest.mark.parametrize("status", [500, 503, 429])
    def test_a_server_out_of_order_is_asked_again(self, site, get, status):
        site.statuses = [status]
        assert get() is True
        assert (len(site.asked), get.pauses) == (2, [0.5])

    def test_a_server_that_stays_out_of_order(self, site, get):
        site.statuses = [500] * 9
        with pytest.raises(DatasetMissing, match="HTTP status 500, 3 times in a row; run it again later"):
            get()

    def test_a_server_that_is_not_there(self, tmp_path):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}/file"
            with pytest.raises(DatasetMissing, match=r"the server cannot be reached \(Connection refused\), 2 times"):
                fetch(url, sha256(b""), tmp_path / "x", effort=Effort(attempts=2), sleep=lambda _: None)


class TestWrong:
    @pytest.mark.parametrize("cut", [[], [PORTION]])
    def test_another_content_is_removed_with_both_digests_said(self, site, get, cut):
        site.content, site.cut = CONTENT[:-1] + b"!", cut
        with pytest.raises(DatasetCorrupt) as caught:
            get()
        said = f"SHA-256 is {sha256(site.content)}, expected {sha256(CONTENT)}; the download was removed"
        assert said in str(caught.value)
        assert get.left == []

    def test_another_content_does_not_replace_what_is_there(self, site, get):
        get.target.write_bytes(b"older")
        site.content = b"wrong"
        with pytest.raises(DatasetCorrupt):
            get()
        assert (get.left, get.target.read_bytes()) == (["set.tgz"], b"older")

    def test_a_part_that_was_tampered_with_is_removed(self, site, get):
        site.cut = [PORTION]
        with pytest.raises(DatasetMissing):
            get(attempts=1)
        (get.target.parent / "set.tgz.part").write_bytes(bytes(PORTION))
        with pytest.raises(DatasetCorrupt):
            get()
        assert get.left == []
        assert get() is True

    @pytest.mark.parametrize("status", [202, 204, 401, 403, 404, 410])
    def test_a_refusal_is_said_with_advice_and_not_repeated(self, site, get, status):
        site.statuses = [status] * 2
        with pytest.raises(DatasetMissing) as caught:
            get()
        assert f"HTTP status {status}; give another address of it, or save it with a browser as" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert (len(site.asked), get.left) == (1, [])

    @pytest.mark.parametrize("sized", [True, False])
    def test_a_file_beyond_the_limit_is_refused_before_it_fills_the_disk(self, site, get, sized):
        site.sized = sized
        with pytest.raises(DatasetCorrupt, match="more than the 262,144 bytes expected at most"):
            get(most=PORTION)
        assert get.left == []

    @pytest.mark.parametrize(
        "location",
        [
            "http://example.org/file",
            "ftp://127.0.0.1/file",
            "file:///etc/passwd",
            "http://127.0.0.1.example.org/",
            "http://[::1/",
        ],
    )
    def test_a_redirect_astray_is_refused(self, site, get, location):
        site.location = location
        with pytest.raises(DataError) as caught:
            get()
        assert "\n" not in str(caught.value)
        assert get.left == []

    def test_a_circle_of_redirects_ends(self, site, get):
        site.location = "/file"
        with pytest.raises(DatasetMissing, match="HTTP status 302"):
            get()

    @pytest.mark.parametrize(
        "url",
        [
            "http://example.org/x", "ftp://example.org/x", "file:///etc/passwd", "/etc/passwd", "", "https://", "https:///x",
            "https://example.org:port/x", "https://example.org/a b", "https://example.org/\n", "https://[::1/", "http://127.0.0.1@example.org/",
        ],
    )  # fmt: skip
    def test_only_https_is_spoken_beyond_this_machine(self, tmp_path, url):
        with pytest.raises(DatasetMissing, match="give one that begins with https://") as caught:
            fetch(url, sha256(b""), tmp_path / "x")
        assert "\n" not in str(caught.value)
        assert list(tmp_path.iterdir()) == []

    def test_a_certificate_nobody_vouches_for_is_refused_at_once(self, tmp_path, monkeypatch):
        import ssl
        import urllib.error

        tries = []

        def unproven(*_words, **_options):
            tries.append(1)
            raise urllib.error.URLError(ssl.SSLCertVerificationError("self-signed certificate"))

        monkeypatch.setattr("urllib.request.OpenerDirector.open", unproven)
        with pytest.raises(DatasetMissing, match=r"certificate is not to be trusted \(.*self-signed"):
            fetch("https://example.org/x", sha256(b""), tmp_path / "x")
        assert tries == [1]


ENDLESS = 2**25
"""Bytes that are sent in place of endlessly many: many more than all buffers between hold."""


class Speaker(socketserver.ThreadingTCPServer):
    """Says to every request, word by word, what it is given to say; it stops when nobody listens any more."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, words: Callable[[str], Iterable[bytes]]) -> None:
        self.words = words
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), Spoken)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/file"


class Spoken(socketserver.StreamRequestHandler):
    server: Speaker

    def handle(self) -> None:
        path = self.rfile.readline().split()[1].decode()
        while self.rfile.readline().strip():
            pass
        self.server.asked.append(path)
        with suppress(OSError):
            for word in self.server.words(path):
                self.wfile.write(word)

    def finish(self) -> None:
        """Closes without a word about what nobody listened to."""


@pytest.fixture
def speak() -> Iterator[Callable[[Callable[[str], Iterable[bytes]]], Speaker]]:
    running = []

    def spoken(words: Callable[[str], Iterable[bytes]]) -> Speaker:
        server = Speaker(words)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.append((server, thread))
        return server

    yield spoken
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


def endless(word: bytes) -> Iterator[bytes]:
    many = word * (2**16 // len(word))
    return itertools.repeat(many, ENDLESS // len(many))


def whole(content: bytes) -> list[bytes]:
    return [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content), content]


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class TestEndless:
    """What a server may send beside the file has an end, and so has what is kept of it."""

    def get(self, server: Speaker, folder: Path, **options) -> bool:
        effort = Effort(**{"attempts": 2, "timeout": 20.0, "most": 2**20, **options})
        return fetch(server.url, sha256(b"file"), folder / "set.tgz", effort=effort, sleep=lambda _: None)

    def refused(self, server: Speaker, folder: Path, said: str) -> None:
        with pytest.raises(DataError, match=said) as caught:
            self.get(server, folder)
        assert "\n" not in str(caught.value)
        assert not (folder / "set.tgz").exists()

    def test_the_content_of_a_redirect_is_not_read(self, speak, tmp_path):
        def words(path):
            if path == "/file":
                yield b"HTTP/1.1 302 Found\r\nLocation: /there\r\n\r\n"
                yield from endless(bytes(1024))
            else:
                yield from whole(b"file")

        server = speak(words)
        assert self.get(server, tmp_path) is True
        assert server.asked == ["/file", "/there"]

    @pytest.mark.parametrize(
        "start",
        [b"HTTP/1.1 302 Found\r\n\r\n", b"HTTP/1.1 404 Not found\r\n\r\n", b"HTTP/1.1 302 Found\r\nLocation: http://[::1/\r\n\r\n"],
    )  # fmt: skip
    def test_the_content_of_a_refusal_is_not_read(self, speak, tmp_path, start):
        server = speak(lambda _: itertools.chain([start], endless(bytes(1024))))
        self.refused(server, tmp_path, "HTTP status|leads to no address")

    @pytest.mark.parametrize(
        ("start", "word"),
        [(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), (b"", b"a" * 1024), (b"HTTP/1.1 100 Continue\r\n", b"a: b\r\n"),
         (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"), (b"HTTP/1.1 200 OK\r\n", b"a" * 1024)],
    )  # fmt: skip
    def test_the_head_has_an_end(self, speak, tmp_path, start, word):
        server = speak(lambda _: itertools.chain([start], endless(word)))
        self.refused(server, tmp_path, "the server cannot be reached")

    def test_chunks_are_read(self, speak, tmp_path):
        server = speak(lambda _: [CHUNKED, b"2\r\nfi\r\n", b"2;x=y\r\nle\r\n", b"0\r\nlast: word\r\n\r\n"])
        assert self.get(server, tmp_path) is True

    @pytest.mark.parametrize("size", [b"-5", b"-1", b"-0x5"])
    def test_a_chunk_of_negative_size_is_refused(self, speak, tmp_path, size):
        server = speak(lambda _: itertools.chain([CHUNKED, size + b"\r\n"], endless(b"file")))
        self.refused(server, tmp_path, r"the connection broke \(a chunk of negative size\), 2 times in a row")

    @pytest.mark.parametrize("size", [b"FFFFFFFFFFFFFFFF", b"F" * 60_000])
    def test_a_chunk_of_any_size_is_read_no_further_than_the_limit(self, speak, tmp_path, size):
        server = speak(lambda _: itertools.chain([CHUNKED, size + b"\r\n"], endless(b"file")))
        self.refused(server, tmp_path, "more than the 1,048,576 bytes expected at most")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("size", [b"", b"many", b"F" * 70_000, b"5 5"])
    def test_chunks_of_nonsense_are_refused(self, speak, tmp_path, size):
        server = speak(lambda _: [CHUNKED, size + b"\r\n", b"file"])
        self.refused(server, tmp_path, "the connection broke")

    def test_what_follows_the_last_chunk_has_an_end(self, speak, tmp_path):
        server = speak(lambda _: itertools.chain([CHUNKED, b"4\r\nfile\r\n0\r\n"], endless(b"a: b\r\n")))
        self.refused(server, tmp_path, r"the connection broke \(the server sends too much beside the file\)")

    def test_a_length_of_thousands_of_digits_says_nothing(self, speak, tmp_path):
        server = speak(lambda _: [b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\nfile" % (b"9" * 5000)])
        assert self.get(server, tmp_path) is True

    @pytest.mark.parametrize("place", ["0-3/{}", "{}-{}/{}", "0-{}/4"])
    def test_a_place_of_thousands_of_digits_is_none(self, speak, tmp_path, place):
        place = place.replace("{}", "9" * 5000).encode()
        server = speak(lambda _: [b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %b\r\n\r\nfile" % place])
        self.refused(server, tmp_path, "continued another version of the file, 2 times in a row")


class TestTwoRuns:
    def test_the_second_is_refused_and_the_first_goes_on(self, site, get):
        site.cut, site.abrupt = [PORTION], True
        second = Fetch(site, get.target.parent)
        refusals = []

        def meanwhile(_here, _total):
            with pytest.raises(OutputError, match=r"set\.tgz: is being fetched by another run; wait for that one to"):
                second()
            refusals.append(1)
            site.arrived.set()

        get.progress = meanwhile
        assert get() is True
        assert refusals
        assert (get.target.read_bytes(), get.left) == (CONTENT, ["set.tgz"])

    def test_what_is_there_can_be_asked_for_while_another_holds_the_part(self, site, get):
        get.target.write_bytes(CONTENT)
        with Part(get.target).held():
            assert get() is False

    def test_what_another_finished_just_before_is_not_fetched_again(self, site, get, monkeypatch):
        real = Part.held

        def late(part):
            part.target.write_bytes(CONTENT)
            return real(part)

        monkeypatch.setattr(Part, "held", late)
        assert get() is False
        assert (site.asked, get.left) == ([], ["set.tgz"])


class TestDisk:
    def test_a_folder_in_the_place_of_the_file(self, site, get):
        get.target.mkdir()
        with pytest.raises(OutputError, match=r"set\.tgz: cannot be written \(.*a folder is in its place"):
            get()
        assert site.asked == []

    def test_a_file_in_the_place_of_the_folder(self, site, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(OutputError, match="cannot be written"):
            Fetch(site, tmp_path / "file")()
        assert site.asked == []

    def test_a_full_disk(self, get, monkeypatch):
        real = Path.open

        def full(path, mode="r", *words, **options):
            if mode == "ab":
                raise OSError(28, "No space left on device")
            return real(path, mode, *words, **options)

        monkeypatch.setattr(Path, "open", full)
        with pytest.raises(OutputError, match=r"set\.tgz: cannot be written \(No space left on device\)"):
            get()

    def test_a_disk_that_fills_up_keeps_what_has_arrived(self, site, get, monkeypatch):
        real = Path.open
        room = [PORTION]

        class Filling:
            def __init__(self, file):
                self.file = file

            def __enter__(self):
                return self

            def __exit__(self, *_trouble):
                self.file.close()

            def write(self, portion):
                if not room[0]:
                    raise OSError(28, "No space left on device")
                room[0] -= self.file.write(portion[: room[0]])

        def filling(path, mode="r", *words, **options):
            file = real(path, mode, *words, **options)
            return Filling(file) if mode == "ab" else file

        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", filling)
            with pytest.raises(OutputError, match="No space left on device"):
                get()
        assert get() is True
        assert site.asked[1][0] == f"bytes={PORTION}-"


def test_a_digest_is_that_of_the_whole_file(tmp_path):
    (tmp_path / "x").write_bytes(CONTENT)
    assert digest(tmp_path / "x") == sha256(CONTENT)
