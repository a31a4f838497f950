"""The Kafka source: one Bytewax partition for each topic partition, one item for each poll.

**Delivery**: at least once. After a crash, the messages since the last completed epoch come again, cut into other
batches. Each carries its identity (stream, partition, offset), which is what makes the repeat harmless downstream.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil
from typing import Any, Protocol
from zlib import crc32

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from analytics.alerts import Activation
from analytics.seal import Damaged
from connectors import topics
from settings import ClientConfig

log = logging.getLogger(__name__)

_BROKER_SECONDS = 15.0
_WATCH_SECONDS = 10.0
_REST_MOST = 0.05
_TICK = 0.005
stopping = threading.Event()
"""Set by the first SIGTERM or SIGINT: sources then end their input, and the flow drains."""


Resume = tuple[str, int, int]
"""Where a partition goes on: the topic's incarnation, the next offset, and their checksum."""


@dataclass(frozen=True, slots=True)
class RawBatch:
    """What one poll of one partition gave.

    `offsets`, `keys`, `values` (None: a tombstone) and `log_times` (Kafka's, in ms; negative: none) are parallel.
    `idle_since` is a processing time in microseconds when the partition has been at its end for a while; then, and
    when a partition starts, a batch may be empty. `log_end` is the offset that the next produced message will get.
    `rules` are changes of rules, and from which of this partition's messages on they hold: from this batch or later.
    """

    stream: int
    partition: int
    partitions: int
    offsets: list[int]
    keys: list[bytes | None]
    values: list[bytes | None]
    log_times: list[int]
    log_end: int
    idle_since: int | None = None
    rules: tuple[Activation, ...] = ()


def resume_at(made: str, offset: int) -> Resume:
    """The resume state for an offset of an incarnation."""
    return made, offset, crc32(f"{made}:{offset}".encode())


class Rules(Protocol):
    """Where changes of rules come from; see `sinks.rulebook.RuleBook`."""

    def recorded(self, stream: int, partition: int) -> list[Activation]:
        """All that is recorded of a partition."""
        ...

    def fresh(self, stream: int, partition: int, next_offset: int) -> list[Activation]:
        """What begins to hold now, at `next_offset`, which has not been handed on."""
        ...


class LostOffsets(Exception):
    """Messages that were never read are gone from the topic."""


class TopicChanged(Exception):
    """The topic is no longer the one that was opened; a new start reads it as it is now."""


@dataclass(frozen=True)
class KafkaBatchSource(FixedPartitionedSource[RawBatch, Resume]):
    """Read a topic in micro-batches, from its earliest message or where the recovery store says.

    Args:
        client: librdkafka settings.
        topic: the topic.
        register: gives the number under which this making of the topic is known, from (topic, incarnation).
        batch_size: most messages in a batch; a thin partition gives batches of one at once, a busy one some, at most 50 ms apart.
        idle_after: seconds without a message after which a partition at its end says so.
        group: where durable offsets are published, for tools that show lag. It is never read from.
        on_lost: "fail", or "earliest" to go on past messages that retention removed unread.
        on_start: called once, before the first partition is opened.
        rules: where changes of rules come from, if anything judges by them.
    """

    client: ClientConfig = field(repr=False)
    topic: str
    register: Callable[[str, str], int]
    batch_size: int = 2000
    idle_after: float = 5.0
    group: str = "conscope-prices"
    on_lost: str = "fail"
    on_start: Callable[[], None] = lambda: None
    rules: Rules | None = None

    def list_parts(self) -> list[str]:
        """The topic's partitions, as they are at start."""
        _, partitions = topics.incarnation(self.client, self.topic)
        return [str(partition) for partition in range(partitions)]

    def build_part(self, step_id: str, for_part: str, resume_state: Resume | None) -> _Partition:
        """Open one partition at its resume offset.

        Raises:
            LostOffsets: that offset is no longer, or not yet, in the topic.
            KafkaException: the broker is out of reach.
        """
        self.on_start()
        made, partitions = topics.incarnation(self.client, self.topic)
        return _Partition(self, int(for_part), partitions, made, resume_state)


