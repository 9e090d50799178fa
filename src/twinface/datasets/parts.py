"""A file that arrives piece by piece: what is here of it, of which version, and who is fetching it."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from twinface.core.files import reason, shown, write_atomically
from twinface.errors import OutputError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class Part:
    """What has arrived of a file, and the version of the file it is a part of.

    Args:
        target: the file; the part lies beside it as `<target>.part`, its version as `<target>.part.json`.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(target.name + ".part")
        self._version = target.with_name(target.name + ".part.json")
        self._lock = target.with_name(target.name + ".part.lock")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other processes, and other threads, from the part; one that was killed keeps nobody from it.

        Raises:
            OutputError: another holds it, or the lock `<target>.part.lock` cannot be written.
        """
        with writing(self.target):
            lock = _locked(self._lock)
        if lock is None:
            raise OutputError(f"{shown(self.target)}: is being fetched by another run; wait for that one to end")
        try:
            yield
        finally:
            if sys.platform != "win32":  # while it is held, or the lock of the next one might be removed
                self._remove_lock()
            os.close(lock)
            if sys.platform == "win32":  # where it cannot be removed while anybody has it open
                self._remove_lock()

    def _remove_lock(self) -> None:
        with suppress(OSError):
            self._lock.unlink()

    def size(self) -> int:
        """Bytes that are here."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def version(self, url: str) -> str | None:
        """The validator to resume with; None where there is nothing to resume."""
        try:
            noted = json.loads(self._version.read_bytes())
            validator = noted["validator"] if noted["url"] == url and self.size() else None
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return None
        return validator if isinstance(validator, str) else None

    def begin(self, url: str, validator: str | None) -> None:
        """Starts anew with the version that the validator tells from others."""
        self.discard()
        note = json.dumps({"url": url, "validator": validator}).encode()
        write_atomically(self._version, lambda file: file.write(note))

    def discard(self) -> None:
        """Removes what is here."""
        self.path.unlink(missing_ok=True)
        self._version.unlink(missing_ok=True)

    def finish(self) -> None:
        """Makes the part the file."""
        self.path.replace(self.target)
        self._version.unlink(missing_ok=True)


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Tells what keeps a file from being written.

    Raises:
        OutputError: in place of an OSError.
    """
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise OutputError(f"{shown(target)}: cannot be written ({reason(error)}); choose another place") from error


def _locked(path: Path) -> int | None:
    """An open file that nobody else has locked; None where somebody has."""
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _lock(lock):
                os.close(lock)
                return None
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(lock), path.stat()):
                    return lock
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)  # its last holder removed it between our opening and our locking it


def _lock(file: int) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK):
            return True  # some network disks know no locks: there, starting one run only is left to the user
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise
    return True
