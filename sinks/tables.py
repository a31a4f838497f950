"""What is written to which Postgres table, and what a conflict means there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from analytics.alerts import Decision, Standing
from analytics.rules import PERCENT
from analytics.schema import MONEY, UTC, percent, to_units, with_units
from analytics.shard import Description
from analytics.windows import Window


@dataclass(frozen=True)
class Table:
    """A table that the flow writes.

    Args:
        name: of the table.
        columns: those that the flow gives, in the order of the frames.
        key: the primary key, when a row may come again with other content and the newest write stands; empty when
            a row that comes again is the same row, and is left as it is.
    """

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...] = ()


def _as_they_are(rows: pl.DataFrame) -> pl.DataFrame:
    return rows


@dataclass(frozen=True)
class Write:
    """Rows for one table, as the flow has them; `frame` is what the table takes.

    The flow hands over `rows`, and the sink's thread prepares those of many batches at once: a frame of one row costs
    as much to prepare as one of a thousand.
    """

    table: Table
    rows: pl.DataFrame
    prepare: Callable[[pl.DataFrame], pl.DataFrame] = _as_they_are

    @property
    def frame(self) -> pl.DataFrame:
        """The table's columns, in order, in the units of the database."""
        return self.prepare(self.rows)


class Progress(NamedTuple):
    """How far one partition has been read, and what was counted on the way; `watermark` in microseconds or None."""

    stream: int
    partition: int
    next_offset: int
    log_end: int
    watermark: int | None
    accepted: int
    quarantined: int
    dead: int
    late: int
    tombstones: int


class Metric(NamedTuple):
    """One reading of a pipeline metric; `timestamp` in microseconds."""

    metric_name: str
    metric_value: float
    timestamp: int


class SourceStatus(NamedTuple):
    """A source as ingestion last saw it, in the columns of `source_status`; times in microseconds or None."""

    source: str
    state: str
    detail: str | None
    watched: int
    priced: int
    unpriced: int
    calls_a_day: int
    calls_spent: int
    calls_left: int
    calls_planned: int
    last_answer: int | None
    next_look: int | None
    updated_at: int


class DeadLetter(NamedTuple):
    """A refused message: where it stands, why it was refused, and its bytes."""

    id: int
    topic: str
    partition: int
    offset: int
    reason: str
    detail: str
    payload: bytes


MAX_PAYLOAD = 1 << 16
"""Bytes of a refused message that Postgres keeps."""

_LISTING = (
    "id", "event_id", "source", "section", "row", "seat", "price", "fees", "total_price", "currency", "quantity",
    "timestamp", "listing_id", "listing_url", "delivery_method", "seller_notes", "level", "average_price",
    "median_price", "highest_price", "listing_count", "late",
)  # fmt: skip

PRICE_HISTORY = Table("price_history", _LISTING)
QUARANTINE = Table("quarantine", (*_LISTING, "reason"))
QUARANTINE_RELEASES = Table("quarantine_releases", ("id", "released_by"))
PRICE_CHANGES = Table(
    "price_changes",
    (
        "id", "event_id", "source", "section", "row", "seat", "listing_id", "listing_url", "currency", "level",
        "old_price", "new_price", "change", "change_percent", "previous_timestamp", "timestamp",
    ),
)  # fmt: skip
PRICE_WINDOWS = Table(
    "price_windows",
    (
        "event_id", "source", "section", "level", "currency", "window_seconds", "window_start", "min_price",
        "max_price", "avg_price", "open_price", "close_price", "observations", "listings", "is_final",
    ),
    key=("event_id", "window_seconds", "window_start", "source", "section", "level", "currency"),
)  # fmt: skip
EVENTS = Table("events", ("event_id", "event_name", "venue", "event_date", "city", "state"), key=("event_id",))
ALERTS = Table(
    "price_drop_alerts",
    (
        "alert_id", "event_id", "event_name", "venue", "alert_type", "alert_timestamp", "old_price", "new_price",
        "drop_amount", "drop_percent", "currency", "section", "row", "seat", "source", "listing_id", "listing_url",
        "price_id", "rule_id", "rule_version", "rule_name", "cause", "reference", "percentile", "lowest_so_far",
        "sample", "quantity",
    ),
)  # fmt: skip
OUTBOX = Table("outbox", ("alert_id", "channel"))
ALERT_TRIGGERS = Table(
    "alert_triggers",
    ("alert_id", "price", "source", "section", "row", "seat", "listing_url", "triggered_at", "price_id"),
)
RULE_DECISIONS = Table(
    "rule_decisions",
    (
        "rule_id", "price_id", "event_id", "version", "fired", "reason", "price", "threshold", "reference",
        "observed_at",
    ),
)  # fmt: skip
RULE_STATES = Table(
    "rule_states",
    (
        "rule_id", "event_id", "version", "state", "reason", "price", "threshold", "reference", "lowest", "sample",
        "observed_at", "alerts", "last_alert_at",
    ),
    key=("rule_id", "event_id"),
)  # fmt: skip
DEAD_LETTERS = Table("dead_letters", ("id", "topic", "partition", "offset", "reason", "detail", "payload", "size"))
PROGRESS = Table(
    "pipeline_progress",
    (
        "stream", "partition", "next_offset", "log_end", "watermark", "accepted", "quarantined", "dead", "late",
        "tombstones",
    ),
    key=("stream", "partition"),
)  # fmt: skip
METRICS = Table("system_metrics", ("metric_name", "metric_value", "timestamp"))
SOURCE_STATUS = Table("source_status", SourceStatus._fields, key=("source",))


