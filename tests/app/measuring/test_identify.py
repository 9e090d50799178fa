"""Open-set identification, measured through the whole system."""

from __future__ import annotations

import json

import pytest

from twinface.app.measuring.as_json import identify_json
from twinface.app.measuring.identify import Options, evaluate_identify
from twinface.app.measuring.rows import identify_tables
from twinface.errors import DataError


def test_people_far_apart_are_all_found(make_system, make_photos):
    system, photos = make_system(), make_photos(250, 2, spread=0.05)
    result = evaluate_identify(system, photos, "largest", Options(draws=3))
    (found,) = result.sets
    assert found.gallery == 100
    assert found.fnir.value == 0
    assert found.rank1.value == 1
    assert any("galleries of 1,000, 5,000 need more than these 250 persons" in note for note in result.notes)
    report = identify_json(result, system)
    json.dumps(report, allow_nan=False)
    assert report["galleries"][0]["gallery"] == 100
    assert identify_tables(result)[0].rows[0][0] == "100"


def test_small_galleries_are_drawn_more_often(make_system, make_photos):
    system, photos = make_system(), make_photos(250, 2, spread=0.05)
    found = evaluate_identify(system, photos, "largest", Options(galleries=(100, 200), fpir=0.1))
    assert [one.draws for one in found.sets] == [100, 50]
    assert [one["draws"] for one in identify_json(found, system)["galleries"]] == [100, 50]
    assert identify_tables(found)[0].note == "random galleries: 100 of 100, 50 of 200; one picture a person"
    asked = evaluate_identify(system, photos, "largest", Options(galleries=(100,), fpir=0.1, draws=2))
    assert asked.sets[0].draws == 2


def test_failed_pictures_are_misses_not_absences(make_system, make_photos):
    blind = {f"{person:04d}/1.jpg": b'{"no": "no face"}' for person in range(100)}
    blind |= {f"{person:04d}/0.jpg": b'{"no": "no face"}' for person in range(100)}
    result = evaluate_identify(
        make_system(), make_photos(200, 2, spoilt=blind), "largest", Options(galleries=(100,), draws=20)
    )
    assert result.failed_pictures == 200
    assert result.sets[0].fnir.value == pytest.approx(0.5, abs=0.15)


def test_few_people_make_a_small_gallery(make_system, make_photos):
    result = evaluate_identify(make_system(), make_photos(20, 2), "largest", Options(fpir=0.1, draws=2))
    assert [one.gallery for one in result.sets] == [10]


def test_too_few_people_for_the_rate_are_told_what_to_ask(make_system, make_photos):
    with pytest.raises(DataError, match=r"20 persons are too few to tell FPIR 0\.01, it takes 100 outside .*--fpir"):
        evaluate_identify(make_system(), make_photos(20, 2), "largest", Options())


@pytest.mark.parametrize(("persons", "galleries"), [(1, None), (20, (20,)), (20, (50,))])
def test_a_gallery_that_leaves_nobody_outside_is_refused(make_system, make_photos, persons, galleries):
    with pytest.raises(DataError, match="made people"):
        evaluate_identify(make_system(), make_photos(persons, 2), "largest", Options(galleries=galleries))


@pytest.mark.parametrize("options", [{"fpir": 0.0}, {"fpir": 1.0}, {"galleries": (0,)}])
def test_impossible_wishes_are_refused(options):
    with pytest.raises(DataError):
        Options(**options)
