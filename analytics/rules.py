"""Alert rules: what a person asks for, checked and in the units of the engine (`analytics.alerts` judges by them).

A rule is a row of the table `alerts`. The columns of the earlier version keep their meaning: such a row is an
`at or below` rule. Everything else stands in its `definition`, a JSON object with the fields of `Definition`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from analytics.schema import MICROS

Condition = Literal["at_or_below", "drop", "rise", "new_low", "back", "deal"]
Reference = Literal["last_alert", "previous", "first_seen", "median", "lowest"]
Rearm = Literal["always", "once", "cooldown", "margin", "lower"]

PERCENT = 10_000
"""Percentages are whole numbers of ten-thousandths of a percent."""

_Text = Annotated[str, Meta(min_length=1, max_length=200)]
_Money = Decimal | None
_SLACK = 5 * 60 * MICROS


class RuleError(ValueError):
    """A rule that means nothing, or not what its maker wants; the text says what to write instead."""


class Quiet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Quiet hours, local times `HH:MM`; alerts wait until their end and are joined. Delivery obeys them."""

    start: Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = msgspec.field(name="from")
    end: Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = msgspec.field(name="to")
    time_zone: str = "UTC"


class Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the stored history said when the rule was made: part of the rule, so that a replay knows no more.

    Args:
        lowest: the lowest price so far.
        lows: (when it was last so low, in microseconds; price) of the lows of the last days, oldest first.
        hours: (hour since 1970, price at its end) for the median.
    """

    lowest: Decimal | None = None
    lows: list[tuple[int, Decimal]] = []
    hours: list[tuple[int, Decimal]] = []


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What a rule says beyond the columns of the contract. Money in units of `currency`, percentages as 10 for 10 %.

    Args:
        venue: only events at this venue (any case).
        query: only events whose name has all these words.
        source: only listings of this source.
        min_quantity: only listings of at least so many tickets.
        currency: prices in another are not looked at.
        price: all-in, or without fees.
        party: the price is for so many together, in listings that have as many.
        watch: the lowest price in scope, or each listing for itself.
        condition: what must happen.
        amount, percent: how much, for a drop or rise (one of them).
        days: of a median or of a low (none: the lowest ever).
        percentile: of comparable listings, for a deal.
        reference: what a drop or rise is measured from.
        listings: so many listings must qualify.
        observations: the price must stand for so many looks.
        rearm: when the rule may fire again; the default depends on the condition.
        cooldown_minutes, margin_percent, step: of the re-arming that needs them.
        skip_if_true: do not fire on what holds already when the rule is made.
        gone_minutes: unseen for so long, a listing or section is gone, and `back` when seen again.
        expires_at: RFC 3339; the event's start always ends a rule.
        announce_expiry: tell its channels when it ends.
        quiet, digest_minutes: of delivery.
        known: what was known when it was made.
    """

    venue: _Text | None = None
    query: _Text | None = None
    source: _Text | None = None
    min_quantity: Annotated[int, Meta(ge=1, le=1000)] | None = None
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] = "USD"
    price: Literal["all_in", "base"] = "all_in"
    party: Annotated[int, Meta(ge=1, le=100)] = 1
    watch: Literal["lowest", "each"] = "lowest"
    condition: Condition = "at_or_below"
    amount: _Money = None
    percent: Decimal | None = None
    days: Annotated[int, Meta(ge=1, le=365)] | None = None
    percentile: Annotated[int, Meta(ge=1, le=99)] | None = None
    reference: Reference | None = None
    listings: Annotated[int, Meta(ge=1, le=1000)] = 1
    observations: Annotated[int, Meta(ge=1, le=1000)] = 1
    rearm: Rearm | None = None
    cooldown_minutes: Annotated[int, Meta(ge=1, le=525_600)] | None = None
    margin_percent: Decimal = Decimal(2)
    step: _Money = None
    skip_if_true: bool = False
    gone_minutes: Annotated[int, Meta(ge=1, le=525_600)] = 60
    expires_at: datetime | None = None
    announce_expiry: bool = False
    quiet: Quiet | None = None
    digest_minutes: Annotated[int, Meta(ge=0, le=10_080)] = 0
    known: Known | None = None


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as the engine takes it: money in micros, times in microseconds, percentages in `PERCENT`s.

    `version` orders all changes of all rules. `target`, `amount` and `step` are per party when `party` is over one.
    """

    id: int
    version: int
    since: int
    name: str | None
    active: bool
    muted_until: int | None
    channels: tuple[str, ...]
    event_id: str | None
    venue: str | None
    words: tuple[str, ...]
    sections: tuple[str, ...]
    max_row: str | None
    source: str | None
    quantity: int
    currency: str
    base: bool
    party: int
    each: bool
    condition: Condition
    target: int | None
    amount: int | None
    percent: int | None
    days: int | None
    percentile: int | None
    reference: Reference
    listings: int
    observations: int
    rearm: Rearm
    cooldown: int
    margin: int
    step: int
    skip_if_true: bool
    gone: int
    expires: int | None
    lowest: int | None
    lows: tuple[tuple[int, int], ...]
    hours: tuple[tuple[int, int], ...]

    @property
    def is_wide(self) -> bool:
        """Whether it can concern more than one event."""
        return self.event_id is None

    def same_judgement(self, other: Rule) -> bool:
        """Whether the other judges alike, so that what this one remembers still holds (muting changes nothing)."""
        blank = {"version": 0, "since": 0, "name": None, "active": True, "muted_until": None, "channels": (),
                 "lowest": None, "lows": (), "hours": ()}  # fmt: skip
        return msgspec.structs.replace(self, **blank) == msgspec.structs.replace(other, **blank)


def parse(version: int, since: datetime, row: Mapping[str, Any]) -> Rule:
    """The rule that a row of `alerts` (as JSON) means.

    Args:
        version: under which it is recorded.
        since: when this version was made; what was observed earlier (by more than five minutes) is not its business.
        row: the row's columns; times as RFC 3339 text, numbers as numbers or decimal text.

    Raises:
        RuleError: it means nothing; says why and what to do.
    """
    definition = define(row.get("definition") or {})
    target = _micros(row.get("target_price"), "target_price")
    check(definition, target)
    event_id = row.get("event_id") or None
    words = tuple(sorted(set((definition.query or "").casefold().split())))
    known = definition.known or Known()
    channels = tuple(row.get("channels") or ()) or (
        (f"rule:{row['id']}",) if row.get("notification_method") and row.get("notification_target") else ()
    )
    condition = definition.condition
    return Rule(
        id=int(row["id"]), version=version, since=(_time(since) or 0) - _SLACK,
        name=row.get("name"), active=bool(row.get("active", True)), muted_until=_time(row.get("muted_until")),
        channels=channels, event_id=event_id, venue=definition.venue.casefold() if definition.venue else None,
        words=words, sections=_sections(row.get("section")), max_row=row.get("max_row") or None,
        source=definition.source, quantity=max(definition.min_quantity or 1, definition.party),
        currency=definition.currency, base=definition.price == "base", party=definition.party,
        each=definition.watch == "each", condition=condition, target=target,
        amount=_micros(definition.amount, "amount"), percent=_percent(definition.percent), days=definition.days,
        percentile=definition.percentile, reference=definition.reference or "last_alert",
        listings=definition.listings, observations=definition.observations,
        rearm=definition.rearm or ("always" if _moves(definition) else "margin"),
        cooldown=(definition.cooldown_minutes or 0) * 60 * MICROS, margin=int(definition.margin_percent * PERCENT),
        step=_micros(definition.step, "step") or 1, skip_if_true=definition.skip_if_true,
        gone=definition.gone_minutes * 60 * MICROS,
        expires=None if definition.expires_at is None else int(definition.expires_at.timestamp() * MICROS),
        lowest=_micros(known.lowest, "known.lowest"),
        lows=tuple((time, _micros(price, "known.lows") or 0) for time, price in known.lows),
        hours=tuple((hour, _micros(price, "known.hours") or 0) for hour, price in known.hours),
    )  # fmt: skip


def define(definition: Mapping[str, Any] | str) -> Definition:
    """A definition from its JSON.

    Raises:
        RuleError: an unknown field, or a value that cannot be.
    """
    try:
        if isinstance(definition, str):
            return msgspec.json.decode(definition, type=Definition)
        return msgspec.convert(definition, Definition, strict=False)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise RuleError(f"the rule's definition: {error}") from None


def check(rule: Definition, target: int | None) -> None:
    """Whether the parts of a rule go together.

    Raises:
        RuleError: they do not; says what is missing or too much.
    """
    if rule.condition == "at_or_below":
        if target is None or target <= 0:
            raise RuleError("an `at or below` rule needs a target price above 0")
    elif target is not None:
        raise RuleError(f"a target price belongs to `at or below`; a `{rule.condition}` rule has none")
    if rule.condition in ("drop", "rise"):
        if (rule.amount is None) == (rule.percent is None):
            raise RuleError(f"a `{rule.condition}` needs an amount or a percentage, one of the two")
        if rule.amount is not None and not _micros(rule.amount, "amount"):
            raise RuleError("the amount must be above 0")
        if rule.percent is not None:
            most = 1000 if rule.condition == "rise" else 99
            if not (rule.percent.is_finite() and Decimal("0.0001") <= rule.percent <= most):
                raise RuleError("the percentage must be above 0, and a price cannot drop by more than 99 %")
        if rule.reference == "median" and rule.days is None:
            raise RuleError("a median needs `days`, for example 30")
    elif rule.amount is not None or rule.percent is not None or rule.reference is not None:
        raise RuleError("amount, percent and reference belong to `drop` and `rise`")
    if rule.days is not None and not (rule.condition == "new_low" or rule.reference == "median"):
        raise RuleError("days belong to `new_low` or to the reference `median`")
    if (rule.condition == "deal") != (rule.percentile is not None):
        raise RuleError("a `deal` needs a percentile (10: as cheap as the cheapest tenth), and nothing else has one")
    if rule.condition == "back" and rule.observations > 1:
        raise RuleError("`observations` does not go with `back`: it is back at the first look")
    if rule.condition in ("back", "deal") and rule.listings > 1:
        raise RuleError(f"`listings` does not go with `{rule.condition}`")
    if rule.watch == "each" and rule.listings > 1:
        raise RuleError("`listings` counts listings in scope; it does not go with watching each for itself")
    if rule.condition == "deal" and rule.watch != "each":
        raise RuleError("a `deal` looks at each listing: set watch to `each`")
    if (rule.rearm == "cooldown") != (rule.cooldown_minutes is not None):
        raise RuleError("`cooldown_minutes` and rearm `cooldown` go together")
    if rule.rearm == "always" and not _moves(rule):
        raise RuleError("rearm `always` would alert at every look; choose margin, cooldown, lower or once")
    if rule.skip_if_true and rule.condition != "at_or_below":
        raise RuleError("`skip_if_true` belongs to `at or below`; nothing else is true before the price moves")
    if rule.step is not None and (rule.rearm != "lower" or not _micros(rule.step, "step")):
        raise RuleError("`step` is an amount above 0 and belongs to rearm `lower`")
    if not (rule.margin_percent.is_finite() and 0 <= rule.margin_percent <= 1000):
        raise RuleError("margin_percent must lie between 0 and 1000")
    if rule.quiet is not None:
        try:
            ZoneInfo(rule.quiet.time_zone)
        except (KeyError, ValueError, OSError):
            raise RuleError(f"there is no time zone {rule.quiet.time_zone!r}; write one like Europe/Berlin") from None
    if rule.expires_at is not None and rule.expires_at.tzinfo is None:
        raise RuleError("`expires_at` needs an offset, for example 2027-05-01T20:00:00Z")


def _moves(rule: Definition) -> bool:
    """Whether what a rule compares with moves as it fires: then it may fire again at once without repeating itself."""
    if rule.condition in ("drop", "rise"):
        return rule.reference in (None, "last_alert", "previous", "lowest")
    return rule.condition in ("new_low", "back")


_SINCE: dict[Reference, str] = {
    "last_alert": "since the last alert",
    "previous": "against the previous price",
    "first_seen": "since it was first seen",
    "median": "against the median of {days} days",
    "lowest": "below the lowest so far",
}


def describe(rule: Rule) -> str:
    """What the rule waits for, in words: "lowest all-in price at or below 120.00 USD in section 101"."""
    what = f"{'base' if rule.base else 'all-in'} price" + (f" for {rule.party}" if rule.party > 1 else "")
    if not rule.each:
        what = f"lowest {what}" if rule.listings == 1 else f"{rule.listings} listings, {what}"
    much = f"{(rule.percent or 0) / PERCENT:g} %" if rule.amount is None else amount(rule.amount, rule.currency)
    since = _SINCE[rule.reference].format(days=rule.days)
    says = {
        "at_or_below": f"{what} at or below {amount(rule.target or 0, rule.currency)}",
        "drop": f"{what} down by {much} {since}",
        "rise": f"{what} up by {much} {since}",
        "new_low": f"{what} lower than " + (f"in {rule.days} days" if rule.days else "ever"),
        "back": "available again",
        "deal": f"{what} among the cheapest {rule.percentile} % of comparable listings",
    }[rule.condition]
    if rule.sections:
        says += f" in section {', '.join(rule.sections)}"
    if rule.max_row:
        says += f" up to row {rule.max_row}"
    if rule.source:
        says += f" on {rule.source}"
    if rule.quantity > rule.party:
        says += f", {rule.quantity} tickets or more"
    return says


def amount(micros: int, currency: str) -> str:
    """Money in words: `120.00 USD`."""
    return f"{Decimal(micros) / MICROS:.2f} {currency}"


def section_key(section: str) -> str:
    """A section's name as rules compare it: "Sec. 101", "Section 101" and "101" are the same."""
    words = section.casefold().replace(".", " ").split()
    return " ".join(words[1:] if len(words) > 1 and words[0] in ("section", "sec", "sect") else words)


