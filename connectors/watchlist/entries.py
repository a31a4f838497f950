"""How files of the watchlist's entries are read: TOML (the watchlist file) and CSV (an import)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from analytics.watchlist import Entry, WatchlistError, read_csv

_HEADER = re.compile(r"^\s*\[\[\s*follow\s*\]\]")


def load(path: Path) -> list[Entry]:
    """The entries of a file, in its order and without repeats: CSV when its name ends so, else TOML.

    Raises:
        WatchlistError: it cannot be read, or an entry is wrong; nothing of it counts then. The text names the file,
            the line and the entry.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise WatchlistError(f"{path} cannot be read: {why}") from None
    if path.suffix.lower() == ".csv":
        read = read_csv(text)
        if read.faults:
            line = min(read.faults)
            raise WatchlistError(f"{path}, line {line}: {read.faults[line]}")
        return list(dict.fromkeys(read.entries.values()))
    entries: dict[Entry, None] = {}
    for where, fields in _toml(path, text):
        try:
            entries[Entry.of(fields)] = None
        except WatchlistError as error:
            raise WatchlistError(f"{where}: {error}") from None
    return list(entries)


def _toml(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise WatchlistError(f"{path} is no TOML: {error}") from None
    follow = document.pop("follow", [])
    if document or not isinstance(follow, list) or not all(isinstance(fields, dict) for fields in follow):
        wrong = next(iter(document), "follow")
        raise WatchlistError(f"{path}: {wrong!r} has no place there: write [[follow]], and an entry's keys beneath it")
    lines = [number for number, line in enumerate(text.split("\n"), 1) if _HEADER.match(line)]
    for number, fields in enumerate(follow, 1):
        # Entries need not have headers of their own: follow = [{ artist = "…" }] is the same to TOML.
        line = f" (line {lines[number - 1]})" if len(lines) == len(follow) else ""
        yield f"{path}, entry {number}{line}", fields
