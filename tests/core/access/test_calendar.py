from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinface.core.access.calendar import (
    Holiday,
    OnHolidays,
    Schedule,
    Window,
    first_moment,
    instant,
    last_moment,
    parse_holiday,
    parse_window,
    wall_clock,
    zone_of,
)

LAW = settings(max_examples=60, deadline=None, derandomize=True)

VIENNA, NEW_YORK, LORD_HOWE = "Europe/Vienna", "America/New_York", "Australia/Lord_Howe"


def schedule(*texts: str, holidays: OnHolidays = "on") -> Schedule:
    return Schedule("s", tuple(map(parse_window, texts)), holidays)


def opens(one: Schedule, text: str, *holidays: Holiday) -> bool:
    return one.open_at(datetime.fromisoformat(text), holidays)


def minutes_open(one: Schedule, zone: str, day: str) -> int:
    """Real minutes for which it is open between local noon before and local noon after a night."""
    start = instant(datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=ZoneInfo(zone)))
    end = instant(datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=ZoneInfo(zone)) + timedelta(days=1))
    count, at = 0, start
    while at < end:
        count += one.open_at(wall_clock(at, zone), ())
        at += timedelta(minutes=1)
    return count


class TestWindows:
    @pytest.mark.parametrize(
        ("text", "days", "start", "end"),
        [
            ("mon-fri 07:00-19:00", {0, 1, 2, 3, 4}, 420, 1140),
            ("sat,sun 9:00 - 12:30", {5, 6}, 540, 750),
            ("fri-mon 00:00-24:00", {4, 5, 6, 0}, 0, 1440),
            ("daily 22:00-06:00", set(range(7)), 1320, 360),
            ("WED", {2}, 0, 1440),
            ("mon,wed-fri 18:00-00:00", {0, 2, 3, 4}, 1080, 1440),
        ],
    )
    def test_are_read(self, text: str, days: set[int], start: int, end: int) -> None:
        assert parse_window(text) == Window(frozenset(days), start, end)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "are no days"),
            ("monday 07:00-19:00", '"monday" are no days'),
            ("mon-fry 07:00-19:00", '"mon-fry" are no days'),
            ("mon-fri 7-19", "no hours"),
            ("mon-fri 07:00-25:00", "no such time"),
            ("mon-fri 07:60-08:00", "no such time"),
            ("mon-fri 24:00-08:00", "no such time"),
            ("mon-fri 07:00-07:00", "begins when it ends"),
            ("mon-fri 00:00-00:00", "begins when it ends"),
            ("mon-fri 07:00-19:00\u0660", "no hours"),
        ],
    )
    def test_that_are_none_are_refused_with_what_to_write(self, text: str, said: str) -> None:
        with pytest.raises(ValueError, match=said):
            parse_window(text)

    def test_open_with_their_first_minute_and_close_before_their_last(self) -> None:
        office = schedule("mon-fri 07:00-19:00")
        assert not opens(office, "2026-11-27T06:59:59.999")
        assert opens(office, "2026-11-27T07:00")
        assert opens(office, "2026-11-27T18:59:59.999")
        assert not opens(office, "2026-11-27T19:00")
        assert not opens(office, "2026-11-28T12:00")  # a Saturday

    def test_over_midnight_belong_to_the_day_they_begin(self) -> None:
        friday_night = schedule("fri 22:00-06:00")
        assert not opens(friday_night, "2026-11-27T05:00")  # Friday morning: Thursday's night
        assert opens(friday_night, "2026-11-27T22:00")
        assert opens(friday_night, "2026-11-28T05:59")
        assert not opens(friday_night, "2026-11-28T06:00")
        assert not opens(friday_night, "2026-11-28T23:00")

    def test_several_are_open_in_any_of_them(self) -> None:
        shop = schedule("mon-fri 08:00-12:00", "mon-fri 14:00-18:00", "sat 08:00-12:00")
        told = [opens(shop, f"2026-11-{day}T{hour}:00") for day in (27, 28) for hour in ("09", "13", "15")]
        assert told == [True, False, True, True, False, False]

    def test_read_as_words(self) -> None:
        assert str(parse_window("mon-fri 07:00-19:00")) == "Mondays to Fridays 07:00 to 19:00"
        assert str(parse_window("tue,sat,sun 22:00-06:00")) == (
            "Tuesdays, Saturdays, Sundays 22:00 to 06:00 of the next day"
        )
        assert str(parse_window("daily 00:00-24:00")) == "every day all day"

    @LAW
    @given(st.sets(st.integers(0, 6), min_size=1), st.integers(0, 1439), st.integers(1, 1440), st.datetimes())
    def test_hold_as_a_slow_reading_says(self, days: set[int], start: int, end: int, wall: datetime) -> None:
        if start == end:
            return
        window = Window(frozenset(days), start, end)
        length = (end - start) % 1440 or 1440
        midnight = datetime(wall.year, wall.month, wall.day)
        slow = None
        for back in (0, 1):
            if midnight.date() == date.min and back:
                continue
            day = midnight - timedelta(days=back)
            begun = day + timedelta(minutes=start)
            if day.weekday() in days and begun <= wall and wall - begun < timedelta(minutes=length):
                slow = day.date()
        assert window.opened(wall) == slow


