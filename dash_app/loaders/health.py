"""How the pipeline is doing."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import polars as pl

from dash_app.database import Database
from dash_app.loaders.schemas import TIME, Schema

READINGS: Schema = {
    "metric": pl.String, "start": TIME, "average": pl.Float64, "lowest": pl.Float64, "highest": pl.Float64,
}  # fmt: skip
PARTITIONS: Schema = {
    "topic": pl.String, "partition": pl.Int64, "next_offset": pl.Int64, "log_end": pl.Int64, "lag": pl.Int64,
    "delay": pl.Float64, "accepted": pl.Int64, "quarantined": pl.Int64, "dead": pl.Int64, "late": pl.Int64,
    "tombstones": pl.Int64, "updated": pl.Float64,
}  # fmt: skip
SINKS: Schema = {
    "sink": pl.String, "latest": pl.Float64, "typical": pl.Float64, "slow": pl.Float64, "slowest": pl.Float64,
    "read": pl.Float64,
}  # fmt: skip
CHANNELS: Schema = {
    "channel": pl.String, "disabled": TIME, "reason": pl.String, "failing": TIME, "waiting": pl.Int64,
    "oldest": pl.Float64, "held": pl.Int64, "sent": pl.Int64, "typical": pl.Float64, "slow": pl.Float64,
}  # fmt: skip

SPANS = {"10m": (600, 5), "1h": (3600, 30), "1d": (86_400, 600)}
"""How far back a chart of readings reaches, and the width of its steps, both in seconds."""

# Readings that are older tell of a flow that has stopped since.
_FRESH = "\"timestamp\" > now() - interval '20 seconds'"
_LATEST = "(SELECT metric_value FROM system_metrics WHERE metric_name = '{name}' AND {fresh} ORDER BY \"timestamp\" DESC LIMIT 1)"

_HEALTH = f"""
WITH progress AS (
    SELECT sum(log_end - next_offset)::bigint AS lag, sum(accepted)::bigint AS accepted, sum(dead)::bigint AS dead,
           sum(late)::bigint AS late, sum(quarantined)::bigint AS quarantined,
           extract(epoch FROM now() - min(watermark))::float8 AS delay,
           extract(epoch FROM now() - max(updated_at))::float8 AS quiet
    FROM pipeline_progress WHERE stream = (SELECT max(stream) FROM pipeline_progress)
), closed AS (
    SELECT max(window_start) AS start FROM price_windows
    WHERE window_seconds = 60 AND window_start BETWEEN now() - interval '4 minutes' AND now() - interval '1 minute'
), newest AS (
    SELECT extract(epoch FROM created_at - "timestamp")::float8 AS seconds FROM price_history
    WHERE "timestamp" BETWEEN now() - interval '10 minutes' AND now() + interval '5 minutes'
    ORDER BY "timestamp" DESC LIMIT 1000
)
SELECT
    {_LATEST.format(name="events_per_second", fresh=_FRESH)},
    (SELECT sum(observations)::float8 / 60 FROM price_windows w, closed
        WHERE w.window_seconds = 60 AND w.window_start = closed.start AND w.section = ''
          AND (w.source = '' OR w.level = 'event')),
    {_LATEST.format(name="watermark_delay_seconds", fresh=_FRESH)},
    progress.delay, progress.lag, progress.accepted, progress.dead,
    coalesce((SELECT metric_value::bigint FROM system_metrics WHERE metric_name = 'quarantined_total'
        ORDER BY "timestamp" DESC LIMIT 1), progress.quarantined),
    progress.late, progress.quiet,
    (SELECT metric_value + extract(epoch FROM now() - "timestamp")::float8 FROM system_metrics
        WHERE metric_name = 'recovery_age_seconds' ORDER BY "timestamp" DESC LIMIT 1),
    (SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) FROM newest),
    (SELECT count(*) FROM (SELECT FROM outbox WHERE state IN ('pending', 'sending') AND hold_until IS NULL LIMIT 10000) o),
    (SELECT count(*) FROM channels WHERE disabled_since IS NOT NULL)
FROM progress
"""  # noqa: S608 -- joined from constants

_READINGS = """
SELECT metric_name, date_bin(make_interval(secs => %(step)s), "timestamp", 'epoch'), avg(metric_value),
       min(metric_value), max(metric_value)
FROM system_metrics
WHERE metric_name = ANY(%(metrics)s) AND "timestamp" > now() - make_interval(secs => %(span)s)
GROUP BY 1, 2 ORDER BY 1, 2
"""

_PARTITIONS = """
SELECT coalesce(s.topic, 'stream ' || p.stream), p.partition, p.next_offset, p.log_end,
       greatest(p.log_end - p.next_offset, 0), extract(epoch FROM now() - p.watermark)::float8, p.accepted,
       p.quarantined, p.dead, p.late, p.tombstones, extract(epoch FROM now() - p.updated_at)::float8
FROM pipeline_progress p LEFT JOIN streams s ON s.id = p.stream
WHERE p.stream = (SELECT max(stream) FROM pipeline_progress) ORDER BY p.partition
"""

_SINKS = """
SELECT replace(metric_name, 'sink_write_seconds_', ''),
       (array_agg(metric_value ORDER BY "timestamp" DESC))[1],
       percentile_cont(0.5) WITHIN GROUP (ORDER BY metric_value),
       percentile_cont(0.95) WITHIN GROUP (ORDER BY metric_value),
       max(metric_value), extract(epoch FROM now() - max("timestamp"))::float8
