"""What `make demo` shows: the sample photos compared, the verdicts, and a picture of one answer."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

import twinface
from twinface.core.wording import VERDICT_COLOURS, fmr_label, percent
from twinface.vision.drawing import draw_comparison, save

HERE = Path(__file__).parent
PAIRS = (
    ("collins.jpg", "collins_reshoot.jpg", "same"),
    ("hopper.jpg", "hopper_reshoot.jpg", "same"),
    ("collins.jpg", "hopper.jpg", "different"),
    ("collins_reshoot.jpg", "hopper_reshoot.jpg", "different"),
)


def main() -> int:
    console = Console(highlight=False, soft_wrap=True)
    recognizer = twinface.load()
    table = Table("A", "B", "verdict", "same person?", "distance", box=None, padding=(0, 2, 0, 0), header_style="dim")
    out = Path.cwd() / "out"
    out.mkdir(exist_ok=True)
    pictures, wrong = [], 0
    for a, b, truth in PAIRS:
        comparison = recognizer.compare(HERE / a, HERE / b)
        wrong += comparison.verdict != truth
        colour = "rgb({},{},{})".format(*VERDICT_COLOURS[comparison.verdict])
        verdict = Text(comparison.verdict, style=f"bold {colour}")
        table.add_row(a, b, verdict, percent(comparison.probability), f"{comparison.distance:.3f}")
        picture = out / f"{Path(a).stem}-{Path(b).stem}.png"
        save(draw_comparison(comparison), picture)
        pictures.append(picture)
    point = recognizer.rule.point()
    console.print("\n[bold]Are these two faces the same person?[/bold]\n")
    console.print(table)
    console.print(
        f"\nA distance of at most {point.threshold:.3f} counts as the same person: of two different persons\n"
        f"in {point.dataset}, {fmr_label(point.fmr)} come that near.\n"
        "The re-shoots are made from the portraits, so they are easy (examples/README.md);\n"
        "README.md has figures on pictures that are not.\n"
    )
    console.print("Side-by-side pictures:")
    for picture in pictures:
        console.print(f"  {picture}", soft_wrap=True)
    console.print("\nYours: [bold].venv/bin/twinface compare A.jpg B.jpg --save answer.png[/bold]\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
