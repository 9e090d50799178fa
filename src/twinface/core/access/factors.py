"""PINs and cards: what a policy keeps of them, and whether one given is the right one.

A policy holds `scrypt$N$R$P$SALT$HASH` (RFC 7914; salt and hash in base64). That keeps nobody from trying out all
10,000 PINs of four digits who has the file: it takes minutes. Against guessing at the door there is the lock-out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from twinface.core.access.evidence import Finding, Reason, Request
from twinface.core.access.policy import Factor, Person, Place

COST, BLOCK, LANES = 2**15, 8, 1
"""What new hashes take: about 32 MiB and a tenth of a second."""

LARGEST_MEMORY = 64 * 1024 * 1024
"""Bytes that a hash may need; a policy must not bring its reader down."""

MOST_LANES = 4
SALT_BYTES, HASH_BYTES = 16, 32
LONGEST_SECRET = 256
"""Letters."""

_SHOWN: Mapping[Factor, str] = MappingProxyType({"pin": "PIN", "card": "card"})

_FORM = re.compile(
    r"scrypt\$([0-9]{1,9})\$([0-9]{1,4})\$([0-9]{1,4})\$([A-Za-z0-9+/=]{8,128})\$([A-Za-z0-9+/=]{8,128})"
)


@dataclass(frozen=True)
class FactorHash:
    """The hash of a PIN or card, read.

    Attributes:
        cost: scrypt's N, a power of two.
        block: its r.
        lanes: its p.
        salt: random bytes.
        value: the hash.
    """

    cost: int
    block: int
    lanes: int
    salt: bytes
    value: bytes

    def __post_init__(self) -> None:
        if self.cost < 2 or self.cost & (self.cost - 1) or self.block < 1 or self.lanes < 1:
            raise ValueError("a scrypt hash has a power of two for N, and R and P of at least 1")
        if 128 * self.cost * self.block > LARGEST_MEMORY or self.lanes > MOST_LANES:
            raise ValueError(f"the scrypt hash takes more than {LARGEST_MEMORY >> 20} MiB, or P above {MOST_LANES}")
        if not (8 <= len(self.salt) <= 64 and 16 <= len(self.value) <= 64):
            raise ValueError("the scrypt hash has a salt of 8 to 64 bytes and 16 to 64 bytes of hash")

    @property
    def weak(self) -> bool:
        """Whether it is cheaper to try out than what `make_hash` makes."""
        return self.cost * self.block * self.lanes < COST * BLOCK * LANES

    def __str__(self) -> str:
        salt, value = (base64.b64encode(one).decode("ascii") for one in (self.salt, self.value))
        return f"scrypt${self.cost}${self.block}${self.lanes}${salt}${value}"


def make_hash(secret: str, salt: bytes, *, cost: int = COST, block: int = BLOCK, lanes: int = LANES) -> FactorHash:
    """The hash of a PIN or card.

    Args:
        secret: as typed or read; case and spaces around it count for nothing.
        salt: random bytes, `SALT_BYTES` of them.
        cost: scrypt's N.
        block: its r.
        lanes: its p.

    Raises:
        ValueError: the secret is empty or too long, or scrypt takes no such numbers.
    """
    shell = FactorHash(cost, block, lanes, salt, bytes(HASH_BYTES))
    return FactorHash(cost, block, lanes, salt, _scrypt(_normal(secret), shell))


def read_hash(text: str) -> FactorHash:
    """Reads what a policy holds.

    Raises:
        ValueError: it is no such text; the text is not repeated.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError("is no hash of the form scrypt$N$R$P$SALT$HASH; make one with twinface access pin")
    try:
        salt, value = (base64.b64decode(one, validate=True) for one in (match[4], match[5]))
    except binascii.Error as error:
        raise ValueError("its salt and hash are no base64; make a hash with twinface access pin") from error
    return FactorHash(int(match[1]), int(match[2]), int(match[3]), salt, value)


def holds(secret: str, hashed: str) -> bool:
    """Whether this is the PIN or card of that hash; False for anything that is none. Takes about a tenth of a second.

    Args:
        secret: as typed or read.
        hashed: what the policy holds.
    """
    try:
        expected = read_hash(hashed)
        found = _scrypt(_normal(secret), expected)
    except ValueError:
        return False
    return hmac.compare_digest(found, expected.value)


def _normal(secret: str) -> bytes:
    """The secret's bytes: wide digits are digits, and readers write card numbers in either case."""
    if len(secret) > LONGEST_SECRET:
        raise ValueError(f"a PIN or card has at most {LONGEST_SECRET} letters")
    text = unicodedata.normalize("NFKC", secret).strip().casefold()
    if not text:
        raise ValueError("a PIN or card has at least one letter")
    return text.encode()


def _scrypt(secret: bytes, how: FactorHash) -> bytes:
    needed = 128 * how.cost * how.block + 128 * how.block * how.lanes + (1 << 20)
    return hashlib.scrypt(
        secret, salt=how.salt, n=how.cost, r=how.block, p=how.lanes, maxmem=needed, dklen=len(how.value)
    )


def factor_finding(place: Place, person: Person, request: Request) -> Finding | None:
    """Whether a request brings what its place asks for beside the face, and it is this person's."""
    given: dict[Factor, tuple[str | None, str | None]] = {
        "pin": (request.pin, person.pin),
        "card": (request.card, person.card),
    }
    for factor in sorted(place.factors):
        secret, hashed = given[factor]
        if not secret:
            return Finding(Reason.factor_missing, f"no {_SHOWN[factor]} was given")
        if hashed is None:
            return Finding(Reason.factor_missing, f"the policy has no {_SHOWN[factor]} of this person")
    for factor in sorted(place.factors):
        secret, hashed = given[factor]
        if not holds(secret or "", hashed or ""):
            return Finding(Reason.factor_wrong, f"the {_SHOWN[factor]}")
    return None
