"""Templates of many pictures: computed once, in order, whatever happens to single ones."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from twinface.core.types import Acquired, Analysis, Box, Face, Landmarks, Quality, Seconds, Template
from twinface.errors import ModelTampered, UnreadableImage
from twinface.services import embedding
from twinface.services.embedding import BATCH, BATCH_BYTES, embed

FIT = Quality(50, 0.5, 120, 50, 0, 0)
POINTS = Landmarks(np.array([[40, 40], [60, 40], [50, 50], [42, 60], [58, 60]], np.float32))
IDENTITY = "made up"


class Faces:
    """Pictures are written as places of faces on a line: "10 50 90"; "torn" cannot be read, "" holds no face."""

    identity = "of these tests"
    name = "made up"
    dimension = 2

    def __init__(self) -> None:
        self.located: list[bytes] = []
        self.encoded: list[int] = []
        self.most_alive = 0
        self._alive: weakref.WeakSet[Analysis] = weakref.WeakSet()
        self._lock = threading.Lock()

    @property
    def encoder(self) -> Faces:
        return self

    def locate(self, source: object) -> Analysis:
        assert isinstance(source, bytes)
        with self._lock:
            self.located.append(source)
        if source == b"torn":
            raise UnreadableImage("torn")
        if source == b"fatal":
            raise ModelTampered("the model has changed under our hands")
        faces = []
        for word in source.decode().split():
            poor = word.endswith("?")
            place = float(word.rstrip("?"))
            quality = replace(FIT, reasons=("blurred",)) if poor else FIT
            faces.append(Face(Box(place - 10, 40, 20, 20), POINTS, 0.9, quality, np.zeros((4, 4, 3), np.uint8)))
        analysis = Analysis("made up", np.zeros((100, 100, 3), np.uint8), tuple(faces), (), Seconds(0, 0, 0, 0))
        with self._lock:
            self._alive.add(analysis)
            self.most_alive = max(self.most_alive, len(self._alive))
        return analysis

    def encode(self, faces: Sequence[Face]) -> tuple[Face, ...]:
        with self._lock:
            self.encoded.append(len(faces))
        return tuple(replace(face, template=Template(vector_of(face.box.x + 10), IDENTITY)) for face in faces)


def vector_of(place: float) -> np.ndarray:
    return np.array([np.cos(place / 100), np.sin(place / 100)], np.float32)


class Memory:
    """A cache in memory that counts."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Acquired] = {}
        self._lock = threading.Lock()

    def find(self, space: str, digests: Sequence[str]) -> dict[str, Acquired]:
        with self._lock:
            return {one: self.rows[space, one] for one in digests if (space, one) in self.rows}

    def keep(self, space: str, rows: Mapping[str, Acquired]) -> None:
        with self._lock:
            self.rows.update({(space, digest): row for digest, row in rows.items()})


def test_the_central_or_the_largest_face_counts() -> None:
    pictures = [("three", b"90 45 20")]  # the analyzer reports the largest first
    central = embed(Faces(), pictures, choice="central")["three"]
    largest = embed(Faces(), pictures, choice="largest")["three"]
    assert central.faces == largest.faces == 3
    np.testing.assert_array_equal(central.vector, vector_of(45))
    np.testing.assert_array_equal(largest.vector, vector_of(90))


def test_pictures_without_a_template_say_why_and_poor_faces_keep_theirs() -> None:
    found = embed(Faces(), [("a", b"torn"), ("b", b""), ("c", b"50?"), ("d", b"50")], choice="largest")
    assert [found[name].reasons for name in "abcd"] == [("unreadable",), ("no face",), ("blurred",), ()]
    assert [found[name].vector is None for name in "abcd"] == [True, True, False, False]
    assert [found[name].usable(refuse_poor=False) for name in "abcd"] == [False, False, True, True]
    assert [found[name].usable(refuse_poor=True) for name in "abcd"] == [False, False, False, True]


@pytest.mark.parametrize("workers", [1, 4])
def test_many_pictures_come_back_in_order_each_counted_once(workers: int) -> None:
    pictures = [(f"{place}", f"{place}".encode()) for place in range(20, 20 + 5 * BATCH + 3)]
    steps: list[None] = []
    found = embed(Faces(), iter(pictures), choice="largest", workers=workers, advance=lambda: steps.append(None))
    assert list(found) == [name for name, _ in pictures]
    assert len(steps) == len(pictures)
    for name, _ in pictures:
        np.testing.assert_array_equal(found[name].vector, vector_of(float(name)))


def test_contents_are_read_no_faster_than_they_are_worked_on() -> None:
    analyzer, taken = Faces(), 0

    def pictures() -> Iterator[tuple[str, bytes]]:
        nonlocal taken
        for place in range(40 * BATCH):
            taken += 1
            assert taken - len(analyzer.located) <= 5 * BATCH
            yield f"{place}", f"{place}".encode()

    assert len(embed(analyzer, pictures(), choice="largest", workers=1)) == 40 * BATCH


