"""What a vault seals opens in its own place alone, and not at all once a bit of it has changed."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from twinface.errors import GalleryCorrupt, GalleryError, WrongKey
from twinface.gallery import keys, vault
from twinface.gallery.keys import Key
from twinface.gallery.vault import (
    NONCE,
    TAG,
    Locker,
    PlainVault,
    SealedLocker,
    SealedVault,
    TaggedLocker,
    Vault,
    make_vault,
    open_vault,
    unwrap,
    wrap,
)

LAW = settings(max_examples=50, deadline=None)
SECRET, OTHER = bytes(range(32)), bytes(range(1, 33))
UID, STRANGER = bytes(16), bytes(15) + b"\1"
FILE = Key("key file", SECRET)
TYPED = Key.from_passphrase("correct horse")
LOCKERS: list[Callable[..., Locker]] = [TaggedLocker, SealedLocker]
CONTEXTS = [b"name", b"names", b"photo", b"template c0ffee", b""]


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passphrases that are tried at once; what they cost in use is for `test_keys`."""
    for name, cost in (("iterations", 1), ("lanes", 1), ("memory", 8)):
        monkeypatch.setitem(keys.ARGON2, name, cost)


@pytest.fixture(params=LOCKERS, ids=["tagged", "sealed"])
def locker_of(request: pytest.FixtureRequest) -> Callable[..., Locker]:
    return request.param


def vaults() -> list[Vault]:
    return [PlainVault(SECRET), SealedVault(SECRET, "key file")]


# lockers


@LAW
@given(
    st.sampled_from(LOCKERS), st.binary(max_size=300), st.sampled_from(CONTEXTS), st.binary(min_size=16, max_size=16)
)
@example(TaggedLocker, b"", b"", UID)
@example(SealedLocker, b"", b"", UID)
def test_what_was_sealed_opens_in_its_place_and_in_no_other(
    make: Callable[..., Locker], value: bytes, context: bytes, uid: bytes
) -> None:
    locker = make(SECRET, uid)
    sealed = locker.seal(value, context)
    assert locker.open(sealed, context) == make(SECRET, uid).open(sealed, context) == value
    places = [(make(SECRET, uid), other) for other in CONTEXTS if other != context]
    places += [(make(OTHER, uid), context), (make(SECRET, bytes([uid[0] ^ 1]) + uid[1:]), context)]
    places.append((make(SECRET), context))
    for elsewhere, called in places:
        with pytest.raises(GalleryCorrupt, match="was damaged"):
            elsewhere.open(sealed, called)


@LAW
@given(st.sampled_from(LOCKERS), st.binary(max_size=60), st.integers(1, 255), st.binary(min_size=1, max_size=4))
def test_of_what_has_changed_by_a_bit_or_a_byte_nothing_opens(
    make: Callable[..., Locker], value: bytes, change: int, more: bytes
) -> None:
    locker = make(SECRET, UID)
    sealed = locker.seal(value, b"name")
    changed = [sealed[:at] + bytes([sealed[at] ^ change]) + sealed[at + 1 :] for at in range(len(sealed))]
    changed += [sealed[:length] for length in range(len(sealed))] + [sealed + more, more + sealed, sealed[1:]]
    for one in changed:
        with pytest.raises(GalleryCorrupt, match=r"^a name was damaged$"):
            locker.open(one, b"name")


@pytest.mark.parametrize("value", ["text", "", None, 5, 1.5], ids=repr)
def test_what_is_no_bytes_at_all_is_damage_too(locker_of: Callable[..., Locker], value: object) -> None:
    """SQLite gives a value of another type where a bit of a row's header was flipped."""
    with pytest.raises(GalleryCorrupt, match=r"^a photo was damaged$"):
        locker_of(SECRET, UID).open(value, b"photo")  # type: ignore[arg-type]


def test_a_tagged_value_can_be_read_and_a_sealed_one_cannot() -> None:
    value = b"Ada Lovelace, London"
    assert TaggedLocker(SECRET, UID).seal(value, b"name")[TAG:] == value
    sealed = SealedLocker(SECRET, UID).seal(value, b"name")
    assert len(sealed) == NONCE + len(value) + TAG
    assert not any(value[at : at + 3] in sealed for at in range(len(value) - 2))


def test_equal_values_never_look_equal_once_sealed() -> None:
    locker = SealedLocker(SECRET, UID)
    sealed = [locker.seal(b"Ada", b"name") for _ in range(200)]
    for part in (slice(NONCE), slice(NONCE, NONCE + 3), slice(NONCE + 3, None)):
        assert len({one[part] for one in sealed}) > 190


# vaults


