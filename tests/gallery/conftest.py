"""A gallery of each kind of key, and processes to kill."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import faults
import pytest

from twinface.gallery.keys import Key
from twinface.gallery.sqlite import SqliteGallery


@pytest.fixture(params=faults.KEYS, ids=faults.KEY_IDS)
def key(request: pytest.FixtureRequest) -> Key | None:
    found: Key | None = request.param
    return found


@pytest.fixture
def gallery(tmp_path: Path, key: Key | None) -> Iterator[SqliteGallery]:
    store = SqliteGallery(tmp_path / "people.db", key=key, create=faults.SPACE)
    faults.fill(store, "Ada", "Bob")
    yield store
    store.close()


@pytest.fixture(scope="module")
def nursery() -> Iterator[faults.Nursery]:
    with closing(faults.Nursery()) as nursery:
        yield nursery
