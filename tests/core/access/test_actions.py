import json
from dataclasses import fields
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinface.core.access.actions import (
    KINDS,
    Action,
    CommandAction,
    LightAction,
    MqttAction,
    Notice,
    RelayAction,
    SoundAction,
    WebhookAction,
    action_of,
    action_words,
    concerns,
    notice_json,
    secret_variables,
)

AT = datetime(2026, 3, 4, 8, 30, 0, 250_000, tzinfo=timezone(timedelta(hours=1)))

HOOK = {"kind": "webhook", "url": "https://door.example/opened/k3y", "secret_env": "DOOR_SECRET"}
MQTT = {"kind": "mqtt", "host": "broker.example", "topic": "doors/7"}

LEAST: list[dict[str, object]] = [
    {"kind": "light"},
    {"kind": "sound"},
    dict(HOOK),
    dict(MQTT),
    {"kind": "command", "words": ["open-door"]},
    {"kind": "relay", "pin": 17},
]


def make_notice(**others: object) -> Notice:
    values: dict[str, object] = {
        "id": "r-1",
        "at": AT,
        "place": "floor-7",
        "place_name": "7th floor",
        "granted": True,
        "reason": "granted",
        "words": "come in",
        "name": None,
        "subject": "5f1c",
        "head": "12:ab34",
    }
    return Notice(**{**values, **others})  # type: ignore[arg-type]


def test_a_notice_for_machines_has_everything_and_its_time_zone() -> None:
    told = json.loads(json.dumps(notice_json(make_notice(granted=False, reason="no_face", name="Ada"))))
    assert told == {
        "id": "r-1",
        "time": "2026-03-04T08:30:00.250+01:00",
        "place": "floor-7",
        "place_name": "7th floor",
        "decision": "refuse",
        "reason": "no_face",
        "words": "come in",
        "name": "Ada",
        "subject": "5f1c",
        "head": "12:ab34",
        "dry": False,
    }
    assert notice_json(make_notice())["decision"] == "grant"


@pytest.mark.parametrize("id", ["", "a b", "a\nb", "\u00e9", "a\r\nX-Evil: 1"])
def test_an_id_that_cannot_travel_in_a_header_is_refused(id: str) -> None:
    with pytest.raises(ValueError, match="id"):
        make_notice(id=id)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        make_notice(at=datetime(2026, 1, 1))


def test_every_kind_is_read_from_the_least_a_policy_may_say() -> None:
    assert [type(action_of("it", table)) for table in LEAST] == list(KINDS.values())
    assert [table["kind"] for table in LEAST] == list(KINDS)


def test_what_is_left_out_has_the_careful_value() -> None:
    mqtt, command = action_of("m", MQTT), action_of("c", {"kind": "command", "words": ["a", "b c"]})
    assert mqtt == MqttAction("m", "broker.example", "doors/7", port=8883, tls=True, qos=1)
    assert command == CommandAction("c", ("a", "b c"), on="grant")


def test_whole_numbers_are_times_too() -> None:
    assert action_of("it", {"kind": "relay", "pin": 4, "seconds": 2}) == RelayAction("it", 4, seconds=2.0)


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ({}, "kind"),
        ({"kind": "laser"}, "kind"),
        ({"kind": ["light"]}, "kind"),
        ({"kind": "light", "colour": "green"}, "colour"),
        ({"kind": "light", "name": "x"}, "name"),
        ({"kind": "light", "line": 1}, "line"),
        ({"kind": "light", "on": "always"}, "on"),
        ({"kind": "relay", "pin": 17, "on": "refusal"}, "on"),
        ({"kind": "relay"}, "pin"),
        ({"kind": "relay", "pin": True}, "pin"),
        ({"kind": "relay", "pin": 28}, "pin"),
        ({"kind": "relay", "pin": -1}, "pin"),
        ({"kind": "relay", "pin": 17, "seconds": 0}, "seconds"),
        ({"kind": "relay", "pin": 17, "seconds": float("nan")}, "seconds"),
        ({"kind": "relay", "pin": 17, "seconds": 3600}, "seconds"),
        ({"kind": "command"}, "words"),
        ({"kind": "command", "words": "rm -rf"}, "words"),
        ({"kind": "command", "words": []}, "words"),
        ({"kind": "command", "words": ["a", 1]}, "words"),
        ({"kind": "command", "words": ["a", "b\0"]}, "words"),
        ({"kind": "command", "words": ["a"], "timeout": 61}, "timeout"),
        ({**HOOK, "secret_env": ""}, "secret_env"),
        ({"kind": "webhook", "url": "https://a.example"}, "secret_env"),
        ({**HOOK, "secret_file": "s"}, "secret_env"),
        ({**HOOK, "url": "http://door.example/"}, "url"),
        ({**HOOK, "url": "http://localhost.example/"}, "url"),
        ({**HOOK, "url": "http://127.0.0.1.example/"}, "url"),
        ({**HOOK, "url": "ftp://door.example/"}, "url"),
        ({**HOOK, "url": "https:///x"}, "url"),
        ({**HOOK, "url": "https://a.example:0/"}, "url"),
        ({**HOOK, "url": "https://a.example:99999/"}, "url"),
        ({**HOOK, "url": "https://user:pass@a.example/"}, "url"),
        ({**HOOK, "url": "https://a.example/a b"}, "url"),
        ({**HOOK, "url": "https://a.example/\r\nX: 1"}, "url"),
        ({**HOOK, "url": "https://[::1/"}, "url"),
        ({**HOOK, "retries": 11}, "retries"),
        ({**HOOK, "retries": -1}, "retries"),
        ({**HOOK, "retries": 1.0}, "retries"),
        ({**HOOK, "within": 0}, "within"),
        ({**MQTT, "topic": "doors/#"}, "topic"),
        ({**MQTT, "topic": ""}, "topic"),
        ({**MQTT, "topic": "$SYS/x"}, "topic"),
        ({**MQTT, "qos": 0}, "qos"),
        ({**MQTT, "qos": 2}, "qos"),
        ({**MQTT, "retain": True}, "retain"),
        ({**MQTT, "port": 0}, "port"),
        ({**MQTT, "tls": False}, "tls"),
        ({**MQTT, "host": "a b"}, "host"),
        ({**MQTT, "password_env": "P"}, "user"),
        ({**MQTT, "user": "u", "password_env": "P", "password_file": "p"}, "password_env"),
    ],
)
def test_a_wrong_table_is_refused_by_the_name_of_its_key(table: dict[str, object], key: str) -> None:
    with pytest.raises(ValueError, match=rf"^actions\.door\.{key} "):
        action_of("door", table)


