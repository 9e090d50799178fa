"""The pictures of the pages in docs/pages, made anew: `python -m pytest tests/app/web/screenshots.py`.

They show the public-domain portraits of examples/ and nobody else.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ROOT = Path(__file__).parents[3]
EXAMPLES, PICTURES = ROOT / "examples", ROOT / "docs" / "pages"
LARGEST = 80_000
"""Bytes of a picture."""

Open = Callable[..., Any]

WIDE = {"viewport": {"width": 1280, "height": 860}}
PHONE = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}


def keep(page: Any, name: str, *, whole: bool = False) -> None:
    """Saves what a page shows, as well as fits into the limit."""
    page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    if whole:
        page.set_viewport_size({"width": 1280, "height": page.evaluate("document.querySelector('main').scrollHeight")})
        page.wait_for_timeout(300)
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
    PICTURES.mkdir(exist_ok=True)
    for quality in (86, 78, 70, 60, 50):
        picture.save(PICTURES / f"{name}.webp", quality=quality, method=6)
        if (PICTURES / f"{name}.webp").stat().st_size < LARGEST:
            return
    raise AssertionError(f"{name}: larger than {LARGEST} bytes")


def compare(page: Any, a: str, b: str) -> None:
    page.set_input_files("#file-a", EXAMPLES / a)
    page.set_input_files("#file-b", EXAMPLES / b)
    page.wait_for_selector(".verdict")


@pytest.mark.parametrize(
    ("name", "context"),
    [("compare", WIDE), ("compare-dark", {**WIDE, "color_scheme": "dark"}), ("compare-phone", PHONE)],
)
def test_compare(opened: Open, server: Any, name: str, context: dict[str, Any]) -> None:
    page = opened(server, "/compare", **context)
    compare(page, "collins.jpg", "hopper.jpg" if name == "compare-dark" else "collins_reshoot.jpg")
    if "phone" in name:
        page.set_viewport_size({"width": 360, "height": 1080})
    keep(page, name, whole="phone" not in name)


def test_people(opened: Open, people: Any) -> None:
    page = opened(people, "/people")
    page.wait_for_selector("#findings li, #findings p")
    page.wait_for_load_state("networkidle")
    keep(page, "people")
    page.click("#enrol")
    page.fill("#who", "Grace Hopper")
    page.click("text=Use the camera")
    page.wait_for_selector("dialog [role=status].good:has-text('Good')")
    keep(page, "enrol")


def test_live(opened: Open, people: Any) -> None:
    page = opened(people, "/live")
    page.click("text=Start the camera")
    page.wait_for_selector("#names li:has-text('Grace Hopper')")
    page.wait_for_selector("#pace:has-text('frames')")
    keep(page, "live")


def test_search(opened: Open, server: Any, film: Path) -> None:
    page = opened(server, "/search")
    page.set_input_files("#video", film)
    page.set_input_files("#photos", EXAMPLES / "collins.jpg")
    page.click("text=Find the person")
    page.wait_for_selector("#found .moments img")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)
    keep(page, "search", whole=True)


def test_access(opened: Open, door: Any) -> None:
    page = opened(door, "/access")
    page.wait_for_selector("#curtain", state="hidden")
    page.click(".floors button:has-text('Floor 1')")
    page.wait_for_selector("#events tr:first-child:has-text('✗ refuse')")
    page.click(".floors button:has-text('Floor 7')")
    page.wait_for_selector("#lamp.go")
    page.wait_for_selector("#events tr:first-child:has-text('✓ grant')")
    keep(page, "access", whole=True)


def test_models(opened: Open, server: Any) -> None:
    page = opened(server, "/models")
    page.wait_for_selector("article")
    keep(page, "models", whole=True)


def test_settings(opened: Open, fresh: Any) -> None:
    page = opened(fresh, "/settings", heard=False)
    page.fill("#key-name", "the owner")
    page.wait_for_selector("#open:visible")
    page.click("text=Make the key")
    page.wait_for_selector("#session:has-text('the owner')")
    page.evaluate("() => { document.querySelector('.secret').textContent = 'tf_0123456789ab_…'; }")
    keep(page, "settings")
    page.goto(fresh.address + "/login")
    page.wait_for_selector("#key")
    keep(page, "login")
