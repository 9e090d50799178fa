"""Builds the parts and joins them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

from twinface.app.settings import Settings
from twinface.core.contract import DetectorContract, EncoderContract
from twinface.core.decision import DecisionRule
from twinface.core.subjects import TemplateSpace
from twinface.errors import ContractMismatch
from twinface.models.registry import ModelEntry, find, find_detector, find_encoder
from twinface.services.recognition import Recognizer
from twinface.vision.detector import OnnxDetector
from twinface.vision.encoder import OnnxEncoder
from twinface.vision.foreign import parse_detector, parse_encoder, user_contract, user_encoder
from twinface.vision.landmarks import LandmarkRefiner
from twinface.vision.pipeline import FaceAnalyzer
from twinface.vision.session import Session, SessionOptions


def load(
    model: str | None = None,
    *,
    detector: str | None = None,
    providers: Sequence[str] | str | None = None,
    threads: int | None = None,
    mirror: bool | None = None,
    calibration: str | PathLike[str] | None = None,
) -> Recognizer:
    """Loads the models and returns a recognizer, ready to compare. Offline; takes a fraction of a second.

    Args:
        model: encoder, by name, contract path or `arcface:FILE`; default: TWINFACE_MODEL or the shipped one.
        detector: by name, contract path, or `yunet:FILE`, `scrfd:FILE`, `yolo:FILE`.
        providers: ONNX Runtime execution providers, as `["CUDAExecutionProvider"]`; each is honoured or refused.
        threads: threads within a network; 0 lets ONNX Runtime choose.
        mirror: whether the mirror image's template is added; None for what the model's contract says.
        calibration: a file that `twinface calibrate --out` wrote for this model; None for the rules beside the model.

    Raises:
        ModelError: a model is missing, tampered with or unfit, was not calibrated, or a provider is not available.
        TwinFaceError: an environment variable or the number of threads makes no sense.
    """
    settings = _settings(model, detector, providers, threads)
    analyzer, entry, mirrored = _join(settings, mirror)
    rule = entry.rule(mirrored, None if calibration is None else Path(calibration))
    return Recognizer(analyzer, rule, (entry.name, analyzer.detector.name))


def load_analyzer(
    model: str | None = None,
    *,
    detector: str | None = None,
    providers: Sequence[str] | str | None = None,
    threads: int | None = None,
    mirror: bool | None = None,
) -> FaceAnalyzer:
    """As `load`, for those who want templates and no verdicts: the encoder need not have been calibrated."""
    return load_parts(model, detector=detector, providers=providers, threads=threads, mirror=mirror)[0]


def load_parts(
    model: str | None = None,
    *,
    detector: str | None = None,
    providers: Sequence[str] | str | None = None,
    threads: int | None = None,
    mirror: bool | None = None,
) -> tuple[FaceAnalyzer, ModelEntry, bool]:
    """As `load_analyzer`, with the encoder's files and whether mirror images count."""
    return _join(_settings(model, detector, providers, threads), mirror)


def encoder_entry(model: str | None = None) -> ModelEntry:
    """The files of the encoder that `load` would take.

    Raises:
        ModelError: it is missing or unfit.
    """
    settings = _settings(model, None, None, None)
    return _open_encoder(settings.model, SessionOptions(settings.providers, settings.threads))[0]


def template_space(model: str | None = None, mirror: bool | None = None) -> TemplateSpace:
    """What the encoder that `load` would take makes; a shipped one is not loaded for this.

    Raises:
        ModelError: it is missing or unfit.
    """
    settings = _settings(model, None, None, None)
    name = settings.model
    if names_own_file(name):
        kind, path = parse_encoder(name)
        contract = user_encoder(kind, path, Session(path, None, SessionOptions(settings.providers, settings.threads)))
        name = f"{name.partition(':')[0]}:{path.resolve()}"
    else:
        contract = find_encoder(name)[1]
        name = str(Path(name).resolve()) if name.endswith(".json") else name
    mirrored = contract.mirror if mirror is None else mirror
    return TemplateSpace(contract.identity(mirrored), name, mirrored, contract.dimension)


