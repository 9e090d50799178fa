"""The template spaces of a gallery: what made its templates, and the secret matrix each is turned by."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from twinface.core.subjects import TemplateSpace
from twinface.errors import ContractMismatch, GalleryCorrupt
from twinface.gallery.records import ROTATION, template_context
from twinface.gallery.rotation import random_rotation, turn, turn_back
from twinface.gallery.vault import Vault

LARGEST = 4_096
"""Numbers of the longest template accepted: the matrix has as many squared."""


@dataclass(frozen=True, eq=False)
class StoredSpace:
    """A space as a gallery keeps it.

    Attributes:
        id: its row.
        space: what makes its templates.
        rotation: what turns them, float64 (D, D).
    """

    id: int
    space: TemplateSpace
    rotation: NDArray[np.float64]

    @property
    def context(self) -> bytes:
        """Context of its sealed templates."""
        return template_context(self.space.identity)

    def turned(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Templates or probes (N, D) as they are kept and searched."""
        return turn(vectors, self.rotation)

    def plain(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Kept templates (N, D) as the encoder made them."""
        return turn_back(vectors, self.rotation)


def add_space(connection: sqlite3.Connection, vault: Vault, space: TemplateSpace) -> StoredSpace:
    """Makes a space with a matrix of its own."""
    if space.dimension > LARGEST:
        raise ContractMismatch(f"templates of {space.dimension} numbers are too long for a gallery; at most {LARGEST}")
    rotation = random_rotation(space.dimension)
    sealed = vault.common.seal(rotation.astype("<f8").tobytes(), _rotation_context(space))
    row = connection.execute(
        "INSERT INTO spaces (identity, model, mirror, dimension, rotation) VALUES (?, ?, ?, ?, ?) RETURNING id",
        (space.identity, space.model, int(space.mirror), space.dimension, sealed),
    ).fetchone()
    return StoredSpace(row[0], space, rotation)


def replace_rotation(connection: sqlite3.Connection, vault: Vault, stored: StoredSpace) -> StoredSpace:
    """Gives a space another matrix; its templates have to be turned by whoever asks for this."""
    rotation = random_rotation(stored.space.dimension)
    sealed = vault.common.seal(rotation.astype("<f8").tobytes(), _rotation_context(stored.space))
    connection.execute("UPDATE spaces SET rotation = ? WHERE id = ?", (sealed, stored.id))
    return StoredSpace(stored.id, stored.space, rotation)


def current_space(connection: sqlite3.Connection, vault: Vault) -> StoredSpace:
    """The gallery's space.

    Raises:
        GalleryCorrupt: it was damaged.
    """
    row = connection.execute(_CURRENT).fetchone()
    if row is None:
        raise GalleryCorrupt("the template space was damaged")
    return _stored(row, vault)


def find_space(connection: sqlite3.Connection, vault: Vault, identity: str) -> StoredSpace | None:
    """The space of that identity, if the gallery has it."""
    row = connection.execute(f"{_SELECT} WHERE identity = ?", (identity,)).fetchone()
    return None if row is None else _stored(row, vault)


_SELECT = "SELECT id, identity, model, mirror, dimension, rotation FROM spaces"
_CURRENT = f"{_SELECT} WHERE id = (SELECT space FROM gallery)"  # noqa: S608 - our own words


def read_space(connection: sqlite3.Connection) -> TemplateSpace:
    """What makes the gallery's templates; needs no key."""
    row = connection.execute(_CURRENT).fetchone()
    if row is None:
        raise GalleryCorrupt("the template space was damaged")
    return _space(row)


def _rotation_context(space: TemplateSpace) -> bytes:
    """Context of a space's sealed matrix: it tells a change of anything that is kept of the space."""
    facts = json.dumps(astuple(space)).encode()
    return ROTATION + b" of the template space " + hashlib.sha256(facts).hexdigest()[:16].encode()


def _space(row: tuple[int, str, str, int, int, bytes]) -> TemplateSpace:
    try:
        if [type(value) for value in row[1:5]] != [str, str, int, int]:
            raise ValueError("a value is of another type")
        return TemplateSpace(row[1], row[2], bool(row[3]), row[4])
    except ValueError as error:
        raise GalleryCorrupt("the template space was damaged") from error


def _stored(row: tuple[int, str, str, int, int, bytes], vault: Vault) -> StoredSpace:
    space = _space(row)
    content = vault.common.open(row[5], _rotation_context(space))
    if len(content) != 8 * space.dimension * space.dimension:
        raise GalleryCorrupt("the template space was damaged")
    rotation = np.frombuffer(content, "<f8").reshape(space.dimension, space.dimension).astype(np.float64)
    return StoredSpace(row[0], space, rotation)
