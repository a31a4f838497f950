"""The Kafka source: every message once with its offset, idle ends, resuming, lost offsets, topics made again."""

from __future__ import annotations

import logging
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import NewPartitions, NewTopic  # type: ignore[attr-defined]

from connectors import kafka as connector
from connectors import topics
from connectors.kafka import KafkaBatchSource, LostOffsets, RawBatch, Resume, TopicChanged, resume_at
from local.postgres import free_port
from tests.conftest import MockKafka
from tests.support.kafka import Kafka

PATIENCE = 30.0
Message = tuple[int, bytes | None, bytes | None]  # offset, key, value


@dataclass
class Sources:
    """Makes sources of one broker and opens their partitions; closes them at the end."""

    bootstrap: str
    opened: list[Any] = field(default_factory=list)

    def source(self, topic: str, **given: Any) -> KafkaBatchSource:
        client = {"bootstrap.servers": self.bootstrap, "log_level": 0}
        given = {"register": lambda *_: 7, "idle_after": 0.2, **given}
        return KafkaBatchSource(client=client, topic=topic, **given)  # type: ignore[arg-type]

    def open(self, source: KafkaBatchSource, partition: int = 0, resume: Resume | None = None) -> Any:
        self.opened.append(source.build_part("raw", str(partition), resume))
        return self.opened[-1]

    def close(self) -> None:
        for part in self.opened:
            part.close()


@pytest.fixture
def mock(mock_kafka: MockKafka) -> Iterator[Sources]:
    sources = Sources(mock_kafka.bootstrap)
    yield sources
    sources.close()


@pytest.fixture
def real(kafka: Kafka) -> Iterator[Sources]:
    sources = Sources(kafka.bootstrap)
    yield sources
    sources.close()


@pytest.fixture(autouse=True)
def _not_stopping() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    connector.stopping.clear()
    for number, handler in handlers.items():
        signal.signal(number, handler)


def produce(bootstrap: str, topic: str, messages: list[tuple[int, Any, Any]], **given: Any) -> None:
    """(partition, key, value) each."""
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0, **given})
    for partition, key, value in messages:
        producer.produce(topic, value, key, partition=partition)
    assert producer.flush(PATIENCE) == 0


def poll(part: Any, what: str, until: Callable[[list[RawBatch]], Any]) -> list[RawBatch]:
    """Everything a partition gives until a condition holds."""
    batches: list[RawBatch] = []
    deadline = time.monotonic() + PATIENCE
    while not until(batches):
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s in vain: {what}; got {batches}"
        batches += part.next_batch()
        time.sleep(0.002)
    return batches


def messages(batches: list[RawBatch]) -> list[Message]:
    return [m for b in batches for m in zip(b.offsets, b.keys, b.values, strict=True)]


def read(part: Any, count: int) -> list[Message]:
    return messages(poll(part, f"{count} messages", lambda batches: len(messages(batches)) >= count))


def idle(part: Any) -> list[RawBatch]:
    """Everything until the partition says that it is idle."""
    return poll(part, "a batch with idle_since", lambda batches: batches and batches[-1].idle_since is not None)


# --- on an imitated broker


def test_every_message_of_every_partition_comes_with_its_offset(mock: Sources) -> None:
    sent = [(i % 4, f"e{i % 7}".encode(), f"value {i}".encode()) for i in range(1000)]
    produce(mock.bootstrap, "prices", sent)
    source = mock.source("prices", batch_size=37)
    assert source.list_parts() == ["0", "1", "2", "3"]
    for partition in range(4):
        wanted = [(key, value) for p, key, value in sent if p == partition]
        got = read(mock.open(source, partition), len(wanted))
        assert got == [(offset, *message) for offset, message in enumerate(wanted)]


def test_a_batch_says_where_it_is_from_and_stays_within_its_size(mock: Sources) -> None:
    produce(mock.bootstrap, "prices", [(2, None, b"x")] * 100)
    before = time.time() * 1000
    part = mock.open(mock.source("prices", batch_size=10), 2)
    batches = [b for b in poll(part, "messages", lambda bs: len(messages(bs)) == 100) if b.offsets]
    for batch in batches:
        assert (batch.stream, batch.partition, batch.partitions) == (7, 2, 4)
        assert 1 <= len(batch.offsets) <= 10
        assert len(batch.offsets) == len(batch.keys) == len(batch.values) == len(batch.log_times)
        assert all(abs(at - before) < 60_000 for at in batch.log_times)
        assert batch.idle_since is None
        assert batch.log_end >= batch.offsets[-1] + 1
    assert batches[-1].log_end == 100


