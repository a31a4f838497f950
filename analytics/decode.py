"""Total decoding: every message becomes a price row, a reject with its reason, or a counted tombstone.

Messages are decoded one by one, with the limits of the contract checked by the decoder itself: that measured as fast
as decoding a joined batch, and a broken message can never borrow a brace from its neighbour (docs/decisions/0002).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
import polars as pl
from msgspec import Meta
from msgspec.structs import astuple

from analytics import schema

MAX_AHEAD_SECONDS = 300
MAX_BYTES = 1 << 20

_LIMIT = 999_999_999.0
_DECIMAL = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,18})?")
_ERA = (0, int(datetime(2200, 1, 1, tzinfo=UTC).timestamp()) * schema.MICROS)

# Key texts stand in Postgres indexes, whose rows may not pass 2,704 bytes: 200 characters of UTF-8 leave room.
_Name = Annotated[str, Meta(min_length=1, max_length=200)]
_Whole = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_Place = Annotated[str, Meta(max_length=200)] | _Whole | Annotated[float, Meta(ge=-1e15, le=1e15)] | None
_Text = Annotated[str, Meta(max_length=8192)] | None
_Amount = Annotated[float, Meta(ge=-_LIMIT, le=_LIMIT)]
_Decimal = Annotated[str, Meta(max_length=32)]
_Count = Annotated[int, Meta(ge=0, le=10**12)] | None


class _Message(msgspec.Struct, gc=False):
    """The fields of the contract as they may arrive; unknown ones are skipped by the decoder."""

    event_id: _Name | _Whole
    source: _Name
    price: _Amount | _Decimal
    timestamp: datetime
    event_name: _Text = None
    venue: _Text = None
    event_date: datetime | None = None
    date: datetime | None = None
    city: _Text = None
    state: _Text = None
    section: _Place = None
    row: _Place = None
    seat: _Place = None
    fees: _Amount | _Decimal | None = None
    total_price: _Amount | _Decimal | None = None
    currency: Annotated[str, Meta(min_length=3, max_length=3)] | None = None
    quantity: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    listing_id: _Place = None
    listing_url: _Text = None
    url: _Text = None
    delivery_method: _Text = None
    seller_notes: _Text = None
    level: Literal["listing", "event"] | None = None
    average_price: _Amount | _Decimal | None = None
    median_price: _Amount | _Decimal | None = None
    highest_price: _Amount | _Decimal | None = None
    listing_count: _Count = None


@dataclass(frozen=True, slots=True)
class Reject:
    """A refused message: its position in the batch, a reason from a short fixed list, and what was wrong with it."""

    position: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """Accepted rows (`ROW_SCHEMA`, in log order), rejects in log order, and how many tombstones there were."""

    rows: pl.DataFrame
    rejects: list[Reject]
    tombstones: int


class _Refused(ValueError):
    """A message that the decoder accepts and the contract does not: (reason, detail)."""


ROW_SCHEMA = {**schema.PRICE_SCHEMA, "listing": pl.String, "keyed": pl.Boolean}
"""A price row with its listing, and whether its message's key was its event (its partition then holds its order)."""

_decode = msgspec.json.Decoder(_Message).decode
_FIELDS = _Message.__struct_fields__
_TEXT = tuple(n for n in _FIELDS if ROW_SCHEMA.get(n, pl.String) == pl.String)
_PLACES = ("section", "row", "seat", "listing_id")
_EMPTY_IS_NONE = (*_PLACES, "event_name", "venue", "listing_url", "url")
_ALWAYS = {"event_id", "source", "price", "timestamp", "id", "position", "log_time", "keyed"}
_TIMES = ("timestamp", "event_date", "date")
_FRAME = {name: pl.Float64 if name in schema.MONEY else ROW_SCHEMA.get(name, pl.String) for name in _FIELDS} | {
    **dict.fromkeys(_TIMES, pl.Int64),
    "id": pl.Int64,
    "position": pl.Int64,
    "log_time": pl.Int64,
    "keyed": pl.Boolean,
}


