"""The pages, in the order of the navigation."""

from dash_app.page import Page
from dash_app.pages import alerts, event, market, pipeline, sources

PAGES: tuple[Page, ...] = (market.PAGE, event.PAGE, alerts.PAGE, sources.PAGE, pipeline.PAGE)
