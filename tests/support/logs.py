"""Price events, frames and whole random logs for tests."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple
from zlib import crc32

import polars as pl

from analytics.decode import decode
from analytics.schema import row_id
from connectors.kafka import RawBatch

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATENESS = 60_000_000
RELEASE_AFTER = 3
STREAM = 1


def micros(time: datetime) -> int:
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def at(seconds: float) -> str:
    """So many seconds after noon, as RFC 3339."""
    return (NOON + timedelta(seconds=seconds)).isoformat()


def event(**fields: Any) -> dict[str, Any]:
    """A good price event; None takes a field away."""
    given = {"event_id": "e1", "source": "seatgeek", "price": 100, "timestamp": at(0), **fields}
    return {name: value for name, value in given.items() if value is not None}


def message(**fields: Any) -> bytes:
    return json.dumps(event(**fields)).encode()


def frame(*events: dict[str, Any], part: int = 0, keyed: bool = True, late: bool = False) -> pl.DataFrame:
    """Price rows of good events, as the shards get them: offsets from 0, in the order given."""
    keys = [str(e["event_id"]).encode() if keyed else None for e in events]
    ids = [row_id(STREAM, part, offset) for offset in range(len(events))]
    found = decode([json.dumps(e).encode() for e in events], keys, [-1] * len(events), ids)
    assert not found.rejects, found.rejects
    return found.rows.with_columns(late=pl.lit(late))


class Message(NamedTuple):
    """A message of a random log. `says`: the fields of a good event, "dead", or None for a tombstone."""

    part: int
    off: int
    key: bytes | None
    value: bytes | None
    log_ms: int
    says: dict[str, Any] | str | None


class Log(NamedTuple):
    partitions: int
    messages: list[Message]
    keyed: bool  # every good message has its event as the key

    def of(self, partition: int) -> list[Message]:
        return [m for m in self.messages if m.part == partition]

    def frame(self) -> pl.DataFrame:
        """What `oracle.log.read` would give."""
        types = {"part": pl.Int64, "off": pl.Int64, "key": pl.Binary, "value": pl.Binary, "log_ms": pl.Int64}
        return pl.DataFrame([m[:5] for m in self.messages], schema=types, orient="row")


def batch(messages: list[Message], partition: int, partitions: int, idle_since: int | None = None) -> RawBatch:
    """What one poll of a partition gives."""
    _, offsets, keys, values, times, _ = map(list, zip(*messages, strict=True)) if messages else ([],) * 6
    return RawBatch(
        STREAM, partition, partitions, offsets, keys, values, times, offsets[-1] + 1 if offsets else 0, idle_since
    )


_DEAD = (b"", b"{", b'{"event_id": "e1"}', b"\xff", b"[1]", b"null", b'{"a": NaN}')


def random_log(draw: Random, length: int = 45) -> Log:
    """A log with all that can happen to one: out-of-order, late, duplicate and equal times, several events, sources,
    sections, currencies, event-level rows, impossible prices, parking, mistakes that flicker and crashes that stay, hours
    that pass, broken messages, tombstones, gaps in the offsets."""
    partitions = draw.randint(1, 4)
    unkeyed = draw.choice((0.0, 0.0, 0.4, 1.0))
    start = draw.choice((-120, 43_100))  # about to pass a full hour, or midnight
    pace = [draw.choice((2, 10, 25)) for _ in range(partitions)]
    leaps = draw.choice((0.0, 0.0, 0.0, 0.1))
    now = [start + draw.randrange(0, 90, 10) for _ in range(partitions)]
    offset = [draw.randrange(3) for _ in range(partitions)]
    made: list[Message] = []
    stories: list[list[dict[str, Any]]] = []

    def put(part: int, key: bytes | None, value: bytes | None, log_ms: int, says: dict[str, Any] | str | None) -> None:
        made.append(Message(part, offset[part], key, value, log_ms, says))
        offset[part] += draw.choice((1, 1, 1, 2))

    for _ in range(length):
        name = f"e{draw.randrange(5)}"
        is_keyed = draw.random() >= unkeyed
        part = crc32(name.encode()) % partitions if is_keyed else draw.randrange(partitions)
        key = name.encode() if is_keyed else draw.choice((None, b"", b"other"))
        now[part] += draw.choice((0, 0, 1, pace[part]))
        if draw.random() < leaps:
            now[part] += draw.choice((1800, 3600, 3600, 7200, 90_000))
        back = draw.choice((0, 0, 0, 5, 10, 30, 60, 61, 70, 200))
        log_ms = micros(NOON) // 1000 + now[part] * 1000
        kind = draw.random()
        if kind < 0.05:
            put(part, key, draw.choice(_DEAD), log_ms, "dead")
        elif kind < 0.07:
            put(part, key, None, log_ms, None)
        elif kind < 0.10:
            put(part, key, message(event_id=name, timestamp=at(now[part] + 301)), log_ms, "dead")
        elif kind < 0.17 and (before := [m for m in made if m.part == part and isinstance(m.says, dict)]):
            twin = draw.choice(before)
            put(part, twin.key, twin.value, log_ms, twin.says)
        elif kind < 0.45 and stories:
            told = draw.choice(stories).pop(0)
            stories = [story for story in stories if story]
            if is_keyed:
                key = told["event_id"].encode()
                part = crc32(key) % partitions
            told["timestamp"] = at(now[part])
            put(part, key, json.dumps(told).encode(), micros(NOON) // 1000 + now[part] * 1000, told)
        else:
            told = _observation(draw, name, now[part] - back)
            if draw.random() < 0.2:
                stories.append(_story(draw, told))
            put(part, key, json.dumps(told).encode(), log_ms, told)
    keyed = all(m.key == m.says["event_id"].encode() for m in made if isinstance(m.says, dict))
    return Log(partitions, made, keyed)


def _story(draw: Random, told: dict[str, Any]) -> list[dict[str, Any]]:
    """What becomes of a price: a mistake that flickers, or a crash or another currency that stays."""
    was = told["price"]
    new = round(max(was, 1) * draw.choice((0.01, 0.02, 0.2, 0.24, 0.25, 4, 50, 100)), 6)
    after = {**told, "price": new, **draw.choice(({}, {}, {}, {"currency": "EUR"}))}
    looks = [after if draw.random() < 0.8 else {**told, "price": was} for _ in range(draw.choice((1, 4, 6)))]
    return [{**look, "price": round(look["price"] * draw.choice((1, 1, 1.1, 0.8, 1.25)), 6)} for look in looks]


def _observation(draw: Random, name: str, time: int) -> dict[str, Any]:
    ours: dict[str, Any] = {
        "source": draw.choice(("seatgeek", "mock")),
        "section": draw.choice((None, "", "101", "GA")),
    }
    if draw.random() < 0.5:
        ours["listing_id"] = draw.choice(("L1", "L2"))
    if draw.random() < 0.5:
        ours |= {"row": "A", "seat": draw.choice(("1", "2"))}
    if draw.random() < 0.1:
        ours["level"] = "event"
    if draw.random() < 0.08:
        ours["currency"] = "EUR"
    if draw.random() < 0.5:
        ours |= {
            "event_name": f"Name {draw.randrange(3)}",
            "venue": draw.choice((None, "Hall")),
            "event_date": at(86_400),
        }
    if draw.random() < 0.03:
        ours |= draw.choice(
            ({"section": "PARKING Lot 5"}, {"row": "Garage"}, {"event_name": "Nora Vale Parking Passes"},
             {"event_name": "Parking Lot Festival"}, {"seller_notes": "parking only"}, {"section": "Parker Hall"})
        )  # fmt: skip
    if draw.random() < 0.4:
        ours["fees"] = draw.choice((0, 10.5, 0.01, 20, 5, 7, -1))
    if draw.random() < 0.1:
        ours["total_price"] = draw.choice((90, 120.25, 101, 99.5, 0, -5))
    sound = (100, 100, 95, 95.01, 94.99, 90.5, 105.123456, draw.randrange(3_000, 20_000) / 100)
    price = draw.choice(sound if draw.random() < 0.85 else (0.33, draw.randrange(1, 3_000) / 100, 0, -1, 2e6))
    return event(event_id=name, price=price, timestamp=at(time), **ours)
