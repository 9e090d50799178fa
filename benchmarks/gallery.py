"""How long a gallery takes beside the networks: opening it, finding somebody, enrolling photos, removing somebody.

    python benchmarks/gallery.py [--people 100000] [--photos 1000] [--json]

Opening is measured in a process of its own, to the first answer: a gallery of so many people with one random template
each, plain and encrypted. Enrolment takes photos made of the two sample portraits (shifted, scaled, brightened a
little, each another file) through detector, encoder and gallery, once as `twinface enroll` does it, and once without
writing: the difference is what the database costs. Wall time: it wants an idle machine.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from twinface.app.machine import processor, versions
from twinface.app.wiring import load_analyzer, template_space
from twinface.core.similarity import normalise
from twinface.core.subjects import Entry, NewSample, Outcome, TemplateSpace
from twinface.core.types import Template
from twinface.gallery.keys import Key, write_key_file
from twinface.gallery.sqlite import SqliteGallery
from twinface.services.enrolment import Enroller, EnrolmentOptions, Picture

EXAMPLES = Path(__file__).parents[1] / "examples"
DIMENSION = 128
BATCH = 1000

OPENING = """
import sys, time
from pathlib import Path
began = time.perf_counter()
import numpy as np
from twinface.gallery.keys import Key
from twinface.gallery.sqlite import SqliteGallery
imported = time.perf_counter()
key = Key.from_file(Path(sys.argv[2])) if sys.argv[2] else None
gallery = SqliteGallery(Path(sys.argv[1]), key=key)
probe = np.zeros((1, 128), np.float32); probe[0, 0] = 1
gallery.nearest(probe, 5)
opened = time.perf_counter()
for _ in range(20):
    gallery.nearest(probe, 5)
print(imported - began, opened - imported, (time.perf_counter() - opened) / 20)
"""


def fill(gallery: SqliteGallery, space: TemplateSpace, people: int) -> float:
    """Enrols random people; seconds it took."""
    random = np.random.default_rng(0)
    began = time.perf_counter()
    for start in range(0, people, BATCH):
        vectors = normalise(random.normal(size=(min(BATCH, people - start), DIMENSION)))
        gallery.enroll(
            [
                Entry(f"Person {start + place}", NewSample(_digest(start + place), Template(vector, space.identity)))
                for place, vector in enumerate(vectors)
            ]
        )
    return time.perf_counter() - began


def _digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def opening(path: Path, key_file: Path | None, repeats: int) -> tuple[float, float]:
    """Seconds to the first answer after the imports, and of a search; the median of some processes."""
    words = [sys.executable, "-c", OPENING, str(path), "" if key_file is None else str(key_file)]
    told = [
        [float(word) for word in subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()]
        for _ in range(repeats)
    ]
    return float(np.median([one[1] for one in told])), float(np.median([one[2] for one in told]))


def photos(count: int) -> list[Picture]:
    """Many different photos of two people."""
    random = np.random.default_rng(0)
    sources = {name: Image.open(EXAMPLES / f"{name}.jpg").convert("RGB") for name in ("collins", "hopper")}
    made = []
    for number in range(count):
        name = "collins" if number % 2 else "hopper"
        side = int(random.integers(400, 600))
        gain = random.uniform(0.8, 1.1)
        picture = sources[name].resize((side, side)).point([min(255, round(gain * value)) for value in range(256)] * 3)
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=90)
        content = file.getvalue()
        digest = hashlib.sha256(content).hexdigest()
        made.append(Picture(f"{name} {number // 20}", f"{number}.jpg", partial(_given, content, digest)))
    return made


def _given(content: bytes, digest: str) -> tuple[bytes, str]:
    return content, digest


class Nowhere(SqliteGallery):
    """A gallery that keeps nothing: what is left is the networks' time."""

    def enroll(self, entries: Sequence[Entry]) -> list[Outcome]:
        """Says that all went well."""
        return [Outcome("enrolled", entry.name) for entry in entries]


def enrolment(folder: Path, count: int) -> dict[str, float]:
    """Seconds with the gallery and without, turn about."""
    analyzer = load_analyzer()
    space = template_space()
    pictures = photos(count)
    spent: dict[str, list[float]] = {"with": [], "without": []}
    for turn in range(3):
        for kind, make in (("with", SqliteGallery), ("without", Nowhere)):
            gallery = make(folder / f"{kind}{turn}.db", create=space)
            began = time.perf_counter()
            told = list(Enroller(analyzer, gallery, EnrolmentOptions(workers=2)).enroll(pictures))
            spent[kind].append(time.perf_counter() - began)
            assert sum(one.there for one in told) > 0.9 * count, "the photos were not enrolled"
            gallery.close()
    share = [one / other for one, other in zip(spent["with"], spent["without"], strict=True)]
    return {
        "with": float(np.median(spent["with"])),
        "without": float(np.median(spent["without"])),
        "ratio": float(np.median(share)),
        "ratio_low": min(share),
        "ratio_high": max(share),
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--photos", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    figures: dict[str, Any] = {"people": asked.people, "photos": asked.photos}
    space = TemplateSpace("benchmark", "twin-r29", True, DIMENSION)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_key_file(folder / "key")
        for kind, key_file in (("plain", None), ("encrypted", folder / "key")):
            path = folder / f"{kind}.db"
            gallery = SqliteGallery(path, key=None if key_file is None else Key.from_file(key_file), create=space)
            filled = fill(gallery, space, asked.people)
            first, search = opening(path, key_file, asked.repeats)
            began = time.perf_counter()
            gallery.remove(["Person 7"])
            figures[kind] = {
                "fill": filled,
                "open": first,
                "search": search,
                "remove": time.perf_counter() - began,
                "megabytes": gallery.info().size / 1e6,
            }
            gallery.close()
        if asked.photos:
            figures["enrolment"] = enrolment(folder, asked.photos)
    figures["machine"] = {"processor": processor(), **versions(["numpy", "cryptography"])}
    if asked.json:
        print(json.dumps(figures, indent=1))
        return
    print(f"{asked.people:,} people, one template each")
    for kind in ("plain", "encrypted"):
        one = figures[kind]
        print(
            f"  {kind:10} open to the first answer {one['open']:.2f} s, then {1000 * one['search']:.2f} ms a search, "
            f"enrol all {one['fill']:.1f} s, remove one {one['remove']:.2f} s, {one['megabytes']:.0f} MB"
        )
    if asked.photos:
        one = figures["enrolment"]
        print(
            f"{asked.photos:,} photos: {one['with']:.1f} s, without writing {one['without']:.1f} s; "
            f"ratio {one['ratio']:.3f} ({one['ratio_low']:.3f} to {one['ratio_high']:.3f})"
        )


if __name__ == "__main__":
    main()
