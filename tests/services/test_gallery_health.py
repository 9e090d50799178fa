"""What is found in a gallery: each kind of trouble made on purpose, and nothing in a sound one."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from twinface.core.calibration import LogisticCurve
from twinface.core.decision import DecisionRule, OperatingPoint
from twinface.core.identification import identification_point
from twinface.core.similarity import normalise
from twinface.core.subjects import Enrolled, Sample, Subject, TemplateSpace
from twinface.core.types import Quality
from twinface.errors import ContractMismatch, GalleryError
from twinface.models.registry import find
from twinface.services import gallery_neighbours
from twinface.services.gallery_health import KINDS, Finding, Kind, examine
from twinface.services.gallery_suspicions import limits_of

SPACE = TemplateSpace("twin", "twin", True, 128)
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
SPREAD = 0.1
"""How far two pictures of one person are apart in these galleries, about; strangers are 1.4 apart."""


def point(fmr: float, threshold: float, model: str = "twin") -> OperatingPoint:
    return OperatingPoint(model, "test", fmr, threshold, threshold, threshold, 10**6, 1000, 0.0, 0.0, 0.1)


def rule_of(*points: OperatingPoint) -> DecisionRule:
    return DecisionRule(points[0].model, LogisticCurve(-20.0, 10.0, 1e-4), points, 1e-3)


RULE = rule_of(point(1e-2, 0.8), point(1e-3, 0.7), point(1e-4, 0.6), point(1e-5, 0.5))


@dataclass
class People:
    """A gallery made by hand.

    Attributes:
        templates: by name; their samples are numbered through from 1 up, and each was enrolled a day after the last.
        qualities: of the pictures, by name; not known for others.
        without: names of people who have one sample and no template.
        unlisted: names of people whom the list of subjects does not have.
        source: where the pictures came from.
    """

    templates: Mapping[str, Sequence[np.ndarray]]
    qualities: Mapping[str, Sequence[Quality]] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    source: str = "{name}/{place}.jpg"

    def examine(self, rule: DecisionRule = RULE, **options: Any) -> list[Finding]:
        owners = [name for name, templates in self.templates.items() for _ in templates]
        rows = [template for templates in self.templates.values() for template in templates]
        uids = {name: f"{place:032x}" for place, name in enumerate([*self.templates, *self.without])}
        samples: dict[str, list[Sample]] = {uid: [] for uid in uids.values()}
        for number, name in enumerate([*owners, *self.without], 1):
            place = len(samples[uids[name]])
            judged = self.qualities.get(name, [])
            source = self.source.format(name=name, place=place)
            fit = judged[place] if place < len(judged) else None
            samples[uids[name]].append(Sample(number, uids[name], "0" * 64, source, NOON, fit, None, False))
        subjects = [
            Subject(uid, name, len(samples[uid]), 0, NOON + timedelta(place))
            for place, (name, uid) in enumerate(uids.items())
            if name not in self.unlisted
        ]
        enrolled = Enrolled(
            replace(SPACE, identity=rule.model),
            np.array(rows, np.float32).reshape(-1, 128),
            np.arange(1, len(rows) + 1),
            np.array([list(uids).index(name) for name in owners], np.int64),
            tuple(uids[name] for name in self.templates),
        )
        subjects.sort(key=lambda subject: subject.name)
        return examine(enrolled, subjects, samples.__getitem__, rule, **options)


def quality(*reasons: str) -> Quality:
    return Quality(40.0, 0.5, 120.0, 40.0, 0.0, 0.0, reasons)


def centre(seed: int) -> np.ndarray:
    return normalise(np.random.default_rng(seed).standard_normal(128))


def near(middle: np.ndarray, apart: float, seed: int) -> np.ndarray:
    """A template this far from another, in a random direction."""
    side = np.random.default_rng([1, seed]).standard_normal(128)  # none of the centres' directions
    side -= middle * (side @ middle) / (middle @ middle)
    angle = 2 * np.arcsin(apart / 2)
    return normalise(np.cos(angle) * middle + np.sin(angle) * side / np.linalg.norm(side))


def pictures(person: int, count: int) -> list[np.ndarray]:
    return [near(centre(person), SPREAD / np.sqrt(2), 1000 * person + place + 1) for place in range(count)]


def kinds(findings: Sequence[Finding]) -> list[tuple[Kind, tuple[str, ...], tuple[int, ...]]]:
    return [(one.kind, one.subjects, one.samples) for one in findings]


@pytest.fixture(autouse=True, params=[3, 1024], ids=["small tiles", "one tile"])
def tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery_neighbours, "_BLOCK", request.param)


class TestSoundGallery:
    def test_nothing_is_found(self) -> None:
        assert People({f"P{one}": pictures(one, 1 + one % 4) for one in range(20)}).examine(few=1) == []

    def test_nothing_is_found_with_the_shipped_rule(self) -> None:
        shipped = find("twin-r29").rule(True)
        people = {f"P{one}": pictures(one, 3) for one in range(20)}
        assert People(people).examine(shipped) == []
        doubled = People({**people, "Again": pictures(1, 2)}).examine(shipped)
        assert kinds(doubled) == [("probable duplicate", ("P1", "Again"), doubled[0].samples)]

    def test_an_empty_gallery_has_no_finding(self) -> None:
        assert People({}).examine() == []

    def test_a_single_sample_is_only_too_few(self) -> None:
        assert kinds(People({"Ada": pictures(1, 1)}).examine()) == [("few pictures", ("Ada",), (1,))]

    def test_progress_comes_once_a_template(self) -> None:
        steps: list[int] = []
        gone = {"Gone": pictures(3, 2)}
        People({"Ada": pictures(1, 4), "Bea": pictures(2, 3), **gone}, unlisted=("Gone",)).examine(
            advance=lambda: steps.append(1)
        )
        assert len(steps) == 9


class TestDuplicates:
    def test_two_names_of_one_person(self) -> None:
        found = People({"Bea": pictures(1, 2), "Ada": pictures(1, 5)[2:], "Cyd": pictures(2, 2)}).examine()
        assert [(one.kind, one.subjects) for one in found] == [("probable duplicate", ("Ada", "Bea"))]
        (one,) = found
        assert one.samples[0] in (3, 4, 5)
        assert one.samples[1] in (1, 2)
        assert one.distance == pytest.approx(SPREAD, abs=0.03)
        assert f"picture {one.samples[0]} (Ada/{one.samples[0] - 3}.jpg)" in one.words
        assert f"{one.distance:.3f} apart" in one.words
        assert one.advice.endswith("twinface people merge Ada Bea")  # she has more pictures

    def test_of_equals_the_first_enrolled_stays(self) -> None:
        (one,) = People({"Bea": pictures(1, 2), "Ada": pictures(1, 4)[2:]}).examine()
        assert one.subjects == ("Bea", "Ada")

    def test_single_pictures_suffice(self) -> None:
        found = People({"Ada": pictures(1, 1), "Bea": pictures(1, 2)[1:]}).examine(few=1)
        assert kinds(found) == [("probable duplicate", ("Ada", "Bea"), (1, 2))]

    def test_the_nearest_pictures_do_not_suffice_where_the_means_are_apart(self) -> None:
        # given a picture of Bea half way to Ada, which is near her own all the same
        ada, bea = centre(1), near(centre(1), 0.9, 7)
        found = People({"Ada": [ada, ada], "Bea": [bea, bea, normalise(ada + bea)]}).examine()
        assert kinds(found) == [("look-alikes", ("Ada", "Bea"), (1, 5))]

    def test_the_means_do_not_suffice_where_the_nearest_pictures_are_apart(self) -> None:
        # given pictures that scatter around two middles, which are nearer to one another than they are
        ada, bea = centre(1), near(centre(1), 0.5, 2)
        people = {
            "Ada": [near(ada, 0.32, seed) for seed in range(10, 13)],
            "Bea": [near(bea, 0.32, seed) for seed in range(20, 23)],
        }
        means = [normalise(sum(templates)) for templates in people.values()]
        assert np.linalg.norm(means[0] - means[1]) < RULE.point(1e-4).threshold
        found = People(people).examine(fpir=0.1)
        assert [one.kind for one in found] == ["look-alikes"]
        assert found[0].distance > RULE.point(1e-4).threshold

    def test_a_threshold_that_was_not_measured_gives_way_to_the_strictest_there_is(self) -> None:
        loose = rule_of(point(1e-2, 0.8), point(1e-3, 0.7))
        ada, far = centre(1), near(centre(1), 0.65, 2)
        people = People({"Ada": [ada], "Bea": [far]})
        assert limits_of(loose, 2, 0.01).duplicate == 0.7
        assert [one.kind for one in people.examine(loose, few=1, fpir=0.1)] == ["probable duplicate"]
        assert [one.kind for one in people.examine(few=1, fpir=0.1)] == ["look-alikes"]

    def test_what_would_not_be_named_in_so_large_a_gallery_is_no_duplicate(self) -> None:
        ada, other = centre(1), near(centre(1), 0.55, 2)
        few = {"Ada": [ada], "Bea": [other]}
        crowd = {f"P{one}": pictures(one + 10, 2) for one in range(500)}
        assert [one.kind for one in People(few).examine(few=1)] == ["probable duplicate"]
        assert People({**few, **crowd}).examine(few=1) == []

    def test_three_names_of_one_person_are_three_pairs(self) -> None:
        found = People({name: pictures(1, 2) for name in ("Ada", "Bea", "Cyd")}).examine()
        assert {one.subjects for one in found} == {("Ada", "Bea"), ("Ada", "Cyd"), ("Bea", "Cyd")}
        assert {one.kind for one in found} == {"probable duplicate"}

    def test_it_is_all_that_is_said_of_pictures_that_look_mislabelled_for_it(self) -> None:
        # given a person twice, each time frontal and in profile, and these far apart
        frontal, profile = centre(1), near(centre(1), 0.75, 2)
        both = [frontal, profile], [near(frontal, 0.1, 3), near(profile, 0.1, 4)]
        found = People({"Ada": both[0], "Bea": both[1]}).examine()
        assert [(one.kind, one.subjects) for one in found] == [("probable duplicate", ("Ada", "Bea"))]

    def test_templates_that_cancel_out_have_no_mean(self) -> None:
        ada = centre(1)
        found = People({"Ada": [ada, -ada], "Bea": [ada, -ada]}).examine()
        assert "probable duplicate" not in [one.kind for one in found]


class TestMislabelled:
    def test_one_picture_of_somebody_else(self) -> None:
        found = People({"Ada": [*pictures(1, 3), near(centre(2), 0.05, 5)], "Bea": pictures(2, 3)}).examine()
        assert [(one.kind, one.subjects) for one in found] == [("mislabelled picture", ("Ada", "Bea"))]
        (one,) = found
        assert one.samples[0] == 4
        assert one.samples[1] in (5, 6, 7)
        assert one.words.startswith("picture 4 (Ada/3.jpg) of Ada looks like Bea: ")
        assert f"{one.distance:.3f} from picture {one.samples[1]} (Bea/" in one.words
        assert one.advice.endswith("twinface people remove --sample 4, then twinface enroll --name Bea PICTURE")

    @pytest.mark.parametrize("others", [1, 2, 5])
    def test_of_two_that_disagree_only_the_one_that_is_near_somebody_else(self, others: int) -> None:
        found = People({"Ada": [centre(1), near(centre(2), 0.05, 5)], "Bea": pictures(2, others)}).examine(few=1)
        assert kinds(found) == [("mislabelled picture", ("Ada", "Bea"), (2, found[0].samples[1]))]

    def test_pictures_exchanged_are_both_found(self) -> None:
        ada, bea = pictures(1, 4), pictures(2, 4)
        found = People({"Ada": [*ada[:3], bea[3]], "Bea": [*bea[:3], ada[3]]}).examine()
        assert {(one.kind, one.subjects, one.samples[0]) for one in found} == {
            ("mislabelled picture", ("Ada", "Bea"), 4),
            ("mislabelled picture", ("Bea", "Ada"), 8),
        }

    def test_two_pictures_of_two_other_people(self) -> None:
        found = People({"Ada": [pictures(2, 3)[2], pictures(3, 3)[2]], "Bea": pictures(2, 2), "Cyd": pictures(3, 2)})
        assert {(one.kind, one.subjects) for one in found.examine()} == {
            ("mislabelled picture", ("Ada", "Bea")),
            ("mislabelled picture", ("Ada", "Cyd")),
        }

    def test_the_nearest_of_several_others_is_named(self) -> None:
        stray = centre(2)
        people = {"Ada": [*pictures(1, 2), stray], "Far": [near(stray, 0.4, 1)], "Near": [near(stray, 0.2, 2)]}
        found = [one for one in People(people).examine(few=1) if one.kind == "mislabelled picture"]
        assert kinds(found) == [("mislabelled picture", ("Ada", "Near"), (3, 5))]

    def test_one_stray_picture_makes_no_duplicate(self) -> None:
        # given people so near that the mean of one picture of each is near both
        ada, bea = centre(1), near(centre(1), 0.9, 2)
        found = People({"Ada": [ada, near(bea, 0.05, 3)], "Bea": [bea, bea]}).examine()
        assert [(one.kind, one.subjects, one.samples[0]) for one in found] == [
            ("mislabelled picture", ("Ada", "Bea"), 2)
        ]

    def test_beyond_the_default_point_suffices(self) -> None:
        ada, stray = centre(1), near(centre(1), 0.75, 2)
        found = People({"Ada": [ada, stray], "Bea": [near(stray, 0.1, 3)]}).examine(few=1)
        assert kinds(found) == [("mislabelled picture", ("Ada", "Bea"), (2, 3))]

    def test_not_where_it_still_is_near_its_own(self) -> None:
        ada = centre(1)
        between = near(ada, 0.65, 2)  # within the default point
        found = People({"Ada": [ada, between], "Bea": [near(between, 0.1, 3)]}).examine(few=1)
        assert "mislabelled picture" not in [one.kind for one in found]


class TestLookAlikes:
    def test_two_people_who_may_be_taken_for_one_another(self) -> None:
        ada, bea = centre(1), near(centre(1), 0.9, 2)
        between = normalise(ada + 0.9 * bea)
        gap, threshold = float(np.linalg.norm(ada - between)), identification_point(RULE, 5).threshold
        (one,) = People({"Bea": [bea, bea, between], "Ada": [near(ada, 0.2, 4), ada]}).examine()
        assert (one.kind, one.subjects, one.samples) == ("look-alikes", ("Ada", "Bea"), (5, 3))
        assert one.distance == pytest.approx(gap, abs=1e-6)
        assert f"picture 5 (Ada/1.jpg) and picture 3 (Bea/2.jpg) are {gap:.3f} apart" in one.words
        assert f"up to {threshold:.3f}" in one.words
        assert "twinface enroll --name Ada PICTURE, twinface enroll --name Bea PICTURE; " in one.advice
        assert one.advice.endswith("--fpir than 0.01")

    def test_a_smaller_fpir_tells_them_apart(self) -> None:
        people = People({"Ada": [centre(1)], "Bea": [near(centre(1), 0.62, 2)]})
        assert [one.kind for one in people.examine(few=1, fpir=0.01)] == ["look-alikes"]
        assert people.examine(few=1, fpir=1e-5) == []


class TestOdd:
    def test_one_picture_like_no_other(self) -> None:
        found = People({"Ada": [*pictures(1, 3), centre(9)], "Bea": pictures(2, 3)}).examine()
        assert kinds(found) == [("odd picture", ("Ada",), (4,))]
        (one,) = found
        assert one.words.startswith("picture 4 (Ada/3.jpg) of Ada is 1.")
        assert one.words.endswith("beyond 0.800, and near nobody else")
        assert one.advice.endswith("twinface people remove --sample 4")

    def test_a_doubtful_one_is_not_odd(self) -> None:
        ada = centre(1)
        assert People({"Ada": [ada, near(ada, 0.79, 2)], "Bea": pictures(2, 3)}).examine() == []

    @pytest.mark.parametrize("count", [2, 3, 5])
    def test_where_no_two_agree_it_is_said_once(self, count: int) -> None:
        found = People({"Ada": [centre(place) for place in range(count)], "Bea": pictures(9, 3)}).examine()
        assert kinds(found) == [("odd picture", ("Ada",), tuple(range(1, count + 1)))]
        assert found[0].words.count("picture ") == min(count, 3)
        assert ("and 2 more" in found[0].words) == (count == 5)

    def test_not_for_the_only_others_being_mislabelled(self) -> None:
        people = {"Ada": [centre(1), pictures(2, 3)[2]], "Bea": pictures(2, 2)}
        assert [one.kind for one in People(people).examine()] == ["mislabelled picture"]

    def test_the_farthest_come_first(self) -> None:
        ada, bea = centre(1), centre(2)
        people = {"Ada": [ada, ada, near(ada, 0.9, 3)], "Bea": [bea, bea, near(bea, 1.2, 4)]}
        assert [one.subjects for one in People(people).examine()] == [("Bea",), ("Ada",)]


class TestSubjects:
    def test_poor_pictures(self) -> None:
        people = {"Ada": pictures(1, 2), "Bea": pictures(2, 2), "Cyd": pictures(3, 2), "Dot": pictures(4, 2)}
        qualities = {
            "Ada": [quality("blurred"), quality("too dark", "blurred")],
            "Bea": [quality("blurred"), quality()],
            "Cyd": [quality("profile")],  # that of her second is not known
        }
        found = People(people, qualities).examine()
        assert kinds(found) == [("poor pictures", ("Ada",), (1, 2)), ("poor pictures", ("Cyd",), (5,))]
        assert found[0].words == "no picture of Ada is good: blurred, too dark"
        assert found[0].advice == "enrol a better picture: twinface enroll --name Ada PICTURE"
        assert found[1].words == "no picture of Cyd whose quality is known is good: profile"

    def test_few_pictures(self) -> None:
        people = People({"Ada": pictures(1, 1), "Bea": pictures(2, 2), "Cyd": pictures(3, 3)})
        assert people.examine(few=1) == []
        found = people.examine(few=3)
        assert kinds(found) == [("few pictures", ("Ada",), (1,)), ("few pictures", ("Bea",), (2, 3))]
        assert found[0].words == "Ada has 1 picture, fewer than 3"
        assert found[0].advice == "enrol more pictures: twinface enroll --name Ada PICTURE"

    def test_no_template_is_all_that_is_said(self) -> None:
        found = People({"Ada": pictures(1, 2)}, without=("Left",)).examine()
        assert kinds(found) == [("no template", ("Left",), ())]
        assert found[0].advice.endswith("twinface people remove Left, then twinface enroll --name Left PICTURE")

    @pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
    def test_damaged_templates_are_none(self, value: float) -> None:
        bad = np.full(128, value)
        found = People({"Ada": [*pictures(1, 2), bad], "Bea": [bad, bad]}).examine()
        assert kinds(found) == [("no template", ("Bea",), ())]

    def test_templates_of_nobody_listed_are_left_out(self) -> None:
        assert People({"Ada": pictures(1, 2), "Gone": pictures(1, 2)}, unlisted=("Gone",)).examine() == []


class TestRefusals:
    def test_a_rule_of_another_encoder(self) -> None:
        empty = np.empty(0, np.int64)
        enrolled = Enrolled(SPACE, np.empty((0, 128), np.float32), empty, empty, ())
        with pytest.raises(ContractMismatch, match="cannot judge"):
            examine(enrolled, [], lambda uid: [], rule_of(point(1e-3, 0.7, "other")))

    def test_a_single_operating_point_cannot_tell_for_many(self) -> None:
        with pytest.raises(GalleryError, match="calibrate"):
            People({"Ada": pictures(1, 20)}).examine(rule_of(point(1e-3, 0.7)))

    def test_no_such_rate(self) -> None:
        with pytest.raises(GalleryError, match="FPIR"):
            People({"Ada": pictures(1, 2)}).examine(fpir=0.0)


class TestWords:
    HOSTILE = ("$(rm -rf ~)", 'O\'Hara "x"', "`id`; !!", "--sample", "a\u200db", "{0} [red]x[/red]")

    def test_names_are_quoted_for_the_shell(self) -> None:
        found = People({name: pictures(1, 2) for name in self.HOSTILE}).examine()
        assert len(found) == 15
        for one in found:
            command = shlex.split(one.advice[one.advice.index("twinface people merge") :])
            assert command[:3] == ["twinface", "people", "merge"]
            assert command[3:] in (list(one.subjects), ["--", *one.subjects])
            assert ("--" in command[3:]) == ("--sample" in one.subjects)

    @pytest.mark.parametrize("name", HOSTILE)
    def test_every_kind_has_one_printable_line(self, name: str) -> None:
        troubles = (
            {name: pictures(1, 2), "Bea": pictures(1, 2)},
            {name: [*pictures(1, 3), pictures(2, 3)[2]], "Bea": pictures(2, 2)},
            {name: [centre(1)], "Bea": [near(centre(1), 0.62, 2)]},
            {name: [*pictures(1, 2), centre(4)]},
            {name: [centre(1), centre(2)]},
            {name: pictures(1, 1)},
        )
        seen = set()
        for trouble in troubles:
            people = People(trouble, {name: [quality("x\ny")] * 9}, source="a\n\x1b[31m{place}", without=(name + "2",))
            for one in people.examine():
                seen.add(one.kind)
                assert one.words.isprintable()
                assert len(one.advice.splitlines()) == 1
                if one.kind not in ("probable duplicate", "odd picture"):
                    command = shlex.split(one.advice[one.advice.index("twinface enroll") :].replace("PICTURE,", ""))
                    named = command[2].partition("=")[2] or command[3]
                    assert named == one.subjects[one.kind == "mislabelled picture"]
        assert seen == set(KINDS) - {"crowded gallery"}

    def test_a_sample_without_a_source_is_its_number(self) -> None:
        (one,) = People({"Ada": [*pictures(1, 2), centre(3)]}, source="").examine()
        assert one.words.startswith("picture 3 of Ada")


class TestOrder:
    def test_by_severity_then_distance_then_names(self) -> None:
        c = {seed: centre(seed) for seed in range(40, 60)}
        people = {
            "Lone": pictures(1, 1),
            "Alone": pictures(2, 1),
            "Odd": [*pictures(3, 2), centre(77)],
            "Alike1": [c[40], c[40]],
            "Alike2": [near(c[40], 0.605, 1)] * 2,
            "Stray": [*pictures(5, 2), near(c[41], 0.2, 2)],
            "Home": [c[41], c[41]],
            "Twin far 1": [c[42]] * 2,
            "Twin far 2": [near(c[42], 0.3, 1)] * 2,
            "Twin near 1": [c[43]] * 2,
            "Twin near 2": [near(c[43], 0.1, 1)] * 2,
        }
        gallery = People(people, without=("Left",))
        found = gallery.examine(fpir=0.02)
        assert [(one.kind, one.subjects) for one in found] == [
            ("probable duplicate", ("Twin near 1", "Twin near 2")),
            ("probable duplicate", ("Twin far 1", "Twin far 2")),
            ("mislabelled picture", ("Stray", "Home")),
            ("no template", ("Left",)),
            ("look-alikes", ("Alike1", "Alike2")),
            ("odd picture", ("Odd",)),
            ("few pictures", ("Alone",)),
            ("few pictures", ("Lone",)),
        ]
        assert gallery.examine(fpir=0.02) == found


class TestCrowd:
    def test_only_the_nearest_pairs_are_looked_at_and_that_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gallery_neighbours, "MOST_PAIRS", 5)
        middle = centre(1)
        people = {f"P{one}": [near(middle, 0.02 + 0.01 * one, one)] for one in range(8)}
        crowded = People(people).examine(few=1)
        assert [one.kind for one in crowded] == ["crowded gallery"] + ["probable duplicate"] * 5
        assert crowded[0].subjects == crowded[0].samples == ()
        monkeypatch.undo()
        assert crowded[1:] == People(people).examine(few=1)[:5]

    def test_a_picture_whose_near_pair_was_dropped_is_not_odd(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gallery_neighbours, "MOST_PAIRS", 1)
        twins = {"Cyd": [centre(3)], "Dot": [centre(3)]}
        people = {"Ada": [centre(1), centre(1), near(centre(2), 0.2, 1)], "Bea": [centre(2)], **twins}
        assert [one.kind for one in People(people).examine(few=1)] == ["crowded gallery", "probable duplicate"]

    def test_as_many_as_are_kept_are_no_crowd(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gallery_neighbours, "MOST_PAIRS", 3)
        found = People({name: pictures(1, 2)[:1] for name in ("Ada", "Bea", "Cyd")}).examine(few=1)
        assert [one.kind for one in found] == ["probable duplicate"] * 3
