"""What the tests of faults share: people made of bytes, a quick analyzer, and processes that may be killed.

Run as a program it forks victims from one process that has imported everything, so that one costs milliseconds.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from twinface import errors
from twinface.core.audit import AuditDraft
from twinface.core.similarity import normalise
from twinface.core.subjects import Entry, NewSample, TemplateSpace, now
from twinface.core.types import Analysis, Box, Detection, Face, Landmarks, Quality, Seconds, Template
from twinface.gallery.copies import back_up, restore
from twinface.gallery.keys import Key
from twinface.gallery.sqlite import SqliteGallery
from twinface.services.enrolment import Enroller, EnrolmentOptions, Picture

DIMENSION = 64
SPACE = TemplateSpace("5ace" * 16, "a-model", True, DIMENSION)
OTHER_SPACE = TemplateSpace("0ade" * 16, "another-model", True, DIMENSION)
KEY = Key("key file", bytes(range(32)))
KEYS = [None, KEY]
KEY_IDS = ["plain", "encrypted"]

NEAR = 0.8
"""People's own pictures are nearer than that, everybody else is farther away."""

HANG = 120.0
"""Seconds; only a hang takes so long."""

CAN_KILL = hasattr(os, "pidfd_open")

ENDINGS = ("", "-wal", "-shm", "-journal")

FIT = Quality(60.0, 0.5, 120.0, 50.0, 0.0, 0.0)
POINTS = Landmarks(np.array([[40, 40], [60, 40], [50, 50], [42, 60], [58, 60]], np.float32))


# people


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@functools.cache
def template_of(content: bytes, space: TemplateSpace = SPACE) -> NDArray[np.float32]:
    """A random unit vector, the same one for the same picture."""
    seed = int.from_bytes(hashlib.sha256(space.identity.encode() + content).digest()[:8], "little")
    return normalise(np.random.default_rng(seed).normal(size=space.dimension))


@functools.cache
def content_of(name: str, number: int = 0) -> bytes:
    """A picture of somebody: 1,500 bytes that nobody else's picture has."""
    return hashlib.shake_256(f"{name} {number}".encode("utf-8", "surrogatepass")).digest(1500)


def sample_of(content: bytes, *, photo: bool = True) -> NewSample:
    template = Template(template_of(content), SPACE.identity)
    return NewSample(digest_of(content), template, "album.jpg", FIT, Box(1, 2, 30, 40), content if photo else None)


def entries_of(name: str, pictures: int = 2) -> list[Entry]:
    return [Entry(name, sample_of(content_of(name, number), photo=number == 0)) for number in range(pictures)]


def fill(gallery: SqliteGallery, *names: str, pictures: int = 2) -> None:
    for name in names:
        gallery.enroll(entries_of(name, pictures))


def nearest_names(gallery: SqliteGallery, contents: Sequence[bytes]) -> list[str | None]:
    """Whom pictures show; None for nobody near."""
    space = gallery.info().space
    found, _ = gallery.nearest(np.stack([template_of(one, space) for one in contents]), 1)
    names = gallery.names([each[0].subject for each in found if each])
    return [names.get(each[0].subject) if each and each[0].distance < NEAR else None for each in found]


def nearest_name(gallery: SqliteGallery, content: bytes) -> str | None:
    """Whom a picture shows; None for nobody near."""
    return nearest_names(gallery, [content])[0]


def contents(gallery: SqliteGallery) -> dict[str, list[str]]:
    """Everybody, with the digests of her pictures."""
    return {one.name: [each.digest for each in gallery.samples(one.uid)] for one in gallery.subjects()}


