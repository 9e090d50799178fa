"""The one edge to the Hugging Face Hub: its library kept quiet, its errors translated, its redirects looked at."""

from __future__ import annotations

import re
import warnings
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urljoin, urlsplit

from twinface.core.files import reason, shown
from twinface.errors import ModelError, ModelNotFound

HUB = "https://huggingface.co"
"""Where models are, unless somebody names another Hub."""

PATIENCE = 30.0
"""Seconds without a byte before a connection counts as broken."""

PORTION = 2**20
"""Bytes handed on at once, at most."""

HOPS = 5
"""Redirects that are followed; the Hub's own storage is one away."""

LOGIN = "log in with hf auth login, or set HF_TOKEN"

REFUSALS: Mapping[str, str] = MappingProxyType(
    {
        "GatedRepo": f"access must be asked for on its page; do so, {LOGIN}, and run again",
        "RepoNotFound": f"there is no such repository, or it is private; check the name, or {LOGIN}",
        "RevisionNotFound": "there is no such revision; give a branch, a tag or a commit",
        "EntryNotFound": "it lacks a file of a model that twinface models push has put there",
        "401": f"there is no such repository, it is private, or the token is not accepted; {LOGIN}",
        "403": "access is refused; use a token that may do this",
        "404": "there is nothing of that name; check it",
        "429": "the Hub has had too many requests from here; wait some minutes and run again",
    }
)
"""What the Hub means, by its header X-Error-Code or else the HTTP status, and what to do next."""

MALFORMED = (ValueError, LookupError, TypeError, AttributeError)
"""What the library raises when it takes an answer apart that is not as it should be."""

_PART = "[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?"
_REPO = re.compile(f"{_PART}/{_PART}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+/@-]{0,199}")


def check_repo(repo: str) -> None:
    """Lets "org/name" pass, as the Hub has it.

    Raises:
        ModelNotFound: it is something else.
    """
    sound = _REPO.fullmatch(repo) and len(repo) <= 96 and not any(odd in repo for odd in ("--", ".."))
    if not sound or repo.endswith(".git"):
        raise ModelNotFound(
            f"{shown(repo)}: no repository of models; give org/name, in letters, digits, dash, dot and underscore"
        )


