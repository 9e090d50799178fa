"""One HTTP request that is safe to make: https with verified certificates, never led elsewhere, never without end."""

from __future__ import annotations

import http.client
import io
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from email.message import Message
from functools import partial
from ipaddress import ip_address
from typing import IO, Any
from urllib.parse import urlsplit

from twinface.core.files import reason, shown
from twinface.errors import DatasetMissing

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses that a later attempt may mend."""

BESIDE = 2**18
"""Bytes that an answer may have beside its content: its head, and the frame of every portion read."""

SPAN, SLOWEST = 60.0, 1_000
"""Seconds over which speed is measured, and bytes a second below which a connection counts as broken."""

Clock = Callable[[], float]
"""Seconds since some moment."""


class Broken(Exception):
    """An attempt failed in a way that another may mend."""


class NotGiven(Exception):
    """The server answered, and does not give the file.

    Attributes:
        status: HTTP status.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP status {status}")
        self.status = status


@contextmanager
def opened(
    url: str, headers: Mapping[str, str], timeout: float, clock: Clock = time.monotonic
) -> Iterator[http.client.HTTPResponse]:
    """The answer to a GET, with status 200 or 206, to be read with `read1`.

    Reading raises OSError or http.client.HTTPException where the connection breaks, is slower than `SLOWEST` or brings
    nonsense.

    Args:
        url: where to ask.
        headers: what to send beside the usual.
        timeout: seconds without a byte before the connection counts as broken.
        clock: what speed is measured with.

    Raises:
        DatasetMissing: the address, or one it leads to, is not safe; or the certificate is not to be trusted.
        Broken: the server cannot be reached or is out of order.
        NotGiven: any other status.
    """
    refuse_unsafe(url)
    handlers: list[urllib.request.BaseHandler] = [
        _Careful(),
        _Measuring(clock),
    ]
    if _is_loopback(url):
        handlers.append(urllib.request.ProxyHandler({}))  # a proxy would look at its own machine
    everything = {"User-Agent": "twinface", "Accept-Encoding": "identity", **headers}
    request = urllib.request.Request(url, headers=everything)  # noqa: S310 - the scheme was looked at
    try:
        response = urllib.request.build_opener(*handlers).open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        with closing(error):
            raise Broken(str(NotGiven(error.code))) if error.code in PASSING else NotGiven(error.code) from error
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(url, error) from error
    except ValueError as error:  # of urllib itself, where the server names nonsense to go to
        raise DatasetMissing(f"{shown(url)}: leads to no address ({reason(error)}); try a mirror") from error
    with response:
        if response.status not in (200, 206):
            raise NotGiven(response.status)
        yield response


def _unreachable(url: str, error: Exception) -> Exception:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    said = reason(cause) if isinstance(cause, Exception) else shown(str(cause))
    if isinstance(cause, ssl.SSLCertVerificationError):
        return DatasetMissing(f"{shown(url)}: the server's certificate is not to be trusted ({said}); try a mirror")
    return Broken(f"the server cannot be reached ({said})")


class _Careful(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https only; from this machine, also to this machine."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        fp.close()  # its content, which may have no end, is not wanted
        refuse_unsafe(newurl, loopback=_is_loopback(req.full_url))
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message
    ) -> IO[bytes] | None:
        try:
            return super().http_error_302(req, fp, code, msg, headers)  # type: ignore[arg-type]
        except (DatasetMissing, ValueError):
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class _Measuring(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Makes connections whose answers are `_Answer`s."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._answering(http.client.HTTPConnection), req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._answering(http.client.HTTPSConnection), req, context=ssl.create_default_context())

    def _answering(self, kind: type[http.client.HTTPConnection]) -> Any:
        def connection(*words: Any, **options: Any) -> http.client.HTTPConnection:
            made = kind(*words, **options)
            made.response_class = partial(_Answer, clock=self._clock)  # type: ignore[assignment]
            return made

        return connection


class _Answer(http.client.HTTPResponse):
    """An answer that neither its head nor its chunks can make endless, and that is not waited for when it drips."""

    def __init__(self, *words: Any, clock: Clock, **options: Any) -> None:
        super().__init__(*words, **options)
        self._source = _Source(self.fp.detach(), clock)
        self.fp = io.BufferedReader(self._source)

    def begin(self) -> None:
        self._source.allow(BESIDE)
        super().begin()

    def read1(self, n: int = -1) -> bytes:
        self._source.allow(max(n, 0) + BESIDE)
        portion = super().read1(n)
        if self.chunked and (self.chunk_left or 0) < 0:
            raise http.client.HTTPException("a chunk of negative size")
        return portion


class _Source(io.RawIOBase):
    """The bytes of a connection, as many as are allowed and no slower than `SLOWEST`."""

    def __init__(self, raw: io.RawIOBase, clock: Clock) -> None:
        self._raw, self._clock = raw, clock
        self._since, self._arrived = clock(), 0
        self.allow(BESIDE)

    def allow(self, size: int) -> None:
        """Lets so many bytes arrive from here on."""
        self._allowed = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._allowed <= 0:
            raise http.client.HTTPException("the server sends too much beside the file")
        count = self._raw.readinto(buffer) or 0
        self._allowed -= count
        self._arrived += count
        now = self._clock()
        if now - self._since >= SPAN:
            if count and self._arrived < SLOWEST * (now - self._since):
                raise TimeoutError(f"slower than {SLOWEST:,} bytes a second")
            self._since, self._arrived = now, 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


def refuse_unsafe(url: str, *, loopback: bool = True) -> None:
    """Lets https pass, and where `loopback` says so, http to this very machine.

    Raises:
        DatasetMissing: the address is another or none.
    """
    try:
        parts = urlsplit(url)
        sound = bool(parts.hostname) and parts.port != 0 and url.isascii() and url.isprintable() and " " not in url
    except ValueError:
        sound = False
    if not sound:
        raise DatasetMissing(f"{shown(url)}: not an address; give one that begins with https://")
    if parts.scheme != "https" and not (loopback and parts.scheme == "http" and _is_loopback(url)):
        raise DatasetMissing(f"{shown(url)}: only https addresses are fetched; give one that begins with https://")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
