"""How far long work is, on stderr and only where somebody sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from twinface.app.cli.output import console
from twinface.core.files import shown


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


@contextmanager
def video_progress(path: Path) -> Iterator[Callable[[str], Callable[[float | None], Callable[[float], object]]]]:
    """Bars in seconds of the video, one for each kind of work, shown once it begins."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    shown_on = console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
               TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=shown_on, transient=True, disable=not shown_on.is_terminal) as bars:

        def bar(work: str) -> Callable[[float | None], Callable[[float], object]]:
            def began(duration: float | None) -> Callable[[float], object]:
                task = bars.add_task(f"{work} {shown(path.name)}", total=duration)
                return lambda time: bars.update(task, completed=time)

            return began

        yield bar
