"""How far a replay is: kept in the broker, where its messages are, so that any machine can go on with it.

A consumer group of the replay's own, `conscope-replay-<id>`, holds an offset for each partition of the target and, beside
the first, the `State`. Every message that the state covers is in the topic. Those that it does not cover stand, if at
all, at or after the offsets: whoever goes on after a crash reads the topic from there, and the messages' headers tell
which there are. That rests on an idempotent producer, which keeps each partition's messages in order.

Transactions would do without headers, and a replay killed in the middle of one would hold back every other price on its
partitions until the transaction has timed out.

A broker forgets a group seven days after its last commit (`offsets.retention.minutes`); then a replay is a new one.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from msgspec.structs import replace
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from connectors.replay.records import Position, ReplayError
from connectors.replay.topic import LogReader
from settings import ClientConfig

BEAT_SECONDS = 1.0
"""How often a process at work saves its progress."""
SILENCE_SECONDS = 3.0
"""A replay that has not been saved for so long has no process, and nothing that a killed one sent is still on its way."""

_ID, _POSITION = "replay-id", "replay-position"
_TIMEOUT = 10.0
_MOST_BYTES = 4096  # of a commit's metadata, as brokers take it


class State(msgspec.Struct, frozen=True):
    """A replay's plan, and how far it is.

    Args:
        run: 0, and one more each time the replay is done anew.
        started: microseconds; when it began.
        shift: microseconds that are added to event times.
        bounds: how far the origin reached.
        done: lane -> the order and number up to which everything is published.
        ended: whether the last process ended in order: all that is published is in `done`.
        finished: how many messages the whole replay had; None while there is something left to do.
        owner: the process at work.
        beat: counts how often it has saved.
    """

    run: int
    started: int
    shift: int
    bounds: dict[str, int]
    done: dict[int, tuple[int, int]] = {}
    ended: bool = False
    finished: int | None = None
    owner: str = ""
    beat: int = 0

    def covers(self, position: Position) -> bool:
        """Whether a message is known to be in the topic."""
        return (position.order, position.number) <= self.done.get(position.lane, (-1, -1))


class Busy(ReplayError):
    """Another process is at this replay."""


class Progress:
    """The progress of one replay.

    Args:
        client: librdkafka settings.
        topic: the target.
        partitions: how many it has.
        identity: the replay's.
        sleep: seconds to wait.
    """

    def __init__(
        self, client: ClientConfig, topic: str, partitions: int, identity: str, sleep: Callable[[float], None]
    ) -> None:
        self._client, self._topic, self._partitions, self._identity = client, topic, partitions, identity
        self._sleep = sleep
        self._owner = uuid.uuid4().hex[:8]
        self._consumer = Consumer({**client, "group.id": f"conscope-replay-{identity}", "enable.auto.commit": False})
        self._known = {""}  # what the broker can hold as long as no other process is at this replay

    def close(self) -> None:
        """Let the connections go."""
        self._consumer.close()

    def load(self) -> tuple[State, dict[int, int]] | None:
        """The state, and for each partition the offset from which on there may be messages that it does not cover.

        None for a new replay. Waits a moment when the last process did not end in order.

        Raises:
            Busy: another process is at work.
            ReplayError: another version of ConScope has written the state.
            KafkaException: the broker is out of reach.
        """
        text, offsets = self._fetch()
        self._known = {text}
        if not text:
            return None
        try:
            state = msgspec.json.decode(text, type=State)
        except msgspec.DecodeError as error:
            raise ReplayError(f"the progress in the broker was written by another version ({error})") from None
        if not state.ended:
            self._sleep(SILENCE_SECONDS)
            if self._fetch()[0] != text:
                raise Busy("another process is publishing this very replay; stop it first, or let it finish")
        return state, offsets

    def ends(self) -> dict[int, int]:
        """The offset after the last message of each partition of the target."""
        with LogReader(self._client, self._topic, "read_uncommitted") as log:
            return {partition: end for partition, (_, end) in log.extent().items()}

    def save(self, state: State, offsets: dict[int, int]) -> State:
        """Commit; returns the state as it now is in the broker.

        Raises:
            Busy: another process has taken the replay over.
            ReplayError: there are too many bounds to write down.
            KafkaException: the broker is out of reach.
        """
        state = replace(state, owner=self._owner, beat=state.beat + 1)
        text = msgspec.json.encode(state).decode()
        if len(text) > _MOST_BYTES:
            raise ReplayError("there are too many streams and partitions to replay at once; narrow the range")
        if self._fetch()[0] not in self._known:
            raise Busy("another process has taken this replay over")
        self._known.add(text)  # should the answer be lost, the commit can stand all the same
        beside = [TopicPartition(self._topic, p, at, metadata="" if p else text) for p, at in offsets.items()]
        _patiently(lambda: self._consumer.commit(offsets=beside, asynchronous=False))
        self._known = {text}
        return state

    def found(self, state: State, offsets: dict[int, int]) -> set[Position]:
        """The messages of this replay that stand at or after `offsets`; adds to these the partitions that are new.

        Raises:
            ReplayError: retention has removed some that would have to be looked at.
        """
        positions: set[Position] = set()
        with LogReader(self._client, self._topic, "read_uncommitted") as log:
            extent = log.extent()
            for partition, (low, _) in extent.items():
                if offsets.setdefault(partition, low) < low:
                    raise ReplayError(
                        f"retention has removed messages of {self._topic} that told how far this replay is; "
                        "--again publishes all of it"
                    )
            for messages in log.read({p: (offsets[p], end) for p, (_, end) in extent.items()}):
                for message in messages:
                    headers = dict(message.headers() or ())
                    if headers.get(_ID) == self._name(state):
                        positions.add(Position.of(str(headers[_POSITION], "ascii")))  # type: ignore[arg-type]
        return positions

    def headers(self, state: State, position: Position) -> list[tuple[str, str | bytes | None]]:
        """What a message carries, to be found again."""
        return [(_ID, self._name(state)), (_POSITION, str(position).encode())]

    def _name(self, state: State) -> bytes:
        return f"{self._identity}-{state.run}".encode()

    def _fetch(self) -> tuple[str, dict[int, int]]:
        asked = [TopicPartition(self._topic, partition) for partition in range(self._partitions)]
        found = _patiently(lambda: self._consumer.committed(asked, timeout=_TIMEOUT))
        for part in found:
            if part.error is not None:
                raise KafkaException(part.error)
        return found[0].metadata or "", {part.partition: part.offset for part in found if part.offset >= 0}


def _between_coordinators(error: BaseException) -> bool:
    return isinstance(error, KafkaException) and error.args[0].code() in (
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
    )


# A broker that has just come up, or a new coordinator, says so for some seconds.
_patiently = Retrying(
    retry=retry_if_exception(_between_coordinators), stop=stop_after_delay(15), wait=wait_fixed(0.5), reraise=True
)
