"""Fills an empty ConScope database with what a flow would have written, from a seed: the same numbers every time.

`python -m tests.unit.dash_app.seed` needs the POSTGRES_* variables; tests call `fill` with a connection.
"""

from __future__ import annotations

import math
import random
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

MIGRATIONS = sorted((Path(__file__).parents[3] / "sinks" / "migrations").glob("*.sql"))
SOURCES = ("mock", "seatgeek", "ticketmaster")
EVENTS: list[tuple[str, str, str, int, float, tuple[str, ...], str]] = [
    ("concert_123", "Taylor Swift | The Eras Tour", "SoFi Stadium", 18, 340.0, ("101", "214", "Floor A", "GA"), "USD"),
    ("concert_456", "Radiohead", "Madison Square Garden", 41, 185.0, ("102", "208", "Floor"), "USD"),
    ("game_789", "Lakers vs. Celtics", "Crypto.com Arena", 6, 220.0, ("110", "305", "Courtside"), "USD"),
    ("festival_eu", "Primavera Sound", "Parc del Fòrum", 120, 265.0, ("GA", "VIP"), "EUR"),
    ("xss", "<script>alert(1)</script>", "<b>Bold Hall</b>", 30, 90.0, ("<i>A</i>", "B"), "USD"),
]
_WINDOWS = (60, 3600, 86400)
_PRICE_COLUMNS = (
    "id, event_id, source, section, row, seat, price, fees, total_price, currency, quantity, timestamp, "
    "listing_id, listing_url, level, late"
)


@dataclass
class _Window:
    prices: list[float] = field(default_factory=list)
    listings: set[str] = field(default_factory=set)


def migrate(connection: psycopg.Connection[Any]) -> None:
    """Make the tables."""
    for migration in MIGRATIONS:
        connection.execute(migration.read_text().encode())


