"""Windows in time order, with what is missing made visible."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from dash_app.figures.downsample import m4


def with_gaps(windows: pl.DataFrame, seconds: int, *columns: str, buckets: int | None = None) -> pl.DataFrame:
    """The windows with one empty row wherever at least one window is missing, so that a line breaks there.

    Args:
        columns: with `buckets`: what is drawn of them; then only the windows that decide the picture are kept (`m4`), and
            the gaps that are wider than a bucket: a narrower one would not be seen.
    """
    step = timedelta(seconds=seconds)
    windows = windows.sort("start")
    holes = windows.select("start", before=pl.col("start").shift(1)).filter(pl.col("start") - pl.col("before") > step)
    if buckets and windows.height > 4 * buckets:
        width = (windows["start"][-1] - windows["start"][0]) / buckets
        holes = holes.filter(pl.col("start") - pl.col("before") > width)
        windows = pl.concat([m4(windows, "start", column, buckets) for column in columns]).unique("start")
    return pl.concat([windows, holes.select(start=pl.col("before") + step)], how="diagonal").sort("start")


def runs(gapped: pl.DataFrame) -> list[pl.DataFrame]:
    """The stretches without a gap of a frame from `with_gaps`."""
    missing = pl.col("final").is_null()
    numbered = gapped.with_columns(_run=missing.cast(pl.UInt32).cum_sum()).filter(~missing)
    return [part.drop("_run") for part in numbered.partition_by("_run", maintain_order=True)]


def closed_part(windows: pl.DataFrame) -> pl.DataFrame:
    """The windows that are final."""
    return windows.filter(pl.col("final"))


def open_part(windows: pl.DataFrame) -> pl.DataFrame:
    """The windows still open, each with the one before it, so that the two parts of a line touch."""
    ordered = windows.sort("start")
    return ordered.filter(~pl.col("final") | ~pl.col("final").shift(-1, fill_value=True))


def isolated(gapped: pl.DataFrame) -> pl.DataFrame:
    """Of a frame from `with_gaps`, the windows without a neighbour on either side: a line alone would not show them."""
    known = pl.col("final").is_not_null()
    return gapped.filter(known & ~known.shift(1, fill_value=False) & ~known.shift(-1, fill_value=False))
