"""What is the same across sources: events (`match_event`) and seats (`same_seats`).

A false match is worse than a missed one: it mixes two shows' prices for good, where a missed one leaves the same show
standing twice until a user joins it. What is doubtful is therefore no match.
"""

from analytics.matching.events import THRESHOLD, EventFacts, Match, compare, match_event
from analytics.matching.seats import PAIR_SCHEMA, latest, same_seats
from analytics.matching.titles import is_addon

__all__ = [
    "PAIR_SCHEMA", "THRESHOLD", "EventFacts", "Match", "compare", "is_addon", "latest", "match_event", "same_seats",
]  # fmt: skip
