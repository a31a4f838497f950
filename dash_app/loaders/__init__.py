"""What the page asks of Postgres, each question a function with a name.

Every loader takes a `Database`, passes its values as parameters, and raises `DatabaseAwayError` or `NotReadyError`.
Prices are all-in, per ticket, as floats for drawing; times are aware datetimes in UTC.
"""

from dash_app.loaders.activity import latest_alerts, latest_changes
from dash_app.loaders.events import find_event, find_events, recent_events
from dash_app.loaders.health import Health, pipeline_health
from dash_app.loaders.pulse import Pulse, news, pulse
from dash_app.loaders.sources import sources
from dash_app.loaders.windows import (
    alert_marks,
    currencies,
    doubt_marks,
    event_sections,
    event_series,
    event_sources,
    extent,
    line_series,
    snapshot,
)

__all__ = [
    "Health",
    "Pulse",
    "alert_marks",
    "currencies",
    "doubt_marks",
    "event_sections",
    "event_series",
    "event_sources",
    "extent",
    "find_event",
    "find_events",
    "latest_alerts",
    "latest_changes",
    "line_series",
    "news",
    "pipeline_health",
    "pulse",
    "recent_events",
    "snapshot",
    "sources",
]
