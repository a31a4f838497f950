"""What was observed of one event, joined from the lake and from Postgres: no row twice, none missing.

Days that are over come from the lake, the present from Postgres. What belongs to the lake's days but is not yet in
its files (they are written a little later than the tables) comes from Postgres, too: the names of the lake's files
say up to which message each partition is in them. What Postgres has set apart, and what people have released of it,
goes by Postgres at every time. So the whole is always what `price_history` holds, or would hold had nobody pruned it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import polars as pl

from analytics.schema import row_id
from dash_app.database import Database
from dash_app.lake import Contents, Lake, LakeAwayError
from dash_app.loaders.schemas import SERIES, TIME, Schema
from dash_app.loaders.windows import EVER, NEVER

Basis = Literal["total", "base"]

_MOST_BEHIND = 500_000  # messages that the lake may lack before Postgres alone is asked
_DAY = timedelta(days=1)

OBSERVATIONS: Schema = {
    "id": pl.Int64, "timestamp": TIME, "source": pl.String, "section": pl.String, "row": pl.String, "seat": pl.String,
    "price": pl.Float64, "fees": pl.Float64, "total_price": pl.Float64, "currency": pl.String, "quantity": pl.Int64,
    "listing_id": pl.String, "listing_url": pl.String, "level": pl.String, "late": pl.Boolean,
}  # fmt: skip
_BUCKETS: Schema = {
    "source": pl.String, "section": pl.String, "level": pl.String, "bucket": pl.Int64,
    "low": pl.Float64, "total": pl.Float64, "observations": pl.Int64,
}  # fmt: skip

_STATE = """
SELECT (SELECT id::text FROM database_identity), (SELECT min("timestamp") FROM price_history), stream, partition,
       next_offset, max(watermark) OVER ()
FROM pipeline_progress
"""

# The rows of Postgres' side: what lies outside of the lake's days, what the lake does not have yet, and what people
# have released of the lake's days.
_ROWS = """
lacking AS (SELECT * FROM unnest(%(after)s::bigint[], %(until)s::bigint[]) AS l (first, last)),
observed AS (
    SELECT id, "timestamp", source, section, "row", seat, price, fees, total_price, currency, quantity, listing_id,
           listing_url, level, late
    FROM price_history
    WHERE event_id = %(event)s AND "timestamp" >= %(since)s AND "timestamp" < %(to)s
      AND ("timestamp" < %(begin)s OR "timestamp" >= %(end)s)
    UNION ALL
    SELECT id, "timestamp", source, section, "row", seat, price, fees, total_price, currency, quantity, listing_id,
           listing_url, level, late
    FROM price_history JOIN lacking ON id BETWEEN first AND last
    WHERE event_id = %(event)s AND "timestamp" >= greatest(%(since)s, %(begin)s) AND "timestamp" < least(%(to)s, %(end)s)
    UNION ALL
    SELECT id, "timestamp", source, section, "row", seat, price, fees, total_price, currency, quantity, listing_id,
           listing_url, level, late
    FROM quarantine
    WHERE event_id = %(event)s AND reviewed = 'released'
      AND "timestamp" >= greatest(%(since)s, %(begin)s) AND "timestamp" < least(%(to)s, %(end)s)
      AND NOT EXISTS (SELECT FROM lacking WHERE id BETWEEN first AND last)
), chosen AS (
    SELECT * FROM observed
    WHERE (source = ANY(%(sources)s::text[]) OR cardinality(%(sources)s::text[]) = 0)
      AND (coalesce(section, '') = ANY(%(sections)s::text[]) OR cardinality(%(sections)s::text[]) = 0)
      AND (currency = %(currency)s OR %(currency)s IS NULL)
)
"""
_DOUBTED = """
SELECT id FROM quarantine WHERE event_id = %(event)s AND "timestamp" >= %(since)s AND "timestamp" < %(to)s
"""
_OBSERVATIONS = f"""
WITH {_ROWS}
SELECT id, "timestamp", source, section, "row", seat, price::float8, fees::float8, total_price::float8, currency,
       quantity, listing_id, listing_url, level, late
FROM chosen ORDER BY "timestamp", id
"""  # noqa: S608 -- joined from constants; values are parameters
_COUNTED = f"""
WITH {_ROWS}
SELECT source, CASE WHEN cardinality(%(sections)s::text[]) = 0 THEN '' ELSE coalesce(section, '') END, level,
       floor(extract(epoch FROM "timestamp") / %(seconds)s)::bigint,
       min({{price}})::float8, sum({{price}})::float8, count(*)
