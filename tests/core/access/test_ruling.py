"""Requests and what is decided, one rule after another."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from twinface.core.access.calendar import Holiday, Schedule, parse_window
from twinface.core.access.evidence import (
    ATTEMPTS,
    Evidence,
    Past,
    PastEvent,
    Reason,
    Request,
    Ruling,
    SeenPerson,
    in_words,
)
from twinface.core.access.factors import make_hash
from twinface.core.access.policy import AccessRule, Lockout, Person, Place, Policy
from twinface.core.access.ruling import decide, remembered

NOON = datetime(2026, 11, 27, 11, tzinfo=UTC)
"""A Friday, 12:00 in Vienna."""

ADA = Person("Ada Lovelace", "ada lovelace", 3, pin=str(make_hash("2468", bytes(16), cost=2, block=1)))
BOB = Person("Bob", "bob", 4)
CAROL = Person("Carol", "carol", 5)
EVERYONE = frozenset({"ada lovelace", "bob", "carol"})

OFFICE = Schedule("office", (parse_window("mon-fri 07:00-19:00"),), "off")
NIGHTS = Schedule("nights", (parse_window("daily 22:00-06:00"),), "on")


def seen(person: Person = ADA, **changes: Any) -> SeenPerson:
    return replace(SeenPerson(f"uid-{person.key}", person.name, 0.2, 0.99, 5, 5), **changes)


def sight(*people: SeenPerson, **changes: Any) -> Evidence:
    """Good evidence of these people; of Ada if none are given."""
    named = people or (seen(),)
    good = Evidence(NOON, 0.1, len(named), named, 0, "", 1e-4, "passive")
    return replace(good, **changes)


def allow(*people: Person, where: str = "floor", **changes: Any) -> AccessRule:
    return replace(AccessRule("allow", frozenset(one.key for one in people), frozenset({where}), 10), **changes)


def house(*rules: AccessRule, place: Mapping[str, Any] | None = None, **changes: Any) -> Policy:
    """One floor, three people, and rules; everybody may go there if none are given."""
    floor = Place("floor", "Floor", 1, **(place or {}))
    return Policy(
        "Europe/Vienna",
        {"floor": floor, **changes.pop("places", {})},
        {one.key: one for one in changes.pop("people", (ADA, BOB, CAROL))},
        {},
        rules or (AccessRule("allow", EVERYONE, frozenset({"floor"}), 10),),
        {"office": OFFICE, "nights": NIGHTS},
        **changes,
    )


def ask(
    policy: Policy, evidence: Evidence | None = None, past: Past | None = None, at: datetime = NOON, **request: Any
) -> Ruling:
    """What is decided at a time, the evidence being of that time."""
    found = sight() if evidence is None else evidence
    if found.taken == NOON:
        found = replace(found, taken=at)
    return decide(policy, Request(**{"id": "1", "place": "floor", "at": at, **request}), found, past or Past(), at)


def why(*args: Any, **kwargs: Any) -> Reason:
    return ask(*args, **kwargs).reason


class TestGrant:
    def test_who_is_surely_seen_and_allowed_gets_in(self) -> None:
        ruling = ask(house())
        assert ruling == Ruling(
            True, Reason.granted, "floor", ("uid-ada lovelace",), "Access is granted: rule on line 10.",
            {"distance": 0.2, "agreeing": 5, "of": 5, "rule": 10},
        )  # fmt: skip

    def test_names_are_one_however_they_are_written(self) -> None:
        assert ask(house(), sight(seen(name="ADA  Lovelace"))).granted

    def test_no_name_is_in_what_the_log_is_given(self) -> None:
        for policy in (house(), house(allow(BOB)), house(allow(ADA, schedule="nights"))):
            ruling = ask(policy)
            assert "Ada" not in f"{ruling.detail}{dict(ruling.facts)}"

    def test_every_reason_has_its_sentence(self) -> None:
        sentences = {in_words(reason) for reason in Reason}
        assert len(sentences) == len(Reason)
        assert all(one.endswith(".") for one in sentences)


class TestClockAndPlace:
    def test_a_place_that_is_not_there_opens_to_nobody(self) -> None:
        assert why(house(), place="floor ") is Reason.unknown_place
        assert why(house(), place="") is Reason.unknown_place

    @pytest.mark.parametrize("naive", ["now", "request", "picture", "past"])
    def test_times_without_zone_are_refused(self, naive: str) -> None:
        wrong = datetime(2026, 11, 27, 11)
        ruling = decide(
            house(),
            Request("1", "floor", wrong if naive == "request" else NOON),
            sight(taken=wrong if naive == "picture" else NOON),
            Past((PastEvent(wrong if naive == "past" else NOON, "floor", None, False, Reason.no_face),)),
            wrong if naive == "now" else NOON,
        )
        assert (ruling.granted, ruling.reason) == (False, Reason.clock_wrong)

    def test_a_clock_that_jumped_back_is_not_trusted(self) -> None:
        later = NOON + timedelta(minutes=1)
        assert why(house(), sight(taken=later)) is Reason.clock_wrong
        request = Request("1", "floor", later)
        assert decide(house(), request, sight(), Past(), NOON).reason is Reason.clock_wrong
        past = Past((PastEvent(later, "floor", None, False, Reason.no_face),))
        assert why(house(), past=past) is Reason.clock_wrong
        slack = Past((PastEvent(NOON + timedelta(milliseconds=900), "floor", None, False, Reason.no_face),))
        assert ask(house(), past=slack).granted

    def test_the_end_of_time_is_survived(self) -> None:
        end = datetime.max.replace(tzinfo=UTC)
        assert why(house(), at=end) is Reason.clock_wrong

    @pytest.mark.parametrize("year", [1, 1970, 2019])
    def test_a_clock_that_was_never_set_is_not_trusted(self, year: int) -> None:
        assert why(house(), at=datetime(year, 1, 1, tzinfo=UTC)) is Reason.clock_wrong


class TestSight:
    @pytest.mark.parametrize("fault", [one for one in Reason if one is not Reason.granted])
    def test_a_fault_refuses_and_is_told(self, fault: Reason) -> None:
        assert why(house(), sight(faults=(fault,))) is fault

    def test_a_fault_that_is_none_refuses_too(self) -> None:
        assert why(house(), sight(faults=(Reason.granted,))) is Reason.internal_error

    def test_without_evidence_nobody_gets_in(self) -> None:
        assert why(house(), Evidence()) is Reason.camera_lost
        assert why(house(), sight(faces=0, people=())) is Reason.no_face
        assert why(house(), sight(faces=0, people=(), shortcoming="blurred")) is Reason.poor_quality
        assert why(house(), sight(people=())) is Reason.not_consistent

    @pytest.mark.parametrize("age", [1.01, float("nan"), float("inf"), -0.1])
    def test_old_pictures_refuse(self, age: float) -> None:
        assert why(house(), sight(age=age)) is Reason.picture_stale

    def test_pictures_are_old_by_the_clock_too(self) -> None:
        assert why(house(), sight(taken=NOON - timedelta(seconds=2))) is Reason.picture_stale

    def test_nobody_else_may_be_in_view(self) -> None:
        two = sight(seen(ADA), seen(BOB))
        assert why(house(), two) is Reason.several_faces
        assert why(house(), sight(faces=2)) is Reason.several_faces
        assert why(house(), sight(strangers=1)) is Reason.several_faces
        assert ask(house(place={"most": 2}), two).granted

    def test_everybody_in_view_must_be_named_and_allowed(self) -> None:
        several = {"most": 3}
        assert why(house(place=several), sight(strangers=1)) is Reason.unknown_person
        assert why(house(place=several), sight(faces=2)) is Reason.not_consistent
        assert why(house(allow(ADA), place=several), sight(seen(ADA), seen(BOB))) is Reason.not_allowed
        assert why(house(place=several), sight(seen(ADA), seen(ADA))) is Reason.not_consistent

    def test_a_face_that_is_not_seen_well_refuses(self) -> None:
        assert why(house(), sight(shortcoming="blurred")) is Reason.poor_quality

    def test_a_twin_at_the_threshold_is_inconclusive(self) -> None:
        assert why(house(), sight(seen(inconclusive=True))) is Reason.inconclusive
        assert why(house(), sight(seen(inconclusive=True), shortcoming="two people")) is Reason.inconclusive

    @pytest.mark.parametrize("change", [
        {"distance": float("nan")}, {"distance": -0.1}, {"distance": 2.1}, {"probability": float("nan")},
        {"probability": 1.1}, {"uid": ""}, {"name": ""},
    ])  # fmt: skip
    def test_answers_that_make_no_sense_refuse(self, change: dict[str, Any]) -> None:
        assert why(house(), sight(seen(**change))) is Reason.inconclusive

    @pytest.mark.parametrize(
        ("agreeing", "of", "enough"),
        [(3, 3, True), (3, 5, True), (2, 2, False), (4, 10, False), (6, 10, True), (6, 5, False), (-1, -1, False)],
    )
    def test_n_of_m_pictures_must_agree(self, agreeing: int, of: int, enough: bool) -> None:
        ruling = ask(house(place={"agree": (3, 5)}), sight(seen(agreeing=agreeing, of=of)))
        assert ruling.reason is (Reason.granted if enough else Reason.not_consistent)

    @pytest.mark.parametrize("fmr", [1.01e-4, 1e-3, 0.0, -1.0, float("nan")])
    def test_naming_held_to_a_looser_rate_does_not_count(self, fmr: float) -> None:
        assert why(house(), sight(fmr=fmr)) is Reason.inconclusive
        assert ask(house(), sight(fmr=1e-5)).granted


class TestLiveness:
    @pytest.mark.parametrize(
        ("asked", "found", "reason"),
        [
            ("none", "none", Reason.granted), ("none", "unknown", Reason.granted), ("none", "failed", Reason.not_live),
            ("passive", "none", Reason.not_live), ("passive", "unknown", Reason.not_live),
            ("passive", "passive", Reason.granted), ("passive", "challenge", Reason.granted),
            ("challenge", "passive", Reason.challenge_failed), ("challenge", "challenge", Reason.granted),
            ("challenge", "failed", Reason.not_live), ("passive", "certainly", Reason.not_live),
        ],
    )  # fmt: skip
    def test_it_is_what_the_place_asks_for_or_more(self, asked: str, found: str, reason: Reason) -> None:
        assert why(house(place={"liveness": asked}), sight(liveness=found)) is reason

    def test_what_was_against_it_is_told(self) -> None:
        assert why(house(), sight(liveness="failed", liveness_reason=Reason.replayed)) is Reason.replayed
        assert why(house(), sight(liveness="passive", liveness_reason=Reason.replayed)) is Reason.replayed
        assert why(house(), sight(liveness="failed", liveness_reason=Reason.granted)) is Reason.not_live


class TestRules:
    def test_who_is_named_by_no_rule_stays_out(self) -> None:
        assert why(house(allow(BOB))) is Reason.not_allowed
        assert why(house(allow(ADA, where="roof"), places={"roof": Place("roof")})) is Reason.not_allowed

    def test_who_is_not_in_the_policy_stays_out(self) -> None:
        assert why(house(), sight(seen(name="Mallory"))) is Reason.not_allowed
        assert why(house(), sight(seen(name="../Ada Lovelace"))) is Reason.not_allowed

    def test_a_refusal_beats_all_that_is_allowed(self) -> None:
        deny = allow(ADA, effect="deny", line=99)
        ruling = ask(house(allow(ADA), deny, allow(ADA, line=11)))
        assert (ruling.reason, ruling.facts["rule"]) == (Reason.denied, 99)
        assert ask(house(allow(BOB), deny), sight(seen(BOB))).granted

    def test_a_refusal_holds_in_its_time_only(self) -> None:
        policy = house(allow(ADA), allow(ADA, effect="deny", schedule="nights"))
        assert ask(policy).granted
        assert why(policy, at=NOON + timedelta(hours=12)) is Reason.denied

    def test_a_schedule_is_read_off_the_wall(self) -> None:
        policy = house(allow(ADA, schedule="office"))
        assert ask(policy, at=datetime(2026, 11, 27, 17, 59, tzinfo=UTC)).granted  # 18:59 in Vienna
        assert why(policy, at=datetime(2026, 11, 27, 18, tzinfo=UTC)) is Reason.outside_schedule
        assert ask(policy, at=datetime(2026, 6, 26, 16, 59, tzinfo=UTC)).granted  # summer time
        assert why(policy, at=datetime(2026, 6, 26, 17, tzinfo=UTC)) is Reason.outside_schedule

    def test_holidays_close_the_office(self) -> None:
        policy = house(allow(ADA, schedule="office"), holidays=(Holiday(11, 27),))
        assert why(policy) is Reason.outside_schedule

    def test_a_rule_is_valid_from_and_until(self) -> None:
        policy = house(allow(ADA, valid_from=NOON, valid_until=NOON + timedelta(hours=1)))
        assert why(policy, at=NOON - timedelta(seconds=1)) is Reason.not_yet_valid
        assert ask(policy, at=NOON).granted
        assert why(policy, at=NOON + timedelta(hours=1)) is Reason.no_longer_valid

    def test_a_person_is_valid_from_and_until(self) -> None:
        visitor = replace(ADA, valid_from=NOON, valid_until=NOON + timedelta(hours=1))
        policy = house(people=(visitor, BOB, CAROL))
        assert why(policy, at=NOON - timedelta(seconds=1)) is Reason.not_yet_valid
        assert ask(policy, at=NOON).granted
        assert why(policy, at=NOON + timedelta(hours=1)) is Reason.no_longer_valid

    def test_who_is_revoked_stays_out(self) -> None:
        assert why(house(people=(replace(ADA, revoked=True), BOB, CAROL))) is Reason.revoked

    def test_instants_are_compared_not_the_clocks_faces(self) -> None:
        """On the day the clocks go back 02:30 comes twice; Python takes both for equal in one zone."""
        end = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Vienna"))
        earlier, later = end.replace(minute=20), end.replace(minute=20, fold=1)
        assert later < end  # says Python
        policy = house(allow(ADA, valid_until=end))
        assert ask(policy, at=earlier).granted
        assert why(policy, at=later) is Reason.no_longer_valid


class TestFactors:
    def test_the_pin_must_be_hers(self) -> None:
        policy = house(place={"factors": frozenset({"pin"})})
        assert why(policy) is Reason.factor_missing
        assert why(policy, pin="1357") is Reason.factor_wrong
        assert ask(policy, pin="2468").granted
        assert why(policy, sight(seen(BOB)), pin="2468") is Reason.factor_missing

    def test_rules_are_asked_first(self) -> None:
        policy = house(allow(BOB), place={"factors": frozenset({"pin"})})
        assert why(policy, pin="1357") is Reason.not_allowed


CLOSING: Mapping[str, Any] = {"lockout": Lockout(3, 60, 300)}


class TestLockOut:
    def refusals(self, *seconds: float, reason: Reason = Reason.unknown_person, place: str = "floor") -> Past:
        return Past(tuple(PastEvent(NOON - timedelta(seconds=s), place, None, False, reason) for s in seconds))

    def test_refusals_close_a_place_to_everybody_for_a_while(self) -> None:
        policy = house(place=CLOSING)
        assert ask(policy, past=self.refusals(30, 20)).granted
        assert why(policy, past=self.refusals(70, 40, 10)) is Reason.locked_out
        assert why(policy, past=self.refusals(350, 320, 299)) is Reason.locked_out
        assert ask(policy, past=self.refusals(350, 320, 300)).granted

    def test_refusals_far_apart_do_not(self) -> None:
        assert ask(house(place=CLOSING), past=self.refusals(150, 80, 10)).granted

    def test_it_comes_before_all_else(self) -> None:
        ruling = ask(house(place=CLOSING), Evidence(), self.refusals(3, 2, 1))
        assert (ruling.reason, ruling.facts) == (Reason.locked_out, {"seconds_left": 299.0})

    def test_other_places_and_what_no_person_causes_do_not_count(self) -> None:
        policy = house(place=CLOSING)
        assert ask(policy, past=self.refusals(3, 2, 1, place="roof")).granted
        for reason in set(Reason) - ATTEMPTS:
            assert ask(policy, past=self.refusals(3, 2, 1, reason=reason)).granted
        for reason in ATTEMPTS:
            assert why(policy, past=self.refusals(3, 2, 1, reason=reason)) is Reason.locked_out


DOORS = {
    "in": Place("in", area="garage", direction="in", passback_reset=16.0),
    "out": Place("out", area="garage", direction="out"),
    "side": Place("side", area="garage", direction="in"),
}


class TestAntiPassback:
    POLICY = house(AccessRule("allow", EVERYONE, frozenset({"in", "out", "side"}), 10), places=DOORS)

    def gone(self, *doors: str, hours: float = 1, person: Person = ADA, granted: bool = True) -> Past:
        at = NOON - timedelta(hours=hours)
        return Past(tuple(
            PastEvent(at + timedelta(seconds=n), door, f"uid-{person.key}", granted, Reason.granted)
            for n, door in enumerate(doors)
        ))  # fmt: skip

    def test_who_is_in_must_leave_before_going_in_again(self) -> None:
        assert ask(self.POLICY, place="in").granted
        assert why(self.POLICY, past=self.gone("in"), place="in") is Reason.already_inside
        assert why(self.POLICY, past=self.gone("side"), place="in") is Reason.already_inside
        assert ask(self.POLICY, past=self.gone("in", "out"), place="in").granted

    def test_who_is_not_in_cannot_leave(self) -> None:
        assert why(self.POLICY, place="out") is Reason.not_inside
        assert why(self.POLICY, past=self.gone("in", "out"), place="out") is Reason.not_inside
        assert ask(self.POLICY, past=self.gone("in"), place="out").granted
        assert ask(self.POLICY, past=self.gone("in", hours=1000), place="out").granted

    def test_an_entry_is_forgotten_after_hours_if_so_wanted(self) -> None:
        assert why(self.POLICY, past=self.gone("in", hours=15.9), place="in") is Reason.already_inside
        assert ask(self.POLICY, past=self.gone("in", hours=16), place="in").granted
        assert why(self.POLICY, past=self.gone("in", hours=16), place="side") is Reason.already_inside

    def test_it_is_each_ones_own_and_refusals_are_no_passage(self) -> None:
        assert ask(self.POLICY, past=self.gone("in", person=BOB), place="in").granted
        assert ask(self.POLICY, past=self.gone("in", granted=False), place="in").granted


class TestSecondPerson:
    POLICY = house(place={"people": 2, "together": 30.0})

    def after(self, *steps: tuple[float, Person], policy: Policy = POLICY) -> tuple[Past, Ruling]:
        """What is decided last when people ask one after another, so many seconds from noon."""
        past, ruling = Past(), None
        for seconds, person in steps:
            at = NOON + timedelta(seconds=seconds)
            evidence = sight(seen(person), taken=at)
            ruling = ask(policy, evidence, past, at)
            for event in remembered(policy, ruling, evidence, at):
                past = past.adding(event, at, policy.memory())
        assert ruling is not None
        return past, ruling

    def test_two_different_people_open_it(self) -> None:
        assert self.after((0, ADA))[1].reason is Reason.second_person_needed
        ruling = self.after((0, ADA), (30, BOB))[1]
        assert ruling.granted
        assert ruling.uids == ("uid-ada lovelace", "uid-bob")

    def test_one_person_twice_does_not(self) -> None:
        assert self.after((0, ADA), (10, ADA), (20, ADA))[1].reason is Reason.second_person_needed

    def test_the_second_must_not_come_late(self) -> None:
        assert self.after((0, ADA), (31, BOB))[1].reason is Reason.second_person_needed

    def test_the_first_counts_for_one_grant_only(self) -> None:
        assert self.after((0, ADA), (5, BOB), (10, CAROL))[1].reason is Reason.second_person_needed

    def test_the_first_must_still_be_allowed(self) -> None:
        past, _ = self.after((0, ADA))
        revoked = house(place={"people": 2, "together": 30.0}, people=(replace(ADA, revoked=True), BOB, CAROL))
        assert why(revoked, sight(seen(BOB)), past, NOON + timedelta(seconds=5)) is Reason.second_person_needed
        gone = past.without("uid-ada lovelace")
        assert why(self.POLICY, sight(seen(BOB)), gone, NOON + timedelta(seconds=5)) is Reason.second_person_needed

    def test_the_first_waits_under_one_policy_only(self) -> None:
        past, _ = self.after((0, ADA))
        other = replace(self.POLICY, digest="other")
        assert why(other, sight(seen(BOB)), past, NOON + timedelta(seconds=5)) is Reason.second_person_needed

    def test_a_second_who_may_not_opens_nothing(self) -> None:
        policy = house(allow(ADA, BOB), place={"people": 2, "together": 30.0})
        assert self.after((0, ADA), (5, CAROL), policy=policy)[1].reason is Reason.not_allowed

    def test_both_may_be_in_the_picture(self) -> None:
        policy = house(place={"people": 2, "most": 2})
        assert ask(policy, sight(seen(ADA), seen(BOB))).granted
        assert why(policy, sight(seen(ADA))) is Reason.second_person_needed

    def test_three_are_three(self) -> None:
        policy = house(place={"people": 3, "together": 30.0})
        assert self.after((0, ADA), (5, BOB), policy=policy)[1].reason is Reason.second_person_needed
        assert self.after((0, ADA), (5, BOB), (10, CAROL), policy=policy)[1].granted


class TestPast:
    def test_it_forgets_what_no_rule_needs_but_not_who_is_inside(self) -> None:
        past = Past()
        for hour in range(100):
            at = NOON + timedelta(hours=hour)
            past = past.adding(PastEvent(at, "floor", None, False, Reason.no_face), at, 3600)
            past = past.adding(PastEvent(at, "in", "a", True, Reason.granted), at, 3600)
        assert [(one.place, one.at) for one in past.events] == [
            ("floor", NOON + timedelta(hours=98)),
            ("in", NOON + timedelta(hours=98)),
            ("floor", NOON + timedelta(hours=99)),
            ("in", NOON + timedelta(hours=99)),
        ]
        later = NOON + timedelta(days=30)
        past = past.adding(PastEvent(later, "floor", None, False, Reason.no_face), later, 3600)
        assert [(one.place, one.uid) for one in past.events] == [("in", "a"), ("floor", None)]

    def test_a_policy_says_how_long_it_matters(self) -> None:
        assert house(place={"lockout": Lockout(3, 60, 300), "together": 20.0}).memory() == 360
        assert house(place={"together": 20.0}).memory() == 20


class TestPolicy:
    @pytest.mark.parametrize("change", [
        {"agree": (4, 3)}, {"agree": (0, 3)}, {"fmr": 0.0}, {"fmr": float("nan")}, {"most": 0}, {"people": 0},
        {"area": "a"}, {"direction": "in"}, {"together": float("inf")}, {"freshness": float("nan")},
        {"patience": 0.0}, {"passback_reset": -1.0},
    ])  # fmt: skip
    def test_impossible_places_cannot_be_made(self, change: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="place p"):
            Place("p", **change)

    def test_impossible_policies_cannot_be_made(self) -> None:
        with pytest.raises(ValueError, match="what is not there"):
            house(allow(ADA, where="roof"))
        with pytest.raises(ValueError, match="what is not there"):
            house(allow(ADA, schedule="never"))
        with pytest.raises(ValueError, match="what is not there"):
            house(allow(Person("Eve", "eve")))
        with pytest.raises(ValueError, match="actions"):
            house(place={"on_grant": ("light",)})
        with pytest.raises(ValueError, match="time zone"):
            replace(house(), zone="Nowhere")
        with pytest.raises(ValueError, match="refusals"):
            Lockout(0, 1, 1)

    def test_a_mistake_within_is_a_refusal(self) -> None:
        ruling = decide(house(), Request("1", "floor", NOON), replace(sight(), people=None), Past(), NOON)  # type: ignore[arg-type]
        assert (ruling.granted, ruling.reason) == (False, Reason.internal_error)
