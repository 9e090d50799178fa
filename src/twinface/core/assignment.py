"""Who goes with whom at least cost.

H. Kuhn, "The Hungarian method for the assignment problem", Naval Research Logistics 2, 1955, in the shortest-path form
of R. Jonker and A. Volgenant, "A shortest augmenting path algorithm", Computing 38, 1987.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

UNMATCHED = 3.0
"""What it costs to leave a row unmatched. It is no more than what one match may cost, so that a good match is not given
up for two bad ones: else a newcomer could push a whole row of faces one place on."""

Matrix = NDArray[np.float64]
Pair = tuple[int, int]
"""A row and a column."""


def assign(costs: Matrix) -> list[Pair]:
    """The cheapest matching, where a row that is left unmatched costs UNMATCHED.

    Args:
        costs: shape (N, M); above UNMATCHED, or infinite, where a match is impossible.

    Returns:
        Pairs of row and column, in order of the rows.
    """
    possible = costs <= UNMATCHED
    single = possible & (possible.sum(axis=1) == 1)[:, None] & (possible.sum(axis=0) == 1)[None]
    pairs: list[Pair] = [(row, column) for row, column in np.argwhere(single).tolist()]
    rows = np.flatnonzero(possible.any(axis=1) & ~single.any(axis=1))
    columns = np.flatnonzero(possible.any(axis=0) & ~single.any(axis=0))
    if rows.size:  # only those with a choice are worth the search
        part = costs[np.ix_(rows, columns)]
        alone = np.full((rows.size, rows.size), UNMATCHED)
        chosen = _cheapest(np.hstack([np.where(part <= UNMATCHED, part, 1e6), alone]))
        pairs += [(int(rows[row]), int(columns[column])) for row, column in enumerate(chosen) if column < columns.size]
    return sorted(pairs)


def _cheapest(costs: Matrix) -> list[int]:
    """Each row's column in the cheapest assignment; there are no fewer columns than rows, and all costs are finite."""
    rows, columns = costs.shape
    row_price, column_price = np.zeros(rows + 1), np.zeros(columns + 1)
    owner, before = np.zeros(columns + 1, np.intp), np.zeros(columns + 1, np.intp)  # 0 stands for nobody
    for row in range(1, rows + 1):
        owner[0], column = row, 0
        least, used = np.full(columns + 1, np.inf), np.zeros(columns + 1, np.bool_)
        while owner[column]:
            used[column] = True
            here = owner[column]
            slack = np.concatenate([[np.inf], costs[here - 1] - row_price[here] - column_price[1:]])
            better = ~used & (slack < least)
            least[better], before[better] = slack[better], column
            nearest = int(np.argmin(np.where(used, np.inf, least)))
            step = least[nearest]
            row_price[owner[used]] += step
            column_price[used] -= step
            least[~used] -= step
            column = nearest
        while column:
            owner[column] = owner[before[column]]
            column = int(before[column])
    places = {int(who) - 1: column - 1 for column, who in enumerate(owner.tolist()) if column and who}
    return [places[row] for row in range(rows)]
