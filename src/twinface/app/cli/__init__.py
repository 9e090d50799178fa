"""The `twinface` command."""

from __future__ import annotations

import errno
import gc
import io
import os
import sys
import traceback
from typing import Annotated, NoReturn, cast

import typer

from twinface.app.cli import (
    access,
    benchmark,
    blur,
    cache,
    calibrate,
    compare,
    data,
    detect,
    doctor,
    embed,
    enroll,
    evaluate,
    export,
    gallery,
    identify,
    models,
    people,
    search,
    serve,
    train,
    watch,
)  # fmt: skip
from twinface.app.cli.output import SAME, TROUBLE, complain
from twinface.core.files import reason
from twinface.errors import TwinFaceError

USAGE_ERROR = cast(type[Exception], typer.BadParameter.__mro__[1])
"""Wrong options and arguments; Typer keeps the class in different places in different versions."""

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG) if hasattr(errno, "EDQUOT") else (errno.ENOSPC,)
"""What the system says when standard output takes no more."""

app = typer.Typer(
    name="twinface",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("compare")(compare.compare)
app.command("enroll")(enroll.enroll)
app.command("identify")(identify.identify)
app.command("search")(search.search)
app.command("index")(search.index)
app.command("watch")(watch.watch)
app.command("blur")(blur.blur)
app.add_typer(access.app, name="access")
app.add_typer(serve.app, name="serve")
app.add_typer(people.app, name="people")
app.add_typer(gallery.app, name="gallery")
app.command("calibrate")(calibrate.calibrate)
app.add_typer(evaluate.app, name="evaluate")
app.command("detect")(detect.detect)
app.command("embed")(embed.embed)
app.command("export")(export.export)
app.add_typer(models.app, name="models")
data.app.command("cache")(cache.cache)
app.add_typer(data.app, name="data")
app.command("train")(train.train)
app.command("benchmark")(benchmark.benchmark)
app.command("doctor")(doctor.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        import twinface

        typer.echo(f"twinface {twinface.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the full trace of an error.")] = False,
) -> None:
    """Tell whether two faces show the same person; enrol people, name them in pictures, forget them again."""


def main() -> None:
    """Runs the command: every error becomes one line on stderr and exit status 2; --debug shows the trace before it."""
    words = [word for word in sys.argv[1:] if word != "--debug"]
    for stream in (sys.stdout, sys.stderr):  # file names hold anything; an answer must not fail for one letter
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    status = TROUBLE  # Typer's own way out of trouble is status 1, which here says "different"
    try:
        status = app(args=words or ["--help"], prog_name="twinface", standalone_mode=False) or SAME
        if status == INTERRUPTED:
            complain("interrupted")
    except USAGE_ERROR as error:
        command = getattr(getattr(error, "ctx", None), "command_path", "twinface")
        wrong = getattr(error, "format_message", error.__str__)()
        complain(f"{wrong.rstrip('.')}; see {command} --help")
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
        complain("interrupted")
    except SystemExit as end:  # Typer and Rich leave so when the reader of our output has gone, as `head` does
        status = TROUBLE if end.code else SAME
    except Exception as error:  # noqa: BLE001 - the process edge
        if "--debug" in sys.argv[1:]:
            traceback.print_exc()
        if isinstance(error, TwinFaceError):
            complain(str(error))
        elif isinstance(error, OSError) and error.errno in UNWRITABLE:
            complain(f"the answer cannot be written ({reason(error)}); make room or send it elsewhere")
        else:
            complain(f"unexpected {type(error).__name__}: {error}; please report it with the output of --debug")
    sys.exit(status)


def run() -> NoReturn:
    """The process's entry: `main`, then leaves at once.

    Dismantling the networks and the imported libraries takes a tenth of a second and frees nothing that the system
    does not free; all files are closed and all words flushed by then.
    """
    gc.disable()  # a command is too short-lived to gain from it; pausing for it while importing costs
    status = TROUBLE
    try:
        main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else TROUBLE
    if "multiprocessing.resource_tracker" in sys.modules:
        gc.collect()  # semaphores in reference cycles would be told to have leaked
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:  # None where the caller has closed it
                stream.flush()
        except (OSError, ValueError):  # the reader of our output has gone, or the disk is full
            status = TROUBLE
    os._exit(status)
