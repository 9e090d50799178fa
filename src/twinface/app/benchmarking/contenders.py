"""The systems a benchmark measures, all behind one protocol: pixels in, template out, nothing shared."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from twinface.app.benchmarking.peers import FaceRecognition
from twinface.core.contract import EncoderContract
from twinface.core.ports import TemplateCache
from twinface.core.types import Acquired, Face, Image
from twinface.errors import ImageError


class Contender(Protocol):
    """A system, loaded and ready."""

    @property
    def name(self) -> str:
        """As the table calls it."""
        ...

    @property
    def detail(self) -> str:
        """What it consists of, in a few words."""
        ...

    @property
    def size_on_disk(self) -> int:
        """Bytes of its weights."""
        ...

    def read(self, content: bytes) -> Image:
        """Decodes a picture its own way: RGB uint8 (H, W, 3).

        Raises:
            ImageError: it cannot.
        """
        ...

    def detect(self, image: Image) -> Any | None:
        """The central face, in whatever form `encode` takes; None without one."""
        ...

    def encode(self, image: Image, face: Any) -> NDArray[np.float32]:
        """That face's template, float32 (D,)."""
        ...

    def acquire(self, contents: Sequence[bytes], cache: TemplateCache | None) -> list[Acquired]:
        """What pictures give, from the cache where they are known."""
        ...


@dataclass(frozen=True)
class Entrant:
    """What is to be measured; small enough to travel to the process that measures it.

    Attributes:
        kind: TwinFace, or a peer.
        model: TwinFace's encoder; see `wiring.load`.
        detector: its detector; None for the default.
        mirror: whether mirror images count.
    """

    kind: Literal["twinface", "face_recognition"]
    model: str = ""
    detector: str | None = None
    mirror: bool = False

    @property
    def name(self) -> str:
        """What it is called before anyone has loaded it."""
        return FaceRecognition.name if self.kind == "face_recognition" else self.model

    def missing(self) -> str | None:
        """What to do to have it measured; None where it can be."""
        return FaceRecognition.missing() if self.kind == "face_recognition" else None

    def load(self, threads: int) -> Contender:
        """Loads it.

        Raises:
            ModelError: a model is missing, tampered with or unfit.
        """
        if self.kind == "face_recognition":
            return Peer(FaceRecognition())
        return Own(self, threads)


def entrants(models: Sequence[str], detector: str | None) -> list[Entrant]:
    """Who takes part: the shipped encoders with and without mirror, the default first; the user's; the peers.

    Args:
        models: encoders the user names, as for `wiring.load`; they run as their contracts say.
        detector: of them all.

    Raises:
        ModelError: an encoder is not there or its contract is malformed.
    """
    from twinface.app.wiring import names_own_file
    from twinface.models.registry import DEFAULT_ENCODER, find_encoder, shipped

    names = [DEFAULT_ENCODER]
    names += [one.name for one in shipped() if isinstance(one.contract, EncoderContract) and one.name not in names]
    mirrors = {name: find_encoder(name)[1].mirror for name in names}
    found = [
        Entrant("twinface", name, detector, mirror) for name in names for mirror in (mirrors[name], not mirrors[name])
    ]
    for name in dict.fromkeys(models):
        if name not in names:
            mirror = not names_own_file(name) and find_encoder(name)[1].mirror
            found.append(Entrant("twinface", name, detector, mirror))
    return [*found, Entrant("face_recognition")]


class Own:
    """TwinFace with one encoder.

    Raises:
        ModelError: a model is missing, tampered with or unfit.
    """

    def __init__(self, entrant: Entrant, threads: int) -> None:
        import cv2

        from twinface.app.wiring import load_analyzer, weight_files
        from twinface.models.registry import shipped

        cv2.setNumThreads(threads)
        self._analyzer = load_analyzer(entrant.model, detector=entrant.detector, threads=threads, mirror=entrant.mirror)
        own = any(one.name == entrant.model for one in shipped())
        self.name = ("TwinFace " if own else "") + self._analyzer.encoder.name
        self.detail = f"{self._analyzer.detector.name}, mirror {'on' if entrant.mirror else 'off'}"
        files = weight_files(entrant.model, entrant.detector)
        self.size_on_disk = sum(path.stat().st_size for path in files)

    def read(self, content: bytes) -> Image:
        """Decodes."""
        from twinface.vision.images import decode

        return decode(content).pixels

    def detect(self, image: Image) -> Face | None:
        """Finds faces, places landmarks, cuts and judges the crops; yields the central one."""
        from twinface.services.embedding import place_of

        analysis = self._analyzer.locate(image)
        return analysis.faces[place_of(analysis, "central")] if analysis.faces else None

    def encode(self, image: Image, face: Face) -> NDArray[np.float32]:  # noqa: ARG002 - the crop is made already
        """Runs the network."""
        (encoded,) = self._analyzer.encode([face])
        assert encoded.template is not None  # encode gives every face one
        return encoded.template.vector

    def acquire(self, contents: Sequence[bytes], cache: TemplateCache | None) -> list[Acquired]:
        """As `evaluate` does, and from the same cache."""
        from twinface.services.embedding import embed

        named = [(str(place), content) for place, content in enumerate(contents)]
        return list(embed(self._analyzer, named, choice="central", cache=cache, workers=1).values())


class Peer:
    """Another library; its templates are kept in the cache under its own identity."""

    def __init__(self, library: FaceRecognition) -> None:
        self._library = library
        self._space = library.space
        self._shape = (library.dimension,)
        self.name, self.detail, self.size_on_disk = library.name, library.detail, library.size_on_disk
        self.read, self.detect, self.encode = library.read, library.detect, library.encode

    def acquire(self, contents: Sequence[bytes], cache: TemplateCache | None) -> list[Acquired]:
        """One picture after the other."""
        from twinface.services.embedding import lasting

        digests = [hashlib.sha256(content).hexdigest() for content in contents]
        found = {} if cache is None else cache.find(self._space, digests)
        known = {digest: row for digest, row in found.items() if row.vector is None or row.vector.shape == self._shape}
        fresh = {
            digest: self._one(content) for digest, content in zip(digests, contents, strict=True) if digest not in known
        }
        if fresh and cache is not None:
            cache.keep(self._space, lasting(fresh))
        known |= fresh
        return [known[digest] for digest in digests]

    def _one(self, content: bytes) -> Acquired:
        from twinface.services.embedding import UNREADABLE

        try:
            image = self.read(content)
        except ImageError:
            return Acquired(None, 0, (UNREADABLE,))
        face = self.detect(image)
        if face is None:
            return Acquired(None, 0, ("no face",))
        return Acquired(self.encode(image, face), 1, ())
