"""Every event at a glance: what each costs now, what it cost a day ago, and what it has cost since it is known.

All of it is read from windows by index: rows of whole events (their listings together, or what a source says of the event as
a whole) for the history, the places' minute windows around two moments for the prices. Prices are in an event's main
currency: the one of most of its observations.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from dash_app.database import Database
from dash_app.loaders.schemas import TIME, Schema

HISTORY: Schema = {
    "event_id": pl.String, "name": pl.String, "venue": pl.String, "date": TIME, "currency": pl.String,
    "unit": pl.Int64, "starts": pl.List(pl.Int64), "lows": pl.List(pl.Float64),
}  # fmt: skip
NOW: Schema = {
    "event_id": pl.String, "price": pl.Float64, "seen": TIME, "sources": pl.List(pl.String),
    "before": pl.Float64, "before_at": TIME, "listings": pl.Int64,
}  # fmt: skip

ENOUGH = 5  # units that make a history; with fewer, smaller ones tell more
# By the seconds of a unit: the window it is made of, and how far back it reaches.
_UNITS = {86_400: (86_400, "90 days"), 3600: (3600, "4 days"), 300: (60, "5 hours")}

_LINES = """
WITH bounds AS (
    SELECT max(window_start) - interval '{reach}' AS since FROM price_windows WHERE window_seconds = {window}
), units AS (
    SELECT event_id, currency, floor(extract(epoch FROM window_start) / {unit})::bigint AS unit,
           min(min_price) AS low, sum(observations) AS observations
    FROM price_windows, bounds
    WHERE window_seconds = {window} AND window_start >= since AND section = '' AND (source = '' OR level = 'event') {chosen}
    GROUP BY event_id, currency, unit
), lines AS (
    SELECT event_id, currency, string_agg(unit::text, ',' ORDER BY unit) AS units,
           string_agg(low::text, ',' ORDER BY unit) AS lows, sum(observations) AS observations
    FROM units GROUP BY event_id, currency
)
SELECT DISTINCT ON (l.event_id) l.event_id, e.event_name, e.venue, e.event_date, l.currency, l.units, l.lows
FROM lines l LEFT JOIN events e USING (event_id) ORDER BY l.event_id, l.observations DESC, l.currency
"""
_CHOSEN = """
AND event_id = ANY(%(events)s::text[])
AND (event_id, currency) IN (SELECT * FROM unnest(%(events)s::text[], %(currencies)s::text[]))
"""
_QUESTIONS = {
    unit: _LINES.format(unit=unit, window=window, reach=reach, chosen=_CHOSEN if unit < 86_400 else "")
    for unit, (window, reach) in _UNITS.items()
}
_TEXTS: Schema = {**{name: HISTORY[name] for name in ("event_id", "name", "venue", "date", "currency")},
                  "units": pl.String, "lows": pl.String}  # fmt: skip

_STIRRED = """
SELECT DISTINCT event_id FROM price_windows
WHERE window_seconds = 60
  AND window_start >= (SELECT max(window_start) FROM price_windows WHERE window_seconds = 60) - interval '4 minutes'
"""

# IS TRUE keeps the currency out of what the primary key is searched by. Among its columns, behind a range of starts, Postgres 18
# prices it as thousands of skips, takes the index of all events' windows by time instead, and throws away all others': with
# ten million prices that took seven seconds.
_NOW = """
WITH asked AS (
    SELECT * FROM unnest(%(events)s::text[], %(currencies)s::text[]) AS asked (event_id, currency)
), edges AS MATERIALIZED (
    SELECT a.event_id, a.currency, latest.at AS latest, coalesce(day.at, first.at) AS base,
           CASE WHEN day.at IS NULL THEN interval '0' ELSE interval '1 hour' END AS back,
           CASE WHEN day.at IS NULL THEN interval '1 hour' ELSE interval '0' END AS ahead
    FROM asked a
    CROSS JOIN LATERAL (
        SELECT max(window_start) AS at FROM price_windows w
        WHERE w.event_id = a.event_id AND window_seconds = 60 AND (w.currency = a.currency) IS TRUE) latest
    CROSS JOIN LATERAL (
        SELECT max(window_start) AS at FROM price_windows w
        WHERE w.event_id = a.event_id AND window_seconds = 60 AND (w.currency = a.currency) IS TRUE
          AND window_start BETWEEN latest.at - interval '48 hours' AND latest.at - interval '24 hours') day
    CROSS JOIN LATERAL (
        SELECT min(window_start) AS at FROM price_windows w
        WHERE w.event_id = a.event_id AND window_seconds = 60 AND (w.currency = a.currency) IS TRUE
          AND window_start > latest.at - interval '24 hours') first
)
SELECT e.event_id, now.low, e.latest, now.sources, before.low, e.base,
       (SELECT max(listings)::bigint FROM price_windows w
        WHERE w.event_id = e.event_id AND window_seconds = 3600 AND w.window_start
              BETWEEN date_trunc('hour', e.latest, 'UTC') - interval '1 hour' AND date_trunc('hour', e.latest, 'UTC')
          AND (source = '' AND section = '' AND w.currency = e.currency) IS TRUE)
