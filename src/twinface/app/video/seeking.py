"""Whom to find, as templates: by photos, or by what a gallery has of her."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twinface.core.files import shown
from twinface.core.ports import GalleryStore
from twinface.errors import GalleryError, PoorQuality
from twinface.services.recognition import Recognizer


def photo_templates(recognizer: Recognizer, photos: Sequence[Path]) -> NDArray[np.float32]:
    """Templates (K, D) of the photos' largest faces, each of which must be clear.

    Raises:
        ImageError: a photo cannot be read.
        FaceError: it shows no face, or none that is fit.
    """
    vectors = []
    for photo in photos:
        (face, *_) = recognizer.analyze(photo, "largest").faces
        if not face.quality.usable:
            reasons = face.quality.reasons
            raise PoorQuality(f"{shown(photo)}: {', '.join(reasons)}; seek the person by a better photo", reasons[0])
        assert face.template is not None  # analyze gives the chosen one
        vectors.append(face.template.vector)
    return np.stack(vectors)


def photo_words(photos: Sequence[Path]) -> str:
    """What somebody sought by photos is called: by the first of them, and by how many more there are."""
    first = shown(photos[0].name)
    return first if len(photos) == 1 else f"{first} and {len(photos) - 1} more"


def subject_templates(store: GalleryStore, name: str) -> tuple[str, NDArray[np.float32]]:
    """Somebody's name as it is kept, and her templates (K, D).

    Raises:
        UnknownSubject: there is no such person.
        GalleryError: she has no template of the gallery's model.
    """
    person = store.find(name)
    enrolled = store.templates()
    if person.uid not in enrolled.uids:
        raise GalleryError(f"{shown(person.name)} has no template of the gallery's model; remove and enrol her anew")
    return person.name, enrolled.vectors[enrolled.subjects == enrolled.uids.index(person.uid)]
