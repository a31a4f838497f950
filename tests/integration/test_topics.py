"""The contract's topics: made when missing, verified when there, never changed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

import settings as configuration
from connectors import topics
from connectors.topics import TopicsDiffer, ensure
from local.postgres import free_port
from tests.support.kafka import Kafka

DAY = 86_400_000
PATIENCE = 30.0

CONTRACT = {
    "raw_prices": (4, 7 * DAY, "delete"),
    "processed_prices": (3, 30 * DAY, "delete"),
    "price_alerts": (2, DAY, "delete"),
    "system_metrics": (1, 7 * DAY, "compact,delete"),
    "dead_letters": (1, 30 * DAY, "delete"),
}
"""Partitions, retention in ms and clean-up of each topic, as the contract lists them."""


@pytest.fixture
def prefix(kafka: Kafka) -> Iterator[str]:
    """Names of this test's own: the broker may be shared."""
    chosen = f"t{uuid.uuid4().hex[:8]}_"
    yield chosen
    admin = kafka.admin
    made = [name for name in admin.list_topics(timeout=PATIENCE).topics if name.startswith(chosen)]
    for future in (admin.delete_topics(made) if made else {}).values():
        future.result(PATIENCE)


def made(admin: AdminClient, prefix: str) -> dict[str, tuple[int, int, str]]:
    """The topics that stand on the broker, as `CONTRACT` has them."""
    found = {}
    for name, topic in admin.list_topics(timeout=PATIENCE).topics.items():
        if name.startswith(prefix):
            (reply,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name)]).values()
            config = {entry.name: entry.value for entry in reply.result(PATIENCE).values()}
            clean_up = ",".join(sorted(config["cleanup.policy"].split(",")))
            found[name.removeprefix(prefix)] = (len(topic.partitions), int(config["retention.ms"]), clean_up)
    return found


def test_the_contract_is_what_the_contract_says() -> None:
    ours = {
        topic.name: (topic.partitions, topic.retention_ms, topic.settings.get("cleanup.policy", "delete"))
        for topic in topics.CONTRACT
    }
    assert ours == CONTRACT


@pytest.mark.services
def test_all_five_are_made_and_the_second_time_verified(kafka: Kafka, prefix: str) -> None:
    said: list[str] = []
    ensure(kafka.admin, 1, said.append, prefix)
    assert made(kafka.admin, prefix) == CONTRACT
    assert [line.split()[0] for line in said] == ["made"] * 5
    assert said[0] == f"made     {prefix}raw_prices: 4 partitions, 7 days"
    said.clear()
    ensure(kafka.admin, 1, said.append, prefix)
    assert said == [f"verified {prefix}{name}" for name in CONTRACT]
    assert made(kafka.admin, prefix) == CONTRACT


@pytest.mark.services
def test_each_difference_is_named_with_its_mending_and_nothing_is_changed(kafka: Kafka, prefix: str) -> None:
    admin = kafka.admin
    wrong = [
        NewTopic(prefix + "raw_prices", 4, 1, config={"retention.ms": "3600000"}),
        NewTopic(prefix + "processed_prices", 2, 1, config={"retention.ms": str(30 * DAY)}),
        NewTopic(prefix + "system_metrics", 1, 1, config={"retention.ms": str(7 * DAY), "cleanup.policy": "delete"}),
    ]
    for future in admin.create_topics(wrong).values():
        future.result(PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while len(before := made(admin, prefix)) < 3:  # a new topic is not listed at once
        assert time.monotonic() < deadline, "the topics were not made"
        time.sleep(0.05)
    said: list[str] = []
    with pytest.raises(TopicsDiffer) as differences:
        ensure(admin, 1, said.append, prefix)
    assert str(differences.value).splitlines() == [
        f"{prefix}raw_prices has retention.ms=3600000, not {7 * DAY}: change it with kafka-configs --alter",
        f"{prefix}processed_prices has 2 partitions, not 3: add them with kafka-topics --alter",
        f"{prefix}system_metrics has cleanup.policy=delete, not compact,delete: change it with kafka-configs --alter",
    ]
    after = made(admin, prefix)
    assert {name: after[name] for name in before} == before, "a topic that was there has been changed"
    assert {line.split()[1].rstrip(":") for line in said} == {prefix + "price_alerts", prefix + "dead_letters"}


@pytest.mark.services
def test_more_partitions_than_the_contract_are_fine(kafka: Kafka, prefix: str) -> None:
    admin = kafka.admin
    given = NewTopic(prefix + "raw_prices", 6, 1, config={"retention.ms": str(7 * DAY)})
    admin.create_topics([given])[given.topic].result(PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while not made(admin, prefix):
        assert time.monotonic() < deadline, "the topic was not made"
        time.sleep(0.05)
    ensure(admin, 1, lambda _: None, prefix)
    assert made(admin, prefix)["raw_prices"] == (6, 7 * DAY, "delete")


@pytest.mark.services
def test_a_replication_that_the_cluster_cannot_give_is_an_error(kafka: Kafka, prefix: str) -> None:
    if len(kafka.admin.list_topics(timeout=PATIENCE).brokers) > 2:
        pytest.skip("the cluster that was given can")
    with pytest.raises(KafkaException, match="replication factor"):
        ensure(kafka.admin, 3, lambda _: None, prefix)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.chdir(str(tmp_path))
    configuration.load.cache_clear()
    yield monkeypatch
    configuration.load.cache_clear()


def test_the_command_says_which_broker_is_out_of_reach(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setattr(topics, "_TIMEOUT", 0.5)
    address = f"127.0.0.1:{free_port()}"
    environment.setenv("KAFKA_BOOTSTRAP_SERVERS", address)
    environment.setenv("LIBRDKAFKA_LOG_LEVEL", "0")
    assert topics.main() == 1
    assert capsys.readouterr().err.startswith(f"Kafka at {address}: ")


@pytest.mark.services
def test_the_command_makes_the_topics_and_reports_differences(
    environment: pytest.MonkeyPatch, kafka: Kafka, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap)
    environment.setenv("KAFKA_TOPIC_PREFIX", prefix)
    assert topics.main() == 0
    assert made(kafka.admin, prefix) == CONTRACT
    assert capsys.readouterr().out.count("made ") == 5
    environment.setattr(topics, "CONTRACT", [topics.Topic("raw_prices", 9, 7 * DAY)])
    assert topics.main() == 1
    assert f"{prefix}raw_prices has 4 partitions, not 9" in capsys.readouterr().err
