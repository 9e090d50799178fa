"""`twinface access run|check|simulate|explain|demo|audit|pin|schema`."""

from __future__ import annotations

import typer

from twinface.app.cli.access import audit, check, demo, explain, pin, run, simulate

app = typer.Typer(help="Access control by faces: a policy, a camera, a log; whatever goes wrong is a refusal.")
app.command("check")(check.check)
app.command("run")(run.run)
app.command("simulate")(simulate.simulate)
app.command("explain")(explain.explain)
app.command("demo")(demo.demo)
app.command("pin")(pin.pin)
app.command("schema")(pin.schema)
app.add_typer(audit.app, name="audit")
