"""The watchlist in the database, as people change it: for the command (`connectors.watchlist`) and the dashboard.

What ingestion asks of it stands in `connectors.watchlist`. Beside `rulestore` the other place where the database is
written, which both may import.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import DictRow, dict_row

from analytics import roles
from analytics.watchlist import Entry, Listed, Query, WatchlistError

# Any number, the same in every process: what one links, the next must see.
_LOCK = 7_262_839_411

Connection = psycopg.Connection[DictRow]


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry as it stands in the table; `events` of sources are followed because of it."""

    id: int
    entry: Entry
    origin: str
    active: bool
    events: int


class Added(NamedTuple):
    """How many entries are new, and how many were there already."""

    new: int
    known: int


@dataclass(frozen=True, slots=True)
class Link:
    """A source's event, and which of ConScope's events it is.

    Args:
        listed: what the source said of it last.
        event_id: of the event.
        score: how sure the match is, 0 to 1; 1 for the first listing of its event and for a user's word.
        evidence: what the match rests on, see `analytics.matching.Match`.
        decided_by: "match" or "user".
        gone: why it is looked at no more.
    """

    listed: Listed
    event_id: str
    score: float
    evidence: dict[str, Any]
    decided_by: str
    gone: str | None


def own_event_id(source: str, source_id: str) -> str:
    """The id of an event that this listing is the first of."""
    return f"{source}-{source_id}"


@dataclass(frozen=True)
class WatchStore:
    """The watchlist of a database that `sinks.schema` has brought up.

    Every method takes a connection of its own, so that threads may share a store and a restart of Postgres costs one
    call. Each may raise psycopg.Error; then nothing of the call has happened.

    Args:
        dsn: libpq connection string.
        role: whose rights are enough.
    """

    dsn: str = field(repr=False)
    role: str | None = None

    def add(self, entry: Entry) -> int:
        """Follow an entry, also one that stands in the file or was set aside; returns its number."""
        with self.transaction(lock=True) as connection:
            return _add(connection, entry)[0]

    def add_all(self, entries: Iterable[Entry]) -> Added:
        """Follow these entries, all or none; the same as `add`, of many."""
        with self.transaction(lock=True) as connection:
            is_new = [_add(connection, entry)[1] for entry in dict.fromkeys(entries)]
        return Added(sum(is_new), len(is_new) - sum(is_new))

    def set_active(self, number: int, active: bool) -> None:
        """Set an entry aside, or follow it again. One of the file stays as it is set, whatever the file says.

        Raises:
            WatchlistError: there is none of that number.
        """
        with self.transaction(lock=True) as connection:
            if not connection.execute("UPDATE watchlist SET active = %s WHERE id = %s", (active, number)).rowcount:
                raise _unknown(number)

    def remove(self, number: int) -> None:
        """Follow an entry no more. Its events stay linked, for the day they are followed again.

        Raises:
            WatchlistError: there is none of that number, or it stands in the file.
        """
        with self.transaction(lock=True) as connection:
            row = connection.execute("SELECT origin FROM watchlist WHERE id = %s", (number,)).fetchone()
            if row is None:
                raise _unknown(number)
            if row["origin"] == "file":
                raise WatchlistError(
                    f"entry {number} stands in the watchlist file: take it out there "
                    "(or, if that file is gone, write an empty one and run sync)"
                )
            connection.execute("DELETE FROM watchlist WHERE id = %s", (number,))

    def entries(self) -> list[Stored]:
        """All entries, the oldest first."""
        with self.transaction() as connection:
            rows = connection.execute(
                "SELECT w.*, (SELECT count(*) FROM watched d JOIN source_events e USING (source, source_id) "
                "WHERE d.watchlist_id = w.id AND e.gone IS NULL) + (SELECT count(*) FROM source_events e "
                "WHERE (e.source, e.source_id) = (w.source, w.source_id) AND e.gone IS NULL) AS events "
                "FROM watchlist w ORDER BY id"
            ).fetchall()
        return [Stored(row["id"], as_entry(row), row["origin"], row["active"], row["events"]) for row in rows]

    def links(self, event_id: str | None = None) -> list[Link]:
        """Which listings an event has and why, the first one first; without an event, those of all of them."""
        with self.transaction() as connection:
            rows = connection.execute(
                "SELECT * FROM source_events WHERE event_id IS NOT NULL AND event_id = coalesce(%s, event_id) "
                "ORDER BY local_date NULLS LAST, event_id, event_id <> source || '-' || source_id, created_at, source, source_id",
                (event_id,),
            ).fetchall()
        return [as_link(row) for row in rows]

    def relink(self, source: str, source_id: str, event_id: str) -> Link:
        """A user's word: this listing is that event. Nothing changes it but another word of a user's.

        Prices that were published before stay under the event they were published for.

        Raises:
            WatchlistError: there is no such listing or event.
        """
        with self.transaction(lock=True) as connection:
            if connection.execute("SELECT FROM source_events WHERE event_id = %s", (event_id,)).fetchone() is None:
                raise WatchlistError(f"there is no event {event_id}; `python -m connectors.watchlist links` shows all")
            return _decide(connection, source, source_id, event_id)

    def unlink(self, source: str, source_id: str) -> Link:
        """A user's word: this listing is an event of its own; see `relink`.

        Raises:
            WatchlistError: there is no such listing, or others are linked to the event that it was the first of.
        """
        own = own_event_id(source, source_id)
        with self.transaction(lock=True) as connection:
            others = connection.execute(
                "SELECT source, source_id FROM source_events WHERE event_id = %s AND (source, source_id) <> (%s, %s) "
                "ORDER BY source, source_id",
                (own, source, source_id),
            ).fetchall()
            if others:
                names = ", ".join(f"{row['source']} {row['source_id']}" for row in others)
                raise WatchlistError(
                    f"other listings are linked to event {own}: unlink or relink them instead: {names}"
                )
            return _decide(connection, source, source_id, own)

    @contextmanager
    def transaction(self, lock: bool = False) -> Iterator[Connection]:
        """A transaction on a connection of its own; with `lock`, the only one that links or enters, in any process."""
        with psycopg.connect(self.dsn, connect_timeout=10, row_factory=dict_row) as connection:
            roles.take(connection, self.role)
            if lock:
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            yield connection


