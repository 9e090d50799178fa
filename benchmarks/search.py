"""How fast a gallery is searched: TwinFace's exact index beside faiss's IndexFlatIP, both in one run, turn about.

    python benchmarks/search.py [--sizes 10000,100000,1000000] [--repeats 20] [--json]

Needs `pip install faiss-cpu`; without it only TwinFace is measured. Templates are random unit vectors of 128 numbers,
one a subject; half of the probes lie near one of them, like another picture of that person, half are strangers. Both
find the 5 nearest and must find the same ones.

Threads are those that NumPy's BLAS and faiss take by themselves; OMP_NUM_THREADS sets both. Wall time: it wants an idle
machine, and memory for 1.5 GB at a million templates.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twinface.app.benchmarking.spread import Spread, spread
from twinface.app.machine import cores, processor, versions
from twinface.core.similarity import normalise
from twinface.gallery.index import ExactIndex

DIMENSION = 128
TOP = 5
PROBES = (1, 16, 64)

NOISE = 0.8
"""Length of what is added to a template to make a probe of the same person: about 0.75 apart, like two pictures."""

PAUSE = 0.1
"""Seconds before the other's turn: BLAS threads go on spinning for some 30 ms after a search and would slow it."""

SLACK = 1e-3
"""Distances in which float32 may swap two neighbours."""

Search = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One line of the report; times in milliseconds a search.

    Attributes:
        templates: in the index.
        probes: searched for at once.
        twinface: ours.
        faiss: IndexFlatIP's; None where it is not installed.
        ratio: faiss / TwinFace, turn by turn: above 1 TwinFace is the faster.
        same: probes for which both found the same neighbours; None where faiss is not installed.
    """

    templates: int
    probes: int
    twinface: Spread
    faiss: Spread | None
    ratio: Spread | None
    same: int | None


def load_faiss() -> Any:
    """The module, or None where it is not installed."""
    try:
        return importlib.import_module("faiss")
    except ModuleNotFoundError:
        return None


def random_templates(count: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Unit vectors (N, D), float32."""
    vectors = random.standard_normal((count, DIMENSION), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def random_probes(templates: NDArray[np.float32], count: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Probes (M, D), in turn a stranger and somebody enrolled."""
    probes = random_templates(count, random)
    mated = probes[1::2] if count > 1 else probes
    mated[:] = templates[random.integers(len(templates), size=len(mated))] + NOISE * mated
    return normalise(probes)


def turn_about(works: Sequence[Search], repeats: int) -> list[list[float]]:
    """Milliseconds of every repeat of each work; who goes first changes from turn to turn.

    Each turn searches twice and the second time counts: the first one wakes threads, which can take faiss 15 ms.
    """
    taken: list[list[float]] = [[] for _ in works]
    gc.disable()
    for turn in range(-1, repeats):  # the first turn only warms up
        places = range(len(works)) if turn % 2 else reversed(range(len(works)))
        for place in places:
            time.sleep(PAUSE)
            works[place]()
            began = time.perf_counter()
            works[place]()
            if turn >= 0:
                taken[place].append((time.perf_counter() - began) * 1000)
    gc.enable()
    return taken


def agreeing(
    found: list[list[tuple[int, int, float]]],
    places: NDArray[np.int64],
    templates: NDArray[np.float32],
    probes: NDArray[np.float32],
) -> int:
    """Probes for which faiss's neighbours, by place (M, TOP), are ours, but for swaps of all but equal distances."""
    same = 0
    for ours, theirs, probe in zip(found, places, probes, strict=True):
        exact = np.linalg.norm(templates[theirs].astype(np.float64) - probe, axis=1)
        distances = np.array([distance for _, _, distance in ours])
        equal = np.array([sample for _, sample, _ in ours]) == theirs
        same += bool((equal | (np.abs(exact - distances) < SLACK)).all())
    return same


def search_rows(templates: int, repeats: int, faiss: Any) -> list[Row]:
    """Measures searches of an index of so many templates."""
    random = np.random.default_rng(templates)
    vectors = random_templates(templates, random)
    index = ExactIndex(DIMENSION)
    index.add(vectors, np.arange(templates), np.arange(templates))
    peer = None if faiss is None else faiss.IndexFlatIP(DIMENSION)
    if peer is not None:
        peer.add(vectors)
    rows = []
    for count in PROBES:
        probes = random_probes(vectors, count, random)
        works: list[Search] = [lambda probes=probes: index.search(probes, TOP)]  # type: ignore[misc]
        if peer is None:
            rows.append(Row(templates, count, spread(turn_about(works, repeats)[0]), None, None, None))
            continue
        works.append(lambda probes=probes: peer.search(probes, TOP))  # type: ignore[misc]
        own, other = turn_about(works, repeats)
        same = agreeing(index.search(probes, TOP), peer.search(probes, TOP)[1], vectors, probes)
        ratios = [theirs / ours for ours, theirs in zip(own, other, strict=True)]
        rows.append(Row(templates, count, spread(own), spread(other), spread(ratios), same))
    return rows


def machine(faiss: Any) -> dict[str, Any]:
    """What measured."""
    threads = {} if faiss is None else {"faiss threads": faiss.omp_get_max_threads()}
    asked = os.environ.get("OMP_NUM_THREADS")
    return {
        "cpu": processor(),
        "cores": cores(),
        "load": round(os.getloadavg()[0], 1),
        "OMP_NUM_THREADS": asked or "not set",
        **threads,
        **versions(("numpy", "faiss-cpu")),
    }


def show(rows: list[Row]) -> None:
    """Prints the table."""
    print(f"{'templates':>9} {'probes':>6}  {'TwinFace ms':>26}  {'IndexFlatIP ms':>26}  {'ratio':>20}  same")
    for row in rows:
        cells = [f"{row.templates:9} {row.probes:6}", f"{_cell(row.twinface, 3):>26}"]
        if row.faiss is not None and row.ratio is not None:
            cells += [f"{_cell(row.faiss, 3):>26}", f"{_cell(row.ratio, 2):>20}", f"{row.same}/{row.probes}"]
        print("  ".join(cells))


def _cell(one: Spread, digits: int) -> str:
    return f"{one.median:.{digits}f} ({one.low:.{digits}f}-{one.high:.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10000,100000,1000000", help="templates, separated by commas")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    options = parser.parse_args()
    try:
        sizes = [int(size) for size in options.sizes.split(",")]
    except ValueError:
        parser.error(f"--sizes: expected numbers separated by commas, got {options.sizes!r}")
    if options.repeats < 1 or min(sizes) < TOP:
        parser.error(f"--repeats must be at least 1 and sizes at least {TOP}")
    faiss = load_faiss()
    facts = machine(faiss)
    rows = [row for size in sizes for row in search_rows(size, options.repeats, faiss)]
    if options.json:
        print(json.dumps({"machine": facts, "rows": [asdict(row) for row in rows]}))
    else:
        show(rows)
        print("\nmedian (10-90%); " + ", ".join(f"{name} {value}" for name, value in facts.items()))
        if facts["load"] > facts["cores"] / 2:
            print("The machine was busy: these times say little.")
        if faiss is None:
            print("faiss is not installed; to measure it as well: pip install faiss-cpu")
    if any(row.same not in (None, row.probes) for row in rows):
        raise SystemExit("TwinFace and faiss found different neighbours")


if __name__ == "__main__":
    main()
