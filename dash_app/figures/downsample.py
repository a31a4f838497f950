"""Fewer points that draw the same line."""

from __future__ import annotations

import polars as pl


def m4(rows: pl.DataFrame, x: str, y: str, buckets: int) -> pl.DataFrame:
    """The rows of a line that decide its picture: of each of `buckets` equal stretches of `x` the first, the last, the
    lowest and the highest.

    A line through them covers the same pixels as one through all, when a bucket is a pixel wide: M4 of U. Jugel,
    Z. Jerzak, G. Hackenbroich and V. Markl, "M4: A Visualization-Oriented Time Series Data Aggregation", PVLDB 7(10),
    2014. Of equals, the first counts.

    Args:
        rows: in the order of `x`, a number or a time; `y` is a number without nulls.
        buckets: at least 1; at most four times as many rows come back, and all when there are no more than that.

    Returns:
        These rows, whole and in their order.
    """
    if rows.height <= 4 * buckets:
        return rows
    position = pl.col(x).to_physical()
    width = (position.max() - position.min()) / buckets
    bucket = ((position - position.min()) / width).floor().clip(upper_bound=buckets - 1)
    numbered = rows.select(pl.col(y), _bucket=pl.when(width > 0).then(bucket).otherwise(0)).with_row_index("_row")
    row = pl.col("_row")
    kept = numbered.group_by("_bucket").agg(
        row.first().alias("first"), row.last().alias("last"),
        row.get(pl.col(y).arg_min()).alias("lowest"), row.get(pl.col(y).arg_max()).alias("highest"),
    )  # fmt: skip
    chosen = pl.concat([kept[name] for name in ("first", "last", "lowest", "highest")]).unique().sort()
    return rows[chosen]
