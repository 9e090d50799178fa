"""Access, in a real browser; the door's camera shows Grace Hopper."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Open = Callable[..., Any]


def test_a_floor_is_granted_with_light_word_and_sound(opened: Open, door: Any) -> None:
    page = opened(door, "/access")
    page.wait_for_selector("#curtain", state="hidden")
    floors = page.locator(".floors button").all_inner_texts()
    assert [one.split("\n")[-1] for one in floors] == ["Floor 7, laboratory", "Floor 1, offices", "Lobby"]
    page.evaluate(
        """() => {
            const own = AudioContext.prototype.createOscillator;
            window.tones = 0;
            AudioContext.prototype.createOscillator = function () { window.tones += 1; return own.call(this); };
        }"""
    )

    page.click(".floors button:has-text('Floor 7')")

    page.wait_for_selector("#lamp.go:has-text('✓'):has-text('Go'):has-text('Access is granted.')")
    assert page.evaluate("window.tones") == 3, "a chime of three tones"
    newest = "#events tbody tr:first-child"
    page.wait_for_selector(f"{newest}:has-text('✓ grant'):has-text('Floor 7'):has-text('Grace Hopper')")


def test_a_floor_is_refused_with_light_word_and_reason(opened: Open, door: Any) -> None:
    page = opened(door, "/access")
    page.wait_for_selector("#curtain", state="hidden")

    page.click(".floors button:has-text('Floor 1')")

    page.wait_for_selector("#lamp.stop:has-text('✗'):has-text('Stop')")
    assert len(page.inner_text("#why")) > 10
    page.wait_for_selector("#events tbody tr:first-child:has-text('✗ refuse'):has-text('Floor 1')")


def test_a_server_that_does_not_answer_is_a_refusal(opened: Open, door: Any) -> None:
    page = opened(door, "/access", heard=False)
    page.wait_for_selector(".floors button")
    page.route("**/v1/access/requests", lambda route: route.abort())

    page.click(".floors button:has-text('Lobby')")

    page.wait_for_selector("#lamp.stop:has-text('The server does not answer')")


def test_a_server_without_a_door_says_how_to_have_one(opened: Open, server: Any) -> None:
    page = opened(server, "/access", heard=False)

    page.wait_for_selector("section:has-text('This server watches no door'):has-text('--policy policy.toml')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_nothing_serious_to_say_of_the_panel(opened: Open, door: Any, grave: Any, scheme: str) -> None:
    page = opened(door, "/access", color_scheme=scheme)
    page.click(".floors button:has-text('Floor 7')")
    page.wait_for_selector("#lamp.go")

    assert grave(page) == []


def test_the_panel_fits_a_phone(opened: Open, door: Any) -> None:
    page = opened(door, "/access", viewport={"width": 360, "height": 740})
    page.wait_for_selector(".floors button")
    page.wait_for_selector("#events table, #events p")

    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_the_servers_camera_is_watched_live(opened: Open, door: Any) -> None:
    page = opened(door, "/live")

    page.click("text=Watch the server's camera")

    page.wait_for_selector("#names li:has-text('Grace Hopper'):has-text('✓ known')")
    assert page.is_hidden("#curtain")
    page.click("text=Stop watching")
    page.wait_for_selector("#curtain:visible")
