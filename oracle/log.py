"""Read a topic as it is: every message that a committed reader may see, with where it stands."""

from __future__ import annotations

import time

import polars as pl
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from settings import ClientConfig

LOG_SCHEMA = {"part": pl.Int64, "off": pl.Int64, "key": pl.Binary, "value": pl.Binary, "log_ms": pl.Int64}
"""`key` and `value` are the raw bytes; a null value is a tombstone."""


def read(client: ClientConfig, topic: str, *, patience: float = 60.0) -> pl.DataFrame:
    """The whole topic, as it is now.

    Raises:
        KafkaException: the broker is out of reach, or an offset is gone.
        TimeoutError: nothing came for `patience` seconds, and the end of a partition was not reached.
    """
    consumer = Consumer(
        {**client, "group.id": "conscope-oracle", "enable.auto.commit": False, "auto.offset.reset": "error",
         "enable.partition.eof": True}
    )  # fmt: skip
    try:
        partitions = consumer.list_topics(topic, timeout=15).topics[topic].partitions
        starts = []
        for number in partitions:
            low, _ = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=15)
            starts.append(TopicPartition(topic, number, low))
        consumer.assign(starts)
        frames = [pl.DataFrame(schema=LOG_SCHEMA)]  # a long log as tuples would take several times the memory
        left, deadline = set(partitions), time.monotonic() + patience
        while left:
            rows = []
            for message in consumer.consume(10_000, 0.2):
                error = message.error()
                if error is None:
                    rows.append(
                        (message.partition(), message.offset(), message.key(), message.value(), message.timestamp()[1])
                    )
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(message.partition())
                else:
                    raise KafkaException(error)
            if rows:
                frames.append(pl.DataFrame(rows, schema=LOG_SCHEMA, orient="row"))
                deadline = time.monotonic() + patience
            elif time.monotonic() > deadline:
                raise TimeoutError(
                    f"{topic}: the ends of partitions {sorted(left)} were not reached, and nothing came for {patience:.0f} s"
                )
        return pl.concat(frames)
    finally:
        consumer.close()
