"""What stands on the pipeline page, before anything is known."""

from __future__ import annotations

from typing import Any

from dash import dcc, html

from dash_app.figures.blank import blank
from dash_app.page import View
from dash_app.pages.pipeline import ids as here
from dash_app.views.cards import card, skeleton


def layout(view: View) -> Any:
    """The page that the address asks for."""
    spark = dcc.Graph(
        id=here.SPARK, config={"staticPlot": True, "responsive": True}, figure=blank(56), className="spark"
    )
    return card(
        "Pipeline",
        html.Dl(skeleton(2, 32), id=here.HEALTH, className="tiles health-figures"),
        html.Div(
            [html.Div([html.H3("Events per second, last 10 minutes"), spark]),
             html.Div([html.H3("Latest refused messages"), html.Div(skeleton(2), id=here.DEAD)])],
            className="columns even",
        ),
        name="health-card",
    )  # fmt: skip
