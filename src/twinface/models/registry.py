"""Finds models: the shipped ones by name, others by the path of their contract."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from twinface.core.contract import Contract, DetectorContract, EncoderContract, parse_contract
from twinface.core.decision import DecisionRule, parse_rules, write_rules
from twinface.core.files import read_regular, reason, shown, write_atomically
from twinface.core.provenance import TrainingSet, parse_training
from twinface.errors import ContractMismatch, ModelNotFound, ModelTampered

HOME = Path(__file__).parent
"""Folder of the shipped models."""

DEFAULT_ENCODER = "twin-r29"
DEFAULT_DETECTOR = "scout"
RULES_SUFFIX = ".decision.json"
TRAINING_SUFFIX = ".training.json"
RESULTS_SUFFIX = ".results.json"
"""What came of the run that trained a shipped model; for people."""


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

    def training(self) -> tuple[TrainingSet, ...] | None:
        """Whom the model was trained on, None where there is no record of it.

        Raises:
            ContractMismatch: the record is malformed or cannot be read.
        """
        path = self.folder / f"{self.name}{TRAINING_SUFFIX}"
        try:
            return parse_training(read_regular(path).decode("utf-8-sig"), str(path))
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise ContractMismatch(f"{path}: cannot read the training record ({reason(error)})") from error

    @property
    def rules_path(self) -> Path:
        """The file of decision rules."""
        return self.folder / f"{self.name}{RULES_SUFFIX}"

    def rules(self) -> tuple[DecisionRule, ...]:
        """The decision rules measured for this encoder.

        Raises:
            ModelNotFound: there are none; the encoder must be calibrated first.
        """
        if not self.rules_path.exists():
            raise ModelNotFound(
                f"{self.rules_path}: no decision rules for {self.name}; measure them with "
                "twinface calibrate --model MODEL --out FILE and give them with --calibration FILE"
            )
        return read_rules(self.rules_path)

    def rule(self, mirror: bool, calibration: Path | None = None) -> DecisionRule:
        """The rule for templates made with or without the mirror image.

        Args:
            mirror: whether the mirror image counts.
            calibration: a user's own file of rules; None for the one beside the model.

        Raises:
            ModelNotFound: there is no such file.
            ContractMismatch: its rules were measured for other weights or preprocessing.
        """
        if not isinstance(self.contract, EncoderContract):
            raise ContractMismatch(f"{self.name}: is a detector, it has no decision rules")
        rules = {rule.model: rule for rule in (self.rules() if calibration is None else read_rules(calibration))}
        found = rules.get(self.contract.identity(mirror))
        if found is not None:
            return found
        where = self.name if calibration is None else shown(calibration)
        whose = "" if calibration is None else f" of {self.name}"
        lack = f"{where}: no decision rule{whose} for mirror={'on' if mirror else 'off'}"
        flip, other = ("--flip", "--no-flip") if mirror else ("--no-flip", "--flip")
        if self.contract.identity(not mirror) in rules:
            raise ContractMismatch(f"{lack}; there is one for {other}, or calibrate with {flip}")
        raise ContractMismatch(f"{lack} with these weights; calibrate this model with twinface calibrate")

    def keep(self, rules: Iterable[DecisionRule]) -> None:
        """Writes rules beside the model; those of other weights and preprocessing stay.

        Raises:
            ModelNotFound: the rules there are cannot be read.
            ContractMismatch: they are malformed.
            OutputError: the file cannot be written.
        """
        fresh = {rule.model: rule for rule in rules}
        old = {rule.model: rule for rule in self.rules()} if self.rules_path.exists() else {}
        content = write_rules((old | fresh).values()).encode()
        write_atomically(self.rules_path, lambda file: file.write(content))

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


def read_rules(path: Path) -> tuple[DecisionRule, ...]:
    """Reads a file of decision rules.

    Raises:
        ModelNotFound: it cannot be read.
        ContractMismatch: it holds something else.
    """
    try:
        text = read_regular(path).decode("utf-8-sig")
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path, or no UTF-8
        raise ModelNotFound(f"{shown(path)}: cannot read the decision rules ({reason(error)})") from error
    return parse_rules(text, shown(path))


def shipped(home: Path = HOME) -> list[ModelEntry]:
    """The models inside the package, by name."""
    paths = sorted(
        path for path in home.glob("*.json") if not path.name.endswith((RULES_SUFFIX, TRAINING_SUFFIX, RESULTS_SUFFIX))
    )
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
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelNotFound(f"{path}: cannot read the contract ({reason(error)})") from error
    return ModelEntry(parse_contract(text, str(path)), path.parent)
