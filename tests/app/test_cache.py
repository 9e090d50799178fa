"""The template cache on disk: it gives back what it was given, to its owner only, and can forget."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from twinface.app import cache as module
from twinface.app.cache import SqliteTemplateCache, cache_path, clear, open_cache, size
from twinface.core.types import Acquired
from twinface.errors import OutputError


@pytest.fixture
def cache(tmp_path: Path):
    opened = SqliteTemplateCache(tmp_path / "deep" / "down" / "templates.sqlite")
    yield opened
    opened.close()


def unit(*values: float) -> np.ndarray:
    vector = np.array(values, np.float32)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def test_what_was_kept_is_found_bit_for_bit_and_only_in_its_space(cache: SqliteTemplateCache) -> None:
    rows = {"aa": Acquired(unit(1, 2, 3), 2, ("blurred", "profile")), "bb": Acquired(None, 0, ("no face",))}
    cache.keep("one", rows)
    found = cache.find("one", ["bb", "aa", "unknown"])
    assert set(found) == {"aa", "bb"}
    assert found["aa"].vector is not None
    np.testing.assert_array_equal(found["aa"].vector, rows["aa"].vector)
    assert found["aa"].vector.dtype == np.float32
    assert (found["aa"].faces, found["aa"].reasons) == (2, ("blurred", "profile"))
    assert (found["bb"].vector, found["bb"].reasons) == (None, ("no face",))
    assert cache.find("other", ["aa", "bb"]) == {}
    assert cache.find("one", []) == {}


def test_it_outlives_the_process_and_two_may_hold_it(cache: SqliteTemplateCache) -> None:
    other = SqliteTemplateCache(cache.path)
    cache.keep("one", {"aa": Acquired(unit(1, 0), 1, ())})
    other.keep("one", {"bb": Acquired(unit(0, 1), 1, ())})
    assert set(other.find("one", ["aa", "bb"])) == {"aa", "bb"}
    assert cache.count() == 2
    other.close()


# rows that were not written here


def written(cache: SqliteTemplateCache, *values: object) -> dict[str, Acquired]:
    """What is found after vector, faces and reasons of a row were changed behind the cache's back."""
    cache.keep("one", {"aa": Acquired(unit(1, 2), 1, ()), "bb": Acquired(unit(3, 4), 1, ())})
    with sqlite3.connect(cache.path) as database:
        database.execute("UPDATE acquired SET vector = ?, faces = ?, reasons = ? WHERE digest = 'aa'", values)
    database.close()
    return cache.find("one", ["aa", "bb"])


GOOD = unit(1, 2).astype("<f4").tobytes()


@pytest.mark.parametrize(
    "values",
    [
        (np.array([np.nan, 1], "<f4").tobytes(), 1, "[]"),
        (np.array([np.inf, 1], "<f4").tobytes(), 1, "[]"),
        (np.zeros(2, "<f4").tobytes(), 1, "[]"),
        (GOOD[:-1], 1, "[]"),
        (b"", 1, "[]"),
        ("text", 1, "[]"),
        (7, 1, "[]"),
        (0.5, 1, "[]"),
        (GOOD, "many", "[]"),
        (GOOD, 1.5, "[]"),
        (GOOD, b"1", "[]"),
        (GOOD, -1, "[]"),
        (GOOD, 1, ""),
        (GOOD, 1, "["),
        (GOOD, 1, "{}"),
        (GOOD, 1, '"blurred"'),
        (GOOD, 1, "[1]"),
        (GOOD, 1, "[[]]"),
        (GOOD, 1, "[" * 100_000),
        (GOOD, 1, '["two\\nlines"]'),
        (GOOD, 1, b"[]"),
        (GOOD, 1, b'["\xff"]'),
        (None, 0, "[]"),
        (None, 0, "null"),
    ],
    ids=lambda values: ascii(values)[:60],
)
def test_a_row_that_cannot_have_been_kept_is_unknown(cache: SqliteTemplateCache, values: tuple[object, ...]) -> None:
    assert set(written(cache, *values)) == {"bb"}


