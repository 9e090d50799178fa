"""Whether the model files on the disk are still those that were loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from twinface.core.files import reason, shown
from twinface.errors import ModelTampered


class Integrity:
    """Knows files by their digests.

    The networks in memory stay as they were when they were checked; but where somebody changes model files, nothing
    on this machine is to be relied on.

    Args:
        files: the weights in use.

    Raises:
        ModelTampered: one cannot be read.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self._digests = {file: _digest(file) for file in files}

    def check(self) -> None:
        """Reads them anew; some hundredths of a second.

        Raises:
            ModelTampered: one is another now, or gone.
        """
        for file, digest in self._digests.items():
            if _digest(file) != digest:
                raise ModelTampered(
                    f"{shown(file)}: was changed while it was in use; install TwinFace anew, find out who did it, "
                    "then start again"
                )


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise ModelTampered(f"{shown(file)}: cannot be read any more ({reason(error)}); install it anew") from error
