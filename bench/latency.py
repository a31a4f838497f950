"""Milliseconds from the scheduled send to the commit in Postgres and to Discord's POST: an open loop at any rate."""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import NamedTuple

import psycopg
from confluent_kafka import Producer

from bench.job import EPOCH_SECONDS, make_rules
from bench.services import Services
from connectors.market import Market
from local.discord_stub import DiscordStub
from tests.conftest import new_database
from tests.support.pipeline import Pipeline, log_ends, make_topics

WARM_UP = 20.0  # seconds under load that do not count: a broker just started is still compiling its code


class Spread(NamedTuple):
    """How a number of measurements are spread, in milliseconds."""

    count: int
    p50: float
    p99: float
    worst: float

    @classmethod
    def of(cls, milliseconds: list[float]) -> Spread | None:
        """None when there are too few to say."""
        if len(milliseconds) < 2:
            return None
        cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
        return cls(len(milliseconds), cuts[49], cuts[98], max(milliseconds))

    def __str__(self) -> str:
        return f"p50 {self.p50:,.1f} ms, p99 {self.p99:,.1f} ms, worst {self.worst:,.1f} ms ({self.count:,})"


class Latency(NamedTuple):
    """One run, equal to the oracle.

    Args:
        committed: publish -> committed in Postgres.
        posted: publish -> Discord's POST received; None with too few alerts.
        memory: of the flow in MB, every ten seconds.
        lag: messages that were produced and not committed, every ten seconds.
    """

    committed: Spread
    posted: Spread | None
    memory: list[float]
    lag: list[int]


def measure(on: Services, rate: float, seconds: float, rules: int, listings: int = 5000) -> Latency:
    """Publish at `rate` for `seconds` after a warm-up, with so many of people's rules (0: the default rule).

    Raises:
        AssertionError: a table differs from the oracle's.
    """
    prefix, topic = make_topics(on.kafka.bootstrap, "latency")
    with (
        new_database(on.postgres) as database,
        DiscordStub() as discord,
        Pipeline(
            on.kafka.bootstrap, prefix, database.environment, database.dsn, on.folder / prefix, **discord.environment
        ) as pipeline,
    ):
        pipeline.start(recovery=1, interval=EPOCH_SECONDS)
        # As producers do: alone while traffic is thin; a request for each of ten thousand a second would load the broker.
        producer = Producer({"bootstrap.servers": on.kafka.bootstrap, "linger.ms": 0 if rate <= 1000 else 5})
        market = Market(2, datetime.now(UTC), events=max(10, listings // 50), listings=listings)
        for key, value in market.observe([market.start] * market.size):
            producer.produce(topic, value, key)
            producer.poll(0)
        producer.flush(30)
        pipeline.await_caught_up()
        time.sleep(3)
        if rules:
            make_rules(database.dsn, _lows(database.dsn), rules)
            time.sleep(5)
        dice = random.Random(3)
        began = time.time() + WARM_UP
        due = time.time() + dice.expovariate(rate)
        with _watched(pipeline, rate, began, seconds) as (memory, lag):
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
            commits = connection.execute(
                "SELECT (extract(epoch FROM pg_xact_commit_timestamp(xmin) - timestamp) * 1000)::float FROM price_history "
                "WHERE timestamp > to_timestamp(%s)",
                (began,),
            ).fetchall()
        posts = [
            (at - datetime.fromisoformat(embed["timestamp"]).timestamp()) * 1000
            for at, body in discord.received
            for embed in body["embeds"]
            if datetime.fromisoformat(embed["timestamp"]).timestamp() > began
        ]
    committed = Spread.of([value for (value,) in commits])
    assert committed is not None, "too few prices to measure anything"
    print(f"\r  {rate:,.0f}/s, {rules:,} rules: publish -> Postgres {committed}")
    print(f"  {'':8} publish -> Discord {posted if (posted := Spread.of(posts)) else 'too few'}", flush=True)
    return Latency(committed, posted, memory, lag)


@contextmanager
def _watched(pipeline: Pipeline, rate: float, began: float, seconds: float) -> Iterator[tuple[list[float], list[int]]]:
    """(memory in MB, lag), each looked at every ten seconds.

    On a thread of its own: whoever sends may not wait for the broker's and Postgres' answers, which take some 50 ms.
    """
    memory: list[float] = []
    lag: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(max(0.0, began + 10 * len(lag) - time.time())):
            ends = log_ends(pipeline.bootstrap, pipeline.topic)
            memory.append(pipeline.memory() / 2**20)
            lag.append(sum(ends.values()) - sum(pipeline.progress().values()))
            told = f"{rate:,.0f}/s: {time.time() - began:.0f} of {seconds:.0f} s, lag {lag[-1]:,}"
            print(f"\r  {told}   ", end="", flush=True)

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            yield memory, lag
        finally:
            done.set()
        watching.result()


def _lows(dsn: str) -> dict[str, float]:
    with psycopg.connect(dsn) as connection:
        return dict(
            connection.execute(
                "SELECT event_id, min(total_price)::float FROM price_history WHERE currency = 'USD' GROUP BY event_id"
            ).fetchall()
        )
