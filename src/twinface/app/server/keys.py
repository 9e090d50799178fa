"""API keys: who may call. Of a secret only its argon2 hash is kept; the file is its owner's alone."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from twinface.core.files import reason, shown, write_atomically
from twinface.errors import TwinFaceError

Role = Literal["read", "operate", "admin"]
"""What a caller may do: ask; change people and ask for templates; also make keys."""

ROLES: tuple[Role, ...] = get_args(Role)
"""Rising: who has one has those before it."""

FILE = "keys.json"
_FORM = re.compile(r"tf_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NAME_LENGTH = 100


@dataclass(frozen=True)
class ApiKey:
    """A key, less its secret.

    Attributes:
        id: 12 hexadecimal digits; no secret.
        name: for people.
        role: what its holder may do.
        created: when, UTC.
        expires: from when on it is none; None for never.
        revoked: since when it is none; None if it was not revoked.
        hash: argon2 hash of the whole secret.
    """

    id: str
    name: str
    role: Role
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    hash: str = field(default="", repr=False)

    def valid(self, now: datetime) -> bool:
        """Whether it opens anything at this time."""
        return self.revoked is None and (self.expires is None or now < self.expires)


def at_least(role: Role, wanted: Role) -> bool:
    """Whether a role includes another."""
    return ROLES.index(role) >= ROLES.index(wanted)


class KeyRing:
    """The keys of a server, in a file that other processes may change meanwhile.

    Args:
        folder: where the file lies.
        clock: tells the time, UTC.

    Raises:
        TwinFaceError: the file is damaged or cannot be read.
    """

    def __init__(self, folder: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._path = folder / FILE
        self._clock = clock
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)  # OWASP's smallest
        self._pepper = secrets.token_bytes(32)
        self._proven: dict[bytes, str] = {}
        self._lock = threading.Lock()
        self._keys: dict[str, ApiKey] = {}
        self._seen: tuple[int, int, int] | None = None
        self._decoy = ""
        self._refresh()

    def listed(self) -> list[ApiKey]:
        """All there ever were, oldest first."""
        with self._lock:
            self._refresh()
            return sorted(self._keys.values(), key=lambda one: (one.created, one.id))

    @property
    def any(self) -> bool:
        """Whether a key was ever made: from then on one is needed, even if all are revoked."""
        with self._lock:
            self._refresh()
            return bool(self._keys)

    def make(self, name: str, role: Role, expires: datetime | None = None) -> tuple[ApiKey, str]:
        """Makes a key; its secret is told here and nowhere else.

        Raises:
            TwinFaceError: the name or the time makes no sense, or the file cannot be written.
        """
        name = " ".join(name.split())
        if not name or len(name) > _NAME_LENGTH or not name.isprintable():
            raise TwinFaceError(f"a key needs a name of 1 to {_NAME_LENGTH} letters, got {shown(name)!r}")
        if role not in ROLES:
            raise TwinFaceError(f"a key's role must be one of {', '.join(ROLES)}, got {shown(str(role))!r}")
        now = self._clock()
        if expires is not None and (expires.tzinfo is None or expires <= now):
            raise TwinFaceError(f"the key would expire at {expires}, which is no time to come with a time zone")
        identity = secrets.token_hex(6)
        secret = f"tf_{identity}_{secrets.token_urlsafe(32)}"
        key = ApiKey(identity, name, role, now, expires, None, self._hasher.hash(secret))
        with self._lock, self._alone():
            self._refresh()
            self._write({**self._keys, identity: key})
        return key, secret

    def revoke(self, identity: str) -> ApiKey:
        """Ends a key, at once and for good.

        Raises:
            TwinFaceError: there is no such key, or the file cannot be written.
        """
        with self._lock, self._alone():
            self._refresh()
            key = self._keys.get(identity)
            if key is None:
                raise TwinFaceError(f"there is no key {shown(identity)!r}")
            if key.revoked is None:
                key = replace(key, revoked=self._clock())
                self._write({**self._keys, identity: key})
            return key

    def find(self, identity: str) -> ApiKey | None:
        """The key of that id, if it opens anything now."""
        with self._lock:
            self._refresh()
            key = self._keys.get(identity)
        return key if key is not None and key.valid(self._clock()) else None

    def known(self, secret: str) -> ApiKey | None:
        """The key of a secret that was proven before; takes no time. None says nothing."""
        identity = self._proven.get(self._mark(secret))
        return None if identity is None else self.find(identity)

    def prove(self, secret: str) -> ApiKey | None:
        """The key of a secret, None for a wrong, revoked or expired one. Takes long on purpose, as argon2 does.

        An unknown id takes as long as a wrong secret.
        """
        match = _FORM.fullmatch(secret)
        identity = match[1] if match else ""
        key = self.find(identity)
        right = self._matches(key.hash if key is not None else self._decoy_hash(), secret)
        if key is None or not right:
            return None
        with self._lock:
            if len(self._proven) > 10_000:
                self._proven.clear()
            self._proven[self._mark(secret)] = key.id
        return key

    def _matches(self, hashed: str, secret: str) -> bool:
        try:
            return self._hasher.verify(hashed, secret.encode("utf-8", "surrogatepass"))
        except (Argon2Error, InvalidHashError):
            return False

    def _decoy_hash(self) -> str:
        if not self._decoy:
            self._decoy = self._hasher.hash(secrets.token_urlsafe(32))
        return self._decoy

    def _mark(self, secret: str) -> bytes:
        return hmac.new(self._pepper, secret.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keeps other processes from writing keys meanwhile; where the system knows no such locks, only threads are."""
        try:
            import fcntl
        except ImportError:  # Windows
            yield
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise TwinFaceError(f"{shown(self._path.parent)}: cannot be written ({reason(error)})") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _refresh(self) -> None:
        """Reads the file again if it is another than before."""
        try:
            facts = self._path.stat()
            seen = (facts.st_mtime_ns, facts.st_size, facts.st_ino)
            if seen != self._seen:
                self._keys = _read(self._path)
                self._seen = seen
        except FileNotFoundError:
            if self._seen is not None:
                raise TwinFaceError(f"{shown(self._path)}: the file of keys has gone; restore it") from None
        except OSError as error:
            raise TwinFaceError(f"{shown(self._path)}: the keys cannot be read ({reason(error)})") from error

    def _write(self, keys: dict[str, ApiKey]) -> None:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise TwinFaceError(f"{shown(self._path.parent)}: cannot be made ({reason(error)})") from error
        text = json.dumps({"keys": [_as_json(one) for one in keys.values()]}, indent=1)
        write_atomically(self._path, lambda file: file.write(text.encode()), private=True)
        self._refresh()


def _as_json(key: ApiKey) -> dict[str, Any]:
    facts = asdict(key)
    for name in ("created", "expires", "revoked"):
        facts[name] = None if facts[name] is None else facts[name].isoformat()
    return facts


def _read(path: Path) -> dict[str, ApiKey]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["keys"]
        keys = [_from_json(row) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise TwinFaceError(f"{shown(path)}: the file of keys is damaged ({reason(error)}); restore it") from error
    return {one.id: one for one in keys}


def _from_json(row: dict[str, Any]) -> ApiKey:
    def time(name: str) -> datetime | None:
        return None if row[name] is None else datetime.fromisoformat(row[name])

    created = time("created")
    if row["role"] not in ROLES or created is None:
        raise ValueError("a key without role or time")
    return ApiKey(
        str(row["id"]), str(row["name"]), row["role"], created, time("expires"), time("revoked"), str(row["hash"])
    )
