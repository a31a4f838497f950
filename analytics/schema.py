"""What a price row is: its columns, its identity and its listing.

Money is an integer number of micros (millionths of the currency unit), so that sums are exact and do not depend on
the order in which rows arrive. Times are `Datetime("us", "UTC")`.
"""

from __future__ import annotations

from functools import cache

import polars as pl

MICROS = 1_000_000
UTC = pl.Datetime("us", "UTC")

_OFFSET_BITS = 40
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
    return (stream << (_PARTITION_BITS + _OFFSET_BITS)) | (partition << _OFFSET_BITS) | offset


def split_id(identity: int) -> tuple[int, int, int]:
    """(stream, partition, offset) of a `row_id`."""
    return (
        identity >> (_PARTITION_BITS + _OFFSET_BITS),
        (identity >> _OFFSET_BITS) & ((1 << _PARTITION_BITS) - 1),
        identity & ((1 << _OFFSET_BITS) - 1),
    )


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
