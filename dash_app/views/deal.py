"""How good a price is, in words (`analytics.deals`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dash import html

from analytics.deals import ENOUGH, Past
from analytics.schema import MICROS
from dash_app import text

_LADDER = ((70, "Great deal", "down"), (58, "Good price", "down"), (42, "Fair", "flat"), (30, "High", "warn"))
_HIGHEST = ("Very high", "up")
_NEAR = 0.005


def verdict(score: float | None) -> tuple[str, str]:
    """A word for a score, and the style of its pill."""
    if score is None:
        return "Not rated", "flat"
    return next(((word, tone) for least, word, tone in _LADDER if score >= least), _HIGHEST)


def deal_pill(score: float | None) -> html.Span:
    """The score with its word, so that colour is never the only sign."""
    word, tone = verdict(score)
    number: list[Any] = [] if score is None else [html.Span(f"{score:.0f}", className="score"), " "]
    return html.Span([*number, word], className=f"pill {tone}")


def explanation(listing: Mapping[str, Any], currency: str, level: float | None, past: Past | None) -> list[str]:
    """Why a listing has its score, in sentences.

    Args:
        listing: a row of `Offers.listings`.
        level: today's average all-in price of the event, in units.
    """
    others = listing["others"]
    if not others:
        return ["It is the only listing, so there is nothing to compare it with.", *_season(level, past, currency)]
    said = [_rank(listing), _saving(listing, currency)]
    if others < ENOUGH:
        said.append(
            f"Only {others} other{'s' * (others != 1)} to compare with: a small sample, so the score stays near 50."
        )
    return [*said, *_season(level, past, currency)]


def among(listing: Mapping[str, Any]) -> str:
    """What a listing is compared with: "in section 101"."""
    if listing["among"] == "section":
        return f"in section {listing['section']}"
    if listing["among"] == "event":
        return "of the whole event"
    kind = listing["kind"]
    hundred = int(kind[:-1]) if kind[:-1].isdecimal() and kind.endswith("s") else None
    if hundred is None:
        return f"in places like “{kind}”"
    return f"in sections {hundred or 1} to {hundred + 99}"


def _rank(listing: Mapping[str, Any]) -> str:
    others, cheaper, dearer = listing["others"], listing["cheaper"], listing["dearer"]
    where = among(listing)
    if cheaper == 0:
        tied = others - dearer
        equal = f"; {tied} cost{'s' * (tied == 1)} the same" if tied else ""
        return f"The cheapest of {others + 1:,} listings {where}{equal}."
    return f"Cheaper than {dearer:,} of the {others:,} other listing{'s' * (others != 1)} {where}."


def _saving(listing: Mapping[str, Any], currency: str) -> str:
    share = 1 - listing["total_price"] / listing["middle"]
    middle = text.money(listing["middle"] / MICROS, currency)
    if abs(share) < _NEAR:
        return f"At their median price of {middle}."
    return f"{abs(share):.0%} {'under' if share > 0 else 'over'} their median price of {middle}."


def _season(level: float | None, past: Past | None, currency: str) -> list[str]:
    if level is None or past is None:
        return []
    low, typical, high = (text.money(value / MICROS, currency) for value in (past.low, past.typical, past.high))
    share = level * MICROS / past.typical - 1
    what = (
        "costs what it usually does" if abs(share) < 0.02 else f"is {'dearer' if share > 0 else 'cheaper'} than usual"
    )
    hours = f"{past.hours:,} hour{'s' * (past.hours != 1)}"
    few = ", a short history" if past.hours < 24 else ""
    return [
        f"The event as a whole {what}: {text.money(level, currency)} on average now, {typical} in its median hour "
        f"({low} to {high} in {hours}{few})."
    ]
