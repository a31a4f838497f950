"""Names as they are compared: without case, accents, punctuation and articles."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from rapidfuzz import fuzz

# Letters that Unicode does not take apart into a base and an accent.
_LETTERS = str.maketrans({
    "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th",
    "&": " and ", "@": " at ", "'": None, "’": None, "‘": None, "`": None, "–": "-", "—": "-",
})  # fmt: skip
_NO_WORD = re.compile(r"[\W_]+")
_SLIP = 85.0


@lru_cache(maxsize=1 << 14)
def fold(text: str) -> str:
    """The text in lower case without accents and apostrophes; other punctuation stays."""
    spread = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    return "".join(letter for letter in spread if not unicodedata.combining(letter))


@lru_cache(maxsize=1 << 14)
def plain(text: str | None) -> str:
    """The text's words, without articles; where there are none ("!!!", "The The"), the text itself in lower case."""
    folded = fold(text or "")
    words = _NO_WORD.sub(" ", folded).split()
    return " ".join(word for word in words if word != "the") or " ".join(words) or folded.strip()


def alike(one: str, other: str) -> float:
    """1 for the same words in any order and spacing, less for a slip of the pen, 0 for words that are others.

    A slip: the words that only one has are near those that only the other has ("marianna", "mariana"). It counts the
    square of the share of letters in common. A word too many, "cast A" for "cast B" or "north" for "south" is none.
    """
    if one.replace(" ", "") == other.replace(" ", ""):
        return 1.0 if one else 0.0
    here, there = one.split(), other.split()
    odd = [" ".join(word for word in here if word not in there), " ".join(word for word in there if word not in here)]
    if any(odd) and fuzz.ratio(*odd) < _SLIP:
        return 0.0
    return float(max(fuzz.ratio(one, other), fuzz.token_sort_ratio(one, other)) / 100) ** 2


def contradict(one: set[str] | frozenset[str], other: set[str] | frozenset[str]) -> bool:
    """Whether each says something that the other does not (one that only says more contradicts nothing)."""
    return not (one <= other or other <= one)
