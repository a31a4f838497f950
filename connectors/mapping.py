"""What stands where: a mapping, written in TOML, from a JSON object or a CSV row to price events. Pure.

    [constants]                       # what holds for every row, and wherever a row says nothing
    source = "broadway"
    currency = "USD"

    [fields]                          # the contract's fields, each a path, a template or a table
    event_id = "{name}-{week}"
    price = "offers.0.price"
    timestamp = { from = "week", time = "%m/%d/%Y", time_zone = "America/New_York" }

    [[observation]]                   # only where a row tells several prices: fields that replace those above
    listing_id = { value = "top" }
    price = "top_ticket"

A path walks objects by key and lists by number; a key that is the whole path comes first, so that a column may be
called `Avg. price`. A template (it has braces) has nothing as soon as one of its paths has nothing. A table has either
`from` (a path or a template) or `value`, and may have:

| key | for | meaning |
|---|---|---|
| `map` | all | from a value, written as text, to what it stands for; `""` for nothing: `map = { "N/A" = "" }` |
| `case` | texts | `upper` or `lower` |
| `decimal` | numbers | the decimal mark of texts, `.` (the default: `$1,339,909`) or `,` (`1.234,56 €`) |
| `scale` | numbers | a factor: `0.01` for cents |
| `time` | times | `seconds` or `milliseconds` since 1970, or a format of `strptime`; without it, ISO 8601 |
| `time_zone` | times | where a time without an offset is meant; a date alone is its midnight there |

Texts lose the space around them, and an empty text is nothing. So is a price of 0 (fees may be 0): without a price, an
observation is told as unpriced.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from connectors.source import PriceEvent

_MONEY = ("price", "fees", "total_price", "average_price", "median_price", "highest_price")
_COUNTS = {"quantity": (1, 1_000_000), "listing_count": (0, 10**12)}
_TIMES = ("timestamp", "event_date")
# Longest texts, as analytics.decode takes them.
_TEXTS = {
    **dict.fromkeys(("event_id", "source", "section", "row", "seat", "listing_id"), 200),
    **dict.fromkeys(("event_name", "venue", "city", "state", "listing_url", "delivery_method", "seller_notes"), 8192),
    **{"currency": 3, "level": 7},
}
FIELDS = (*_TEXTS, *_MONEY, *_COUNTS, *_TIMES)
"""The contract's fields that a mapping can give."""

REQUIRED = ("event_id", "source", "price", "timestamp")

_NUMBER_KEYS, _TIME_KEYS = ("decimal", "scale"), ("time", "time_zone")
_SINCE_1970 = {"seconds": 1, "milliseconds": 1000}
_LIMIT = 999_999_999
_LEAST = Decimal("0.000001")  # ConScope's money is whole millionths
_ERA = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))
_FORBIDDEN = re.compile("[\x00\x1d\x1f\ud800-\udfff]")
_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
# A sign that belongs to one currency; a dollar, a yen or a krone sign may be that of several.
_SIGNS = {"€": "EUR", "£": "GBP", "₹": "INR", "₩": "KRW", "₽": "RUB", "₺": "TRY", "₪": "ILS", "฿": "THB", "₫": "VND"}


class MappingError(ValueError):
    """The mapping itself is wrong. The text names the key, what it may be, and what to write."""


