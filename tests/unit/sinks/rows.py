"""Rows that tests hand to the sinks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import polars as pl

from analytics import alert_rows, changes, rules
from analytics.alerts import Alert
from analytics.schema import MICROS, PRICE_SCHEMA, row_id

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

NASTY = {
    "the end marker of COPY on a line of its own": "before\n\\.\nafter",
    "the end marker of COPY alone": "\\.",
    "quotes": 'She said "two ""floor"" seats"',
    "a single quote to end a statement": "'; DROP TABLE price_history; --",
    "line ends": "one\ntwo\r\nthree\rfour\n",
    "commas and tabs": ",a,,b\t,",
    "backslashes": "C:\\new\\table\\N\\\\",
    "the null of COPY's text format": "\\N",
    "the word null": "NULL",
    "emoji, also joined ones": "🎫👩‍👩‍👧‍👦🇫🇮",
    "a right-to-left override": "ticket \u202egnp.exe",
    "a script": "<script>alert(1)</script>",
    "a mention": "@everyone [click](https://evil.example)",
    "a formula": '=HYPERLINK("https://evil.example")',
    "spaces around": "  padded  ",
    "control characters": "\x01\x07\x1b[31mred\x7f",
    "a byte order mark": "\ufeffbom",
    "the last code point": "\U0010ffff",
}
"""Texts that must come out of every store as they went in."""


def price(offset: int, *, stream: int = 1, partition: int = 0, **given: Any) -> dict[str, Any]:
    """A plausible price row; `offset` tells it from others."""
    amount = given.pop("price", 40_630_000 + offset * 10_000)
    return {
        **dict.fromkeys(PRICE_SCHEMA),
        "id": row_id(stream, partition, offset),
        "event_id": "concert_123",
        "event_name": "Taylor Swift",
        "venue": "MetLife Stadium",
        "source": "mock",
        "section": "101",
        "row": "A",
        "seat": str(offset),
        "price": amount,
        "fees": 10_000_000,
        "total_price": amount + 10_000_000,
        "currency": "USD",
        "quantity": 2,
        "timestamp": NOON,
        "level": "listing",
        "late": False,
        "reason": None,
        **given,
    }


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows as the flow hands them on; `reason` and `late` are there too."""
    return pl.DataFrame(rows, schema={**PRICE_SCHEMA, "late": pl.Boolean, "reason": pl.String}, orient="row")


def compared(offsets: range, *, percent: int = 20, **given: Any) -> pl.DataFrame:
    """Accepted rows: each price fell from 100 to 100 - `percent`."""
    now = (100 - percent) * MICROS
    rows = frame([price(offset, price=now, fees=None, total_price=now, **given) for offset in offsets])
    before: changes.Previous = (100 * MICROS, 100 * MICROS, int(NOON.timestamp()) * MICROS - 60 * MICROS)
    return changes.with_changes(rows, [before] * len(offsets))


def dropped(offsets: range, *, percent: int = 20, **given: Any) -> pl.DataFrame:
    """Alerts of the default rule on such rows."""
    return alert_rows.price_drops(compared(offsets, percent=percent, **given), 5)


def fired(offsets: range) -> pl.DataFrame:
    """Alerts of a person's rule that names two channels, one on each row."""
    rule = rules.parse(
        3, NOON, {"id": 7, "event_id": "e", "target_price": 90, "name": "mine", "channels": ["me", "team"]}
    )
    prices = compared(offsets)
    return alert_rows.of_rules(
        prices,
        [
            Alert(rule, x, "e", True, 80 * MICROS, 100 * MICROS, "previous", 50_000, 80 * MICROS, 12)
            for x in prices["id"]
        ],
    )


def alert_ids(alerts: pl.DataFrame) -> list[UUID]:
    """The identities of alerts."""
    return [UUID(text) for text in alerts["alert_id"]]
