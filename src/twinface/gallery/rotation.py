"""The secret matrix that turns a gallery's templates.

An orthogonal matrix changes no distance, so a gallery searches turned templates with turned probes. Those of two
galleries, or of one before and after its matrix was renewed, have nothing to do with each other. (On what this guards
against and what it does not: SECURITY.md. The idea: A. B. J. Teoh, A. Goh, D. C. L. Ngo, "Random multispace
quantization as an analytic mechanism for BioHashing", PAMI 28, 2006, here without the quantisation.)
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from twinface.core.similarity import normalise


def random_rotation(dimension: int) -> NDArray[np.float64]:
    """A random orthogonal matrix, float64 (D, D), uniform (Haar), from the system's randomness.

    Method: F. Mezzadri, "How to generate random matrices from the classical compact groups", Notices of the AMS 54,
    2007: QR decomposition of a Gaussian matrix, signs fixed by R's diagonal.
    """
    uniform = np.frombuffer(os.urandom(16 * dimension * dimension), np.uint64).reshape(2, dimension, dimension)
    one, other = (uniform[0].astype(np.float64) + 1.0) / (2.0**64 + 2.0), uniform[1].astype(np.float64) / 2.0**64
    gaussian = np.sqrt(-2.0 * np.log(one)) * np.cos(2.0 * np.pi * other)  # Box and Muller
    matrix, triangle = np.linalg.qr(gaussian)
    return np.asarray(matrix * np.sign(np.diag(triangle)), np.float64)


def turn(vectors: NDArray[np.float32], rotation: NDArray[np.float64]) -> NDArray[np.float32]:
    """Templates turned, float32 (N, D), unit length: computed in float64, so that distances keep to 1e-7."""
    if not len(vectors):
        return np.zeros(vectors.shape, np.float32)
    return normalise(vectors.astype(np.float64) @ rotation.T)


def turn_back(vectors: NDArray[np.float32], rotation: NDArray[np.float64]) -> NDArray[np.float32]:
    """Templates as the encoder made them."""
    return turn(vectors, rotation.T)
