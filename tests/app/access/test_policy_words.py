"""Policies in words: who may go where, what is asked, and what may not be meant."""

from datetime import UTC, datetime, timedelta

import pytest

from twinface.app.access.policy_file import parse_policy
from twinface.app.access.policy_gallery import strangers, unknown_people, unmeasured
from twinface.app.access.policy_words import (
    at_moment,
    hours_words,
    moment,
    nowhere,
    people_words,
    place_words,
    span_words,
    warnings,
)
from twinface.core.access.evidence import Reason
from twinface.core.access.factors import make_hash
from twinface.core.access.policy import Policy
from twinface.core.calibration import LogisticCurve
from twinface.core.decision import DecisionRule, OperatingPoint

WEAK = str(make_hash("2468", bytes(16), cost=2, block=1))
NOON = datetime(2026, 11, 27, 11, tzinfo=UTC)

TEXT = f"""\
zone = "Europe/Vienna"
holidays = ["12-25"]
[places.lab]
name = "Laboratory"
fmr = 1e-4
liveness = "challenge"
factors = ["pin"]
people = 2
lockout = {{ refusals = 3, within = 60, seconds = 300 }}
area = "house"
direction = "in"
passback_reset = 16
on_grant = ["light", "bell"]
[places.exit]
liveness = "none"
most = 3
area = "house"
direction = "out"
[people]
Ada = {{ pin = "{WEAK}" }}
Bob = {{ pin = "{WEAK}", valid_until = 2026-12-31, valid_from = 2026-11-01T08:30:00 }}
Eve = {{ revoked = true }}
Carl = {{}}
[groups]
staff = ["Ada", "Bob", "Eve"]
[schedules.office]
open = ["mon-fri 07:00-19:00", "sat 09:00-12:00"]
[schedules.unused]
open = "daily"
[[allow]]
who = ["staff"]
where = "everywhere"
when = "office"
[[deny]]
who = "Bob"
where = "lab"
when = "office"
valid_until = 2025-12-31
note = "is on leave"
[actions.light]
kind = "light"
[actions.bell]
kind = "sound"
[actions.idle]
kind = "sound"
"""


@pytest.fixture(scope="module")
def policy() -> Policy:
    return parse_policy(TEXT.encode(), "policy.toml")


class TestPlaces:
    def test_who_may_go_there_is_told_with_when_and_on_which_line(self, policy: Policy) -> None:
        (allowed,) = place_words(policy, policy.places["lab"]).allowed
        assert (allowed.who, allowed.people) == ("staff", ("Ada", "Bob", "Eve"))
        assert allowed.when == ("office: Mondays to Fridays 07:00 to 19:00; Saturdays 09:00 to 12:00, not on holidays")
        assert TEXT.splitlines()[allowed.line - 1] == "[[allow]]"

    def test_who_must_not_is_told_with_why(self, policy: Policy) -> None:
        (refused,) = place_words(policy, policy.places["lab"]).refused
        assert (refused.who, refused.dates, refused.note) == ("Bob", "to 2025-12-31", "is on leave")
        assert place_words(policy, policy.places["exit"]).refused == ()

    def test_all_that_is_asked_is_told(self, policy: Policy) -> None:
        lab, way_out = (place_words(policy, place) for place in policy.places.values())
        assert lab.asked == (
            "3 of 5 pictures agree, with 1 in 10,000 (FMR 1e-4) false matches at most",
            "the head is turned as told",
            "nobody else in view",
            "a PIN of one's own",
        )
        assert lab.guarded == (
            "opens to 2 different people together, within 30 s",
            "who went into the house must leave it before going in again, until 16 h later",
            "closes for 5 min after 3 refusals within 1 min",
        )
        assert lab.on_grant == ("show green", "sound a chime")
        assert lab.on_refusal == ()
        assert way_out.asked[1:] == ("up to 3 people in view, all of them allowed here",)
        assert way_out.guarded == ("only who went into the house may leave it",)

    def test_holidays_are_told_where_there_are_any(self, policy: Policy) -> None:
        without = parse_policy(TEXT.replace('holidays = ["12-25"]', "").encode(), "policy.toml")
        assert hours_words(without, without.schedules["unused"]) == "every day all day"
        assert hours_words(policy, policy.schedules["unused"]) == "every day all day, not on holidays"

    @pytest.mark.parametrize(
        ("seconds", "words"),
        [(0.5, "0.5 s"), (90, "90 s"), (120, "2 min"), (3600, "1 h"), (86400, "24 h"), (2 * 86400, "2 days")],
    )
    def test_spans_are_read_in_their_natural_unit(self, seconds: float, words: str) -> None:
        assert span_words(seconds) == words


