"""Prices over time, from the windows that the flow keeps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import polars as pl

from dash_app.database import Database
from dash_app.loaders.schemas import CURRENCIES, FACETS, MARKS, SERIES, SNAPSHOT

# How far back a chart reaches, by the size of its windows in seconds.
SPANS = {60: "6 hours", 3600: "14 days", 86400: "2 years"}

_SCOPE = """
event_id = %(event)s AND window_seconds = %(seconds)s AND currency = %(currency)s AND window_start >= (
    SELECT max(window_start) FROM price_windows WHERE event_id = %(event)s AND window_seconds = %(seconds)s
) - %(span)s::interval
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

_SNAPSHOT = """
WITH edge AS (
    SELECT {edge}(window_start) {shift} AS at FROM price_windows
    WHERE event_id = %(event)s AND window_seconds = 60 AND currency = %(currency)s
)
SELECT DISTINCT ON (source, section, level) source, section, level, window_start,
       min_price::float8, max_price::float8, avg_price::float8, listings::bigint
FROM price_windows, edge
WHERE event_id = %(event)s AND window_seconds = 60 AND currency = %(currency)s
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

_FACETS = """
SELECT DISTINCT source, section, level FROM price_windows
WHERE event_id = %(event)s AND window_seconds = 86400 AND source <> '' ORDER BY source, section, level
"""

_MARKS = """
SELECT alert_timestamp, new_price::float8, -drop_percent::float8, section, source FROM price_drop_alerts
WHERE event_id = %(event)s AND currency = %(currency)s AND alert_timestamp >= %(since)s
ORDER BY alert_timestamp DESC LIMIT 200
"""


def currencies(database: Database, event_id: str) -> list[str]:
    """The currencies of an event's prices, the most common first."""
    return database.frame(_CURRENCIES, {"event": event_id}, CURRENCIES)["currency"].to_list()


def facets(database: Database, event_id: str) -> pl.DataFrame:
    """The sources and sections of an event: source, section ('' for none), level."""
    return database.frame(_FACETS, {"event": event_id}, FACETS)


def event_series(database: Database, event_id: str, seconds: int, currency: str) -> pl.DataFrame:
    """The whole event's windows in time order: start, low, average, observations, final."""
    return database.frame(_EVENT, _scope(event_id, seconds, currency), SERIES)


def line_series(
    database: Database, event_id: str, seconds: int, currency: str,
    sections: Sequence[str] = (), sources: Sequence[str] = (),
) -> pl.DataFrame:  # fmt: skip
    """Windows by source, and by section when sections are chosen, in the columns of `event_series`.

    No sources means all of them. Averages over several sections are weighted by their observations.
    """
    chosen = {"sections": list(sections), "sources": list(sources), "by_section": bool(sections)}
    return database.frame(_LINES, {**_scope(event_id, seconds, currency), **chosen}, SERIES)


def snapshot(
    database: Database, event_id: str, currency: str, when: Literal["now", "hour ago", "start"]
) -> pl.DataFrame:
    """One minute window per source and section: the latest, the latest as of an hour before it, or the first.

    Looks one hour around. The row with source '' and section '' is the whole event.
    Columns: source, section, level, start, low, high, average, listings.
    """
    return database.frame(_SNAPSHOTS[when], {"event": event_id, "currency": currency}, SNAPSHOT)


def alert_marks(database: Database, event_id: str, currency: str, since: datetime) -> pl.DataFrame:
    """The latest 200 alerts of an event: time, new (price), percent (a drop is positive), section, source."""
    return database.frame(_MARKS, {"event": event_id, "currency": currency, "since": since}, MARKS)


def _scope(event_id: str, seconds: int, currency: str) -> dict[str, object]:
    return {"event": event_id, "seconds": seconds, "currency": currency, "span": SPANS[seconds]}