class Quick:
    """An analyzer of pictures that are any bytes: one face each, its template is `template_of` the bytes."""

    identity = name = SPACE.identity
    dimension = DIMENSION

    @property
    def encoder(self) -> Quick:
        return self

    @property
    def detector(self) -> Quick:
        return self

    def detect(self, image: object) -> list[Detection]:
        raise AssertionError("pictures that are bytes are located whole")

    def locate(self, source: object) -> Analysis:
        assert isinstance(source, bytes)
        pixels = np.frombuffer(source, np.uint8)
        face = Face(Box(0, 0, 100, 100), POINTS, 0.9, FIT, pixels.reshape(1, -1, 1))
        return Analysis("bytes", np.zeros((1, 1, 3), np.uint8), (face,), (), Seconds(0.0, 0.0, 0.0, 0.0))

    def encode(self, faces: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(replace(one, template=Template(template_of(one.crop.tobytes()), SPACE.identity)) for one in faces)


def pictures_of(people: Iterable[tuple[str, bytes]]) -> Iterator[Picture]:
    for name, content in people:
        yield Picture(name, "bytes", lambda content=content: (content, digest_of(content)))  # type: ignore[misc]


# files


@contextlib.contextmanager
def quick_folder() -> Iterator[Path]:
    """A folder where nobody waits for a disk, if there is one; whoever is killed leaves the same there as elsewhere."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


def files_of(path: Path) -> list[Path]:
    """A gallery's file and what SQLite has put beside it."""
    return [file for ending in ENDINGS if (file := path.with_name(path.name + ending)).exists()]


def bytes_of(path: Path) -> bytes:
    return b"\0\0\0".join(file.read_bytes() for file in files_of(path))


def copy_gallery(source: Path, target: Path) -> None:
    """Puts a gallery that nobody has open in the place of another."""
    for file in files_of(target):
        file.unlink()
    shutil.copyfile(source, target)


def tree(folder: Path) -> dict[str, tuple[int, str]]:
    """All that is in a folder: names, modes, and digests or kinds."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if path.is_symlink():
            what = f"-> {path.readlink()}"
        else:
            what = digest_of(path.read_bytes()) if path.is_file() else "no file"
        found[os.fsdecode(os.fsencode(path.relative_to(folder)))] = (mode, what)
    return found


ROWS = {
    "names": "SELECT subjects.name, subjects.name_key FROM subjects WHERE {whose}",
    "people": "SELECT subjects.name, subjects.name_key, subjects.key FROM subjects WHERE {whose}",
    "pictures": "SELECT samples.facts, samples.digest FROM samples "
    "JOIN subjects ON subjects.id = subject WHERE {whose}",
    "photos": "SELECT content FROM photos JOIN samples ON samples.id = photos.sample "
    "JOIN subjects ON subjects.id = subject WHERE {whose}",
    "templates": "SELECT vector FROM templates JOIN samples ON samples.id = templates.sample "
    "JOIN subjects ON subjects.id = subject WHERE {whose} AND space = (SELECT space FROM gallery)",
    "matrix": "SELECT rotation FROM spaces WHERE id = (SELECT space FROM gallery)",
}
"""Where what the file keeps of somebody lies."""


def traces(path: Path, whose: Sequence[bytes], others: Sequence[bytes], *what: str) -> set[bytes]:
    """Pieces, of 16 bytes, of what the file keeps of some people and of nobody else, as they lie there.

    Args:
        path: the gallery, which nobody has open.
        whose: their keys of names.
        others: those of the others.
        what: kinds of rows.
    """
    content = path.read_bytes()
    theirs = _pieces(path, whose, what) - (_pieces(path, others, what) if others else set())
    found = {piece for piece in theirs if piece in content}  # others lie where a row goes on on another page
    assert len(found) > 0.9 * len(theirs)
    return found


def _pieces(path: Path, name_keys: Sequence[bytes], what: Sequence[str]) -> set[bytes]:
    whose = f"subjects.name_key IN ({','.join('?' * len(name_keys))})"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = [
            row
            for one in what
            for row in connection.execute(ROWS[one].format(whose=whose), name_keys if "{" in ROWS[one] else ())
        ]
    values = [value for row in rows for value in row if value]
    return {
        piece for value in values for piece in _spread([value[at : at + 16] for at in range(0, len(value) - 15, 16)])
    }


def _spread(pieces: list[bytes]) -> list[bytes]:
    """Some eight of many, from the first to the last."""
    return pieces[:: max(1, len(pieces) // 8)]


def share_left(path: Path, pieces: set[bytes]) -> float:
    """How much of what was kept is anywhere in the gallery's files."""
    content = bytes_of(path)
    return sum(piece in content for piece in pieces) / len(pieces)


def halves(path: Path) -> list[str]:
    """What is there in part only, counted by SQL of its own."""
    questions = {
        "people without a picture": "SELECT count(*) FROM subjects WHERE id NOT IN (SELECT subject FROM samples)",
        "pictures without a person": "SELECT count(*) FROM samples WHERE subject NOT IN (SELECT id FROM subjects)",
        "pictures without a template": "SELECT count(*) FROM samples WHERE id NOT IN (SELECT sample FROM templates "
        "WHERE space = (SELECT space FROM gallery))",
        "templates without a picture": "SELECT count(*) FROM templates WHERE sample NOT IN (SELECT id FROM samples)",
        "photos without a picture": "SELECT count(*) FROM photos WHERE sample NOT IN (SELECT id FROM samples)",
    }
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [what for what, query in questions.items() if connection.execute(query).fetchone()[0]]


# processes that may be killed: the tests' side


class Victim:
    """A process of its own that holds a gallery and does what it is told, until it is killed or let go."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""
        self.messages: list[Any] = []
        self._pid: int = self._next()
        self._descriptor = os.pidfd_open(self._pid)

    def begin(self, job: str, **words: Any) -> None:
        """Tells it to do something, and does not wait."""
        self._connection.sendall(json.dumps([job, words]).encode() + b"\n")

    def call(self, job: str, **words: Any) -> Any:
        """Tells it to do something; what it answers.

        Raises:
            TwinFaceError: what it met.
        """
        self.begin(job, **words)
        return self.result()

    def result(self) -> Any:
        """What it answers at last; what it told before is in `messages`."""
        while True:
            kind, *rest = self._next()
            if kind == "told":
                self.messages += rest
            elif kind == "raised":
                cls, text, trace = rest
                expected = getattr(errors, cls, None)
                raise AssertionError(trace) if expected is None else expected(text)
            else:
                return rest[0]

    def told(self) -> Any:
        """The next thing that it tells."""
        kind, message = self._next()
        assert kind == "told", message
        self.messages.append(message)
        return message

    def kill_after(self, seconds: float) -> bool:
        """Kills it then, wherever it is, and waits until it is gone; whether that was before it could answer."""
        end = time.monotonic() + seconds
        while (rest := end - time.monotonic()) > 0 and select.select([self._connection], [], [], rest)[0]:
            self._receive()
        signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)
        return self.is_dead()

    def is_dead(self) -> bool:
        """Waits until it has answered, or is dead; whether it was before it could answer."""
        with contextlib.suppress(ConnectionError):
            while not self._answered() and self._receive():
                pass
        if self._answered():
            self.result()
            return False
        assert select.select([self._descriptor], [], [], HANG)[0], "cannot be killed"
        return True

    def _answered(self) -> bool:
        """Takes in what it told; whether there is more, its answer."""
        while b"\n" in self._buffer and not self._buffer.startswith((b'["answer"', b'["raised"')):
            self.told()
        return b"\n" in self._buffer

    @property
    def closed(self) -> bool:
        return self._connection.fileno() < 0

    def close(self) -> None:
        """Ends it, whatever it does."""
        self._connection.close()
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)
        select.select([self._descriptor], [], [], HANG)
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _receive(self) -> bool:
        content = self._connection.recv(1 << 16)
        self._buffer += content
        return bool(content)

    def _next(self) -> Any:
        while b"\n" not in self._buffer:
            assert select.select([self._connection], [], [], HANG)[0], "hangs"
            assert self._receive(), "is dead"
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)


class Nursery:
    """One process that has imported everything, and forks victims."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # it may have no threads
            self._process = subprocess.Popen([sys.executable, __file__], stdin=theirs, env=environment)

    def victim(self) -> Victim:
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [b"v"], [theirs.fileno()])
        return Victim(ours)

    def close(self) -> None:
        self._control.close()
        assert self._process.wait(HANG) == 0


