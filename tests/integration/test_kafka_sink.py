"""The Kafka sink: bodies as the contract has them, and a snapshot that means acknowledged."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from analytics import changes
from analytics.decode import decode_values
from analytics.schema import MICROS, PRICE_SCHEMA
from local.postgres import free_port
from sinks import kafka
from sinks.kafka import KafkaSink, Messages
from sinks.tables import DeadLetter, Metric
from tests.conftest import MockKafka
from tests.unit.sinks import rows

PATIENCE = 20.0

EVENT = {
    "event_id", "event_name", "venue", "event_date", "source", "section", "row", "seat", "price", "fees", "total_price",
    "currency", "quantity", "listing_id", "listing_url", "timestamp", "delivery_method", "seller_notes", "level",
    "average_price", "median_price", "highest_price", "listing_count",
}  # fmt: skip
"""The fields of a price event, as the contract lists them."""

ALERT = {
    "alert_id", "event_id", "alert_type", "alert_timestamp", "old_price", "new_price", "drop_amount", "drop_percent",
    "section", "row", "seat", "source", "listing_id", "listing_url",
}  # fmt: skip
"""The columns of an alert that readers of the earlier version know."""


def bodies(messages: Messages) -> list[dict[str, Any]]:
    return [json.loads(value) for value in messages.values]


def compared(given: list[dict[str, Any]], previous: list[changes.Previous]) -> pl.DataFrame:
    return changes.with_changes(rows.frame(given), previous)


# --- bodies


def test_a_processed_price_is_a_price_event_with_its_change() -> None:
    at = int((rows.NOON - timedelta(minutes=1)).timestamp()) * MICROS
    given = [
        rows.price(0),
        rows.price(1, price=80 * MICROS, fees=20 * MICROS, total_price=100 * MICROS, event_date=rows.NOON),
    ]
    first, second = bodies(kafka.processed("t", compared(given, [changes.NOTHING, (90 * MICROS, 110 * MICROS, at)])))
    new = {"previous_price", "previous_timestamp", "previous_total_price", "price_change", "price_change_percent"}
    assert set(first) == set(second) == EVENT | new | {"id", "city", "state"}
    assert (second["price"], second["fees"], second["total_price"]) == (80, 20, 100)
    assert (second["previous_price"], second["previous_total_price"]) == (90, 110)
    assert (second["price_change"], second["price_change_percent"]) == (-10, -9.0909)
    assert second["timestamp"] == "2026-11-23T12:00:00.000000Z"
    assert second["previous_timestamp"] == "2026-11-23T11:59:00.000000Z"
    assert [first[name] for name in new] == [None] * 5
    assert first["id"] == given[0]["id"]


def test_a_processed_price_can_be_read_as_a_price_event_again() -> None:
    """What goes out has the spelling that comes in."""
    given = [rows.price(i, section=text, seller_notes=text) for i, text in enumerate(rows.NASTY.values())]
    given.append(rows.price(99, price=40_630_000, fees=None, event_date=rows.NOON, average_price=1))
    frame = compared(given, [changes.NOTHING] * len(given))
    again = decode_values([str(value).encode() for value in kafka.processed("t", frame).values])
    assert again.rejects == []
    columns = [name for name in PRICE_SCHEMA if name not in ("id", "city", "state")]
    assert again.rows.select(columns).rows() == rows.frame(given).select(columns).rows()


def test_prices_are_keyed_by_event() -> None:
    given = [rows.price(i, event_id=event) for i, event in enumerate(["a", "b", "a"])]
    messages = kafka.processed("t", compared(given, [changes.NOTHING] * 3))
    assert (messages.topic, messages.keys, messages.headers) == ("t", ["a", "b", "a"], None)


def test_an_alert_has_the_fields_of_the_contract() -> None:
    fired = rows.dropped(range(2), percent=25)
    messages = kafka.alerts("price_alerts", fired)
    body, _ = bodies(messages)
    assert set(body) >= ALERT | {"id", "currency", "event_name", "venue"}
    assert (body["old_price"], body["new_price"], body["drop_amount"], body["drop_percent"]) == (100, 75, 25, 25)
    assert (body["alert_id"], body["alert_type"]) == (fired["alert_id"][0], "price_drop")
    assert datetime.fromisoformat(body["alert_timestamp"]) == rows.NOON
    assert messages.keys == ["concert_123"] * 2


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"\x00\xff\xfe", bytes(range(256))], ids=["empty", "short", "bytes", "all"]
)
def test_a_dead_letter_says_what_why_and_where(payload: bytes) -> None:
    letter = DeadLetter(77, "raw_prices", 3, 41, "not_json", "line 1\n'quoted' 🎫", payload)
    messages = kafka.dead_letters("dead_letters", [letter])
    (body,), (headers,) = bodies(messages), messages.headers or []
    assert headers == {
        "reason": "not_json",
        "detail": "line 1\n'quoted' 🎫",
        "topic": "raw_prices",
        "partition": "3",
        "offset": "41",
    }
    assert {name: str(body[name]) for name in headers} == headers
    assert (body["id"], body["size"], "payload_truncated" in body) == (77, len(payload), False)
    assert base64.b64decode(body["payload_base64"]) == payload
    assert messages.keys == ["raw_prices-3-41"]


def test_a_dead_letter_fits_into_a_message_however_large_what_was_refused() -> None:
    payload = b"\xf0" * (10 << 20)
    messages = kafka.dead_letters("t", [DeadLetter(1, "raw_prices", 0, 1, "too_large", "d" * 500, payload)])
    (body,) = bodies(messages)
    assert len(messages.values[0]) < 1_000_000, "the broker would refuse it"
    assert (body["payload_truncated"], body["size"]) == (True, 10 << 20)
    assert payload.startswith(base64.b64decode(body["payload_base64"]))


def test_a_metric_is_keyed_by_its_name() -> None:
    messages = kafka.metrics("system_metrics", [Metric("lag", 4.5, 1_700_000_000_000_000)])
    assert messages.keys == ["lag"], "compaction keeps the newest of each key"
    assert bodies(messages)[0]["metric_name"] == "lag"
    assert bodies(messages)[0]["metric_value"] == 4.5


# --- delivery


@pytest.fixture
def part() -> Iterator[Callable[..., Any]]:
    opened: list[Any] = []

    def make(bootstrap: str, **client: Any) -> Any:
        sink = KafkaSink({"bootstrap.servers": bootstrap, "log_level": 0, **client})
        opened.append(sink.build_part("s", "kafka", None))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def consume(bootstrap: str, topic: str, count: int) -> list[Message]:
    """So many messages of a topic, whatever their partition, in the order of each."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "log_level": 0})
    partitions = consumer.list_topics(topic, timeout=PATIENCE).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    found: list[Message] = []
    deadline = time.monotonic() + PATIENCE
    while len(found) < count and time.monotonic() < deadline:
        found += consumer.consume(count - len(found), 0.2)
    found += consumer.consume(1, 0.2)
    consumer.close()
    assert len(found) == count, f"{topic} holds {len(found)} messages, not {count}"
    return found


