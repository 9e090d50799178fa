"""What a run ran on: revision, versions, machine and command line, so that somebody can run it again."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "twinface", "torch", "numpy", "lightning-fabric", "pytorch-metric-learning", "safetensors", "onnxruntime",
    "opencv-python-headless",
)  # fmt: skip
"""Distributions whose versions can change what a run yields."""

PATIENCE = 10
"""Seconds that git may take; a checkout on a lost network drive must not keep a run from starting."""


def environment(seed: int, device: str, started: datetime | None = None) -> dict[str, Any]:
    """The facts of this process, as JSON holds them.

    Args:
        seed: of the run.
        device: what it computes on, as its maker calls it.
        started: when it began, with a time zone; None for now.

    Returns:
        seed, git (None outside a checkout or without git), python, platform, versions by distribution (None where it
        is not installed), device, command, and started in UTC.
    """
    return {
        "seed": seed,
        "git": revision((Path(__file__).parents[1], Path.cwd())),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: _version(name) for name in PACKAGES},
        "device": device,
        "command": f"{_program()} {shlex.join(sys.argv[1:])}".rstrip(),
        "started": (started or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds"),
    }


def revision(folders: Sequence[Path]) -> dict[str, Any] | None:
    """The git revision of the first folder that is kept in a checkout.

    A folder that lies in a checkout without being kept in it, as an installed package in a project's virtual
    environment does, has no revision of its own.

    Returns:
        `revision` in full and `changed`, whether files in the folder differ from it or are not in it; None where no
        folder is kept in a checkout.
    """
    for folder in folders:
        tracked, commit = _git(folder, "ls-files", "--", "."), _git(folder, "rev-parse", "HEAD")
        if tracked and commit:
            return {"revision": commit, "changed": _git(folder, "status", "--porcelain", "--", ".") != ""}
    return None


def _git(folder: Path, *words: str) -> str | None:
    """What git answers; None where it refuses or is missing. It locks nothing and starts no watcher of files."""
    command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", *words]
    try:
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=PATIENCE, check=False,
            stdin=subprocess.DEVNULL, env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _program() -> str:
    """What was started, without the folder it lies in."""
    name = Path(sys.argv[0]).name
    return "python -m twinface" if name == "__main__.py" else name


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