def decode(values: list[bytes | None], keys: list[bytes | None], log_times: list[int], ids: list[int]) -> Decoded:
    """Decode a batch of Kafka messages. The verdict on a message depends on nothing but that message.

    Args:
        values: the payloads; None is a tombstone.
        keys: the message keys.
        log_times: Kafka's timestamps in milliseconds, negative when there is none. A price observed more than
            five minutes after its log time is refused: the log, not this machine's clock, is the judge.
        ids: `schema.row_id` of each message.

    Never raises for what a message holds.
    """
    good: list[tuple[Any, ...]] = []
    facts: list[tuple[int, int, int, bool]] = []
    rejects: list[Reject] = []
    tombstones = 0
    for position, value in enumerate(values):
        if value is None:
            tombstones += 1
            continue
        try:
            message = _decode(value) if len(value) <= MAX_BYTES else _too_large(value)
            if b"\\u00" in value:
                _check_text(message)
            event, key = message.event_id, keys[position]
            keyed = key is not None and key == (event if type(event) is str else str(event)).encode()
        except Exception as error:
            rejects.append(_reject(position, value, error))
            continue
        good.append(astuple(message))
        facts.append((ids[position], position, log_times[position], keyed))
    if not good:
        return Decoded(_EMPTY, rejects, tombstones)
    columns = [list(column) for rows in (good, facts) for column in zip(*rows, strict=True)]
    rows, refused = _frame(dict(zip(_FRAME, columns, strict=True)))
    if refused:
        rejects = sorted(rejects + refused, key=lambda reject: reject.position)
    return Decoded(rows, rejects, tombstones)


def _frame(columns: dict[str, list[Any]]) -> tuple[pl.DataFrame, list[Reject]]:
    for name in _TIMES:
        columns[name] = [None if t is None else _micros(t) for t in columns[name]]
    # A column that nobody filled in costs nothing further than a null literal at the end.
    columns = {n: v for n, v in columns.items() if n in _ALWAYS or v[0] is not None or v.count(None) < len(v)}
    try:
        frame = pl.DataFrame(columns, schema={n: _FRAME[n] for n in columns})
    except (TypeError, pl.exceptions.PolarsError):
        # Rare spellings: prices as decimal strings, seats as numbers. Brought to one type, then taken as usual.
        for name in columns.keys() & set(schema.MONEY):
            columns[name] = [_number(v) if type(v) is str else v for v in columns[name]]
        for name in columns.keys() & {"event_id", *_PLACES}:
            columns[name] = [_as_text(v) for v in columns[name]]
        frame = pl.DataFrame(columns, schema={n: _FRAME[n] for n in columns})
    steps = _steps(tuple(columns))
    lazy = frame.lazy()
    for step in steps:
        lazy = lazy.with_columns(step)
    frame = lazy.collect(optimizations=pl.QueryOptFlags.none())
    if frame["wrong"].null_count() == frame.height:
        return frame.select(*ROW_SCHEMA), []
    said = [(reason, detail) for reason, detail, _ in _checks(_money(tuple(columns)))]
    refused = frame.filter(pl.col("wrong").is_not_null()).select("position", "wrong")
    rejects = [Reject(position, *said[wrong]) for position, wrong in refused.iter_rows()]
    return frame.filter(pl.col("wrong").is_null()).select(*ROW_SCHEMA), rejects


def _money(filled: tuple[str, ...]) -> list[str]:
    return [name for name in schema.MONEY if name in filled]


