"""The frames that the page's pieces stand in."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc  # type: ignore[import-untyped]
from dash import html

from dash_app.views.aria import named_by


def card(title: str, *children: Any, controls: Any = None, note: Any = None, name: str = "") -> html.Section:
    """A titled panel; `controls` stand at the right of the title, `note` under it."""
    heading = f"{name}-title"
    head = [html.Div([html.H2(title, id=heading), note] if note is not None else [html.H2(title, id=heading)])]
    if controls is not None:
        head.append(html.Div(controls, className="controls"))
    return html.Section(
        [html.Div(head, className="card-head"), *children], className=f"card {name}", **named_by(heading)
    )


def skeleton(lines: int, height: int = 18) -> list[Any]:
    """What stands where content is still on its way."""
    return [dmc.Skeleton(height=height, radius="sm", mb=14, width=f"{100 - 12 * (line % 3)}%") for line in range(lines)]


def figure_tile(label: str, value: str, detail: Any = None, *, tone: str = "", name: str = "") -> html.Div:
    """A figure with its label above and a detail below."""
    return html.Div(
        [
            html.Dt(label),
            html.Dd(value, className=f"value {tone}".strip()),
            html.Dd(detail or "\u00a0", className="detail"),
        ],
        className=f"tile {name}".strip(),
    )


def nothing(message: str) -> html.P:
    """A quiet sentence where a list has no rows."""
    return html.P(message, className="nothing")
