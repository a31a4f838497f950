"""The join of the lake and Postgres: whatever each of them holds, every price once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from analytics.schema import MICROS, split_id
from dash_app.database import Database
from dash_app.lake import Lake, LakeAwayError
from dash_app.loaders import history
from dash_app.loaders.schemas import SERIES
from sinks.joining import join
from sinks.lake import HeldWriter, LakeWriter
from tests.unit.dash_app import seed
from tests.unit.sinks import rows

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
MIDNIGHT = rows.NOON.replace(hour=0)
EVENT = "concert_123"
_COLUMNS = [
    "id", "event_id", "source", "section", "row", "seat", "price", "fees", "total_price", "currency", "quantity",
    "timestamp", "listing_id", "listing_url", "level", "late",
]  # fmt: skip


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "doubted"}


class Log:
    """A flow's two stores, filled by hand."""

    def __init__(self, dsn: str, directory: Path) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.database = Database(dsn)
        self.directory = directory
        self.lake = Lake(directory, settled_seconds=0)

    def clear(self) -> None:
        self.connection.execute(
            "TRUNCATE price_history, quarantine, quarantine_releases, pipeline_progress RESTART IDENTITY"
        )

    def store(self, prices: list[dict[str, Any]], watermark: datetime) -> None:
        """What Postgres gets; a row with `doubted` goes to quarantine, as an impossible one does."""
        cursor = self.connection.cursor()
        for row in prices:
            values = {name: row[name] for name in _COLUMNS}
            for name in ("price", "fees", "total_price"):
                values[name] = None if values[name] is None else values[name] / MICROS
            into = "price_history"
            if reason := row.get("doubted") or row["reason"]:
                values["reason"], into = reason, "quarantine"
            names, marks = ", ".join(f'"{name}"' for name in values), ", ".join(["%s"] * len(values))
            cursor.execute(f"INSERT INTO {into} ({names}) VALUES ({marks})".encode(), list(values.values()))  # noqa: S608
        following: dict[tuple[int, int], int] = {}
        for row in prices:
            stream, partition, offset = split_id(row["id"])
            following[stream, partition] = max(offset + 1, following.get((stream, partition), 0))
        for (stream, partition), offset in following.items():
            cursor.execute(
                "INSERT INTO pipeline_progress VALUES (%s, %s, %s, %s, %s, 0, 0, 0, 0, 0)",
                (stream, partition, offset, offset, watermark),
            )

    def fill_lake(self, prices: list[dict[str, Any]], held: list[dict[str, Any]]) -> None:
        ((owner,),) = self.database.rows("SELECT id::text FROM database_identity")
        (self.directory / "database").write_text(owner)
        writer, doubts = LakeWriter(self.directory / "prices", keep_seconds=0), HeldWriter(self.directory / "held")
        writer.add([rows.frame([_row(row) for row in prices])])
        doubts.add([rows.frame([{**_row(row), "reason": row["doubted"]} for row in held])])
        doubts.flush()
        writer.flush()
        for folder in writer.untidy():
            while join(folder):
                pass

    def whole(self) -> pl.DataFrame:
        """The event's accepted prices as Postgres has them."""
        columns = ", ".join(f'"{name}"' for name in history.OBSERVATIONS)
        for name in ("price", "fees", "total_price"):
            columns = columns.replace(f'"{name}"', f'"{name}"::float8')
        return self.database.frame(
            f'SELECT {columns} FROM price_history WHERE event_id = %(event)s ORDER BY "timestamp", id',  # noqa: S608
            {"event": EVENT}, history.OBSERVATIONS,
        )  # fmt: skip

    def joined(self, **asked: Any) -> pl.DataFrame:
        return history.observations(self.database, self.lake, EVENT, **asked)

    def windows(self) -> str | None:
        """Ask for windows of what Postgres has, and return what is said of where they come from."""
        span = MIDNIGHT, MIDNIGHT + 3 * DAY
        found, note = history.counted(self.database, self.lake, EVENT, *span, seconds=3600, currency="USD")
        assert found["observations"].sum() > 0
        return note


@pytest.fixture(scope="module")
def dsn(postgres_server: Any) -> Iterator[str]:
    from tests.conftest import new_database

    with new_database(postgres_server) as fresh:
        with psycopg.connect(fresh.dsn) as connection:
            seed.migrate(connection)
        yield fresh.dsn


@pytest.fixture
def log(dsn: str, tmp_path: Path) -> Iterator[Log]:
    made = Log(dsn, tmp_path)
    made.clear()
    yield made
    made.connection.close()
    made.database.close()


