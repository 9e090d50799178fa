"""Makes a new gallery's file."""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from pathlib import Path

from twinface.core.subjects import TemplateSpace
from twinface.gallery.keys import Key
from twinface.gallery.placing import create
from twinface.gallery.spaces import add_space
from twinface.gallery.vault import make_vault

ID = 16
"""Bytes of a gallery's or a subject's random id."""


def create_gallery(path: Path, space: TemplateSpace, key: Key | None) -> bool:
    """Makes an empty gallery unless there is one.

    Args:
        path: where.
        space: what makes its templates.
        key: what it is encrypted with; None for not at all.

    Returns:
        Whether it was made.

    Raises:
        GalleryError: it cannot be made there, or the passphrase is too short.
    """
    if os.path.lexists(path):
        return False
    if key is not None:
        key.check_new()

    def fill(connection: sqlite3.Connection) -> None:
        vault, facts = make_vault(key)
        stored = add_space(connection, vault, space)
        connection.execute(
            "INSERT INTO gallery (only_row, id, created, vault, space) VALUES (1, ?, ?, ?, ?)",
            (secrets.token_bytes(ID), int(time.time()), facts, stored.id),
        )

    create(path, fill)
    return True
