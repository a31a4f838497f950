"""What a source of prices is: what it is asked, what it answers, and the four ways in which it can fail.

A connector is one small module in `connectors/sources`; `docs/guides/connectors.md` walks through adding one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

# Of the domain: the watchlist and the matching of events speak of them, too.
from analytics.watchlist import Listed as Listed
from analytics.watchlist import Query as Query

PriceEvent = dict[str, Any]
"""A price event as `raw_prices` takes it: the contract's fields, times as RFC 3339 text, money as numbers or decimal text.

Out of a source its `event_id` is the source's own id; ingestion puts ConScope's in its place.
"""


class SourceError(Exception):
    """A source did not answer as hoped. The text says what happened and what to do; it never holds a secret."""


class Unavailable(SourceError):
    """Retriable: the source is slow, broken or away for a moment.

    Args:
        what: what happened.
        retry_after: seconds that the source asked to wait, when it did.
    """

    def __init__(self, what: str, retry_after: float | None = None) -> None:
        super().__init__(what)
        self.retry_after = retry_after


class Missing(SourceError):
    """Skippable: this one event is not there or cannot be read; the others can be asked for."""


class Held(SourceError):
    """This source must be left alone for a while (quota, flood, captcha); no other source is concerned.

    Args:
        what: what happened.
        seconds: how long.
    """

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(what)
        self.seconds = seconds


class Refused(SourceError):
    """Fatal until somebody mends the configuration: a wrong key, or no right to what was asked."""


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to look at: the source's own id, and when the show starts as far as is known (with offset)."""

    id: str
    starts: datetime | None = None


@dataclass(slots=True)
class Answer:
    """What one look at some targets gave. Each target is in `prices` (at least once), `unpriced` or `gone`.

    Args:
        prices: price events, with the source's own `event_id`.
        unpriced: targets that are there and have no price now, with the reason: normal, measured, never a zero.
        gone: targets that will not come back (cancelled, over, unknown to the source), with the reason.
        listed: what the source says of the events themselves, where it does.
    """

    prices: list[PriceEvent] = field(default_factory=list)
    unpriced: dict[str, str] = field(default_factory=dict)
    gone: dict[str, str] = field(default_factory=dict)
    listed: list[Listed] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be asked of a source.

    Args:
        calls_a_day: within any 24 hours.
        calls_a_second: at most so many in any second; may be under 1.
        targets_a_call: how many targets one call can look at.
    """

    calls_a_day: int
    calls_a_second: float
    targets_a_call: int = 1


class Source(Protocol):
    """A source of prices. Used by one thread; every request it makes passes through its ledger."""

    name: str
    budget: Budget
    searchable: bool
    """Whether `search` can be asked; a feed follows what it was given."""

    def look(self, targets: Sequence[Target]) -> Answer:
        """The prices of these targets now; at most `budget.targets_a_call`.

        Raises:
            Unavailable, Missing, Held, Refused: see there. Missing only when one target was asked for.
        """
        ...

    def search(self, query: Query, limit: int = 50) -> list[Listed]:
        """Events of this source that match, the nearest first.

        Raises:
            Unavailable, Held, Refused: see there.
        """
        ...

    def close(self) -> None:
        """Let connections go."""
        ...
