"""A process of its own for each system under measurement: its memory is nobody else's, its threads are its own.

Both ends of the conversation are here: `Trial` asks, `serve` answers. Each question and each answer is a line of JSON;
pictures and templates travel in Base64.
"""

from __future__ import annotations

import base64
import gc
import json
import os
import reprlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, TextIO

import numpy as np

from twinface.app.benchmarking.contenders import Contender, Entrant
from twinface.app.machine import peak_memory
from twinface.core.ports import TemplateCache
from twinface.core.types import Acquired, Image
from twinface.errors import TwinFaceError

POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""What tells numerical libraries how many threads to take."""

PATIENCE = 600.0
"""Seconds a process may take for one answer; the longest questions take well below one minute."""

LAST_MOMENTS = 10.0
"""Seconds for a process to end that has closed its side of the conversation."""


@dataclass(frozen=True)
class Round:
    """What one pass over the sample took.

    Attributes:
        detect: milliseconds of wall time a picture.
        encode: likewise, of the pictures that show a face.
        wall: seconds of wall time of the whole pass.
        processor: seconds of processor time.
    """

    detect: tuple[float, ...]
    encode: tuple[float, ...]
    wall: float
    processor: float


class Trial:
    """A system in a process of its own.

    Args:
        entrant: what to load there.
        threads: for its inner loops.
        cached: whether templates are looked up and kept in the user's cache.

    Raises:
        TwinFaceError: it cannot be loaded; what is wrong is in the message.
    """

    def __init__(self, entrant: Entrant, *, threads: int, cached: bool) -> None:
        self._called = entrant.name
        self._trouble = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._trouble, encoding="ascii",
            env={**os.environ, **dict.fromkeys(POOLS, str(threads))},
        )  # fmt: skip
        try:
            facts = self._ask({"entrant": asdict(entrant), "threads": threads, "cached": cached})
        except BaseException:
            self.close()
            raise
        self.name, self.detail, self.size_on_disk = str(facts["name"]), str(facts["detail"]), int(facts["size"])

    def acquire(self, contents: Sequence[bytes]) -> list[Acquired]:
        """What each picture gives."""
        rows = self._ask({"acquire": _packed(contents)})["rows"]
        return [
            Acquired(None if vector is None else np.frombuffer(base64.b64decode(vector), "<f4"), faces, tuple(reasons))
            for vector, faces, reasons in rows
        ]

    def take(self, contents: Sequence[bytes]) -> None:
        """Decodes the pictures that `time` is to go over, and keeps them."""
        self._ask({"take": _packed(contents)})

    def time(self) -> Round:
        """Goes over the pictures once."""
        answer = self._ask({"time": None})
        return Round(tuple(answer["detect"]), tuple(answer["encode"]), answer["wall"], answer["processor"])

    def peak_memory(self) -> int | None:
        """The most memory the process ever held, bytes."""
        held = self._ask({"memory": None})["memory"]
        return None if held is None else int(held)

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()
        self._trouble.close()

    def __enter__(self) -> Trial:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: PT018 - both are pipes
        overdue = threading.Event()

        def end() -> None:
            overdue.set()
            self._process.kill()

        watch = threading.Timer(PATIENCE, end)
        watch.daemon = True
        watch.start()
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except (OSError, UnicodeDecodeError):  # it has gone, or what it says is no answer
            line = ""
        finally:
            watch.cancel()
        if overdue.is_set():
            raise TwinFaceError(
                f"{self._called}: its process gave no answer for {PATIENCE / 60:.0f} minutes and was ended; "
                "measure without it"
            )
        if not line.endswith("\n"):
            raise TwinFaceError(f"{self._called}: its process ended ({self._last_words()}); measure without it")
        return _understood(line, self._called)

    def _last_words(self) -> str:
        try:
            status = self._process.wait(LAST_MOMENTS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._trouble.seek(0)
        lines = self._trouble.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else f"status {status}"


def _understood(line: str, called: str) -> dict[str, Any]:
    """An answer; what a library may have printed in its place is none.

    Raises:
        TwinFaceError: it is none, or tells of trouble.
    """
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise TwinFaceError(f"{called}: its process answered {reprlib.repr(line)}; measure without it")
    if "error" in answer:
        raise TwinFaceError(str(answer["error"]))
    return answer


def serve(questions: TextIO, answers: TextIO) -> None:
    """Answers until there are no more questions.

    Args:
        questions: the first names the entrant and how to run it.
        answers: where each answer's line goes.
    """

    def answer(facts: dict[str, Any]) -> None:
        answers.write(json.dumps(facts) + "\n")
        answers.flush()

    try:
        first = json.loads(questions.readline())
        contender = Entrant(**first["entrant"]).load(first["threads"])
        desk = _Desk(contender, _cache(first["cached"]))
        answer({"name": contender.name, "detail": contender.detail, "size": contender.size_on_disk})
        for line in questions:
            ((word, content),) = json.loads(line).items()
            answer(desk.answers[word](content))
    except TwinFaceError as error:
        answer({"error": str(error)})


class _Desk:
    """What is known between questions."""

    def __init__(self, contender: Contender, cache: TemplateCache | None) -> None:
        self._contender = contender
        self._cache = cache
        self._images: list[Image] = []
        self.answers: dict[str, Callable[[Any], dict[str, Any]]] = {
            "acquire": self._acquire,
            "take": self._take,
            "time": self._time,
            "memory": lambda _: {"memory": peak_memory()},
        }

    def _acquire(self, packed: list[str]) -> dict[str, Any]:
        rows = self._contender.acquire(_unpacked(packed), self._cache)
        return {
            "rows": [
                (None if row.vector is None else _packed([row.vector.astype("<f4").tobytes()])[0], row.faces,
                 row.reasons)
                for row in rows
            ]
        }  # fmt: skip

    def _take(self, packed: list[str]) -> dict[str, Any]:
        self._images = [self._contender.read(content) for content in _unpacked(packed)]
        return {}

    def _time(self, _: None) -> dict[str, Any]:
        detecting, encoding = [], []
        gc.collect()
        gc.disable()
        started, worked = time.perf_counter(), time.process_time()
        for image in self._images:
            began = time.perf_counter()
            face = self._contender.detect(image)
            found = time.perf_counter()
            detecting.append(1000 * (found - began))
            if face is not None:
                self._contender.encode(image, face)
                encoding.append(1000 * (time.perf_counter() - found))
        wall, processor = time.perf_counter() - started, time.process_time() - worked
        gc.enable()
        return {"detect": detecting, "encode": encoding, "wall": wall, "processor": processor}


def _cache(wanted: bool) -> TemplateCache | None:
    from twinface.app.cache import open_cache

    return open_cache(wanted)


def _packed(contents: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(content).decode("ascii") for content in contents]


def _unpacked(packed: Sequence[str]) -> list[bytes]:
    return [base64.b64decode(one) for one in packed]


def main() -> None:
    """Answers on what was standard output; whatever libraries print goes to standard error."""
    with os.fdopen(os.dup(1), "w", encoding="ascii") as answers:
        os.dup2(2, 1)
        serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
