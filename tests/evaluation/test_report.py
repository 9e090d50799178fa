"""The report: one page that needs nothing else, in which every text stays text."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from twinface.errors import OutputError
from twinface.evaluation import plots
from twinface.evaluation.report import Gallery, Notes, PicturePair, Plot, Report, Section, Table, render, write_report

VOID = {"meta", "img", "br", "hr", "link"}
HOSTILE = "<script>alert('\"&')</script>"


class Page(HTMLParser):
    """A page taken apart: elements with their attributes, texts by element, and whether every element was closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and self.open:
            self.texts.append((self.open[-1], data.strip()))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text_of(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


def picture(kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 120, 40)).save(buffer, kind)
    return buffer.getvalue()


def full() -> Report:
    return Report(
        "LFW, View 2",
        [("model", "twin-r29"), ("command", "twinface evaluate lfw")],
        [
            Table("Figures", ["figure", "value", "interval"], [["EER", "0.7%", "0.5% to 0.9%"]], "Of 6,000 pairs."),
            Plot("ROC", plots.cmc({"x": [0.5, 1.0]}), "It rises."),
            Gallery("False matches", [PicturePair(picture(), picture("PNG"), "Ann and Eve, 0.31")], "The worst first."),
            Notes("Warnings", ["Few persons."]),
        ],
    )


def test_a_page_holds_what_it_is_given_and_every_element_is_closed() -> None:
    page = Page(render(full()))
    assert page.text_of("h1") == ["LFW, View 2"]
    assert page.text_of("h2") == ["Figures", "ROC", "False matches", "Warnings"]
    assert page.text_of("dt") == ["model", "command"]
    assert page.text_of("dd") == ["twin-r29", "twinface evaluate lfw"]
    assert page.text_of("th") == ["figure", "value", "interval", "EER"]
    assert page.text_of("td") == ["0.7%", "0.5% to 0.9%"]
    assert page.text_of("figcaption") == ["It rises.", "Ann and Eve, 0.31"]
    assert {"Of 6,000 pairs.", "The worst first."} <= set(page.text_of("p"))
    assert "Few persons." in page.text_of("li")


def test_it_can_be_read_without_eyes() -> None:
    page = Page(render(full()))
    assert page.all("html") == [{"lang": "en"}]
    assert [one["alt"] for one in page.all("img")] == [
        "ROC. It rises.", "First picture: Ann and Eve, 0.31", "Second picture: Ann and Eve, 0.31",
    ]  # fmt: skip
    assert [one["scope"] for one in page.all("th")] == ["col"] * 3 + ["row"]
    named = {one["id"] for one in page.all("h2")}
    assert {one["aria-labelledby"] for one in page.all("section")} == named
    assert {str(one["href"]).removeprefix("#") for one in page.all("a")} == named


def test_it_needs_nothing_beside_itself() -> None:
    text = render(full())
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "base", "form"} & {name for name, _ in page.elements}
    assert all(str(one["src"]).startswith("data:image/") for one in page.all("img"))
    assert all(str(one["href"]).startswith("#") for one in page.all("a"))
    assert not re.search(r"url\(|@import|https?://", text)


def test_the_policy_allows_its_own_style_and_pictures_only() -> None:
    page = Page(render(full()))
    (policy,) = [one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    (style,) = re.findall(r"<style>(.*?)</style>", render(full()), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert str(policy).split("; ") == [
        "default-src 'none'", "img-src data:", f"style-src 'sha256-{digest}'", "base-uri 'none'", "form-action 'none'",
    ]  # fmt: skip
    assert not any("style" in attributes for _, attributes in page.elements)  # the policy would not let it count


def test_pictures_come_through_whole() -> None:
    sources = [str(one["src"]) for one in Page(render(full())).all("img")]
    kinds, contents = zip(*(source.split(";base64,") for source in sources), strict=True)
    assert kinds == ("data:image/svg+xml", "data:image/jpeg", "data:image/png")
    assert base64.b64decode(contents[0]).startswith(b"<?xml")
    assert [base64.b64decode(content) for content in contents[1:]] == [picture(), picture("PNG")]


def sections_of(text: str) -> list[Section]:
    """A section of each kind with the text in every place."""
    return [
        Table(text, [text], [[text]], text),
        Gallery(text, [PicturePair(picture(), b"", text)], text),
        Notes(text, [text]),
    ]


@given(
    st.text(min_size=1)
    | st.sampled_from([HOSTILE, '" onerror="alert(1)', "--></style><script>", "&lt;", "\u202egpj.exe"])
)
def test_any_text_stays_text(text: str) -> None:
    page = Page(render(Report(text, [(text, text)], sections_of(text))))
    plain = Page(render(Report("x", [("x", "x")], sections_of("x"))))

    # then it adds no element and no attribute
    assert [(name, set(attributes)) for name, attributes in page.elements] == [
        (name, set(attributes)) for name, attributes in plain.elements
    ]


def test_hostile_text_is_shown_as_it_is() -> None:
    page = Page(render(Report(HOSTILE, [], [Notes(HOSTILE, [HOSTILE])])))
    assert page.text_of("h1") == page.text_of("title") == page.text_of("h2") == [HOSTILE]


def test_what_turns_writing_around_is_written_as_its_code() -> None:
    page = Page(render(Report("a\u202eb\x00c\ud800d\ne", [], [])))
    assert page.text_of("h1") == [r"a\u202eb\x00c\ud800d e"]


def test_the_same_report_gives_the_same_page() -> None:
    assert render(full()) == render(full())


def test_nothing_to_show_is_said() -> None:
    page = Page(render(Report("t", [], [Gallery("False matches", []), Notes("Warnings", [])])))
    assert page.text_of("p") == ["None."]
    assert page.text_of("h2") == ["False matches"]  # no warnings, no headline


def test_a_picture_that_cannot_be_shown_leaves_its_place() -> None:
    page = Page(render(Report("t", [], [Gallery("g", [PicturePair(b"", picture("WEBP"), "Ann")])])))
    assert page.text_of("span") == ["no picture"]
    assert str(page.all("img")[0]["src"]).startswith("data:image/webp")


@pytest.mark.parametrize("content", [b"<svg onload=alert(1)>", b"GIF89a", b"<html>"])
def test_pictures_of_other_kinds_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="neither JPEG nor PNG nor WebP"):
        PicturePair(picture(), content, "Ann")


def test_a_row_that_does_not_fit_its_header_is_refused() -> None:
    with pytest.raises(ValueError, match="2 columns, but a row of 1 cells"):
        Table("t", ["a", "b"], [["1"]])


def test_it_is_written_whole_into_its_folder(tmp_path: Path) -> None:
    path = write_report(tmp_path, full())
    assert path == tmp_path / "report.html"
    assert path.read_text(encoding="utf-8") == render(full())
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_a_missing_folder_is_a_one_line_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        write_report(tmp_path / "none", Report("t", [], []))