def test_tombstones_empty_messages_and_messages_without_a_key_come_as_they_are(mock: Sources) -> None:
    produce(
        mock.bootstrap, "prices", [(0, b"k", None), (0, None, b"v"), (0, None, b""), (0, None, None), (0, b"", b"x")]
    )
    assert read(mock.open(mock.source("prices")), 5) == [
        (0, b"k", None), (1, None, b"v"), (2, None, b""), (3, None, None), (4, b"", b"x"),
    ]  # fmt: skip


def test_an_empty_partition_greets_once_and_is_idle_after_a_while(mock: Sources) -> None:
    """Until it has been heard of, a partition holds the watermark of all others back."""
    produce(mock.bootstrap, "prices", [(0, None, b"x")])
    part = mock.open(mock.source("prices", idle_after=0.3), 3)
    began = time.time()
    first, *rest = idle(part)
    assert (first.offsets, first.partition, first.partitions, first.log_end, first.idle_since) == ([], 3, 4, 0, None)
    (last,) = rest
    assert last.offsets == []
    assert began + 0.25 < (last.idle_since or 0) / 1e6 <= time.time()


def test_a_partition_at_its_end_is_idle_after_a_while_and_again_and_again(mock: Sources) -> None:
    produce(mock.bootstrap, "prices", [(0, None, b"x")] * 5)
    part = mock.open(mock.source("prices", idle_after=0.3))
    batches = idle(part)
    assert len(messages(batches)) == 5
    again = idle(part)
    assert len(again) == 1
    assert 0.25e6 < (again[0].idle_since or 0) - (batches[-1].idle_since or 0) < 5e6
    assert again[0].log_end == 5


def test_a_message_after_an_idle_time_comes_without_the_mark(mock: Sources) -> None:
    produce(mock.bootstrap, "prices", [(0, None, b"x")])
    part = mock.open(mock.source("prices"))
    idle(part)
    produce(mock.bootstrap, "prices", [(0, None, b"y")])
    batches = poll(part, "the new message", messages)
    assert messages(batches) == [(1, None, b"y")]
    assert batches[-1].idle_since is None
    idle(part)


def test_a_partition_with_messages_on_their_way_is_not_idle(mock: Sources) -> None:
    produce(mock.bootstrap, "prices", [(0, None, b"x")])
    part = mock.open(mock.source("prices", idle_after=0.0))
    idle(part)
    part._bounds = lambda: (0, 2)  # the broker has one more than was read
    assert all(part.next_batch() == [] for _ in range(20))


@pytest.mark.parametrize("offset", [0, 3, 10])
def test_reading_goes_on_where_the_snapshot_says(mock: Sources, offset: int) -> None:
    produce(mock.bootstrap, "prices", [(0, None, str(i).encode()) for i in range(10)])
    source = mock.source("prices")
    made, _ = topics.incarnation(source.client, "prices")
    part = mock.open(source, resume=resume_at(made, offset))
    assert part.snapshot() == resume_at(made, offset)
    assert [m[0] for m in messages(idle(part))] == list(range(offset, 10))
    assert part.snapshot() == resume_at(made, 10)


def test_a_snapshot_holds_the_offset_after_what_was_given(mock: Sources) -> None:
    produce(mock.bootstrap, "prices", [(0, None, b"x")] * 30)
    source = mock.source("prices", batch_size=7)
    part = mock.open(source)
    given: list[Message] = []
    while len(given) < 30:
        given += messages(part.next_batch())
        made, offset, _ = part.snapshot()
        assert offset == len(given), "a crash here would lose or repeat more than the open epoch"
    assert [m[0] for m in read(mock.open(source, resume=resume_at(made, 23)), 7)] == list(range(23, 30))


def test_an_offset_past_the_end_is_refused_whatever_is_set(mock: Sources) -> None:
    """The topic has been truncated behind our back: to go on would give other messages the offsets of old ones."""
    produce(mock.bootstrap, "prices", [(0, None, b"x")] * 5)
    for on_lost in ("fail", "earliest"):
        source = mock.source("prices", on_lost=on_lost)
        made, _ = topics.incarnation(source.client, "prices")
        with pytest.raises(
            LostOffsets, match=r"prices\[0\]: the next message to read is 6, and the topic holds 0 to 4"
        ):
            mock.open(source, resume=resume_at(made, 6))


