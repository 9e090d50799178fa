"""Cuts the crops of all pictures once, and keeps them in one file that is mapped into memory, not read."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import math
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from twinface.core.files import read_regular, reason, shown, write_atomically
from twinface.core.types import Image
from twinface.errors import DatasetCorrupt, OutputError
from twinface.training.cutting import Cutter
from twinface.training.recipe import DataRecipe
from twinface.training.sources import Choice, Pair, Shot, Source


@dataclass(frozen=True)
class Failure:
    """A picture that gave no crop.

    Attributes:
        source: name of its source.
        path: its name there.
        reason: why.
    """

    source: str
    path: str
    reason: str


@dataclass(frozen=True, eq=False)
class CropStore:
    """The crops of a run's pictures, in the order of the sources and of their shots.

    Attributes:
        pixels: RGB uint8, shape (N, T, T, 3), mapped from `path`, read-only. Sent to another process it would be copied
            whole; let that process fork, or call `prepare` again.
        shots: whose crops they are, N of them.
        failures: pictures without a crop; they are not among the shots.
        pairs: what the sources list, as places in `shots`; a pair with a failed picture is left out. None where no
            source has a list.
        path: the file.
    """

    pixels: NDArray[np.uint8]
    shots: tuple[Shot, ...]
    failures: tuple[Failure, ...]
    pairs: tuple[Pair, ...] | None
    path: Path


def prepare(
    sources: Sequence[Source],
    recipe: DataRecipe,
    folder: Path,
    *,
    advance: Callable[[], object] | None = None,
    workers: int = 1,
) -> CropStore:
    """The crops of all pictures: those kept in the folder, or made now and kept there.

    What is kept counts as long as nothing has changed that shaped it: the recipe's crop, size and margin, detector,
    template points, the code that decodes and aligns with its libraries, which pictures of which sources there are, and
    the length and time of change of their files, or of the archive they lie in. Their content is not read again, which
    would take as long as the rest. A file of another length or head than it must have is made anew.

    Args:
        sources: as `open_sources` yields them; at least one picture.
        recipe: how the crops are cut, see `Cutter`. T is the size and, of "aligned" crops, two margins.
        folder: where they are kept; made if missing.
        advance: called once a picture while crops are made.
        workers: threads that cut; each holds the pixels of one picture at a time. The crops do not depend on it.

    Raises:
        DatasetCorrupt: more than the recipe's share of the pictures is unreadable or without a face, or all are.
        DataError: a source's files are missing or its archive damaged.
        ModelError: the detector is missing or unfit.
        OutputError: the folder cannot be written, or the disk is full.
        ValueError: no picture.
    """
    shots = [shot for source in sources for shot in source.shots]
    if not shots:
        raise ValueError("crops: expected at least one picture, got none")
    cutter = Cutter(recipe)
    path = folder / f"{_digest(sources, cutter.identity)}.npy"
    reasons = _recall(path, len(shots), cutter.side)
    if reasons is None:
        reasons = _make(path, sources, cutter, recipe.corrupt, advance or (lambda: None), workers)
    failures = tuple(_failure(shots, *one) for one in sorted(reasons.items()))
    _refuse_too_many(failures, len(shots), recipe.corrupt)
    kept = [place for place in range(len(shots)) if place not in reasons]
    shape = (len(kept), cutter.side, cutter.side, 3)
    pixels = np.memmap(path, np.uint8, "r", len(_head(shape)), shape)
    return CropStore(pixels, tuple(shots[place] for place in kept), failures, _pairs(sources, kept), path)


def _digest(sources: Sequence[Source], identity: str) -> str:
    """SHA-256 over all that shapes the crops."""
    code = [Path(__file__).with_name(name).read_bytes() for name in ("crops.py", "cutting.py")]
    heic = importlib.util.find_spec("pillow_heif") is not None  # pictures that need it fail without it
    total = hashlib.sha256(repr((identity, code, heic)).encode())
    for source in sources:
        root = Path(os.path.realpath(source.files.name))
        folder = root.is_dir()
        total.update(repr((source.name, source.face, str(root), None if folder else _state(root))).encode())
        for shot in source.shots:
            total.update(repr((shot.path, _state(root / shot.path) if folder else None)).encode())
    return total.hexdigest()


def _state(path: Path) -> tuple[int, int] | None:
    """Length and time of change of a file; None where there is none, which whoever reads it will say."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def _head(shape: tuple[int, ...]) -> bytes:
    """What an .npy file of that shape begins with; equally long for any number of rows."""
    head = io.BytesIO()
    npy.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return head.getvalue()


