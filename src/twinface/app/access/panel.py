"""An elevator's panel in the terminal: floors and cabin, the camera's picture, the light, what was decided."""

from __future__ import annotations

import textwrap
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

import cv2
import numpy as np

from twinface.app.access.answers import local
from twinface.core.access.evidence import in_words
from twinface.core.access.policy import Place, Policy
from twinface.core.types import Image
from twinface.services.access_control import Outcome

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

COLUMNS, ROWS = 56, 16
"""Letters of the camera's picture; each shows two pixels, one above the other."""

LIT = 3.0
"""Seconds for which the light stays green or red."""

KEPT = 8
"""Decisions that are shown."""

GREEN, RED, DARK = "white on dark_green", "white on red3", "grey50 on grey11"


class Panel:
    """What is to be seen; several threads may tell it things.

    Args:
        policy: whose places are the floors, the first one lowest.
    """

    def __init__(self, policy: Policy) -> None:
        self._lock = threading.Lock()
        self._policy = policy
        self._picture: Image | None = None
        self._taken = 0.0
        self._decided: deque[Outcome] = deque(maxlen=KEPT)
        self._lit = -LIT
        self._cabin = next(iter(policy.places), "")
        self._wanted = ""
        self.prompt = ""
        """What the person should do now."""
        self.caption = ""
        """What happens, in words."""

    def watch(self, image: Image) -> None:
        """Shows a frame, RGB uint8 (H, W, 3)."""
        small = np.asarray(cv2.resize(image, (COLUMNS, 2 * ROWS), interpolation=cv2.INTER_AREA), np.uint8)
        with self._lock:
            self._picture, self._taken = small, time.monotonic()

    def ask(self, place: str) -> None:
        """Somebody has pressed a button."""
        with self._lock:
            self._wanted = place

    def tell(self, outcome: Outcome) -> None:
        """A request was answered."""
        with self._lock:
            self._decided.append(outcome)
            self._lit, self._wanted = time.monotonic(), ""
            if outcome.ruling.granted:
                self._cabin = outcome.request.place

    def __rich__(self) -> RenderableType:
        """All of it."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        with self._lock:
            grid = Table.grid(padding=(0, 3, 0, 0))
            grid.add_row(Group(*self._floors()), self._camera(), self._light())
            words = self.caption + (f"   ▶ {self.prompt}" if self.prompt else "")
            return Group(grid, Text(), Text(words, "bold"), Text(), self._history())

    def _floors(self) -> list[Text]:
        from rich.text import Text

        lines = []
        for place in reversed(list(self._policy.places.values())):
            here, wanted = place.id == self._cabin, place.id == self._wanted
            lines.append(
                Text.assemble(
                    ("▐█▌ " if here else " │  ", "bright_white" if here else "grey37"),
                    (f"({place.name[:18]})" if wanted else f" {place.name[:18]} ", "bold yellow" if wanted else ""),
                )
            )
            lines.append(Text(" │", "grey37"))
        return lines

    def _camera(self) -> Text:
        """The picture in half blocks; dark where none comes any more."""
        from rich.color import Color
        from rich.style import Style
        from rich.text import Text

        if self._picture is None or time.monotonic() - self._taken > 1.0:
            dark = [Text(" " * COLUMNS, "on grey7")] * ROWS
            dark[ROWS // 2] = Text(f"{'no picture':^{COLUMNS}}", "red on grey7")
            return Text("\n").join(dark)
        lines = []
        for row in range(ROWS):
            line = Text()
            for upper, lower in zip(self._picture[2 * row].tolist(), self._picture[2 * row + 1].tolist(), strict=True):
                line.append("▀", Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower)))
            lines.append(line)
        return Text("\n").join(lines)

    def _light(self) -> RenderableType:
        """Green or red for a while after a decision, with a sign and a word as well."""
        from rich.console import Group
        from rich.text import Text

        lit = self._decided and time.monotonic() - self._lit < LIT
        granted = bool(lit) and self._decided[-1].ruling.granted
        style, sign, word = (GREEN, "●", "GO") if granted else (RED, "■", "STOP") if lit else (DARK, " ", "")
        lamp = [Text(f"{text:^26}", style) for text in ("", sign, word, "")]
        words = in_words(self._decided[-1].ruling.reason) if lit else ""
        return Group(*lamp, Text(), *map(Text, textwrap.wrap(words, 26)))

    def _history(self) -> RenderableType:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for outcome in self._decided:
            people = () if outcome.evidence is None else outcome.evidence.people
            place: Place | None = self._policy.places.get(outcome.request.place)
            table.add_row(
                Text(f"{local(outcome.request.at, self._policy.zone):%H:%M:%S}", "dim"),
                Text("● grant", "green") if outcome.ruling.granted else Text("■ refuse", "red"),
                Text(outcome.request.place if place is None else place.name),
                Text(", ".join(person.name for person in people) or "nobody known"),
                Text(in_words(outcome.ruling.reason), "dim"),
            )
        return table
