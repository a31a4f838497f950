"""The sources that are polled."""

from __future__ import annotations

from typing import Any

import polars as pl
from dash import html

from dash_app import text
from dash_app.views.aria import DECORATION
from dash_app.views.cards import figure_tile

_STATES = {
    "starting": ("Starting", "flat"), "polling": ("Polling", "down"), "idle": ("Nothing to watch", "flat"),
    "waiting": ("Waiting", "warn"), "held": ("Held", "warn"), "refused": ("Refused", "up"),
}  # fmt: skip
_QUIET_AFTER = 60.0  # seconds without a word from ingestion
_DO = {
    "idle": "Add what you want to follow to the watchlist below; a search finds its first events within a day.",
    "waiting": "It is asked again by itself, after ten minutes at the longest.",
    "held": "It wants to be left alone for a while, or the day's budget is spent. Follow less if this happens often.",
    "refused": "Mend its key in the settings and start ingestion again; it is also tried once an hour.",
}
_UNPRICED = "An event without a price is normal: a source may list a show and tell no price. It never counts as zero."


def source_list(sources: pl.DataFrame) -> Any:
    """A list of `loaders.sources`; without any, how to set one up."""
    if sources.is_empty():
        return html.P(
            [
                "No ticket site is followed yet. Set ", html.Code("SEATGEEK_API_KEY"), " or ",
                html.Code("TICKETMASTER_API_KEY"), ", or put a feed's file in ", html.Code("feeds/"),
                "; say what to follow in the watchlist below or in ", html.Code("watchlist.toml"), "; then start ",
                html.Code("python -m bytewax.run flows.ingest"), ". ", html.Code("python -m connectors.doctor"),
                " says what is missing.",
            ],
            className="nothing",
        )  # fmt: skip
    note = [html.P(_UNPRICED, className="note")] if int(sources["unpriced"].sum()) else []
    return html.Div([html.Ol([_source(row) for row in sources.iter_rows(named=True)], className="source-list"), *note])


def _source(row: dict[str, Any]) -> html.Li:
    quiet = row["quiet"] > _QUIET_AFTER
    words, tone = ("Not running", "flat") if quiet else _STATES.get(row["state"], (row["state"], "flat"))
    answered = text.UNKNOWN if row["answered"] is None else f"{text.duration(row['answered'])} ago"
    return html.Li(
        [
            html.Div(
                [html.H3(text.source_name(row["source"])), html.Span(words, className=f"pill {tone}")],
                className="source-name",
            ),
            html.Div([_priced(row), _budget(row)], className="source-shares"),
            html.Dl(
                [figure_tile("Last answer", answered),
                 figure_tile("Next look", text.UNKNOWN if quiet else _until(row["next"]))],
                className="source-times",
            ),
            *_said(row, quiet),
        ]
    )  # fmt: skip


def _said(row: dict[str, Any], quiet: bool) -> list[Any]:
    if quiet:
        said: list[Any] = [
            f"No word from ingestion for {text.duration(row['quiet'])}. Start it with ",
            html.Code("python -m bytewax.run flows.ingest"), "; if it runs, see whether Kafka and Postgres are there.",
        ]  # fmt: skip
    else:
        said = [" ".join(part for part in (row["detail"] and f"{row['detail']}.".replace("..", "."),
                                           _DO.get(row["state"])) if part)]  # fmt: skip
    return [html.P(said, className="said")] if any(said) else []


def _priced(row: dict[str, Any]) -> Any:
    return _share(
        "Events with a price",
        f"{text.count(row['priced'])} of {text.count(row['watched'])}",
        [(row["priced"], "good")],
        row["watched"],
        f"{text.count(row['priced'])} priced, {text.count(row['unpriced'])} without a price",
    )


def _budget(row: dict[str, Any]) -> Any:
    """The day's calls: spent, left, and what the site itself keeps back; a mark where the plan would end."""
    spent, left = row["calls_spent"], row["calls_left"]
    return _share(
        "Calls in 24 hours",
        f"{text.count(left)} left",
        [(spent, "spent"), (left, "left")],
        max(row["calls_a_day"], spent + left),
        f"{text.count(spent)} used of {text.count(row['calls_a_day'])}, "
        f"{text.count(row['calls_planned'])} planned for the next day",
    )


def _share(label: str, value: str, parts: list[tuple[int, str]], whole: int, detail: str) -> Any:
    """A bar of parts of a whole; the words beside it say the same."""
    bar = [
        html.Span(className=f"part {kind}", style={"width": f"{100 * max(size, 0) / whole:.2f}%"})
        for size, kind in parts
        if whole > 0
    ]
    return html.Div(
        [
            html.Div([html.Span(label, className="label"), html.Strong(value)], className="share-head"),
            html.Div(bar, className="bar", **DECORATION),
            html.P(detail, className="detail"),
        ],
        className="share",
    )


def _until(seconds: float | None) -> str:
    if seconds is None:
        return text.UNKNOWN
    return "now" if seconds < 1 else f"in {text.duration(seconds)}"
