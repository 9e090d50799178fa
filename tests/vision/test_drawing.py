from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pictures

from twinface.core.decision import Band, OperatingPoint
from twinface.core.types import Analysis, Box, Comparison, Face, Image, Landmarks, Quality, Seconds, Template
from twinface.core.wording import VERDICT_COLOURS, Colour
from twinface.errors import OutputError
from twinface.vision import drawing, sheet
from twinface.vision.drawing import (
    LABEL_COLOURS,
    FaceKind,
    FaceLabel,
    draw_comparison,
    draw_faces,
    draw_identified,
    save,
)

GREEN, RED = VERDICT_COLOURS["same"], VERDICT_COLOURS["different"]
POINT = OperatingPoint("m", "LFW DevTrain", 1e-3, 0.41, 0.40, 0.42, 100_000, 1100, 0.01, 0.008, 0.013)


def face(left: float, top: float, size: float, *reasons: str) -> Face:
    points = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)]) * size + (left, top)
    return Face(
        Box(left, top, size, size),
        Landmarks(points),
        0.9,
        Quality(size * 0.4, 0.5, 120.0, 40.0, 0.0, 0.0, reasons),
        np.full((150, 150, 3), 90, np.uint8),
        Template(np.eye(1, 8)[0], "m"),
    )


def analysis(width: int, height: int, *faces: Face, name: str = "photo.jpg", notes: tuple[str, ...] = ()) -> Analysis:
    image = np.full((height, width, 3), 128, np.uint8)
    image.setflags(write=False)
    return Analysis(name, image, faces, notes, Seconds(0.0, 0.0, 0.0, 0.0))


def portrait(width: int = 300, height: int = 300, **facts: str) -> Analysis:
    side = min(width, height) * 0.5
    return analysis(width, height, face((width - side) / 2, (height - side) / 2, side), **facts)


def comparison(first: Analysis, second: Analysis, distance: float = 0.3, probability: float = 0.99) -> Comparison:
    return Comparison(
        distance, 1 - distance**2 / 2, probability, POINT, "twin", first.faces[0], second.faces[0], 1, 1, first, second
    )


def where(image: Image, colour: Colour) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (image == np.array(colour, np.uint8)).all(axis=2)
    return found


def span(mask: NDArray[np.bool_]) -> list[int]:
    rows, columns = np.nonzero(mask)
    return [int(value) for value in (columns.min(), rows.min(), columns.max(), rows.max())]


def gauge_row(image: Image) -> Image:
    return image[image.shape[0] - drawing.MARGIN - drawing.PANEL + 146]


@pytest.mark.parametrize(
    ("width", "height"), [(300, 300), (4000, 200), (200, 4000), (60, 60), (5000, 4000), (3, 900), (900, 3), (1, 1)]
)
def test_a_comparison_has_one_width_whatever_the_pictures(width: int, height: int) -> None:
    image = draw_comparison(comparison(portrait(width, height), portrait()))

    assert image.dtype == np.uint8
    assert image.shape[1:] == (drawing.WIDTH, 3)
    assert 600 < image.shape[0] <= 918
    assert where(image, GREEN).sum() > 500


def test_the_verdict_is_green_for_one_person_and_red_for_two() -> None:
    same = draw_comparison(comparison(portrait(), portrait(), 0.30))
    different = draw_comparison(comparison(portrait(), portrait(), 0.60, 0.01))

    assert where(same, GREEN).sum() > 2000
    assert not where(same, RED).any()
    assert where(different, RED).sum() > 2000
    assert not where(different, GREEN).any()


def test_doubt_is_amber_has_a_mark_of_its_own_and_its_band_on_the_gauge() -> None:
    answer = comparison(portrait(), portrait(), 0.43, 0.3)
    doubtful = draw_comparison(replace(answer, band=Band(0.9, 0.35, 0.5)))
    certain = draw_comparison(answer)

    amber = VERDICT_COLOURS["inconclusive"]
    assert where(doubtful, amber).sum() > 2000
    assert not where(doubtful, GREEN).any()
    assert not where(doubtful, RED).any()
    shades = [gauge_row(image) for image in (doubtful, certain)]
    changed = np.flatnonzero((shades[0] != shades[1]).any(axis=1))
    scale = 610 / 1.2  # pixels of the gauge a unit of distance
    assert changed.max() - changed.min() == pytest.approx(0.15 * scale, abs=4)
    top = doubtful.shape[0] - drawing.MARGIN - drawing.PANEL
    badge = np.s_[top + 33 : top + 71, 456:494]
    other = draw_comparison(comparison(portrait(), portrait(), 0.60, 0.01))
    assert (where(doubtful[badge], drawing.CARD) != where(other[badge], drawing.CARD)).any()


