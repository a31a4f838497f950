"""The two buttons under a table of which only a page is shown."""

from __future__ import annotations

import re
from typing import Any
from zlib import crc32

import dash_mantine_components as dmc  # type: ignore[import-untyped]
import polars as pl
from dash import Dash, Input, Output, State, ctx, dcc, html
from dash.exceptions import PreventUpdate

from dash_app.page import View
from dash_app.shell.router import Field
from dash_app.views.aria import named

ROWS = 20
"""Rows of a page."""


class Pager:
    """The parts and the callback of one pager; `page` holds the number of the page that is shown, from 1.

    Args:
        name: of the table, in front of its parts' ids and in the address, as "watchlist".
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.page, self.before, self.after, self.range, self.mark = (
            f"{name}-{part}" for part in ("page", "before", "after", "range", "mark")
        )

    def layout(self, view: View, what: str) -> Any:
        """The pager of a table of `what`, at the page that the address names."""
        asked = view.one(self.page) or ""
        page = int(asked) if re.fullmatch("[1-9][0-9]{0,5}", asked) else 1
        return html.Nav(
            [
                dcc.Store(id=self.page, data=page),
                dcc.Store(id=self.mark),
                html.Span("\u00a0", id=self.range, className="range", role="status"),
                dmc.Button("Previous", id=self.before, variant="default", size="xs", disabled=True),
                dmc.Button("Next", id=self.after, variant="default", size="xs", disabled=True),
            ],
            className="pager", **named(f"Pages of {what}"),
        )  # fmt: skip

    def register(self, app: Dash, filters: list[Input]) -> None:
        """Turn the pages; another choice in a filter leads to the first."""

        def turn(_before: int | None, _after: int | None, *given: Any) -> int:
            shown = int(given[-1] or 1)
            if ctx.triggered_id == self.before:
                return max(shown - 1, 1)
            if ctx.triggered_id == self.after:
                return shown + 1
            if shown == 1:
                raise PreventUpdate
            return 1

        app.callback(
            Output(self.page, "data"),
            Input(self.before, "n_clicks"),
            Input(self.after, "n_clicks"),
            *filters,
            State(self.page, "data"),
            prevent_initial_call=True,
        )(turn)

    def field(self) -> Field:
        """For `router.remember`."""
        return Field(self.page, self.page, 1, "data")

    def outputs(self) -> list[Output]:
        """What `said` is for."""
        return [Output(self.range, "children"), Output(self.before, "disabled"), Output(self.after, "disabled"),
                Output(self.mark, "data")]  # fmt: skip


def said(page: int, rows: pl.DataFrame, total: int, before: str | None, *look: object) -> tuple[str, bool, bool, str]:
    """For `Pager.outputs`: which rows of how many are shown, whether there is no page before or after, and a mark.

    Args:
        page, rows, total: the page's number, its rows, and how many there are on all pages.
        before: the mark of what is shown now.
        look: whatever else the table looks by.

    Raises:
        PreventUpdate: it is all shown already: what is drawn again takes the focus from under a hand.
    """
    mark = f"{crc32(repr((page, rows.rows(), total, look)).encode()):08x}"
    if mark == before:
        raise PreventUpdate
    first = (page - 1) * ROWS
    words = f"{first + 1:,}–{first + rows.height:,} of {total:,}" if rows.height else "none"
    return words, page <= 1, first + rows.height >= total, mark