def fill(connection: psycopg.Connection[Any], *, minutes: int = 150, seed: int = 7) -> datetime:
    """Migrate and fill; gives the time of the newest price. `minutes` is how long the market has been running."""
    migrate(connection)
    rng = random.Random(seed)
    end = datetime.now(UTC).replace(microsecond=0)
    begin = end - timedelta(minutes=minutes)
    history: list[tuple[Any, ...]] = []
    changes: list[tuple[Any, ...]] = []
    windows: dict[tuple[str, str, str, str, int, datetime], _Window] = defaultdict(_Window)
    for number, (event_id, name, venue, days, base, sections, main_currency) in enumerate(EVENTS):
        connection.execute(
            "INSERT INTO events (event_id, event_name, venue, event_date) VALUES (%s, %s, %s, %s)",
            (event_id, name, venue, (end + timedelta(days=days)).replace(hour=19, minute=30, second=0)),
        )
        step = 1 + 3 * number
        last: dict[str, tuple[float, datetime]] = {}
        for second in range(0, minutes * 60, step):
            at = begin + timedelta(seconds=second)
            if event_id == "concert_123" and 40 <= second // 60 < 47:
                continue  # a gap, as when a source is down
            source, section = rng.choice(SOURCES), rng.choice(sections)
            seat = rng.randrange(1, 10)
            currency = "GBP" if main_currency == "EUR" and seat == 9 else main_currency
            listing = f"{source}-{event_id}-{section}-{seat}"
            factor = 1 + 0.35 * sections.index(section) + 0.05 * SOURCES.index(source) + 0.01 * seat
            wave = 1 - 0.16 * second / (minutes * 60) + 0.03 * math.sin(second / 900)
            price = round(base * factor * wave * rng.uniform(0.985, 1.015), 2)
            if rng.random() < 0.008:
                price = round(price * 0.88, 2)
            total = round(price * 1.18, 2)
            identity = (1 << 52) + ((number % 4) << 40) + len(history)
            url = f"https://example.com/listings/{seat}" if seat % 3 else "javascript:alert(2)"
            history.append((identity, event_id, source, section, str(seat), None, price, round(total - price, 2), total,
                            currency, 2, at, listing, url, "listing", False))  # fmt: skip
            if listing in last and last[listing][0] != total:
                old, previous = last[listing]
                changes.append((identity, event_id, source, section, str(seat), None, listing, url, currency,
                                "listing", old, total, total - old, round((total - old) / old * 100, 4),
                                previous, at))  # fmt: skip
            last[listing] = (total, at)
            for seconds in _WINDOWS:
                start = datetime.fromtimestamp(at.timestamp() // seconds * seconds, UTC)
                for key in ((source, section), ("", "")):
                    window = windows[(event_id, *key, currency, seconds, start)]
                    window.prices.append(total)
                    window.listings.add(listing)
    cursor = connection.cursor()
    cursor.executemany(
        f"INSERT INTO price_history ({_PRICE_COLUMNS}) VALUES ({', '.join(['%s'] * 16)})",  # noqa: S608
        history,
    )
    cursor.executemany(f"INSERT INTO price_changes VALUES ({', '.join(['%s'] * 16)})", changes)  # noqa: S608
    cursor.executemany(
        f"INSERT INTO price_windows VALUES ({', '.join(['%s'] * 15)})",  # noqa: S608
        [
            (event, source, section, "listing", currency, seconds, start, min(w.prices), max(w.prices),
             sum(w.prices) / len(w.prices), w.prices[0], w.prices[-1], len(w.prices), len(w.listings),
             start + timedelta(seconds=seconds) <= end - timedelta(seconds=60))
            for (event, source, section, currency, seconds, start), w in windows.items()
        ],
    )  # fmt: skip
    _event_level(connection, end)
    _alerts(connection, changes)
    _pipeline(connection, rng, end, len(history))
    connection.commit()
    return end


def _event_level(connection: psycopg.Connection[Any], end: datetime) -> None:
    """An event of which one source tells the lowest and the average price only, not the seats."""
    connection.execute("INSERT INTO events (event_id, event_name) VALUES ('opera_1', 'Tosca')")
    for seconds in _WINDOWS:
        for back in range(3):
            start = datetime.fromtimestamp((end.timestamp() // seconds - back) * seconds, UTC)
            connection.execute(
                "INSERT INTO price_windows VALUES"
                " ('opera_1', 'seatgeek', '', 'event', 'USD', %s, %s, 80, 90, 85, 90, 80, 1, 1, %s)",
                (seconds, start, back > 0),
            )


def _alerts(connection: psycopg.Connection[Any], changes: list[tuple[Any, ...]]) -> None:
    names = {event[0]: event for event in EVENTS}
    drops = [change for change in changes if change[13] <= -10]
    for number, change in enumerate(sorted(drops, key=lambda change: change[15], reverse=True)[:60]):
        alert = uuid.UUID(int=number + 1)
        connection.execute(
            "INSERT INTO price_drop_alerts (alert_id, event_id, event_name, venue, alert_type, alert_timestamp,"
            " old_price, new_price, drop_amount, drop_percent, currency, section, row, source, listing_url, price_id)"
            " VALUES (%s, %s, %s, %s, 'price_drop', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (alert, change[1], names[change[1]][1], names[change[1]][2], change[15], change[10], change[11],
             -change[12], -change[13], change[8], change[3], change[4], change[2], change[7], change[0]),
        )  # fmt: skip
        state = ("pending", "sent", "sent", "failed", "sent")[number % 5]
        connection.execute(
            "INSERT INTO outbox (alert_id, channel, state, sent_at) VALUES (%s, 'discord', %s, %s)",
            (alert, state, change[15] if state == "sent" else None),
        )


def _pipeline(connection: psycopg.Connection[Any], rng: random.Random, end: datetime, rows: int) -> None:
    for partition in range(4):
        connection.execute(
            "INSERT INTO pipeline_progress VALUES (1, %s, %s, %s, %s, %s, %s, %s, %s, 0)",
            (partition, rows // 4, rows // 4 + partition, end - timedelta(seconds=2), rows // 4, 3, 1, partition * 2),
        )
    for tick in range(120):
        at = end - timedelta(seconds=5 * tick)
        connection.execute("INSERT INTO system_metrics VALUES ('events_per_second', %s, %s)",
                           (1240 + 180 * math.sin(tick / 9) + rng.uniform(-60, 60), at))  # fmt: skip
    for source, state, detail, left in (
        ("seatgeek", "polling", None, 1480),
        ("ticketmaster", "held", "Ticketmaster: <b>the quota</b> is spent; it comes back at midnight", 0),
    ):
        connection.execute(
            "INSERT INTO source_status VALUES (%s, %s, %s, 40, 31, 9, 2000, %s, %s, 1700, %s, %s, now())",
            (source, state, detail, 2000 - left, left, end - timedelta(seconds=12), end + timedelta(minutes=90)),
        )
    for number, (reason, detail) in enumerate([("not JSON", "line 1 column 1"), ("price is missing", None),
                                               ("timestamp is more than five minutes ahead", "<img src=x>"),
                                               ("event_id is missing", None)]):  # fmt: skip
        connection.execute(
            "INSERT INTO dead_letters VALUES (%s, 'raw_prices', %s, %s, %s, %s, %s, 9)",
            ((1 << 52) + number, number, 100 + number, reason, detail, b"not json"),
        )
