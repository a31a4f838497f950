"""Change detection: what each listing cost the last time it was seen."""

from __future__ import annotations

from typing import Any, NamedTuple

import polars as pl

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
"""(event time in microseconds, price, all-in price, quantity, place) of a listing's newest row."""

State = dict[str, dict[str, Last]]
"""event -> listing -> its newest row."""

Previous = tuple[int | None, int | None, int | None]
"""(price, all-in price, event time in microseconds) of the row before, or three nulls."""

NOTHING: Previous = (None, None, None)
_PREVIOUS = ("previous_price", "previous_total", "previous_timestamp")


def detect(state: State, rows: pl.DataFrame) -> list[Previous]:
    """Find each row's previous one of the same listing, in the order of the frame, and update `state` in place.

    A row older than its listing's newest has none, and leaves the state as it is.

    Args:
        state: the newest row of every listing.
        rows: price rows with `listing`.
    """
    found: list[Previous] = []
    places: list[Place] = []
    facts = zip(
        rows["event_id"].to_list(),
        rows["listing"].to_list(),
        rows["timestamp"].cast(pl.Int64).to_list(),
        rows["price"].to_list(),
        rows["total_price"].to_list(),
        rows["quantity"].to_list(),
        strict=True,
    )
    for index, (event, listing, time, price, total, quantity) in enumerate(facts):
        listings = state.get(event)
        if listings is None:
            listings = state[event] = {}
        last = listings.get(listing)
        if last is None:
            places = places or _places(rows)
            found.append(NOTHING)
            listings[listing] = (time, price, total, quantity, places[index])
        elif time < last[0]:
            found.append(NOTHING)
        else:
            found.append((last[1], last[2], last[0]))
            listings[listing] = (time, price, total, quantity, last[4])
    return found


def _places(rows: pl.DataFrame) -> list[Place]:
    times = rows["timestamp"].cast(pl.Int64).to_list()
    texts = (rows[name].to_list() for name in ("section", "row", "source", "currency", "level"))
    return list(map(Place, *texts, times))


def load(dumped: dict[str, dict[str, list[Any]]]) -> State:
    """The state from plain values, as msgpack gives them back."""
    return {
        event: {listing: (*last[:4], Place(*last[4])) for listing, last in listings.items()}
        for event, listings in dumped.items()
    }


_CHANGE = pl.col("total_price") - pl.col("previous_total")
_FOLLOWING = [
    pl.col("previous_timestamp").cast(UTC),
    _CHANGE.alias("change"),
    # Whole numbers throughout: 2e18 at most, as quarantine keeps prices below a million.
    (_CHANGE.sign() * ((_CHANGE.abs() * 2_000_000 + pl.col("previous_total")) // (2 * pl.col("previous_total")))).alias(
        "change_percent"
    ),
]


def with_changes(rows: pl.DataFrame, previous: list[Previous]) -> pl.DataFrame:
    """Add the columns of `CHANGE_SCHEMA`: each row's previous prices and the change, in money and in percent."""
    columns = zip(*previous, strict=True) if previous else ([], [], [])
    before = [pl.Series(name, column, dtype=pl.Int64) for name, column in zip(_PREVIOUS, columns, strict=True)]
    return rows.hstack(before).with_columns(_FOLLOWING)