class _Partition(StatefulSourcePartition[RawBatch, Resume]):
    def __init__(
        self, source: KafkaBatchSource, partition: int, partitions: int, made: str, resume: Resume | None
    ) -> None:
        self._source = source
        self._partition = partition
        self._partitions = partitions
        self._made = made
        self._stream = source.register(source.topic, made)
        self._consumer = Consumer(
            {
                "fetch.wait.max.ms": 50,
                "fetch.error.backoff.ms": 100,
                # Of each partition: seconds of its messages at the rates that the flow reaches, and not more memory.
                "queued.max.messages.kbytes": 4096,
                "fetch.message.max.bytes": 1 << 20,
                **source.client,
                "group.id": source.group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
            }
        )
        low, self._log_end = self._bounds()
        self._next = self._first(low, resume)
        self._unpublished: int | None = None
        self._at_end: int | None = None
        self._last_news = time.monotonic()
        self._greeted = False
        self._awake: datetime | None = None
        self._worked = time.thread_time()
        self._rules = [] if source.rules is None else source.rules.recorded(self._stream, partition)
        self._consumer.assign([TopicPartition(source.topic, partition, self._next)])
        self._watch = _Watch(source, made, partitions) if partition == 0 and not made.startswith("cluster:") else None

    def _bounds(self) -> tuple[int, int]:
        low, high = self._consumer.get_watermark_offsets(
            TopicPartition(self._source.topic, self._partition), timeout=_BROKER_SECONDS
        )
        return low, high

    def _first(self, low: int, resume: Resume | None) -> int:
        if resume is None:
            return low
        made, offset, _ = resume
        if resume != resume_at(made, offset):
            raise Damaged
        where = f"{self._source.topic}[{self._partition}]"
        if made != self._made:
            log.warning(
                "%s is another topic than the one last read (it was made again): reading it from its start", where
            )
            return low
        if offset < low and self._source.on_lost == "earliest":
            log.error("%s: %d messages were removed by retention before they were read", where, low - offset)
            return low
        if not low <= offset <= self._log_end:
            advice = (
                "Set KAFKA_ON_LOST_OFFSETS=earliest to go on without what retention removed."
                if offset < low
                else "The topic was cut short, or the store is of another cluster: start with a new recovery store."
            )
            raise LostOffsets(
                f"{where}: the next message to read is {offset}, and the topic holds {low} to {self._log_end - 1}. {advice}"
            )
        return offset

    def next_batch(self) -> list[RawBatch]:
        if stopping.is_set():
            # End of input: Bytewax takes a last snapshot and commits it, so a stop by SIGTERM loses and repeats nothing.
            raise StopIteration
        if self._watch is not None:
            self._watch.check()
        self._publish()
        if self._source.rules is not None:
            self._rules += self._source.rules.fresh(self._stream, self._partition, self._next)
        batch = self._batch(self._consumer.consume(self._source.batch_size, 0))
        worked, self._worked = time.thread_time() - self._worked, time.thread_time()
        some = batch is not None and 0 < len(batch.offsets) < self._source.batch_size
        self._awake = rested(time.time(), worked) if some else None  # nothing to gather, or a backlog: no rest
        return [batch] if batch is not None else []

    def next_awake(self) -> datetime | None:
        return self._awake

    def _batch(self, messages: list[Message]) -> RawBatch | None:
        if any(message.error() is not None for message in messages):
            messages = [message for message in messages if not self._told(message)]
        # confluent-kafka's types allow None, which its messages never are
        offsets: list[Any] = [message.offset() for message in messages]
        keys: list[Any] = [message.key() for message in messages]
        values: list[Any] = [message.value() for message in messages]
        log_times = [message.timestamp()[1] for message in messages]
        idle_since = None
        if offsets:
            self._next = offsets[-1] + 1
            self._last_news = time.monotonic()
            if self._at_end is not None and self._at_end < self._next:
                self._at_end = None
            self._log_end = max(self._next, self._consumer.get_watermark_offsets(
                TopicPartition(self._source.topic, self._partition), cached=True)[1])  # fmt: skip
        else:
            idle_since = self._idle()
            if idle_since is None and self._greeted and not self._rules:
                return None
        self._greeted = True
        rules, self._rules = tuple(self._rules), []
        return RawBatch(
            self._stream, self._partition, self._partitions, offsets, keys, values, log_times, self._log_end, idle_since,
            rules,
        )  # fmt: skip

    def _told(self, message: Message) -> bool:
        """Whether this is no message, but something that librdkafka says.

        Raises:
            TopicChanged: the next message to read is gone.
            KafkaException: what does not pass by itself.
        """
        error = message.error()
        if error is None:
            return False
        if error.code() == KafkaError._PARTITION_EOF:
            self._at_end = message.offset()
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise TopicChanged(
                f"the topic {self._source.topic} no longer has message {self._next} of partition {self._partition}, the "
                "next to read: it was made again, or retention removed what was not read yet; start again to see which"
            ) from KafkaException(error)
        elif error.fatal() or (not error.retriable() and error.code() not in _PASSING):
            raise KafkaException(error)
        return True

    def _idle(self) -> int | None:
        """The processing time in microseconds, when nothing has come for a while and nothing is on its way."""
        if self._at_end is None or time.monotonic() - self._last_news < self._source.idle_after:
            return None
        self._last_news = time.monotonic()
        try:
            _, self._log_end = self._bounds()
        except KafkaException:
            return None  # an unreachable broker says nothing about the end of the log
        return time.time_ns() // 1000 if self._log_end == self._at_end else None

    def _publish(self) -> None:
        # Bytewax asks for the next epoch's first batch only when the last epoch is committed: now it is durable.
        if self._unpublished is not None:
            offset = TopicPartition(self._source.topic, self._partition, self._unpublished)
            self._consumer.commit(offsets=[offset], asynchronous=True)
            self._unpublished = None

    def snapshot(self) -> Resume:
        self._unpublished = self._next
        return resume_at(self._made, self._next)

    def close(self) -> None:
        # With the broker away, closing waits for the last offset commit, which is for lag tools only; the last
        # snapshot must not wait with it.
        closing = threading.Thread(target=self._consumer.close, name="close-consumer", daemon=True)
        closing.start()
        closing.join(1)


