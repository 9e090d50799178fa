"""The files a model is published as: their names, their largest sizes, the list of their digests, the card's head."""

from __future__ import annotations

import errno
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from twinface.core.contract import Contract, EncoderContract, write_contract
from twinface.core.facts import fields_of, object_of
from twinface.core.files import read_regular, reason, shown
from twinface.errors import ContractMismatch, ModelNotFound, ModelTampered
from twinface.models.registry import RULES_SUFFIX, TRAINING_SUFFIX, ModelEntry

LIST = "SHA256SUMS.json"
"""The file that lists the others with their digests and sizes."""

CARD = "README.md"
"""The card again, with the head that the Hub reads."""

SOURCE = "source.json"
"""Where a pulled model came from; written beside it, never published."""

WEIGHTS = ".safetensors"
"""Ending of the weights for training on."""

MOST: Mapping[str, int] = MappingProxyType(
    {TRAINING_SUFFIX: 2**24, ".json": 2**20 - 1, ".md": 2**20 - 1, ".onnx": 2**31 - 1, WEIGHTS: 2**31 - 1}
)
"""Bytes that a file of each ending may have; the first that fits counts, and no other ending is ever fetched."""

HEAD_MOST = 25_000_000
"""Bytes of the head of a safetensors file; the format's own libraries read no longer ones."""

LICENCES = frozenset(
    {
        "agpl-3.0", "apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0",
        "cc-by-sa-4.0", "cc0-1.0", "gpl-3.0", "isc", "lgpl-3.0", "mit", "mpl-2.0", "unlicense", "zlib",
    }
)  # fmt: skip
"""Licences that the Hub knows by their SPDX name in small letters."""

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Listed:
    """What the list says of a file.

    Attributes:
        sha256: its digest, hexadecimal.
        size: its size, bytes.
    """

    sha256: str
    size: int

    def __post_init__(self) -> None:
        if not is_digest(self.sha256):
            raise ValueError(f"sha256 must be 64 hexadecimal digits, got {shown(self.sha256)}")
        if self.size < 0:
            raise ValueError(f"size must be 0 or more, got {self.size}")


Listing = Mapping[str, Listed]
"""Every file by its name."""


def is_digest(text: str) -> bool:
    """Whether the text is a SHA-256 digest, in small letters."""
    return re.fullmatch("[0-9a-f]{64}", text) is not None


def most(name: str) -> int:
    """Bytes a file of this name may have.

    Raises:
        ValueError: the name is no plain one or its ending none of a published model's.
    """
    if not _PLAIN.fullmatch(name):
        raise ValueError(f"{shown(name)} is no plain name; letters, digits, dot, dash and underscore are")
    for ending, limit in MOST.items():
        if name.endswith(ending):
            return limit
    raise ValueError(f"{shown(name)} has none of the endings {', '.join(MOST)}")


def parse_listing(text: str, origin: str) -> Listing:
    """Reads the list of a published model.

    Raises:
        ContractMismatch: malformed, or a file is too large, has a name with a folder in it or another ending.
    """
    try:
        listing = {
            name: Listed(**fields_of(Listed, one, shown(name)))
            for name, one in object_of(json.loads(text), "it").items()
        }
        for name, one in listing.items():
            if name.casefold() in (LIST.casefold(), SOURCE.casefold()):
                raise ValueError(f"{name} is no file of a model")
            if one.size > most(name):
                raise ValueError(f"{name} has {one.size:,} bytes, more than {most(name):,}")
    except (ValueError, RecursionError) as error:
        raise ContractMismatch(f"{origin}: no list of a model's files ({reason(error)}); nothing was kept") from error
    return listing


def write_listing(listing: Listing) -> str:
    """The list as JSON text, readable by `parse_listing`."""
    return json.dumps({name: asdict(one) for name, one in sorted(listing.items())}, indent=1) + "\n"


def contract_file(listing: Listing, origin: str) -> str:
    """The name of the one contract in the list.

    Raises:
        ContractMismatch: there is none, or more than one.
    """
    found = [name for name in listing if name.endswith(".json") and not name.endswith((RULES_SUFFIX, TRAINING_SUFFIX))]
    if len(found) != 1:
        raise ContractMismatch(f"{origin}: lists {len(found)} model contracts, not one; push one model to a repository")
    return found[0]


def pinned(contract: Contract) -> dict[str, str]:
    """The weight files of a model with the digests its contract states."""
    return {path.name: sha256 for path, sha256 in ModelEntry(contract, Path()).files}


def part_names(contract: Contract) -> frozenset[str]:
    """Every name a file of this model may have.

    Raises:
        ContractMismatch: a name is not plain, a weight file is not ONNX, or two names are one where case is ignored.
    """
    name = contract.name
    endings = (".json", ".md", RULES_SUFFIX, TRAINING_SUFFIX, WEIGHTS)
    names = [*pinned(contract), *(name + ending for ending in endings), CARD]
    try:
        for one in names:
            most(one)
    except ValueError as error:
        raise ContractMismatch(f"{shown(name)}: cannot be published so ({error})") from error
    if odd := [one for one in pinned(contract) if not one.endswith(".onnx")]:
        raise ContractMismatch(f"{name}: weights must be an .onnx file, got {odd[0]}")
    if len({one.casefold() for one in (*names, LIST, SOURCE)}) < len(names) + 2:
        raise ContractMismatch(f"{name}: two of its files would have one name; choose another name for the model")
    return frozenset(names)


