"""Encodings of users of the library face_recognition, from the files people keep them in.

There is no official file. What its users keep is mostly a pickle; that is a program, and is not run.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twinface.core.facts import KINDS
from twinface.core.files import reason, shown
from twinface.core.naming import clean_name
from twinface.core.similarity import normalise
from twinface.errors import GalleryError
from twinface.gallery.arrays import DAMAGE, parse_array, read_arrays

LENGTH = 128
"""Numbers of an encoding: dlib's face recognition network yields so many."""

NORMS = (0.5, 4.0)
"""Lengths of vectors accepted. dlib's are about 1.2 to 1.5, whatever it sees; those somebody normalised have 1. Numbers
of another range are of another network, or pixels, and would be nonsense among templates."""

LARGEST = 100_000_000
"""Bytes of the largest file read."""

ARRAYS = {"encodings": "names", "known_face_encodings": "known_face_names"}
"""What the two lists are called; the latter names are those of the library's examples."""

PICKLES = (".pkl", ".pickle", ".dat")

REFUSAL = (
    "is a pickle, which can run any program when it is opened, so nothing is unpickled here; if you trust it, turn it "
    "into .json yourself: python -c \"import json,pickle;d=pickle.load(open('encodings.pickle','rb'));json.dump("
    "{'names':list(d['names']),'encodings':[list(map(float,e)) for e in d['encodings']]},open('encodings.json','w'))\""
)


class _Row(NamedTuple):
    """One encoding as it was found: where, whose, and its numbers, of which nothing is known yet."""

    where: str
    name: Any
    numbers: Any


def read_face_recognition(path: Path, names: Path | None = None) -> list[tuple[str, NDArray[np.float32]]]:
    """Names and encodings from a file of a user of face_recognition.

    Args:
        path: `.json` (`{"names": [...], "encodings": [[...], ...]}`, `{name: [...]}`, `{name: [[...], ...]}` or a list
            of `{"name": ..., "encoding": [...]}`), `.npz` (arrays `encodings` and `names`), `.csv` (the name, then 128
            numbers; a header may come first) or `.npy` (N, 128).
        names: for `.npy`, a text file of the names, one a line.

    Returns:
        Of every encoding, in the file's order, whose it is (a name may come again) and the vector, float32 (128,),
        scaled to unit length, as TwinFace's templates are.

    Raises:
        GalleryError: the file is missing, too large, damaged or a pickle, or a row is no name with an encoding.
    """
    try:
        found = [_checked(row) for row in _rows(path, names)]
        if not found:
            raise ValueError("holds no encodings; choose another file")
        return list(zip((name for name, _ in found), normalise([vector for _, vector in found]), strict=True))
    except OSError as error:
        raise GalleryError(f"{shown(path)}: cannot be read ({reason(error)}); choose another file") from error
    except (*DAMAGE, csv.Error) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise GalleryError(f"{shown(path)}: {text if text.isprintable() else ascii(text)}") from error


def _checked(row: _Row) -> tuple[str, NDArray[np.float64]]:
    """The cleaned name and the vector as the network yielded it, float64 (128,)."""
    try:
        name = clean_name(row.name.decode() if isinstance(row.name, bytes) else row.name)
    except (GalleryError, UnicodeDecodeError) as error:
        raise ValueError(f"{row.where}: {error}") from error
    numbers = row.numbers
    if not isinstance(numbers, list) or len(numbers) != LENGTH:
        count = f"{len(numbers):,} numbers" if isinstance(numbers, list) else "no list of numbers"
        raise ValueError(f"{row.where}: has {count}, and an encoding of face_recognition has {LENGTH}; leave it out")
    sound = KINDS["float"][1]
    if not all(sound(number) for number in numbers):
        raise ValueError(f"{row.where}: holds what is no finite number; leave it out")
    length = math.hypot(*numbers)  # of any numbers; squared they might be too large
    if not NORMS[0] <= length <= NORMS[1]:
        raise ValueError(
            f"{row.where}: is {length:.3g} long, and encodings of face_recognition are about 1.4; it is of "
            f"something else, leave it out"
        )
    return name, np.array(numbers, np.float64)


