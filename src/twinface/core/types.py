"""Values that pass between the rooms: frozen, checked at construction, units stated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from twinface.core.decision import Band, OperatingPoint, Verdict

Image = NDArray[np.uint8]
"""RGB pixels, uint8, shape (height, width, 3)."""

MIRRORED = (1, 0, 2, 4, 3)
"""Order of the five landmarks after the picture is mirrored: what was left is right."""

UNIT_TOLERANCE = 1e-3
"""How far a template's length may be from one."""

DOUBTFUL = 0.8
"""Share of a picture's best score below which a detection is doubtful: a patch of cloth that the detector half takes
for a face is neither the largest one nor a rival of one."""


def _frozen(values: ArrayLike, shape: tuple[int, ...], name: str) -> NDArray[np.float32]:
    array = np.array(values, dtype=np.float32)
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: holds values that are not finite")
    array.setflags(write=False)
    return array


@dataclass(frozen=True)
class Box:
    """An upright rectangle in pixels of the input image; it may reach beyond the image.

    Attributes:
        x: left edge.
        y: top edge.
        width: positive.
        height: positive.
    """

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        if not np.isfinite([self.x, self.y, self.width, self.height]).all():
            raise ValueError(f"box: values must be finite, got {self}")
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"box: width and height must be positive, got {self.width} x {self.height}")

    @property
    def area(self) -> float:
        """Square pixels."""
        return self.width * self.height

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom in pixels."""
        return self.x, self.y, self.x + self.width, self.y + self.height


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Five points of a face, in pixels of the input image, as seen in the picture.

    Attributes:
        points: float32, shape (5, 2), rows x, y: left eye, right eye, nose tip, left and right mouth corner.
    """

    points: NDArray[np.float32]

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", _frozen(self.points, (5, 2), "landmarks"))

    @property
    def eye_distance(self) -> float:
        """Pixels between the two eyes."""
        return float(np.linalg.norm(self.points[0] - self.points[1]))


@dataclass(frozen=True)
class Detection:
    """A face as a detector reports it.

    Attributes:
        box: where it is.
        score: the detector's confidence in [0, 1].
        landmarks: its five points, or None from detectors that yield boxes only.
    """

    box: Box
    score: float
    landmarks: Landmarks | None = None


@dataclass(frozen=True)
class Quality:
    """How fit a face is for comparison.

    Attributes:
        eye_distance: pixels between the eyes in the input image.
        sharpness: contrast of fine detail in the aligned crop relative to its coarse detail, about 0 (blurred) to 1.
        brightness: mean grey of the aligned crop, 0..255.
        contrast: standard deviation of the aligned crop's grey, 0..255.
        yaw: sideways turn estimated from the landmarks, degrees, 0 = frontal, positive = nose to the picture's right.
        roll: in-plane turn, degrees, 0 = upright, positive = clockwise.
        reasons: names of the shortcomings, empty when the face is fit.
    """

    eye_distance: float
    sharpness: float
    brightness: float
    contrast: float
    yaw: float
    roll: float
    reasons: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether no shortcoming was found."""
        return not self.reasons


@dataclass(frozen=True, eq=False)
class Template:
    """The embedding of one face.

    Attributes:
        vector: float32, shape (D,), unit length.
        model: identity of the encoder's contract; templates of different models never meet.
    """

    vector: NDArray[np.float32]
    model: str

    def __post_init__(self) -> None:
        vector = _frozen(self.vector, (np.size(self.vector),), "template")
        length = float(np.linalg.norm(vector))
        if abs(length - 1.0) > UNIT_TOLERANCE:
            raise ValueError(f"template: expected unit length, got {length:.4f}; normalise it first")
        object.__setattr__(self, "vector", vector)


@dataclass(frozen=True, eq=False)
class Face:
    """A face found in a picture, with what was derived from it.

    Attributes:
        box: where it is, pixels.
        landmarks: five points, pixels.
        score: the detector's confidence in [0, 1].
        quality: how fit it is.
        crop: the aligned crop the encoder saw, RGB uint8 (S, S, 3).
        template: its embedding; None until it is encoded.
    """

    box: Box
    landmarks: Landmarks
    score: float
    quality: Quality
    crop: Image
    template: Template | None = None


@dataclass(frozen=True, eq=False)
class Acquired:
    """What one picture gave: a template, or the reason why there is none.

    Attributes:
        vector: template, float32 (D,), unit length; None where acquiring failed altogether.
        faces: how many faces were found.
        reasons: "unreadable" or "no face" where there is no template; else why the face is not fit, empty when it is.
    """

    vector: NDArray[np.float32] | None
    faces: int
    reasons: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.vector is None and not self.reasons:
            raise ValueError("acquired: without a template there must be a reason")

    def usable(self, refuse_poor: bool) -> bool:
        """Whether there is a template to compare; with `refuse_poor`, only of a face that is fit."""
        return self.vector is not None and not (refuse_poor and self.reasons)


@dataclass(frozen=True)
class Seconds:
    """Wall time spent, in seconds."""

    decode: float
    detect: float
    encode: float
    total: float

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(
            self.decode + other.decode,
            self.detect + other.detect,
            self.encode + other.encode,
            self.total + other.total,
        )


@dataclass(frozen=True, eq=False)
class Analysis:
    """All faces of one picture, largest first.

    Attributes:
        name: the picture's path or a word for where it came from.
        image: its pixels, upright.
        faces: the faces, largest box first; may be empty.
        notes: what the reader should know about the decoding, for instance "first frame of 12".
        seconds: wall time spent.
    """

    name: str
    image: Image
    faces: tuple[Face, ...]
    notes: tuple[str, ...]
    seconds: Seconds


@dataclass(frozen=True, eq=False)
class Comparison:
    """The answer for two faces.

    Attributes:
        distance: Euclidean between the unit templates, [0, 2]; smaller = more alike.
        similarity: cosine of the two templates, [-1, 1].
        probability: calibrated P(same person | distance) at prior 0.5.
        point: the operating point the verdict was given at.
        model: name of the encoder.
        a: the first face.
        b: the second face.
        index_a: place of `a` among its picture's faces, 1 = largest.
        index_b: likewise for `b`.
        first: the analysis `a` came from.
        second: the analysis `b` came from.
        band: where the answer is "inconclusive"; None where there always is one.
    """

    distance: float
    similarity: float
    probability: float
    point: OperatingPoint
    model: str
    a: Face
    b: Face
    index_a: int
    index_b: int
    first: Analysis
    second: Analysis
    band: Band | None = None

    @property
    def same(self) -> bool:
        """Whether the verdict is "same"; False where it is inconclusive."""
        return self.verdict == "same"

    @property
    def verdict(self) -> Verdict:
        """Whether the distance is at or below the operating point's threshold; within the band "inconclusive"."""
        if self.band is not None:
            return self.band.verdict(self.distance, self.point)
        return "same" if self.point.accepts(self.distance) else "different"

    @property
    def seconds(self) -> Seconds:
        """Wall time of both analyses."""
        return self.first.seconds + self.second.seconds
