"""A mock market: ticket prices that move as on the resale sites, published to `raw_prices` keyed by event.

`model` is the market, `names` who plays where in it, `publish` its way to Kafka, and `python -m connectors.market` the
command.
"""

from connectors.market.model import Market, Place
from connectors.market.publish import Pace, publish

__all__ = ["Market", "Pace", "Place", "publish"]
