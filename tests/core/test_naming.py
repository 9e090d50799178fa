"""Names of people: what is accepted, and which two are the same."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinface.core.naming import LONGEST, clean_name, name_key
from twinface.errors import GalleryError


@pytest.mark.parametrize(
    ("given_as", "kept_as"),
    [
        ("Ada Lovelace", "Ada Lovelace"),
        ("  Ada \u00a0 Lovelace ", "Ada Lovelace"),
        ("Zoe\u0308", "Zo\u00eb"),
        ("\u200fAda\u200e", "Ada"),
        ("\ufeffAda", "Ada"),
        ("O'Neil; DROP TABLE subjects--", "O'Neil; DROP TABLE subjects--"),
        ("\u0645\u0631\u06cc\u0645", "\u0645\u0631\u06cc\u0645"),  # Arabic letters
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
        ("\u738b\u79c0\u82f1", "\u738b\u79c0\u82f1"),
        ("\U0001f642", "\U0001f642"),
        ("..hidden", "..hidden"),
        ("CON", "CON"),
    ],
)
def test_names_people_have(given_as: str, kept_as: str) -> None:
    assert clean_name(given_as) == kept_as


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "empty"),
        (" \t ", "t"),
        ("  ", "empty"),
        ("\u200e", "empty"),
        (".", "empty"),
        ("..", "empty"),
        ("a\0b", "x00"),
        ("a\nb", "n"),
        ("a\x1b[31m", "x1b"),
        ("a/b", "slash"),
        ("..\\..\\b", "slash"),
        ("../../etc/passwd", "slash"),
        ("gpj.\u202eadA", "202e"),
        ("\u2066Ada\u2069", "2066"),
        ("Ada\udcff", "dcff"),
        ("a\u2028b", "2028"),
        ("x" * (LONGEST + 1), "201 letters"),
        ("x" * 4096, "4,096 letters"),
    ],
)
def test_what_is_no_name_is_refused_in_one_line(name: str, said: str) -> None:
    with pytest.raises(GalleryError, match=said) as refusal:
        clean_name(name)
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 400


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(GalleryError, match="must be text"):
        clean_name(b"Ada")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "other", ["ada lovelace", "ADA LOVELACE", "Ada  Lovelace", "\uff21da Lovelace", "Ada\u200e Lovelace"]
)
def test_one_persons_name_written_otherwise(other: str) -> None:
    assert name_key(other) == name_key("Ada Lovelace")


def test_names_of_two_people() -> None:
    assert len({name_key(name) for name in ("Ada", "Adam", "Zoe", "Zo\u00eb", "A da")}) == 5


@given(st.text(max_size=60))
def test_a_clean_name_is_clean_and_keeps_its_key(text: str) -> None:
    try:
        name = clean_name(text)
    except GalleryError:
        return
    assert clean_name(name) == name
    assert name_key(name) == name_key(text)
    assert unicodedata.is_normalized("NFC", name)
    assert not set(name) & set("/\\\0\n\r")
