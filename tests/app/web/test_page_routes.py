"""How the pages are given, without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

WEB = Path(__file__).parents[3] / "src" / "twinface" / "app" / "web"
PAGES = ("compare", "people", "live", "search", "access", "models", "settings", "login")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    pytest.importorskip("fastapi")
    pytest.importorskip("httpx")
    from fastapi.testclient import TestClient

    from twinface.app.gallery import Gallery
    from twinface.app.server.create import create_app
    from twinface.app.server.options import ServerOptions

    folder = tmp_path_factory.mktemp("pages")
    with Gallery.open(folder / "people.db") as gallery:
        app = create_app(ServerOptions(gallery=folder / "people.db", folder=folder / "state"), gallery=gallery)
        yield TestClient(app, base_url="http://127.0.0.1", follow_redirects=False)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_and_runs_no_script_of_others(client: Any, name: str) -> None:
    answer = client.get(f"/{name}")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "{{" not in answer.text
    assert f'src="/static/{name}.js"' in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


def test_the_start_is_the_first_page(client: Any) -> None:
    answer = client.get("/")

    assert (answer.status_code, answer.headers["location"]) == (307, "/compare")


@pytest.mark.parametrize("path", sorted((WEB / "static").iterdir()), ids=lambda path: path.name)
def test_every_file_is_given_as_what_it_is(client: Any, path: Path) -> None:
    answer = client.get(f"/static/{path.name}")

    assert answer.content == path.read_bytes()
    kind = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}[path.suffix]
    assert answer.headers["content-type"].partition(";")[0] == kind
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_a_browser_has_is_not_sent_again(client: Any) -> None:
    tag = client.get("/static/style.css").headers["etag"]

    again = client.get("/static/style.css", headers={"if-none-match": tag})

    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["nothing.js", "..%2Flayout.html", "%2e%2e%2flayout.html", "..%5C..%5Ccreate.py"])
def test_only_the_files_of_the_pages_are_given(client: Any, name: str) -> None:
    answer = client.get(f"/static/{name}")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
