"""Publishing a replay: each message once, whatever ends a run and wherever; in order, at its pace, alone."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.replay import progress as progress_module
from connectors.replay import publish
from connectors.replay.progress import BEAT_SECONDS, Busy, Progress, State
from connectors.replay.publish import FASTEST, Outcome, Replay
from connectors.replay.records import Position, Record, ReplayError
from connectors.replay.skips import Skips
from connectors.replay.topic import LogReader, TopicRange
from tests.conftest import MockKafka
from tests.support.logs import NOON, at, message, micros

SECOND = 1_000_000
QUIET: dict[str, Any] = {"log_level": 0}


def plain(client: dict[str, Any]) -> Producer:
    """A producer that need not wait half a second for a number of its own: the imitated broker drops no connection."""
    assert client["enable.idempotence"] is True
    return Producer({**client, "enable.idempotence": False})


@dataclass
class Wall:
    """A wall clock that only goes on when it is looked at or slept by."""

    now: int = micros(NOON + timedelta(days=30))
    step: int = 0

    def __call__(self) -> int:
        self.now += self.step
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(int(seconds * SECOND), 1)


@dataclass
class Tape:
    """An origin in memory: prices of three events, `seconds` after noon."""

    seconds: list[int]
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    title = "a tape"
    reach: dict[str, int] = field(default_factory=dict)
    opened: list[dict[str, int]] = field(default_factory=list)

    def identity(self) -> dict[str, Any]:
        return {"tape": self.name}

    def bounds(self) -> dict[str, int]:
        return dict(self.reach)

    def open(self, bounds: dict[str, int], judged: int | None, skips: Skips) -> Tape:
        self.opened.append(bounds)
        return self

    @property
    def count(self) -> int:
        return len(self.seconds)

    @property
    def span(self) -> tuple[int, int] | None:
        times = [micros(NOON) + second * SECOND for second in self.seconds]
        return (times[0], times[-1]) if times else None

    def __iter__(self) -> Iterator[Record]:
        for number, second in enumerate(self.seconds):
            time = micros(NOON) + second * SECOND
            key = f"e{number % 3}"
            value = message(event_id=key, timestamp=at(second), seat=str(number))
            yield Record(Position(0, time, number), time, key.encode(), value)


class Meter:
    total = steps = 0

    def begin(self, total: int) -> None:
        self.total = total

    def step(self) -> None:
        self.steps += 1


@dataclass
class Desk:
    """Where replays are run in these tests."""

    bootstrap: str
    topic: str = field(default_factory=lambda: f"prices-{uuid.uuid4().hex[:8]}")

    def __post_init__(self) -> None:
        self.client: dict[str, Any] = {"bootstrap.servers": self.bootstrap, **QUIET}
        self.others = Producer(self.client)
        self.write(b"of another producer")

    def write(self, *values: bytes, topic: str | None = None, **given_options: Any) -> None:
        for value in values:
            self.others.produce(topic or self.topic, value, **given_options)
        assert self.others.flush(10) == 0

    def replay(self, origin: Any, stop: list[bool] | None = None, **given_options: Any) -> Outcome:
        wall = given_options.pop("wall", Wall())
        options = {"clock": wall, "sleep": wall.sleep, "producer": plain, **given_options}
        replay = Replay(origin, self.client, options.pop("topic", self.topic), **options)
        return replay.run(Skips(say=lambda _: None), Meter(), [] if stop is None else stop)

    def messages(self, topic: str | None = None) -> list[Message]:
        """What a replay has published, partition by partition."""
        topic = topic or self.topic
        consumer = Consumer({**self.client, "group.id": "test", "enable.partition.eof": True, "fetch.wait.max.ms": 10})
        partitions = consumer.list_topics(timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
        found, open_ = [], len(partitions)
        while open_:
            for one in consumer.consume(1000, 0.05):
                if one.error():
                    open_ -= 1
                elif one.headers():
                    found.append(one)
        consumer.close()
        return sorted(found, key=lambda one: (one.partition() or 0, one.offset() or 0))

    def seats(self, topic: str | None = None) -> list[int]:
        return sorted(int(json.loads(one.value() or b"")["seat"]) for one in self.messages(topic))


@pytest.fixture
def desk(mock_kafka: MockKafka) -> Desk:
    return Desk(mock_kafka.bootstrap)


# --- once


def test_every_message_is_published_once_under_its_event_and_in_its_order(desk: Desk) -> None:
    outcome = desk.replay(Tape(list(range(100))))
    assert (outcome.published, outcome.before, outcome.total, outcome.finished) == (100, 0, 100, True)
    assert desk.seats() == list(range(100))
    by_event: dict[bytes, list[int]] = {}
    for one in desk.messages():
        value = json.loads(one.value() or b"")
        assert one.key() == value["event_id"].encode()
        by_event.setdefault(one.key() or b"", []).append(int(value["seat"]))
    assert all(seats == sorted(seats) for seats in by_event.values()), by_event
    assert len({one.partition() for one in desk.messages()}) > 1, "one partition proves no order"


def test_a_finished_replay_publishes_nothing_more(desk: Desk) -> None:
    tape = Tape([0, 1, 2])
    first = desk.replay(tape)
    again = desk.replay(tape, speed=60.0)
    assert (again.published, again.before, again.total, again.finished) == (0, 3, 3, True)
    assert again.id == first.id
    assert desk.seats() == [0, 1, 2]
    assert len(tape.opened) == 1, "it is read for nothing"


def test_a_finished_replay_is_done_again_when_asked_and_only_then(desk: Desk) -> None:
    tape = Tape([0, 1, 2, 3])
    desk.replay(tape)
    outcome = desk.replay(tape, again=True)
    assert (outcome.published, outcome.before) == (4, 0)
    assert desk.seats() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert desk.replay(tape).published == 0
    assert len({dict(one.headers() or ())["replay-id"] for one in desk.messages()}) == 2


def test_an_unfinished_replay_is_gone_on_with_also_when_asked_for_another(desk: Desk) -> None:
    tape = Tape([0, 1, 2, 3])
    desk.replay(tape)
    desk.replay(tape, again=True, stop=[True])
    assert desk.replay(tape, again=True).published == 4
    assert Counter(desk.seats()) == dict.fromkeys(range(4), 2)


@pytest.mark.parametrize("other", [{"shift": True}, {"topic": "elsewhere"}])
def test_another_target_or_another_shift_is_another_replay(desk: Desk, other: dict[str, Any]) -> None:
    desk.write(b"so that it is there", topic="elsewhere")
    tape = Tape([0, 1])
    first = desk.replay(tape)
    second = desk.replay(tape, **other)
    assert second.published == 2
    assert second.id != first.id


def test_a_replay_without_messages_is_finished(desk: Desk) -> None:
    tape = Tape([])
    assert desk.replay(tape, shift=True).finished
    assert desk.replay(tape, shift=True).finished


def test_there_must_be_a_topic(desk: Desk) -> None:
    """To publish to a topic that is not there may make it, with the wrong number of partitions."""
    with pytest.raises(ReplayError, match=r"no topic 'nowhere'; `python -m connectors.topics` makes the topics"):
        desk.replay(Tape([0]), topic="nowhere")


# --- cuts


class Killed(BaseException):
    """The process is no more."""


@dataclass
class Fate:
    """Ends a run at its `steps`-th contact with the outside; what was not sent by then is lost, or is not."""

    steps: int
    lost: bool

    def step(self) -> None:
        self.steps -= 1
        if self.steps == 0:
            raise Killed


class MortalProducer:
    def __init__(self, client: dict[str, Any], fate: Fate) -> None:
        self._inner, self._fate = plain(client), fate

    def produce(self, *given_arguments: Any, **given_options: Any) -> None:
        self._fate.step()
        self._inner.produce(*given_arguments, **given_options)

    def poll(self, seconds: float) -> int:
        self._fate.step()
        return self._inner.poll(seconds)

    def flush(self, seconds: float) -> int:
        self._fate.step()
        return self._inner.flush(seconds)

    def purge(self) -> None:
        """The end: messages in librdkafka's queue are lost, those on their way arrive."""
        if self._fate.lost:
            self._inner.purge(in_queue=True, in_flight=False)
        assert self._inner.flush(10) == 0


