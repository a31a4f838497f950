"""Bad messages are refused by name and place, and cost no neighbour."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.conftest import Database
from tests.support.kafka import Kafka
from tests.support.pipeline import Pipeline, make_topics

pytestmark = [pytest.mark.services, pytest.mark.timeout(180)]


def _good(number: int) -> dict[str, object]:
    return {
        "event_id": "e", "source": "seatgeek", "listing_id": f"L{number}", "price": 100 + number,
        "timestamp": datetime.now(UTC).isoformat(),
    }  # fmt: skip


def _bad() -> list[tuple[str, bytes]]:
    base = _good(0)

    def but(**changes: object) -> bytes:
        return json.dumps({**base, **changes}).encode()

    return [
        ("empty", b""),
        ("not_json", b"price=12"),
        ("not_json", json.dumps(base).encode()[:-1]),
        ("not_utf8", b'{"event_id": "\xff"}'),
        ("wrong_type", b"[1, 2, 3]"),
        ("missing_field", json.dumps({k: v for k, v in base.items() if k != "price"}).encode()),
        ("wrong_type", but(price=[12])),
        ("bad_number", but(price="twelve")),
        ("not_json", json.dumps(base).encode().replace(b"100", b"NaN")),
        ("bad_value", json.dumps(base).encode().replace(b"100", b"1e400")),
        ("bad_value", but(timestamp="yesterday")),
        ("ahead_of_time", but(timestamp="2199-01-01T00:00:00Z")),
        ("bad_value", but(quantity=0)),
        ("bad_currency", but(currency="12$")),
        ("bad_text", but(event_name="a\x00b")),
        ("bad_value", but(event_id="x" * 500)),
        ("too_deep", b'{"a":' * 5000 + b"1" + b"}" * 5000),
    ]


def test_each_kind_of_bad_message_lands_in_dead_letters_with_reason_and_place(
    kafka: Kafka, database: Database, tmp_path: Path
) -> None:
    """Every bad message stands between two good ones; all good ones arrive, all bad ones are named, the next go on."""
    prefix, topic = make_topics(kafka.bootstrap, "poison")
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    bad = _bad()
    for number, (_, value) in enumerate(bad):
        for message in (json.dumps(_good(2 * number)).encode(), value, json.dumps(_good(2 * number + 1)).encode()):
            producer.produce(topic, message, "e", partition=2)
    assert producer.flush(30) == 0
    with Pipeline(kafka.bootstrap, prefix, database.environment, database.dsn, tmp_path) as pipeline:
        pipeline.start()
        pipeline.settle()
        pipeline.drain()
        pipeline.check()
    with psycopg.connect(database.dsn) as connection:
        found = connection.execute(
            'SELECT reason, partition, "offset", payload FROM dead_letters ORDER BY "offset"'
        ).fetchall()
        arrived = connection.execute("SELECT offset_of(id) FROM price_history ORDER BY 1").fetchall()
    expected = [(reason, 2, 3 * number + 1, value) for number, (reason, value) in enumerate(bad)]
    assert [tuple(row[:3]) for row in found] == [row[:3] for row in expected]
    assert [bytes(row[3]) for row in found] == [row[3] for row in expected], "the raw bytes are kept"
    assert [offset for (offset,) in arrived] == [n for n in range(3 * len(expected)) if n % 3 != 1]
    _check_topic(kafka.bootstrap, prefix + "dead_letters", topic, expected)


def _check_topic(bootstrap: str, topic: str, raw: str, expected: list[tuple[str, int, int, bytes]]) -> None:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "conscope-test-dead"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    messages = []
    deadline = time.monotonic() + 20
    while len(messages) < len(expected) and time.monotonic() < deadline:
        messages += [message for message in consumer.consume(100, 0.5) if not message.error()]
    consumer.close()
    assert len(messages) == len(expected)
    for message, (reason, partition, offset, value) in zip(messages, expected, strict=True):
        body = json.loads(message.value() or b"")
        headers = {name: text.decode() for name, text in message.headers() or []}
        for place in (body, headers):
            assert (place["reason"], place["topic"], str(place["partition"]), str(place["offset"])) == (
                reason, raw, str(partition), str(offset)
            )  # fmt: skip
        assert base64.b64decode(body["payload_base64"]) == value
