"""Policy files: what is read from a good one, and what is said of bad ones."""

import os
import re
import stat
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinface.app.access.policy_file import LARGEST, parse_policy, read_policy
from twinface.core.access.actions import LightAction
from twinface.core.access.calendar import Holiday
from twinface.core.access.factors import holds, make_hash
from twinface.core.access.policy import Lockout, Policy
from twinface.errors import BadPolicy

EXAMPLE = Path(__file__).parents[3] / "examples" / "access" / "policy.toml"

HASH = str(make_hash("2468", bytes(16), cost=2, block=1))

GOOD = f"""\
zone = "Europe/Vienna"
holidays = ["12-25", 2026-04-06]

[defaults]
lockout = {{ refusals = 3, within = 60, seconds = 300 }}
on_grant = "light"

[places.lobby]
lockout = false
[places.lab]
name = "Laboratory"
fmr = 1e-5
factors = ["pin"]

[people]
Ada = {{ pin = "{HASH}" }}
Bob = {{ valid_until = 2026-12-31 }}

[groups]
staff = ["Bob", "engineers"]
engineers = ["ada"]

[schedules.office]
open = "mon-fri 07:00-19:00"

[[allow]]
who = "everyone"
where = "everywhere"
when = "office"
[[deny]]
who = ["Bob"]
where = ["lab"]

[actions.light]
kind = "light"
"""


def parse(text: str) -> Policy:
    return parse_policy(text.encode(), "policy.toml")


def wrong(text: str) -> list[str]:
    """What is said of a bad policy, without the file's name."""
    with pytest.raises(BadPolicy) as caught:
        parse(text)
    told = str(caught.value).splitlines()
    assert all(re.match(r"policy\.toml:\d+: ", one) for one in told)
    assert all(one.isprintable() for one in told)
    return [one.removeprefix("policy.toml:") for one in told]


def outcome(text: str) -> str:
    """What becomes of a file."""
    try:
        parse(text)
    except BadPolicy as error:
        return "no TOML" if "no valid TOML" in str(error) else "bad"
    return "good"


def is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


class TestGood:
    def test_all_of_it_is_read(self) -> None:
        policy = parse(GOOD)
        assert policy.zone == "Europe/Vienna"
        assert policy.holidays == (Holiday(12, 25), Holiday(4, 6, 2026))
        lobby, lab = policy.places["lobby"], policy.places["lab"]
        assert (lobby.name, lobby.line, lobby.lockout, lobby.on_grant) == ("lobby", 8, None, ("light",))
        assert (lab.name, lab.line, lab.fmr, lab.lockout) == ("Laboratory", 10, 1e-5, Lockout(3, 60.0, 300.0))
        assert lab.factors == {"pin"}
        assert policy.actions == {"light": LightAction("light")}
        assert policy.groups == {"staff": {"ada", "bob"}, "engineers": {"ada"}}
        allow, deny = policy.rules
        assert (allow.effect, allow.people, allow.places) == ("allow", {"ada", "bob"}, {"lobby", "lab"})
        assert (allow.line, allow.schedule, allow.who) == (26, "office", ("everyone",))
        assert (deny.effect, deny.people, deny.places, deny.line) == ("deny", {"bob"}, {"lab"}, 30)

    def test_people_are_found_however_their_names_are_written(self) -> None:
        person = parse(GOOD).person("ADA ")
        assert person is not None
        assert (person.name, person.line) == ("Ada", 16)
        assert holds("2468", person.pin or "")
        assert parse(GOOD).person("Eve") is None
        assert parse(GOOD).person("a/b") is None

    def test_a_day_counts_whole_on_the_wall(self) -> None:
        bob = parse(GOOD).people["bob"]
        assert bob.valid_until == datetime(2026, 12, 31, 23, tzinfo=UTC)

    def test_the_digest_is_of_the_bytes(self) -> None:
        assert parse(GOOD).digest != parse(GOOD + "\n").digest
        assert re.fullmatch("[0-9a-f]{64}", parse(GOOD).digest)

    def test_windows_line_ends_and_a_byte_order_mark_change_nothing(self) -> None:
        marked = parse_policy(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode(), "policy.toml")
        assert marked.rules == parse(GOOD).rules

    def test_the_example_is_sound_and_its_pins_are_as_it_says(self) -> None:
        policy = read_policy(EXAMPLE)
        assert len(policy.places) == 7
        for name, secret in {"Ada Lovelace": "2718", "Grace Hopper": "1906", "Katherine Johnson": "1962"}.items():
            person = policy.person(name)
            assert person is not None
            assert holds(secret, person.pin or "")


