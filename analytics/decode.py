"""Total decoding: every message becomes a price row, a reject with its reason, or a counted tombstone.

Messages are decoded one by one, with the limits of the contract checked by the decoder itself: that measured as fast
as decoding a joined batch, and a broken message can never borrow a brace from its neighbour (docs/decisions/0002).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
import polars as pl
from msgspec import Meta
from msgspec.structs import astuple

from analytics import schema

MAX_AHEAD_SECONDS = 300
MAX_BYTES = 1 << 20

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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
    event_date: str | None = None  # read once for each of its few spellings, by `_date`
    date: str | None = None
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
_ALWAYS = {"event_id", "source", "price", "timestamp", "id", "position", "log_time", "key"}
_DATES = ("event_date", "date")
_FRAME = {name: pl.Float64 if name in schema.MONEY else ROW_SCHEMA.get(name, pl.String) for name in _FIELDS} | {
    **dict.fromkeys(_DATES, pl.Int64),
    "timestamp": pl.Duration("us"),  # since 1970
    "id": pl.Int64,
    "position": pl.Int64,
    "log_time": pl.Int64,
    "key": pl.Binary,
}

_NULLS = {name: pl.Series([None], dtype=_FRAME.get(name, dtype)) for name, dtype in ROW_SCHEMA.items()}
_NULLS |= {name: pl.Series([None], dtype=pl.Int64) for name in schema.MONEY}
_BACKSLASH = ord("\\")
_MANY = 100_000


class _Dates(dict[str | None, int | None]):
    """When shows start, by how it was written: each of the few spellings is read once. Long ones are not kept."""

    def __missing__(self, text: str | None) -> int | None:
        time = _date("event_date", text)
        if text is None or len(text) <= _SHORT:
            self[text] = time
        return time


_SHORT = 40
_known_dates = _Dates()
_currencies = {None, "USD"}


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
    if len(_known_dates) > _MANY:
        _known_dates.clear()
    rejects: list[Reject] = []
    positions = list(range(len(values)))
    try:
        messages = _decode_all(values)
    except Exception:  # something is wrong with one of them, or may be
        messages, positions, rejects = _decode_each(values)
        keys, log_times, ids = (
            [keys[p] for p in positions],
            [log_times[p] for p in positions],
            [ids[p] for p in positions],
        )
    tombstones = len(values) - len(messages) - len(rejects)
    if not messages:
        return Decoded(_EMPTY, rejects, tombstones)
    columns = dict(zip(_FIELDS, map(list, zip(*map(astuple, messages), strict=True)), strict=True))
    columns |= {"id": ids, "position": positions, "log_time": log_times, "key": keys}
    rows, refused = _frame(columns)
    if refused:
        rejects = sorted(rejects + refused, key=lambda reject: reject.position)
    return Decoded(rows, rejects, tombstones)


def _decode_all(values: list[Any]) -> list[_Message]:
    """The messages of a batch in which all is well, as it is in nearly every one; raises when that is not certain."""
    messages = list(map(_decode, values))
    if max(map(len, values), default=0) > MAX_BYTES:
        raise ValueError
    for index in [index for index, value in enumerate(values) if _BACKSLASH in value]:
        _check_text(messages[index])
    for text in {m.event_date for m in messages} | {m.date for m in messages}:
        _known_dates[text]  # raises when it is none
    return messages


def _decode_each(values: list[bytes | None]) -> tuple[list[_Message], list[int], list[Reject]]:
    """(good messages, their positions, rejects) of a batch in which something may be wrong: what may be is looked at alone."""
    found: list[_Message | None] = []
    decoding = map(_decode, values)  # type: ignore[arg-type]  # a tombstone is one of those that raise
    suspects: set[int] = set()
    while len(found) < len(values):
        try:
            found.extend(decoding)  # keeps what came before one that raises, and goes on after it
        except Exception:
            suspects.add(len(found))
            found.append(None)
    suspects.update(p for p, value in enumerate(values) if value and (len(value) > MAX_BYTES or _BACKSLASH in value))
    dates = {text for message in found if message for text in (message.event_date, message.date)}
    if wrong := {text for text in dates if not _is_date(text)}:
        suspects.update(p for p, m in enumerate(found) if m and not wrong.isdisjoint((m.event_date, m.date)))
    rejects: list[Reject] = []
    for position in sorted(suspects):
        value, found[position] = values[position], None
        if value is None:
            continue
        try:
            found[position] = _judged(value)
        except Exception as error:
            rejects.append(_reject(position, value, error))
    positions = [position for position, message in enumerate(found) if message is not None]
    return [message for message in found if message is not None], positions, rejects


def _judged(value: bytes) -> _Message:
    """One message by itself; raises what is wrong with it."""
    message = _decode(value) if len(value) <= MAX_BYTES else _too_large(value)
    _check_text(message)
    _date("event_date", message.event_date)
    _date("date", message.date)
    return message


def _is_date(text: str | None) -> bool:
    try:
        _known_dates[text]
    except msgspec.ValidationError:
        return False
    return True


def _date(name: str, text: str | None) -> int | None:
    """The time of a show in microseconds.

    Raises:
        msgspec.ValidationError: it is no RFC 3339.
    """
    if text is None:
        return None
    try:
        return _since_epoch([msgspec.convert(text, datetime)])[0] // timedelta(microseconds=1)
    except msgspec.ValidationError as error:
        raise msgspec.ValidationError(f"{error} - at `$.{name}`") from None


def _since_epoch(times: list[datetime]) -> list[timedelta]:
    try:
        return [time - _EPOCH for time in times]
    except TypeError:  # the earlier version's producers wrote times without an offset; they meant UTC
        return [(time if time.tzinfo is not None else time.replace(tzinfo=UTC)) - _EPOCH for time in times]


def _frame(columns: dict[str, list[Any]]) -> tuple[pl.DataFrame, list[Reject]]:
    columns["timestamp"] = _since_epoch(columns["timestamp"])
    for name in _DATES:
        columns[name] = [_known_dates[text] for text in columns[name]]
    # A column that nobody filled in costs nothing further than nulls at the end.
    columns = {n: v for n, v in columns.items() if n in _ALWAYS or v[0] is not None or v.count(None) < len(v)}
    try:
        given = {n: pl.Series(n, v, dtype=_FRAME[n]) for n, v in columns.items()}
        rare = False
    except (TypeError, pl.exceptions.PolarsError):
        # Rare spellings: prices as decimal strings, seats as numbers. Brought to one type, then taken as usual.
        for name in columns.keys() & set(schema.MONEY):
            columns[name] = [_number(v) if type(v) is str else v for v in columns[name]]
        for name in columns.keys() & {"event_id", *_PLACES}:
            columns[name] = [_as_text(v) for v in columns[name]]
        given = {n: pl.Series(n, v, dtype=_FRAME[n]) for n, v in columns.items()}
        rare = True
    for name in _EMPTY_IS_NONE:
        if name in given and given[name].min() == "":
            given[name] = given[name].zip_with(given[name] != "", schema.full(None, pl.String, len(given[name])))
    if not rare and _is_well(given) and _currencies.issuperset(columns.get("currency", ())):
        return _row(given), []
    frame = pl.DataFrame(list(given.values()))
    checks = _checks(tuple(given))
    number = pl.coalesce(pl.when(test).then(pl.lit(i, pl.Int8)) for i, (*_, test) in enumerate(checks))
    frame = frame.with_columns(wrong=number)
    rejects = [
        Reject(position, *checks[wrong][:2])
        for position, wrong in frame.filter(pl.col("wrong").is_not_null()).select("position", "wrong").iter_rows()
    ]
    good = frame.filter(pl.col("wrong").is_null())
    if not good.height:
        return _EMPTY, rejects
    if "currency" in given and len(_currencies) < _MANY:
        _currencies.update(good["currency"].unique())
    return _row(good.drop("wrong").to_dict()), rejects


def _is_well(given: dict[str, pl.Series]) -> bool:
    """Whether no row can fail `_checks` of times, as none does in nearly every batch; no decimal was given as text."""
    time = given["timestamp"].cast(pl.Int64)
    ahead: Any = (time - given["log_time"] * 1000).max()
    least, most = _ERA
    return ahead <= MAX_AHEAD_SECONDS * schema.MICROS and all(
        (times.min() or 0) >= least and (times.max() or 0) <= most  # type: ignore[operator]
        for times in (time, *(given[name] for name in _DATES if name in given))
    )


def _row(given: dict[str, pl.Series]) -> pl.DataFrame:
    """`ROW_SCHEMA` from the columns that were filled in.

    By methods of series, not by expressions: those have ten times the fixed price, which is all that a thin batch costs.
    """
    length = len(given["id"])
    row = {n: given[n] if n in given else _NULLS[n].new_from_index(0, length) for n in ROW_SCHEMA}
    for name, other in (("event_date", "date"), ("listing_url", "url")):
        if other in given:
            row[name] = _coalesce(row[name], given[other])
    for name in schema.MONEY:
        if name in given:
            row[name] = _nearest(given[name] * schema.MICROS)
    if row["total_price"].null_count():
        row["total_price"] = _coalesce(_coalesce(row["total_price"], row["price"] + row["fees"]), row["price"])
    for name, usual in (("currency", "USD"), ("level", "listing"), ("quantity", 1)):
        row[name] = _coalesce(row[name], schema.full(usual, ROW_SCHEMA[name], length))
    for name in ("timestamp", "event_date"):
        row[name] = row[name].cast(pl.Int64).cast(schema.UTC)
    row["keyed"] = _coalesce(
        given["key"] == given["event_id"].cast(pl.Binary), schema.full(value=False, dtype=pl.Boolean, length=length)
    )
    keys = schema.listing_keys(zip(*(row[name].to_list() for name in schema.LISTING), strict=True))
    row["listing"] = pl.Series(keys, dtype=pl.String)
    return pl.DataFrame([row[name].alias(name) for name in ROW_SCHEMA])


def _nearest(values: pl.Series) -> pl.Series:
    """The nearest integers, of two as near the even one, of doubles below 2**51 in size, as prices in micros are.

    Where a double has no bits left for fractions, addition rounds so by itself (IEEE 754): `Series.round` is a query.
    """
    return (values + _NO_FRACTIONS - _NO_FRACTIONS).cast(pl.Int64)


_NO_FRACTIONS = 1.5 * 2**52


def _coalesce(first: pl.Series, other: pl.Series) -> pl.Series:
    missing = first.null_count()
    if not missing:
        return first
    return other if missing == len(first) else first.zip_with(first.is_not_null(), other)


def _checks(filled: tuple[str, ...]) -> list[tuple[str, str, pl.Expr]]:
    """What well-formed values may not be: (reason, detail, true where they are); the first of them counts."""
    time = pl.col("timestamp").cast(pl.Int64)
    dates = [pl.col(name) for name in _DATES if name in filled]
    date = pl.coalesce(dates) if dates else pl.lit(None, dtype=pl.Int64)
    ahead = time // 1000 - pl.col("log_time") > MAX_AHEAD_SECONDS * 1000
    money = [pl.col(name).is_nan() for name in schema.MONEY if name in filled]
    currency = pl.col("currency") if "currency" in filled else pl.lit("USD")
    return [
        ("bad_timestamp", "timestamp is not between 1970 and 2200", ~time.is_between(*_ERA)),
        ("bad_timestamp", "event_date is not between 1970 and 2200", ~date.is_between(*_ERA)),
        (
            "ahead_of_time",
            f"timestamp is more than {MAX_AHEAD_SECONDS} s after the message was logged",
            ahead & (pl.col("log_time") >= 0),
        ),
        ("bad_number", "a price is not a decimal number below a billion", pl.any_horizontal(money)),
        ("bad_currency", "currency is not an ISO 4217 code such as USD", ~currency.str.contains("^[A-Z]{3}$")),
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