def rested(now: float, worked: float) -> datetime:
    """When a partition that gave some messages looks again.

    A small batch costs nearly what one of some hundreds does, so the next one is left to gather, and all partitions look
    at the same moments, as what they give then is decoded together.

    Args:
        now: seconds since 1970.
        worked: seconds of CPU that the flow's thread has spent since the last look, on all partitions' news.
    """
    return datetime.fromtimestamp(ceil((now + min(2 * worked, _REST_MOST)) / _TICK) * _TICK, UTC)


class _Watch:
    """Asks now and then whether the topic is still the one that was opened, and never waits for the answer.

    librdkafka says nothing when a topic is deleted, and reads on at the old offset when it is made again.
    """

    def __init__(self, source: KafkaBatchSource, made: str, partitions: int) -> None:
        self._admin = AdminClient(source.client)
        self._topic, self._made, self._partitions = source.topic, made, partitions
        self._asked = time.monotonic()
        self._answer: Any = None

    def check(self) -> None:
        if self._answer is None:
            if time.monotonic() - self._asked >= _WATCH_SECONDS:
                self._asked = time.monotonic()
                asked = self._admin.describe_topics(TopicCollection([self._topic]), request_timeout=_BROKER_SECONDS)
                self._answer = asked[self._topic]
        elif self._answer.done():
            answer, self._answer = self._answer, None
            self._judge(answer)

    def _judge(self, answer: Any) -> None:
        try:
            found = answer.result()
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise TopicChanged(f"the topic {self._topic} was deleted while it was read") from None
            return  # a broker that is away says nothing about the topic
        if str(found.topic_id) != self._made:
            raise TopicChanged(
                f"the topic {self._topic} was made again while it was read; start again to read the new one"
            )
        if len(found.partitions) != self._partitions:
            raise TopicChanged(
                f"the topic {self._topic} has {len(found.partitions)} partitions now, and {self._partitions} are read; "
                "start again to read them all"
            )


_PASSING = {
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TRANSPORT,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
    KafkaError._MAX_POLL_EXCEEDED,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
}


def stop_on_sigterm() -> None:
    """Let SIGTERM and SIGINT end the input, so that the flow drains and commits; a second one stops it at once.

    To be called on the main thread.
    """

    def stop(number: int, _frame: object) -> None:
        log.info("signal %d: draining", number)
        stopping.set()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
