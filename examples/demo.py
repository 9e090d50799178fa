"""What `make demo` shows: the sample photos compared, somebody enrolled and found again, pictures of the answers."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

import twinface
from twinface.core.wording import VERDICT_COLOURS, fmr_label, percent
from twinface.vision.drawing import FaceLabel, draw_comparison, draw_identified, save

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
    wrong += who_is_this(console, out)
    console.print(
        "\nYours: [bold].venv/bin/twinface compare A.jpg B.jpg --save answer.png[/bold]\n"
        "       [bold].venv/bin/twinface enroll faces/[/bold]  (one folder a person)\n"
        "       [bold].venv/bin/twinface identify party.jpg --save named.png[/bold]\n"
    )
    return 1 if wrong else 0


def who_is_this(console: Console, out: Path) -> int:
    """Enrols one of the two by her portrait, names her in a picture of both, and forgets her; mistakes made."""
    path = out / "people.db"
    for old in out.glob("people.db*"):
        old.unlink()
    console.print("\n[bold]Who is this?[/bold]\n")
    with twinface.Gallery.open(path) as gallery:
        gallery.enroll("Eileen Collins", [HERE / "collins.jpg"])
        found = gallery.identify(HERE / "two_faces.jpg")
        for face in found.faces:
            near = f"{face.candidates[0].distance:.3f} from {face.candidates[0].name}"
            console.print(f"  face {face.number}: [bold]{face.name or 'unknown'}[/bold] [dim]{near}[/dim]")
        labels = [
            FaceLabel(face.name or "unknown", "", "unknown" if face.name is None else "known") for face in found.faces
        ]
        save(draw_identified(found.analysis, labels), out / "named.png")
        receipt = gallery.remove("Eileen Collins")
        console.print(f"\nForgotten again: {receipt.samples} picture, and every byte made of it.")
        console.print(f"  {out / 'named.png'}", soft_wrap=True)
    return found.names != ("Eileen Collins",)


if __name__ == "__main__":
    sys.exit(main())
