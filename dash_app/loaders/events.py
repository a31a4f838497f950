"""Which events there are to look at."""

from __future__ import annotations

import polars as pl

from dash_app.database import Database
from dash_app.loaders.schemas import EVENTS

_RECENT = """
WITH latest AS (SELECT max(window_start) AS start FROM price_windows WHERE window_seconds = 3600),
active AS (
    SELECT w.event_id, max(w.window_start) AS latest,
           sum(w.observations) FILTER (WHERE w.window_start >= latest.start - interval '1 hour') AS observations
    FROM price_windows w, latest
    WHERE w.window_seconds = 3600 AND w.window_start >= latest.start - interval '12 hours'
      AND w.section = '' AND (w.source = '' OR w.level = 'event')
    GROUP BY w.event_id
), daily AS (  -- behind all of those, so not looked for when they are enough
    SELECT w.event_id, max(w.window_start) AS latest, 0::numeric AS observations
    FROM price_windows w, latest
    WHERE (SELECT count(*) FROM active) < %(limit)s
      AND w.window_seconds = 86400 AND w.window_start >= latest.start - interval '30 days'
      AND w.section = '' AND (w.source = '' OR w.level = 'event')
    GROUP BY w.event_id
), known AS (
    SELECT * FROM active
    UNION ALL
    SELECT * FROM daily d WHERE NOT EXISTS (SELECT FROM active a WHERE a.event_id = d.event_id)
)
SELECT k.event_id, e.event_name, e.venue, e.event_date, k.latest, coalesce(k.observations, 0)::bigint
FROM known k LEFT JOIN events e USING (event_id)
ORDER BY k.latest DESC, k.observations DESC NULLS LAST, k.event_id LIMIT %(limit)s
"""

_FOUND = """
SELECT event_id, event_name, venue, event_date, NULL::timestamptz, 0::bigint FROM events
WHERE position(lower(%(words)s) IN lower(concat_ws(' · ', coalesce(event_name, event_id), venue))) > 0
   OR event_id = %(words)s
ORDER BY coalesce(event_date < now(), true), event_date, event_id LIMIT %(limit)s
"""

_ONE = """
SELECT event_id, event_name, venue, event_date, NULL::timestamptz, 0::bigint FROM events WHERE event_id = %(event)s
UNION ALL
SELECT %(event)s, NULL, NULL, NULL, NULL, 0 WHERE EXISTS (SELECT FROM price_windows WHERE event_id = %(event)s)
LIMIT 1
"""


def recent_events(database: Database, limit: int = 1000) -> pl.DataFrame:
    """Events with prices in the last 30 days, the latest active first and among those the liveliest.

    Columns: event_id, name, venue, date, latest (start of the latest window), observations (of the last two hours).
    """
    return database.frame(_RECENT, {"limit": limit}, EVENTS)


def find_events(database: Database, words: str, limit: int = 100) -> pl.DataFrame:
    """Events with `words` in "name · venue", the next to take place first, in the columns of `recent_events`."""
    return database.frame(_FOUND, {"words": words, "limit": limit}, EVENTS)


def find_event(database: Database, event_id: str) -> pl.DataFrame:
    """One event in the columns of `recent_events`, or no row when nothing is known of it."""
    return database.frame(_ONE, {"event": event_id}, EVENTS)
