"""The columns of the frames that loaders return."""

from __future__ import annotations

from typing import Any

import polars as pl

TIME = pl.Datetime("us", "UTC")

Schema = dict[str, Any]

EVENTS: Schema = {
    "event_id": pl.String, "name": pl.String, "venue": pl.String, "date": TIME,
    "latest": TIME, "observations": pl.Int64,
}  # fmt: skip
CURRENCIES: Schema = {"currency": pl.String, "observations": pl.Int64}
SERIES: Schema = {
    "source": pl.String, "section": pl.String, "level": pl.String, "start": TIME,
    "low": pl.Float64, "average": pl.Float64, "observations": pl.Int64, "final": pl.Boolean,
}  # fmt: skip
SNAPSHOT: Schema = {
    "source": pl.String, "section": pl.String, "level": pl.String, "start": TIME,
    "low": pl.Float64, "high": pl.Float64, "average": pl.Float64, "listings": pl.Int64,
}  # fmt: skip
CHANGES: Schema = {
    "time": TIME, "event_id": pl.String, "event": pl.String, "section": pl.String, "row": pl.String,
    "seat": pl.String, "source": pl.String, "old": pl.Float64, "new": pl.Float64, "percent": pl.Float64,
    "currency": pl.String, "url": pl.String,
}  # fmt: skip
ALERTS: Schema = {
    "time": TIME, "event_id": pl.String, "event": pl.String, "section": pl.String, "row": pl.String,
    "seat": pl.String, "source": pl.String, "old": pl.Float64, "new": pl.Float64, "percent": pl.Float64,
    "currency": pl.String, "url": pl.String, "cause": pl.String, "delivery": pl.List(pl.String),
}  # fmt: skip
MARKS: Schema = {
    "time": TIME, "new": pl.Float64, "percent": pl.Float64, "section": pl.String, "source": pl.String,
}  # fmt: skip
RATES: Schema = {"time": TIME, "value": pl.Float64}
DEAD: Schema = {
    "time": TIME, "reason": pl.String, "detail": pl.String, "topic": pl.String, "partition": pl.Int64,
    "offset": pl.Int64,
}  # fmt: skip
