"""The services that tests ask for are what they promise, and say so when they cannot be had."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from tests.conftest import Database, MockKafka
from tests.support.kafka import IMAGE, DockerKafka, Kafka, NoKafkaError, make_kafka

_seen: list[str] = []


@pytest.mark.parametrize("turn", [1, 2])
def test_every_test_has_an_empty_database_of_its_own(database: Database, turn: int) -> None:
    with psycopg.connect(database.dsn) as connection:
        (name,) = connection.execute("SELECT current_database()").fetchone() or ("",)
        connection.execute("CREATE TABLE left_behind ()")
    assert name == database.environment["POSTGRES_DB"]
    assert name not in _seen
    _seen.append(name)


@pytest.fixture
def forgotten() -> Iterator[list[psycopg.Connection]]:
    """Connections that are still open when the fixtures asked for after this one end."""
    connections: list[psycopg.Connection] = []
    yield connections
    for connection in connections:
        connection.close()


def test_a_database_goes_although_someone_is_connected(forgotten: list[psycopg.Connection], database: Database) -> None:
    forgotten.append(psycopg.connect(database.dsn))  # the end of `database` must neither hang nor fail


def test_the_imitated_broker_takes_and_gives_messages(mock_kafka: MockKafka) -> None:
    producer = Producer({"bootstrap.servers": mock_kafka.bootstrap})
    producer.produce("prices", b"one", partition=0)
    assert producer.flush(10) == 0
    consumer = Consumer({"bootstrap.servers": mock_kafka.bootstrap, "group.id": "test"})
    consumer.assign([TopicPartition("prices", 0, OFFSET_BEGINNING)])
    assert [message.value() for message in consumer.consume(1, 10)] == [b"one"]
    consumer.close()


def test_a_broker_that_is_given_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSCOPE_TEST_KAFKA", "broker:9092")
    broker = make_kafka()
    assert type(broker) is Kafka
    assert broker.bootstrap == "broker:9092"


def test_a_machine_that_cannot_run_kafka_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CONSCOPE_TEST_KAFKA", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoKafkaError, match=r"start Docker, or install Java 17 and Maven .*Java found: none"):
        make_kafka()


def test_a_container_is_published_on_loopback_and_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Docker is a stand-in that writes down what it was asked."""
    monkeypatch.delenv("CONSCOPE_TEST_KAFKA", raising=False)
    calls = tmp_path / "calls"
    (tmp_path / "docker").write_text(f'#!/bin/sh\necho "$@" >>{calls}\n')
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(Kafka, "_wait", lambda self: None)
    broker = make_kafka()
    assert isinstance(broker, DockerKafka)
    with broker:
        broker.restart()
    info, run, stop, start, remove = calls.read_text().splitlines()
    assert info == "info"
    port = broker.bootstrap.split(":")[1]
    assert run.startswith("run -d --name conscope-test-kafka-")
    assert run.endswith(IMAGE)
    assert f"-p 127.0.0.1:{port}:{port}" in run
    assert f"KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://127.0.0.1:{port}" in run
    name = run.split()[3]
    assert (stop.split()[0], start, remove) == ("stop", f"start {name}", f"rm -f -v {name}")
