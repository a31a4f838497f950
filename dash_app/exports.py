"""Tables to take away: `/export/<name>.<csv|parquet|xlsx>?…`, where the rest is the address of the page that shows them.

A file holds the whole table of the page's view. Parquet keeps every type. CSV is UTF-8, with times in UTC as RFC 3339
writes them; a cell of text that a spreadsheet would take for a formula gets an apostrophe in front (OWASP, CSV
injection). xlsx has real times, on the clock of the address's `zone`; text stays text there, and is marked as such.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import BoundedSemaphore
from typing import IO, Any

import polars as pl
from flask import Flask, Response, request, send_file

from dash_app import text
from dash_app.database import DatabaseAwayError, NotReadyError
from dash_app.lake import LakeAwayError
from dash_app.page import Export, Page, Services, View
from dash_app.plain import plain_page

_FORMULA = r"^[=+\-@\t\r\n＝＋－＠]"  # what spreadsheets take for the beginning of one
_RFC3339 = "%Y-%m-%dT%H:%M:%S%.fZ"
_DAY_0 = datetime(1899, 12, 30)  # a sheet's times are days since then, wrong before March 1900
_EXACT = 10**15  # sheets keep 15 digits of a number
_LONGEST = 32_767  # characters of a cell
_AT_ONCE = BoundedSemaphore(2)  # in each process: a table is whole in memory while its file is written


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Args:
        mime: what it is called on the way.
        most: rows that it holds.
        write: writes a frame, with times on the clock of a zone where the format knows no other.
    """

    mime: str
    most: int
    write: Callable[[pl.DataFrame, IO[bytes], str], None]


def write_csv(frame: pl.DataFrame, out: IO[bytes], zone: str = "UTC") -> None:
    """Write a frame as CSV: RFC 4180 with a header; null is nothing at all, and an empty text is `""`."""
    times = [
        pl.col(name).dt.convert_time_zone("UTC").dt.to_string(_RFC3339) if kind.time_zone  # type: ignore[attr-defined]
        else pl.col(name).dt.to_string(_RFC3339.removesuffix("Z"))
        for name, kind in frame.schema.items() if kind == pl.Datetime
    ]  # fmt: skip
    flat = _flat(frame).with_columns(times)
    words = pl.col(pl.String).exclude([name for name, kind in frame.schema.items() if kind == pl.Datetime])
    flat.with_columns(words.str.replace(f"({_FORMULA})", "'${1}")).write_csv(out)


def write_parquet(frame: pl.DataFrame, out: IO[bytes], zone: str = "UTC") -> None:
    """Write a frame as Parquet, as it is."""
    frame.write_parquet(out)


def write_xlsx(frame: pl.DataFrame, out: IO[bytes], zone: str = "UTC") -> None:
    """Write a frame as a workbook of one sheet, row by row, so that little of it is in memory.

    Whole numbers of more than 15 digits become text, because a sheet would round them; so do times before March 1900.
    """
    import xlsxwriter  # type: ignore[import-untyped]  # here, because only this needs it

    flat = _flat(frame)
    book = xlsxwriter.Workbook(out, {"constant_memory": True, "default_date_format": "yyyy-mm-dd hh:mm:ss"})
    sheet = book.add_worksheet("ConScope")
    heading, plain = book.add_format({"bold": True, "bottom": 1}), book.add_format()
    quoted = book.add_format({"quote_prefix": True})  # text, also after it was edited
    forms = {pl.Date: "yyyy-mm-dd", pl.Datetime: "yyyy-mm-dd hh:mm:ss"}
    looks = [book.add_format({"num_format": forms[kind.base_type()]}) if kind.base_type() in forms else plain
             for kind in flat.dtypes]  # fmt: skip
    for column, (name, kind) in enumerate(flat.schema.items()):
        sheet.set_column(column, column, 20 if kind == pl.Datetime else 16)
        sheet.write_string(0, column, name, heading)
    sheet.freeze_panes(1, 0)
    if flat.width and flat.height:
        sheet.autofilter(0, 0, flat.height, flat.width - 1)
    cells = flat.with_columns(_cell(flat[name], zone) for name in flat.columns)
    formula = re.compile(_FORMULA)
    for row, values in enumerate(cells.iter_rows(), 1):
        for column, value in enumerate(values):
            if value is None:
                continue
            if isinstance(value, str):
                sheet.write_string(row, column, value, quoted if formula.match(value) else plain)
            elif isinstance(value, bool):
                sheet.write_boolean(row, column, value)
            else:
                sheet.write_number(row, column, value, looks[column])
    book.close()


KINDS = {
    "csv": Kind("text/csv", 5_000_000, write_csv),
    "parquet": Kind("application/vnd.apache.parquet", 5_000_000, write_parquet),
    "xlsx": Kind(
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", 2**20 - 1, write_xlsx  # and the header
    ),
}  # fmt: skip


