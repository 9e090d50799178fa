"""How often faces are called unfit, and why: ordinary LFW faces, and the same faces spoilt in known ways.

    python benchmarks/quality.py --root LFW --detector yunet:FILE.onnx

The pictures are those of View 1's training pairs; of each, the face nearest the middle. With `--pictures FOLDER` the
largest face of every picture below a folder of your own (profiles, for instance) is counted too.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures

import twinface
from twinface.core.contract import EncoderContract, parse_contract
from twinface.core.types import Box, Detection, Image, Landmarks, Quality
from twinface.datasets.lfw import open_lfw
from twinface.vision.alignment import align
from twinface.vision.detector import OnnxDetector
from twinface.vision.foreign import parse_detector, user_contract
from twinface.vision.quality import assess
from twinface.vision.session import Session, SessionOptions

NOISE = np.random.default_rng(0)


@dataclass(frozen=True)
class Sample:
    """A face as `assess` takes it."""

    landmarks: Landmarks
    crop: Image
    shape: tuple[int, int]
    box: Box


def pixels(values: NDArray[Any]) -> Image:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def lit(sample: Sample, gain: float, offset: float = 0.0) -> Sample:
    return Sample(sample.landmarks, pixels(sample.crop.astype(np.float64) * gain + offset), sample.shape, sample.box)


def blurred(sample: Sample, sigma: float, noise: float = 0.0) -> Sample:
    soft = cv2.GaussianBlur(sample.crop, (0, 0), sigma) if sigma else sample.crop
    grain = NOISE.normal(0, noise, sample.crop.shape) if noise else 0.0
    return Sample(sample.landmarks, pixels(soft + grain), sample.shape, sample.box)


def shrunk(sample: Sample, eyes: float) -> Sample:
    """The face as if its eyes lay so many pixels apart, its crop enlarged from there."""
    factor = eyes / sample.landmarks.eye_distance
    side = max(2, round(sample.crop.shape[0] * eyes / 54))
    small = cv2.resize(sample.crop, (side, side), interpolation=cv2.INTER_AREA)
    crop = np.asarray(cv2.resize(small, sample.crop.shape[:2], interpolation=cv2.INTER_LINEAR), np.uint8)
    box = Box(*(factor * value for value in (sample.box.x, sample.box.y, sample.box.width, sample.box.height)))
    shape = (round(sample.shape[0] * factor), round(sample.shape[1] * factor))
    return Sample(Landmarks(sample.landmarks.points * np.float32(factor)), crop, shape, box)


def halved(sample: Sample) -> Sample:
    """The picture ends at the nose."""
    return Sample(sample.landmarks, sample.crop, (sample.shape[0], int(sample.landmarks.points[2, 0])), sample.box)


SPOILT: dict[str, Callable[[Sample], Sample]] = {
    "as they are": lambda sample: sample,
    "noise 10": lambda sample: blurred(sample, 0, 10),
    "gain 0.3": lambda sample: lit(sample, 0.3),
    "blur 2 px": lambda sample: blurred(sample, 2),
    "blur 3 px": lambda sample: blurred(sample, 3),
    "blur 4 px": lambda sample: blurred(sample, 4),
    "blur 4 px, noise 10": lambda sample: blurred(sample, 4, 10),
    "gain 0.08": lambda sample: lit(sample, 0.08),
    "overexposed": lambda sample: lit(sample, 1, 170),
    "contrast x 0.1": lambda sample: lit(sample, 0.1, 115),
    "eyes 13 px": lambda sample: shrunk(sample, 13),
    "eyes 11 px": lambda sample: shrunk(sample, 11),
    "cut at the nose": halved,
}


def middle_face(found: list[Detection], image: Image) -> Detection:
    middle = np.array([image.shape[1], image.shape[0]]) / 2

    def away(face: Detection) -> float:
        left, top, right, bottom = face.box.corners
        return float(np.hypot((left + right) / 2 - middle[0], (top + bottom) / 2 - middle[1]))

    return min(found, key=away)


def largest_face(found: list[Detection], _: Image) -> Detection:
    return max(found, key=lambda face: face.box.area)


def samples(
    pictures: Iterable[tuple[str, bytes]],
    detector: OnnxDetector,
    contract: EncoderContract,
    choose: Callable[..., Detection],
) -> Iterator[Sample]:
    for name, content in pictures:
        with Pictures.open(BytesIO(content)) as opened:
            image = np.asarray(opened.convert("RGB"), np.uint8)
        found = [face for face in detector.detect(image) if face.landmarks is not None]
        if not found:
            print(f"{name}: no face")
            continue
        face = choose(found, image)
        assert face.landmarks is not None
        crop = align(image, face.landmarks, contract.points, contract.size)
        yield Sample(face.landmarks, crop, (image.shape[0], image.shape[1]), face.box)


def report(name: str, qualities: list[Quality]) -> None:
    count = len(qualities)
    reasons = Counter(reason for quality in qualities for reason in quality.reasons)
    unfit = sum(not quality.usable for quality in qualities)
    parts = ", ".join(f"{reason} {100 * times / count:.2f}%" for reason, times in reasons.most_common())
    print(f"{name:20}{count:6} faces  unfit {100 * unfit / count:6.2f}%  {parts}")


def percentiles(qualities: list[Quality]) -> None:
    print(f"{'':20}{'least':>9}{'0.5%':>9}{'1%':>9}{'50%':>9}{'99%':>9}{'99.5%':>9}{'most':>9}")
    for measure in ("eye_distance", "sharpness", "brightness", "contrast", "yaw", "roll"):
        values = np.abs([getattr(quality, measure) for quality in qualities])
        marks = np.percentile(values, [0, 0.5, 1, 50, 99, 99.5, 100])
        print(f"{measure:20}" + "".join(f"{mark:9.2f}" for mark in marks))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="LFW with pairsDevTrain.txt: its folder or archive")
    parser.add_argument("--detector", required=True, help="KIND:FILE, for instance yunet:yunet_n.onnx")
    parser.add_argument("--pictures", type=Path, help="folder of pictures to count besides")
    parser.add_argument("--every", type=int, default=1, help="take every n-th picture")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    cv2.setNumThreads(options.threads)
    text = (Path(twinface.__file__).parent / "models" / "resnet29.json").read_text(encoding="utf-8")
    contract = parse_contract(text, "resnet29.json")
    assert isinstance(contract, EncoderContract)
    kind, file = parse_detector(options.detector)
    described = user_contract(kind, file)
    detector = OnnxDetector(described, Session(file, described.sha256, SessionOptions(threads=options.threads)))

    lfw = open_lfw(options.root)
    shots = sorted({shot for pair in lfw.pairs("train") for shot in (pair.first, pair.second)})[:: options.every]
    qualities: dict[str, list[Quality]] = {name: [] for name in SPOILT}
    for sample in samples(lfw.files.read(lfw.path(*shot) for shot in shots), detector, contract, middle_face):
        for name, spoil in SPOILT.items():
            worse = spoil(sample)
            qualities[name].append(assess(worse.landmarks, worse.crop, worse.shape, worse.box))
    percentiles(qualities["as they are"])
    for name, measured in qualities.items():
        report(name, measured)
    if options.pictures:
        paths = sorted(path for path in options.pictures.rglob("*") if path.suffix.lower() in {".jpg", ".png", ".webp"})
        own = samples(
            ((str(path), path.read_bytes()) for path in paths[:: options.every]), detector, contract, largest_face
        )
        report("pictures", [assess(one.landmarks, one.crop, one.shape, one.box) for one in own])


if __name__ == "__main__":
    main()
