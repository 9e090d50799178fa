"""A gallery with the models that fill and search it: what programs and commands use."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from twinface.app import wiring
from twinface.app.settings import gallery_path
from twinface.core.identification import DEFAULT_FPIR
from twinface.core.naming import clean_name
from twinface.core.subjects import ErasureReceipt, GalleryInfo, Subject, TemplateSpace
from twinface.errors import ContractMismatch
from twinface.gallery.database import PATIENCE
from twinface.gallery.keys import Key
from twinface.gallery.sqlite import SqliteGallery
from twinface.services.enrolment import Enroller, Enrolment, EnrolmentOptions, Picture
from twinface.services.identification import TOP, Identification, Identifier
from twinface.services.recognition import FaceChoice, Recognizer

Named = tuple[str, str, object]
"""A picture to enrol: whose, what a report calls it, and a path, bytes, file object, array or Pillow image."""


class Gallery:
    """People one can enrol, find again and forget; see `Gallery.open`.

    with twinface.Gallery.open("people.db") as gallery:
        gallery.enroll("Ada", ["a.jpg"])
        gallery.identify("who.jpg").names
    """

    def __init__(self, store: SqliteGallery, models: _Models, expired: ErasureReceipt | None) -> None:
        self.store = store
        self.expired = expired
        """What `open` removed because its time was over."""
        self._models = models
        self._recognizer: Recognizer | None = None
        self._identifier: Identifier | None = None

    @classmethod
    def open(
        cls,
        path: str | PathLike[str] | None = None,
        *,
        key_file: str | PathLike[str] | None = None,
        passphrase: str | None = None,
        create: bool = True,
        read_only: bool = False,
        model: str | None = None,
        mirror: bool | None = None,
        detector: str | None = None,
        providers: Sequence[str] | str | None = None,
        threads: int | None = None,
        calibration: str | PathLike[str] | None = None,
        patience: float = PATIENCE,
    ) -> Self:
        """Opens a gallery, or makes one where there is none. The models are loaded when they are needed.

        Args:
            path: the file; None for TWINFACE_GALLERY or the one among the user's data.
            key_file: opens an encrypted gallery, and encrypts one that is made.
            passphrase: likewise.
            create: whether one may be made.
            read_only: whether nothing may be written.
            model: encoder of a gallery that is made; of one that is there it must be this one.
            mirror: likewise.
            detector: as `load` takes it; also the others that follow.
            providers: ONNX Runtime execution providers.
            threads: threads within a network.
            calibration: your own decision rules for the gallery's model.
            patience: seconds to wait for others who write.

        Raises:
            WrongKey: the key does not open it.
            GalleryError: there is none, it is damaged, or of a newer TwinFace; see the tree in `errors`.
            ContractMismatch: its templates are of another model than the one asked for.
        """
        key = None
        if key_file is not None:
            key = Key.from_file(Path(key_file))
        elif passphrase is not None:
            key = Key.from_passphrase(passphrase)
        file = gallery_path() if path is None else Path(path)
        wanted = None if model is None and mirror is None else wiring.template_space(model, mirror)
        making = create and not read_only and not os.path.lexists(file)
        space = (wanted or wiring.template_space()) if making else None
        store = SqliteGallery(file, key=key, create=space, read_only=read_only, patience=patience)
        try:
            found = store.space()
            if wanted is not None and wanted.identity != found.identity and not _same_model(model, mirror, found):
                raise ContractMismatch(
                    f"the gallery's templates are of {found.model}{'' if found.mirror else ' without mirror'}, not of "
                    f"{wanted.model}{'' if wanted.mirror else ' without mirror'}; leave --model out, or "
                    f"twinface gallery migrate --model {wanted.model}"
                )
            expired = None if store.read_only else store.expire()
        except BaseException:
            store.close()
            raise
        return cls(store, _Models(detector, providers, threads, calibration), expired)

    @property
    def recognizer(self) -> Recognizer:
        """The models of this gallery, loaded when first asked for."""
        space = self.store.space()
        if self._recognizer is None or self._recognizer.rule.model != space.identity:
            self._recognizer = self._models.load(space)
        return self._recognizer

    def info(self) -> GalleryInfo:
        """What the gallery is and how much it holds."""
        return self.store.info()

    def people(self) -> list[Subject]:
        """Everybody enrolled, by name."""
        return self.store.subjects()

    def enroll(
        self,
        name: str,
        pictures: Sequence[object],
        *,
        face: FaceChoice | Literal["clear"] = "clear",
        refuse_poor: bool = True,
        keep_photos: bool = False,
        expires: datetime | None = None,
    ) -> list[Enrolment]:
        """Enrols pictures of one person; what became of each is returned, not raised.

        Args:
            name: the person's; she is made if there is none of that name.
            pictures: paths, bytes, binary file objects, RGB uint8 arrays (H, W, 3) or Pillow images.
            face: which face of a picture counts: "clear", the one far larger than all others; "only"; "largest"; or a
                number, 1 = largest.
            refuse_poor: whether faces with a quality reason are refused.
            keep_photos: whether the pictures are kept, so that `migrate` can make templates of them.
            expires: when she is to be forgotten, with a time zone.

        Raises:
            GalleryError: the name is none, or the gallery cannot be written.
        """
        clean_name(name)
        options = EnrolmentOptions(face, refuse_poor, keep_photos, expires)
        return list(self.enroll_all(((name, "", one) for one in pictures), options))

    def enroll_all(self, pictures: Iterable[Named], options: EnrolmentOptions | None = None) -> Iterator[Enrolment]:
        """Enrols pictures of many people; tells of each, in order, once it is on the disk or refused."""
        enroller = Enroller(self.recognizer.analyzer, self.store, options)
        return enroller.enroll(_picture(*one) for one in pictures)

    def identify(
        self,
        source: object,
        *,
        top: int = TOP,
        fpir: float = DEFAULT_FPIR,
        face: FaceChoice = "all",
        refuse_poor: bool = True,
    ) -> Identification:
        """Names the faces of a picture; see `services.identification.Identifier.identify`."""
        recognizer = self.recognizer
        if self._identifier is None or not self._identifier.uses(recognizer):
            self._identifier = Identifier(recognizer, self.store)
        return self._identifier.identify(source, top=top, fpir=fpir, face=face, refuse_poor=refuse_poor)

    def rename(self, name: str, new: str) -> ErasureReceipt:
        """Gives a person another name; the old one is erased, but for what names of picture files hold.

        Raises:
            UnknownSubject: there is no such person.
            DuplicateSubject: somebody else has the new name.
        """
        return self.store.rename(name, new)

    def merge(self, into: str, *others: str) -> ErasureReceipt:
        """Makes several people one.

        Raises:
            UnknownSubject: one of them is not there.
        """
        return self.store.merge(into, others)

    def remove(self, *names: str) -> ErasureReceipt:
        """Removes people and erases every byte kept of them.

        Raises:
            UnknownSubject: one of them is not there; then nobody is removed.
        """
        return self.store.remove(names)

    def close(self) -> None:
        """Lets go of the gallery."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Models:
    """How the models are loaded when they are needed."""

    def __init__(
        self,
        detector: str | None,
        providers: Sequence[str] | str | None,
        threads: int | None,
        calibration: str | PathLike[str] | None,
    ) -> None:
        self._detector, self._providers, self._threads = detector, providers, threads
        self._calibration = calibration

    def load(self, space: TemplateSpace) -> Recognizer:
        return wiring.load_for(
            space,
            detector=self._detector,
            providers=self._providers,
            threads=self._threads,
            calibration=self._calibration,
        )


def _same_model(model: str | None, mirror: bool | None, found: TemplateSpace) -> bool:
    """Whether somebody who named the model alone meant the gallery's, made with or without mirror."""
    return mirror is None and model == found.model


def _picture(name: str, label: str, source: object) -> Picture:
    def read() -> tuple[bytes, str]:
        from twinface.vision.content import picture_content

        content = picture_content(source)
        return content.data, content.digest

    return Picture(name, label or (str(source) if isinstance(source, str | PathLike) else "a picture"), read)