def test_the_compared_face_is_boxed_where_it_is() -> None:
    image = draw_comparison(comparison(analysis(300, 300, face(60, 90, 120)), portrait()))

    view = image[40:520, 74:554]
    assert span(where(view, GREEN)) == pytest.approx([60 * 1.6, 90 * 1.6, 180 * 1.6, 210 * 1.6], abs=3)


def test_a_very_wide_picture_is_shown_around_the_face() -> None:
    far = draw_comparison(comparison(analysis(6000, 300, face(5600, 80, 120)), portrait()))

    view = far[40:344, : drawing.WIDTH // 2]
    left, top, right, bottom = span(where(view, GREEN))
    landmarks = where(view[top + 10 : bottom - 10, left + 10 : right - 10], GREEN)
    assert landmarks.sum() > 50
    assert right - left == pytest.approx(120 * 304 / 300, abs=4)


def test_other_faces_are_boxed_without_the_colour_of_the_verdict() -> None:
    chosen, other = face(150, 20, 100), face(20, 150, 100)
    alone = draw_comparison(comparison(analysis(300, 300, chosen), portrait()))
    accompanied = draw_comparison(comparison(analysis(300, 300, chosen, other), portrait()))

    changed = (alone != accompanied).any(axis=2)[40:520, 74:554]
    assert span(changed) == pytest.approx([20 * 1.6, 150 * 1.6, 120 * 1.6, 250 * 1.6], abs=3)
    assert not where(accompanied[40:520, 74:554][changed][None], GREEN).any()


@pytest.mark.parametrize("distance", [0.0, 0.2, 0.4, 0.6, 1.0, 1.5, 2.0])
def test_the_gauge_shows_the_distance_on_its_side_of_the_threshold(distance: float) -> None:
    row = gauge_row(draw_comparison(comparison(portrait(), portrait(), distance, 0.5)))[None]
    marker = np.flatnonzero(where(row, GREEN if distance <= POINT.threshold else RED)[0])
    threshold = np.flatnonzero(where(row, drawing.INK)[0]).mean()

    assert (marker.mean() < threshold) == (distance <= POINT.threshold)
    assert drawing.MARGIN < marker.min() < marker.max() < drawing.WIDTH - drawing.MARGIN


def test_a_long_name_stays_in_its_column() -> None:
    long = "a_very_long_name_" * 20 + ".jpg"
    image = draw_comparison(comparison(portrait(name=long), portrait(name=long)))

    caption = image[521:590]
    gap = slice(drawing.MARGIN + drawing.COLUMN + 2, drawing.MARGIN + drawing.COLUMN + drawing.GAP - 2)
    for empty in (slice(0, drawing.MARGIN - 2), gap, slice(drawing.WIDTH - drawing.MARGIN + 2, None)):
        assert where(caption[:, empty], drawing.PAPER).all()
    assert where(caption, drawing.INK).any()


def test_only_the_file_name_is_told_not_its_folder() -> None:
    here = draw_comparison(comparison(portrait(name="photo.jpg"), portrait()))
    elsewhere = draw_comparison(comparison(portrait(name="secret/folder/photo.jpg"), portrait()))

    np.testing.assert_array_equal(here, elsewhere)


def test_accents_are_dropped_and_what_no_font_has_becomes_a_question_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet, "TYPEFACES", ())
    sheet._face.cache_clear()
    plain = draw_comparison(comparison(portrait(name="Zoe ???.jpg"), portrait()))
    named = draw_comparison(comparison(portrait(name="Zoë 北\n\udcff.jpg"), portrait()))

    np.testing.assert_array_equal(plain, named)


