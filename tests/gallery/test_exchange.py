"""Files of people: what is written comes back, only its owner may read it, and nothing in it is trusted."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import random
import struct
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twinface.core.naming import clean_name, name_key
from twinface.core.similarity import normalise
from twinface.core.subjects import NewSample, TemplateSpace
from twinface.core.types import Box, Quality, Template
from twinface.errors import GalleryError, OutputError
from twinface.gallery import exchange
from twinface.gallery.exchange import ADVICE, Portable, PortablePerson, read_people, write_people

SPACE = TemplateSpace("c0ffee", "resnet29", True, 4)
WHEN = datetime(2026, 3, 1, 12, 30, 5, 250_000, tzinfo=UTC)
QUALITY = Quality(61.5, 0.4, 120.0, 50.0, -3.0, 1.5, ("blurred",))
BOX = Box(1.5, -2.0, 30.0, 40.25)


def sample(number: int, space: TemplateSpace = SPACE, **more: Any) -> NewSample:
    vector = normalise(np.random.default_rng(number).normal(size=space.dimension))
    return NewSample(hashlib.sha256(b"%d" % number).hexdigest(), Template(vector, space.identity), **more)


def some() -> Portable:
    ada = (
        sample(1, source="a/ada.jpg", quality=QUALITY, box=BOX, photo=b"the first picture"),
        sample(2, source="import"),
    )
    bob = (sample(3, box=BOX, photo=b"another"), sample(4, quality=QUALITY, photo=b""))
    return Portable(
        SPACE,
        (
            PortablePerson("Ada Łukasiewicz", WHEN, WHEN + timedelta(days=30), ada),
            PortablePerson("Nobody yet", WHEN, None, ()),
            PortablePerson("Bob", WHEN, None, bob),
        ),
    )


def plain(portable: Portable) -> Any:
    """All that is in it, in values that can be compared."""
    return portable.space, [
        (person.name, person.created, person.expires, [_plain(one) for one in person.samples])
        for person in portable.people
    ]


def _plain(one: NewSample) -> Any:
    return one.digest, one.template.model, one.template.vector.tobytes(), one.source, one.quality, one.box, one.photo


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "people.npz"
    write_people(path, some())
    return path


def refused(path: Path, *said: str) -> None:
    with pytest.raises(GalleryError) as caught:
        read_people(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert text.endswith(f"; {ADVICE}")
    assert text.isprintable()
    for words in said:
        assert words in text


# what is written comes back

finite = st.floats(allow_nan=False, allow_infinity=False)
names = st.text(min_size=1, max_size=30).filter(lambda text: _is_clean(text))
times = st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
boxes = st.builds(Box, finite, finite, st.floats(1e-3, 1e6), st.floats(1e-3, 1e6))
words = st.lists(st.text("abcdefgh ", min_size=1, max_size=10), max_size=3).map(tuple)
qualities = st.builds(Quality, finite, finite, finite, finite, finite, finite, words)
details = {
    "source": st.text(max_size=50),
    "quality": st.none() | qualities,
    "box": st.none() | boxes,
    "photo": st.none() | st.binary(max_size=40),
}


def _is_clean(text: str) -> bool:
    try:
        return clean_name(text) == text
    except GalleryError:
        return False


@st.composite
def portables(draw: st.DrawFn) -> Portable:
    space = TemplateSpace(
        draw(st.text(min_size=1)), draw(st.text(min_size=1)), draw(st.booleans()), draw(st.integers(1, 9))
    )
    digests = iter(range(10**6))
    people = []
    for name in draw(st.lists(names, max_size=4, unique_by=name_key)):
        samples = [
            sample(next(digests), space, **draw(st.fixed_dictionaries(details))) for _ in range(draw(st.integers(0, 4)))
        ]
        people.append(PortablePerson(name, draw(times), draw(st.none() | times), tuple(samples)))
    return Portable(space, tuple(people))


@given(portables())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_everything_comes_back(tmp_path_factory: pytest.TempPathFactory, portable: Portable) -> None:
    path = tmp_path_factory.mktemp("people") / "people.npz"
    write_people(path, portable)
    assert plain(read_people(path)) == plain(portable)


def test_numpy_opens_it(written: Path) -> None:
    with np.load(written, allow_pickle=False) as arrays:
        assert set(arrays.files) == {"meta", "templates", "photos"}
        meta = json.loads(arrays["meta"].item())
        assert (arrays["templates"].dtype, arrays["templates"].shape) == (np.float32, (4, 4))
        (start, stop) = meta["people"][2]["samples"][0]["photo"]
        assert arrays["photos"][start:stop].tobytes() == b"another"
    assert (meta["format"], meta["version"]) == ("twinface people", 1)


def test_without_photos_there_is_no_array_of_them(tmp_path: Path) -> None:
    path = tmp_path / "people.npz"
    write_people(path, Portable(SPACE, (PortablePerson("Ada", WHEN, None, (sample(1),)),)))
    with np.load(path, allow_pickle=False) as arrays:
        assert set(arrays.files) == {"meta", "templates"}
    assert read_people(path).people[0].samples[0].photo is None


def test_nobody_at_all_comes_back(tmp_path: Path) -> None:
    write_people(tmp_path / "people.npz", Portable(SPACE, ()))
    assert plain(read_people(tmp_path / "people.npz")) == (SPACE, [])


def test_times_of_other_zones_become_utc(tmp_path: Path) -> None:
    there = WHEN.astimezone(timezone(timedelta(hours=5)))
    write_people(tmp_path / "people.npz", Portable(SPACE, (PortablePerson("Ada", there, None, ()),)))
    created = read_people(tmp_path / "people.npz").people[0].created
    assert (created, created.tzinfo) == (WHEN, UTC)


def test_numbers_of_numpy_are_written_as_numbers(tmp_path: Path) -> None:
    number: Any = np.float32(1.5)
    one = sample(1, box=Box(number, number, number, number), quality=Quality(*[number] * 6))
    write_people(tmp_path / "people.npz", Portable(SPACE, (PortablePerson("Ada", WHEN, None, (one,)),)))
    back = read_people(tmp_path / "people.npz").people[0].samples[0]
    assert (back.box, back.quality) == (Box(1.5, 1.5, 1.5, 1.5), Quality(*[1.5] * 6))


def test_a_source_that_is_no_text_is_escaped(tmp_path: Path) -> None:
    one = sample(1, source=os.fsdecode(b"caf\xe9.jpg"))
    write_people(tmp_path / "people.npz", Portable(SPACE, (PortablePerson("Ada", WHEN, None, (one,)),)))
    assert read_people(tmp_path / "people.npz").people[0].samples[0].source == "caf\\udce9.jpg"


def test_equal_people_make_equal_files(tmp_path: Path, written: Path) -> None:
    write_people(tmp_path / "again.npz", some())
    assert (tmp_path / "again.npz").read_bytes() == written.read_bytes()


# who may read it

needs_posix = pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")


@needs_posix
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("before", [None, 0o644, 0o600])
def test_only_its_owner_may_read_it(tmp_path: Path, umask: int, before: int | None) -> None:
    path = tmp_path / "people.npz"
    if before is not None:
        path.write_bytes(b"old")
        path.chmod(before)
    old = os.umask(umask)
    try:
        write_people(path, some())
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["people.npz"]
    assert plain(read_people(path)) == plain(some())


@needs_posix
def test_nobody_reads_along_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its mode is right from the moment it is made, and stays so."""
    modes: list[int] = []
    opened, savez = Path.open, np.savez

    def spied(path: Path, *words: Any, **options: Any) -> Any:
        if path.suffix == ".part":
            modes.append(path.stat().st_mode & 0o777)
        return opened(path, *words, **options)

    def watched(file: Any, **arrays: Any) -> None:
        modes.extend(part.stat().st_mode & 0o777 for part in tmp_path.iterdir())
        savez(file, **arrays)

    monkeypatch.setattr(Path, "open", spied)
    monkeypatch.setattr(exchange.np, "savez", watched)
    (tmp_path / "people.npz").touch(mode=0o644)
    write_people(tmp_path / "people.npz", some())
    assert modes == [0o600, 0o600, 0o644] or modes == [0o600, 0o644, 0o600]
    assert (tmp_path / "people.npz").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("there", [None, b"what was there"])
