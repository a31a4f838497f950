"""How the pipeline is doing, what it refused and what it doubts."""

from __future__ import annotations

import polars as pl
from dash import Dash

from dash_app.loaders.dead_letters import dead_letters
from dash_app.loaders.quarantine import FATES, Fate, quarantine
from dash_app.page import Page, Services, View
from dash_app.pages.pipeline import dead, figures, held
from dash_app.pages.pipeline import ids as here
from dash_app.pages.pipeline.layout import DEAD_PAGES, HELD_PAGES, layout
from dash_app.shell.router import Field, remember

_MOST_EXPORTED = 100_000


def _register(app: Dash, services: Services) -> None:
    figures.register(app, services)
    held.register(app, services.database)
    dead.register(app, services.database)
    remember(
        app, "/pipeline",
        [Field("metric", here.METRIC, "rate"), Field("span", here.SPAN, "10m"), Field("state", here.STATE, "held"),
         Field("reason", here.REASON), Field("event", here.EVENT), HELD_PAGES.field(), Field("refused", here.DEAD_REASON),
         DEAD_PAGES.field()],
    )  # fmt: skip


def _quarantine(services: Services, view: View) -> pl.DataFrame:
    """What the address shows of quarantine, the newest 100,000 of it."""
    asked = view.one("state")
    state: Fate = next((state for state in FATES if state == asked), "held")
    return quarantine(services.database, state, view.one("reason"), view.one("event"), 0, _MOST_EXPORTED)


def _dead_letters(services: Services, view: View) -> pl.DataFrame:
    """The refused messages that the address shows, without their content, the newest 100,000."""
    return dead_letters(services.database, view.one("refused"), 0, _MOST_EXPORTED, _MOST_EXPORTED)


PAGE = Page(
    "/pipeline", "Pipeline", layout, _register, exports={"quarantine": _quarantine, "dead-letters": _dead_letters}
)
