"""Charts: pure functions of frames."""

from dash_app.figures.price import price_chart
from dash_app.figures.theme import SCHEMES, Scheme

__all__ = ["SCHEMES", "Scheme", "price_chart"]
