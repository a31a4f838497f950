"""kill -9 of ingestion at random moments while it polls a site whose prices change: real Kafka, Postgres and processes."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import defaultdict
from email.message import Message
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from confluent_kafka import Consumer, TopicPartition

from local.processes import Child
from tests.conftest import Database
from tests.support.kafka import Kafka
from tests.support.pipeline import log_ends, make_topics
from tests.support.serving import serving
from tests.unit.connectors.sources.test_seatgeek import STATS
from tests.unit.connectors.sources.test_seatgeek import event as seatgeek_event

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]

KILLS = int(os.environ.get("CONSCOPE_KILLS", "5"))
SEED = int(os.environ.get("CONSCOPE_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
EVENTS = [str(6109000 + number) for number in range(12)]
AT_WORK = 3.0  # seconds between two requests that count as uninterrupted polling
STANDS = 5.0  # seconds of polling after which a price changes: some intervals of 1 s, on a busy machine


class ChangingSite:
    """SeatGeek's list of events. Each event's price goes up by a dollar when it has stood for `STANDS` seconds.

    Only the time in which somebody polled counts: nobody can see a price that comes and goes while no process runs.
    """

    def __init__(self) -> None:
        self.calls: list[float] = []
        self.states = dict.fromkeys(EVENTS, 100)
        self.seen: dict[str, set[int]] = defaultdict(set)
        self._stood = dict.fromkeys(EVENTS, 0.0)
        self._lock = threading.Lock()

    def answer(self, path: str, headers: Message) -> dict[str, Any]:
        ids = parse_qs(urlsplit(path).query).get("id", [""])[0].split(",")
        with self._lock:
            now = time.monotonic()
            polled = now - self.calls[-1] if self.calls else 0.0
            self.calls.append(now)
            for number, name in enumerate(EVENTS):
                if polled < AT_WORK:
                    self._stood[name] += polled
                if self._stood[name] > STANDS + number / 10:
                    self._stood[name] = 0.0
                    self.states[name] += 1
            return {
                "events": [self._event(name) for name in ids],
                "meta": {"total": len(ids), "page": 1, "per_page": 50},
            }

    def _event(self, name: str) -> dict[str, Any]:
        amount = self.states[name]
        self.seen[name].add(amount)
        return seatgeek_event(name, stats={**STATS, "lowest_price": amount, "lowest_sg_base_price": amount})


class Ingestion:
    """`flows.ingest` on one site, with a store, a watchlist and topics of its own."""

    def __init__(self, kafka: Kafka, database: Database, folder: Path, url: str, **settings: str) -> None:
        self.bootstrap, self.folder = kafka.bootstrap, folder
        prefix, self.topic = make_topics(kafka.bootstrap, "ingest")
        watched = folder / "watchlist.toml"
        watched.write_text("\n".join(f'[[follow]]\nsource = "seatgeek"\nid = "{name}"\n' for name in EVENTS))
        self.environment = {
            **database.environment,
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
            "KAFKA_TOPIC_PREFIX": prefix,
            "SEATGEEK_API_KEY": "canary-key",
            "SEATGEEK_URL": url,
            "FEEDS_DIR": str(folder / "feeds"),
            "WATCHLIST_FILE": str(watched),
            "POLL_INTERVAL_SECONDS": "1",
            **settings,
        }
        self.store = folder / "recovery"
        self.store.mkdir()
        made = Child(["bytewax.recovery", str(self.store), "1"], {}, folder / "store.log")
        assert made.process.wait(60) == 0, made.tail()

    def start(self, epoch: int = 1) -> Child:
        arguments = ["bytewax.run", "flows.ingest", "-r", str(self.store), "-s", str(epoch), "-b", "0"]
        return Child(arguments, self.environment, self.folder / "ingest.log", self.folder)

    def published(self) -> dict[str, list[int]]:
        """The prices of each event, in the order of the topic."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "t", "auto.offset.reset": "earliest"})
        found: dict[str, list[int]] = defaultdict(list)
        try:
            ends = log_ends(self.bootstrap, self.topic)
            consumer.assign([TopicPartition(self.topic, partition, 0) for partition in ends])
            left, deadline = sum(ends.values()), time.monotonic() + 60
            while left and time.monotonic() < deadline:
                for message in consumer.consume(500, 0.5):
                    event = json.loads(message.value() or b"")
                    assert (message.key() or b"").decode() == event["event_id"]
                    found[event["event_id"].removeprefix("seatgeek-")].append(round(event["price"]))
                    left -= 1
        finally:
            consumer.close()
        return found


def wait(child: Child, site: ChangingSite, calls: int, patience: float = 60.0) -> None:
    """Return when so many more calls were made."""
    target, deadline = len(site.calls) + calls, time.monotonic() + patience
    while len(site.calls) < target:
        assert child.running, f"ingestion ended by itself:\n{child.tail(30)}"
        assert time.monotonic() < deadline, f"no call in {patience:.0f} s:\n{child.tail(30)}"
        time.sleep(0.02)


def test_kills_skip_no_price_that_stood(kafka: Kafka, database: Database, tmp_path: Path) -> None:
    print(f"kills {KILLS}, seed {SEED} (CONSCOPE_SEED={SEED} plays it again)")
    dice, site = random.Random(SEED), ChangingSite()
    with serving(site.answer) as url:
        ingestion = Ingestion(kafka, database, tmp_path, url, SEATGEEK_CALLS_A_DAY="1000000")
        for _ in range(KILLS):
            child = ingestion.start()
            wait(child, site, dice.randint(1, 9))
            time.sleep(dice.uniform(0, 1.2))
            assert child.running, f"ingestion ended by itself:\n{child.tail(30)}"
            child.kill()
        child = ingestion.start()
        wait(child, site, 6)
        assert child.stop() == 0, child.tail(30)
    published = ingestion.published()
    assert min(site.states.values()) > 102, "the prices did not change enough to prove anything"
    for name in EVENTS:
        stood = range(100, site.states[name])
        assert set(stood) <= set(published[name]), f"event {name}: prices {stood} stood, published {published[name]}"
        assert published[name] == sorted(published[name]), f"event {name}: out of order {published[name]}"
        assert set(published[name]) <= site.seen[name], f"event {name}: a price that the site never gave"
    quickest = min(after - before for before, after in pairwise(site.calls))
    assert quickest > 0.5, f"a call a second is allowed, and two came within {quickest:.2f} s"
    assert "canary" not in (tmp_path / "ingest.log").read_text()
    print(
        f"{len(site.calls)} calls, {sum(map(len, published.values()))} prices, states up to {max(site.states.values())}"
    )


def test_kills_overrun_no_budget(kafka: Kafka, database: Database, tmp_path: Path) -> None:
    """Each process is killed before its first snapshot, so that each begins anew with all events to look at."""
    dice, site = random.Random(SEED), ChangingSite()
    allowed = max(KILLS // 2, 2)
    with serving(site.answer) as url:
        ingestion = Ingestion(kafka, database, tmp_path, url, SEATGEEK_CALLS_A_DAY=str(allowed))
        for _ in range(KILLS):
            child = ingestion.start(epoch=600)
            before = len(site.calls)
            deadline = time.monotonic() + (30 if before < allowed else 6)  # a busy machine is slow to start
            while len(site.calls) == before and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(dice.choice((0, 0.5)))  # in the midst of a question, or after it
            assert child.running, f"ingestion ended by itself:\n{child.tail(30)}"
            child.kill()
    assert 2 <= len(site.calls) <= allowed, f"{len(site.calls)} calls were made of {allowed}"
    print(f"{len(site.calls)} calls of {allowed} in {KILLS} processes")
