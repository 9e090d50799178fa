"""What was found in videos, as a page that opens from disk, plays the video at the moment, and prints well."""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from twinface.core.files import shown, write_atomically
from twinface.core.wording import percent

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fbfbf9; --muted: #6c737e; --line: #d9dce2; --hit: #1a9850; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --paper: #17191c; --muted: #9aa1ab; --line: #33373d; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .3rem; overflow-wrap: anywhere; }
p.muted, figcaption, .times { color: var(--muted); font-size: .9rem; }
video { width: 100%; max-height: 50vh; background: #000; border-radius: 8px; position: sticky; top: .5rem; z-index: 1; }
.line { position: relative; height: 28px; border-radius: 6px; background: var(--line); margin: .8rem 0 .2rem; }
.line button { position: absolute; top: 0; height: 100%; min-width: 6px; border: 0; border-radius: 4px;
  background: var(--hit); cursor: pointer; padding: 0; }
.line button:focus-visible, figure button:focus-visible { outline: 3px solid #2166ac; outline-offset: 2px; }
.times { display: flex; justify-content: space-between; }
.sheet { display: flex; flex-wrap: wrap; gap: 1rem; margin-top: 1rem; padding: 0; }
figure { margin: 0; width: 8.5rem; } figure button { border: 0; padding: 0; background: none; cursor: pointer; }
figure img { width: 8.5rem; height: 8.5rem; object-fit: cover; border-radius: 8px; display: block;
  background: var(--line); }
@media print { video { display: none; } }
"""

SCRIPT = """
for (const button of document.querySelectorAll("button[data-at]")) {
  button.addEventListener("click", () => {
    const video = document.getElementById(button.dataset.video);
    video.currentTime = Number(button.dataset.at);
    video.play().catch(() => {});
    video.scrollIntoView({ behavior: "smooth", block: "nearest" });
  });
}
"""


@dataclass(frozen=True)
class Moment:
    """Somebody seen.

    Attributes:
        start: seconds.
        end: seconds.
        best: when she is seen best, seconds.
        words: beside her picture.
        thumbnail: a JPEG; may be empty.
    """

    start: float
    end: float
    best: float
    words: str
    thumbnail: bytes


@dataclass(frozen=True)
class Section:
    """A video, and who was seen in it.

    Attributes:
        path: the video.
        duration: seconds; None where nobody knows.
        rows: lines of the timeline: who, and when.
        notes: what the reader must know.
    """

    path: Path
    duration: float | None
    rows: tuple[tuple[str, tuple[Moment, ...]], ...]
    notes: tuple[str, ...] = ()


def clock(seconds: float) -> str:
    """A time as players show it: 75.3 -> "1:15", 3675 -> "1:01:15"."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def probability_words(start: float, end: float, probability: float) -> str:
    """What stands below somebody's picture."""
    return f"{clock(start)} to {clock(end)}, {percent(probability)}"


def write_report(path: Path, title: str, words: str, sections: Sequence[Section]) -> None:
    """Writes the page. It loads nothing but the videos, from where they lie now.

    Args:
        path: the page.
        title: its heading.
        words: what was asked, and how it was answered.
        sections: one a video.

    Raises:
        OutputError: it cannot be written.
    """
    body = "\n".join(_section(section, number, path) for number, section in enumerate(sections, 1))
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; media-src 'self' file:; img-src data:;
 style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>
<h1>{html.escape(title)}</h1><p class="muted">{html.escape(words)}</p>
{body}
<script>{SCRIPT}</script></body></html>
"""
    content = page.encode("utf-8", "xmlcharrefreplace")
    write_atomically(path, lambda file: file.write(content), private=True)


def _section(section: Section, number: int, page: Path) -> str:
    seen = [moment for _, moments in section.rows for moment in moments]
    length = section.duration or max((moment.end for moment in seen), default=0.0) or 1.0
    parts = [f"<section><h2>{html.escape(shown(section.path))}</h2>"]
    parts += [f'<p class="muted">{html.escape(note)}</p>' for note in section.notes]
    if not seen:
        return "\n".join([*parts, '<p class="muted">nobody found</p></section>'])
    place = f"v{number}"
    address = html.escape(f"{_address(section.path, page)}#t={seen[0].best:.2f}")  # the picture shown at first
    parts.append(f'<video id="{place}" controls preload="metadata" src="{address}"></video>')
    for who, moments in section.rows:
        if not moments:
            continue
        if who:
            parts.append(f"<h3>{html.escape(who)}</h3>")
        parts.append('<div class="line">' + "".join(_bar(one, length, place) for one in moments) + "</div>")
        parts.append(f'<div class="times"><span>0:00</span><span>{clock(length)}</span></div>')
        parts.append('<div class="sheet">' + "".join(_figure(one, place) for one in moments) + "</div>")
    return "\n".join([*parts, "</section>"])


def _bar(moment: Moment, length: float, place: str) -> str:
    left, width = 100 * moment.start / length, 100 * (moment.end - moment.start) / length
    title = html.escape(moment.words)
    return (
        f'<button type="button" data-video="{place}" data-at="{moment.start:.2f}" title="{title}" '
        f'aria-label="play: {title}" style="left:{left:.3f}%;width:{width:.3f}%"></button>'
    )


def _figure(moment: Moment, place: str) -> str:
    words = html.escape(moment.words)
    picture = base64.b64encode(moment.thumbnail).decode()
    source = f' src="data:image/jpeg;base64,{picture}"' if picture else ""
    return (
        f'<figure><button type="button" data-video="{place}" data-at="{moment.best:.2f}" aria-label="play: {words}">'
        f'<img{source} alt="face at {clock(moment.best)}"></button><figcaption>{words}</figcaption></figure>'
    )


def _address(video: Path, page: Path) -> str:
    """The video as the page finds it: relative, so that both may be moved together."""
    try:
        return quote(os.path.relpath(video, page.parent).replace(os.sep, "/"), errors="surrogateescape")
    except ValueError:  # another drive
        return video.resolve().as_uri()