@pytest.mark.parametrize("made", vaults(), ids=["plain", "encrypted"])
def test_the_gallerys_own_and_each_persons_values_are_kept_apart(made: Vault) -> None:
    ada, hers = made.admit(UID)
    bob, his = made.admit(STRANGER)
    lockers = [ada, bob, made.common]
    for place, locker in enumerate(lockers):
        sealed = locker.seal(b"value", b"name")
        for other, elsewhere in enumerate(lockers):
            if other == place:
                assert elsewhere.open(sealed, b"name") == b"value"
            else:
                with pytest.raises(GalleryCorrupt):
                    elsewhere.open(sealed, b"name")
    assert made.locker(UID, hers).open(ada.seal(b"value", b"name"), b"name") == b"value"
    assert (hers is None) == (his is None) == (made.encrypted == "")


def test_a_persons_key_opens_as_hers_alone_and_unharmed() -> None:
    made = SealedVault(SECRET, "key file")
    _, wrapped = made.admit(UID)
    assert wrapped is not None
    changed = [wrapped[:at] + bytes([wrapped[at] ^ 1]) + wrapped[at + 1 :] for at in range(len(wrapped))]
    for uid, key in [(STRANGER, wrapped), (UID, None), (UID, b""), *((UID, one) for one in changed)]:
        with pytest.raises(GalleryCorrupt):
            made.locker(uid, key)
    with pytest.raises(GalleryCorrupt):
        SealedVault(OTHER, "key file").locker(UID, wrapped)


def test_a_person_who_comes_again_gets_another_key() -> None:
    made = SealedVault(SECRET, "key file")
    before, _ = made.admit(UID)
    _, wrapped = made.admit(UID)
    with pytest.raises(GalleryCorrupt):
        made.locker(UID, wrapped).open(before.seal(b"Ada", b"name"), b"name")


def test_no_persons_key_follows_from_the_gallerys() -> None:
    """What wraps them, what is sealed in common and what blinds are three keys, none of which is the data key."""
    made = SealedVault(SECRET, "key file")
    _, wrapped = made.admit(UID)
    assert wrapped is not None
    for locker in (made.common, SealedLocker(SECRET), SealedLocker(SECRET, UID)):
        for context in (b"key " + UID.hex().encode(), b"key", b"name"):
            with pytest.raises(GalleryCorrupt):
                locker.open(wrapped, context)
    assert PlainVault(SECRET).blind("name", b"ada") != made.blind("name", b"ada")


@pytest.mark.parametrize("kind", [PlainVault, lambda secret: SealedVault(secret, "key file")])
def test_what_is_blinded_is_found_again_and_tells_nothing(kind: Callable[[bytes], Vault]) -> None:
    one, other = kind(SECRET), kind(OTHER)
    assert one.blind("name", b"ada") == kind(SECRET).blind("name", b"ada")
    seen = [
        one.blind("name", b"ada"),
        one.blind("name", b"adb"),
        one.blind("picture", b"ada"),
        other.blind("name", b"ada"),
    ]
    assert len(set(seen)) == 4
    assert {len(value) for value in seen} == {32}


# the gallery's key


@pytest.mark.parametrize("key", [None, FILE, TYPED], ids=["none", "key file", "passphrase"])
def test_a_vault_opens_again_with_its_key(key: Key | None) -> None:
    made, text = make_vault(key)
    again = open_vault(text, key)
    assert again.encrypted == made.encrypted == ("" if key is None else key.kind)
    assert again.common.open(made.common.seal(b"value", b"rotation"), b"rotation") == b"value"
    assert again.blind("name", b"ada") == made.blind("name", b"ada")
    locker, wrapped = made.admit(UID)
    assert again.locker(UID, wrapped).open(locker.seal(b"Ada", b"name"), b"name") == b"Ada"


@pytest.mark.parametrize("key", [None, FILE, TYPED], ids=["none", "key file", "passphrase"])
def test_two_vaults_of_one_key_have_nothing_in_common(key: Key | None) -> None:
    (one, text), (other, its_text) = make_vault(key), make_vault(key)
    its_facts = json.loads(its_text)
    for name, value in json.loads(text).items():
        assert (value == its_facts[name]) == (name in ("kind", *keys.ARGON2))
    assert one.blind("name", b"ada") != other.blind("name", b"ada")
    with pytest.raises(GalleryCorrupt):
        other.common.open(one.common.seal(b"value", b"rotation"), b"rotation")


def test_a_vault_opens_with_no_other_key() -> None:
    for key, others in (
        (FILE, [None, TYPED, Key("key file", OTHER), Key("passphrase", SECRET)]),
        (TYPED, [None, FILE, Key.from_passphrase("correct horsf"), Key("key file", TYPED.secret)]),
        (None, [FILE, TYPED]),
    ):
        _, text = make_vault(key)
        for other in others:
            with pytest.raises(WrongKey) as refused:
                open_vault(text, other)
            assert secrets_in(str(refused.value)) == []


