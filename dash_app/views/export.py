"""The menu that takes a table away."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc  # type: ignore[import-untyped]
from dash import html

from dash_app.views.aria import DECORATION

_KINDS = (
    ("csv", "CSV", "for any program"),
    ("xlsx", "Excel", "for spreadsheets"),
    ("parquet", "Parquet", "for analysis"),
)


def export_menu(what: str) -> Any:
    """CSV, xlsx and Parquet of the export `what` of a page, as the address's view shows it.

    The links gain the address's view when they are followed (assets/export.js), so that they are always of what is seen.
    """
    items = [
        dmc.MenuItem([html.Span(name), html.Span(purpose, className="export-purpose")], href=f"/export/{what}.{kind}")
        for kind, name, purpose in _KINDS
    ]
    button = dmc.Button(
        ["Export", html.Span("▾", className="export-arrow", **DECORATION)],
        variant="default", size="xs", radius="md", className="export-button",
    )  # fmt: skip
    return dmc.Menu(
        [dmc.MenuTarget(button), dmc.MenuDropdown(items, className="export-menu")],
        id=f"export-{what}", position="bottom-end", shadow="md", radius="md", width=210,
    )  # fmt: skip
