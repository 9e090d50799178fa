"""Seams between use cases and the machinery behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from twinface.core.access.actions import Notice
from twinface.core.audit import AuditDraft, AuditRecord
from twinface.core.audit_chain import Head, Problem
from twinface.core.subjects import (
    Enrolled,
    Entry,
    ErasureReceipt,
    GalleryInfo,
    Neighbour,
    Outcome,
    Sample,
    Subject,
    TemplateSpace,
)
from twinface.core.types import Acquired, Analysis, Detection, Face, Image
from twinface.core.video import VideoFrame, VideoInfo


class Detector(Protocol):
    """Finds faces."""

    @property
    def name(self) -> str:
        """Short name for reports."""
        ...

    @property
    def identity(self) -> str:
        """Identity of contract and weights; see `DetectorContract.identity`."""
        ...

    def detect(self, image: Image) -> list[Detection]:
        """Faces of an RGB uint8 picture (H, W, 3), best score first, in its pixels."""
        ...


class Encoder(Protocol):
    """Turns aligned crops into unit templates."""

    @property
    def name(self) -> str:
        """Short name for reports."""
        ...

    @property
    def identity(self) -> str:
        """Identity of contract and weights; see `EncoderContract.identity`."""
        ...

    @property
    def dimension(self) -> int:
        """Length of a template."""
        ...

    def encode(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        """Templates of N crops (S, S, 3) RGB uint8: float32 (N, D), unit length."""
        ...


class Analyzer(Protocol):
    """Turns a picture of any accepted kind into faces with templates."""

    @property
    def identity(self) -> str:
        """Digest of all that shapes its templates: models, preprocessing, code, libraries."""
        ...

    @property
    def encoder(self) -> Encoder:
        """What makes the templates."""
        ...

    @property
    def detector(self) -> Detector:
        """What finds the faces."""
        ...

    def locate(self, source: object) -> Analysis:
        """Decodes, detects, aligns and judges; the faces have no templates yet.

        Raises:
            ImageError: the picture cannot be read.
        """
        ...

    def encode(self, faces: Sequence[Face]) -> tuple[Face, ...]:
        """The same faces with templates, encoded in batches."""
        ...


class TemplateCache(Protocol):
    """Keeps what pictures gave, so that it is computed once."""

    def find(self, space: str, digests: Sequence[str]) -> dict[str, Acquired]:
        """What is known of pictures with these SHA-256 digests.

        Args:
            space: digest of all that shaped the templates; nothing is shared between spaces.
            digests: of the pictures' bytes, hexadecimal.
        """
        ...

    def keep(self, space: str, rows: Mapping[str, Acquired]) -> None:
        """Remembers more."""
        ...


class FrameSource(Protocol):
    """Gives the frames of a video."""

    @property
    def info(self) -> VideoInfo:
        """What is known of it; notes may come as frames are read."""
        ...

    def frames(self) -> Iterator[VideoFrame]:
        """The frames, in order of time: of a file all that were asked for, of a live source the newest ones.

        Raises:
            SourceUnavailable: it cannot be opened.
            SourceStalled: no frame came for too long, and the source is none that is opened again.
        """
        ...

    def close(self) -> None:
        """Lets go of the source; `frames` ends."""
        ...


class TemplateIndex(Protocol):
    """Finds the subjects nearest to probes: exact, in memory."""

    def __len__(self) -> int:
        """Templates in it."""
        ...

    def add(self, vectors: NDArray[np.float32], samples: NDArray[np.int64], subjects: NDArray[np.int64]) -> None:
        """Takes more templates.

        Args:
            vectors: float32, shape (N, D), unit length.
            samples: number of each one's sample, shape (N,), none twice.
            subjects: number of whose it is, shape (N,).
        """
        ...

    def drop(self, samples: NDArray[np.int64]) -> None:
        """Forgets the templates of these samples; their memory is overwritten. Unknown ones are no error."""
        ...

    def search(self, probes: NDArray[np.float32], top: int) -> list[list[tuple[int, int, float]]]:
        """For every probe (M, D) the `top` nearest subjects, nearest first.

        Returns:
            Of each one its number, its nearest sample and its distance: the mean of the Euclidean distances to that
            sample's template and to the subject's mean template, computed in float64.
        """
        ...


class GalleryStore(Protocol):
    """Keeps people and their templates. Every call is one transaction: it happens whole or not at all.

    What it raises beside what is listed: GalleryLocked when others hold the gallery for too long, GalleryCorrupt when
    it is damaged, GalleryError when it cannot be written.
    """

    def info(self) -> GalleryInfo:
        """What the gallery is and how much it holds; it counts, so it takes a moment."""
        ...

    def space(self) -> TemplateSpace:
        """What makes the gallery's templates."""
        ...

    def subjects(self) -> list[Subject]:
        """Everybody enrolled, by name."""
        ...

    def find(self, name: str) -> Subject:
        """The person of that name, however it is written (see `core.naming.name_key`).

        Raises:
            UnknownSubject: there is none.
        """
        ...

    def names(self, uids: Sequence[str]) -> dict[str, str]:
        """Names by uid; those unknown are left out."""
        ...

    def samples(self, uid: str) -> list[Sample]:
        """What is kept of a person's pictures, in the order they came."""
        ...

    def known(self, digests: Sequence[str]) -> dict[str, str]:
        """Of pictures with these digests, those enrolled already: the names of whom they show."""
        ...

    def enroll(self, entries: Sequence[Entry]) -> list[Outcome]:
        """Adds samples; people whom the gallery does not know are made. A picture enrolled already changes nothing.

        Raises:
            ContractMismatch: a template is of another space than the gallery's.
            GalleryError: a name is none.
        """
        ...

    def nearest(self, probes: NDArray[np.float32], top: int) -> tuple[list[list[Neighbour]], int]:
        """For every probe (M, D), unit length and of the gallery's space, the `top` nearest subjects.

        Those whose time is over are not found.

        Returns:
            The subjects, nearest first, of every probe; and how many templates each was compared with. A subject's
            distance is the mean of those to her nearest template and to her mean template; of one picture, the one.
        """
        ...

    def templates(self) -> Enrolled:
        """All templates of the gallery's space, as the encoder made them."""
        ...

    def rename(self, name: str, new: str) -> ErasureReceipt:
        """Gives a person another name; the old one is erased.

        Raises:
            UnknownSubject: there is no such person.
            DuplicateSubject: somebody else has the new name.
        """
        ...

    def merge(self, into: str, others: Sequence[str]) -> ErasureReceipt:
        """Makes several people one: the samples of `others` become those of `into`, their names are erased.

        Raises:
            UnknownSubject: one of them is not there.
        """
        ...

    def remove(self, names: Sequence[str]) -> ErasureReceipt:
        """Removes people and erases every byte kept of them.

        Raises:
            UnknownSubject: one of them is not there; then nobody is removed.
        """
        ...

    def remove_samples(self, numbers: Sequence[int]) -> ErasureReceipt:
        """Removes single samples; a person without any goes too."""
        ...

    def set_expiry(self, name: str, expires: datetime | None) -> None:
        """Says when a person is to be forgotten.

        Raises:
            UnknownSubject: there is no such person.
        """
        ...

    def expire(self) -> ErasureReceipt | None:
        """Removes those whose time is over; None if there is nobody."""
        ...

    def photo(self, number: int) -> bytes | None:
        """The kept picture of a sample; None where it was not kept."""
        ...

    def stage(self, space: TemplateSpace, vectors: Mapping[int, NDArray[np.float32]]) -> None:
        """Keeps templates of another space beside the gallery's own, by number of their sample; nobody meets them."""
        ...

    def staged(self, space: TemplateSpace) -> dict[int, NDArray[np.float32]]:
        """The templates kept so, as the encoder made them."""
        ...

    def switch(self, space: TemplateSpace) -> ErasureReceipt:
        """Makes another space the gallery's. Samples that have a template of it lose the old one."""
        ...

    def problems(self) -> list[str]:
        """What is damaged, one line each; empty when all is sound."""
        ...

    def renew(self) -> ErasureReceipt:
        """Turns all templates anew by another secret matrix: copies stolen before match nothing any more."""
        ...

    def close(self) -> None:
        """Lets go of the gallery."""
        ...


