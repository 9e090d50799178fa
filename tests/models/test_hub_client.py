"""What is asked of the Hub, to whom the login goes, and how trouble is told."""

from __future__ import annotations

import itertools
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import hub_server
import pytest
from hub_models import (
    REPO,
    fails,
    nothing_left,
    published,
)
from hub_server import said

from twinface.errors import ModelError, ModelNotFound
from twinface.models import hub_client
from twinface.models.hub import pull, push
from twinface.models.hub_client import HubClient, redirected
from twinface.models.registry import ModelEntry

pytest.importorskip("huggingface_hub")


# redirects and the login


def test_a_redirect_to_another_server_without_https_is_not_followed(hub: Any, home: Path) -> None:
    hub.commit(REPO, published())
    with hub_server.HubServer() as other:
        other.commit(REPO, published())
        for status in (301, 302, 303, 307, 308):
            hub.instead["/tiny.json"] = status, {"Location": f"{other.url}/{REPO}/resolve/main/tiny.json"}, b""
            fails(hub, home, ModelNotFound, f"leads to {other.url}; only https is followed")
        assert not other.asked


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://a/b", "//elsewhere.example/x", "http://[", "gopher:x"])
def test_a_redirect_to_anywhere_else_is_not_followed(hub: Any, home: Path, place: str) -> None:
    hub.commit(REPO, published())
    hub.instead["/tiny.json"] = 302, {"Location": place}, b""
    fails(hub, home, ModelNotFound, None)


def test_redirects_without_end_are_given_up(hub: Any, home: Path) -> None:
    hub.commit(REPO, published())
    hub.instead["/tiny.json"] = 302, {"Location": f"/{REPO}/resolve/main/tiny.json"}, b""
    fails(hub, home, ModelNotFound, "redirected without end")


def test_the_login_goes_to_no_other_server() -> None:
    headers = {"authorization": "Bearer secret", "user-agent": "twinface"}
    assert redirected("https://hub/a", "/b", headers) == ("https://hub/b", headers)
    for place in ("https://storage/b", "https://hub:444/b", "//storage/b"):
        _, sent = redirected("https://hub/a", place, headers)
        assert sent == {"user-agent": "twinface"}
    for url, place in (("https://hub/a", "http://hub/a"), ("https://hub/a", "http://127.0.0.1/a")):
        with pytest.raises(ModelNotFound, match="only https is followed"):
            redirected(url, place, headers)


def test_the_address_of_a_redirect_is_told_without_its_secrets() -> None:
    with pytest.raises(ModelNotFound) as error:
        redirected("https://hub/a", "http://storage/b?signature=secret", {})
    assert "secret" not in str(error.value)


def test_the_login_is_used_where_there_is_one(hub: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commit(REPO, published())
    monkeypatch.delenv("HF_TOKEN")
    pull(REPO, home, endpoint=hub.url)
    assert not [one for one in hub.headers if "authorization" in {name.lower() for name in one}]
    hub.headers.clear()
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    pull(REPO, home, endpoint=hub.url)
    assert {one.get("authorization", one.get("Authorization")) for one in hub.headers} == {"Bearer hf_mine"}


@pytest.mark.parametrize("token", ["hf_sec\x0bret", "hf_s\u00e9cret"])
def test_a_malformed_token_is_not_shown(hub: Any, home: Path, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(ModelNotFound, match="the token is malformed") as error:
        pull(REPO, home, endpoint=hub.url)
    assert "ret" not in "".join(traceback.format_exception(error.value))
    assert not hub.asked


# names


@pytest.mark.parametrize(
    "repo",
    ["", "tiny", "org/", "/tiny", "org/tiny/x", "../tiny", "org/..", "org/.", "org/a--b", "org/a..b", "org/tiny.git",
     "-org/tiny", "org/tiny-", "org/tïny", "org/ti ny", "org\\tiny", "org/tiny\n", "o" * 90 + "/tinier", "a/b?c",
     "a/%2e"],
)  # fmt: skip
def test_what_is_no_repository_is_refused_before_any_work(hub: Any, entry: ModelEntry, home: Path, repo: str) -> None:
    (entry.folder / "tiny.onnx").unlink()  # what would be noticed first otherwise
    with pytest.raises(ModelNotFound, match="give org/name"):
        push(repo, entry, endpoint=hub.url)
    with pytest.raises(ModelNotFound, match="give org/name"):
        pull(repo, home, endpoint=hub.url)
    assert not hub.asked
    assert nothing_left(home)


@pytest.mark.parametrize("revision", ["", "..", "a/../b", "-x", "a b", "a\nb", "x" * 201, "a?b", "a#b"])
def test_what_is_no_revision_is_refused_before_any_work(hub: Any, home: Path, revision: str) -> None:
    fails(hub, home, ModelNotFound, "no revision", revision=revision)
    assert not hub.asked


@pytest.mark.parametrize("sha256", ["", "abc", "g" * 64, "0" * 65])
def test_what_is_no_digest_is_refused_before_any_work(hub: Any, home: Path, sha256: str) -> None:
    fails(hub, home, ModelNotFound, "no SHA-256 digest", sha256=sha256)
    assert not hub.asked


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://hub.example",
        "ftp://127.0.0.1",
        "127.0.0.1",
        "https://",
        "https://me:secret@hub.example",
        "https://:secret@hub.example",
        "https://h/?a=b",
        "https://[",
        "https://h:port",
    ],
)
def test_an_unsafe_hub_is_refused(endpoint: str) -> None:
    with pytest.raises(ModelNotFound, match="no address of a Hub") as error:
        HubClient(REPO, endpoint)
    assert "secret@" not in str(error.value)


