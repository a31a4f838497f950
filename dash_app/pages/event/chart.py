"""The chosen event's figures and chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zlib import crc32

from dash import ClientsideFunction, Dash, Input, Output, State, ctx, no_update, set_props
from dash.exceptions import PreventUpdate

from dash_app import ids
from dash_app.figures import price_chart
from dash_app.keyfigures import key_figures
from dash_app.loaders import currencies, event_sections, event_sources, history, snapshot
from dash_app.page import Services
from dash_app.pages.event import ids as here
from dash_app.pages.event.prices import NO_SECTION, Asked, shown
from dash_app.shell import search
from dash_app.shell.guard import keeps, required
from dash_app.text import source_name
from dash_app.views.cards import nothing
from dash_app.views.head import key_figure_tiles

_NOTHING = "No prices of this event yet."
_STAYS = "the lake does not answer, so this is the last it said"
_PARTIAL = "/partial"  # ends the mark of a chart that the lake has no part in, as it was away


def register(app: Dash, services: Services) -> None:
    """Register the key figures, the filters and the price chart."""
    _register_figures(app, services)
    _register_filters(app, services)
    _register_chart(app, services)


def _register_figures(app: Dash, services: Services) -> None:
    database = services.database

    @keeps
    def figures(_token: str, chosen: str | None, currency: str | None) -> Any:
        event = required(chosen)
        money = currencies(database, event)
        if not money:
            return nothing(_NOTHING)
        code = currency if currency in money else money[0]
        now, before, start = (snapshot(database, event, code, when) for when in ("now", "hour ago", "start"))
        return key_figure_tiles(key_figures(now, before, start), code)

    app.callback(
        Output(here.FIGURES, "children"),
        Input(here.NEWS, "data"),
        Input(here.EVENT, "value"),
        Input(here.CURRENCY, "value"),
    )(figures)


def _register_filters(app: Dash, services: Services) -> None:
    database = services.database

    @keeps
    def sections(
        chosen: str | None, words: str | None, _slow: int | None, known: list[Any], picked: list[str] | None
    ) -> Any:
        event, names = required(chosen), ["" if name == NO_SECTION else name for name in picked or []]
        found = event_sections(database, event, (words or "").strip(), names)
        data = [{"value": name or NO_SECTION, "label": name or "No section"} for name in found]
        _keep(here.SECTIONS, picked, data)
        return data if data != known else no_update

    @keeps
    def makers(
        chosen: str | None, _slow: int | None, known: list[Any], picked: list[str] | None, coins: list[Any]
    ) -> tuple[Any, ...]:
        event = required(chosen)
        data = [{"value": name, "label": source_name(name)} for name in event_sources(database, event)]
        money = currencies(database, event)
        _keep(here.SOURCES, picked, data)
        return data if data != known else no_update, money if money != coins else no_update, len(money) < 2

    app.callback(
        Output(search.found(here.SECTIONS), "data"),
        Input(here.EVENT, "value"),
        Input(here.SECTIONS, "searchValue"),
        Input(ids.SLOW, "n_intervals"),
        State(here.SECTIONS, "data"),
        State(here.SECTIONS, "value"),
    )(sections)
    search.register(app, here.SECTIONS)
    app.callback(
        Output(here.SOURCES, "data"),
        Output(here.CURRENCY, "data"),
        Output(here.CURRENCY_BOX, "hidden"),
        Input(here.EVENT, "value"),
        Input(ids.SLOW, "n_intervals"),
        State(here.SOURCES, "data"),
        State(here.SOURCES, "value"),
        State(here.CURRENCY, "data"),
    )(makers)


def _register_chart(app: Dash, services: Services) -> None:
    @keeps
    def chart(
        _token: str, _slow: int | None, chosen: str | None, window: str | None, metric: str | None, basis: str | None,
        sections: list[str] | None, sources: list[str] | None, compare: list[str] | None, align: str | None,
        currency: str | None, span: str | None, zone: str | None, scheme: str | None, drawn: str | None,
    ) -> tuple[Any, ...]:  # fmt: skip
        asked = Asked.of(
            required(chosen), span=span, window=window, metric=metric, basis=basis, sections=sections, sources=sources,
            compare=compare, align=align, currency=currency, zone=zone, scheme=scheme,
        )  # fmt: skip
        # Windows are asked for at every news; what is counted from observations, which costs more, now and then.
        unwanted = here.NEWS if asked.basis == "base" else ids.SLOW
        by = {part.rsplit(".", 1)[0] for part in ctx.triggered_prop_ids}
        if drawn and by == {unwanted}:
            raise PreventUpdate
        found = shown(services.database, services.lake, asked)
        if found is None:
            return no_update, _NOTHING, None
        if found.away and drawn and not drawn.endswith(_PARTIAL) and by <= {here.NEWS, ids.SLOW}:
            return no_update, found.note.replace(history.AWAY, _STAYS), no_update  # what is drawn has more
        figure = price_chart(found.prices, found.look).to_plotly_json()
        mark = f"{crc32(repr(figure).encode()):08x}{_PARTIAL if found.away else ''}"
        return (no_update, found.note, no_update) if mark == drawn else (figure, found.note, mark)

    app.callback(
        Output(here.DRAWING, "data"),
        Output(here.CHART_NOTE, "children"),
        Output(here.DRAWN, "data"),
        Input(here.NEWS, "data"),
        Input(ids.SLOW, "n_intervals"),
        Input(here.EVENT, "value"),
        Input(here.WINDOW, "value"),
        Input(here.METRIC, "value"),
        Input(here.BASIS, "value"),
        Input(here.SECTIONS, "value"),
        Input(here.SOURCES, "value"),
        Input(here.COMPARE, "value"),
        Input(here.ALIGN, "value"),
        Input(here.CURRENCY, "value"),
        Input(here.SPAN, "data"),
        Input(ids.ZONE, "data"),
        Input(ids.SCHEME, "data"),
        State(here.DRAWN, "data"),
    )(chart)

    in_browser: Any = app.clientside_callback  # Dash leaves it without types
    in_browser(
        ClientsideFunction("conscope", "draw"),
        Output(here.CHART, "figure"),
        Input(here.DRAWING, "data"),
        State(here.CHART, "id"),
        State(here.SPAN, "data"),
        prevent_initial_call=True,
    )
    in_browser(
        ClientsideFunction("conscope", "span"),
        Output(here.SPAN, "data"),
        Output(here.RANGE, "value"),
        Input(here.RANGE, "value"),
        Input(here.CHART, "relayoutData"),
        Input(here.ALIGN, "value"),
        State(here.SPAN, "data"),
        prevent_initial_call=True,
    )


def _keep(part: str, chosen: Sequence[str] | None, data: list[dict[str, str]]) -> None:
    """Take out what is chosen and not among the new options. Not as an output: then the chart would wait for every
    search, and Dash forgets what was chosen meanwhile."""
    known = {option["value"] for option in data}
    kept = [name for name in chosen or [] if name in known]
    if kept != list(chosen or []):
        set_props(part, {"value": kept})
