"""Importing a file: every row is published or told of, in the order of event time, whatever stands in it."""

from __future__ import annotations

import gzip
import io
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.decode import decode_values
from connectors.mapping import MappingError
from connectors.replay.files import PriceFile
from connectors.replay.records import Record, ReplayError
from connectors.replay.skips import BadRow, Skips
from tests.support.logs import NOON, at, micros

ROOT = Path(__file__).parents[3]
BROADWAY = ROOT / "tests/data/broadway/weekly.csv"

MAP = """
[constants]
source = "partner"
[fields]
event_id = "id"
price = "price"
timestamp = "seen"
"""
JUDGED = micros(NOON)


def row(**given_fields: Any) -> dict[str, Any]:
    return {"id": "e1", "price": "9.50", "seen": at(0), **given_fields}


def jsonl(path: Path, *rows: dict[str, Any] | bytes) -> Path:
    lines = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in rows]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def read(path: Path, mapping: str = MAP, skips: Skips | None = None, **given_options: Any) -> list[Record]:
    file = PriceFile(path, tomllib.loads(mapping), **given_options)
    recording = file.open(file.bounds(), JUDGED, skips or quiet())
    records = list(recording)
    assert recording.count == len(records)
    return records


def quiet(**given_options: Any) -> Skips:
    return Skips(say=lambda _: None, **given_options)


def events(records: list[Record]) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in records]


def test_a_csv_file_and_a_json_lines_file_give_the_same(tmp_path: Path) -> None:
    rows = [row(id=f"e{n}", price=f"{n}.25", seen=at(n)) for n in range(5)]
    (tmp_path / "a.csv").write_text("id,price,seen\n" + "".join(f"{','.join(r.values())}\n" for r in rows))
    lines = jsonl(tmp_path / "a.jsonl", *rows)
    tabbed = (tmp_path / "a.csv").read_text().replace(",", ";")
    (tmp_path / "b.csv").write_text("\ufeff" + tabbed.replace("\n", "\r\n"))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    expected = events(read(lines))
    assert [event["price"] for event in expected] == [0.25, 1.25, 2.25, 3.25, 4.25]
    assert events(read(tmp_path / "a.csv")) == expected
    assert events(read(tmp_path / "a.csv.gz")) == expected
    assert events(read(tmp_path / "b.csv", delimiter=";")) == expected


def test_rows_come_by_event_time_and_rows_of_one_time_as_in_the_file(tmp_path: Path) -> None:
    """A file is often the newest first; published so, every price but the first would be late."""
    rows = [row(id=f"e{n % 2}", price=n + 1, seen=at(second)) for n, second in enumerate([-3, -3, -5, -3, 0, -5])]
    records = read(jsonl(tmp_path / "a.jsonl", *rows))
    assert [event["price"] for event in events(records)] == [3, 6, 1, 2, 4, 5]
    assert [record.key for record in records] == [b"e0", b"e1", b"e0", b"e1", b"e1", b"e0"]
    assert [record.at for record in records] == [micros(NOON) + s * 1_000_000 for s in (-5, -5, -3, -3, -3, 0)]


@settings(max_examples=25)
@given(
    prices=st.lists(st.integers(1, 10**14), min_size=1, max_size=30), times=st.lists(st.integers(-9, 0), min_size=30)
)
def test_every_amount_decodes_to_the_micros_that_stood_in_the_file(
    tmp_path_factory: pytest.TempPathFactory, prices: list[int], times: list[int]
) -> None:
    path = tmp_path_factory.mktemp("money") / "a.jsonl"
    rows = [
        row(id=str(n), price=f"${micros // 10**6:,}.{micros % 10**6:06}", seen=at(times[n]))
        for n, micros in enumerate(prices)
    ]
    decoded = decode_values([record.value for record in read(jsonl(path, *rows))])
    found = dict(decoded.rows.select("event_id", "price").iter_rows())
    assert found == {str(n): micros for n, micros in enumerate(prices)}


