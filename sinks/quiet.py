"""When a rule's alerts are to wait: quiet hours on its user's clock, and digests. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_MINUTE = timedelta(minutes=1)


def quiet_until(now: datetime, quiet: Mapping[str, Any]) -> datetime | None:
    """When the quiet hours in which `now` lies end, in UTC; None when it lies in none.

    Args:
        now: aware.
        quiet: `from` and `to` ("22:00"), and `time_zone` (an IANA name; UTC when absent). Hours from a time to an
            earlier one go over midnight; from a time to the same one there are none.

    Raises:
        ValueError: `quiet` is none of that.
    """
    try:
        begin, end = time.fromisoformat(quiet["from"]), time.fromisoformat(quiet["to"])
        zone = ZoneInfo(quiet.get("time_zone") or "UTC")
    except (KeyError, TypeError, AttributeError, ZoneInfoNotFoundError, OSError) as error:
        raise ValueError(f"quiet hours need from, to and a time zone: {type(error).__name__}") from None
    if begin.tzinfo or end.tzinfo:
        raise ValueError("quiet hours are on the clock of their time_zone")
    local = now.astimezone(zone)
    clock = local.time()
    if not (begin <= clock < end if begin < end else (clock >= begin or clock < end) and begin != end):
        return None
    day = local.date() if clock < end else local.date() + timedelta(days=1)
    # A clock that is put back shows the end twice: the first that is still ahead counts. One that is put forward may
    # never show it: then they end with the first minute after it.
    for fold in (0, 1):
        ends = datetime.combine(day, end, zone).replace(fold=fold).astimezone(UTC)
        if ends.astimezone(zone).time() != end:
            before = datetime.combine(day, end, zone).replace(fold=1).astimezone(UTC).replace(second=0, microsecond=0)
            while before.astimezone(zone).replace(tzinfo=None) < datetime.combine(day, end):
                before += _MINUTE
            ends = before
        if ends > now:
            return ends
    return None


def digest_minutes(plan: Mapping[str, Any]) -> float | None:
    """How often a rule sends at most; None when it says nothing of it, or nonsense. A week is the longest."""
    minutes = plan.get("digest_minutes")
    return min(minutes, 10_080) if isinstance(minutes, int | float) and minutes > 0 else None


def digest_until(now: datetime, minutes: float, last_sent: datetime | None) -> datetime | None:
    """When the next digest may go, at the earliest; None when it may go now: one in `minutes`, counted from the last."""
    if last_sent is None:
        return None
    next_one = last_sent + timedelta(minutes=minutes)
    return next_one if next_one > now else None
