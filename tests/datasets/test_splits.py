"""Persons are parted, never pictures."""

import hashlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinface.datasets.splits import fraction, held_out, split_persons
from twinface.errors import DatasetMissing

LAW = settings(max_examples=60, deadline=None)
People = st.lists(st.integers(0, 12).map(lambda number: f"person {number}"), min_size=1, max_size=60)


class TestFraction:
    @pytest.mark.parametrize(
        ("name", "salt", "text"), [("Ada", "", "Ada"), ("Ada", "7", "7/Ada"), ("é/x", "s", "s/é/x")]
    )
    def test_it_is_the_digest_s_first_eight_bytes(self, name, salt, text):
        first = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        assert abs(Fraction(fraction(name, salt)) - Fraction(first, 2**64)) < Fraction(1, 2**53)

    def test_it_stays_the_same_for_ever(self):
        assert fraction("Ada") == 0.6001798909123228
        assert fraction("Ada", "1") != fraction("Ada", "2")

    def test_it_is_below_one_where_the_quotient_would_round_up(self, monkeypatch):
        monkeypatch.setattr(hashlib, "sha256", lambda _: type("Ones", (), {"digest": lambda _: b"\xff" * 32})())
        assert fraction("Ada") == 1 - 2**-53

    def test_names_spread_evenly(self):
        values = np.array([fraction(str(number), "even") for number in range(4000)])
        assert np.abs(np.histogram(values, 10, (0, 1))[0] - 400).max() < 80  # four standard deviations

    def test_names_that_are_no_unicode_have_a_place_too(self):
        assert 0 <= fraction("Ada\udce9") < 1


class TestHeldOut:
    @given(name=st.text(), share=st.floats(0, 1), more=st.floats(0, 1))
    @LAW
    def test_a_larger_share_holds_all_of_a_smaller_one(self, name, share, more):
        assert held_out(name, share) == (fraction(name) < share)
        assert held_out(name, max(share, more)) >= held_out(name, share)

    def test_nobody_and_everybody(self):
        names = [str(number) for number in range(100)]
        assert not any(held_out(name, 0.0) for name in names)
        assert all(held_out(name, 1.0) for name in names)


class TestSplitPersons:
    @given(subjects=People, share=st.floats(0, 1), salt=st.text(max_size=3))
    @LAW
    def test_no_person_is_on_both_sides(self, subjects, share, salt):
        persons = set(subjects)
        if share and len(persons) < 2:
            with pytest.raises(DatasetMissing):
                split_persons(subjects, share, salt)
            return
        chosen = split_persons(subjects, share, salt)
        assert (chosen.shape, chosen.dtype) == ((len(subjects),), np.bool_)
        judged = {subject for subject, one in zip(subjects, chosen, strict=True) if one}
        learnt = {subject for subject, one in zip(subjects, chosen, strict=True) if not one}
        assert judged.isdisjoint(learnt)
        assert judged | learnt == persons
        assert len(judged) == (min(max(1, round(share * len(persons))), len(persons) - 1) if share else 0)

    @given(subjects=People, share=st.floats(0, 0.99), salt=st.text(max_size=3), random=st.randoms())
    @LAW
    def test_neither_order_nor_number_of_pictures_changes_the_side(self, subjects, share, salt, random):
        subjects = [*subjects, "one more", "and one"]
        again = subjects * 2
        random.shuffle(again)
        sides = dict(zip(subjects, split_persons(subjects, share, salt), strict=True))
        assert dict(zip(again, split_persons(again, share, salt), strict=True)) == sides

    def test_those_first_by_their_fraction_are_chosen(self):
        persons = [str(number) for number in range(10)]
        first = sorted(persons, key=lambda person: fraction(person, "1"))[:2]
        assert [one for one, chosen in zip(persons, split_persons(persons, 0.2, "1"), strict=True) if chosen] == sorted(
            first
        )

    def test_another_salt_chooses_others(self):
        persons = [str(number) for number in range(50)]
        assert not np.array_equal(split_persons(persons, 0.2, "1"), split_persons(persons, 0.2, "2"))

    def test_one_person_cannot_be_parted_but_can_do_without(self):
        with pytest.raises(DatasetMissing, match=r"there are 1 in all; add pictures .* \(data\.validation = 0\)"):
            split_persons(["Ada", "Ada"], 0.2, "")
        assert not split_persons(["Ada", "Ada"], 0.0, "").any()

    @pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
    def test_a_share_is_a_share(self, share):
        with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
            split_persons(["Ada", "Bob"], share, "")