FROM system_metrics
WHERE metric_name = ANY(%(metrics)s) AND "timestamp" > now() - interval '10 minutes'
GROUP BY metric_name ORDER BY array_position(%(metrics)s, metric_name)
"""

_CHANNELS = """
WITH waiting AS (
    SELECT channel, count(*) FILTER (WHERE hold_until IS NULL) AS waiting,
           extract(epoch FROM now() - min(coalesce(released_at, created_at)) FILTER (WHERE hold_until IS NULL))::float8 AS oldest,
           count(hold_until) AS held
    FROM outbox WHERE state IN ('pending', 'sending') GROUP BY channel
), sent AS (
    SELECT channel, count(*) AS sent,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS typical,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS slow
    FROM (SELECT channel, extract(epoch FROM sent_at - coalesce(released_at, created_at))::float8 AS seconds
          FROM outbox WHERE state = 'sent' AND sent_at > now() - interval '24 hours') o
    GROUP BY channel
)
SELECT channel, c.disabled_since, c.reason, c.failing_since, coalesce(w.waiting, 0), w.oldest, coalesce(w.held, 0),
       coalesce(s.sent, 0), s.typical, s.slow
FROM channels c FULL JOIN waiting w USING (channel) FULL JOIN sent s USING (channel) ORDER BY channel
"""

_SINK_METRICS = [f"sink_write_seconds_{sink}" for sink in ("postgres", "lake", "kafka")]


@dataclass(frozen=True)
class Health:
    """The pipeline's figures; None where nothing is known.

    Attributes:
        rate: price events a second.
        measured: the rate is the flow's own of the last 20 seconds, not the last full minute's average.
        lag: messages in Kafka that are not yet stored.
        watermark_delay: seconds by which event time is behind the clock.
        accepted, dead, quarantined, late: messages so far.
        quiet: seconds since the flow last reported progress.
        recovery_age: seconds since all sinks last had everything: what a restart would read again.
        stored_after: seconds from observed to stored, of 95 % of the newest prices.
        waiting: alerts that are to be delivered, 10,000 at most.
        disabled: channels that are given up.
    """

    rate: float | None
    measured: bool
    lag: int | None
    watermark_delay: float | None
    accepted: int | None
    dead: int | None
    quarantined: int | None
    late: int | None
    quiet: float | None = None
    recovery_age: float | None = None
    stored_after: float | None = None
    waiting: int = 0
    disabled: int = 0


@dataclass(frozen=True)
class Storage:
    """Bytes that the database and the lake take, the lake's files, and what is free on the lake's disk; None: unknown."""

    database: int | None
    lake: int | None
    files: int | None
    free: int | None


def pipeline_health(database: Database) -> Health:
    """The current figures."""
    ((rate, derived, delay, derived_delay, lag, accepted, dead, quarantined, late, quiet, recovery, stored, waiting,
      disabled),) = database.rows(_HEALTH)  # fmt: skip
    return Health(
        rate=derived if rate is None else rate,
        measured=rate is not None,
        lag=None if lag is None else max(lag, 0),
        watermark_delay=derived_delay if delay is None else delay,
        accepted=accepted, dead=dead, quarantined=quarantined, late=late, quiet=quiet, recovery_age=recovery,
        stored_after=stored, waiting=waiting, disabled=disabled,
    )  # fmt: skip


def readings(database: Database, metrics: list[str], span: str) -> pl.DataFrame:
    """Readings of metrics over one of `SPANS`: name, start of the step, and the step's average, lowest and highest."""
    reach, step = SPANS[span]
    return database.frame(_READINGS, {"metrics": metrics, "span": reach, "step": step}, READINGS)


def partitions(database: Database) -> pl.DataFrame:
    """Each partition of the newest stream; `delay` and `updated` are seconds ago."""
    return database.frame(_PARTITIONS, {}, PARTITIONS)


def sink_times(database: Database) -> pl.DataFrame:
    """How long the sinks' writes took, in seconds, of the longest of every five seconds in the last ten minutes: the
    latest, half of them, 95 %, and the slowest; `read`: seconds since the last reading."""
    return database.frame(_SINKS, {"metrics": _SINK_METRICS}, SINKS)


def channels(database: Database) -> pl.DataFrame:
    """Each channel: what waits there and since when, what is held back, and how long what was sent in 24 hours took."""
    return database.frame(_CHANNELS, {}, CHANNELS)


def storage(database: Database, lake: Path) -> Storage:
    """What is stored; the lake is looked through once in a minute at most."""
    ((size,),) = database.rows("SELECT pg_database_size(current_database())")
    return Storage(size, *_lake_size(lake, int(time.monotonic() // 60)))


@lru_cache(maxsize=2)
def _lake_size(lake: Path, _minute: int) -> tuple[int | None, int | None, int | None]:
    try:
        sizes = [path.stat().st_size for path in lake.glob("*/*/*.parquet")]
        return sum(sizes), len(sizes), shutil.disk_usage(lake).free
    except OSError:
        return None, None, None
