"""What happened last: price changes and the alerts they set off."""

from __future__ import annotations

import polars as pl

from dash_app.database import Database
from dash_app.loaders.schemas import ALERTS, CHANGES

_CHANGES = """
SELECT c."timestamp", c.event_id, coalesce(e.event_name, c.event_id), c.section, c."row", c.seat, c.source,
       c.old_price::float8, c.new_price::float8, c.change_percent::float8, c.currency, c.listing_url
FROM price_changes c LEFT JOIN events e USING (event_id)
{where} ORDER BY c."timestamp" DESC, c.id DESC LIMIT %(limit)s
"""

_ALERTS = """
SELECT a.alert_timestamp, a.event_id, coalesce(a.event_name, a.event_id), a.section, a."row", a.seat, a.source,
       a.old_price::float8, a.new_price::float8, -a.drop_percent::float8, a.currency, a.listing_url,
       coalesce(a.rule_name || ': ', '') || coalesce(a.cause, ''),
       ARRAY(SELECT o.channel || ' ' || o.state FROM outbox o WHERE o.alert_id = a.alert_id ORDER BY o.channel)
FROM price_drop_alerts a
{where} ORDER BY a.alert_timestamp DESC, a.alert_id LIMIT %(limit)s
"""


def latest_changes(database: Database, event_id: str | None, limit: int = 12) -> pl.DataFrame:
    """The latest price changes, of one event or of all: time, event, place, source, old and new price, percent, url."""
    sql = _CHANGES.format(where="WHERE c.event_id = %(event)s" if event_id else "")
    return database.frame(sql, {"event": event_id, "limit": limit}, CHANGES)


def latest_alerts(database: Database, event_id: str | None, limit: int = 6) -> pl.DataFrame:
    """The latest alerts, of one event or of all, with `cause` in words and `delivery`: "channel state" of each channel."""
    sql = _ALERTS.format(where="WHERE a.event_id = %(event)s" if event_id else "")
    return database.frame(sql, {"event": event_id, "limit": limit}, ALERTS)
