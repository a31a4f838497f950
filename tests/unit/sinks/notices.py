"""Alerts and notices that tests hand to the senders."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from sinks.words import Alert, Notice, notice
from tests.unit.sinks.rows import NASTY, NOON


def alert(number: int = 0, **given: Any) -> Alert:
    """A plausible alert of the default rule; `number` tells it from others."""
    return Alert(
        **{
            "alert_id": f"{number:08x}-0000-0000-0000-000000000000",
            "event_id": "concert_123",
            "event_name": "Taylor Swift",
            "venue": "MetLife Stadium",
            "old_price": Decimal("250"),
            "new_price": Decimal("199.99"),
            "drop_percent": Decimal("20.004"),
            "currency": "USD",
            "section": "101",
            "row": "A",
            "source": "seatgeek",
            "listing_url": "https://seatgeek.com/listing/1",
            "alert_timestamp": NOON,
            **given,
        }
    )


def told(*alerts: Alert) -> list[Notice]:
    """Their words."""
    return [notice(one) for one in alerts]


huge = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["*" * 900, "\\" * 900, "[x](http://e)" * 99, "🎫" * 900, "@everyone" * 99, "\n" * 900, "\u202e" * 900]
    ),
    st.sampled_from(sorted(NASTY.values())),
)
prices = st.decimals(Decimal("-99999999999"), Decimal("99999999999"), places=6)
alerts_given = st.builds(
    alert,
    st.integers(0, 2**32 - 1),
    event_id=huge.filter(bool),
    event_name=st.none() | huge,
    venue=st.none() | huge,
    old_price=st.none() | prices,
    new_price=prices,
    drop_percent=st.none() | st.decimals(-900, 100, places=4),
    currency=st.sampled_from(["USD", "EUR", "GBP", "CHF"]),
    section=st.none() | huge,
    row=st.none() | huge,
    seat=st.none() | huge,
    quantity=st.none() | st.integers(1, 2**31 - 1),
    source=huge,
    listing_url=st.none() | huge | st.just("https://x.example/" + "a" * 5000) | st.just("https://x.example/1#top"),
    alert_timestamp=st.integers(0, 10**9).map(lambda seconds: NOON - timedelta(seconds=seconds)),
    rule_id=st.none() | st.integers(1, 2**63 - 1),
    rule_name=st.none() | huge,
    cause=st.none() | huge,
    reference=st.sampled_from([None, "previous", "last_alert", "first_seen", "median", "lowest", "target", "other"]),
    percentile=st.none() | st.decimals(0, 100, places=2),
    lowest_so_far=st.none() | prices,
    sample=st.none() | st.integers(0, 10**6),
    notice=st.sampled_from([None, None, None, "test", "expired"]),
)


def _many(few: list[Alert], many: int) -> list[Alert]:
    return [Alert(**{**vars_of(few[i % len(few)]), "alert_id": f"{i:08x}-0000"}) for i in range(many)]


# Hypothesis would take long to draw 500 alerts: a few, over and over.
bursts = st.lists(alerts_given, min_size=1, max_size=12, unique_by=lambda one: one.alert_id) | st.builds(
    _many, st.lists(alerts_given, min_size=1, max_size=4), st.integers(1, 500)
)


def vars_of(one: Alert) -> dict[str, Any]:
    """The fields of an alert."""
    return {name: getattr(one, name) for name in Alert.__dataclass_fields__}
