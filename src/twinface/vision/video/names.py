"""Addresses of streams without what is secret in them."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from urllib.parse import unquote

from twinface.core.files import shown

HIDDEN = "***"

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_ADDRESSES = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]*")
_SETTING = re.compile(r"([^/?&;=#]+)=([^/?&;#]*)")
_OPEN_SETTING = re.compile(
    r"(channel|ch|chn|cam|camera|stream|streamtype|subtype|profile|resolution|width|height|fps|rate|quality|codec|unicast)",
    re.IGNORECASE,
)
_OPEN_VALUE = re.compile(r"[A-Za-z0-9.-]{1,16}")
_SHORTEST = 4
"""Letters of a secret that is looked for outside addresses: shorter ones occur in any text by chance."""


def is_address(name: str) -> bool:
    """Whether a source is named by an address such as rtsp://..., rather than by a path."""
    return _ADDRESS.match(name) is not None


def scheme(address: str) -> str:
    """What stands before `://`, in small letters."""
    return address.partition("://")[0].lower()


def shown_address(address: str) -> str:
    """An address fit for a one-line message and free of secrets.

    The user's name and password are left out, and so is every value that a part `key=value` of the path or the query
    gives, for many cameras take a password there; a few keys known to be harmless, as `channel`, keep theirs. Where an
    `@` makes it doubtful what belongs to the password, all before it is left out.
    """
    found = _ADDRESS.match(address)
    if found is None:
        return HIDDEN
    kind, rest = found[1], found[2]
    before, at, after = rest.rpartition("@")
    hidden = f"{HIDDEN}@" if at and before else ""
    return shown(f"{kind}://{hidden}{_SETTING.sub(_masked, after)}")


def secrets(address: str) -> tuple[str, ...]:
    """Every form in which a secret of the address may turn up in a text, longest first."""
    found = _ADDRESS.match(address)
    if found is None:
        return ()
    before, _, after = found[2].rpartition("@")
    user, _, password = before.partition(":")
    raw = {before, user, password, *(value[2] for value in _SETTING.finditer(after) if _masked(value) != value[0])}
    forms = raw | {unquote(one) for one in raw}
    forms |= {base64.b64encode(one.encode(errors="surrogateescape")).decode() for one in (before, unquote(before))}
    return tuple(sorted((one for one in forms if len(one) >= _SHORTEST), key=len, reverse=True))


def scrubbed(text: str, hidden: Sequence[str]) -> str:
    """A text of somebody else's, as an error message of FFmpeg's, without secrets.

    Args:
        text: any.
        hidden: what must not be in it; see `secrets`.
    """
    text = _ADDRESSES.sub(lambda found: shown_address(found[0]), text)
    for one in hidden:
        text = text.replace(one, HIDDEN)
    return text


def _masked(found: re.Match[str]) -> str:
    key, value = found[1], found[2]
    harmless = _OPEN_SETTING.fullmatch(key) and _OPEN_VALUE.fullmatch(value)
    return found[0] if harmless or not value else f"{key}={HIDDEN}"
