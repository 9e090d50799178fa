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
    from twinface.app.cache import cache_path, open_cache

    path = cache_path()
    count, size = 0, 0
    if path.exists() and (opened := open_cache()) is not None:
        if clear:
            opened.clear()
        count, size = opened.count(), path.stat().st_size
        opened.close()
    if json:
        write_json({"path": str(path), "templates": count, "bytes": size})
        return
    what = f"{count:,} pictures' templates, {size / 1e6:.1f} MB" if count else "no templates"
    typer.echo(f"{shown(path)}: {what}{'; cleared' if clear else ''}")