def test_a_row_with_several_prices_gives_a_message_for_each(tmp_path: Path) -> None:
    more = '[[observation]]\nlisting_id = { value = "low" }\n[[observation]]\nlisting_id = { value = "top" }\nprice = "top"\n'
    rows = [row(top="20"), row(top="", price="3"), row(top="30", price="")]
    skips = quiet()
    records = read(jsonl(tmp_path / "a.jsonl", *rows), MAP + more, skips)
    assert [(event["listing_id"], event["price"]) for event in events(records)] == [
        ("low", 9.5), ("top", 20), ("low", 3), ("top", 30),
    ]  # fmt: skip
    assert len({record.position for record in records}) == 4
    assert skips.counts == {"unpriced": 2}


BAD = {
    "no JSON": (b'{"id": "e1"', "not_json", "row 2: not_json: "),
    "no object": (b"[1, 2]", "not_json", "row 2: not_json: Expected `object`"),
    "no UTF-8": (b'{"id": "\xff"}', "not_json", "row 2: not_json: the line is not UTF-8"),
    "too deep": (b'{"id": ' + b"[" * 5000, "not_json", "row 2: not_json: "),
    "no price that is one": (
        b'{"id": "e1", "price": "cheap", "seen": "2026-11-23T12:00:00Z"}', "unmappable", "row 2: unmappable: price: 'cheap'",
    ),
    "no time": (b'{"id": "e1", "price": 5}', "unmappable", "row 2: unmappable: timestamp is missing"),
    "a time to come": (
        b'{"id": "e1", "price": 5, "seen": "2026-11-23T12:05:01Z"}', "ahead_of_time", "row 2: ahead_of_time: timestamp is more",
    ),
}  # fmt: skip


@pytest.mark.parametrize("line", BAD)
def test_a_bad_row_is_told_with_its_number_and_kept_and_the_others_are_published(tmp_path: Path, line: str) -> None:
    bad, reason, told = BAD[line]
    path = jsonl(tmp_path / "a.jsonl", row(price=1), bad, b"", row(price=2))
    said: list[str] = []
    kept = io.TextIOWrapper(raw := io.BytesIO(), "utf-8", "surrogateescape", newline="")
    skips = Skips(rejects=kept, say=said.append)
    assert [event["price"] for event in events(read(path, skips=skips))] == [1, 2]
    assert skips.counts == {reason: 1}
    assert len(said) == 1
    assert said[0].startswith(told), said
    assert "\n" not in said[0]
    kept.flush()
    assert raw.getvalue() == bad + b"\n", "the row is not kept as it was"


def test_bad_rows_of_a_csv_file_are_kept_below_its_header_as_they_came(tmp_path: Path) -> None:
    text = (
        "id,price,seen\r\n"
        f'"one, two",5,{at(0)}\r\n'
        f'e2,"1\r\n2",{at(0)}\r\n'  # two lines in a cell
        f"e3,5\r\n"
        "\r\n"
        f"\udcff,5,{at(0)}\r\n"
        f"e4,5,{at(0)},more\r\n"
        f"e5,{'5' * 140_000},{at(0)}\r\n"
        f"e6,6,{at(0)}"
    )
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode(errors="surrogateescape"))
    said: list[str] = []
    kept = io.StringIO(newline="")
    skips = Skips(rejects=kept, say=said.append)
    assert [event["event_id"] for event in events(read(path, skips=skips))] == ["one, two", "e6"]
    assert [line.split(": ")[:2] for line in said] == [
        ["row 3", "unmappable"], ["row 4", "not_csv"], ["row 6", "not_utf8"], ["row 7", "not_csv"], ["row 8", "not_csv"],
    ]  # fmt: skip
    assert said[1].endswith("2 cells, and the header has 3")
    lines = text.splitlines(keepends=True)
    assert kept.getvalue() == "".join(line for i, line in enumerate(lines) if i not in (1, 5, 9))


