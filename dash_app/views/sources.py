"""The sources that are polled."""

from __future__ import annotations

from typing import Any

import polars as pl
from dash import html

from dash_app import text
from dash_app.views.cards import figure_tile

_STATES = {
    "starting": ("Starting", "flat"), "polling": ("Polling", "down"), "idle": ("Nothing to watch", "flat"),
    "waiting": ("Waiting", "warn"), "held": ("Held", "warn"), "refused": ("Refused", "up"),
}  # fmt: skip
_QUIET_AFTER = 60.0  # seconds without a word from ingestion


def source_list(sources: pl.DataFrame) -> Any:
    """A list of `loaders.sources`; without any, how to set one up."""
    if sources.is_empty():
        return html.P(
            [
                "No ticket site is followed yet. Set ", html.Code("SEATGEEK_API_KEY"), " or ",
                html.Code("TICKETMASTER_API_KEY"), ", or put a feed's file in ", html.Code("feeds/"), "; say what to follow in ",
                html.Code("watchlist.toml"), "; then start ", html.Code("python -m bytewax.run flows.ingest"), ". ",
                html.Code("python -m connectors.doctor"), " says what is missing.",
            ],
            className="nothing",
        )  # fmt: skip
    return html.Ol([_source(row) for row in sources.iter_rows(named=True)], className="sources")


def _source(row: dict[str, Any]) -> html.Li:
    quiet = row["quiet"] > _QUIET_AFTER
    words, tone = ("Not running", "flat") if quiet else _STATES.get(row["state"], (row["state"], "flat"))
    left, a_day = text.count(row["calls_left"]), text.count(row["calls_a_day"])
    answered = text.UNKNOWN if row["answered"] is None else f"{text.duration(row['answered'])} ago"
    said = f"No word from ingestion for {text.duration(row['quiet'])}." if quiet else row["detail"]
    return html.Li(
        [
            html.Div([html.Span(text.source_name(row["source"])), html.Span(words, className=f"pill {tone}")],
                     className="name"),
            _tile("Watched", text.count(row["watched"]),
                  f"{text.count(row['priced'])} priced, {text.count(row['unpriced'])} without a price"),
            _tile("Calls left", left, f"of {a_day} a day, {text.count(row['calls_planned'])} planned"),
            _tile("Last answer", answered),
            _tile("Next look", text.UNKNOWN if quiet else _until(row["next"])),
            *([html.P(said, className="said")] if said else []),
        ]
    )  # fmt: skip


def _tile(label: str, value: str, detail: str | None = None) -> html.Dl:
    return html.Dl(figure_tile(label, value, detail))


def _until(seconds: float | None) -> str:
    if seconds is None:
        return text.UNKNOWN
    return "now" if seconds < 1 else f"in {text.duration(seconds)}"