def _recall(path: Path, count: int, side: int) -> dict[int, str] | None:
    """Why pictures failed when the file was made, by place; None where there is no sound file."""
    try:
        rows = json.loads(read_regular(path.with_suffix(".json")))["failures"]
        reasons = {row["place"]: row["reason"] for row in rows}
        shape = (count - len(reasons), side, side, 3)
        head = _head(shape)
        with path.open("rb") as file:
            if file.read(len(head)) != head or path.stat().st_size != len(head) + math.prod(shape):
                return None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    sound = all(type(place) is int and 0 <= place < count for place in reasons)
    return reasons if sound and all(isinstance(why, str) for why in reasons.values()) else None


def _make(
    path: Path, sources: Sequence[Source], cutter: Cutter, most: float, advance: Callable[[], object], workers: int
) -> dict[int, str]:
    """Writes the crops, and last what failed: the reasons by place, which it returns."""
    shots = [shot for source in sources for shot in source.shots]
    row, start = 3 * cutter.side**2, len(_head((len(shots), cutter.side, cutter.side, 3)))
    _make_room(path.parent, start + len(shots) * row)
    reasons: dict[int, str] = {}

    def write(file: BinaryIO) -> None:
        # written, not mapped: a full disk is an error to write to, but kills a process that fills a map
        for place, crop in _cut_all(sources, cutter, workers):
            if isinstance(crop, str):
                reasons[place] = crop
            else:
                file.seek(start + place * row)
                file.write(crop.tobytes())
            advance()
        _refuse_too_many([_failure(shots, *one) for one in sorted(reasons.items())], len(shots), most)
        kept = [place for place in range(len(shots)) if place not in reasons]
        _close_up(file, start, row, kept)
        file.seek(0)
        file.write(_head((len(kept), cutter.side, cutter.side, 3)))
        file.truncate(start + len(kept) * row)

    write_atomically(path, write)
    rows = [{"place": place, **asdict(_failure(shots, place, why))} for place, why in sorted(reasons.items())]
    text = json.dumps({"pictures": len(shots), "failures": rows}, indent=1) + "\n"
    write_atomically(path.with_suffix(".json"), lambda file: file.write(text.encode()))
    return reasons


def _make_room(folder: Path, size: int) -> None:
    """Sees to it that there is the folder, and room for so many bytes in it, before the work and not after."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except (OSError, ValueError) as error:
        raise OutputError(f"{shown(folder)}: cannot be written ({reason(error)}); choose another place") from error
    if free < size:
        raise OutputError(
            f"{shown(folder)}: the crops need {size / 1e6:,.0f} MB and {free / 1e6:,.0f} MB are free; make room, or "
            "choose another place"
        )


def _close_up(file: BinaryIO, start: int, row: int, kept: Sequence[int]) -> None:
    """Moves the rows that are kept to the front, in their order."""
    file.flush()
    with Path(file.name).open("rb") as again:
        for goal, place in enumerate(kept):
            if goal != place:
                again.seek(start + place * row)
                content = again.read(row)
                file.seek(start + goal * row)
                file.write(content)


def _cut_all(sources: Sequence[Source], cutter: Cutter, workers: int) -> Iterator[tuple[int, Image | str]]:
    """Every picture's place and its crop, or the reason why there is none, in the order of reading."""
    running: deque[tuple[int, Future[Image | str]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for place, content, face in _contents(sources):
                running.append((place, pool.submit(cutter.cut, content, face)))
                if len(running) > 2 * workers:
                    first, done = running.popleft()
                    yield first, done.result()
            for first, done in running:
                yield first, done.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _contents(sources: Sequence[Source]) -> Iterator[tuple[int, bytes, Choice]]:
    start = 0
    for source in sources:
        places = {shot.path: start + number for number, shot in enumerate(source.shots)}
        for path, content in source.files.read(places):
            yield places[path], content, source.face
        start += len(source.shots)


def _failure(shots: Sequence[Shot], place: int, why: str) -> Failure:
    return Failure(shots[place].source, shots[place].path, why)


def _refuse_too_many(failures: Sequence[Failure], count: int, most: float) -> None:
    if len(failures) > most * count or len(failures) == count:
        first = ", ".join(f"{shown(one.path)} ({shown(one.reason)})" for one in failures[:3])
        more = f" and {len(failures) - 3:,} more" if len(failures) > 3 else ""
        raise DatasetCorrupt(
            f"{len(failures):,} of {count:,} pictures ({len(failures) / count:.1%}) give no crop, and data.corrupt "
            f"allows {most:.1%}: {first}{more}; mend or remove them, or raise data.corrupt"
        )


def _pairs(sources: Sequence[Source], kept: Sequence[int]) -> tuple[Pair, ...] | None:
    """The pairs of all lists by the rows of the crops."""
    rows = {place: row for row, place in enumerate(kept)}
    found: list[Pair] = []
    start = 0
    for source in sources:
        for one, other, mated in source.pairs or ():
            if start + one in rows and start + other in rows:
                found.append((rows[start + one], rows[start + other], mated))
        start += len(source.shots)
    return None if all(source.pairs is None for source in sources) else tuple(found)
