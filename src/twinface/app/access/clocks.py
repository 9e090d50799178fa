"""The clocks of this machine."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClocks:
    """As `services.access_control.Clocks` wants them."""

    def wall(self) -> datetime:
        """The time of day."""
        return datetime.now(UTC)

    def steady(self) -> float:
        """Seconds, by which frames say when they arrived."""
        return time.monotonic()

    def elapsed(self) -> float:
        """Seconds; where the system has such a clock they are counted also while it sleeps."""
        if hasattr(time, "CLOCK_BOOTTIME"):
            return time.clock_gettime(time.CLOCK_BOOTTIME)
        return time.monotonic()
