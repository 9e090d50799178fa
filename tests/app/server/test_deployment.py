"""Dockerfile, compose file, systemd unit and proxies: what they say is true, though no engine may be at hand."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import typer

from twinface.app.cli import app
from twinface.app.server.options import ServerOptions

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
LIMITS = ServerOptions(gallery=Path("people.db"), folder=Path())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SECRET = re.compile(r"(?i)(secret|token|password|passphrase|api_?key|admin_?key)")


def dockerfile() -> list[list[tuple[str, str]]]:
    """Its stages, each a list of instructions and their words."""
    text = re.sub(r"(?m)^\s*#.*\n", "", (ROOT / "Dockerfile").read_text())
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    stages: list[list[tuple[str, str]]] = []
    for line in filter(None, map(str.strip, lines)):
        name, _, rest = line.partition(" ")
        if name == "FROM":
            stages.append([])
        stages[-1].append((name, rest.strip()))
    return stages


def said(name: str) -> str:
    """The last word of an instruction in the image that ships."""
    return [rest for there, rest in dockerfile()[-1] if there == name][-1]


def compose() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    told: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return told


def unit() -> dict[str, list[str]]:
    lines = [line for line in (DEPLOY / "twinface.service").read_text().splitlines() if re.match(r"\w+=", line)]
    told: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition("=")
        told.setdefault(name, []).append(value)
    return told


def options_of(words: list[str]) -> dict[str, Any]:
    """The options of `twinface ...`, read by the command line itself; fails where it would refuse them."""
    command = typer.main.get_command(app)
    context = command.make_context("twinface", list(words), resilient_parsing=False)
    rest = [*context._protected_args, *context.args]
    _, command, rest = command.resolve_command(context, rest)  # type: ignore[attr-defined]
    parameters: dict[str, Any] = command.make_context(command.name, rest, parent=context).params
    return parameters


def test_the_image_runs_as_nobody_in_particular() -> None:
    user, _, group = said("USER").partition(":")
    assert int(user) >= 1000
    assert int(group) >= 1000
    last = dockerfile()[-1]
    assert [name for name, _ in last].index("USER") > max(at for at, (name, _) in enumerate(last) if name == "COPY")
    made = " ".join(rest for name, rest in last if name == "RUN")
    assert f"--uid {user} " in made
    assert f"--gid {group} " in made


def test_the_image_that_ships_is_slim_and_has_no_tools_to_build_with() -> None:
    stages = dockerfile()
    assert len(stages) > 1
    for stage in stages:
        image = re.fullmatch(r"python:3\.(\d+)-slim(-\w+)?( AS \w+)?", stage[0][1])
        assert image is not None
        assert int(image[1]) >= int(PROJECT["requires-python"].removeprefix(">=3."))
    run = " ".join(rest for name, rest in stages[-1] if name == "RUN")
    assert not re.search(r"\b(apt-get|pip|curl|wget)\b", run)


def test_all_that_the_image_is_made_of_is_there_and_nothing_else_is_sent_to_the_builder() -> None:
    copied = [rest.split()[:-1] for stage in dockerfile() for name, rest in stage if name == "COPY"]
    sources = {source for words in copied if not words[0].startswith("--from") for source in words}
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == sources
    assert all((ROOT / source).exists() for source in sources)
    assert not any(name == "ADD" for stage in dockerfile() for name, _ in stage)
    copies = [rest for stage in dockerfile() for name, rest in stage if name == "COPY"]
    taken = {stage for copy in copies for stage in re.findall(r"--from=(\w+)", copy)}
    assert taken <= {rest.split(" AS ")[-1] for (_, rest), *_ in dockerfile()}


def test_the_package_is_built_of_what_was_copied() -> None:
    copied = " ".join(rest for name, rest in dockerfile()[0] if name == "COPY").split()
    assert {PROJECT["readme"], *PROJECT["license-files"], "pyproject.toml"} <= set(copied)


def test_the_extras_installed_exist() -> None:
    installed = re.search(r'"\.\[([\w,]+)\]"', " ".join(rest for _, rest in dockerfile()[0]))
    assert installed is not None
    assert set(installed[1].split(",")) <= set(PROJECT["optional-dependencies"])


def test_no_secret_is_baked_in() -> None:
    kept = [rest for stage in dockerfile() for name, rest in stage if name in ("ENV", "ARG", "RUN", "LABEL")]
    assert not any(SECRET.search(rest) for rest in kept)
    assert not any(SECRET.search(value) for value in unit()["Environment"])
    assert not SECRET.search((ROOT / "compose.yaml").read_text())


def test_the_image_starts_a_command_that_exists_on_the_port_it_exposes() -> None:
    words = [*json.loads(said("ENTRYPOINT"))[1:], *json.loads(said("CMD"))]
    options = options_of(words)
    assert options["host"] == "0.0.0.0"
    assert options["port"] == int(said("EXPOSE")) == LIMITS.port
    assert f"127.0.0.1:{options['port']}" in said("HEALTHCHECK")


def test_the_health_check_tells_a_server_from_none(live: Any) -> None:
    _, program, code = json.loads(said("HEALTHCHECK").partition("CMD")[2])
    alive = [sys.executable, program, code.replace(f":{said('EXPOSE')}", f":{live.port}")]
    with socket.create_server(("127.0.0.1", 0)) as free:
        dead = [sys.executable, program, code.replace(f":{said('EXPOSE')}", f":{free.getsockname()[1]}")]
    assert subprocess.run(alive, capture_output=True, timeout=60, check=False).returncode == 0
    assert subprocess.run(dead, capture_output=True, timeout=60, check=False).returncode != 0


def test_what_the_image_keeps_lies_in_its_volume() -> None:
    volume = PurePosixPath(said("VOLUME"))
    kept = dict(re.findall(r"(TWINFACE_\w+)=(\S+)", said("ENV")))
    assert {"TWINFACE_GALLERY", "TWINFACE_CACHE", "TWINFACE_DATA"} <= set(kept)
    assert all(PurePosixPath(path).is_relative_to(volume) for path in kept.values())
    assert PurePosixPath(said("WORKDIR")) == volume


def test_the_compose_file_publishes_to_this_machine_only_and_needs_no_more_than_it_takes() -> None:
    told = compose()
    service = told["services"]["twinface"]
    host, outside, inside = service["ports"][0].split(":")
    assert (host, inside) == ("127.0.0.1", said("EXPOSE"))
    assert outside.isdecimal()
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "user" not in service or not str(service["user"]).startswith(("0", "root"))
    assert not service.get("privileged")
    assert f"data:{said('VOLUME')}" in service["volumes"]


def test_the_compose_file_names_only_what_there_is() -> None:
    told = compose()
    for service in told["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert (ROOT / source).is_file() if source.startswith(".") else source in told["volumes"]
        assert set(service.get("depends_on", ())) <= set(told["services"])
    assert told["services"]["caddy"]["environment"]["TWINFACE_UPSTREAM"] == f"twinface:{said('EXPOSE')}"


def test_the_unit_starts_a_command_that_exists_and_listens_to_this_machine_only() -> None:
    program, *words = unit()["ExecStart"][0].split()
    assert PurePosixPath(program).name in PROJECT["scripts"]
    options = options_of(words)
    assert ServerOptions(gallery=Path("g"), folder=Path(), host=options["host"]).loopback
    assert options["port"] == LIMITS.port


def test_the_unit_keeps_its_things_in_its_own_folders() -> None:
    told = unit()
    kept = dict(value.split("=", 1) for value in told["Environment"] if value.startswith("TWINFACE_"))
    state, cache = (PurePosixPath("/var", *words) for words in (("lib", "twinface"), ("cache", "twinface")))
    assert told["StateDirectory"] == told["CacheDirectory"] == ["twinface"]
    assert PurePosixPath(kept["TWINFACE_GALLERY"]).is_relative_to(state)
    assert PurePosixPath(kept["TWINFACE_DATA"]).is_relative_to(state)
    assert PurePosixPath(kept["TWINFACE_CACHE"]).is_relative_to(cache)
    assert told["DynamicUser"] == ["yes"]
    assert told["ProtectSystem"] == ["strict"]
    assert told["UMask"] == ["0077"]


def test_large_pictures_leave_no_memory_behind_in_the_arenas_of_threads() -> None:
    assert "MALLOC_ARENA_MAX=1" in unit()["Environment"]
    assert "MALLOC_ARENA_MAX=1" in said("ENV").split()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
@pytest.mark.parametrize("check", [["verify"], ["security", "--offline=true", "--threshold=20", "--no-pager"]])
def test_systemd_finds_no_fault_with_the_unit(check: list[str], tmp_path: Path) -> None:
    text = (DEPLOY / "twinface.service").read_text()
    copy = tmp_path / "twinface.service"
    copy.write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={sys.executable}", text))
    done = subprocess.run(
        ["systemd-analyze", *check, str(copy)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not re.search(rf"{copy.name}:\d+:", done.stderr), done.stderr


def sizes(text: str, pattern: str) -> list[int]:
    units = {"m": 2**20, "g": 2**30, "mb": 10**6, "gb": 10**9, "mib": 2**20, "gib": 2**30}
    return [int(number) * units[unit.lower()] for number, unit in re.findall(pattern, text)]


@pytest.mark.parametrize(
    ("file", "pattern"),
    [("nginx.conf", r"client_max_body_size (\d+)(\w+);"), ("Caddyfile", r"max_size (\d+)(\w+)")],
)
def test_the_proxies_let_through_what_the_server_takes_and_little_more(file: str, pattern: str) -> None:
    small, large = sorted(sizes((DEPLOY / file).read_text(), pattern))
    assert LIMITS.max_bytes <= small <= 1.5 * LIMITS.max_bytes
    assert LIMITS.max_video_bytes <= large <= 1.5 * LIMITS.max_video_bytes


@pytest.mark.parametrize("file", ["nginx.conf", "Caddyfile"])
def test_the_proxies_ask_the_server_where_it_is(file: str) -> None:
    asked = re.findall(r"(?:http://|:)(127\.0\.0\.1):(\d+)", (DEPLOY / file).read_text())
    assert asked
    assert set(asked) == {(LIMITS.host, str(LIMITS.port))}


def test_nginx_passes_websockets_and_the_names_that_origins_are_checked_by() -> None:
    text = (DEPLOY / "nginx.conf").read_text()
    for header in ("Upgrade $http_upgrade", "Connection $twinface_connection", "Host $http_host"):
        assert f"proxy_set_header {header};" in text
    live = text.partition("location /v1/live {")[2].partition("}")[0]
    assert "proxy_set_header" not in live  # one in a location would replace all of those above
