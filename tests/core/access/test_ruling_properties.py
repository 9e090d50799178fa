"""Laws that every ruling keeps: what is made stricter grants no more, and nothing but evidence opens a door."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from twinface.core.access.calendar import Holiday, Schedule, parse_window
from twinface.core.access.evidence import Evidence, Past, PastEvent, Reason, Request, SeenPerson
from twinface.core.access.factors import make_hash
from twinface.core.access.policy import AccessRule, Effect, Lockout, Person, Place, Policy
from twinface.core.access.ruling import decide, remembered

LAW = settings(max_examples=200, deadline=None, derandomize=True)

ZONES = ("Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "UTC")
NAMES = ("Ada", "Bob", "Carol")
PLACES = ("floor", "in", "out")
PINS = {name: str(make_hash(pin, bytes(16), cost=2, block=1)) for name, pin in zip(NAMES, "123", strict=True)}

CHANGES = (
    datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC),  # Vienna
    datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC),  # New York
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC), datetime(2026, 4, 4, 15, tzinfo=UTC),  # Lord Howe
    datetime(2028, 2, 28, 23, tzinfo=UTC), datetime(2028, 3, 1, tzinfo=UTC),  # the leap day
    datetime(2026, 12, 31, 23, tzinfo=UTC),
)  # fmt: skip
"""Moments about which calendars err."""

Case = tuple[Policy, Request, Evidence, Past, datetime]


class Maker:
    """Makes policies, evidence and pasts at random: grants to begin with, spoilt here and there."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def pick(self, *values: Any) -> Any:
        return self.random.choice(values)

    def moment(self) -> datetime:
        """Often near a moment about which calendars err."""
        if self.chance(0.7):
            return self.pick(*CHANGES) + timedelta(minutes=self.random.randint(-300, 300))
        return datetime(2020, 1, 2, tzinfo=UTC) + timedelta(minutes=self.random.randint(0, 40_000_000))

    def schedule(self, name: str = "s") -> Schedule:
        windows = self.random.sample(
            ["daily 00:00-24:00", "mon-fri 07:00-19:00", "sat,sun 22:00-06:00", "daily 02:00-03:00", "sun 01:00-04:00"],
            self.random.randint(1, 2),
        )
        return Schedule(name, tuple(map(parse_window, windows)), self.pick("on", "off", "only"))

    def rule(self, effect: Effect) -> AccessRule:
        def some(names: Sequence[str]) -> frozenset[str]:
            return frozenset(self.random.sample(names, self.random.randint(1, len(names))))

        return AccessRule(
            effect,
            some([name.lower() for name in NAMES]),
            some(PLACES),
            self.random.randint(1, 40),
            schedule=self.pick("", "s"),
            valid_from=self.moment() if self.chance(0.2) else None,
            valid_until=self.moment() if self.chance(0.2) else None,
        )

    def lockout(self) -> Lockout:
        return Lockout(self.random.randint(1, 3), self.random.uniform(1, 600), self.random.uniform(1, 600))

    def place(self, name: str, **more: Any) -> Place:
        return Place(
            name,
            fmr=self.pick(1e-3, 1e-4),
            liveness=self.pick("none", "passive", "challenge"),
            agree=self.pick((1, 1), (3, 5)),
            most=self.pick(1, 2),
            people=self.pick(1, 1, 2),
            factors=frozenset({"pin"}) if self.chance(0.3) else frozenset(),
            lockout=self.lockout() if self.chance(0.3) else None,
            **more,
        )

    def policy(self) -> Policy:
        people = [
            Person(
                name,
                name.lower(),
                pin=PINS[name],
                revoked=self.chance(0.05),
                valid_until=self.moment() if self.chance(0.1) else None,
            )
            for name in NAMES
        ]
        rules = [self.rule("deny" if self.chance(0.2) else "allow") for _ in range(self.random.randint(0, 3))]
        rules += [EVERYBODY] if self.chance(0.7) else []
        reset = self.pick(None, 0.1, 50.0)
        return Policy(
            self.pick(*ZONES),
            {
                "floor": self.place("floor"),
                "in": self.place("in", area="garage", direction="in", passback_reset=reset),
                "out": self.place("out", area="garage", direction="out"),
            },
            {one.key: one for one in people},
            {},
            tuple(rules),
            {"s": self.schedule()},
            self.pick((), (Holiday(12, 25), Holiday(2, 29)), (Holiday(3, 29, 2026),)),
        )

    def past(self, at: datetime) -> Past:
        def event(place: str, uid: str | None, reason: Reason) -> PastEvent:
            ago = timedelta(seconds=self.random.uniform(0, 40))
            return PastEvent(at - ago, place, uid, reason is Reason.granted, reason, "carol" if uid else "")

        events = [event(self.pick(*PLACES), "u3", Reason.second_person_needed) for _ in range(2)]
        if self.chance(0.5):
            events.append(event("in", self.pick("u1", "u2"), Reason.granted))
        if self.chance(0.5):
            events.append(event("out", self.pick("u1", "u2"), Reason.granted))
        events += [event(self.pick(*PLACES), None, Reason.unknown_person) for _ in range(self.random.randint(0, 2))]
        return Past(tuple(sorted(events, key=lambda one: one.at)))

    def case(self) -> Case:
        policy, at = self.policy(), self.moment()
        place = policy.places[self.pick(*PLACES)]
        who = self.random.sample([("u1", "Ada"), ("u2", "Bob")], self.random.randint(1, place.most))
        people = tuple(SeenPerson(uid, name, 0.2, 0.99, 5, 5) for uid, name in who)
        evidence = Evidence(at, 0.1, len(people), people, 0, "", place.fmr, place.liveness)
        flaws: list[dict[str, Any]] = [
            {"age": 3.0}, {"strangers": 1}, {"shortcoming": "blurred"}, {"fmr": 1e-3}, {"liveness": "failed"},
            {"liveness": "passive"}, {"people": (replace(people[0], inconclusive=True),)}, {"faces": 2},
            {"people": (replace(people[0], agreeing=2),)}, {"faults": (Reason.camera_lost,)},
        ]  # fmt: skip
        if self.chance(0.3):
            evidence = replace(evidence, **self.pick(*flaws))
        pin = self.pick(None, "2") if self.chance(0.2) else "1" if people[0].name == "Ada" else "2"
        return policy, Request("1", place.id, at, pin=pin), evidence, self.past(at), at


