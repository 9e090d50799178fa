"""Secrets of actions, from where the policy says they are, and the certificates of those they talk to."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from twinface.core.files import read_regular, reason, shown
from twinface.errors import ActionFailed

Secrets = Callable[[str], str | None]
"""The value of an environment variable."""

LARGEST = 4096
"""Bytes of a secret; a longer file is another one than was meant."""


def read_secret(name: str, variable: str | None, file: str | None, secrets: Secrets, folder: Path) -> bytes | None:
    """A secret; None where the policy names neither variable nor file.

    Args:
        name: of the action, for messages.
        variable: the environment variable that holds it.
        file: the file that holds it, taken from `folder` where it is relative; a line break at its end is no part.
        secrets: looks up variables.
        folder: of the policy.

    Raises:
        ActionFailed: it is not there, empty or too large; the message does not hold it.
    """
    if variable is not None:
        value = secrets(variable)
        if not value:
            raise ActionFailed(f"{name}: the environment variable {shown(variable)} is not set; put the secret there")
        return value.encode(errors="surrogateescape")
    if file is None:
        return None
    path = folder / file
    try:
        content = read_regular(path).rstrip(b"\r\n")
    except (OSError, ValueError) as error:
        raise ActionFailed(f"{name}: the secret in {shown(path)} cannot be read ({reason(error)})") from None
    if not 0 < len(content) <= LARGEST:
        raise ActionFailed(f"{name}: {shown(path)} must hold a secret of up to {LARGEST} bytes, has {len(content)}")
    return content


def tls_context(name: str, ca_file: str | None, folder: Path) -> ssl.SSLContext:
    """Verifies certificates and host names.

    Args:
        name: of the action, for messages.
        ca_file: the certificates to trust, taken from `folder` where it is relative; None: the system's.
        folder: of the policy.

    Raises:
        ActionFailed: the file cannot be used.
    """
    path = None if ca_file is None else folder / ca_file
    try:
        return ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:
        where = shown(path or "the system")
        raise ActionFailed(f"{name}: the certificates in {where} cannot be used ({reason(error)})") from None