def as_entry(row: DictRow) -> Entry:
    """The entry that a row of `watchlist` is."""
    query = Query(*(row[part] for part in ("text", "venue", "city", "since", "until")))
    return Entry(row["source"], row["source_id"], query)


def _columns(entry: Entry) -> dict[str, Any]:
    return {"source": entry.source, "source_id": entry.source_id, **asdict(entry.query)}


def insert(connection: Connection, entry: Entry, origin: str) -> int | None:
    """The new entry's number; None when it is there already."""
    row = connection.execute(
        "INSERT INTO watchlist (source, source_id, text, venue, city, since, until, origin) VALUES (%(source)s, "
        "%(source_id)s, %(text)s, %(venue)s, %(city)s, %(since)s, %(until)s, %(origin)s) ON CONFLICT DO NOTHING "
        "RETURNING id",
        _columns(entry) | {"origin": origin},
    ).fetchone()
    return None if row is None else int(row["id"])


def _add(connection: Connection, entry: Entry) -> tuple[int, bool]:
    """The entry's number, and whether it is new."""
    made = insert(connection, entry, "table")
    number = made
    if number is None:
        row = connection.execute(
            "UPDATE watchlist SET origin = 'table', active = true WHERE (source, source_id, text, venue, city, "
            "since, until) IS NOT DISTINCT FROM (%(source)s, %(source_id)s, %(text)s, %(venue)s, %(city)s, "
            "%(since)s::date, %(until)s::date) RETURNING id",
            _columns(entry),
        ).fetchone()
        assert row is not None
        number = int(row["id"])
    # Whoever asks for an event by its id wants it looked at, whatever was found before.
    connection.execute(
        "UPDATE source_events SET gone = NULL WHERE (source, source_id) = (%s, %s)", (entry.source, entry.source_id)
    )
    return number, made is not None


def _unknown(number: int) -> WatchlistError:
    return WatchlistError(f"there is no entry {number}; `python -m connectors.watchlist list` shows them all")


def _decide(connection: Connection, source: str, source_id: str, event_id: str) -> Link:
    row = connection.execute(
        "UPDATE source_events SET event_id = %s, decided_by = 'user', score = 1, evidence = '{}', updated_at = now() "
        "WHERE (source, source_id) = (%s, %s) RETURNING *",
        (event_id, source, source_id),
    ).fetchone()
    if row is None:
        raise WatchlistError(
            f"{source} has no event {source_id} that is followed; `python -m connectors.watchlist links` shows all"
        )
    return as_link(row)


def as_listed(row: DictRow) -> Listed:
    """What a row of `source_events` says of its event."""
    facts = {name: row[name] for name in ("name", "venue", "city", "state", "local_date", "starts", "url", "status")}
    return Listed(row["source"], row["source_id"], performers=tuple(row["performers"]), **facts)


def as_link(row: DictRow) -> Link:
    """The link that a row of `source_events` is."""
    return Link(as_listed(row), row["event_id"], row["score"], row["evidence"], row["decided_by"], row["gone"])