EVERYBODY = AccessRule("allow", frozenset(map(str.lower, NAMES)), frozenset(PLACES), 50)

makers = st.builds(Maker, st.integers(0, 2**32 - 1))
"""A number is drawn and all else made of it: drawing every part takes a hundred times as long."""


def only_refuses(before: Case, after: Case) -> None:
    """Holds the second to grant only where the first does, and both to have been decided without mistakes."""
    first, second = decide(*before), decide(*after)
    assert Reason.internal_error not in (first.reason, second.reason)
    assert first.granted or not second.granted


def with_place(case: Case, **changes: Any) -> Case:
    """The case with its place made otherwise."""
    policy, request, *rest = case
    place = replace(policy.places[request.place], **changes)
    return (replace(policy, places={**policy.places, place.id: place}), request, *rest)  # type: ignore[return-value]


class TestStricterGrantsNoMore:
    @LAW
    @given(makers)
    def test_a_refusal_rule(self, maker: Maker) -> None:
        case, rule = maker.case(), maker.rule("deny")
        denying = replace(case[0], rules=(*case[0].rules, rule))
        only_refuses(case, (denying, *case[1:]))

    @LAW
    @given(makers, st.integers(0, 4))
    def test_a_rule_less_that_allows(self, maker: Maker, number: int) -> None:
        case = maker.case()
        kept = tuple(rule for place, rule in enumerate(case[0].rules) if place != number or rule.effect == "deny")
        only_refuses(case, (replace(case[0], rules=kept), *case[1:]))

    @LAW
    @given(makers)
    def test_a_schedule(self, maker: Maker) -> None:
        case = maker.case()
        narrowed = replace(
            case[0],
            schedules={**case[0].schedules, "new": maker.schedule("new")},
            rules=tuple(
                replace(rule, schedule="new") if rule.effect == "allow" and not rule.schedule else rule
                for rule in case[0].rules
            ),
        )
        only_refuses(case, (narrowed, *case[1:]))

    @LAW
    @given(makers)
    def test_an_end(self, maker: Maker) -> None:
        case, end = maker.case(), maker.moment()
        ending = tuple(
            replace(rule, valid_until=min(end, rule.valid_until or end)) if rule.effect == "allow" else rule
            for rule in case[0].rules
        )
        only_refuses(case, (replace(case[0], rules=ending), *case[1:]))

    @LAW
    @given(makers)
    def test_a_lock_out(self, maker: Maker) -> None:
        case = with_place(maker.case(), lockout=None)
        only_refuses(case, with_place(case, lockout=maker.lockout()))

    @LAW
    @given(makers, st.sampled_from(["pin", "card"]))
    def test_a_factor(self, maker: Maker, factor: Any) -> None:
        case = maker.case()
        before = case[0].places[case[1].place].factors
        only_refuses(case, with_place(case, factors=before | {factor}))

    @LAW
    @given(makers)
    def test_a_stricter_rate_liveness_agreement_or_number_of_people(self, maker: Maker) -> None:
        case = maker.case()
        place = case[0].places[case[1].place]
        only_refuses(case, with_place(case, fmr=place.fmr / 10))
        only_refuses(case, with_place(case, liveness="challenge"))
        only_refuses(case, with_place(case, agree=(place.agree[1], place.agree[1])))
        only_refuses(case, with_place(case, people=place.people + 1))
        only_refuses(case, with_place(case, most=1))
        only_refuses(case, with_place(case, freshness=place.freshness / 100))

    @LAW
    @given(makers, st.sampled_from([one for one in Reason if one is not Reason.granted]))
    def test_a_fault(self, maker: Maker, fault: Reason) -> None:
        policy, request, evidence, past, now = maker.case()
        assert not decide(policy, request, replace(evidence, faults=(*evidence.faults, fault)), past, now).granted

    @LAW
    @given(makers, st.sampled_from(NAMES))
    def test_a_revocation(self, maker: Maker, name: str) -> None:
        case = maker.case()
        policy, request, evidence, past, now = case
        gone = replace(policy.people[name.lower()], revoked=True)
        revoked = replace(policy, people={**policy.people, gone.key: gone})
        only_refuses(case, (revoked, request, evidence, past, now))
        if any(one.name == name for one in evidence.people):
            assert not decide(revoked, request, evidence, past, now).granted


