"""How alike two cities and two venues are."""

from __future__ import annotations

import re
from functools import lru_cache

from analytics.matching.words import alike, contradict, plain

_LIKE_CITY = 0.85
_CITY_WORDS = re.compile(r"\b(city|township|greater|downtown|d ?c)\b")
_SPELLINGS = {
    "theatre": "theater", "theatres": "theater", "centre": "center", "ctr": "center", "amphitheatre": "amphitheater",
    "saint": "st", "mount": "mt", "fort": "ft",
}  # fmt: skip
_KINDS = {
    "amphitheater", "arena", "auditorium", "ballroom", "bar", "bowl", "center", "church", "club", "coliseum", "complex",
    "dome", "field", "forum", "gardens", "hall", "house", "lounge", "park", "pavilion", "room", "stadium", "stage",
    "studio", "theater",
}  # fmt: skip
_SMALL = {"at", "of", "and", "for", "in", "de", "la", "du", "le"}


def cities(one: str | None, other: str | None) -> float | None:
    """How alike two cities are: 0 for clearly different ones, None where one is unknown."""
    if not one or not other:
        return None
    likeness = alike(_city(one), _city(other))
    return likeness if likeness >= _LIKE_CITY else 0.0


@lru_cache(maxsize=1 << 12)
def _city(text: str) -> str:
    # "Washington, D.C.", "London (Greenwich)": what follows the city is none of its name.
    name = _respelt(re.split(r"[,(]", text)[0]) or plain(text)
    return " ".join(_CITY_WORDS.sub(" ", name).split()) or name


def same_state(one: str | None, other: str | None) -> bool:
    """Whether two states can be the same: a code goes with a name that has its letters in order, the first first."""
    code, name = sorted((plain(one), plain(other)), key=len)
    if not code or code == name:
        return True
    if len(code) > 3 or len(name) <= 3:
        return False
    letters = iter(name)
    return name[0] == code[0] and all(letter in letters for letter in code)


def venues(one: str, other: str, around: tuple[str | None, ...]) -> float:
    """How alike two venues are.

    Args:
        one, other: their names.
        around: the cities and states of both, whose names say nothing within a venue's.

    Returns:
        1 for the same name, 0.97 where one leaves out its kind ("Palace", "Palace Theatre"), 0.9 where one is named
        with the house that it is in, less for slips of the pen; 0 for two kinds ("Grand Arena", "Grand Theatre") and
        for two names.
    """
    here, there = _respelt(one).split(), _respelt(other).split()
    if sorted(here) == sorted(there):
        return 1.0
    places = {word for name in around for word in _respelt(name or "").split()}
    bare = [[word for word in words if word not in places] for words in (here, there)]
    if all(map(_own, bare)):  # else the place is all of the name, as in "Chicago Theatre"
        here, there = bare
    kinds, own = (_KINDS & set(here), _KINDS & set(there)), (_own(here), _own(there))
    if not all(own):
        return 0.0
    if own[0] == own[1]:
        return 1.0 if kinds[0] == kinds[1] else 0.0 if all(kinds) else 0.97
    if not contradict(*own) and not contradict(*kinds):
        return 0.9
    return alike(" ".join(here), " ".join(there))


def _own(words: list[str]) -> set[str]:
    return set(words) - _KINDS - _SMALL


@lru_cache(maxsize=1 << 13)
def _respelt(text: str) -> str:
    return " ".join(_SPELLINGS.get(word, word) for word in plain(text).split())
