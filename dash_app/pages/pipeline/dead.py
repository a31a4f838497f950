"""Dead letters: the table, and one of them opened."""

from __future__ import annotations

from typing import Any

import polars as pl
from dash import ALL, Dash, Input, Output, State, ctx
from dash.exceptions import PreventUpdate

from dash_app import ids
from dash_app.database import Database, NotReadyError
from dash_app.loaders.dead_letters import LETTERS, MOST, REASONS, dead_letter, dead_letter_reasons, dead_letters
from dash_app.pages.pipeline import ids as here
from dash_app.pages.pipeline.layout import DEAD_PAGES
from dash_app.shell.guard import keeps
from dash_app.shell.pager import ROWS, said
from dash_app.views.cards import nothing
from dash_app.views.dead_letters import OPEN, dead_letter_table, letter_view, readable


def register(app: Dash, database: Database) -> None:
    """Register the table with its counts for each reason, its pager, and what a row opens."""

    @keeps
    def table(page: int, why: str | None, zone: str | None, _slow: int | None, mark: str | None) -> tuple[Any, ...]:
        try:
            counts = dead_letter_reasons(database)
            found = dead_letters(database, why, ROWS * (page - 1), ROWS)
        except NotReadyError:
            counts, found = pl.DataFrame(schema=REASONS), pl.DataFrame(schema=LETTERS)
        known = dict(counts.iter_rows())
        if why:
            known.setdefault(why, 0)  # what is chosen stays to be seen
        total = min(known[why] if why else sum(known.values()), MOST)
        drawn = dead_letter_table(found, zone or "UTC", filtered=bool(why) or page > 1)
        options = [{"value": name, "label": f"{readable(name)} ({count:,})"} for name, count in known.items()]
        return drawn, options, *said(page, found, total, mark, zone, known, why)

    @keeps
    def show(_clicks: list[int | None], zone: str | None) -> tuple[bool, Any]:
        if not ctx.triggered[0]["value"]:  # rows were only drawn
            raise PreventUpdate
        letter = dead_letter(database, int(ctx.triggered_id["letter"]))
        return True, nothing("It is no longer there.") if letter is None else letter_view(letter, zone or "UTC")

    reason = Input(here.DEAD_REASON, "value")
    DEAD_PAGES.register(app, [reason])
    app.callback(
        Output(here.DEAD, "children"),
        Output(here.DEAD_REASON, "data"),
        *DEAD_PAGES.outputs(),
        Input(DEAD_PAGES.page, "data"),
        reason,
        Input(ids.ZONE, "data"),
        Input(ids.SLOW, "n_intervals"),
        State(DEAD_PAGES.mark, "data"),
    )(table)
    app.callback(
        Output(here.LETTER, "opened"),
        Output(here.LETTER_TEXT, "children"),
        Input({"type": OPEN, "letter": ALL}, "n_clicks"),
        State(ids.ZONE, "data"),
        prevent_initial_call=True,
    )(show)
