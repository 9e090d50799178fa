import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinface.core.access.signing import sign, verify_signature

SECRET = "a secret of some length"
BODY = b'{"decision": "grant"}'
NOW = 1_700_000_000


def test_the_signature_is_an_hmac_over_time_and_body() -> None:
    wanted = hmac.new(SECRET.encode(), b"1700000000." + BODY, hashlib.sha256).hexdigest()
    assert sign(SECRET, BODY, NOW) == f"t=1700000000,v1={wanted}"


def test_text_and_bytes_are_one_secret() -> None:
    assert verify_signature(SECRET.encode(), sign(SECRET, BODY, NOW), BODY, NOW)


@given(st.binary(max_size=200), st.integers(0, 10**11))
def test_what_was_signed_is_verified(body: bytes, time: int) -> None:
    assert verify_signature(SECRET, sign(SECRET, body, time), body, time)


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_another_body_is_not(body: bytes, other: bytes) -> None:
    assert verify_signature(SECRET, sign(SECRET, body, NOW), other, NOW) is (body == other)


def test_nor_is_another_secret() -> None:
    assert not verify_signature("another secret of that length", sign(SECRET, BODY, NOW), BODY, NOW)


@pytest.mark.parametrize(("age", "holds"), [(0, True), (300, True), (301, False), (-300, True), (-301, False)])
def test_a_request_holds_for_five_minutes_around_its_time(age: int, holds: bool) -> None:
    assert verify_signature(SECRET, sign(SECRET, BODY, NOW), BODY, NOW + age) is holds


def test_a_new_time_on_an_old_signature_is_found_out() -> None:
    _, _, digest = sign(SECRET, BODY, NOW).partition(",")
    assert not verify_signature(SECRET, f"t={NOW + 1000},{digest}", BODY, NOW + 1000)


def test_two_times_are_no_signature() -> None:
    assert not verify_signature(SECRET, f"{sign(SECRET, BODY, NOW)},t={NOW}", BODY, NOW)


def test_one_of_several_signatures_suffices_so_that_secrets_can_be_changed() -> None:
    header = f"t={NOW},v1={'0' * 64},{sign(SECRET, BODY, NOW).partition(',')[2]}"
    assert verify_signature(SECRET, header, BODY, NOW)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "t=,v1=",
        "t=1700000000",
        "v1=ab",
        "t=-1,v1=ab",
        "t=1e9,v1=ab",
        "t=\u0661,v1=\u0661",
        "t=" + "9" * 999,
        "=,=",
    ],
)
def test_what_is_malformed_is_no_signature_and_no_error(header: str | None) -> None:
    assert not verify_signature(SECRET, header, BODY, NOW)


@given(st.text(max_size=100))
def test_no_text_is_a_signature_by_chance(header: str) -> None:
    assert not verify_signature(SECRET, header, BODY, NOW)
