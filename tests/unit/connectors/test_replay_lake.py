"""A range of the lake as messages: the same rows again, to the micro, however the lake changes meanwhile."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from analytics import lake
from analytics.decode import decode, decode_values
from analytics.schema import MICROS, MONEY, PRICE_SCHEMA, row_id
from connectors.replay import lake as replay_lake
from connectors.replay.lake import LakeRange, messages
from connectors.replay.records import Record
from connectors.replay.skips import Skips
from sinks.lake import LakeWriter
from tests.support.logs import NOON
from tests.unit.sinks import rows

MINUTE = timedelta(minutes=1)
COMPARED = [name for name in PRICE_SCHEMA if name != "id"]


def write(directory: Path, frame: pl.DataFrame) -> None:
    writer = LakeWriter(directory / "prices", keep_seconds=0)
    writer.add([frame])
    writer.flush()


def opened(origin: LakeRange, bounds: dict[str, int] | None = None) -> list[Record]:
    recording = origin.open(origin.bounds() if bounds is None else bounds, None, Skips())
    records = list(recording)
    assert recording.count == len(records)
    assert recording.span == ((records[0].at, records[-1].at) if records else None)
    return records


def seats(records: list[Record]) -> list[str]:
    return [json.loads(record.value)["seat"] for record in records]


# --- the law: lake rows -> messages -> decode gives the same rows

_texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00\x1d\x1f"), max_size=20)
_micros = st.integers(-999_999_999_000_000, 999_999_999_000_000)
_cents = st.integers(0, 100_000_00).map(lambda cents: cents * 10_000)
_money = st.one_of(_cents, _micros)
_amounts = _money.map(lambda micros: f"{'-' * (micros < 0)}{abs(micros) // MICROS}.{abs(micros) % MICROS:06}")
_times = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(datetime.isoformat)
_prices = st.fixed_dictionaries(
    {
        "event_id": st.text("abcü🎫 '\"\\", min_size=1, max_size=9),
        "source": st.sampled_from(["seatgeek", "mock"]),
        "price": _amounts,
        "timestamp": _times,
    },
    optional={
        **dict.fromkeys(("fees", "total_price", "average_price", "median_price", "highest_price"), _amounts),
        **dict.fromkeys(("event_name", "venue", "city", "state", "section", "row", "seat", "seller_notes"), _texts),
        **{"listing_url": _texts, "listing_id": _texts, "event_date": _times, "currency": st.just("EUR")},
        **{"quantity": st.integers(1, 9), "level": st.sampled_from(["listing", "event"])},
        "listing_count": st.integers(0, 10**12),
    },
)


@settings(max_examples=60)
@given(st.lists(_prices, min_size=1, max_size=8))
@example(
    [{"event_id": "e", "source": "s", "timestamp": "2026-11-23T12:00:00Z", "price": "999999999", "fees": "999999999"}]
)
def test_lake_rows_become_messages_that_decode_to_the_same_rows(events: list[dict[str, Any]]) -> None:
    recorded = decode_values([json.dumps(event).encode() for event in events])
    assert recorded.rejects == []
    frame = recorded.rows.select(*PRICE_SCHEMA, late=pl.lit(False), reason=pl.lit(None, pl.String))
    with tempfile.TemporaryDirectory() as directory:
        write(Path(directory), frame)
        records = opened(LakeRange(Path(directory)))
    again = decode([r.value for r in records], [r.key for r in records], [-1] * len(records), list(range(len(records))))
    assert again.rejects == []
    assert again.rows["keyed"].all(), "a message is not keyed by its event"
    assert_frame_equal(again.rows.select(COMPARED), frame.sort("timestamp", "id").select(COMPARED))
    assert [record.at for record in records] == frame.sort("timestamp")["timestamp"].dt.epoch("us").to_list()


def test_money_is_written_as_people_write_it() -> None:
    frame = rows.frame([rows.price(0, price=40_630_000, fees=10_000, total_price=41_000_000)])
    (record,) = messages(frame.with_columns((pl.col(name) / MICROS).round(6) for name in MONEY))
    assert b'"price":40.63,"fees":0.01,"total_price":41.0' in record.value


# --- the range


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """Twelve prices, 40 minutes apart from 20:00 to after 03:00, on two partitions; the fifth stands in quarantine."""
    prices = [
        rows.price(
            number,
            partition=number % 2,
            timestamp=NOON.replace(hour=20) + number * 40 * MINUTE,
            event_id=f"e{number % 3}",
            source="stubhub" if number == 7 else "mock",
            seat=str(number),
            reason="zero_price" if number == 4 else None,
        )
        for number in range(12)
    ]
    write(tmp_path, rows.frame(prices[6:]))
    write(tmp_path, rows.frame(prices[:6]))
    return tmp_path


@pytest.mark.parametrize("chunk", [1, 3, 5, 100])
def test_everything_comes_in_the_order_of_event_time_and_quarantined_prices_too(
    filled: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(replay_lake, "_CHUNK", chunk)
    records = opened(LakeRange(filled))
    assert seats(records) == [str(number) for number in range(12)]
    assert len({record.position for record in records}) == 12
    assert [r.position for r in records] == sorted(r.position for r in records), "a lane's places fall"


@pytest.mark.parametrize(
    ("given_range", "expected"),
    [
        ({"since": NOON.replace(hour=22)}, range(3, 12)),
        ({"until": NOON.replace(hour=22)}, range(3)),
        ({"since": NOON.replace(hour=22), "until": NOON.replace(hour=22) + MINUTE}, [3]),
        ({"since": NOON.replace(day=24, hour=0)}, range(6, 12)),
        ({"until": NOON.replace(day=24, hour=0)}, range(6)),
        ({"events": ("e1",)}, [1, 4, 7, 10]),
        ({"events": ("e1", "e2"), "sources": ("stubhub",)}, [7]),
        ({"since": NOON.replace(year=2027)}, []),
    ],
)
def test_the_filters_choose(filled: Path, given_range: dict[str, Any], expected: list[int]) -> None:
    """`since` belongs to the range, `until` does not."""
    assert seats(opened(LakeRange(filled, **given_range))) == [str(number) for number in expected]


def test_times_with_another_offset_choose_the_same(filled: Path) -> None:
    east = datetime.fromisoformat("2026-11-24T05:30:00+05:30")  # midnight in UTC
    assert seats(opened(LakeRange(filled, since=east))) == [str(number) for number in range(6, 12)]


def test_an_empty_lake_has_nothing(tmp_path: Path) -> None:
    assert opened(LakeRange(tmp_path)) == []


def test_what_comes_into_the_lake_after_the_plan_is_no_part_of_it(filled: Path) -> None:
    """The flow may write what is replayed into the very range that is replayed."""
    origin = LakeRange(filled)
    bounds = origin.bounds()
    before = opened(origin, bounds)
    written = [rows.price(row, partition=row % 2, timestamp=NOON.replace(hour=21)) for row in range(100, 104)]
    write(filled, rows.frame([*written, rows.price(0, stream=2, timestamp=NOON), rows.price(0, partition=3)]))
    assert opened(origin, bounds) == before
    assert len(opened(origin)) == 12 + 6


def test_the_flow_may_join_and_remove_files_while_they_are_read(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_lake, "_CHUNK", 1)
    origin = LakeRange(filled)
    records = iter(origin.open(origin.bounds(), None, Skips()))
    first = next(records)
    files = lake.files(filled)
    for day in {path.parent for path in files}:
        for partition in (0, 1):
            parts = [path for path in files if path.parent == day and lake.Name.of(path).partition == partition]
            names = [lake.Name.of(path) for path in parts]
            joined = lake.Name(1, partition, min(n.first for n in names), max(n.last for n in names))
            pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in parts]).sort("id").write_parquet(
                aside := day / "joined.tmp"
            )
            for path in parts:
                path.unlink()
            aside.rename(day / f"{joined}.parquet")
    assert seats([first, *records]) == [str(number) for number in range(12)]


def test_a_replay_is_known_by_the_database_that_filled_the_lake_wherever_it_stands(
    filled: Path, tmp_path: Path
) -> None:
    by_place = LakeRange(filled).identity()
    (filled / "database").write_text("7123")
    assert LakeRange(filled).identity() != by_place
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (moved / "database").write_text("7123")
    assert LakeRange(moved).identity() == LakeRange(filled).identity()
    others = [
        LakeRange(filled, since=NOON),
        LakeRange(filled, until=NOON),
        LakeRange(filled, events=("e1",)),
        LakeRange(filled, sources=("e1",)),
    ]
    assert len({json.dumps(origin.identity()) for origin in [LakeRange(filled), *others]}) == 5
    swapped = LakeRange(filled, events=("b", "a")), LakeRange(filled, events=("a", "b"))
    assert swapped[0].identity() == swapped[1].identity()


def test_bounds_are_the_newest_offsets_in_the_range(filled: Path) -> None:
    write(filled, rows.frame([rows.price(9000, timestamp=NOON + timedelta(days=30))]))
    assert LakeRange(filled, until=NOON + timedelta(days=2)).bounds() == {"1-0": 10, "1-1": 11}
    assert LakeRange(filled).bounds() == {"1-0": 9000, "1-1": 11}
    assert row_id(1, 1, 11) // 2**40 == 1 << 12 | 1, "how a bound finds its rows"
