"""Builds the parts and joins them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from twinface.app.settings import Settings
from twinface.core.contract import DetectorContract
from twinface.models.registry import find_detector, find_encoder
from twinface.services.recognition import Recognizer
from twinface.vision.detector import OnnxDetector
from twinface.vision.encoder import OnnxEncoder
from twinface.vision.foreign import parse_detector, user_contract
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
) -> Recognizer:
    """Loads the models and returns a recognizer, ready to compare. Offline; takes a fraction of a second.

    Args:
        model: encoder, by name or contract path; default: TWINFACE_MODEL or the shipped one.
        detector: by name, contract path, or `yunet:FILE`, `scrfd:FILE`, `yolo:FILE`.
        providers: ONNX Runtime execution providers, as `["CUDAExecutionProvider"]`; each is honoured or refused.
        threads: threads within a network; 0 lets ONNX Runtime choose.
        mirror: whether the mirror image's template is added; None for what the model's contract says.

    Raises:
        ModelError: a model is missing, tampered with or unfit, or a provider is not available.
        TwinFaceError: an environment variable or the number of threads makes no sense.
    """
    if isinstance(providers, str):
        providers = [providers]
    settings = Settings.from_environment()
    settings = replace(
        settings,
        model=settings.model if model is None else model,
        detector=settings.detector if detector is None else detector,
        providers=settings.providers if providers is None else tuple(providers),
        threads=settings.threads if threads is None else threads,
    )
    options = SessionOptions(settings.providers, settings.threads)
    entry, contract = find_encoder(settings.model)
    encoder = OnnxEncoder(contract, Session(entry.path, contract.sha256, options), mirror=mirror)
    rule = entry.rule(contract.mirror if mirror is None else mirror)
    finder = load_detector(settings.detector, options)
    analyzer = FaceAnalyzer(finder, encoder, contract)
    return Recognizer(analyzer, rule, (contract.name, finder.name))


def load_detector(name: str, options: SessionOptions | None = None) -> OnnxDetector:
    """Loads a detector by name, contract path or `kind:FILE`.

    Raises:
        ModelError: it is missing, tampered with or unfit.
    """
    contract: DetectorContract
    if ":" in name and not name.endswith(".json"):
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
