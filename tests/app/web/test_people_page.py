"""People, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[3] / "examples"

Open = Callable[..., Any]
Until = Callable[[Any, str], None]


def names(server: Any) -> list[str]:
    return [one.name for one in server.gallery.people()]


def test_an_empty_gallery_says_how_to_begin(opened: Open, server: Any) -> None:
    page = opened(server, "/people")

    page.wait_for_selector("section:has-text('Nobody is enrolled yet') li:has-text('Ask the person')")
    page.click("text=Enrol the first person")

    assert page.evaluate("document.activeElement.id") == "who"


def test_somebody_is_enrolled_by_upload_and_camera_renamed_and_erased(opened: Open, until: Until, server: Any) -> None:
    page = opened(server, "/people")
    page.click("#enrol")
    page.fill("#who", "Commodore Hopper")
    page.set_input_files("#photos", EXAMPLES / "hopper.jpg")
    page.wait_for_selector(".shots li:has-text('✓ fit')")
    page.click("text=Use the camera")
    page.wait_for_selector("dialog [role=status].good:has-text('Good')")
    page.click("dialog button:has-text('Take the picture')")
    page.wait_for_selector(".shots li:nth-child(2):has-text('✓ fit')")
    page.check("#keep")
    page.click("dialog button:text-is('Enrol')")
    page.wait_for_selector(".person:has-text('Commodore Hopper'):has-text('2 pictures')")
    assert names(server) == ["Commodore Hopper"]
    until(page, "document.querySelector('.person img')?.naturalWidth > 50")

    page.click("button[aria-label='Rename Commodore Hopper']")
    page.fill("#new-name", "Grace Hopper")
    page.click("dialog button:text-is('Rename')")
    page.wait_for_selector(".person:has-text('Grace Hopper')")
    assert names(server) == ["Grace Hopper"]

    page.click("button[aria-label='Remove Grace Hopper']")
    page.wait_for_selector("dialog:has-text('the 2 templates'):has-text('2 kept photos')")
    assert page.evaluate("document.activeElement.textContent") == "Keep her", "Enter alone must erase nobody"
    page.click("text=Erase Grace Hopper")
    receipt = page.inner_text(".receipt")
    assert server.gallery.info().id in receipt
    assert "2 pictures, 2 kept photos" in receipt
    page.click("dialog button:text-is('Done')")
    page.wait_for_selector("text=Nobody is enrolled yet")
    assert names(server) == []


def test_a_name_is_found(opened: Open, people: Any) -> None:
    page = opened(people, "/people")
    page.wait_for_selector(".person:nth-child(2)")

    page.fill("#find", "coll")

    page.wait_for_selector("#count:has-text('1 of 2 people')")
    assert page.locator(".person").count() == 1
    page.fill("#find", "nobody at all")
    page.wait_for_selector("text=Nobody's name holds “nobody at all”.")


def test_all_that_is_kept_of_a_person_is_shown(opened: Open, until: Until, people: Any) -> None:
    page = opened(people, "/people")

    page.click("button.name:has-text('Eileen Collins')")

    page.wait_for_selector("dialog td:has-text('collins.jpg')")
    until(page, "document.querySelector('dialog img').naturalWidth > 50")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")


def test_a_name_that_is_taken_is_told_in_words(opened: Open, people: Any) -> None:
    page = opened(people, "/people", heard=False)
    page.click("button[aria-label='Rename Eileen Collins']")

    page.fill("#new-name", "Grace Hopper")
    page.keyboard.press("Enter")

    page.wait_for_selector("dialog [role=alert]:has-text('Somebody has this name already')")
    assert sorted(names(people)) == ["Eileen Collins", "Grace Hopper"]


def test_names_are_text_and_never_markup(opened: Open, server: Any) -> None:
    name = "<img src=x onerror=alert(1)>"
    server.gallery.enroll(name, [EXAMPLES / "collins.jpg"])
    try:
        page = opened(server, "/people")
        page.wait_for_selector(".person")
        assert page.inner_text(".person h2") == name
        assert page.query_selector(".person h2 img") is None
    finally:
        server.gallery.remove(name)


def test_what_should_be_mended_is_told(opened: Open, people: Any) -> None:
    page = opened(people, "/people")

    page.wait_for_selector("#findings li:has-text('picture')")
