"""Writes whom the shipped models were trained on, so that `twinface evaluate` can refuse a test on them.

python recipes/training_records.py --lfw DIR --lists DIR --pool DIR

The encoder was trained elsewhere, on data sets whose persons nobody has listed. The detector's pictures of UTKFace show
a stranger each, so that there are no persons to name; its persons of LFW and CelebA are listed by name and number.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from twinface.core.files import write_atomically
from twinface.core.provenance import TrainingSet, write_training
from twinface.models.registry import HOME, TRAINING_SUFFIX
from twinface.training.detection.pictures import training_pictures

ENCODER = (
    TrainingSet("VGG Face", None),
    TrainingSet("FaceScrub", None),
    TrainingSet("pictures from the web", None),
)
"""What its author says of dlib_face_recognition_resnet_model_v1."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lfw", type=Path, required=True)
    parser.add_argument("--lists", type=Path, required=True)
    parser.add_argument("--pool", type=Path, required=True)
    options = parser.parse_args()
    wild, tight, lfw = training_pictures(options.lfw, options.lists, options.pool)
    detector = (
        TrainingSet("LFW", frozenset(path.parent.name for path in lfw)),
        TrainingSet("CelebA", frozenset(f"celeba/{path.parent.name}" for path in wild)),
        TrainingSet("UTKFace", None),
    )
    for name, sets in (("resnet29", ENCODER), ("scout", detector)):
        path = HOME / f"{name}{TRAINING_SUFFIX}"
        text = write_training(sets)
        write_atomically(path, lambda file, text=text: file.write(text.encode()))  # type: ignore[misc]
        print(
            path,
            ", ".join(f"{one.dataset}: {'not listed' if one.subjects is None else len(one.subjects)}" for one in sets),
        )
    print(f"{len(tight)} pictures of UTKFace")


if __name__ == "__main__":
    main()
