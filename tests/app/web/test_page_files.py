"""The pages' files: what may be in them, and how they are given."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

WEB = Path(__file__).parents[3] / "src" / "twinface" / "app" / "web"
SCRIPTS = sorted((WEB / "static").glob("*.js"))
PAGES = sorted([*(WEB / "pages").glob("*.html"), WEB / "layout.html"])


def test_there_is_something_to_test() -> None:
    assert len(SCRIPTS) > 10
    assert len(PAGES) > 7


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_make_nodes_and_never_markup(path: Path) -> None:
    text = path.read_text("utf-8")
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "srcdoc"):
        assert word not in text
    assert len(text.splitlines()) <= 300


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_have_no_script_or_style_of_their_own(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:", text)


@pytest.mark.parametrize("path", [*SCRIPTS, *PAGES, WEB / "static" / "style.css"], ids=lambda path: path.name)
def test_nothing_comes_from_other_hosts(path: Path) -> None:
    found = re.findall(
        r"""(?:src|href|url\(|from|import)\s*[=(]?\s*["']?(?:https?:)?//[^"'\s)]+""", path.read_text("utf-8")
    )
    assert found == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_every_import_is_there_and_used(path: Path) -> None:
    text = path.read_text("utf-8")
    for names, source in re.findall(r'import \{([^}]*)\} from "\./([^"]+)"', text):
        exported = (WEB / "static" / source).read_text("utf-8")
        for name in (one.strip() for one in names.split(",")):
            given = rf"export (?:async )?(?:const|function|class) {name}\b|export \{{[^}}]*\b{name}\b"
            assert re.search(given, exported), f"{source} exports no {name}"
            assert len(re.findall(rf"\b{name}\b", text)) > 1, f"{name} is not used"
