"""Encodings of face_recognition's users: every form is read alike, pickles are not opened, nonsense is named."""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from twinface.app import wiring
from twinface.app.benchmarking import peers
from twinface.core.similarity import normalise
from twinface.core.types import Template
from twinface.errors import GalleryError
from twinface.gallery import foreign_encodings
from twinface.gallery.foreign_encodings import read_face_recognition

NAMES = ["Ada Łukasiewicz", "Bob", "Bob"]


def vectors(count: int = 3) -> NDArray[np.float64]:
    """As long as dlib's."""
    return normalise(np.random.default_rng(7).normal(size=(count, 128))).astype(np.float64) * 1.4


def lists(count: int = 3) -> list[list[float]]:
    found: list[list[float]] = vectors(count).tolist()
    return found


def refused(path: Path, *said: str, names: Path | None = None) -> str:
    with pytest.raises(GalleryError) as caught:
        read_face_recognition(path, names)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert text.isprintable()
    for words in said:
        assert words in text
    return text


def as_json(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def as_csv(path: Path, rows: list[list[Any]], delimiter: str = ",", encoding: str = "utf-8") -> Path:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    path.write_text(text.getvalue(), encoding=encoding, newline="")
    return path


def rows() -> list[list[Any]]:
    return [[name, *numbers] for name, numbers in zip(NAMES, lists(), strict=True)]


def as_npz(path: Path, save: Callable[..., None] = np.savez, **arrays: Any) -> Path:
    save(path, **arrays)
    return path


def as_npy(path: Path, names: str = "\n".join(NAMES)) -> Path:
    np.save(path, vectors())
    path.with_suffix(".txt").write_text(names, encoding="utf-8")
    return path


HEADER = ["name", *(f"d{number}" for number in range(128))]
FORMS: dict[str, Callable[[Path], Path]] = {
    "two lists": lambda d: as_json(d / "a.json", {"names": NAMES, "encodings": lists()}),
    "two lists of the examples": lambda d: as_json(
        d / "a.JSON", {"known_face_encodings": lists(), "known_face_names": NAMES}),
    "lists of a name": lambda d: as_json(d / "a.json", {NAMES[0]: lists()[:1], "Bob": lists()[1:]}),
    "a name's one or several": lambda d: as_json(d / "a.json", {NAMES[0]: lists()[0], "Bob": lists()[1:]}),
    "a list of objects": lambda d: as_json(
        d / "a.json", [{"name": name, "encoding": one} for name, one in zip(NAMES, lists(), strict=True)]),
    "npz": lambda d: as_npz(d / "a.npz", encodings=vectors(), names=np.array(NAMES)),
    "npz of bytes": lambda d: as_npz(d / "a.npz", encodings=vectors(), names=np.array([n.encode() for n in NAMES])),
    "npz compressed": lambda d: as_npz(
        d / "a.npz", np.savez_compressed, encodings=vectors(), names=np.array(NAMES), more=np.array([{}], object)),
    "npz of the examples": lambda d: as_npz(
        d / "a.npz", known_face_encodings=np.asfortranarray(vectors().astype(np.float32)),
        known_face_names=np.array(NAMES)),
    "npz of another byte order": lambda d: as_npz(
        d / "a.npz", encodings=vectors().astype(">f8"), names=np.array(NAMES).astype(">U20")),
    "csv": lambda d: as_csv(d / "a.csv", rows()),
    "csv with header": lambda d: as_csv(d / "a.csv", [HEADER, *rows()]),
    "csv with pandas' header": lambda d: as_csv(d / "a.csv", [["name", *range(128)], *rows()]),
    "csv with header from one": lambda d: as_csv(d / "a.csv", [["", *range(1, 129)], [], *rows(), [" "]]),
    "csv of a spreadsheet": lambda d: as_csv(d / "a.csv", [HEADER, *rows()], ";", "utf-8-sig"),
    "csv with tabs": lambda d: as_csv(d / "a.csv", rows(), "\t"),
    "npy": lambda d: as_npy(d / "a.npy"),
    "npy with lines of Windows": lambda d: as_npy(d / "a.npy", "\ufeff" + "\r\n".join([*NAMES, "", ""])),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same(tmp_path: Path, form: str) -> None:
    path = FORMS[form](tmp_path)
    found = read_face_recognition(path, path.with_suffix(".txt") if path.suffix == ".npy" else None)
    assert [name for name, _ in found] == NAMES
    for (_, vector), want in zip(found, vectors(), strict=True):
        assert (vector.dtype, vector.shape) == (np.float32, (128,))
        assert vector == pytest.approx(want / 1.4, abs=1e-6)
        Template(vector, "any")  # of unit length


def test_names_are_cleaned(tmp_path: Path) -> None:
    found = read_face_recognition(as_json(tmp_path / "a.json", {"  Ada\u200b   L ": lists()[0]}))
    assert found[0][0] == "Ada L"


# pickles


class Trap:
    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('it was opened')",)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ["a.pkl", "a.pickle", "a.DAT", "a.json", "a.npz", "a.csv", "a.npy", "encodings"])
def test_pickles_are_not_opened(tmp_path: Path, name: str, protocol: int) -> None:
    if protocol < 2 and name not in ("a.pkl", "a.pickle", "a.DAT"):
        return  # these are known by their suffix alone
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Trap(), protocol))
    said = refused(path, "is a pickle", "nothing is unpickled here", "turn it into .json yourself: python -c ")
    assert said.endswith('"')


