"""Between rulings and the log: what is written of an answer, and what earlier records mean for the next."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from twinface.core.access.evidence import Evidence, Past, PastEvent, Reason, Request, Ruling, in_words
from twinface.core.access.policy import Policy
from twinface.core.audit import AuditDraft, AuditRecord
from twinface.core.naming import name_key
from twinface.errors import GalleryCorrupt, GalleryError, ModelError, ModelTampered, SourceError, TwinFaceError

REQUEST = "request"
"""The kind of record that an answer is."""

TAKEN_BACK = 64
"""Latest grants that may be taken back: of a door that did not open, a moment later."""

_ID = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")
"""What an id of a place looks like; what begins with a digit may be a PIN that somebody typed."""

Names = Callable[[Sequence[str]], Mapping[str, str]]
"""Names by uid, of those whom the gallery knows."""


class History:
    """What a log has told so far.

    Args:
        names: asks the gallery.
        not_after: a time that no record is taken to be later than: for a log that was written by a wrong clock. None to
            take times as they are.
    """

    def __init__(self, names: Names, not_after: datetime | None = None) -> None:
        self.past = Past(())
        """What counts for the next ruling."""
        self.read = 0
        """Number of the last record taken."""
        self.latest: datetime | None = None
        """The latest time of a record."""
        self._names = names
        self._not_after = not_after
        self._digest: str | None = None
        self._grants: dict[str, tuple[PastEvent, ...]] = {}

    def take(self, record: AuditRecord, now: datetime, memory: float, *, old: bool = False) -> None:
        """Takes the next record.

        Args:
            record: of the log.
            now: with a time zone.
            memory: seconds for which earlier events can matter, `Policy.memory`.
            old: whether it was written before the program began: nobody waits for a second person any more then.

        Raises:
            GalleryCorrupt: it is not the one that follows on the last.
            GalleryError: the gallery cannot be asked for a name.
        """
        self._check(record)
        self.past = self._with(self.past, record, now, memory, self._grants, old)
        self.latest = record.at if self.latest is None else max(self.latest, record.at)
        if self._not_after is not None:
            self.latest = min(self.latest, self._not_after)
        self.read, self._digest = record.number, record.digest

    def with_records(self, records: Iterable[AuditRecord], now: datetime, memory: float) -> Past:
        """What counts if these records follow as well; they are not taken."""
        past, grants = self.past, dict(self._grants)
        for record in records:
            past = self._with(past, record, now, memory, grants, old=False)
        return past

    def _check(self, record: AuditRecord) -> None:
        follows = record.number == self.read + 1 and self._digest in (None, record.previous)
        if not follows:
            raise GalleryCorrupt(
                f"the log's record {record.number} does not follow on {self.read}; see twinface access audit verify"
            )

    def _with(
        self,
        past: Past,
        record: AuditRecord,
        now: datetime,
        memory: float,
        grants: dict[str, tuple[PastEvent, ...]],
        old: bool,
    ) -> Past:
        """A past with what a record means. A refusal of a request that was granted before takes the grant back."""
        if record.kind != REQUEST:
            return past
        at = record.at if self._not_after is None else min(record.at, self._not_after)
        granted, reason = record.decision == "grant", _reason(record.reason)
        names = self._names(record.subjects) if record.subjects and not old else {}
        events = tuple(
            PastEvent(
                at,
                record.place,
                uid,
                granted,
                reason,
                name_key(names[uid]) if uid is not None and uid in names else "",
                record.policy,
            )
            for uid in record.subjects or (None,)
        )
        before = grants.pop(record.request, ())
        if before:
            past = Past(tuple(event for event in past.events if event not in before))
        if granted:
            grants[record.request] = events
            for request in list(grants)[:-TAKEN_BACK]:
                del grants[request]
        for event in events:
            past = past.adding(event, now, memory)
        return past


def _reason(text: str) -> Reason:
    """A reason as a record has it; one that we do not know, of another version say, counts as a fault."""
    try:
        return Reason(text)
    except ValueError:
        return Reason.internal_error


def draft_of(
    request: Request,
    ruling: Ruling,
    evidence: Evidence | None,
    policy: Policy,
    *,
    at: datetime,
    model: str,
    measures: Mapping[str, float],
) -> AuditDraft:
    """What the log is to hold of an answer.

    Args:
        request: who asked for what. PIN and card are not written, nor a place that could be one of them.
        ruling: the answer.
        evidence: what it rests on; None where nothing was looked at.
        policy: in force.
        at: when.
        model: digest of the models.
        measures: what liveness rests on.
    """
    people = () if evidence is None else evidence.people
    nearest = min(people, key=lambda person: person.distance, default=None)
    place = policy.places.get(request.place)
    told = ", ".join(f"{name} {value:.3g}" for name, value in sorted(measures.items()))
    return AuditDraft(
        at=at,
        kind=REQUEST,
        request=request.id,
        place=request.place if place is not None or _ID.fullmatch(request.place) else "",
        decision="grant" if ruling.granted else "refuse",
        reason=str(ruling.reason),
        subjects=ruling.uids or tuple(person.uid for person in people),
        distance=None if nearest is None else nearest.distance,
        probability=None if nearest is None else nearest.probability,
        fmr=None if place is None else place.fmr,
        liveness="" if evidence is None else evidence.liveness,
        policy=policy.digest,
        model=model,
        detail=ruling.detail + (f" [{told}]" if told else ""),
    )


def refusal(request: Request, reason: Reason, detail: str) -> Ruling:
    """A refusal that no rule had to be asked for."""
    return Ruling(False, reason, request.place, (), f"{in_words(reason)}{f' ({detail})' if detail else ''}")


def fault_of(error: Exception) -> tuple[Reason, str]:
    """The reason that an error is to those who asked, and its words."""
    kinds: tuple[tuple[type[Exception], Reason], ...] = (
        (ModelTampered, Reason.model_tampered),
        (ModelError, Reason.model_failed),
        (GalleryError, Reason.gallery_unavailable),
        (SourceError, Reason.camera_lost),
    )
    return next((reason for kind, reason in kinds if isinstance(error, kind)), Reason.internal_error), words_of(error)


def words_of(error: Exception) -> str:
    """An error in words."""
    return str(error) if isinstance(error, TwinFaceError) else f"unexpected {type(error).__name__}: {error}"
