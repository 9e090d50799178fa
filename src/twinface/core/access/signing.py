"""Signatures of webhooks: who sends them, and who receives them, compute the same.

The signature is an HMAC-SHA256 (RFC 2104) over the time in seconds, a full stop and the body, in a header
`TwinFace-Signature: t=1700000000,v1=5257a8...`. The time is in it, so that a request caught on its way is of no use
later.
"""

from __future__ import annotations

import hashlib
import hmac

SIGNATURE = "TwinFace-Signature"
"""The header with the signature."""

ID = "TwinFace-Id"
"""The header with the id of the notice, the same for every try; the body, which is signed, has it too."""

TOLERANCE = 300.0
"""Seconds by which the clocks of sender and receiver may differ, with the time a request is under way."""

LONGEST_HEADER = 1024


def sign(secret: str | bytes, body: bytes, time: int) -> str:
    """The value of the header.

    Args:
        secret: known to both; text counts as its UTF-8 bytes.
        body: as it is sent.
        time: now, whole seconds since 1970.
    """
    return f"t={time},v1={_digest(secret, body, time)}"


def verify_signature(
    secret: str | bytes, header: str | None, body: bytes, now: float, tolerance: float = TOLERANCE
) -> bool:
    """Whether a webhook comes from who knows the secret, and from now.

    The same request may come twice within the tolerance, by a retry or by who overheard it: remember the `id` in the
    body for twice as long, and act on each once. While a secret is changed, ask with the old one and the new one.

    Args:
        secret: known to both; text counts as its UTF-8 bytes.
        header: value of `TwinFace-Signature`; None or anything malformed is no signature.
        body: the bytes as they came, before anything has parsed them.
        now: seconds since 1970, as `time.time()`.
        tolerance: seconds by which the request may be old, or from the future.
    """
    if header is None or not header.isascii() or len(header) > LONGEST_HEADER:
        return False
    parts = [part.strip().partition("=") for part in header.split(",")]
    times = [value for key, _, value in parts if key == "t"]
    if len(times) != 1 or not times[0].isdecimal() or len(times[0]) > 12:
        return False
    time = int(times[0])
    wanted = _digest(secret, body, time)
    fits = [hmac.compare_digest(wanted, value) for key, _, value in parts if key == "v1"]
    return any(fits) and abs(now - time) <= tolerance


def _digest(secret: str | bytes, body: bytes, time: int) -> str:
    key = secret.encode() if isinstance(secret, str) else secret
    return hmac.new(key, f"{time}.".encode() + body, hashlib.sha256).hexdigest()