FROM chosen WHERE NOT late GROUP BY 1, 2, 3, 4
"""  # noqa: S608

# The lake's side.
_IN_LAKE = """
FROM read_parquet($files, hive_partitioning = false)
WHERE event_id = $event AND reason IS NULL
  AND "timestamp" >= make_timestamptz($since::BIGINT) AND "timestamp" < make_timestamptz($to::BIGINT)
  AND NOT list_contains($doubted::BIGINT[], id){held}
  AND NOT EXISTS (SELECT 1 FROM unnest($after::BIGINT[]) WITH ORDINALITY AS a (first, n)
                  JOIN unnest($until::BIGINT[]) WITH ORDINALITY AS u (last, n) USING (n) WHERE id BETWEEN first AND last)
  AND (len($sources::VARCHAR[]) = 0 OR list_contains($sources::VARCHAR[], source))
  AND (len($sections::VARCHAR[]) = 0 OR list_contains($sections::VARCHAR[], coalesce(section, '')))
  AND ($currency::VARCHAR IS NULL OR currency = $currency::VARCHAR)
"""
_HELD = "\n  AND id NOT IN (SELECT id FROM read_parquet($held, hive_partitioning = false))"
_LAKE_OBSERVATIONS = f"""
SELECT id, "timestamp", source, section, "row", seat, price, fees, total_price, currency, quantity, listing_id,
       listing_url, level, late
{_IN_LAKE}
"""
_LAKE_COUNTED = f"""
SELECT source, CASE WHEN len($sections::VARCHAR[]) = 0 THEN '' ELSE coalesce(section, '') END, level,
       epoch_us("timestamp") // ($seconds::BIGINT * 1000000),
       min({{price}}), sum({{price}}), count(*)
{_IN_LAKE} AND NOT late GROUP BY 1, 2, 3, 4
"""


@dataclass(frozen=True)
class Split:
    """Which rows are read where, such that each is read once.

    Attributes:
        begin, end: midnights; between them the lake is read, before and from then on Postgres.
        after, until: ranges of ids that the lake may not have yet; these rows are Postgres' at every time.
        contents: of the lake; None when Postgres is read alone.
        note: why Postgres is read alone, for the page; otherwise None.
    """

    begin: datetime = NEVER
    end: datetime = NEVER
    after: list[int] = field(default_factory=list)
    until: list[int] = field(default_factory=list)
    contents: Contents | None = None
    note: str | None = None


_ALONE = Split(note=str(LakeAwayError()))
_SO = ", so this is what Postgres has"
AWAY = f"{_ALONE.note}{_SO}"


def split(database: Database, lake: Lake) -> Split:
    """How the two are to be joined now.

    The lake is read up to the midnight before the watermark, so whoever prunes Postgres keeps the current UTC day. Of
    an operator who keeps less we learn by the oldest price: then the lake is read up to the midnight after it. So it is
    on a Postgres' first day, too, which costs little and is as right.
    """
    state = database.rows(_STATE)
    if not state:
        return Split()
    try:
        contents = lake.contents()
    except LakeAwayError:
        return _ALONE
    if contents is None:  # the flow made one before its first progress
        return _ALONE
    if not contents.days:
        return Split()
    owner, oldest, *_, watermark = state[0]
    if contents.owner != owner:
        return Split(note="the lake is another database's")
    if watermark is None:
        return Split()
    ranges, behind = [], 0
    for _, _, stream, partition, following, _ in state:
        durable = contents.durable.get((stream, partition), -1)
        behind += following - 1 - durable
        ranges.append((row_id(stream, partition, durable + 1), row_id(stream, partition, 2**40 - 1)))
    if behind > _MOST_BEHIND:
        return Split(note=f"the lake is {behind:,} messages behind")
    kept_from = oldest or watermark
    return Split(
        begin=_midnight(min(contents.days)),
        end=max(_midnight(watermark.date()), _midnight((kept_from - timedelta(microseconds=1)).date()) + _DAY),
        after=[first for first, _ in ranges], until=[last for _, last in ranges], contents=contents,
    )  # fmt: skip


def observations(
    database: Database, lake: Lake, event_id: str, since: datetime = EVER, to: datetime = NEVER, *,
    sections: Sequence[str] = (), sources: Sequence[str] = (), currency: str | None = None,
) -> pl.DataFrame:  # fmt: skip
    """Every accepted price of an event with `since` <= timestamp < `to`, in the order of event time.

    Columns: `OBSERVATIONS`; money in currency units, times in UTC. No sections or sources means all, and '' among the
    sections stands for those without one. Raises what `Database.rows` raises; `LakeAwayError` when Postgres
    alone can be read: a table that is taken away does not say what is missing in it.
    """
    given = _chosen(event_id, since, to, sections, sources, currency)
    parted = split(database, lake)
    if parted.note:
        raise LakeAwayError(parted.note)
    old = _ask_lake(database, lake, parted, _LAKE_OBSERVATIONS, given, OBSERVATIONS)
    new = database.frame(_OBSERVATIONS, {**given, **_borders(parted)}, OBSERVATIONS)
    return pl.concat([old, new]).sort("timestamp", "id")


def counted(
    database: Database, lake: Lake, event_id: str, since: datetime, to: datetime, *, seconds: int, currency: str,
    basis: Basis = "base", sections: Sequence[str] = (), sources: Sequence[str] = (),
) -> tuple[pl.DataFrame, str | None]:  # fmt: skip
    """Windows over the observations themselves, where the flow keeps none: over base prices. By source, and by section
    when sections are chosen, as `loaders.line_series` gives them.

    Args:
        since, to: aligned to `seconds`, or the first and the last window are of a part.
        seconds: size of a window: 60, 3600 or 86400.
        basis: which price: "total" is all-in, "base" without fees.

    While the lake does not answer, these are the windows of what Postgres has.

    Returns:
        The windows in the columns of `loaders.line_series` (a row for each place and window, in time order; the last
        window is not final), and what is to be said of where they come from. The whole event is `together` of them.
    """
    given = _chosen(event_id, since, to, sections, sources, currency) | {"seconds": seconds}
    parted = split(database, lake)
    price = {"base": "price", "total": "total_price"}[basis]
    try:
        old = _ask_lake(database, lake, parted, _LAKE_COUNTED.replace("{price}", price), given, _BUCKETS)
    except LakeAwayError:
        parted, old = _ALONE, pl.DataFrame(schema=_BUCKETS)
    new = database.frame(_COUNTED.format(price=price), {**given, **_borders(parted)}, _BUCKETS)
    both = (
        pl.concat([old, new])
        .group_by("source", "section", "level", "bucket")
        .agg(pl.min("low"), pl.sum("total"), pl.sum("observations"))
        .with_columns(
            start=pl.from_epoch(pl.col("bucket") * seconds, "s").dt.cast_time_unit("us").dt.replace_time_zone("UTC"),
            average=pl.col("total") / pl.col("observations"),
            final=pl.col("bucket") < pl.max("bucket"),
        )
    )
    return both.select(list(SERIES)).sort("start", "source", "section", "level"), parted.note and parted.note + _SO


def together(windows: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Windows of several places as one line, or one for each value of the columns `by`, in the same columns.

    The lowest is the lowest of them, the average is weighted by their observations; the rest of the place is ''.
    """
    parts = [pl.col(name) if name in by else pl.lit("").alias(name) for name in ("source", "section")]
    weighed = (pl.col("average") * pl.col("observations")).sum() / pl.sum("observations")
    return (
        windows.with_columns(parts)
        .group_by("source", "section", "level", "start")
        .agg(pl.min("low"), weighed.alias("average"), pl.sum("observations"), pl.all("final"))
        .select(list(SERIES))
        .sort("start", "source", "section", "level")
    )


