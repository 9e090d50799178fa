"""How far long work is, on stderr and only where somebody sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from twinface.app.cli.output import console


@contextmanager
def progress(words: str, total: int) -> Iterator[Callable[[], object]]:
    """A bar with the time remaining; what it yields is called once a step."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    # the words name files, in which brackets are no markup
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown_on = console(stderr=True)  # where it is no terminal, Rich would leave an empty line
    with Progress(*columns, console=shown_on, transient=True, disable=not shown_on.is_terminal) as bar:
        task = bar.add_task(words, total=total)
        yield lambda: bar.advance(task)