@pytest.mark.skipif(os.name != "posix", reason="the command is given for a POSIX shell")
def test_the_command_that_is_given_works(tmp_path: Path) -> None:
    path = tmp_path / "encodings.pickle"
    path.write_bytes(pickle.dumps({"names": NAMES, "encodings": list(vectors())}))
    command = refused(path).partition("yourself: python ")[2]
    subprocess.run(f"'{sys.executable}' {command}", shell=True, cwd=tmp_path, check=True, timeout=300)
    assert [name for name, _ in read_face_recognition(tmp_path / "encodings.json")] == NAMES


@pytest.mark.parametrize("which", ["names", "encodings"])
def test_arrays_of_objects_are_not_opened(tmp_path: Path, which: str) -> None:
    arrays: dict[str, Any] = {"names": np.array(NAMES), "encodings": vectors()}
    arrays[which] = np.array([Trap()] * 3, object)
    refused(as_npz(tmp_path / "a.npz", **arrays), "an array is of Python objects, which are pickled")
    np.save(tmp_path / "a.npy", arrays["encodings"])
    if which == "encodings":
        (tmp_path / "a.txt").write_text("\n".join(NAMES))
        refused(tmp_path / "a.npy", "Python objects", names=tmp_path / "a.txt")


# what is wrong in a row


def scaled(factor: float) -> list[list[float]]:
    found: list[list[float]] = (vectors() * factor).tolist()
    return found


def spoilt(value: Any, row: int = 1) -> list[list[Any]]:
    found: list[list[Any]] = lists()
    found[row][5] = value
    return found


JSON: list[tuple[str, Any]] = [
    ("row 2: the name ' ' is empty", {"names": ["Ada", " ", "Bob"], "encodings": lists()}),
    ("row 1: the name 'a/b' holds a slash", {"names": ["a/b", "Ada", "Bob"], "encodings": lists()}),
    ("row 3: a name must be text, got int", {"names": ["a", "b", 7], "encodings": lists()}),
    ("holds '\\x1b', which no name does", {"\x1b[2J": lists()[0]}),
    ("has 2 names for 3 encodings", {"names": NAMES[:2], "encodings": lists()}),
    ("row 2: has 127 numbers", {"names": NAMES, "encodings": [lists()[0], lists()[1][1:], lists()[2]]}),
    ("row 1: has 0 numbers", {"Ada": []}),
    ("row 1: has no list of numbers", {"Ada": {"encoding": lists()[0]}}),
    ("row 3: has no list of numbers", {"Ada": [*lists()[:2], None]}),
    ("row 2: holds what is no finite number", {"names": NAMES, "encodings": spoilt(float("nan"))}),
    ("row 2: holds what is no finite number", {"names": NAMES, "encodings": spoilt(float("inf"))}),
    ("row 2: holds what is no finite number", {"names": NAMES, "encodings": spoilt(10**400)}),
    ("row 2: holds what is no finite number", {"names": NAMES, "encodings": spoilt("0.1")}),
    ("row 2: holds what is no finite number", {"names": NAMES, "encodings": spoilt(True)}),
    ("row 2: holds what is no finite number", {"names": NAMES, "encodings": spoilt([0.1])}),
    ("row 1: is 5.6 long, and encodings of face_recognition are about 1.4",
     {"names": NAMES, "encodings": scaled(4)}),
    ("row 1: is 0.14 long", {"names": NAMES, "encodings": scaled(0.1)}),
    ("row 1: is 0 long", {"names": NAMES, "encodings": scaled(0)}),
    ("row 2: is 1e+300 long", {"names": NAMES, "encodings": spoilt(1e300)}),
    ("row 1: is inf long", {"Ada": [1.7e308] * 128}),
    ("lacks encodings or names", {"encodings": lists()}),
    ("lacks encodings or names", {"names": NAMES, "known_face_encodings": lists()}),
    ("encodings and names must be lists", {"names": dict.fromkeys(NAMES), "encodings": lists()}),
    ("row 1: a name must be text, got NoneType", [{"encoding": lists()[0]}]),
    ("row 1: has no list of numbers", [{"name": "Ada"}]),
    ("row 1: a name must be text", lists()),
    ("holds no encodings", {}),
    ("holds no encodings", {"names": [], "encodings": []}),
    ("holds neither names with encodings nor a list of them", 7),
]  # fmt: skip


