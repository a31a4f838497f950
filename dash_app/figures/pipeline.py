"""Charts of the pipeline's own readings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import plotly.graph_objects as go  # type: ignore[import-untyped]
import polars as pl

from dash_app import text
from dash_app.figures.axis import make_room
from dash_app.figures.gaps import with_gaps
from dash_app.figures.theme import Scheme

_HEIGHT = 260
_LEAST_STEPS = 24  # that the time axis has room for
_MISSED = 3  # readings come every five seconds or so: a step without one is no gap yet, three are
_TICKS = [
    {"dtickrange": [None, 60_000], "value": "%H:%M:%S"},
    {"dtickrange": [60_000, 86_400_000], "value": "%H:%M\n%b %-d"},
    {"dtickrange": [86_400_000, None], "value": "%b %-d"},
]


@dataclass(frozen=True)
class Reading:
    """What a chart shows: metrics of `system_metrics` and their names, and the unit of all of them ("" or "s")."""

    metrics: dict[str, str]
    unit: str = ""


READINGS = {
    "rate": Reading({"events_per_second": "Events a second"}),
    "lag": Reading({"consumer_lag": "Messages to go"}),
    "delay": Reading({"watermark_delay_seconds": "Behind the clock"}, "s"),
    "sinks": Reading({"sink_write_seconds_postgres": "Postgres", "sink_write_seconds_lake": "Lake",
                      "sink_write_seconds_kafka": "Kafka"}, "s"),
    "recovery": Reading({"recovery_age_seconds": "Since the last snapshot"}, "s"),
}  # fmt: skip
"""The choices, in order; a chart names one."""


def readings_chart(
    readings: pl.DataFrame, shown: Reading, scheme: Scheme, zone: str, step: int, revision: str
) -> go.Figure:
    """Readings over time: a line through the steps' averages, from the lowest to the highest a band.

    Args:
        readings: `loaders.health.readings` of `shown.metrics`, in steps of `step` seconds.
        revision: names the view: while it stays, the zoom does.
    """
    figure = go.Figure()
    colours = (scheme.accent, *scheme.lines) if len(shown.metrics) == 1 else scheme.lines
    for (metric, name), colour in zip(shown.metrics.items(), colours, strict=False):
        found = with_gaps(readings.filter(metric=metric), step * _MISSED)
        times = text.local(found["start"], zone).to_list()
        if len(shown.metrics) == 1:
            for bound, fill in (("lowest", None), ("highest", "tonexty")):
                figure.add_scatter(
                    x=times, y=found[bound].to_list(), mode="lines", line={"width": 0}, fill=fill, fillcolor=scheme.band,
                    hoverinfo="skip", showlegend=False, uid=f"{metric}-{bound}",
                )  # fmt: skip
        known = found["average"].is_not_null()
        alone = known & ~known.shift(1, fill_value=False) & ~known.shift(-1, fill_value=False)
        figure.add_scatter(
            x=times, y=found["average"].to_list(), mode="lines+markers", name=name, uid=metric,
            line={"color": colour, "width": 2},
            marker={"color": colour, "size": [6 if one else 0 for one in alone]},  # a line alone would not show them
            hovertemplate=f"%{{y:,.3~g}} {shown.unit}".rstrip(),
        )  # fmt: skip
    figure.update_layout(
        template=scheme.template,
        uirevision=revision,
        height=_HEIGHT,
        margin={"l": 0, "r": 4, "t": 8, "b": 0},
        hovermode="x unified",
        dragmode="zoom",
        showlegend=len(shown.metrics) > 1,
        legend={"orientation": "h", "y": -0.2, "yanchor": "top", "x": 0},
        xaxis={"automargin": True, "type": "date", "hoverformat": "%b %-d, %H:%M:%S", "nticks": 7, "tickangle": 0,
               "ticklabelstandoff": 6, "tickformatstops": _TICKS},
        yaxis={"automargin": True, "rangemode": "tozero", "nticks": 6, "ticklabelstandoff": 8,
               "ticksuffix": f" {shown.unit}" if shown.unit else "", "tickformat": ",~g" if shown.unit else ",~s"},
    )  # fmt: skip
    make_room(figure, timedelta(seconds=_LEAST_STEPS * step))
    return figure


def _said(value: float, shown: Reading) -> str:
    return text.duration(value) if shown.unit else f"{value:,.1f}" if value < 10 else text.count(value)


def in_words(readings: pl.DataFrame, shown: Reading) -> str:
    """What the chart shows, for those who cannot see it."""
    said = []
    for metric, name in shown.metrics.items():
        found = readings.filter(metric=metric)
        if found.height:
            latest, low, high = found.select(
                pl.col("average").last(), pl.col("lowest").min(), pl.col("highest").max()
            ).row(0)
            said.append(f"{name}: {_said(latest, shown)} last, between {_said(low, shown)} and {_said(high, shown)}")
    return "; ".join(said) or "No readings in this time: the flow writes them every five seconds while it runs."
