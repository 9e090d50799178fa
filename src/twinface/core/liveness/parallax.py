"""How five landmarks move when what they lie on is flat, and when a nose stands out before it.

Eyes and mouth corners lie nearly in a plane. Between two pictures of a plane, wherever it and the camera are, there is
a homography; four points settle it, and it says where a nose that is printed on the plane must be. A real nose stands
before it, so in a turn it moves sideways against that place: plane-plus-parallax (M. Irani, P. Anandan, "Parallax
geometry of pairs of points for 3D scene analysis", ECCV 1996).

How far the nose stands out follows from a turn, without knowing the angle: under weak perspective the rows of the
camera matrix [A | p / d] are orthogonal and of one length, where A is what happens to the plane, p the parallax and d
the depth: the metric constraint of C. Tomasi, T. Kanade, "Shape and motion from image streams under orthography", IJCV
9(2), 1992. So A A' + k p p' is a multiple of the identity, linear in k = 1 / d^2. A bent photo must be turned further
than a head for the same parallax, and is then narrower.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twinface.core.geometry import similarity_transform, transform
from twinface.core.liveness.limits import NOSE_DEPTH

Points = NDArray[np.float64]
"""Five landmarks, shape (5, 2): left eye, right eye, nose tip, left and right mouth corner, as seen in the picture."""

PLANE = [0, 1, 3, 4]
"""Landmarks in the plane."""

NOSE = 2

AVERAGE = np.array([[-0.535, -0.4], [0.535, -0.4], [0.0, 0.05], [-0.465, 0.4], [0.465, 0.4]])
"""An average frontal face, for a first guess of where somebody looks; only the nose's place on the midline matters."""


def as_points(landmarks: ArrayLike) -> Points:
    """Checked landmarks.

    Raises:
        ValueError: another shape than (5, 2), or values that are not finite.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape != (5, 2):
        raise ValueError(f"landmarks: expected shape (5, 2), got {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError("landmarks: hold values that are not finite")
    return points


def face_width(points: Points) -> float:
    """Mean of eye and mouth distance, pixels."""
    return float(np.linalg.norm(points[1] - points[0]) + np.linalg.norm(points[4] - points[3])) / 2


def homography(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """The plane's map that takes four points to four others, shape (3, 3), last entry 1.

    Raises:
        ValueError: three of the points lie on a line.
    """
    rows = np.zeros((8, 8))
    rows[0::2, :2], rows[0::2, 2] = source, 1.0
    rows[1::2, 3:5], rows[1::2, 5] = source, 1.0
    rows[:, 6:] = -target.reshape(-1, 1) * np.repeat(source, 2, axis=0)
    try:
        solved = np.linalg.solve(np.array(rows), target.reshape(-1))
    except np.linalg.LinAlgError:
        raise ValueError("homography: three of the points lie on a line") from None
    return np.append(solved, 1.0).reshape(3, 3)


@dataclass(frozen=True, eq=False)
class Move:
    """What happened to a face between its reference and another picture.

    Attributes:
        plane: what happened to eyes and mouth, an affine map less its shift, shape (2, 2).
        parallax: how far the nose moved against them, shape (2,), in face widths of the reference, in the picture's
            directions.
    """

    plane: NDArray[np.float64]
    parallax: NDArray[np.float64]

    @property
    def sideways(self) -> float:
        """Parallax along the line of the eyes, in widths of the face as it appears now."""
        across = self.plane[:, 0]
        return float(self.parallax @ across / (across @ across))

    @property
    def yaw(self) -> float:
        """Degrees turned, positive to the picture's right, for a nose of average depth."""
        return math.degrees(math.atan2(self.sideways, NOSE_DEPTH))


def move(reference: Points, points: Points) -> Move:
    """Compares landmarks with those of a reference.

    Raises:
        ValueError: landmarks that span no plane.
    """
    width = face_width(reference)
    if not width > 0:
        raise ValueError("parallax: the reference's eyes coincide")
    axis = _axis(reference)
    here = (reference - reference[PLANE].mean(axis=0)) @ axis / width
    there = (points - points[PLANE].mean(axis=0)) / width
    onto = homography(here[PLANE], there[PLANE]) @ np.append(here[NOSE], 1.0)
    if abs(onto[2]) < 1e-6:
        raise ValueError("parallax: the landmarks span no plane")
    affine = there[PLANE].T @ here[PLANE] @ np.linalg.inv(here[PLANE].T @ here[PLANE])
    return Move(affine, there[NOSE] - onto[:2] / onto[2])


def upright(points: Points) -> Points:
    """The same points with the line of eyes and mouth level, about their middle."""
    middle = points[PLANE].mean(axis=0)
    return np.asarray((points - middle) @ _axis(points) + middle, np.float64)


def _axis(points: Points) -> NDArray[np.float64]:
    """Columns: along the eyes and mouth, and down across it, as seen in the picture; shape (2, 2)."""
    across = points[1] - points[0] + points[4] - points[3]
    x, y = across / np.linalg.norm(across)
    return np.array([[x, -y], [y, x]])


def together(views: Sequence[Points]) -> Points:
    """The mean of views of one pose, each laid over the first: what scatters in the single ones is less in it."""
    first = views[0]
    return np.asarray(np.mean([transform(one, similarity_transform(one, first)) for one in views], axis=0), np.float64)


def depth(moves: Sequence[Move]) -> tuple[float, float]:
    """How far the nose stands before the plane, from how the face narrows as it turns.

    Returns:
        k = 1 / d^2 for d in face widths, and its standard error; infinite error where nothing moved.
    """
    left, right = [], []
    for one in moves:
        gram, p = one.plane @ one.plane.T, one.parallax
        scale = float(gram[1, 1])
        left.append((p[0] ** 2 - p[1] ** 2) / scale)
        right.append((gram[1, 1] - gram[0, 0]) / scale)
    a, b = np.array(left), np.array(right)
    energy = float(a @ a)
    if len(a) < 2 or energy <= 0:
        return 0.0, math.inf
    k = float(a @ b) / energy
    return k, math.sqrt(float(((b - k * a) ** 2).sum()) / (len(a) - 1) / energy)