def row_rank(row: str | None) -> tuple[int, int] | None:
    """Where a row lies, (kind, number): 1, 2, 3 … or A … Z, AA, BB …; None when it cannot be told."""
    name = (row or "").strip().upper().removeprefix("ROW").strip()
    if name.isascii() and name.isdigit() and len(name) <= 9:
        return (0, int(name))
    if name.isascii() and name.isalpha() and len(set(name)) == 1:
        return (1, ord(name[0]) - 64 + 26 * (len(name) - 1))
    return None


def _sections(section: str | None) -> tuple[str, ...]:
    return tuple(sorted({section_key(part) for part in (section or "").split(",") if part.strip()}))


def _micros(amount: Any, what: str) -> int | None:
    if amount is None:
        return None
    try:
        micros = Decimal(str(amount)) * MICROS
        whole = int(micros.to_integral_value())
    except (ArithmeticError, ValueError):
        raise RuleError(f"{what}: {amount!r} is no amount of money") from None
    if not 0 <= whole <= 1_000_000_000 * MICROS:
        raise RuleError(f"{what}: {amount} is out of range")
    return whole


def _percent(percent: Decimal | None) -> int | None:
    return None if percent is None else int(percent * PERCENT)


def _time(text: Any) -> int | None:
    if text is None:
        return None
    if text in ("infinity", "-infinity"):
        return (1 if text == "infinity" else -1) << 60
    moment = text if isinstance(text, datetime) else datetime.fromisoformat(str(text))
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * MICROS)
