"""Alerts as rows: those of the default rule and those that people's rules fired, in one shape."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

import polars as pl

from analytics.alerts import Alert
from analytics.rules import PERCENT, describe
from analytics.schema import PRICE_SCHEMA

DEFAULT_RULE = "default-drop"

ROW_COLUMNS = (
    "id", "event_id", "event_name", "venue", "timestamp", "currency", "section", "row", "seat", "source", "listing_id",
    "listing_url", "quantity",
)  # fmt: skip
"""What an alert has of the price row that caused it."""

ALERT_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    **{name: PRICE_SCHEMA[name] for name in ROW_COLUMNS},
    "alert_id": pl.String,
    "alert_type": pl.String,
    "rule_id": pl.Int64,
    "rule_version": pl.Int64,
    "rule_name": pl.String,
    "cause": pl.String,
    "old_price": pl.Int64,
    "new_price": pl.Int64,
    "drop_percent": pl.Int64,
    "reference": pl.String,
    "percentile": pl.Int64,
    "lowest_so_far": pl.Int64,
    "sample": pl.Int32,
    "channels": pl.List(pl.String),
}
"""An alert: money in micros, percentages in ten-thousandths of a percent. `old_price` is null when there is nothing to
compare with, `channels` empty for the default one."""


_NONE = pl.DataFrame(schema=ALERT_SCHEMA)


def alert_id(rule: str | int, price_id: int) -> UUID:
    """The identity of an alert, a function of the rule and the price row that caused it: a replay gives the same."""
    return UUID(hashlib.md5(f"{rule}:{price_id}".encode(), usedforsecurity=False).hexdigest())


def price_drops(rows: pl.DataFrame, min_percent: float) -> pl.DataFrame:
    """The default rule: prices that fell by at least `min_percent` against the listing's previous one.

    Args:
        rows: price rows with the columns of `changes.CHANGE_SCHEMA`.
        min_percent: 5 means five percent.

    Returns:
        Alerts, of `ALERT_SCHEMA`.
    """
    changes, enough = rows["change_percent"], -round(min_percent * PERCENT)
    least: Any = changes.min()
    if least is None or least > enough:
        return _NONE
    fired = rows.filter(changes <= enough)
    ids = [str(alert_id(DEFAULT_RULE, price)) for price in fired["id"]]
    return _shape(
        fired.select(
            *ROW_COLUMNS, pl.Series("alert_id", ids, dtype=pl.String), alert_type=pl.lit("price_drop"),
            cause=pl.lit(f"a listing's all-in price down by {min_percent:g} % or more"), old_price="previous_total",
            new_price="total_price", drop_percent=-pl.col("change_percent"), reference=pl.lit("previous"),
        )
    )  # fmt: skip


def of_rules(rows: pl.DataFrame, alerts: list[Alert]) -> pl.DataFrame:
    """Alerts of people's rules, of `ALERT_SCHEMA`.

    Args:
        rows: price rows, among them those that caused the alerts.
        alerts: as the engine gives them.
    """
    place = {price_id: index for index, price_id in enumerate(rows["id"])}
    caused = rows[[place[alert.price_id] for alert in alerts]].select(ROW_COLUMNS)
    own = pl.Series([alert.own for alert in alerts], dtype=pl.Boolean)
    # A row that only made way says nothing of the listing that is now the lowest.
    of_listing = ("section", "row", "seat", "listing_id", "listing_url", "quantity")
    facts: dict[str, list[Any]] = {
        "alert_id": [str(alert_id(a.rule.id, a.price_id)) for a in alerts],
        "alert_type": [a.rule.condition for a in alerts],
        "rule_id": [a.rule.id for a in alerts],
        "rule_version": [a.rule.version for a in alerts],
        "rule_name": [a.rule.name for a in alerts],
        "cause": [describe(a.rule) for a in alerts],
        "old_price": [a.old for a in alerts],
        "new_price": [a.new for a in alerts],
        "drop_percent": [_percent(a.old, a.new) for a in alerts],
        "reference": [a.reference or None for a in alerts],
        "percentile": [a.percentile for a in alerts],
        "lowest_so_far": [a.lowest for a in alerts],
        "sample": [a.sample for a in alerts],
        "channels": [list(a.rule.channels) for a in alerts],
    }
    return _shape(
        caused.with_columns(pl.when(own).then(pl.col(name)).alias(name) for name in of_listing).with_columns(
            pl.Series(name, values, dtype=ALERT_SCHEMA[name]) for name, values in facts.items()
        )
    )


def _percent(old: int | None, new: int) -> int | None:
    """By how much a price fell, rounded half away from zero."""
    if not old:
        return None
    fall = old - new
    return (1 if fall > 0 else -1) * ((2 * abs(fall) * 100 * PERCENT + old) // (2 * old)) if fall else 0


def _shape(alerts: pl.DataFrame) -> pl.DataFrame:
    """All columns of `ALERT_SCHEMA`; those that are not given are null (`channels`: none)."""
    missing = [
        pl.lit([] if name == "channels" else None, dtype=dtype).alias(name)
        for name, dtype in ALERT_SCHEMA.items()
        if name not in alerts.columns
    ]
    return alerts.with_columns(missing).select(ALERT_SCHEMA.keys())
