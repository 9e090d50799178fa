"""What follows from an answer: nothing green without a grant, nothing open after a refusal."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from twinface.app.access.acting import Actor
from twinface.app.access.policy_file import parse_policy
from twinface.core.access.evidence import Reason, Request, Ruling
from twinface.core.access.policy import Policy
from twinface.errors import ActionFailed
from twinface.services.access_control import Outcome

BASE = """
zone = "UTC"
[places.door]
name = "Front door"
on_grant = [{grant}]
on_refusal = [{refusal}]
[people]
"Ada" = {{}}
[[allow]]
who = "Ada"
where = "door"
"""


def policy_of(folder: Path, actions: str, grant: str = "", refusal: str = "") -> Policy:
    text = BASE.format(grant=grant, refusal=refusal) + actions
    return parse_policy(text.encode(), str(folder / "policy.toml"))


def writing(name: str, path: Path, status: int = 0) -> str:
    """A command that opens: it notes what it was told, and ends so."""
    code = f"import sys; open({str(path)!r}, 'a').write(sys.stdin.read()); sys.exit({status})"
    return f'[actions.{name}]\nkind = "command"\nwords = {[sys.executable, "-c", code]!r}\n'.replace("\\\\", "\\")


def outcome(granted: bool, place: str = "door") -> Outcome:
    request = Request("r1", place, datetime(2026, 5, 1, tzinfo=UTC))
    reason = Reason.granted if granted else Reason.not_allowed
    return Outcome(request, Ruling(granted, reason, place, ("ab" * 16,)), None, None, 0.1)


@pytest.fixture
def failures() -> list[str]:
    return []


@pytest.fixture
def actors(failures: list[str]) -> Iterator[object]:
    made: list[Actor] = []

    def make(policy: Policy, dry_run: bool = False) -> Actor:
        actor = Actor(
            policy,
            lambda notice, name, error: failures.append(name),
            dry_run=dry_run,
            secrets=lambda _: None,
            out=io.StringIO(),
        )
        made.append(actor)
        return actor

    yield make
    for actor in made:
        actor.close()


def test_a_grant_opens_and_a_refusal_does_not(tmp_path: Path, actors: object, failures: list[str]) -> None:
    told = tmp_path / "told"
    policy = policy_of(tmp_path, writing("open", told), '"open"')
    actor = actors(policy)
    actor(outcome(False), policy)
    assert not told.exists()
    actor(outcome(True), policy)
    assert '"decision": "grant"' in told.read_text()
    assert "Ada" not in told.read_text()
    assert failures == []


def test_a_door_that_does_not_open_is_told(tmp_path: Path, actors: object, failures: list[str]) -> None:
    policy = policy_of(tmp_path, writing("open", tmp_path / "told", status=1), '"open"')
    with pytest.raises(ActionFailed, match="open"):
        actors(policy)(outcome(True), policy)
    assert failures == ["open"]


def test_a_dry_run_opens_nothing(tmp_path: Path, actors: object) -> None:
    told = tmp_path / "told"
    policy = policy_of(tmp_path, writing("open", told), '"open"')
    actors(policy, dry_run=True)(outcome(True), policy)
    assert not told.exists()


def test_an_unknown_place_has_no_actions(tmp_path: Path, actors: object) -> None:
    policy = policy_of(tmp_path, "")
    actors(policy)(outcome(False, "roof"), policy)


class TestAnotherPolicy:
    def test_its_actions_are_taken(self, tmp_path: Path, actors: object) -> None:
        old, new = tmp_path / "old", tmp_path / "new"
        actor = actors(policy_of(tmp_path, writing("open", old), '"open"'))
        policy = policy_of(tmp_path, writing("open", new), '"open"')
        actor.replace(policy)
        actor(outcome(True), policy)
        assert not old.exists()
        assert new.exists()

    def test_one_whose_actions_cannot_be_made_ready_opens_nothing(self, tmp_path: Path, actors: object) -> None:
        actor = actors(policy_of(tmp_path, ""))
        policy = policy_of(tmp_path, '[actions.open]\nkind = "command"\nwords = ["no-such-program-here"]\n', '"open"')
        with pytest.raises(ActionFailed):
            actor.replace(policy)
        with pytest.raises(ActionFailed, match="could not be made ready"):
            actor(outcome(True), policy)
        actor(outcome(False), policy)
        mended = policy_of(tmp_path, writing("open", tmp_path / "told"), '"open"')
        actor.replace(mended)
        actor(outcome(True), mended)
        assert (tmp_path / "told").exists()
