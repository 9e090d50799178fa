"""Records of the audit log, their chain, and its export: whatever is changed afterwards no longer fits."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from twinface.core.audit import (
    LONGEST,
    AuditDraft,
    AuditRecord,
    genesis,
    read_record,
    resealed,
    seal,
    write_record,
)
from twinface.core.audit_chain import MOST_PROBLEMS, Problem, check_chain
from twinface.core.audit_export import check_export, write_header
from twinface.errors import GalleryError

GALLERY = "a1" * 16
START = genesis(GALLERY)
ADA, BOB = "0a" * 16, "0b" * 16
NOON = datetime(2028, 2, 29, 12, 0, 0, 123456, UTC)

FULL = AuditDraft(
    at=NOON,
    kind="request",
    request="card 17 \u00fc\udc80",
    place="floor-7",
    decision="refuse",
    reason="too-far",
    subjects=(ADA, BOB),
    distance=0.3,
    probability=0.1,
    fmr=1e-5,
    liveness="moved as a head does",
    policy="c" * 64,
    model="d" * 64,
    detail="nearest at 0.30",
    thumbnail="e" * 64,
)

OTHERWISE: dict[str, Any] = {
    "at": NOON + timedelta(milliseconds=1),
    "kind": "action",
    "request": "card 18",
    "place": "floor-8",
    "decision": "grant",
    "reason": "near",
    "subjects": (BOB, ADA),
    "distance": 0.30000000000000004,
    "probability": None,
    "fmr": 1e-6,
    "liveness": "",
    "policy": "b" * 64,
    "model": "b" * 64,
    "detail": "nearest at 0.31",
    "thumbnail": "",
}


def log(count: int, start: str = START) -> list[AuditRecord]:
    records: list[AuditRecord] = []
    previous = start
    for number in range(1, count + 1):
        records.append(seal(replace(FULL, detail=f"record {number}"), number, previous))
        previous = records[-1].digest
    return records


def head(records: Sequence[AuditRecord]) -> tuple[int, str]:
    return records[-1].number, records[-1].digest


def found(problems: Sequence[Problem]) -> list[tuple[int, str]]:
    return [(one.number, one.kind) for one in problems]


# records


def test_a_record_says_what_the_draft_said_to_the_millisecond_in_utc() -> None:
    there = replace(FULL, at=NOON.astimezone(timezone(timedelta(hours=-3, minutes=-30))))
    record = seal(there, 1, START)
    assert record.at == NOON.replace(microsecond=123000)
    assert record.at.tzinfo is UTC
    assert all(getattr(record, one.name) == getattr(there, one.name) for one in fields(AuditDraft))
    assert record == seal(FULL, 1, START)
    assert replace(FULL, distance=0).distance.__class__ is float  # else the digest would depend on how it is written


def test_a_record_is_read_as_it_was_written() -> None:
    for draft in (FULL, AuditDraft(at=NOON, kind="start")):
        record = seal(draft, 7, "f" * 64)
        line = write_record(record)
        assert line.isascii()
        assert b"\n" not in line
        assert read_record(line) == record


def test_how_records_are_written_for_their_digest_does_not_change() -> None:
    """Else logs of the past would not be sound any more; another way needs another format."""
    record = seal(replace(FULL, request="card 17"), 2, START)
    assert START == "67b174591dc4945ae2a7b60b1f645a367c87867e88e39dbb51d02e48fbb4c34f"
    assert record.digest == "833662ef6d9eab124504cfed95f278d15abd2a1eb26c1e8ae66df8fca64c814a"
    line = (
        '{"at":"2028-02-29T12:00:00.123+00:00","decision":"refuse","detail":"nearest at 0.30",DIGEST"distance":0.3,'
        '"fmr":1e-05,"format":"twinface-audit-1","kind":"request","liveness":"moved as a head does",'
        f'"model":"{"d" * 64}","number":2,"place":"floor-7","policy":"{"c" * 64}","previous":"{START}",'
        f'"probability":0.1,"reason":"too-far","request":"card 17","subjects":["{ADA}","{BOB}"],'
        f'"thumbnail":"{"e" * 64}"}}'
    )
    assert write_record(record).decode() == line.replace("DIGEST", f'"digest":"{record.digest}",')
    assert hashlib.sha256(line.replace("DIGEST", "").encode()).hexdigest() == record.digest


@pytest.mark.parametrize("name", OTHERWISE)
def test_the_digest_covers_every_field(name: str) -> None:
    record = seal(FULL, 3, START)
    assert {*OTHERWISE} == {one.name for one in fields(AuditDraft)}
    assert seal(replace(FULL, **{name: OTHERWISE[name]}), 3, START).digest != record.digest


def test_the_digest_covers_the_place_in_the_log() -> None:
    assert len({seal(FULL, 3, START).digest, seal(FULL, 4, START).digest, seal(FULL, 3, "0" * 64).digest}) == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("at", datetime(2028, 1, 1)),
        ("kind", ""),
        ("kind", "Request"),
        ("kind", "x" * 33),
        ("decision", "maybe"),
        ("place", "x" * (LONGEST + 1)),
        ("request", "x" * (LONGEST + 1)),
        ("subjects", ("Ada",)),
        ("subjects", (ADA.upper(),)),
        ("subjects", (ADA + "\n",)),
        ("subjects", ADA),
        ("subjects", (ADA,) * 101),
        ("distance", float("nan")),
        ("distance", -0.1),
        ("distance", 2.1),
        ("probability", float("inf")),
        ("probability", 1.1),
        ("fmr", -1.0),
        ("thumbnail", "abc"),
    ],
)
def test_what_is_no_record_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match="audit record"):
        replace(FULL, **{name: value})


def test_words_too_long_are_cut_as_a_log_must_take_whatever_happened() -> None:
    assert replace(FULL, detail="x" * 10_000).detail == "x" * LONGEST


@pytest.mark.parametrize(
    "change",
    [
        lambda facts: {**facts, "more": 1},
        lambda facts: {name: value for name, value in facts.items() if name != "place"},
        lambda facts: {**facts, "format": "twinface-audit-2"},
        lambda facts: {**facts, "at": "yesterday"},
        lambda facts: {**facts, "at": "0001-01-01T00:00:00.000+14:00"},
        lambda facts: {**facts, "at": 5},
        lambda facts: {**facts, "subjects": None},
        lambda facts: {**facts, "subjects": ["Ada"]},
        lambda facts: {**facts, "distance": "0.3"},
        lambda facts: {**facts, "distance": True},
        lambda facts: {**facts, "number": 0},
        lambda facts: {**facts, "number": "1"},
        lambda facts: {**facts, "number": 1.0},
        lambda facts: {**facts, "previous": "x"},
        lambda facts: {**facts, "place": 7},
        lambda facts: {**facts, "place": ["floor-7"]},
        lambda facts: {**facts, "detail": ["x"]},
        lambda facts: {**facts, "thumbnail": []},
        lambda facts: {**facts, "decision": []},
        lambda facts: [facts],
        lambda facts: None,
    ],
)
def test_what_is_no_line_of_a_record_is_refused(change: Callable[[Any], Any]) -> None:
    facts = json.loads(write_record(seal(FULL, 1, START)))
    with pytest.raises(ValueError):
        read_record(json.dumps(change(facts), sort_keys=True, separators=(",", ":")).encode())


def test_a_line_that_says_the_same_in_another_way_is_refused() -> None:
    """Else somebody could be shown another record than the one that is checked: JSON takes the last of two keys."""
    line = write_record(seal(FULL, 1, START))
    for other in (b" " + line, line + b" ", line.replace(b":0.3,", b":0.30,"), b'{"place":"floor-1",' + line[1:], b""):
        with pytest.raises(ValueError):
            read_record(other)
    with pytest.raises(ValueError):
        read_record(b"[" * 100_000)


# the chain


def test_a_log_that_nobody_touched_is_sound() -> None:
    for count in (0, 1, 2, 50):
        records = log(count)
        end = head(records) if records else (0, START)
        assert check_chain(records, START) == []
        assert check_chain(records, START, end, end) == []
    assert check_chain(records, START, head(records), head(records[:20])) == []


@pytest.mark.parametrize("place", [0, 1, 5, 8, 9])
@pytest.mark.parametrize("name", OTHERWISE)
def test_an_edited_field_is_found(name: str, place: int) -> None:
    records = log(10)
    records[place] = replace(records[place], **{name: OTHERWISE[name]})
    assert found(check_chain(records, START)) == [(place + 1, "edited")]


@pytest.mark.parametrize("place", [0, 1, 5, 8])
def test_an_edited_record_that_was_sealed_anew_is_found_by_the_next(place: int) -> None:
    records = log(10)
    records[place] = resealed(replace(records[place], decision="grant"))
    assert found(check_chain(records, START)) == [(place + 1, "edited")]


def test_the_last_record_sealed_anew_is_found_by_the_head_alone() -> None:
    records = log(10)
    end = head(records)
    records[9] = resealed(replace(records[9], decision="grant"))
    assert check_chain(records, START) == []
    assert found(check_chain(records, START, end)) == [(10, "edited")]


@pytest.mark.parametrize("name", ["previous", "digest"])
@pytest.mark.parametrize("place", [0, 5, 9])
def test_an_edited_link_is_found(name: str, place: int) -> None:
    records = log(10)
    records[place] = replace(records[place], **{name: "0" * 64})
    assert found(check_chain(records, START, head(log(10)))) == [(place + 1, "edited")]


@pytest.mark.parametrize("place", [0, 5, 9])
def test_a_link_sealed_anew_is_found_where_it_is(place: int) -> None:
    records = log(10)
    records[place] = resealed(replace(records[place], previous="0" * 64))
    assert found(check_chain(records, START, head(log(10)))) == [(place + 1, "edited")]


@pytest.mark.parametrize("place", [0, 5, 8])
def test_a_removed_record_is_found(place: int) -> None:
    records = log(10)
    del records[place]
    assert found(check_chain(records, START)) == [(place + 1, "missing")]


def test_several_removed_records_are_told_together() -> None:
    records = log(10)
    (problem,) = check_chain([records[0], *records[4:]], START)
    assert (problem.number, problem.words) == (2, "records 2 to 4 are missing")


def test_a_removed_end_is_found_by_the_head_alone() -> None:
    records = log(10)
    assert check_chain(records[:8], START) == []
    (problem,) = check_chain(records[:8], START, head(records))
    assert (problem.number, problem.kind) == (9, "truncated")
    assert "records 9 to 10 are missing" in problem.words
    assert found(check_chain([], START, head(records))) == [(1, "truncated")]


def test_records_exchanged_are_found() -> None:
    records = log(10)
    records[4], records[5] = records[5], records[4]
    assert found(check_chain(records, START)) == [(5, "reordered")]
    far = log(10)
    far[2], far[7] = far[7], far[2]
    assert (3, "reordered") in found(check_chain(far, START))


def test_a_record_told_twice_is_found() -> None:
    records = log(5)
    assert found(check_chain([*records[:3], records[1], *records[3:]], START)) == [(2, "added")]


def test_renumbered_records_are_found() -> None:
    records = log(10)
    renumbered = [*records[:4], *(replace(one, number=one.number - 1) for one in records[5:])]
    assert found(check_chain(renumbered, START)) == [(number, "edited") for number in range(5, 10)]
    previous, sealed = records[3].digest, records[:4]
    for one in records[5:]:
        sealed.append(resealed(replace(one, number=one.number - 1, previous=previous)))
        previous = sealed[-1].digest
    assert found(check_chain(sealed, START, head(records))) == [(10, "truncated")]


def test_a_forged_record_is_found() -> None:
    records = log(10)
    forged = seal(FULL, 11, records[-1].digest)
    assert check_chain([*records, forged], START) == []
    assert found(check_chain([*records, forged], START, head(records))) == [(11, "added")]
    went_on = seal(FULL, 12, records[-1].digest)  # the log goes on as if it were not there
    assert found(check_chain([*records, forged, went_on], START, head([went_on]))) == [(11, "edited")]


def test_a_log_written_anew_from_somewhere_is_found_by_what_was_noted() -> None:
    records = log(10)
    anew = records[:6]
    for number in range(7, 11):
        anew.append(seal(replace(FULL, detail="nothing happened"), number, anew[-1].digest))
    assert check_chain(anew, START) == []
    assert found(check_chain(anew, START, head(records))) == [(10, "edited")]
    for noted in (6, 7, 8, 10):
        expected = [] if noted == 6 else [(noted, "replaced")]
        assert found(check_chain(anew, START, head(anew), head(records[:noted]))) == expected
    assert found(check_chain(anew, START, head(anew), (12, "0" * 64))) == [(11, "truncated")]


def test_another_gallerys_log_is_found() -> None:
    other = genesis("b2" * 16)
    assert found(check_chain(log(3, other), START)) == [(1, "edited")]
    mixed = log(6)
    mixed[3] = log(6, other)[3]
    assert found(check_chain(mixed, START)) == [(4, "edited")]
    assert found(check_chain([], START, None, (0, other))) == [(0, "replaced")]


def test_any_change_to_any_log_is_found() -> None:
    """Random tampering, without the digests being made to fit: nothing but the untouched log is sound."""
    source = random.Random(1)
    for _ in range(300):
        records = log(source.randrange(2, 12))
        end, before = head(records), list(records)
        for _ in range(source.randrange(1, 4)):
            place = source.randrange(len(records))
            kind = source.randrange(5)
            if kind == 0 and len(records) > 1:
                del records[place]
            elif kind == 1:
                source.shuffle(records)
            elif kind == 2:
                name = source.choice([*OTHERWISE])
                records[place] = replace(records[place], **{name: OTHERWISE[name]})
            elif kind == 3:
                records.insert(place, source.choice(before))
            else:
                records[place] = resealed(replace(records[place], detail="forged"))
        assert bool(check_chain(records, START, end)) == (records != before)


def test_of_very_many_problems_some_are_told() -> None:
    records = [replace(one, detail="changed") for one in log(MOST_PROBLEMS + 5)]
    problems = check_chain(records, START)
    assert len(problems) == MOST_PROBLEMS + 1
    assert "and more" in problems[-1].words


# exports


def exported(records: list[AuditRecord]) -> list[bytes]:
    end = head(records) if records else (0, START)
    return [line + b"\n" for line in (write_header(GALLERY, end), *map(write_record, records))]


def test_an_export_is_checked_by_itself() -> None:
    for count in (0, 1, 20):
        told = check_export(exported(log(count)))
        assert told.problems == []
        assert (told.gallery, told.head[0]) == (GALLERY, count)
    assert check_export(exported(log(20)), head(log(5))).problems == []


def test_an_export_that_was_tampered_with_is_found() -> None:
    lines = exported(log(10))
    place = 5  # the line of record 5, after the first
    edited = [*lines]
    edited[place] = lines[place].replace(b"floor-7", b"floor-8")
    spaced = [*lines]
    spaced[place] = lines[place].replace(b":", b": ", 1)
    swapped = [*lines]
    swapped[place], swapped[place + 1] = lines[place + 1], lines[place]
    for changed, expected in (
        (edited, (5, "edited")),
        (spaced, (5, "edited")),
        ([*lines[:place], b"\xff\n", *lines[place + 1 :]], (5, "edited")),
        ([*lines[:place], *lines[place + 1 :]], (5, "missing")),
        (swapped, (5, "reordered")),
        (lines[:-1], (10, "truncated")),
        (lines[:1], (1, "truncated")),
        ([*lines, lines[-1]], (10, "added")),
        ([lines[0].replace(b"a1a1", b"a2a2"), *lines[1:]], (1, "edited")),
    ):
        assert found(check_export(changed).problems) == [expected]
    shorter = [write_header(GALLERY, head(log(8))), *lines[1:9]]
    assert check_export(shorter).problems == []
    assert found(check_export(shorter, head(log(10))).problems) == [(9, "truncated")]


@pytest.mark.parametrize(
    "first",
    [b"", b"\n", b"hello", b"[]", b"{}", b"[" * 100_000, write_record(log(1)[0]), write_header("x", (0, START))],
)
def test_what_is_no_export_says_so(first: bytes) -> None:
    with pytest.raises(GalleryError, match="is no exported audit log"):
        check_export([first])
