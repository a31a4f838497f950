"""The full job over a topic that is there already: events/s, what each process costs, memory, and the way back."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import polars as pl
import psycopg
from confluent_kafka import Producer

from analytics.decode import decode_values
from analytics.schema import MICROS
from bench.services import Services, committed, cpu_seconds
from connectors.market import Market
from local.postgres import free_port
from sinks.schema import migrate
from tests.conftest import new_database
from tests.support.kafka import Kafka
from tests.support.pipeline import Pipeline, make_topics

EPOCH_SECONDS = 10


class Filled(NamedTuple):
    """Topics under a prefix, the raw one filled.

    Args:
        prefix: of the topics' names.
        topic: the raw one.
        first: (key, value) of its first message.
        lows: each event's lowest all-in price in dollars when all listings were looked at first.
    """

    prefix: str
    topic: str
    first: tuple[bytes, bytes]
    lows: dict[str, float]


class Run(NamedTuple):
    """One run, equal to the oracle in every table and the lake.

    Args:
        rate: events/s from the first commit in Postgres (or that with which all listings were known) to the last.
        cpu: microseconds an event, by kind of process, over the same time.
        peak: most memory of a flow's process, in MB.
        back: seconds from a SIGKILL to the first commit of the flow that is started at once; if it was asked for.
    """

    rate: float
    cpu: dict[str, float]
    peak: float
    back: float | None = None


def fill(kafka: Kafka, name: str, messages: int, listings: int, partitions: int = 0) -> Filled:
    """Topics of their own, with market observations, each listing in turn: the last ones before now, 20,000 a second.

    `partitions`: of the raw one, when they shall be more than the contract's.
    """
    prefix, topic = make_topics(kafka.bootstrap, name, partitions)
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap, "linger.ms": 50, "compression.type": "lz4", "enable.idempotence": True}
    )
    gap = 50  # microseconds
    start = datetime.now(UTC) - timedelta(microseconds=gap * messages)
    market = Market(1, start, events=max(10, listings // 100), listings=listings)
    look: list[tuple[bytes, bytes]] = []
    for number, (key, value) in enumerate(market.observe(market.start + gap * n for n in range(messages))):
        if number < listings:
            look.append((key, value))
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
    return Filled(prefix, topic, look[0], _lows(value for _, value in look))


def _lows(values: Iterable[bytes]) -> dict[str, float]:
    rows = decode_values(values).rows.filter(pl.col("currency") == "USD")
    lows = rows.group_by("event_id").agg(pl.col("total_price").min() / MICROS)
    return dict(lows.sort("event_id").iter_rows())


def make_rules(dsn: str, lows: dict[str, float], count: int) -> None:
    """Targets on these events in turn, from far below their lowest price to just under it.

    They take the default rule's place.
    """
    events = list(lows.items())
    with (
        psycopg.connect(dsn) as connection,
        connection.cursor() as cursor,
        cursor.copy("COPY alerts (event_id, target_price) FROM STDIN") as copy,
    ):
        for number in range(count):
            event, low = events[number % len(events)]
            copy.write_row((event, round(low * (0.3 + 0.69 * (number + 1) / count), 2)))


def run(
    on: Services, filled: Filled, batch: int, *, rules: int = 0, processes: int = 1, back: bool = False,
    known: int = 0, epoch: int = EPOCH_SECONDS,
) -> Run:  # fmt: skip
    """Read the topic from its start, to its end.

    Args:
        on: what it runs on.
        filled: the topic.
        batch: BATCH_SIZE.
        rules: how many of people's rules there are; with none, the default rule judges.
        processes: of one cluster.
        back: whether to kill the flow at the end, and see how soon it is back.
        known: measure only once so many messages have been read; the rate, once there are so many prices.
        epoch: seconds from snapshot to snapshot.

    Raises:
        AssertionError: a table differs from the oracle's; such a run does not count.
    """
    with (
        new_database(on.postgres) as database,
        Pipeline(
            on.kafka.bootstrap, filled.prefix, database.environment, database.dsn,
            on.folder / f"run-{time.time_ns():x}", BATCH_SIZE=batch,
        ) as pipeline,
    ):  # fmt: skip
        if rules:
            migrate(database.dsn)
            make_rules(database.dsn, filled.lows, rules)
        flows = _start(pipeline, processes, epoch)
        while sum(pipeline.progress().values()) <= known:
            assert pipeline.flows[-1].running, f"the flow ended by itself:\n{pipeline.flows[-1].tail(30)}"
            time.sleep(0.05)
        before, began = cpu_seconds(flows), sum(pipeline.progress().values())
        pipeline.await_caught_up(900)
        spent, read = cpu_seconds(flows), sum(pipeline.progress().values()) - began
        pipeline.settle()
        peak = pipeline.peak_memory() / 2**20
        _, rate, _ = committed(database.dsn, known)
        seconds = _come_back(on.kafka, filled, pipeline, epoch) if back else None
        pipeline.drain()
        pipeline.check()
    return Run(rate, {kind: (spent[kind] - before[kind]) / read * 1e6 for kind in spent}, peak, seconds)


def _start(pipeline: Pipeline, processes: int, epoch: int) -> set[int]:
    addresses = ";".join(f"127.0.0.1:{free_port()}" for _ in range(processes))
    shape = [("-i", str(number), "-a", addresses) for number in range(processes)] if processes > 1 else [()]
    return {
        pipeline.start(*arguments, recovery=processes, interval=epoch, name=f"flow-{number}").process.pid
        for number, arguments in enumerate(shape)
    }


def _come_back(kafka: Kafka, filled: Filled, pipeline: Pipeline, epoch: int) -> float:
    """Seconds from a SIGKILL to the first commit of the flow that is started then; its last epoch is in the store."""
    time.sleep(epoch + 2)
    pipeline.flows[-1].kill()
    began, known = time.monotonic(), pipeline.progress()
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    key, value = filled.first
    producer.produce(filled.topic, value, key)
    _start(pipeline, 1, epoch)
    producer.flush(30)
    while pipeline.progress() == known:
        flow = pipeline.flows[-1]
        assert flow.running, f"the flow ended by itself:\n{flow.tail(30)}"
        time.sleep(0.02)
    return time.monotonic() - began
