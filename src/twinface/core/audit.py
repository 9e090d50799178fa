"""Records of an audit log, each sealed to the one before by SHA-256: what was changed afterwards no longer fits.

A record says who (by uid, never by name) asked for what, what was decided, why, and by which rules. Its digest covers
all it says, its number and the digest of the record before it; the first one's is the gallery's genesis.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

FORMAT = "twinface-audit-1"
"""How records are written for their digest; another way of writing them gets another number."""

LONGEST = 500
"""Letters of the longest text in a record; `detail` is cut there, others are refused."""

MOST_SUBJECTS = 100

Decision = Literal["grant", "refuse", ""]
"""The last where nothing was decided, as when the program starts."""

_UID = re.compile("[0-9a-f]{32}")
_DIGEST = re.compile("[0-9a-f]{64}")
_TEXTS = ("request", "place", "reason", "liveness", "policy", "model", "detail", "thumbnail")


@dataclass(frozen=True, kw_only=True)
class AuditDraft:
    """What is to be written into the log. Names of people, templates and pictures do not belong here.

    Attributes:
        at: when, with a time zone; kept in UTC, to the millisecond.
        kind: of what, in a word: "request", "action", "policy", "start", "stop", "fault", "purge", "restore".
        request: which request it belongs to; empty for none.
        place: the place asked for; empty for none.
        decision: what was decided.
        reason: why, as the ruling names it.
        subjects: uids of the people it is about, as the gallery calls them.
        distance: between probe and gallery, in [0, 2]; None where nothing was compared.
        probability: calibrated, in [0, 1].
        fmr: target FMR of the operating point.
        liveness: what the checks for a live face found.
        policy: digest of the policy.
        model: identity of the encoder.
        detail: more, in plain words; cut after 500 letters.
        thumbnail: SHA-256 of the picture that is kept beside the log, hexadecimal; empty for none.

    Raises:
        ValueError: a value is none of these; NaN is no number.
    """

    at: datetime
    kind: str
    request: str = ""
    place: str = ""
    decision: Decision = ""
    reason: str = ""
    subjects: tuple[str, ...] = ()
    distance: float | None = None
    probability: float | None = None
    fmr: float | None = None
    liveness: str = ""
    policy: str = ""
    model: str = ""
    detail: str = ""
    thumbnail: str = ""

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError(f"audit record: its time must have a time zone, got {self.at}")
        moment = self.at.astimezone(UTC)
        self._put("at", moment.replace(microsecond=moment.microsecond // 1000 * 1000))
        self._put("detail", self.detail[:LONGEST])
        self._put("subjects", tuple(self.subjects))
        if not re.fullmatch("[a-z][a-z -]{0,31}", self.kind):
            raise ValueError(f"audit record: its kind must be a short word of small letters, got {self.kind[:40]!r}")
        if self.decision not in get_args(Decision):
            raise ValueError(f"audit record: decision must be grant, refuse or empty, got {self.decision!r}")
        for name in _TEXTS:
            value = getattr(self, name)
            if not isinstance(value, str) or len(value) > LONGEST:
                raise ValueError(f"audit record: {name} must be text of at most {LONGEST} letters")
        if len(self.subjects) > MOST_SUBJECTS or not all(_UID.fullmatch(uid) for uid in self.subjects):
            raise ValueError("audit record: subjects must be at most 100 uids of 32 hexadecimal digits, never names")
        if self.thumbnail and not _DIGEST.fullmatch(self.thumbnail):
            raise ValueError("audit record: thumbnail must be a SHA-256 digest of 64 hexadecimal digits")
        for name, most in (("distance", 2.0), ("probability", 1.0), ("fmr", 1.0)):
            value = getattr(self, name)
            if value is not None:
                if not (math.isfinite(value) and 0 <= value <= most):
                    raise ValueError(f"audit record: {name} must be in [0, {most:g}], got {value}")
                self._put(name, float(value))

    def _put(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


@dataclass(frozen=True, kw_only=True)
class AuditRecord(AuditDraft):
    """A draft in its place in the log.

    Attributes:
        number: from 1 on.
        previous: digest of the record before it; of the first, the gallery's genesis.
        digest: of all the above.
    """

    number: int
    previous: str
    digest: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.number) is not int or self.number < 1:
            raise ValueError(f"audit record: its number must be a whole one from 1 on, got {self.number!r}")
        if not (_DIGEST.fullmatch(self.previous) and _DIGEST.fullmatch(self.digest)):
            raise ValueError("audit record: previous and digest must have 64 hexadecimal digits")


def genesis(gallery: str) -> str:
    """What the first record of a gallery's log is sealed to.

    Args:
        gallery: the gallery's id.
    """
    return hashlib.sha256(f"{FORMAT} {gallery}".encode()).hexdigest()


def seal(draft: AuditDraft, number: int, previous: str) -> AuditRecord:
    """Gives a draft its place after another record.

    Args:
        draft: what is written.
        number: from 1 on.
        previous: digest of the record before; see `AuditRecord`.
    """
    facts = {field.name: getattr(draft, field.name) for field in fields(AuditDraft)}
    return resealed(AuditRecord(**facts, number=number, previous=previous, digest=previous))


def resealed(record: AuditRecord) -> AuditRecord:
    """The record with the digest that belongs to what it says."""
    facts = record_facts(record)
    del facts["digest"]
    return replace(record, digest=hashlib.sha256(_canonical(facts)).hexdigest())


def record_facts(record: AuditRecord) -> dict[str, Any]:
    """All that a record says, as JSON has it."""
    facts = {field.name: getattr(record, field.name) for field in fields(record)}
    at = record.at.isoformat(timespec="milliseconds")
    return {**facts, "format": FORMAT, "at": at, "subjects": list(record.subjects)}


def write_record(record: AuditRecord) -> bytes:
    """A record as a line of JSON, ASCII: what its digest is of, and the digest; without the line's end."""
    return _canonical(record_facts(record))


def read_record(line: bytes) -> AuditRecord:
    """A record of such a line. Its digest is not checked here: `Chain` does that.

    Raises:
        ValueError: it is none, or not written as `write_record` writes.
    """
    try:
        facts: dict[str, Any] = json.loads(line)
        if facts.pop("format") != FORMAT:
            raise ValueError(f"is not of the format {FORMAT}")
        facts["at"] = datetime.fromisoformat(facts["at"])
        facts["subjects"] = tuple(facts["subjects"])
        record = AuditRecord(**facts)
        if write_record(record) != line:
            raise ValueError("is not written as TwinFace writes")
        return record
    except (TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError("is no record of an audit log") from error


def _canonical(facts: Mapping[str, Any]) -> bytes:
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
