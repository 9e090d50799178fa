"""`twinface data cache`."""

from __future__ import annotations

from typing import Annotated

import typer

from twinface.app.cli import options
from twinface.app.cli.output import counted, write_json
from twinface.core.files import shown


def cache(
    clear: Annotated[
        bool, typer.Option("--clear", help="Forget all templates; what is deleted is overwritten.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Tell what is kept of pictures that were measured and videos that were searched, and where; or forget it all."""
    from contextlib import closing

    from twinface.app import cache as kept
    from twinface.app.video_index import indexes_folder, remove_indexes

    path = kept.cache_path()
    count = 0
    if clear:
        kept.clear(path)
        remove_indexes()
    elif path.exists():
        with closing(kept.SqliteTemplateCache(path, kept.LOOKING)) as opened:
            count = opened.count()
    taken = kept.size(path)
    folder = indexes_folder()
    sizes = [file.stat().st_size for file in folder.glob("*.npz")]
    if json:
        videos = {"path": str(folder), "videos": len(sizes), "bytes": sum(sizes)}
        write_json({"path": str(path), "templates": count, "bytes": taken, "indexes": videos})
        return
    what = f"{count:,} pictures' templates, {taken / 1e6:.1f} MB" if count else "no templates"
    typer.echo(f"{shown(path)}: {what}{'; cleared' if clear else ''}")
    if sizes:
        typer.echo(f"{shown(folder)}: faces of {counted(len(sizes), 'video')}, {sum(sizes) / 1e6:.1f} MB")
