"""`twinface access check`, `pin` and `schema`, as their users type them."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from twinface.app.access.policy_schema import policy_schema
from twinface.core.access.factors import holds, read_hash

Cli = Callable[..., Any]

SMALL = """\
zone = "Europe/Vienna"
[places.lobby]
name = "Lobby"
[people]
Eileen = {}
[[allow]]
who = "Eileen"
where = "lobby"
"""


@pytest.fixture
def example(examples: Path) -> Path:
    return examples / "access" / "policy.toml"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(SMALL)
    path.chmod(0o600)
    return path


class TestCheck:
    def test_the_example_is_explained(self, cli: Cli, example: Path) -> None:
        done = cli("access", "check", example)
        assert (done.status, done.err) == (0, "")
        told = " ".join(done.out.split())
        assert "7 places, 9 people, 9 rules" in told
        assert "keyholders (Ada Lovelace, Eileen Collins, Grace Hopper) during office hours" in told
        assert "opens to 2 different people together, within 1 min" in told
        assert "never everyone from 2026-12-24 to 2027-01-06" in told
        assert "nights every day 22:30 to 05:00 of the next day" in told
        assert "May go nowhere Viktor Kaplan" in told
        assert "scrypt" not in told

    def test_a_moment_is_told(self, cli: Cli, example: Path) -> None:
        told = " ".join(cli("access", "check", example, "--at", "2026-12-24T18:00").out.split())
        assert "On Thursday, 2026-12-24 at 18:00 the rules let in" in told
        assert "vault nobody denied: Ada Lovelace, Eileen Collins, Grace Hopper" in told
        assert "outside schedule: Josef Ressel, Rosa Mayreder" in told

    def test_machines_get_the_same(self, cli: Cli, example: Path) -> None:
        done = cli("access", "check", example, "--at", "2026-12-24T18:00", "--json")
        assert done.status == 0
        told = json.loads(done.out)
        assert told["sound"] is True
        assert [one["id"] for one in told["places"]][:2] == ["lobby", "floor-1"]
        assert told["nowhere"] == ["Viktor Kaplan"]
        assert told["at"] == "2026-12-24T17:00:00+00:00"
        vault = next(one for one in told["now"] if one["place"] == "vault")
        assert vault == {
            "place": "vault", "may": [], "not_now": {"denied": ["Ada Lovelace", "Eileen Collins", "Grace Hopper"]},
        }  # fmt: skip

    def test_every_problem_is_told_on_a_line_of_its_own(self, cli: Cli, policy: Path) -> None:
        policy.write_text(SMALL.replace('"Eileen"', '"Elieen"').replace('name = "Lobby"', "fmr = 2"))
        done = cli("access", "check", policy)
        assert (done.status, done.out) == (2, "")
        first, second, last = done.err.splitlines()
        assert first == f"{policy}:3: places.lobby.fmr: must be above 0 and below 1, got 2"
        assert second == (f'{policy}:7: allow.who: there is no person or group "Elieen"; did you mean "Eileen"?')
        assert last == f"twinface: {policy}: 2 problems; nobody gets in by this policy until they are mended"
        machines = cli("access", "check", policy, "--json")
        assert machines.status == 2
        assert json.loads(machines.out) == {"policy": str(policy), "sound": False, "problems": [first, second]}

    def test_a_policy_that_is_not_there(self, cli: Cli, tmp_path: Path) -> None:
        done = cli("access", "check", tmp_path / "none.toml")
        assert done.status == 2
        assert "cannot be read (No such file or directory)" in done.err

    def test_a_time_that_is_none(self, cli: Cli, policy: Path) -> None:
        cli("access", "check", policy, "--at", "noon").refuses("--at", "2026-12-24T18:00")

    def test_who_else_may_change_or_read_the_file_is_told(self, cli: Cli, policy: Path, example: Path) -> None:
        def warned() -> list[str]:
            told = json.loads(cli("access", "check", policy, "--json").out)
            return [one["words"] for one in told["warnings"]]

        assert warned() == []
        policy.chmod(0o644)
        assert warned() == []  # no PIN in it
        policy.chmod(0o666)
        assert [one.partition(",")[0] for one in warned()] == ["everybody on this machine may change the file"]
        policy.write_text(example.read_text())
        policy.chmod(0o644)
        assert any(one.startswith("everybody on this machine may read the file") for one in warned())


class TestCheckAgainstAGallery:
    @pytest.fixture
    def gallery(self, cli: Cli, tmp_path: Path, examples: Path) -> Path:
        path = tmp_path / "people.db"
        assert cli("enroll", "--name", "Eileen", examples / "collins.jpg", "-g", path).status == 0
        return path

    def test_people_whom_it_knows_are_fine(self, cli: Cli, policy: Path, gallery: Path) -> None:
        done = cli("access", "check", policy, "--gallery", gallery)
        assert (done.status, done.err) == (0, "")

    def test_people_whom_it_does_not_know_are_a_problem(self, cli: Cli, policy: Path, gallery: Path) -> None:
        policy.write_text(SMALL.replace("Eileen = {}", "Eileen = {}\nGrace = {}"))
        done = cli("access", "check", policy, "--gallery", gallery)
        assert done.status == 2
        assert f'{policy}:6: people: "Grace" is not in the gallery; enrol her' in done.err

    def test_people_whom_the_policy_does_not_know_are_told(
        self, cli: Cli, policy: Path, gallery: Path, examples: Path
    ) -> None:
        assert cli("enroll", "--name", "Grace", examples / "hopper.jpg", "-g", gallery).status == 0
        done = cli("access", "check", policy, "--gallery", gallery)
        assert done.status == 0
        assert "not in the policy, so they may go nowhere: Grace" in " ".join(done.out.split())

    def test_rates_that_the_model_was_never_measured_at_are_told(self, cli: Cli, policy: Path, gallery: Path) -> None:
        policy.write_text(SMALL.replace('name = "Lobby"', "fmr = 1e-9"))
        done = cli("access", "check", policy, "--gallery", gallery, "--json")
        assert any("FMR 1e-9" in one["words"] for one in json.loads(done.out)["warnings"])


class TestPin:
    def given(self, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))

    def test_a_pin_from_a_pipe_becomes_its_hash(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        self.given(monkeypatch, "2468\n")
        done = cli("access", "pin")
        assert done.status == 0
        key, _, value = done.out.strip().partition(" = ")
        assert key == "pin"
        assert holds("2468", json.loads(value))
        assert not read_hash(json.loads(value)).weak
        assert "2468" not in done.err

    def test_two_hashes_of_a_pin_have_nothing_in_common(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        told = set()
        for _ in range(2):
            self.given(monkeypatch, "2468\n")
            told.add(cli("access", "pin", "--card").out)
        assert len(told) == 2
        assert all(one.startswith('card = "scrypt$') for one in told)

    @pytest.mark.parametrize("text", ["", "\n", "123\n", "   1\n", "1" * 300])
    def test_what_is_too_short_or_long_is_refused(self, cli: Cli, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        self.given(monkeypatch, text)
        cli("access", "pin").refuses("PIN")

    def test_typed_twice_it_must_be_the_same(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        typed = iter(["2468", "2469", "2468", "2468"])
        monkeypatch.setattr("twinface.app.cli.access.pin.sys.stdin.isatty", lambda: True, raising=False)
        monkeypatch.setattr("getpass.getpass", lambda prompt: next(typed))
        cli("access", "pin").refuses("two PINs")
        assert cli("access", "pin").out.startswith('pin = "scrypt$')


def test_the_schema_is_printed(cli: Cli) -> None:
    done = cli("access", "schema")
    assert done.status == 0
    assert json.loads(done.out) == policy_schema()
