"""The frame around every page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc  # type: ignore[import-untyped]
from dash import dcc, html

from dash_app import ids
from dash_app.page import Page
from dash_app.views.aria import DECORATION, named
from dash_app.views.cards import skeleton

# fmt: off
_THEME = {
    "primaryColor": "indigo",
    "primaryShade": {"light": 7, "dark": 8},  # Mantine's own, 6, is too pale for text on white: 4.3 to 1, WCAG AA asks 4.5
    "fontFamily": "'Inter', system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
    "defaultRadius": "md",
    "cursorType": "pointer",
    "colors": {"dark": ["#d5d9e3", "#b4bac8", "#9aa3b5", "#6f788b", "#343b4b", "#2b3140", "#1d212c", "#171a23",
                        "#12151d", "#0f1117"]},
}
# fmt: on


def layout(pages: Sequence[Page]) -> Any:
    """The whole frame, on Mantine's provider, with a skeleton where the page will be."""
    waiting = html.Div([html.Section(skeleton(4, 28), className="card")], className="content")
    skip = html.A("Skip to the page", href=f"#{ids.STAGE}", className="skip")
    parts = [_notices(), _empty(), html.Div(waiting, id=ids.PAGE)]
    stage = html.Main(parts, id=ids.STAGE, className="loading", tabIndex=-1)
    return dmc.MantineProvider(
        [
            *_clockwork(),
            html.Div([skip, _header(pages), stage], id=ids.FRAME),
        ],
        theme=_THEME,
        defaultColorScheme="auto",
    )


def unknown_page() -> Any:
    """What stands where the address names no page."""
    return html.Section(
        [html.H1("There is no such page"), html.P(["Go to ", dcc.Link("the market", href="/"), "."])],
        className="empty-state shown",
    )


def _clockwork() -> list[Any]:
    stores = (ids.ZONE, ids.SCHEME, ids.PRICES, ids.HEALTH_TOKEN, ids.HEARTBEAT, ids.WRITTEN)
    return [
        dcc.Location(id=ids.URL, refresh="callback-nav"),
        dcc.Interval(id=ids.BEAT, interval=1500),
        dcc.Interval(id=ids.TICK, disabled=True),  # with the beat, unless answers are under way
        dcc.Interval(id=ids.SLOW, interval=15_000),
        dmc.NotificationContainer(id=ids.TOASTS, position="bottom-right"),
        *(dcc.Store(id=name) for name in stores),
    ]


def _header(pages: Sequence[Page]) -> Any:
    link = html.Div([html.Span(className="dot"), html.Span("Connecting", id=ids.LINK_TEXT)],
                    id=ids.LINK, className="link wait", role="status")  # fmt: skip
    toggle = dmc.ColorSchemeToggle(
        id=ids.TOGGLE, lightIcon=html.Span("☀", **DECORATION),
        darkIcon=html.Span("☾", **DECORATION), variant="subtle", color="gray", size="lg", radius="xl",
        **named("Switch between light and dark"),
    )  # fmt: skip
    brand = dcc.Link([html.Span(className="mark", **DECORATION), html.Span("ConScope", className="name")],
                     href="/", className="brand")  # fmt: skip
    ways = html.Nav([dcc.Link(page.title, href=page.path, className="way") for page in pages],
                    id=ids.NAVIGATION, **named("Pages"))  # fmt: skip
    return html.Header(html.Div([brand, ways, html.Div([link, toggle], className="tools")], className="inner"))


def _notices() -> Any:
    offline = "The dashboard's own server does not answer. What you see is the last it said; it goes on by itself."
    return html.Div(
        [html.Div(id=ids.NOTICE, className="notice", role="alert", hidden=True),
         html.Div(offline, id=ids.OFFLINE, className="notice", role="alert", hidden=True)]
    )  # fmt: skip


def _empty() -> Any:
    return html.Section(
        [
            html.Span(className="mark big", **DECORATION),
            html.H1("No prices yet"),
            html.P(["Start everything at once with ", html.Code("make demo"), ", or send prices to the topic ",
                    html.Code("raw_prices"), " while ", html.Code("python -m bytewax.run flows.prices"), " runs."]),
            html.P("This page fills by itself as soon as the first one arrives."),
        ],
        className="empty-state",
    )  # fmt: skip
