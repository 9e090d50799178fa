"""Error rates within groups, measured through the whole system."""

from __future__ import annotations

import json

import pytest

from twinface.app.measuring.as_json import fairness_json
from twinface.app.measuring.fairness import Options, evaluate_fairness
from twinface.app.measuring.rows import fairness_tables, verdict_of
from twinface.errors import ContractMismatch, DataError, ModelNotFound


def alike(person: int, others: int = 60) -> bytes:
    """Persons of the first half look alike: their templates lie around one direction."""
    return json.dumps({"person": 0 if person < others else person, "shot": 100 + person, "spread": 0.35}).encode()


@pytest.fixture
def photos(make_photos):
    spoilt = {f"{person:04d}/0.jpg": alike(person) for person in range(120)}
    return make_photos(
        0, 0, spoilt=spoilt,
        group=lambda person: {"race": "A" if person < 60 else "B", "gender": "male" if person % 2 else "female"},
        years=lambda person: 10 if person % 10 == 0 else 40,
    )  # fmt: skip


def test_groups_that_look_alike_are_found_out(make_system, photos):
    system = make_system()
    result = evaluate_fairness(system, photos, Options())
    assert [way.name for way in result.groupings] == ["race", "gender", "race+gender"]
    race = result.groupings[0].matches
    rates = {one.group: one for one in race.groups}
    assert rates["A"].rate > 0.2 > 0.01 > rates["B"].rate
    assert rates["A"].subjects == 54  # six of the sixty are children
    assert race.p is not None
    assert race.p < 0.01
    assert (race.ratio or race.ratio_at_least) > 20
    assert verdict_of(race).endswith("test of equal rates: p < 0.001, the groups differ")
    crossed = result.groupings[2].matches
    assert {one.group for one in crossed.groups} == {"A male", "A female", "B male", "B female"}
    assert any("12 pictures left out" in note for note in result.notes)
    report = fairness_json(result, system)
    json.dumps(report, allow_nan=False)
    assert report["race"]["groups"]["A"].keys() >= {"fmr", "low", "high", "n"}
    assert report["race"]["groups"]["A"]["n"] == 54 * 53 // 2
    assert report["race"]["fnmr"] is None
    assert [table.title.partition(" at ")[0] for table in fairness_tables(result)] == [
        "FMR within groups by race", "FMR within groups by gender", "FMR within groups by race+gender", "Acquired",
    ]  # fmt: skip


def test_groups_made_by_chance_do_not_differ(make_system, photos):
    (gender,) = evaluate_fairness(make_system(), photos, Options(by=("gender",))).groupings
    assert gender.matches.p is not None
    assert gender.matches.p > 0.05
    assert "no difference shown" in verdict_of(gender.matches)


def test_a_picture_of_two_persons_is_told(make_system, make_photos):
    one = make_photos(10, 2).files.contents["0009/1.jpg"]
    shared = {f"{person:04d}/1.jpg": one for person in (5, 20)}
    photos = make_photos(60, 2, spoilt=shared, group=lambda person: {"team": "A" if person < 30 else "B"})
    (note,) = evaluate_fairness(make_system(), photos, Options()).notes
    assert note.startswith("one picture of two persons? ")
    for pair in ("0005/1.jpg and 0009/1.jpg", "0005/1.jpg and 0020/1.jpg", "0009/1.jpg and 0020/1.jpg"):
        assert pair in note
    apart = make_photos(60, 2, group=lambda person: {"team": "A"})
    assert evaluate_fairness(make_system(), apart, Options()).notes == ()


def test_without_false_matches_the_bound_is_three_over_the_couples(make_system, make_photos):
    photos = make_photos(40, 3, group=lambda person: {"team": "A" if person < 20 else "B"})
    (team,) = evaluate_fairness(make_system(), photos, Options()).groupings
    assert team.non_matches is not None
    for one, missed in zip(team.matches.groups, team.non_matches.groups, strict=True):
        assert (one.pairs, one.errors, one.high) == (190 * 9, 0, pytest.approx(3 / 190))
        assert (missed.pairs, missed.errors, missed.high) == (20 * 3, 0, pytest.approx(3 / 20))


def test_people_with_several_pictures_give_an_fnmr_too(make_system, make_photos):
    spoilt = {f"{person:04d}/{shot}.jpg": alike(person) for person in range(40) for shot in range(2)}
    blind = {f"{person:04d}/1.jpg": b'{"no": "no face"}' for person in range(35)}
    photos = make_photos(
        80, 2, spread=0.1, spoilt={**spoilt, **blind}, group=lambda person: {"team": "A" if person < 40 else "B"}
    )
    (team,) = evaluate_fairness(make_system(), photos, Options()).groupings
    assert team.non_matches is not None
    missed = {one.group: one.rate for one in team.non_matches.groups}
    assert missed["A"] == pytest.approx(35 / 40)
    assert missed["B"] == 0


def test_people_without_a_group_give_an_fnmr_of_their_own(make_system, make_photos):
    photos = make_photos(80, 2, group=lambda person: {"team": "A" if person % 3 else "B"} if person < 60 else {})
    result = evaluate_fairness(make_system(), photos, Options())
    assert result.ungrouped is not None
    assert [(one.group, one.subjects) for one in result.ungrouped.groups] == [("all", 20)]


@pytest.mark.parametrize("by", ["height", "race+height"])
def test_an_unknown_grouping_is_refused_with_the_known_ones(make_system, photos, by):
    with pytest.raises(DataError, match=r"no grouping by 'height'; there are race, gender"):
        evaluate_fairness(make_system(), photos, Options(by=(by,)))


def test_data_without_groups_are_refused(make_system, make_photos):
    with pytest.raises(DataError, match="belong to no groups"):
        evaluate_fairness(make_system(), make_photos(5, 2), Options())


def test_without_an_operating_point_there_is_nothing_to_compare_at(make_system, photos):
    with pytest.raises(ModelNotFound, match="twinface calibrate"):
        evaluate_fairness(make_system(rule=None), photos, Options())
    with pytest.raises(ContractMismatch, match="no operating point for FMR"):
        evaluate_fairness(make_system(), photos, Options(fmr=0.5))
