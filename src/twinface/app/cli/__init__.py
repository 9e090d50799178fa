"""The `twinface` command."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from twinface.app.cli import compare, detect, doctor, embed, models
from twinface.app.cli.output import TROUBLE, complain
from twinface.errors import TwinFaceError

app = typer.Typer(
    name="twinface",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("compare")(compare.compare)
app.command("detect")(detect.detect)
app.command("embed")(embed.embed)
app.add_typer(models.app, name="models")
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
    """Tell whether two faces show the same person; find faces; write templates; look after the models."""


def main() -> None:
    """Runs the command: every error becomes one line on stderr and exit status 2, unless --debug asks for the trace."""
    debug = "--debug" in sys.argv[1:]
    try:
        app(args=[word for word in sys.argv[1:] if word != "--debug"])
    except TwinFaceError as error:
        if debug:
            raise
        complain(str(error))
    except KeyboardInterrupt:
        complain("interrupted")
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:  # the process edge
        if debug:
            raise
        complain(f"unexpected {type(error).__name__}: {error}; please report it with the output of --debug")
    sys.exit(TROUBLE)
