"""A light in the terminal: green or red, and a word and a sign too, as not everyone tells the colours apart."""

from __future__ import annotations

from typing import TextIO

from twinface.core.access.actions import LightAction, Notice
from twinface.core.files import reason
from twinface.errors import ActionFailed

WIDTH = 60
"""Columns of the block, at most."""

GREEN, RED = "bold #ffffff on #00692f", "bold #ffffff on #b01818"
"""White on them has a contrast above 6 to 1; WCAG 2.1 asks for 4.5."""

PLAIN_GREEN, PLAIN_RED = "black on green", "bold white on red"
"""For terminals of eight colours, whose nearest to the green above would be grey."""


class TerminalLight:
    """Shows a decision as a block of colour; one line without colour where there is no terminal.

    Args:
        action: what the policy says.
        out: where to.
    """

    def __init__(self, action: LightAction, out: TextIO) -> None:
        from rich.console import Console

        self._action = action
        self._out = out
        self._console = Console(file=out, highlight=False)

    def notify(self, notice: Notice) -> None:
        """Shows it.

        Raises:
            ActionFailed: the terminal is gone.
        """
        try:
            if not self._console.is_terminal:
                self._out.write(self._fit(light_line(notice)) + "\n")
            elif self._action.line:
                self._draw_line(notice)
            else:
                self._draw_block(notice)
            self._out.flush()
        except (OSError, ValueError) as error:
            raise ActionFailed(f"{self._action.name}: the light cannot be shown ({reason(error)})") from error

    def close(self) -> None:
        """Holds nothing."""

    def _draw_line(self, notice: Notice) -> None:
        from rich.text import Text

        colour, sign = self._look(notice)
        word, _, rest = light_line(notice).partition("  ")
        self._console.print(Text.assemble((f" {sign} {word} ", colour), f"  {self._fit(rest)}"), soft_wrap=True)

    def _draw_block(self, notice: Notice) -> None:
        from rich import box
        from rich.panel import Panel
        from rich.text import Text

        colour, sign = self._look(notice)
        word, _, rest = light_line(notice).partition("  ")
        self._console.print(
            Panel(
                Text(f"{sign}  {word}\n{self._fit(rest)}", justify="center"),
                box=box.ROUNDED if notice.granted else box.HEAVY,
                style=colour,
                width=min(WIDTH, self._console.width),
            )
        )

    def _fit(self, text: str) -> str:
        """What the terminal's encoding lacks is shown as its code."""
        encoding = self._console.encoding
        return text.encode(encoding, "backslashreplace").decode(encoding)

    def _look(self, notice: Notice) -> tuple[str, str]:
        """Colour and sign."""
        many = self._console.color_system in ("256", "truecolor")
        green, red = (GREEN, RED) if many else (PLAIN_GREEN, PLAIN_RED)
        colour, sign, plain = (green, "\u2713", "+") if notice.granted else (red, "\u2717", "x")
        return colour, sign if self._fit(sign) == sign else plain


def light_line(notice: Notice) -> str:
    """A decision in one line: "GREEN  7th floor: come in"; what would move the cursor is shown as its code."""
    text = f"{notice.place_name}: {notice.words}"
    return ("GREEN  " if notice.granted else "RED  ") + (text if text.isprintable() else ascii(text)[1:-1])
