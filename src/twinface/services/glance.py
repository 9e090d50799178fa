"""Analyzers around another one."""

from __future__ import annotations

from collections.abc import Sequence

from twinface.core.ports import Analyzer, Detector, Encoder
from twinface.core.types import Analysis, Face


class AnalyzerAround:
    """An analyzer that leaves the work to another one; subclasses do some of it otherwise.

    Args:
        inner: does the work.
    """

    def __init__(self, inner: Analyzer) -> None:
        self._inner = inner

    @property
    def identity(self) -> str:
        """See the port."""
        return self._inner.identity

    @property
    def encoder(self) -> Encoder:
        """See the port."""
        return self._inner.encoder

    @property
    def detector(self) -> Detector:
        """See the port."""
        return self._inner.detector

    def locate(self, source: object) -> Analysis:
        """See the port."""
        return self._inner.locate(source)

    def encode(self, faces: Sequence[Face]) -> tuple[Face, ...]:
        """See the port."""
        return self._inner.encode(faces)


class Glance(AnalyzerAround):
    """An analyzer that remembers what it saw last.

    Args:
        inner: does the work.
    """

    def __init__(self, inner: Analyzer) -> None:
        super().__init__(inner)
        self.faces: tuple[Face, ...] = ()
        """Of the last picture; none if it could not be looked at."""

    def locate(self, source: object) -> Analysis:
        """See the port."""
        self.faces = ()
        analysis = super().locate(source)
        self.faces = analysis.faces
        return analysis
