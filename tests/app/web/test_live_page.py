"""Live, in a real browser with a camera."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Open = Callable[..., Any]


def test_who_stands_before_the_camera_is_named_in_words_and_in_the_picture(opened: Open, people: Any) -> None:
    page = opened(people, "/live")
    page.click("text=Start the camera")

    page.wait_for_selector("#names li:has-text('Grace Hopper'):has-text('✓ known')")
    page.wait_for_selector("#pace:has-text('frames a second')")
    inked = page.eval_on_selector(
        "#over", "one => one.getContext('2d').getImageData(0, 0, one.width, one.height).data.some(value => value > 0)"
    )
    assert inked, "a box is drawn over the picture"

    page.click("text=Stop the camera")
    page.wait_for_selector("#nobody:visible")
    assert page.evaluate("document.querySelector('#video').srcObject") is None, "the camera is let go of"


def test_whom_nobody_enrolled_is_unknown(opened: Open, server: Any) -> None:
    page = opened(server, "/live")

    page.click("text=Start the camera")

    page.wait_for_selector("#names li:has-text('unknown'):has-text('? not known')")


def test_a_camera_that_may_not_be_used_is_told_in_words(opened: Open, server: Any) -> None:
    page = opened(server, "/live")
    page.evaluate(
        """() => {
            navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("no", "NotAllowedError"));
        }"""
    )

    page.click("text=Start the camera")

    page.wait_for_selector("#place [role=alert]:has-text('Allow it in the address bar')")


def test_frames_begin_with_their_number_and_time(opened: Open, server: Any) -> None:
    page = opened(server, "/live")

    header = page.evaluate(
        """async () => {
            const { packed } = await import("/static/livelink.js");
            return [...new Uint8Array(await (await packed(258, 66051.4, new Blob(["J"]))).arrayBuffer())];
        }"""
    )

    assert header == [0, 0, 1, 2, 0, 1, 2, 3, ord("J")]


def test_a_server_without_a_camera_is_told_in_words(opened: Open, server: Any) -> None:
    page = opened(server, "/live", heard=False)

    page.click("text=Watch the server's camera")

    page.wait_for_selector("#place [role=alert]:has-text('The server shows no camera')")
    assert page.is_visible("#remote")
