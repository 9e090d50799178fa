import pytest

from twinface.core.access.evidence import Reason, Request
from twinface.core.access.factors import LARGEST_MEMORY, FactorHash, factor_finding, holds, make_hash, read_hash
from twinface.core.access.policy import Factor, Person, Place
from twinface.core.subjects import now

SALT = bytes(range(16))


def quick(secret: str) -> str:
    """A hash that takes no time, for tests alone."""
    return str(make_hash(secret, SALT, cost=2, block=1))


class TestHashes:
    def test_of_the_right_secret_hold_and_of_others_do_not(self) -> None:
        hashed = quick("2468")
        assert holds("2468", hashed)
        assert not any(holds(other, hashed) for other in ("2467", "02468", "246", "", "8642"))

    def test_do_not_show_the_secret(self) -> None:
        assert "2468" not in quick("2468")
        assert quick("2468") != str(make_hash("2468", bytes(16), cost=2, block=1))

    def test_read_as_they_were_written(self) -> None:
        hashed = make_hash("2468", SALT, cost=4, block=2, lanes=3)
        assert read_hash(str(hashed)) == hashed
        assert hashed.weak
        assert not make_hash("2468", SALT).weak

    def test_agree_with_the_rfc(self) -> None:
        """RFC 7914, section 12, the third vector, its first 32 bytes."""
        value = "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
        assert holds("pleaseletmein", str(FactorHash(16384, 8, 1, b"SodiumChloride", bytes.fromhex(value))))

    def test_cards_are_read_in_either_case_and_wide_digits_are_digits(self) -> None:
        assert holds(" 04a2b3c4 \n", quick("04A2B3C4"))
        assert holds("\uff12\uff14\uff16\uff18", quick("2468"))

    @pytest.mark.parametrize(
        "text",
        [
            "", "2468", "scrypt$3$8$1$AAAAAAAAAAA=$AAAAAAAAAAAAAAAAAAAAAA==", "scrypt$2$1$1$AAAAAAAAAAA=$AAAA====",
            "scrypt$1$1$1$AAAAAAAAAAA=$AAAAAAAAAAAAAAAAAAAAAA==", "scrypt$2$0$1$AAAAAAAAAAA=$AAAAAAAAAAAAAAAAAAAAAA==",
            "scrypt$1048576$8$1$AAAAAAAAAAA=$AAAAAAAAAAAAAAAAAAAAAA==",
            "scrypt$2$1$64$AAAAAAAAAAA=$AAAAAAAAAAAAAAAAAAAAAA==", "scrypt$2$1$1$====AAAA$AAAAAAAAAAAAAAAAAAAAAA==",
        ],
    )  # fmt: skip
    def test_that_are_none_hold_nothing(self, text: str) -> None:
        assert not holds("2468", text)
        with pytest.raises(ValueError):
            read_hash(text)

    def test_cannot_ask_for_more_memory_than_is_allowed(self) -> None:
        with pytest.raises(ValueError, match="more than 64 MiB"):
            FactorHash(LARGEST_MEMORY // 1024 * 2, 8, 1, SALT, bytes(32))

    @pytest.mark.parametrize("secret", ["", "   ", "1" * 300, "\ud800"])
    def test_are_made_of_no_impossible_secret(self, secret: str) -> None:
        with pytest.raises(ValueError):
            make_hash(secret, SALT)
        assert not holds(secret, quick("2468"))


class TestFactors:
    ADA = Person("Ada", "ada", pin=quick("2468"), card=quick("04a2"))

    def asked(self, factors: set[Factor], person: Person, **given: str) -> Reason | None:
        finding = factor_finding(Place("p", factors=frozenset(factors)), person, Request("1", "p", now(), **given))
        return None if finding is None else finding.reason

    def test_all_that_the_place_asks_for_are_needed(self) -> None:
        assert self.asked(set(), self.ADA) is None
        assert self.asked({"pin"}, self.ADA) is Reason.factor_missing
        assert self.asked({"pin"}, self.ADA, pin="2468") is None
        assert self.asked({"pin", "card"}, self.ADA, pin="2468") is Reason.factor_missing
        assert self.asked({"pin", "card"}, self.ADA, pin="2468", card="04A2") is None
        assert self.asked({"pin", "card"}, self.ADA, pin="2468", card="04A3") is Reason.factor_wrong

    def test_somebody_elses_are_wrong(self) -> None:
        assert self.asked({"pin"}, Person("Bob", "bob", pin=quick("1357")), pin="2468") is Reason.factor_wrong

    def test_who_has_none_gets_in_with_none(self) -> None:
        assert self.asked({"pin"}, Person("Bob", "bob"), pin="2468") is Reason.factor_missing
        assert self.asked({"pin"}, Person("Bob", "bob"), pin="") is Reason.factor_missing

    def test_no_repr_shows_them(self) -> None:
        request = Request("1", "p", now(), pin="2468", card="04A2")
        assert "2468" not in repr(request)
        assert "04A2" not in repr(request)
        assert "scrypt" not in repr(self.ADA)
