"""The price flow: `python -m bytewax.run flows.prices`, with `-r <folder> -s 5 -b 60` for recovery.

    raw_prices -> decode -> clock -> track -> rules -> Postgres, the lake, Kafka, Discord

Importing this module reads the settings and connects to nothing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import bytewax.operators as op
import polars as pl
from bytewax.dataflow import Dataflow, Stream

import settings as configuration
from analytics.schema import full
from connectors import topics
from connectors.kafka import KafkaBatchSource
from flows import start
from flows.operators import decode_prices, default_rule, measure, track_listings, watch_the_clock, write
from settings import Settings
from sinks import kafka, schema, tables
from sinks.channels import DEFAULT, Channels
from sinks.delivery import DeliverySink
from sinks.kafka import KafkaSink
from sinks.lake import Held, LakeSink
from sinks.postgres import PostgresSink
from sinks.rulebook import RuleBook


def build(settings: Settings) -> Dataflow:
    """The flow for these settings. Nothing connects before it runs."""
    lateness = timedelta(seconds=settings.allowed_lateness_seconds)
    channels = Channels.of(settings)
    default = DEFAULT if DEFAULT in channels.names else None
    flow = Dataflow("prices")

    raw = op.input("raw", flow, source(settings))
    decoded = decode_prices("decode", raw, settings.topic(topics.RAW_PRICES))
    clocked = watch_the_clock("clock", decoded, lateness)
    tracked = track_listings("track", clocked, settings.shards, lateness, settings.quarantine_release_after)
    alerts = op.merge("alerts", tracked.alerts, default_rule("rules", tracked.prices, settings.alert_min_drop_percent))
    progress = op.filter_map("progress", clocked, lambda batch: batch.progress)
    dead = op.filter_map("dead", clocked, lambda batch: batch.dead or None)
    impossible = op.filter_map("impossible", clocked, lambda batch: batch.held if batch.held.height else None)
    held = op.merge("held", impossible, tracked.held)
    measured: Stream[Any] = op.merge("measured", progress, held)
    metrics = measure("metrics", measured)

    to_postgres: Stream[Any] = op.merge(
        "to-postgres",
        op.map("history", tracked.prices, tables.history),
        op.map("quarantine", held, tables.quarantine),
        op.map("releases", tracked.released, tables.releases),
        op.map("dead-rows", dead, tables.dead_letters),
        op.map("changes", tracked.prices, tables.price_changes),
        op.map("alert-rows", alerts, lambda rows: tables.alerts(rows, default)),
        op.map("decision-rows", tracked.decisions, tables.decisions),
        tracked.standings,
        tracked.windows,
        tracked.events,
        progress,
        op.map("metric-rows", metrics, tables.metrics),
    )
    processed, fired = settings.topic(topics.PROCESSED_PRICES), settings.topic(topics.PRICE_ALERTS)
    to_kafka: Stream[Any] = op.merge(
        "to-kafka",
        op.map("processed", tracked.prices, lambda rows: kafka.Rows(processed, rows, kafka.processed)),
        op.map("alert-messages", alerts, lambda rows: kafka.Rows(fired, rows, kafka.alerts)),
        op.map("dead-letters", dead, lambda letters: kafka.dead_letters(settings.topic(topics.DEAD_LETTERS), letters)),
        op.map("metric-messages", metrics, lambda rows: kafka.metrics(settings.topic(topics.SYSTEM_METRICS), rows)),
    )
    to_lake: Stream[Any] = op.merge(
        "to-lake",
        op.filter_map("lake-rows", clocked, lambda batch: lake_rows(batch.rows, batch.held)),
        op.map("lake-held", tracked.held, Held),
    )

    write("postgres", to_postgres, PostgresSink(settings.postgres_dsn, settings.postgres_retry_seconds))
    write("lake", to_lake, LakeSink(settings.lake_dir, lambda: database_id(settings)))
    write("kafka", to_kafka, KafkaSink(settings.kafka_client))
    write("delivery", alerts, DeliverySink(settings.postgres_dsn, channels, settings.alert_max_age_seconds))
    return flow


def source(settings: Settings) -> KafkaBatchSource:
    """The Kafka source of `raw_prices`."""
    dsn = settings.postgres_dsn
    return KafkaBatchSource(
        client=settings.kafka_client,
        topic=settings.topic(topics.RAW_PRICES),
        register=lambda topic, incarnation: schema.register_stream(dsn, topic, incarnation),
        batch_size=settings.batch_size,
        idle_after=settings.idle_after_seconds,
        group=settings.kafka_group,
        on_lost=settings.kafka_on_lost_offsets,
        rules=RuleBook(dsn),
        on_start=lambda: start.once(dsn, settings.postgres_retry_seconds),
    )


def database_id(settings: Settings) -> str:
    """What the database that these settings name is known by; brings its schema up first."""
    start.once(settings.postgres_dsn, settings.postgres_retry_seconds)
    return schema.database_id(settings.postgres_dsn)


def lake_rows(rows: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame | None:
    """A batch's rows in one frame, in the order of the log, those that cannot be true with their `reason`."""
    if not held.height:
        return rows.hstack([full(None, pl.String, rows.height).alias("reason")]) if rows.height else None
    return pl.concat([rows, held], how="diagonal").sort("id")


start.under_bytewax_run()
flow = build(configuration.load())
