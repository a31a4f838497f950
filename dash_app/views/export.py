"""The links that take a table away."""

from __future__ import annotations

from typing import Any

from dash import html

from dash_app.views.aria import named

_KINDS = (
    ("csv", "CSV", "for any program"),
    ("xlsx", "Excel", "for spreadsheets"),
    ("parquet", "Parquet", "for analysis"),
)


def export_menu(what: str) -> Any:
    """CSV, xlsx and Parquet of the export `what` of a page, as the address's view shows it.

    The links gain the address's view when they are followed (assets/export.js), so that they are always of what is seen.
    """
    links = [
        html.Li(html.A([html.Span(name), html.Span(purpose, className="purpose")], href=f"/export/{what}.{kind}"))
        for kind, name, purpose in _KINDS
    ]
    # Several may be on a page, so each says of what it is.
    return html.Details([html.Summary("Export", **named(f"Export {what}")), html.Ul(links)],
                        id=f"export-{what}", className="export")  # fmt: skip
