"""Seals what a gallery keeps: with AES-GCM where it is encrypted, else with a tag that tells damage.

An encrypted gallery has one data key, wrapped by a key that a key file or a passphrase gives (argon2id, RFC 9106), and
for every person a key of her own, wrapped by the data key: with the row that holds it, all that was sealed under it is
gone. Every sealed value is bound to its place by its context, so that rows cannot be exchanged.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, get_args

from twinface.core.facts import field_of
from twinface.errors import GalleryCorrupt, WrongKey
from twinface.gallery.keys import Key, KeyKind, wrapping_key
from twinface.gallery.records import read_uid

NONCE = 12
"""Bytes of an AES-GCM nonce."""

TAG = 16
"""Bytes of the tag that tells damage where nothing is encrypted."""

KEY = 32
"""Bytes of every key."""

_WRAPPED, _WRAPPED_BEFORE = b"data key of a gallery with an audit log", b"data key"
"""What a data key is wrapped as, and what it was in galleries without an audit log: nobody without the key can make one
of the other, and so do away with the log as a whole."""


class Locker(Protocol):
    """Seals the values of one person, or of the gallery as a whole."""

    def seal(self, value: bytes, context: bytes) -> bytes:
        """The value in the form in which it is kept."""
        ...

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """The value again.

        Raises:
            GalleryCorrupt: it is not what `seal` made in this context.
        """
        ...


class Vault(Protocol):
    """Gives lockers and blinds what has to be looked up."""

    encrypted: str
    """"" (not), "key file" or "passphrase"."""

    logged: bool
    """Whether it is known, from what nobody without the key can make, that the gallery has an audit log."""

    @property
    def common(self) -> Locker:
        """For what belongs to the gallery."""
        ...

    def blind(self, kind: str, value: bytes) -> bytes:
        """32 bytes by which equal values are found and which tell nothing without the gallery's secret."""
        ...

    def admit(self, uid: bytes) -> tuple[Locker, bytes | None]:
        """A new person's locker, and her wrapped key, to be kept."""
        ...

    def locker(self, uid: bytes, wrapped: bytes | None) -> Locker:
        """A person's locker again.

        Raises:
            GalleryCorrupt: her uid or her key was damaged.
        """
        ...


class TaggedLocker:
    """Leaves values readable and adds a keyed tag (BLAKE2b).

    Args:
        secret: the tag's key.
        uid: of the person; the values of another do not open.
    """

    def __init__(self, secret: bytes, uid: bytes = b"") -> None:
        self._start = hashlib.blake2b(uid, digest_size=TAG, key=secret)

    def seal(self, value: bytes, context: bytes) -> bytes:
        """The value with its tag before it."""
        return self._tag(value, context) + value

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """The value again; see `Locker`."""
        if not isinstance(sealed, bytes) or self._tag(sealed[TAG:], context) != sealed[:TAG]:
            raise GalleryCorrupt(f"a {context.decode()} was damaged")
        return sealed[TAG:]

    def _tag(self, value: bytes, context: bytes) -> bytes:
        tag = self._start.copy()
        tag.update(context)
        tag.update(b"\0")
        tag.update(value)
        return tag.digest()


