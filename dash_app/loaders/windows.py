"""Prices over time, from the windows that the flow keeps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import polars as pl

from dash_app.database import Database
from dash_app.loaders.schemas import CURRENCIES, MARKS, SERIES, SNAPSHOT, TIME, Schema

DOUBTS: Schema = {
    "time": TIME, "price": pl.Float64, "reason": pl.String, "state": pl.String, "section": pl.String,
    "source": pl.String,
}  # fmt: skip
EVER = datetime(1, 1, 1, tzinfo=UTC)
NEVER = datetime(9999, 1, 1, tzinfo=UTC)

# IS TRUE: see `market._NOW`.
_SCOPE = """
event_id = %(event)s AND window_seconds = %(seconds)s AND (currency = %(currency)s) IS TRUE
  AND window_start >= %(since)s AND window_start < %(to)s
"""

_EVENT = f"""
SELECT source, section, level, window_start, min_price::float8, avg_price::float8, observations, is_final
FROM price_windows WHERE {_SCOPE} AND source = '' AND section = '' ORDER BY window_start
"""  # noqa: S608 -- joined from constants; values are parameters

_LINES = f"""
SELECT source, CASE WHEN %(by_section)s THEN section ELSE '' END AS part, level, window_start,
       min(min_price)::float8, (sum(avg_price * observations) / sum(observations))::float8,
       sum(observations)::bigint, bool_and(is_final)
FROM price_windows
WHERE {_SCOPE} AND source <> ''
  AND (source = ANY(%(sources)s::text[]) OR cardinality(%(sources)s::text[]) = 0)
  AND (section = ANY(%(sections)s::text[]) OR cardinality(%(sections)s::text[]) = 0)
GROUP BY source, part, level, window_start ORDER BY window_start
"""  # noqa: S608

_EXTENT = """
SELECT min(window_start), max(window_start) + interval '1 minute' FROM price_windows
WHERE event_id = %(event)s AND window_seconds = 60
"""

_SNAPSHOT = """
WITH edge AS (
    SELECT {edge}(window_start) {shift} AS at FROM price_windows
    WHERE event_id = %(event)s AND window_seconds = 60 AND (currency = %(currency)s) IS TRUE
)
SELECT DISTINCT ON (source, section, level) source, section, level, window_start,
       min_price::float8, max_price::float8, avg_price::float8, listings::bigint
FROM price_windows, edge
WHERE event_id = %(event)s AND window_seconds = 60 AND (currency = %(currency)s) IS TRUE
  AND window_start BETWEEN edge.at - {before} AND edge.at + {after}
ORDER BY source, section, level, window_start {order}
"""
_HOUR, _NONE = "interval '1 hour'", "interval '0'"
_SNAPSHOTS = {
    "now": _SNAPSHOT.format(edge="max", shift="", before=_HOUR, after=_NONE, order="DESC"),
    "hour ago": _SNAPSHOT.format(edge="max", shift=f"- {_HOUR}", before=_HOUR, after=_NONE, order="DESC"),
    "start": _SNAPSHOT.format(edge="min", shift="", before=_NONE, after=_HOUR, order="ASC"),
}

_CURRENCIES = """
SELECT currency, sum(observations)::bigint FROM price_windows
WHERE event_id = %(event)s AND window_seconds = 86400 AND section = '' AND (source = '' OR level = 'event')
GROUP BY currency ORDER BY 2 DESC, 1
"""

# Of the last 30 days in which there were prices, however long the event has been followed.
_LATELY = """
event_id = %(event)s AND window_seconds = 86400 AND source <> '' AND window_start > (
    SELECT max(window_start) FROM price_windows WHERE event_id = %(event)s AND window_seconds = 86400
) - interval '30 days'
"""
_SOURCES = f"SELECT DISTINCT source FROM price_windows WHERE {_LATELY} ORDER BY 1"  # noqa: S608
_SECTIONS = f"""
SELECT section, sum(observations)::bigint FROM price_windows
WHERE {_LATELY} AND level = 'listing'
  AND (section = ANY(%(chosen)s::text[]) OR position(lower(%(words)s) IN lower(section)) > 0)
GROUP BY section
ORDER BY section = ANY(%(chosen)s::text[]) DESC, lower(section) = lower(%(words)s) DESC, length(section), section
LIMIT %(limit)s
"""  # noqa: S608

_MARKS = """
SELECT a.alert_timestamp, {price}::float8, -a.drop_percent::float8, a.section, a.source
FROM price_drop_alerts a {join}
WHERE a.event_id = %(event)s AND a.currency = %(currency)s
  AND a.alert_timestamp >= %(since)s AND a.alert_timestamp < %(to)s AND {price} IS NOT NULL