class TestWrongValues:
    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ('zone = "Europe/Vienna"', 'zone = "Europe/Wien"', "1: zone: there is no time zone 'Europe/Wien'"),
            ('zone = "Europe/Vienna"\n', "", "1: zone is missing; add it"),
            ('"12-25"', '"25-12"', "2: holidays: there is no such day as 25-12"),
            ('"12-25"', "7", "2: holidays: expected days, found 7"),
            ("[defaults]", "[default]", '4: default: unknown key; did you mean "defaults"?'),
            ("within = 60", "within = 0", "5: defaults.lockout.within: must be above 0"),
            (", seconds = 300", "", "5: defaults.lockout: seconds is missing"),
            (
                'on_grant = "light"',
                'on_grant = "lihgt"',
                '6: defaults.on_grant: there is no action "lihgt"; did you mean "light"?',
            ),
            (
                "lockout = false",
                "lockout = true",
                "9: places.lobby.lockout: expected a table, or false for none, found true",
            ),
            ("[places.lab]", '[places."the lab"]', "10: places.the lab: is no id"),
            ("fmr = 1e-5", "fmr = 1", "12: places.lab.fmr: must be above 0 and below 1, got 1"),
            ("fmr = 1e-5", "fmr = nan", "12: places.lab.fmr: must be above 0"),
            ("fmr = 1e-5", "fmr = true", "12: places.lab.fmr: expected a number, found true"),
            ("fmr = 1e-5", "most = 0", "12: places.lab.most: must be at least 1"),
            ("fmr = 1e-5", "most = 1.5", "12: places.lab.most: expected a whole number, found 1.5"),
            ("fmr = 1e-5", "agree = [5, 3]", "12: places.lab.agree: 5 of 3 cannot agree"),
            ("fmr = 1e-5", "agree = 3", "12: places.lab.agree: expected two whole numbers, as [3, 5], found 3"),
            ("fmr = 1e-5", "livenes = 1", '12: places.lab.livenes: unknown key; did you mean "liveness"?'),
            (
                "fmr = 1e-5",
                'liveness = "activ"',
                '12: places.lab.liveness: expected one of "none", "passive", "challenge", found "activ"',
            ),
            ("fmr = 1e-5", 'area = "a"', "10: places.lab: area and direction go together"),
            ("fmr = 1e-5", 'on_refusal = ["\\u0007"]', "12: places.lab.on_refusal: '\\x07' holds line breaks or signs"),
            (
                'factors = ["pin"]',
                'factors = ["pinn"]',
                '13: places.lab.factors: expected one of "pin", "card", found "pinn"; did you mean "pin"?',
            ),
            ('factors = ["pin"]', 'factors = "pin"', '13: places.lab.factors: expected a list of texts, found "pin"'),
            (HASH, "2468", "16: people.Ada.pin: is no hash of the form"),
            (
                "valid_until = 2026-12-31",
                'valid_until = "2026"',
                '17: people.Bob.valid_until: expected a day or a time, found "2026"',
            ),
            (
                "valid_until = 2026-12-31",
                "valid_until = 9999-12-31",
                "17: people.Bob.valid_until: 9999-12-31 is out of range",
            ),
            (
                "valid_until = 2026-12-31",
                "valid_from = 2027-01-01, valid_until = 2026-12-31",
                "17: people.Bob.valid_until: 2026-12-31 is over before",
            ),
            ("valid_until = 2026-12-31", "revoked = 1", "17: people.Bob.revoked: expected true or false, found 1"),
            ("Bob = {", "ADA = {", '17: people.ADA: is the same name as "Ada" on line 16'),
            ("Bob = {", '"a/b" = {', "17: people.a/b: the name 'a/b' holds a slash"),
            ("Bob = {", "everyone = {", '17: people.everyone: "everyone" means all people'),
            (
                '"engineers"]',
                '"enginers"]',
                '20: groups.staff: there is no person or group "enginers"; did you mean "engineers"?',
            ),
            ('["Bob", "engineers"]', "7", "20: groups.staff: expected a list of names, found 7"),
            ('engineers = ["ada"]', 'engineers = ["ada", "staff"]', "contains itself"),
            ("engineers = [", 'BOB = ["ada"]\nengineers = [', "21: groups.BOB: is also a person's name, on line 17"),
            (
                "engineers = [",
                'STAFF = ["ada"]\nengineers = [',
                "21: groups.STAFF: is the same name as that of the group on line 20",
            ),
            ("mon-fri 07", "mon-fry 07", '24: schedules.office.open: "mon-fry 07:00-19:00": "mon-fry" are no days'),
            ('open = "mon-fri 07:00-19:00"', "open = []", "24: schedules.office.open: is empty, so it never opens"),
            ('open = "mon-fri 07:00-19:00"', 'open = "tue"\nholidays = "only"\n#', None),
            ('"everywhere"', '"roof"', '28: allow.where: there is no place "roof"; choose one of lobby, lab'),
            (
                'who = "everyone"',
                'who = ["Bob", "Ana"]',
                '27: allow.who: there is no person or group "Ana"; did you mean "Ada"?',
            ),
            ('who = "everyone"\n', "", "26: allow: who is missing"),
            ('who = "everyone"', "who = []", "27: allow.who: is empty"),
            (
                'when = "office"',
                'when = "ofice"',
                '29: allow.when: there is no schedule "ofice"; did you mean "office"?',
            ),
            ("[[deny]]", "[deny]", "30: deny: expected a list of tables, found a table; write [[deny]]"),
            ('kind = "light"', 'kind = "lamp"', "35: actions.light.kind: must be one of"),
            ('kind = "light"', 'kind = "light"\nbright = 1', "36: actions.light.bright: is no key of a light"),
            (
                'kind = "light"',
                'kind = "light"\n[audit]\nthumbnails = true',
                "36: audit: thumbnails are kept, and nothing says how long",
            ),
        ],
    )
    def test_are_told_with_their_line(self, old: str, new: str, said: str | None) -> None:
        if said is None:  # a yearly holiday falls on a Tuesday some day
            parse(changed(old, new))
            return
        assert any(said in one for one in wrong(changed(old, new))), wrong(changed(old, new))

    def test_are_told_all_at_once_in_the_order_of_lines(self) -> None:
        text = changed("fmr = 1e-5", "fmr = 7").replace('when = "office"', 'when = "night"').replace("12-25", "x")
        told = wrong(text)
        assert [int(one.partition(":")[0]) for one in told] == [2, 12, 29]

    def test_items_of_long_lists_are_told_on_their_own_lines(self) -> None:
        text = changed('["Bob", "engineers"]', '[\n  "Bob",  # a "comment" ]\n  """Eve""",\n  "engineers",\n]')
        assert wrong(text) == [
            '22: groups.staff: there is no person or group "Eve"; choose one of staff, engineers, Ada, Bob'
        ]

    def test_are_listed_up_to_a_hundred(self) -> None:
        text = GOOD + "".join(f"[places.p{n}]\nfmr = 7\n" for n in range(150))
        with pytest.raises(BadPolicy) as caught:
            parse(text)
        told = str(caught.value).splitlines()
        assert len(told) == 101
        assert told[-1] == "policy.toml: and 50 problems more"


