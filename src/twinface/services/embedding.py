"""Templates of many pictures: each computed once, on all cores, and kept if there is a cache."""

from __future__ import annotations

import hashlib
import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Literal

from twinface.core.ports import Analyzer, TemplateCache
from twinface.core.types import Acquired, Analysis
from twinface.errors import ImageError

Choice = Literal["central", "largest"]
"""Which face of a picture counts: the one nearest the picture's middle, as in LFW, or the largest."""

Named = tuple[str, bytes]
"""A picture: its name and its file's content."""

BATCH = 16
"""Pictures that one worker takes at a time."""


def embed(
    analyzer: Analyzer,
    pictures: Iterable[Named],
    *,
    choice: Choice,
    cache: TemplateCache | None = None,
    advance: Callable[[], object] | None = None,
    workers: int | None = None,
) -> dict[str, Acquired]:
    """What each picture gave: the template of its chosen face, or the reason why there is none.

    Pictures of the same content are looked up in the cache, and computed, once. Results are kept batch by batch, so
    that little is lost when the work is interrupted.

    Args:
        analyzer: makes templates; called by several threads at once.
        pictures: names, each once, and contents; consumed as the work goes on, so they need not fit in memory.
        choice: which face counts where there are several.
        cache: what was computed before.
        advance: called once a picture, for instance to move a progress bar.
        workers: threads; by default one a core.

    Returns:
        By name, in the order of `pictures`.
    """
    space = hashlib.sha256(f"{analyzer.identity} {choice}".encode()).hexdigest()
    found: dict[str, Acquired] = {}
    count = workers or os.cpu_count() or 1
    running: deque[tuple[list[str], Future[list[Acquired]]]] = deque()

    def work(batch: list[Named]) -> list[Acquired]:
        return _acquire(analyzer, batch, choice, cache, space)

    def collect() -> None:
        names, done = running.popleft()
        for name, acquired in zip(names, done.result(), strict=True):
            found[name] = acquired
            if advance is not None:
                advance()

    with ThreadPoolExecutor(count) as pool:
        try:
            for batch in _batches(pictures):
                running.append(([name for name, _ in batch], pool.submit(work, batch)))
                if len(running) > 2 * count:
                    collect()
            while running:
                collect()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return found


def _batches(pictures: Iterable[Named]) -> Iterator[list[Named]]:
    rest = iter(pictures)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _acquire(
    analyzer: Analyzer, batch: Sequence[Named], choice: Choice, cache: TemplateCache | None, space: str
) -> list[Acquired]:
    """What a batch gave, in its order."""
    digests = [hashlib.sha256(content).hexdigest() for _, content in batch]
    known = {} if cache is None else cache.find(space, digests)
    fresh = {digest: content for digest, (_, content) in zip(digests, batch, strict=True) if digest not in known}
    if fresh:
        computed = dict(zip(fresh, _compute(analyzer, list(fresh.values()), choice), strict=True))
        if cache is not None:
            cache.keep(space, computed)
        known |= computed
    return [known[digest] for digest in digests]


def _compute(analyzer: Analyzer, contents: Sequence[bytes], choice: Choice) -> list[Acquired]:
    located: list[Analysis | None] = []
    for content in contents:
        try:
            located.append(analyzer.locate(content))
        except ImageError:
            located.append(None)
    chosen = [
        analysis.faces[place_of(analysis, choice)] for analysis in located if analysis is not None and analysis.faces
    ]
    encoded = iter(analyzer.encode(chosen) if chosen else ())
    rows = []
    for analysis in located:
        if analysis is None:
            rows.append(Acquired(None, 0, ("unreadable",)))
        elif not analysis.faces:
            rows.append(Acquired(None, 0, ("no face",)))
        else:
            face = next(encoded)
            assert face.template is not None  # encode gives every face one
            rows.append(Acquired(face.template.vector, len(analysis.faces), face.quality.reasons))
    return rows


def place_of(analysis: Analysis, choice: Choice) -> int:
    """Place of the face that counts; there must be one."""
    if choice == "largest":
        return 0
    height, width = analysis.image.shape[:2]

    def away(place: int) -> float:
        left, top, right, bottom = analysis.faces[place].box.corners
        return math.hypot((left + right - width) / 2, (top + bottom - height) / 2)

    return min(range(len(analysis.faces)), key=away)
