"""The full job over a topic that is there already: events/s, what each process costs, and memory."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import psycopg
from confluent_kafka import Producer

from bench.services import Services, cpu_seconds
from connectors.market import Market
from tests.conftest import new_database
from tests.support.kafka import Kafka
from tests.support.pipeline import Pipeline

EPOCH_SECONDS = 10


class Run(NamedTuple):
    """One run, equal to the oracle in every table and the lake.

    Args:
        rate: events/s from the first commit in Postgres to the last.
        cpu: microseconds an event, by process, over the same time.
        peak: most memory of the flow, in MB.
    """

    rate: float
    cpu: dict[str, float]
    peak: float


def produce(kafka: Kafka, topic: str, messages: int, listings: int) -> None:
    """Fill a topic with market observations, each listing in turn: the last ones before now, 20,000 a second."""
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap, "linger.ms": 50, "compression.type": "lz4", "enable.idempotence": True}
    )
    gap = 50  # microseconds
    start = datetime.now(UTC) - timedelta(microseconds=gap * messages)
    market = Market(1, start, events=max(10, listings // 100), listings=listings)
    for number, (key, value) in enumerate(market.observe(market.start + gap * n for n in range(messages))):
        while True:
            try:
                producer.produce(topic, value, key)
                break
            except BufferError:
                producer.poll(0.1)
        if number % 20_000 == 0:
            producer.poll(0)
            print(f"\r  filling the topic: {number:,} of {messages:,}", end="", flush=True)
    producer.flush(60)
    print(f"\r  filled the topic: {messages:,} messages, {listings:,} listings          ", flush=True)


def run(on: Services, prefix: str, name: str, batch: int) -> Run:
    """Read the topic with this prefix from its start, to its end.

    Raises:
        AssertionError: a table differs from the oracle's; such a run does not count.
    """
    with (
        new_database(on.postgres) as database,
        Pipeline(
            on.kafka.bootstrap, prefix, database.environment, database.dsn, on.folder / name, BATCH_SIZE=batch
        ) as pipeline,
    ):
        flow = pipeline.start(recovery=1, interval=EPOCH_SECONDS).process.pid
        while not pipeline.progress():
            time.sleep(0.05)
        before, began = cpu_seconds(flow), sum(pipeline.progress().values())
        pipeline.await_caught_up(900)
        spent, read = cpu_seconds(flow), sum(pipeline.progress().values()) - began
        pipeline.settle()
        peak = pipeline.peak_memory() / 2**20
        pipeline.drain()
        pipeline.check()
        with psycopg.connect(database.dsn) as connection:
            row = connection.execute(
                "WITH commits AS (SELECT pg_xact_commit_timestamp(xmin) AS t FROM price_history) SELECT count(*) "
                "FILTER (WHERE t > (SELECT min(t) FROM commits)) / extract(epoch FROM max(t) - min(t)) FROM commits"
            ).fetchone()
    assert row is not None
    return Run(float(row[0]), {kind: (spent[kind] - before[kind]) / read * 1e6 for kind in spent}, peak)
