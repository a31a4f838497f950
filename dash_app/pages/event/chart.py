"""The chosen event's figures and chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, no_update

from dash_app import ids
from dash_app.database import Database
from dash_app.figures import SCHEMES, price_chart
from dash_app.figures.price import MOST_LINES, Look
from dash_app.keyfigures import key_figures
from dash_app.loaders import alert_marks, currencies, event_series, facets, line_series, snapshot
from dash_app.loaders.windows import SPANS
from dash_app.pages.event import ids as here
from dash_app.shell.guard import keeps, required
from dash_app.text import source_name
from dash_app.views.cards import nothing
from dash_app.views.head import key_figure_tiles

_NO_SECTION = "(none)"


def register(app: Dash, database: Database) -> None:
    """Register the key figures, the filters and the price chart."""

    @keeps
    def figures(_token: str, chosen: str | None) -> Any:
        event = required(chosen)
        money = currencies(database, event)
        if not money:
            return nothing("No prices of this event yet.")
        now, before, start = (snapshot(database, event, money[0], when) for when in ("now", "hour ago", "start"))
        return key_figure_tiles(key_figures(now, before, start), money[0])

    @keeps
    def filters(
        chosen: str | None, _slow: int | None, shown: list[Any], shown_sources: list[Any],
        sections: list[str] | None, sources: list[str] | None,
    ) -> tuple[Any, ...]:  # fmt: skip
        known = facets(database, required(chosen))
        listings = known.filter(known["level"] == "listing")
        names = sorted(set(listings["section"]))
        data = [{"value": name or _NO_SECTION, "label": name or "No section"} for name in names]
        makers = [{"value": name, "label": source_name(name)} for name in sorted(set(known["source"]))]
        return (
            data if data != shown else no_update,
            makers if makers != shown_sources else no_update,
            _kept(sections, data),
            _kept(sources, makers),
        )

    @keeps
    def chart(
        _token: str, chosen: str | None, window: str | None, metric: str | None,
        sections: list[str] | None, sources: list[str] | None, zone: str | None, scheme: str | None,
    ) -> tuple[Any, Any]:  # fmt: skip
        event, seconds = required(chosen), _window(window)
        money = currencies(database, event)
        if not money:
            return no_update, "No prices of this event yet."
        places = ["" if name == _NO_SECTION else name for name in sections or []]
        whole = event_series(database, event, seconds, money[0])
        lines = line_series(database, event, seconds, money[0], places, sources or [])
        begin = whole["start"].min() if whole.height else lines["start"].min()
        look = Look(
            scheme=SCHEMES["dark" if scheme == "dark" else "light"], currency=money[0], zone=zone or "UTC",
            seconds=seconds, metric="average" if metric == "average" else "low",
            revision=f"{event}/{seconds}/{money[0]}",
        )  # fmt: skip
        count = lines.select("source", "section", "level").n_unique() if lines.height else 0
        marks = alert_marks(database, event, money[0], begin)  # type: ignore[arg-type] # a time column's minimum
        return price_chart(whole, lines, marks, look), _note(money, zone or "UTC", count)

    app.callback(
        Output(here.FIGURES, "children"),
        Input(ids.PRICES, "data"),
        Input(here.EVENT, "value"),
    )(figures)
    app.callback(
        Output(here.SECTIONS, "data"),
        Output(here.SOURCES, "data"),
        Output(here.SECTIONS, "value", allow_duplicate=True),
        Output(here.SOURCES, "value", allow_duplicate=True),
        Input(here.EVENT, "value"),
        Input(ids.SLOW, "n_intervals"),
        State(here.SECTIONS, "data"),
        State(here.SOURCES, "data"),
        State(here.SECTIONS, "value"),
        State(here.SOURCES, "value"),
        prevent_initial_call="initial_duplicate",
    )(filters)
    app.callback(
        Output(here.DRAWING, "data"),
        Output(here.CHART_NOTE, "children"),
        Input(ids.PRICES, "data"),
        Input(here.EVENT, "value"),
        Input(here.WINDOW, "value"),
        Input(here.METRIC, "value"),
        Input(here.SECTIONS, "value"),
        Input(here.SOURCES, "value"),
        Input(ids.ZONE, "data"),
        Input(ids.SCHEME, "data"),
    )(chart)

    in_browser: Any = app.clientside_callback  # Dash leaves it without types
    in_browser(
        ClientsideFunction("conscope", "draw"),
        Output(here.CHART, "figure"),
        Input(here.DRAWING, "data"),
        State(here.CHART, "id"),
        prevent_initial_call=True,
    )


def _window(value: str | None) -> int:
    seconds = int(value) if value and value.isdigit() else 60
    return seconds if seconds in SPANS else 60


def _kept(chosen: Sequence[str] | None, data: list[dict[str, str]]) -> Any:
    """What stays chosen of the new options; untouched when nothing is lost."""
    known = {option["value"] for option in data}
    kept = [name for name in chosen or [] if name in known]
    return no_update if kept == list(chosen or []) else kept


def _note(money: Sequence[str], zone: str, lines: int) -> str:
    """What the chart shows, in a sentence."""
    parts = [f"All-in price per ticket in {money[0]}", f"{zone.replace('_', ' ')} time"]
    if len(money) > 1:
        parts.append(f"prices in {', '.join(money[1:])} are left out")
    if lines > MOST_LINES:
        parts.append(f"the {MOST_LINES} busiest of {lines} lines")
    return " · ".join(parts)
