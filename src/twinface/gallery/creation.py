"""Makes a new gallery's file, and brings an old one up to date."""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from pathlib import Path

from twinface.core.subjects import TemplateSpace
from twinface.gallery.audit_rows import AuditRows
from twinface.gallery.database import Database
from twinface.gallery.keys import Key
from twinface.gallery.placing import create
from twinface.gallery.records import the_row
from twinface.gallery.schema import GUARDS, LOG, VERSION
from twinface.gallery.spaces import add_space
from twinface.gallery.vault import Vault, make_vault, promise_log

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
        AuditRows(vault).begin(connection)

    create(path, fill)
    return True


def bring_up_to_date(database: Database, vault: Vault, key: Key | None) -> None:
    """Gives a gallery of layout 1 an audit log, in one transaction, if it can be written.

    Args:
        database: the gallery's file.
        vault: as it was opened.
        key: what it was opened with.

    Raises:
        GalleryError: there is no room, say; the gallery is as it was.
    """
    if database.read_only or database.version > 1:
        return
    with database.writing() as connection:
        if AuditRows.are_there(connection):  # somebody else was quicker
            return
        (facts,) = the_row(connection.execute("SELECT vault FROM gallery"), "the gallery")
        connection.execute("UPDATE gallery SET vault = ?", (promise_log(facts, key),))
        for statement in (*LOG, *GUARDS):
            connection.execute(statement)
        AuditRows(vault).begin(connection)
        connection.execute(f"PRAGMA user_version = {VERSION}")
