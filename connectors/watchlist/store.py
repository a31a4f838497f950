"""The watchlist in Postgres as ingestion asks it, and which of ConScope's events every source's event is.

An event's id is `<source>-<id>` of the listing that was linked first. A link never changes by itself: it is made once,
under a lock that all processes share, and only a user makes another (`relink`, `unlink`).

Every method takes a connection of its own, so that threads may share a `Watchlist` and a restart of Postgres costs one
call. Each may raise psycopg.Error; then nothing of the call has happened.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from analytics.matching import EventFacts, is_addon, match_event
from analytics.watchlist import Entry, Listed, Query
from analytics.watchstore import Connection, Link, WatchStore, as_entry, as_link, as_listed, insert, own_event_id
from connectors.source import Target

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OVER_HOURS = 6  # after a show begins nobody sells seats for it; where only the date is known, its end counts


class Synced(NamedTuple):
    """How many entries a file brought, and how many went because they left it."""

    added: int
    removed: int


class Watched(NamedTuple):
    """A target, and which of ConScope's events it is.

    `event_id` is None until the source has said what the event is (an entry by id, never looked at): `link` what the
    look lists before its prices are published, or take `own_event_id` when it lists nothing.
    """

    target: Target
    event_id: str | None


class Watchlist(WatchStore):
    """What people ask of the watchlist, and what ingestion does."""

    def sync(self, entries: Iterable[Entry]) -> Synced:
        """Make the file's entries those that are given; entries that were added by hand stay, whatever the file says."""
        wanted = dict.fromkeys(entries)
        with self.transaction(lock=True) as connection:
            there = connection.execute("SELECT * FROM watchlist WHERE origin = 'file'").fetchall()
            old = [row["id"] for row in there if as_entry(row) not in wanted]
            connection.execute("DELETE FROM watchlist WHERE id = ANY(%s)", (old,))
            added = sum(insert(connection, entry, "file") is not None for entry in wanted)
        return Synced(added, len(old))

    def queries(self, source: str) -> list[tuple[int, Query]]:
        """What to search a source for, with the entry's number; without what lies in the past."""
        with self.transaction() as connection:
            rows = connection.execute(
                "SELECT * FROM watchlist WHERE active AND source_id IS NULL AND (source IS NULL OR source = %s) "
                "AND (until IS NULL OR until >= current_date - 1) ORDER BY id",
                (source,),
            ).fetchall()
        return [(row["id"], as_entry(row).query) for row in rows]

    def targets(self, source: str, now: datetime) -> list[Watched]:
        """What to look at, the next show first; without events that are gone or over by `now`."""
        with self.transaction() as connection:
            rows = connection.execute(
                "SELECT source_id, e.starts, e.event_id FROM ("
                "SELECT source, source_id FROM watchlist WHERE active AND source_id IS NOT NULL "
                "UNION SELECT d.source, d.source_id FROM watched d JOIN watchlist w ON w.id = watchlist_id WHERE active"
                ") f LEFT JOIN source_events e USING (source, source_id) WHERE source = %(source)s AND gone IS NULL "
                "AND coalesce(starts + make_interval(hours => %(over)s), "
                # The day ends last twelve hours west of Greenwich.
                "(local_date + 1) AT TIME ZONE 'UTC' + interval '12 hours', 'infinity') > %(now)s "
                "ORDER BY starts NULLS LAST, source_id",
                {"source": source, "now": now, "over": _OVER_HOURS},
            ).fetchall()
        return [Watched(Target(row["source_id"], row["starts"]), row["event_id"]) for row in rows]

    def link(self, listed: Sequence[Listed], entry_id: int | None = None) -> list[Link]:
        """Link what a source lists: an event that is known stays what it is, another is matched or becomes an event.

        Args:
            listed: events; facts that changed are taken over.
            entry_id: the query that found them, and which follows them from now on; it does not follow what is sold
                beside shows (parking, VIP packages, season passes), and looks again at an event that had gone when
                its status, date or hour has changed. Without it, nothing is followed that was not before.

        Returns:
            The links of what was stored, in the order of `listed`.
        """
        named = {(one.source, one.id): one for one in listed if entry_id is None or not is_addon(one.name)}
        if not named:
            return []
        with self.transaction(lock=True) as connection:
            known = _linked(connection, named)
            if entry_id is not None:
                _look_again(connection, named.values())
            _update(connection, [one for key, one in named.items() if key in known])
            _link(connection, [one for key, one in named.items() if key not in known])
            if entry_id is not None:
                # Nothing when the entry was removed meanwhile.
                connection.cursor().executemany(
                    "INSERT INTO watched (watchlist_id, source, source_id) SELECT id, %s, %s FROM watchlist "
                    "WHERE id = %s ON CONFLICT DO NOTHING",
                    [(*key, entry_id) for key in named],
                )
            links = _linked(connection, named)
        return [links[key] for key in named]

    def update(self, listed: Sequence[Listed]) -> list[Link]:
        """What a look listed: the same as `link` without an entry, and without the lock where all is linked already."""
        named = {(one.source, one.id): one for one in listed}
        if not named:
            return []
        with self.transaction() as connection:
            _update(connection, named.values())
            links = _linked(connection, named)
        links |= {
            (one.listed.source, one.listed.id): one for one in self.link([named[k] for k in named if k not in links])
        }
        return [links[key] for key in named]

    def mark_gone(self, source: str, source_id: str, why: str) -> None:
        """Look at an event no more: cancelled, over, or unknown to the source."""
        with self.transaction() as connection:
            connection.execute(
                "INSERT INTO source_events (source, source_id, name, score, evidence, gone) "
                "VALUES (%(source)s, %(id)s, %(id)s, 0, '{}', %(why)s) "
                "ON CONFLICT (source, source_id) DO UPDATE SET gone = excluded.gone, updated_at = now() "
                "WHERE source_events.gone IS DISTINCT FROM excluded.gone",
                {"source": source, "id": source_id, "why": why},
            )


