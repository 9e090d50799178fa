"""Every page by keyboard, by ear, on a phone, in the dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"
PAGES = ("compare", "people", "live", "search", "access", "models", "settings", "login")

Open = Callable[..., Any]

PHONE = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}


def fill(page: Any, name: str) -> None:
    """Waits for a page, and brings it into the state in which it shows most."""
    page.wait_for_selector("main .busy", state="detached")
    if name == "compare":
        page.set_input_files("#file-a", EXAMPLES / "collins.jpg")
        page.set_input_files("#file-b", EXAMPLES / "hopper.jpg")
        page.wait_for_selector(".verdict")
        page.click("summary:has-text('How strict')")
        page.click("summary:has-text('Figures')")
    if name == "people":
        page.wait_for_selector("#findings li")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_has_nothing_serious_to_say(opened: Open, people: Any, grave: Any, name: str, scheme: str) -> None:
    page = opened(people, f"/{name}", heard=name != "access", color_scheme=scheme)
    fill(page, name)

    assert grave(page) == []


def test_axe_has_nothing_serious_to_say_of_dialogs(opened: Open, people: Any, grave: Any) -> None:
    page = opened(people, "/people")
    for opener, shown in (
        ("[aria-label='Remove Grace Hopper']", "text=This erases for good"),
        ("[aria-label='Rename Grace Hopper']", "#new-name"),
        ("button.name >> nth=0", "td:has-text('fit')"),
        ("#enrol", "#photos"),
    ):
        page.click(opener)
        page.wait_for_selector(f"dialog >> {shown}")
        assert grave(page) == []
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog", state="detached")


def test_a_phone_shows_all_without_scrolling_sideways(opened: Open, people: Any) -> None:
    page = opened(people, "/login", heard=False, **PHONE)
    for name in PAGES:
        page.goto(f"{people.address}/{name}")
        fill(page, name)

        assert page.evaluate("document.documentElement.scrollWidth") == 360, name
        small = page.eval_on_selector_all(
            "button, select, nav a, input:not(.visually-hidden)",
            """all => all.filter(one => one.checkVisibility() && !one.matches(".name, [type=checkbox]"))
                .filter(one => one.getBoundingClientRect().height < 40)
                .map(one => one.outerHTML.slice(0, 80))""",
        )
        assert small == [], f"{name}: what is touched is at least 40 px high"


def test_every_page_has_landmarks_one_heading_and_a_title(opened: Open, server: Any) -> None:
    page = opened(server, "/login", heard=False)
    for name in PAGES:
        page.goto(f"{server.address}/{name}")

        assert [page.locator(one).count() for one in ("main", "h1", "header", "#say[aria-live]")] == [1, 1, 1, 1], name
        assert page.title().endswith(" · TwinFace"), name
        if name != "login":
            assert page.locator("nav a[aria-current=page]").get_attribute("href") == f"/{name}"


def test_the_keyboard_reaches_the_content_and_shows_where_it_is(opened: Open, server: Any) -> None:
    page = opened(server, "/compare")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")

    assert page.evaluate("document.activeElement.id") == "file-a"
    ring = page.eval_on_selector("#slot-a .drop", "one => getComputedStyle(one).outlineStyle")
    assert ring == "solid"


def test_an_answer_is_read_out(opened: Open, server: Any) -> None:
    page = opened(server, "/compare")
    fill(page, "compare")

    page.wait_for_selector("#say:has-text('Different persons, probability 0.05%')", state="attached")


def test_who_closes_a_dialog_is_where_she_was(opened: Open, people: Any) -> None:
    page = opened(people, "/people")
    page.focus("button[aria-label='Rename Grace Hopper']")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[aria-labelledby]")

    page.keyboard.press("Escape")

    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Rename Grace Hopper"
