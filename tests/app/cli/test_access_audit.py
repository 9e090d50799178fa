"""`twinface access audit verify|show|export`, as somebody who keeps a house types them."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from audits import downgrade, tampering
from store_contract import SPACE, fill

from twinface.core.audit import AuditDraft, genesis
from twinface.gallery.keys import Key, write_key_file
from twinface.gallery.sqlite import SqliteGallery

Cli = Callable[..., Any]

DAY = datetime(2028, 3, 1, 8, tzinfo=UTC)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "gallery.key"
    write_key_file(path)
    return path


def make(path: Path, key: Path | None = None) -> list[str]:
    """A gallery with a log of five records; the heads after each."""
    heads = []
    with closing(SqliteGallery(path, key=key and Key.from_file(key), create=SPACE)) as gallery:
        fill(gallery)
        ada, bob = (gallery.find(name).uid for name in ("Ada", "Bob"))
        for number, (place, decision, reason, people) in enumerate(
            [
                ("", "", "", ()),
                ("floor-7", "grant", "match", (ada,)),
                ("floor-7", "refuse", "not allowed here", (bob,)),
                ("roof\x1b[31m", "refuse", "no face", ()),
                ("floor-7", "grant", "match", (bob, ada)),
            ]
        ):
            record = gallery.audit.append(
                AuditDraft(
                    at=DAY + timedelta(hours=number),
                    kind="request" if place else "start",
                    place=place,
                    decision=decision,  # type: ignore[arg-type]
                    reason=reason,
                    subjects=people,
                    distance=0.25 if people else None,
                    liveness="moved" if people else "",
                )
            )
            heads.append(f"{record.number}:{record.digest}")
        gallery.remove(["Bob"])
        gallery.database.settle()
    return heads


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.db"


@pytest.fixture
def heads(path: Path) -> list[str]:
    return make(path)


def lines(done: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.out.splitlines()]


class TestVerify:
    def test_a_sound_log(self, cli: Cli, path: Path, heads: list[str]) -> None:
        done = cli("access", "audit", "verify", "-g", path)
        assert done.status == 0
        assert f"{path}: the audit log is sound; 5 records" in done.out
        assert f"head {heads[-1]}" in done.out
        for noted in (heads[0], heads[-1]):
            assert cli("access", "audit", "verify", "-g", path, "--expect", noted).status == 0
        (told,) = lines(cli("access", "audit", "verify", "-g", path, "--json"))
        assert told == {"sound": True, "head": heads[-1], "problems": []}

    def test_an_empty_log(self, cli: Cli, path: Path) -> None:
        with closing(SqliteGallery(path, create=SPACE)) as gallery:
            start = genesis(gallery.info().id)
        done = cli("access", "audit", "verify", "-g", path, "--expect", f"0:{start}")
        assert done.status == 0
        assert f"sound; 0 records\nhead 0:{start}" in done.out
        downgrade(path, None)
        assert cli("access", "audit", "verify", "-g", path).status == 0
        assert "no such record" in cli("access", "audit", "show", "-g", path).out

    def test_a_log_that_was_tampered_with(self, cli: Cli, path: Path, heads: list[str]) -> None:
        with tampering(path) as connection:
            connection.execute("DELETE FROM audit WHERE number IN (2, 5)")
        done = cli("access", "audit", "verify", "-g", path)
        assert done.status == 1
        assert "record 2 is missing" in done.out
        assert "record 5 is missing: the end of the log was cut off" in done.out
        assert "sound" not in done.out
        assert "2 problems" in done.err
        done = cli("access", "audit", "verify", "-g", path, "--json")
        assert done.status == 1
        (told,) = lines(done)
        assert not told["sound"]
        assert [(one["number"], one["kind"]) for one in told["problems"]] == [(2, "missing"), (5, "truncated")]

    def test_a_seal_that_was_tampered_with(self, cli: Cli, path: Path, heads: list[str]) -> None:
        with tampering(path) as connection:
            connection.execute("DELETE FROM audit_head")
        done = cli("access", "audit", "verify", "-g", path, "--json")
        assert done.status == 1
        (told,) = lines(done)
        assert (told["head"], [one["kind"] for one in told["problems"]]) == ("", ["seal"])
        assert cli("access", "audit", "show", "-g", path).status == 0
        cli("access", "audit", "export", "-", "-g", path).refuses("seal of the audit log")

    def test_a_head_noted_elsewhere(self, cli: Cli, path: Path, heads: list[str], tmp_path: Path) -> None:
        make(tmp_path / "other.db")
        done = cli("access", "audit", "verify", "-g", tmp_path / "other.db", "--expect", heads[2])
        assert done.status == 1
        assert "record 3 is not the one noted elsewhere" in done.out

    @pytest.mark.parametrize("noted", ["", "5", "5:abc", "x:" + "a" * 64, "-1:" + "a" * 64, "5:" + "A" * 64])
    def test_what_is_no_head(self, cli: Cli, path: Path, heads: list[str], noted: str) -> None:
        cli("access", "audit", "verify", "-g", path, "--expect", noted).refuses("--expect takes a head")

    def test_an_encrypted_gallery(self, cli: Cli, path: Path, key: Path) -> None:
        heads = make(path, key)
        cli("access", "audit", "verify", "-g", path).refuses("encrypted with a key file")
        assert heads[-1] in cli("access", "audit", "verify", "-g", path, "--key-file", key).out

    def test_what_cannot_be_looked_at(self, cli: Cli, path: Path, tmp_path: Path) -> None:
        cli("access", "audit", "verify", "-g", path).refuses("there is no gallery")
        path.write_bytes(b"no gallery at all" * 100)
        assert cli("access", "audit", "verify", "-g", path).status == 2

    def test_it_changes_nothing(self, cli: Cli, path: Path, heads: list[str]) -> None:
        before = path.read_bytes()
        cli("access", "audit", "verify", "-g", path)
        cli("access", "audit", "show", "-g", path)
        cli("access", "audit", "export", "-", "-g", path)
        assert path.read_bytes() == before


class TestShow:
    def test_a_table(self, cli: Cli, path: Path, heads: list[str], scrubbed: pytest.MonkeyPatch) -> None:
        scrubbed.setenv("COLUMNS", "160")
        done = cli("access", "audit", "show", "-g", path)
        assert done.status == 0
        rows = [re.sub(r" {2,}", "|", line.strip()) for line in done.out.splitlines()]
        with closing(SqliteGallery(path, read_only=True)) as gallery:
            bob = next(gallery.audit.records(3)).subjects[0]
        assert rows[0] == "time (UTC)|what|place|decision|who|why|distance|liveness"
        assert rows[1] == "1|2028-03-01 08:00:00|start"
        assert rows[2] == "2|2028-03-01 09:00:00|request|floor-7|grant|Ada|match|0.250|moved"
        assert f"refuse|removed person {bob[:4]}\u2026|not allowed here" in rows[3]
        assert r"roof\x1b[31m" in rows[4]
        assert f"removed person {bob[:4]}\u2026, Ada" in rows[5]
        assert rows[6] == f"head {heads[-1]}"

    def test_some_of_it(self, cli: Cli, path: Path, heads: list[str]) -> None:
        def shown(*words: str) -> list[int]:
            return [one["number"] for one in lines(cli("access", "audit", "show", "-g", path, "--json", *words))]

        assert shown() == [1, 2, 3, 4, 5]
        assert shown("--last", "2") == [4, 5]
        assert shown("--place", "floor-7", "--last", "2") == [3, 5]
        assert shown("--since", "2028-03-01T11:00") == [4, 5]
        assert shown("--since", "2028-03-01T13:00+02:00") == [4, 5]
        assert shown("--since", "2028-03-02") == []
        assert shown("--place", "cellar") == []
        cli("access", "audit", "show", "-g", path, "--since", "yesterday").refuses("--since takes a time")
        assert cli("access", "audit", "show", "-g", path, "--last", "0").status == 2

    def test_for_machines(self, cli: Cli, path: Path, heads: list[str]) -> None:
        told = lines(cli("access", "audit", "show", "-g", path, "--json"))[4]
        assert told["people"] == [None, "Ada"]
        assert (told["decision"], told["place"], told["distance"]) == ("grant", "floor-7", 0.25)
        assert told["at"] == "2028-03-01T12:00:00.000+00:00"
        assert f"{told['number']}:{told['digest']}" == heads[-1]

    def test_damaged_records_do_not_hide_the_others(
        self, cli: Cli, path: Path, heads: list[str], scrubbed: pytest.MonkeyPatch
    ) -> None:
        scrubbed.setenv("COLUMNS", "160")
        with tampering(path) as connection:
            connection.execute("UPDATE audit SET content = x'00' WHERE number = 3")
        done = cli("access", "audit", "show", "-g", path)
        assert done.status == 0
        assert re.search(r"^ *3 +DAMAGED", done.out, re.MULTILINE)
        assert "Ada" in done.out
        assert "twinface access audit verify" in done.err
        assert lines(cli("access", "audit", "show", "-g", path, "--json"))[2] == {"number": 3, "damaged": True}


class TestExport:
    def test_it_is_checked_without_the_gallery(
        self, cli: Cli, path: Path, heads: list[str], tmp_path: Path, key: Path
    ) -> None:
        out = tmp_path / "log.jsonl"
        done = cli("access", "audit", "export", out, "-g", path)
        assert done.status == 0
        assert f"{out}: 5 records\nhead {heads[-1]}" in done.out
        assert out.stat().st_mode & 0o077 == 0
        assert len(out.read_bytes().splitlines()) == 6
        assert cli("access", "audit", "export", "-", "-g", path).out.encode() == out.read_bytes()
        path.unlink()
        done = cli("access", "audit", "verify", "--file", out, "--expect", heads[2])
        assert done.status == 0
        assert f"{out}: the audit log is sound; 5 records\nhead {heads[-1]}" in done.out
        sealed = make(path, key)
        assert cli("access", "audit", "export", out, "-g", path, "--key-file", key).status == 0
        assert sealed[-1] in cli("access", "audit", "verify", "--file", out).out

    def test_a_changed_export_is_found(self, cli: Cli, path: Path, heads: list[str], tmp_path: Path) -> None:
        out = tmp_path / "log.jsonl"
        cli("access", "audit", "export", out, "-g", path)
        whole = out.read_bytes().splitlines(keepends=True)
        for changed, words in (
            ([*whole[:3], whole[3].replace(b"refuse", b"grant"), *whole[4:]], "record 3 was edited"),
            ([*whole[:3], *whole[4:]], "record 3 is missing"),
            (whole[:-1], "record 5 is missing: the end"),
            ([*whole, b"x" * 200_000], "record 6 was edited"),
        ):
            out.write_bytes(b"".join(changed))
            done = cli("access", "audit", "verify", "--file", out)
            assert done.status == 1
            assert words in done.out

    def test_what_is_no_export(self, cli: Cli, path: Path, heads: list[str], tmp_path: Path) -> None:
        cli("access", "audit", "verify", "--file", path).refuses("is no exported audit log")
        cli("access", "audit", "verify", "--file", tmp_path / "none").refuses("cannot be read")
        cli("access", "audit", "verify", "--file", tmp_path).refuses("no regular file")
        cli("access", "audit", "verify", "--file", path, "-g", path).refuses("leave --gallery")
        if os.name == "posix":
            cli("access", "audit", "verify", "--file", "/dev/zero").refuses("no regular file")

    def test_the_gallery_is_not_written_over(self, cli: Cli, path: Path, heads: list[str], tmp_path: Path) -> None:
        before = path.read_bytes()
        assert cli("access", "audit", "export", path, "-g", path).status == 2
        cli("access", "audit", "export", tmp_path / "none" / "log", "-g", path).refuses("there is no folder")
        assert path.read_bytes() == before

    def test_what_is_left_of_a_log_is_exported_as_evidence(
        self, cli: Cli, path: Path, heads: list[str], tmp_path: Path
    ) -> None:
        with tampering(path) as connection:
            connection.execute("UPDATE audit SET content = x'00' WHERE number = 3")
        out = tmp_path / "log.jsonl"
        done = cli("access", "audit", "export", out, "-g", path)
        assert done.status == 0
        assert "is not sound (record 3 was edited" in done.err
        done = cli("access", "audit", "verify", "--file", out)
        assert done.status == 1
        assert "record 3 is missing" in done.out


def test_a_log_without_its_guards(cli: Cli, path: Path, heads: list[str]) -> None:
    """What a curious keeper does first: SQLite's own tool refuses, and with the guards away the log says so."""
    with closing(sqlite3.connect(path)) as connection:
        with pytest.raises(sqlite3.IntegrityError, match="never changed"):
            connection.execute("UPDATE audit SET content = '' WHERE number = 1")
        connection.rollback()
        connection.execute("DROP TRIGGER audit_is_not_changed")
        connection.commit()
    done = cli("access", "audit", "verify", "-g", path)
    assert done.status == 1
    assert "triggers that keep records from being changed were removed" in done.out
