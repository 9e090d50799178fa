"""Opens the gallery a command is about: its place, its key, and what opening it did."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinface.app.cli.output import complain, counted
from twinface.app.settings import gallery_path, passphrase
from twinface.core.files import shown
from twinface.errors import GalleryError, TwinFaceError

if TYPE_CHECKING:
    from twinface.app.gallery import Gallery
    from twinface.gallery.keys import Key


def open_gallery(
    path: Path | None,
    key_file: Path | None,
    *,
    create: bool = False,
    encrypt: bool = False,
    read_only: bool = False,
    **models: Any,
) -> Gallery:
    """The gallery; people whose time was over are removed, and said so.

    A passphrase comes from TWINFACE_PASSPHRASE, which also encrypts a gallery that is made, or is asked for where
    somebody sits at a terminal.

    Args:
        path: the file; None for the usual one.
        key_file: opens it.
        create: whether one is made where there is none.
        encrypt: whether one that is made is encrypted.
        read_only: whether nothing may be written.
        models: as `Gallery.open` takes them.

    Raises:
        WrongKey: it is encrypted, and nobody gives the key.
        GalleryError: it cannot be opened or made.
    """
    from twinface.app.gallery import Gallery
    from twinface.gallery.sqlite import SqliteGallery

    file = gallery_path() if path is None else path
    making = create and not os.path.lexists(file)
    if encrypt and not making:
        raise GalleryError(
            f"{shown(file)}: is there already; --encrypt is for a new gallery (people export and import move people)"
        )
    secret = passphrase() if key_file is None else None
    if making:
        if key_file is not None and not encrypt:
            raise GalleryError(f"{shown(file)}: there is no gallery; to make an encrypted one, say --encrypt")
        if encrypt and key_file is None and secret is None:
            secret = _new_passphrase()
    elif os.path.lexists(file):
        kind = SqliteGallery.encrypted_with(file)
        if not kind:
            secret = None  # the variable is for another gallery
        elif kind == "passphrase" and secret is None and key_file is None and sys.stdin.isatty():
            secret = getpass.getpass(f"passphrase of {shown(file)}: ")
    gallery = Gallery.open(file, passphrase=secret, key_file=key_file, create=create, read_only=read_only, **models)
    if making:
        how = gallery.info().encrypted
        complain(f"made the gallery {shown(file)}{f', encrypted with a {how}' if how else ''}")
    if gallery.expired is not None:
        complain(f"removed {counted(len(gallery.expired.subjects), 'person', 'people')} whose time was over")
    return gallery


def key_of(key_file: Path | None) -> Key | None:
    """The key in a file or in TWINFACE_PASSPHRASE, for what opens no gallery yet; None where there is neither.

    Raises:
        WrongKey: it is no key file.
    """
    from twinface.gallery.keys import Key

    if key_file is not None:
        return Key.from_file(key_file)
    secret = passphrase()
    return None if secret is None else Key.from_passphrase(secret)


def _new_passphrase() -> str:
    if not sys.stdin.isatty():
        raise TwinFaceError("--encrypt needs --key-file FILE (twinface gallery keygen FILE) or TWINFACE_PASSPHRASE")
    first = getpass.getpass("new passphrase: ")
    if first != getpass.getpass("once more: "):
        raise TwinFaceError("the two passphrases differ; nothing was made")
    return first
