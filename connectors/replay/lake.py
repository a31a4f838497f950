"""A range of the lake, from event time to event time.

The lake may grow while it is replayed, and does when the flow reads what is published. So the newest offset that each
partition of each stream has there, when the replay begins, belongs to its plan: rows after it are no part of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from analytics import lake
from analytics.schema import MICROS, OFFSET_BITS, PRICE_SCHEMA
from connectors.replay.records import Position, Record
from connectors.replay.skips import Skips

_HOUR = timedelta(hours=1)
_CHUNK = 100_000


@dataclass(frozen=True)
class LakeRange:
    """Prices of the lake, those in quarantine too, in the order of event time.

    Args:
        directory: the lake.
        since: first event time, with offset.
        until: the event time before which it ends, with offset.
        events: only these `event_id`; none: all.
        sources: only these; none: all.
    """

    directory: Path
    since: datetime | None = None
    until: datetime | None = None
    events: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """For people."""
        return f"the lake {self.directory}"

    def identity(self) -> dict[str, Any]:
        """The lake, by the database that filled it, and the filters."""
        mark = self.directory / "database"
        return {
            "lake": mark.read_text() if mark.exists() else str(self.directory.resolve()),
            "range": [self.since and self.since.timestamp(), self.until and self.until.timestamp()],
            "events": sorted(self.events),
            "sources": sorted(self.sources),
        }

    def bounds(self) -> dict[str, int]:
        """The newest offset of each `stream-partition` now."""
        newest: dict[str, int] = {}
        for path in self._files():
            name = lake.Name.of(path)
            part = f"{name.stream}-{name.partition}"
            newest[part] = max(name.last, newest.get(part, 0))
        return newest

    def open(self, bounds: dict[str, int], judged: int | None, skips: Skips) -> _Chunks:
        """See `Origin`. Every row of the lake can be published."""
        return _Chunks(self, bounds)

    def _files(self, since: datetime | None = None, until: datetime | None = None) -> list[Path]:
        # Listed anew each time: the flow joins files and, after an hour, removes those it has joined.
        first, end = since or self.since, until or self.until
        days = {
            **({"since": first.astimezone(UTC).date().isoformat()} if first else {}),
            **({"until": (end.astimezone(UTC) - timedelta(microseconds=1)).date().isoformat()} if end else {}),
        }
        return lake.files(self.directory, **days)

    def scan(
        self, bounds: dict[str, int], since: datetime | None = None, until: datetime | None = None
    ) -> pl.LazyFrame:
        """The rows, as the lake has them: all, or those from `since` to before `until`."""
        paths = self._files(since, until)
        if not paths or not bounds:
            return pl.LazyFrame(schema=PRICE_SCHEMA)
        parts = [tuple(map(int, part.split("-"))) for part in bounds]
        newest = (pl.col("id") // 2**OFFSET_BITS).replace_strict(
            [stream << 12 | partition for stream, partition in parts], list(bounds.values()), default=-1
        )
        wanted = [pl.col("id") % 2**OFFSET_BITS <= newest]
        wanted += [pl.col("timestamp") >= first for first in (self.since, since) if first]
        wanted += [pl.col("timestamp") < end for end in (self.until, until) if end]
        if self.events:
            wanted.append(pl.col("event_id").is_in(self.events))
        if self.sources:
            wanted.append(pl.col("source").is_in(self.sources))
        return pl.scan_parquet(paths, hive_partitioning=False).filter(*wanted)


class _Chunks:
    """Holds whole hours of event time in memory, as few as have many rows."""

    def __init__(self, origin: LakeRange, bounds: dict[str, int]) -> None:
        self._origin, self._bounds = origin, bounds
        time = pl.col("timestamp")
        self._hours = (
            origin.scan(bounds)
            .group_by(time.dt.truncate("1h").alias("hour"))
            .agg(pl.len(), first=time.min().dt.epoch("us"), last=time.max().dt.epoch("us"))
            .sort("hour")
            .with_columns(chunk=pl.col("len").cum_sum() // _CHUNK)
            .collect()
        )
        self.count = int(self._hours["len"].sum())
        self.span = (int(self._hours["first"][0]), int(self._hours["last"][-1])) if self.count else None

    def __iter__(self) -> Iterator[Record]:
        hours = self._hours.group_by("chunk").agg(pl.min("hour"), end=pl.max("hour") + _HOUR).sort("chunk")
        for since, until in hours.select("hour", "end").iter_rows():
            yield from messages(self._origin.scan(self._bounds, since, until).collect())


def messages(rows: pl.DataFrame) -> Iterator[Record]:
    """Rows as the lake has them, as the messages that decode to the same rows, but for their `id`."""
    rows = (
        rows.sort("timestamp", "id")
        .with_columns(total_price=pl.when(_micros("total_price") != _sum()).then("total_price"))
        .select(*PRICE_SCHEMA, at=pl.col("timestamp").dt.epoch("us"))
    )
    for row in rows.iter_rows(named=True):
        position = Position(0, at := row.pop("at"), row.pop("id"))
        value = msgspec.json.encode({name: value for name, value in row.items() if value is not None})
        yield Record(position, at, row["event_id"].encode(), value)


def _micros(column: str) -> pl.Expr:
    return (pl.col(column) * MICROS).round().cast(pl.Int64)


def _sum() -> pl.Expr:
    # A total that is the sum is left out: the decoder adds up, and the sum of two prices may be above what one may be.
    return _micros("price") + _micros("fees").fill_null(0)
