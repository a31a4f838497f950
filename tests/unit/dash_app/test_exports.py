from __future__ import annotations

import io
import math
import re
import zipfile
from datetime import UTC, date, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pytest
from flask import Flask
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from dash_app.database import DatabaseAwayError, NotReadyError
from dash_app.exports import KINDS, register, write_csv, write_parquet, write_xlsx
from dash_app.lake import LakeAwayError
from dash_app.page import Page, Services, View
from settings import Settings

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_DANGEROUS = tuple("=+-@\t\r\n＝＋－＠")
TIME = pl.Datetime("us", "UTC")

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
times = st.datetimes(datetime(1905, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
rows = st.lists(
    st.tuples(
        st.none() | words,
        st.none() | st.integers(-(2**62), 2**62),
        st.none() | st.floats(-1e300, 1e300),
        st.none() | times,
        st.none() | st.booleans(),
    ),
    max_size=12,
)
SCHEMA = {"word": pl.String, "whole": pl.Int64, "real": pl.Float64, "time": TIME, "truth": pl.Boolean}


quick = settings(max_examples=40)  # files are written; a busy machine is no failure


def framed(found: list[Any]) -> pl.DataFrame:
    return pl.DataFrame(found, schema=SCHEMA, orient="row")


def csv_of(frame: pl.DataFrame) -> bytes:
    return _written(write_csv, frame)


def _written(write: Any, frame: pl.DataFrame, *zone: str) -> bytes:
    out = io.BytesIO()
    write(frame, out, *zone)
    return out.getvalue()


def sheet_of(frame: pl.DataFrame, zone: str = "UTC") -> tuple[list[list[Any]], dict[str, str]]:
    """The sheet's rows as a reader sees them, None where a cell is missing, and the number formats by cell."""
    book = zipfile.ZipFile(io.BytesIO(_written(write_xlsx, frame, zone)))
    styles = ElementTree.fromstring(book.read("xl/styles.xml"))
    codes = {node.get("numFmtId"): node.get("formatCode") for node in styles.iter(f"{_MAIN}numFmt")}
    (looks,) = styles.iter(f"{_MAIN}cellXfs")
    seen: list[list[Any]] = [[None] * frame.width for _ in range(frame.height + 1)]
    forms: dict[str, str] = {}
    for row in ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml")).iter(f"{_MAIN}row"):
        cells = seen[int(row.get("r", 0)) - 1]  # a row of nothing is left out
        for cell in row.iter(f"{_MAIN}c"):
            assert cell.find(f"{_MAIN}f") is None, "a formula"
            name = cell.get("r", "")
            column = ord(name.rstrip("0123456789")) - ord("A")
            look = looks[int(cell.get("s", 0))]
            forms[name] = "quoted" if look.get("quotePrefix") else codes.get(look.get("numFmtId")) or ""
            text = "".join(node.text or "" for node in cell.iter(f"{_MAIN}t"))
            value = cell.findtext(f"{_MAIN}v")
            cells[column] = {"inlineStr": lambda t=text: _unescaped(t), "b": lambda v=value: v == "1"}.get(
                cell.get("t", "n"), lambda v=value: float(v)
            )()
    return seen, forms


def _unescaped(text: str) -> str:
    """ECMA-376 writes a character that XML cannot as _xHHHH_."""
    return re.sub("_x([0-9A-F]{4})_", lambda found: chr(int(found[1], 16)), text)


@quick
@given(rows)
def test_parquet_gives_back_what_it_was_given(found: list[Any]) -> None:
    frame = framed(found)
    assert_frame_equal(pl.read_parquet(_written(write_parquet, frame)), frame)


@quick
@given(rows)
@example([("=1+1", -5, -0.5, None, None), ("", 0, 0.0, None, True), (None, None, None, None, None)])
def test_csv_gives_back_what_it_was_given_save_formulas(found: list[Any]) -> None:
    frame = framed(found)
    again = pl.read_csv(csv_of(frame), schema={**SCHEMA, "time": pl.String})
    assert_frame_equal(again.drop("word", "time"), frame.drop("word", "time"))
    assert [None if t is None else datetime.fromisoformat(t) for t in again["time"]] == frame["time"].to_list()
    for read, written in zip(again["word"], frame["word"], strict=True):
        assert read == (f"'{written}" if written and written.startswith(_DANGEROUS) else written)


@quick
@given(words)
def test_no_cell_of_text_is_a_formula(word: str) -> None:
    frame = pl.DataFrame({"a": [word], "b": [[word, "x"]]})
    again = pl.read_csv(csv_of(frame), schema={"a": pl.String, "b": pl.String})
    assert not any((value or "").startswith(_DANGEROUS) for value in again.row(0))
    (_, (shown, _)), forms = sheet_of(frame)
    assert (shown or "") == word
    assert (forms.get("A2") == "quoted") == word.startswith(_DANGEROUS)


def test_csv_says_times_as_rfc_3339_and_joins_lists() -> None:
    at = datetime(2027, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
    frame = pl.DataFrame(
        {"t": [at], "l": [["a", None, "b,c"]], "d": [timedelta(minutes=2)], "nan": [math.nan], "day": [date(2027, 3, 1)],
         "s": [{"k": 1}]}
    ).with_columns(pl.col("t").dt.convert_time_zone("America/New_York"))  # fmt: skip
    assert csv_of(frame).decode() == (
        't,l,d,nan,day,s\n2027-03-01T12:00:00.250Z,"a; b,c",120.0,,2027-03-01,"{""k"":1}"\n'
    )


@quick
@given(rows)
def test_a_workbook_gives_back_what_it_was_given(found: list[Any]) -> None:
    frame = framed(found)
    (head, *body), _ = sheet_of(frame)
    assert head == frame.columns
    whole_as_text = any(v is not None and abs(v) >= 10**15 for v in frame["whole"])
    for read, written in zip(body, frame.iter_rows(), strict=True):
        word, whole, real, time, truth = read
        assert (word or "") == (written[0] or "")
        assert whole == (str(written[1]) if whole_as_text and written[1] is not None else written[1])
        assert real == (None if written[2] is None else pytest.approx(written[2], rel=1e-14, abs=0))
        assert truth == written[4]
        if written[3] is None:
            assert time is None
        else:
            at = datetime(1899, 12, 30, tzinfo=UTC) + timedelta(days=time)
            assert abs(at - written[3]) < timedelta(milliseconds=1)


def test_a_workbooks_times_are_dates_on_the_viewers_clock() -> None:
    frame = pl.DataFrame({"t": [datetime(2027, 3, 1, 3, tzinfo=UTC)]}, schema={"t": TIME})
    (_, (there,)), forms = sheet_of(frame, "America/New_York")
    assert abs(datetime(1899, 12, 30) + timedelta(days=there) - datetime(2027, 2, 28, 22)) < timedelta(milliseconds=1)
    assert forms["A2"] == "yyyy-mm-dd hh:mm:ss"
    (_, (unknown,)), _ = sheet_of(frame, "Mars/Olympus")
    assert datetime(1899, 12, 30) + timedelta(days=unknown) == datetime(2027, 3, 1, 3)


def test_what_a_sheet_cannot_hold_is_text() -> None:
    frame = pl.DataFrame(
        {"id": [1 << 52, -7], "t": [datetime(1, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)], "long": ["x" * 40_000, ""]}
    )  # fmt: skip
    (_, first, second), _ = sheet_of(frame)
    assert first[0] == "4503599627370496"
    assert str(first[1]).startswith("0001-01-01")
    assert isinstance(second[1], float)
    assert len(first[2]) == 32_767


class Client:
    """Reads every answer to its end, so that its spool is closed."""

    def __init__(self, server: Flask) -> None:
        self._client = server.test_client()

    def get(self, path: str) -> Any:
        return self._client.get(path, buffered=True)


def client_of(*exports: dict[str, Any]) -> Client:
    server = Flask("exports")
    services = Services.of(Settings(_env_file=None))  # type: ignore[call-arg]
    pages = [
        Page(f"/{n}", str(n), lambda view: None, lambda app, services: None, exports=export)
        for n, export in enumerate(exports)
    ]
    register(server, pages, services)
    return Client(server)


def _failing(error: Exception) -> Any:
    def export(services: Services, view: View) -> pl.DataFrame:
        raise error

    return export


def test_an_export_is_of_the_view_that_the_address_names() -> None:
    def export(services: Services, view: View) -> pl.DataFrame:
        return pl.DataFrame({"section": view.many("section"), "event": view.one("event")})

    answer = client_of({"listings": export}).get("/export/listings.csv?event=caf%C3%A9&section=1&section=2")
    assert answer.status_code == 200
    assert answer.text == "section,event\n1,café\n2,café\n"
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert re.fullmatch(
        r'attachment; filename="?conscope-listings-\d{8}T\d{6}Z\.csv"?', answer.headers["Content-Disposition"]
    )
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_served_also_without_rows(kind: str) -> None:
    empty = pl.DataFrame(schema=SCHEMA)
    answer = client_of({"a": lambda services, view: empty}).get(f"/export/a.{kind}")
    assert answer.status_code == 200
    assert int(answer.headers["Content-Length"]) == len(answer.data) > 0


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DatabaseAwayError(), "The database does not answer"),
        (LakeAwayError("it is behind"), "cannot be read whole: it is behind."),
        (NotReadyError(), "the flow has not run"),
    ],
)
def test_a_failure_is_a_page_and_the_next_export_works(error: Exception, said: str) -> None:
    client = client_of({"bad": _failing(error), "good": lambda services, view: pl.DataFrame({"a": [1]})})
    for _ in range(3):  # more than are written at once: none may stay occupied
        answer = client.get("/export/bad.csv")
        assert answer.status_code == 503
        assert said in answer.text
    assert client.get("/export/good.csv").text == "a\n1\n"


def test_too_many_rows_for_a_sheet_say_what_to_do() -> None:
    client = client_of({"all": lambda services, view: pl.DataFrame({"n": pl.int_range(2**20, eager=True)})})
    answer = client.get("/export/all.xlsx")
    assert answer.status_code == 413
    assert "1,048,576 rows" in answer.text
    assert "CSV or Parquet" in answer.text
    assert client.get("/export/all.parquet").status_code == 200


@pytest.mark.parametrize("path", ["nothing.csv", "a.exe", "a.csv.exe", "..%2Fa.csv"])
def test_an_unknown_table_is_no_such_page(path: str) -> None:
    client = client_of({"a": lambda services, view: pl.DataFrame({"a": [1]})})
    assert client.get(f"/export/{path}").status_code == 404


def test_two_exports_of_one_name_are_refused_at_start() -> None:
    with pytest.raises(ValueError, match="two pages"):
        client_of({"a": _failing(DatabaseAwayError())}, {"a": _failing(DatabaseAwayError())})
