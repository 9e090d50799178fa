"""Whatever else than a whole, sound model comes from the Hub is refused, and nothing of it is kept."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hub_models import (
    REPO,
    WEIGHTS,
    asked_for,
    fails,
    listing,
    published,
    tiny,
    wrong,
)

from twinface.core.contract import write_contract
from twinface.errors import ContractMismatch, ModelTampered
from twinface.models.hub import pull

pytest.importorskip("huggingface_hub")


@pytest.mark.parametrize("name", ["tiny.onnx", "tiny.json", "README.md"])
def test_other_bytes_than_listed_are_refused(hub: Any, home: Path, name: str) -> None:
    hub.commit(REPO, files := published())
    wrong(hub, name, files[name][:-1] + b"!")
    fails(hub, home, ModelTampered, f"org/tiny/{name}: came with")


def test_fewer_bytes_than_listed_are_refused(hub: Any, home: Path) -> None:
    hub.commit(REPO, published())
    wrong(hub, "tiny.onnx", WEIGHTS[:-1])
    fails(hub, home, ModelTampered, "came with 24 bytes .* is listed with 25")


def test_weights_that_list_and_server_agree_on_must_be_the_contracts_still(hub: Any, home: Path) -> None:
    hub.commit(REPO, published(tiny_onnx=b"other weights"))
    fails(hub, home, ModelTampered, "tiny.onnx is listed with SHA-256")
    assert not asked_for(hub, "tiny.onnx")


def test_a_pinned_digest_finds_what_was_replaced_with_its_contract(hub: Any, home: Path) -> None:
    other = b"other weights"
    hub.commit(REPO, published(tiny(weights=other), tiny_onnx=other))
    pin = hashlib.sha256(WEIGHTS).hexdigest()
    fails(hub, home, ModelTampered, f"not {pin[:16]}... as was asked for", sha256=pin)
    assert not asked_for(hub, "tiny.onnx")
    pull(REPO, home, endpoint=hub.url, sha256=hashlib.sha256(other).hexdigest().upper())


@pytest.mark.parametrize("file", ["../../x.onnx", "/x.onnx", "..", "a\\b.onnx", "tiny.pkl", "tiny.pt", "x\x1b.onnx"])
def test_a_contract_that_names_another_place_or_kind_of_file_is_refused(hub: Any, home: Path, file: str) -> None:
    contract = json.dumps({**json.loads(write_contract(tiny())), "file": file}).encode()
    hub.commit(REPO, published(tiny_json=contract))
    fails(hub, home, ContractMismatch, None)
    assert not asked_for(hub, "tiny.onnx")


@pytest.mark.parametrize(
    "name",
    ["../../x.md", "/etc/x.md", "a/b.md", ".hidden.md", "x.pkl", "x.bin", "x.pt", "x.ckpt", "x.py", "x.onnx.pkl"],
)
def test_a_list_that_names_another_place_or_kind_of_file_is_refused(hub: Any, home: Path, name: str) -> None:
    files = published()
    del files["SHA256SUMS.json"]
    hub.commit(REPO, {**files, "SHA256SUMS.json": listing({**files, name: b"x"})})
    fails(hub, home, ContractMismatch, "no list of a model's files")
    assert len(hub.asked) == 2


@pytest.mark.parametrize("name", ["other.onnx", "notes.md", "tiny2.safetensors", "SHA256SUMS.json", "source.json"])
def test_a_list_with_more_than_the_model_is_refused(hub: Any, home: Path, name: str) -> None:
    files = published()
    del files["SHA256SUMS.json"]
    hub.commit(REPO, {**files, "SHA256SUMS.json": listing({**files, name: b"x"})})
    fails(hub, home, ContractMismatch, f"{name}.* is no")
    assert not asked_for(hub, "tiny.onnx")


def test_what_is_not_listed_is_never_asked_for(hub: Any, home: Path) -> None:
    extra = {"evil.pkl": pickle.dumps(1), "pytorch_model.bin": b"x", "more.json": b"{}", "run.py": b"x"}
    hub.commit(REPO, {**published(), **extra})
    pull(REPO, home, endpoint=hub.url)
    assert not [name for name in extra if asked_for(hub, name)]
    assert {path.name for path in home.iterdir()} == {*published(), "source.json"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tiny_onnx": None}, "lacks tiny.onnx"),
        ({"tiny_json": None}, "lists 0 model contracts"),
        ({"other_json": write_contract(tiny("other")).encode()}, "lists 2 model contracts"),
        ({"tiny_json": write_contract(tiny("else", file="tiny.onnx")).encode()}, "no part of the model else"),
        ({"tiny_json": b"{}"}, "not a model contract"),
        ({"tiny_json": b"\xff"}, "is no text"),
        ({"tiny_decision_json": b"{}"}, "org/tiny/tiny.decision.json"),
        ({"tiny_training_json": b"[]"}, "not a training record"),
        ({"tiny_md": b"\x1b]0;owned\x07"}, "control characters"),
        ({"README_md": b"caf\xe9"}, "is no text"),
    ],
    ids=lambda one: "" if isinstance(one, dict) else one,
)
def test_a_malformed_part_is_refused(hub: Any, home: Path, changes: dict[str, bytes | None], words: str) -> None:
    hub.commit(REPO, published(**changes))
    fails(hub, home, ContractMismatch, words)


@pytest.mark.parametrize("sums", [b"", b"[]", b"\xff\xfe", b'{"tiny.json": 1}', b"[" * 100_000, b'{"tiny.json": {}}'])
def test_a_malformed_list_is_refused(hub: Any, home: Path, sums: bytes) -> None:
    hub.commit(REPO, {**published(), "SHA256SUMS.json": sums})
    fails(hub, home, ContractMismatch, "SHA256SUMS.json: ")


@pytest.mark.parametrize(
    ("name", "sha256", "size"),
    [
        ("tiny.json", "0" * 64, 2**20),
        ("tiny.md", "0" * 64, 2**20),
        ("tiny.decision.json", "0" * 64, 2**20),
        ("tiny.training.json", "0" * 64, 2**24 + 1),
        ("tiny.onnx", "0" * 64, 2**31),
        ("tiny.safetensors", "0" * 64, 2**31),
        ("tiny.onnx", "0" * 64, -1),
        ("tiny.onnx", "0" * 63, 1),
        ("tiny.onnx", "A" * 64, 1),
    ],
)
def test_a_file_listed_too_large_or_without_a_digest_is_refused(
    hub: Any, home: Path, name: str, sha256: str, size: int
) -> None:
    files = published()
    sums = {**json.loads(files["SHA256SUMS.json"]), name: {"sha256": sha256, "size": size}}
    hub.commit(REPO, {**files, "SHA256SUMS.json": json.dumps(sums).encode()})
    fails(hub, home, ContractMismatch, "more than|size must be|sha256 must be")
    assert len(hub.asked) == 2


@pytest.mark.parametrize(("name", "limit"), [("SHA256SUMS.json", "1,048,575"), ("tiny.onnx", "25"), ("tiny.md", "7")])
def test_a_file_without_end_is_left_at_its_limit(hub: Any, home: Path, name: str, limit: str) -> None:
    sent = itertools.count()
    hub.commit(REPO, published())
    wrong(hub, name, (bytes(2**16) for _ in range(1024) if next(sent) >= 0))
    fails(hub, home, ModelTampered, f"{name}: has more than {limit} bytes")
    assert next(sent) < 512


def test_files_are_asked_for_as_they_are(hub: Any, home: Path) -> None:
    hub.commit(REPO, published())
    pull(REPO, home, endpoint=hub.url)
    coded = {
        {name.lower(): value for name, value in headers.items()}["accept-encoding"]
        for line, headers in zip(hub.asked, hub.headers, strict=True)
        if "/resolve/" in line or "/storage/" in line
    }
    assert coded == {"identity"}


def test_nothing_is_unpacked_on_the_way(hub: Any, home: Path) -> None:
    hub.commit(REPO, files := published())
    hub.instead["/README.md"] = 200, {"Content-Encoding": "gzip"}, gzip.compress(files["README.md"])
    fails(hub, home, ModelTampered, "README.md: ")
