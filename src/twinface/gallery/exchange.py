"""People who leave a gallery and enter another: one `.npz` file of names, templates and, if kept, photos.

`numpy.load(FILE, allow_pickle=False)` opens it. It holds `templates`, float32 (N, D), one row a sample; `photos`, the
photos' bytes one after another, uint8, where there are any; and `meta`, ASCII JSON that says whose each of them is.
Nothing in it is compressed, so that a file can never say more than it weighs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twinface.core.facts import field_of, fields_of, list_of, object_of
from twinface.core.files import reason, shown, write_atomically
from twinface.core.naming import clean_name, name_key
from twinface.core.subjects import NewSample, TemplateSpace
from twinface.core.types import UNIT_TOLERANCE, Box, Quality, Template
from twinface.errors import GalleryError
from twinface.gallery.arrays import DAMAGE, read_arrays
from twinface.gallery.records import plain_numbers

FORMAT = "twinface people"
VERSION = 1

LARGEST = 2_000_000_000
"""Bytes of the largest file."""

LARGEST_META = 1 << 26
"""Bytes of the longest `meta`, enough for some 100,000 samples: JSON grows manifold when it is parsed."""

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2300, 1, 1, tzinfo=UTC)
"""Times beyond these are nonsense; they are wide because a clock may have been wrong."""

ADVICE = "export it again with twinface people export"


@dataclass(frozen=True, eq=False)
class PortablePerson:
    """A person on the way.

    Attributes:
        name: cleaned.
        created: when she was first enrolled; aware of its zone.
        expires: when she is to be forgotten; None for never.
        samples: her faces; there may be none.
    """

    name: str
    created: datetime
    expires: datetime | None
    samples: tuple[NewSample, ...]

    def __post_init__(self) -> None:
        if clean_name(self.name) != self.name:
            raise ValueError(f"the name {self.name!a} is not cleaned")
        for time in (self.created, self.expires):
            if time is not None and (time.tzinfo is None or not EARLIEST <= time <= LATEST):
                raise ValueError(f"the time {time} has no zone or is before {EARLIEST.year} or after {LATEST.year}")


@dataclass(frozen=True, eq=False)
class Portable:
    """What a file of people holds.

    Attributes:
        space: what made all of the templates.
        people: no two of one name; no two samples of one digest.
    """

    space: TemplateSpace
    people: tuple[PortablePerson, ...]

    def __post_init__(self) -> None:
        names: set[str] = set()
        digests: set[str] = set()
        for person in self.people:
            if name_key(person.name) in names:
                raise ValueError(f"there are two people named {person.name!a}")
            names.add(name_key(person.name))
            for sample in person.samples:
                if sample.digest in digests:
                    raise ValueError(f"the picture {sample.digest} is there twice")
                digests.add(sample.digest)
                shape = sample.template.vector.shape
                if sample.template.model != self.space.identity or shape != (self.space.dimension,):
                    raise ValueError(f"a template of {person.name!a} is of another space")


def write_people(path: Path, portable: Portable) -> None:
    """Writes the file, whole or not at all. Its owner alone may read it, even where it replaces one that others may.

    Raises:
        GalleryError: it would be larger than is read again.
        OutputError: it cannot be written.
        ValueError: a quality holds values that are not finite.
    """
    samples = [sample for person in portable.people for sample in person.samples]
    stops = np.cumsum([0, *(len(sample.photo or b"") for sample in samples)]).tolist()
    places = pairwise(stops)
    facts = {
        "format": FORMAT,
        "version": VERSION,
        "space": asdict(portable.space),
        "people": [
            {
                "name": person.name,
                "created": person.created.astimezone(UTC).isoformat(),
                "expires": None if person.expires is None else person.expires.astimezone(UTC).isoformat(),
                "samples": [_facts_of(sample, next(places)) for sample in person.samples],
            }
            for person in portable.people
        ],
    }
    meta = json.dumps(facts, allow_nan=False).encode()
    dimension = portable.space.dimension
    size = len(meta) + 4 * dimension * len(samples) + stops[-1] + 10_000  # the last for the archive itself
    if len(meta) > LARGEST_META or size > LARGEST:
        raise GalleryError(
            f"{shown(path)}: {len(samples):,} samples have {size:,} bytes, more than a file may have; export fewer "
            f"people at once, or without photos"
        )
    arrays: dict[str, Any] = {
        "meta": np.array(meta),
        "templates": np.array([sample.template.vector for sample in samples], "<f4").reshape(len(samples), dimension),
    }
    if any(sample.photo is not None for sample in samples):
        arrays["photos"] = np.frombuffer(b"".join(sample.photo or b"" for sample in samples), np.uint8)

    write_atomically(path, lambda file: np.savez(file, **arrays), private=True)


def _facts_of(sample: NewSample, place: tuple[int, int]) -> dict[str, Any]:
    quality = None if sample.quality is None else asdict(sample.quality)
    return {
        "digest": sample.digest,
        "source": sample.source.encode("utf-8", "backslashreplace").decode(),  # names of files need not be text
        "quality": plain_numbers(quality),
        "box": plain_numbers(None if sample.box is None else asdict(sample.box)),
        "photo": None if sample.photo is None else place,
    }


def read_people(path: Path) -> Portable:
    """Reads a file that `write_people` wrote, and trusts nothing in it.

    Raises:
        GalleryError: it is missing, no such file, too large, damaged, newer, or says what cannot be.
    """
    try:
        limits = {"meta": LARGEST_META, "templates": LARGEST, "photos": LARGEST}
        arrays = read_arrays(path, LARGEST, limits, packed=False)
        if "meta" not in arrays or "templates" not in arrays:
            raise ValueError("is no file of people: it lacks meta or templates")
        meta, templates = arrays["meta"], arrays["templates"]
        if meta.dtype.kind != "S" or meta.ndim:
            raise ValueError("meta is no text")
        facts = object_of(json.loads(meta.item()), "meta")
        if field_of(facts, "format", "str", "meta") != FORMAT:
            raise ValueError("is no file of people")
        if (version := field_of(facts, "version", "int", "meta")) != VERSION:
            raise ValueError(f"is of version {version}; this TwinFace reads version {VERSION}")
        return _portable(facts, templates, arrays.get("photos", np.empty(0, np.uint8)))
    except (*DAMAGE, GalleryError) as error:
        raise GalleryError(f"{shown(path)}: {reason(error)}; {ADVICE}") from error


def _portable(facts: Mapping[str, Any], templates: NDArray[Any], photos: NDArray[Any]) -> Portable:
    told = object_of(facts.get("space"), "space")
    identity, model = (_text(field_of(told, name, "str", "space")) for name in ("identity", "model"))
    dimension: int = field_of(told, "dimension", "int", "space")
    if not isinstance(mirror := told.get("mirror"), bool):
        raise ValueError("mirror of space must be true or false")
    space = TemplateSpace(identity, model, mirror, dimension)
    everybody = [object_of(one, "a person") for one in list_of(facts, "people", LARGEST_META, "meta")]
    told_of = [list_of(person, "samples", LARGEST_META, "a person") for person in everybody]
    shape = (sum(map(len, told_of)), dimension)
    if templates.dtype != np.dtype("<f4") or templates.shape != shape:
        raise ValueError(f"templates are {templates.dtype} {templates.shape}, expected float32 {shape}")
    if not np.isfinite(templates).all():
        raise ValueError("templates hold values that are not finite")
    if (np.abs(np.linalg.norm(templates.astype(np.float64), axis=1) - 1) > UNIT_TOLERANCE).any():
        raise ValueError("templates are not of unit length")
    if photos.dtype != np.uint8 or photos.ndim != 1:
        raise ValueError("photos are no row of bytes")
    rows = iter(templates)
    people: list[PortablePerson] = []
    end = 0
    for person, listed in zip(everybody, told_of, strict=True):
        samples: list[NewSample] = []
        for one in listed:
            sample = object_of(one, "a sample")
            photo = None
            if sample.get("photo") is not None:
                start, stop = _place(sample)
                if start != end or stop > len(photos):  # one after another, so that none overlap and nothing is hidden
                    raise ValueError(f"the photo at byte {start:,} is not where the one before ends")
                photo, end = photos[start:stop].tobytes(), stop
            samples.append(_sample(sample, Template(next(rows), identity), photo))
        expires = None if person.get("expires") is None else _time(person, "expires")
        name = clean_name(field_of(person, "name", "str", "a person"))
        people.append(PortablePerson(name, _time(person, "created"), expires, tuple(samples)))
    if end != len(photos):
        raise ValueError(f"{len(photos) - end:,} bytes of photos are nobody's")
    return Portable(space, tuple(people))


def _sample(told: dict[str, Any], template: Template, photo: bytes | None) -> NewSample:
    quality = box = None
    if told.get("quality") is not None:
        facts = object_of(told["quality"], "quality")
        reasons = list_of(facts, "reasons", 20, "quality")
        if not all(isinstance(one, str) and one.isprintable() and len(one) <= 100 for one in reasons):
            raise ValueError("reasons of quality must be short words")
        numbers = [field.name for field in fields(Quality) if field.name != "reasons"]
        of = {name: float(field_of(facts, name, "float", "quality")) for name in numbers}
        quality = Quality(**of, reasons=tuple(reasons))
    if told.get("box") is not None:
        box = Box(**{name: float(value) for name, value in fields_of(Box, told["box"], "box").items()})
    digest: str = field_of(told, "digest", "str", "a sample")
    return NewSample(digest, template, _text(field_of(told, "source", "str", "a sample")), quality, box, photo)


def _place(sample: dict[str, Any]) -> tuple[int, int]:
    match list_of(sample, "photo", 2, "a sample"):
        case [int(start), int(stop)] if 0 <= start <= stop:
            return start, stop
    raise ValueError("photo of a sample must be where it starts and stops")


def _time(facts: dict[str, Any], name: str) -> datetime:
    time = datetime.fromisoformat(field_of(facts, name, "str", "a person"))
    if time.utcoffset() != timedelta(0):
        raise ValueError(f"{name} of a person must be UTC")
    return time.replace(tzinfo=UTC)


def _text(text: str) -> str:
    text.encode()  # raises where it is none: half of a surrogate pair
    return text