@pytest.mark.parametrize(("said", "content"), JSON)
def test_what_is_wrong_in_json_is_named(tmp_path: Path, said: str, content: Any) -> None:
    refused(as_json(tmp_path / "a.json", content), said)


@pytest.mark.parametrize(
    ("said", "content"),
    [
        ("is no JSON (Expecting value", b""),
        ("Expecting", b"{"),
        ("recursion", b"[" * 200_000),
        ("can't decode", b'{"Ad\xe4": [1]}'),
        ("digits", b"[" + b"9" * 5000 + b"]"),
    ],
)
def test_what_is_no_json_is_refused(tmp_path: Path, said: str, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    refused(tmp_path / "a.json", said)


CSV: list[tuple[str, list[list[Any]]]] = [
    ("line 2: has 127 numbers", [rows()[0], rows()[1][:-1]]),
    ("line 3: has 129 numbers", [HEADER, rows()[0], [*rows()[1], 0.1]]),
    ("line 2: holds what is no finite number", [rows()[0], ["Bob", *spoilt("x")[1]]]),
    ("line 1: holds what is no finite number", [["Bob", *spoilt("x")[1]], rows()[0]]),
    ("line 1: holds what is no finite number", [["Bob", *spoilt("nan")[1]]]),
    ("line 2: holds what is no finite number", [HEADER, HEADER]),
    ("line 1: the name '' is empty", [["", *lists()[0]]]),
    ("line 1: has 0 numbers", [["Ada"]]),
    ("holds no encodings", [HEADER]),
    ("holds no encodings", []),
]


@pytest.mark.parametrize(("said", "content"), CSV)
def test_what_is_wrong_in_csv_is_named(tmp_path: Path, said: str, content: list[list[Any]]) -> None:
    refused(as_csv(tmp_path / "a.csv", content), said)


def test_what_is_no_csv_is_refused(tmp_path: Path) -> None:
    refused(as_csv(tmp_path / "a.csv", rows(), encoding="utf-16"), "is no UTF-8 text; save it as that")
    (tmp_path / "a.csv").write_text("x" * 200_000)
    refused(tmp_path / "a.csv", "field larger than field limit")


NPZ: list[tuple[str, dict[str, Any]]] = [
    ("lacks encodings or names", {"encodings": vectors()}),
    ("lacks encodings or names", {"encodings": vectors(), "known_face_names": np.array(NAMES)}),
    ("has 3 names for 2 encodings", {"encodings": vectors(2), "names": np.array(NAMES)}),
    ("encodings are float64 (3, 127), expected float64 (N, 128)",
     {"encodings": vectors()[:, 1:], "names": np.array(NAMES)}),
    ("encodings are float64 (128,)", {"encodings": vectors()[0], "names": np.array(NAMES[:1])}),
    ("encodings are float64 ()", {"encodings": np.float64(1), "names": np.array(NAMES[:1])}),
    ("encodings are int64", {"encodings": vectors().astype(np.int64), "names": np.array(NAMES)}),
    ("encodings are float16", {"encodings": vectors().astype(np.float16), "names": np.array(NAMES)}),
    ("encodings are <U", {"encodings": vectors().astype(str), "names": np.array(NAMES)}),
    ("names are <U16 (), expected a row of text", {"encodings": vectors(1), "names": np.array("Ada Lukasiewiczz")}),
    ("names are int64 (3,)", {"encodings": vectors(), "names": np.arange(3)}),
    ("names are <U15 (1, 3)", {"encodings": vectors(), "names": np.array([NAMES])}),
    ("row 1: 'utf-8' codec can't decode", {"encodings": vectors(1), "names": np.array([b"Ad\xe4"])}),
    ("row 2: holds what is no finite number",
     {"encodings": np.array(spoilt(float("nan"))), "names": np.array(NAMES)}),
    ("row 1: is 5.6 long", {"encodings": vectors() * 4, "names": np.array(NAMES)}),
    ("holds no encodings", {"encodings": np.zeros((0, 128)), "names": np.zeros(0, "<U1")}),
    ("another kind than numbers and text", {"encodings": vectors(1), "names": np.zeros(1, "datetime64[s]")}),
]  # fmt: skip


@pytest.mark.parametrize(("said", "arrays"), NPZ)
def test_what_is_wrong_in_npz_is_named(tmp_path: Path, said: str, arrays: dict[str, Any]) -> None:
    refused(as_npz(tmp_path / "a.npz", **arrays), said)


def test_what_is_wrong_beside_npy_is_named(tmp_path: Path) -> None:
    path = as_npy(tmp_path / "a.npy")
    names = tmp_path / "a.txt"
    refused(path, "holds no names; give a text file of them too, one a line")
    refused(path, f"the names in {tmp_path / 'missing'} cannot be read: No such file", names=tmp_path / "missing")
    names.write_bytes(b"Ad\xe4\nBob\nEve\n")
    refused(path, f"the names in {names} cannot be read: is no UTF-8 text", names=names)
    names.write_text("Ada\nBob\n")
    refused(path, "has 2 names for 3 encodings", names=names)
    names.write_text("Ada\n\nBob\n")
    refused(path, "row 2: the name '' is empty", names=names)
    path.write_bytes(b"text")
    refused(path, "an array is damaged", names=names)
    refused(as_csv(tmp_path / "a.csv", rows()), "holds the names itself; go without the file of names", names=names)


# files


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "missing.json", "cannot be read (No such file or directory); choose another file")
    refused(tmp_path / "missing.pkl", "cannot be read (No such file")
    refused(tmp_path, "no regular file")
    (tmp_path / "a.txt").write_text("Ada")
    refused(tmp_path / "a.txt", "is of a kind that is not read; give a .json, .npz, .csv or .npy")
    (tmp_path / "a.npz").write_text("Ada")
    refused(tmp_path / "a.npz", "is no .npz file, or damaged")
    with pytest.raises(GalleryError, match="null byte"):
        read_face_recognition(Path("a\0b.json"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX's")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    refused(tmp_path / "a.json", "no regular file")


@pytest.mark.parametrize("name", ["a.json", "a.npz", "a.npy", "a.csv"])
def test_a_file_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(foreign_encodings, "LARGEST", 1000)
    (tmp_path / name).write_bytes(b" " * 1001)
    refused(tmp_path / name, "has more than 1,000 bytes; split it")


def test_a_bomb_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("names.npy", "w") as member:
        for _ in range(100):
            member.write(bytes(1 << 20))
    monkeypatch.setattr(zipfile.ZipExtFile, "read", None)
    refused(path, "names has 104,857,600 bytes, more than 100,000,000")


def test_a_member_with_more_than_it_says_is_refused(tmp_path: Path) -> None:
    """Of compressed ones only unpacking tells; no more than one byte is unpacked beyond what was said."""
    path = as_npz(tmp_path / "a.npz", np.savez_compressed, encodings=vectors(), names=np.array(NAMES))
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        assert archive.infolist()[0].filename == "encodings.npy"
        place = archive.start_dir
    content[place + 24] -= 1
    path.write_bytes(content)
    refused(path, "encodings.npy is not as long as it says")


@pytest.mark.parametrize("form", ["npz", "npz compressed", "npy", "csv", "two lists"])
def test_flipped_bits_never_end_in_another_error(tmp_path: Path, form: str) -> None:
    path = FORMS[form](tmp_path)
    names = path.with_suffix(".txt") if path.suffix == ".npy" else None
    good = path.read_bytes()
    for seed in range(300):
        chance = random.Random(seed)
        bad = bytearray(good)
        for _ in range(chance.choice([1, 1, 2, 20])):
            place = chance.randrange(min(len(bad), chance.choice([130, 10**6])))
            bad[place] ^= 1 << chance.randrange(8)
        path.write_bytes(bad)
        try:
            found = read_face_recognition(path, names)
        except GalleryError:
            continue
        assert len(found) == 3 or form == "two lists"  # a key that was flipped is another


# dlib itself


@pytest.mark.skipif(peers.FaceRecognition.missing() is not None, reason="dlib-bin is not installed")
def test_encodings_of_dlib_meet_the_templates_of_the_shipped_network(
    tmp_path: Path, examples: Path, scrubbed: pytest.MonkeyPatch
) -> None:
    """It has dlib's weights; found and cropped in another way, a face gives nearly the same."""
    library = peers.FaceRecognition()
    analyzer = wiring.load_analyzer("resnet29", mirror=False, threads=1)
    encodings: dict[str, list[float]] = {}
    ours = {}
    for name in ("collins", "hopper"):
        path = examples / f"{name}.jpg"
        image = library.read(path.read_bytes())
        vector = library.encode(image, library.detect(image))
        assert 1.2 < np.linalg.norm(vector) < 1.6
        encodings[name] = vector.tolist()
        (face,) = analyzer.encode(analyzer.locate(path).faces[:1])
        assert face.template is not None
        ours[name] = face.template.vector
    found = dict(read_face_recognition(as_json(tmp_path / "a.json", encodings)))
    for name in found:
        assert np.linalg.norm(found[name] - ours[name]) < 0.2
    assert np.linalg.norm(found["collins"] - ours["hopper"]) > 0.4
