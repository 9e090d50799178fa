"""Hostile names: each is kept and found again however it is written, or refused in one line; no file is touched."""

from __future__ import annotations

import unicodedata
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import faults
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twinface.core.naming import LONGEST, clean_name
from twinface.core.subjects import Entry, NewSample
from twinface.core.types import Template
from twinface.errors import DuplicateSubject, GalleryError
from twinface.gallery.sqlite import SqliteGallery
from twinface.services.enrolment import Enroller

ACCEPTED = {
    "Robert'); DROP TABLE subjects;--": "Robert'); DROP TABLE subjects;--",
    "' OR '1'='1": "' OR '1'='1",
    '"; DELETE FROM samples; --': '"; DELETE FROM samples; --',
    "%": "%",
    "_": "_",
    "*": "*",
    "?": "?",
    "NULL": "NULL",
    "None": "None",
    "0": "0",
    "-1e999": "-1e999",
    "CON": "CON",
    "nul.txt": "nul.txt",
    "...": "...",
    ".hidden": ".hidden",
    "~root": "~root",
    "-rf *": "-rf *",
    "--help": "--help",
    "$(reboot) `id`": "$(reboot) `id`",
    "{0} %s %n": "{0} %s %n",
    "[bold red]Ada": "[bold red]Ada",
    "<script>alert(1)<script>": "<script>alert(1)<script>",
    "people.db-wal": "people.db-wal",
    "file:people.db?mode=memory": "file:people.db?mode=memory",
    "  many        spaces   ": "many spaces",
    "wide\u3000space\u00a0here": "wide space here",
    "Zo\u00eb": "Zo\u00eb",
    "Chloe\u0308": "Chlo\u00eb",
    "zero\u200bwidth\u2060\ufeff": "zerowidth",
    "left\u200eto\u200fright\u061c": "lefttoright",
    "\u05e9\u05dc\u05d5\u05dd": "\u05e9\u05dc\u05d5\u05dd",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "\U0001f469\u200d\U0001f680": "\U0001f469\u200d\U0001f680",
    "Z\u0351\u036b\u0343\u036a\u0302a\u0324\u033al\u0329go": None,
    "\u0130stanbul": "\u0130stanbul",
    "\ufdfa" * 20: "\ufdfa" * 20,
    "n" * LONGEST: "n" * LONGEST,
    " " * 300 + "x" + " " * 300: "x",
}
"""What is kept of each; None where it is its composed form."""

REFUSED = [
    "", " ", "\u200b", "\u3000\u00a0", ".", "..", " .. ", "\u200b.\u200b.", "../../etc/passwd", "/etc/passwd", "a/b",
    "a\\b", "C:\\Windows", "\0", "Ada\0", "Ada\nEve", "Ada\rEve", "Ada\tEve", "Ada\x1b[31m", "Ada\x7f", "Ada\x85",
    "Ada\u2028Eve", "Ada\u2029Eve", "\u202eadA", "Ada\u202c", "\u2066Ada\u2069", "\ud800", "Ada\udcff", "\udc00\ud800",
    "\uffff", "Ada\u0378", "n" * (LONGEST + 1), "n" * 4096, "\U0001f600" * 4096, "n/" * 100_000,
]  # fmt: skip


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with faults.quick_folder() as folder:
        yield folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "there" / "people.db"


@pytest.fixture
def gallery(request: pytest.FixtureRequest, path: Path) -> Iterator[SqliteGallery]:
    """A gallery of one person; half of the tests have it plain, the others encrypted."""
    key = faults.KEYS[zlib.crc32(request.node.name.encode()) % 2]
    with closing(SqliteGallery(path, key=key, create=faults.SPACE)) as gallery:
        faults.fill(gallery, "Ordinary")
        yield gallery


def spellings(name: str) -> list[str]:
    """Ways to write a name that is accepted."""
    marked = "\u200b".join(name[:20]) + name[20:]
    return [
        name,
        f"  {name}\u3000",
        *(unicodedata.normalize(form, name) for form in ("NFC", "NFD")),
        marked,
        f"\ufeff{name}",
    ]


def enrolled(gallery: SqliteGallery, name: str, number: int = 0) -> Any:
    (told,) = Enroller(faults.Quick(), gallery).enroll(faults.pictures_of([(name, faults.content_of(name, number))]))
    return told


