"""What a model expects and yields: read from the JSON file beside its weights, hashed into its identity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any, Literal

from twinface.errors import ContractMismatch

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class EncoderContract:
    """How a face becomes a template.

    Attributes:
        name: short name of the model.
        file: name of the ONNX file beside the contract.
        sha256: digest of that file, hexadecimal.
        size: width and height of the aligned crop, pixels.
        channels: order of the colour channels.
        mean: subtracted from each channel (0..255), in that order.
        scale: then multiplied by this.
        points: where the five landmarks lie in the crop: left eye, right eye, nose, mouth corners, as seen.
        dimension: length of the template.
        mirror: whether the templates of crop and mirror image are added by default.
        licence: of the weights.
        source: where the weights come from.
    """

    name: str
    file: str
    sha256: str
    size: int
    channels: Literal["RGB", "BGR"]
    mean: tuple[float, float, float]
    scale: float
    points: Points
    dimension: int
    mirror: bool
    licence: str
    source: str

    def __post_init__(self) -> None:
        _check_kinds(self.name, self)
        _check_names("model contract", self.name, self.file)
        _check_digest(self.name, self.sha256)
        _check_channels(self.name, self.channels)
        _check_points(self.name, self.points)
        if self.size <= 0 or self.dimension <= 0 or self.scale <= 0:
            raise ContractMismatch(f"{self.name}: size, dimension and scale must be positive")
        if len(self.mean) != 3 or not _numbers(self.mean):
            raise ContractMismatch(f"{self.name}: mean must be three numbers, got {self.mean}")

    def identity(self, mirror: bool) -> str:
        """SHA-256 over weights and preprocessing; equal identities mean comparable templates."""
        return _digest({**asdict(self), "mirror": mirror})


@dataclass(frozen=True)
class RefinerContract:
    """A second, tiny network that places the five landmarks anew on a crop around the first guess.

    Attributes:
        file: name of the ONNX file beside the contract.
        sha256: digest of that file.
        size: width and height of the crop, pixels.
        points: where the first guess is put in the crop.
        mirror: whether the answers for crop and mirror image are averaged.
    """

    file: str
    sha256: str
    size: int
    points: Points
    mirror: bool = False

    def __post_init__(self) -> None:
        _check_kinds(str(self.file), self)
        _check_names("refiner contract", self.file)
        _check_digest(self.file, self.sha256)
        _check_points(self.file, self.points)
        if self.size <= 0:
            raise ContractMismatch(f"{self.file}: size must be positive")


@dataclass(frozen=True)
class DetectorContract:
    """How a picture becomes detections.

    Attributes:
        name: short name of the model.
        layout: which decoder reads its outputs: `twinface`, `yunet`, `scrfd` or `yolo`.
        file: name of the ONNX file beside the contract.
        sha256: digest of that file, hexadecimal.
        channels: order of the colour channels.
        mean: subtracted from every channel (0..255).
        scale: then multiplied by this.
        longest: longest side pictures are shrunk to before detection, pixels; smaller ones stay as they are.
        confidence: least score of a face, in [0, 1].
        overlap: IoU above which the lesser of two boxes is dropped.
        licence: of the weights.
        source: where the weights come from.
        smallest: least width and height of a face, pixels of the input picture; lesser ones are not reported.
        blend: IoU from which a lesser box lends its landmarks to the best one, weighted by score; None: it does not.
        refiner: the landmark network, if there is one.
    """

    name: str
    layout: str
    file: str
    sha256: str
    channels: Literal["RGB", "BGR"]
    mean: float
    scale: float
    longest: int
    confidence: float
    overlap: float
    licence: str
    source: str
    smallest: float = 0.0
    blend: float | None = None
    refiner: RefinerContract | None = None

    def __post_init__(self) -> None:
        _check_kinds(self.name, self)
        _check_names("model contract", self.name, self.file)
        _check_digest(self.name, self.sha256)
        _check_channels(self.name, self.channels)
        if self.scale <= 0:
            raise ContractMismatch(f"{self.name}: scale must be positive")
        if not 0.0 < self.confidence < 1.0 or not 0.0 < self.overlap < 1.0 or self.longest < 32:
            raise ContractMismatch(f"{self.name}: confidence and overlap must lie in (0, 1), longest must be >= 32")
        if not self.smallest >= 0.0:
            raise ContractMismatch(f"{self.name}: smallest must be 0 or more, got {self.smallest}")
        if self.blend is not None and not 0.0 < self.blend <= 1.0:
            raise ContractMismatch(f"{self.name}: blend must lie in (0, 1], got {self.blend}")

    @property
    def identity(self) -> str:
        """SHA-256 over weights and settings; equal identities mean equal detections."""
        return _digest(asdict(self))


Contract = EncoderContract | DetectorContract


def parse_contract(text: str, origin: str) -> Contract:
    """Reads a contract from JSON text.

    Args:
        text: the file's content; `kind` says `encoder` or `detector`.
        origin: the file's name, for messages.

    Raises:
        ContractMismatch: not JSON, an unknown kind, or a field missing, unknown or out of range.
    """
    try:
        facts = json.loads(text)
        kind = facts.pop("kind")
        if kind == "encoder":
            return EncoderContract(**_tuples(facts))
        if kind == "detector":
            refiner = facts.pop("refiner", None)
            return DetectorContract(**_tuples(facts), refiner=_refiner(refiner))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ContractMismatch(f"{origin}: not a model contract ({error})") from error
    raise ContractMismatch(f"{origin}: kind must be encoder or detector, got {kind!r}")


def write_contract(contract: Contract) -> str:
    """The contract as JSON text, readable by `parse_contract`."""
    kind = "encoder" if isinstance(contract, EncoderContract) else "detector"
    return json.dumps({"kind": kind, **asdict(contract)}, indent=1) + "\n"


def _refiner(facts: Mapping[str, Any] | None) -> RefinerContract | None:
    return None if facts is None else RefinerContract(**_tuples(facts))


def _tuples(facts: Mapping[str, Any]) -> dict[str, Any]:
    def freeze(value: Any) -> Any:
        return tuple(freeze(item) for item in value) if isinstance(value, list) else value

    return {name: freeze(value) for name, value in facts.items()}


def _digest(facts: Mapping[str, Any]) -> str:
    """SHA-256 over what shapes a model's answers; its names and papers do not."""
    telling = {name: value for name, value in facts.items() if name not in ("name", "file", "licence", "source")}
    return hashlib.sha256(json.dumps(telling, sort_keys=True).encode()).hexdigest()


