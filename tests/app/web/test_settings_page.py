"""Settings and signing in, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Open = Callable[..., Any]


def test_the_first_key_closes_the_server_and_signs_this_browser_in(opened: Open, fresh: Any) -> None:
    page = opened(fresh, "/settings", heard=False)
    page.wait_for_selector("#open:has-text('There is no key yet')")

    page.fill("#key-name", "the owner")
    page.click("text=Make the key")

    page.wait_for_selector(".secret:has-text('tf_')")
    page.wait_for_selector("#keys tr:has-text('the owner'):has-text('admin'):has-text('✓ valid')")
    page.wait_for_selector("#session:has-text('the owner')")
    assert page.is_hidden("#open")

    page.fill("#key-name", "reception desk")
    page.select_option("#role", "read")
    page.click("text=Make the key")
    page.wait_for_selector("#keys tr:has-text('reception desk')")
    secret = page.inner_text(".secret")
    page.reload()
    page.wait_for_selector("#keys tr:has-text('reception desk')")
    assert secret not in page.content(), "a key is shown once"

    stranger = opened(fresh, "/people", heard=False)
    stranger.wait_for_url("**/login?next=*people")
    stranger.fill("#key", "tf_wrong")
    stranger.press("#key", "Enter")
    stranger.wait_for_selector("#place [role=alert]:has-text('wrong, revoked or expired')")
    stranger.fill("#key", secret)
    stranger.press("#key", "Enter")
    stranger.wait_for_url("**/people")
    stranger.wait_for_selector("text=Nobody is enrolled yet")
    stranger.goto(fresh.address + "/settings")
    stranger.wait_for_selector("#keys [role=alert]:has-text('needs a key of the role admin')")

    page.evaluate("() => sessionStorage.setItem('twinface-csrf', 'of a session that ended')")
    page.click("[aria-label='Revoke reception desk']")
    page.click("text=Revoke it")
    page.wait_for_selector("#keys tr:has-text('reception desk'):has-text('✗ revoked')")
    stranger.goto(fresh.address + "/people")
    stranger.wait_for_url("**/login?next=*people")

    page.click("text=Sign out")
    page.wait_for_url("**/login")


def test_signing_in_leads_to_no_other_site(opened: Open, server: Any) -> None:
    page = opened(server, "/login?next=https://example.org/")
    page.route("**/v1/session", lambda route: route.fulfill(json={"csrf": "t"}))

    page.fill("#key", "tf_any")
    page.press("#key", "Enter")

    page.wait_for_url(server.address + "/compare")
