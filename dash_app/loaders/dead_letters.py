"""Messages that were refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from dash_app.database import Database
from dash_app.loaders.schemas import TIME, Schema

MOST = 2_000
"""So many of the newest can be leafed through; an export holds more."""
_COUNTED = 10_000

LETTERS: Schema = {
    "id": pl.Int64, "time": TIME, "reason": pl.String, "detail": pl.String, "topic": pl.String,
    "partition": pl.Int64, "offset": pl.Int64, "size": pl.Int64,
}  # fmt: skip
REASONS: Schema = {"reason": pl.String, "count": pl.Int64}

# Ids go by partition and offset, so the newest of all are among the newest of each partition, which the key finds.
_NEWEST = """
SELECT d.* FROM (SELECT DISTINCT stream, partition FROM pipeline_progress) p CROSS JOIN LATERAL (
    SELECT id, created_at, reason, detail, topic, partition, "offset", size FROM dead_letters d
    WHERE d.id >= (p.stream::bigint << 52) + (p.partition::bigint << 40)
      AND d.id < (p.stream::bigint << 52) + ((p.partition + 1)::bigint << 40)
      AND (%(reason)s::text IS NULL OR d.reason = %(reason)s)
    ORDER BY d.id DESC LIMIT %(most)s
) d
"""
_LETTERS = f"{_NEWEST} ORDER BY d.created_at DESC, d.id DESC LIMIT %(limit)s OFFSET %(offset)s"
_REASONS = f"SELECT reason, count(*) FROM ({_NEWEST}) d GROUP BY 1 ORDER BY 2 DESC, 1"  # noqa: S608 -- constants
_ONE = (
    'SELECT created_at, reason, detail, topic, partition, "offset", size, payload FROM dead_letters WHERE id = %(id)s'
)


@dataclass(frozen=True)
class Letter:
    """A refused message whole: of one that is longer, `payload` is the first 64 KiB of `size` bytes."""

    time: datetime
    reason: str
    detail: str | None
    topic: str
    partition: int
    offset: int
    size: int
    payload: bytes


def dead_letters(
    database: Database, reason: str | None = None, offset: int = 0, limit: int = 20, most: int = MOST
) -> pl.DataFrame:
    """Refused messages without their content, the newest first.

    Args:
        reason: only those.
        offset, limit: which part of them.
        most: of each partition, so many of the newest are looked at.
    """
    return database.frame(_LETTERS, {"reason": reason, "most": most, "limit": limit, "offset": offset}, LETTERS)


def dead_letter_reasons(database: Database) -> pl.DataFrame:
    """How many there are of each reason among the newest 10,000 of each partition, the most frequent first."""
    return database.frame(_REASONS, {"reason": None, "most": _COUNTED}, REASONS)


def dead_letter(database: Database, number: int) -> Letter | None:
    """One refused message with its content."""
    found = database.rows(_ONE, {"id": number})
    return Letter(*found[0]) if found else None
