from twinface.app.server.rates import FAILURES, REMEMBERED, WITHIN, Buckets, Lockout, retry_after
from twinface.app.server.sessions import LASTS, Sessions


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_bucket_lets_a_burst_through_and_then_so_many_a_second():
    clock = Clock()
    buckets = Buckets(2.0, 3, clock)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b") == 0
    clock.now = 0.5
    assert buckets.take("a") == 0
    assert buckets.take("a") == 0.5
    clock.now = 1000.0
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_an_address_is_locked_out_after_so_many_failures_until_they_are_old():
    clock = Clock()
    lockout = Lockout(clock)
    for _ in range(FAILURES):
        assert lockout.remaining("a") == 0
        lockout.fail("a")
        clock.now += 1
    assert lockout.remaining("a") == WITHIN - FAILURES
    assert lockout.remaining("b") == 0
    clock.now = WITHIN
    assert lockout.remaining("a") == 0


def test_memory_is_bounded():
    lockout, buckets = Lockout(Clock()), Buckets(1.0, 1, Clock())
    for number in range(REMEMBERED + 10):
        lockout.fail(str(number))
        buckets.take(str(number))
    assert len(lockout._failures) == len(buckets._levels) == REMEMBERED


def test_waiting_is_told_in_whole_seconds():
    assert retry_after(0.01) == {"Retry-After": "1"}
    assert retry_after(1.2) == {"Retry-After": "2"}


def test_a_session_ends_by_itself_and_by_logging_out():
    clock = Clock()
    sessions = Sessions(clock)
    cookie, session = sessions.begin("key")
    other, _ = sessions.begin("key")
    assert sessions.find(cookie) == session
    assert session.meant(session.csrf)
    assert not session.meant("")
    assert not session.meant("\udcff")
    sessions.end(other)
    assert sessions.find(other) is None
    clock.now = LASTS
    assert sessions.find(cookie) is None
