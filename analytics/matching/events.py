"""Which of the known events, if any, is the one that another source lists.

The same event is the same venue, the same local date and the same name or performers; all three must be known. Every
doubt multiplies the score: 0.9 for the venue and 0.9 for the name is 0.81, and a third doubt takes it below the
threshold. What tells two shows apart (date, city, hour, women's game, tribute, part two) is no matter of score: it
rules the match out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from analytics.matching import places, titles

THRESHOLD = 0.8
"""Scores below it are no match."""

_TIE = 0.02  # two events that score within this of each other cannot be told apart: neither is the match
_SAME_MINUTES = 15
_DOORS_MINUTES = 60  # one source gives the doors, another the show; a second show on the day is further off

_SAME_HOUR, _NEAR, _UNTIMED = 1.0, 0.92, 0.97  # what the hours of two shows are worth; `_UNTIMED`: one is unknown
_UNPLACED = 0.95  # a city is unknown


@dataclass(frozen=True, slots=True)
class EventFacts:
    """What one source says of an event.

    Args:
        id: what the caller calls the event; several sources' facts of one event share it.
        name: as the source writes it.
        source: whose facts they are. An event is never matched with two listings of one source; None is nobody's.
        starts: with offset; None while the time is not announced.
        local_date: at the venue.
        performers: the headliner first.
    """

    id: str
    name: str
    source: str | None = None
    venue: str | None = None
    city: str | None = None
    state: str | None = None
    local_date: date | None = None
    starts: datetime | None = None
    performers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """The known event that is the candidate's, how sure that is (0 to 1), and what it rests on.

    `evidence` maps what both sides say (`venue`, `date`, `city`, `start`, `name`) to its `similarity`, 0 to 1, and both
    `values`, the candidate's first; `name` also has `by`: what agreed. It is ready for JSON.
    """

    event: EventFacts
    score: float
    evidence: dict[str, dict[str, Any]]


def match_event(candidate: EventFacts, known: Iterable[EventFacts]) -> Match | None:
    """The one known event that the candidate is, or None: a false match is worse than a missed one.

    None, too, where two known events fit as well as each other (a matinee and an evening, and the candidate's time is
    not announced), where the known event has a listing of the candidate's source already, and where any source's hour
    for it is another. The order of `known` is irrelevant.
    """
    known = [other for other in known if other.local_date is not None and other.local_date == candidate.local_date]
    ruled_out = {
        other.id for other in known
        if (other.source is not None and other.source == candidate.source) or _hours(candidate, other) == 0
    }  # fmt: skip
    best: dict[str, tuple[float, str, str, Match]] = {}
    for other in known:
        found = compare(candidate, other) if other.id not in ruled_out else None
        if found is not None and found.score >= THRESHOLD:
            ranked = (found.score, other.source or "", other.name, found)
            best[other.id] = max(best.get(other.id, ranked), ranked, key=lambda entry: entry[:3])
    order = sorted(best.values(), key=lambda entry: (-entry[0], entry[3].event.id))
    if not order or (len(order) > 1 and order[0][0] - order[1][0] < _TIE):
        return None
    return order[0][3]


def compare(one: EventFacts, other: EventFacts) -> Match | None:
    """How sure it is that both are one event, whatever the threshold; None where that is ruled out. Symmetric."""
    if one.local_date is None or one.local_date != other.local_date or not one.venue or not other.venue:
        return None
    start, city = _hours(one, other), places.cities(one.city, other.city)
    if start == 0 or city == 0 or not places.same_state(one.state, other.state):
        return None
    venue = places.venues(one.venue, other.venue, (one.city, other.city, one.state, other.state))
    if venue == 0 or any(titles.is_addon(name) for name in (one.name, one.venue, other.name, other.venue)):
        return None
    name, by = titles.likeness(
        titles.title(one.name, one.venue, one.city),
        titles.title(other.name, other.venue, other.city),
        (one.performers, other.performers),
        timed=start != _UNTIMED,
        same_hour=start == _SAME_HOUR,
    )
    score = round(start * (_UNPLACED if city is None else city) * venue * name, 4)
    if not score:
        return None
    evidence: dict[str, dict[str, Any]] = {
        "venue": {"similarity": round(venue, 4), "values": [one.venue, other.venue]},
        "date": {"similarity": 1.0, "values": [str(one.local_date), str(other.local_date)]},
        "name": {"similarity": round(name, 4), "values": [one.name, other.name], "by": by},
    }
    if city is not None:
        evidence["city"] = {"similarity": round(city, 4), "values": [one.city, other.city]}
    if one.starts and other.starts:
        evidence["start"] = {
            "similarity": round(start, 4), "values": [one.starts.isoformat(), other.starts.isoformat()],
        }  # fmt: skip
    return Match(other, score, evidence)


def _hours(one: EventFacts, other: EventFacts) -> float:
    """What the hours are worth; 0 for another show of the day."""
    if one.starts is None or other.starts is None:
        return _UNTIMED
    minutes = abs((one.starts - other.starts).total_seconds()) / 60
    return _SAME_HOUR if minutes <= _SAME_MINUTES else _NEAR if minutes <= _DOORS_MINUTES else 0.0