class Unmappable(ValueError):
    """A row that the mapping does not fit; the text says which field and why."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """What one row gave.

    Args:
        events: price events that `analytics.decode` accepts, one for each observation with a price.
        unpriced: why, for each observation without one.
    """

    events: list[PriceEvent]
    unpriced: list[str]


@dataclass(frozen=True, slots=True)
class Mapping:
    """How rows become price events; made by `parse`."""

    observations: tuple[tuple[_Field, ...], ...]
    constants: PriceEvent

    @classmethod
    def parse(cls, table: dict[str, Any], given: Collection[str] = ()) -> Mapping:
        """Read the tables `constants`, `fields` and `observation`.

        Args:
            table: as `tomllib` gives it.
            given: fields that `events` will be told by its caller, and which therefore need not be mapped.

        Raises:
            MappingError: a key is unknown, a required field is missing, a value makes no sense, or two observations
                would be one listing.
        """
        _known("the mapping", table, ("constants", "fields", "observation"))
        constants = {name: _constant(name, value) for name, value in _table("constants", table).items()}
        fields = _table("fields", table)
        overrides = table.get("observation", [{}])
        if not isinstance(overrides, list) or not overrides or not all(isinstance(one, dict) for one in overrides):
            raise MappingError("observation: write [[observation]] before each observation's fields")
        observations = [{**fields, **one} for one in overrides]
        for one in observations:
            for name in REQUIRED:
                if name not in one and name not in constants and name not in given:
                    raise MappingError(f'{name} is missing: write, under [fields], {name} = "where it stands in a row"')
        identities = [_identity(constants, one) for one in observations]
        if len(identities) > len({repr(identity) for identity in identities}):
            raise MappingError(
                'two observations are one listing: let both be level "listing", and give each a listing_id = { value = "top" }'
            )
        # The currency first: amounts are held against it. Then the price: without one, nothing else matters.
        first = ("currency", "price", *FIELDS)
        parsed = (
            sorted(map(_parse, one, one.values()), key=lambda field: first.index(field.name)) for one in observations
        )
        return cls(tuple(map(tuple, parsed)), constants)

    def events(self, row: dict[str, Any], given: PriceEvent | None = None) -> Mapped:
        """The price events of one row, all or none.

        Args:
            row: a decoded JSON object, or a CSV row by column.
            given: what holds where neither the row nor the constants say anything, such as the time of the look.

        Raises:
            Unmappable: a required field is missing, or a field does not hold what it should.
        """
        mapped = Mapped([], [])
        for fields in self.observations:
            event = {**(given or {}), **self.constants}
            for field in fields:
                value = field.value(row, event.get("currency", "USD"))
                if value is not None:
                    event[field.name] = value
                elif field.name == "price":
                    mapped.unpriced.append(f"no price at {field.origin!r}")
                    break
            else:
                for name in REQUIRED:
                    if name not in event:
                        raise Unmappable(f"{name} is missing")
                if fields[0].name == "currency" and "currency" not in event:
                    raise Unmappable(f"currency is missing: nothing at {fields[0].origin!r}")
                mapped.events.append(event)
        return mapped


@dataclass(frozen=True, slots=True)
class _Field:
    """One field: where it stands, and how it is read."""

    name: str
    origin: str = ""
    constant: Any = None
    map: dict[str, Any] | None = None
    case: str | None = None
    decimal: str = "."
    scale: Decimal = Decimal(1)
    time: str | None = None
    zone: tzinfo | None = None

    def value(self, row: dict[str, Any], currency: str) -> Any:
        """The value as the contract has it, or None for nothing."""
        found = self.constant
        try:
            found = _clean(_fill(self.origin, row) if found is None else found)
            if found is not None and self.map is not None:
                found = _clean(self.map.get(_text(found), found))
            return None if found is None else self._convert(found, currency)
        except Unmappable as error:
            raise Unmappable(f"{self.name}: {error}") from None
        except (ArithmeticError, ValueError, OSError) as error:
            raise Unmappable(f"{self.name}: {str(found)[:80]!r} is not what was expected ({error})") from None

    def _convert(self, found: Any, currency: str) -> Any:
        if self.name in _MONEY:
            amount = self._amount(found, currency)
            if amount < 0:
                raise Unmappable(f"{found!r} is below zero")
            return float(amount) if amount >= _LEAST or self.name == "fees" else None
        if self.name in _COUNTS:
            return self._count(found)
        return self._time(found) if self.name in _TIMES else self._words(found)

    def _words(self, found: Any) -> str:
        text = _text(found)
        text = text.upper() if self.case == "upper" else text.lower() if self.case == "lower" else text
        if len(text) > _TEXTS[self.name]:
            raise Unmappable(f"{text[:80]!r} is longer than {_TEXTS[self.name]} characters")
        if _FORBIDDEN.search(text):
            raise Unmappable(f"{text[:80]!r} holds a character that no name has")
        if self.name == "currency" and not re.fullmatch("[A-Z]{3}", text):
            raise Unmappable(f"{text!r} is not an ISO 4217 code such as USD")
        if self.name == "listing_url" and not re.match(r"https?://[^\s/]", text, re.IGNORECASE):
            raise Unmappable(
                f'{text[:80]!r} is no web address; complete it with a template, "https://partner.example{{url}}"'
            )
        if self.name == "level" and text not in ("listing", "event"):
            raise Unmappable(f"{text!r} is neither 'listing' nor 'event'")
        return text

    def _amount(self, found: Any, currency: str) -> Decimal:
        if isinstance(found, bool):
            raise Unmappable("a yes or no is not a number")
        if isinstance(found, int | float):
            amount = Decimal(str(found))
        else:
            parts = _amounts(self.decimal).fullmatch(_text(found))
            if parts is None:
                raise Unmappable(f"{_text(found)[:80]!r} is not a number with the decimal mark {self.decimal!r}")
            for unit in filter(None, (parts["before"], parts["after"])):
                meant = _SIGNS.get(unit, unit if re.fullmatch("[A-Z]{3}", unit) else currency)
                if meant != currency:
                    raise Unmappable(f"{_text(found)!r} is in {meant}, and the currency here is {currency}")
            amount = Decimal(f"{parts['sign']}{re.sub('[^0-9]', '', parts['whole'])}.{parts['part'] or 0}")
        amount *= self.scale
        if not abs(amount) <= _LIMIT:
            raise Unmappable(f"{found!r} is not a number below a billion")
        return amount

    def _count(self, found: Any) -> int:
        amount, (least, most) = self._amount(found, ""), _COUNTS[self.name]
        if amount != int(amount) or not least <= amount <= most:
            raise Unmappable(f"{found!r} is not a whole number between {least:,} and {most:,}")
        return int(amount)

    def _time(self, found: Any) -> str:
        if isinstance(found, datetime):
            moment = found  # TOML has times of its own, for constants
        elif isinstance(found, date):
            moment = datetime.combine(found, time())
        elif self.time in _SINCE_1970:
            moment = datetime.fromtimestamp(float(Decimal(_text(found)) / _SINCE_1970[self.time]), UTC)
        elif self.time is not None:
            moment = datetime.strptime(_text(found), self.time)
        elif isinstance(found, str):
            moment = datetime.fromisoformat(found)
        else:
            raise Unmappable(f'{found!r} is no text: for seconds since 1970 write time = "seconds"')
        if moment.tzinfo is None:
            if self.zone is None:
                raise Unmappable(f'{str(found)!r} has no offset: write time_zone = "America/New_York", or what it is')
            moment = moment.replace(tzinfo=self.zone)
        if not _ERA[0] <= moment <= _ERA[1]:
            raise Unmappable(f"{str(found)!r} is not between 1970 and 2200")
        return moment.astimezone(UTC).isoformat()


def _parse(name: str, spec: Any) -> _Field:
    """One field's entry."""
    if name not in FIELDS:
        raise MappingError(f"{name} is no field of a price event: write one of {', '.join(sorted(FIELDS))}")
    if isinstance(spec, str):
        spec = {"from": spec}
    if not isinstance(spec, dict) or ("from" in spec) == ("value" in spec):
        raise MappingError(f'{name}: write a path such as "offers.0.price", {{ from = "a path" }} or {{ value = "…" }}')
    numbers, times = name in _MONEY or name in _COUNTS, name in _TIMES
    keys = _NUMBER_KEYS if numbers else _TIME_KEYS if times else ("case",)
    _known(name, spec, ("from", "value", "map", *keys))
    if "value" in spec and name == "price":
        raise MappingError(f"{name}: a price comes from the row, not from the mapping; write where it stands")
    origin = spec.get("from", "")
    if not isinstance(origin, str) or ("value" not in spec and not origin.strip()):
        raise MappingError(f'{name}.from is {origin!r}: write a path such as "offers.0.price", or a template')
    if {"{", "}"} & set(_PLACEHOLDER.sub("", origin)):
        raise MappingError(
            f'{name}.from is {origin!r}: a brace has no partner; write a template as "{{team}}-{{date}}"'
        )
    field = _Field(
        name,
        origin,
        spec.get("value"),
        _translation(name, spec.get("map")),
        _choice(f"{name}.case", spec.get("case"), ("upper", "lower")),
        _choice(f"{name}.decimal", spec.get("decimal"), (".", ",")) or ".",
        _scale(name, spec.get("scale", 1)),
        _format(name, spec.get("time")),
        _zone(name, spec.get("time_zone")),
    )
    if "value" in spec:
        try:
            field.value({}, "USD")
        except Unmappable as error:
            raise MappingError(str(error)) from None
    return field


