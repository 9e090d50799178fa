"""A small model as a push lays it down, honest or spoilt, and what is promised where one is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from twinface.core.calibration import LogisticCurve
from twinface.core.contract import EncoderContract, write_contract
from twinface.core.decision import DecisionRule, OperatingPoint, write_rules
from twinface.models.hub import pull
from twinface.models.hub_files import Listed, write_listing

REPO = "org/tiny"
WEIGHTS = b"\x08\x08what a network would be"
POINTS = ((38.3, 51.7), (73.5, 51.5), (56.0, 71.7), (41.5, 92.4), (70.7, 92.2))


def tiny(name: str = "tiny", weights: bytes = WEIGHTS, **facts: Any) -> EncoderContract:
    digest = hashlib.sha256(weights).hexdigest()
    contract = EncoderContract(
        name, f"{name}.onnx", digest, 112, "RGB", (127.5, 127.5, 127.5), 1 / 128, POINTS, 16, True, "MIT", "the tests"
    )
    return replace(contract, **facts)


def rules_for(contract: EncoderContract) -> str:
    identity = contract.identity(contract.mirror)
    point = OperatingPoint(identity, "own", 1e-3, 1.0, 1.0, 1.0, 10_000, 100, 0.0, 0.0, 0.03)
    return write_rules([DecisionRule(identity, LogisticCurve(-60.0, 25.0, 1e-3), (point,), 1e-3)])


def safetensors(data: bytes = b"\0" * 8, end: int | None = None) -> bytes:
    offsets = [0, len(data) if end is None else end]
    head = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": offsets}, "__metadata__": {}}).encode()
    return len(head).to_bytes(8, "little") + head + data


def published(contract: EncoderContract | None = None, **changes: bytes | None) -> dict[str, bytes]:
    """A sound model's files by their names, changed before they are listed; None takes one away, _ is read as dot."""
    contract = contract or tiny()
    files: dict[str, bytes | None] = {
        "tiny.json": write_contract(contract).encode(),
        "tiny.onnx": WEIGHTS,
        "tiny.md": b"# tiny\n",
        "README.md": b"# tiny\n",
    }
    files |= {name.replace("_", "."): content for name, content in changes.items()}
    kept = {name: content for name, content in files.items() if content is not None}
    return {**kept, "SHA256SUMS.json": listing(kept)}


def listing(files: dict[str, bytes]) -> bytes:
    listed = {name: Listed(hashlib.sha256(one).hexdigest(), len(one)) for name, one in files.items()}
    return write_listing(listed).encode()


def nothing_left(home: Path) -> bool:
    return not home.exists() and (not home.parent.exists() or not list(home.parent.iterdir()))


def wrong(hub: Any, name: str, body: bytes | Iterator[bytes]) -> None:
    """From here on, that file's content is another."""
    part = f"GET /storage/{hashlib.sha256(WEIGHTS).hexdigest()}" if name.endswith(".onnx") else f"/{name}"
    hub.instead[part] = 200, {}, body


def fails(hub: Any, home: Path, kind: type[Exception], words: str | None, **options: Any) -> None:
    with pytest.raises(kind, match=words) as error:
        pull(REPO, home, endpoint=hub.url, **options)
    assert str(error.value).isprintable()
    assert nothing_left(home)


def asked_for(hub: Any, name: str) -> bool:
    return any(line.endswith(f"/{name}") for line in hub.asked)
