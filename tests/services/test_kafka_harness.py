"""The real broker that the services tests stand on."""

from __future__ import annotations

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from tests.support.kafka import Kafka, NoKafkaError, make_kafka

pytestmark = pytest.mark.services


def _send(kafka: Kafka, topic: str, values: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(30) == 0


def _receive(kafka: Kafka, topic: str, count: int) -> list[bytes | None]:
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "harness", "log_level": 0})
    try:
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        return [message.value() for message in consumer.consume(count, 30)]
    finally:
        consumer.close()


def test_what_is_produced_is_consumed(kafka: Kafka) -> None:
    topic = kafka.new_topic("harness", partitions=1)
    _send(kafka, topic, [b"one", b"two"])
    assert _receive(kafka, topic, 2) == [b"one", b"two"]


def test_a_new_topic_has_the_partitions_and_settings_asked_for(kafka: Kafka) -> None:
    topic = kafka.new_topic("harness", partitions=3, retention_ms="60000")
    assert topic != kafka.new_topic("harness", partitions=3)
    assert len(kafka.admin.list_topics(topic, timeout=10).topics[topic].partitions) == 3


@pytest.fixture
def own_kafka(kafka: Kafka) -> Kafka:
    if type(kafka) is Kafka:
        pytest.skip("the broker of CONSCOPE_TEST_KAFKA is not ours to stop")
    return make_kafka()


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_a_restart_keeps_the_address_and_the_data(own_kafka: Kafka, ending: str) -> None:
    with own_kafka as broker:
        address = broker.bootstrap
        topic = broker.new_topic("harness", partitions=1)
        _send(broker, topic, [b"kept"])
        getattr(broker, ending)()
        broker.start()
        assert broker.bootstrap == address
        assert _receive(broker, topic, 1) == [b"kept"]


def test_a_broker_of_others_is_never_stopped() -> None:
    with pytest.raises(NoKafkaError, match="not ours"):
        Kafka("127.0.0.1:1").stop()