class MortalProgress(Progress):
    fate: Fate

    def save(self, state: State, offsets: dict[int, int]) -> State:
        self.fate.step()
        saved = super().save(state, offsets)
        self.fate.step()
        return saved


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seconds=st.lists(st.integers(0, 20), min_size=1, max_size=25).map(sorted),
    fates=st.lists(st.builds(Fate, st.integers(1, 90), st.booleans()), max_size=4),
    step=st.sampled_from([1, 300_000]),
    shift=st.booleans(),
)
def test_a_replay_that_is_killed_anywhere_and_run_again_is_published_once(
    mock_kafka: MockKafka, seconds: list[int], fates: list[Fate], step: int, shift: bool
) -> None:
    """With other producers in between, and progress saved seldom or at every other message."""
    desk, tape, wall = Desk(mock_kafka.bootstrap), Tape(seconds), Wall(step=step)
    for fate in fates:

        def mortal(client: dict[str, Any], fate: Fate = fate) -> Any:
            return MortalProducer(client, fate)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(MortalProgress, "fate", fate, raising=False)
            patch.setattr(publish, "Progress", MortalProgress)
            try:
                desk.replay(tape, wall=wall, producer=mortal, shift=shift)
            except Killed:
                others = {"replay-id": b"another-0", "replay-position": str(next(iter(tape)).position), "x": None}
                desk.write(b"between", key=b"e1", headers=others)
    outcome = desk.replay(tape, wall=wall, shift=shift)
    assert outcome.finished
    ours = [one for one in desk.messages() if one.value() != b"between"]
    positions = [dict(one.headers() or ())["replay-position"] for one in ours]
    twice = {position: n for position, n in Counter(positions).items() if n > 1}
    assert not twice, f"published twice: {twice}"
    assert len(positions) == len(seconds), f"{len(seconds) - len(positions)} are missing"
    assert outcome.published + outcome.before == len(seconds)
    for key in (b"e0", b"e1", b"e2"):
        order = [int(json.loads(one.value() or b"")["seat"]) for one in ours if one.key() == key]
        assert order == sorted(order), f"the order of {key!r} is lost"
    times = {json.loads(one.value() or b"")["seat"]: json.loads(one.value() or b"")["timestamp"] for one in ours}
    if len(set(seconds)) == 1:
        assert len(set(times.values())) == 1, "the shift is not the same in all runs"


