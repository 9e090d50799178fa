"""A client for `twinface serve`, of the standard library alone.

    client = Client("https://faces.example.org", key=key)
    client.compare("a.jpg", "b.jpg")["verdict"]
    client.enroll("Ada", "ada.jpg")
    client.identify("who.jpg")["faces"][0]["subject"]

Answers are the server's JSON as it comes; their fields are those of the command line's `--json`. Every call opens a
connection of its own, so that threads may share a client. Redirects are not followed: the key goes to the address
given and nowhere else.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import secrets
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import quote, urlencode, urlsplit

from twinface.answers import Comparison, Detection, Identification, Json, Person
from twinface.errors import TwinFaceError

Picture = str | os.PathLike[str] | bytes | BinaryIO
"""A path, the bytes of a file, or an open binary file."""

_Part = tuple[str, str | None, bytes]
"""A field of a form: its name, the file's name if it is one, and what it holds."""


class ClientError(TwinFaceError):
    """A server did not do what it was asked."""


class ServerUnreachable(ClientError):
    """There is no server, it took too long, or what answered is none of ours."""


class Problem(ClientError):
    """What the server answered instead (RFC 9457).

    Attributes:
        status: of HTTP.
        code: stable, for programs, as "no-face"; "" where something before the server answered.
        title: what kind of problem it is.
        detail: what was wrong with this request, and what to do next.
        retry_after: seconds after which to ask again, where the server says so.
    """

    def __init__(self, status: int, code: str, title: str, detail: str, retry_after: float | None = None) -> None:
        super().__init__(f"{detail or title} ({' '.join(filter(None, [str(status), code]))})")
        self.status, self.code, self.title, self.detail = status, code, title, detail
        self.retry_after = retry_after