class TestNothingButEvidenceOpens:
    @LAW
    @given(makers)
    def test_no_evidence_is_no_grant(self, maker: Maker) -> None:
        policy, request, evidence, past, now = maker.case()
        for none in (
            Evidence(),
            replace(evidence, people=()),
            replace(evidence, taken=None),
            replace(evidence, age=float("nan")),
            replace(evidence, faces=0),
        ):
            assert not decide(policy, request, none, past, now).granted

    @LAW
    @given(makers, st.text(min_size=1, max_size=5))
    def test_who_is_not_in_the_policy_is_never_let_in(self, maker: Maker, name: str) -> None:
        policy, request, evidence, past, now = maker.case()
        assume(policy.person(name) is None)
        first, *others = evidence.people
        strange = replace(evidence, people=(replace(first, name=name), *others))
        assert not decide(policy, request, strange, past, now).granted

    @LAW
    @given(makers)
    def test_the_order_of_rules_means_nothing(self, maker: Maker) -> None:
        case = maker.case()
        shuffled = tuple(maker.random.sample(case[0].rules, len(case[0].rules)))
        assert decide(replace(case[0], rules=shuffled), *case[1:]) == decide(*case)

    @LAW
    @given(makers)
    def test_the_time_zone_in_which_now_is_told_means_nothing(self, maker: Maker) -> None:
        policy, request, evidence, past, now = maker.case()
        there = [decide(policy, request, evidence, past, now.astimezone(ZoneInfo(zone))) for zone in ZONES]
        assert all(ruling == there[0] for ruling in there)

    @LAW
    @given(makers)
    def test_a_grant_is_for_people_seen_and_allowed(self, maker: Maker) -> None:
        case = maker.case()
        policy, request, evidence, _, _ = case
        ruling = decide(*case)
        assert ruling.granted == (ruling.reason is Reason.granted)
        if ruling.granted:
            place = policy.places[request.place]
            assert len(set(ruling.uids)) == len(ruling.uids) >= place.people
            assert {one.uid for one in evidence.people} <= set(ruling.uids)
            assert all(policy.person(one.name) is not None for one in evidence.people)

    def test_these_cases_are_granted_and_refused_often_enough_to_mean_something(self) -> None:
        found = [decide(*Maker(seed).case()) for seed in range(1000)]
        assert 200 <= sum(one.granted for one in found) <= 800
        assert len({one.reason for one in found}) >= 15


