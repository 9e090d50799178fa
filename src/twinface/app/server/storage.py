"""Files of the server's own: folders that its owner alone may look into, and removal that overwrites."""

from __future__ import annotations

import os
from pathlib import Path

from twinface.core.files import reason, shown
from twinface.errors import OutputError

BLOCK = 2**20
"""Bytes written at once."""


def make_private(folder: Path) -> None:
    """Makes a folder that its owner alone may look into.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{shown(folder)}: cannot be made ({reason(error)}); choose another folder") from error


def overwrite(path: Path) -> None:
    """Removes a file after writing zeros over it; one that is missing is no error.

    Raises:
        OutputError: it cannot be removed.
    """
    try:
        with path.open("r+b") as file:
            left = path.stat().st_size
            while left > 0:
                left -= file.write(bytes(min(left, BLOCK)))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"{shown(path)}: cannot be removed ({reason(error)}); remove it yourself") from error


def overwrite_folder(folder: Path) -> None:
    """Removes a folder of files, each overwritten; one that is missing is no error.

    Raises:
        OutputError: it cannot be removed.
    """
    try:
        for path in sorted(folder.iterdir()):
            overwrite(path)
        folder.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"{shown(folder)}: cannot be removed ({reason(error)}); remove it yourself") from error
