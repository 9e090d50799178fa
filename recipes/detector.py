"""Recipe of the shipped detector: python recipes/detector.py --lfw DIR --lists DIR --pool DIR --teacher yunet_n.onnx.

Pictures: LFW people who occur neither in View 2's pairs nor in DevTest's, and nine tenths of the pool
(the rest, chosen by the digest of the file's name, is kept for `benchmarks/detector.py`).
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from twinface.datasets import lfw
from twinface.training.distillation import DistillationRecipe, SceneStream, Teacher, distil
from twinface.training.scenes import Picture


def held_out(path: Path) -> bool:
    """Whether a pool picture is kept from training: one in ten, by its name."""
    return hashlib.sha256(path.name.encode()).digest()[0] % 10 == 0


def read(paths: list[Path]) -> list[Picture]:
    return [np.ascontiguousarray(cv2.imread(str(path))[..., ::-1]) for path in paths]


def training_pictures(root: Path, lists: Path, pool: Path) -> list[list[Path]]:
    """CelebA, UTKFace and LFW paths that may be trained on."""
    reserved = lfw.people_in(lfw.read_pairs(lists / "pairs.txt"))
    reserved |= lfw.people_in(lfw.read_pairs(lists / "pairsDevTest.txt"))
    people = lfw.pictures(root)
    allowed = [path for name, paths in people.items() if name not in reserved for path in paths]
    kept = [path for path in sorted(pool.glob("celeba/*/*.webp")) if not held_out(path)]
    tight = [path for path in sorted(pool.glob("utkface/*.webp")) if not held_out(path)]
    return [kept, tight, allowed]


def open_teacher(path: Path) -> Teacher:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(batch: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(None, {"input": batch}), strict=True))

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lfw", type=Path, required=True)
    parser.add_argument("--lists", type=Path, required=True)
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/detector"))
    parser.add_argument("--steps", type=int, default=DistillationRecipe.steps)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    sources = [read(paths) for paths in training_pictures(options.lfw, options.lists, options.pool)]
    print("pictures:", [len(source) for source in sources], flush=True)
    recipe = DistillationRecipe(steps=options.steps)
    stream = SceneStream(sources, (0.45, 0.25, 0.3), lambda: open_teacher(options.teacher), recipe)
    distil(
        stream, recipe, options.out, threads=options.threads, resume=options.resume,
        report=lambda line: print(line, flush=True),
    )


if __name__ == "__main__":
    main()
