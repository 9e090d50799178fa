"""Which pictures the detector may be trained on, and which are kept to measure it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from twinface.datasets import lfw
from twinface.datasets.pairs import people_in, read_pairs
from twinface.errors import DatasetCorrupt, DatasetMissing
from twinface.training.detection.scenes import Picture


def held_out(path: Path) -> bool:
    """Whether a pool picture is kept from training: one in ten, by the digest of its name."""
    return hashlib.sha256(path.name.encode()).digest()[0] % 10 == 0


def pool_pictures(pool: Path) -> tuple[list[Path], list[Path]]:
    """Photos in the wild (`celeba/<id>/*.webp`) and tight faces (`utkface/*.webp`), sorted.

    Raises:
        DatasetMissing: the pool holds neither.
    """
    wild, tight = sorted(pool.glob("celeba/*/*.webp")), sorted(pool.glob("utkface/*.webp"))
    if not wild and not tight:
        raise DatasetMissing(f"{pool}: holds no celeba/<id>/*.webp and no utkface/*.webp; give the unpacked pool")
    return wild, tight


def training_pictures(root: Path, lists: Path, pool: Path) -> list[list[Path]]:
    """Three groups: the pool's photos, its tight faces, and LFW people in no pair of View 2 or DevTest.

    Args:
        root: LFW's folder of people.
        lists: folder of LFW's pair lists.
        pool: folder of `celeba` and `utkface`.

    Raises:
        DataError: something is missing or malformed.
    """
    reserved = people_in(read_pairs(lists / "pairs.txt"))
    reserved |= people_in(read_pairs(lists / "pairsDevTest.txt"))
    allowed = [path for name, paths in lfw.pictures(root).items() if name not in reserved for path in paths]
    wild, tight = ([path for path in paths if not held_out(path)] for paths in pool_pictures(pool))
    return [wild, tight, allowed]


def read(paths: Iterable[Path]) -> list[Picture]:
    """The pictures as RGB uint8 arrays.

    Raises:
        DatasetCorrupt: a file is no picture.
    """
    found = []
    for path in paths:
        pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if pixels is None:
            raise DatasetCorrupt(f"{path}: cannot be read as a picture; unpack the data set again")
        found.append(np.ascontiguousarray(pixels[..., ::-1], dtype=np.uint8))
    return found
