"""Alert rules: which prices deserve somebody's attention."""

from __future__ import annotations

import hashlib
from uuid import UUID

import polars as pl

DEFAULT_RULE = "default-drop"


def alert_id(rule: str, price_id: int) -> UUID:
    """The identity of an alert, a function of the rule and the price row that caused it: a replay gives the same."""
    return UUID(hashlib.md5(f"{rule}:{price_id}".encode(), usedforsecurity=False).hexdigest())


def price_drops(rows: pl.DataFrame, min_percent: float) -> pl.DataFrame:
    """The default rule: rows whose all-in price fell by at least `min_percent` against the listing's previous price.

    Args:
        rows: price rows with the columns of `changes.CHANGE_SCHEMA`.
        min_percent: 5 means five percent.

    Returns:
        The rows that fire, with `alert_id` (text) and `alert_type`.
    """
    fired = rows.filter(rows["change_percent"] <= -round(min_percent * 10_000))
    ids = [str(alert_id(DEFAULT_RULE, price)) for price in fired["id"]]
    return fired.with_columns(pl.Series("alert_id", ids, dtype=pl.String), alert_type=pl.lit("price_drop"))