# trouble


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (said(401), "the token is not accepted"),
        (said(401, {"X-Error-Code": "RepoNotFound"}), "no such repository, or it is private"),
        (said(401, {"X-Error-Code": "GatedRepo"}), "access must be asked for"),
        (said(403, {"X-Error-Code": "GatedRepo"}), "access must be asked for"),
        (said(403), "access is refused"),
        (said(404), "nothing of that name"),
        (said(404, {"X-Error-Code": "RevisionNotFound"}), "no such revision"),
        (said(404, {"X-Error-Code": "EntryNotFound"}), "lacks a file of a model that twinface models push has put"),
        (said(418), "the Hub refuses"),
        (said(429, {"Retry-After": "1"}), "too many requests"),
        (said(500), "out of order .HTTP 500."),
        (said(503), "out of order .HTTP 503."),
        ((200, {}, b"<html>"), "makes no sense|came with"),
        ((200, {}, b"[]"), "makes no sense|came with"),
        ((200, {"Content-Length": "9999"}, b"{"), "cannot be reached"),
    ],
)
@pytest.mark.parametrize("where", ["GET /api/models", "/tiny.json"])
def test_every_refusal_is_one_line_that_says_what_to_do(
    hub: Any, home: Path, where: str, answer: Any, words: str
) -> None:
    hub.commit(REPO, published())
    hub.instead[where] = answer
    fails(hub, home, ModelError, words)


@pytest.mark.parametrize("sha", [None, "", "../../x", 7, "0" * 39, "A" * 40])
def test_a_commit_that_is_none_is_refused(hub: Any, home: Path, sha: Any) -> None:
    hub.instead["GET /api/models"] = said(200, id=REPO, sha=sha)
    fails(hub, home, ModelNotFound, "names no commit")
    assert len(hub.asked) == 1


def test_an_endless_refusal_is_not_read(hub: Any, home: Path) -> None:
    sent = itertools.count()
    hub.commit(REPO, published())
    hub.instead["/tiny.json"] = 500, {}, (bytes(2**16) for _ in range(1024) if next(sent) >= 0)
    fails(hub, home, ModelNotFound, "HTTP 500")
    assert next(sent) < 512


def test_a_hub_that_is_not_there_is_told_so(hub: Any, entry: ModelEntry, home: Path) -> None:
    with hub_server.HubServer() as gone:
        url = gone.url
    with pytest.raises(ModelNotFound, match=r"cannot be reached \(.*refused\)"):
        push(REPO, entry, endpoint=url)
    with pytest.raises(ModelNotFound, match=r"cannot be reached \(.*refused\)"):
        pull(REPO, home, endpoint=url)
    assert nothing_left(home)


@pytest.mark.parametrize("where", ["GET /api/models", "/tiny.json"])
def test_a_hub_that_is_silent_is_not_waited_for(
    hub: Any, home: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.commit(REPO, published())
    monkeypatch.setattr(hub_client, "PATIENCE", 0.2)
    enough = threading.Event()

    def silent() -> Any:
        enough.wait(30)
        return said(500)

    hub.instead[where] = silent
    try:
        fails(hub, home, ModelNotFound, "does not answer")
    finally:
        enough.set()


def test_offline_mode_is_kept_to(hub: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    fails(hub, home, ModelNotFound, "HF_HUB_OFFLINE forbids")
    assert not hub.asked


def test_every_error_of_the_library_and_its_client_is_translated() -> None:
    import httpx2
    from huggingface_hub import errors

    answer = httpx2.Response(400, request=httpx2.Request("GET", "https://hub"))
    tried = 0
    for kind in [*vars(errors).values(), *vars(httpx2).values()]:
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            continue
        if not issubclass(kind, httpx2.HTTPError | httpx2.InvalidURL | OSError | ValueError | RuntimeError):
            continue
        try:
            error = kind("words", response=answer) if issubclass(kind, errors.HfHubHTTPError) else kind("words")
        except TypeError:
            continue  # those with arguments of their own are raised by other parts of the library
        tried += 1
        with pytest.raises(ModelError), HubClient(REPO)._talking():
            raise error
    assert tried > 40


def test_without_the_library_the_extra_is_named(entry: ModelEntry, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", None)
    for act in (lambda: push(REPO, entry), lambda: pull(REPO, home)):
        with pytest.raises(ModelNotFound, match=r"pip install 'twinface\[hub\]'"):
            act()


def test_the_library_is_quiet_meanwhile_and_as_before_afterwards(
    hub: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants
    from huggingface_hub.utils import are_progress_bars_disabled, logging

    for name in ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_XET"):
        monkeypatch.setattr(constants, name, False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", None)
    hub.commit(REPO, published())
    hub.instead["/README.md"] = 500, {}, b""
    level, bars = logging.get_verbosity(), are_progress_bars_disabled()
    fails(hub, home, ModelNotFound, "HTTP 500")
    assert (constants.HF_HUB_DISABLE_TELEMETRY, constants.HF_HUB_DISABLE_XET) == (False, False)
    assert (logging.get_verbosity(), are_progress_bars_disabled()) == (level, bars)
    agents = {one.get("User-Agent", one.get("user-agent")) for one in hub.headers}
    assert all(agent.startswith("twinface/") and "torch" not in agent for agent in agents)
    assert all(REPO in line for line in hub.asked)


def test_importing_asks_for_neither_library_nor_network(run_python: Any) -> None:
    done = run_python(
        "import sys, twinface.models.hub, twinface.app.cli\n"
        "print([name for name in ('huggingface_hub', 'httpx2', 'hf_xet') if name in sys.modules])"
    )
    assert (done.status, done.err, done.out) == (0, "", "[]\n")
