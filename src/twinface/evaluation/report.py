"""A measurement as one page that opens from disk: no network, no script, fit for screen and paper."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from twinface.core.files import write_atomically
from twinface.evaluation.report_style import STYLE
from twinface.evaluation.style import svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"RIFF", "image/webp"))
"""What pictures of each kind begin with."""


@dataclass(frozen=True)
class Table:
    """Cells of text under a header.

    Attributes:
        title: headline.
        header: names of the columns.
        rows: as many cells each as the header; the first names the row.
        note: a sentence below, or "".

    Raises:
        ValueError: a row has more or fewer cells than the header.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(f"table: {len(self.header)} columns, but a row of {len(row)} cells: {row}")


@dataclass(frozen=True)
class Plot:
    """A figure.

    Attributes:
        title: headline.
        figure: one of `plots`.
        caption: what it tells, for those who see it and those who do not.
    """

    title: str
    figure: Figure
    caption: str = ""


@dataclass(frozen=True)
class PicturePair:
    """Two pictures side by side.

    Attributes:
        left: a JPEG, PNG or WebP file's bytes; empty where the picture cannot be shown.
        right: likewise.
        caption: who they show, and how far apart.

    Raises:
        ValueError: bytes of another kind.
    """

    left: bytes
    right: bytes
    caption: str

    def __post_init__(self) -> None:
        for picture in (self.left, self.right):
            if picture and not _kind(picture):
                raise ValueError(f"picture pair: {self.caption!r}: neither JPEG nor PNG nor WebP")


@dataclass(frozen=True)
class Gallery:
    """Pairs of pictures, as the worst false matches.

    Attributes:
        title: headline.
        pairs: from the worst.
        note: a sentence above, or "".
    """

    title: str
    pairs: Sequence[PicturePair]
    note: str = ""


@dataclass(frozen=True)
class Notes:
    """Sentences the reader must not miss.

    Attributes:
        title: headline, as "Warnings".
        lines: one paragraph each; without any the section is left out.
    """

    title: str
    lines: Sequence[str]


Section = Table | Plot | Gallery | Notes


@dataclass(frozen=True)
class Report:
    """A page.

    Attributes:
        title: of the page.
        summary: what was measured, as name and value: model, detector, data set, date, command line, versions.
        sections: from the top.
    """

    title: str
    summary: Sequence[tuple[str, str]]
    sections: Sequence[Section]


def write_report(folder: Path, report: Report, name: str = "report.html") -> Path:
    """Writes the page into a folder, whole or not at all, and returns its path.

    Raises:
        OutputError: it cannot be written.
        TwinFaceError: there are plots and matplotlib is not installed.
    """
    page = render(report).encode()
    path = folder / name
    write_atomically(path, lambda file: file.write(page))
    return path


def render(report: Report) -> str:
    """The page as HTML. Every text is escaped; a policy forbids the browser to load or run anything beside it."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    sections = [section for section in report.sections if not isinstance(section, Notes) or section.lines]
    links = "".join(
        f'<li><a href="#section-{place}">{_text(section.title)}</a></li>' for place, section in enumerate(sections, 1)
    )
    facts = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in report.summary)
    body = "\n".join(_section(place, section) for place, section in enumerate(sections, 1))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{_text(report.title)}</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{_text(report.title)}</h1>
<dl>{facts}</dl>
</header>
<nav aria-label="Contents"><ol>{links}</ol></nav>
<main>
{body}
</main>
</body>
</html>
"""


def _section(place: int, section: Section) -> str:
    match section:
        case Table():
            kind, content = "table", _table(section)
        case Plot():
            kind, content = "plot", _plot(section)
        case Gallery():
            kind, content = "gallery", _gallery(section)
        case Notes():
            kind, content = "notes", _notes(section)
    headline = f'<h2 id="section-{place}">{_text(section.title)}</h2>'
    return f'<section class="{kind}" aria-labelledby="section-{place}">\n{headline}\n{content}\n</section>'


def _table(table: Table) -> str:
    header = "".join(f'<th scope="col">{_text(name)}</th>' for name in table.header)
    rows = "\n".join(
        "<tr>" + "".join(f'<th scope="row">{_text(cell)}</th>' if not place else f"<td>{_text(cell)}</td>"
                         for place, cell in enumerate(row)) + "</tr>"
        for row in table.rows
    )  # fmt: skip
    return (
        f'<div class="wide"><table>\n<thead><tr>{header}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>'
        f"{_paragraph(table.note)}"
    )


def _plot(plot: Plot) -> str:
    picture = _data("image/svg+xml", svg(plot.figure))
    caption = f"<figcaption>{_text(plot.caption)}</figcaption>" if plot.caption else ""
    alt = f"{plot.title}. {plot.caption}" if plot.caption else plot.title
    return f'<figure><img src="{picture}" alt="{_text(alt)}">{caption}</figure>'


def _gallery(gallery: Gallery) -> str:
    pairs = "\n".join(
        f"<li><figure><div>{_picture(pair.left, f'First picture: {pair.caption}')}"
        f"{_picture(pair.right, f'Second picture: {pair.caption}')}</div>"
        f"<figcaption>{_text(pair.caption)}</figcaption></figure></li>"
        for pair in gallery.pairs
    )
    return _paragraph(gallery.note) + (f"<ol>\n{pairs}\n</ol>" if pairs else "<p>None.</p>")


def _notes(notes: Notes) -> str:
    return "<ul>" + "".join(f"<li>{_text(line)}</li>" for line in notes.lines) + "</ul>"


def _picture(content: bytes, alt: str) -> str:
    kind = _kind(content)
    return f'<img src="{_data(kind, content)}" alt="{_text(alt)}">' if kind else "<span>no picture</span>"


def _kind(content: bytes) -> str:
    return next((kind for start, kind in KINDS if content.startswith(start)), "")


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _paragraph(text: str) -> str:
    return f"<p>{_text(text)}</p>" if text else ""


def _text(text: str) -> str:
    """Text that stays text: markup is escaped, and what turns writing around or breaks it is written as its code."""
    seen = (letter if letter.isprintable() else " " if letter.isspace() else ascii(letter)[1:-1] for letter in text)
    return html.escape("".join(seen))