@lru_cache(maxsize=256)
def _steps(filled: tuple[str, ...]) -> list[list[pl.Expr]]:
    """From the columns that were filled in to `ROW_SCHEMA` and `wrong`, the number of the first check that a row fails.

    Kept for each set of columns: to build these expressions takes longer than to work them out for a thin batch.
    """
    money = _money(filled)
    spellings = (("event_date", "date"), ("listing_url", "url"))
    return [
        [pl.lit(None, dtype=t).alias(n) for n, t in ROW_SCHEMA.items() if n not in filled and n != "listing"],
        [pl.when(pl.col(n) != "").then(n).alias(n) for n in _EMPTY_IS_NONE if n in filled],
        [
            *((pl.col(name) * schema.MICROS).round() for name in money),
            *(pl.coalesce(n, other) for n, other in spellings if other in filled),
            pl.col("currency").fill_null("USD"),
            pl.col("level").fill_null("listing"),
            pl.col("quantity").fill_null(1),
        ],
        [
            schema.listing_key(),
            pl.coalesce(pl.when(test).then(pl.lit(i, pl.Int8)) for i, (*_, test) in enumerate(_checks(money))).alias(
                "wrong"
            ),
        ],
        [
            *(pl.col(name).cast(pl.Int64, strict=False) for name in money),
            *(pl.col(name).cast(schema.UTC) for name in ("timestamp", "event_date")),
        ],
        [pl.coalesce("total_price", pl.col("price") + pl.col("fees").fill_null(0)).alias("total_price")],
    ]


def _checks(money: list[str]) -> list[tuple[str, str, pl.Expr]]:
    """What well-formed values may not be: (reason, detail, true where they are); the first of them counts."""
    ahead = pl.col("timestamp") // 1000 - pl.col("log_time") > MAX_AHEAD_SECONDS * 1000
    iso_4217 = pl.col("currency").str.contains("^[A-Z]{3}$")
    return [
        ("bad_timestamp", "timestamp is not between 1970 and 2200", ~pl.col("timestamp").is_between(*_ERA)),
        ("bad_timestamp", "event_date is not between 1970 and 2200", ~pl.col("event_date").is_between(*_ERA)),
        (
            "ahead_of_time",
            f"timestamp is more than {MAX_AHEAD_SECONDS} s after the message was logged",
            ahead & (pl.col("log_time") >= 0),
        ),
        ("bad_number", "a price is not a decimal number below a billion", pl.any_horizontal(pl.col(*money).is_nan())),
        ("bad_currency", "currency is not an ISO 4217 code such as USD", ~iso_4217),
    ]


def _too_large(value: bytes) -> _Message:
    raise _Refused("too_large", f"{len(value)} bytes; {MAX_BYTES} are allowed")


def _check_text(message: _Message) -> None:
    for name in _TEXT:
        value = getattr(message, name)
        if isinstance(value, str) and not {"\x00", "\x1d", "\x1f"}.isdisjoint(value):
            raise _Refused("bad_text", f"{name} holds a NUL or separator control character")


def _reject(position: int, value: bytes, error: Exception) -> Reject:
    if isinstance(error, _Refused):
        return Reject(position, *error.args)
    detail = str(error)[:500] or type(error).__name__
    if not value.strip():
        return Reject(position, "empty", "the message has no content")
    if isinstance(error, msgspec.ValidationError):
        if "missing required field" in detail:
            return Reject(position, "missing_field", detail)
        out_of_bounds = re.search(r"out of range|[<>]=|length|Invalid", detail)
        return Reject(position, "bad_value" if out_of_bounds else "wrong_type", detail)
    if isinstance(error, RecursionError):
        return Reject(position, "too_deep", detail)
    try:
        value.decode()
    except UnicodeDecodeError as wrong:
        return Reject(position, "not_utf8", str(wrong)[:500])
    return Reject(position, "not_json", detail)


def _micros(time: datetime) -> int:
    # The earlier version's producers wrote times without an offset; they meant UTC.
    return round((time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp() * schema.MICROS)


def _number(text: str) -> float:
    # NaN, which JSON cannot write, marks what is not a decimal; `_checks` takes it out.
    return float(text) if _DECIMAL.fullmatch(text) else float("nan")


def _as_text(value: str | int | float | None) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    return str(int(value)) if float(value).is_integer() else str(value)


_EMPTY = pl.DataFrame(schema=ROW_SCHEMA)


def decode_values(values: Iterable[bytes]) -> Decoded:
    """Decode payloads that did not come from Kafka (a file, a notebook): no keys, no log times, ids counted from 0."""
    payloads: list[bytes | None] = list(values)
    return decode(payloads, [None] * len(payloads), [-1] * len(payloads), list(range(len(payloads))))