def check_listing(listing: Listing, contract: Contract, origin: str) -> None:
    """Compares the list with the contract.

    Raises:
        ContractMismatch: the list holds what is no part of the model, or lacks its weights.
        ModelTampered: the list and the contract disagree on the digest of the weights.
    """
    for name in sorted(listing.keys() - part_names(contract)):
        raise ContractMismatch(f"{origin}: lists {name}, which is no part of the model {contract.name}")
    if f"{contract.name}.json" not in listing:
        raise ContractMismatch(f"{origin}: the contract of {contract.name} must be named {contract.name}.json")
    for name, sha256 in pinned(contract).items():
        if name not in listing:
            raise ContractMismatch(f"{origin}: lacks {name}, which the contract names")
        if listing[name].sha256 != sha256:
            raise ModelTampered(
                f"{origin}: {name} is listed with SHA-256 {listing[name].sha256[:16]}..., the contract says "
                f"{sha256[:16]}...; nothing was kept, ask its owner"
            )


def gather(entry: ModelEntry, weights: Path | None = None) -> dict[str, bytes | Path]:
    """Every file to publish by its name there, the list included.

    Args:
        entry: the model; its weights have been verified.
        weights: a safetensors file to publish with it.

    Raises:
        ModelNotFound: there is no card, or a file cannot be read.
        ContractMismatch: a name does not suit, a file is too large or not what its name says.
    """
    contract, name = entry.contract, entry.name
    part_names(contract)
    card = entry.card()
    if not card:
        raise ModelNotFound(f"{shown(entry.folder / name)}.md: there is no model card; write one, then push again")
    found: dict[str, bytes | Path] = {
        f"{name}.json": write_contract(contract).encode(),
        f"{name}.md": card.encode(),
        CARD: with_head(card, contract).encode(),
        **{path.name: path for path, _ in entry.files},
    }
    try:
        for ending in (RULES_SUFFIX, TRAINING_SUFFIX):
            if (path := entry.folder / f"{name}{ending}").exists():
                found[path.name] = read_regular(path)
        if weights is not None:
            if weights.exists() and not weights.is_file():  # a pipe may never end
                raise OSError(errno.EINVAL, "no regular file", str(weights))
            check_safetensors(weights, shown(weights))
            found[f"{name}{WEIGHTS}"] = weights
        listing = {one: _listed(content) for one, content in found.items()}
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        where = getattr(error, "filename", None) or name
        raise ModelNotFound(f"{shown(where)}: cannot be read ({reason(error)}); nothing was pushed") from error
    parse_listing(text := write_listing(listing), name)  # what is too large to be pulled is not pushed
    return {**found, LIST: text.encode()}


def _listed(content: bytes | Path) -> Listed:
    if isinstance(content, bytes):
        return Listed(hashlib.sha256(content).hexdigest(), len(content))
    with content.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Listed(sha256, file.tell())


def with_head(card: str, contract: Contract) -> str:
    """The card with the YAML head that the Hub reads; a head of its own is left as it is.

    Source: Hugging Face, "Model Cards", section "Model card metadata".
    """
    if card.startswith("---\n"):
        return card
    licence = contract.licence.lower()
    known = licence in LICENCES
    task = "face-verification" if isinstance(contract, EncoderContract) else "face-detection"
    lines = [
        f"license: {licence if known else 'other'}",
        *([] if known else [f"license_name: {json.dumps(contract.licence)}"]),  # a JSON text is a YAML one
        "library_name: twinface",
        "tags:",
        *(f"- {tag}" for tag in ("twinface", "onnx", task)),
    ]
    return "\n".join(("---", *lines, "---", "", card))


def check_safetensors(path: Path, origin: str) -> None:
    """Looks whether a file has the head of a safetensors file, so that no pickle goes under that name.

    Source: the safetensors format: eight bytes with the length of the head, little endian, a JSON object, the data.

    Raises:
        ContractMismatch: it does not.
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > HEAD_MOST:
                raise ValueError("its head is too long")
            tensors = object_of(json.loads(file.read(length)), "its head")
            ends = [0, *(_end(one) for name, one in tensors.items() if name != "__metadata__")]
            if 8 + length + max(ends) != path.stat().st_size:
                raise ValueError("its size is not what its head says")
    except (ValueError, RecursionError) as error:
        raise ContractMismatch(f"{origin}: no safetensors file ({reason(error)}); save the weights as one") from error


def _end(tensor: Any) -> int:
    """Where a tensor's data ends."""
    offsets = object_of(tensor, "a tensor").get("data_offsets")
    if not (isinstance(offsets, list) and len(offsets) == 2 and all(type(one) is int for one in offsets)):
        raise ValueError("a tensor says not where its data is")
    return int(offsets[1])