def _chosen(
    event_id: str, since: datetime, to: datetime, sections: Sequence[str], sources: Sequence[str], currency: str | None
) -> dict[str, Any]:
    return {
        "event": event_id, "since": since, "to": to, "sections": list(sections), "sources": list(sources),
        "currency": currency,
    }  # fmt: skip


def _borders(parted: Split) -> dict[str, Any]:
    return {"begin": parted.begin, "end": parted.end, "after": parted.after, "until": parted.until}


def _ask_lake(
    database: Database, lake: Lake, parted: Split, sql: str, given: Mapping[str, Any], schema: Schema
) -> pl.DataFrame:
    since, to = max(given["since"], parted.begin), min(given["to"], parted.end)
    if parted.contents is None or since >= to:
        return pl.DataFrame(schema=schema)
    days = since.date(), (to - timedelta(microseconds=1)).date()
    files, held = parted.contents.files(*days), parted.contents.held_files(*days)
    if not files:
        return pl.DataFrame(schema=schema)
    doubted = [id for (id,) in database.rows(_DOUBTED, {"event": given["event"], "since": since, "to": to})]
    asked = {
        **given, "since": _micros(since), "to": _micros(to), "files": files, "doubted": doubted,
        "after": parted.after, "until": parted.until, **({"held": held} if held else {}),
    }  # fmt: skip
    return lake.frame(sql.replace("{held}", _HELD if held else ""), asked, schema)


def _micros(time: datetime) -> int:
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