class Notifier(Protocol):
    """Carries out one action, as far as it is meant for the decision it is told of."""

    def notify(self, notice: Notice) -> None:
        """Acts, once; whether to try again is for the caller.

        Raises:
            ActionFailed: it could not.
        """
        ...

    def close(self) -> None:
        """Lets go of what it holds; a relay is off from then on.

        Raises:
            ActionFailed: the relay cannot be switched off.
        """
        ...


class AuditLog(Protocol):
    """What was asked, decided and done, record after record: none is ever changed, and whether one was is found."""

    def append(self, draft: AuditDraft, thumbnail: bytes | None = None) -> AuditRecord:
        """Writes a record at the end; it is on the disk when this returns.

        Args:
            draft: what it says; its own `thumbnail` is set here.
            thumbnail: a JPEG to be kept beside the log until it is expired, or one of the subjects is removed.

        Raises:
            GalleryError: it cannot be written, and nothing of it was; see `GalleryLocked`, `GalleryCorrupt`.
        """
        ...

    def records(
        self,
        first: int = 1,
        *,
        last: int | None = None,
        since: datetime | None = None,
        place: str | None = None,
        newest: int | None = None,
    ) -> Iterator[AuditRecord]:
        """Records in the order of their numbers. Nobody is kept waiting meanwhile.

        Args:
            first: number to begin with.
            last: number to end with; None for the present end.
            since: leaves out what was earlier.
            place: leaves out other places.
            newest: of what the others let through, only so many at the end.

        Raises:
            GalleryCorrupt: one was damaged or edited; see `problems`.
        """
        ...

    def head(self) -> Head:
        """Number and digest of the last record; 0 and the genesis where there is none."""
        ...

    def problems(self, expected: Head | None = None) -> list[Problem]:
        """What is wrong with the log, by number; empty when all is sound.

        Args:
            expected: a head that was noted elsewhere; the log must still hold that record.
        """
        ...

    def thumbnail(self, number: int) -> bytes | None:
        """The picture kept beside a record; None where there is none, or none any more."""
        ...

    def expire_thumbnails(self, before: datetime) -> int:
        """Erases the thumbnails of records earlier than that; how many."""
        ...