def test_another_topic_of_the_same_name_is_read_from_its_start(mock: Sources, caplog: pytest.LogCaptureFixture) -> None:
    produce(mock.bootstrap, "prices", [(0, None, b"x")] * 5)
    part = mock.open(mock.source("prices"), resume=resume_at("another-making", 3))
    assert [m[0] for m in read(part, 5)] == [0, 1, 2, 3, 4]
    assert "prices[0] is another topic than the one last read" in caplog.text


def test_the_stream_is_registered_under_the_topics_making(mock: Sources) -> None:
    produce(mock.bootstrap, "prices", [(0, None, b"x")])
    asked: list[tuple[str, str]] = []
    started: list[int] = []
    source = mock.source("prices", register=lambda *what: asked.append(what) or 42, on_start=lambda: started.append(1))
    (batch, *_) = poll(mock.open(source), "a batch", list)
    assert batch.stream == 42
    assert asked == [("prices", topics.incarnation(source.client, "prices")[0])]
    assert started == [1]


def test_a_stop_ends_the_input_after_what_was_read(mock: Sources) -> None:
    produce(mock.bootstrap, "prices", [(0, None, b"x")] * 5)
    part = mock.open(mock.source("prices"))
    read(part, 5)
    connector.stopping.set()
    with pytest.raises(StopIteration):
        part.next_batch()
    assert part.snapshot()[1] == 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_for_a_stop_and_a_second_one_is_not_caught(number: signal.Signals) -> None:
    connector.stop_on_sigterm()
    os.kill(os.getpid(), number)
    deadline = time.monotonic() + 5
    while not connector.stopping.is_set():
        assert time.monotonic() < deadline, f"{number.name} was not heard"
        time.sleep(0.01)
    assert signal.getsignal(number) is signal.SIG_DFL


def test_a_broker_out_of_reach_at_the_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "_TIMEOUT", 0.5)
    source = Sources(f"127.0.0.1:{free_port()}").source("prices")
    with pytest.raises(KafkaException):
        source.list_parts()


def test_a_broker_that_goes_away_costs_nothing_but_time(mock_kafka: MockKafka) -> None:
    """What librdkafka says about it is no message and no error of the input."""
    produce(mock_kafka.bootstrap, "prices", [(0, None, b"x")])
    sources = Sources(mock_kafka.bootstrap)
    source = sources.source("prices")
    down = replace(source, client={**source.client, "reconnect.backoff.max.ms": 100})
    part = sources.open(down)
    read(part, 1)
    connector_bounds = part._bounds

    def unreachable() -> tuple[int, int]:
        raise KafkaException("away")

    part._bounds = unreachable
    end = time.monotonic() + 0.6
    while time.monotonic() < end:
        assert part.next_batch() == [], "an end that nobody can vouch for was called idle"
        time.sleep(0.01)
    part._bounds = connector_bounds
    idle(part)
    sources.close()


# --- on a real broker


def transactional(bootstrap: str) -> Producer:
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": uuid.uuid4().hex, "log_level": 0})
    producer.init_transactions(PATIENCE)
    return producer


@pytest.mark.services
def test_what_was_aborted_is_invisible_and_the_end_is_still_found(kafka: Kafka, real: Sources) -> None:
    topic = kafka.new_topic("source")
    producer = transactional(kafka.bootstrap)
    for number in range(6):
        producer.begin_transaction()
        for i in range(3):
            producer.produce(topic, f"{number}.{i}".encode())
        producer.flush(PATIENCE)
        producer.abort_transaction(PATIENCE) if number % 2 else producer.commit_transaction(PATIENCE)
    part = real.open(real.source(topic))
    batches = idle(part)
    # Three messages and a marker a transaction; the last marker stands at the end of the log.
    assert [(m[0], m[2]) for m in messages(batches)] == [
        (4 * number + i, f"{number}.{i}".encode()) for number in (0, 2, 4) for i in range(3)
    ]
    assert batches[-1].log_end == 24
    assert part.snapshot()[1] == 19
    again = real.open(real.source(topic), resume=part.snapshot())
    assert messages(idle(again)) == [], "after a restart something came twice"


@pytest.mark.services
def test_a_topic_with_nothing_but_aborted_messages_is_idle(kafka: Kafka, real: Sources) -> None:
    topic = kafka.new_topic("source")
    producer = transactional(kafka.bootstrap)
    producer.begin_transaction()
    producer.produce(topic, b"x")
    producer.flush(PATIENCE)
    producer.abort_transaction(PATIENCE)
    assert messages(idle(real.open(real.source(topic)))) == []