class TestPeople:
    def test_limits_are_told_by_the_wall(self, policy: Policy) -> None:
        assert people_words(policy) == [
            ("Bob", "from 2026-11-01 08:30 to 2026-12-31"),
            ("Eve", "revoked: may go nowhere"),
        ]

    def test_who_may_go_nowhere_is_told(self, policy: Policy) -> None:
        assert nowhere(policy) == ("Carl", "Eve")


class TestAMoment:
    def test_who_gets_in_then_and_why_others_do_not(self, policy: Policy) -> None:
        lab, _ = at_moment(policy, NOON)
        assert (lab.place, lab.may, lab.not_now) == ("lab", ("Ada", "Bob"), {Reason.revoked: ("Eve",)})
        lab, _ = at_moment(policy, NOON + timedelta(days=2))
        assert lab.may == ()
        assert lab.not_now == {Reason.outside_schedule: ("Ada", "Bob"), Reason.revoked: ("Eve",)}

    def test_it_is_read_off_the_wall_unless_it_has_an_offset(self) -> None:
        assert moment("2026-11-27T12:00", "Europe/Vienna") == NOON
        assert moment("2026-11-27 12:00", "Europe/Vienna") == NOON
        assert moment("2026-11-27T11:00Z", "Europe/Vienna") == NOON

    @pytest.mark.parametrize("text", ["noon", "2026-02-30", "12:00", ""])
    def test_what_is_no_time_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="is no time"):
            moment(text, "UTC")


class TestWarnings:
    def test_are_of_what_is_unused_over_loose_or_weak(self, policy: Policy) -> None:
        told = dict(reversed([(words, line) for line, words in warnings(policy, NOON)]))
        lines = TEXT.splitlines()
        expected = {
            'no place names the action "idle"': 0,
            'the schedule "unused" is in no rule': lines.index("[schedules.unused]") + 1,
            'no rule lets "Carl" in anywhere': lines.index("Carl = {}") + 1,
            "the rule for Bob is over since 2026-01-01": lines.index("[[deny]]") + 1,
            '"exit" asks for no liveness: a photo of somebody gets in': lines.index("[places.exit]") + 1,
        }
        assert expected.items() <= told.items()
        assert any(words.startswith('a hash of "Ada" is quick to try out') for words in told)
        assert any(words.startswith("this refusal does not hold on holidays") for words in told)
        assert [line for line, _ in warnings(policy, NOON)] == sorted(told.values())

    def test_come_with_time(self, policy: Policy) -> None:
        over = 'the access of "Bob" is over since 2027-01-01'
        assert over not in [words for _, words in warnings(policy, NOON)]
        assert over in [words for _, words in warnings(policy, NOON + timedelta(days=40))]
        dated = parse_policy(TEXT.replace('"12-25"', "2026-12-25").encode(), "policy.toml")
        assert not any("dated holidays" in words for _, words in warnings(dated, NOON))
        assert any("dated holidays end with 2026" in words for _, words in warnings(dated, NOON + timedelta(days=40)))

    def test_there_are_none_of_a_tidy_policy(self) -> None:
        text = 'zone = "UTC"\n[places.a]\n[people]\nAda = {}\n[[allow]]\nwho = "Ada"\nwhere = "a"\n'
        assert warnings(parse_policy(text.encode(), "p"), NOON) == []


class TestGallery:
    RULE = DecisionRule(
        "m",
        LogisticCurve(-60.0, 26.0, 1e-3),
        tuple(
            OperatingPoint("m", "LFW", fmr, at, at - 0.01, at + 0.01, 10**6, 1000, 0.1, 0.05, 0.15)
            for fmr, at in ((1e-3, 0.42), (1e-4, 0.38), (1e-5, 0.34))
        ),
        1e-3,
    )

    def test_people_it_does_not_know_are_told_but_for_the_revoked(self, policy: Policy) -> None:
        told = unknown_people(policy, ["ADA", "Mallory"])
        assert [(line, words.partition(";")[0]) for line, words in told] == [
            (policy.people["bob"].line, 'people: "Bob" is not in the gallery'),
            (policy.people["carl"].line, 'people: "Carl" is not in the gallery'),
        ]

    def test_people_the_policy_does_not_know_are_told(self, policy: Policy) -> None:
        assert strangers(policy, ["ADA", "Mallory"]) == ["Mallory"]

    def test_rates_beyond_what_was_measured_are_told(self, policy: Policy) -> None:
        lab, exit_line = policy.places["lab"].line, policy.places["exit"].line
        assert [line for line, _ in unmeasured(policy, self.RULE, 1)] == []
        assert [line for line, _ in unmeasured(policy, self.RULE, 3)] == [lab, exit_line]
        ((_, words), _) = unmeasured(policy, self.RULE, 3)
        assert words == (
            '"lab": FMR 1e-4 among 3 templates is 6.67e-6 a comparison, and the model was measured down to 1e-5: its '
            "threshold is extrapolated"
        )