@pytest.mark.parametrize(
    "table",
    [
        {**HOOK, "url": "http://localhost:8000/x"},
        {**HOOK, "url": "http://127.0.0.3/x"},
        {**HOOK, "url": "http://[::1]:81/x"},
        {**HOOK, "url": "http://door.example/x", "insecure": True},
        {**MQTT, "tls": False, "host": "localhost"},
        {**MQTT, "tls": False, "insecure": True},
    ],
)
def test_in_the_clear_it_goes_to_this_machine_or_where_the_policy_says_so(table: dict[str, object]) -> None:
    assert action_of("it", table).name == "it"


@given(
    st.sampled_from(LEAST),
    st.sampled_from(sorted({field.name for kind in KINDS.values() for field in fields(kind)} | {"x"})),
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text()), st.just({})),
)
def test_whatever_a_table_holds_it_is_an_action_or_a_value_error(
    table: dict[str, object], key: str, value: object
) -> None:
    try:
        outcome: object = action_of("it", {**table, key: value})
    except ValueError as error:
        outcome = str(error)
    assert isinstance(outcome, Action) or str(outcome).startswith("actions.it.")


ALL = [action_of("it", table) for table in LEAST]


def test_a_command_is_carried_out_on_grants_only_unless_it_says_otherwise() -> None:
    assert not concerns(action_of("it", {"kind": "command", "words": ["open-door"]}), False)
    assert concerns(CommandAction("c", ("a",), on="refusal"), False)
    assert not concerns(CommandAction("c", ("a",), on="refusal"), True)


@pytest.mark.parametrize("granted", [True, False])
def test_on_says_which_decisions(granted: bool) -> None:
    answers = {on: concerns(SoundAction("s", on=on), granted) for on in ("grant", "refusal", "both")}
    assert answers == {"grant": granted, "refusal": not granted, "both": True}


def test_a_relay_is_told_of_refusals_to_be_off() -> None:
    relay = RelayAction("door", 17)
    assert concerns(relay, False)
    assert action_words(relay, False) == "switch off the relay at pin 17"
    assert action_words(relay, True) == "switch on the relay at pin 17 for 3 s"


def test_words_hold_no_path_that_may_be_a_secret() -> None:
    words = [action_words(one) for one in ALL]
    assert words[2] == "POST to https://door.example, signed"
    assert not any("k3y" in one for one in words)
    assert action_words(LightAction("l"), True) == "show green"
    assert action_words(SoundAction("l"), False) == "sound a buzz"


def test_the_variables_with_secrets_are_known() -> None:
    hook = WebhookAction("h", "https://a.example", secret_env="A")
    mqtt = MqttAction("m", "b", "t", user="u", password_env="B")
    assert [secret_variables(one) for one in (hook, mqtt, LightAction("l"))] == [("A",), ("B",), ()]


def test_actions_are_equal_if_they_say_the_same_so_that_a_reload_knows_what_changed() -> None:
    assert [action_of("it", table) for table in LEAST] == ALL