class SealedLocker:
    """Seals values with AES-256-GCM.

    Args:
        key: 32 bytes.
        uid: of the person; the values of another do not open.
    """

    def __init__(self, key: bytes, uid: bytes = b"") -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher = AESGCM(key)
        self._uid = uid

    def seal(self, value: bytes, context: bytes) -> bytes:
        """The nonce, the value encrypted, and the tag."""
        nonce = os.urandom(NONCE)
        return nonce + self._cipher.encrypt(nonce, value, self._uid + context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """The value again; see `Locker`."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], self._uid + context)
        except (InvalidTag, ValueError, TypeError) as error:  # TypeError: a damaged row may give text, or nothing
            raise GalleryCorrupt(f"a {context.decode()} was damaged") from error


@dataclass(frozen=True, repr=False)
class PlainVault:
    """Of a gallery that is not encrypted.

    Attributes:
        secret: 32 bytes, kept in the gallery.
    """

    secret: bytes
    encrypted = ""
    logged = False

    @property
    def common(self) -> Locker:
        """For what belongs to the gallery."""
        return TaggedLocker(self.secret)

    def blind(self, kind: str, value: bytes) -> bytes:
        """See `Vault`."""
        return _blind(self.secret, kind, value)

    def admit(self, uid: bytes) -> tuple[Locker, bytes | None]:
        """See `Vault`; there is no key."""
        return TaggedLocker(self.secret, uid), None

    def locker(self, uid: bytes, wrapped: bytes | None) -> Locker:  # noqa: ARG002 - nobody has a key here
        """See `Vault`."""
        read_uid(uid)
        return TaggedLocker(self.secret, uid)


class SealedVault:
    """Of an encrypted gallery.

    Args:
        data_key: 32 bytes.
        encrypted: where the key that wraps it comes from.
        logged: see `Vault`.
    """

    def __init__(self, data_key: bytes, encrypted: str, logged: bool = True) -> None:
        self.encrypted = encrypted
        self.logged = logged
        self._secret = _blind(data_key, "secret", b"")
        self._wrapping = SealedLocker(_blind(data_key, "people", b""))
        self._common = SealedLocker(_blind(data_key, "common", b""))

    @property
    def common(self) -> Locker:
        """For what belongs to the gallery."""
        return self._common

    def blind(self, kind: str, value: bytes) -> bytes:
        """See `Vault`."""
        return _blind(self._secret, kind, value)

    def admit(self, uid: bytes) -> tuple[Locker, bytes | None]:
        """See `Vault`."""
        key = secrets.token_bytes(KEY)
        return SealedLocker(key, uid), self._wrapping.seal(key, b"key " + uid.hex().encode())

    def locker(self, uid: bytes, wrapped: bytes | None) -> Locker:
        """See `Vault`."""
        return SealedLocker(self._wrapping.open(wrapped or b"", b"key " + read_uid(uid).encode()), uid)


def make_vault(key: Key | None) -> tuple[Vault, str]:
    """A new gallery's vault, and what the gallery keeps to open it again (JSON)."""
    if key is None:
        secret = secrets.token_bytes(KEY)
        return PlainVault(secret), json.dumps({"kind": "", "secret": secret.hex()})
    data_key = secrets.token_bytes(KEY)
    return SealedVault(data_key, key.kind), wrap(data_key, key)


def wrap(data_key: bytes, key: Key) -> str:
    """What a gallery keeps of its data key: wrapped, with how the wrapping key is derived (JSON)."""
    facts = key.new_facts()
    wrapped = SealedLocker(wrapping_key(key, facts)).seal(data_key, _WRAPPED)
    return json.dumps({"kind": key.kind, **facts, "wrapped": wrapped.hex()})


def open_vault(text: str, key: Key | None) -> Vault:
    """The vault of a gallery that is there.

    Args:
        text: what `make_vault` or `wrap` gave.
        key: what the user has; None for nothing.

    Raises:
        WrongKey: the gallery is encrypted and this is not its key, or it is not encrypted and there is one.
        GalleryCorrupt: the text is none of ours.
    """
    try:
        facts, kind = _read(text)
        if kind == "":
            if key is not None:
                raise WrongKey("the gallery is not encrypted; open it without a key")
            secret = _bytes(facts, "secret")
            if len(secret) != KEY:
                raise ValueError("the secret is of another length")
            return PlainVault(secret)
        data_key, logged = _unwrap(facts, kind, key)
        return SealedVault(data_key, kind, logged)
    except (ValueError, TypeError, RecursionError) as error:
        raise GalleryCorrupt(f"what the gallery keeps of its key was damaged ({error})") from error


def kind_of(text: str) -> str:
    """What opens a vault: "" (nothing is needed), "key file" or "passphrase".

    Raises:
        GalleryCorrupt: the text is none of ours.
    """
    try:
        return _read(text)[1]
    except (ValueError, TypeError, RecursionError) as error:
        raise GalleryCorrupt(f"what the gallery keeps of its key was damaged ({error})") from error


def _read(text: str) -> tuple[Mapping[str, Any], str]:
    facts: Mapping[str, Any] = json.loads(text)
    kind: str = field_of(facts, "kind", "str", "the vault")
    if kind not in ("", *get_args(KeyKind)):
        raise ValueError("the kind of key is unknown")
    return facts, kind


def promise_log(text: str, key: Key | None) -> str:
    """What a gallery without an audit log keeps of its key once it has one; raises as `open_vault` does."""
    facts, kind = _read(text)
    return text if key is None else wrap(unwrap(facts, kind, key), key)


def unwrap(facts: Mapping[str, Any], kind: str, key: Key | None) -> bytes:
    """The data key.

    Raises:
        WrongKey: this is not the gallery's key.
        ValueError: the facts are none of ours.
    """
    return _unwrap(facts, kind, key)[0]


def _unwrap(facts: Mapping[str, Any], kind: str, key: Key | None) -> tuple[bytes, bool]:
    """The data key, and whether it is that of a gallery with an audit log."""
    if key is None or key.kind != kind:
        how = "--key-file FILE" if kind == "key file" else "TWINFACE_PASSPHRASE, or type it where it is asked for"
        raise WrongKey(f"the gallery is encrypted with a {kind}; give {how}")
    wrapped = _bytes(facts, "wrapped")
    locker = SealedLocker(wrapping_key(key, facts))
    with suppress(GalleryCorrupt):
        return locker.open(wrapped, _WRAPPED), True
    try:
        return locker.open(wrapped, _WRAPPED_BEFORE), False
    except GalleryCorrupt as error:
        raise WrongKey(f"this {kind} does not open the gallery; give the one it was made with") from error


def _bytes(facts: Mapping[str, Any], name: str) -> bytes:
    return bytes.fromhex(field_of(facts, name, "str", "the vault"))


def _blind(secret: bytes, kind: str, value: bytes) -> bytes:
    return hmac.digest(secret, kind.encode() + b"\0" + value, "sha256")
