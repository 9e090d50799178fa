"""Names of people: what is accepted as one, and which two are the same."""

from __future__ import annotations

import unicodedata

from twinface.errors import GalleryError

LONGEST = 200
"""Letters of the longest name accepted."""

REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""What makes the text around it read in another order: a name that holds one can pass for another on a screen."""

UNSEEN = frozenset("\u200e\u200f\u061c\ufeff\u200b\u2060\u00ad")
"""Marks that are not seen and tell no names apart; those that join letters, as Persian needs them, are not here."""


def clean_name(text: str) -> str:
    """A name as it is kept: composed (Unicode NFC), without unseen marks, spaces in a row as one.

    Raises:
        GalleryError: it is empty, longer than 200 letters, or holds what no name does: control characters, line breaks,
            marks that reorder text, slashes, or bytes that are no text.
    """
    if not isinstance(text, str):
        raise GalleryError(f"a name must be text, got {type(text).__name__}")
    if len(text) > 4 * LONGEST:
        raise GalleryError(f"the name {_quoted(text)} has {len(text):,} letters; at most {LONGEST} are kept")
    composed = unicodedata.normalize("NFC", "".join(letter for letter in text if letter not in UNSEEN))
    for letter in composed:
        kind = unicodedata.category(letter)
        if letter in REORDERING or kind in ("Cc", "Cs", "Cn", "Zl", "Zp"):
            raise GalleryError(f"the name {_quoted(text)} holds {letter!a}, which no name does; give it without")
        if letter in "/\\":
            raise GalleryError(f"the name {_quoted(text)} holds a slash; a name is no path, give it without")
    name = " ".join(composed.split())
    if not name or name in (".", ".."):
        raise GalleryError(f"the name {_quoted(text)} is empty; give one with letters")
    if len(name) > LONGEST:
        raise GalleryError(f"the name {_quoted(name)} has {len(name):,} letters; at most {LONGEST} are kept")
    return name


def name_key(name: str) -> str:
    """What is equal for names that are one person's: "Ada", "ada" and "ADA" in wide letters all give "ada"."""
    folded = unicodedata.normalize("NFKC", clean_name(name)).casefold()
    return unicodedata.normalize("NFKC", folded)


def _quoted(text: str) -> str:
    """The name in a message, on one line and not too long."""
    short = text if len(text) <= 60 else f"{text[:40]}...{text[-10:]}"
    return f"'{short}'" if short.isprintable() else ascii(short)
