"""Settings from the environment: the only place that reads it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from twinface.errors import TwinFaceError
from twinface.models.registry import DEFAULT_DETECTOR, DEFAULT_ENCODER

MOST_THREADS = 1024
"""ONNX Runtime starts as many threads as it is told, at once."""


@dataclass(frozen=True)
class Settings:
    """What a recognizer is built from.

    Attributes:
        model: encoder, by name or contract path (TWINFACE_MODEL).
        detector: detector, by name, contract path or `kind:FILE` (TWINFACE_DETECTOR).
        providers: ONNX Runtime execution providers, first choice first (TWINFACE_PROVIDERS, comma separated).
        threads: threads within a network, 0 lets ONNX Runtime choose (TWINFACE_THREADS).

    Raises:
        TwinFaceError: `threads` is negative or beyond all reason.
    """

    model: str = DEFAULT_ENCODER
    detector: str = DEFAULT_DETECTOR
    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    threads: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.threads <= MOST_THREADS:
            raise TwinFaceError(f"threads must be a number from 0 to {MOST_THREADS}, got {self.threads}")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Reads the variables above; those unset or empty keep their default.

        Raises:
            TwinFaceError: TWINFACE_THREADS is no whole number from 0 up.
        """
        found = os.environ if environment is None else environment
        threads = found.get("TWINFACE_THREADS") or "0"
        if not threads.isdecimal() or len(threads) > 9:
            raise TwinFaceError(f"TWINFACE_THREADS must be a whole number from 0 up, got {threads!r}")
        names = tuple(name.strip() for name in found.get("TWINFACE_PROVIDERS", "").split(",") if name.strip())
        return cls(
            found.get("TWINFACE_MODEL") or cls.model,
            found.get("TWINFACE_DETECTOR") or cls.detector,
            names or cls.providers,
            int(threads),
        )


def cache_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Where what can be computed again is kept: TWINFACE_CACHE, or the platform's place for it."""
    from platformdirs import user_cache_path

    found = os.environ if environment is None else environment
    return Path(found.get("TWINFACE_CACHE") or user_cache_path("twinface", appauthor=False))


def data_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Where fetched data sets are kept: TWINFACE_DATA, or the platform's place for a user's data."""
    from platformdirs import user_data_path

    found = os.environ if environment is None else environment
    return Path(found.get("TWINFACE_DATA") or user_data_path("twinface", appauthor=False))


def gallery_path(environment: Mapping[str, str] | None = None) -> Path:
    """The gallery used when none is named: TWINFACE_GALLERY, or one among the user's data."""
    found = os.environ if environment is None else environment
    return Path(found.get("TWINFACE_GALLERY") or data_folder(found) / "people.db")


def passphrase(environment: Mapping[str, str] | None = None) -> str | None:
    """What opens an encrypted gallery (TWINFACE_PASSPHRASE)."""
    found = os.environ if environment is None else environment
    return found.get("TWINFACE_PASSPHRASE") or None


def hub_endpoint(environment: Mapping[str, str] | None = None) -> str | None:
    """Address of another Hub than the public one, as the Hub's own tools have it (HF_ENDPOINT)."""
    found = os.environ if environment is None else environment
    return found.get("HF_ENDPOINT") or None
