"""Every error TwinFace raises, as one tree.

TwinFaceError
  ImageError     UnreadableImage, ImageTooLarge, UnsupportedFormat
  FaceError      NoFace, SeveralFaces, PoorQuality
  ModelError     ModelNotFound, ModelTampered, ContractMismatch, ProviderUnavailable
  GalleryError   UnknownSubject, DuplicateSubject, GalleryLocked, GalleryCorrupt, WrongKey
  SourceError    SourceUnavailable, SourceStalled
  PolicyError    BadPolicy, ActionFailed, BadRequest
  DataError      DatasetMissing, DatasetCorrupt, SubjectLeak
  RecipeError
  TrainingDiverged
  OutputError

A message says what was wrong, with which input, and what to do next.
"""

from __future__ import annotations


class TwinFaceError(Exception):
    """Anything TwinFace can refuse to do. Catch this to catch them all."""


class ImageError(TwinFaceError):
    """A picture could not become pixels."""


class UnreadableImage(ImageError):
    """The file is missing, empty, damaged or not a picture."""


class ImageTooLarge(ImageError):
    """The picture has more pixels or bytes than the limit allows; refused before decoding."""


class UnsupportedFormat(ImageError):
    """The picture's format, array shape or array type is not one TwinFace reads."""


class FaceError(TwinFaceError):
    """The picture was read, but its faces do not allow an answer."""


class NoFace(FaceError):
    """The detector found no face."""


class SeveralFaces(FaceError):
    """One face was wanted and several were found."""


class PoorQuality(FaceError):
    """The face is there but not good enough to compare.

    Attributes:
        reason: the named shortcoming, for instance "blurred" or "profile".
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[PoorQuality], tuple[str, str]]:
        """Lets the error travel between processes whole."""
        return type(self), (str(self), self.reason)


class ModelError(TwinFaceError):
    """A model file cannot be used."""


class ModelNotFound(ModelError):
    """No model of that name or path."""


class ModelTampered(ModelError):
    """The model file's SHA-256 digest is not the one its contract states."""


class ContractMismatch(ModelError):
    """The model does not yield what its contract promises, or two contracts do not match."""


class ProviderUnavailable(ModelError):
    """An execution provider was asked for that this installation cannot offer."""


class GalleryError(TwinFaceError):
    """The gallery cannot do what was asked."""


class UnknownSubject(GalleryError):
    """No subject of that name is enrolled."""


class DuplicateSubject(GalleryError):
    """A subject of that name is enrolled already."""


class GalleryLocked(GalleryError):
    """Another process holds the gallery."""


class GalleryCorrupt(GalleryError):
    """The gallery file is damaged."""


class WrongKey(GalleryError):
    """The key does not open this gallery."""


class SourceError(TwinFaceError):
    """A video source failed."""


class SourceUnavailable(SourceError):
    """The file, camera or stream cannot be opened."""


class SourceStalled(SourceError):
    """The source was open and stopped yielding frames."""


class PolicyError(TwinFaceError):
    """An access policy cannot be applied."""


class BadPolicy(PolicyError):
    """The policy is malformed or contradicts itself."""


class ActionFailed(PolicyError):
    """An action could not be carried out.

    Attributes:
        again: seconds to wait, at least, before it may be tried again; None where that would not help.
    """

    def __init__(self, message: str, again: float | None = None) -> None:
        super().__init__(message)
        self.again = again


class BadRequest(PolicyError):
    """A request for a place that cannot be understood; what it held is not repeated."""


class DataError(TwinFaceError):
    """A data set cannot be used."""


class DatasetMissing(DataError):
    """The data set is not where it was looked for."""


class DatasetCorrupt(DataError):
    """The data set is there but a file of it is malformed."""


class SubjectLeak(DataError):
    """Persons of the test were in the model's training; a figure from them would flatter it."""


class RecipeError(TwinFaceError):
    """A training recipe is malformed."""


class TrainingDiverged(TwinFaceError):
    """The loss of a training run is no finite number any more."""


class OutputError(TwinFaceError):
    """A result could not be written."""
