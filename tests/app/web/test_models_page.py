"""Models, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Open = Callable[..., Any]
Until = Callable[[Any, str], None]


def test_models_show_figures_plots_and_cards(opened: Open, until: Until, server: Any) -> None:
    page = opened(server, "/models")
    first = "article[aria-label='twin-r29']"
    page.wait_for_selector(f"{first} h2:has-text('in use')")
    assert page.inner_text("article:first-of-type h2").startswith("twin-r29"), "the one that errs least stands first"
    assert "1e-3" in page.inner_text(f"{first} table")
    assert "5.6% at 1e-3" in page.get_attribute(f"{first} .plot svg", "aria-label")

    page.click(f"{first} button:has-text('Read the card')")

    page.wait_for_selector("dialog h3:has-text('What it is for')")
    page.wait_for_selector("dialog table th:has-text('LFW View 2')")
    page.evaluate("() => document.querySelectorAll('dialog img').forEach(one => { one.loading = 'eager'; })")
    until(page, "[...document.querySelectorAll('dialog img')].some(one => one.naturalWidth > 100)")


def test_a_failure_is_told_in_words(opened: Open, server: Any) -> None:
    page = opened(server, "/search", heard=False)
    refusal = '{"title": "The server has too much to do", "detail": "try again later"}'
    page.route(
        "**/v1/models",
        lambda route: route.fulfill(status=503, content_type="application/problem+json", body=refusal),
    )

    page.goto(server.address + "/models")

    page.wait_for_selector("[role=alert]:has-text('The server has too much to do'):has-text('try again later')")
