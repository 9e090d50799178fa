"""Templates of many pictures: each computed once, on all cores, and kept if there is a cache."""

from __future__ import annotations

import functools
import hashlib
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np

from twinface.core.ports import Analyzer, TemplateCache
from twinface.core.types import UNIT_TOLERANCE, Acquired, Analysis, Face
from twinface.errors import ImageError

Choice = Literal["central", "largest"]
"""Which face of a picture counts: the one nearest the picture's middle, as in LFW, or the largest."""

Named = tuple[str, bytes]
"""A picture: its name and its file's content."""

Located = tuple[Face, int] | str
"""What is kept of a picture until it is encoded: the face that counts and how many there are, or why there is none."""

UNREADABLE = "unreadable"
"""Why a picture gave nothing that could not become pixels."""

BATCH = 16
"""Pictures that one worker takes at a time, at most."""

BATCH_BYTES = 8 * 2**20
"""Bytes of their files together, at most, but for a single larger one: what waits for a worker lies in memory."""


def embed(
    analyzer: Analyzer,
    pictures: Iterable[Named],
    *,
    choice: Choice,
    cache: TemplateCache | None = None,
    advance: Callable[[], object] | None = None,
    workers: int = 1,
) -> dict[str, Acquired]:
    """What each picture gave: the template of its chosen face, or the reason why there is none.

    Pictures of the same content are looked up in the cache, and computed, once. Results are kept batch by batch, so
    that little is lost when the work is interrupted. Each worker holds the pixels of one picture at a time.

    Args:
        analyzer: makes templates; called by several threads at once.
        pictures: names, each once, and contents; consumed as the work goes on, so they need not fit in memory.
        choice: which face counts where there are several.
        cache: what was computed before.
        advance: called once a picture, for instance to move a progress bar.
        workers: threads.

    Returns:
        By name, in the order of `pictures`.
    """
    space = hashlib.sha256(f"{analyzer.identity} {choice} {_revision()}".encode()).hexdigest()
    found: dict[str, Acquired] = {}
    running: deque[tuple[list[str], Future[list[Acquired]]]] = deque()

    def work(batch: list[Named]) -> list[Acquired]:
        return _acquire(analyzer, batch, choice, cache, space)

    def collect() -> None:
        names, done = running.popleft()
        for name, acquired in zip(names, done.result(), strict=True):
            found[name] = acquired
            if advance is not None:
                advance()

    with ThreadPoolExecutor(workers) as pool:
        try:
            for batch in _batches(pictures):
                running.append(([name for name, _ in batch], pool.submit(work, batch)))
                if len(running) > 2 * workers:
                    collect()
            while running:
                collect()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return found


def _batches(pictures: Iterable[Named]) -> Iterator[list[Named]]:
    batch: list[Named] = []
    size = 0
    for name, content in pictures:
        if batch and (len(batch) == BATCH or size + len(content) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((name, content))
        size += len(content)
    if batch:
        yield batch


def _acquire(
    analyzer: Analyzer, batch: Sequence[Named], choice: Choice, cache: TemplateCache | None, space: str
) -> list[Acquired]:
    """What a batch gave, in its order."""
    digests = [hashlib.sha256(content).hexdigest() for _, content in batch]
    dimension = analyzer.encoder.dimension
    found = {} if cache is None else cache.find(space, digests)
    known = {digest: row for digest, row in found.items() if _sound(row, dimension)}
    fresh = {digest: content for digest, (_, content) in zip(digests, batch, strict=True) if digest not in known}
    if fresh:
        computed = dict(zip(fresh, _compute(analyzer, list(fresh.values()), choice), strict=True))
        if cache is not None:
            cache.keep(space, lasting(computed))
        known |= computed
    return [known[digest] for digest in digests]


def lasting(rows: Mapping[str, Acquired]) -> dict[str, Acquired]:
    """Those of the rows that a cache may keep.

    That a picture could not be read may be no property of the picture: a plug-in was missing, memory was short. It is
    found again at little cost.
    """
    return {digest: row for digest, row in rows.items() if UNREADABLE not in row.reasons}


def _sound(row: Acquired, dimension: int) -> bool:
    """Whether a cache's row can be of this encoder: a template of its dimension and of unit length, or none."""
    if row.vector is None:
        return True
    return row.vector.shape == (dimension,) and bool(abs(np.linalg.norm(row.vector) - 1) <= UNIT_TOLERANCE)


def _compute(analyzer: Analyzer, contents: Sequence[bytes], choice: Choice) -> list[Acquired]:
    located = [_locate(analyzer, content, choice) for content in contents]
    chosen = [one[0] for one in located if not isinstance(one, str)]
    encoded = iter(analyzer.encode(chosen) if chosen else ())
    rows = []
    for one in located:
        if isinstance(one, str):
            rows.append(Acquired(None, 0, (one,)))
        else:
            face = next(encoded)
            assert face.template is not None  # encode gives every face one
            rows.append(Acquired(face.template.vector, one[1], face.quality.reasons))
    return rows


def _locate(analyzer: Analyzer, content: bytes, choice: Choice) -> Located:
    """The face that counts; the picture's pixels are let go on return."""
    try:
        analysis = analyzer.locate(content)
    except ImageError:
        return UNREADABLE
    if not analysis.faces:
        return "no face"
    return analysis.faces[place_of(analysis, choice)], len(analysis.faces)


@functools.cache
def _revision() -> str:
    """Digest of this module: it says which face counts, and so shapes the templates as the analyzer does."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def place_of(analysis: Analysis, choice: Choice) -> int:
    """Place of the face that counts; there must be one."""
    if choice == "largest":
        return 0
    height, width = analysis.image.shape[:2]

    def away(place: int) -> float:
        left, top, right, bottom = analysis.faces[place].box.corners
        return math.hypot((left + right - width) / 2, (top + bottom - height) / 2)

    return min(range(len(analysis.faces)), key=away)
