"""How samples, templates and times are written into a gallery's rows, and read again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twinface.core.subjects import NewSample
from twinface.core.types import UNIT_TOLERANCE, Box, Quality
from twinface.errors import GalleryCorrupt

NAME, FACTS, PHOTO, ROTATION = b"name", b"record of a picture", b"photo", b"rotation"
"""Contexts of sealed values; they name what was damaged, too."""

SOURCE_LENGTH = 300
"""Letters kept of where a picture came from; of longer ones the end."""


def the_row(cursor: sqlite3.Cursor, what: str) -> tuple[Any, ...]:
    """The row that must be there.

    Raises:
        GalleryCorrupt: it is not: whatever pointed to it was damaged.
    """
    row: tuple[Any, ...] | None = cursor.fetchone()
    if row is None:
        raise GalleryCorrupt(f"{what} was damaged")
    return row


def read_uid(value: object) -> str:
    """A random id as people see it, hexadecimal.

    Raises:
        GalleryCorrupt: it is none.
    """
    if not isinstance(value, bytes):
        raise GalleryCorrupt("an id was damaged")
    return value.hex()


def template_context(identity: str) -> bytes:
    """Context of the templates of one space: one of another does not open in its place."""
    return b"template " + identity[:16].encode("utf-8", "backslashreplace")


def write_time(when: datetime) -> int:
    """Seconds since 1970, UTC."""
    return int(when.timestamp())


def read_time(value: int) -> datetime:
    """The time again.

    Raises:
        GalleryCorrupt: it is none.
    """
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError, TypeError) as error:
        raise GalleryCorrupt("a time was damaged") from error


def write_facts(sample: NewSample) -> bytes:
    """What is kept of a picture beside its template and itself."""
    facts = {
        "digest": sample.digest,
        "source": sample.source[-SOURCE_LENGTH:],
        "quality": plain_numbers(None if sample.quality is None else asdict(sample.quality)),
        "box": plain_numbers(None if sample.box is None else asdict(sample.box)),
    }
    return json.dumps(facts).encode()


def plain_numbers(values: dict[str, Any] | None) -> dict[str, Any] | None:
    """With Python's numbers in place of NumPy's, which are none to JSON."""
    return values and {name: value if name == "reasons" else float(value) for name, value in values.items()}


def read_facts(content: bytes) -> tuple[str, str, Quality | None, Box | None]:
    """Digest, source, quality and box again.

    Raises:
        GalleryCorrupt: the content is none of ours.
    """
    try:
        facts: Mapping[str, Any] = json.loads(content)
        quality, box = facts["quality"], facts["box"]
        return (
            str(facts["digest"]),
            str(facts["source"]),
            None if quality is None else Quality(**{**quality, "reasons": tuple(quality["reasons"])}),
            None if box is None else Box(**box),
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise GalleryCorrupt("a record of a picture was damaged") from error


def write_vector(vector: NDArray[np.float32]) -> bytes:
    """A template, 4 D bytes."""
    return vector.astype("<f4").tobytes()


def read_vectors(contents: list[bytes], dimension: int) -> NDArray[np.float32]:
    """Templates again, float32 (N, D).

    Raises:
        GalleryCorrupt: one is of another length, or not of unit length.
    """
    if any(len(content) != 4 * dimension for content in contents):
        raise GalleryCorrupt("a template was damaged")
    vectors = np.frombuffer(b"".join(contents), "<f4").reshape(len(contents), dimension).astype(np.float32, copy=False)
    lengths = np.einsum("nd,nd->n", vectors, vectors)
    if not (np.abs(lengths - 1.0) <= 3 * UNIT_TOLERANCE).all():  # false for NaN
        raise GalleryCorrupt("a template was damaged")
    return vectors
