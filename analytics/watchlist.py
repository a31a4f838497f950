"""What to follow: what an entry of the watchlist may say, how entries are read from CSV, and what a source lists."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from io import StringIO
from typing import Any, NamedTuple

from rapidfuzz import fuzz, process

KEYS = ("artist", "venue", "city", "since", "until", "source", "id")
"""What an entry may say, in a file as on the command line."""

_LONGEST = 100  # characters: entries stand in a Postgres index, whose rows may not pass 2,704 bytes


@dataclass(frozen=True, slots=True)
class Query:
    """What to search for; every part that is given must match.

    Args:
        text: free words, an artist as a rule.
        venue: the venue's name.
        city: the city's name.
        since: first local date of the show.
        until: last local date of the show.
    """

    text: str | None = None
    venue: str | None = None
    city: str | None = None
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """An event as one source knows it: what matching across sources works on.

    `starts` has an offset, and is None while the time is not announced; `local_date` is the date at the venue.
    """

    source: str
    id: str
    name: str
    venue: str | None = None
    city: str | None = None
    state: str | None = None
    local_date: date | None = None
    starts: datetime | None = None
    performers: tuple[str, ...] = ()
    url: str | None = None
    status: str | None = None


_NOTHING = Query()


class WatchlistError(ValueError):
    """The watchlist cannot do what was asked. The text says where it is wrong and what to write or do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of one source by its id, or whatever matches a query.

    Args:
        source: where to look; None, for a query, is every source.
        source_id: the source's own id of an event; None for a query.
        query: what to search for; empty for an id.

    Raises:
        WatchlistError: it is neither, or both.
    """

    source: str | None = None
    source_id: str | None = None
    query: Query = _NOTHING

    def __post_init__(self) -> None:
        if self.source_id is not None:
            if self.source is None:
                raise WatchlistError('an id belongs to a source: say which, as in source = "seatgeek"')
            if self.query != _NOTHING:
                raise WatchlistError("an id says which event it is: leave artist, venue, city, since and until out")
        elif not (self.query.text or self.query.venue or self.query.city):
            raise WatchlistError("say what to follow: an artist, a venue or a city, or the source and id of an event")
        if self.query.since and self.query.until and self.query.since > self.query.until:
            raise WatchlistError(f"since {self.query.since} is after until {self.query.until}")

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Entry:
        """The entry that `fields` (of `KEYS`) say; None and empty texts say nothing.

        Raises:
            WatchlistError: a key is unknown, a value makes no sense, or it is no entry.
        """
        for key in fields:
            if key not in KEYS:
                near = process.extractOne(str(key), KEYS, scorer=fuzz.ratio, score_cutoff=70)
                hint = f"did you mean {near[0]!r}?" if near else f"write one of {', '.join(KEYS)}"
                raise WatchlistError(f"there is no {key!r}: {hint}")
        artist, venue, city, source, source_id = (
            _text(key, fields.get(key)) for key in ("artist", "venue", "city", "source", "id")
        )
        since, until = (_date(key, fields.get(key)) for key in ("since", "until"))
        return cls(source, source_id, Query(artist, venue, city, since, until))

    def __str__(self) -> str:
        query = self.query
        parts = [
            self.source_id and f"event {self.source_id}",
            query.text,
            query.venue and f"at {query.venue}",
            query.city and f"in {query.city}",
            query.since and f"from {query.since}",
            query.until and f"to {query.until}",
            self.source and f"on {self.source}",
        ]
        return " ".join(part for part in parts if part)


def _text(key: str, value: Any) -> str | None:
    if key == "id" and isinstance(value, int):
        value = str(value)
    if value is None:
        return None
    if not isinstance(value, str):
        raise WatchlistError(f"{key} is {value!r}: write a text, in quotes")
    value = " ".join(value.split())
    if len(value) > _LONGEST or not value.isprintable():
        raise WatchlistError(f"{key} is longer than {_LONGEST} characters, or holds one that cannot be printed")
    return value or None


def _date(key: str, value: Any) -> date | None:
    if value is None or value == "":
        return None
    try:
        found = date.fromisoformat(value.strip()) if isinstance(value, str) else value
    except ValueError:
        found = None
    if not isinstance(found, date) or isinstance(found, datetime):
        raise WatchlistError(f"{key} is {str(value)!r}: write a date as in 2027-06-01")
    return found


class Read(NamedTuple):
    """What a CSV file says: its entries, and what is wrong with other lines, each by the number of its line."""

    entries: dict[int, Entry]
    faults: dict[int, str]


def read_csv(text: str) -> Read:
    """The entries of a CSV file whose first line names the columns, some of `KEYS`, and its faults in words.

    Empty lines say nothing. A first line that is no header, or a quote that never ends, is a fault after which
    nothing is read.
    """
    read = Read({}, {})
    rows = csv.reader(StringIO(text), strict=True)
    try:
        header = [name.strip().lower() for name in next(rows, [])]
        if unknown := [name for name in header if name not in KEYS]:
            read.faults[1] = (
                f"there is no column {unknown[0]!r}: the first line names the columns, separated by commas: "
                "artist,venue,city,since,until or source,id"
            )
            return read
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(header):
                read.faults[rows.line_num] = (
                    f"{len(row)} cells, and {len(header)} columns; put a cell that has a comma in quotes"
                )
                continue
            try:
                read.entries[rows.line_num] = Entry.of(dict(zip(header, row, strict=True)))
            except WatchlistError as error:
                read.faults[rows.line_num] = str(error)
    except csv.Error as error:
        read.faults[rows.line_num] = str(error)
    return read