def test_a_stopped_replay_goes_on_where_it_was(desk: Desk) -> None:
    stop: list[bool] = []

    class Stopping(Tape):
        def __iter__(self) -> Iterator[Record]:
            for number, record in enumerate(super().__iter__()):
                if number == 40:
                    stop.append(True)
                yield record

    outcome = desk.replay(Stopping(list(range(100)), "one"), stop)
    assert (outcome.published, outcome.finished) == (40, False)
    slept: list[float] = []
    outcome = desk.replay(Tape(list(range(100)), "one"), sleep=slept.append)
    assert (outcome.published, outcome.before, outcome.finished) == (60, 40, True)
    assert slept == [], "a run that ended in order need not be waited for"
    assert desk.seats() == list(range(100))


def test_a_message_that_cannot_be_delivered_is_an_error_and_the_next_run_goes_on(desk: Desk) -> None:
    class Refusing:
        def __init__(self, client: dict[str, Any]) -> None:
            self._inner, self._count = plain(client), 0

        def produce(self, *given_arguments: Any, **given_options: Any) -> None:
            self._count += 1
            if self._count == 5:
                given_options["on_delivery"](KafkaError(KafkaError._MSG_TIMED_OUT), None)
            else:
                self._inner.produce(*given_arguments, **given_options)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

    tape = Tape(list(range(10)))
    with pytest.raises(KafkaException, match="_MSG_TIMED_OUT"):
        desk.replay(tape, producer=Refusing)
    assert desk.seats() == [0, 1, 2, 3], "it went on after the error"
    assert desk.replay(tape).finished
    assert desk.seats() == list(range(10))