class Client:
    """Talks to one server. Every method raises `Problem` for a refusal, `ServerUnreachable` where nothing answers.

    Args:
        url: where it is; a path in it is kept, for servers behind a proxy.
        key: an API key; None where none is needed. Keep it out of the source.
        timeout: seconds without a byte after which a call is given up.
        context: for TLS with an authority or a certificate of your own.

    Raises:
        ValueError: the address is none, or the key none.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8080",
        key: str | None = None,
        *,
        timeout: float = 60.0,
        context: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise ValueError("expected an address like https://faces.example.org, without user, password and query")
        if key is not None and not re.fullmatch(r"[!-~]+", key):
            raise ValueError("the key holds blanks or line ends, which no key has; strip it")
        self._host, self._port, self._root = parts.hostname, parts.port, parts.path.rstrip("/")
        self._key, self._timeout = key, timeout
        self._context = (context or ssl.create_default_context()) if parts.scheme == "https" else None

    def compare(self, a: Picture, b: Picture, **options: Any) -> Comparison:
        """Tells whether two pictures show the same person. Options: fmr, band, face, any_quality."""
        return cast(Comparison, self._form("/v1/compare", [_file("a", a), _file("b", b)], options))

    def detect(self, picture: Picture) -> Detection:
        """Finds the faces of a picture."""
        return cast(Detection, self._form("/v1/detect", [_file("picture", picture)]))

    def embed(self, picture: Picture, **options: Any) -> Json:
        """Gives templates of a picture's faces: biometric data, to be kept as passwords are."""
        return self._form("/v1/embed", [_file("picture", picture)], options)

    def identify(self, picture: Picture, **options: Any) -> Identification:
        """Names the faces of a picture. Options: top, fpir, any_quality."""
        return cast(Identification, self._form("/v1/identify", [_file("picture", picture)], options))

    def people(self, limit: int = 100) -> Iterator[Person]:
        """Everybody enrolled, by name; so many are fetched at a time."""
        asked: dict[str, object] = {"limit": limit}
        while True:
            page = self._send("GET", "/v1/people", asked)
            yield from page["people"]
            if page.get("next") is None:
                return
            asked["cursor"] = page["next"]

    def person(self, uid: str) -> Json:
        """Somebody with her pictures, by uid."""
        return self._send("GET", f"/v1/people/{_segment(uid)}")

    def enroll(self, name: str, *photos: Picture, once: str | None = None, **options: Any) -> Json:
        """Enrols somebody new by photos. Options: face, any_quality, keep_photos, expires.

        Where nothing answered it may be asked again: with the same word in `once` she is not enrolled twice.
        """
        fields = [*_fields({"name": name, **options}), *(_file("photo", one) for one in photos)]
        return self._form("/v1/people", fields, headers={"Idempotency-Key": once or secrets.token_hex(16)})

    def add_photos(self, uid: str, *photos: Picture, **options: Any) -> Json:
        """Enrols more photos of somebody. Options: face, any_quality, keep_photos."""
        fields = [*_fields(options), *(_file("photo", one) for one in photos)]
        return self._form(f"/v1/people/{_segment(uid)}/photos", fields)

    def change(self, uid: str, **changes: str) -> Json:
        """Changes somebody's name, or expires: 30d, 2027-01-31, never. An old name is erased."""
        path = f"/v1/people/{_segment(uid)}"
        _, tag = self._exchange("GET", path)
        return self._send("PATCH", path, body=changes, headers={"If-Match": tag})

    def remove(self, uid: str) -> Json:
        """Removes somebody and every byte kept of her; gives the receipt."""
        return self._send("DELETE", f"/v1/people/{_segment(uid)}")

    def models(self) -> list[Json]:
        """The models the server has."""
        return cast(list[Json], self._send("GET", "/v1/models")["models"])

    def upload_video(self, path: str | os.PathLike[str]) -> Json:
        """Uploads a video, block by block."""
        with Path(path).open("rb") as file:
            return self._send("POST", "/v1/videos", {"name": Path(path).name}, file)

    def search_video(self, video: str, *photos: Picture, **options: Any) -> Json:
        """Begins to seek the person of these photos in a video, by its id. Options: subject, fpir."""
        fields = [*_fields(options), *(_file("photo", one) for one in photos)]
        return self._form(f"/v1/videos/{_segment(video)}/searches", fields)

    def wait(self, search: str, patience: float = 3600.0, pause: float = 0.5) -> Json:
        """Waits until a search is over and gives what came of it, looking again after so many seconds."""
        end = time.monotonic() + patience
        while (told := self._send("GET", f"/v1/searches/{_segment(search)}"))["state"] in ("waiting", "running"):
            if time.monotonic() > end:
                raise ServerUnreachable(f"the search was not over after {patience:g} s; ask again, or wait longer")
            time.sleep(pause)
        return told

    def request_access(self, place: str, **evidence: str) -> Json:
        """Asks for a place, with pin or card where it wants one; waits for the decision. Only "grant" opens."""
        return self._send("POST", "/v1/access/requests", body={"place": place, **evidence})

    def health(self) -> Json:
        """Whether the server is ready to answer; a `Problem` where it is there and is not."""
        return self._send("GET", "/readyz")

    def _form(
        self,
        path: str,
        fields: Sequence[_Part],
        options: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        content_type, body = _multipart(fields)
        return self._send("POST", path, options, body, {"Content-Type": content_type, **(headers or {})})

    def _send(self, method: str, path: str, *words: Any, **more: Any) -> Json:
        return self._exchange(method, path, *words, **more)[0]

    def _exchange(
        self,
        method: str,
        path: str,
        options: Mapping[str, object] | None = None,
        body: bytes | BinaryIO | Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[Json, str]:
        """One request; the answer and its ETag."""
        chosen = {name: _word(value) for name, value in (options or {}).items() if value is not None}
        query = urlencode(chosen, errors="replace")
        sent = {"Accept": "application/json", **(headers or {})}
        if self._key is not None:
            sent["Authorization"] = f"Bearer {self._key}"
        if isinstance(body, Mapping):
            body, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        elif body is not None and not isinstance(body, bytes):
            sent["Content-Type"], sent["Content-Length"] = "application/octet-stream", str(_size(body))
        connection = self._connect()
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused early: the answer has come
                connection.request(method, self._root + path + "?" * bool(query) + query, body, sent)
            response = connection.getresponse()
            return _answer(response, response.read()), response.headers.get("ETag", "")
        except (OSError, http.client.HTTPException) as error:
            words = str(error) or type(error).__name__
            raise ServerUnreachable(f"{self._host}: no answer to {method} {path} ({words}); is it running?") from error
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        if self._context is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=self._context)


def _answer(response: http.client.HTTPResponse, content: bytes) -> Json:
    try:
        told = json.loads(content or b"{}")
    except ValueError:
        told = None
    if not isinstance(told, dict):
        told = {}
        if response.status < 300:
            raise ServerUnreachable("the answer is no JSON object; is it TwinFace that listens there?")
    if response.status < 300:
        return told
    wait = response.headers.get("Retry-After", "")
    title, detail = str(told.get("title") or response.reason or "refused"), str(told.get("detail") or "")
    raise Problem(response.status, str(told.get("code", "")), title, detail, float(wait) if wait.isdecimal() else None)


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _fields(options: Mapping[str, object]) -> Iterator[_Part]:
    return ((name, None, _word(value).encode()) for name, value in options.items() if value is not None)


def _segment(text: str) -> str:
    return quote(text, safe="")


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _file(field: str, picture: Picture) -> _Part:
    if isinstance(picture, bytes):
        return field, "picture", picture
    if isinstance(picture, str | os.PathLike):
        return field, Path(picture).name, Path(picture).read_bytes()
    return field, "picture", picture.read()


def _multipart(fields: Sequence[_Part]) -> tuple[str, bytes]:
    """A form's content type and body; names are escaped as browsers do."""
    boundary, body = secrets.token_hex(24), b""
    for name, file, content in fields:
        shown = "" if file is None else f'; filename="{_escaped(file)}"\r\nContent-Type: application/octet-stream'
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_escaped(name)}"{shown}\r\n\r\n'
        body += head.encode("utf-8", "surrogateescape") + content + b"\r\n"
    return f"multipart/form-data; boundary={boundary}", body + f"--{boundary}--\r\n".encode()


def _escaped(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
