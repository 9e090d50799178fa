"""Finds models: the shipped ones by name, others by the path of their contract."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from twinface.core.contract import Contract, DetectorContract, EncoderContract, parse_contract
from twinface.core.decision import DecisionRule, parse_rules
from twinface.core.files import read_regular, reason
from twinface.errors import ContractMismatch, ModelNotFound, ModelTampered

HOME = Path(__file__).parent
"""Folder of the shipped models."""

DEFAULT_ENCODER = "resnet29"
DEFAULT_DETECTOR = "scout"
RULES_SUFFIX = ".decision.json"


@dataclass(frozen=True)
class ModelEntry:
    """A model on disk.

    Attributes:
        contract: what it expects and yields.
        folder: where its files lie.
    """

    contract: Contract
    folder: Path

    @property
    def name(self) -> str:
        """Short name."""
        return self.contract.name

    @property
    def path(self) -> Path:
        """The ONNX file."""
        return self.folder / self.contract.file

    @property
    def files(self) -> tuple[tuple[Path, str], ...]:
        """Every weight file with the SHA-256 digest it must have."""
        files = [(self.path, self.contract.sha256)]
        if isinstance(self.contract, DetectorContract) and self.contract.refiner is not None:
            files.append((self.folder / self.contract.refiner.file, self.contract.refiner.sha256))
        return tuple(files)

    def card(self) -> str:
        """The model card, Markdown; empty when there is none."""
        path = self.folder / f"{self.name}.md"
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def rules(self) -> tuple[DecisionRule, ...]:
        """The decision rules measured for this encoder.

        Raises:
            ModelNotFound: there are none; the encoder must be calibrated first.
        """
        path = self.folder / f"{self.name}{RULES_SUFFIX}"
        try:
            text = read_regular(path).decode("utf-8")
        except FileNotFoundError as error:
            raise ModelNotFound(
                f"{path}: no decision rules for {self.name}; measure them with recipes/calibration.py"
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise ModelNotFound(f"{path}: cannot read the decision rules ({reason(error)})") from error
        return parse_rules(text, str(path))

    def rule(self, mirror: bool) -> DecisionRule:
        """The rule for templates made with or without the mirror image.

        Raises:
            ContractMismatch: the rules beside the model were measured for other weights or preprocessing.
        """
        if not isinstance(self.contract, EncoderContract):
            raise ContractMismatch(f"{self.name}: is a detector, it has no decision rules")
        identity = self.contract.identity(mirror)
        for rule in self.rules():
            if rule.model == identity:
                return rule
        raise ContractMismatch(
            f"{self.name}: no decision rule for mirror={'on' if mirror else 'off'} with these weights; "
            "calibrate the model again with recipes/calibration.py"
        )

    def verify(self) -> None:
        """Compares every weight file with its digest.

        Raises:
            ModelNotFound: a file is missing.
            ModelTampered: a digest differs.
        """
        for path, expected in self.files:
            try:
                found = hashlib.sha256(read_regular(path)).hexdigest()
            except OSError as error:
                raise ModelNotFound(f"{path}: cannot read the model ({reason(error)})") from error
            if found != expected:
                raise ModelTampered(
                    f"{path}: SHA-256 is {found[:16]}..., the contract says {expected[:16]}...; "
                    "the file was changed or damaged, install twinface again"
                )


def shipped(home: Path = HOME) -> list[ModelEntry]:
    """The models inside the package, by name."""
    paths = sorted(path for path in home.glob("*.json") if not path.name.endswith(RULES_SUFFIX))
    return [_read(path) for path in paths]


def find(name: str, home: Path = HOME) -> ModelEntry:
    """A shipped model by its name, or any by the path of its contract (a .json file).

    Raises:
        ModelNotFound: neither; the message lists the shipped names.
        ContractMismatch: the contract is malformed.
    """
    if name.endswith(".json"):
        path = Path(name)
        if not path.is_file():
            raise ModelNotFound(f"{path}: no such model contract")
        return _read(path)
    for entry in shipped(home):
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in shipped(home))
    raise ModelNotFound(f"no model named {name!r}; shipped: {known}; or give the path of a contract (.json)")


def find_encoder(name: str) -> tuple[ModelEntry, EncoderContract]:
    """As `find`, and it must be an encoder.

    Raises:
        ModelNotFound: it is not.
    """
    entry = find(name)
    if not isinstance(entry.contract, EncoderContract):
        raise ModelNotFound(f"{name} is a detector, not an encoder; see twinface models list")
    return entry, entry.contract


def find_detector(name: str) -> tuple[ModelEntry, DetectorContract]:
    """As `find`, and it must be a detector.

    Raises:
        ModelNotFound: it is not.
    """
    entry = find(name)
    if not isinstance(entry.contract, DetectorContract):
        raise ModelNotFound(f"{name} is an encoder, not a detector; see twinface models list")
    return entry, entry.contract


def _read(path: Path) -> ModelEntry:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelNotFound(f"{path}: cannot read the contract ({reason(error)})") from error
    return ModelEntry(parse_contract(text, str(path)), path.parent)
