"""Times at which a rule holds: weekly hours by the wall clock, holidays, and days on which something begins or ends.

Hours are read off the wall: they open and close when a clock hanging there says so. On the day the clocks go forward,
what lies in the hour that is left out does not happen; on the day they go back, an hour that comes twice counts twice.
Instants are compared in UTC, as Python compares times of one zone by the wall and so may misorder them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_WORDS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
_WHOLE_DAY = 24 * 60

OnHolidays = Literal["on", "off", "only"]
"""What holidays are to a schedule: days like others, days on which it does not open, the only ones on which it does."""


@dataclass(frozen=True)
class Window:
    """Hours of some days of the week.

    Attributes:
        days: 0 (Monday) to 6, the days on which it opens.
        start: minutes after midnight, [0, 1440).
        end: minutes after midnight, exclusive, (0, 1440]; not after `start` where it closes on the next day.
    """

    days: frozenset[int]
    start: int
    end: int

    def __post_init__(self) -> None:
        if not self.days or not self.days <= set(range(7)):
            raise ValueError(f"window: days must be some of 0 to 6, got {sorted(self.days)}")
        if not (0 <= self.start < _WHOLE_DAY and 0 < self.end <= _WHOLE_DAY and self.start != self.end):
            raise ValueError(f"window: must begin before it ends, within a day, got {self.start} to {self.end}")

    @property
    def over_midnight(self) -> bool:
        """Whether it closes on the day after it opened."""
        return self.end <= self.start

    def opened(self, wall: datetime) -> date | None:
        """The day on which it opened, if it is open; a window over midnight belongs to the day it begins.

        Args:
            wall: what the clock on the wall shows, without a time zone.
        """
        minute, today = wall.hour * 60 + wall.minute, wall.date()
        if not self.over_midnight:
            return today if today.weekday() in self.days and self.start <= minute < self.end else None
        if today.weekday() in self.days and minute >= self.start:
            return today
        if minute < self.end and today > date.min:
            before = today - timedelta(days=1)
            return before if before.weekday() in self.days else None
        return None

    def __str__(self) -> str:
        """In words: "Mondays to Fridays 07:00 to 19:00"."""
        if (self.start, self.end) == (0, _WHOLE_DAY):
            return f"{_days_in_words(self.days)} all day"
        after = " of the next day" if self.over_midnight else ""
        return f"{_days_in_words(self.days)} {_clock(self.start)} to {_clock(self.end)}{after}"


@dataclass(frozen=True)
class Holiday:
    """A day out of the ordinary.

    Attributes:
        month: 1 to 12.
        day: of the month.
        year: None where it comes every year; 29 February then comes in leap years only.
    """

    month: int
    day: int
    year: int | None = None

    def __post_init__(self) -> None:
        try:
            date(2000 if self.year is None else self.year, self.month, self.day)
        except ValueError as error:
            raise ValueError(f"there is no such day as {self}") from error

    def falls_on(self, day: date) -> bool:
        """Whether it is this day."""
        return (self.month, self.day) == (day.month, day.day) and self.year in (None, day.year)

    def __str__(self) -> str:
        year = "" if self.year is None else f"{self.year:04}-"
        return f"{year}{self.month:02}-{self.day:02}"


@dataclass(frozen=True)
class Schedule:
    """When something is open.

    Attributes:
        name: what rules call it.
        windows: it is open in any of them.
        holidays: what holidays are to it.
        line: in the policy's file.
    """

    name: str
    windows: tuple[Window, ...]
    holidays: OnHolidays = "off"
    line: int = 0

    def open_at(self, wall: datetime, holidays: Sequence[Holiday]) -> bool:
        """Whether it is open.

        Args:
            wall: what the clock on the wall shows, see `wall_clock`.
            holidays: of the policy.
        """
        for window in self.windows:
            day = window.opened(wall)
            if day is None:
                continue
            if self.holidays == "on":
                return True
            if any(one.falls_on(day) for one in holidays) == (self.holidays == "only"):
                return True
        return False

    def ever_opens(self, holidays: Sequence[Holiday]) -> bool:
        """Whether there is any day on which it opens."""
        if self.holidays != "only":
            return bool(self.windows)
        days = {day for window in self.windows for day in window.days}
        return any(
            bool(days) if one.year is None else date(one.year, one.month, one.day).weekday() in days for one in holidays
        )


def wall_clock(at: datetime, zone: str) -> datetime:
    """What a clock on the wall of a time zone shows at an instant, without a time zone.

    Raises:
        ValueError: the instant has no time zone or lies at the end of time, or the zone is none.
    """
    try:
        return instant(at).astimezone(zone_of(zone)).replace(tzinfo=None)
    except OverflowError as error:
        raise ValueError(f"the time {at} is out of range") from error


def zone_of(name: str) -> ZoneInfo:
    """The IANA time zone of that name.

    Raises:
        ValueError: there is none here.
    """
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:  # ZoneInfoNotFoundError is a KeyError; a folder an OSError
        raise ValueError(
            f"there is no time zone {name!r} here; give one as Europe/Vienna (or install its data: pip install tzdata)"
        ) from error


def instant(at: datetime) -> datetime:
    """The same instant in UTC, so that it can be compared.

    Raises:
        ValueError: it has no time zone, or lies at the end of time.
    """
    if at.utcoffset() is None:
        raise ValueError(f"the time {at} has no time zone")
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"the time {at} is out of range") from error


def first_moment(text: date | datetime, zone: str) -> datetime:
    """When something valid from a day or time begins, UTC: a day with its first moment.

    A time without zone is read off the wall. Where clocks change, and it has two readings, the later one counts.

    Raises:
        ValueError: the zone is none, or the time is out of range.
    """
    return max(_instants(text, zone))


def last_moment(text: date | datetime, zone: str) -> datetime:
    """When something valid until a day or time is over, UTC: a day counts whole, a time does not count itself.

    A time without zone is read off the wall. Where clocks change, and it has two readings, the earlier one counts.

    Raises:
        ValueError: the zone is none, or the time is out of range.
    """
    try:
        end = text if isinstance(text, datetime) else text + timedelta(days=1)
    except OverflowError as error:
        raise ValueError(f"{text} is out of range") from error
    return min(_instants(end, zone))


def _instants(text: date | datetime, zone: str) -> tuple[datetime, datetime]:
    """Both readings of a wall-clock time, UTC; they differ where clocks change."""
    when = text if isinstance(text, datetime) else datetime(text.year, text.month, text.day)
    try:
        if when.utcoffset() is not None:
            return when.astimezone(UTC), when.astimezone(UTC)
        local = when.replace(tzinfo=zone_of(zone))
        return local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text} is out of range") from error


def parse_window(text: str) -> Window:
    """Reads "mon-fri 07:00-19:00", "sat,sun 09:00-12:00", "daily 22:00-06:00" or "fri" (all day).

    Raises:
        ValueError: it is no such text.
    """
    days, _, hours = " ".join(text.lower().split()).partition(" ")
    match = re.fullmatch(r"([0-9]{1,2}):([0-9]{2}) ?- ?([0-9]{1,2}):([0-9]{2})", hours or "0:00-24:00", re.ASCII)
    if match is None:
        raise ValueError(f'"{text}": no hours; write them after the days, as "mon-fri 07:00-19:00"')
    start, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
    if int(match[2]) > 59 or int(match[4]) > 59 or start >= _WHOLE_DAY or end > _WHOLE_DAY:
        raise ValueError(f'"{text}": there is no such time of day; hours run from 00:00 to 24:00')
    if start == (end or _WHOLE_DAY) or (start, end) == (0, 0):
        raise ValueError(f'"{text}": begins when it ends; write 00:00-24:00 for a whole day')
    return Window(_days(days, text), start, end or _WHOLE_DAY)


def _days(words: str, text: str) -> frozenset[int]:
    if words in ("daily", "mon-sun"):
        return frozenset(range(7))
    found: set[int] = set()
    for part in words.split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise ValueError(
                f'"{text}": "{part}" are no days; write "daily", or some of {", ".join(DAYS)}, as "mon-fri" or '
                '"sat,sun"'
            )
        start = DAYS.index(first)
        length = (DAYS.index(last) - start) % 7 if dash else 0  # "fri-mon" goes over the end of the week
        found.update((start + step) % 7 for step in range(length + 1))
    return frozenset(found)


def parse_holiday(value: str | date) -> Holiday:
    """Reads "12-25" (every year), "2026-04-06", or a date.

    Raises:
        ValueError: it is no such text, or no day of the calendar.
    """
    if isinstance(value, date):
        return Holiday(value.month, value.day, value.year)
    match = re.fullmatch(r"(?:([0-9]{4})-)?([0-9]{2})-([0-9]{2})", value.strip(), re.ASCII)
    if match is None:
        raise ValueError(f'"{value}" is no day; write 2026-04-06 for one day, or "12-25" for that day of every year')
    return Holiday(int(match[2]), int(match[3]), None if match[1] is None else int(match[1]))


def _days_in_words(days: frozenset[int]) -> str:
    """Runs of three days and more as "Mondays to Fridays", else "Mondays, Thursdays"."""
    if len(days) == len(DAYS):
        return "every day"
    parts: list[str] = []
    day = 0
    while day < len(DAYS):
        last = day
        while last in days and last + 1 in days:
            last += 1
        if last - day >= 2:
            parts.append(f"{_DAY_WORDS[day]} to {_DAY_WORDS[last]}")
        else:
            parts.extend(_DAY_WORDS[one] for one in range(day, last + 1) if one in days)
        day = last + 1
    return ", ".join(parts)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
