import io
import os
import pty
from collections.abc import Iterator

import pytest

from twinface.app.access.notifiers.terminal import GREEN, RED, TerminalLight
from twinface.core.access.actions import LightAction
from twinface.errors import ActionFailed

LIGHT = LightAction("light")


class Terminal(io.StringIO):
    """Keeps what a terminal of that encoding would be sent."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("COLUMNS", "80")


def shown(notice, out, action=LIGHT):
    TerminalLight(action, out).notify(notice)
    return out.getvalue()


def test_without_a_terminal_it_is_one_plain_line(notice) -> None:
    assert shown(notice(), io.StringIO()) == "GREEN  7th floor: come in\n"
    assert shown(notice(False), io.StringIO()) == "RED  7th floor: nobody we know\n"


@pytest.mark.parametrize(
    ("granted", "colour", "word", "other"),
    [
        (True, "48;2;0;105;47m", "\u2713  GREEN", "RED"),
        (False, "48;2;176;24;24m", "\u2717  RED", "GREEN"),
    ],
)
def test_a_block_has_colour_word_and_sign(notice, granted, colour, word, other) -> None:
    text = shown(notice(granted), Terminal())
    assert colour in text
    assert word in text
    assert other not in text
    assert text.count("\n") == 4


def test_where_colours_are_few_green_is_still_green_and_red_red(notice, monkeypatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLORTERM")
    assert "\x1b[30;42m" in shown(notice(), Terminal())
    assert ";41m" in shown(notice(False), Terminal())


def test_without_colour_frames_words_and_signs_differ(notice, monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    granted, refused = shown(notice(), Terminal()), shown(notice(False), Terminal())
    assert "48;" not in granted + refused
    assert "\u2713  GREEN" in granted
    assert "\u2717  RED" in refused
    assert granted[:8] != refused[:8]


def test_a_line_is_one_line_however_long(notice) -> None:
    text = shown(notice(words="go to the desk " * 20), Terminal(), LightAction("light", line=True))
    assert text.count("\n") == 1
    assert "\u2713 GREEN" in text


@pytest.mark.parametrize("line", [True, False])
def test_a_terminal_that_lacks_the_signs_gets_plain_ones(notice, line) -> None:
    text = shown(notice(False, words="Zo\u00eb, no"), Terminal("ascii"), LightAction("light", line=line))
    assert text.isascii()
    assert "x " in text
    assert "Zo\\xeb" in text


def test_words_cannot_steer_the_terminal(notice) -> None:
    for out in (Terminal(), io.StringIO()):
        text = shown(notice(words="\x1b]0;owned\x07\rGREEN\n[red]x[/red]"), out)
        assert "\x1b]" not in text
        assert "\x07" not in text
        assert "\\x1b" in text
        assert "[red]" in text


def test_a_terminal_that_is_gone_is_a_failure(notice) -> None:
    out = io.StringIO()
    light = TerminalLight(LIGHT, out)
    out.close()
    with pytest.raises(ActionFailed, match="light: the light cannot be shown"):
        light.notify(notice())


@pytest.fixture
def real() -> Iterator[tuple[int, int]]:
    ends = pty.openpty()
    yield ends
    for end in ends:
        os.close(end)


def test_on_a_real_terminal_it_is_a_block(notice, real) -> None:
    ours, theirs = real
    with os.fdopen(os.dup(theirs), "w", encoding="utf-8") as out:
        TerminalLight(LIGHT, out).notify(notice())
        assert "\u2713  GREEN" in os.read(ours, 65_536).decode()


@pytest.mark.parametrize("style", [GREEN, RED])
def test_the_words_can_be_read_on_the_colours(style) -> None:
    light, dark = (luminance(part) for part in style.replace("bold ", "").split(" on "))
    assert (light + 0.05) / (dark + 0.05) > 6  # WCAG 2.1, 1.4.3


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
