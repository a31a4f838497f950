"""Quarantine: prices that cannot be true are kept and shown, and held out of everything that is computed."""

from __future__ import annotations

import polars as pl

from analytics.schema import MICROS

HIGHEST_PLAUSIBLE = 1_000_000 * MICROS
"""No ticket costs more than a million; a limit below which sums over a day stay exact in 64 bits."""


def quarantine_reason() -> pl.Expr:
    """Why a price row is impossible, or null: a fact of the row alone."""
    all_in, base = pl.col("total_price"), pl.col("price")
    return (
        pl.when(base < 0).then(pl.lit("negative_price"))
        .when(base == 0).then(pl.lit("zero_price"))
        .when(pl.col("fees") < 0).then(pl.lit("negative_fees"))
        .when(all_in <= 0).then(pl.lit("total_not_positive"))
        .when(pl.max_horizontal(all_in, base) > HIGHEST_PLAUSIBLE).then(pl.lit("implausibly_high"))
        .alias("reason")
    )  # fmt: skip


_REASON = quarantine_reason()


def split(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(plausible rows, quarantined rows with their `reason`), each in the order given."""
    judged = rows.with_columns(_REASON)
    if judged["reason"].null_count() == judged.height:
        return rows, judged.clear()
    return judged.filter(pl.col("reason").is_null()).drop("reason"), judged.filter(pl.col("reason").is_not_null())