def history(rows: pl.DataFrame) -> Write:
    """Accepted price rows with `late`."""
    return Write(PRICE_HISTORY, rows, _history_frame)


def quarantine(rows: pl.DataFrame) -> Write:
    """Price rows held out, with their `reason`."""
    return Write(QUARANTINE, rows, _quarantine_frame)


def releases(pairs: list[tuple[int, int]]) -> Write:
    """(id of a row held out, id of the accepted row that showed it to be true)."""
    schema = dict.fromkeys(QUARANTINE_RELEASES.columns, pl.Int64)
    return Write(QUARANTINE_RELEASES, pl.DataFrame(pairs, schema=schema, orient="row"))


def price_changes(rows: pl.DataFrame) -> Write:
    """The rows of a frame with `changes.CHANGE_SCHEMA` whose all-in price is another than before."""
    return Write(PRICE_CHANGES, rows, _changes_frame)


def alerts(rows: pl.DataFrame, channel: str | None) -> list[Write]:
    """Alerts of `alert_rows.ALERT_SCHEMA` with their deliveries, to be committed together.

    Args:
        rows: the alerts.
        channel: of those that name none; None when there is no default one.
    """
    writes = [Write(ALERTS, rows, _alerts_frame)]
    default = [] if channel is None else [channel]
    named = pl.when(pl.col("channels").list.len() > 0).then("channels").otherwise(pl.lit(default, pl.List(pl.String)))
    deliveries = rows.select("alert_id", channel=named).explode("channel").drop_nulls().unique(maintain_order=True)
    if deliveries.height:
        writes.append(Write(OUTBOX, deliveries))
    of_rules = rows.filter(pl.col("rule_id").is_not_null())
    if of_rules.height:
        writes.append(Write(ALERT_TRIGGERS, of_rules, _triggers_frame))
    return writes


def decisions(rows: list[Decision]) -> Write:
    """What people's rules decided, and why."""
    values = [(d.rule.id, d.price_id, d.event_id, d.rule.version, d.fired, d.reason, d.price, d.threshold, d.reference,
               d.time) for d in rows]  # fmt: skip
    types = dict.fromkeys(RULE_DECISIONS.columns, pl.Int64) | {
        "event_id": pl.String, "fired": pl.Boolean, "reason": pl.String,
    }  # fmt: skip
    frame = pl.DataFrame(values, schema=types, orient="row")
    return Write(RULE_DECISIONS, frame.with_columns(*to_units("price", "threshold", "reference"), _time("observed_at")))


def standings(rows: list[Standing]) -> Write:
    """What people's rules think of their events, at most one row of each rule and event."""
    values = [(s.rule.id, s.event_id, s.rule.version, s.state, s.reason, s.price, s.threshold, s.reference, s.lowest,
               s.sample, s.time, s.alerts, s.last_alert_at) for s in rows]  # fmt: skip
    types = dict.fromkeys(RULE_STATES.columns, pl.Int64) | dict.fromkeys(("event_id", "state", "reason"), pl.String)
    frame = pl.DataFrame(values, schema=types, orient="row")
    return Write(
        RULE_STATES,
        frame.with_columns(
            *to_units("price", "threshold", "reference", "lowest"), _time("observed_at"), _time("last_alert_at")
        ),
    )


