from __future__ import annotations

import pytest

from twinface.vision.sheet import Corners, extent
from twinface.vision.tags import Place, Tag, arrange, cut

GREEN = (26, 152, 80)


def tag(face: int, words: str, *, above: bool = True) -> Tag:
    return Tag(face, words, 16.0, GREEN, above)


def box(place: Place) -> Corners:
    wide, tall = extent(place.words, place.tag.letters)
    return place.left, place.top, place.left + wide, place.top + tall


def overlap(a: Corners, b: Corners) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def test_a_tag_stands_flush_above_or_below_its_face() -> None:
    face = (100.0, 200.0, 300.0, 400.0)
    name, detail = arrange([tag(0, "Ada"), tag(0, "blurred", above=False)], [face], 800, 600)

    assert (box(name)[0], box(name)[3]) == (100, 200)
    assert box(detail)[:2] == (100, 400)


def test_no_tags_no_places() -> None:
    assert arrange([], [], 800, 600) == []


@pytest.mark.parametrize("face", [(0, 0, 200, 200), (650, 0, 800, 150), (600, 450, 800, 600), (-50, 550, 90, 700)])
def test_a_tag_is_kept_in_the_picture(face: Corners) -> None:
    for place in arrange([tag(0, "Ada Lovelace 99.9%"), tag(0, "blurred", above=False)], [face], 800, 600):
        left, top, right, bottom = box(place)
        assert 0 <= left < right <= 800
        assert 0 <= top < bottom <= 600
        assert place.words in ("Ada Lovelace 99.9%", "blurred")


def test_words_go_where_no_other_face_is_and_are_whole_there() -> None:
    """The neighbour to the right stands higher, so the words reach to the left."""
    faces = [(300.0, 300.0, 400.0, 420.0), (410.0, 230.0, 510.0, 350.0)]
    (place,) = arrange([tag(0, "Ada King Lovelace 99.9%")], faces, 800, 600)

    assert place.words == "Ada King Lovelace 99.9%"
    assert box(place)[2] == 400
    assert overlap(box(place), faces[1]) == 0


def test_words_are_cut_rather_than_laid_over_neighbours() -> None:
    faces = [(200.0 + 110 * number, 200.0, 300.0 + 110 * number, 320.0) for number in range(5)]
    places = arrange([tag(number, "Maximiliane Lovelace 99.9%") for number in range(5)], faces, 960, 600)

    for number, place in enumerate(places):
        assert place.words.endswith(" 99.9%")
        assert all(overlap(box(place), box(other)) == 0 for other in places[:number])
        assert overlap(box(place), faces[number]) == 0
    assert len(places[2].words) < len("Maximiliane Lovelace 99.9%")


def test_the_place_for_a_name_is_left_to_the_face_below_it() -> None:
    """Beneath a face stands another; her detail would lie over the other's name, so it moves into her own box."""
    faces = [(200.0, 100.0, 300.0, 220.0), (200.0, 247.0, 300.0, 367.0)]
    name, other, detail = arrange([tag(0, "Ada"), tag(1, "Grace"), tag(0, "blurred", above=False)], faces, 800, 600)

    assert box(other)[3] == 247
    assert box(detail)[3] == 220
    assert overlap(box(detail), box(other)) == overlap(box(name), box(other)) == 0


@pytest.mark.parametrize("percentage", ["99.96%", "> 99.99%", "< 0.01%", "5%"])
def test_a_percentage_is_never_cut_into_another(percentage: str) -> None:
    for room in (400, 100, 40, 0, -50):
        assert cut(f"Maximiliane von Hohenstein {percentage}", 16, room).endswith(f" {percentage}")
    assert cut(percentage, 16, 400) == percentage


def test_words_are_shortened_to_their_room_but_never_to_nothing() -> None:
    words = "not looked up, as nothing was found"

    assert cut(words, 16, 400) == words
    assert extent(cut(words, 16, 100), 16)[0] - 16 <= 100
    assert len(cut(words, 16, 0)) >= 4
