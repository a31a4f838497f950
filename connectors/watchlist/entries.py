"""What an entry of the watchlist is, and how files of them are read: TOML (the watchlist file) and CSV (an import)."""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from io import StringIO
from pathlib import Path
from typing import Any

from rapidfuzz import fuzz, process

from connectors.source import Query

KEYS = ("artist", "venue", "city", "since", "until", "source", "id")
"""What an entry may say, in a file as on the command line."""

_NOTHING = Query()
_LONGEST = 100  # characters: entries stand in a Postgres index, whose rows may not pass 2,704 bytes
_HEADER = re.compile(r"^\s*\[\[\s*follow\s*\]\]")


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


def load(path: Path) -> list[Entry]:
    """The entries of a file, in its order and without repeats: CSV when its name ends so, else TOML.

    Raises:
        WatchlistError: it cannot be read, or an entry is wrong; nothing of it counts then. The text names the file,
            the line and the entry.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise WatchlistError(f"{path} cannot be read: {why}") from None
    read = _csv if path.suffix.lower() == ".csv" else _toml
    entries: dict[Entry, None] = {}
    for where, fields in read(path, text):
        try:
            entries[Entry.of(fields)] = None
        except WatchlistError as error:
            raise WatchlistError(f"{where}: {error}") from None
    return list(entries)


def _toml(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise WatchlistError(f"{path} is no TOML: {error}") from None
    follow = document.pop("follow", [])
    if document or not isinstance(follow, list) or not all(isinstance(fields, dict) for fields in follow):
        wrong = next(iter(document), "follow")
        raise WatchlistError(f"{path}: {wrong!r} has no place there: write [[follow]], and an entry's keys beneath it")
    lines = [number for number, line in enumerate(text.split("\n"), 1) if _HEADER.match(line)]
    for number, fields in enumerate(follow, 1):
        # Entries need not have headers of their own: follow = [{ artist = "…" }] is the same to TOML.
        line = f" (line {lines[number - 1]})" if len(lines) == len(follow) else ""
        yield f"{path}, entry {number}{line}", fields


def _csv(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    rows = csv.reader(StringIO(text), strict=True)
    try:
        header = [name.strip().lower() for name in next(rows, [])]
        if unknown := [name for name in header if name not in KEYS]:
            raise WatchlistError(
                f"{path}, line 1: there is no column {unknown[0]!r}: the first line names the columns, separated by "
                f"commas: artist,venue,city,since,until or source,id"
            )
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(header):
                raise WatchlistError(
                    f"{path}, line {rows.line_num}: {len(row)} cells, and {len(header)} columns; put a cell that has a "
                    f"comma in quotes"
                )
            yield f"{path}, line {rows.line_num}", dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise WatchlistError(f"{path}, line {rows.line_num}: {error}") from None
