"""`python -m twinface`: the `twinface` command where the script is not on the PATH."""

from twinface.app.cli import run

run()
