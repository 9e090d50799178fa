"""What an administrator should mend in a gallery: doubles, pictures of the wrong person, people hard to tell apart."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from twinface.core.decision import DecisionRule
from twinface.core.files import shown
from twinface.core.identification import DEFAULT_FPIR
from twinface.core.similarity import normalise
from twinface.core.subjects import Enrolled, Sample, Subject
from twinface.errors import ContractMismatch
from twinface.services.gallery_neighbours import MOST_PAIRS, Neighbours, Places, neighbours
from twinface.services.gallery_suspicions import Limits, Suspicions, judge, limits_of

Kind = Literal[
    "crowded gallery",
    "probable duplicate",
    "mislabelled picture",
    "no template",
    "look-alikes",
    "odd picture",
    "poor pictures",
    "few pictures",
]
"""What can be wrong; `examine` says of each when it is found."""

KINDS: tuple[Kind, ...] = get_args(Kind)
"""The most severe first: wrong names, people who are never named, names in doubt, what could be better."""

_LISTED = 3
"""Pictures that a line names."""


@dataclass(frozen=True)
class Finding:
    """One thing to mend.

    Attributes:
        kind: what it is.
        subjects: names of those concerned; for a duplicate first whom the other is to be merged into, for a
            mislabelled picture first whose it is now.
        samples: numbers of the pictures concerned; empty where it is not about certain ones. For two subjects one
            each, in the order of `subjects`.
        words: what was found, one line for people.
        advice: what to do, one line, with the command to type where there is one.
        distance: that it rests on, Euclidean; None where it rests on none.
    """

    kind: Kind
    subjects: tuple[str, ...]
    samples: tuple[int, ...]
    words: str
    advice: str
    distance: float | None = None


def examine(
    enrolled: Enrolled,
    subjects: Sequence[Subject],
    samples: Callable[[str], Sequence[Sample]],
    rule: DecisionRule,
    *,
    fpir: float = DEFAULT_FPIR,
    few: int = 2,
    advance: Callable[[], object] | None = None,
) -> list[Finding]:
    """Looks through a gallery.

    "Named" below is the distance at which a face is named in a gallery of this size (`identification_point`). Templates
    that are not finite or zero, and those of subjects not listed, are left out.

    - "crowded gallery": so many pairs of pictures of different people are within named (more than MOST_PAIRS) that only
      the nearest of them were looked at for what follows.
    - "mislabelled picture": it is beyond the default operating point from all others of its subject, of which there is
      at least one, and within named of another subject, so nearer to her. Of two pictures that disagree only the one
      that is near somebody else is called so. Not where the two subjects are probable duplicates.
    - "probable duplicate": the nearest pictures of two subjects are within named, and both they and the subjects' mean
      templates within the rule's point for DUPLICATE_FMR (where that was not measured, the strictest there is).
      Mislabelled pictures do not count, unless a subject has no others: one stray picture makes no duplicate.
    - "look-alikes": the nearest pictures of two subjects are within named, mislabelled ones aside, and the two are no
      probable duplicates.
    - "odd picture": it is beyond the loosest operating point from all others of its subject and within named of
      nobody else; at least one of the others must not be mislabelled. Where all are odd it is one finding.
    - "no template": a subject without a template in the gallery's space; she has no other finding.
    - "poor pictures": every sample of a subject whose quality is known has a shortcoming, and there is such a one.
    - "few pictures": a subject with fewer samples than `few`.

    Memory grows with the templates, about five times theirs, and not with their pairs.

    Args:
        enrolled: the gallery's templates.
        subjects: everybody enrolled.
        samples: what is kept of the pictures of the subject with this uid; called once a subject.
        rule: the encoder's.
        fpir: false positive identification rate that the gallery is searched at, in (0, 1).
        few: so many pictures of a subject are enough.
        advance: called once a template, for instance to move a progress bar.

    Returns:
        By kind in the order of KINDS, within one by distance, the most alarming first, then by names and samples.

    Raises:
        ContractMismatch: the rule belongs to another encoder.
        GalleryError: the FPIR is no such number, or the rule's single operating point cannot tell.
    """
    if rule.model != enrolled.space.identity:
        raise ContractMismatch(
            f"decision rule of {rule.model[:12]} cannot judge templates of {enrolled.space.identity[:12]}"
        )
    limits = limits_of(rule, len(enrolled.samples), fpir)
    known = {subject.uid: subject for subject in subjects}
    kept = _usable(enrolled, known)
    vectors, owners = normalise(enrolled.vectors[kept]), enrolled.subjects[kept]
    if advance is not None:
        for _ in range(len(enrolled.samples) - len(vectors)):
            advance()
    near = neighbours(vectors, owners, limits.named, advance)
    seen = {enrolled.uids[place] for place in np.unique(owners).tolist()}
    sources: dict[int, str] = {}
    found: list[Finding] = []
    for subject in subjects:
        pictures = samples(subject.uid)
        sources |= {picture.number: picture.source for picture in pictures}
        found += _of_subject(subject, pictures, few) if subject.uid in seen else [_without_template(subject)]
    people = {place: known[uid] for place, uid in enumerate(enrolled.uids) if uid in known}
    told = _Told(people, owners, enrolled.samples[kept], sources, near, limits, fpir)
    found += told.findings(judge(near, vectors, owners, limits))
    return sorted(found, key=_severity)


def _severity(finding: Finding) -> tuple[int, float, tuple[str, ...], tuple[int, ...]]:
    gap = finding.distance or 0.0
    far_is_worse = finding.kind == "odd picture"
    return KINDS.index(finding.kind), -gap if far_is_worse else gap, finding.subjects, finding.samples


def _usable(enrolled: Enrolled, known: Mapping[str, Subject]) -> NDArray[np.bool_]:
    """Which templates can be compared and belong to somebody listed, shape (N,)."""
    listed = np.array([uid in known for uid in enrolled.uids], np.bool_)
    usable: NDArray[np.bool_] = listed[enrolled.subjects]
    usable &= np.isfinite(enrolled.vectors).all(axis=1)
    usable &= (enrolled.vectors != 0).any(axis=1)
    return usable


def _without_template(subject: Subject) -> Finding:
    names = [subject.name]
    return Finding(
        "no template",
        (subject.name,),
        (),
        f"{shown(subject.name)} has {_count(subject.samples)} but no usable template of the gallery's encoder: never "
        "recognised",
        # a picture that is enrolled already would be passed over
        f"enrol the pictures anew: {_people('remove', names)}, then {_enroll(subject.name)}",
    )


def _of_subject(subject: Subject, pictures: Sequence[Sample], few: int) -> Iterator[Finding]:
    """What is to be said of a subject without comparing her with anybody."""
    name = shown(subject.name)
    rated = [(picture.number, picture.quality.reasons) for picture in pictures if picture.quality is not None]
    if rated and all(reasons for _, reasons in rated):
        which = "whose quality is known " if len(rated) < len(pictures) else ""
        why = ", ".join(sorted({reason for _, reasons in rated for reason in reasons}))
        yield Finding(
            "poor pictures",
            (subject.name,),
            tuple(number for number, _ in rated),
            f"no picture of {name} {which}is good: {shown(why)}",
            f"enrol a better picture: {_enroll(subject.name)}",
        )
    if subject.samples < few:
        yield Finding(
            "few pictures",
            (subject.name,),
            tuple(picture.number for picture in pictures),
            f"{name} has {_count(subject.samples)}, fewer than {few}",
            f"enrol more pictures: {_enroll(subject.name)}",
        )


def _count(pictures: int) -> str:
    return f"{pictures:,} picture{'' if pictures == 1 else 's'}"


def _standing(subject: Subject) -> tuple[int, float, str]:
    """Of two who are one the smaller stays: whoever has more pictures, or came first."""
    return -subject.samples, subject.created.timestamp(), subject.name


def _people(action: str, names: Sequence[str]) -> str:
    """The command to type; a name may look like an option."""
    marked = any(name.startswith("-") for name in names)
    return f"twinface people {action} {'-- ' if marked else ''}{shlex.join(names)}"


def _enroll(name: str) -> str:
    return f"twinface enroll --name{'=' if name.startswith('-') else ' '}{shlex.quote(name)} PICTURE"


@dataclass(frozen=True, eq=False)
class _Told:
    """Puts suspicions into words: whose the templates are, which samples, where those came from."""

    people: Mapping[int, Subject]
    owners: Places
    numbers: Places
    sources: Mapping[int, str]
    near: Neighbours
    limits: Limits
    fpir: float

    def findings(self, what: Suspicions) -> Iterator[Finding]:
        """In no order."""
        if not self.near.complete:
            yield self._crowded()
        for pair, apart in zip(what.duplicates, what.means.tolist(), strict=True):
            yield self._duplicate(*pair, apart)
        yield from (self._mislabelled(*pair) for pair in what.mislabelled)
        yield from (self._alike(*pair) for pair in what.alike)
        for places, every in zip(what.odd, what.all_odd, strict=True):
            if every:
                yield self._odd(places)
            else:
                yield from (self._odd(places[at : at + 1]) for at in range(places.size))

    def _crowded(self) -> Finding:
        reached = float(self.near.gaps.max(initial=0.0))
        return Finding(
            "crowded gallery",
            (),
            (),
            f"more than {MOST_PAIRS:,} pairs of pictures of different people are near enough to be named for one "
            f"another; only the nearest were looked at, up to {reached:.3f} apart",
            "mend what is found and look again",
        )

    def _duplicate(self, first: int, second: int, gap: float, apart: float) -> Finding:
        one, two = sorted((first, second), key=lambda place: _standing(self._subject(place)))
        names = self._subject(one).name, self._subject(two).name
        return Finding(
            "probable duplicate",
            names,
            self._samples(one, two),
            f"{shown(names[0])} and {shown(names[1])} are probably one person: {self._picture(one)} and "
            f"{self._picture(two)} are {gap:.3f} apart, the means of their pictures {apart:.3f}",
            f"look at the pictures of both; if they show one person: {_people('merge', names)}",
            gap,
        )

    def _mislabelled(self, place: int, like: int, gap: float) -> Finding:
        name, other = self._subject(place).name, self._subject(like).name
        return Finding(
            "mislabelled picture",
            (name, other),
            self._samples(place, like),
            f"{self._picture(place)} of {shown(name)} looks like {shown(other)}: {gap:.3f} from "
            f"{self._picture(like)}, {self.near.own[place]:.3f} from the nearest other of {shown(name)}",
            f"look at it; if it shows {shown(other)}: twinface people remove --sample {self.numbers[place]}, then "
            f"{_enroll(other)}",
            gap,
        )

    def _alike(self, first: int, second: int, gap: float) -> Finding:
        one, two = sorted((first, second), key=lambda place: self._subject(place).name)
        names = self._subject(one).name, self._subject(two).name
        return Finding(
            "look-alikes",
            names,
            self._samples(one, two),
            f"{shown(names[0])} and {shown(names[1])} can be taken for one another: {self._picture(one)} and "
            f"{self._picture(two)} are {gap:.3f} apart, and people are named up to {self.limits.named:.3f}",
            f"enrol more pictures of both: {_enroll(names[0])}, {_enroll(names[1])}; or search with a smaller --fpir "
            f"than {self.fpir:g}",
            gap,
        )

    def _odd(self, places: Places) -> Finding:
        name = self._subject(int(places[0])).name
        gap = float(self.near.own[places].min())
        if places.size == 1:
            words = f"{self._picture(int(places[0]))} of {shown(name)} is {gap:.3f} from the nearest other"
            advice = f"look at it; if it shows another person or is poor: {{}} {self.numbers[places[0]]}"
        else:
            some = ", ".join(self._picture(int(place)) for place in places[:_LISTED])
            more = f" and {places.size - _LISTED:,} more" if places.size > _LISTED else ""
            words = f"no two pictures of {shown(name)} are alike, {some}{more}: at least {gap:.3f} apart"
            advice = "look at them; for each that shows another person or is poor: {} NUMBER"
        return Finding(
            "odd picture",
            (name,),
            self._samples(*places.tolist()),
            f"{words}, beyond {self.limits.loose:.3f}, and near nobody else",
            advice.format("twinface people remove --sample"),
            gap,
        )

    def _subject(self, place: int) -> Subject:
        return self.people[int(self.owners[place])]

    def _samples(self, *places: int) -> tuple[int, ...]:
        return tuple(int(self.numbers[place]) for place in places)

    def _picture(self, place: int) -> str:
        number = int(self.numbers[place])
        source = self.sources.get(number, "")
        return f"picture {number} ({shown(source)})" if source else f"picture {number}"
