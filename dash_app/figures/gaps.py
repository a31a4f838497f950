"""Windows in time order, with what is missing made visible."""

from __future__ import annotations

from datetime import timedelta

import polars as pl


def with_gaps(windows: pl.DataFrame, seconds: int) -> pl.DataFrame:
    """The windows with one empty row wherever at least one window is missing, so that a line breaks there."""
    step = timedelta(seconds=seconds)
    windows = windows.sort("start")
    holes = (
        windows.select("start", before=pl.col("start").shift(1))
        .filter(pl.col("start") - pl.col("before") > step)
        .select(start=pl.col("before") + step)
    )
    return pl.concat([windows, holes], how="diagonal").sort("start")


def runs(windows: pl.DataFrame, seconds: int) -> list[pl.DataFrame]:
    """The stretches without a gap."""
    step = timedelta(seconds=seconds)
    ordered = windows.sort("start").with_columns(
        _run=(pl.col("start").diff() > step).fill_null(False).cast(pl.UInt32).cum_sum()
    )
    return [part.drop("_run") for part in ordered.partition_by("_run", maintain_order=True)]


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