def test_text_that_is_none_spoils_its_row_only(cache: SqliteTemplateCache) -> None:
    cache.keep("one", {"aa": Acquired(unit(1, 2), 1, ()), "bb": Acquired(unit(3, 4), 1, ())})
    with sqlite3.connect(cache.path) as database:
        database.execute("UPDATE acquired SET reasons = CAST(x'5b22ff225d' AS TEXT) WHERE digest = 'aa'")
    database.close()
    assert set(cache.find("one", ["aa", "bb"])) == {"bb"}


# forgetting


def left_behind(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


def filled(path: Path, rows: int = 200) -> list[bytes]:
    """A cache of so many templates, written bit by bit; gives their bytes."""
    random = np.random.default_rng(0)
    vectors = [unit(*random.normal(size=128)) for _ in range(rows)]
    cache = SqliteTemplateCache(path)
    for place in range(0, rows, 16):
        some = vectors[place : place + 16]
        cache.keep("one", {f"{place + step:064d}": Acquired(vector, 1, ()) for step, vector in enumerate(some)})
    cache.close()
    return [vector.astype("<f4").tobytes() for vector in vectors]


def test_cleared_means_gone_from_every_file_too(tmp_path: Path) -> None:
    path = tmp_path / "templates.sqlite"
    templates = filled(path)
    assert sum(one in left_behind(tmp_path) for one in templates) > 150  # those across two pages cannot be seen so
    cache = SqliteTemplateCache(path)
    cache.clear()
    assert cache.count() == 0
    assert not any(one[:32] in left_behind(tmp_path) for one in templates)
    cache.keep("one", {"aa": Acquired(unit(1, 2), 1, ())})
    assert cache.count() == 1
    cache.close()


@pytest.mark.parametrize("damaged", [False, True])
def test_files_are_overwritten_before_they_are_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: bool
) -> None:
    path = tmp_path / "templates.sqlite"
    filled(path)
    if damaged:
        zero_header(path)
    flushed: list[bytes] = []
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(os.pread(handle, 2**30, 0)))
    lengths = [one.stat().st_size for one in (path, tmp_path / "templates.sqlite-journal")]
    clear(path)
    assert all(not any(content) for content in flushed)
    found = [len(content) for content in flushed]
    assert found == lengths if damaged else found[0] >= lengths[1]  # a sound file's own pages are SQLite's business


