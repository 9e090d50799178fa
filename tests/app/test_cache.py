"""The template cache on disk: it gives back what it was given, to its owner only, and can forget."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest

from twinface.app.cache import SqliteTemplateCache, cache_path, open_cache
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


def test_cleared_means_gone_from_the_file_too(cache: SqliteTemplateCache) -> None:
    vector = unit(*np.random.default_rng(0).normal(size=128))
    cache.keep("one", {"aa": Acquired(vector, 1, ())})
    assert vector.tobytes() in cache.path.read_bytes()
    cache.clear()
    assert cache.count() == 0
    left = b"".join(path.read_bytes() for path in cache.path.parent.iterdir())
    assert vector.tobytes() not in left


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_nobody_else_may_read_it(cache: SqliteTemplateCache) -> None:
    assert stat.S_IMODE(cache.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(cache.path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("spoil", [lambda path: path.write_bytes(b"no database" * 500), lambda path: path.mkdir()])
def test_an_unusable_file_is_named_with_the_ways_out(tmp_path: Path, spoil) -> None:
    path = tmp_path / "templates.sqlite"
    spoil(path)
    with pytest.raises(OutputError, match=r"templates\.sqlite: the template cache cannot be used .*--no-cache"):
        SqliteTemplateCache(path).find("one", ["aa"])


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