def rule_of(space: TemplateSpace) -> DecisionRule:
    """The decision rule for the templates of a gallery; no network is loaded.

    Raises:
        ModelError: the model is missing, was not calibrated, or is another one now.
    """
    name = space.model
    if names_own_file(name):
        return load(name, mirror=space.mirror).rule
    rule = find_encoder(name)[0].rule(space.mirror)
    _check_same(space, rule.model)
    return rule


def _check_same(space: TemplateSpace, identity: str) -> None:
    if identity != space.identity:
        raise ContractMismatch(
            f"the gallery's templates were made by another {space.model} ({space.identity[:12]}) than is installed "
            f"({identity[:12]}); install that one again, or twinface gallery migrate"
        )


def load_for(
    space: TemplateSpace,
    *,
    detector: str | None = None,
    providers: Sequence[str] | str | None = None,
    threads: int | None = None,
    calibration: str | PathLike[str] | None = None,
) -> Recognizer:
    """As `load`, with the encoder that made the templates of a gallery.

    Raises:
        ContractMismatch: the encoder of that name is another one now.
    """
    _check_same(space, template_space(space.model, space.mirror).identity)
    usual = template_space()
    return load(
        None if space.model == usual.model else space.model,
        detector=detector,
        providers=providers,
        threads=threads,
        mirror=None if space.mirror == template_space(space.model).mirror else space.mirror,
        calibration=calibration,
    )


def _settings(
    model: str | None, detector: str | None, providers: Sequence[str] | str | None, threads: int | None
) -> Settings:
    """What was asked for, and the environment's word on the rest."""
    if isinstance(providers, str):
        providers = [providers]
    settings = Settings.from_environment()
    return replace(
        settings,
        model=settings.model if model is None else model,
        detector=settings.detector if detector is None else detector,
        providers=settings.providers if providers is None else tuple(providers),
        threads=settings.threads if threads is None else threads,
    )


def _join(settings: Settings, mirror: bool | None) -> tuple[FaceAnalyzer, ModelEntry, bool]:
    """The analyzer, the encoder's entry, and whether mirror images count."""
    options = SessionOptions(settings.providers, settings.threads)
    entry, contract, session = _open_encoder(settings.model, options)
    mirrored = contract.mirror if mirror is None else mirror
    encoder = OnnxEncoder(contract, session, mirror=mirrored)
    return FaceAnalyzer(load_detector(settings.detector, options), encoder, contract), entry, mirrored


def _open_encoder(name: str, options: SessionOptions) -> tuple[ModelEntry, EncoderContract, Session]:
    """Finds an encoder by name, contract path or `kind:FILE`."""
    if names_own_file(name):
        kind, path = parse_encoder(name)
        session = Session(path, None, options)
        contract = user_encoder(kind, path, session)
        return ModelEntry(contract, path.parent), contract, session
    entry, contract = find_encoder(name)
    return entry, contract, Session(entry.path, contract.sha256, options)


def load_detector(name: str, options: SessionOptions | None = None) -> OnnxDetector:
    """Loads a detector by name, contract path or `kind:FILE`.

    Raises:
        ModelError: it is missing, tampered with or unfit.
    """
    contract: DetectorContract
    if names_own_file(name):
        kind, path = parse_detector(name)
        contract = user_contract(kind, path)
    else:
        entry, contract = find_detector(name)
        path = entry.path
    refiner = None
    if contract.refiner is not None:
        session = Session(Path(path).parent / contract.refiner.file, contract.refiner.sha256, options)
        refiner = LandmarkRefiner(contract.refiner, session)
    return OnnxDetector(contract, Session(Path(path), contract.sha256, options), refiner)


def weight_files(model: str, detector: str | None = None) -> list[Path]:
    """The weights that `load` would read, encoder's and detector's.

    Raises:
        ModelError: a model is not there or its contract is malformed.
    """
    files: list[Path] = []
    for name in (model, Settings.from_environment().detector if detector is None else detector):
        files += [Path(name.partition(":")[2])] if names_own_file(name) else [path for path, _ in find(name).files]
    return files


def names_own_file(name: str) -> bool:
    """Whether a model's name is `kind:FILE`, a bare ONNX file of the user's, rather than a name or a contract."""
    return ":" in name and not name.endswith(".json")
