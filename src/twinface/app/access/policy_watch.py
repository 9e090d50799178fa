"""A policy that follows its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twinface.app.access.policy_file import usable_policy
from twinface.core.access.policy import Policy


class PolicyFile:
    """A policy's file, read anew when it changes.

    Args:
        path: the file.
        heard: hears of every policy that was read.

    Raises:
        BadPolicy: it cannot be used.
    """

    def __init__(self, path: Path, heard: Callable[[Policy], None] = lambda _: None) -> None:
        self.path = path
        self._heard = heard
        self._known = self._facts()
        self.policy = self._read()

    def changed(self) -> Policy | None:
        """The policy if the file is another one since; None if it is not.

        Raises:
            BadPolicy: it is another one, and none that can be used.
        """
        facts = self._facts()
        if facts == self._known:
            return None
        self._known = facts
        self.policy = self._read()
        return self.policy

    def _read(self) -> Policy:
        policy = usable_policy(self.path)
        self._heard(policy)
        return policy

    def _facts(self) -> tuple[int, ...]:
        try:
            facts = self.path.stat()
        except OSError:
            return ()
        return facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns
