"""The models as the server uses them: smaller pictures only, named by their field, and times told to the metrics."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from twinface.app.server.batching import Batcher
from twinface.services.glance import AnalyzerAround
from twinface.vision.images import DecodeLimits, ImageSource, decode

if TYPE_CHECKING:
    from twinface.app.server.metrics import Metrics
    from twinface.core.ports import Analyzer
    from twinface.core.types import Analysis, Face
    from twinface.services.recognition import Recognizer


class Upload(io.BytesIO):
    """A picture that came over the network.

    Args:
        content: its bytes.
        name: what messages call it: the field it came in, never what the client named the file.
    """

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


class ServingAnalyzer(AnalyzerAround):
    """An analyzer that refuses what is too large for a server.

    Args:
        inner: does the work.
        limits: what is refused before decoding.
        metrics: told how long the models took.
    """

    def __init__(self, inner: Analyzer, limits: DecodeLimits, metrics: Metrics) -> None:
        super().__init__(inner)
        self._limits, self._metrics = limits, metrics
        self._encode: Batcher[Face, Face] = Batcher(self._encoded)

    def locate(self, source: object) -> Analysis:
        """See the port."""
        with self._metrics.model("decode"):
            picture = decode(cast(ImageSource, source), limits=self._limits)
        with self._metrics.model("detect"):
            found = self._inner.locate(picture.pixels)
        return replace(found, name=picture.name, notes=(*picture.notes, *found.notes))

    def encode(self, faces: Sequence[Face]) -> tuple[Face, ...]:
        """See the port; faces of several requests are encoded together."""
        return self._encode(faces) if faces else ()

    def _encoded(self, faces: Sequence[Face]) -> tuple[Face, ...]:
        with self._metrics.model("encode"):
            return self._inner.encode(faces)


def serving(recognizer: Recognizer, limits: DecodeLimits, metrics: Metrics) -> Recognizer:
    """The same recognizer, behind these limits."""
    from twinface.services.recognition import Recognizer as Judge

    analyzer: Any = ServingAnalyzer(recognizer.analyzer, limits, metrics)
    return Judge(analyzer, recognizer.rule, (recognizer.encoder_name, recognizer.detector_name))
