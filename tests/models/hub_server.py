"""A Hugging Face Hub on this machine: the few endpoints that pushing and pulling a model use, and ways to misbehave."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

TOKEN = "hf_of_the_tests"
LARGE = (".onnx", ".safetensors")
"""Endings of what the Hub keeps outside of Git."""

Answer = tuple[int, Mapping[str, str], bytes | Iterable[bytes]]
"""Status, headers, content."""


class HubServer:
    """The server and what it holds.

    Attributes:
        commits: of every repository, oldest first: the commit's name, its message and its files.
        private: repositories that only their owners see.
        asked: method and path of every request, in order.
        headers: of every request, likewise.
        instead: answers in place of the proper ones, by method and a part of the path.
    """

    def __init__(self) -> None:
        self.forget()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> HubServer:
        self._thread.start()
        return self

    def __exit__(self, *_words: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def forget(self) -> None:
        """Empties it."""
        self.commits: dict[str, list[tuple[str, str, dict[str, bytes]]]] = {}
        self.private: set[str] = set()
        self.stored: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.headers: list[Mapping[str, str]] = []
        self.instead: dict[str, Answer | Callable[[], Answer]] = {}

    def files(self, repo: str) -> dict[str, bytes]:
        """What the newest commit holds."""
        return self.commits[repo][-1][2]

    def commit(self, repo: str, files: Mapping[str, bytes], message: str = "by hand") -> str:
        """Adds a commit, as its owner might with Git."""
        history = self.commits.setdefault(repo, [])
        whole = {**(history[-1][2] if history else {}), **files}
        name = hashlib.sha1(f"{repo} {len(history)}".encode()).hexdigest()
        history.append((name, message, whole))
        return name

    def at(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The commit that a revision stands for and its files."""
        for name, _, files in reversed(self.commits.get(repo, [])):
            if revision in ("main", name):
                return name, files
        return None


@contextmanager
def running_hub() -> Iterator[HubServer]:
    """A server, which the library's connections are made for anew."""
    import huggingface_hub

    huggingface_hub.close_session()
    with HubServer() as server:
        yield server
    huggingface_hub.close_session()