class TestHolidays:
    CHRISTMAS, EASTER = Holiday(12, 25), Holiday(4, 6, 2026)

    @pytest.mark.parametrize("year", [1999, 2026, 2400])
    def test_yearly_ones_come_every_year(self, year: int) -> None:
        assert parse_holiday("12-25").falls_on(date(year, 12, 25))
        assert not parse_holiday("12-25").falls_on(date(year, 12, 24))

    def test_dated_ones_come_once(self) -> None:
        for holiday in (parse_holiday("2026-04-06"), parse_holiday(date(2026, 4, 6))):
            assert holiday.falls_on(date(2026, 4, 6))
            assert not holiday.falls_on(date(2027, 4, 6))

    def test_the_leap_day_comes_in_leap_years(self) -> None:
        leap = parse_holiday("02-29")
        assert leap.falls_on(date(2028, 2, 29))
        assert not any(leap.falls_on(date(2027, 2, 1) + timedelta(days=day)) for day in range(60))

    @pytest.mark.parametrize(
        "text", ["2027-02-29", "02-30", "13-01", "2026-4-6", "christmas", "12-25-2026", "0000-01-01"]
    )
    def test_that_are_no_days_are_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"no such day|is no day"):
            parse_holiday(text)

    def test_close_a_schedule_open_it_alone_or_change_nothing(self) -> None:
        days = (self.CHRISTMAS, self.EASTER)
        told = {
            kind: [opens(schedule("mon-fri 07:00-19:00", holidays=kind), f"{day}T12:00", *days)
                   for day in ("2026-12-24", "2026-12-25")]
            for kind in ("on", "off", "only")
        }  # fmt: skip
        assert told == {"on": [True, True], "off": [True, False], "only": [False, True]}

    def test_a_night_belongs_to_the_holiday_it_begins_on(self) -> None:
        night = schedule("daily 22:00-06:00", holidays="off")
        assert opens(night, "2026-12-25T05:00", self.CHRISTMAS)
        assert not opens(night, "2026-12-25T23:00", self.CHRISTMAS)
        assert not opens(night, "2026-12-26T05:00", self.CHRISTMAS)
        assert opens(night, "2026-12-26T23:00", self.CHRISTMAS)

    def test_a_schedule_knows_whether_it_ever_opens(self) -> None:
        assert schedule("mon 07:00-08:00", holidays="off").ever_opens(())
        assert not schedule(holidays="on").ever_opens((self.CHRISTMAS,))
        assert not schedule("mon 07:00-08:00", holidays="only").ever_opens(())
        assert schedule("mon 07:00-08:00", holidays="only").ever_opens((self.EASTER,))  # a Monday
        assert not schedule("tue 07:00-08:00", holidays="only").ever_opens((self.EASTER,))
        assert schedule("tue 07:00-08:00", holidays="only").ever_opens((self.CHRISTMAS,))  # some year


