"""Whatever the OpenAPI allows, and what it does not, is answered without a 5xx: cases by Schemathesis.

It runs in a process of its own, so that its plug-in for pytest has no say here.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(find_spec("schemathesis") is None, reason="Schemathesis is not installed")

PATIENCE = 1200

HOOKS = """
import json, os
from pathlib import Path

import schemathesis
from hypothesis import strategies as st

KNOWN = json.loads(os.environ["KNOWN"])
PHOTO = Path(os.environ["PHOTO"]).read_bytes()

schemathesis.openapi.format("binary", st.one_of(st.just(PHOTO), st.binary(max_size=2000)))


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    for name, value in (path_parameters or {}).items():
        if name in KNOWN and len(str(value)) % 2:
            path_parameters[name] = KNOWN[name]
    return path_parameters
"""
"""Every other picture is one, and every other address leads somewhere."""


def cases(server: Any, examples: Path, folder: Path, phases: str, examples_each: int) -> int:
    """Lets Schemathesis loose on a server with somebody in its gallery; how many cases it had, none of them a 5xx."""
    from twinface.app.server.rates import Lockout

    server.app.state.twinface.lockout = Lockout(itertools.count(step=1000).__next__)
    client = server.client()
    person = client.enroll("Ada", examples / "collins.jpg", keep_photos=True)["person"]["uid"]
    known = f'{{"uid": "{person}", "number": 1, "name": "twin-r29", "subject": "Ada"}}'
    (folder / "hooks.py").write_text(HOOKS)
    inherited = os.environ.get("PYTHONPATH", "")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(folder), inherited])),
        "SCHEMATHESIS_HOOKS": "hooks",
        "KNOWN": known,
        "PHOTO": str(examples / "hopper.jpg"),
    }
    options = {"checks": "not_a_server_error", "phases": phases, "max-examples": examples_each, "seed": 1}
    words = [f"--{name}={value}" for name, value in options.items()]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json", "--no-color"),
            *(f"--header=x-api-key: {server.key('admin')}", "--generation-database=none", *words),
        ],
        env=environment, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    found = re.search(r"([\d,]+) generated, ([\d,]+) passed", done.stdout)
    assert found is not None, done.stdout[-2000:]
    assert found[1] == found[2]
    assert client.health() == {"status": "ready"}
    return int(found[1].replace(",", ""))


def test_some_cases(serve: Callable[..., Any], examples: Path, tmp_path: Path) -> None:
    assert cases(serve(), examples, tmp_path, "fuzzing", 4) >= 150


@pytest.mark.long
def test_two_thousand_cases(serve: Callable[..., Any], examples: Path, tmp_path: Path) -> None:
    assert cases(serve(), examples, tmp_path, "examples,coverage,fuzzing", 20) >= 2000
