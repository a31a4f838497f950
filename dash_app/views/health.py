"""How the pipeline is doing."""

from __future__ import annotations

from typing import Any

import polars as pl
from dash import html

from dash_app import text
from dash_app.loaders import Health
from dash_app.views.cards import figure_tile, nothing


def health_tiles(health: Health) -> list[Any]:
    """The pipeline's figures; those that ask for attention are coloured."""
    rate = health.rate
    speed = text.UNKNOWN if rate is None else f"{rate:,.1f}" if rate < 10 else text.count(rate)
    return [
        figure_tile("Events / s", speed, "measured" if health.measured else "last full minute", name="rate"),
        figure_tile("Lag", text.count(health.lag), "messages to go", tone=_warn(health.lag, 10_000)),
        figure_tile("Watermark delay", text.duration(health.watermark_delay), "behind the clock",
                    tone=_warn(health.watermark_delay, 120)),
        figure_tile("Dead letters", text.count(health.dead), "refused", tone=_warn(health.dead, 1)),
        figure_tile("Quarantined", text.count(health.quarantined), "held out"),
        figure_tile("Late", text.count(health.late), "beyond the windows"),
    ]  # fmt: skip


def dead_letter_list(letters: pl.DataFrame, zone: str) -> Any:
    """The reasons of `loaders.dead_letters`, newest first."""
    if letters.is_empty():
        return nothing("No message has been refused.")
    return html.Ol(
        [
            html.Li(
                [
                    html.Span(text.clock(row["time"], zone), className="time"),
                    html.Span(": ".join(part for part in (row["reason"], row["detail"]) if part), className="reason"),
                    html.Span(f"{row['topic']} {row['partition']}/{row['offset']}", className="position"),
                ]
            )
            for row in letters.iter_rows(named=True)
        ],
        className="dead-list",
    )


def _warn(value: float | None, limit: float) -> str:
    return "warn" if value is not None and value >= limit else ""
