"""TwinFace tells whether two faces show the same person.

    import twinface

    recognizer = twinface.load()
    comparison = recognizer.compare("a.jpg", "b.jpg")
    comparison.same, comparison.probability

    with twinface.Gallery.open("people.db") as gallery:
        gallery.enroll("Ada", ["a.jpg"])
        gallery.identify("who.jpg").names

Importing this package loads neither ONNX Runtime nor torch; `load` does the former.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from twinface.errors import TwinFaceError

if TYPE_CHECKING:
    from twinface.app.gallery import Gallery
    from twinface.app.wiring import load
    from twinface.core.types import Analysis, Box, Comparison, Face, Landmarks, Quality, Template
    from twinface.services.recognition import Recognizer

__version__ = "0.1.0"

_HOMES = {
    "load": "twinface.app.wiring",
    "Gallery": "twinface.app.gallery",
    "Recognizer": "twinface.services.recognition",
    "Analysis": "twinface.core.types",
    "Box": "twinface.core.types",
    "Comparison": "twinface.core.types",
    "Face": "twinface.core.types",
    "Landmarks": "twinface.core.types",
    "Quality": "twinface.core.types",
    "Template": "twinface.core.types",
}

__all__ = [
    "Analysis",
    "Box",
    "Comparison",
    "Face",
    "Gallery",
    "Landmarks",
    "Quality",
    "Recognizer",
    "Template",
    "TwinFaceError",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'twinface' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__", "errors"])
