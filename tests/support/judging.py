"""Feeds price paths to the rule engine, as a shard would."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from analytics.alerts import Activation, Alert, Decision, Judge, Verdicts
from analytics.changes import Last, Place
from analytics.rules import Rule, parse

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
T0 = int(START.timestamp() * 1_000_000)
MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def rule(id: int = 1, version: int = 1, since: datetime = datetime(2026, 1, 1, tzinfo=UTC), **columns: Any) -> Rule:
    """A rule from the columns of `alerts`; what is no column goes into its definition."""
    own = {"event_id", "target_price", "section", "max_row", "active", "muted_until", "channels", "name",
           "notification_method", "notification_target"}  # fmt: skip
    row = {"event_id": "e1", **{k: v for k, v in columns.items() if k in own}}
    definition = {k: v for k, v in columns.items() if k not in own}
    return parse(version, since, {"id": id, "definition": definition, **row})


@dataclass
class Desk:
    """One judge with its listings. `see` gives what a row brought; everything is also kept in `alerts`, `decisions`."""

    settle: int = 0
    judge: Judge = field(init=False)
    listings: dict[str, dict[str, Last]] = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    verdicts: Verdicts = field(default_factory=Verdicts)
    next_id: int = 0

    def __post_init__(self) -> None:
        self.judge = Judge(self.settle)

    def add(self, *rules: Rule, gone: int | None = None) -> None:
        """Activate rules from the next row on; with `gone`, the rule of that id is deleted."""
        told = [
            Activation(r.version, self.next_id, r.id, r, None if r.event_id is None else (r.event_id,)) for r in rules
        ]
        if gone is not None:
            told.append(Activation(10_000 + self.next_id, self.next_id, gone, None, None))
        self.judge.activate(told)

    def see(
        self, total: float, minute: float | None = None, listing: str = "L1", *, event: str = "e1",
        section: str | None = "101", row: str | None = "C", source: str = "mock", currency: str = "USD",
        quantity: int = 2, level: str = "listing", price: float | None = None, name: str | None = "The Band",
        venue: str | None = "Town Hall", starts: int | None = None,
    ) -> list[Alert]:  # fmt: skip
        """One row, by default a minute after the one before. Prices in units."""
        time = T0 + round((self.next_id if minute is None else minute) * MINUTE)
        known = self.listings.setdefault(event, {}).get(listing)
        place = known[4] if known is not None else Place(section, row, source, currency, level, time)
        base = total if price is None else price
        new = (time, round(base * 1_000_000), round(total * 1_000_000), quantity, place)
        verdicts = Verdicts()
        self.judge.see(verdicts, event, self.listings[event], listing, self.next_id, new, lambda: (name, venue, starts))
        self.listings[event][listing] = new
        self.next_id += 1
        self.alerts += verdicts.alerts
        self.decisions += verdicts.decisions
        self.verdicts.standings.update(verdicts.standings)
        return verdicts.alerts

    def path(self, totals: Iterable[float], **more: Any) -> list[int]:
        """Look at one listing again and again; gives the indexes of those that alerted."""
        return [i for i, total in enumerate(totals) if self.see(total, **more)]

    def restart(self) -> None:
        """Carry the judge through its dump."""
        self.judge = Judge.load(self.judge.dump(), lambda event: self.listings.get(event, {}), self.settle)

    def reason(self, rule: int = 1, event: str = "e1") -> str:
        """Why the rule did or did not fire at its last thought."""
        return self.verdicts.standings[rule, event].reason