ORDER BY a.alert_timestamp DESC LIMIT 200
"""
_ALERTS = {
    "total": _MARKS.format(price="a.new_price", join=""),
    "base": _MARKS.format(price="h.price", join="LEFT JOIN price_history h ON h.id = a.price_id"),
}

_DOUBTS = """
SELECT "timestamp", CASE WHEN %(base)s THEN price ELSE total_price END::float8, reason, state, section, source
FROM quarantined
WHERE event_id = %(event)s AND currency = %(currency)s AND "timestamp" >= %(since)s AND "timestamp" < %(to)s
ORDER BY "timestamp" DESC LIMIT 200
"""


def currencies(database: Database, event_id: str) -> list[str]:
    """The currencies of an event's prices, the most common first."""
    return database.frame(_CURRENCIES, {"event": event_id}, CURRENCIES)["currency"].to_list()


def extent(database: Database, event_id: str) -> tuple[datetime, datetime] | None:
    """When an event's first minute with prices began and its last one ends; None without any."""
    ((first, last),) = database.rows(_EXTENT, {"event": event_id})
    return None if first is None else (first, last)


def event_sources(database: Database, event_id: str) -> list[str]:
    """Who has had prices of an event in its last 30 days, by name."""
    return [source for (source,) in database.rows(_SOURCES, {"event": event_id})]


def event_sections(
    database: Database, event_id: str, words: str = "", chosen: Sequence[str] = (), limit: int = 100
) -> list[str]:
    """Sections of an event ('' for none) whose name has `words` in it, after those of `chosen` that it knows.

    Of the last 30 days; short names first, so that "1" comes before "10". An event may have thousands.
    """
    asked = {"event": event_id, "words": words, "chosen": list(chosen), "limit": limit}
    return [section for section, _ in database.rows(_SECTIONS, asked)]


def event_series(
    database: Database, event_id: str, seconds: int, currency: str, since: datetime = EVER, to: datetime = NEVER
) -> pl.DataFrame:
    """The whole event's windows in time order: start, low, average, observations, final.

    Args:
        since, to: of the windows' starts; `to` is exclusive.
    """
    return database.frame(_EVENT, _scope(event_id, seconds, currency, since, to), SERIES)


def line_series(
    database: Database, event_id: str, seconds: int, currency: str,
    sections: Sequence[str] = (), sources: Sequence[str] = (), since: datetime = EVER, to: datetime = NEVER,
) -> pl.DataFrame:  # fmt: skip
    """Windows by source, and by section when sections are chosen, in the columns of `event_series`.

    No sources means all of them. Averages over several sections are weighted by their observations.
    """
    chosen = {"sections": list(sections), "sources": list(sources), "by_section": bool(sections)}
    return database.frame(_LINES, {**_scope(event_id, seconds, currency, since, to), **chosen}, SERIES)


def snapshot(
    database: Database, event_id: str, currency: str, when: Literal["now", "hour ago", "start"]
) -> pl.DataFrame:
    """One minute window per source and section: the latest, the latest as of an hour before it, or the first.

    Looks one hour around. The row with source '' and section '' is the whole event.
    Columns: source, section, level, start, low, high, average, listings.
    """
    return database.frame(_SNAPSHOTS[when], {"event": event_id, "currency": currency}, SNAPSHOT)


def alert_marks(
    database: Database, event_id: str, currency: str, since: datetime, to: datetime = NEVER,
    basis: Literal["total", "base"] = "total",
) -> pl.DataFrame:  # fmt: skip
    """The latest 200 alerts of an event: time, new (price), percent (a drop is positive), section, source.

    An alert is of an all-in price; its base price is that of the price row which caused it, while Postgres has it.
    """
    asked = {"event": event_id, "currency": currency, "since": since, "to": to}
    return database.frame(_ALERTS[basis], asked, MARKS)


def doubt_marks(
    database: Database, event_id: str, currency: str, since: datetime, to: datetime = NEVER,
    basis: Literal["total", "base"] = "total",
) -> pl.DataFrame:  # fmt: skip
    """The latest 200 prices of an event that were set apart: time, price, reason, state ('held', 'released' or
    'confirmed'), section, source."""
    asked = {"event": event_id, "currency": currency, "since": since, "to": to, "base": basis == "base"}
    return database.frame(_DOUBTS, asked, DOUBTS)


def _scope(event_id: str, seconds: int, currency: str, since: datetime, to: datetime) -> dict[str, object]:
    return {"event": event_id, "seconds": seconds, "currency": currency, "since": since, "to": to}
