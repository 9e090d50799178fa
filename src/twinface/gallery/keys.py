"""Keys of encrypted galleries: from a key file or a passphrase."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from twinface.core.facts import field_of
from twinface.core.files import read_regular, reason, shown
from twinface.errors import GalleryError, WrongKey

KeyKind = Literal["key file", "passphrase"]

MARK = "twinface-key-1 "
"""What a key file starts with."""

SECRET = 32
"""Bytes in a key file."""

SHORTEST = 8
"""Letters of the shortest passphrase accepted for a new gallery."""

ARGON2 = {"iterations": 3, "lanes": 4, "memory": 65_536}
"""Cost of argon2id: RFC 9106's second recommended option; memory in KiB."""

MOST = {"iterations": 64, "lanes": 64, "memory": 2_097_152}
"""More than this a gallery file cannot make a machine spend."""


@dataclass(frozen=True, repr=False)
class Key:
    """What the user has to open an encrypted gallery; never printed.

    Attributes:
        kind: where it comes from.
        secret: its bytes.
    """

    kind: KeyKind
    secret: bytes

    @classmethod
    def from_passphrase(cls, text: str) -> Key:
        """A passphrase's key.

        Raises:
            WrongKey: it is empty, or no text.
        """
        if not text:
            raise WrongKey("the passphrase is empty")
        try:
            composed = unicodedata.normalize("NFC", text)  # systems differ in how they give accents
            return cls("passphrase", composed.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:  # which would carry the passphrase along
            raise WrongKey("the passphrase holds half a letter (a lone surrogate); type it anew") from None

    @classmethod
    def from_file(cls, path: Path) -> Key:
        """The key in a file that `write_key_file` wrote.

        Raises:
            WrongKey: there is none, or it is no key file.
        """
        try:
            text = read_regular(path)[:1000].decode("ascii", "replace")
        except (OSError, ValueError) as error:
            raise WrongKey(f"{shown(path)}: the key cannot be read ({reason(error)})") from error
        try:
            if not text.startswith(MARK):
                raise ValueError("wrong start")
            secret = base64.b64decode(text.removeprefix(MARK).strip(), validate=True)
            if len(secret) != SECRET:
                raise ValueError("wrong length")
        except (ValueError, binascii.Error) as error:
            raise WrongKey(
                f"{shown(path)}: is no key file; one is made by twinface gallery keygen {shown(path)}"
            ) from error
        return cls("key file", secret)

    def check_new(self) -> None:
        """Refuses a passphrase too short to be given to a new gallery.

        Raises:
            GalleryError: it is.
        """
        if self.kind == "passphrase" and len(self.secret.decode("utf-8", "replace")) < SHORTEST:
            raise GalleryError(f"the passphrase is shorter than {SHORTEST} letters; take a longer one")

    def new_facts(self) -> dict[str, Any]:
        """How a wrapping key is derived from it, with a fresh salt."""
        salt = {"salt": secrets.token_bytes(16).hex()}
        return {**salt, **ARGON2} if self.kind == "passphrase" else salt


def wrapping_key(key: Key, facts: Mapping[str, Any]) -> bytes:
    """The 32 bytes that wrap a gallery's data key.

    Args:
        key: what the user has.
        facts: salt and costs, as `Key.new_facts` gave them.

    Raises:
        ValueError: the facts are none, or cost beyond all reason.
        GalleryError: there is not enough memory.
    """
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    salt = bytes.fromhex(field_of(facts, "salt", "str", "the vault"))
    if len(salt) < 16:
        raise ValueError("the salt is too short")
    if key.kind == "key file":
        return HKDF(SHA256(), 32, salt, b"twinface gallery").derive(key.secret)
    cost = {name: field_of(facts, name, "int", "the vault") for name in ARGON2}
    if any(not 1 <= value <= MOST[name] for name, value in cost.items()) or cost["memory"] < 8 * cost["lanes"]:
        raise ValueError(f"argon2id with {cost} is beyond all reason")
    derivation = Argon2id(
        salt=salt, length=32, iterations=cost["iterations"], lanes=cost["lanes"], memory_cost=cost["memory"]
    )
    try:
        return derivation.derive(key.secret)
    except MemoryError as error:
        raise GalleryError(f"the passphrase takes {cost['memory']:,} KiB of memory to try; free as much") from error


def write_key_file(path: Path) -> None:
    """Makes a key file, readable by its owner only; one that is there is never replaced.

    Raises:
        GalleryError: there is a file already, or it cannot be written.
    """
    text = MARK + base64.b64encode(secrets.token_bytes(SECRET)).decode() + "\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise GalleryError(
            f"{shown(path)}: is there already; a key that is lost opens nothing any more, so it is not replaced"
        ) from error
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from error
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: Exception) -> GalleryError:
    return GalleryError(f"{shown(path)}: the key cannot be written ({reason(error)}); choose another place")
