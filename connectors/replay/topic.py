"""Another topic, or a part of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors import topics
from connectors.replay.records import Position, Record, ReplayError, Spool, judge
from connectors.replay.skips import Skips
from settings import ClientConfig

_TIMEOUT = 15.0
_SILENCE = 600  # tenths of a second


@dataclass(frozen=True)
class TopicRange:
    """Messages of a topic that hold price events: the values as they are, keyed by event whatever key they had.

    Each partition's order is kept, so every event's where its messages had a key; between partitions, and so for
    events without keys, the order is that of event time.

    Args:
        client: librdkafka settings.
        topic: its name, with its prefix.
        ranges: partition -> first and last offset, either None for as far as it goes; empty: all partitions.
    """

    client: ClientConfig = field(repr=False)
    topic: str
    ranges: Mapping[int, tuple[int | None, int | None]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """For people."""
        return f"the topic {self.topic}"

    def identity(self) -> dict[str, Any]:
        """This making of the topic, and the offsets that were asked for.

        Raises:
            ReplayError: there is no such topic or partition.
            KafkaException: the broker is out of reach.
        """
        try:
            made, partitions = topics.incarnation(self.client, self.topic)
        except LookupError as error:
            raise ReplayError(str(error)) from None
        if wrong := [partition for partition in self.ranges if partition >= partitions]:
            raise ReplayError(f"{self.topic} has the partitions 0 to {partitions - 1}, and no {wrong[0]}")
        return {"topic": [self.topic, made], "ranges": sorted([p, *ends] for p, ends in self.ranges.items())}

    def bounds(self) -> dict[str, int]:
        """The offset after the newest message of each partition now, or after the last one that was asked for."""
        with LogReader(self.client, self.topic) as log:
            ends = {p: end for p, (_, end) in log.extent().items() if not self.ranges or p in self.ranges}
        lasts = {p: last + 1 for p, (_, last) in self.ranges.items() if last is not None}
        return {str(p): min(end, lasts.get(p, end)) for p, end in ends.items()}

    def open(self, bounds: dict[str, int], judged: int | None, skips: Skips) -> Spool:
        """See `Origin`."""
        spool = Spool()
        newest: dict[int, int] = {}
        with LogReader(self.client, self.topic) as log:
            wanted = {}
            for partition, (low, _) in log.extent().items():
                if str(partition) in bounds:
                    first = self.ranges.get(partition, (None, None))[0]
                    if first is not None and first < low:
                        where = f"{self.topic}[{partition}] offsets {first} to {low - 1}"
                        skips.refuse(where, "gone", "retention has removed them", "")
                    wanted[partition] = (max(low, first or 0), bounds[str(partition)])
            for messages in log.read(wanted):
                self._take(messages, newest, judged, spool, skips)
        return spool

    def _take(
        self, messages: list[Message], newest: dict[int, int], judged: int | None, spool: Spool, skips: Skips
    ) -> None:
        places: list[tuple[int, int]] = [(m.partition() or 0, m.offset() or 0) for m in messages]
        values = [m.value() for m in messages]
        prices, rejects = judge(values, judged)
        for (partition, offset), value in zip(places, values, strict=True):
            if value is None:
                skips.leave(f"{self.topic}[{partition}] offset {offset}", "tombstone", "a message without a value")
        for reject in rejects:
            partition, offset = places[reject.position]
            raw = (values[reject.position] or b"").decode(errors="surrogateescape") + "\n"
            skips.refuse(f"{self.topic}[{partition}] offset {offset}", reject.reason, reject.detail, raw)
        records = []
        for index, time, event_id in prices:
            partition, offset = places[index]
            newest[partition] = max(time, newest.get(partition, time))
            position = Position(partition, offset, 0)
            records.append(Record(position, newest[partition], event_id.encode(), values[index] or b""))
        spool.add(records)


class LogReader:
    """Reads parts of a topic. Commits nothing.

    Args:
        client: librdkafka settings.
        topic: its name.
        isolation: whether messages of open transactions are left out.
    """

    def __init__(self, client: ClientConfig, topic: str, isolation: str = "read_committed") -> None:
        self._topic = topic
        self._consumer = Consumer(
            {
                **client,
                "group.id": "conscope-replay",
                "fetch.wait.max.ms": 50,
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "isolation.level": isolation,
            }
        )

    def __enter__(self) -> LogReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def extent(self) -> dict[int, tuple[int, int]]:
        """The first offset of each partition, and the one after its last."""
        partitions = self._consumer.list_topics(timeout=_TIMEOUT).topics[self._topic].partitions
        return {
            p: self._consumer.get_watermark_offsets(TopicPartition(self._topic, p), timeout=_TIMEOUT)
            for p in partitions
        }

    def read(self, ranges: dict[int, tuple[int, int]]) -> Iterator[list[Message]]:
        """Everything from the first offset of each partition's range to before the second; nothing twice.

        Raises:
            KafkaException: the broker is out of reach, or an offset is gone.
            ReplayError: nothing came for a minute.
        """
        left = {p: end for p, (first, end) in ranges.items() if first < end}
        self._consumer.assign([TopicPartition(self._topic, p, ranges[p][0]) for p in left])
        silence = 0
        while left:
            came = self._consumer.consume(2000, 0.1)
            silence = 0 if came else silence + 1
            if silence >= _SILENCE:
                raise ReplayError(
                    f"{self._topic}: partitions {sorted(left)} did not come to their ends; is Kafka well?"
                )
            taken = []
            for message in came:
                error, partition = message.error(), message.partition()
                if error is None:
                    if partition in left and (message.offset() or 0) < left[partition]:
                        taken.append(message)
                    if partition in left and (message.offset() or 0) >= left[partition] - 1:
                        del left[partition]
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.pop(partition, None)  # type: ignore[arg-type]
                else:
                    raise KafkaException(error)
            if taken:
                yield taken
