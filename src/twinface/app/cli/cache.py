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
    from twinface.app.video.index import indexes_folder, kept_indexes, remove_indexes

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
    files = kept_indexes()
    videos = len({file.name.partition(".")[0] for file in files})
    held = sum(file.stat().st_size for file in files)
    if json:
        indexes = {"path": str(folder), "videos": videos, "bytes": held}
        write_json({"path": str(path), "templates": count, "bytes": taken, "indexes": indexes})
        return
    what = f"{count:,} pictures' templates, {taken / 1e6:.1f} MB" if count else "no templates"
    typer.echo(f"{shown(path)}: {what}{'; cleared' if clear else ''}")
    if files:
        typer.echo(f"{shown(folder)}: faces of {counted(videos, 'video')}, {held / 1e6:.1f} MB")
