"""Models to and from the Hugging Face Hub; what is pulled is checked as a whole before any of it is kept."""

from __future__ import annotations

import hashlib
import json
import os
import unicodedata
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from twinface.core.contract import Contract, EncoderContract, parse_contract
from twinface.core.decision import DecisionRule, parse_rules
from twinface.core.files import reason, shown
from twinface.core.provenance import parse_training
from twinface.errors import ContractMismatch, ModelNotFound, ModelTampered
from twinface.models.hub_client import HUB, HubClient
from twinface.models.hub_files import (
    LIST,
    WEIGHTS,
    Listed,
    Listing,
    check_listing,
    check_safetensors,
    contract_file,
    gather,
    is_digest,
    most,
    parse_listing,
)
from twinface.models.hub_folder import put_in_place, refuse_foreign, workshop, writing
from twinface.models.registry import RULES_SUFFIX, TRAINING_SUFFIX, ModelEntry

Progress = Callable[[int, int], object]
"""Told the bytes that are here and the bytes there will be."""


@dataclass(frozen=True)
class Pulled:
    """A model that has arrived.

    Attributes:
        entry: the model.
        commit: the commit of its repository.
        calibrated: whether decision rules for it came along; a detector needs none.
    """

    entry: ModelEntry
    commit: str
    calibrated: bool

    @property
    def contract_path(self) -> Path:
        """The contract, by which the model is named to every command."""
        return self.entry.folder / f"{self.entry.name}.json"


def push(
    repo: str,
    entry: ModelEntry,
    *,
    weights: Path | None = None,
    private: bool = False,
    message: str | None = None,
    endpoint: str | None = None,
) -> str:
    """Publishes a model: ONNX, contract and card, with decision rules, training record and safetensors where there are.

    A repository holds one model: what an earlier push has put there under other names stays, but is listed no longer.

    Args:
        repo: "org/name"; it is made where there is none.
        entry: the model.
        weights: a safetensors file with its weights for training on.
        private: only its owners see it.
        message: the commit's; a sentence if None.
        endpoint: address of the Hub, if not the public one.

    Returns:
        The commit.

    Raises:
        ModelNotFound: a file is missing, or the Hub refuses or cannot be reached.
        ModelTampered: the weights are not what the contract says.
        ContractMismatch: a file is malformed, too large or has a name that does not suit.
    """
    client = HubClient(repo, endpoint or HUB)
    entry.verify()
    entry.training()
    if entry.rules_path.exists():
        entry.rules()
    files = gather(entry, weights)
    return client.publish(files, message or f"{entry.name}, ONNX {entry.contract.sha256[:12]}", private)


def pull(
    repo: str,
    target: Path,
    *,
    revision: str = "main",
    sha256: str | None = None,
    endpoint: str | None = None,
    progress: Progress | None = None,
) -> Pulled:
    """Fetches a model that `push` has published, whole or not at all; nothing is unpickled, nothing else is fetched.

    Args:
        repo: "org/name".
        target: folder to put it in; one with an earlier, unchanged pull of the same repository is replaced.
        revision: branch, tag or commit.
        sha256: the digest that the ONNX file must have.
        endpoint: address of the Hub, if not the public one.
        progress: told how far it is.

    Raises:
        ModelNotFound: there is no such model, or the Hub refuses or cannot be reached.
        ModelTampered: a file is not what list, contract or `sha256` say.
        ContractMismatch: list, contract, decision rules, training record or card are malformed.
        OutputError: the folder holds something else, or cannot be written.
    """
    client = HubClient(repo, endpoint or HUB)
    pin = None if sha256 is None else sha256.lower()
    if pin is not None and not is_digest(pin):
        raise ModelNotFound(f"{shown(pin)}: no SHA-256 digest; give its 64 hexadecimal digits")
    with writing(target):
        home = Path(os.path.realpath(target))
    refuse_foreign(home, repo)
    commit = client.commit_of(revision)
    with workshop(home) as fresh:
        parcel = _Parcel(client, commit, fresh, progress)
        listing = parcel.listing()
        contract = parcel.contract(listing, pin)
        for name in sorted(listing.keys() - parcel.here.keys()):
            parcel.fetch(name, listing[name])
        calibrated = parcel.check(contract)
        facts = {"repo": repo, "endpoint": client.endpoint, "revision": revision, "commit": commit}
        files = {name: asdict(one) for name, one in sorted(parcel.here.items())}
        put_in_place(fresh, home, json.dumps({**facts, "files": files}, indent=1) + "\n", repo)
    return Pulled(ModelEntry(contract, home), commit, calibrated)


