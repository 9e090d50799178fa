"""The folder of a pulled model: it appears whole or not at all, and nothing of the user's goes with an older one."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twinface.core.facts import field_of, fields_of, object_of
from twinface.core.files import reason, shown
from twinface.errors import OutputError
from twinface.models.hub_files import SOURCE, Listed


@contextmanager
def workshop(home: Path) -> Iterator[Path]:
    """A new folder beside the target, gone at the end whatever happens.

    Raises:
        OutputError: it cannot be made.
    """
    fresh = home.parent / f".twinface-{uuid.uuid4().hex}.part"
    try:
        with writing(home):
            fresh.mkdir(parents=True)
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def put_in_place(fresh: Path, home: Path, source: str, repo: str) -> None:
    """Makes the folder the target; what was there is put back if that fails.

    Args:
        fresh: the folder, with a model's files in it.
        home: the target.
        source: what is noted of where they came from, JSON text.
        repo: the repository they came from.

    Raises:
        OutputError: it cannot be written, or the target holds anything but an earlier pull of the repository.
    """
    old = fresh.with_suffix(".old")
    refuse_foreign(home, repo)  # downloading takes long enough for somebody to calibrate the model that is there
    with writing(home):
        (fresh / SOURCE).write_text(source, encoding="utf-8")
        if home.exists():
            home.rename(old)
        try:
            fresh.rename(home)
        except OSError:
            if old.exists():
                old.rename(home)
            raise
    shutil.rmtree(old, ignore_errors=True)


def refuse_foreign(home: Path, repo: str) -> None:
    """Refuses to replace anything but an earlier pull of the repository, as it came.

    Raises:
        OutputError: there is something else, or something was added or changed.
    """
    with writing(home):
        if not home.exists() or (home.is_dir() and not any(home.iterdir())):
            return
        try:
            source = object_of(json.loads((home / SOURCE).read_bytes()), "it")
            files = object_of(source.get("files"), "files")
            kept = {name: Listed(**fields_of(Listed, one, name)) for name, one in files.items()}
            owner = field_of(source, "repo", "str", "it")
        except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
            owner, kept = None, {}
        if owner != repo:
            raise OutputError(f"{shown(home)}: holds no earlier pull of {repo}; choose another folder with --out")
        for path in home.iterdir():
            if path.name != SOURCE and not (path.is_file() and _found(path) == kept.get(path.name)):
                raise OutputError(
                    f"{shown(path)}: was added or changed since the model was pulled; move it away, or pull to another "
                    "folder with --out"
                )


def _found(path: Path) -> Listed:
    with path.open("rb") as file:
        return Listed(hashlib.file_digest(file, "sha256").hexdigest(), file.tell())


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tells what keeps a file or folder from being written.

    Raises:
        OutputError: in place of an OSError.
    """
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise OutputError(f"{shown(path)}: cannot be written ({reason(error)}); choose another place") from error
