"""`twinface access pin|schema`: what one needs to write a policy."""

from __future__ import annotations

import getpass
import json
import secrets
import sys
from typing import Annotated

import typer

from twinface.core.access.factors import LONGEST_SECRET, SALT_BYTES, make_hash
from twinface.errors import TwinFaceError

SHORTEST = 4
"""Letters of a PIN or card at least."""


def pin(card: Annotated[bool, typer.Option("--card", help="For the id of a card, not a PIN.")] = False) -> None:
    """Make the hash of a PIN or card for a policy. It is asked for without being shown, or read from a pipe."""
    word = "card" if card else "PIN"
    secret = _asked(word) if sys.stdin.isatty() else sys.stdin.readline(LONGEST_SECRET + 2).rstrip("\r\n")
    if len(secret.strip()) < SHORTEST:
        raise TwinFaceError(f"a {word} needs at least {SHORTEST} letters or digits; choose a longer one")
    if not secret.isprintable():
        raise TwinFaceError(f"the {word} holds signs that cannot be typed; choose another")
    try:
        hashed = make_hash(secret, secrets.token_bytes(SALT_BYTES))
    except ValueError as error:
        raise TwinFaceError(f"{error}; choose another") from error
    typer.echo(f'{word.lower()} = "{hashed}"')


def schema() -> None:
    """Print the JSON Schema of policies, for editors that complete and check TOML."""
    from twinface.app.access.policy_schema import policy_schema

    typer.echo(json.dumps(policy_schema(), indent=2))


def _asked(word: str) -> str:
    """Typed twice, as nobody sees it.

    Raises:
        TwinFaceError: the two are not the same.
    """
    secret = getpass.getpass(f"{word}: ")
    if getpass.getpass(f"{word} again: ") != secret:
        raise TwinFaceError(f"these are two {word}s; type the same twice")
    return secret
