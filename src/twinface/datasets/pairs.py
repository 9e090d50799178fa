"""LFW's lists of pairs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from twinface.errors import DatasetCorrupt, DatasetMissing


@dataclass(frozen=True)
class LfwPair:
    """Two pictures and whether they show one person.

    Attributes:
        first: (person, number) of one picture; numbers count from 1.
        second: the other's.
        mated: whether both show one person.
        fold: 0-based fold in View 2, 0 in View 1.
    """

    first: tuple[str, int]
    second: tuple[str, int]
    mated: bool
    fold: int = 0


def read_pairs(path: Path) -> list[LfwPair]:
    """Reads pairs.txt, pairsDevTrain.txt or pairsDevTest.txt.

    Raises:
        DatasetMissing: no such file.
        DatasetCorrupt: a line is malformed or the count in the header is not met.
    """
    if not path.is_file():
        raise DatasetMissing(f"{path}: no such pair list; give the folder that holds LFW's pairs*.txt with --root")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        header = [int(word) for word in lines[0].split()]
        folds, size = header if len(header) == 2 else (1, *header)
        if folds < 1 or size < 1:
            raise ValueError(f"header {lines[0]!r} promises no pairs")
        pairs = [_parse(words, place // (2 * size)) for place, words in enumerate(_rows(lines[1:]))]
    except (ValueError, IndexError) as error:
        raise DatasetCorrupt(f"{path}: not an LFW pair list ({error}); fetch it again") from error
    mated, promised = sum(pair.mated for pair in pairs), folds * size
    if (mated, len(pairs) - mated) != (promised, promised):
        raise DatasetCorrupt(
            f"{path}: header promises {promised} mated and as many non-mated pairs, "
            f"file holds {mated} and {len(pairs) - mated}; fetch it again"
        )
    return pairs


def _rows(lines: Iterable[str]) -> Iterable[list[str]]:
    return (line.split() for line in lines if line.strip())


def _parse(words: list[str], fold: int) -> LfwPair:
    if len(words) == 3:
        name, one, two = words
        return LfwPair((name, _number(one)), (name, _number(two)), True, fold)
    name, one, other, two = words
    return LfwPair((name, _number(one)), (other, _number(two)), False, fold)


def _number(word: str) -> int:
    if int(word) < 1:
        raise ValueError(f"pictures count from 1, got {word}")
    return int(word)


def people_in(pairs: Iterable[LfwPair]) -> set[str]:
    """Names that occur in the pairs."""
    return {name for pair in pairs for name in (pair.first[0], pair.second[0])}
