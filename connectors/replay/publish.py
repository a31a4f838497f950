"""Publishing a replay: paced by event time, resumable, each message once.

**Delivery**: exactly once. An idempotent producer, acknowledged by all replicas, and after a crash the messages' own
headers (`connectors.replay.progress`). Twice only what a broker writes down more than `SILENCE_SECONDS` after its sender
was killed. The order within an event is kept.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from msgspec.structs import replace

from connectors import topics
from connectors.replay.progress import BEAT_SECONDS, Progress, State
from connectors.replay.records import Origin, Position, Record, ReplayError, moved
from connectors.replay.skips import Skips
from settings import ClientConfig

log = logging.getLogger(__name__)

FASTEST = math.inf
_SECOND = 1_000_000


def largest_shift(span: tuple[int, int], started: int, speed: float) -> int:
    """How far event times can be moved so that none is ahead of the wall clock when it is published. Microseconds.

    A record at `a` is published at `started + (a - first) / speed`. Moved by the same s as all others, it is not ahead as
    long as s <= started - first + (a - first) (1 / speed - 1). Right of it stands a straight line in `a`, whose least
    value is at one end of the span: at the last record with speed 1 and above, so that the range ends now, when the
    replay does; at the first in slow motion, which ends later than any range could.
    """
    first, last = span
    return min(started - first, _due(last, first, started, speed) - last)


def _due(at: int, first: int, started: int, speed: float) -> int:
    return started + int((at - first) / speed)


class Meter(Protocol):
    """Shows how far a replay is."""

    def begin(self, total: int) -> None:
        """There are so many messages."""

    def step(self) -> None:
        """One more is published, or was before."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a replay went.

    Args:
        id: its identity; the consumer group `conscope-replay-<id>` holds its progress.
        total: messages of the whole replay.
        published: of these, by this process.
        before: of these, by processes before it.
        finished: whether nothing is left to do.
        shift: microseconds that event times were moved by.
        span: event times of the first and the last message before that; None when nothing was read.
    """

    id: str
    total: int
    published: int
    before: int
    finished: bool
    shift: int
    span: tuple[int, int] | None


@dataclass
class Replay:
    """A replay of `origin` into `topic`.

    Args:
        origin: what is replayed.
        client: librdkafka settings.
        topic: the target, with its prefix.
        speed: event time over wall time; `FASTEST` for no pace.
        shift: whether event times are moved so that the range ends now.
        again: whether a finished replay is done anew; an unfinished one is gone on with.
        clock: microseconds since 1970.
        sleep: seconds to wait.
        producer: makes a producer from librdkafka settings.
    """

    origin: Origin
    client: ClientConfig
    topic: str
    speed: float = FASTEST
    shift: bool = False
    again: bool = False
    clock: Callable[[], int] = lambda: time.time_ns() // 1000
    sleep: Callable[[float], None] = time.sleep
    producer: Callable[[dict[str, Any]], Producer] = Producer

    def run(self, skips: Skips, meter: Meter, stop: list[bool]) -> Outcome:
        """Publish what is not published yet, until `stop` holds something.

        Raises:
            ReplayError: the replay cannot begin, or another process is at it.
            BadRow: a row is bad, and `skips` is strict; nothing was published.
            KafkaException: a message could not be delivered, or the broker is out of reach.
        """
        try:
            made, partitions = topics.incarnation(self.client, self.topic)
        except LookupError as error:
            raise ReplayError(str(error)) from None
        what = {"origin": self.origin.identity(), "target": [self.topic, made], "shift": self.shift}
        identity = hashlib.sha256(msgspec.json.encode(what, order="sorted")).hexdigest()[:16]
        progress = Progress(self.client, self.topic, partitions, identity, self.sleep)
        try:
            return self._run(identity, progress, skips, meter, stop)
        finally:
            progress.close()

    def _run(self, identity: str, progress: Progress, skips: Skips, meter: Meter, stop: list[bool]) -> Outcome:
        known = progress.load()
        if known is not None and known[0].finished is not None and not self.again:
            total = known[0].finished
            return Outcome(identity, total, 0, total, True, known[0].shift, None)
        if known is None or known[0].finished is not None:
            state, offsets = self._plan(known[0].run + 1 if known else 0), progress.ends()
        else:
            state, offsets = known
        # Made now: until it has its number from the broker, which takes a moment, it publishes nothing.
        producer = self.producer({"linger.ms": 5, "compression.type": "lz4", **self.client, "enable.idempotence": True})
        recording = self.origin.open(state.bounds, None if self.shift else state.started, skips)
        if state.beat == 0 and self.shift and recording.span is not None:
            state = replace(state, shift=largest_shift(recording.span, self.clock(), self.speed))
        was_cut = state.beat > 0 and not state.ended
        state = progress.save(replace(state, ended=False), offsets)
        there = progress.found(state, offsets) if was_cut else set()
        run = _Run(self, producer, progress, state, offsets, there)
        meter.begin(recording.count)
        try:
            for record in recording:
                if stop or run.errors:
                    break
                run.publish(record, stop)
                meter.step()
            run.end(None if stop else recording.count)
        except BaseException:
            run.abandon()
            raise
        return Outcome(identity, recording.count, run.published, run.before, not stop, state.shift, recording.span)

    def _plan(self, run: int) -> State:
        return State(run, self.clock(), 0, self.origin.bounds())


_BEFORE = (-1, -1)


class _Sent:
    """A message on its way; `place` is its partition and offset, once acknowledged."""

    __slots__ = ("place", "position")

    def __init__(self, position: Position, place: tuple[int, int] | None = None) -> None:
        self.position, self.place = position, place


class _Run:
    """One process's part of a replay."""

    def __init__(
        self,
        replay: Replay,
        producer: Producer,
        progress: Progress,
        state: State,
        offsets: dict[int, int],
        there: set[Position],
    ) -> None:
        self._replay, self._producer, self._progress = replay, producer, progress
        self._state, self._offsets, self._there = state, offsets, there
        self._sent: deque[_Sent] = deque()  # what the state does not cover yet, in the order of publishing
        self._uncovered = len(there)
        self._anchor: tuple[int, int] | None = None
        self._saved = replay.clock()
        self.published = self.before = 0
        self.errors: list[KafkaError] = []

    def publish(self, record: Record, stop: list[bool]) -> None:
        """Publish one message when its turn comes, unless it is there already or `stop` holds something before."""
        position = record.position
        if self._state.covers(position):
            self.before += 1
        elif position in self._there:
            self._sent.append(_Sent(position, _BEFORE))
            self.before += 1
        elif self._await_turn(record.at, stop):
            # Saved before it is published: a process that has slept for long finds out first that another went on.
            self._beat()
            sent = _Sent(position)
            self._sent.append(sent)
            self._produce(record, sent)
            self.published += 1

    def _await_turn(self, at: int, stop: list[bool]) -> bool:
        clock = self._replay.clock
        if self._anchor is None:
            self._anchor = at, clock()  # a process that goes on later keeps the pace from there
        due = _due(at, *self._anchor, self._replay.speed)
        if self._replay.shift:
            due = max(due, at + self._state.shift)  # it was fitted to the first process's start and speed
        while not stop and (wait := due - clock()) > 0:
            self._beat()
            self._replay.sleep(min(wait / _SECOND, 0.1))
        return not stop

    def _produce(self, record: Record, sent: _Sent) -> None:
        def report(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self.errors.append(error)
            else:
                sent.place = (message.partition() or 0, message.offset() or 0)

        value = moved(record.value, self._state.shift)
        headers = self._progress.headers(self._state, record.position)
        while True:
            try:
                self._producer.produce(self._replay.topic, value, record.key, headers=headers, on_delivery=report)
                return
            except BufferError:
                self._producer.poll(0.1)
                self._beat()

    def _beat(self) -> None:
        self._producer.poll(0)
        if self._replay.clock() - self._saved >= BEAT_SECONDS * _SECOND:
            try:
                self._save()
            except KafkaException as error:
                log.warning("progress is not saved for now: %s", error)
            self._saved = self._replay.clock()

    def _save(self, ended: bool = False, finished: int | None = None) -> None:
        done = dict(self._state.done)
        while self._sent and (place := self._sent[0].place) is not None:
            lane, order, number = self._sent.popleft().position
            done[lane] = (order, number)
            if place == _BEFORE:
                self._uncovered -= 1
            elif not self._uncovered and place[1] >= 0:  # a broker may acknowledge a repeat without its offset
                self._offsets[place[0]] = place[1] + 1
        self._state = replace(self._state, done=done, ended=ended, finished=finished)
        self._state = self._progress.save(self._state, self._offsets)

    def end(self, finished: int | None) -> None:
        """Wait until everything is acknowledged, and say so; `finished` as in `State`.

        Raises:
            KafkaException: a message could not be delivered.
        """
        while self._producer.flush(BEAT_SECONDS):
            self._beat()
        if self.errors:
            raise KafkaException(self.errors[0])
        self._save(ended=True, finished=finished)

    def abandon(self) -> None:
        """Publish nothing more."""
        self._producer.purge()
