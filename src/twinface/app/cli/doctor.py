"""`twinface doctor`."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

import typer

from twinface.app.cli import options
from twinface.app.cli.output import TROUBLE, console, write_json
from twinface.errors import TwinFaceError

State = Literal["ok", "missing", "bad"]

EXTRAS = (
    ("pillow_heif", "HEIC and HEIF pictures", 'pip install "twinface[heif]"'),
    ("matplotlib", "report pages with plots", 'pip install "twinface[evaluate]"'),
    ("av", "videos, cameras, streams", 'pip install "twinface[video]"'),
    ("paho", "MQTT messages of access control", 'pip install "twinface[access]"'),
    ("fastapi", "twinface serve", 'pip install "twinface[server]"'),
    ("huggingface_hub", "models from the Hugging Face Hub", 'pip install "twinface[hub]"'),
    ("torch", "training and export", 'pip install "twinface[train]"'),
)
"""Optional modules: what each is for and how to get it."""


@dataclass(frozen=True)
class Finding:
    """One line of the report; `missing` is no fault, `bad` is."""

    name: str
    state: State
    detail: str


def doctor(json: options.Json = False) -> None:
    """Report versions, providers, model digests and what is missing. Exit status: 0 healthy, 2 not."""
    findings = [*_versions(), *_providers(), *_models(), *_answer(), *_extras()]
    healthy = all(finding.state != "bad" for finding in findings)
    if json:
        write_json({"healthy": healthy, "findings": [vars(finding) for finding in findings]})
    else:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2, 0, 0))
        marks = {"ok": ("\u2713", "green"), "missing": ("-", "dim"), "bad": ("\u2717", "bold red")}
        for finding in findings:
            mark, style = marks[finding.state]
            table.add_row(Text(mark, style=style), finding.name, Text(finding.detail, style="dim"))
        out = console()
        out.print(table)
        out.print("\nTwinFace is ready." if healthy else "\nTwinFace is not ready: see the lines marked \u2717.")
    if not healthy:
        raise typer.Exit(TROUBLE)


def _versions() -> list[Finding]:
    from importlib import metadata  # takes as long as Typer, and every command imports this module

    findings = [Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")]
    for name in (
        "twinface", "numpy", "onnxruntime", "opencv-python-headless", "pillow", "cryptography", "typer", "rich",
    ):  # fmt: skip
        try:
            findings.append(Finding(name, "ok", metadata.version(name)))
        except metadata.PackageNotFoundError:
            module = {"opencv-python-headless": "cv2", "pillow": "PIL"}.get(name, name)
            if find_spec(module) is None:
                findings.append(Finding(name, "bad", f"not installed; pip install {name}"))
            else:
                findings.append(Finding(name, "ok", f"module {module} comes from another package"))
    return findings


def _providers() -> list[Finding]:
    try:
        import onnxruntime

        import twinface.vision  # noqa: F401 - quiets ONNX Runtime before it is loaded
    except ImportError as error:
        return [Finding("execution providers", "bad", f"onnxruntime cannot be imported ({error})")]
    names = ", ".join(onnxruntime.get_available_providers())
    return [Finding("execution providers", "ok", names)]


def _models() -> list[Finding]:
    from twinface.models.registry import shipped

    findings = []
    try:
        entries = shipped()
    except TwinFaceError as error:
        return [Finding("models", "bad", str(error))]
    if not entries:
        findings.append(Finding("models", "bad", "none in the package; install twinface again"))
    for entry in entries:
        try:
            entry.verify()
            findings.append(
                Finding(f"model {entry.name}", "ok", f"SHA-256 {entry.contract.sha256[:16]}... as released")
            )
        except TwinFaceError as error:
            findings.append(Finding(f"model {entry.name}", "bad", str(error)))
    return findings


def _answer() -> list[Finding]:
    """Whether the default models load with the current settings."""
    try:
        from twinface.app.wiring import load

        recognizer = load()
    except (TwinFaceError, ImportError) as error:
        return [Finding("recognizer", "bad", str(error))]
    point = recognizer.rule.point()
    names = f"{recognizer.encoder_name} with {recognizer.detector_name}"
    detail = f"{names}, threshold {point.threshold:.4f} at FMR {point.fmr:g}"
    return [Finding("recognizer", "ok", detail)]


def _extras() -> list[Finding]:
    return [
        Finding(name, "ok", f"present: {purpose}")
        if find_spec(name)
        else Finding(name, "missing", f"only needed for {purpose}: {remedy}")
        for name, purpose, remedy in EXTRAS
    ]
