"""Recipe of the shipped detector's landmark refiner.

python recipes/landmarks.py --lfw DIR --lists DIR --pool DIR --teacher yunet_n.onnx

Same pictures as `detector.py`. The labels are the teacher's points, averaged over each picture and its mirror image.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from safetensors.torch import load_file

from twinface.models.registry import find_encoder
from twinface.training.detection.landmarks import CropStream, LandmarkNet, LandmarkRecipe, train_landmarks
from twinface.training.detection.pictures import read, training_pictures
from twinface.training.detection.scenes import Picture
from twinface.training.detection.teacher import TWO_VIEWS, LabelledFace, label, open_teacher
from twinface.vision.alignment import cut

SHARES = (0.4, 0.35, 0.25)
"""How often a face comes from the pool's photos, its tight faces, LFW."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lfw", type=Path, required=True)
    parser.add_argument("--lists", type=Path, required=True)
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/landmarks"))
    parser.add_argument("--steps", type=int, default=LandmarkRecipe.steps)
    parser.add_argument("--seed", type=int, default=LandmarkRecipe.seed)
    parser.add_argument("--learning-rate", type=float, default=LandmarkRecipe.learning_rate)
    parser.add_argument("--start", type=Path, help="a refiner.safetensors to go on from")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    teacher = open_teacher(options.teacher)
    pictures: list[Picture] = []
    groups: list[list[LabelledFace]] = []
    for paths in training_pictures(options.lfw, options.lists, options.pool):
        found = read(paths)
        faces = label(teacher, found, TWO_VIEWS)
        groups.append([LabelledFace(face.picture + len(pictures), face.points) for face in faces])
        pictures += found
        print(f"{len(found)} pictures, {len(faces)} faces", flush=True)
    recipe = LandmarkRecipe(options.seed, steps=options.steps, learning_rate=options.learning_rate)
    _, encoder = find_encoder("resnet29")  # the refiner sees the face as the encoder does, only smaller
    points = np.array(encoder.points) * recipe.size / encoder.size
    stream = CropStream(pictures, groups, SHARES, points, cut, recipe)
    network = LandmarkNet(points, recipe.size)
    if options.start:
        network.load_state_dict(load_file(options.start))
    train_landmarks(
        stream,
        network,
        recipe,
        options.out,
        threads=options.threads,
        report=lambda line: print(line, flush=True),
    )


if __name__ == "__main__":
    main()
