"""Exports the shipped detector from what `detector.py` and `landmarks.py` left in runs/.

python recipes/export_detector.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from twinface.core.contract import DetectorContract, RefinerContract, write_contract
from twinface.training.detection.landmarks import LandmarkNet
from twinface.training.detection.network import STRIDES, DetectorNet, ExportedDetector
from twinface.training.export import to_onnx, write_onnx

MODELS = Path(__file__).parents[1] / "src" / "twinface" / "models"
SOURCE = "Trained by the TwinFace developers with recipes/detector.py and recipes/landmarks.py; teacher: YuNet."


def export_refiner(weights: Path, out: Path) -> RefinerContract:
    state = load_file(weights)
    points = state["guess"].numpy().reshape(5, 2)
    size = state["gather.weight"].shape[2] * 16
    network = LandmarkNet(np.asarray(points, np.float64), size)
    network.load_state_dict(state)
    model = to_onnx(network, torch.zeros(2, 3, size, size), inputs="crops", outputs=["points"])
    digest = write_onnx(model, out / "scout-points.onnx")
    return RefinerContract(
        "scout-points.onnx",
        digest,
        size,
        tuple((round(float(x), 3), round(float(y), 3)) for x, y in points),
        mirror=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detector", type=Path, default=Path("runs/detector/student.safetensors"))
    parser.add_argument("--landmarks", type=Path, default=Path("runs/landmarks/refiner.safetensors"))
    parser.add_argument("--confidence", type=float, default=0.65)
    parser.add_argument("--out", type=Path, default=MODELS)
    options = parser.parse_args()
    state = load_file(options.detector)
    network = DetectorNet(state["lateral.0.0.weight"].shape[0])
    network.load_state_dict(state)
    names = [f"{kind}_{stride}" for stride in STRIDES for kind in ("score", "box", "landmarks")]
    model = to_onnx(
        ExportedDetector(network), torch.zeros(2, 3, 192, 256), inputs="pictures", outputs=names,
        dynamic={0: "batch", 2: "height", 3: "width"},
    )  # fmt: skip
    digest = write_onnx(model, options.out / "scout.onnx")
    refiner = export_refiner(options.landmarks, options.out) if options.landmarks.is_file() else None
    contract = DetectorContract(
        name="scout",
        layout="twinface",
        file="scout.onnx",
        sha256=digest,
        channels="RGB",
        mean=0.0,
        scale=1.0,
        longest=640,
        confidence=options.confidence,
        overlap=0.3,
        licence="Apache-2.0",
        source=SOURCE,
        smallest=20.0,
        blend=0.5,
        refiner=refiner,
    )
    (options.out / "scout.json").write_text(write_contract(contract), encoding="utf-8")
    print(f"scout.onnx {digest} {(options.out / 'scout.onnx').stat().st_size} bytes")


if __name__ == "__main__":
    main()