@pytest.mark.parametrize(("name", "kept"), ACCEPTED.items(), ids=lambda value: ascii(value)[:40])
def test_a_strange_name_is_kept_and_found_however_it_is_written(
    gallery: SqliteGallery, tmp_path: Path, name: str, kept: str | None
) -> None:
    before = set(faults.tree(tmp_path))
    kept = unicodedata.normalize("NFC", name) if kept is None else kept
    assert enrolled(gallery, name).fate == "enrolled"
    assert sorted(faults.contents(gallery)) == sorted(["Ordinary", kept])
    assert faults.nearest_name(gallery, faults.content_of(name)) == kept
    for number, written in enumerate((*spellings(name), kept.upper(), kept.lower(), kept.casefold()), 1):
        if len(written) <= LONGEST:
            assert gallery.find(written).name == kept
            told = enrolled(gallery, written, number)
            assert (told.fate, told.name) == ("enrolled", clean_name(written))
    assert sorted(faults.contents(gallery)) == sorted(["Ordinary", kept])
    with pytest.raises(DuplicateSubject) as caught:
        gallery.rename("Ordinary", name)
    assert "\n" not in str(caught.value)
    gallery.rename(name, "for a while")
    gallery.rename("for a while", name)
    gallery.merge("Ordinary", [name])
    assert list(faults.contents(gallery)) == ["Ordinary"]
    gallery.rename("Ordinary", name)
    assert list(faults.contents(gallery)) == [kept]
    gallery.remove([name, kept])
    assert gallery.subjects() == []
    assert gallery.problems() == []
    assert set(faults.tree(tmp_path)) == before


@pytest.mark.parametrize("name", REFUSED, ids=lambda value: ascii(value)[:40])
def test_what_is_no_name_is_refused_in_one_line_and_nothing_happens(
    gallery: SqliteGallery, tmp_path: Path, name: str
) -> None:
    before, people = set(faults.tree(tmp_path)), faults.contents(gallery)
    sample = faults.sample_of(faults.content_of("anybody"))
    for ask in (
        lambda: gallery.enroll([*faults.entries_of("somebody else"), Entry(name, sample)]),
        lambda: gallery.find(name),
        lambda: gallery.rename("Ordinary", name),
        lambda: gallery.rename(name, "Ada"),
        lambda: gallery.merge("Ordinary", [name]),
        lambda: gallery.merge(name, ["Ordinary"]),
        lambda: gallery.remove(["Ordinary", name]),
        lambda: gallery.set_expiry(name, None),
    ):
        with pytest.raises(GalleryError) as caught:
            ask()
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 400
    told = enrolled(gallery, name)
    assert told.fate == "refused name"
    assert told.why.isprintable()
    assert faults.contents(gallery) == people
    assert gallery.problems() == []
    assert set(faults.tree(tmp_path)) == before


@pytest.mark.parametrize(
    "names",
    [
        ("Ada", "Ad\u0430"),  # a Cyrillic letter
        ("Zoe", "Zo\u00eb"),
        ("Ada", "A da"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u062e\u0648\u0627\u0647\u0645"),
        ("%", "_"),
        ("a%", "ab"),
        ("0", "00"),
        ("1", "1.0"),
        ("None", "NULL"),
    ],
    ids=ascii,
)
def test_names_that_differ_are_two_people(gallery: SqliteGallery, names: tuple[str, str]) -> None:
    faults.fill(gallery, *names)
    assert {one.name for one in gallery.subjects()} == {"Ordinary", *names}
    assert [gallery.find(name).name for name in names] == list(names)
    gallery.remove(names[:1])
    assert {one.name for one in gallery.subjects()} == {"Ordinary", names[1]}


@pytest.mark.parametrize("written", ["stra\u00dfe", "STRASSE", "\uff33trasse", "Stra\u00adsse"], ids=ascii)
def test_letters_that_are_equal_but_for_case_or_width_are_one_person(gallery: SqliteGallery, written: str) -> None:
    faults.fill(gallery, "Strasse")
    assert gallery.find(written).name == "Strasse"
    (outcome,) = gallery.enroll([Entry(written, faults.sample_of(b"another picture"))])
    assert outcome.kind == "enrolled"
    assert gallery.find("Strasse").samples == 3


ANYTHING = st.characters(exclude_categories=())
LETTERS = st.characters(exclude_categories=("Cc", "Cn", "Cs", "Zl", "Zp"), exclude_characters="/\\")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(LETTERS, max_size=30) | st.text(ANYTHING, max_size=5), source=st.text(ANYTHING, max_size=400))
def test_any_text_is_kept_and_found_or_refused(gallery: SqliteGallery, name: str, source: str) -> None:
    content = faults.content_of(name)
    sample = NewSample(faults.digest_of(content), Template(faults.template_of(content), faults.SPACE.identity), source)
    try:
        (outcome,) = gallery.enroll([Entry(name, sample)])
    except GalleryError as error:
        assert str(error).isprintable()  # noqa: PT017 - names that are accepted are many
        return
    assert gallery.find(name).name == clean_name(outcome.name)
    (kept,) = [one for one in gallery.samples(gallery.find(name).uid) if one.digest == sample.digest]
    assert kept.source == source[-300:]
    gallery.remove([name])
    assert [one.name for one in gallery.subjects()] == ["Ordinary"]
