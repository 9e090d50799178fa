from __future__ import annotations

import numpy as np
import pytest

from twinface.core.types import Image
from twinface.vision.sheet import Sheet, resize, tint

RED = (200, 30, 30)


def blank(width: int = 100, height: int = 60) -> Sheet:
    return Sheet(np.full((height, width, 3), 255, np.uint8))


def inked(image: Image) -> list[int]:
    """Left, top, right, bottom of what is not white."""
    rows, columns = np.nonzero((image != 255).any(axis=2))
    return [int(value) for value in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)]


def test_a_rectangle_fills_its_pixels_and_no_others() -> None:
    sheet = blank()
    sheet.fill((10, 20, 40, 35), 0, RED)

    assert (sheet.pixels[20:35, 10:40] == RED).all()
    assert inked(sheet.pixels) == [10, 20, 40, 35]


def test_a_pixel_half_covered_takes_half_the_colour() -> None:
    sheet = blank()
    sheet.fill((10.5, 20, 40, 35), 0, (55, 55, 55))

    assert sheet.pixels[25, 10].tolist() == [155, 155, 155]


def test_round_corners_are_left_out() -> None:
    sheet = blank()
    sheet.fill((10, 10, 50, 50), 20, RED)

    assert (sheet.pixels[10, 10] == 255).all()
    assert (sheet.pixels[10:50, 10:50] == RED).all(axis=2).sum() == pytest.approx(np.pi * 20**2, rel=0.1)


@pytest.mark.parametrize("corners", [(-50, -50, 150, 150), (-80, 10, -20, 30), (200, 200, 220, 220), (90, 50, 130, 90)])
def test_what_lies_beyond_the_sheet_is_dropped(corners: tuple[float, float, float, float]) -> None:
    sheet = blank()
    sheet.fill(corners, 0, RED)

    left, top, right, bottom = (int(max(0, value)) for value in corners)
    expected = blank().pixels
    expected[top:bottom, left:right] = RED
    np.testing.assert_array_equal(sheet.pixels, expected)


def test_words_are_shortened_to_their_room() -> None:
    sheet = blank(400)
    sheet.text(200, 40, "a_very_long_name_of_a_picture.jpg" * 3, 20, (0, 0, 0), "ms", 120)

    left, _, right, _ = inked(sheet.pixels)
    assert 100 < right - left <= 122


def test_a_tag_is_kept_in_the_picture() -> None:
    sheet = blank()
    sheet.tag(90, 5, "1", 16, RED, above=True)

    left, top, right, bottom = inked(sheet.pixels)
    assert (right, top) == (100, 0)
    assert right - left < 40
    assert bottom < 40


def test_a_face_wholly_outside_is_not_marked() -> None:
    sheet = blank()
    assert sheet.mark((200, 200, 300, 300), None, RED, 2) is None
    assert (sheet.pixels == 255).all()


def test_resizing_copies_even_at_the_same_size() -> None:
    image = np.zeros((30, 40, 3), np.uint8)
    copy = resize(image, (40, 30))

    assert copy.shape == image.shape
    assert not np.shares_memory(copy, image)


def test_a_tint_lies_between_the_colour_and_white() -> None:
    assert tint(RED, 0) == RED
    assert tint(RED, 1) == (255, 255, 255)
    assert tint((155, 55, 255), 0.5) == (205, 155, 255)