def test_after_a_snapshot_every_message_is_acknowledged(mock_kafka: MockKafka, part: Callable[..., Any]) -> None:
    letters = [DeadLetter(i, "raw_prices", 0, i, "not_json", f"detail {i} 🎫", bytes([i])) for i in range(50)]
    priced = compared([rows.price(i) for i in range(100)], [changes.NOTHING] * 100)
    sink = part(mock_kafka.bootstrap)
    sink.write_batch([kafka.processed("out_prices", priced), kafka.dead_letters("out_letters", letters)])
    assert sink.snapshot() is None
    prices = consume(mock_kafka.bootstrap, "out_prices", 100)
    assert sorted(json.loads(m.value() or b"")["id"] for m in prices) == priced["id"].to_list()
    assert {m.key() for m in prices} == {b"concert_123"}
    assert len({m.partition() for m in prices}) == 1, "an event's prices are in one partition, in order"
    assert [json.loads(m.value() or b"")["id"] for m in prices] == priced["id"].to_list()
    for message in consume(mock_kafka.bootstrap, "out_letters", 50):
        headers = {name: value.decode() for name, value in message.headers() or []}
        body = json.loads(message.value() or b"")
        assert headers == {name: str(body[name]) for name in ("reason", "detail", "topic", "partition", "offset")}
        assert base64.b64decode(body["payload_base64"]) == bytes([body["offset"]])


def test_a_broker_out_of_reach_fails_the_snapshot(part: Callable[..., Any]) -> None:
    """The stock sink returns here as if all were well."""
    sink = part(f"127.0.0.1:{free_port()}", **{"message.timeout.ms": 300})
    sink.write_batch([Messages("t", ["k"] * 3, [b"v"] * 3)])
    with pytest.raises(KafkaException, match=r"_MSG_TIMED_OUT|timed out"):
        sink.snapshot()
    with pytest.raises(KafkaException):
        sink.write_batch([Messages("t", ["k"], [b"v"])])


def test_a_full_queue_makes_the_flow_wait_and_loses_nothing(mock_kafka: MockKafka, part: Callable[..., Any]) -> None:
    sink = part(mock_kafka.bootstrap, **{"queue.buffering.max.messages": 10})
    sink.write_batch([Messages("full", [str(i) for i in range(500)], [str(i) for i in range(500)])])
    sink.snapshot()
    assert {m.value() for m in consume(mock_kafka.bootstrap, "full", 500)} == {str(i).encode() for i in range(500)}


def test_a_full_queue_with_the_broker_away_is_an_error_and_no_endless_wait(part: Callable[..., Any]) -> None:
    sink = part(f"127.0.0.1:{free_port()}", **{"queue.buffering.max.messages": 5, "message.timeout.ms": 300})
    sink.write_batch([Messages("t", ["k"] * 50, [b"v"] * 50)])
    with pytest.raises(KafkaException):
        sink.snapshot()


def test_a_crash_sends_nothing_more(part: Callable[..., Any]) -> None:
    sink = part(f"127.0.0.1:{free_port()}")
    sink.write_batch([Messages("t", ["k"], [b"v"])])
    began = time.monotonic()
    sink.close()
    assert time.monotonic() - began < 2
    assert len(sink._producer) == 0, "a message is still waiting to be sent"


def test_safety_cannot_be_switched_off_and_secrets_are_hidden() -> None:
    sink = KafkaSink({"bootstrap.servers": "x:1", "enable.idempotence": False, "sasl.password": "canary-secret"})
    assert "canary-secret" not in repr(sink)


def test_times_are_rfc_3339_in_utc() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
    (body,) = bodies(kafka.processed("t", compared([rows.price(0, timestamp=at, event_date=at)], [changes.NOTHING])))
    assert body["timestamp"] == body["event_date"] == "2026-01-02T03:04:05.000006Z"
