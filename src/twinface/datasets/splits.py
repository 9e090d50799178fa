"""Parts persons, not pictures: nobody whom a network learns from may be among those it is judged on.

Who goes where is told by a digest of the name alone, so that it is the same on every machine, in every year, and
whoever else is in the set moves nobody across the line of `held_out`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from twinface.errors import DatasetMissing

BELOW_ONE = 1 - 2**-53
"""The largest float below 1, to which a quotient is held that rounds up to 1."""


def fraction(name: str, salt: str = "") -> float:
    """A number in [0, 1) that stands for a name: the first 8 bytes of its SHA-256 digest, divided by 2**64.

    Args:
        name: any text, taken as UTF-8.
        salt: another salt, other numbers; put before the name with a stroke between, unless it is empty.
    """
    text = f"{salt}/{name}" if salt else name
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
    return min(int.from_bytes(digest[:8], "big") / 2**64, BELOW_ONE)


def held_out(name: str, share: float) -> bool:
    """Whether a name belongs to the share that no run ever sees. A larger share holds all of a smaller one."""
    return fraction(name) < share


def split_persons(subjects: Sequence[str], share: float, salt: str) -> NDArray[np.bool_]:
    """Which pictures are for validation; all pictures of a person are on one side.

    Args:
        subjects: the person of each of N pictures.
        share: of the persons for validation; above 0 it means at least one person, and at least one is left.
        salt: another salt, another choice.

    Returns:
        Shape (N,), True for validation.

    Raises:
        DatasetMissing: there are fewer than two persons to part.
        ValueError: `share` is not within [0, 1].
    """
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"split: the share must lie in [0, 1], got {share}")
    persons = sorted(set(subjects), key=lambda person: (fraction(person, salt), person))
    if not share:
        return np.zeros(len(subjects), np.bool_)
    if len(persons) < 2:
        raise DatasetMissing(
            f"validation needs other persons than training, and there are {len(persons)} in all; add pictures of more "
            "people, or train without validation (data.validation = 0)"
        )
    chosen = set(persons[: min(max(1, round(share * len(persons))), len(persons) - 1)])
    return np.array([subject in chosen for subject in subjects], np.bool_)
