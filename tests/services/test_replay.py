"""kill -9 of an import at random moments, on real Kafka, beside another producer."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition

from local.processes import Child
from tests.support.kafka import Kafka
from tests.support.logs import NOON
from tests.support.pipeline import log_ends

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]

KILLS = int(os.environ.get("CONSCOPE_KILLS", "4"))
SEED = int(os.environ.get("CONSCOPE_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
ROWS = 40_000
MAP = """
constants = { source = "partner" }
fields = { event_id = "event", price = "price", timestamp = "seen", seat = "number" }
"""


def write_prices(path: Path) -> None:
    """Five thousand prices a second of event time."""
    with path.open("w") as file:
        file.write("event,price,seen,number\n")
        for number in range(ROWS):
            seen = NOON + timedelta(microseconds=200 * number)
            file.write(f"e{number % 97},{number + 1}.25,{seen.isoformat()},{number}\n")


def read(kafka: Kafka, topic: str) -> list[Message]:
    """Everything in a topic, partition by partition."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "test", "log_level": 0})
    try:
        ends = log_ends(kafka.bootstrap, topic)
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in ends])
        found: list[Message] = []
        while len(found) < sum(ends.values()):
            found += [one for one in consumer.consume(10_000, 0.2) if one.error() is None]
        return sorted(found, key=lambda one: (one.partition() or 0, one.offset() or 0))
    finally:
        consumer.close()


def test_an_import_that_is_killed_again_and_again_publishes_each_row_once(kafka: Kafka, tmp_path: Path) -> None:
    print(f"kills {KILLS}, seed {SEED} (CONSCOPE_SEED={SEED} plays it again)")
    dice = random.Random(SEED)
    topic = kafka.new_topic("replay", partitions=4)
    write_prices(tmp_path / "prices.csv")
    (tmp_path / "map.toml").write_text(MAP)
    environment = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap}
    command = ["connectors.replay", "file", "prices.csv", "--map", "map.toml", "--into", topic, "--json", "--speed"]

    def start(speed: str) -> Child:
        return Child([*command, speed], environment, tmp_path / "replay.log", tmp_path)

    stop = threading.Event()
    others = [0]

    def interfere() -> None:
        producer = Producer({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
        while not stop.wait(0.002):
            producer.produce(topic, b"of another producer", b"e%d" % (others[0] % 97))
            others[0] += 1
        assert producer.flush(30) == 0

    beside = threading.Thread(target=interfere)
    beside.start()
    try:
        for number in range(KILLS):
            there = sum(log_ends(kafka.bootstrap, topic).values()) - others[0]
            child = start("max" if number == KILLS - 1 else "1")
            # Some die before their first message, most in the middle of their work.
            enough, deadline = there + dice.randrange(6000), time.monotonic() + dice.uniform(2, 30)
            while child.running and time.monotonic() < deadline:
                if sum(log_ends(kafka.bootstrap, topic).values()) - others[0] > enough:
                    break
                time.sleep(0.05)
            assert child.running, f"the replay ended by itself:\n{child.tail()}"
            child.kill()
            time.sleep(dice.choice((0, 0.5)))
        last = start("max")
        assert last.process.wait(60) == 0, last.tail()
        summary = json.loads(last.tail(1))
        assert (summary["finished"], summary["total"]) == (True, ROWS), summary
        assert summary["published"] + summary["published_before"] == ROWS, summary
        assert summary["published_before"] > 0, "every kill came too early to prove anything"
        again = start("max")
        assert again.process.wait(60) == 0, again.tail()
        assert json.loads(again.tail(1))["published"] == 0, again.tail()
    finally:
        stop.set()
        beside.join()
    ours = [one for one in read(kafka, topic) if one.headers()]
    seats = Counter(int(json.loads(one.value() or b"")["seat"]) for one in ours)
    twice, missing = [s for s, n in seats.items() if n > 1], set(range(ROWS)) - set(seats)
    assert not twice, f"{len(twice)} rows were published more than once: {twice[:5]}"
    assert not missing, f"{len(missing)} rows are missing: {sorted(missing)[:5]}"
    order: dict[bytes | None, list[int]] = {}
    for one in ours:
        order.setdefault(one.key(), []).append(int(json.loads(one.value() or b"")["seat"]))
    assert all(seats == sorted(seats) for seats in order.values()), "an event's prices are out of order"
    print(f"{summary['published_before']} of {ROWS} rows by the killed processes, {others[0]} messages of others")
