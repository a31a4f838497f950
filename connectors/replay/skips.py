"""What a replay does not publish: told, counted, and kept in a file when one is given."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

_LINES = 20
_FIRST = 5


class BadRow(Exception):
    """A row that cannot be published, in a strict replay; the text names it."""


def _complain(line: str) -> None:
    sys.stderr.write(f"{line}\n")


@dataclass
class Skips:
    """Takes what is not published.

    Args:
        strict: the first bad row ends the replay before anything is published.
        rejects: bad rows go there as they came, so that they can be mended and imported; UTF-8, `surrogateescape`.
        say: takes a line for each of the first 20 bad rows; the others are counted.
    """

    strict: bool = False
    rejects: TextIO | None = None
    say: Callable[[str], None] = _complain
    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, list[str]] = field(default_factory=dict)
    _bad: int = 0

    def header(self, raw: str) -> None:
        """Keep the line that stands above the rows."""
        if self.rejects is not None:
            self.rejects.write(raw)

    def refuse(self, where: str, reason: str, detail: str, raw: str) -> None:
        """Take a bad row: which, why in a word and in a sentence, and its text with its line's end.

        Raises:
            BadRow: the replay is strict.
        """
        line = f"{where}: {reason}: {detail}"
        if self.strict:
            raise BadRow(line)
        self.leave(where, reason, detail)
        if self.rejects is not None:
            self.rejects.write(raw)
        self._bad += 1
        if self._bad <= _LINES:
            self.say(line)
        elif self._bad == _LINES + 1:
            self.say("… further bad rows are counted" + ("" if self.rejects else "; --rejects FILE keeps them all"))

    def leave(self, where: str, reason: str, detail: str) -> None:
        """Count a row with which nothing is wrong, and which is nothing to publish."""
        self.counts[reason] += 1
        known = self.first.setdefault(reason, [])
        if len(known) < _FIRST:
            known.append(f"{where}: {detail}")
