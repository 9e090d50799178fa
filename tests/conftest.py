"""Sample photos, the shipped models loaded once, and the command line, in this process and in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from twinface.app import wiring
from twinface.app.cli import main
from twinface.app.settings import Settings
from twinface.services.recognition import Recognizer

ROOT = Path(__file__).parents[1]
PATIENCE = 300
"""Seconds; only a hang takes so long."""

CACHE: list[Path] = []
"""Where the tests' templates are kept; one entry once they run."""


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    status: int
    out: str
    err: str

    def refuses(self, *said: str) -> None:
        """Holds the command to the promise for trouble: status 2, one line on stderr that says this, no answer."""
        assert (self.status, self.out) == (2, ""), self
        assert self.err.endswith("\n"), self
        (line,) = self.err[:-1].split("\n")
        assert line.startswith("twinface: ")
        assert line.isprintable()
        assert "please report it" not in line
        for words in said:
            assert words in line


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Templates made by tests are kept apart from the user's."""
    CACHE.append(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def examples() -> Path:
    return ROOT / "examples"


@pytest.fixture(scope="session")
def recognizer() -> Recognizer:
    with pytest.MonkeyPatch.context() as patch:
        scrub(patch)
        return wiring.load(threads=1)


@pytest.fixture
def scrubbed(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that says nothing about TwinFace."""
    scrub(monkeypatch)
    return monkeypatch


def scrub(patch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TWINFACE_")]:
        patch.delenv(name)
    patch.setenv("TWINFACE_CACHE", str(CACHE[0]))
    patch.setenv("COLUMNS", "200")


@pytest.fixture
def cli(
    scrubbed: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], recognizer: Recognizer
) -> Callable[..., Outcome]:
    """`twinface ...` within this process: all is real, but the shipped models are not loaded anew each time."""
    load = wiring.load

    def load_once(*words: Any, **options: Any) -> Recognizer:
        plain = not any(value is not None for value in (*words, *options.values()))
        return recognizer if plain and Settings.from_environment() == Settings() else load(*words, **options)

    scrubbed.setattr(wiring, "load", load_once)

    def run(*words: str | Path) -> Outcome:
        scrubbed.setattr(sys, "argv", ["twinface", *map(str, words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        printed = capfd.readouterr()
        status = 0 if end.value.code is None else end.value.code
        assert isinstance(status, int)
        return Outcome(status, printed.out, printed.err)

    return run


def scrubbed_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TWINFACE_")}
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), kept.get("PYTHONPATH", "")]))
    return {**kept, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "TWINFACE_CACHE": str(CACHE[0])}


@pytest.fixture(scope="session")
def run_python() -> Callable[[str], Outcome]:
    """A program, in a Python of its own."""

    def run(program: str) -> Outcome:
        return in_own_process([sys.executable, "-c", program])

    return run


@pytest.fixture(scope="session")
def run_cli() -> Callable[..., Outcome]:
    """`python -m twinface ...` in a process of its own."""

    def run(*words: str | Path) -> Outcome:
        return in_own_process([sys.executable, "-m", "twinface", *map(str, words)])

    return run


def in_own_process(words: Sequence[str]) -> Outcome:
    done = subprocess.run(
        words, capture_output=True, text=True, encoding="utf-8", timeout=PATIENCE, env=scrubbed_environment(),
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout, done.stderr)
