"""The sources' panel."""

from __future__ import annotations

from typing import Any

import polars as pl
from dash import Dash, Input, Output

from dash_app import ids
from dash_app.database import Database, NotReadyError
from dash_app.loaders.sources import SOURCES, sources
from dash_app.pages.sources import ids as here
from dash_app.shell.guard import keeps
from dash_app.views.sources import source_list


def register(app: Dash, database: Database) -> None:
    """Register the panel: also without any price, for it says why there is none."""

    @keeps
    def panel(_slow: int | None) -> Any:
        try:
            return source_list(sources(database))
        except NotReadyError:
            return source_list(pl.DataFrame(schema=SOURCES))

    app.callback(Output(here.POLLED, "children"), Input(ids.SLOW, "n_intervals"))(panel)
