"""What a replay publishes, and in which order: by event time, and never another order within one event."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol

import msgspec
import polars as pl

from analytics.decode import Reject, decode
from connectors.replay.skips import Skips


class ReplayError(Exception):
    """A replay that cannot begin or go on; the text says why and what to do."""


class Position(NamedTuple):
    """A message's place in its replay, the same in every run of it. Within a lane, places grow as they are published.

    Args:
        lane: the partition of a topic; 0 for a file and for the lake.
        order: the offset in a topic; event time in microseconds elsewhere.
        number: tells messages of one time apart: a file's row, a lake row's id.
    """

    lane: int
    order: int
    number: int

    def __str__(self) -> str:
        return ":".join(map(str, self))

    @classmethod
    def of(cls, text: str) -> Position:
        """The position that a header names."""
        return cls(*map(int, text.split(":")))


class Record(NamedTuple):
    """One message to publish. `at`, microseconds, is when its turn comes; it never falls from record to record, and
    is the message's event time or, where that was out of order in a topic, the newest before it."""

    position: Position
    at: int
    key: bytes
    value: bytes


class Recording(Protocol):
    """Messages in the order in which they are to be published, the same each time they are asked for.

    Args:
        count: how many there are.
        span: the first and the last record's `at`; None without records.
    """

    @property
    def count(self) -> int: ...  # noqa: D102
    @property
    def span(self) -> tuple[int, int] | None: ...  # noqa: D102
    def __iter__(self) -> Iterator[Record]: ...


class Origin(Protocol):
    """Where a replay's messages come from."""

    @property
    def title(self) -> str:
        """What it is, for people."""
        ...

    def identity(self) -> dict[str, Any]:
        """What makes this replay this one and no other: what is read, by content, and how."""
        ...

    def bounds(self) -> dict[str, int]:
        """How far the origin reaches now, where it may grow: what comes later is no part of a replay that has begun."""
        ...

    def open(self, bounds: dict[str, int], judged: int | None, skips: Skips) -> Recording:
        """Read it.

        Args:
            bounds: as `bounds` gave them when the replay was begun.
            judged: microseconds; a price observed more than five minutes later is refused. None: not judged.
            skips: is told of everything that is not published.

        Raises:
            ReplayError: it cannot be read.
            BadRow: one cannot be published, and `skips` is strict.
        """
        ...


class Spool:
    """Puts messages in order outside of memory, however many: a private database that SQLite keeps in a temporary file
    and that is gone with this object."""

    def __init__(self) -> None:
        self._rows = sqlite3.connect("", isolation_level=None)
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute("CREATE TABLE record (at INT, lane INT, place INT, number INT, key BLOB, value BLOB)")
        self._rows.execute("BEGIN")

    def add(self, records: Iterable[Record]) -> None:
        """Take some, in any order."""
        rows = ((record.at, *record.position, record.key, record.value) for record in records)
        self._rows.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?)", rows)

    @property
    def count(self) -> int:
        """How many were taken."""
        return int(self._rows.execute("SELECT count(*) FROM record").fetchone()[0])

    @property
    def span(self) -> tuple[int, int] | None:
        """The first and the last `at`."""
        first, last = self._rows.execute("SELECT min(at), max(at) FROM record").fetchone()
        return None if first is None else (first, last)

    def __iter__(self) -> Iterator[Record]:
        for at, lane, place, number, key, value in self._rows.execute(
            "SELECT * FROM record ORDER BY at, lane, place, number"
        ):
            yield Record(Position(lane, place, number), at, key, value)


def judge(values: list[bytes | None], judged: int | None) -> tuple[list[tuple[int, int, str]], list[Reject]]:
    """What the flow would make of messages: (index, event time in microseconds, event_id) of each price, and the rejects.

    `judged` as in `Origin.open`; a message without a value is neither.
    """
    count, log_time = len(values), -1 if judged is None else judged // 1000
    decoded = decode(values, [None] * count, [log_time] * count, list(range(count)))
    prices = decoded.rows.select("id", pl.col("timestamp").dt.epoch("us"), "event_id")
    return list(prices.iter_rows()), decoded.rejects


def moved(value: bytes, by: int) -> bytes:
    """A price event with its `timestamp` moved `by` microseconds; every other field stays as it is, to the byte."""
    if not by:
        return value
    try:
        fields = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
    except UnicodeDecodeError:  # in the name of a field of which the contract knows nothing
        fields = msgspec.json.decode(value.decode(errors="replace"), type=dict[str, msgspec.Raw])
    time = msgspec.json.decode(fields["timestamp"], type=datetime)
    time = (time if time.tzinfo is not None else time.replace(tzinfo=UTC)) + timedelta(microseconds=by)
    return msgspec.json.encode({**fields, "timestamp": time})