anything = st.floats() | st.sampled_from([0.0, 1e-4, 0.5])
aware = st.datetimes(timezones=st.timezones() | st.just(UTC))
whenever = aware | st.datetimes() | st.sampled_from([datetime.max.replace(tzinfo=UTC), datetime.min])
reasons = st.sampled_from(list(Reason))

evidences = st.builds(
    Evidence,
    st.none() | whenever,
    anything,
    st.integers(-2, 3),
    st.lists(
        st.builds(
            SeenPerson, st.text(max_size=2), st.text(max_size=3) | st.sampled_from(NAMES), anything, anything,
            st.integers(), st.integers(), st.booleans(),
        ), max_size=2,
    ).map(tuple),
    st.integers(-2, 2),
    st.text(max_size=2),
    anything,
    st.sampled_from(["none", "passive", "challenge", "failed", "unknown"]) | st.text(max_size=2),
    st.none() | reasons,
    st.lists(reasons, max_size=1).map(tuple),
)  # fmt: skip


class TestItNeverRaises:
    @LAW
    @given(
        st.integers().map(lambda seed: Maker(seed).policy()),
        st.builds(
            Request, st.text(max_size=2), st.sampled_from(PLACES) | st.text(max_size=3), whenever,
            st.none() | st.text(max_size=2), st.none() | st.text(max_size=2),
        ),
        evidences,
        st.lists(
            st.builds(
                PastEvent, whenever, st.sampled_from(PLACES), st.none() | st.text(max_size=1), st.booleans(), reasons,
                st.text(max_size=2) | st.just("ada"),
            ), max_size=2,
        ).map(tuple).map(Past),
        whenever,
    )  # fmt: skip
    def test_whatever_it_is_given(
        self, policy: Policy, request: Request, evidence: Evidence, past: Past, now: datetime
    ) -> None:
        ruling = decide(policy, request, evidence, past, now)
        assert not ruling.granted or evidence.people
        assert "deciding" not in ruling.detail, "a mistake was caught, not foreseen"
        if now.tzinfo is not None and abs(now.year - 2000) < 1000:
            assert remembered(policy, ruling, evidence, now)


@pytest.mark.parametrize(
    ("zone", "times"),
    [
        ("Europe/Vienna", {"2026-03-29T00:59": 0, "2026-03-29T01:00": 1, "2026-10-25T00:00": 1, "2026-10-25T01:30": 1,
                           "2026-10-25T02:00": 1, "2026-10-25T03:00": 0}),
        ("America/New_York", {"2026-03-08T06:59": 0, "2026-03-08T07:00": 1, "2026-11-01T06:59": 0,
                              "2026-11-01T07:00": 1, "2026-11-01T09:00": 0}),
        ("Australia/Lord_Howe", {"2026-10-03T15:29": 0, "2026-10-03T15:30": 1, "2026-04-04T14:59": 0,
                                 "2026-04-04T15:30": 1, "2026-04-04T17:30": 0}),
    ],
)  # fmt: skip
def test_rulings_follow_the_clock_on_the_wall_when_it_changes(zone: str, times: dict[str, int]) -> None:
    """From 02:00 to 04:00 by the wall, in UTC, on the days the clocks go forward and back."""
    night = Schedule("s", (parse_window("daily 02:00-04:00"),), "on")
    policy = Policy(
        zone,
        {"floor": Place("floor", liveness="none")},
        {"ada": Person("Ada", "ada")},
        {},
        (AccessRule("allow", frozenset({"ada"}), frozenset({"floor"}), 1, schedule="s"),),
        {"s": night},
    )
    found = {}
    for text in times:
        at = datetime.fromisoformat(text).replace(tzinfo=UTC)
        evidence = Evidence(at, 0.1, 1, (SeenPerson("u", "Ada", 0.2, 0.9, 5, 5),), fmr=1e-4)
        found[text] = int(decide(policy, Request("1", "floor", at), evidence, Past(), at).granted)
    assert found == times
