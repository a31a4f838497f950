"""The market's way to Kafka: in time, acknowledged to the last message, and never from the future."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from analytics import quality
from analytics.decode import decode_values
from connectors.market import Market, Pace, publish
from connectors.market.__main__ import main
from local.postgres import free_port
from tests.conftest import MockKafka

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

paces = st.builds(
    Pace,
    start=st.just(1_790_000_000 * SECOND),
    rate=st.floats(0.01, 1e6),
    size=st.integers(1, 50),
    past=st.integers(0, HOUR),
    speed=st.none() | st.floats(1, 1e5),
)


# Pace


@given(pace=paces, looks=st.integers(1, 5000), cut=st.integers(0, 5000))
def test_the_market_s_clock_goes_forward_and_never_overtakes_the_wall_s(pace: Pace, looks: int, cut: int) -> None:
    times = list(pace.times(0, looks))
    assert len(times) == looks
    assert times == sorted(times)
    assert times[0] == pace.start
    present = pace.start + pace.past
    for look, time in enumerate(times):
        assert time <= present + max(0, look - pace.at_once) / pace.rate * SECOND + 1
    cut = min(cut, looks)
    assert times == [*pace.times(0, cut), *pace.times(cut, looks)], "batches change the times"


@given(pace=paces, seconds=st.floats(0, 1e4))
def test_a_look_is_due_when_its_time_has_come(pace: Pace, seconds: float) -> None:
    due = pace.due(seconds)
    [last] = pace.times(due - 1, due)
    assert last <= pace.start + pace.past + seconds * SECOND + 1


def test_without_a_past_everything_is_seen_once_at_the_start_and_then_at_the_rate() -> None:
    pace = Pace(0, rate=4, size=3)
    assert list(pace.times(0, 6)) == [0, 0, 0, 0, SECOND // 4, SECOND // 2]
    assert (pace.due(0), pace.due(1), pace.catches_up) == (3, 7, 0)


def test_a_past_without_a_speed_comes_at_once_every_listing_once_a_minute() -> None:
    pace = Pace(0, rate=1, size=4, past=3 * MINUTE)
    assert pace.due(0) == 12
    assert list(pace.times(0, 14)) == [15 * SECOND * look for look in range(12)] + [3 * MINUTE, 3 * MINUTE + SECOND]


def test_a_fast_market_catches_up_and_then_keeps_step() -> None:
    pace = Pace(0, rate=2, size=1, past=10 * HOUR, speed=3601)
    assert pace.catches_up == 10
    after = [
        time for [time] in (pace.times(pace.due(second) - 1, pace.due(second)) for second in (0, 1, 5, 10, 11, 100))
    ]
    half = SECOND // 2  # the last look that is due is half a second old
    assert after[0] == 0
    assert after[1:3] == [3601 * half, 3601 * 9 * half]
    assert after[3:] == [10 * HOUR + (second * SECOND - half if second > 10 else 19 * half) - lag for second, lag in
                         ((10, 3600 * half), (11, 0), (100, 0))]  # fmt: skip


def test_a_market_at_the_speed_of_the_clock_stays_behind() -> None:
    pace = Pace(0, rate=1, size=1, past=HOUR, speed=1)
    assert pace.catches_up == float("inf")
    assert list(pace.times(1, 4)) == [0, SECOND, 2 * SECOND]


# Publishing


@pytest.fixture
def producer(mock_kafka: MockKafka) -> Producer:
    return Producer({"bootstrap.servers": mock_kafka.bootstrap, "enable.idempotence": True, "log_level": 0})


def consumed(bootstrap: str, topic: str) -> Iterator[tuple[bytes | None, bytes | None, int | None, int]]:
    """(key, value, partition, log time in ms) of everything in a topic."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "test", "log_level": 0, "enable.partition.eof": True}
    )
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    open_ = len(partitions)
    while open_:
        for message in consumer.consume(1000, 1):
            if message.error():
                open_ -= 1
            else:
                yield message.key(), message.value(), message.partition(), message.timestamp()[1]
    consumer.close()


def test_everything_published_is_acknowledged_and_counted(mock_kafka: MockKafka, producer: Producer) -> None:
    market = Market(1, datetime.now(UTC), events=4, listings=40)
    sent = publish(market, producer, "prices", 5000, 0.0, [], limit=300)
    assert sent == 300
    messages = list(consumed(mock_kafka.bootstrap, "prices"))
    assert len(messages) == 300
    assert all(key == json.loads(value or b"")["event_id"].encode() for key, value, *_ in messages)
    by_event: dict[Any, set[Any]] = {}
    for key, _, partition, _ in messages:
        by_event.setdefault(key, set()).add(partition)
    assert all(len(partitions) == 1 for partitions in by_event.values()), "an event's messages must keep their order"


