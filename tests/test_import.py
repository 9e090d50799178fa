"""Importing TwinFace is cheap, and neither importing nor comparing reaches for the network."""

import json
import os
import subprocess
import sys

import pytest

import twinface

PUBLIC = [
    "Analysis", "Box", "Comparison", "Face", "Gallery", "Landmarks", "Quality", "Recognizer", "Template",
    "TwinFaceError", "load",
]  # fmt: skip
HEAVY = ["PIL", "cryptography", "cv2", "fastapi", "onnxruntime", "rich", "torch", "typer"]

OFFLINE = """
import socket, sys

def refuse(*words, **options):
    raise AssertionError("TwinFace reached for the network")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
"""


def test_the_public_names_are_these():
    assert sorted(twinface.__all__) == PUBLIC
    assert {"__version__", *PUBLIC} <= set(dir(twinface))


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_and_has_a_meaning(name):
    assert getattr(twinface, name).__doc__


def test_another_name_is_no_attribute():
    with pytest.raises(AttributeError, match="module 'twinface' has no attribute 'telepathy'"):
        _ = twinface.telepathy


def test_importing_loads_nothing_heavy(run_python):
    program = "import sys, json, twinface; print(json.dumps([*sys.modules]))"
    done = run_python(program)
    assert (done.status, done.err) == (0, "")
    loaded = {name.partition(".")[0] for name in json.loads(done.out)}
    assert loaded.isdisjoint(HEAVY)


def test_no_command_loads_torch_and_help_loads_no_network_at_all(run_python):
    program = """
import sys
from twinface.app import cli
sys.argv = ["twinface", "compare", "--help"]
try:
    cli.main()
except SystemExit as end:
    assert end.code == 0
print([name for name in ("torch", "onnxruntime", "cv2") if name in sys.modules])
"""
    done = run_python(program)
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[-1] == "[]"


def test_comparing_works_offline_and_without_torch(run_python, examples):
    pictures = [str(examples / name) for name in ("collins.jpg", "hopper.jpg")]
    done = run_python(
        f"{OFFLINE}\nimport twinface\ncomparison = twinface.load(threads=1).compare(*{pictures!r})\n"
        "print(comparison.same, 'torch' in sys.modules)"
    )
    assert (done.status, done.err, done.out) == (0, "", "False False\n")


def test_onnx_runtime_collects_nothing_about_the_machine_it_runs_on(tmp_path, examples):
    """Its telemetry is native code, which Python's sockets do not see; it begins with a file in the home folder."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: word for name, word in os.environ.items() if not name.startswith(("XDG_", "ORT_"))}
    words = [sys.executable, "-m", "twinface", "compare", examples / "collins.jpg", examples / "hopper.jpg"]
    done = subprocess.run(words, env=environment | {"HOME": str(home)}, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert not list(home.rglob("*"))