@pytest.mark.parametrize("key", [FILE, TYPED], ids=["key file", "passphrase"])
def test_of_a_wrapped_key_that_has_changed_by_a_bit_nothing_opens(key: Key) -> None:
    _, text = make_vault(key)
    facts = json.loads(text)
    for name in ("wrapped", "salt"):
        raw = bytes.fromhex(facts[name])
        for at in range(len(raw)):
            changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
            with pytest.raises(WrongKey):
                open_vault(json.dumps({**facts, name: changed.hex()}), key)


def test_a_data_key_can_be_wrapped_anew_by_another_key() -> None:
    made, text = make_vault(FILE)
    data_key = unwrap(json.loads(text), "key file", FILE)
    again = open_vault(wrap(data_key, TYPED), TYPED)
    assert again.common.open(made.common.seal(b"value", b"rotation"), b"rotation") == b"value"
    assert data_key.hex() not in text
    with pytest.raises(WrongKey):
        open_vault(wrap(data_key, TYPED), FILE)


def strange() -> list[str]:
    """What a stranger may write where a gallery keeps what opens it."""
    file, typed = (json.loads(make_vault(key)[1]) for key in (FILE, TYPED))
    plain = {"kind": "", "secret": SECRET.hex()}
    changed = [{**file, "kind": "foo"}, {**file, "kind": "key files"}, {**file, "kind": 5}, {**file, "kind": None}]
    for facts in (plain, file, typed):
        for name in facts:
            changed += [{**facts, name: value} for value in (None, [], {}, -1, 1.5, True, "zz", 10**30)]
            changed.append({one: facts[one] for one in facts if one != name})
    changed += [{**plain, "secret": size * "ab"} for size in (0, 31, 33, 65, 10_000)]
    changed += [{**facts, "salt": "ab" * 15} for facts in (file, typed)]
    hostile = [
        ("memory", 2**40),
        ("memory", 7),
        ("iterations", 0),
        ("iterations", 2**31),
        ("lanes", 0),
        ("lanes", 10**6),
    ]
    changed += [{**typed, name: value} for name, value in hostile]
    texts = ["", "null", "1", "[]", '"text"', "{}", "{", "[" * 10_000, "\0", '{"kind": "", "kind": 1}', "NaN"]
    return [*texts, *map(json.dumps, changed)]


@pytest.mark.parametrize("key", [None, FILE, TYPED], ids=["none", "key file", "passphrase"])
def test_what_a_gallery_keeps_of_its_key_need_not_be_what_it_says(key: Key | None) -> None:
    """It is refused as damaged, or as another's; never with an error that is none of ours, and never taken."""
    for text in strange():
        with pytest.raises(GalleryError) as refused:
            open_vault(text, key)
        assert type(refused.value) in (GalleryCorrupt, WrongKey), text
        assert str(refused.value).isprintable()


def test_a_kind_of_key_that_nobody_knows_is_damage_and_asks_for_no_key() -> None:
    for kind in ("foo", "key files", "Passphrase", "\33[2J"):
        for key in (None, FILE):
            with pytest.raises(GalleryCorrupt, match="kind of key is unknown"):
                open_vault(json.dumps({"kind": kind, "salt": "00" * 16, "wrapped": "00" * 60}), key)


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64, 65])
def test_a_plain_gallerys_secret_of_another_length_is_damage(size: int) -> None:
    with pytest.raises(GalleryCorrupt, match="secret is of another length"):
        open_vault(json.dumps({"kind": "", "secret": size * "ab"}), None)


# nothing tells


def secrets_in(text: str) -> list[bytes]:
    known = [SECRET, OTHER, TYPED.secret, vault._blind(SECRET, "people", b""), vault._blind(SECRET, "secret", b"")]
    return [one for one in known for form in (one.hex(), repr(one)[2:-1]) if form in text]


def test_neither_vaults_nor_lockers_nor_their_errors_tell_a_secret() -> None:
    things: list[object] = [*vaults(), FILE, TYPED, TaggedLocker(SECRET, UID), SealedLocker(SECRET, UID)]
    things += [one.common for one in vaults()] + [one.admit(UID)[0] for one in vaults()]
    for thing in things:
        assert secrets_in(f"{thing!r} {thing} {[thing]}") == []
    _, text = make_vault(FILE)
    facts = json.loads(text)
    for key, changed in (
        (Key("key file", OTHER), facts),
        (TYPED, facts),
        (FILE, {**facts, "salt": 1}),
        (FILE, {**facts, "wrapped": ""}),
    ):
        with pytest.raises(GalleryError) as refused:
            open_vault(json.dumps(changed), key)
        assert secrets_in("".join(traceback.format_exception(refused.value))) == []
    assert secrets_in(f"the secret is {SECRET.hex()}") == [SECRET]
