"""People in a gallery, and what is kept of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from twinface.core.types import Box, Quality, Template
from twinface.errors import GalleryError

OutcomeKind = Literal["enrolled", "duplicate", "conflict"]
"""What became of a picture: it is new; this person has it already; another person has it."""

_UNITS = {"h": 1, "d": 24, "w": 7 * 24}
_LONGEST_HOURS = 100 * 366 * 24


def now() -> datetime:
    """The present, UTC."""
    return datetime.now(UTC)


def expiry(text: str, since: datetime | None = None) -> datetime:
    """When "30d", "12h" or "8w" from now is over, or the start of a day as "2027-01-31", UTC.

    Raises:
        GalleryError: it is none of these, or in the past, or more than a hundred years away.
    """
    start = since or now()
    match = re.fullmatch(r"([0-9]{1,7})([hdw])", text.strip())
    if match is not None:
        hours = int(match[1]) * _UNITS[match[2]]
        if 0 < hours <= _LONGEST_HOURS:
            return start + timedelta(hours=hours)
    elif re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text.strip()):
        try:
            day = datetime.fromisoformat(text.strip()).replace(tzinfo=UTC)
        except ValueError:
            day = start
        if start < day <= start + timedelta(hours=_LONGEST_HOURS):
            return day
    raise GalleryError(
        f"{text!r} is no time to come, at most a hundred years; give one as 30d, 12h, 8w or 2027-01-31 (UTC)"
    )


@dataclass(frozen=True)
class TemplateSpace:
    """What made a gallery's templates: only templates of one space meet.

    Attributes:
        identity: of the encoder's contract and weights, mirror included; `Template.model`.
        model: how the encoder is loaded again: its name, the path of its contract, or `arcface:FILE`.
        mirror: whether the mirror image's template is added.
        dimension: length of a template.
    """

    identity: str
    model: str
    mirror: bool
    dimension: int

    def __post_init__(self) -> None:
        if not self.identity or not self.model or self.dimension < 1:
            raise ValueError(f"template space: expected an identity, a model and a positive dimension, got {self}")


@dataclass(frozen=True)
class Subject:
    """A person enrolled.

    Attributes:
        uid: what the gallery calls her, random, 32 hexadecimal digits; it says nothing about her.
        name: as given.
        samples: pictures (or imported templates) she has.
        photos: of these, how many pictures were kept.
        created: when she was first enrolled, UTC.
        expires: from when on she is no longer recognised, and is removed; None for never.
    """

    uid: str
    name: str
    samples: int
    photos: int
    created: datetime
    expires: datetime | None = None


@dataclass(frozen=True, eq=False)
class NewSample:
    """One face of a person, ready to be enrolled.

    Attributes:
        digest: SHA-256 of the picture's content, hexadecimal: the same picture is enrolled once.
        template: of the face.
        source: name of the picture's file, or where else it came from, for people.
        quality: of the face; None where it is not known.
        box: where the face is in the picture, pixels; None where there is no picture.
        photo: the picture's file, if it is to be kept.
    """

    digest: str
    template: Template
    source: str = ""
    quality: Quality | None = None
    box: Box | None = None
    photo: bytes | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch("[0-9a-f]{64}", self.digest):
            raise ValueError(f"sample: digest must be 64 hexadecimal digits, got {self.digest!r}")


@dataclass(frozen=True)
class Entry:
    """One sample with whose it is.

    Attributes:
        name: the person's; a new one is made where there is none.
        sample: the face.
        expires: when she is to be forgotten; None to leave that as it is.
    """

    name: str
    sample: NewSample
    expires: datetime | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of an entry.

    Attributes:
        kind: whether it was new.
        name: of the person who has the picture now; for a conflict the other one.
    """

    kind: OutcomeKind
    name: str


@dataclass(frozen=True)
class Sample:
    """What is kept of one picture, less the template.

    Attributes:
        number: its number in the gallery.
        subject: uid of whose it is.
        digest: SHA-256 of the picture's content, hexadecimal.
        source: where the picture came from.
        added: when, UTC.
        quality: of the face; None where it is not known.
        box: where the face is in the picture; None where there is no picture.
        has_photo: whether the picture is kept.
    """

    number: int
    subject: str
    digest: str
    source: str
    added: datetime
    quality: Quality | None
    box: Box | None
    has_photo: bool


@dataclass(frozen=True)
class Neighbour:
    """A subject near a probe.

    Attributes:
        subject: uid.
        sample: number of her nearest sample.
        distance: mean of the Euclidean distances to its template and to her mean template, in [0, 2].
    """

    subject: str
    sample: int
    distance: float


@dataclass(frozen=True, eq=False)
class Enrolled:
    """The templates of a gallery's current space, one row a sample.

    Attributes:
        space: what made them.
        vectors: float32, shape (N, D), unit length.
        samples: numbers of the samples, int64, shape (N,), rising.
        subjects: place in `uids` of whose each row is, int64, shape (N,).
        uids: of the subjects that have templates.
    """

    space: TemplateSpace
    vectors: NDArray[np.float32]
    samples: NDArray[np.int64]
    subjects: NDArray[np.int64]
    uids: tuple[str, ...]


@dataclass(frozen=True)
class ErasureReceipt:
    """Proof of a removal, for whoever asked for it. It is printed, not kept: the gallery keeps uids and time alone.

    Attributes:
        gallery: id of the gallery.
        subjects: uids of those removed.
        samples: samples removed with them.
        photos: pictures removed with them, and thumbnails kept beside the audit log.
        keys: keys destroyed, where the gallery is encrypted.
        when: UTC.
        rebuilt: bytes of the database after it was written anew without them.
    """

    gallery: str
    subjects: tuple[str, ...]
    samples: int
    photos: int
    keys: int
    when: datetime
    rebuilt: int


@dataclass(frozen=True)
class GalleryInfo:
    """What a gallery is.

    Attributes:
        id: random, 32 hexadecimal digits.
        schema: version of the file's layout.
        created: when, UTC.
        encrypted: "" (not), "key file" or "passphrase".
        space: what its templates are made by.
        subjects: people.
        samples: pictures and imported templates.
        photos: pictures kept.
        templates: templates of the current space.
        size: bytes on disk.
        expiring: people who will be forgotten some day.
        records: of its audit log.
    """

    id: str
    schema: int
    created: datetime
    encrypted: str
    space: TemplateSpace
    subjects: int
    samples: int
    photos: int
    templates: int
    size: int
    expiring: int
    records: int = 0
