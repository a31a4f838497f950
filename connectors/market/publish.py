"""The market's way to Kafka: when each look is made, when its message is due, and that it arrives."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from tqdm import tqdm

from connectors.market.model import Market

_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_BATCH = 2000  # messages between two looks at the clock


@dataclass(frozen=True, slots=True)
class Pace:
    """When the n-th look is made, and when it is due: two clocks, one of the market and one on the wall.

    The market's clock begins at `start`, `past` behind the wall's, and never overtakes it: a price from the future is
    refused by whoever reads it. Some looks come at once: each listing once at the start or, with a past and no speed, each
    listing once a minute up to the present, as pollers see it. The others come at `rate` a second. Meanwhile the market's
    clock runs `speed` times as fast as the wall's until it has caught up, and in step with it from then on.

    Args:
        start: microseconds since 1970 in UTC.
        rate: looks a second.
        size: looks that go once round the market.
        past: microseconds.
        speed: 1 or more; 1 never catches up. None: the past comes at once.
    """

    start: int
    rate: float
    size: int
    past: int = 0
    speed: float | None = None

    @property
    def at_once(self) -> int:
        """How many looks are due at the start."""
        return self.size * (self.past // _MINUTE) if self.speed is None and self.past >= _MINUTE else self.size

    @property
    def catches_up(self) -> float:
        """Seconds after the start at which the market's clock is right; infinite when it never is."""
        if not self.past or self.speed is None:
            return 0.0
        return self.past / _SECOND / (self.speed - 1) if self.speed > 1 else float("inf")

    def due(self, seconds: float) -> int:
        """How many looks are due so many seconds after the start."""
        return self.at_once + int(seconds * self.rate)

    def times(self, first: int, last: int) -> Iterator[int]:
        """The market's time at each look from `first` up to, without it, `last`: microseconds since 1970."""
        at_once, step, gain = self.at_once, _SECOND / self.rate, 0.0 if self.speed is None else self.speed - 1
        gap = _MINUTE / self.size if self.speed is None and self.past >= _MINUTE else 0.0
        for look in range(first, min(last, at_once)):
            yield self.start + int(look * gap)
        behind = 0 if self.speed is None else self.past
        for look in range(max(first, at_once), last):
            gone = (look - at_once) * step
            lag = behind - gone * gain
            yield self.start + self.past + int(gone - lag if lag > 0 else gone)


def publish(
    market: Market,
    producer: Producer,
    topic: str,
    rate: float,
    poison: float,
    stop: list[bool],
    *,
    limit: int | None = None,
    history: timedelta = timedelta(0),
    speed: float | None = None,
) -> int:
    """Publish looks at the market, at its `Pace`, until `stop` holds True or `limit` is reached.

    What is late (a broker that was away, a rate that is too much for this machine) follows as fast as it can be sent, with
    the time at which it was due. On a terminal, stderr shows how far it is.

    Args:
        market: it began `history` before now.
        producer: should be idempotent; its callbacks may be limited to errors (`delivery.report.only.error`).
        topic: where to.
        rate: looks a second.
        poison: share of messages that are broken on purpose.
        stop: ends the market when it holds anything.
        limit: so many messages at most.
        history: how long the market has been going on; see `Pace` for what becomes of it.
        speed: see `Pace`.

    Returns how many messages the brokers acknowledged.

    Raises:
        KafkaException: a message could not be delivered.
        TimeoutError: some are not acknowledged within 30 s of the last.
    """
    errors: list[KafkaError] = []

    def report(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            errors.append(error)

    pace = Pace(market.start, rate, market.size, history // timedelta(microseconds=1), speed)
    present = pace.due(pace.catches_up) if 0 < pace.catches_up < float("inf") else None
    produce, sent, began = producer.produce, 0, time.monotonic()
    with tqdm(total=limit, desc="market", unit=" messages", disable=None) as progress:
        while not stop and not errors and (limit is None or sent < limit):
            due = pace.due(time.monotonic() - began)
            until = min(due, sent + _BATCH, due if limit is None else limit)
            for key, value in market.observe(pace.times(sent, until), poison):
                while True:
                    try:
                        produce(topic, value, key, on_delivery=report)
                        break
                    except BufferError:
                        producer.poll(0.01)
            producer.poll(0)
            progress.update(until - sent)
            if present is not None and until >= present:
                tqdm.write("market: has caught up with the present, and goes on in real time", file=sys.stderr)
                present = None
            sent = until
            if sent == due:
                time.sleep(0.02)
    left = producer.flush(30)
    if errors:
        raise KafkaException(errors[0])
    if left:
        raise TimeoutError(f"{left} of {sent} messages were not acknowledged within 30 s")
    return sent
