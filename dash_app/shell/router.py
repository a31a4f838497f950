"""Which page the address names, and the address that names what a page shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, html
from dash.exceptions import PreventUpdate

from dash_app import ids
from dash_app.page import Page, View
from dash_app.shell.layout import unknown_page


@dataclass(frozen=True)
class Field:
    """A control whose value stands in the address.

    Args:
        name: in the address, as "section".
        part: the component's id.
        default: the value that is left out.
        prop: the component's property.
    """

    name: str
    part: str
    default: str | int | None = None
    prop: str = "value"


def register(app: Dash, pages: Sequence[Page]) -> None:
    """Register the callbacks that show the page of the address and mark it in the navigation."""
    known = {page.path: page for page in pages}

    def page(path: str | None, search: str | None, written: str | None) -> Any:
        if search and search == written:
            raise PreventUpdate  # the page itself wrote that; it shows it already
        view = View.of(search)
        found = known.get("/" + (path or "").strip("/"))
        if found is not None and found.path == "/" and view.one("event"):
            found = known["/event"]  # where links of the earlier version lead
        if found is None:
            return unknown_page(), "", None
        # A class of the frame, as a style that looks for what stands within it (:has) costs at every change of the page:
        # with nine of them, 1.5 of the 7.8 seconds in which a slow machine shows an event.
        frame = " ".join(["needs-prices"] * found.needs_prices + ["wide"] * found.wide)
        shown = html.Div(found.layout(view), className="content")
        return shown, frame, None  # what the page before wrote may be come back to

    app.callback(
        Output(ids.PAGE, "children"),
        Output(ids.FRAME, "className"),
        Output(ids.WRITTEN, "data"),
        Input(ids.URL, "pathname"),
        Input(ids.URL, "search"),
        State(ids.WRITTEN, "data"),
    )(page)
    in_browser: Any = app.clientside_callback  # Dash leaves it without types
    in_browser(
        ClientsideFunction("conscope", "arrive"),
        Output(ids.NAVIGATION, "className"),
        Input(ids.URL, "pathname"),
        State(ids.NAVIGATION, "id"),
    )


def remember(app: Dash, path: str, fields: Sequence[Field]) -> None:
    """Keep the address such that it shows the same in another browser: a link to share. No entry in the history."""
    names = json.dumps([[field.name, field.default] for field in fields])
    in_browser: Any = app.clientside_callback
    in_browser(
        f"(...values) => window.dash_clientside.conscope.remember({json.dumps(path)}, {names}, values)",
        Output(ids.WRITTEN, "data", allow_duplicate=True),
        *(Input(field.part, field.prop) for field in fields),
        prevent_initial_call=True,
    )
