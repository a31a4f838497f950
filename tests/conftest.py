"""What every test may ask for: a Postgres database of its own, a real Kafka, an imitated Kafka."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import pytest
from confluent_kafka import Producer
from hypothesis import settings
from psycopg.sql import SQL, Identifier

from local.postgres import EmbeddedPostgres
from tests.support.kafka import Kafka, NoKafkaError, make_kafka

settings.register_profile("conscope", deadline=None)  # a busy machine is no failure
settings.load_profile("conscope")


@dataclass(frozen=True)
class Database:
    """An empty database of one test's own."""

    environment: dict[str, str]  # the POSTGRES_* variables that point ConScope at it
    dsn: str


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """A Postgres server for all tests of this process; its commits do not outlive a power cut."""
    with EmbeddedPostgres(fsync=False) as server:
        yield server


@contextmanager
def new_database(server: EmbeddedPostgres) -> Iterator[Database]:
    """A fresh database; gone afterwards, whoever is still connected."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    yield Database({**server.environment, "POSTGRES_DB": name}, server.dsn(name))
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@pytest.fixture
def database(postgres_server: EmbeddedPostgres) -> Iterator[Database]:
    """A fresh database for one test."""
    with new_database(postgres_server) as fresh:
        yield fresh


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """A real Kafka broker, for tests marked `services`; make topics on it with `new_topic`."""
    try:
        broker = make_kafka()
    except NoKafkaError as reason:
        if os.environ.get("CONSCOPE_REQUIRE_ALL") == "1":
            pytest.fail(str(reason), pytrace=False)
        pytest.skip(str(reason))
    with broker:
        yield broker


@dataclass(frozen=True)
class MockKafka:
    """librdkafka's imitation of a broker, alive as long as its producer."""

    bootstrap: str
    producer: Producer


@pytest.fixture
def mock_kafka() -> MockKafka:
    """An imitated broker in this process: topics appear on first use, with 4 partitions; no admin, no transactions."""
    producer = Producer({"bootstrap.servers": "x:1", "test.mock.num.brokers": 1, "log_level": 0})
    broker = next(iter(producer.list_topics(timeout=10).brokers.values()))
    return MockKafka(f"{broker.host}:{broker.port}", producer)
