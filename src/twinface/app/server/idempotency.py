"""Idempotency keys: a request that is sent again because its answer was lost does its work once.

What is kept says nothing about people: digests, the uid of who was made, what became of each picture. It lies in memory
and on the disk for a day, so that a restart forgets nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from twinface.app.server.problems import Problem
from twinface.core.files import reason, write_atomically

LASTS = 24 * 3600
"""Seconds."""

HEADER = "Idempotency-Key"
LONGEST = 200

_LOG = logging.getLogger("twinface.server")


@dataclass(frozen=True)
class Done:
    """What a request did.

    Attributes:
        request: digest of what was asked.
        uid: of the person.
        fates: what became of each picture.
        when: seconds since 1970.
    """

    request: str
    uid: str
    fates: tuple[str, ...]
    when: float


class Idempotency:
    """What was done under which key.

    Args:
        folder: where it is kept.
        clock: seconds since 1970.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        self._known: dict[str, Done] | None = None

    def find(self, key: str, request: str) -> Done | None:
        """What was done under a key; None if nothing was.

        Raises:
            Problem: 422, something else was asked under it.
        """
        done = self._load().get(key)
        if done is None or done.when + LASTS <= self._clock():
            return None
        if done.request != request:
            raise Problem(422, f"this {HEADER} was used for another request; take a new one", "idempotency-key-reused")
        return done

    def keep(self, key: str, request: str, uid: str, fates: Iterable[str]) -> None:
        """Remembers what was done.

        Raises:
            OutputError: it cannot be written.
        """
        done = Done(request, uid, tuple(fates), self._clock())
        known = self._load()
        known[key] = done
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = json.dumps(asdict(done))
        write_atomically(self._folder / f"{key}.json", lambda file: file.write(text.encode()), private=True)
        for old in [one for one, then in known.items() if then.when + LASTS <= self._clock()]:
            del known[old]
            (self._folder / f"{old}.json").unlink(missing_ok=True)

    def _load(self) -> dict[str, Done]:
        if self._known is None:
            self._known = {}
            for path in self._folder.glob("*.json"):
                try:
                    row = json.loads(path.read_text())
                    done = Done(str(row["request"]), str(row["uid"]), tuple(row["fates"]), float(row["when"]))
                except (OSError, ValueError, KeyError, TypeError) as error:
                    _LOG.warning("an idempotency record is damaged and left out: %s", reason(error))
                    continue
                self._known[path.stem] = done
        return self._known


def digest(*parts: str | bytes) -> str:
    """One digest of several parts, each counted with its length."""
    whole = hashlib.sha256()
    for part in parts:
        content = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        whole.update(len(content).to_bytes(8))
        whole.update(content)
    return whole.hexdigest()
