"""A seeded load with everything in it that a topic may hold: repeats, disorder, late and broken messages, tombstones,
mistakes that flicker, crashes that stay, other currencies, parking."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Any

from confluent_kafka import Producer

BROKEN = (
    b"", b"   ", b"{", b"[]", b"null", b"\xff\xfe\x00", b'{"event_id": "x"}', b'{"event_id": 1.5, "source": "s"}',
    b'{"event_id":"x","source":"s","price":"abc","timestamp":"2026-01-01T00:00:00Z"}',
    b'{"event_id":"x","source":"s","price":NaN,"timestamp":"2026-01-01T00:00:00Z"}',
    b'{"event_id":"x","source":"s","price":1e400,"timestamp":"2026-01-01T00:00:00Z"}',
    b'{"event_id":"x","source":"s","price":5,"timestamp":"yesterday"}',
    b'{"event_id":"x","source":"s","price":5,"timestamp":"2199-01-01T00:00:00Z"}',
    b'{"event_id":"x","source":"s","price":5,"quantity":0,"timestamp":"2026-01-01T00:00:00Z"}',
)  # fmt: skip


class Load:
    """Messages drawn from `seed`; event time starts at `start` and goes on by about `step` seconds a message.

    Args:
        seed: everything follows from it.
        unkeyed: share of the events whose producer sets no key.
        broken: share of messages that are no price.
        moving: share of looks that find another price than the one before; half of these move by a tenth.
    """

    def __init__(
        self,
        seed: int,
        start: datetime,
        *,
        step: float = 0.01,
        events: int = 20,
        unkeyed: float = 0.2,
        broken: float = 0.01,
        moving: float = 2 / 3,
    ) -> None:
        self._dice = random.Random(seed)
        self._now = start
        self._step = step
        self._events = events
        self._unkeyed = int(events * unkeyed)
        self._broken = broken
        self._moving = moving
        self._prices: dict[tuple[int, int], float] = {}
        self._last: tuple[bytes | None, bytes | None] | None = None

    def message(self) -> tuple[bytes | None, bytes | None]:
        """The next (key, value)."""
        dice = self._dice
        self._now += timedelta(seconds=self._step)
        luck = dice.random()
        if luck < self._broken:
            return (b"x", dice.choice(BROKEN))
        if luck < self._broken + 0.002:
            return (b"gone", None)
        if luck < self._broken + 0.012 and self._last:
            return self._last  # the same message again: a producer's retry
        number, listing = dice.randrange(self._events), dice.randrange(30)
        event = f"event_{number}"
        price = self._prices.get((number, listing), dice.uniform(20, 300))
        if dice.random() < self._moving:
            price *= dice.choice((1.02, 1 / 1.02, 0.9, 1 / 0.9))
        if dice.random() < 0.001:
            price *= dice.choice((0.01, 0.2, 6))  # and stays there
        self._prices[number, listing] = price = min(max(price, 0.5), 50_000.0)
        shown = price * dice.choice((0.01, 0.2, 100)) if dice.random() < 0.004 else price
        delay = dice.choice((0, 0, 0, 0, 0.5, 2, 4, 8, 30)) if dice.random() < 0.3 else 0
        body = {
            "event_id": event,
            "event_name": f"Event {number}" if dice.random() < 0.9 else None,
            "venue": "Hall",
            "source": ("seatgeek", "ticketmaster", "stubhub")[listing % 3],
            "section": ("GA", "101", "102", None)[listing % 4],
            "row": "A" if listing % 2 else None,
            "listing_id": f"L{listing}" if listing % 5 else None,
            "price": dice.choice((0, -5, 2e7)) if dice.random() < 0.005 else round(shown, 2),
            "fees": round(shown * 0.2, 2) if listing % 2 else None,
            "currency": "CAD" if listing == 7 else "EUR" if dice.random() < 0.002 else "USD",
            "level": "event" if listing == 11 else "listing",
            "quantity": 1 + listing % 4,
            "timestamp": (self._now - timedelta(seconds=delay)).isoformat(timespec="milliseconds"),
        }
        if dice.random() < 0.003:
            body |= dice.choice(
                ({"section": "Parking Lot B"}, {"event_name": f"PARKING: Event {number}"}, {"section": "Parker Hall"})
            )
        key = None if number < self._unkeyed else event.encode()
        self._last = (key, json.dumps(body).encode())
        return self._last


def publish(bootstrap: str, topic: str, load: Load, count: int, **config: object) -> None:
    """Publish `count` messages of `load` and wait until the broker has them all."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "sticky.partitioning.linger.ms": 0, **config})
    for _ in range(count):
        key, value = load.message()
        while True:
            try:
                producer.produce(topic, value, key)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    assert producer.flush(60) == 0, "the broker did not take all messages"


class Stream(threading.Thread):
    """Publishes a load at a rate, event time in step with the clock, until `stop`; `options` are those of `Load`.

    The first `ahead` messages are made before, as to make one costs more than the flow needs for it. Their event time is
    as much behind the clock as that took.
    """

    def __init__(self, bootstrap: str, topic: str, seed: int, rate: float, *, ahead: int = 0, **options: Any) -> None:
        super().__init__(name="load", daemon=True)
        self._server, self._topic, self._rate = bootstrap, topic, rate
        self._load = Load(seed, datetime.now(UTC), step=1 / rate, **options)
        self._made = deque(self._load.message() for _ in range(ahead))
        self._stopped = threading.Event()
        self.count = 0

    def run(self) -> None:
        producer = Producer({"bootstrap.servers": self._server, "linger.ms": 5, "log_level": 3})
        began = time.monotonic()
        while not self._stopped.is_set():
            for _ in range(int((time.monotonic() - began) * self._rate) - self.count):
                key, value = self._made.popleft() if self._made else self._load.message()
                producer.produce(self._topic, value, key)
                self.count += 1
            producer.poll(0.01)
        producer.flush(60)

    def stop(self) -> None:
        """End after what was produced is acknowledged."""
        self._stopped.set()
        self.join(90)
