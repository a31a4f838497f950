"""Ingestion: `python -m bytewax.run flows.ingest`, with `-r <folder> -s 5 -b 60` for recovery, a folder of its own.

    ticket sites and feeds, polled within their budgets -> raw_prices, the sources' status, metrics

Importing this module reads the settings and connects to nothing.
"""

from __future__ import annotations

import logging
from typing import Any

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Dataflow, Stream

import settings as configuration
from connectors import sources, topics
from connectors.ingest import PollingSource, WatchFile
from connectors.poller import Outcome, Status
from connectors.sources import Polled
from connectors.watchlist import Watchlist
from flows import start
from flows.operators import write
from settings import Settings
from sinks import kafka
from sinks.kafka import KafkaSink, Messages
from sinks.status import StatusSink, calls_spent
from sinks.tables import Metric, SourceStatus

log = logging.getLogger(__name__)


def build(settings: Settings) -> Dataflow:
    """The flow for these settings. Nothing connects before it runs."""
    flow = Dataflow("ingest")

    outcomes = op.input("sources", flow, source(settings))
    prices = op.filter_map("prices", outcomes, lambda seen: raw_prices(settings, seen) if seen.events else None)
    status = op.map("status", outcomes, lambda seen: SourceStatus(*seen.status))
    metrics = op.filter_map("metrics", outcomes, lambda seen: readings(seen.status) if seen.measured else None)

    to_kafka: Stream[Any] = op.merge(
        "to-kafka",
        prices,
        op.map("metric-messages", metrics, lambda rows: kafka.metrics(settings.topic(topics.SYSTEM_METRICS), rows)),
    )
    to_postgres: Stream[Any] = op.merge("to-postgres", status, metrics)

    write("kafka", to_kafka, KafkaSink(settings.kafka_client))
    write("status-rows", to_postgres, StatusSink(settings.postgres_dsn))
    return flow


def source(settings: Settings) -> PollingSource:
    """Polls every source that the settings name for what the watchlist follows."""
    watchlist = Watchlist(settings.postgres_dsn)
    store = start.store()
    return PollingSource(
        sources=lambda: configured(settings),
        watch=watchlist,
        interval=settings.poll_interval_seconds,
        on_start=lambda: start.once(settings.postgres_dsn, settings.postgres_retry_seconds, "ingest"),
        refresh=WatchFile(settings.watchlist_file, watchlist),
        folder=store[0] if store is not None else None,
        spent=lambda name: calls_spent(settings.postgres_dsn, name),
    )


def configured(settings: Settings) -> list[Polled]:
    """The sources that the settings name; a feed that is wrong is told and left out.

    Raises:
        SystemExit: there is none; says what to set.
    """
    wrong: list[str] = []
    found = sources.configured(settings, wrong)
    for line in wrong:
        log.error("not followed: %s", line)
    if not found:
        raise SystemExit(
            "conscope: no source is configured. Set SEATGEEK_API_KEY, TICKETMASTER_API_KEY, or STUBHUB_CLIENT_ID and "
            f"STUBHUB_CLIENT_SECRET, or put a feed's file in {settings.feeds_dir}; `python -m connectors.doctor` tells more."
        )
    return found


def check(settings: Settings) -> None:
    """See that there is something to poll.

    Raises:
        SystemExit: as `configured`.
    """
    for one in configured(settings):
        one.close()


def raw_prices(settings: Settings, seen: Outcome) -> Messages:
    """Price events for `raw_prices`, keyed by event."""
    keys = [str(event["event_id"]) for event in seen.events]
    return Messages(settings.topic(topics.RAW_PRICES), keys, [msgspec.json.encode(event) for event in seen.events])


def readings(status: Status) -> list[Metric]:
    """A source's status as metrics."""
    values = ("calls_left", "calls_spent", "calls_planned", "watched", "priced", "unpriced")
    return [
        Metric(f"source_{name}.{status.source}", float(getattr(status, name)), status.updated_at) for name in values
    ]


start.under_bytewax_run(lambda: check(configuration.load()))
flow = build(configuration.load())
