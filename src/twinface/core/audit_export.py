"""An audit log as a file: a line that says whose log it is and where it ends, then a line for each record.

Such a file can be checked by itself, by whoever knows SHA-256: every line is JSON with its keys in order, ASCII and
without spaces, and a record's digest is that of its line without the `digest`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from twinface.core.audit import FORMAT, genesis, read_record
from twinface.core.audit_chain import Chain, Head, Problem
from twinface.core.facts import field_of, object_of
from twinface.errors import GalleryError


@dataclass(frozen=True)
class Exported:
    """What a file holds.

    Attributes:
        gallery: id of the gallery whose log it is.
        head: number and digest of the last record, as the first line says.
        problems: what is wrong with it, by number; empty when all is sound.
    """

    gallery: str
    head: Head
    problems: list[Problem]


def write_header(gallery: str, head: Head) -> bytes:
    """The first line, without its end."""
    facts = {"format": FORMAT, "gallery": gallery, "number": head[0], "digest": head[1]}
    return json.dumps(facts, sort_keys=True, separators=(",", ":")).encode("ascii")


def check_export(lines: Iterable[bytes], expected: Head | None = None) -> Exported:
    """What a file of an exported log holds, and whether it is what was written.

    Args:
        lines: all of it.
        expected: a record's number and digest noted elsewhere. The file alone cannot tell whether all of it, first
            line and last, was written anew.

    Raises:
        GalleryError: the first line is none of an exported log.
    """
    rest = iter(lines)
    gallery, head = _read_header(next(rest, b""))
    chain = Chain(genesis(gallery), head, expected)
    for line in rest:
        try:
            record = read_record(line.removesuffix(b"\n"))
            chain.follow(record.number, record)
        except ValueError:
            chain.follow(chain.next, None)
    return Exported(gallery, head, chain.finish())


def _read_header(line: bytes) -> tuple[str, Head]:
    what = "the first line"
    try:
        facts = object_of(json.loads(line), what)
        if field_of(facts, "format", "str", what) != FORMAT:
            raise ValueError(f"the format is not {FORMAT}")
        gallery, digest = field_of(facts, "gallery", "str", what), field_of(facts, "digest", "str", what)
        number = field_of(facts, "number", "int", what)
        if not re.fullmatch("[0-9a-f]{32}", gallery) or not re.fullmatch("[0-9a-f]{64}", digest) or number < 0:
            raise ValueError("it names no gallery and no head")
        return gallery, (number, digest)
    except (ValueError, RecursionError) as error:
        raise GalleryError(f"is no exported audit log ({error}); see twinface access audit export") from error
