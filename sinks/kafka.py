"""The Kafka sink: processed prices, alerts, dead letters and metrics, each to its topic.

**Delivery**: at least once. `snapshot()` returns when the brokers have acknowledged everything, and raises when they
did not; after a crash, messages since the last epoch are sent again. Each carries the identity of the message that
caused it, so that a consumer can drop repeats: `id` in the body of prices and alerts, headers and body of dead letters.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import polars as pl
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from confluent_kafka import KafkaError, KafkaException, Producer

from analytics.rules import PERCENT
from analytics.schema import MONEY, PRICE_SCHEMA, percent, replaced, to_units, with_units
from settings import ClientConfig
from sinks.tables import DeadLetter, Metric
from sinks.writer import Writer

_MAX_BODY = 700_000


@dataclass(frozen=True, slots=True)
class Messages:
    """Messages for one topic; `keys`, `values` and, when there are any, `headers` are parallel."""

    topic: str
    keys: list[str]
    values: list[bytes | str]
    headers: list[dict[str, str]] | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that become messages of `topic` by `encode`; the sink's thread encodes those of many batches at once."""

    topic: str
    rows: pl.DataFrame
    encode: Callable[[str, pl.DataFrame], Messages]


Item = Messages | Rows


def processed(topic: str, rows: pl.DataFrame) -> Messages:
    """Every accepted price with its listing's previous one.

    The fields of a price event, and `previous_price`, `previous_total_price`, `previous_timestamp`, `price_change` and
    `price_change_percent` (both of the all-in price), null at the first sight of a listing.
    """
    priced = with_units(rows, *MONEY, "previous_price", "previous_total", "change")
    texts = [_rfc3339(rows[name]).alias(name) for name in ("timestamp", "event_date", "previous_timestamp")]
    body = replaced(with_units(priced, "change_percent", of=PERCENT), texts)[list(_PROCESSED)]
    body.columns = list(_PROCESSED.values())
    return Messages(topic, rows["event_id"].to_list(), _json(body))


_PROCESSED = {name: name for name in (*PRICE_SCHEMA, "previous_price", "previous_timestamp")} | {
    "previous_total": "previous_total_price",
    "change": "price_change",
    "change_percent": "price_change_percent",
}


def alerts(topic: str, rows: pl.DataFrame) -> Messages:
    """Alerts of `alert_rows.ALERT_SCHEMA`, keyed by event."""
    body = (
        rows.with_columns(drop_amount=pl.col("old_price") - pl.col("new_price"))
        .with_columns(
            *to_units("old_price", "new_price", "drop_amount", "lowest_so_far"),
            percent("drop_percent"),
            percent("percentile"),
            alert_timestamp=_rfc3339(rows["timestamp"]),
        )
    ).select(
        "alert_id", "alert_type", "alert_timestamp", "event_id", "event_name", "venue", "old_price", "new_price",
        "drop_amount", "drop_percent", "currency", "section", "row", "seat", "source", "listing_id", "listing_url", "id",
        "rule_id", "rule_name", "cause", "reference", "percentile", "lowest_so_far", "sample", "quantity",
    )  # fmt: skip
    return Messages(topic, rows["event_id"].to_list(), _json(body))


def dead_letters(topic: str, letters: list[DeadLetter]) -> Messages:
    """Refused messages, with where they stand and why they were refused, in headers and body."""
    values: list[bytes | str] = []
    headers = []
    for letter in letters:
        facts = {
            "reason": letter.reason,
            "detail": letter.detail,
            "topic": letter.topic,
            "partition": letter.partition,
            "offset": letter.offset,
        }
        headers.append({name: str(value) for name, value in facts.items()})
        kept = letter.payload[:_MAX_BODY]
        body = {
            **facts,
            "id": letter.id,
            "payload_base64": base64.b64encode(kept).decode(),
            "size": len(letter.payload),
        }
        if len(kept) < len(letter.payload):
            body["payload_truncated"] = True  # the whole stands in the raw topic, at this offset
        values.append(json.dumps(body))
    return Messages(topic, [f"{x.topic}-{x.partition}-{x.offset}" for x in letters], values, headers)


def metrics(topic: str, readings: list[Metric]) -> Messages:
    """Metric readings, keyed by name so that compaction keeps the newest."""
    values: list[bytes | str] = [json.dumps(reading._asdict()) for reading in readings]
    return Messages(topic, [reading.metric_name for reading in readings], values)


def _rfc3339(times: pl.Series) -> pl.Series:
    # Without the zone, which is UTC, as with it each time is worked out in two steps.
    return times.cast(pl.Datetime("us")).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")


def _json(frame: pl.DataFrame) -> list[bytes | str]:
    return frame.to_struct().struct.json_encode().to_list()


@dataclass(frozen=True)
class KafkaSink(FixedPartitionedSink[Item, None]):
    """Produce `Messages`, and `Rows` once encoded.

    Args:
        client: librdkafka settings.
    """

    client: ClientConfig = field(repr=False)

    def list_parts(self) -> list[str]:
        """One partition: one producer."""
        return ["kafka"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _Partition:
        """Make the producer; it connects by itself."""
        return _Partition(self.client)


class _Partition(StatefulSinkPartition[Item, None]):
    def __init__(self, client: ClientConfig) -> None:
        self._error: KafkaError | None = None
        self._producer = Producer(
            {
                "linger.ms": 5,
                "compression.type": "lz4",
                "message.timeout.ms": 300_000,
                "queue.buffering.max.messages": 200_000,
                "queue.buffering.max.kbytes": 65_536,
                **client,
                "enable.idempotence": True,
                "delivery.report.only.error": True,
            }
        )
        self._writer: Writer[Item] = Writer("kafka", self._write)

    def write_batch(self, values: list[Item]) -> None:
        for value in values:
            self._writer.put(value)

    def _write(self, items: list[Item], barrier: bool) -> None:
        for messages in _encoded(items):
            self._send(messages)
        self._producer.poll(0)
        self._check()
        if barrier:
            self._flush()

    def _send(self, messages: Messages) -> None:
        produce, topic, report = self._producer.produce, messages.topic, self._report
        for index, (key, value) in enumerate(zip(messages.keys, messages.values, strict=True)):
            while True:
                try:
                    if messages.headers is None:
                        produce(topic, value, key, on_delivery=report)
                    else:
                        produce(topic, value, key, on_delivery=report, headers=dict(messages.headers[index]))
                    break
                except BufferError:  # the queue is full: wait for the brokers, which is the back-pressure
                    self._producer.poll(0.1)
                    self._check()

    def _report(self, error: KafkaError | None, _message: object) -> None:
        if error is not None:
            self._error = error

    def _check(self) -> None:
        if self._error is not None:
            raise KafkaException(self._error)

    def _flush(self) -> None:
        # Until each message is acknowledged or given up, which takes `message.timeout.ms` at most.
        while self._producer.flush(1.0):
            self._check()
        self._check()

    def snapshot(self) -> None:
        self._writer.barrier()

    def close(self) -> None:
        # No flush: what is not acknowledged is read and sent again.
        self._writer.stop()
        self._producer.purge()
        self._producer.poll(0)


def _encoded(items: list[Item]) -> Iterator[Messages]:
    """The messages of `items`, in order within each topic; rows of one kind are encoded together."""
    rows: dict[tuple[str, Callable[[str, pl.DataFrame], Messages]], list[pl.DataFrame]] = {}
    for item in items:
        if isinstance(item, Messages):
            yield item
        else:
            rows.setdefault((item.topic, item.encode), []).append(item.rows)
    for (topic, encode), frames in rows.items():
        yield encode(topic, pl.concat(frames))
