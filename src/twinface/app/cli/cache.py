"""`twinface data cache`."""

from __future__ import annotations

from typing import Annotated

import typer

from twinface.app.cli import options
from twinface.app.cli.output import write_json
from twinface.core.files import shown


def cache(
    clear: Annotated[
        bool, typer.Option("--clear", help="Forget all templates; what is deleted is overwritten.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Tell where templates are kept between measurements, and how many; or forget them."""
    from contextlib import closing

    from twinface.app import cache as kept

    path = kept.cache_path()
    count = 0
    if clear:
        kept.clear(path)
    elif path.exists():
        with closing(kept.SqliteTemplateCache(path, kept.LOOKING)) as opened:
            count = opened.count()
    taken = kept.size(path)
    if json:
        write_json({"path": str(path), "templates": count, "bytes": taken})
        return
    what = f"{count:,} pictures' templates, {taken / 1e6:.1f} MB" if count else "no templates"
    typer.echo(f"{shown(path)}: {what}{'; cleared' if clear else ''}")