@pytest.mark.services
def test_an_open_transaction_holds_its_messages_back_and_then_gives_them(kafka: Kafka, real: Sources) -> None:
    topic = kafka.new_topic("source")
    producer = transactional(kafka.bootstrap)
    producer.begin_transaction()
    producer.produce(topic, b"pending")
    producer.flush(PATIENCE)
    part = real.open(real.source(topic))
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        assert messages(part.next_batch()) == []
    producer.commit_transaction(PATIENCE)
    assert read(part, 1) == [(0, None, b"pending")]


@pytest.mark.services
@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_compressed_batches_are_read(kafka: Kafka, real: Sources, codec: str) -> None:
    topic = kafka.new_topic("source")
    values = [f"{i} ".encode() * 50 for i in range(500)]
    produce(kafka.bootstrap, topic, [(0, None, v) for v in values], **{"compression.type": codec, "linger.ms": 50})
    assert read(real.open(real.source(topic)), 500) == [(i, None, value) for i, value in enumerate(values)]


@pytest.mark.services
def test_offsets_are_published_for_lag_tools_when_they_are_durable(kafka: Kafka, real: Sources) -> None:
    """When Bytewax asks for the next epoch's first batch, the last epoch is committed."""
    topic, group = kafka.new_topic("source"), f"group-{uuid.uuid4().hex[:8]}"
    produce(kafka.bootstrap, topic, [(0, None, b"x")] * 5)
    part = real.open(real.source(topic, group=group))
    watcher = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group, "log_level": 0})

    def published() -> int:
        return watcher.committed([TopicPartition(topic, 0)], timeout=PATIENCE)[0].offset

    read(part, 5)
    assert published() < 0, "an offset was published before any snapshot"
    part.snapshot()
    assert published() < 0, "an offset was published although its epoch may not be committed"
    poll(part, "the published offset", lambda _: published() == 5)
    produce(kafka.bootstrap, topic, [(0, None, b"x")] * 2)
    read(part, 2)
    part.snapshot()
    poll(part, "the second published offset", lambda _: published() == 7)
    watcher.close()


@pytest.mark.services
def test_published_offsets_are_never_read(kafka: Kafka, real: Sources) -> None:
    topic, group = kafka.new_topic("source"), f"group-{uuid.uuid4().hex[:8]}"
    produce(kafka.bootstrap, topic, [(0, None, b"x")] * 5)
    other = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group, "log_level": 0})
    other.commit(offsets=[TopicPartition(topic, 0, 4)], asynchronous=False)
    other.close()
    assert len(read(real.open(real.source(topic, group=group)), 5)) == 5


@pytest.mark.services
def test_messages_removed_before_they_were_read_are_not_passed_over_in_silence(
    kafka: Kafka, real: Sources, caplog: pytest.LogCaptureFixture
) -> None:
    topic = kafka.new_topic("source")
    produce(kafka.bootstrap, topic, [(0, None, str(i).encode()) for i in range(10)])
    source = real.source(topic)
    made, _ = topics.incarnation(source.client, topic)
    admin = kafka.admin
    admin.delete_records([TopicPartition(topic, 0, 6)])[TopicPartition(topic, 0)].result(PATIENCE)
    with pytest.raises(
        LostOffsets, match=r"next message to read is 3, and the topic holds 6 to 9.*KAFKA_ON_LOST_OFFSETS"
    ):
        real.open(source, resume=resume_at(made, 3))
    part = real.open(replace(source, on_lost="earliest"), resume=resume_at(made, 3))
    assert [m[0] for m in read(part, 4)] == [6, 7, 8, 9]
    assert "3 messages were removed by retention before they were read" in caplog.text
    assert [m[0] for m in read(real.open(source), 4)] == [6, 7, 8, 9], "a first start begins at what there is"


@pytest.mark.services
def test_a_topic_made_again_is_another_one(kafka: Kafka, real: Sources, caplog: pytest.LogCaptureFixture) -> None:
    topic = kafka.new_topic("source", partitions=2)
    produce(kafka.bootstrap, topic, [(0, None, b"old")] * 5)
    source = real.source(topic)
    before, partitions = topics.incarnation(source.client, topic)
    assert partitions == 2
    assert topics.incarnation(source.client, topic) == (before, 2)
    delete(kafka, topic)
    admin = kafka.admin
    admin.create_topics([NewTopic(topic, 3, 1)])[topic].result(PATIENCE)
    produce(kafka.bootstrap, topic, [(0, None, b"new")] * 8)
    after, partitions = topics.incarnation(source.client, topic)
    assert partitions == 3
    assert after != before
    asked: list[str] = []
    again = replace(source, register=lambda _, made: asked.append(made) or 8)
    part = real.open(again, resume=resume_at(before, 5))
    assert [m[0] for m in read(part, 8)] == list(range(8)), "messages whose offsets 'exist' were dropped"
    assert asked == [after]
    assert "made again" in caplog.text