class TestContradictions:
    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            (
                'where = "everywhere"',
                'where = "lab"',
                '8: places.lobby: nobody can go there; add an [[allow]] rule with where = ["lobby"]',
            ),
            (
                'who = ["Bob"]\nwhere = ["lab"]',
                'who = "everyone"\nwhere = "lab"',
                "10: places.lab: nobody can go there",
            ),
            (
                'who = ["Bob"]\nwhere = ["lab"]',
                'who = "staff"\nwhere = "everywhere"',
                "26: allow: lets nobody in, as the refusal on line 30 covers it all",
            ),
            ("fmr = 1e-5", "people = 2", "10: places.lab: 2 people must come together, and only 1 may go there"),
            (
                f'pin = "{HASH}"',
                f'card = "{HASH}"',
                "10: places.lab: asks for a PIN, and people without one may go there: Ada;",
            ),
            ("fmr = 1e-5", "most = 2", "10: places.lab: a request brings one PIN or card"),
            ("lockout = false", 'liveness = "challenge"\nmost = 2', "8: places.lobby: a challenge is for one face"),
            (
                "lockout = false",
                'area = "house"\ndirection = "in"',
                '8: places.lobby: no place leads out of the area "house"',
            ),
            (
                "lockout = false",
                'area = "house"\ndirection = "out"',
                '8: places.lobby: no place leads into the area "house"',
            ),
            (
                'holidays = ["12-25", 2026-04-06]',
                'holidays = [2026-04-05]\n[schedules.x]\nopen = "mon"\nholidays = "only"',
                "3: schedules.x: never opens",
            ),
            (
                'kind = "light"',
                'kind = "light"\non = "refusal"',
                '8: places.lobby: on_grant names "light", which is not for that',
            ),
        ],
    )
    def test_are_found(self, old: str, new: str, said: str) -> None:
        assert any(said in one for one in wrong(changed(old, new))), wrong(changed(old, new))

    def test_a_refusal_at_other_times_covers_nothing(self) -> None:
        for more in ('when = "office"', "valid_from = 2026-01-01", "valid_until = 2026-01-01"):
            text = (
                changed('when = "office"\n', "")
                .replace('factors = ["pin"]', "")
                .replace('["Bob"]\nwhere = ["lab"]', f'"everyone"\nwhere = "lab"\n{more}')
            )
            assert len(parse(text).rules) == 2

    def test_a_refusal_within_the_same_hours_covers(self) -> None:
        text = changed('who = ["Bob"]\nwhere = ["lab"]', 'who = "everyone"\nwhere = "everywhere"\nwhen = "office"')
        assert any("lets nobody in" in one for one in wrong(text))

    def test_who_is_revoked_reaches_nothing(self) -> None:
        text = changed("valid_until = 2026-12-31", "revoked = true").replace(
            "Ada = { pin", "Ada = { revoked = true, pin"
        )
        assert [one.partition(";")[0] for one in wrong(text)] == [
            "8: places.lobby: nobody can go there", "10: places.lab: nobody can go there",
        ]  # fmt: skip


