"""Keys come from files and passphrases alone, cost what they should to guess, and are told to nobody."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.kdf import argon2
from hypothesis import given, settings
from hypothesis import strategies as st

from twinface.errors import GalleryError, WrongKey
from twinface.gallery import keys
from twinface.gallery.keys import ARGON2, MARK, MOST, SHORTEST, Key, wrapping_key, write_key_file

LAW = settings(max_examples=50, deadline=None)
SALT = bytes(range(16)).hex()
CHEAP = {"salt": SALT, "iterations": 1, "lanes": 1, "memory": 8}


# key files


def test_a_key_file_gives_its_key_again_and_no_two_are_equal(tmp_path: Path) -> None:
    found = []
    for name in ("a", "b"):
        write_key_file(tmp_path / name)
        found.append(Key.from_file(tmp_path / name))
        assert found[-1] == Key.from_file(tmp_path / name)
    assert found[0].secret != found[1].secret
    assert {(one.kind, len(one.secret)) for one in found} == {("key file", 32)}


def test_a_key_file_is_one_line_of_text_that_survives_being_copied(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_key_file(path)
    text = path.read_text("ascii")
    assert text.startswith(MARK)
    assert text.count("\n") == 1
    for copied in (text.rstrip(), text.replace("\n", "\r\n"), text + "\n \t\n"):
        path.with_name("copy").write_text(copied, newline="")
        assert Key.from_file(path.with_name("copy")) == Key.from_file(path)


@pytest.fixture
def anything_goes() -> Iterator[None]:
    """The user lets everybody read his files."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.skipif(os.name != "posix", reason="has no such permissions")
