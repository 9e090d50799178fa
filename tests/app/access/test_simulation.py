"""Days on paper: the example comes out as it says, and what is wrong with a scenario is told with its line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from twinface.app.access.policy_file import parse_policy, read_policy
from twinface.app.access.simulation import evidence_of, play, read_scenario
from twinface.core.access.evidence import Reason
from twinface.core.access.policy import Policy
from twinface.errors import BadPolicy

Cli = Callable[..., Any]

POLICY = """
zone = "Europe/Vienna"
[places.open]
liveness = "none"
[places.watched]
liveness = "passive"
[places.asked]
liveness = "challenge"
[people]
"Ada" = {}
[[allow]]
who = "Ada"
where = ["open", "watched", "asked"]
"""


@pytest.fixture
def policy() -> Policy:
    return parse_policy(POLICY.encode(), "policy.toml")


@pytest.fixture
def example(examples: Path) -> Path:
    return examples / "access"


def scenario(folder: Path, *events: str) -> Path:
    path = folder / "day.toml"
    path.write_text("".join(f"[[event]]\n{event}\n" for event in events))
    return path


def event(place: str, more: str = "", who: str = "Ada", at: str = "2026-05-01T12:00:00") -> str:
    return f'at = {at}\nplace = "{place}"\nwho = "{who}"\n{more}'


def test_the_example_comes_out_as_it_says(cli: Cli, example: Path) -> None:
    done = cli("access", "simulate", "--policy", example / "policy.toml", "--scenario", example / "day.toml", "--json")
    assert done.status == 0
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert len(rows) >= 25
    assert all({"time", "place", "person", "decision", "reason"} <= set(row) for row in rows)
    assert all(row["decision"] == row["expected"] for row in rows)
    assert {row["reason"] for row in rows} >= {
        "granted", "already_inside", "several_faces", "factor_wrong", "challenge_failed", "inconclusive", "locked_out",
        "revoked", "second_person_needed", "camera_lost", "audit_unavailable", "outside_schedule", "denied",
    }  # fmt: skip
    assert rows[0]["time"].endswith("+01:00")
    assert sum(row["decision"] == "grant" for row in rows) == sum(row["reason"] == "granted" for row in rows)


def test_a_table_for_people(cli: Cli, example: Path) -> None:
    done = cli("access", "simulate", "--policy", example / "policy.toml", "--scenario", example / "day.toml")
    assert done.status == 0
    assert "Monday, 30 November 2026" in done.out
    assert "Floor 7, laboratory" in done.out
    assert "27 requests: 10 granted, 17 refused" in done.out


def test_what_is_not_as_expected_tells_by_the_status(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(POLICY)
    path = scenario(tmp_path, event("open", 'expect = "refuse"'))
    done = cli("access", "simulate", "--policy", tmp_path / "policy.toml", "--scenario", path)
    assert done.status == 1
    assert "expected: refuse" in done.out


@pytest.mark.parametrize(
    ("attack", "refused"),
    [
        ("still picture", {"watched": Reason.not_live, "asked": Reason.not_live}),
        ("moved picture", {"asked": Reason.challenge_failed}),
        ("recording", {"asked": Reason.challenge_failed}),
        ("chosen recording", {}),
        ("frozen stream", dict.fromkeys(("open", "watched", "asked"), Reason.picture_frozen)),
        ("lookalike", dict.fromkeys(("open", "watched", "asked"), Reason.inconclusive)),
        ("blurred", dict.fromkeys(("open", "watched", "asked"), Reason.poor_quality)),
    ],
)
def test_attacks(policy: Policy, tmp_path: Path, attack: str, refused: dict[str, Reason]) -> None:
    events = [event(place, f'attack = "{attack}"') for place in ("open", "watched", "asked")]
    played = list(play(policy, read_scenario(scenario(tmp_path, *events), policy)))
    got = {one.event.place: one.ruling.reason for one in played if not one.ruling.granted}
    assert got == refused


@pytest.mark.parametrize(
    "fault",
    ["camera_lost", "picture_frozen", "gallery_unavailable", "model_tampered", "clock_wrong", "audit_unavailable"],
)
def test_faults_are_refusals(policy: Policy, tmp_path: Path, fault: str) -> None:
    (event_,) = read_scenario(scenario(tmp_path, event("open", f'fault = "{fault}"')), policy)
    assert evidence_of(event_, policy.places["open"]).faults == (Reason(fault),)
    ((played),) = play(policy, [event_])
    assert played.ruling.reason is Reason(fault)


def test_events_are_played_in_the_order_of_their_times(policy: Policy, tmp_path: Path) -> None:
    path = scenario(tmp_path, event("open", at="2026-05-01T13:00:00"), event("watched", at="2026-05-01T09:00:00"))
    assert [one.place for one in read_scenario(path, policy)] == ["watched", "open"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "day.toml:1: event: there is none"),
        ("[[event]]\n", "day.toml:1: event: at is missing"),
        ("[[event]]\n" + event("open", who="Adda"), 'day.toml:4: event.who: the policy knows no "Adda"'),
        ("[[event]]\n" + event("open", 'attack = "laser"'), "day.toml:5: event.attack: expected one of"),
        ("[[event]]\n" + event("open", "colour = 1"), "day.toml:5: event.colour: unknown key"),
        ("event = 3", "day.toml:1: event: there is none"),
        ("x = 1\n[[event]]\n" + event("open"), "day.toml:1: x: unknown key"),
        ("[[event]", "no valid TOML"),
        ("[[event]]\n" + event("open", at="0001-01-01T00:00:00"), "out of range"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(policy: Policy, tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "day.toml"
    path.write_text(text)
    with pytest.raises(BadPolicy) as caught:
        read_scenario(path, policy)
    assert problem in str(caught.value)


def test_a_scenario_that_is_not_there(policy: Policy, tmp_path: Path) -> None:
    with pytest.raises(BadPolicy, match="cannot be read"):
        read_scenario(tmp_path / "none.toml", policy)


def test_the_example_policy_is_sound(example: Path) -> None:
    assert len(read_policy(example / "policy.toml").places) == 7