class TestFiles:
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"zone = ", "policy.toml:1: no valid TOML"),
            (b'zone = "UTC"\nzone = "UTC"', "policy.toml:2: no valid TOML (Cannot overwrite a value)"),
            (b'zone = "UTC"\n# \xff\n', "policy.toml:2: no UTF-8 text"),
            (b"a = " + b"[" * 5000, "policy.toml:1: "),
            (b"a = " + b"9" * 5000, "policy.toml:1: a number has too many digits"),
            (b"", "policy.toml:1: zone is missing"),
            (b'zone = "UTC"\nplaces = 1', "policy.toml:2: places: expected a table, found 1; write [places]"),
            (b"#" * (LARGEST + 1), "1,048,577 bytes are too many for a policy"),
        ],
    )
    def test_that_are_no_policy_are_refused(self, content: bytes, said: str) -> None:
        with pytest.raises(BadPolicy, match=re.escape(said)):
            parse_policy(content, "policy.toml")

    def test_are_regular_and_there(self, tmp_path: Path) -> None:
        with pytest.raises(BadPolicy, match="cannot be read"):
            read_policy(tmp_path / "none.toml")
        with pytest.raises(BadPolicy, match="no regular file"):
            read_policy(tmp_path)
        os.mkfifo(tmp_path / "pipe.toml")
        assert stat.S_ISFIFO((tmp_path / "pipe.toml").stat().st_mode)
        with pytest.raises(BadPolicy, match="no regular file"):
            read_policy(tmp_path / "pipe.toml")
        with pytest.raises(BadPolicy, match="cannot be read"):
            read_policy(Path("a\0b"))

    def test_too_many_rules_are_refused(self) -> None:
        text = GOOD + '[[allow]]\nwho = "Ada"\nwhere = "lobby"\n' * 2000
        assert any("2,002 rules are too many" in one for one in wrong(text))

    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(st.data())
    def test_whatever_a_line_says_there_is_a_policy_or_a_list_of_problems(self, data: st.DataObject) -> None:
        lines = GOOD.splitlines()
        place = data.draw(st.integers(0, len(lines) - 1))
        junk = ["", "x = 1", "[people]", "where = 1", "who = [[]]", "fmr = {}", "[places.lab.x]", "allow = 1",
                "on_grant = [1]", "lockout = { refusals = 1e9 }", "open = [1]", "x.y = 2026-01-01", "people = 3",
                "Ada = 3", "holidays = [[]]", "direction = 'in'", "agree = [true, 2]", "name = ''"]  # fmt: skip
        lines[place] = data.draw(st.sampled_from(junk))
        text = "\n".join(lines)
        assert (outcome(text) == "no TOML") == (not is_toml(text))
