"""Change detection: what each listing cost the last time it was seen."""

from __future__ import annotations

from collections.abc import Callable
from sys import intern
from typing import Any, NamedTuple

import polars as pl

from analytics.quality import Listings
from analytics.rows import Rows
from analytics.schema import UTC

CHANGE_SCHEMA = {
    "previous_price": pl.Int64,
    "previous_total": pl.Int64,
    "previous_timestamp": UTC,
    "change": pl.Int64,
    "change_percent": pl.Int64,
}
"""Columns that detection adds. `change` is in micros of the all-in price, `change_percent` in ten-thousandths of a
percent, rounded half away from zero; all are null for the first sight of a listing and for a row older than the
listing's newest."""


class Place(NamedTuple):
    """What a listing is, as its first row had it (`first_seen`: that row's event time); one object for all its life."""

    section: str | None
    row: str | None
    source: str
    currency: str
    level: str
    first_seen: int


Last = tuple[int, int, int, int, Place]
"""(event time in microseconds, price, all-in price, quantity, place) of a listing's newest accepted row."""

State = dict[str, Listings]
"""event -> its listings, each with its newest row."""

Previous = tuple[int | None, int | None, int | None]
"""(price, all-in price, event time in microseconds) of the row before, or three nulls."""

NOTHING: Previous = (None, None, None)
_WHOLE = 1_000_000  # a hundred percent


See = Callable[[str, dict[str, Last], str, int, Last], None]
"""Takes (event, its listings, the row's listing, the row's position in the frame, the row)."""


class Detected(NamedTuple):
    """What became of a frame's rows.

    Args:
        previous: of each accepted row, in their order.
        held: (position in the frame, reason) of each doubted row.
        released: (id of a row held before, id of the accepted row that showed it to be true).
    """

    previous: list[Previous]
    held: list[tuple[int, str]]
    released: list[tuple[int, int]]


def detect(state: State, rows: Rows, release_after: int, see: See | None = None) -> Detected:
    """Find each row's previous one of the same listing, in the order given, and update `state` in place.

    A doubted row is held and leaves the state as it is, until `release_after` of a listing agree. An accepted row
    older than its listing's newest has no previous one, and leaves the state as it is, too.

    Args:
        state: the newest row of every listing.
        rows: price rows.
        release_after: how many doubted prices that agree are believed.
        see: is shown each accepted row that is its listing's newest, before the state has it.
    """
    previous: list[Previous] = []
    held: list[tuple[int, str]] = []
    released: list[tuple[int, int]] = []
    for position, event, listing, time, price, total, quantity, identity in rows.facts:
        listings = state.get(event)
        if listings is None:
            listings = state[event] = Listings()
        if time >= listings.until:
            listings.end_hour(time)
        last = listings.get(listing)
        if last is not None and last[2] <= 4 * total <= 16 * last[2]:
            place = last[4]  # the way of nearly every row
        elif last is None and listing not in listings.runs and listings.is_full:
            held.append((position, "too_many_listings"))
            continue
        else:
            place = _place(rows, position) if last is None else last[4]
            reason = listings.doubt(place, last, total)
            if reason is not None:
                run = None
                if last is None or time >= last[0]:
                    run = listings.persists(listing, place, time, total, identity, release_after)
                if run is None:
                    held.append((position, reason))
                    continue
                released += [(before, run.ids[-1]) for before in run.ids[:-1]]
        if last is None:
            previous.append(NOTHING)
        elif time < last[0]:
            previous.append(NOTHING)
            continue
        else:
            previous.append((last[1], last[2], last[0]))
        new = (time, price, total, quantity, place)
        if see is not None:
            see(event, listings, listing, position, new)
        listings[listing] = new
        if listings.runs:
            listings.runs.pop(listing, None)
    return Detected(previous, held, released)


def _place(rows: Rows, position: int) -> Place:
    return _shared(*(rows.column(name)[position] for name in _PLACE))


def _shared(section: str | None, row: str | None, source: str, currency: str, level: str, first_seen: int) -> Place:
    """A place whose words are the same objects wherever they stand: each row, or snapshot, brings its own."""
    return Place(
        None if section is None else intern(section), None if row is None else intern(row),
        intern(source), intern(currency), intern(level), first_seen,
    )  # fmt: skip


_PLACE = ("section", "row", "source", "currency", "level", "timestamp")


def dump(state: State) -> dict[str, object]:
    """The state as plain values for msgpack; they are shared with the live state."""
    return {event: listings.dump() for event, listings in state.items()}


def load(dumped: dict[str, Any]) -> State:
    """The state that `dump` gave, by way of msgpack."""
    return {event: Listings.load(values, _last) for event, values in dumped.items()}


def _last(values: list[Any]) -> Last:
    time, price, total, quantity, place = values
    return time, price, total, quantity, _shared(*place)


def with_changes(rows: pl.DataFrame, previous: list[Previous]) -> pl.DataFrame:
    """Add the columns of `CHANGE_SCHEMA`: each row's previous prices and the change, in money and in percent."""
    prices, totals, times = zip(*previous, strict=True) if previous else ((), (), ())
    now = rows["total_price"]
    before = pl.Series("previous_total", totals, dtype=pl.Int64)
    percents = [None if was is None else _percent(total - was, was) for total, was in zip(now, totals, strict=True)]
    return rows.hstack(
        [
            pl.Series("previous_price", prices, dtype=pl.Int64),
            before,
            pl.Series("previous_timestamp", times, dtype=pl.Int64).cast(UTC),
            (now - before).alias("change"),
            pl.Series("change_percent", percents, dtype=pl.Int64),
        ]
    )


def _percent(change: int, before: int) -> int:
    """In ten-thousandths of a percent, rounded half away from zero; of nothing, any change is none."""
    if not change or not before:
        return 0
    share = (2 * abs(change) * _WHOLE + before) // (2 * before)
    return share if change > 0 else -share


def compare(rows: pl.DataFrame) -> pl.DataFrame:
    """Accepted price rows with the columns of `CHANGE_SCHEMA`, each compared with the one before it in the frame."""
    found = detect({}, Rows(rows), release_after=1)  # whatever is doubted is believed at once
    return with_changes(rows, found.previous)
