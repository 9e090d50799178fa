"""One HTTP request that is safe to make: https with verified certificates, and never led elsewhere."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from ipaddress import ip_address
from typing import IO
from urllib.parse import urlsplit

from twinface.core.files import reason, shown
from twinface.errors import DatasetMissing

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses that a later attempt may mend."""


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
def opened(url: str, headers: Mapping[str, str], timeout: float) -> Iterator[http.client.HTTPResponse]:
    """The answer to a GET, with status 200 or 206.

    Raises:
        DatasetMissing: the address, or one it leads to, is not safe; or the certificate is not to be trusted.
        Broken: the server cannot be reached or is out of order.
        NotGiven: any other status.
    """
    refuse_unsafe(url)
    handlers: list[urllib.request.BaseHandler] = [
        _Careful(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
    ]
    if _is_loopback(url):
        handlers.append(urllib.request.ProxyHandler({}))  # a proxy would look at its own machine
    everything = {"User-Agent": "twinface", "Accept-Encoding": "identity", **headers}
    request = urllib.request.Request(url, headers=everything)  # noqa: S310 - the scheme was looked at
    try:
        response = urllib.request.build_opener(*handlers).open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
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
