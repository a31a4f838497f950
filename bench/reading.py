"""Reading a topic in batches, as bare as can be: for the limits, and for what the rivals ought to have written."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from analytics.schema import row_id

_SILENCE = 30.0  # seconds after which a broker that owes us messages is given up


class Batch(NamedTuple):
    """Messages of a topic as `analytics.decode.decode` takes them."""

    values: list[bytes | None]
    keys: list[bytes | None]
    log_times: list[int]
    ids: list[int]


def messages(bootstrap: str, topic: str, ends: dict[int, int], size: int = 5000) -> Iterator[list[Message]]:
    """All messages of a topic before `ends`, the next offset of each partition; of all partitions as they come.

    Raises:
        KafkaException: the broker's, or there is no message for half a minute.
    """
    left = {partition: end for partition, end in ends.items() if end}
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": f"bench-{uuid.uuid4().hex}", "enable.auto.commit": False}
    )
    try:
        consumer.assign([TopicPartition(topic, partition, 0) for partition in left])
        while left:
            batch = consumer.consume(size, 1.0) or consumer.consume(1, _SILENCE)
            if not batch:
                raise TimeoutError(f"{topic}: no message for {_SILENCE:.0f} s, before the offsets {left}")
            for error in [message.error() for message in batch]:
                if error is not None:
                    raise KafkaException(error)
            last = dict(map(_where, batch))  # the later message of a partition stands
            left = {partition: end for partition, end in left.items() if last.get(partition, -1) + 1 < end}
            if any(offset >= ends[partition] for partition, offset in last.items()):
                batch = [message for message in batch if _where(message)[1] < ends[_where(message)[0]]]
            yield batch
    finally:
        consumer.close()


def unpack(batch: list[Message]) -> Batch:
    """What `decode` wants to know of messages."""
    return Batch(
        [message.value() for message in batch],
        [message.key() for message in batch],
        [message.timestamp()[1] for message in batch],
        [row_id(1, *_where(message)) for message in batch],
    )


def _where(message: Message) -> tuple[int, int]:
    partition, offset = message.partition(), message.offset()
    assert partition is not None
    assert offset is not None
    return partition, offset
