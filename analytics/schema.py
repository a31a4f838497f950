"""What a price row is: its columns, its identity and its listing.

Money is an integer number of micros (millionths of the currency unit), so that sums are exact and do not depend on
the order in which rows arrive. Times are `Datetime("us", "UTC")`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import polars as pl

MICROS = 1_000_000
UTC = pl.Datetime("us", "UTC")

OFFSET_BITS = 40
_PARTITION_BITS = 12

PRICE_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "id": pl.Int64,
    "event_id": pl.String,
    "event_name": pl.String,
    "venue": pl.String,
    "event_date": UTC,
    "city": pl.String,
    "state": pl.String,
    "source": pl.String,
    "section": pl.String,
    "row": pl.String,
    "seat": pl.String,
    "price": pl.Int64,
    "fees": pl.Int64,
    "total_price": pl.Int64,
    "currency": pl.String,
    "quantity": pl.Int32,
    "listing_id": pl.String,
    "listing_url": pl.String,
    "timestamp": UTC,
    "delivery_method": pl.String,
    "seller_notes": pl.String,
    "level": pl.String,
    "average_price": pl.Int64,
    "median_price": pl.Int64,
    "highest_price": pl.Int64,
    "listing_count": pl.Int64,
}
"""Columns of an accepted price row, in order. `price`, `fees`, `total_price` and the event-level prices are micros."""

MONEY = ("price", "fees", "total_price", "average_price", "median_price", "highest_price")


def row_id(stream: int, partition: int, offset: int) -> int:
    """The identity of a message as one positive 63-bit integer.

    Args:
        stream: number of the topic's incarnation, 0-2047.
        partition: 0-4095.
        offset: 0-2**40 - 1.
    """
    return (stream << (_PARTITION_BITS + OFFSET_BITS)) | (partition << OFFSET_BITS) | offset


def split_id(identity: int) -> tuple[int, int, int]:
    """(stream, partition, offset) of a `row_id`."""
    return (
        identity >> (_PARTITION_BITS + OFFSET_BITS),
        (identity >> OFFSET_BITS) & ((1 << _PARTITION_BITS) - 1),
        identity & ((1 << OFFSET_BITS) - 1),
    )


def full(value: object, dtype: pl.DataType | type[pl.DataType], length: int) -> pl.Series:
    """A column of one value."""
    return _single(value, dtype).new_from_index(0, length)


@cache
def _single(value: object, dtype: pl.DataType | type[pl.DataType]) -> pl.Series:
    return pl.Series([value], dtype=dtype)


def with_units(frame: pl.DataFrame, *columns: str, of: int = MICROS) -> pl.DataFrame:
    """The frame with these columns as `to_units` makes them, at a tenth of the fixed price of expressions, which is all that
    a thin batch costs (docs/decisions/0016).
    """
    whole = full(float(of), pl.Float64, frame.height)
    return replaced(frame, ((frame[name].cast(pl.Float64) / whole).alias(name) for name in columns))


def replaced(frame: pl.DataFrame, columns: Iterable[pl.Series]) -> pl.DataFrame:
    """The frame with these columns in place of those of their names: `with_columns`, which is a query, for less."""
    changed = frame.clone()
    for column in columns:
        changed.replace_column(changed.get_column_index(column.name), column)
    return changed


@cache
def to_units(*columns: str) -> list[pl.Expr]:
    """Money columns as floats in currency units: the double nearest to the micros, so 40.63 prints as 40.63."""
    # Polars turns division by a constant into multiplication by its reciprocal, which is off in the last digit for a
    # third of all prices (docs/decisions/0005); division by a column is exact.
    return [(pl.col(name).cast(pl.Float64) / (pl.col(name) * 0 + MICROS)).alias(name) for name in columns]


@cache
def percent(column: str) -> pl.Expr:
    """A column of ten-thousandths of a percent, as percent."""
    return (pl.col(column).cast(pl.Float64) / (pl.col(column) * 0 + 10_000)).alias(column)


def listing_key() -> pl.Expr:
    """The listing a row belongs to, as one string.

    (event, source, the source's own id) when it gives one, else (event, source, section, row, seat). An event-level
    observation has a key of its own for each source, and prices in another currency are never compared.
    """
    own = pl.concat_str([pl.lit("#"), pl.col("listing_id")], separator="")
    place = pl.concat_str(
        [pl.lit("@"), *(pl.col(c).fill_null("\x1d") for c in ("section", "row", "seat"))], separator="\x1f"
    )
    which = pl.when(pl.col("level") == "event").then(pl.lit("*")).otherwise(pl.coalesce(own, place))
    return pl.concat_str([pl.col("event_id"), pl.col("source"), pl.col("currency"), which], separator="\x1f").alias(
        "listing"
    )


LISTING = ("event_id", "source", "currency", "level", "listing_id", "section", "row", "seat")
"""The columns that say which listing a row belongs to."""


def listing_keys(rows: Iterable[tuple[str | None, ...]]) -> list[str]:
    """`listing_key` of rows that are given as tuples of `LISTING`."""
    return [
        f"{event}\x1f{source}\x1f{currency}\x1f*" if level == "event"
        else f"{event}\x1f{source}\x1f{currency}\x1f#{own}" if own is not None
        else f"{event}\x1f{source}\x1f{currency}\x1f@\x1f{_or_none(section)}\x1f{_or_none(row)}\x1f{_or_none(seat)}"
        for event, source, currency, level, own, section, row, seat in rows
    ]  # fmt: skip


def _or_none(text: str | None) -> str:
    return "\x1d" if text is None else text
