"""How far long work is, on a terminal."""

from __future__ import annotations

import io

import pytest

from twinface.app.cli import progress as bars


def test_a_bar_shows_words_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    screen = io.StringIO()
    monkeypatch.setattr(bars, "console", lambda stderr: Console(file=screen, force_terminal=True, width=120))
    with bars.progress("arcface:[/x].onnx [bold]", 1) as advance:
        advance()
    assert "arcface:[/x].onnx [bold]" in screen.getvalue()
