"""The answer of a search as a page that one keeps beside the video."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twinface.app.video.answers import WORDS
from twinface.app.video.report import Moment, Section, clock, probability_words, write_report

Row = tuple[str, tuple[Moment, ...]]


def report_page(name: str, title: str, result: Mapping[str, Any]) -> bytes:
    """The page of `twinface search --out`: it plays the video if that lies beside it.

    Args:
        name: of the video's file.
        title: heading.
        result: of the job, see `searching`.

    Raises:
        OutputError: there is no room for it.
    """
    with tempfile.TemporaryDirectory(prefix="twinface-") as folder:
        page = Path(folder) / "report.html"
        section = Section(page.with_name(name), result["duration"], _rows(result), tuple(result["notes"]))
        write_report(page, title, f"{WORDS} The video is {name}, in the same folder as the page.", [section])
        return page.read_bytes().replace(f"{folder}/".encode(), b"")


def _rows(result: Mapping[str, Any]) -> tuple[Row, ...]:
    if "intervals" in result:
        return (("", tuple(_hit(one) for one in result["intervals"])),)
    return tuple((f"person {number}", _person(one)) for number, one in enumerate(result["people"], 1))


def _hit(interval: Mapping[str, Any]) -> Moment:
    start, end = interval["start"], interval["end"]
    words = probability_words(start, end, interval["probability"])
    return Moment(start, end, interval["best"], words, _jpeg(interval["thumbnail"]))


def _person(person: Mapping[str, Any]) -> tuple[Moment, ...]:
    return tuple(
        Moment(start, end, best, f"{clock(start)} to {clock(end)}", _jpeg(picture))
        for (start, end), best, picture in zip(person["intervals"], person["best"], person["thumbnails"], strict=True)
    )


def _jpeg(picture: str | None) -> bytes:
    return b"" if picture is None else base64.b64decode(picture)
