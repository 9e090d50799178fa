"""Recipe of the shipped detector.

python recipes/detector.py --lfw DIR --lists DIR --pool DIR --teacher yunet_n.onnx

Pictures: LFW people who occur neither in View 2's pairs nor in DevTest's, and nine tenths of the pool
(the rest is kept for `benchmarks/detector.py`). Then run `landmarks.py` and `export_detector.py`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from twinface.training.detection.distillation import DistillationRecipe, SceneStream, distil
from twinface.training.detection.pictures import read, training_pictures
from twinface.training.detection.teacher import open_teacher

SHARES = (0.45, 0.25, 0.3)
"""How often a scene draws from the pool's photos, its tight faces, LFW."""


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
    skip = options.steps if options.resume else 0
    stream = SceneStream(sources, SHARES, lambda: open_teacher(options.teacher), recipe, skip)
    distil(
        stream,
        recipe,
        options.out,
        threads=options.threads,
        resume=options.resume,
        report=lambda line: print(line, flush=True),
    )


if __name__ == "__main__":
    main()