class _Parcel:
    """The files of one commit, on their way into a folder.

    Attributes:
        here: those that have arrived.
    """

    def __init__(self, client: HubClient, commit: str, folder: Path, progress: Progress | None) -> None:
        self._client, self._commit, self._folder, self._progress = client, commit, folder, progress
        self._total = 0
        self.here: dict[str, Listed] = {}

    def listing(self) -> Listing:
        """Fetches the list, which nothing vouches for yet."""
        self.fetch(LIST, None)
        listing = parse_listing(self._text(LIST), self._origin(LIST))
        self._total = sum(one.size for one in (*self.here.values(), *listing.values()))
        return listing

    def contract(self, listing: Listing, pin: str | None) -> Contract:
        """Fetches the contract; what list and pin say must agree with it before any weights are asked for."""
        name = contract_file(listing, self._origin(LIST))
        self.fetch(name, listing[name])
        contract = parse_contract(self._text(name), self._origin(name))
        check_listing(listing, contract, self._origin(LIST))
        if pin not in (None, contract.sha256):
            raise ModelTampered(
                f"{self._origin(contract.file)}: has SHA-256 {contract.sha256[:16]}..., not {pin[:16]}... as was asked "
                "for; nothing was kept, give the --revision that has it"
            )
        return contract

    def fetch(self, name: str, expected: Listed | None) -> None:
        """Downloads a file, no further than its listed size; without one, than any such file may have."""
        size, limit = 0, most(name) if expected is None else expected.size
        before = sum(one.size for one in self.here.values())
        digest = hashlib.sha256()
        path = self._folder / name
        with writing(path), path.open("xb") as file, closing(self._client.portions(self._commit, name)) as portions:
            for portion in portions:
                size += len(portion)
                if size > limit:
                    raise ModelTampered(f"{self._origin(name)}: has more than {limit:,} bytes; nothing was kept")
                digest.update(portion)
                file.write(portion)
                if self._progress is not None and self._total:
                    self._progress(before + size, self._total)
        found = Listed(digest.hexdigest(), size)
        if expected is not None and expected != found:
            raise ModelTampered(
                f"{self._origin(name)}: came with {size:,} bytes and SHA-256 {found.sha256[:16]}..., is listed with "
                f"{expected.size:,} and {expected.sha256[:16]}...; nothing was kept, run again or ask its owner"
            )
        self.here[name] = found

    def check(self, contract: Contract) -> bool:
        """Reads what is neither contract nor weights; returns whether there are decision rules for the model."""
        rules: tuple[DecisionRule, ...] = ()
        for name in self.here:
            if name.endswith(RULES_SUFFIX):
                rules = parse_rules(self._text(name), self._origin(name))
            elif name.endswith(TRAINING_SUFFIX):
                parse_training(self._text(name), self._origin(name))
            elif name.endswith(".md"):
                self._text(name)
            elif name.endswith(WEIGHTS):
                with writing(self._folder / name):
                    check_safetensors(self._folder / name, self._origin(name))
        if not isinstance(contract, EncoderContract):
            return True
        return contract.identity(contract.mirror) in {rule.model for rule in rules}

    def _text(self, name: str) -> str:
        """A file's text; what would move a terminal's cursor or colour it, as a card is printed, is refused."""
        with writing(self._folder / name):
            content = (self._folder / name).read_bytes()
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ContractMismatch(f"{self._origin(name)}: is no text ({reason(error)})") from error
        if any(unicodedata.category(sign) == "Cc" and sign not in "\n\r\t" for sign in text):
            raise ContractMismatch(f"{self._origin(name)}: holds control characters, which no text needs")
        return text

    def _origin(self, name: str) -> str:
        return f"{self._client.repo}/{name}"
