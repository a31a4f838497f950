"""One row an event: its price now, a day ago and in its own history. Pure."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from dash_app.pages.market.query import folded

_FRESH = timedelta(hours=6)  # before the newest price of all; what was seen longer ago is no news


def market(histories: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """`loaders.market.histories` and `loaders.market.now` as one table, by event.

    Beside their columns it has `change` (percent from `before` to `price`; None for an event seen once), `span` (seconds in
    which it changed), `low` and `high` (of the history and of now), `typical` (the median of the history), `sample` (units in
    it), `against` (percent by which the price is over the typical one), and, to search and sort by, `haystack` and
    `folded_name`.
    """
    price, named = pl.col("price"), pl.col("name").fill_null(pl.col("event_id"))
    return (
        histories.join(now, on="event_id", how="inner")
        .with_columns(
            name=named,
            span=(pl.col("seen") - pl.col("before_at")).dt.total_seconds(),
            low=pl.min_horizontal(pl.col("lows").list.min(), price),
            typical=pl.col("lows").list.median(),
            high=pl.max_horizontal(pl.col("lows").list.max(), price),
            sample=pl.col("lows").list.len().cast(pl.Int64),
            folded_name=folded(named),
            haystack=folded(pl.concat_str(named, "venue", "event_id", separator=" ", ignore_nulls=True)),
        )
        .with_columns(
            change=pl.when((pl.col("span") > 0) & (pl.col("before") > 0)).then((price / pl.col("before") - 1) * 100),
            against=pl.when(pl.col("typical") > 0).then((price / pl.col("typical") - 1) * 100),
        )
        .sort("event_id")
    )


def biggest_drops(market: pl.DataFrame, most: int = 5) -> pl.DataFrame:
    """The events of `market` that lost most of their price, of those seen lately."""
    lately = pl.col("seen") >= pl.col("seen").max() - _FRESH
    return market.filter(lately, pl.col("change") <= -0.05).sort("change", "event_id").head(most)


def version(market: pl.DataFrame) -> str:
    """A word that changes when a row does; the same in every process."""
    lists = [name for name, kind in market.schema.items() if kind == pl.List]
    plain = market.select(pl.exclude(lists), pl.col(lists).hash(seed=7) if lists else pl.lit(0).alias("none"))
    return f"{plain.hash_rows(seed=7).sum() if plain.height else 0:x}/{market.height}"
