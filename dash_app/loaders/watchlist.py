"""What is followed, what that brought, and which listings are one event."""

from __future__ import annotations

from typing import Literal, get_args

import polars as pl

from dash_app.database import Database
from dash_app.loaders.schemas import TIME, Schema

EntryState = Literal["all", "active", "paused", "nothing"]
ENTRY_STATES: tuple[EntryState, ...] = get_args(EntryState)
LinkKind = Literal["all", "shared", "unsure", "user", "gone"]
LINK_KINDS: tuple[LinkKind, ...] = get_args(LinkKind)

ENTRIES: Schema = {
    "id": pl.Int64, "source": pl.String, "source_id": pl.String, "text": pl.String, "venue": pl.String,
    "city": pl.String, "since": pl.Date, "until": pl.Date, "active": pl.Boolean, "origin": pl.String,
    "over": pl.Boolean, "name": pl.String, "events": pl.Int64, "gone": pl.Int64, "next": pl.Date, "total": pl.Int64,
}  # fmt: skip
LINKS: Schema = {
    "source": pl.String, "source_id": pl.String, "event_id": pl.String, "event": pl.String, "name": pl.String,
    "venue": pl.String, "city": pl.String, "date": pl.Date, "starts": TIME, "url": pl.String, "status": pl.String,
    "score": pl.Float64, "evidence": pl.String, "decided_by": pl.String, "gone": pl.String, "listings": pl.Int64,
    "total": pl.Int64,
}  # fmt: skip
CHOICES: Schema = {"event_id": pl.String, "name": pl.String, "venue": pl.String, "date": pl.Date}

# Every word must stand somewhere; no pattern is made of what a person types.
_HAS_WORDS = "NOT EXISTS (SELECT FROM unnest(%(words)s::text[]) AS word WHERE strpos(lower({text}), word) = 0)"

_ENTRIES = f"""
WITH brought AS (
    SELECT watchlist_id AS id, source, source_id FROM watched
    UNION SELECT id, source, source_id FROM watchlist WHERE source_id IS NOT NULL
), found AS (
    SELECT b.id, count(DISTINCT own) FILTER (WHERE e.gone IS NULL) AS events,
           count(DISTINCT own) - count(DISTINCT own) FILTER (WHERE e.gone IS NULL) AS gone,
           min(e.local_date) FILTER (WHERE e.gone IS NULL AND e.local_date >= current_date - 1) AS next,
           min(e.name) AS name
    FROM brought b JOIN source_events e USING (source, source_id),
         coalesce(e.event_id, concat_ws('-', e.source, e.source_id)) AS own
    GROUP BY b.id
)
SELECT w.id, w.source, w.source_id, w.text, w.venue, w.city, w.since, w.until, w.active, w.origin,
       coalesce(w.until < current_date - 1, false), CASE WHEN w.source_id IS NOT NULL THEN f.name END,
       coalesce(f.events, 0), coalesce(f.gone, 0), f.next, count(*) OVER ()
FROM watchlist w LEFT JOIN found f USING (id)
WHERE {_HAS_WORDS.format(text="concat_ws(' ', w.text, w.venue, w.city, w.source, w.source_id, f.name)")}
  AND CASE %(state)s WHEN 'active' THEN w.active WHEN 'paused' THEN NOT w.active
                     WHEN 'nothing' THEN w.active AND coalesce(f.events, 0) = 0 ELSE true END
  AND (%(entry)s::bigint IS NULL OR w.id = %(entry)s)
ORDER BY w.id DESC LIMIT %(limit)s OFFSET %(offset)s
"""  # noqa: S608 -- joined from constants; values are parameters

