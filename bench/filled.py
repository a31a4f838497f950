"""A market's past, of any length, in Postgres and in a lake, as the flow would have left it. Made fast, from a seed.

Sources look at an event now and then and see all its listings at once. Prices drift; about one in five differs from
the one before. Windows and changes are computed from the prices, so all tables agree, with each other and with the lake.
"""

from __future__ import annotations

import math
import random
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
from psycopg.sql import SQL, Identifier

from analytics.lake import LAKE_COLUMNS, Name
from analytics.schema import MONEY, row_id
from tests.unit.dash_app.seed import migrate

SOURCES = ("seatgeek", "ticketmaster")
_SECTIONS = ("101", "102", "110", "214", "305", "Floor A", "GA", "VIP")
_ACTS = ("Nora Vale", "The Larks", "Orion Brass", "Tall Ships", "City vs. United", "Hamlet", "Blue Hours", "Anna Quist")
_LISTINGS = 40  # of one source for one event
_WINDOWS = (60, 3600, 86_400)
_UTC = pl.Datetime("us", "UTC")
_CHANGE_COLUMNS = [
    "id", "event_id", "source", "section", "row", "seat", "listing_id", "listing_url", "currency", "level", "old_price",
    "new_price", "change", "change_percent", "previous_timestamp", "timestamp",
]  # fmt: skip
_WINDOW_COLUMNS = [
    "event_id", "source", "section", "level", "currency", "window_seconds", "window_start", "min_price", "max_price",
    "avg_price", "open_price", "close_price", "observations", "listings", "is_final",
]  # fmt: skip
_ALERTS = """
WITH fresh AS (
    INSERT INTO price_drop_alerts (alert_id, event_id, event_name, venue, alert_type, alert_timestamp, old_price, new_price,
        drop_amount, drop_percent, currency, section, "row", seat, source, listing_id, listing_url, price_id)
    SELECT md5(c.id::text)::uuid, c.event_id, e.event_name, e.venue, 'price_drop', c."timestamp", old_price, new_price,
           -change, -change_percent, currency, section, "row", seat, source, listing_id, listing_url, c.id
    FROM price_changes c JOIN events e USING (event_id) WHERE change_percent <= -9 ORDER BY c."timestamp" DESC LIMIT 20000
    RETURNING alert_id, alert_timestamp
)
INSERT INTO outbox (alert_id, channel, state, created_at, sent_at)
SELECT alert_id, 'discord', 'sent', alert_timestamp, alert_timestamp FROM fresh
"""
_RULES = """
INSERT INTO alerts (event_id, target_price, section)
SELECT event_id, 60, NULL FROM events ORDER BY event_id LIMIT 40
"""