def test_a_full_disk_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bytes | None
) -> None:
    path = tmp_path / "people.npz"
    if there is not None:
        path.write_bytes(there)

    def fails(file: Any, **arrays: Any) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(exchange.np, "savez", fails)
    with pytest.raises(OutputError, match=r"people\.npz: cannot be written \(No space left on device\)"):
        write_people(path, some())
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [one for one in [there] if one is not None]


def test_where_it_cannot_be_written_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        write_people(tmp_path / "missing" / "people.npz", some())
    with pytest.raises(OutputError, match="cannot be written"):
        write_people(tmp_path, some())


@pytest.mark.parametrize("limit", ["LARGEST", "LARGEST_META"])
def test_what_would_not_be_read_again_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(exchange, limit, 1000)
    with pytest.raises(GalleryError, match=r"4 samples have 1\d,\d{3} bytes, more than a file may have; export fewer"):
        write_people(tmp_path / "people.npz", some())
    assert not list(tmp_path.iterdir())


# what is no content

WRONG: list[tuple[str, Callable[[], Any]]] = [
    ("not cleaned", lambda: PortablePerson(" Ada", WHEN, None, ())),
    ("no zone", lambda: PortablePerson("Ada", WHEN.replace(tzinfo=None), None, ())),
    ("after 2300", lambda: PortablePerson("Ada", WHEN, WHEN.replace(year=2400), ())),
    ("two people named 'ADA'", lambda: Portable(
        SPACE, (PortablePerson("Ada", WHEN, None, ()), PortablePerson("ADA", WHEN, None, ())))),
    ("is there twice", lambda: Portable(SPACE, (PortablePerson("Ada", WHEN, None, (sample(1), sample(1))),))),
    ("another space", lambda: Portable(
        TemplateSpace("other", "m", True, 4), (PortablePerson("Ada", WHEN, None, (sample(1),)),))),
    ("another space", lambda: Portable(
        TemplateSpace("c0ffee", "m", True, 5), (PortablePerson("Ada", WHEN, None, (sample(1),)),))),
]  # fmt: skip


