"""How the pipeline is doing."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from dash_app.database import Database
from dash_app.loaders.schemas import DEAD, RATES

_HEALTH = """
WITH progress AS (
    SELECT sum(log_end - next_offset)::bigint AS lag, sum(accepted)::bigint AS accepted, sum(dead)::bigint AS dead,
           sum(late)::bigint AS late, sum(quarantined)::bigint AS quarantined,
           extract(epoch FROM now() - min(watermark))::float8 AS delay
    FROM pipeline_progress WHERE stream = (SELECT max(stream) FROM pipeline_progress)
), closed AS (
    SELECT max(window_start) AS start FROM price_windows
    WHERE window_seconds = 60 AND window_start BETWEEN now() - interval '4 minutes' AND now() - interval '1 minute'
)
SELECT
    (SELECT metric_value FROM system_metrics WHERE metric_name = 'events_per_second'
        AND "timestamp" > now() - interval '20 seconds' ORDER BY "timestamp" DESC LIMIT 1),
    (SELECT sum(observations)::float8 / 60 FROM price_windows w, closed
        WHERE w.window_seconds = 60 AND w.window_start = closed.start AND w.section = ''
          AND (w.source = '' OR w.level = 'event')),
    (SELECT metric_value FROM system_metrics WHERE metric_name = 'watermark_delay_seconds'
        AND "timestamp" > now() - interval '20 seconds' ORDER BY "timestamp" DESC LIMIT 1),
    progress.delay, progress.lag, progress.accepted, progress.dead,
    coalesce((SELECT metric_value::bigint FROM system_metrics WHERE metric_name = 'quarantined_total'
        ORDER BY "timestamp" DESC LIMIT 1), progress.quarantined), progress.late
FROM progress
"""

_RATES = """
SELECT "timestamp", metric_value FROM system_metrics
WHERE metric_name = 'events_per_second' AND "timestamp" > now() - interval '10 minutes' ORDER BY "timestamp"
"""

_DEAD = """
SELECT created_at, reason, detail, topic, partition, "offset" FROM dead_letters ORDER BY id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True)
class Health:
    """The pipeline's figures; None where nothing is known.

    Attributes:
        rate: price events a second.
        measured: the rate is the flow's own of the last 20 seconds, not the last full minute's average.
        lag: messages in Kafka that are not yet stored.
        watermark_delay: seconds by which event time is behind the clock.
        accepted, dead, quarantined, late: messages so far.
    """

    rate: float | None
    measured: bool
    lag: int | None
    watermark_delay: float | None
    accepted: int | None
    dead: int | None
    quarantined: int | None
    late: int | None


def pipeline_health(database: Database) -> Health:
    """The current figures."""
    ((rate, derived, delay, derived_delay, lag, accepted, dead, quarantined, late),) = database.rows(_HEALTH)
    return Health(
        rate=derived if rate is None else rate,
        measured=rate is not None,
        lag=None if lag is None else max(lag, 0),
        watermark_delay=derived_delay if delay is None else delay,
        accepted=accepted, dead=dead, quarantined=quarantined, late=late,
    )  # fmt: skip


def rates(database: Database) -> pl.DataFrame:
    """Events a second over the last ten minutes: time, value."""
    return database.frame(_RATES, {}, RATES)


def dead_letters(database: Database, limit: int = 4) -> pl.DataFrame:
    """The latest refused messages: time, reason, detail, topic, partition, offset."""
    return database.frame(_DEAD, {"limit": limit}, DEAD)