@pytest.mark.services
def test_a_topic_that_is_not_there_is_not_made_by_looking(kafka: Kafka) -> None:
    client = {"bootstrap.servers": kafka.bootstrap, "log_level": 0}
    with pytest.raises(LookupError, match=r"there is no topic 'nobody-made-me'; `python -m connectors.topics`"):
        topics.incarnation(client, "nobody-made-me")  # type: ignore[arg-type]
    time.sleep(0.5)
    assert "nobody-made-me" not in kafka.admin.list_topics(timeout=PATIENCE).topics


def delete(kafka: Kafka, topic: str) -> None:
    admin = kafka.admin
    admin.delete_topics([topic])[topic].result(PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while topic in admin.list_topics(timeout=PATIENCE).topics:
        assert time.monotonic() < deadline, "the topic does not go"
        time.sleep(0.1)


@pytest.mark.services
def test_a_topic_that_is_deleted_under_a_reader_ends_it(
    kafka: Kafka, real: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connector, "_WATCH_SECONDS", 0.2)
    topic = kafka.new_topic("source")
    produce(kafka.bootstrap, topic, [(0, None, b"x")])
    part = real.open(real.source(topic))
    read(part, 1)
    delete(kafka, topic)
    with pytest.raises(TopicChanged, match=f"{topic} was deleted"):
        poll(part, "an error", lambda _: False)


@pytest.mark.services
def test_a_topic_that_is_made_again_under_a_reader_ends_it(
    kafka: Kafka, real: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """librdkafka reads on at the old offset of the new topic, which has messages there: the first ones are skipped."""
    monkeypatch.setattr(connector, "_WATCH_SECONDS", 0.2)
    topic = kafka.new_topic("source")
    produce(kafka.bootstrap, topic, [(0, None, b"old")] * 3)
    part = real.open(real.source(topic))
    read(part, 3)
    snapshot = part.snapshot()
    delete(kafka, topic)
    admin = kafka.admin
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(PATIENCE)
    produce(kafka.bootstrap, topic, [(0, None, b"new")] * 8)
    with pytest.raises((TopicChanged, KafkaException)):  # whichever notices first
        poll(part, "an error", lambda _: False)
    assert len(read(real.open(real.source(topic), resume=snapshot), 8)) == 8


@pytest.mark.services
def test_partitions_that_are_added_under_a_reader_end_it(
    kafka: Kafka, real: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new start reads them all; to go on would leave them unread."""
    monkeypatch.setattr(connector, "_WATCH_SECONDS", 0.2)
    topic = kafka.new_topic("source", partitions=2)
    source = real.source(topic)
    part, other = real.open(source, 0), real.open(source, 1)
    idle(part)
    admin = kafka.admin
    admin.create_partitions([NewPartitions(topic, 3)])[topic].result(PATIENCE)
    with pytest.raises(TopicChanged, match="has 3 partitions now, and 2 are read; start again"):
        poll(part, "an error", lambda _: False)
    assert other.next_batch() is not None, "one partition is enough to tell"
    assert source.list_parts() == ["0", "1", "2"]


@pytest.mark.services
def test_a_topic_that_stays_as_it_is_is_read_on(kafka: Kafka, real: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "_WATCH_SECONDS", 0.05)
    topic = kafka.new_topic("source")
    part = real.open(real.source(topic))
    looks, deadline = set(), time.monotonic() + 60
    while len(looks) < 4:
        part.next_batch()
        looks.add(part._watch._asked)
        assert time.monotonic() < deadline, "the topic was not looked at again and again"
        time.sleep(0.005)


def test_neither_the_log_nor_the_source_shows_credentials(mock: Sources, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    produce(mock.bootstrap, "prices", [(0, None, b"x")])
    source = mock.source("prices")
    secret = replace(source, client={**source.client, "sasl.password": "canary-secret"})
    mock.open(secret, resume=resume_at("other", 1))
    assert "canary-secret" not in caplog.text + repr(secret)
