"""The topics of the contract: made when missing, verified when there. Run it with `python -m connectors.topics`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType  # type: ignore[attr-defined]

import settings as configuration
from settings import ClientConfig

RAW_PRICES = "raw_prices"
PROCESSED_PRICES = "processed_prices"
PRICE_ALERTS = "price_alerts"
SYSTEM_METRICS = "system_metrics"
DEAD_LETTERS = "dead_letters"

_DAY = 86_400_000
_TIMEOUT = 15.0


@dataclass(frozen=True)
class Topic:
    """A topic as the contract has it; retention in milliseconds."""

    name: str
    partitions: int
    retention_ms: int
    config: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, str]:
        """The topic's configuration, as Kafka names it."""
        return {"retention.ms": str(self.retention_ms), **self.config}


CONTRACT = (
    Topic(RAW_PRICES, 4, 7 * _DAY),
    Topic(PROCESSED_PRICES, 3, 30 * _DAY),
    Topic(PRICE_ALERTS, 2, _DAY),
    Topic(SYSTEM_METRICS, 1, 7 * _DAY, {"cleanup.policy": "compact,delete"}),
    Topic(DEAD_LETTERS, 1, 30 * _DAY),
)


class TopicsDiffer(Exception):
    """Topics that exist are not as the contract has them; the message lists each difference and its mending."""


def ensure(admin: AdminClient, replication: int, say: Callable[[str], None], prefix: str = "") -> None:
    """Make the topics that are missing and verify those that exist. Changes no topic that exists.

    Args:
        admin: where.
        replication: factor of the topics that are made.
        say: takes a line for each topic.
        prefix: put before the names of the contract.

    Raises:
        TopicsDiffer: a topic that exists has fewer partitions, or another retention or clean-up policy.
        KafkaException: the broker is out of reach or refuses.
    """
    there = admin.list_topics(timeout=_TIMEOUT).topics
    wanted = [replace(topic, name=prefix + topic.name) for topic in CONTRACT]
    missing = [topic for topic in wanted if topic.name not in there]
    made = admin.create_topics(
        [NewTopic(t.name, t.partitions, replication, config=t.settings) for t in missing], request_timeout=_TIMEOUT
    ) if missing else {}  # fmt: skip
    for topic in missing:
        made[topic.name].result()
        say(f"made     {topic.name}: {topic.partitions} partitions, {topic.retention_ms // _DAY} days")
    differences = []
    for topic in wanted:
        if topic not in missing:
            found = _differences(admin, topic, len(there[topic.name].partitions))
            differences += found
            if not found:
                say(f"verified {topic.name}")
    if differences:
        raise TopicsDiffer("\n".join(differences))


def _differences(admin: AdminClient, topic: Topic, partitions: int) -> list[str]:
    found = []
    if partitions < topic.partitions:
        found.append(
            f"{topic.name} has {partitions} partitions, not {topic.partitions}: add them with kafka-topics --alter"
        )
    resource = ConfigResource(ResourceType.TOPIC, topic.name)
    (reply,) = admin.describe_configs([resource], request_timeout=_TIMEOUT).values()
    actual = {name: entry.value for name, entry in reply.result().items()}
    for name, wanted in topic.settings.items():
        if set(str(actual.get(name)).split(",")) != set(wanted.split(",")):
            found.append(
                f"{topic.name} has {name}={actual.get(name)}, not {wanted}: change it with kafka-configs --alter"
            )
    return found


def incarnation(client: ClientConfig, topic: str) -> tuple[str, int]:
    """(what tells this making of the topic from another of the same name, its number of partitions).

    Raises:
        LookupError: there is no such topic.
        KafkaException: the broker is out of reach.
    """
    admin = AdminClient(client)
    cluster = admin.list_topics(timeout=_TIMEOUT)  # of all topics: to ask for one by name may make it
    found = cluster.topics.get(topic)
    if found is None or found.error is not None or not found.partitions:
        raise LookupError(f"there is no topic {topic!r}; `python -m connectors.topics` makes the topics")
    if str(cluster.cluster_id).startswith("mockCluster"):
        # librdkafka's mock cluster (the demo, quick tests) answers no admin calls; its topics live as long as it does.
        return f"cluster:{cluster.cluster_id}", len(found.partitions)
    (reply,) = admin.describe_topics(TopicCollection([topic]), request_timeout=_TIMEOUT).values()
    return str(reply.result().topic_id), len(found.partitions)


def main() -> int:
    """Make and verify the topics of the configured cluster."""
    settings = configuration.load()
    try:
        admin = AdminClient(settings.kafka_client)
        ensure(admin, settings.kafka_replication_factor, print, settings.kafka_topic_prefix)
    except TopicsDiffer as error:
        print(f"topics differ from the contract:\n{error}", file=sys.stderr)
        return 1
    except KafkaException as error:
        print(f"Kafka at {settings.kafka_bootstrap_servers}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
