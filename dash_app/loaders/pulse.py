"""The cheap questions of a tick: has anything changed, and was it of this event?"""

from __future__ import annotations

from dataclasses import dataclass

from dash_app.database import Database

_PULSE = """
SELECT
    (SELECT concat_ws('/', sum(next_offset), sum(accepted + quarantined + dead + late), max(watermark))
       FROM pipeline_progress),
    (SELECT max(id) FROM price_history),
    (SELECT max("timestamp") FROM price_changes),
    (SELECT max(alert_timestamp) FROM price_drop_alerts),
    (SELECT max(window_start) FROM price_windows WHERE window_seconds = 60),
    (SELECT count(*) FROM (SELECT FROM outbox WHERE state IN ('pending', 'sending') LIMIT 500) waiting),
    (SELECT max(id) FROM dead_letters),
    (SELECT max("timestamp") FROM system_metrics WHERE metric_name = 'events_per_second'),
    (SELECT extract(epoch FROM now() - max(updated_at))::float8 FROM pipeline_progress)
"""

# Windows of ten minutes: what comes in another order than it happened is among them.
_NEWS = """
SELECT concat_ws('/',
    (SELECT max("timestamp") FROM price_history WHERE event_id = %(event)s),
    (SELECT max("timestamp") FROM price_changes WHERE event_id = %(event)s),
    (SELECT max("timestamp") FROM quarantine WHERE event_id = %(event)s),
    (SELECT max(alert_timestamp) FROM price_drop_alerts WHERE event_id = %(event)s),
    (SELECT concat_ws(' ', max(window_start), sum(observations), count(*) FILTER (WHERE is_final))
       FROM price_windows WHERE event_id = %(event)s AND window_seconds = 60 AND window_start >= (
           SELECT max(window_start) FROM price_windows WHERE event_id = %(event)s AND window_seconds = 60
       ) - interval '10 minutes'),
    (SELECT count(*) FROM (SELECT alert_id FROM outbox WHERE state IN ('pending', 'sending') LIMIT 500) waiting
       JOIN price_drop_alerts USING (alert_id) WHERE event_id = %(event)s))
"""


@dataclass(frozen=True)
class Pulse:
    """What a tick learned.

    Attributes:
        prices: changes when there is something new to draw about prices, changes or alerts.
        health: changes when there is something new to say about the pipeline.
        empty: no price has been stored yet.
        quiet_seconds: since the flow last reported progress; None when it never has.
    """

    prices: str
    health: str
    empty: bool
    quiet_seconds: float | None


def pulse(database: Database) -> Pulse:
    """The change tokens, from indexes and tables of a few rows only."""
    (row,) = database.rows(_PULSE)
    *prices, dead, metrics, quiet = row
    # A failed query may have left a panel behind: every panel asks again after it.
    token = "|".join(map(str, [*prices, database.failed_lately]))
    return Pulse(
        prices=token,
        health=f"{token}|{dead}|{metrics}",
        empty=prices[1] is None and prices[4] is None,
        quiet_seconds=quiet,
    )


def news(database: Database, event_id: str) -> str:
    """A token that changes when there is something new to draw of one event: a price, a change, windows that became final,
    an alert, its delivery, a price that was set apart. It says nothing of what a person releases; that is seen with the
    next price.

    Raises what `Database.rows` raises.
    """
    ((token,),) = database.rows(_NEWS, {"event": event_id})
    return f"{event_id}/{token}/{database.failed_lately}"
