"""Time axes of which little is known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import plotly.graph_objects as go  # type: ignore[import-untyped]


def make_room(figure: go.Figure, least: Any = timedelta(minutes=10)) -> None:
    """Let a time axis that ranges by itself reach over `least` around what stands on it, where that is shorter. Around a
    single point Plotly would make an axis of milliseconds.

    By a trace of which nothing is seen: `autorangeoptions` are wrong in browsers that are not in UTC (plotly.js 4.1).

    Args:
        least: a length of the axis' kind: a timedelta, or a number on an axis of days.
    """
    known = [time for trace in figure.data for time in trace.x or () if time is not None]
    if not known or (length := max(known) - min(known)) >= least:
        return
    middle = min(known) + length / 2
    figure.add_scatter(
        x=[middle - least / 2, middle + least / 2], y=[None, None], mode="lines", showlegend=False, hoverinfo="skip",
        uid="room", meta="room",
    )  # fmt: skip