@dataclass(frozen=True)
class HubClient:
    """A repository of models at the Hub; the library's own login, from the environment or `hf auth login`, is used.

    While a call lasts, the library's telemetry, progress bars, warnings and second storage protocol are off in the
    whole process, so that nothing is written but what was asked for.

    Attributes:
        repo: "org/name".
        endpoint: address of the Hub: https, or http on this very machine.

    Raises:
        ModelNotFound: one of them is malformed.
    """

    repo: str
    endpoint: str = HUB

    def __post_init__(self) -> None:
        check_repo(self.repo)
        try:
            parts = urlsplit(self.endpoint)
            host, bare = parts.hostname or "", not (parts.username or parts.password or parts.query or parts.fragment)
            safe = bool(host) and parts.port != 0 and bare
        except ValueError:
            host, safe = "", False
        if not safe or not (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))):
            raise ModelNotFound(
                f"{shown(host or self.endpoint)}: no address of a Hub; "
                "HF_ENDPOINT must begin with https:// and hold no password"
            )
        object.__setattr__(self, "endpoint", self.endpoint.rstrip("/"))

    @property
    def page(self) -> str:
        """Address of the repository's page."""
        return f"{self.endpoint}/{self.repo}"

    def commit_of(self, revision: str) -> str:
        """The commit that a branch, a tag or a commit's beginning stands for, 40 hexadecimal digits.

        Raises:
            ModelNotFound: there is none, or the Hub cannot be asked.
        """
        if not _REVISION.fullmatch(revision) or ".." in revision:
            raise ModelNotFound(f"{shown(revision)}: no revision; give a branch, a tag or a commit")
        with self._talking():
            from huggingface_hub import HfApi

            api = HfApi(self.endpoint, library_name="twinface")
            commit = api.model_info(self.repo, revision=revision, timeout=PATIENCE).sha
        if not isinstance(commit, str) or not re.fullmatch("[0-9a-f]{40}", commit):
            raise ModelNotFound(f"{self.page}: the Hub names no commit for {revision}; run again later")
        return commit

    def portions(self, commit: str, name: str) -> Generator[bytes]:
        """The content of a file, piece by piece, as it arrives; the caller counts.

        Raises:
            ModelNotFound: the Hub does not have it, cannot be reached, breaks off or leads elsewhere than to https.
        """
        with self._talking():
            from huggingface_hub import get_session, hf_hub_url
            from huggingface_hub.utils import build_hf_headers

            url = hf_hub_url(self.repo, name, revision=commit, endpoint=self.endpoint)
            headers = {**build_hf_headers(library_name="twinface"), "accept-encoding": "identity"}
            for _ in range(HOPS):
                with get_session().stream(
                    "GET", url, headers=headers, follow_redirects=False, timeout=PATIENCE
                ) as response:
                    if response.status_code == 200:
                        yield from response.iter_raw(PORTION)
                        return
                    if not response.has_redirect_location:
                        raise self._refused(response.status_code, response.headers.get("X-Error-Code"))
                    url, headers = redirected(url, response.headers["Location"], headers)
            raise ModelNotFound(f"{self.page}: {name} is redirected without end; run again later")

    def publish(self, files: Mapping[str, bytes | Path], message: str, private: bool) -> str:
        """Commits files, in a repository that is made where there is none.

        Args:
            files: contents, or where they lie, by their names there.
            message: the commit's.
            private: makes a new repository private, and refuses one that is public already.

        Returns:
            The commit.

        Raises:
            ModelNotFound: nobody is logged in, the login may not do this, or the Hub cannot be reached.
        """
        with self._talking():
            from huggingface_hub import CommitOperationAdd, HfApi

            api = HfApi(self.endpoint, token=True, library_name="twinface")
            api.create_repo(self.repo, private=private or None, exist_ok=True)
            if private and not api.model_info(self.repo, timeout=PATIENCE).private:
                raise ModelNotFound(f"{self.page}: is public already; make it private there, or leave --private out")
            additions = [CommitOperationAdd(name, content) for name, content in files.items()]
            return str(api.create_commit(self.repo, additions, commit_message=message).oid)

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """Keeps the library quiet and translates what goes wrong."""
        try:
            from httpx2 import HTTPError, InvalidURL, LocalProtocolError
            from huggingface_hub.errors import DeviceCodeError, OIDCError
        except ImportError as error:
            raise ModelNotFound(
                "the Hub is spoken to through huggingface_hub; install it with: pip install 'twinface[hub]'"
            ) from error
        try:
            with _quiet():
                yield
        except (LocalProtocolError, UnicodeEncodeError):  # of a token that is no HTTP header
            # their words may quote it, which must not show in a trace either
            raise ModelNotFound(f"{self.page}: the token is malformed; {LOGIN}") from None
        except RuntimeError as error:  # in which the library wraps what went wrong in an upload
            cause = error.__cause__
            raise self._translated(cause if isinstance(cause, Exception) else error) from error
        except (HTTPError, InvalidURL, DeviceCodeError, OIDCError, OSError, *MALFORMED) as error:
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> ModelError:
        """What an error of the library or of what it stands on means here."""
        from httpx2 import HTTPError, TimeoutException
        from huggingface_hub.errors import (
            DeviceCodeError,
            HfHubHTTPError,
            LocalTokenNotFoundError,
            OfflineModeIsEnabled,
            OIDCError,
        )

        match error:
            case HfHubHTTPError():
                answer = error.response
                return self._refused(answer.status_code, answer.headers.get("X-Error-Code"), error.server_message)
            case ValueError() if isinstance(error.__cause__, HfHubHTTPError):  # it has looked at the card's head
                return ModelNotFound(f"{self.page}: the Hub refuses the card ({reason(error)}); mend its head")
            case _ if isinstance(error, MALFORMED):
                return ModelNotFound(f"{self.page}: the Hub's answer makes no sense ({reason(error)}); run again later")
            case OfflineModeIsEnabled():
                return ModelNotFound(f"{self.page}: HF_HUB_OFFLINE forbids to ask the Hub; unset it and run again")
            case LocalTokenNotFoundError():
                return ModelNotFound(f"{self.page}: nobody is logged in; {LOGIN}")
            case OIDCError() | DeviceCodeError():
                return ModelNotFound(f"{self.page}: the login fails; {LOGIN}")
            case TimeoutException():
                return ModelNotFound(f"{self.page}: the Hub does not answer; run again later")
            case HTTPError():
                return ModelNotFound(f"{self.page}: the Hub cannot be reached ({reason(error)}); run again later")
            case _:
                return ModelNotFound(f"{self.page}: the exchange with the Hub failed ({reason(error)})")

    def _refused(self, status: int, code: str | None, words: str | None = None) -> ModelError:
        meant = REFUSALS.get(code or "") or REFUSALS.get(str(status))
        if meant is None and status < 500:
            meant = f"the Hub refuses (HTTP {status}{f', {shown(words)}' if words else ''})"
        return ModelNotFound(f"{self.page}: {meant or f'the Hub is out of order (HTTP {status}); run again later'}")


def redirected(url: str, location: str, headers: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Where to ask next, and what to send along: the login goes to no other server.

    Raises:
        ModelNotFound: the redirect leads to another server without https.
        ValueError: it leads to no address.
    """
    target = urljoin(url, location)
    here, there = urlsplit(url), urlsplit(target)
    if (here.scheme, here.hostname, here.port) == (there.scheme, there.hostname, there.port):
        return target, dict(headers)
    if there.scheme != "https":
        raise ModelNotFound(
            f"{shown(here.netloc)}: leads to {shown(f'{there.scheme}://{there.netloc}')}; only https is followed"
        )
    return target, {name: value for name, value in headers.items() if name.lower() != "authorization"}


@contextmanager
def _quiet() -> Iterator[None]:
    from huggingface_hub import constants
    from huggingface_hub.utils import disable_progress_bars, logging

    with ExitStack() as stack:
        for name in ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_XET"):
            stack.callback(setattr, constants, name, getattr(constants, name))
            setattr(constants, name, True)  # the environment counts only before the library's first import
        stack.callback(logging.set_verbosity, logging.get_verbosity())
        logging.set_verbosity(logging.CRITICAL)
        if constants.HF_HUB_DISABLE_PROGRESS_BARS is None:
            stack.enter_context(disable_progress_bars())
        stack.enter_context(warnings.catch_warnings())
        # the library hands files to its HTTP client in a way that client calls outdated
        warnings.filterwarnings("ignore", r"Use 'content=<\.\.\.>'", DeprecationWarning)
        warnings.filterwarnings("ignore", "Warnings while validating metadata in README.md", UserWarning)
        yield


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