def test_an_error_of_the_origin_ends_the_run_and_the_next_one_goes_on(desk: Desk) -> None:
    class Torn(Tape):
        def __iter__(self) -> Iterator[Record]:
            yield from list(super().__iter__())[:5]
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        desk.replay(Torn(list(range(10)), "one"))
    assert desk.replay(Tape(list(range(10)), "one")).finished
    assert desk.seats() == list(range(10))


def test_the_plan_of_the_first_run_holds_for_the_later_ones(desk: Desk) -> None:
    tape = Tape([0, 1], reach={"1-0": 17})
    desk.replay(tape, stop=[True])
    tape.reach = {"1-0": 99}
    desk.replay(tape)
    assert tape.opened == [{"1-0": 17}] * 2


def test_too_much_to_write_down_is_said_before_anything_is_published(desk: Desk) -> None:
    with pytest.raises(ReplayError, match="too many streams and partitions"):
        desk.replay(Tape([0], reach={f"1-{number}": 10**9 for number in range(400)}))
    assert desk.messages() == []


def test_progress_that_retention_has_made_unreadable_is_an_error(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    tape = Tape([0, 1])
    with pytest.raises(Killed):
        desk.replay(tape, producer=lambda client: MortalProducer(client, Fate(3, False)))
    monkeypatch.setattr(LogReader, "extent", lambda _: {0: (10, 20)})
    with pytest.raises(ReplayError, match="--again publishes all of it"):
        desk.replay(tape)


def test_progress_of_another_version_is_an_error(desk: Desk) -> None:
    tape = Tape([0])
    identity = desk.replay(tape, stop=[True]).id
    consumer = Consumer({**desk.client, "group.id": f"conscope-replay-{identity}"})
    consumer.commit(offsets=[TopicPartition(desk.topic, 0, 0, metadata='{"version": 9}')], asynchronous=False)
    consumer.close()
    with pytest.raises(ReplayError, match="another version"):
        desk.replay(tape)


def test_a_broker_whose_coordinator_is_not_ready_is_waited_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a broker's is for some seconds after its start."""
    calls: list[str] = []

    class Hesitant:
        def __init__(self, client: dict[str, Any]) -> None:
            self._inner = Consumer(client)

        def __getattr__(self, name: str) -> Any:
            calls.append(name)
            if name in ("commit", "committed") and calls.count(name) < 3:
                raise KafkaException(KafkaError(KafkaError.NOT_COORDINATOR))
            return getattr(self._inner, name)

    monkeypatch.setattr(progress_module, "Consumer", Hesitant)
    monkeypatch.setattr(progress_module._patiently, "sleep", lambda _: None)
    assert desk.replay(Tape([0, 1])).finished
    assert desk.seats() == [0, 1]


# --- what is saved


class Notes:
    """Progress on paper: what was saved, and what was acknowledged then."""

    def __init__(self, acknowledged: dict[Position, tuple[int, int]]) -> None:
        self.acknowledged = acknowledged
        self.saved: list[tuple[State, dict[int, int], set[Position]]] = []

    def save(self, state: State, offsets: dict[int, int]) -> State:
        self.saved.append((state, dict(offsets), set(self.acknowledged)))
        return state

    def headers(self, _: State, position: Position) -> list[Any]:
        return [("position", position)]


class Slow:
    """A producer whose broker acknowledges when it is told to, one partition's messages in their order."""

    def __init__(self, acknowledged: dict[Position, tuple[int, int]], next_offset: int) -> None:
        self.acknowledged, self.next = acknowledged, dict.fromkeys(range(3), next_offset)
        self.waiting: dict[int, list[tuple[Position, Any]]] = {0: [], 1: [], 2: []}
        self.partition_of: dict[Position, int] = {}

    def produce(self, _: str, value: bytes, key: bytes, headers: Any, on_delivery: Any) -> None:
        position = headers[0][1]
        self.waiting[self.partition_of[position]].append((position, on_delivery))

    def acknowledge(self, partition: int, known: bool) -> None:
        if self.waiting[partition]:
            position, report = self.waiting[partition].pop(0)
            self.acknowledged[position] = (partition, self.next[partition])
            report(None, Acknowledged(partition, self.next[partition] if known else -1001))
            self.next[partition] += 1

    def poll(self, _: float) -> int:
        return 0


@dataclass
class Acknowledged:
    """A message as a delivery report shows it; an offset below 0 when the broker had it already."""

    at: int
    place: int

    def partition(self) -> int:
        return self.at

    def offset(self) -> int:
        return self.place


@given(
    partitions=st.lists(st.integers(0, 2), min_size=1, max_size=12),
    there=st.sets(st.integers(0, 11), max_size=4),
    acts=st.lists(st.tuples(st.sampled_from(["publish", "acknowledge", "save"]), st.integers(0, 2), st.booleans())),
)
def test_what_is_saved_covers_all_that_is_acknowledged_and_nothing_else(
    partitions: list[int], there: set[int], acts: list[tuple[str, int, bool]]
) -> None:
    """The law behind going on: what is covered is in the topic; what is in the topic and not covered stands at or after
    the offsets. Even if messages that were there from before stand on other partitions than they would now."""
    records = list(Tape([0] * len(partitions)))
    places: dict[Position, tuple[int, int]] = {}
    for number, record in enumerate(records):
        if number in there:
            places[record.position] = (2 - partitions[number], number)
    notes, slow = Notes(places), Slow(places, next_offset=100)
    slow.partition_of = {record.position: partitions[n] for n, record in enumerate(records)}
    replay = Replay(Tape([]), {}, "t", clock=Wall())
    run = publish._Run(replay, slow, notes, State(0, 0, 0, {}), dict.fromkeys(range(3), 0), set(places))  # type: ignore[arg-type]
    left = iter(records)
    for act, partition, known in acts:
        if act == "publish" and (record := next(left, None)) is not None:
            run.publish(record, [])
        elif act == "acknowledge":
            slow.acknowledge(partition, known)
        elif act == "save":
            run._save()
    for state, offsets, acknowledged in notes.saved:
        assert min(offsets.values()) >= 0, "no broker takes such an offset"
        for record in records:
            if state.covers(record.position):
                assert record.position in acknowledged, f"{record.position} is covered and may be lost"
            elif record.position in acknowledged:
                partition, offset = places[record.position]
                assert offset >= offsets[partition], f"{record.position} would be published twice"


def test_a_new_replay_looks_at_nothing_that_was_there_before(desk: Desk) -> None:
    for partition in range(4):
        desk.write(*[b"before"] * (partition + 1), partition=partition)
    before = LogReader(desk.client, desk.topic).extent()
    identity = desk.replay(Tape([]), stop=[True]).id
    progress = Progress(desk.client, desk.topic, 4, identity, lambda _: None)
    known = progress.load()
    progress.close()
    assert known is not None
    assert known[1] == {partition: end for partition, (_, end) in before.items()}


# --- alone


class Living(Progress):
    """Outlives its replay, so that a test can go on as its process would."""

    def __init__(self, *given_arguments: Any) -> None:
        super().__init__(*given_arguments)
        Living.last = self

    last: Living

    def save(self, state: State, offsets: dict[int, int]) -> State:
        self.saved = (super().save(state, offsets), offsets)
        return self.saved[0]

    def beat(self) -> None:
        self.save(*self.saved)

    def close(self) -> None:
        pass


def at_work(desk: Desk, tape: Tape) -> Living:
    """Another process that has begun a replay."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish, "Progress", Living)
        with pytest.raises(Killed):
            desk.replay(tape, producer=lambda client: MortalProducer(client, Fate(4, True)))
    return Living.last


def test_a_replay_at_which_another_process_is_at_work_is_left_to_it(desk: Desk) -> None:
    tape = Tape([0, 1, 2])
    other = at_work(desk, tape)
    with pytest.raises(Busy, match="another process is publishing this very replay"):
        desk.replay(tape, sleep=lambda _: other.beat())
    assert len(desk.seats()) < 3
    assert desk.replay(tape, sleep=lambda _: None).finished, "the other process is gone, and nobody goes on"
    assert desk.seats() == [0, 1, 2]


def test_a_process_whose_replay_was_taken_over_is_told_when_it_saves(desk: Desk) -> None:
    other = at_work(desk, tape := Tape([0, 1, 2]))
    desk.replay(tape)
    with pytest.raises(Busy, match="taken this replay over"):
        other.beat()


def test_a_process_that_slept_too_long_publishes_nothing_more(desk: Desk) -> None:
    """A laptop is closed in the middle of a replay, and another machine goes on with it."""
    tape, wall, producers = Tape(list(range(0, 100, 10))), Wall(), list[Producer]()

    def producer(client: dict[str, Any]) -> Producer:
        producers.append(plain(client))
        return producers[0]

    def sleep(seconds: float) -> None:
        wall.sleep(seconds)
        if wall.now > began + 35 * SECOND:
            producers[0].flush(10)
            assert desk.replay(tape).finished
            wall.sleep(3600)

    began = wall.now
    with pytest.raises(Busy, match="taken this replay over"):
        desk.replay(tape, wall=wall, sleep=sleep, speed=1.0, producer=producer)
    assert desk.seats() == list(range(10))


# --- pace


@dataclass
class Stopwatch:
    """A producer that notes at which time of the wall each message came to it."""

    wall: Wall
    produced: list[tuple[int, int]] = field(default_factory=list)

    def __call__(self, client: dict[str, Any]) -> Any:
        inner, note = plain(client), self.produced

        class Noting:
            def produce(_, topic: str, value: bytes, key: bytes, **given_options: Any) -> None:  # noqa: N805
                told = json.loads(value)["timestamp"]
                note.append((self.wall.now, micros(datetime.fromisoformat(told))))
                inner.produce(topic, value, key, **given_options)

            def __getattr__(_, name: str) -> Any:  # noqa: N805
                return getattr(inner, name)

        return Noting()


@pytest.mark.parametrize("speed", [0.5, 1.0, 60.0])
def test_messages_keep_their_distances_divided_by_the_speed(desk: Desk, speed: float) -> None:
    seconds = [0, 0, 60, 90, 600]
    watch = Stopwatch(Wall())
    desk.replay(Tape(seconds), wall=watch.wall, producer=watch, speed=speed)
    began = watch.produced[0][0]
    for second, (came, told) in zip(seconds, watch.produced, strict=True):
        assert came - began == pytest.approx(second / speed * SECOND, abs=2), f"the price of second {second}"
        assert told == micros(NOON) + second * SECOND, "without --shift, times stay"


@pytest.mark.parametrize("speed", [0.5, 1.0, 60.0, FASTEST])
def test_shifted_times_are_never_ahead_and_the_last_is_now(desk: Desk, speed: float) -> None:
    watch = Stopwatch(Wall())
    desk.replay(Tape([0, 0, 60, 90, 600]), wall=watch.wall, producer=watch, speed=speed, shift=True)
    ahead = [told - came for came, told in watch.produced]
    assert max(ahead) <= 0, f"{max(ahead)} µs ahead"
    if speed >= 1:
        assert ahead[-1] > -10, "the range does not end now"
    distances = {
        told - micros(NOON) - s * SECOND for (_, told), s in zip(watch.produced, [0, 0, 60, 90, 600], strict=True)
    }
    assert len(distances) == 1, "not all were moved alike"


@pytest.mark.parametrize("pause", [0, 5, 3600])
def test_a_replay_that_goes_on_later_keeps_its_shift_and_its_pace(desk: Desk, pause: int) -> None:
    seconds = list(range(0, 6000, 60))
    watch, stop = Stopwatch(Wall()), list[bool]()

    def sleep(seconds: float) -> None:
        watch.wall.sleep(seconds)
        if len(watch.produced) == 50:
            stop.append(True)

    tape = Tape(seconds)
    desk.replay(tape, stop, wall=watch.wall, producer=watch, speed=60.0, shift=True, sleep=sleep)
    assert len(watch.produced) == 50
    watch.wall.now += pause * SECOND
    desk.replay(tape, wall=watch.wall, producer=watch, speed=60.0, shift=True)
    assert len(watch.produced) == 100
    assert max(told - came for came, told in watch.produced) <= 0, "a time is ahead of the wall clock"
    assert len({told - s * SECOND for (_, told), s in zip(watch.produced, seconds, strict=True)}) == 1
    gaps = [later[0] - came[0] for came, later in zip(watch.produced[50:], watch.produced[51:], strict=False)]
    # Gone on with at once, it is a little early, and the last price waits for its own time.
    assert gaps[:-1] == pytest.approx([SECOND] * 48, abs=3), "what was missed in the pause is not to come in a rush"


@pytest.mark.parametrize("later", [FASTEST, 600.0, 1.0])
def test_another_speed_than_before_puts_no_time_ahead(desk: Desk, later: float) -> None:
    watch, stop = Stopwatch(Wall()), list[bool]()

    def sleep(seconds: float) -> None:
        watch.wall.sleep(seconds)
        if len(watch.produced) == 10:
            stop.append(True)

    tape = Tape(list(range(0, 6000, 60)))
    desk.replay(tape, stop, wall=watch.wall, producer=watch, speed=60.0, shift=True, sleep=sleep)
    desk.replay(tape, wall=watch.wall, producer=watch, speed=later, shift=True)
    assert len(watch.produced) == 100
    assert max(told - came for came, told in watch.produced) <= 0


def test_progress_is_saved_while_a_message_is_waited_for(desk: Desk) -> None:
    """A paced replay may wait for hours: it must show that it lives."""
    saved: list[State] = []

    class Noting(Progress):
        def save(self, state: State, offsets: dict[int, int]) -> State:
            saved.append(super().save(state, offsets))
            return saved[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish, "Progress", Noting)
        desk.replay(Tape([0, 60]), speed=1.0)
    assert 60 / BEAT_SECONDS * 0.8 < len(saved) < 60 / BEAT_SECONDS * 1.2
    assert len({state.beat for state in saved}) == len(saved)
    assert [state.finished for state in saved][-2:] == [None, 2]


# --- another topic


def topic_of(desk: Desk) -> TopicRange:
    return TopicRange(desk.client, "source")


def price(event: str, second: int, seat: int) -> bytes:
    return message(event_id=event, timestamp=at(second), seat=str(seat), extra={"kept": 1.0})


def test_a_topic_is_copied_value_for_value_and_keyed(desk: Desk) -> None:
    values = [price(f"e{n % 5}", n, n) for n in range(50)]
    for n, value in enumerate(values):
        desk.write(value, topic="source", partition=n % 5 % 4, key=None if n % 2 else f"e{n % 5}".encode())
    outcome = desk.replay(topic_of(desk))
    assert outcome.published == 50
    messages = desk.messages()
    assert sorted(one.value() or b"" for one in messages) == sorted(values)
    assert all(one.key() == json.loads(one.value() or b"")["event_id"].encode() for one in messages)
    assert desk.replay(topic_of(desk)).published == 0


def test_a_partitions_order_is_kept_where_its_times_are_not_in_order(desk: Desk) -> None:
    """Live, a late price came after the newer ones; replayed, it does too."""
    seconds = [5, 9, 1, 7, 20, 2]
    desk.write(*[price("e0", second, n) for n, second in enumerate(seconds)], topic="source", partition=1)
    desk.write(*[price("e1", second, 100 + n) for n, second in enumerate([6, 8, 30])], topic="source", partition=2)
    watch = Stopwatch(Wall())
    desk.replay(topic_of(desk), wall=watch.wall, producer=watch, speed=1.0, shift=True)
    published = [json.loads(one.value() or b"") for one in desk.messages()]
    assert [int(one["seat"]) for one in published if one["event_id"] == "e0"] == list(range(6))
    began = watch.produced[0][0]
    due = [round((came - began) / SECOND) for came, _ in watch.produced]
    assert due == [0, 1, 3, 4, 4, 4, 15, 15, 25], "by the newest time of its partition each has its turn"
    assert max(told - came for came, told in watch.produced) <= 0


def test_what_is_no_price_is_skipped_and_told_where_it_stands(desk: Desk) -> None:
    desk.write(price("e0", 0, 0), b"{", topic="source", partition=2)
    desk.others.produce("source", None, b"e0", partition=2)
    desk.write(price("e0", 1, 1), topic="source", partition=2)
    skips = Skips(say=(said := list[str]()).append)
    origin = topic_of(desk)
    assert [record.position for record in origin.open(origin.bounds(), None, skips)] == [
        Position(2, 0, 0),
        Position(2, 3, 0),
    ]
    assert skips.counts == {"not_json": 1, "tombstone": 1}
    assert len(said) == 1
    assert said[0].startswith("source[2] offset 1: not_json: ")


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ({}, [*range(10), *range(10, 20)]),
        ({0: (3, 5)}, [3, 4, 5]),
        ({0: (None, 1), 3: (8, None)}, [0, 1, 18, 19]),
        ({0: (4, 4), 3: (9, 99)}, [4, 19]),
        ({1: (None, None)}, []),
    ],
)
def test_a_range_has_both_its_ends(
    desk: Desk, ranges: dict[int, tuple[int | None, int | None]], expected: list[int]
) -> None:
    for partition in (0, 3):
        seats = range(partition * 10 // 3, partition * 10 // 3 + 10)
        desk.write(*[price("e0", seat, seat) for seat in seats], topic="source", partition=partition)
    origin = TopicRange(desk.client, "source", ranges)
    records = list(origin.open(origin.bounds(), None, Skips()))
    assert sorted(int(json.loads(record.value)["seat"]) for record in records) == expected


def test_a_topic_may_be_replayed_into_itself(desk: Desk) -> None:
    """What the replay publishes comes after its plan."""
    desk.write(*[price(f"e{n % 3}", n, n) for n in range(9)], topic="source")
    origin = topic_of(desk)
    assert desk.replay(origin, topic="source", stop=[True]).published == 0
    desk.write(price("e0", 99, 99), topic="source")
    assert desk.replay(origin, topic="source", shift=False).published == 9
    assert desk.seats("source") == list(range(9))


def test_a_topic_or_partition_that_is_not_there_is_an_error(desk: Desk) -> None:
    desk.write(b"x", topic="source")
    with pytest.raises(ReplayError, match="there is no topic 'nowhere'"):
        desk.replay(TopicRange(desk.client, "nowhere"))
    with pytest.raises(ReplayError, match="source has the partitions 0 to 3, and no 4"):
        desk.replay(TopicRange(desk.client, "source", {4: (None, None)}))


def test_messages_that_retention_removed_are_left_out(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.write(*[price("e0", n, n) for n in range(9)], topic="source", partition=0)
    origin = TopicRange(desk.client, "source", {0: (2, 6)})
    bounds = origin.bounds()
    monkeypatch.setattr(LogReader, "extent", lambda _: {0: (4, 9)})
    skips = Skips(say=(said := list[str]()).append)
    assert [record.position.order for record in origin.open(bounds, None, skips)] == [4, 5, 6]
    assert said == ["source[0] offsets 2 to 3: gone: retention has removed them"]