def log_in(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Logs the library in by the environment and by nothing else, whatever this machine's settings are."""
    from huggingface_hub import constants

    patch.setenv("HF_TOKEN", TOKEN)
    patch.setenv("NO_PROXY", "*")
    for name in ("HF_OIDC_RESOURCE", "HUGGING_FACE_HUB_TOKEN"):
        patch.delenv(name, raising=False)
    patch.setattr(constants, "HF_TOKEN_PATH", str(folder / "no-token"))
    patch.setattr(constants, "HF_STORED_TOKENS_PATH", str(folder / "no-tokens"))
    patch.setattr(constants, "HF_HUB_OFFLINE", False)


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    hub: HubServer

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def log_message(self, *_words: object) -> None:
        """Says nothing."""

    def _answer(self) -> None:
        content = self._content()
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        self.hub.headers.append(dict(self.headers))
        for part, instead in self.hub.instead.items():
            if part in f"{self.command} {path}":
                status, headers, body = instead() if callable(instead) else instead
                break
        else:
            status, headers, body = self._proper(path, content)
        self.send_response(status)
        if isinstance(body, bytes):
            headers = {"Content-Length": str(len(body)), **headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for portion in [body] if isinstance(body, bytes) else body:
                self.wfile.write(portion)
        except OSError:
            self.close_connection = True  # the client has heard enough

    def _content(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        portions = []
        while size := int(self.rfile.readline(), 16):
            portions.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(portions)

    def _proper(self, path: str, content: bytes) -> Answer:
        parts = path.strip("/").split("/")
        match [self.command, *parts]:
            case ["GET", "api", "models", org, name, *rest]:
                return self._info(f"{org}/{name}", rest[1] if rest else "main")
            case ["GET", org, name, "resolve", revision, file]:
                return self._file(f"{org}/{name}", revision, file)
            case ["GET", "storage", oid]:
                return 200, {}, self.hub.stored[oid]
            case ["PUT", "storage", oid] if hashlib.sha256(content).hexdigest() == oid:
                self.hub.stored[oid] = content
                return 200, {}, b""
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return said(401, error="Invalid username or password.")
        match [self.command, *parts]:
            case ["POST", "api", "repos", "create"]:
                return self._create(json.loads(content))
            case ["POST", "api", "validate-yaml"]:
                return _validated(json.loads(content)["content"])
            case ["POST", "api", "models", org, name, "preupload", "main"]:
                return self._modes(f"{org}/{name}", json.loads(content)["files"])
            case ["POST", _, _, "info", "lfs", "objects", "batch"]:
                actions = [self._upload(one) for one in json.loads(content)["objects"]]
                return said(200, transfer="basic", objects=actions)
            case ["POST", "storage"]:
                return said(200 if json.loads(content)["oid"] in self.hub.stored else 404)
            case ["POST", "api", "models", org, name, "commit", "main"]:
                return self._commit(f"{org}/{name}", [json.loads(line) for line in content.splitlines()])
        return said(404, error="nothing here")

    def _info(self, repo: str, revision: str) -> Answer:
        if repo not in self.hub.commits:
            return said(404, {"X-Error-Code": "RepoNotFound"})
        found = self.hub.at(repo, revision)
        if found is None and self.hub.commits[repo]:
            return said(404, {"X-Error-Code": "RevisionNotFound"})
        return said(200, id=repo, sha=found and found[0], private=repo in self.hub.private, siblings=[], tags=[])

    def _file(self, repo: str, revision: str, file: str) -> Answer:
        found = self.hub.at(repo, revision)
        if found is None or file not in found[1]:
            return said(404, {"X-Error-Code": "EntryNotFound"})
        content = found[1][file]
        if not file.endswith(LARGE):
            return 200, {}, content
        oid = hashlib.sha256(content).hexdigest()
        self.hub.stored[oid] = content
        return 302, {"Location": f"{self.hub.url}/storage/{oid}"}, b""

    def _create(self, facts: dict[str, Any]) -> Answer:
        if facts["organization"] != "org":
            return said(403, error="You may not create repositories there.")
        repo = f"{facts['organization']}/{facts['name']}"
        url = f"{self.hub.url}/{repo}"
        if repo in self.hub.commits:
            return said(409, url=url, error="You already created this model repo")
        self.hub.commits[repo] = []
        if facts.get("visibility") == "private":
            self.hub.private.add(repo)
        return said(200, url=url)

    def _modes(self, repo: str, files: list[dict[str, Any]]) -> Answer:
        there = self.hub.at(repo, "main")
        held = {} if there is None else there[1]

        def mode(path: str) -> dict[str, Any]:
            large = path.endswith(LARGE)
            known = _oid(held[path], large) if path in held else None
            return {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, "oid": known}

        return said(200, files=[mode(one["path"]) for one in files])

    def _upload(self, one: dict[str, Any]) -> dict[str, Any]:
        actions = {
            "upload": {"href": f"{self.hub.url}/storage/{one['oid']}"},
            "verify": {"href": f"{self.hub.url}/storage"},
        }
        return one if one["oid"] in self.hub.stored else {**one, "actions": actions}

    def _commit(self, repo: str, lines: list[dict[str, Any]]) -> Answer:
        files, message = {}, ""
        for line in lines:
            value = line["value"]
            match line["key"]:
                case "header":
                    message = value["summary"]
                case "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    files[value["path"]] = self.hub.stored[value["oid"]]
        name = self.hub.commit(repo, files, message)
        return said(200, commitOid=name, commitUrl=f"{self.hub.url}/{repo}/commit/{name}")


def said(status: int, headers: Mapping[str, str] | None = None, **facts: Any) -> Answer:
    """An answer in JSON."""
    return status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(facts).encode()


def _validated(card: str) -> Answer:
    """As the Hub does, a card without a head is warned of, one with another licence than it knows is refused."""
    if not card.startswith("---\n"):
        return said(200, errors=[], warnings=[{"message": "empty or missing yaml metadata in repo card"}])
    if "license: unheard-of" in card:
        return said(400, errors=[{"message": '"license" must be one of [apache-2.0, ...]'}], warnings=[])
    return said(200, errors=[], warnings=[])


def _oid(content: bytes, large: bool) -> str:
    """What the Hub calls a file's content: as Git does, or by the content's SHA-256."""
    if large:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
