"""How the sources that are polled are doing."""

from __future__ import annotations

import polars as pl

from dash_app.database import Database
from dash_app.loaders.schemas import Schema

SOURCES: Schema = {
    "source": pl.String, "state": pl.String, "detail": pl.String, "watched": pl.Int64, "priced": pl.Int64,
    "unpriced": pl.Int64, "calls_a_day": pl.Int64, "calls_spent": pl.Int64, "calls_left": pl.Int64,
    "calls_planned": pl.Int64, "answered": pl.Float64, "next": pl.Float64, "quiet": pl.Float64,
}  # fmt: skip

_SOURCES = """
SELECT source, state, detail, watched, priced, unpriced, calls_a_day, calls_spent, calls_left, calls_planned,
       extract(epoch FROM now() - last_answer)::float8, extract(epoch FROM next_look - now())::float8,
       extract(epoch FROM now() - updated_at)::float8
FROM source_status WHERE updated_at > now() - interval '7 days' ORDER BY source
"""


def sources(database: Database) -> pl.DataFrame:
    """Each source that was polled in the last seven days, by name; the three times are seconds: since the last answer,
    until the next look, and since ingestion last said anything of it."""
    return database.frame(_SOURCES, {}, SOURCES)