def zero_header(path: Path) -> None:
    path.write_bytes(bytes(100) + path.read_bytes()[100:])


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garble_pages(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for start in range(8192, len(content), 8192):
        content[start : start + 200] = b"\xee" * 200
    path.write_bytes(content)


def lose_the_table(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:8192] = b"\x0a\0\0\0\0\x10\0\0" + bytes(4088)  # an empty leaf where the table began
    path.write_bytes(content)


def leave_the_journal_only(path: Path) -> None:
    shutil.move(path, path.with_name(path.name + "-journal"))


def leave_empty_with_journal(path: Path) -> None:
    leave_the_journal_only(path)
    path.touch()


def replace_the_table(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("ALTER TABLE acquired RENAME TO other")
        database.execute("CREATE VIEW acquired AS SELECT * FROM other")
    database.close()


@pytest.mark.parametrize(
    "spoil",
    [zero_header, cut_in_half, garble_pages, lose_the_table, leave_the_journal_only, leave_empty_with_journal,
     replace_the_table],
)  # fmt: skip
def test_a_damaged_cache_can_still_be_cleared(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = tmp_path / "templates.sqlite"
    templates = filled(path)
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).write_bytes(b"".join(templates))
    spoil(path)
    clear(path)
    assert not any(one[:32] in left_behind(tmp_path) for one in templates)
    cache = SqliteTemplateCache(path)
    assert cache.count() == 0
    cache.close()


def test_what_is_in_use_is_not_cleared_under_its_users_hands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    path = tmp_path / "templates.sqlite"
    templates = filled(path)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(OutputError, match="another process is using the template cache; clear it when"):
        clear(path)
    writer.execute("ROLLBACK")
    writer.close()
    assert templates[0] in left_behind(tmp_path)


def test_where_there_is_no_cache_there_is_nothing_to_clear(tmp_path: Path) -> None:
    clear(tmp_path / "none" / "templates.sqlite")
    assert list(tmp_path.iterdir()) == []
    assert size(tmp_path / "none" / "templates.sqlite") == 0


def test_a_linked_cache_is_cleared_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    link = tmp_path / "templates.sqlite"
    link.symlink_to(tmp_path / "far" / "real.sqlite")
    templates = filled(link)
    zero_header(tmp_path / "far" / "real.sqlite")
    clear(link)
    assert not any(one[:32] in left_behind(tmp_path / "far") for one in templates)


def test_a_process_that_is_killed_while_it_writes_spoils_nothing(tmp_path: Path) -> None:
    path = tmp_path / "templates.sqlite"
    templates = filled(path)
    program = f"""
import os, signal, sqlite3
database = sqlite3.connect({str(path)!r}, isolation_level=None)
database.execute("PRAGMA journal_mode = PERSIST")
database.execute("PRAGMA cache_size = 1")  # pages are written before the end
database.execute("BEGIN IMMEDIATE")
database.execute("UPDATE acquired SET vector = zeroblob(512)")
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    cache = SqliteTemplateCache(path)
    found = cache.find("one", [f"{place:064d}" for place in range(len(templates))])
    cache.close()
    assert [row.vector.tobytes() for row in found.values() if row.vector is not None] == templates


# the command


def test_the_command_tells_and_clears_whatever_state_the_cache_is_in(cli, scrubbed, tmp_path: Path) -> None:
    scrubbed.setenv("TWINFACE_CACHE", str(tmp_path / "mine"))
    path = cache_path()
    indexes = {"path": str(path.parent / "videos"), "videos": 0, "bytes": 0}
    none = {"path": str(path), "templates": 0, "bytes": 0, "indexes": indexes}
    assert json.loads(cli("data", "cache", "--json").out) == none
    assert json.loads(cli("data", "cache", "--clear", "--json").out) == none
    assert not path.parent.exists()
    templates = filled(path)
    told = json.loads(cli("data", "cache", "--json").out)
    assert told["templates"] == len(templates)
    assert told["bytes"] == sum(one.stat().st_size for one in path.parent.iterdir())
    zero_header(path)
    refused = cli("data", "cache")
    refused.refuses("templates.sqlite: the template cache cannot be used", "twinface data cache --clear")
    assert "--no-cache" not in refused.err
    assert "no templates; cleared" in cli("data", "cache", "--clear").out
    assert not any(one[:32] in left_behind(path.parent) for one in templates)
    assert json.loads(cli("data", "cache", "--json").out) == none
    path.mkdir()
    refused = cli("data", "cache", "--clear")
    refused.refuses("templates.sqlite: the template cache cannot be overwritten (Is a directory); remove it yourself")


# the file


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_nobody_else_may_read_it(cache: SqliteTemplateCache) -> None:
    cache.keep("one", {"aa": Acquired(unit(1, 0), 1, ())})
    assert {stat.S_IMODE(one.stat().st_mode) for one in cache.path.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(cache.path.parent.stat().st_mode) == 0o700


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_an_older_file_that_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "templates.sqlite"
    filled(path)
    for one in tmp_path.iterdir():
        one.chmod(0o644)
    SqliteTemplateCache(path).close()
    assert {stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize("spoil", [lambda path: path.write_bytes(b"no database" * 500), lambda path: path.mkdir()])
def test_an_unusable_file_is_named_with_the_ways_out(tmp_path: Path, spoil) -> None:
    path = tmp_path / "templates.sqlite"
    spoil(path)
    with pytest.raises(OutputError, match=r"templates\.sqlite: the template cache cannot be used .*--no-cache"):
        SqliteTemplateCache(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_where_nothing_can_be_written_is_told_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "templates.sqlite"
    filled(path)
    path.with_name(path.name + "-journal").unlink()
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot be used"):
        SqliteTemplateCache(path)
    tmp_path.chmod(0o700)


def test_the_environment_says_where_and_nothing_is_opened_unasked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TWINFACE_CACHE", str(tmp_path / "mine"))
    assert cache_path() == tmp_path / "mine" / "templates.sqlite"
    assert open_cache(wanted=False) is None
    assert not (tmp_path / "mine").exists()
    opened = open_cache()
    assert opened is not None
    opened.close()
    assert cache_path().is_file()
