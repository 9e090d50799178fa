"""Checks a log of audit records: what was edited, removed, exchanged or added does not fit into its chain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from twinface.core.audit import AuditRecord, resealed

ProblemKind = Literal["edited", "missing", "reordered", "truncated", "added", "replaced", "seal", "thumbnail"]
"""What is wrong: a record does not say what it said; some are missing; one stands in another's place; the end was cut
off; there are some that nobody wrote; this is another log than the one noted elsewhere; what seals or guards the log
was tampered with; a thumbnail is not the one that was kept."""

MOST_PROBLEMS = 1000
"""So many are told, and whether there are more."""

Head = tuple[int, str]
"""Number and digest of a log's last record; of an empty log 0 and the genesis."""


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with a log.

    Attributes:
        number: of the record, or of the first of several; 0 for the log as a whole.
        kind: see `ProblemKind`.
        words: for people.
    """

    number: int
    kind: ProblemKind
    words: str


def check_chain(
    records: Iterable[AuditRecord], genesis: str, head: Head | None = None, expected: Head | None = None
) -> list[Problem]:
    """What is wrong with a log.

    Args:
        records: all of it, in the order in which they stand there.
        genesis: what the first is sealed to.
        head: where the log must end, if that is known. Without it nobody can tell whether the end was cut off.
        expected: a record's number and digest noted elsewhere. Without it nobody can tell whether all of it, and the
            head, was written anew, or is an older state.
    """
    chain = Chain(genesis, head, expected)
    for record in records:
        chain.follow(record.number, record)
    return chain.finish()


class Chain:
    """Follows a log from its first record to its last, in memory that does not grow with it.

    A record is vouched for by the digest that the next one holds, the last one by the head. Where two do not fit and
    the later is vouched for, the earlier is at fault.

    Args:
        genesis: as `check_chain` takes it.
        head: likewise.
        expected: likewise.
    """

    def __init__(self, genesis: str, head: Head | None = None, expected: Head | None = None) -> None:
        self._head = head
        self._expected = expected
        self._number = 0
        self._digest: str | None = genesis  # None where the last record is not to be believed
        self._suspect: int | None = None  # whose digest the last record does not hold
        self._missing: list[tuple[int, int]] = []
        self._problems: dict[tuple[int, ProblemKind], Problem] = {}
        self._more = False
        self._check_noted(0, genesis)

    @property
    def next(self) -> int:
        """Number of the record that should follow."""
        return self._number + 1

    def follow(self, number: int, record: AuditRecord | None) -> None:
        """Takes the next record.

        Args:
            number: of the place where it stands.
            record: None where it cannot be read.
        """
        if number <= self._number:
            self._come_late(number)
            return
        if number > self.next:
            self._settle()
            if len(self._missing) < MOST_PROBLEMS:
                self._missing.append((self.next, number - 1))
            self._digest = None
        if record is None:
            self._distrust(number, "edited", f"record {number} was edited or damaged, or is of another log")
        elif record.number != number:
            self._distrust(number, "reordered", f"record {record.number} stands in the place of record {number}")
        elif resealed(record).digest != record.digest:
            self._distrust(number, "edited", f"record {number} was edited: its digest does not fit what it says")
        else:
            self._link(record)

    def add(self, number: int, kind: ProblemKind, words: str) -> None:
        """Notes something else that is wrong."""
        if len(self._problems) < MOST_PROBLEMS:
            self._problems.setdefault((number, kind), Problem(number, kind, words))
        else:
            self._more = True

    def finish(self) -> list[Problem]:
        """What is wrong, by number; empty when all is sound."""
        self._settle()
        end = max(0 if one is None else one[0] for one in (self._head, self._expected))
        if self._number < end:
            words = f"{_span(self.next, end)} missing: the end of the log was cut off, or an older state put back"
            self.add(self.next, "truncated", words)
        if self._head is not None and self._number > self._head[0]:
            first = self._head[0] + 1
            self.add(first, "added", f"{_span(first, self._number)} not under the log's seal: forged")
        for first, last in self._missing:
            self.add(first, "missing", f"{_span(first, last)} missing")
        found = sorted(self._problems.values(), key=lambda one: one.number)
        if self._more:
            found.append(Problem(0, found[-1].kind, f"and more; the first {MOST_PROBLEMS:,} problems are listed"))
        return found

    def _link(self, record: AuditRecord) -> None:
        if self._digest is None or record.previous == self._digest:
            self._settle()
        elif self._number == 0:
            self.add(record.number, "edited", f"record {record.number} is not the first of this gallery's log")
        else:
            self._suspect = self._number  # and whom it suspected is cleared: it is not vouched for itself
        self._number, self._digest = record.number, record.digest
        self._check_noted(record.number, record.digest)

    def _distrust(self, number: int, kind: ProblemKind, words: str) -> None:
        self._settle()
        self.add(number, kind, words)
        self._number, self._digest = number, None

    def _settle(self) -> None:
        """The last record is believed; then one whose digest it does not hold is not the one it was written after."""
        if self._suspect is not None:
            one = self._suspect
            self.add(one, "edited", f"record {one} is not the one after which record {one + 1} was written")
        self._suspect = None

    def _check_noted(self, number: int, digest: str) -> None:
        if self._head is not None and number == self._head[0] and digest != self._head[1]:
            self._suspect = None
            self.add(number, "edited", f"record {number} is not the one that was written last, which the seal knows")
        if self._expected is not None and number == self._expected[0] and digest != self._expected[1]:
            self.add(number, "replaced", f"record {number} is not the one noted elsewhere: the log was replaced")

    def _come_late(self, number: int) -> None:
        for place, (first, last) in enumerate(self._missing):
            if first <= number <= last:
                rest = [(first, number - 1), (number + 1, last)]
                self._missing[place : place + 1] = [one for one in rest if one[0] <= one[1]]
                self.add(number, "reordered", f"record {number} stands after record {self._number}")
                return
        self.add(number, "added", f"record {number} is there twice")


def _span(first: int, last: int) -> str:
    return f"record {first} is" if first == last else f"records {first} to {last} are"