def test_a_shortcoming_is_told_below_its_picture() -> None:
    flawed = analysis(300, 300, face(60, 60, 120, "blurred"))
    image = draw_comparison(comparison(flawed, portrait()))

    told = where(image[520:630], drawing.AMBER)
    assert told[:, : drawing.WIDTH // 2].any()
    assert not told[:, drawing.WIDTH // 2 :].any()


def test_notes_on_the_decoding_are_told() -> None:
    silent = draw_comparison(comparison(portrait(), portrait()))
    noted = draw_comparison(comparison(analysis(300, 300, face(75, 75, 150), notes=("first frame of 12",)), portrait()))

    assert (silent != noted).any()


def test_a_verdict_against_the_odds_is_explained_in_amber() -> None:
    plain = draw_comparison(comparison(portrait(), portrait(), 0.45, 0.2))
    odd = draw_comparison(comparison(portrait(), portrait(), 0.45, 0.9))

    assert not where(plain, drawing.AMBER).any()
    assert where(odd, drawing.AMBER).any()


@pytest.mark.parametrize(("width", "height"), [(60, 60), (5, 900), (900, 5), (1, 1), (300, 200)])
def test_small_pictures_are_enlarged_so_that_labels_can_be_read(width: int, height: int) -> None:
    image = draw_faces(portrait(width, height))

    assert max(image.shape[:2]) == max(640, width, height)


def test_every_face_is_boxed_and_the_unfit_ones_in_amber() -> None:
    image = draw_faces(analysis(1000, 800, face(100, 100, 200), face(600, 400, 150, "blurred", "small")))

    assert image.shape == (800, 1000, 3)
    left, _, right, bottom = span(where(image, drawing.BLUE))
    assert [left, right, bottom] == pytest.approx([100, 300, 300], abs=3)
    assert span(where(image, drawing.AMBER))[0] == pytest.approx(600, abs=3)


def test_lines_grow_with_the_picture() -> None:
    small = draw_faces(analysis(800, 800, face(200, 200, 400)))
    large = draw_faces(analysis(4000, 4000, face(1000, 1000, 2000)))

    thin, thick = (where(image[[image.shape[0] // 2 + 5]], drawing.BLUE).sum() for image in (small, large))
    assert thick > 3 * thin > 0


def test_a_box_beyond_the_picture_is_drawn_along_its_border() -> None:
    image = draw_faces(analysis(800, 800, face(-100, -100, 500)))

    assert span(where(image, drawing.BLUE))[:2] == pytest.approx([0, 0], abs=4)


@pytest.mark.parametrize("place", [(-100, 200), (200, -100), (700, 200), (200, 700)])
def test_a_face_half_outside_is_drawn_with_the_landmarks_in_the_picture(place: tuple[int, int]) -> None:
    image = draw_faces(analysis(800, 800, face(*place, 200)))

    left, top, right, bottom = span(where(image, drawing.BLUE))
    beyond = (place[0] < 0, place[1] < 0, place[0] > 600, place[1] > 600)
    assert (left < 4, top < 4, right > 795, bottom > 795) == beyond


def test_a_face_wholly_outside_leaves_the_picture_as_it_was() -> None:
    outside = analysis(800, 800, face(900, 900, 100))

    np.testing.assert_array_equal(draw_faces(outside), outside.image)


def test_a_picture_without_faces_says_so() -> None:
    assert where(draw_faces(analysis(800, 600)), drawing.AMBER).sum() > 500


@pytest.mark.parametrize("size", [(2, 900), (900, 2), (1, 1)])
def test_no_face_in_a_sliver_is_told_without_failing(size: tuple[int, int]) -> None:
    assert max(draw_faces(analysis(*size)).shape) == max(640, *size)


def test_drawing_leaves_the_picture_itself_untouched() -> None:
    photo = analysis(800, 600, face(100, 100, 200))

    draw_faces(photo)
    draw_identified(photo, [named("Ada")])
    draw_comparison(comparison(photo, photo))

    assert (photo.image == 128).all()


def named(words: str = "", detail: str = "", kind: FaceKind = "known") -> FaceLabel:
    return FaceLabel(words, detail, kind)


def crowd(columns: int = 6, rows: int = 4, size: float = 40, pitch: int = 60) -> Analysis:
    places = [(column * pitch + 10, row * pitch + 10) for row in range(rows) for column in range(columns)]
    return analysis(columns * pitch, rows * pitch, *(face(*place, size) for place in places))


@pytest.mark.parametrize("kind", ["known", "unknown", "unfit"])
def test_a_named_face_is_boxed_in_the_colour_of_its_kind(kind: FaceKind) -> None:
    image = draw_identified(analysis(1000, 800, face(100, 200, 300)), [named(kind=kind)])

    assert image.shape == (800, 1000, 3)
    assert span(where(image, LABEL_COLOURS[kind])) == pytest.approx([100, 200, 400, 500], abs=3)
    assert len(set(LABEL_COLOURS.values())) == 3


def test_the_name_stands_above_its_face_and_the_detail_below() -> None:
    photo = analysis(1000, 800, face(100, 200, 300))
    bare, name, both = (draw_identified(photo, [named(*words)]) for words in ((), ("Ada 99.9%",), ("Ada", "blurred")))

    assert span((name != bare).any(axis=2))[3] == pytest.approx(200, abs=3)
    assert span((name != bare).any(axis=2))[1] > 160
    assert span((both != bare).any(axis=2))[3] == pytest.approx(527, abs=5)


def test_a_name_does_not_hide_behind_landmarks_nor_they_the_face() -> None:
    image = draw_identified(analysis(1000, 800, face(100, 200, 300)), [named("Ada 99.9%")])

    assert (image[215:485, 125:375] == 128).all()


def test_blank_words_draw_no_tag() -> None:
    photo = analysis(1000, 800, face(100, 200, 300))

    np.testing.assert_array_equal(draw_identified(photo, [named(" ", "\t")]), draw_identified(photo, [named()]))


def test_there_is_a_label_for_every_face() -> None:
    with pytest.raises(ValueError, match="one for each face wanted, got 1 for 2 faces"):
        draw_identified(analysis(400, 400, face(10, 10, 100), face(200, 200, 100)), [named("Ada")])


def test_naming_nobody_says_that_there_is_no_face() -> None:
    np.testing.assert_array_equal(draw_identified(analysis(800, 600), []), draw_faces(analysis(800, 600)))


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("José 99.9%", "Jose 99.9%"),
        ("محمد", "????"),
        ("王小明 88%", "??? 88%"),
        ("👩\u200d🚀", "???"),
        ("a\nb\0\u202e\udcff", "a?b???"),
    ],
    ids=ascii,
)
def test_a_name_in_letters_that_no_font_has_is_drawn_all_the_same(
    words: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheet, "TYPEFACES", ())
    sheet._face.cache_clear()
    photo = analysis(1000, 800, face(100, 200, 300))

    np.testing.assert_array_equal(draw_identified(photo, [named(words)]), draw_identified(photo, [named(shown)]))


def test_a_name_in_other_letters_is_set_in_a_typeface_that_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    dejavu = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    photo = analysis(1000, 800, face(100, 200, 300))
    pictures = []
    for faces in ((), ("none of this name.ttf", str(dejavu))):
        monkeypatch.setattr(sheet, "TYPEFACES", faces)
        sheet._face.cache_clear()
        pictures.append([draw_identified(photo, [named(words)]) for words in ("José", "Ада", "王", "Ada")])
    sheet._face.cache_clear()
    without, having = pictures
    assert [bool((one != other).any()) for one, other in zip(without, having, strict=True)] == [
        True, True, False, False,  # DejaVu has no Chinese, and English stays in our own
    ]  # fmt: skip


@pytest.fixture(autouse=True)
def typefaces_anew() -> Iterator[None]:
    """What a test has said of the system's typefaces is forgotten."""
    yield
    sheet._face.cache_clear()


def test_letters_that_are_all_accents_leave_an_empty_tag() -> None:
    photo = analysis(1000, 800, face(100, 200, 300))

    assert where(draw_identified(photo, [named("\u0301\u0301")]), GREEN)[170:196].any()


@pytest.mark.parametrize("place", [(100, 250), (700, 500), (-100, -100), (900, 700)])
def test_a_long_name_is_cut_and_stays_in_the_picture(place: tuple[int, int]) -> None:
    photo = analysis(1000, 800, face(*place, 200))
    bare, image = draw_identified(photo, [named()]), draw_identified(photo, [named("Maximiliane " * 20 + " 99.9%")])

    left, top, right, bottom = span((image != bare).any(axis=2))
    assert 250 < right - left < 450
    assert bottom - top < 40


@pytest.mark.parametrize("size", [(2, 900), (900, 2), (1, 1), (17, 30)])
def test_a_name_in_a_sliver_is_drawn_without_failing(size: tuple[int, int]) -> None:
    image = draw_identified(portrait(*size), [named("Maximiliane " * 20 + " 99.9%", "blurred")])

    assert max(image.shape) == max(640, *size)


def test_a_crowd_of_small_faces_is_enlarged_until_names_have_room() -> None:
    photo = crowd()
    image = draw_identified(photo, [named("Ada Lovelace 99.9%")] * 24)

    assert image.shape[1] == pytest.approx(360 * 110 / 40, abs=1)
    assert draw_faces(photo).shape[1] == 640
    assert max(draw_identified(crowd(30, 20), [named("Ada")] * 600).shape) == 2000
    assert max(draw_identified(crowd(60, 2), [named("Ada")] * 120).shape) == 3600


def test_in_a_crowd_every_face_can_still_be_seen() -> None:
    photo = crowd()
    image = draw_identified(photo, [named("Maximiliane von Hohenstein 99.9%", "too small", "unfit")] * 24)

    scale = image.shape[1] / 360
    for one in photo.faces:
        left, top, right, bottom = (round(value * scale) for value in one.box.corners)
        assert (image[top:bottom, left:right] == 128).all(axis=2).mean() > 0.6


def gradient() -> Image:
    return np.stack(np.broadcast_arrays(*np.ogrid[0:200:40j, 0:200:60j], 99.0), axis=2).astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "kind"), [("a.png", "PNG"), ("a.jpg", "JPEG"), ("a.JPEG", "JPEG"), ("a.webp", "WEBP"), ("b.c.PNG", "PNG")]
)
def test_the_suffix_chooses_the_format(tmp_path: Path, name: str, kind: str) -> None:
    save(gradient(), tmp_path / name)

    with Pictures.open(tmp_path / name) as picture:
        assert picture.format == kind
        assert np.abs(np.asarray(picture.convert("RGB"), int) - gradient()).mean() < (0.001 if kind == "PNG" else 3)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.gif", "a", "a.png.txt", ".png"])
def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"\.png, \.jpg or \.webp") as caught:
        save(gradient(), tmp_path / name)

    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["two\nlines.png/a.png", "two\nlines.gif", "two\nlines.webp"], ids=ascii)