def _history_frame(rows: pl.DataFrame) -> pl.DataFrame:
    return with_units(rows, *MONEY)[list(PRICE_HISTORY.columns)]


def _quarantine_frame(rows: pl.DataFrame) -> pl.DataFrame:
    return with_units(rows, *MONEY)[list(QUARANTINE.columns)]


def _changes_frame(rows: pl.DataFrame) -> pl.DataFrame:
    moved = rows["change"] != 0
    if not moved.any():
        return rows.clear()  # nothing to write, and so whatever columns it has
    changed = rows.filter(moved)
    named = pl.DataFrame([changed[_CHANGED.get(name, name)].alias(name) for name in PRICE_CHANGES.columns])
    return with_units(with_units(named, "change_percent", of=PERCENT), "old_price", "new_price", "change")


_CHANGED = {"old_price": "previous_total", "new_price": "total_price"}


def _alerts_frame(rows: pl.DataFrame) -> pl.DataFrame:
    return (
        rows.with_columns(drop_amount=pl.col("old_price") - pl.col("new_price"))
        .with_columns(
            *to_units("old_price", "new_price", "drop_amount", "lowest_so_far"),
            percent("drop_percent"),
            percent("percentile"),
            alert_timestamp="timestamp",
            price_id="id",
        )
        .select(ALERTS.columns)
    )


def _triggers_frame(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(
        alert_id="rule_id", price=to_units("new_price")[0], triggered_at="timestamp", price_id="id"
    ).select(ALERT_TRIGGERS.columns)


_WINDOW_FRAME = dict.fromkeys(PRICE_WINDOWS.columns[:5], pl.String) | {
    **dict.fromkeys(PRICE_WINDOWS.columns[5:14], pl.Int64),
    "is_final": pl.Boolean,
}


def windows(rows: list[Window]) -> Write:
    """Windows, at most one of each key; in the order of the key, so that neighbours in the index are upserted together.

    In any other order, a quarter more of Postgres' time goes into an index that does not fit into its cache.
    """
    columns = zip(_WINDOW_FRAME.items(), zip(*rows, strict=True), strict=True)
    frame = pl.DataFrame([pl.Series(name, column, dtype=dtype) for (name, dtype), column in columns])
    priced = with_units(frame, "min_price", "max_price", "avg_price", "open_price", "close_price")
    priced = priced.with_columns(priced["window_start"].cast(UTC))
    return Write(PRICE_WINDOWS, priced.sort(PRICE_WINDOWS.key[:3]))


def events(rows: list[Description]) -> Write:
    """Event descriptions, at most one of each event."""
    schema = dict.fromkeys(EVENTS.columns, pl.String) | {"event_date": pl.Int64}
    return Write(EVENTS, pl.DataFrame(rows, schema=schema, orient="row").with_columns(_time("event_date")))


def progress(rows: list[Progress]) -> Write:
    """Progress, at most one of each partition."""
    schema = dict.fromkeys(PROGRESS.columns, pl.Int64)
    return Write(PROGRESS, pl.DataFrame(rows, schema=schema, orient="row").with_columns(_time("watermark")))


def metrics(rows: list[Metric]) -> Write:
    """Metric readings."""
    schema = {"metric_name": pl.String, "metric_value": pl.Float64, "timestamp": pl.Int64}
    return Write(METRICS, pl.DataFrame(rows, schema=schema, orient="row").with_columns(_time("timestamp")))


def source_status(rows: list[SourceStatus]) -> Write:
    """Sources as they are now, at most one row of each."""
    names = dict.fromkeys(SOURCE_STATUS.columns[:3], pl.String)
    schema = names | dict.fromkeys(SOURCE_STATUS.columns[3:], pl.Int64)
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return Write(SOURCE_STATUS, frame.with_columns(*map(_time, ("last_answer", "next_look", "updated_at"))))


def dead_letters(rows: list[DeadLetter]) -> Write:
    """Refused messages; of a long one, Postgres keeps the first 64 KiB."""
    values = [(*row[:6], "\\x" + row.payload[:MAX_PAYLOAD].hex(), len(row.payload)) for row in rows]
    text = dict.fromkeys(DEAD_LETTERS.columns, pl.String)
    schema = text | dict.fromkeys(("id", "partition", "offset", "size"), pl.Int64)
    return Write(DEAD_LETTERS, pl.DataFrame(values, schema=schema, orient="row"))


def _time(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Datetime("us", "UTC"))