def register(server: Flask, pages: Sequence[Page], services: Services) -> None:
    """Serve the exports of all pages.

    Raises:
        ValueError: two pages have an export of the same name.
    """
    known: dict[str, Export] = {}
    for page in pages:
        if twice := known.keys() & page.exports.keys():
            raise ValueError(f"two pages have an export of the name {twice}")
        known.update(page.exports)

    def export(name: str, kind: str) -> Response:
        view = View.of(request.query_string.decode("ascii", "replace"))
        if name not in known or kind not in KINDS:
            return plain_page(404, "There is no such table", "The link may be of another version of ConScope.")
        return answer(known[name], KINDS[kind], f"{name}.{kind}", services, view)

    server.add_url_rule("/export/<name>.<kind>", "export", export, methods=["GET"])


def answer(export: Export, kind: Kind, name: str, services: Services, view: View) -> Response:
    """The file for a view, or a page that says why there is none."""
    if not _AT_ONCE.acquire(timeout=10):
        return plain_page(503, "Busy", "Other tables are being written just now. Please try again in a minute.")
    try:
        frame = export(services, view)
        if frame.height > kind.most:
            return _too_long(frame.height, kind)
        spool = tempfile.TemporaryFile(prefix="conscope-export-")  # noqa: SIM115  # closed with the answer
        try:
            kind.write(frame, spool, view.one("zone") or "UTC")
        except BaseException:
            spool.close()
            raise
    except DatabaseAwayError:
        return plain_page(503, "Not now", "The database does not answer. Please try again in a minute.")
    except LakeAwayError as error:
        said = f"The history cannot be read whole: {error}. Please try again in a minute."
        return plain_page(503, "Not now", said)
    except NotReadyError:
        return plain_page(503, "Nothing yet", "There are no tables yet: the flow has not run.")
    finally:
        _AT_ONCE.release()
    size = spool.tell()
    spool.seek(0)
    stem, _, suffix = name.rpartition(".")
    named = f"conscope-{stem}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.{suffix}"
    given = send_file(spool, kind.mime, as_attachment=True, download_name=named, conditional=False, etag=False)
    given.content_length = size
    given.headers["Cache-Control"] = "no-store"
    return given


def _too_long(rows: int, kind: Kind) -> Response:
    other = " Take it as CSV or Parquet, or choose" if kind is KINDS["xlsx"] else " Please choose"
    said = (
        f"This table has {rows:,} rows, and such a file holds {kind.most:,}.{other} less: a shorter time, fewer events."
    )
    return plain_page(413, "Too long a table", said)


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Only numbers, truth values, texts, dates and times; lists joined; no number that is none."""
    return frame.with_columns(_flat_column(name, kind) for name, kind in frame.schema.items())


def _flat_column(name: str, kind: Any) -> pl.Expr:
    column = pl.col(name)
    if isinstance(kind, pl.Array):
        column, kind = column.arr.to_list(), pl.List(kind.inner)
    if isinstance(kind, pl.List):
        return column.list.eval(_flat_column("", kind.inner).cast(pl.String)).list.join("; ", ignore_nulls=True)
    if isinstance(kind, pl.Struct):
        return column.struct.json_encode()
    if isinstance(kind, pl.Duration):
        return column.dt.total_microseconds() / 1e6
    if isinstance(kind, pl.Binary):
        return column.bin.encode("base64")
    if kind.is_float():
        return pl.when(column.is_finite()).then(column)
    if isinstance(kind, pl.Time | pl.Categorical | pl.Enum | pl.Null):
        return column.cast(pl.String)
    return column


def _cell(values: pl.Series, zone: str) -> pl.Series:
    """A column as a sheet's cells: times as days since the sheet's first one; what a number cannot hold as text."""
    kind = values.dtype
    if isinstance(kind, pl.Datetime | pl.Date):
        times = text.local(values, zone) if isinstance(kind, pl.Datetime) and kind.time_zone else values
        days = (times.cast(pl.Datetime("us")) - _DAY_0).dt.total_microseconds() / 86_400e6
        if (days < 61).any():
            return pl.Series(values.name, [d if d is None or d >= 61 else str(t) for d, t in zip(days, times, strict=True)],
                             dtype=pl.Object)  # fmt: skip
        return days.alias(values.name)
    if kind.is_decimal():
        return values.cast(pl.Float64)
    if kind.is_integer() and values.len() and max(abs(values.min() or 0), abs(values.max() or 0)) >= _EXACT:  # type: ignore[arg-type]
        return values.cast(pl.String)
    if kind == pl.String:
        return values.str.slice(0, _LONGEST)
    return values
