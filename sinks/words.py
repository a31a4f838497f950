"""What a message says of an alert, in plain words. All pure; how it looks is the senders' business."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

EACH_UP_TO = 10
"""Up to so many notices are told one by one (Discord shows ten embeds in a message); more are joined in a digest."""

# A link that every service takes: Discord refuses a whole message for one that it does not find well-formed.
_LINK = re.compile(r"https?://[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::[0-9]{1,5})?(?:[/?#][!-~]{0,900})?")
_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£"}
_BLOCKS = "▁▂▃▄▅▆▇█"
_REFERENCES = {
    "previous": "this listing's previous price",
    "last_alert": "this rule's last alert",
    "first_seen": "the first price seen",
    "median": "the median",
    "lowest": "the lowest so far",
    "target": "the target",
}


@dataclass(frozen=True)
class Alert:
    """What waits in the outbox. Prices are all-in, per ticket.

    `notice` is the kind of a notice that is no alert ('expired', 'test'); `plan` the rule's definition, of which
    delivery reads quiet hours and digest; `waits_since` when it became due.
    """

    alert_id: str
    event_id: str | None
    event_name: str | None
    venue: str | None
    old_price: Decimal | None
    new_price: Decimal | None
    drop_percent: Decimal | None
    currency: str | None
    section: str | None
    row: str | None
    source: str | None
    listing_url: str | None
    alert_timestamp: datetime
    seat: str | None = None
    quantity: int | None = None
    rule_id: int | None = None
    rule_name: str | None = None
    cause: str | None = None
    reference: str | None = None
    percentile: Decimal | None = None
    lowest_so_far: Decimal | None = None
    sample: int | None = None
    notice: str | None = None
    plan: dict[str, Any] | None = None
    waits_since: datetime | None = None


@dataclass(frozen=True)
class Notice:
    """One thing to be told, as clean single lines of text.

    Args:
        id: the outbox's `alert_id`.
        title: the whole in a few words.
        lines: the facts, the most important first.
        short: all in one line, for a digest; `change` stands before it.
        origin: source and venue.
        when: observed at.
        change: "−20.0 %", if there is one; `weight` is its number, and ranks a digest.
        group: what it is about; a digest tells of every group before it tells twice of one.
        link: to the listing, safe to follow.
        path: the listing's recent prices, oldest first.
        rule: the rule that fired, None for the default rule.
    """

    id: str
    title: str
    lines: tuple[str, ...]
    short: str
    origin: str
    when: datetime
    change: str = ""
    weight: Decimal = Decimal(0)
    group: str = ""
    link: str | None = None
    path: tuple[float, ...] = ()
    rule: int | None = None


def notice(alert: Alert, path: Sequence[Decimal] = ()) -> Notice:
    """The words for an alert, or for a notice that waits in its place; `path`: recent prices, oldest first."""
    if alert.notice == "test":
        return test_notice(alert.alert_id, alert.alert_timestamp)
    if alert.new_price is None or alert.currency is None:
        return _expired(alert)
    event = clean(alert.event_name or alert.event_id or "An event", 90)
    price, change = money(alert.new_price, alert.currency), _change(alert.drop_percent)
    move = (
        f"{money(alert.old_price, alert.currency)} → {price}"
        if alert.old_price not in (None, alert.new_price)
        else price
    )
    place = " · ".join(_place(alert))
    facts = [
        f"All-in per ticket: {move}",
        *_why(alert, change),
        place,
        *_standing(alert, alert.new_price, alert.currency),
    ]
    return Notice(
        id=alert.alert_id,
        title=f"{event}: {price}{f' ({change})' if change else ''}",
        lines=tuple(filter(None, facts)),
        short=" · ".join(filter(None, (event, clean(alert.section or "", 40)))) + f": {move}, {_origin(alert.source)}",
        origin=" · ".join(filter(None, (_origin(alert.source), clean(alert.venue or "", 80)))),
        when=alert.alert_timestamp,
        change=change,
        weight=alert.drop_percent or Decimal(0),
        group=alert.event_id or "",
        link=alert.listing_url if alert.listing_url and _LINK.fullmatch(alert.listing_url) else None,
        path=tuple(map(float, path)),
        rule=alert.rule_id,
    )


def test_notice(identity: str, when: datetime) -> Notice:
    """What a channel is tried with."""
    works = "If you can read this, alerts reach you here."
    return Notice(identity, "A test from ConScope", (works,), works, "ConScope", when)


def _expired(alert: Alert) -> Notice:
    rule = _rule(alert)
    event = clean(alert.event_name or alert.event_id or "", 120)
    title = f"{rule} has expired"
    about = f"It watched {event}. " if event else ""
    line = f"{about}It ended at {alert.alert_timestamp:%Y-%m-%d %H:%M} UTC, and alerts no more."
    # No `rule`: there is nothing left to mute.
    return Notice(alert.alert_id, title, (line,), title, "ConScope", alert.alert_timestamp, group=alert.event_id or "")


def _rule(alert: Alert) -> str:
    return f"Rule “{clean(alert.rule_name, 60)}”" if alert.rule_name else f"Rule {alert.rule_id}"


def _why(alert: Alert, change: str) -> Iterable[str]:
    if alert.rule_id is not None:
        yield _rule(alert) + (f": {clean(alert.cause, 100)}" if alert.cause else "")
    against = _REFERENCES.get(alert.reference or "previous")
    if change and against:
        yield f"{change} against {against}"


def _place(alert: Alert) -> Iterable[str]:
    for name, value in (("Section", alert.section), ("Row", alert.row), ("Seat", alert.seat)):
        if value:
            yield f"{name} {clean(value, 40)}"
    if alert.quantity:
        yield f"{alert.quantity} ticket{'s' if alert.quantity > 1 else ''}"


def _standing(alert: Alert, price: Decimal, currency: str) -> Iterable[str]:
    if alert.percentile is not None and alert.sample:
        among = f"{alert.sample:,} comparable listing{'s' if alert.sample > 1 else ''}"
        yield (
            f"None of {among} costs less" if alert.percentile <= 0 else f"{alert.percentile:.0f} % of {among} cost less"
        )
    if alert.lowest_so_far is not None:
        lowest = price <= alert.lowest_so_far
        yield "The lowest price so far" if lowest else f"Lowest so far: {money(alert.lowest_so_far, currency)}"


def _origin(source: str | None) -> str:
    return clean(source or "", 40)


def _change(drop: Decimal | None) -> str:
    if drop is None or abs(drop) < Decimal("0.05"):
        return ""
    return f"−{drop:,.1f} %" if drop > 0 else f"+{-drop:,.1f} %"


def headline(notices: Sequence[Notice]) -> str:
    """What many notices are together."""
    events = len({one.group for one in notices if one.group})
    if not events:
        return f"{len(notices):,} notices"
    return f"{len(notices):,} price alerts at {events:,} event{'s' if events > 1 else ''}"


def selected(notices: Sequence[Notice], most: int) -> list[Notice]:
    """The few of many that a digest tells of: the biggest of every event first, then the biggest of the rest."""
    ranked = sorted(notices, key=lambda one: (-one.weight, one.id))
    seen: set[str] = set()
    firsts = [one for one in ranked if not (one.group in seen or seen.add(one.group))]  # type: ignore[func-returns-value]
    chosen = firsts[:most]
    if len(chosen) < most:
        told = {one.id for one in chosen}
        chosen += [one for one in ranked if one.id not in told][: most - len(chosen)]
    return chosen


def sparkline(path: Sequence[float]) -> str:
    """Prices as a row of blocks; nothing for fewer than three."""
    if len(path) < 3:
        return ""
    low, high = min(path), max(path)
    span = high - low
    return "".join(_BLOCKS[round((price - low) / span * 7) if span else 3] for price in path)


def money(amount: Decimal | float, currency: str) -> str:
    """An amount with its currency."""
    symbol = _SYMBOLS.get(currency)
    return f"{symbol}{amount:,.2f}" if symbol else f"{amount:,.2f} {clean(currency, 8)}"


def clean(text: str, most: int) -> str:
    """Text from outside as one line that says nothing but itself.

    Control characters go, and with them those that turn the direction of writing or hide; names call nobody (`@`) and
    are no links (`://`), to which end a space of no width is put in.
    """
    kept = "".join(" " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c) not in _HIDDEN)
    return cut(" ".join(kept.split()), most).replace("@", "@\u200b").replace("://", ":\u200b//")


_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn"}


def cut(text: str, limit: int) -> str:
    """At most `limit` UTF-16 units, the narrowest way in which a limit of characters can be meant."""
    data = text.encode("utf-16-le", "replace")
    if len(data) <= 2 * limit:
        return text
    return data[: 2 * (limit - 1)].decode("utf-16-le", "ignore") + "…"
