"""The mock market: seeded, within the contract, and acknowledged to the last message."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition

from analytics import quality
from analytics.decode import decode_values
from connectors.market import Market, publish
from local.postgres import free_port
from tests.conftest import MockKafka

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def observations(seed: int, ticks: int = 500) -> list[dict[str, object]]:
    market = Market(seed, NOW, events=6, listings=60)
    opening = list(market.opening(NOW))
    return opening + [market.tick(NOW + timedelta(seconds=i)) for i in range(ticks)]


def encoded(events: list[dict[str, object]]) -> list[bytes]:
    return [json.dumps(event).encode() for event in events]


def test_the_same_seed_gives_the_same_observations() -> None:
    assert observations(7) == observations(7)


def test_another_seed_gives_others() -> None:
    one, other = observations(7), observations(8)
    assert len(one) == len(other)
    assert [event["price"] for event in one] != [event["price"] for event in other]


def test_broken_messages_are_drawn_from_the_seed_too() -> None:
    def spoiled() -> list[bytes]:
        market = Market(3, NOW, events=2, listings=4)
        return [market.spoil(market.tick(NOW)) for _ in range(50)]

    assert spoiled() == spoiled()


def test_every_observation_keeps_the_contract_and_is_plausible() -> None:
    events = observations(1, ticks=3000)
    decoded = decode_values(encoded(events))
    assert decoded.rejects == []
    plausible, held = quality.split(decoded.rows)
    assert (plausible.height, held.height) == (len(events), 0)
    assert set(plausible["currency"]) == {"USD"}
    assert plausible["listing_id"].null_count() == 0
    assert plausible["event_date"].null_count() == 0
    assert (plausible["total_price"] == plausible["price"] + plausible["fees"]).all()


def test_the_opening_shows_every_listing_once() -> None:
    market = Market(1, NOW, events=24, listings=1500)
    opening = list(market.opening(NOW))
    listings = Counter((event["event_id"], event["source"], event["listing_id"]) for event in opening)
    assert set(listings.values()) == {1}
    assert len({event["event_id"] for event in opening}) == 24
    assert 1400 <= len(opening) <= 1500
    seen = {event["listing_id"] for event in islice((market.tick(NOW) for _ in iter(int, 1)), 2000)}
    assert seen <= {event["listing_id"] for event in opening}, "a tick shows a listing that the opening did not"


def test_prices_move_and_some_fall_far_enough_for_an_alert() -> None:
    events = observations(2, ticks=5000)
    last: dict[Any, float] = {}
    falls = 0
    for event in events:
        price, before = float(event["total_price"]), last.get(event["listing_id"])  # type: ignore[arg-type]
        falls += before is not None and price <= before * 0.95
        last[event["listing_id"]] = price
    assert 10 < falls < 1000


def test_broken_messages_are_of_each_kind() -> None:
    market = Market(5, NOW, events=2, listings=10)
    decoded = decode_values([market.spoil(market.tick(NOW)) for _ in range(200)])
    assert {"not_json", "missing_field"} <= {reject.reason for reject in decoded.rejects}
    _, held = quality.split(decoded.rows)
    assert set(held["reason"]) == {"zero_price", "implausibly_high"}
    assert held.height == decoded.rows.height, "a message that was to be broken is fine"


@pytest.fixture
def producer(mock_kafka: MockKafka) -> Producer:
    return Producer({"bootstrap.servers": mock_kafka.bootstrap, "enable.idempotence": True, "log_level": 0})


def consumed(bootstrap: str, topic: str) -> Iterator[tuple[bytes | None, bytes | None, int | None]]:
    """(key, value, partition) of everything in a topic."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "test", "log_level": 0, "enable.partition.eof": True}
    )
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    open_ = len(partitions)
    while open_:
        for message in consumer.consume(1000, 1):
            if message.error():
                open_ -= 1
            else:
                yield message.key(), message.value(), message.partition()
    consumer.close()


def test_everything_published_is_acknowledged_and_counted(mock_kafka: MockKafka, producer: Producer) -> None:
    market = Market(1, datetime.now(UTC), events=4, listings=40)
    sent = publish(market, producer, "prices", 5000, 0.0, [], limit=300)
    assert sent == 300
    messages = list(consumed(mock_kafka.bootstrap, "prices"))
    assert len(messages) == 300
    assert all(key == json.loads(value or b"")["event_id"].encode() for key, value, _ in messages)
    by_event: dict[Any, set[Any]] = {}
    for key, _, partition in messages:
        by_event.setdefault(key, set()).add(partition)
    assert all(len(partitions) == 1 for partitions in by_event.values()), "an event's messages must keep their order"


def test_a_share_of_messages_is_broken_on_purpose(mock_kafka: MockKafka, producer: Producer) -> None:
    publish(Market(1, datetime.now(UTC), 4, 40), producer, "prices", 50_000, 0.5, [], limit=400)
    decoded = decode_values([value or b"" for _, value, _ in consumed(mock_kafka.bootstrap, "prices")])
    bad = len(decoded.rejects) + quality.split(decoded.rows)[1].height
    assert 120 < bad < 280


def test_a_stop_ends_the_market_after_its_opening(mock_kafka: MockKafka, producer: Producer) -> None:
    assert publish(Market(1, datetime.now(UTC), 4, 40), producer, "prices", 100, 0.0, [True]) == 40


def test_a_broker_out_of_reach_is_an_error() -> None:
    client = {"bootstrap.servers": f"127.0.0.1:{free_port()}", "message.timeout.ms": 300, "log_level": 0}
    with pytest.raises(KafkaException):
        publish(Market(1, NOW, 1, 2), Producer(client), "prices", 10, 0.0, [], limit=100)
