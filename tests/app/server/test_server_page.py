"""docs/server.md says what the server does: its addresses, roles, errors and limits, and examples that work."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from twinface.app.server.options import ServerOptions

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "server.md").read_text()
SERVER = ROOT / "src" / "twinface" / "app" / "server"
LIMITS = ServerOptions(gallery=Path("people.db"), folder=Path())


def rows(mark: str) -> list[str]:
    """The rows of the table that begins with this."""
    return re.findall(r"(?m)^\|.*\|$", PAGE.partition(mark)[2].partition("\n\n")[0])[1:]


@pytest.fixture(scope="module")
def key(live: Any) -> str:
    made: str = live.key("operate")
    return made


def commands() -> list[str]:
    return re.findall(r"(?m)^curl .*$", PAGE)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize("command", commands())
def test_examples_work(command: str, live: Any, key: str, examples: Path) -> None:
    words = shlex.split(command.replace("http://127.0.0.1:8080", live.url).replace("$KEY", key))
    words.insert(1, "--fail-with-body")
    done = subprocess.run(words, cwd=examples, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("{"), done.stdout


def test_there_are_examples() -> None:
    assert len(commands()) >= 7


def described() -> Iterator[tuple[str, str]]:
    """Each call of the API and the role it demands."""
    from twinface.app.server import routes
    from twinface.app.server.security import requirement_of

    for module in routes.modules():
        for route in module.router.routes:
            if getattr(route, "include_in_schema", False) and not route.path.startswith("/api/"):
                requirement = requirement_of(route.dependant)
                for method in sorted(route.methods):
                    yield f"{method} `{route.path}`", "" if requirement is None else requirement.role


def test_every_call_is_told_with_its_role() -> None:
    told = [[cell.strip() for cell in row.split("|")[1:3]] for row in rows("| call | role |")]
    assert sorted(map(tuple, told)) == sorted(described())


def codes() -> set[tuple[int, str]]:
    """Every status and code the server's source has."""
    from twinface.app.server.problems import KINDS, STATUSES

    found = {(kind.status, kind.code) for kind in KINDS.values()}
    found |= {(status, code) for status, (code, _) in STATUSES.items()}
    for path in SERVER.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Problem" and call.args:
                given = [*call.args[2:3], *(one.value for one in call.keywords if one.arg == "code")]
                found |= {(one.value, code.value) for one in call.args[:1] for code in given if _constant(one, code)}
    return found


def _constant(*words: ast.expr) -> bool:
    return all(isinstance(word, ast.Constant) and word.value for word in words)


def test_every_error_is_told() -> None:
    by_status: dict[int, list[str]] = {}
    for status, code in sorted(codes()):
        by_status.setdefault(status, []).append(f"`{code}`")
    expected = [f"| {status} | {', '.join(names)} |" for status, names in by_status.items()]
    assert rows("| status | codes |") == expected, "\n".join(expected)


def test_the_limits_are_those_in_the_source() -> None:
    told = " ".join(rows("| what | limit |"))
    for words in (
        f"{LIMITS.max_bytes // 2**20} MB",
        f"{LIMITS.max_pixels // 10**6} megapixels",
        f"{LIMITS.max_video_bytes // 2**30} GB",
        f"{LIMITS.queue} wait",
        f"{LIMITS.rate:.0f} a second, {LIMITS.burst} at once",
        f"{LIMITS.patience:.0f} s",
    ):
        assert words in told


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#:]+)\)", PAGE))
def test_links_lead_somewhere(path: str) -> None:
    assert (ROOT / "docs" / path).exists()


@pytest.mark.parametrize("command", re.findall(r"(?m)^\$ (twinface serve[^#\n]*)", PAGE))
def test_commands_have_the_options_told(command: str) -> None:
    import typer

    from twinface.app.cli import app

    group: Any = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    words = shlex.split(command)[2:]
    context = group.make_context("serve", [*words] or ["--port", "8080"], resilient_parsing=False)
    rest = [*context._protected_args, *context.args]
    if rest:
        name, found, rest = group.resolve_command(context, rest)
        found.make_context(name, rest, parent=context)
