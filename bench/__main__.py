"""`make bench`: events/s of the full job, and the latency from publishing to Postgres and to Discord.

Real Kafka, an embedded Postgres with fsync on, recovery on. A run whose tables differ from the oracle's does not count.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from confluent_kafka import Producer

from connectors.market import Market
from local.discord_stub import DiscordStub
from local.postgres import EmbeddedPostgres
from tests.conftest import new_database
from tests.support.kafka import Kafka, make_kafka
from tests.support.pipeline import Pipeline, make_topics

_WARM_UP = 20.0  # seconds under load that do not count: a broker just started is still compiling its code


def produce(kafka: Kafka, topic: str, messages: int, listings: int) -> None:
    """Fill a topic with market observations, each listing in turn: the last ones before now, 20,000 a second."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 50, "compression.type": "lz4"})
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
    print(f"\r  filled the topic: {messages:,} messages, {listings:,} listings          ")


def throughput(kafka: Kafka, server: EmbeddedPostgres, folder: Path, prefix: str, messages: int, batch: int) -> float:
    """Events/s from the first commit to the last, over a topic that is there already."""
    with (
        new_database(server) as database,
        Pipeline(kafka.bootstrap, prefix, database.environment, database.dsn, folder, BATCH_SIZE=batch) as pipeline,
    ):
        pipeline.start(recovery=1, interval=5)
        pipeline.await_caught_up(600)
        pipeline.settle()
        peak = pipeline.peak_memory()
        pipeline.drain()
        pipeline.check()
        with psycopg.connect(database.dsn) as connection:
            row = connection.execute(
                "SELECT extract(epoch FROM max(t) - min(t)), count(*) FROM "
                "(SELECT pg_xact_commit_timestamp(xmin) AS t FROM price_history) AS commits"
            ).fetchone()
            first = connection.execute(
                "SELECT count(*) FROM price_history WHERE pg_xact_commit_timestamp(xmin) = "
                "(SELECT min(pg_xact_commit_timestamp(xmin)) FROM price_history)"
            ).fetchone()
    assert row is not None
    assert first is not None
    rate = (row[1] - first[0]) / float(row[0])
    print(
        f"  {rate:>9,.0f} events/s   {row[1]:,} rows in {float(row[0]):.1f} s, peak memory {peak / 2**20:.0f} MB, oracle equal"
    )
    return rate


def make_rules(dsn: str, count: int) -> None:
    """Targets on all events, from far below their lowest price to just under it; they take the default rule's place."""
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "WITH e AS (SELECT event_id, min(total_price) AS low, (row_number() OVER ())::int - 1 AS n, "
            "(count(*) OVER ())::int AS of FROM price_history WHERE currency = 'USD' GROUP BY event_id) "
            "INSERT INTO alerts (event_id, target_price) SELECT event_id, round((low * (0.3 + 0.69 * x / %(n)s))::numeric, 2) "
            "FROM generate_series(1, %(n)s) x JOIN e ON e.n = x %% e.of",
            {"n": count},
        )


def latency(kafka: Kafka, server: EmbeddedPostgres, folder: Path, rate: float, seconds: float, rules: int) -> None:
    """Milliseconds from the scheduled send to the commit in Postgres and to Discord's POST, open loop."""
    prefix, topic = make_topics(kafka.bootstrap, "latency")
    with (
        new_database(server) as database,
        DiscordStub() as discord,
        Pipeline(
            kafka.bootstrap, prefix, database.environment, database.dsn, folder, **discord.environment
        ) as pipeline,
    ):
        pipeline.start(recovery=1, interval=5)
        # As producers do: alone while traffic is thin; a request for each of ten thousand a second would load the broker.
        producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 0 if rate <= 1000 else 5})
        market = Market(2, datetime.now(UTC), events=100, listings=5000)
        for key, value in market.observe([market.start] * market.size):
            producer.produce(topic, value, key)
            producer.poll(0)
        producer.flush(30)
        pipeline.await_caught_up()
        time.sleep(3)
        if rules:
            make_rules(database.dsn, rules)
            time.sleep(5)
        began = time.time() + _WARM_UP
        dice = random.Random(3)
        due = time.time() + dice.expovariate(rate)
        while due < began + seconds:
            time.sleep(max(0.0, due - time.time()))
            times, now = [], time.time()
            while due <= now:
                times.append(int(due * 1e6))
                due += dice.expovariate(rate)
            for key, value in market.observe(times):
                producer.produce(topic, value, key)
            producer.poll(0)
        producer.flush(30)
        pipeline.settle()
        time.sleep(5)
        pipeline.drain()
        pipeline.check()
        with psycopg.connect(database.dsn) as connection:
            commits = [
                float(value)
                for (value,) in connection.execute(
                    "SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin) - timestamp) * 1000 FROM price_history "
                    "WHERE timestamp > to_timestamp(%s)", (began,),
                )
            ]  # fmt: skip
        posts = [
            (at - datetime.fromisoformat(embed["timestamp"]).timestamp()) * 1000
            for at, body in discord.received
            for embed in body["embeds"]
            if datetime.fromisoformat(embed["timestamp"]).timestamp() > began
        ]
    print(
        f"  {rate:,.0f}/s, {rules:,} rules, {len(commits):,} prices, {len(posts):,} messages to Discord, oracle equal"
    )
    _spread("publish -> committed in Postgres", commits)
    _spread("publish -> Discord's POST", posts)


def _spread(name: str, milliseconds: list[float]) -> None:
    if len(milliseconds) < 2:
        print(f"    {name}: too few")
        return
    cuts = statistics.quantiles(milliseconds, n=1000, method="inclusive")
    print(f"    {name:<34} p50 {cuts[499]:7.1f} ms   p99 {cuts[989]:7.1f} ms   worst {max(milliseconds):7.1f} ms")


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--messages", type=int, default=500_000, help="in the topic of the throughput runs")
    parser.add_argument("--listings", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=5000, help="BATCH_SIZE of the throughput runs")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=100, help="prices a second of the latency run; 0 leaves it out")
    parser.add_argument("--seconds", type=float, default=60, help="of the latency run")
    parser.add_argument("--rules", type=int, default=0, help="people's rules in the latency run; 0: the default rule")
    chosen = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="conscope-bench-")))
        kafka = stack.enter_context(make_kafka())
        server = stack.enter_context(EmbeddedPostgres(track_commit_timestamp="on"))
        if chosen.runs:
            prefix, topic = make_topics(kafka.bootstrap, "bench")
            produce(kafka, topic, chosen.messages, chosen.listings)
            rates = [
                throughput(kafka, server, folder / str(n), prefix, chosen.messages, chosen.batch)
                for n in range(chosen.runs)
            ]
            print(f"  median {statistics.median(rates):,.0f} events/s of {len(rates)} runs")
        if chosen.rate:
            latency(kafka, server, folder / "latency", chosen.rate, chosen.seconds, chosen.rules)
    return 0


if __name__ == "__main__":
    sys.exit(main())
