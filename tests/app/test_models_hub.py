"""`twinface models push|pull`: to a Hub on this machine and back, in words that lead on."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from twinface.models.registry import HOME, find

pytest.importorskip("huggingface_hub")

_spec = spec_from_file_location("hub_server", Path(__file__).parents[1] / "models" / "hub_server.py")
assert _spec is not None
assert _spec.loader is not None
hub_server = module_from_spec(_spec)
_spec.loader.exec_module(hub_server)


@pytest.fixture(scope="module")
def running():
    with hub_server.running_hub() as server:
        yield server


@pytest.fixture
def hub(running, scrubbed, tmp_path):
    """An empty Hub to which the library is logged in, where everything is pushed to and pulled from."""
    hub_server.log_in(scrubbed, tmp_path)
    scrubbed.setenv("HF_ENDPOINT", running.url)
    scrubbed.setenv("TWINFACE_DATA", str(tmp_path / "data"))
    running.forget()
    return running


@pytest.fixture
def encoder(tmp_path):
    """The contract of the shipped encoder, as somebody else's and not calibrated."""
    folder = tmp_path / "own"
    folder.mkdir()
    for name in ("resnet29.json", "resnet29.onnx", "resnet29.md"):
        shutil.copy(HOME / name, folder)
    return folder / "resnet29.json"


def test_a_detector_goes_there_comes_back_and_runs(cli, hub, tmp_path, examples):
    pushed = cli("models", "push", "org/scout", "--model", "scout")
    assert (pushed.status, pushed.err) == (0, "")
    (commit,) = [name for name, _, _ in hub.commits["org/scout"]]
    first, following = pushed.out.splitlines()
    assert first == f"scout: pushed to org/scout, commit {commit}"
    words = shlex.split(following)
    assert words[:2] == ["next:", "twinface"]
    pulled = cli(*words[2:])
    assert (pulled.status, pulled.err) == (0, "")
    folder = tmp_path / "data" / "models" / "org--scout"
    path = folder / "scout.json"
    assert pulled.out.splitlines() == [
        f"scout: in {folder}, commit {commit} of org/scout",
        f"next: twinface compare --detector {path} FIRST SECOND",
    ]
    assert cli("models", "verify", path).out == "scout: as released\n"
    compared = cli("compare", "--detector", path, examples / "hopper.jpg", examples / "hopper.jpg", "--json")
    assert (compared.status, compared.err) == (0, "")


def test_an_encoder_without_rules_says_that_it_must_be_calibrated(cli, hub, tmp_path, encoder):
    assert cli("models", "push", "org/twin", "--model", encoder).status == 0
    outcome = cli("models", "pull", "org/twin", "--out", tmp_path / "my models" / "twin")
    assert (outcome.status, outcome.err) == (0, "")
    where = shlex.quote(str(tmp_path / "my models" / "twin" / "resnet29.json"))
    _, calibrate, following = outcome.out.splitlines()
    assert f"no decision rules for it came along; measure them first: twinface calibrate --model {where} " in calibrate
    assert following == f"next: twinface compare --model {where} FIRST SECOND"


def test_an_encoder_with_rules_can_be_used_at_once(cli, hub, examples):
    assert cli("models", "push", "org/twin", "--model", "resnet29").status == 0
    words = shlex.split(cli("models", "pull", "org/twin").out.splitlines()[-1])
    pair = [str(examples / "hopper.jpg")] * 2
    assert words[-2:] == ["FIRST", "SECOND"]
    outcome = cli(*words[2:-2], *pair)
    assert (outcome.status, outcome.err) == (0, "")
    assert "same" in outcome.out.lower()


def test_weights_message_and_privacy_are_handed_on(cli, hub, tmp_path):
    (weights := tmp_path / "w.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    words = ["--model", "scout", "--weights", weights, "--private", "--message", "the second [bold]"]
    assert cli("models", "push", "org/scout", *words).status == 0
    assert hub.files("org/scout")["scout.safetensors"] == weights.read_bytes()
    assert hub.commits["org/scout"][-1][1] == "the second [bold]"
    assert hub.private == {"org/scout"}


def test_what_was_tampered_with_is_refused_and_not_kept(cli, hub, tmp_path):
    cli("models", "push", "org/scout", "--model", "scout")
    hub.instead[f"GET /storage/{find('scout').contract.sha256}"] = 200, {}, b"other"
    cli("models", "pull", "org/scout").refuses("org/scout/scout.onnx: came with 5 bytes", "nothing was kept")
    assert not list((tmp_path / "data" / "models").iterdir())


def test_a_digest_that_was_told_is_insisted_on(cli, hub):
    cli("models", "push", "org/scout", "--model", "scout")
    other = hashlib.sha256(b"other").hexdigest()
    cli("models", "pull", "org/scout", "--sha256", other).refuses("scout.onnx: has SHA-256", "as was asked for")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pull", "scout"], "scout: no repository of models; give org/name"),
        (["pull", "../../scout"], "give org/name"),
        (["pull", "org/gone"], "there is no such repository, or it is private"),
        (["pull", "org/gone", "--revision", "../x"], "no revision"),
        (["pull", "org/gone", "--out", ""], "the path is empty"),
        (["push", "org/scout"], "--model"),
        (["push", "org/scout", "--model", "oracle"], "no model named 'oracle'"),
        (["push", "others/scout", "--model", "scout"], "access is refused"),
        (
            ["push", "org/scout", "--model", "scout", "--weights", "gone.safetensors"],
            "gone.safetensors: cannot be read",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(cli, hub, words, said):
    cli("models", *words).refuses(said)


def test_another_hub_must_be_safe(cli, hub, scrubbed):
    scrubbed.setenv("HF_ENDPOINT", "http://hub.example")
    cli("models", "pull", "org/scout").refuses("hub.example: no address of a Hub")


def test_the_token_is_shown_nowhere(cli, hub, scrubbed):
    for answer in (hub_server.said(401), hub_server.said(500), (200, {}, b"")):
        hub.instead["/api/"] = answer
        for words in (["pull", "org/scout"], ["push", "org/scout", "--model", "scout"]):
            outcome = cli("--debug", "models", *words)
            assert outcome.status == 2
            assert "Traceback" in outcome.err
            assert hub_server.TOKEN not in outcome.out + outcome.err


def test_a_pull_leaves_nothing_else_on_the_disk_and_tells_the_hub_nothing_else(hub, tmp_path):
    commit = hub.commit("org/scout", scout())
    warned = hub_server.said(200, {"X-HF-Warning": "topic; loud"}, id="org/scout", sha=commit)
    hub.instead["GET /api/models/org/scout"] = warned  # which the library would print
    (home := tmp_path / "home").mkdir()
    environment = {name: word for name, word in os.environ.items() if not name.startswith(("XDG_", "HF_", "TWINFACE_"))}
    environment |= {"HOME": str(home), "HF_ENDPOINT": hub.url, "HF_TOKEN": hub_server.TOKEN}
    words = [sys.executable, "-m", "twinface", "models", "pull", "org/scout"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    (kept,) = {path.parent for path in home.rglob("*") if path.is_file()}
    assert kept.name == "org--scout"
    assert all("/org/scout" in line or line.startswith("GET /storage/") for line in hub.asked)


def scout() -> dict[str, bytes]:
    """The shipped detector as a push would lay it down."""
    from twinface.models.hub_files import gather

    files = gather(find("scout"))
    return {name: one if isinstance(one, bytes) else one.read_bytes() for name, one in files.items()}