def test_what_is_published_is_what_the_market_and_its_pace_say(mock_kafka: MockKafka, producer: Producer) -> None:
    market, same = (Market(3, NOW, events=1, listings=20) for _ in range(2))
    publish(market, producer, "prices", 9000, 0.1, [], limit=500)
    values = [value for _, value, *_ in consumed(mock_kafka.bootstrap, "prices")]
    times = Pace(same.start, 9000, same.size).times(0, 500)
    assert values == [value for _, value in same.observe(times, 0.1)]


def test_a_share_of_messages_is_broken_on_purpose(mock_kafka: MockKafka, producer: Producer) -> None:
    publish(Market(1, datetime.now(UTC), 4, 40), producer, "prices", 50_000, 0.5, [], limit=400)
    decoded = decode_values([value or b"" for _, value, *_ in consumed(mock_kafka.bootstrap, "prices")])
    bad = len(decoded.rejects) + quality.split(decoded.rows)[1].height
    assert 120 < bad < 280


def test_a_fast_market_says_when_it_has_caught_up_and_none_of_its_prices_is_from_the_future(
    mock_kafka: MockKafka, producer: Producer, capsys: pytest.CaptureFixture[str]
) -> None:
    past = timedelta(minutes=1)
    market = Market(1, datetime.now(UTC) - past, 4, 40)
    publish(market, producer, "prices", 20_000, 0.0, [], limit=3000, history=past, speed=3601)
    assert capsys.readouterr().err.count("caught up with the present") == 1
    told = [
        (json.loads(value or b"")["timestamp"], logged)
        for _, value, _, logged in consumed(mock_kafka.bootstrap, "prices")
    ]
    assert min(told)[0] == datetime.fromtimestamp(market.start / SECOND, UTC).isoformat().replace("+00:00", "Z")
    assert all(datetime.fromisoformat(time).timestamp() * 1000 <= logged + 1 for time, logged in told)


def test_a_market_that_is_stopped_sends_nothing_more(mock_kafka: MockKafka, producer: Producer) -> None:
    assert publish(Market(1, datetime.now(UTC), 4, 40), producer, "prices", 100, 0.0, [True]) == 0


def test_a_broker_out_of_reach_is_an_error() -> None:
    client = {"bootstrap.servers": f"127.0.0.1:{free_port()}", "message.timeout.ms": 300, "log_level": 0}
    with pytest.raises(KafkaException):
        publish(Market(1, NOW, 1, 2), Producer(client), "prices", 10, 0.0, [], limit=100)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stderr", "shown"), [(Terminal, True), (io.StringIO, False)])
def test_progress_is_for_terminals(
    mock_kafka: MockKafka, producer: Producer, monkeypatch: pytest.MonkeyPatch, stderr: type[io.StringIO], shown: bool
) -> None:
    monkeypatch.setattr(sys, "stderr", stderr())
    publish(Market(1, NOW, 4, 40), producer, "prices", 1000, 0.0, [], limit=45)
    assert ("45/45" in sys.stderr.getvalue()) is shown  # type: ignore[attr-defined]
    assert ("messages/s" in sys.stderr.getvalue()) is shown  # type: ignore[attr-defined]


# The command


def test_the_command_publishes_up_to_its_limit(mock_kafka: MockKafka) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "connectors.market", "--limit", "70", "--listings", "50", "--events", "3"],
        env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": mock_kafka.bootstrap, "KAFKA_TOPIC_PREFIX": "x-"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "market: 70 messages published\n", "")
    assert len(list(consumed(mock_kafka.bootstrap, "x-raw_prices"))) == 70


def test_the_command_describes_its_market_without_kafka(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["market", "--describe", "--events", "12", "--listings", "600", "--rate", "10"])
    assert main() == 0
    said = capsys.readouterr().out
    assert said.startswith("12 events")
    assert "at 10 prices a second, 1.0 minutes between looks at a listing" in said


@pytest.mark.parametrize(
    "wrong",
    [["--rate", "0"], ["--speed", "0.5"], ["--poison", "2"], ["--events", "x"], ["--limit", "0"], ["--history", "-1"]],
)
def test_what_makes_no_market_is_refused_in_words(
    wrong: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["market", *wrong])
    with pytest.raises(SystemExit) as refused:
        main()
    assert refused.value.code == 2
    assert f"argument {wrong[0]}:" in capsys.readouterr().err