FROM edges e
CROSS JOIN LATERAL (
    SELECT min(low)::float8 AS low, array_agg(DISTINCT source) AS sources FROM (
        SELECT DISTINCT ON (source, section, level) source, min_price AS low FROM price_windows w
        WHERE w.event_id = e.event_id AND window_seconds = 60 AND (w.currency = e.currency) IS TRUE AND source <> ''
          AND window_start BETWEEN e.latest - interval '1 hour' AND e.latest
        ORDER BY source, section, level, window_start DESC) place) now
CROSS JOIN LATERAL (
    SELECT min(low)::float8 AS low FROM (
        SELECT DISTINCT ON (source, section, level) min_price AS low FROM price_windows w
        WHERE w.event_id = e.event_id AND window_seconds = 60 AND (w.currency = e.currency) IS TRUE AND source <> ''
          AND window_start BETWEEN e.base - e.back AND e.base + e.ahead
        ORDER BY source, section, level, abs(extract(epoch FROM window_start - e.base))) place) before
WHERE e.latest IS NOT NULL
"""


def histories(database: Database) -> pl.DataFrame:
    """Every event with prices in the last 90 days, and the lowest price in each unit of its past.

    A unit is the longest of a day, an hour and five minutes (`unit`, in seconds) of which there are `ENOUGH`. `starts` are in
    seconds since 1970, ascending and without those in which nothing was seen; `lows` stand beside them.
    """
    days = _lines(database, 86_400)
    found, young = [days], days.filter(pl.col("lows").list.len() < ENOUGH)
    for unit in (3600, 300):
        if young.is_empty():
            break
        finer = _lines(database, unit, young["event_id"].to_list(), young["currency"].to_list())
        found.append(finer)
        young = young.join(finer.filter(pl.col("lows").list.len() >= ENOUGH), on="event_id", how="anti")
    units = pl.col("lows").list.len().cast(pl.Int64)
    best = pl.when(units >= ENOUGH).then(ENOUGH + pl.col("unit")).otherwise(units)
    return (
        pl.concat(found)
        .sort("event_id", best, "unit", descending=[False, True, True])
        .unique("event_id", keep="first", maintain_order=True)
    )


def stirred(database: Database) -> list[str]:
    """The events that were seen in the market's last minutes."""
    return [event for (event,) in database.rows(_STIRRED)]


def now(database: Database, events: Sequence[str], currencies: Sequence[str]) -> pl.DataFrame:
    """What these events cost when they were last seen, and a day before; those that no minute window tells of are left out.

    `price` is the get-in price: the cheapest of all places, each as it was last seen within the hour before `seen` (the start
    of the last minute window). `before` is the same at `before_at`, the latest moment 24 to 48 hours earlier; of an event
    that is not known so long, each place's first price in the hour after its first. `listings` are those that were seen in
    the clock hour of `seen` or in the one before, whichever saw more: an hour that has just begun has seen few. None where
    sources tell of no single listing.
    """
    return database.frame(_NOW, {"events": list(events), "currencies": list(currencies)}, NOW)


def _lines(database: Database, unit: int, events: Sequence[str] = (), currencies: Sequence[str] = ()) -> pl.DataFrame:
    asked = {"events": list(events), "currencies": list(currencies)}
    numbers = (
        pl.col("units").str.split(",").cast(pl.List(pl.Int64))
    )  # texts, as they are ten times cheaper to take over
    return database.frame(_QUESTIONS[unit], asked, _TEXTS).select(
        "event_id", "name", "venue", "date", "currency", pl.lit(unit, pl.Int64).alias("unit"),
        (numbers * unit).alias("starts"), pl.col("lows").str.split(",").cast(pl.List(pl.Float64)),
    )  # fmt: skip
