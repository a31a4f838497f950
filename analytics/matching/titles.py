"""The names of events taken apart, and how alike two of them are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from analytics.matching.words import alike, contradict, fold, plain

_LONGEST = 300  # letters of a name that are looked at

_ADDON = re.compile(
    r"\b(parking|vip|camping|campground|shuttle|upgrades?|packages?|vouchers?|lockers?|hospitality|add ons?|deposits?"
    r"|payment plans?|gift (card|certificate)s?|meet and greet|early entry|premium seating|hotel (and|room|stay|bundle)"
    r"|(lounge|club|suite) (access|rental)|season (pass(es)?|tickets?|memberships?|plans?)"
    r"|(multi|weekend|festival|series|flex|full|all|\d+|two|three|four|five) (days? )?(pass(es)?|tickets?)"
    r"|(rv|tournament|membership|admission|floor|pit|lawn|access|express|fast|fan) pass(es)?)\b"
)

# What a name carries beside the show: remarks of the seller, who presents it, what it is sold as.
_REMARK = re.compile(
    r"[(\[*]\s*(re-?scheduled|postponed|moved|new date|originally|sold[ -]out|cancell?ed|all ages)\b[^)\]*]*[)\]*]?"
    r"|^(re-?scheduled|postponed|cancell?ed|new date|just added)\s*[:-]|[(\[]?\b(16|18|19|21)\s?\+[)\]]?"
    r"|\b20\d\d(/\d\d)?\b|\b((the|a new|a) )?musical\b|\btickets\b"
)
_LEAD = re.compile(r"^(.{0,60}?\bpresents?\b:?|(an?\s)?(evening|night|afternoon) with)\s+")
_CUT = re.compile(r"\s*(?:[:|()\[\]]|\s-\s|\s/\s|\bw/|\b(?:with|feat|ft|featuring|plus|special guests?)\b)\s*")

_VERSUS = re.compile(r"^(.+?) (?:v|vs|versus) (.+)$")
_AT = re.compile(r"^(.+?) at (.+)$")

# Which of a day's shows it is.
_NTH = re.compile(
    r"\b(part|session|game|show|heat|performance|day|night|weekend|week|round) "
    r"(\d+|one|two|three|four|five|six|i{1,3}|iv)\b"
)
_NUMBERS = {
    "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "i": "1", "ii": "2", "iii": "3",
    "iv": "4",
}  # fmt: skip
_EARLY = re.compile(r"\b(matinee|(early|afternoon) (show|performance))\b")
_LATE = re.compile(r"\b(evening|late|night) (show|performance)\b")
_DATED = {"day", "night", "weekend", "week", "round"}  # the date says it already, so one side may leave it out
_TOUR = re.compile(r"\b(tour|live|concert)\b")

# What makes another show of the same name, unless both names say it.
_OTHERWISE = {
    "tribute": r"tributes?|(music|songs|best|legacy|celebration) of|cover band|salute to",
    "women": r"women|womens|ladies|girls",
    "youth": r"juniors?|jr|youth|u ?(1[4-9]|2[0-3])|under (1[4-9]|2[0-3])|academy|reserves",
    "film": r"film|movie|screening|cinema",
    "party": r"(after|watch|viewing) ?party|(after|pre) ?show|brunch|fan ?fest|silent disco",
    "rehearsal": r"rehearsal|sound ?check|practice|training|workshop|masterclass|lecture",
    "tour": r"(stadium|arena|theat(er|re)|venue|backstage|guided|behind scenes) tours?",
    "form": r"ballet|opera|sing ?along|karaoke|trivia",
    "audience": r"relaxed|sensory|for kids|school",
}
_OTHERWISE_WORDS = {kind: re.compile(rf"\b({words})\b") for kind, words in _OTHERWISE.items()}


@lru_cache(maxsize=1 << 14)
def is_addon(name: str) -> bool:
    """Whether the name is that of something sold beside a show: parking, a VIP or hotel package, a season pass."""
    return _ADDON.search(plain(name[:_LONGEST])) is not None


@dataclass(frozen=True, slots=True)
class Title:
    """A name taken apart, as plain words.

    Args:
        whole: all of it but remarks, the place and which of the day's shows it is.
        head: of that, what stands before a colon, a dash, a bracket or "with".
        sides: two teams, "X vs Y" or "Y at X".
        versus: whether they are certainly that: "at" also stands in other names.
        nth: which show of the day, as ("part", "2").
        otherwise: what makes it another show of the name, as "tribute".
    """

    whole: str
    head: str
    sides: tuple[str, str] | None
    versus: bool
    nth: frozenset[tuple[str, str]]
    otherwise: frozenset[str]


@lru_cache(maxsize=1 << 14)
def title(name: str, venue: str | None, city: str | None) -> Title:
    """Take the name of an event apart."""
    folded = fold(name[:_LONGEST])
    said = _REMARK.sub(" ", folded)
    said = _LEAD.sub("", said if plain(said) else folded)
    pieces = [piece for piece in map(plain, _CUT.split(said)) if piece] or [plain(folded)]
    nth = {(kind, _NUMBERS.get(which, which)) for piece in pieces for kind, which in _NTH.findall(piece)}
    nth |= {("hour", words.pattern) for words in (_EARLY, _LATE) if any(map(words.search, pieces))}
    places = [place for place in (plain(venue), plain(city)) if place]
    pieces = [_bare(piece, places) for piece in pieces]
    pieces = [piece for piece in pieces if piece and piece not in places] or [plain(folded)]
    versus = next(filter(None, map(_VERSUS.match, pieces)), None)
    sides = versus or next(filter(None, map(_AT.match, pieces)), None)
    return Title(
        whole=" ".join(pieces),
        head=pieces[0],
        sides=(sides[1], sides[2]) if sides else None,
        versus=versus is not None,
        nth=frozenset(nth),
        otherwise=frozenset(kind for kind, words in _OTHERWISE_WORDS.items() if words.search(plain(folded))),
    )


def _bare(piece: str, places: list[str]) -> str:
    """A piece of a name without which show of the day it is, and without "at the venue" at its end."""
    for words in (_NTH, _EARLY, _LATE):
        piece = " ".join(words.sub(" ", piece).split())
    for place in places:
        for link in (" live at ", " live in ", " at ", " in "):
            piece = piece.removesuffix(link + place)
    return piece


def likeness(
    a: Title, b: Title, acts: tuple[Sequence[str], Sequence[str]], *, timed: bool, same_hour: bool
) -> tuple[float, str]:
    """How alike two names are, 0 to 1, and by what.

    Args:
        a, b: the names.
        acts: the performers of each, headliner first.
        timed: both hours are known. Else only the whole name or both teams will do: an orchestra's family concert and
            its evening share a performer and a hall.
        same_hour: they are the same. Only then may the names contradict each other while the artist agrees ("Vivaldi"
            and "Film Music" of one series, two names of a tour): one room has one show at a time.
    """
    if not all(_same_nth(kind, a.nth, b.nth, same_hour) for kind, _ in a.nth ^ b.nth):
        return 0.0, "which of the day's shows"
    if a.otherwise != b.otherwise:
        return 0.0, "kind of show"
    if a.sides and b.sides and (a.versus or b.versus):
        return _sides(a.sides, b.sides), "both sides"
    found = [(alike(a.whole, b.whole), "name")]
    if a.sides and b.sides:
        found.append((_sides(a.sides, b.sides), "both sides"))
    if timed:
        played = [[plain(act) for act in performers] for performers in acts]
        found += _partly(a, b, played[1]) + _partly(b, a, played[0])
        if same_hour and a.versus == b.versus:
            found.append((0.93 * alike(a.head, b.head), "beginning of both names"))
            if all(played):
                found.append((0.93 * alike(played[0][0], played[1][0]), "headliner"))
    return max(found)


def _partly(this: Title, that: Title, performers: list[str]) -> list[tuple[float, str]]:
    """How well one name agrees with a part of what the other side says."""
    found = [(0.96 * alike(this.whole, that.head), "name without its subtitle")]
    if this.versus and this.sides and len(performers) > 1:
        found.append((0.95 * _sides(this.sides, performers[:2]), "performers"))
    if not this.versus and not that.versus:
        if _begins(this.whole, that.whole):
            found.append((0.93, "beginning of the name"))
        if performers:
            found.append((0.95 * alike(this.whole, performers[0]), "headliner"))
    return found


def _same_nth(kind: str, one: frozenset[tuple[str, str]], other: frozenset[tuple[str, str]], same_hour: bool) -> bool:
    """Whether both say the same of a part, a game, a session; where one says nothing, the hour must be the same."""
    here, there = ({which for named, which in nth if named == kind} for nth in (one, other))
    return not contradict(here, there) and (bool(here and there) or kind in _DATED or same_hour)


def _begins(shorter: str, longer: str) -> bool:
    """Whether one name only goes on where the other ends. One word is too little, unless a tour's name follows."""
    rest = longer.removeprefix(shorter + " ")
    return rest != longer and (" " in shorter or _TOUR.search(rest) is not None)


def _sides(one: Sequence[str], other: Sequence[str]) -> float:
    """Two teams in either order."""
    return max(_pairs(one, other), _pairs(one, other[::-1]))


def _pairs(one: Sequence[str], other: Sequence[str]) -> float:
    """Two teams in this order; a source may leave the town out ("Hawks", "City Hawks")."""
    return min(
        0.97 if a != b and not contradict(set(a.split()), set(b.split())) else alike(a, b)
        for a, b in zip(one, other, strict=True)
    )