@st.composite
def stores(draw: st.DrawFn) -> dict[str, Any]:
    """A log over five days and three partitions; how far the lake has it; where the day of the watermark is; what
    people have said of the doubted; what an operator has pruned."""
    prices: list[dict[str, Any]] = []
    for partition in range(3):
        for offset in range(draw(st.integers(0, 12))):
            at = MIDNIGHT + draw(st.integers(0, 5 * 24 * 60 - 1)) * timedelta(minutes=1)
            kind = draw(st.sampled_from(["", "", "", "", "doubted", "impossible", "late"]))
            prices.append({
                **rows.price(offset, partition=partition, timestamp=at, late=kind == "late",
                             event_id=draw(st.sampled_from([EVENT, EVENT, "other"])),
                             source=draw(st.sampled_from(["mock", "seatgeek"])),
                             section=draw(st.sampled_from(["101", None])),
                             reason="zero_price" if kind == "impossible" else None),
                "doubted": "hundredth" if kind == "doubted" else None,
            })  # fmt: skip
    watermark = MIDNIGHT + draw(st.integers(0, 6 * 24 - 1)) * HOUR
    return {
        "prices": prices,
        "lacking": [draw(st.integers(0, 12)) for _ in range(3)],
        "unmarked": draw(st.booleans()),  # the lake does not know yet which of its prices are doubted
        "watermark": watermark,
        "released": draw(st.lists(st.integers(0, 40), max_size=4)),
        "confirmed": draw(st.lists(st.integers(0, 40), max_size=2)),
        "pruned_to": MIDNIGHT + draw(st.integers(0, (watermark - MIDNIGHT) // DAY * 24)) * HOUR,
    }


def prepare(log: Log, given_stores: dict[str, Any]) -> pl.DataFrame:
    """Fill both stores; gives the whole, as it was before anything was pruned."""
    prices = given_stores["prices"]
    log.clear()
    log.store(prices, given_stores["watermark"])
    in_lake = [row for row in prices if split_id(row["id"])[2] < 12 - given_stores["lacking"][split_id(row["id"])[1]]]
    doubted = [row for row in in_lake if row["doubted"] and not given_stores["unmarked"]]
    log.fill_lake(in_lake, doubted)
    apart = [row["id"] for row in prices if row["doubted"] or row["reason"]]
    for verdict, chosen in (("release", given_stores["released"]), ("confirm", given_stores["confirmed"])):
        for index in chosen:
            if apart:
                log.connection.execute(f"SELECT {verdict}_quarantined(%s)".encode(), (apart[index % len(apart)],))
    whole = log.whole()
    kept = [row["id"] for row in prices if row not in in_lake]  # nobody prunes what the lake does not have
    log.connection.execute(
        'DELETE FROM price_history WHERE "timestamp" < %s AND NOT id = ANY(%s)',
        (given_stores["pruned_to"], kept),
    )
    return whole


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(stores())
def test_the_union_is_the_whole(dsn: str, given_stores: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = Log(dsn, Path(folder))
        try:
            whole = prepare(log, given_stores)
            assert_frame_equal(log.joined(), whole)
            middle = MIDNIGHT + 60 * HOUR
            assert_frame_equal(pl.concat([log.joined(to=middle), log.joined(since=middle)]), whole)
        finally:
            log.connection.close()
            log.database.close()


def week(log: Log, days: int = 3, each: int = 4) -> list[dict[str, Any]]:
    """Some prices a day, all of them in both stores; the watermark is noon of the last day."""
    prices = [
        rows.price(day * each + number, timestamp=MIDNIGHT + day * DAY + (1 + number) * HOUR,
                   source=("mock", "seatgeek")[number % 2], section=("101", None)[number // 2 % 2])
        for day in range(days) for number in range(each)
    ]  # fmt: skip
    log.store(prices, MIDNIGHT + (days - 1) * DAY + 12 * HOUR)
    log.fill_lake(prices, [])
    return prices


def test_days_that_are_over_come_from_the_lake_and_today_from_postgres(log: Log) -> None:
    week(log)
    whole = log.whole()
    log.connection.execute('DELETE FROM price_history WHERE "timestamp" < %s', (MIDNIGHT + DAY,))
    assert_frame_equal(log.joined(), whole)
    assert history.split(log.database, log.lake).end == MIDNIGHT + 2 * DAY


def test_who_keeps_less_than_a_day_in_postgres_loses_nothing(log: Log) -> None:
    week(log)
    whole = log.whole()
    log.connection.execute('DELETE FROM price_history WHERE "timestamp" < %s', (MIDNIGHT + 2 * DAY + 3 * HOUR,))
    assert log.whole().height == 2
    assert_frame_equal(log.joined(), whole)
    log.connection.execute("TRUNCATE price_history")
    assert_frame_equal(log.joined(), whole)


def test_without_the_lake_there_are_windows_of_what_postgres_has(log: Log, tmp_path: Path) -> None:
    week(log)
    log.lake = Lake(tmp_path / "nowhere")
    with pytest.raises(LakeAwayError, match="does not answer"):
        log.joined()
    assert log.windows() == history.AWAY
    log.clear()  # before the flow's first progress there is none to miss
    assert history.split(log.database, log.lake) == history.Split()


@pytest.mark.parametrize("mishap", ["another database's", "behind", "does not answer"])
def test_a_lake_that_cannot_be_joined_is_left_out_and_said(
    log: Log, mishap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    week(log)
    if mishap == "behind":
        monkeypatch.setattr(history, "_MOST_BEHIND", 10)
        log.connection.execute("UPDATE pipeline_progress SET next_offset = next_offset + 11")
    elif mishap == "does not answer":
        log.lake = Lake(log.directory / "database")  # not a folder
    else:
        (log.directory / "database").write_text("another")
    parted = history.split(log.database, log.lake)
    assert parted.contents is None
    assert mishap in (parted.note or "")
    with pytest.raises(LakeAwayError, match=mishap):
        log.joined()
    assert mishap in (log.windows() or "")


def test_a_torn_file_is_one_clear_error_and_windows_go_on_without_it(log: Log) -> None:
    week(log)
    (torn, *_) = sorted((log.directory / "prices").rglob("*.parquet"))
    torn.write_bytes(b"PAR1 half")
    with pytest.raises(LakeAwayError):
        log.joined()
    assert log.windows() == history.AWAY


def test_prices_are_chosen_by_section_source_currency_and_time(log: Log) -> None:
    week(log)
    whole = log.whole()
    assert_frame_equal(log.joined(sources=["mock"]), whole.filter(pl.col("source") == "mock"))
    assert_frame_equal(log.joined(sections=[""]), whole.filter(pl.col("section").is_null()))
    assert log.joined(currency="EUR").is_empty()
    since, to = MIDNIGHT + DAY + 2 * HOUR, MIDNIGHT + 2 * DAY + 2 * HOUR
    assert_frame_equal(
        log.joined(since=since, to=to), whole.filter(pl.col("timestamp").is_between(since, to, closed="left"))
    )


@pytest.mark.parametrize("seconds", [60, 3600, 86400])
def test_windows_over_base_prices_are_those_of_the_observations(log: Log, seconds: int) -> None:
    week(log, each=9)
    found, note = history.counted(
        log.database,
        log.lake,
        EVENT,
        MIDNIGHT,
        MIDNIGHT + 3 * DAY,
        seconds=seconds,
        currency="USD",
        sections=["", "101"],
    )
    by_source, _ = history.counted(
        log.database, log.lake, EVENT, MIDNIGHT, MIDNIGHT + 3 * DAY, seconds=seconds, currency="USD"
    )
    assert_frame_equal(by_source, history.together(found, "source"))
    expected = (
        log.whole()
        .group_by(
            "source", pl.col("section").fill_null(""), "level", start=pl.col("timestamp").dt.truncate(f"{seconds}s")
        )
        .agg(low=pl.min("price"), average=pl.mean("price"), observations=pl.len().cast(pl.Int64))
        .sort("start", "source", "section")
    )
    assert note is None
    assert_frame_equal(found.drop("final"), expected.select(found.drop("final").columns))
    assert found.filter(~pl.col("final"))["start"].unique().to_list() == [expected["start"].max()]


def test_places_together_weigh_by_their_observations() -> None:
    windows = pl.DataFrame(
        [("a", "1", "listing", MIDNIGHT, 10.0, 20.0, 1, True), ("a", "2", "listing", MIDNIGHT, 5.0, 50.0, 2, True),
         ("b", "1", "listing", MIDNIGHT, 7.0, 30.0, 1, False)],
        schema=SERIES, orient="row",
    )  # fmt: skip
    assert history.together(windows).rows() == [("", "", "listing", MIDNIGHT, 5.0, 37.5, 4, False)]
    assert history.together(windows, "source").rows() == [
        ("a", "", "listing", MIDNIGHT, 5.0, 40.0, 3, True), ("b", "", "listing", MIDNIGHT, 7.0, 30.0, 1, False),
    ]  # fmt: skip


def test_files_that_are_joined_while_readers_read_are_listed_anew(log: Log) -> None:
    prices = week(log, days=1, each=3)
    assert log.joined().height == 3
    for number in range(16):
        more = rows.price(3 + number, timestamp=MIDNIGHT + HOUR)
        log.fill_lake([more], [])
        prices.append(more)
        log.connection.execute("TRUNCATE pipeline_progress")
        log.connection.execute("TRUNCATE price_history, quarantine")
        log.store(prices, MIDNIGHT + 2 * DAY)
        log.connection.execute("TRUNCATE price_history")
        assert sorted(log.joined()["id"]) == sorted(row["id"] for row in prices), f"after {number + 1} more files"


def test_the_lake_is_all_that_duckdb_may_read(log: Log, tmp_path: Path) -> None:
    week(log)
    outside = tmp_path.parent / "outside.csv"
    outside.write_text("secret\n1\n")
    for sql in (f"FROM read_csv('{outside}')", "COPY (SELECT 1) TO '/tmp/x.csv'", "SET enable_external_access = true"):
        with pytest.raises(LakeAwayError):
            log.lake.frame(sql, {}, {"x": pl.Int64})
