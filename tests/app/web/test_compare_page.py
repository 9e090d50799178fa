"""Compare, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[3] / "examples"

Open = Callable[..., Any]


def choose(page: Any, a: object, b: object) -> None:
    page.set_input_files("#file-a", a)
    page.set_input_files("#file-b", b)


@pytest.mark.parametrize(
    ("a", "b", "word", "needle"),
    [("collins", "collins_reshoot", "Same person", "right"), ("collins", "hopper", "Different persons", "left")],
)
def test_two_pictures_are_compared_as_soon_as_both_are_there(
    opened: Open, server: Any, a: str, b: str, word: str, needle: str
) -> None:
    page = opened(server, "/compare")

    choose(page, EXAMPLES / f"{a}.jpg", EXAMPLES / f"{b}.jpg")

    page.wait_for_selector(f".answer:has-text('{word}')")
    gauge = page.get_attribute(".gauge svg", "aria-label")
    assert gauge.startswith(f"{word}: probability")
    assert "threshold is at 95." in gauge, "the place of FMR 1e-3 on the gauge, from the model's own curve"
    hub, tip = (float(page.get_attribute(".gauge .needle", name)) for name in ("x1", "x2"))
    assert (tip > hub) == (needle == "right")
    assert "FMR 1e-3" in page.inner_text(".words")


def test_both_faces_are_shown_aligned_with_their_landmarks(opened: Open, server: Any) -> None:
    page = opened(server, "/compare")
    choose(page, EXAMPLES / "collins.jpg", EXAMPLES / "hopper.jpg")
    page.wait_for_selector(".verdict")

    inked = page.eval_on_selector_all(
        ".verdict canvas",
        """all => all.map(canvas => {
            const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            const at = (x, y) => [...data.slice(4 * (y * canvas.width + x), 4 * (y * canvas.width + x) + 3)];
            return [[94, 88], [202, 89], [148, 154], [96, 201], [193, 204]].map(([x, y]) => at(x, y));
        })""",
    )

    assert len(inked) == 2
    dots = np.array(inked, dtype=float)
    assert np.abs(dots - (0x4C, 0xC3, 0xCC)).mean() < 40, "the five landmarks lie on the points of the contract"


def test_a_stricter_answer_is_asked_for_anew(opened: Open, server: Any) -> None:
    page = opened(server, "/compare")
    choose(page, EXAMPLES / "collins.jpg", EXAMPLES / "collins_reshoot.jpg")
    page.wait_for_selector(".verdict")

    page.click("summary:has-text('How strict')")
    page.select_option("#fmr", "0.0001")

    page.wait_for_selector(".words:has-text('1 in 10,000')")


def test_a_picture_is_taken_with_the_camera(opened: Open, server: Any) -> None:
    page = opened(server, "/compare")
    page.set_input_files("#file-b", EXAMPLES / "hopper_reshoot.jpg")

    page.click("#slot-a [data-camera]")
    page.click("dialog button:has-text('Take the picture'):enabled")

    page.wait_for_selector(".answer:has-text('Same person')")
    page.wait_for_selector("dialog", state="detached")


def test_a_picture_is_dropped(opened: Open, server: Any) -> None:
    page = opened(server, "/compare")
    page.set_input_files("#file-b", EXAMPLES / "collins.jpg")
    dropped = page.evaluate_handle(
        """async base64 => {
            const content = Uint8Array.from(atob(base64), one => one.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([content], "dropped.jpg", { type: "image/jpeg" }));
            return transfer;
        }""",
        _base64(EXAMPLES / "collins_reshoot.jpg"),
    )

    page.dispatch_event("#slot-a .drop", "drop", {"dataTransfer": dropped})

    page.wait_for_selector(".answer:has-text('Same person')")
    assert "dropped.jpg" in page.inner_text(".verdict")


def test_a_picture_without_a_face_is_told_in_words(opened: Open, server: Any, tmp_path: Path) -> None:
    Image.new("RGB", (200, 200), (90, 120, 150)).save(tmp_path / "wall.png")
    page = opened(server, "/compare", heard=False)

    choose(page, tmp_path / "wall.png", EXAMPLES / "hopper.jpg")

    page.wait_for_selector("#answer [role=alert]:has-text('There is no such face')")


def test_what_is_no_picture_is_told_in_words(opened: Open, server: Any, tmp_path: Path) -> None:
    (tmp_path / "letter.jpg").write_text("Dear Sir or Madam")
    page = opened(server, "/compare", heard=False)

    choose(page, tmp_path / "letter.jpg", EXAMPLES / "hopper.jpg")

    page.wait_for_selector("#answer [role=alert]")
    assert "letter" in page.inner_text("#slot-a")
    assert "cannot show it" in page.inner_text("#slot-a")


def _base64(path: Path) -> str:
    import base64

    return base64.b64encode(path.read_bytes()).decode()
