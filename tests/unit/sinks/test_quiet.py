"""Quiet hours on a clock that is put forward and back, and digests."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sinks.quiet import digest_minutes, digest_until, quiet_until

NIGHT = {"from": "22:00", "to": "07:00", "time_zone": "Europe/Berlin"}


def at(text: str, zone: str = "UTC", fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


@pytest.mark.parametrize(
    ("now", "ends"),
    [
        ("2026-07-01T21:59:59", None),
        ("2026-07-01T22:00", "2026-07-02T05:00"),
        ("2026-07-02T00:30", "2026-07-02T05:00"),
        ("2026-07-02T06:59:59", "2026-07-02T05:00"),
        ("2026-07-02T07:00", None),
        # the clock is put forward at 2:00 on 29 March: the night is an hour shorter
        ("2026-03-28T23:00", "2026-03-29T05:00"),
        ("2026-03-29T03:00", "2026-03-29T05:00"),
        # and back at 3:00 on 25 October: an hour longer
        ("2026-10-24T23:00", "2026-10-25T06:00"),
        ("2026-10-25T02:30", "2026-10-25T06:00"),
    ],
)
def test_the_night_ends_at_seven_on_the_users_clock(now: str, ends: str | None) -> None:
    assert quiet_until(at(now, "Europe/Berlin"), NIGHT) == (at(ends) if ends else None)


def test_an_end_that_the_clock_skips_is_the_first_minute_after_it() -> None:
    hours = {**NIGHT, "to": "02:30"}
    assert quiet_until(at("2026-03-29T01:30", "Europe/Berlin"), hours) == at("2026-03-29T01:00")  # 3:00 there
    assert quiet_until(at("2026-03-29T03:00", "Europe/Berlin"), hours) is None


def test_an_end_that_the_clock_shows_twice_is_the_next_one() -> None:
    hours = {**NIGHT, "to": "02:30"}
    assert quiet_until(at("2026-10-25T02:10", "Europe/Berlin"), hours) == at("2026-10-25T00:30")
    assert quiet_until(at("2026-10-25T02:10", "Europe/Berlin", fold=1), hours) == at("2026-10-25T01:30")


def test_by_day_and_without_a_zone() -> None:
    assert quiet_until(at("2026-07-01T12:30"), {"from": "12:00", "to": "13:00"}) == at("2026-07-01T13:00")
    assert quiet_until(at("2026-07-01T13:00"), {"from": "12:00", "to": "13:00"}) is None


def test_from_a_time_to_itself_there_are_none() -> None:
    assert quiet_until(at("2026-07-01T22:00"), {"from": "22:00", "to": "22:00"}) is None


@pytest.mark.parametrize(
    "wrong",
    [{}, {"from": "22:00"}, {"from": "25:00", "to": "07:00"}, {"from": 22, "to": 7}, {**NIGHT, "time_zone": "Mars"},
     {**NIGHT, "time_zone": "../../etc/passwd"}, {**NIGHT, "time_zone": 3}, {"from": "22:00+01:00", "to": "07:00"}],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        quiet_until(at("2026-07-01T23:00"), wrong)


ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns", "UTC"]
minutes = st.integers(0, 24 * 60 - 1).map(lambda minute: time(minute // 60, minute % 60))
moments = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))


@hypothesis_settings(max_examples=300)
@given(moments, minutes, minutes, st.sampled_from(ZONES))
def test_quiet_hours_end_when_the_clock_says_so_and_not_before(
    now: datetime, begin: time, end: time, zone: str
) -> None:
    hours = {"from": begin.isoformat("minutes"), "to": end.isoformat("minutes"), "time_zone": zone}
    until = quiet_until(now, hours)
    if until is None:
        return
    assert now < until <= now + timedelta(hours=25)
    assert quiet_until(until, hours) is None, "at their end they go on"
    local = until.astimezone(ZoneInfo(zone))
    shown = local.time() == end
    skipped = (until - timedelta(minutes=1)).astimezone(ZoneInfo(zone)).time() < end < local.time()
    assert shown or skipped


def test_a_digest_waits_for_its_time() -> None:
    now = at("2026-07-01T12:00")
    assert digest_until(now, 60, now - timedelta(minutes=20)) == now + timedelta(minutes=40)
    assert digest_until(now, 60, now - timedelta(minutes=60)) is None
    assert digest_until(now, 60, None) is None


@pytest.mark.parametrize(
    ("said", "minutes"), [(60, 60), (0.5, 0.5), (10**9, 10_080), (0, None), (-5, None), ("60", None)]
)
def test_how_often_a_digest_comes(said: Any, minutes: float | None) -> None:
    assert digest_minutes({"digest_minutes": said}) == minutes
    assert digest_minutes({}) is None
