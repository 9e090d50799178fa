import json
import stat
from datetime import UTC, datetime, timedelta

import pytest

from twinface.app.server.keys import FILE, KeyRing, at_least
from twinface.errors import TwinFaceError

NOW = datetime(2026, 5, 1, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ring(tmp_path, clock):
    return KeyRing(tmp_path / "state", clock)


def test_roles_rise():
    assert at_least("admin", "operate")
    assert at_least("operate", "operate")
    assert not at_least("read", "operate")


def test_a_key_is_proven_by_its_secret_alone(ring):
    key, secret = ring.make("front desk", "operate")
    assert ring.prove(secret) == key
    assert ring.known(secret) == key
    for wrong in (secret[:-1], secret + "x", "tf_" + "0" * 12 + "_" + "x" * 43, "", "nonsense", "\udcff"):
        assert ring.prove(wrong) is None
        assert ring.known(wrong) is None


def test_the_file_is_its_owners_alone_and_holds_no_secret(ring, tmp_path):
    _, secret = ring.make("front desk", "operate")
    path = tmp_path / "state" / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    text = path.read_text()
    assert secret not in text
    assert secret.rpartition("_")[2] not in text
    assert json.loads(text)["keys"][0]["hash"].startswith("$argon2id$")
    assert "argon2" not in repr(ring.listed())


def test_a_revoked_key_opens_nothing_though_it_was_proven_before(ring):
    key, secret = ring.make("front desk", "operate")
    assert ring.prove(secret)
    assert ring.revoke(key.id).revoked == NOW
    assert ring.known(secret) is None
    assert ring.prove(secret) is None
    assert ring.find(key.id) is None
    assert ring.any


def test_a_key_ends_when_its_time_is_over(ring, clock):
    _, secret = ring.make("guest", "read", NOW + timedelta(days=1))
    assert ring.prove(secret)
    clock.now = NOW + timedelta(days=1)
    assert ring.known(secret) is None
    assert ring.prove(secret) is None


def test_what_another_process_does_is_heeded(ring, tmp_path, clock):
    assert not ring.any
    other = KeyRing(tmp_path / "state", clock)
    key, secret = other.make("front desk", "read")
    assert ring.any
    assert ring.prove(secret)
    other.revoke(key.id)
    assert ring.known(secret) is None


def test_keys_that_have_gone_or_are_damaged_are_no_reason_to_let_anybody_in(ring, tmp_path):
    ring.make("front desk", "read")
    path = tmp_path / "state" / FILE
    path.write_text("{")
    with pytest.raises(TwinFaceError, match="damaged"):
        _ = ring.any
    path.unlink()
    with pytest.raises(TwinFaceError, match="has gone"):
        _ = ring.any


@pytest.mark.parametrize(
    ("name", "role", "expires", "words"),
    [
        ("", "read", None, "needs a name"),
        ("x" * 101, "read", None, "needs a name"),
        ("x", "king", None, "role must be one of read, operate, admin"),
        ("x", "read", NOW, "no time to come"),
        ("x", "read", datetime(2030, 1, 1), "no time to come"),
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(ring, name, role, expires, words):
    with pytest.raises(TwinFaceError, match=words):
        ring.make(name, role, expires)
    assert not ring.any


def test_an_unknown_key_cannot_be_revoked(ring):
    with pytest.raises(TwinFaceError, match="there is no key"):
        ring.revoke("0" * 12)