@pytest.mark.parametrize(("said", "make"), WRONG)
def test_content_is_checked_when_it_is_made(said: str, make: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_a_person_needs_a_name() -> None:
    with pytest.raises(GalleryError):
        PortablePerson("a/b", WHEN, None, ())


def test_a_quality_that_is_not_finite_is_not_written(tmp_path: Path) -> None:
    one = sample(1, quality=Quality(1, 1, 1, 1, float("nan"), 1))
    with pytest.raises(ValueError, match="JSON compliant"):
        write_people(tmp_path / "people.npz", Portable(SPACE, (PortablePerson("Ada", WHEN, None, (one,)),)))
    assert not list(tmp_path.iterdir())


# damage


def read_or_refuse(path: Path) -> Any:
    try:
        return plain(read_people(path))
    except GalleryError:
        return None


def test_flipped_bits_are_refused_or_harmless(tmp_path: Path, written: Path) -> None:
    good = written.read_bytes()
    want = plain(some())
    path = tmp_path / "damaged.npz"
    harmless = 0
    for seed in range(800):
        chance = random.Random(seed)
        bad = bytearray(good)
        for _ in range(chance.choice([1, 1, 1, 2, 5, 20])):
            bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
        path.write_bytes(bad)
        found = read_or_refuse(path)
        harmless += found is not None
        assert found in (None, want), seed
    assert harmless < 400  # dates and padding of the archive, which say nothing


def test_every_byte_of_the_archive_s_own_may_be_anything(tmp_path: Path, written: Path) -> None:
    """What checksums do not cover: the list of contents and the heads of its members."""
    good = written.read_bytes()
    want = plain(some())
    with zipfile.ZipFile(written) as archive:
        heads = [info.header_offset + place for info in archive.infolist() for place in range(60)]
        heads += range(archive.start_dir, len(good))
    path = tmp_path / "damaged.npz"
    for place in heads:
        for flip in (0x01, 0x80, 0xFF):
            bad = bytearray(good)
            bad[place] ^= flip
            path.write_bytes(bad)
            assert read_or_refuse(path) in (None, want), (place, flip)


def test_cut_files_are_refused(tmp_path: Path, written: Path) -> None:
    good = written.read_bytes()
    path = tmp_path / "cut.npz"
    for length in [*range(0, len(good), 37), len(good) - 1]:
        path.write_bytes(good[:length])
        refused(path)
    path.write_bytes(good + b"\0")
    refused(path, "is no .npz file, or damaged")


# what is no file of people


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "missing.npz", "No such file")
    refused(tmp_path, "no regular file")
    (tmp_path / "text.npz").write_text("name,digest\n" * 100)
    refused(tmp_path / "text.npz", "is no .npz file")
    np.savez(tmp_path / "other.npz", templates=np.zeros((1, 4), np.float32))
    refused(tmp_path / "other.npz", "is no file of people: it lacks meta or templates")
    with pytest.raises(GalleryError, match="null byte"):
        read_people(Path("a\0b"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX's")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    refused(tmp_path / "pipe.npz", "no regular file")


Arrays = dict[str, Any]
Change = Callable[[dict[str, Any], Arrays], object]


def change(path: Path, how: Change) -> None:
    """Writes the file anew with other content and sound checksums."""
    with np.load(path, allow_pickle=False) as found:
        arrays = dict(found)
    facts = json.loads(arrays["meta"].item())
    arrays["meta"] = None
    how(facts, arrays)
    if arrays["meta"] is None:
        arrays["meta"] = np.array(json.dumps(facts).encode())
    np.savez(path, **{name: array for name, array in arrays.items() if array is not ...})


def test_a_file_written_anew_as_it_was_is_read(written: Path) -> None:
    change(written, lambda facts, arrays: None)
    assert plain(read_people(written)) == plain(some())


def ada(facts: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = facts["people"][0]
    return found


def first(facts: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = ada(facts)["samples"][0]
    return found


def scaled(arrays: Arrays, factor: float) -> None:
    arrays["templates"] = (arrays["templates"] * np.float32(factor)).astype(np.float32)


def with_value(arrays: Arrays, value: float) -> None:
    arrays["templates"][1, 2] = value


HOSTILE: list[tuple[str, Change]] = [
    ("is no file of people", lambda f, a: f.update(format="twinface gallery")),
    ("lacks 'format'", lambda f, a: f.pop("format")),
    ("is of version 2; this TwinFace reads version 1", lambda f, a: f.update(version=2)),
    ("version of meta must be a whole number", lambda f, a: f.update(version=True)),
    ("meta must be an object", lambda f, a: a.update(meta=np.array(b"[]"))),
    ("meta is no text", lambda f, a: a.update(meta=np.array([b"{}"]))),
    ("meta is no text", lambda f, a: a.update(meta=np.array(7))),
    ("Expecting", lambda f, a: a.update(meta=np.array(b"{"))),
    ("recursion", lambda f, a: a.update(meta=np.array(b"[" * 200_000))),
    ("recursion", lambda f, a: a.update(meta=np.array(b'{"a":' * 200_000))),
    ("digits", lambda f, a: a.update(meta=np.array(b'{"version":' + b"9" * 5000 + b"}"))),
    ("codec can't decode", lambda f, a: a.update(meta=np.array(b'{"format":"\xff"}'))),
    ("space must be an object", lambda f, a: f.update(space=None)),
    ("mirror of space must be true or false", lambda f, a: f["space"].update(mirror=1)),
    ("identity of space must be text", lambda f, a: f["space"].update(identity=7)),
    ("surrogates not allowed", lambda f, a: f["space"].update(identity="\udc80")),
    ("expected an identity", lambda f, a: f["space"].update(model="")),
    ("expected float32 (4, 5)", lambda f, a: f["space"].update(dimension=5)),
    ("people of meta must be a list", lambda f, a: f.update(people={})),
    ("a person must be an object", lambda f, a: f["people"].append(None)),
    ("a person lacks 'samples'", lambda f, a: ada(f).pop("samples")),
    ("a person lacks 'name'", lambda f, a: ada(f).pop("name")),
    ("holds a slash", lambda f, a: ada(f).update(name="../ada")),
    ("which no name does", lambda f, a: ada(f).update(name="a\u202eb")),
    ("is empty", lambda f, a: ada(f).update(name=" ")),
    ("name of a person must be text", lambda f, a: ada(f).update(name=["Ada"])),
    ("two people named 'Bob'", lambda f, a: ada(f).update(name="bob")),
    ("a person lacks 'created'", lambda f, a: ada(f).pop("created")),
    ("Invalid isoformat string", lambda f, a: ada(f).update(created="yesterday")),
    ("must be UTC", lambda f, a: ada(f).update(created="2026-01-01")),
    ("must be UTC", lambda f, a: ada(f).update(created="2026-01-01T00:00:00+05:00")),
    ("before 1970 or after 2300", lambda f, a: ada(f).update(created="0001-01-01T00:00:00+00:00")),
    ("before 1970 or after 2300", lambda f, a: ada(f).update(expires="9999-12-31T23:59:59+00:00")),
    ("expires of a person must be text", lambda f, a: ada(f).update(expires=12)),
    ("a sample must be an object", lambda f, a: ada(f)["samples"].__setitem__(0, "x")),
    ("digest must be 64 hexadecimal digits", lambda f, a: first(f).update(digest="A" * 64)),
    ("digest of a sample must be text", lambda f, a: first(f).update(digest=None)),
    ("is there twice", lambda f, a: first(f).update(digest=ada(f)["samples"][1]["digest"])),
    ("is there twice", lambda f, a: first(f).update(digest=f["people"][2]["samples"][0]["digest"])),
    ("source of a sample must be text", lambda f, a: first(f).update(source=None)),
    ("surrogates not allowed", lambda f, a: first(f).update(source="\ud800")),
    ("quality must be an object", lambda f, a: first(f).update(quality=[1])),
    ("quality lacks 'yaw'", lambda f, a: first(f)["quality"].pop("yaw")),
    ("yaw of quality must be a finite number", lambda f, a: first(f)["quality"].update(yaw=float("nan"))),
    ("yaw of quality must be a finite number", lambda f, a: first(f)["quality"].update(yaw=10**400)),
    ("reasons of quality must be short words", lambda f, a: first(f)["quality"].update(reasons=["x" * 101])),
    ("reasons of quality must be short words", lambda f, a: first(f)["quality"].update(reasons=["\x1b[2J"])),
    ("quality has 21 reasons", lambda f, a: first(f)["quality"].update(reasons=["x"] * 21)),
    ("width and height must be positive", lambda f, a: first(f)["box"].update(width=0)),
    ("box has an unknown 'depth'", lambda f, a: first(f)["box"].update(depth=1)),
    ("x of box must be a finite number", lambda f, a: first(f)["box"].update(x=float("inf"))),
    ("where it starts and stops", lambda f, a: first(f).update(photo=[5, 0])),
    ("where it starts and stops", lambda f, a: first(f).update(photo=[-1, 5])),
    ("where it starts and stops", lambda f, a: first(f).update(photo=[0.0, 5])),
    ("more than 2", lambda f, a: first(f).update(photo=[0, 1, 2])),
    ("is not where the one before ends", lambda f, a: first(f).update(photo=[0, 10**12])),
    ("is not where the one before ends", lambda f, a: first(f).update(photo=[1, 17])),
    ("is not where the one before ends", lambda f, a: f["people"][2]["samples"][0].update(photo=[0, 7])),
    ("24 bytes of photos are nobody's", lambda f, a: [
        one.update(photo=None) for person in f["people"] for one in person["samples"]]),
    ("is not where the one before ends", lambda f, a: a.update(photos=...)),
    ("1 bytes of photos are nobody's", lambda f, a: a.update(photos=np.append(a["photos"], np.uint8(0)))),
    ("photos are no row of bytes", lambda f, a: a.update(photos=a["photos"].astype(np.int16))),
    ("photos are no row of bytes", lambda f, a: a.update(photos=a["photos"][None])),
    ("it lacks meta or templates", lambda f, a: a.update(templates=...)),
    ("it lacks meta or templates", lambda f, a: a.update(meta=...)),
    ("expected float32", lambda f, a: a.update(templates=a["templates"][:-1])),
    ("expected float32", lambda f, a: a.update(templates=a["templates"].astype(np.float64))),
    ("expected float32", lambda f, a: a.update(templates=a["templates"].astype(">f4"))),
    ("expected float32", lambda f, a: a.update(templates=a["templates"].ravel())),
    ("Python objects", lambda f, a: a.update(templates=a["templates"].astype(object))),
    ("Python objects", lambda f, a: a.update(meta=np.array({"a": 1}, dtype=object))),
    ("another kind", lambda f, a: a.update(templates=np.zeros(4, [("x", "<f4")]))),
    ("another kind", lambda f, a: a.update(templates=np.zeros(4, "datetime64[s]"))),
    ("not of unit length", lambda f, a: scaled(a, 1.01)),
    ("not of unit length", lambda f, a: scaled(a, 0)),
    ("not of unit length", lambda f, a: scaled(a, 1e38)),
    ("not finite", lambda f, a: with_value(a, float("nan"))),
    ("not finite", lambda f, a: with_value(a, float("inf"))),
    ("not finite", lambda f, a: a["templates"].view(np.uint32).__setitem__((0, 0), 0x7F800001)),  # signals when cast
]  # fmt: skip


@pytest.mark.parametrize(("said", "how"), HOSTILE)
def test_what_cannot_be_is_refused(written: Path, said: str, how: Change) -> None:
    change(written, how)
    refused(written, said)


def test_names_are_cleaned(written: Path) -> None:
    change(written, lambda facts, arrays: ada(facts).update(name="  Ada\u200b  L "))
    assert read_people(written).people[0].name == "Ada L"


# archives that are not what they say


def archive_of(path: Path, **members: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def members_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename.removesuffix(".npy"): archive.read(info) for info in archive.infolist()}


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_content_is_refused(written: Path, method: int) -> None:
    members = members_of(written)
    with zipfile.ZipFile(written, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    refused(written, "compressed in a way that is not read")


def test_a_bomb_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("meta.npy", "w") as member:
        for _ in range(65):
            member.write(bytes(1 << 20))
    monkeypatch.setattr(zipfile.ZipExtFile, "read", None)
    refused(path, "meta has 68,157,440 bytes, more than 67,108,864")


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.npz"
    with path.open("wb") as file:
        file.truncate(exchange.LARGEST + 1)  # sparse
    refused(path, "has 2,000,000,001 bytes, more than 2,000,000,000")


@pytest.mark.parametrize("by", [-1, 1, 1000])
def test_a_member_of_another_length_than_it_says_is_refused(written: Path, by: int) -> None:
    content = bytearray(written.read_bytes())
    with zipfile.ZipFile(written) as archive:
        info = archive.getinfo("templates.npy")
        place = content.index(b"PK\1\2", archive.start_dir + 1)  # the second: meta is the first
    assert struct.unpack_from("<I", content, place + 24)[0] == info.file_size
    struct.pack_into("<I", content, place + 24, info.file_size + by)
    written.write_bytes(content)
    refused(written, "templates.npy is not as long as it says")


def test_one_name_twice_is_refused(tmp_path: Path, written: Path) -> None:
    members = members_of(written)
    with zipfile.ZipFile(tmp_path / "twice.npz", "w") as archive:
        for name, content in [*members.items(), ("meta", members["meta"])]:
            info = zipfile.ZipInfo(f"{name}.npy")
            if name in {one.filename.removesuffix(".npy") for one in archive.infolist()}:
                archive.NameToInfo.clear()  # else zipfile warns
            archive.writestr(info, content)
    refused(tmp_path / "twice.npz", "arrays overlap")


def test_members_that_share_bytes_are_refused(written: Path) -> None:
    content = bytearray(written.read_bytes())
    with zipfile.ZipFile(written) as archive:
        place = content.index(b"PK\1\2", archive.start_dir + 1)
    struct.pack_into("<II", content, place + 20, len(content), len(content))
    written.write_bytes(content)
    refused(written, "arrays overlap")


def test_a_long_list_of_contents_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "many.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(2000):
            archive.writestr(f"{number}.npy", b"")
    monkeypatch.setattr(zipfile, "ZipFile", None)
    refused(path, "its list of contents is too long")


def test_a_list_of_contents_of_64_bits_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: Path
) -> None:
    content = written.read_bytes()
    written.write_bytes(content[:-22] + b"PK\6\7" + bytes(16) + content[-22:])
    monkeypatch.setattr(zipfile, "ZipFile", None)
    refused(written, "its list of contents is too long")


HEADERS: list[tuple[str, bytes]] = [
    ("an array is damaged", b""),
    ("an array is damaged", b"\x93NUMPY\1\0"),
    ("an array is damaged", b"\x93NUMPY\1\0\xff\xff{}"),
    ("an array is damaged", npy(np.zeros(3)).replace(b"NUMPY\1", b"NUMPY\2")),
    ("another kind", npy(np.zeros(3)).replace(b"(3,)", b"(-3)")),
    ("another kind", npy(np.zeros(3)).replace(b"'descr'", b"'d'+'r'")),
    ("another kind", npy(np.zeros(3)).replace(b"'<f8'", b"(((((")),
    ("an unknown kind", npy(np.zeros(3)).replace(b"'<f8'", b"'<f3'")),
    ("not as long as it says", npy(np.zeros(3)) + b"\0"),
    ("not as long as it says", npy(np.zeros(3))[:-1]),
    ("not as long as it says", npy(np.zeros((3, 10**3))).replace(b"(3, 1000)", b"(3, 9999)")),
    ("letters that are none", npy(np.array(["a"])).replace(b"a\0\0\0", b"\xff\xff\xff\x7f")),
]


@pytest.mark.parametrize(("said", "content"), HEADERS)
def test_arrays_that_are_none_are_refused(written: Path, said: str, content: bytes) -> None:
    archive_of(written, **{**members_of(written), "photos": content})
    refused(written, said)


def test_an_array_of_absurd_shape_takes_no_memory(written: Path) -> None:
    content = npy(np.zeros((10, 10), np.float32)).replace(b"(10, 10), }", b"(4611686018427387904, 0), }", 1)
    content = content.replace(b" " * 16 + b"\n", b"\n", 1)
    archive_of(written, **{**members_of(written), "templates": content[:128]})
    refused(written)