def _rows(path: Path, names: Path | None) -> Iterator[_Row]:
    kind = path.suffix.lower()
    content = _content(path)
    if kind in PICKLES or content.startswith(b"\x80"):
        raise ValueError(REFUSAL)
    if kind not in (".json", ".npz", ".csv", ".npy"):
        raise ValueError("is of a kind that is not read; give a .json, .npz, .csv or .npy")
    if names is not None and kind != ".npy":
        raise ValueError("holds the names itself; go without the file of names")
    if kind == ".json":
        return _of_json(_parsed(content))
    if kind == ".csv":
        return _of_csv(_decoded(content))
    if kind == ".npz":
        found = read_arrays(path, LARGEST, dict.fromkeys((*ARRAYS, *ARRAYS.values()), LARGEST), packed=True)
        encodings, labels = _both(found)
        if labels.dtype.kind not in "SU" or labels.ndim != 1:
            raise ValueError(f"names are {labels.dtype} {labels.shape}, expected a row of text")
        return _of_arrays(encodings, labels.tolist())
    if names is None:
        raise ValueError("holds no names; give a text file of them too, one a line")
    return _of_arrays(parse_array(content), _lines(names))


def _content(path: Path) -> bytes:
    if path.exists() and not path.is_file():  # a pipe may never end
        raise OSError(errno.EINVAL, "no regular file")
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"has more than {LARGEST:,} bytes; split it")
    return content


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is no JSON ({reason(error)}); choose another file") from error


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("is no UTF-8 text; save it as that") from error


def _lines(path: Path) -> list[str]:
    try:
        text = _decoded(_content(path))
    except (OSError, ValueError) as error:
        raise ValueError(f"the names in {shown(path)} cannot be read: {reason(error)}") from error
    return text.replace("\r\n", "\n").rstrip("\n").split("\n")


def _both(found: Mapping[str, Any]) -> tuple[Any, Any]:
    """The encodings and the names, under whichever words they are."""
    for encodings, names in ARRAYS.items():
        if encodings in found and names in found:
            return found[encodings], found[names]
    raise ValueError("lacks encodings or names; give a file with both")


def _of_json(found: Any) -> Iterator[_Row]:
    pairs: Iterable[tuple[Any, Any]]
    if isinstance(found, dict) and found.keys() & {*ARRAYS, *ARRAYS.values()}:
        encodings, names = _both(found)
        if not isinstance(encodings, list) or not isinstance(names, list):
            raise ValueError("encodings and names must be lists")
        pairs = _paired(names, encodings)
    elif isinstance(found, dict):
        pairs = ((name, one) for name, value in found.items() for one in (value if _is_of_lists(value) else [value]))
    elif isinstance(found, list):
        pairs = ((one.get("name"), one.get("encoding")) if isinstance(one, dict) else (None, None) for one in found)
    else:
        raise ValueError("holds neither names with encodings nor a list of them; choose another file")
    return (_Row(f"row {number}", *pair) for number, pair in enumerate(pairs, 1))


def _is_of_lists(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], list)


def _of_arrays(encodings: NDArray[Any], names: Sequence[Any]) -> Iterator[_Row]:
    if encodings.dtype.kind != "f" or encodings.itemsize not in (4, 8) or encodings.shape[1:] != (LENGTH,):
        raise ValueError(f"encodings are {encodings.dtype} {encodings.shape}, expected float64 (N, {LENGTH})")
    pairs = _paired(names, encodings)
    return (_Row(f"row {number}", name, numbers.tolist()) for number, (name, numbers) in enumerate(pairs, 1))


def _paired(names: Sequence[Any], encodings: Any) -> Iterable[tuple[Any, Any]]:
    if len(names) != len(encodings):
        raise ValueError(f"has {len(names):,} names for {len(encodings):,} encodings; give every encoding its name")
    return zip(names, encodings, strict=True)


def _of_csv(text: str) -> Iterator[_Row]:
    start = text.split("\n", 1)[0]
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=start.count))
    first = True
    for cells in lines:
        if any(cell.strip() for cell in cells):
            numbers = [_number(cell) for cell in cells[1:]]
            if not (first and _is_header(numbers)):
                yield _Row(f"line {lines.line_num}", cells[0], numbers)
            first = False


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _is_header(numbers: list[float | None]) -> bool:
    """Whether what stands over the columns are words, or their numbers, as pandas counts them."""
    counted = [list(range(start, start + LENGTH)) for start in (0, 1)]
    return bool(numbers) and (all(number is None for number in numbers) or numbers in counted)