def test_the_kept_rows_can_be_mended_and_imported(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"id,price,seen\ne1,5,{at(0)}\ne2,six,{at(0)}\n")
    kept = io.StringIO(newline="")
    read(path, skips=quiet(rejects=kept))
    mended = tmp_path / "mended.csv"
    mended.write_text(kept.getvalue().replace("six", "6"))
    assert [(event["event_id"], event["price"]) for event in events(read(mended))] == [("e2", 6)]


def test_after_twenty_lines_bad_rows_are_only_counted(tmp_path: Path) -> None:
    said: list[str] = []
    skips = Skips(say=said.append)
    read(jsonl(tmp_path / "a.jsonl", *[row(price="?")] * 50), skips=skips)
    assert len(said) == 21
    assert said[-1] == "… further bad rows are counted; --rejects FILE keeps them all"
    assert skips.counts == {"unmappable": 50}
    assert len(skips.first["unmappable"]) == 5


def test_a_strict_import_ends_at_the_first_bad_row(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", row(), row(price="?"))
    with pytest.raises(BadRow, match="row 2: unmappable: price"):
        read(path, skips=quiet(strict=True))


def test_a_row_without_a_price_is_no_bad_row(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", row(), row(price=""))
    skips = quiet(strict=True, rejects=(kept := io.StringIO()))
    assert len(read(path, skips=skips)) == 1
    assert skips.counts == {"unpriced": 1}
    assert skips.first["unpriced"][0].startswith("row 2: no price")
    assert kept.getvalue() == ""


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(json.dumps(row(id=n)).encode() + b"\n" for n in range(1000)))
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[:-20])
    (tmp_path / "no.jsonl.gz").write_bytes(b"not compressed")
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "prices.xlsx").write_bytes(b"PK")
    for name, said in {
        "cut.jsonl.gz": "cannot be read to its end",
        "no.jsonl.gz": "cannot be read to its end",
        "empty.csv": "is empty",
        "prices.xlsx": "name it .csv",
        "missing.csv": "No such file",
    }.items():
        with pytest.raises(ReplayError, match=said):
            read(tmp_path / name)
    with pytest.raises(ReplayError, match="No such file"):
        PriceFile(tmp_path / "missing.csv", {}).identity()


def test_a_wrong_mapping_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="timestamp is missing"):
        read(jsonl(tmp_path / "a.jsonl", row()), MAP.replace('timestamp = "seen"', ""))


def test_an_import_is_known_by_content_and_mapping_not_by_place(tmp_path: Path) -> None:
    one, same = jsonl(tmp_path / "a.jsonl", row()), jsonl(tmp_path / "b.jsonl", row())
    other = jsonl(tmp_path / "c.jsonl", row(), row())
    table = tomllib.loads(MAP)
    identity = PriceFile(one, table).identity()
    assert PriceFile(same, tomllib.loads("# a comment\n" + MAP)).identity() == identity
    assert PriceFile(other, table).identity() != identity
    assert PriceFile(one, {**table, "constants": {"source": "x"}}).identity() != identity
    assert PriceFile(one, table, ";").identity() != identity


# --- the worked example


def test_the_broadway_example_maps_every_row() -> None:
    skips = quiet(strict=True)
    records = read(BROADWAY, (ROOT / "feeds/examples/broadway.toml").read_text(), skips)
    assert len(records) == len(BROADWAY.read_text().splitlines()) - 1
    decoded = decode_values([record.value for record in records])
    assert decoded.rejects == []
    dolly = decoded.rows.filter(event_id="broadway-HELLO, DOLLY!").sort("timestamp").row(-1, named=True)
    assert (dolly["price"], dolly["average_price"], dolly["highest_price"]) == (199_940_000, 199_940_000, 673_000_000)
    assert (dolly["level"], dolly["source"], dolly["currency"]) == ("event", "broadway", "USD")
    assert dolly["timestamp"].isoformat() == "2018-08-26T04:00:00+00:00", "the week's last day began in New York"