def test_a_key_file_is_its_owners_alone(tmp_path: Path, anything_goes: None) -> None:
    write_key_file(tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_what_is_there_already_is_never_replaced(tmp_path: Path) -> None:
    write_key_file(tmp_path / "key")
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("key")
    (tmp_path / "to nowhere").symlink_to("nowhere")
    before = (tmp_path / "key").read_bytes()
    for name in ("key", "empty", "folder", "link", "to nowhere"):
        with pytest.raises(GalleryError, match="is there already"):
            write_key_file(tmp_path / name)
    assert (tmp_path / "key").read_bytes() == before
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("place", ["no/such/folder", "file/key", "\0", "x" * 300])
def test_a_key_file_that_cannot_be_written_is_told_and_leaves_nothing(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GalleryError, match="cannot be written"):
        write_key_file(tmp_path / place)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk here")
def test_a_key_that_did_not_reach_the_disk_is_not_left_by_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open
    made = []

    def on_a_full_disk(path: Any, flags: int, mode: int = 0o777) -> int:
        made.append(path)
        os.close(real(path, flags, mode))
        return real("/dev/full", os.O_WRONLY)

    monkeypatch.setattr(keys.os, "open", on_a_full_disk)
    with pytest.raises(GalleryError, match="cannot be written"):
        write_key_file(tmp_path / "key")
    assert made == [tmp_path / "key"]
    assert list(tmp_path.iterdir()) == []


GOOD = base64.b64encode(bytes(range(32))).decode()
NO_KEYS = {
    "empty": "",
    "another format": f"twinface-key-2 {GOOD}\n",
    "no mark": f"{GOOD}\n",
    "mark alone": MARK,
    "too short": MARK + base64.b64encode(bytes(31)).decode(),
    "too long": MARK + base64.b64encode(bytes(33)).decode(),
    "cut off": MARK + GOOD[:-1],
    "no base64": MARK + "!" * 44,
    "web base64": MARK + base64.urlsafe_b64encode(b"\xff" * 32).decode(),
    "a letter more": MARK + GOOD + "A",
    "broken in two": MARK + GOOD[:20] + "\n" + GOOD[20:],
    "two keys": f"{MARK}{GOOD}\n{MARK}{GOOD}\n",
    "after a space": f" {MARK}{GOOD}",
    "beyond ASCII": MARK + GOOD[:-2] + "\u00e9=",
    "something large": MARK + GOOD + "A" * 100_000,
}


@pytest.mark.parametrize("text", NO_KEYS.values(), ids=NO_KEYS.keys())
def test_what_is_no_key_file_is_refused_and_not_quoted(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(WrongKey, match="is no key file; one is made by twinface gallery keygen") as refused:
        Key.from_file(path)
    assert GOOD[:12] not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("name", ["missing", "folder", "pipe", "loop", "\0"])
def test_what_cannot_be_read_is_refused_at_once(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")  # opened, it would wait for ever
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(WrongKey, match="the key cannot be read"):
        Key.from_file(tmp_path / name)


# passphrases


@pytest.mark.parametrize("text", ["", "short", "1234567", "\u00e9" * 7])
def test_a_short_passphrase_makes_no_gallery_but_opens_one_that_has_it(text: str) -> None:
    if text:
        key = Key.from_passphrase(text)
        with pytest.raises(GalleryError, match=f"shorter than {SHORTEST} letters"):
            key.check_new()
    else:
        with pytest.raises(WrongKey, match="empty"):
            Key.from_passphrase(text)


@pytest.mark.parametrize("text", ["12345678", "\u00e9" * 8, "a b c d e", "caf\udce9 caf\udce9"])
def test_a_passphrase_may_hold_anything_that_can_be_typed(text: str) -> None:
    """Also bytes of a terminal that are no UTF-8, as Python hands them on."""
    Key.from_passphrase(text).check_new()


def test_half_a_letter_is_refused_and_nothing_of_the_passphrase_told() -> None:
    text = " ".join(["correct", "horse", "\ud800"])
    with pytest.raises(WrongKey, match="half a letter") as refused:
        Key.from_passphrase(text)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
    assert text[:13] not in "".join(traceback.format_exception(refused.value))


# what wraps a gallery's key


@LAW
@given(st.binary(min_size=32, max_size=32), st.binary(min_size=16, max_size=40))
def test_a_key_file_and_a_salt_always_give_the_same_and_only_they(secret: bytes, salt: bytes) -> None:
    key, facts = Key("key file", secret), {"salt": salt.hex()}
    wrapping = wrapping_key(key, facts)
    assert wrapping == wrapping_key(key, facts)
    assert len(wrapping) == 32
    assert wrapping != secret
    assert wrapping != wrapping_key(key, {"salt": bytes([salt[0] ^ 1, *salt[1:]]).hex()})
    assert wrapping != wrapping_key(Key("key file", bytes([secret[0] ^ 1, *secret[1:]])), facts)


@LAW
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_a_passphrase_and_a_salt_always_give_the_same_and_only_they(text: str) -> None:
    key = Key.from_passphrase(text)
    wrapping = wrapping_key(key, CHEAP)
    assert wrapping == wrapping_key(Key.from_passphrase(text), CHEAP)
    assert wrapping != wrapping_key(Key.from_passphrase(text + " "), CHEAP)
    assert wrapping != wrapping_key(key, {**CHEAP, "salt": "ff" + SALT[2:]})


def test_a_passphrase_costs_what_rfc_9106_recommends_second() -> None:
    """Section 4: argon2id, t = 3 passes, p = 4 lanes, m = 2^16 KiB, a salt of 128 bits, a key of 256 bits."""
    assert ARGON2 == {"iterations": 3, "lanes": 4, "memory": 2**16}
    facts = Key.from_passphrase("correct horse").new_facts()
    assert {name: facts[name] for name in ARGON2} == ARGON2
    assert len(bytes.fromhex(facts["salt"])) == 16


def test_galleries_made_long_ago_open_for_ever() -> None:
    """By the costs that they were made at, whatever is new. The values are those of others: argon2's reference
    implementation (argon2-cffi), and HKDF (RFC 5869) written out with Python's hmac.
    """
    typed = Key.from_passphrase("correct horse battery staple")
    today = wrapping_key(typed, {"salt": SALT, "iterations": 3, "lanes": 4, "memory": 65_536})
    assert today.hex() == "853b272a44db1421c02962669a55eb0994f3cab385ed1c4c79253eee19bab49e"
    other = wrapping_key(typed, {"salt": SALT, "iterations": 2, "lanes": 1, "memory": 64})
    assert other.hex() == "2df47ede6358ed17a9976d4fcedb897a10036d432a4acef17d263bfc98bd20ac"
    file = wrapping_key(Key("key file", bytes(range(32))), {"salt": SALT})
    assert file.hex() == "28651ff64258d36237b903a9346a95dd7d5bd25350fe2b85dae0d720498e0732"


def test_every_cost_counts() -> None:
    key = Key.from_passphrase("correct horse")
    dearer = [{**CHEAP, "iterations": 2}, {**CHEAP, "memory": 16}, {**CHEAP, "lanes": 2, "memory": 16}]
    assert len({wrapping_key(key, facts) for facts in [CHEAP, *dearer]}) == 4


def test_no_two_galleries_have_one_salt() -> None:
    for key in (Key("key file", bytes(32)), Key.from_passphrase("correct horse")):
        assert len({key.new_facts()["salt"] for _ in range(50)}) == 50


BEYOND = [
    ("memory", 2**30),
    ("memory", 2**40),
    ("memory", 2**62),
    ("memory", MOST["memory"] + 1),
    ("memory", 0),
    ("memory", 7),
    ("memory", -(2**20)),
    ("iterations", 0),
    ("iterations", -1),
    ("iterations", MOST["iterations"] + 1),
    ("iterations", 2**32 + 1),
    ("lanes", 0),
    ("lanes", 2),
    ("lanes", MOST["lanes"] + 1),
    ("lanes", 2**24),
    ("memory", 1e3),
    ("memory", "8"),
    ("memory", True),
    ("iterations", None),
    ("iterations", 2**70),
    ("salt", ""),
    ("salt", "00" * 15),
    ("salt", "zz" * 16),
    ("salt", 5),
]


@pytest.mark.parametrize(("name", "value"), BEYOND)
def test_a_gallery_that_asks_for_too_much_is_refused_before_anything_is_spent(
    name: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(argon2, "Argon2id", None)
    with pytest.raises(ValueError):
        wrapping_key(Key.from_passphrase("correct horse"), {**CHEAP, name: value})
    without = {one: fact for one, fact in CHEAP.items() if one != name}
    with pytest.raises(ValueError, match=f"lacks '{name}'"):
        wrapping_key(Key.from_passphrase("correct horse"), without)


@pytest.mark.skipif(sys.platform != "linux", reason="limits a process's memory as Linux does")
def test_a_machine_without_the_memory_says_so() -> None:
    program = f"""
import resource
from twinface.errors import GalleryError
from twinface.gallery.keys import Key, wrapping_key
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
facts = {{"salt": {SALT!r}, "iterations": 1, "lanes": 1, "memory": 1 << 21}}
try:
    wrapping_key(Key.from_passphrase("correct horse"), facts)
except GalleryError as error:
    print(error)
"""
    source = str(Path(keys.__file__).parents[2])
    told = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": source}, capture_output=True, text=True
    )
    assert told.stderr == ""
    assert told.stdout == "the passphrase takes 2,097,152 KiB of memory to try; free as much\n"


# nothing tells


@pytest.mark.parametrize("key", [Key("key file", bytes(range(32))), Key.from_passphrase("correct horse")])
def test_a_key_does_not_tell_itself(key: Key) -> None:
    told = f"{key!r} {key} {[key]} {(key,)} {key!a} %s %r" % (key, key)
    for form in (key.secret.hex(), repr(key.secret)[2:-1], base64.b64encode(key.secret).decode(), "horse"):
        assert form not in told
    with pytest.raises(AttributeError):
        key.secret = b""  # type: ignore[misc]


def test_errors_about_keys_do_not_tell_them(tmp_path: Path) -> None:
    key = Key.from_passphrase("correct horse")
    for facts in ({}, {**CHEAP, "memory": 2**40}, {**CHEAP, "salt": "x"}):
        with pytest.raises(ValueError) as refused:
            wrapping_key(key, facts)
        assert "horse" not in "".join(traceback.format_exception(refused.value))
    with pytest.raises(GalleryError) as short:
        Key.from_passphrase("horse").check_new()
    assert "horse" not in str(short.value)