def _constant(name: str, value: Any) -> Any:
    fixed = _parse(name, {"value": value}).value({}, "USD")
    if fixed is None:
        raise MappingError(f"constants.{name} is empty: write a value, or leave it out")
    return fixed


def _known(where: str, table: dict[str, Any], known: Iterable[str]) -> None:
    for key in table:
        if key not in known:
            raise MappingError(f"{where} has an unknown key {key!r}: write one of {', '.join(known)}")


def _table(key: str, table: dict[str, Any]) -> dict[str, Any]:
    found = table.get(key, {})
    if not isinstance(found, dict):
        raise MappingError(f"{key} is {found!r}: write a table, [{key}] and its fields beneath")
    return found


def _choice(where: str, value: Any, choices: tuple[str, ...]) -> str | None:
    if value is not None and value not in choices:
        raise MappingError(f"{where} is {value!r}: write {' or '.join(map(repr, choices))}")
    return None if value is None else str(value)


def _translation(name: str, value: Any) -> dict[str, Any] | None:
    if value is not None and (not isinstance(value, dict) or any(isinstance(v, dict | list) for v in value.values())):
        raise MappingError(f'{name}.map is {value!r}: write a table of values, as {{ "Mezz" = "Mezzanine" }}')
    return value


def _scale(name: str, value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 10**9:
        raise MappingError(f"{name}.scale is {value!r}: write a factor above 0, as 0.01 for cents")
    return Decimal(str(value))


def _format(name: str, value: Any) -> str | None:
    if value is None or (isinstance(value, str) and value in _SINCE_1970):
        return value
    probe = datetime(2026, 11, 23, 19, 30, tzinfo=UTC)
    try:
        if "%" not in value:
            raise ValueError
        datetime.strptime(probe.strftime(value), value)
    except (TypeError, ValueError):
        raise MappingError(
            f'{name}.time is {value!r}: write "seconds", "milliseconds" or a format such as "%m/%d/%Y %H:%M"'
        ) from None
    return str(value)


def _zone(name: str, value: Any) -> tzinfo | None:
    try:
        return None if value is None else ZoneInfo(value)
    except (LookupError, TypeError, ValueError, OSError):
        raise MappingError(f'{name}.time_zone is {value!r}: write a zone such as "America/New_York" or "UTC"') from None


def _identity(constants: PriceEvent, one: dict[str, Any]) -> tuple[Any, ...]:
    """Which listing an observation is of, as far as the mapping tells (`analytics.schema.listing_key`)."""
    said = {**{name: {"value": value} for name, value in constants.items()}, **one}
    if said.get("level") == {"value": "event"}:
        place: tuple[str, ...] = ()
    else:
        place = ("listing_id",) if "listing_id" in said else ("section", "row", "seat")
    return tuple(said.get(name) for name in ("event_id", "source", "currency", "level", *place))


def _fill(origin: str, row: dict[str, Any]) -> Any:
    """What stands at a path, or a template filled in; None where there is nothing."""
    if "{" not in origin:
        return walk(origin, row)
    values = {path: _clean(walk(path, row)) for path in _PLACEHOLDER.findall(origin)}
    if None in values.values():
        return None
    return _PLACEHOLDER.sub(lambda found: _text(values[found[1]]), origin)


def walk(path: str, row: Any) -> Any:
    """What stands at a path of decoded JSON; None where the path breaks off."""
    if isinstance(row, dict) and path in row:
        return row[path]
    for step in path.split("."):
        if isinstance(row, dict):
            row = row.get(step)
        elif isinstance(row, list) and step.isdecimal() and int(step) < len(row):
            row = row[int(step)]
        else:
            return None
    return row


def _clean(value: Any) -> Any:
    return (value.strip() or None) if isinstance(value, str) else value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        raise Unmappable("there is an object or a list, not a value; write the path further")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


@cache
def _amounts(decimal: str) -> re.Pattern[str]:
    """Amounts as people write them. Not '12K', '25-30' or, with a decimal point, '12,50': a guess is no price."""
    unit = r"[A-Z]{3}|[A-Z]{0,2}[$€£¥₹₩₽₺₪฿₫₴₦]|kr\.?|zł|Kč|Ft"
    thousands = r"[,\s'’]" if decimal == "." else r"[.\s'’]"
    return re.compile(
        rf"(?P<sign>-?)\s*(?P<before>{unit})?\s*"
        rf"(?P<whole>[0-9]{{1,3}}(?:(?P<mark>{thousands})[0-9]{{3}}(?:(?P=mark)[0-9]{{3}})*)?|[0-9]+)"
        rf"(?:{re.escape(decimal)}(?P<part>[0-9]+))?\s*(?P<after>{unit})?"
    )
