"""Search, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"

Open = Callable[..., Any]
Until = Callable[[Any, str], None]


def test_a_person_is_found_in_a_video_and_the_timeline_seeks_it(
    opened: Open, until: Until, server: Any, film: Path
) -> None:
    page = opened(server, "/search")
    page.set_input_files("#video", film)
    page.set_input_files("#photos", EXAMPLES / "collins.jpg")

    page.click("text=Find the person")

    page.wait_for_selector("#found h2:has-text('2 moments in film.mp4')")
    starts = [float(one.get_attribute("data-start")) for one in page.query_selector_all(".timeline button")]
    assert starts == pytest.approx([2, 8], abs=0.5)
    until(page, "document.querySelector('#found video').readyState > 0")
    page.click(".timeline button:nth-of-type(2)")
    until(page, "document.querySelector('#found video').currentTime >= 7.5")
    assert page.locator("#found .moments img").count() == 2

    page.click("[aria-label='Remove film.mp4']")
    page.click("dialog button:text-is('Remove it')")
    page.wait_for_selector("#shelf", state="hidden")
    assert page.is_hidden("#found")


def test_all_who_are_in_a_video_are_told_apart(opened: Open, server: Any, film: Path) -> None:
    page = opened(server, "/search")
    page.set_input_files("#video", film)

    page.click("text=Who is in it at all?")

    page.wait_for_selector("#found h2:has-text('2 people in film.mp4')")
    page.wait_for_selector("#found h3:has-text('Person 2')")


def test_somebody_enrolled_is_sought_by_her_name(opened: Open, people: Any, film: Path) -> None:
    page = opened(people, "/search")
    page.set_input_files("#video", film)
    page.fill("#subject", "Grace Hopper")

    page.press("#subject", "Enter")

    page.wait_for_selector("#found h2:has-text('1 moment in film.mp4')")


def test_what_is_missing_or_no_video_is_told_in_words(opened: Open, server: Any, tmp_path: Path) -> None:
    page = opened(server, "/search", heard=False)
    page.click("text=Find the person")
    page.wait_for_selector("#trouble:has-text('There is no video yet')")
    (tmp_path / "letter.mp4").write_text("Dear Sir or Madam")

    page.set_input_files("#video", tmp_path / "letter.mp4")
    page.click("text=Find the person")
    page.wait_for_selector("#trouble:has-text('Whom shall TwinFace seek?')")
    page.click("text=Who is in it at all?")

    page.wait_for_selector("#trouble [role=alert]:not(:has-text('Whom shall'))")
    assert page.is_hidden("#work")
    assert page.is_enabled("text=Find the person")
