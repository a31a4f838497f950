"""The order of a replay, its pace and its shift: nothing is ever published ahead of the wall clock."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.decode import MAX_AHEAD_SECONDS, decode
from connectors.replay.publish import FASTEST, _due, largest_shift
from connectors.replay.records import Position, Record, Spool, moved
from tests.support.logs import NOON, at, message, micros

numbers = st.integers(0, 2**62)
positions = st.builds(Position, st.integers(0, 4000), numbers, numbers)
speeds = st.one_of(st.just(FASTEST), st.floats(0.01, 1e6))
moments = st.integers(0, micros(datetime(2100, 1, 1, tzinfo=UTC)))


@given(positions)
def test_a_position_is_read_back_from_its_text(position: Position) -> None:
    assert Position.of(str(position)) == position


few = st.integers(0, 3)


@given(st.lists(st.tuples(st.builds(Position, few, few, few), few), max_size=40, unique_by=lambda pair: pair[0]))
def test_a_spool_gives_everything_back_in_order(given_pairs: list[tuple[Position, int]]) -> None:
    records = [Record(position, time, b"k%d" % i, b"v%d" % i) for i, (position, time) in enumerate(given_pairs)]
    spool = Spool()
    half = len(records) // 2
    spool.add(records[:half])
    spool.add(records[half:])
    assert list(spool) == sorted(records, key=lambda record: (record.at, record.position))
    assert list(spool) == list(spool), "the second reading differs"
    assert spool.count == len(records)
    times = [record.at for record in records]
    assert spool.span == ((min(times), max(times)) if times else None)


# --- the shift


@given(st.tuples(moments, moments).map(sorted), moments, speeds, st.lists(st.floats(0, 1), max_size=5))
def test_no_time_is_ahead_of_the_wall_clock_and_the_range_ends_as_late_as_it_can(
    span: list[int], started: int, speed: float, places: list[float]
) -> None:
    first, last = span
    shift = largest_shift((first, last), started, speed)
    slack = []
    for time in [first, last, *(first + int((last - first) * place) for place in places)]:
        ahead = time + shift - _due(time, first, started, speed)
        assert ahead <= 1, f"{ahead} µs ahead of the clock when it is published"  # 1: a due time is a whole number
        slack.append(ahead)
    assert max(slack) >= 0, "the range could have been moved further"
    if speed >= 1:
        assert last + shift == _due(last, first, started, speed), "the range ends when the replay does"


def test_a_day_at_sixty_times_ends_now() -> None:
    """Without it, the day's last price would come 23.6 hours old; moved by what the day's start lacks, as far ahead."""
    day = 86_400_000_000
    first = micros(NOON)
    started = first + 10 * day
    shift = largest_shift((first, first + day), started, 60)
    ends = started + day // 60
    assert first + day + shift == ends
    assert first + shift == ends - day


@pytest.mark.parametrize("speed", [0.5, 1.0, 60.0, FASTEST])
def test_the_decoder_takes_every_shifted_price_at_the_moment_it_is_published(speed: float) -> None:
    times = range(0, 7200, 600)
    first, last = (micros(NOON + timedelta(seconds=t)) for t in (times[0], times[-1]))
    started = micros(NOON) + 30 * 86_400_000_000
    shift = largest_shift((first, last), started, speed)
    values: list[bytes | None] = [moved(message(timestamp=at(t)), shift) for t in times]
    published = [_due(micros(NOON) + t * 1_000_000, first, started, speed) // 1000 for t in times]
    found = decode(values, [None] * len(values), published, list(range(len(values))))
    assert found.rejects == [], f"more than {MAX_AHEAD_SECONDS} s ahead"


def test_moving_a_time_leaves_every_other_byte() -> None:
    value = (
        b'{"price":245.50,"fees":1e1,"big":12345678901234567890123,"t":"\\u0041","timestamp": "2026-11-23T12:00:00Z",'
        b'"event_date":"2026-11-24T12:00:00Z","deep":{"timestamp":"2020-01-01T00:00:00Z"}}'
    )
    found = msgspec.json.decode(moved(value, 1_500_000), type=dict[str, msgspec.Raw])
    assert json.loads(bytes(found.pop("timestamp"))) == "2026-11-23T12:00:01.500000Z"
    before = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
    assert {name: bytes(raw) for name, raw in found.items()} == {
        name: bytes(raw) for name, raw in before.items() if name != "timestamp"
    }
    assert moved(value, 0) is value


def test_an_unknown_field_whose_name_is_no_text_hinders_nothing() -> None:
    assert json.loads(moved(message().replace(b"{", b'{"\xff": 1, '), 1_000_000))["timestamp"] == "2026-11-23T12:00:01Z"


def test_a_time_without_offset_is_moved_as_utc() -> None:
    naive, aware = moved(message(timestamp="2026-11-23T12:00:00"), -1), moved(message(timestamp=at(0)), -1)
    assert json.loads(naive)["timestamp"] == json.loads(aware)["timestamp"] == "2026-11-23T11:59:59.999999Z"
