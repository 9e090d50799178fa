"""Requests as they come: a line with a place, or a JSON object with more."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from twinface.core.access.evidence import Request
from twinface.core.access.factors import LONGEST_SECRET
from twinface.errors import BadRequest

LONGEST = 4096
"""Letters of a request."""

LONGEST_PLACE = 200


def read_request(text: str) -> Request:
    """A request from a line: `floor-7`, or `{"place": "floor-7", "pin": "1234", "card": "04A1"}`.

    Raises:
        BadRequest: it is neither.
    """
    text = text.strip()
    if len(text) > LONGEST:
        raise BadRequest(f"a request has at most {LONGEST} letters")
    if not text.startswith("{"):
        return make_request(text)
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        raise BadRequest('a request is a place, or JSON as {"place": "floor-7", "pin": "1234"}') from None
    return request_of(facts)


def request_of(facts: Mapping[str, Any]) -> Request:
    """A request from a JSON object.

    Raises:
        BadRequest: a key is missing, unknown, or of another type.
    """
    unknown = sorted(set(facts) - {"place", "pin", "card"})
    if unknown:
        raise BadRequest("a request has place, pin and card, and nothing else")
    for key, value in facts.items():
        if not isinstance(value, str):
            raise BadRequest(f"{key} of a request must be text, in quotes")
        if len(value) > LONGEST_SECRET:
            raise BadRequest(f"{key} of a request has at most {LONGEST_SECRET} letters")
    return make_request(facts.get("place", ""), facts.get("pin"), facts.get("card"))


def make_request(place: str, pin: str | None = None, card: str | None = None) -> Request:
    """A request made now.

    Raises:
        BadRequest: no place is named.
    """
    if not place or len(place) > LONGEST_PLACE or not place.isprintable():
        raise BadRequest("a request must name a place of the policy")
    return Request(secrets.token_hex(8), place, datetime.now(UTC), pin or None, card or None)