# processes that may be killed: their side

Tell = Callable[[Any], None]


class Puppet:
    """What a victim can be told to do. Every method is a job; its words are JSON's, and so is what it returns."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._gallery: SqliteGallery | None = None

    @property
    def gallery(self) -> SqliteGallery:
        assert self._gallery is not None
        return self._gallery

    def open(self, path: str, encrypted: bool = False, create: bool = False, **more: Any) -> bool:
        """Opens the gallery; whether it is for reading only."""
        self.close()
        key = KEY if encrypted else None
        self._gallery = SqliteGallery(Path(path), key=key, create=SPACE if create else None, **more)
        return self._gallery.read_only

    def open_and_enroll(self, path: str, encrypted: bool, start: int) -> None:
        """Enrols pictures into a gallery, which it may have to make, without end."""
        self.open(path, encrypted, create=True)
        self.enroll_endlessly(start)

    def enroll_endlessly(self, start: int, options: dict[str, Any] | None = None) -> None:
        """Enrols pictures of ever new people, two each; tells of every one that is enrolled."""
        people = (
            (f"person {number}", content_of(f"person {number}", shot)) for number in _from(start) for shot in "ab"
        )
        enroller = Enroller(Quick(), self.gallery, EnrolmentOptions(keep_photos=True, **(options or {})))  # type: ignore[arg-type]
        for place, one in enumerate(enroller.enroll(pictures_of(people))):
            assert one.there, one
            if one.fate == "enrolled":
                self._tell([start + place // 2, "ab"[place % 2]])

    def append(self, count: int, thumbnail: int = 0, detail: str = "") -> list[Any]:
        """Writes records into the audit log, with thumbnails of so many bytes; number and digest of each."""
        picture = os.urandom(thumbnail) if thumbnail else None
        written = [self.gallery.audit.append(request(detail), picture) for _ in range(count)]
        return [[one.number, one.digest] for one in written]

    def append_endlessly(self) -> None:
        """Writes records into the audit log; tells of every one that is written."""
        while True:
            one = self.gallery.audit.append(request())
            self._tell([one.number, one.digest])

    def audit_problems(self) -> list[str]:
        return [one.words for one in self.gallery.audit.problems()]

    def audit_head(self) -> list[Any]:
        return [*self.gallery.audit.head()]

    def limit(self, size: int) -> None:
        """Lets files grow to so many bytes and no further; for ever with -1."""
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def fill(self, names: Sequence[str], pictures: int = 2) -> None:
        fill(self.gallery, *names, pictures=pictures)

    def contents(self) -> dict[str, list[str]]:
        return contents(self.gallery)

    def whose(self, name: str) -> str | None:
        return nearest_name(self.gallery, content_of(name))

    def problems(self) -> list[str]:
        return self.gallery.problems()

    def remove(self, names: Sequence[str]) -> None:
        self.gallery.remove(names)

    def rename(self, name: str, new: str) -> None:
        self.gallery.rename(name, new)

    def merge(self, into: str, others: Sequence[str]) -> None:
        self.gallery.merge(into, others)

    def renew(self) -> None:
        self.gallery.renew()

    def switch(self) -> None:
        self.gallery.switch(OTHER_SPACE)

    def back_up(self, target: str) -> None:
        back_up(self.gallery, Path(target))

    def restore(self, backup: str, path: str, encrypted: bool = False, replace: bool = False) -> None:
        restore(Path(backup), Path(path), KEY if encrypted else None, replace=replace)

    def hold(self, writing: bool = False) -> None:
        """Goes on reading the present state, or writing, until it is dead."""
        database = self.gallery.database
        with database.writing() if writing else database.reading() as connection:
            connection.execute("SELECT count(*) FROM subjects").fetchone()
            self._tell("writing" if writing else "reading")
            signal.pause()

    def die_at(self, statement: int) -> None:
        """Makes SQLite's n-th statement from here on the last."""
        left = statement

        def count(_: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        self.gallery.database._connection.set_trace_callback(count)

    def die_before(self, start: str) -> None:
        """Makes it die before a statement that starts so."""
        self.gallery.database._connection.set_trace_callback(_dying_before(start))

    def open_and_die_before(self, path: str, encrypted: bool, start: str) -> None:
        """Opens the gallery, and dies before a statement that starts so."""
        connect = sqlite3.connect

        def watched(*words: Any, **more: Any) -> sqlite3.Connection:
            connection = connect(*words, **more)
            connection.set_trace_callback(_dying_before(start))
            return connection

        sqlite3.connect = watched  # type: ignore[misc,assignment]
        self.open(path, encrypted)

    def work(self, path: str, number: int, rounds: int, keep: int) -> None:
        """Enrols and removes people of its own, in a gallery that others use; every `keep`-th stays."""
        for turn in range(rounds):
            if turn % 10 == 0:
                self.open(path)
            name = f"worker {number} person {turn}"
            fill(self.gallery, name, pictures=1)
            assert nearest_name(self.gallery, content_of(name)) == name
            assert self.gallery.find(name).samples == 1
            if turn % keep:
                receipt = self.gallery.remove([name])
                assert (len(receipt.subjects), receipt.samples, receipt.photos) == (1, 1, 1), receipt
                assert nearest_name(self.gallery, content_of(name)) is None

    def watch(self, path: str, residents: Sequence[str]) -> int:
        """Looks for the residents until it is told to stop; how often it looked."""
        self.open(path)
        probes = np.stack([template_of(content_of(name)) for name in residents])
        looks = 0
        self._tell("watching")
        while not select.select([CHANNEL], [], [], 0)[0]:
            found, compared = self.gallery.nearest(probes, 10_000)
            everybody = {one.uid: one.name for one in self.gallery.subjects()}
            for name, neighbours in zip(residents, found, strict=True):
                assert everybody[neighbours[0].subject] == name
                assert neighbours[0].distance < NEAR
                assert len({one.subject for one in neighbours}) == len(neighbours)
                assert len(neighbours) <= compared
                assert len({frozenset(one.subject for one in each) for each in found}) == 1  # all from one state
            looks += 1
        return looks

    def stop(self) -> None:
        """Ends what watches."""

    def close(self) -> None:
        if self._gallery is not None:
            self._gallery.close()


def request(detail: str = "") -> AuditDraft:
    """What is written into the audit log of a request."""
    return AuditDraft(at=now(), kind="request", place="floor-7", decision="refuse", reason="nobody", detail=detail)


def _dying_before(start: str) -> Callable[[str], None]:
    def look(statement: str) -> None:
        if statement.startswith(start):
            os.kill(os.getpid(), signal.SIGKILL)

    return look


CHANNEL: socket.socket
"""Of a victim: whence it is told what to do."""


def _from(start: int) -> Iterator[int]:
    while True:
        yield start
        start += 1


def _serve(channel: socket.socket) -> None:
    """Does what it is told, one thing after the other, until nobody tells any more."""
    global CHANNEL
    CHANNEL = channel

    def send(*message: Any) -> None:
        channel.sendall(json.dumps(message).encode() + b"\n")

    puppet = Puppet(lambda message: send("told", message))
    channel.sendall(b"%d\n" % os.getpid())
    with contextlib.suppress(ConnectionError):  # nobody listens any more
        _obey(channel, puppet, send)


def _obey(channel: socket.socket, puppet: Puppet, send: Callable[..., None]) -> None:
    for line in channel.makefile("rb"):
        job, words = json.loads(line)
        try:
            send("answer", getattr(puppet, job)(**words))
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001 - the tests judge it
            send("raised", type(error).__name__, str(error), traceback.format_exc())


def _fork_victims() -> None:
    control = socket.socket(fileno=0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        asked, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not asked:
            return
        if os.fork() == 0:
            control.close()
            _serve(socket.socket(fileno=descriptors[0]))
            os._exit(0)
        os.close(descriptors[0])


if __name__ == "__main__":
    _fork_victims()