_LINKS = f"""
WITH linked AS (
    SELECT e.*, count(*) OVER (PARTITION BY e.event_id) AS listings,
           first_value(e.name) OVER (PARTITION BY e.event_id ORDER BY e.event_id <> e.source || '-' || e.source_id,
                                     e.created_at) AS event
    FROM source_events e WHERE e.event_id IS NOT NULL
)
SELECT l.source, l.source_id, l.event_id, l.event, l.name, l.venue, l.city, l.local_date, l.starts, l.url, l.status,
       l.score, l.evidence::text, l.decided_by, l.gone, l.listings, count(*) OVER ()
FROM linked l
WHERE {_HAS_WORDS.format(text="concat_ws(' ', l.name, l.event, l.venue, l.city, l.source, l.source_id, l.event_id)")}
  AND CASE %(kind)s WHEN 'shared' THEN l.listings > 1 WHEN 'unsure' THEN l.decided_by = 'match' AND l.score < 0.9
                    WHEN 'user' THEN l.decided_by = 'user' WHEN 'gone' THEN l.gone IS NOT NULL ELSE true END
  AND (%(entry)s::bigint IS NULL OR (l.source, l.source_id) IN (
        SELECT source, source_id FROM watched WHERE watchlist_id = %(entry)s
        UNION SELECT source, source_id FROM watchlist WHERE id = %(entry)s))
ORDER BY l.local_date NULLS LAST, l.event_id, l.event_id <> l.source || '-' || l.source_id, l.created_at, l.source,
         l.source_id
LIMIT %(limit)s OFFSET %(offset)s
"""  # noqa: S608 -- joined from constants; values are parameters

_CHOICES = f"""
SELECT * FROM (
    SELECT DISTINCT ON (event_id) event_id, name, venue, local_date
    FROM source_events e WHERE event_id IS NOT NULL
    ORDER BY event_id, event_id <> source || '-' || source_id, created_at
) first
WHERE {_HAS_WORDS.format(text="concat_ws(' ', name, venue, event_id, local_date)")}
ORDER BY local_date IS DISTINCT FROM %(near)s::date, abs(local_date - %(near)s::date), local_date, event_id LIMIT %(limit)s
"""  # noqa: S608 -- joined from constants; values are parameters

_KNOWN = """
SELECT source FROM source_status UNION SELECT source FROM source_events
UNION SELECT source FROM watchlist WHERE source IS NOT NULL ORDER BY 1
"""


def watchlist(
    database: Database, find: str = "", state: EntryState = "all", entry: int | None = None, offset: int = 0,
    limit: int | None = None,
) -> pl.DataFrame:  # fmt: skip
    """Entries of the watchlist, the newest first.

    Args:
        find: words that must stand in what an entry says, or in the name of its event.
        state: "nothing": followed, and no event is found.
        entry: only that one.
        offset, limit: which part of them.

    Columns: what the entry says; `over`: its last date has passed; `name` of the event of an entry by id; `events`
    that are looked at because of it, each once at however many sources, those `gone` from all of them, and the `next`
    date; `total` of all parts.
    """
    given = {"words": _words(find), "state": state, "entry": entry, "offset": offset, "limit": limit}
    return database.frame(_ENTRIES, given, ENTRIES)


def links(
    database: Database, find: str = "", kind: LinkKind = "all", entry: int | None = None, offset: int = 0,
    limit: int | None = None,
) -> pl.DataFrame:  # fmt: skip
    """Sources' listings and the events that they are, the next show first and the listings of an event together.

    Args:
        find: words that must stand in the listing or its event.
        kind: "shared": several listings of one event; "unsure": matched with a score under 0.9.
        entry: only what this entry of the watchlist brought.
        offset, limit: which part of them.
    """
    given = {"words": _words(find), "kind": kind, "entry": entry, "offset": offset, "limit": limit}
    return database.frame(_LINKS, given, LINKS)


def event_choices(database: Database, find: str, near: str | None = None, limit: int = 30) -> pl.DataFrame:
    """Events that a listing could be: those with the words of `find`, the nearest to the date `near` first."""
    return database.frame(_CHOICES, {"words": _words(find), "near": near, "limit": limit}, CHOICES)


def known_sources(database: Database) -> list[str]:
    """The names of all sources that are configured, or were."""
    return [row[0] for row in database.rows(_KNOWN)]


def _words(find: str) -> list[str]:
    return find.lower().split()[:12]