class TestClocksThatChange:
    def test_an_hour_left_out_does_not_happen(self) -> None:
        skipped = schedule("daily 02:00-03:00")
        assert minutes_open(skipped, VIENNA, "2026-03-27") == 60
        assert minutes_open(skipped, VIENNA, "2026-03-28") == 0  # 02:00 becomes 03:00 on the 29th
        assert minutes_open(skipped, NEW_YORK, "2026-03-07") == 0

    def test_an_hour_that_comes_twice_counts_twice(self) -> None:
        assert minutes_open(schedule("daily 02:00-03:00"), VIENNA, "2026-10-24") == 120
        assert minutes_open(schedule("daily 01:00-02:00"), NEW_YORK, "2026-10-31") == 120

    def test_half_hours_change_too(self) -> None:
        assert minutes_open(schedule("daily 02:00-03:00"), LORD_HOWE, "2026-10-03") == 30  # 02:00 becomes 02:30
        assert minutes_open(schedule("daily 01:00-02:00"), LORD_HOWE, "2026-04-04") == 90  # 02:00 becomes 01:30

    def test_a_night_is_an_hour_shorter_or_longer(self) -> None:
        night = schedule("daily 22:00-06:00")
        assert minutes_open(night, VIENNA, "2026-03-28") == 7 * 60
        assert minutes_open(night, VIENNA, "2026-10-24") == 9 * 60
        assert minutes_open(night, VIENNA, "2026-07-01") == 8 * 60

    def test_doubled_times_bound_what_is_valid_narrowly(self) -> None:
        doubled = datetime(2026, 10, 25, 2, 30)
        assert first_moment(doubled, VIENNA) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
        assert last_moment(doubled, VIENNA) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)

    def test_times_left_out_bound_what_is_valid_narrowly(self) -> None:
        skipped = datetime(2026, 3, 29, 2, 30)
        assert first_moment(skipped, VIENNA) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
        assert last_moment(skipped, VIENNA) == datetime(2026, 3, 29, 0, 30, tzinfo=UTC)

    def test_a_day_whose_midnight_is_left_out_begins_all_the_same(self) -> None:
        assert first_moment(date(2018, 11, 4), "America/Sao_Paulo") == datetime(2018, 11, 4, 3, tzinfo=UTC)


class TestMoments:
    def test_a_day_counts_whole(self) -> None:
        assert first_moment(date(2026, 12, 24), VIENNA) == datetime(2026, 12, 23, 23, tzinfo=UTC)
        assert last_moment(date(2026, 12, 24), VIENNA) == datetime(2026, 12, 24, 23, tzinfo=UTC)

    def test_the_leap_day_is_a_day(self) -> None:
        assert last_moment(date(2028, 2, 29), VIENNA) == datetime(2028, 2, 29, 23, tzinfo=UTC)
        assert last_moment(date(2028, 2, 28), VIENNA) == datetime(2028, 2, 28, 23, tzinfo=UTC)

    def test_an_offset_is_believed(self) -> None:
        at = datetime.fromisoformat("2026-12-24T18:00:00-05:00")
        assert first_moment(at, VIENNA) == last_moment(at, VIENNA) == datetime(2026, 12, 24, 23, tzinfo=UTC)

    def test_the_end_of_time_is_out_of_range(self) -> None:
        with pytest.raises(ValueError, match="out of range"):
            last_moment(date.max, VIENNA)
        with pytest.raises(ValueError, match="out of range"):
            first_moment(date.min, VIENNA)
        with pytest.raises(ValueError, match="out of range"):
            wall_clock(datetime.max.replace(tzinfo=UTC), VIENNA)

    def test_times_without_zone_are_not_guessed(self) -> None:
        with pytest.raises(ValueError, match="no time zone"):
            instant(datetime(2026, 1, 1))
        with pytest.raises(ValueError, match="no time zone"):
            wall_clock(datetime(2026, 1, 1), VIENNA)

    @pytest.mark.parametrize("name", ["Europe/Wien", "", "../etc/passwd", "Europe", "/etc/localtime", "\0"])
    def test_zones_there_are_none_of_are_refused(self, name: str) -> None:
        with pytest.raises(ValueError, match="no time zone"):
            zone_of(name)
