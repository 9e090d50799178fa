"""`twinface serve`, `twinface serve init`, `twinface serve key make|list|revoke`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twinface.app.cli import options
from twinface.app.cli.output import complain, console, printable, write_json
from twinface.app.settings import data_folder, gallery_path, passphrase
from twinface.core.subjects import expiry
from twinface.errors import TwinFaceError

if TYPE_CHECKING:
    from twinface.app.server.keys import ApiKey, KeyRing

app = typer.Typer(invoke_without_command=True)
keys = typer.Typer(help="The keys of the server: make, list, revoke.")
app.add_typer(keys, name="key")

State = Annotated[
    Path | None,
    typer.Option(
        "--state",
        parser=options.given_path,
        metavar="DIR",
        help="Folder of the server's keys, jobs and uploads; default: server in your data folder.",
    ),
]
Expires = Annotated[str | None, typer.Option("--expires", help="Until when: 30d, 12h, 8w or 2027-01-31.")]


@app.callback()
def serve(
    context: typer.Context,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; any other than this machine's own demands keys.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 for one that is free.")] = 8080,
    gallery: options.Gallery = None,
    key_file: options.KeyFile = None,
    state: State = None,
    policy: Annotated[
        Path | None, options.path("--policy", "Access policy (TOML); without one no access control.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", help="Camera (0, 1, ...), stream or file of the access point.")
    ] = None,
    public_host: Annotated[
        list[str] | None,
        typer.Option("--public-host", metavar="NAME", help="Name it has behind a reverse proxy; demands keys. Repeat."),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, max=256, help="Pictures worked on at once.")] = 2,
    queue: Annotated[int, typer.Option("--queue", min=1, help="Calls that may wait for a worker.")] = 64,
    rate: Annotated[float, typer.Option("--rate", min=0.01, help="Calls a second that one key may make.")] = 50.0,
    model: options.Model = None,
    detector: options.Detector = None,
    provider: options.Provider = None,
    threads: options.Threads = None,
) -> None:
    """Serve pages, REST and WebSocket at one address until Ctrl-C; what was begun is finished.

    Without keys it answers this machine alone. twinface serve init makes the first key.
    """
    if context.invoked_subcommand is not None:
        return
    _check_installed()
    from twinface.app.server.options import ServerOptions
    from twinface.app.server.serving import serve as run

    chosen = ServerOptions(
        gallery=gallery or gallery_path(),
        folder=_folder(state),
        host=host,
        port=port,
        policy=policy,
        source=source,
        public_hosts=tuple(name.lower() for name in public_host or ()),
        gallery_key=key_file,
        passphrase=_passphrase(gallery or gallery_path(), key_file),
        model=model,
        detector=detector,
        providers=None if provider is None else tuple(provider),
        threads=threads,
        workers=workers,
        queue=queue,
        rate=rate,
        burst=max(1, round(2 * rate)),
    )
    run(chosen, lambda at: complain(f"serving {at.address} (Ctrl-C ends it)"))


@app.command("init")
def init(state: State = None, name: Annotated[str, typer.Option("--name", help="For people.")] = "admin") -> None:
    """Make the first key, an admin's, and show it once. From then on nobody gets in without a key."""
    ring = _ring(state)
    if any(key.role == "admin" and key.revoked is None for key in ring.listed()):
        raise TwinFaceError("there is an admin's key already; twinface serve key make NAME --role admin makes another")
    _show(*ring.make(name, "admin"))


@keys.command("make")
def make(
    name: Annotated[str, typer.Argument(help="Who or what is to use it.", metavar="NAME")],
    role: Annotated[str, typer.Option("--role", help="read, operate or admin.")] = "read",
    expires: Expires = None,
    state: State = None,
) -> None:
    """Make a key and show it once."""
    from twinface.app.server.keys import ROLES

    ring = _ring(state)
    found = [one for one in ROLES if one == role]
    if not found:
        raise TwinFaceError(f"--role must be one of {', '.join(ROLES)}, got {role!r}")
    if not ring.any and role != "admin":
        raise TwinFaceError("there is no key yet, and the first must be an admin's; twinface serve init makes it")
    _show(*ring.make(name, found[0], None if expires is None else expiry(expires)))


@keys.command("list")
def list_keys(state: State = None, json: options.Json = False) -> None:
    """List the keys there ever were; their secrets are nowhere."""
    found = _ring(state).listed()
    if json:
        write_json([_json(one) for one in found])
        return
    if not found:
        console().print("there is no key; twinface serve init makes the first")
        return
    from rich.table import Table
    from rich.text import Text

    table = Table("id", "name", "role", "since", "until", "", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for one in found:
        until = "" if one.expires is None else one.expires.strftime("%Y-%m-%d")
        ended = "" if one.revoked is None else f"revoked {one.revoked:%Y-%m-%d}"
        table.add_row(one.id, Text(printable(one.name)), one.role, f"{one.created:%Y-%m-%d}", until, ended)
    console().print(table)


@keys.command("revoke")
def revoke(
    identity: Annotated[str, typer.Argument(help="The key's id, as key list shows it.", metavar="ID")],
    state: State = None,
) -> None:
    """End a key, at once and for good; a running server heeds it with the next call."""
    key = _ring(state).revoke(identity)
    typer.echo(f"{key.id} ({printable(key.name)}) opens nothing any more")


def _folder(state: Path | None) -> Path:
    return data_folder() / "server" if state is None else state


def _ring(state: Path | None) -> KeyRing:
    _check_installed()
    from twinface.app.server.keys import KeyRing

    return KeyRing(_folder(state))


def _show(key: ApiKey, secret: str) -> None:
    """The secret alone on standard output, so that it can be piped; what it is beside it."""
    complain(f"made the {key.role} key {key.id} ({printable(key.name)}); this is shown once, keep it safe:")
    typer.echo(secret)


def _json(key: ApiKey) -> dict[str, str | None]:
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role,
        "created": key.created.isoformat(),
        "expires": None if key.expires is None else key.expires.isoformat(),
        "revoked": None if key.revoked is None else key.revoked.isoformat(),
    }


def _passphrase(gallery: Path, key_file: Path | None) -> str | None:
    """What opens an encrypted gallery (TWINFACE_PASSPHRASE); it also encrypts one that is made."""
    from twinface.gallery.sqlite import SqliteGallery

    if key_file is not None or (gallery.exists() and not SqliteGallery.encrypted_with(gallery)):
        return None
    return passphrase()


def _check_installed() -> None:
    from importlib.util import find_spec

    missing = [
        name for name in ("fastapi", "uvicorn", "argon2", "prometheus_client", "multipart") if find_spec(name) is None
    ]
    if missing:
        raise TwinFaceError(f'the server needs {", ".join(missing)}; pip install "twinface[server]"')