def _linked(connection: Connection, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], Link]:
    """Those of these (source, source's id) that are linked."""
    sources, ids = [source for source, _ in keys], [source_id for _, source_id in keys]
    rows = connection.execute(
        "SELECT * FROM source_events WHERE event_id IS NOT NULL "
        "AND (source, source_id) IN (SELECT * FROM unnest(%s::text[], %s::text[]))",
        (sources, ids),
    ).fetchall()
    return {(row["source"], row["source_id"]): as_link(row) for row in rows}


def _link(connection: Connection, new: Sequence[Listed]) -> None:
    """Match each with what is known, those of the batch before it too, and write it down."""
    rows = connection.execute(
        "SELECT * FROM source_events WHERE event_id IS NOT NULL AND local_date = ANY(%s)",
        (list({one.local_date for one in new if one.local_date is not None}),),
    ).fetchall()
    # What has gone takes no place: a source may list the same show anew, under another id.
    known = [_facts(as_listed(row), row["event_id"], row["gone"] is not None) for row in rows]
    # The hours that are known come first, so that each finds its own show of the day.
    for one in sorted(new, key=lambda one: (one.starts is None, one.starts or _EPOCH, one.source, one.id)):
        own = own_event_id(one.source, one.id)
        match = match_event(_facts(one, own), known)
        event_id = match.event.id if match is not None else own
        known.append(_facts(one, event_id))
        connection.execute(
            "INSERT INTO source_events (source, source_id, event_id, name, venue, city, state, local_date, starts, "
            "performers, url, status, score, evidence) VALUES (%(source)s, %(id)s, %(event_id)s, %(name)s, %(venue)s, "
            "%(city)s, %(state)s, %(local_date)s, %(starts)s, %(performers)s, %(url)s, %(status)s, %(score)s, "
            "%(evidence)s) ON CONFLICT (source, source_id) DO UPDATE SET event_id = excluded.event_id, "
            "name = excluded.name, venue = excluded.venue, city = excluded.city, state = excluded.state, "
            "local_date = excluded.local_date, starts = excluded.starts, performers = excluded.performers, "
            "url = excluded.url, status = excluded.status, score = excluded.score, evidence = excluded.evidence, "
            "gone = NULL, updated_at = now()",
            _values(one)
            | {
                "event_id": event_id,
                "score": match.score if match is not None else 1.0,
                "evidence": Jsonb(match.evidence if match is not None else {}),
            },
        )


def _update(connection: Connection, listed: Collection[Listed]) -> None:
    connection.cursor().executemany(
        "UPDATE source_events SET name = %(name)s, venue = %(venue)s, city = %(city)s, state = %(state)s, "
        "local_date = %(local_date)s, starts = %(starts)s, performers = %(performers)s, url = %(url)s, "
        "status = %(status)s, updated_at = now() WHERE (source, source_id) = (%(source)s, %(id)s) "
        "AND (name, venue, city, state, local_date, starts, performers, url, status) "
        "IS DISTINCT FROM (%(name)s, %(venue)s, %(city)s, %(state)s, %(local_date)s::date, %(starts)s::timestamptz, "
        "%(performers)s::text[], %(url)s, %(status)s)",
        _in_order(listed),
    )


def _look_again(connection: Connection, listed: Collection[Listed]) -> None:
    connection.cursor().executemany(
        "UPDATE source_events SET gone = NULL WHERE (source, source_id) = (%(source)s, %(id)s) AND gone IS NOT NULL "
        "AND (status, local_date, starts) "
        "IS DISTINCT FROM (%(status)s, %(local_date)s::date, %(starts)s::timestamptz)",
        _in_order(listed),
    )


def _in_order(listed: Iterable[Listed]) -> list[dict[str, Any]]:
    """As parameters, in an order that all transactions share: two that update the same rows must not wait in a ring."""
    return [_values(one) for one in sorted(listed, key=lambda one: (one.source, one.id))]


def _values(one: Listed) -> dict[str, Any]:
    return asdict(one) | {"performers": list(one.performers)}


def _facts(one: Listed, event_id: str, gone: bool = False) -> EventFacts:
    source = None if gone else one.source
    return EventFacts(
        event_id, one.name, source, one.venue, one.city, one.state, one.local_date, one.starts, one.performers
    )