KINDS: Mapping[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}
"""What a field's annotation admits in JSON."""


def _check_kinds(name: str, contract: Contract | RefinerContract) -> None:
    """Refuses fields that hold another kind of value than their annotation says; true is no number here."""
    for field in fields(contract):
        value, kinds = getattr(contract, field.name), KINDS.get(str(field.type))
        sound = _numbers([value]) if kinds and float in kinds else not kinds or type(value) in kinds
        if not sound:
            raise ContractMismatch(f"{name}: {field.name} must be of kind {field.type}, got {value!r}")


def _check_names(origin: str, *names: str) -> None:
    """Refuses names that lead out of the contract's folder or would disturb a terminal."""
    for name in names:
        if not name or not name.isprintable() or name in (".", "..") or "/" in name or "\\" in name:
            raise ContractMismatch(f"{origin}: a name must be printable and name no folder, got {name!r}")


def _numbers(values: Iterable[object]) -> bool:
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value) for value in values)


def _check_channels(name: str, channels: str) -> None:
    if channels not in ("RGB", "BGR"):
        raise ContractMismatch(f"{name}: channels must be RGB or BGR, got {channels!r}")


def _check_points(name: str, points: Points) -> None:
    if len(points) != 5 or any(len(point) != 2 or not _numbers(point) for point in points):
        raise ContractMismatch(f"{name}: points must be five pairs of x and y, got {points}")


def _check_digest(name: str, digest: str) -> None:
    if len(digest) != 64 or any(letter not in "0123456789abcdef" for letter in digest):
        raise ContractMismatch(f"{name}: sha256 must be 64 hexadecimal digits, got {digest!r}")
