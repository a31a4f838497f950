"""Prices that are held, what they are doubted beside, and what became of them."""

from __future__ import annotations

from typing import Literal, get_args

import polars as pl

from dash_app.database import Database
from dash_app.loaders.schemas import TIME, Schema

Fate = Literal["held", "released", "confirmed", "all"]
FATES: tuple[Fate, ...] = get_args(Fate)
MOST_COUNTED = 10_000

HELD: Schema = {
    "id": pl.Int64, "time": TIME, "event_id": pl.String, "event": pl.String, "source": pl.String, "section": pl.String,
    "row": pl.String, "seat": pl.String, "price": pl.Float64, "total": pl.Float64, "currency": pl.String,
    "quantity": pl.Int64, "url": pl.String, "reason": pl.String, "state": pl.String, "reviewed": pl.String,
    "reviewed_at": TIME, "released_by": pl.Int64, "before": pl.Float64, "before_time": TIME, "usual": pl.Float64,
}  # fmt: skip
REASONS: Schema = {"reason": pl.String, "count": pl.Int64}

_WHERE = """
(%(state)s = 'all' OR q.state = %(state)s) AND (%(reason)s::text IS NULL OR q.reason = %(reason)s)
AND (%(event)s::text IS NULL OR q.event_id = %(event)s OR q.event_id IN (
    SELECT event_id FROM events WHERE strpos(lower(event_name), lower(%(event)s)) > 0))
"""

# The listing's last accepted price and the section's usual one within a day before: an event's index finds both.
_HELD = f"""
WITH page AS (
    SELECT * FROM quarantined q WHERE {_WHERE} ORDER BY q."timestamp" DESC, q.id LIMIT %(limit)s OFFSET %(offset)s
)
SELECT q.id, q."timestamp", q.event_id, coalesce(e.event_name, q.event_id), q.source, q.section, q."row", q.seat,
       q.price::float8, q.total_price::float8, q.currency, q.quantity, q.listing_url, q.reason, q.state, q.reviewed,
       q.reviewed_at, q.released_by, b.total_price::float8, b."timestamp", u.price::float8
FROM page q LEFT JOIN events e USING (event_id)
LEFT JOIN LATERAL (
    SELECT h.total_price, h."timestamp" FROM price_history h
    WHERE h.event_id = q.event_id AND h."timestamp" < q."timestamp" AND h."timestamp" > q."timestamp" - interval '1 day'
      AND h.source = q.source AND h.currency = q.currency AND h.id <> q.id
      AND CASE WHEN q.listing_id IS NOT NULL THEN h.listing_id = q.listing_id
               ELSE (h.listing_id, h.section, h."row", h.seat) IS NOT DISTINCT FROM (NULL, q.section, q."row", q.seat) END
    ORDER BY h."timestamp" DESC LIMIT 1
) b ON true
LEFT JOIN LATERAL (
    SELECT sum(w.avg_price * w.observations) / nullif(sum(w.observations), 0) AS price FROM price_windows w
    WHERE w.event_id = q.event_id AND w.window_seconds = 3600 AND w.currency = q.currency AND w.level = q.level
      AND w.window_start > q."timestamp" - interval '1 day' AND w.window_start <= q."timestamp"
      AND w.section = coalesce(q.section, '') AND w.source <> ''
) u ON true
ORDER BY q."timestamp" DESC, q.id
"""  # noqa: S608 -- joined from constants; values are parameters

_COUNT = f"SELECT count(*) FROM (SELECT FROM quarantined q WHERE {_WHERE} LIMIT %(most)s) counted"  # noqa: S608 -- constants
_REASONS = """
SELECT reason, count(*) FROM (
    SELECT q.reason FROM quarantined q WHERE %(state)s = 'all' OR q.state = %(state)s
    ORDER BY q."timestamp" DESC LIMIT %(most)s
) newest GROUP BY 1 ORDER BY 2 DESC, 1
"""


def quarantine(
    database: Database, state: Fate = "held", reason: str | None = None, event: str | None = None, offset: int = 0,
    limit: int | None = 20,
) -> pl.DataFrame:  # fmt: skip
    """Prices in quarantine, those that were observed last first.

    Args:
        state: what became of them.
        reason: why they are held.
        event: an event's id, or a part of its name.
        offset, limit: which part of them.

    Columns: `price` and all-in `total` a ticket; `before`: what the same listing cost last, at `before_time`; `usual`:
    the average of its section in the day before. Both are None where nothing is known.
    """
    given = {"state": state, "reason": reason, "event": event, "limit": limit, "offset": offset}
    return database.frame(_HELD, given, HELD)


def quarantine_count(database: Database, state: Fate, reason: str | None, event: str | None) -> int:
    """How many there are, `MOST_COUNTED` at most."""
    given = {"state": state, "reason": reason, "event": event, "most": MOST_COUNTED}
    return int(database.rows(_COUNT, given)[0][0])


def quarantine_reasons(database: Database, state: Fate) -> pl.DataFrame:
    """How many there are of each reason among the newest `MOST_COUNTED`, the most frequent first."""
    return database.frame(_REASONS, {"state": state, "most": MOST_COUNTED}, REASONS)


def release(database: Database, number: int) -> bool:
    """A person says: this price was right. It enters the history; whether it is there."""
    return bool(database.change("SELECT release_quarantined(%(id)s)", {"id": number})[0][0])


def confirm(database: Database, number: int) -> bool:
    """A person says: this price was wrong. A release by hand is taken back; whether it is there."""
    return bool(database.change("SELECT confirm_quarantined(%(id)s)", {"id": number})[0][0])
