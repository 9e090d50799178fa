"""All templates of a gallery at once: kept beside by another model, exchanged for those, turned by another matrix."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from twinface.core.subjects import TemplateSpace
from twinface.gallery.live_index import load
from twinface.gallery.people import People
from twinface.gallery.spaces import StoredSpace, add_space, current_space, find_space, replace_rotation
from twinface.gallery.vault import Vault


class Renewal:
    """Changes all templates; every call happens in a transaction of the caller's.

    Args:
        vault: seals and opens.
        people: writes the rows.
    """

    def __init__(self, vault: Vault, people: People) -> None:
        self._vault = vault
        self._people = people

    def stage(
        self, connection: sqlite3.Connection, space: TemplateSpace, vectors: Mapping[int, NDArray[np.float32]]
    ) -> None:
        """Keeps templates of another space beside the gallery's own, by number of their sample."""
        stored = self._space(connection, space)
        if vectors:
            turned = stored.turned(np.stack(list(vectors.values())))
            for number, vector in zip(vectors, turned, strict=True):
                self._people.add_template(connection, number, stored, vector)

    def staged(self, connection: sqlite3.Connection, space: TemplateSpace) -> dict[int, NDArray[np.float32]]:
        """The templates kept so, as the encoder made them."""
        stored = find_space(connection, self._vault, space.identity)
        if stored is None:
            return {}
        (vectors, samples, _), _, _ = load(connection, self._vault, stored)
        return dict(zip(samples.tolist(), stored.plain(vectors), strict=True))

    def switch(self, connection: sqlite3.Connection, space: TemplateSpace) -> bool:
        """Makes another space the gallery's; samples that have a template of it lose the old one. Whether it was."""
        old, new = current_space(connection, self._vault), self._space(connection, space)
        if new.id == old.id:
            return False
        connection.execute("UPDATE gallery SET space = ?, turned = turned + 1", (new.id,))
        connection.execute(
            "DELETE FROM templates WHERE space = ? AND sample IN (SELECT sample FROM templates WHERE space = ?)",
            (old.id, new.id),
        )
        connection.execute("DELETE FROM spaces WHERE id != ? AND id NOT IN (SELECT space FROM templates)", (new.id,))
        return True

    def turn(self, connection: sqlite3.Connection) -> None:
        """Turns all templates of the gallery's space by a new matrix."""
        old = current_space(connection, self._vault)
        (vectors, samples, _), _, _ = load(connection, self._vault, old)
        fresh = replace_rotation(connection, self._vault, old)
        for number, vector in zip(samples.tolist(), fresh.turned(old.plain(vectors)), strict=True):
            self._people.replace_template(connection, number, fresh, vector)
        connection.execute("UPDATE gallery SET turned = turned + 1")

    def _space(self, connection: sqlite3.Connection, space: TemplateSpace) -> StoredSpace:
        return find_space(connection, self._vault, space.identity) or add_space(connection, self._vault, space)