@dataclass
class Market:
    """A market whose every observation is a function of the seed.

    Args:
        rows: prices in all.
        days: how long they took.
        end: the time of the newest.
    """

    rows: int
    days: int
    end: datetime
    offsets: list[int] = field(default_factory=lambda: [0] * 4)
    last: pl.DataFrame | None = None
    _dice: random.Random = field(default_factory=lambda: random.Random(7))

    def __post_init__(self) -> None:
        self.count = max(20, min(2000, self.rows // 10_000))
        self.events = pl.DataFrame({"n": range(self.count)}).select(
            event_id=pl.format("event_{}", pl.col("n")),
            event_name=pl.format("{} {}", pl.Series([_ACTS[n % len(_ACTS)] for n in range(self.count)]), pl.col("n")),
            venue=pl.format("Hall {}", pl.col("n") % 60),
            event_date=pl.lit(self.end).cast(_UTC) + pl.duration(days=1 + pl.col("n") % 120),
        )
        self._partition = [zlib.crc32(f"event_{n}".encode()) % 4 for n in range(self.count)]

    def day(self, number: int) -> pl.DataFrame:
        """All prices of a UTC day, in the order of time; days are asked for one after the other, the last is today."""
        midnight = self.end.replace(hour=0, minute=0, second=0, microsecond=0)
        begin = midnight - timedelta(days=self.days - 1 - number)
        seconds = min(86_400.0, (self.end - begin).total_seconds())
        return self.seen(begin, seconds - 1, max(1, round(self.rows / self.days / _LISTINGS * seconds / 86_400)))

    def seen(self, begin: datetime, seconds: float, looks: int) -> pl.DataFrame:
        """What so many looks that begin within so many seconds see."""
        start, dice = int(begin.timestamp() * 1e6), self._dice
        at = sorted(start + int(dice.random() * seconds * 1e6) for _ in range(looks))
        event = [dice.randrange(self.count) for _ in at]
        each = pl.DataFrame(
            {"at": at, "event": event, "partition": [self._partition[n] for n in event],
             "source": [dice.choice(SOURCES) for _ in at]}
        ).join(pl.DataFrame({"listing": range(_LISTINGS)}), how="cross", maintain_order="left_right")  # fmt: skip
        event_n, listing = pl.col("event"), pl.col("listing")
        section = listing % len(_SECTIONS)
        # Each listing has a level of its own, which holds for some five looks; the whole falls slowly towards the day.
        era_seconds = max(60, 5 * self.days * 86_400 * self.count * _LISTINGS * len(SOURCES) // self.rows)
        era = (pl.col("at") // 1_000_000 + listing * 5000) // era_seconds
        step = (listing * 7919 + event_n * 104_729 + era * 15_485_863) % 1000 / 1000.0
        age = 1 + (era * era_seconds - self.end.timestamp()) / (self.days * 86_400.0)
        base = 60 + event_n % 17 * 22 + section * 31 + listing * 1.5
        first = pl.Series([row_id(1, n, offset) for n, offset in enumerate(self.offsets)])
        rows = each.with_columns(
            id=pl.col("partition").replace_strict(range(4), first, return_dtype=pl.Int64)
            + pl.int_range(pl.len()).over("partition"),
            at=pl.col("at") + listing * 10_000,
            price=(base * (1.15 - 0.2 * age) * (0.9 + 0.2 * step)).round(2),
            section=section.replace_strict(range(len(_SECTIONS)), _SECTIONS),
        )
        for number, more in rows["partition"].value_counts().iter_rows():
            self.offsets[number] += more
        return rows.select(
            "id", pl.format("event_{}", "event").alias("event_id"), "source", "section",
            (listing % 20 + 1).cast(pl.String).alias("row"), pl.lit(None, pl.String).alias("seat"), "price",
            (pl.col("price") * 0.18).round(2).alias("fees"),
            (pl.col("price") + (pl.col("price") * 0.18).round(2)).round(2).alias("total_price"),
            pl.lit("USD").alias("currency"), pl.lit(2, pl.Int32).alias("quantity"),
            pl.col("at").cast(pl.Datetime("us")).dt.replace_time_zone("UTC").alias("timestamp"),
            pl.format("{}-{}-{}", "source", "event", "listing").alias("listing_id"),
            pl.format("https://example.com/{}/{}", "event", "listing").alias("listing_url"),
            pl.lit("listing").alias("level"), pl.lit(False).alias("late"),
        )  # fmt: skip

    def changes(self, prices: pl.DataFrame) -> pl.DataFrame:
        """The changes of prices that come after all those that were asked about before."""
        columns = ["listing_id", "total_price", "timestamp"]
        known = prices.select(columns) if self.last is None else pl.concat([self.last, prices.select(columns)])
        shifted = known.with_columns(
            pl.col("total_price", "timestamp").shift(1).over("listing_id").name.prefix("old_")
        ).tail(prices.height)
        self.last = known.group_by("listing_id", maintain_order=True).last().select(columns)
        return (
            prices.with_columns(shifted["old_total_price"], previous_timestamp=shifted["old_timestamp"])
            .filter(pl.col("old_total_price") != pl.col("total_price"))
            .with_columns(old_price="old_total_price", new_price="total_price",
                          change=(pl.col("total_price") - pl.col("old_total_price")).round(2))
            .with_columns(change_percent=(pl.col("change") / pl.col("old_price") * 100).round(4))
            .select(_CHANGE_COLUMNS)
        )  # fmt: skip


def windows(prices: pl.DataFrame, seconds: int, end: datetime) -> pl.DataFrame:
    """The windows of one length over prices that fill whole windows: each section of each source, and whole events."""
    start = pl.col("timestamp").dt.truncate(f"{seconds}s").alias("window_start")
    amount, prices = pl.col("total_price"), prices.sort("timestamp")
    figures = [
        amount.min().alias("min_price"), amount.max().alias("max_price"), amount.mean().round(6).alias("avg_price"),
        amount.first().alias("open_price"), amount.last().alias("close_price"),
        pl.len().alias("observations"), pl.col("listing_id").n_unique().alias("listings"),
    ]  # fmt: skip
    places = prices.group_by("event_id", "source", "section", start).agg(figures)
    whole = prices.group_by("event_id", start).agg(figures).with_columns(source=pl.lit(""), section=pl.lit(""))
    final = pl.col("window_start") + pl.duration(seconds=seconds) <= end - timedelta(seconds=60)
    return (
        pl.concat([places, whole.select(places.columns)])
        .with_columns(level=pl.lit("listing"), currency=pl.lit("USD"), window_seconds=pl.lit(seconds), is_final=final)
        .select(_WINDOW_COLUMNS)
    )


def fill(dsn: str, lake: Path, market: Market) -> None:
    """Make the tables and the lake, and fill both; says how far it is."""
    began = time.monotonic()
    with psycopg.connect(dsn) as connection:
        migrate(connection)
        connection.commit()
        again = _without_indexes(connection)
        # Emptied in the same transaction, they are filled without a line in the log, and frozen.
        connection.execute("TRUNCATE price_history, price_changes, price_windows")
        copy(connection, "events", market.events)
        owner = connection.execute("SELECT id::text FROM database_identity").fetchone()
        assert owner is not None
        (lake / "prices").mkdir(parents=True)
        (lake / "held").mkdir()
        (lake / "database").write_text(owner[0])
        with ThreadPoolExecutor(1) as writer:  # Postgres takes a day while the next one is made
            under_way = None
            for number in range(market.days):
                prices = market.day(number)
                day = [("price_history", prices), ("price_changes", market.changes(prices))]
                day += [("price_windows", windows(prices, seconds, market.end)) for seconds in _WINDOWS[:2]]
                if under_way:
                    under_way.result()
                under_way = writer.submit(_copy_all, connection, day)
                _put(lake, prices)
                if number % 10 == 9:
                    print(f"  filled {number + 1} of {market.days} days, {time.monotonic() - began:.0f} s", flush=True)
            assert under_way is not None
            under_way.result()
        _days(connection)
        for statement in again:
            connection.execute(statement.encode())
            print(f"  {' '.join(statement.split()[:6])} …, {time.monotonic() - began:.0f} s", flush=True)
        connection.execute(_ALERTS.encode())
        connection.execute(_RULES.encode())
        note_progress(connection, market)
        for second in range(0, 600, 5):
            connection.execute(
                "INSERT INTO system_metrics VALUES ('events_per_second', %s, %s)",
                (120 + 20 * math.sin(second / 60), market.end - timedelta(seconds=second)),
            )
        connection.commit()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        connection.execute("VACUUM (ANALYZE)")
    print(f"  filled and analysed in {time.monotonic() - began:.0f} s", flush=True)


def note_progress(connection: psycopg.Connection[Any], market: Market) -> None:
    """What the flow says of how far it is: everything has been read."""
    for partition, offset in enumerate(market.offsets):
        connection.execute(
            "INSERT INTO pipeline_progress VALUES (1, %(p)s, %(n)s, %(n)s, %(at)s, %(n)s, 0, 0, 0, 0) "
            "ON CONFLICT (stream, partition) DO UPDATE SET next_offset = excluded.next_offset, log_end = excluded.log_end, "
            "watermark = excluded.watermark, accepted = excluded.accepted, updated_at = now()",
            {"p": partition, "n": offset, "at": market.end},
        )


def add(connection: psycopg.Connection[Any], market: Market, looks: int) -> int:
    """What so many looks see now, in all tables; windows of places that were open already are made wider. Gives the rows."""
    now = datetime.now(UTC)
    market.end = now
    prices = market.seen(now - timedelta(seconds=1), 1, looks)
    copy(connection, "price_history", prices)
    copy(connection, "price_changes", market.changes(prices))
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS fresh (LIKE price_windows) ON COMMIT DELETE ROWS")
    for seconds in _WINDOWS:
        copy(connection, "fresh", windows(prices, seconds, now))
    connection.execute(
        "INSERT INTO price_windows AS w SELECT * FROM fresh "
        "ON CONFLICT (event_id, window_seconds, window_start, source, section, level, currency) DO UPDATE SET "
        "min_price = least(w.min_price, excluded.min_price), max_price = greatest(w.max_price, excluded.max_price), "
        "avg_price = (w.avg_price * w.observations + excluded.avg_price * excluded.observations) "
        "/ (w.observations + excluded.observations), close_price = excluded.close_price, "
        "observations = w.observations + excluded.observations, listings = greatest(w.listings, excluded.listings)"
    )
    note_progress(connection, market)
    connection.execute("INSERT INTO system_metrics VALUES ('events_per_second', %s, now())", (prices.height,))
    connection.commit()
    return prices.height


def _copy_all(connection: psycopg.Connection[Any], frames: list[tuple[str, pl.DataFrame]]) -> None:
    for table, frame in frames:
        copy(connection, table, frame, ", FREEZE")


def copy(connection: psycopg.Connection[Any], table: str, frame: pl.DataFrame, option: str = "") -> None:
    """Copy a frame into a table's columns of the same names."""
    columns = SQL(", ").join(map(Identifier, frame.columns))
    statement = SQL("COPY {} ({}) FROM STDIN (FORMAT csv{})").format(Identifier(table), columns, SQL(option))
    with connection.cursor().copy(statement) as out:
        out.write(frame.write_csv(include_header=False).encode())


def _put(lake: Path, prices: pl.DataFrame) -> None:
    """A day's files, one of each partition, as the lake has them when small ones are joined."""
    folder = lake / "prices" / f"day={prices['timestamp'][0]:%Y-%m-%d}"
    folder.mkdir(exist_ok=True)
    kinds = {"event_date": _UTC, "listing_count": pl.Int64, **dict.fromkeys(MONEY, pl.Float64)}
    missing = [name for name in LAKE_COLUMNS if name not in prices.columns]
    wide = prices.with_columns(pl.lit(None, kinds.get(name, pl.String)).alias(name) for name in missing)
    for (partition,), rows in wide.with_columns(p=pl.col("id") // 2**40 % 4096).partition_by("p", as_dict=True).items():
        first, last = (int(identity) % 2**40 for identity in (rows["id"][0], rows["id"][-1]))
        rows.select(LAKE_COLUMNS).sort("event_id", "timestamp", "id").write_parquet(
            folder / f"{Name(1, int(partition), first, last)}.parquet", compression="zstd", compression_level=1,
            row_group_size=16_384,
        )  # fmt: skip


def _days(connection: psycopg.Connection[Any]) -> None:
    """Windows of a day, from those of an hour; listings are at most those of one source and section."""
    connection.execute(
        "INSERT INTO price_windows SELECT event_id, source, section, level, currency, 86400, date_trunc('day', window_start), "
        "min(min_price), max(max_price), sum(avg_price * observations) / sum(observations), "
        "(array_agg(open_price ORDER BY window_start))[1], (array_agg(close_price ORDER BY window_start DESC))[1], "
        "sum(observations), max(listings), bool_and(is_final) FROM price_windows WHERE window_seconds = 3600 "
        "GROUP BY 1, 2, 3, 4, 5, 7"
    )


def _without_indexes(connection: psycopg.Connection[Any]) -> list[str]:
    """Drop the large tables' indexes; gives what makes them again."""
    tables = ["price_history", "price_changes", "price_windows"]
    keys = connection.execute(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE contype = 'p' AND conrelid::regclass::text = ANY(%s)", (tables,),
    ).fetchall()  # fmt: skip
    for table, name, _ in keys:
        connection.execute(SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(Identifier(table), Identifier(name)))
    others = connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY(%s)", (tables,)
    ).fetchall()
    for name, _ in others:
        connection.execute(SQL("DROP INDEX {}").format(Identifier(name)))
    return [f"ALTER TABLE {table} ADD CONSTRAINT {name} {made}" for table, name, made in keys] + [
        made for _, made in others
    ]