def test_what_the_cache_knows_is_not_computed_again() -> None:
    memory, pictures = Memory(), [("a", b"30"), ("b", b""), ("c", b"60")]
    first = embed(Faces(), pictures, choice="largest", cache=memory)
    again = Faces()
    second = embed(again, [*pictures, ("copy of a", b"30"), ("new", b"70")], choice="largest", cache=memory)
    assert again.located == [b"70"]
    np.testing.assert_array_equal(first["a"].vector, second["copy of a"].vector)
    assert second["b"].reasons == ("no face",)


def test_that_a_picture_could_not_be_read_is_not_remembered() -> None:
    # given a picture that cannot be read for now: a plug-in is missing, memory is short
    memory, pictures = Memory(), [("a", b"30"), ("b", b"torn"), ("again", b"torn")]
    first = Faces()
    found = embed(first, pictures, choice="largest", cache=memory)
    assert found["b"].reasons == found["again"].reasons == ("unreadable",)
    assert first.located == [b"30", b"torn"]
    assert len(memory.rows) == 1

    class Mended(Faces):
        def locate(self, source: object) -> Analysis:
            return super().locate(b"50" if source == b"torn" else source)

    mended = embed(Mended(), pictures, choice="largest", cache=memory)
    np.testing.assert_array_equal(mended["b"].vector, vector_of(50))


@pytest.mark.parametrize(
    "vector",
    [[1.0, 0.0, 0.0], [1.0], [], [[1.0, 0.0]], [math.nan, 1.0], [math.inf, 0.0], [0.0, 0.0], [0.9, 0.0], [2.0, 0.0]],
    ids=str,
)
def test_what_cannot_be_a_template_of_this_encoder_is_computed_again(vector: list[float]) -> None:
    memory, pictures = Memory(), [("a", b"30")]
    embed(Faces(), pictures, choice="largest", cache=memory)
    (key,) = memory.rows
    memory.rows[key] = Acquired(np.array(vector, np.float32), 1, ())
    found = embed(Faces(), pictures, choice="largest", cache=memory)
    np.testing.assert_array_equal(found["a"].vector, vector_of(30))
    np.testing.assert_array_equal(memory.rows[key].vector, vector_of(30))


def test_a_changed_rule_of_which_face_counts_shares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, pictures = Memory(), [("a", b"30")]
    embed(Faces(), pictures, choice="largest", cache=memory)
    monkeypatch.setattr(embedding, "_revision", lambda: "of a later version")
    later = Faces()
    embed(later, pictures, choice="largest", cache=memory)
    assert later.located == [b"30"]


@pytest.mark.parametrize("workers", [1, 3])
def test_each_worker_holds_the_pixels_of_one_picture_at_a_time(workers: int) -> None:
    analyzer = Faces()
    embed(
        analyzer, [(f"{place}", f"{place}".encode()) for place in range(10 * BATCH)], choice="central", workers=workers
    )
    assert 1 <= analyzer.most_alive <= workers


def test_large_files_wait_in_small_batches() -> None:
    def picture(place: int, size: int) -> tuple[str, bytes]:
        return f"{place} {size}", f"{place}".encode().ljust(size)

    half, whole = BATCH_BYTES // 2, BATCH_BYTES
    sizes = [half, half, half, 2 * whole, half, *[10] * (BATCH + 1)]
    analyzer = Faces()
    found = embed(analyzer, [picture(place, size) for place, size in enumerate(sizes)], choice="largest")
    assert analyzer.encoded == [2, 1, 1, BATCH, 2]
    assert [float(name.split()[0]) for name in found] == list(range(len(sizes)))


def test_another_choice_or_another_analyzer_shares_nothing() -> None:
    memory, pictures = Memory(), [("a", b"90 50")]
    embed(Faces(), pictures, choice="largest", cache=memory)
    other = Faces()
    np.testing.assert_array_equal(embed(other, pictures, choice="central", cache=memory)["a"].vector, vector_of(50))
    renewed = Faces()
    renewed.identity = "of a later version"
    embed(renewed, pictures, choice="largest", cache=memory)
    assert other.located == renewed.located == [b"90 50"]
    assert len({space for space, _ in memory.rows}) == 3


def test_trouble_that_is_not_the_pictures_stops_the_work_and_what_was_done_is_kept() -> None:
    memory = Memory()
    pictures = [(f"{place}", f"{place}".encode()) for place in range(BATCH)] + [("bad", b"fatal")]
    with pytest.raises(ModelTampered):
        embed(Faces(), pictures, choice="largest", cache=memory, workers=1)
    assert len(memory.rows) == BATCH


def test_no_pictures_no_work() -> None:
    assert embed(Faces(), [], choice="largest") == {}
