"""A file of prices, CSV or JSON Lines, as a mapping reads it."""

from __future__ import annotations

import csv
import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import msgspec

from connectors.mapping import Mapping, Unmappable
from connectors.replay.records import Position, Record, ReplayError, Spool, judge
from connectors.replay.skips import Skips

_CHUNK = 2000
_CSV = (".csv", ".tsv", ".txt")
_JSON_LINES = (".jsonl", ".ndjson", ".json")


class _Row(NamedTuple):
    """A row that could be read, and its text as it came."""

    number: int
    columns: dict[str, Any]
    raw: str


@dataclass(frozen=True)
class PriceFile:
    """A file's rows, in the order of event time; rows of one time stay in the file's order.

    Args:
        path: `.csv`, `.tsv`, `.jsonl` or `.ndjson`, each also with `.gz`; UTF-8.
        table: the mapping's tables, as `tomllib` gives them.
        delimiter: between a CSV file's cells.
    """

    path: Path
    table: dict[str, Any]
    delimiter: str = ","

    @property
    def title(self) -> str:
        """For people."""
        return f"the file {self.path}"

    def identity(self) -> dict[str, Any]:
        """The file's content and the mapping; not where the file stands.

        Raises:
            ReplayError: the file cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ReplayError(f"{self.path}: {error.strerror}") from None
        return {"file": digest, "mapping": self.table, "delimiter": self.delimiter}

    def bounds(self) -> dict[str, int]:
        """None: another content is another replay."""
        return {}

    def open(self, bounds: dict[str, int], judged: int | None, skips: Skips) -> Spool:
        """See `Origin`. Rows are numbered as an editor and a spreadsheet show them: a CSV file's header is row 1.

        Raises:
            MappingError: the mapping is wrong.
        """
        mapping = Mapping.parse(self.table)
        width = len(mapping.observations)
        spool = Spool()
        try:
            with self._text() as lines:
                rows = self._rows(lines, skips)
                mapped = ((row, place, event) for row in rows for place, event in self._map(mapping, row, skips))
                while found := list(islice(mapped, _CHUNK)):
                    values: list[bytes | None] = [msgspec.json.encode(event) for _, _, event in found]
                    prices, rejects = judge(values, judged)
                    for reject in rejects:
                        row = found[reject.position][0]
                        skips.refuse(f"row {row.number}", reject.reason, reject.detail, row.raw)
                    spool.add(
                        Record(
                            Position(0, at, found[index][0].number * width + found[index][1]),
                            at,
                            event_id.encode(),
                            values[index] or b"",
                        )
                        for index, at, event_id in prices
                    )
        except (OSError, EOFError, zlib.error) as error:
            raise ReplayError(f"{self.path} cannot be read to its end: {error}") from None
        return spool

    def _map(self, mapping: Mapping, row: _Row, skips: Skips) -> Iterator[tuple[int, dict[str, Any]]]:
        try:
            mapped = mapping.events(row.columns)
        except Unmappable as error:
            skips.refuse(f"row {row.number}", "unmappable", str(error), row.raw)
            return
        for why in mapped.unpriced:
            skips.leave(f"row {row.number}", "unpriced", why)
        yield from enumerate(mapped.events)

    @contextmanager
    def _text(self) -> Iterator[TextIO]:
        opened = gzip.open if self.path.suffix == ".gz" else open
        # A byte that is no UTF-8 makes one bad row, which --rejects writes as it was.
        with opened(self.path, "rb") as raw, TextIOWrapper(raw, "utf-8-sig", "surrogateescape", newline="") as text:
            yield text

    def _rows(self, lines: TextIO, skips: Skips) -> Iterator[_Row]:
        kind = Path(self.path.name.removesuffix(".gz")).suffix.lower()
        if kind in _JSON_LINES:
            return self._json_lines(lines, skips)
        if kind in _CSV:
            return self._csv(lines, skips)
        raise ReplayError(f"{self.path}: name it .csv, .tsv, .jsonl or .ndjson, with .gz behind if it is compressed")

    def _csv(self, lines: TextIO, skips: Skips) -> Iterator[_Row]:
        taken: list[str] = []  # the lines of the row at hand: a quoted cell may have several
        reader = csv.reader((taken.append(line) or line for line in lines), delimiter=self.delimiter)  # type: ignore[func-returns-value]
        header: list[str] | None = None
        number = 0
        while True:
            number += 1
            taken.clear()
            try:
                cells = next(reader)
            except StopIteration:
                break
            except csv.Error as error:
                skips.refuse(f"row {number}", "not_csv", str(error), _whole(taken))
                continue
            if header is None:
                header = cells
                skips.header(_whole(taken))
            elif len(cells) == len(header) and _is_utf8("".join(cells)):
                yield _Row(number, dict(zip(header, cells, strict=True)), _whole(taken))
            elif len(cells) == len(header):
                skips.refuse(f"row {number}", "not_utf8", "a cell is not UTF-8", _whole(taken))
            elif cells:  # else a line without anything
                detail = f"{len(cells)} cells, and the header has {len(header)}"
                skips.refuse(f"row {number}", "not_csv", detail, _whole(taken))
        if header is None:
            raise ReplayError(f"{self.path} is empty; a CSV file begins with its columns' names")

    def _json_lines(self, lines: TextIO, skips: Skips) -> Iterator[_Row]:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                if not _is_utf8(line):
                    raise ValueError("the line is not UTF-8")
                yield _Row(number, msgspec.json.decode(line, type=dict[str, Any]), _whole([line]))
            except (ValueError, RecursionError) as error:
                skips.refuse(f"row {number}", "not_json", str(error), _whole([line]))


def _whole(lines: list[str]) -> str:
    """The text of a row, with its end."""
    text = "".join(lines)
    return text if text.endswith(("\n", "\r")) else text + "\n"


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