def test_a_refusal_is_one_line_whatever_the_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError) as caught:
        save(np.zeros((1, 20_000, 3), np.uint8), tmp_path / name)
    assert str(caught.value).isprintable()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"there is no folder .*nowhere"):
        save(gradient(), tmp_path / "nowhere" / "a.png")


@pytest.mark.parametrize(("name", "side"), [("a.webp", 16_384), ("a.jpg", 65_501)])
def test_a_picture_too_large_for_its_format_is_refused(tmp_path: Path, name: str, side: int) -> None:
    with pytest.raises(OutputError, match=f"at most {side - 1} pixels a side.*write a PNG"):
        save(np.zeros((1, side, 3), np.uint8), tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full to stand for a full disk")
def test_what_was_there_stays_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(b"the old picture")
    opened = Path.open

    def full(path: Path, mode: str) -> IO[bytes]:
        opened(path, mode).close()
        return opened(Path("/dev/full"), "wb")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OutputError, match=r"a\.png: cannot be written \(No space left on device\)") as caught:
        save(gradient(), tmp_path / "a.png")
    monkeypatch.undo()

    assert "\n" not in str(caught.value)
    assert (tmp_path / "a.png").read_bytes() == b"the old picture"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


def test_an_older_picture_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"the old picture")

    save(gradient(), tmp_path / "a.png")

    with Pictures.open(tmp_path / "a.png") as picture:
        assert picture.size == (60, 40)
