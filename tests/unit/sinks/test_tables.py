"""What is written to which table: exact money, the right columns, cut payloads."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics import rules
from analytics.alerts import Decision, Standing
from analytics.schema import MICROS, MONEY, percent, to_units
from analytics.schema import UTC as UTC_TYPE
from analytics.shard import Description
from analytics.windows import Window
from sinks import tables
from sinks.tables import DeadLetter, Metric, Progress, SourceStatus, Write
from tests.unit.sinks import rows

# A price may be a billion, a total is at most the sum of two.
micros = st.integers(-2_000_000_000 * MICROS, 2_000_000_000 * MICROS)


def texts(frame: pl.DataFrame) -> list[list[str]]:
    """The fields of a frame as COPY gets them."""
    return list(csv.reader(io.StringIO(frame.write_csv(include_header=False))))


@given(st.lists(micros, min_size=1, max_size=50))
def test_money_is_written_as_the_exact_decimal(amounts: list[int]) -> None:
    written = texts(pl.DataFrame({"price": amounts}, schema={"price": pl.Int64}).select(to_units("price")))
    assert [Decimal(text) for (text,) in written] == [Decimal(amount) / MICROS for amount in amounts]


@given(st.lists(micros, min_size=1, max_size=50))
def test_money_survives_the_way_through_floats_and_back(amounts: list[int]) -> None:
    """As it goes into the lake and comes out."""
    units = pl.DataFrame({"price": amounts}, schema={"price": pl.Int64}).select(to_units("price"))
    assert (units["price"] * MICROS).round().cast(pl.Int64).to_list() == amounts


def test_all_prices_of_whole_cents_are_exact() -> None:
    cents = pl.DataFrame({"price": [cent * 10_000 for cent in range(0, 2_000_000, 7)]})
    written = texts(cents.select(to_units("price")))
    wrong = [
        (text, cent)
        for (text,), cent in zip(written, range(0, 2_000_000, 7), strict=True)
        if Decimal(text) * 100 != cent
    ]
    assert not wrong, f"{len(wrong)} prices are off, such as {wrong[:3]}"


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=50))
def test_percents_are_written_with_exactly_four_decimals(values: list[int]) -> None:
    written = texts(pl.DataFrame({"p": values}, schema={"p": pl.Int64}).select(percent("p")))
    assert [Decimal(text) for (text,) in written] == [Decimal(value) / 10_000 for value in values]


def test_a_missing_amount_stays_missing() -> None:
    assert pl.DataFrame({"fees": [None, 5]}, schema={"fees": pl.Int64}).select(to_units("fees"))["fees"].to_list() == [
        None,
        0.000005,
    ]


def write_of_each_kind() -> list[Write]:
    """One write of every function of `tables`, with content."""
    price = rows.frame([rows.price(1, average_price=1_500_000, listing_count=3)])
    rule = rules.parse(3, rows.NOON, {"id": 7, "target_price": 90})
    time = int(rows.NOON.timestamp()) * MICROS
    window = Window("e", "", "", "listing", "USD", 60, time, 1, 3, 2, 1, 3, 2, 1, True)
    return [
        tables.history(price),
        tables.quarantine(price.with_columns(reason=pl.lit("zero_price"))),
        tables.releases([(7, 9)]),
        tables.price_changes(rows.compared(range(1))),
        *tables.alerts(rows.fired(range(1)).with_columns(channels=pl.lit(["me"])), None),
        tables.decisions([Decision(rule, 9, "e", True, "fired", 80, 90, None, time)]),
        tables.standings([Standing(rule, "e", "fired", "fired", 80, 90, None, 80, 12, time, 1, time)]),
        tables.windows([window]),
        tables.events([Description("e", "Name", "Venue", time, "City", "ST")]),
        tables.progress([Progress(1, 0, 5, 9, time, 1, 1, 1, 1, 1)]),
        tables.metrics([Metric("lag", 4.0, time)]),
        tables.source_status([SourceStatus("s", "polling", None, 2, 1, 1, 9, 3, 6, 8, time, None, time)]),
        tables.dead_letters([DeadLetter(7, "raw_prices", 0, 7, "not_json", "what", b"\x00{")]),
    ]


@pytest.mark.parametrize("write", write_of_each_kind(), ids=lambda write: write.table.name)
def test_a_frame_has_its_tables_columns_in_order(write: Write) -> None:
    assert write.frame.columns == list(write.table.columns)
    assert write.frame.height == 1
    assert set(write.table.key) <= set(write.table.columns)


def test_every_table_that_is_written_is_covered_here() -> None:
    known = {value.name for value in vars(tables).values() if isinstance(value, tables.Table)}
    assert {write.table.name for write in write_of_each_kind()} == known


@pytest.mark.parametrize("write", write_of_each_kind(), ids=lambda write: write.table.name)
def test_times_are_in_utc_and_money_is_in_units(write: Write) -> None:
    for name, kind in write.frame.schema.items():
        if name.endswith(("timestamp", "_start", "_date", "_at")) or name == "watermark":
            assert kind == UTC_TYPE, f"{write.table.name}.{name} is {kind}"
            assert write.frame[name].drop_nulls().to_list() in (
                [],
                [rows.NOON],
                [datetime(2026, 11, 23, 11, 59, tzinfo=UTC)],
            )
        if name in MONEY or name.endswith("_price"):
            assert kind == pl.Float64, f"{write.table.name}.{name} is {kind}"
            assert (write.frame[name].drop_nulls() < 1000).all(), f"{write.table.name}.{name} is still in micros"


def test_only_changes_are_written_as_changes() -> None:
    fired = rows.compared(range(3))
    same = fired.with_columns(change=pl.Series([-1, 0, None], dtype=pl.Int64))
    assert tables.price_changes(same).frame["id"].to_list() == [fired["id"][0]]


def test_an_alert_says_how_far_the_price_fell() -> None:
    (write,) = tables.alerts(rows.dropped(range(1), percent=25), None)
    assert write.frame.select("old_price", "new_price", "drop_amount", "drop_percent").row(0) == (100, 75, 25, 25)


def test_an_alert_of_a_rule_says_why_and_goes_to_the_channels_that_the_rule_names() -> None:
    alerts, outbox, triggers = tables.alerts(rows.fired(range(1)), "discord:default")
    facts = ("rule_id", "rule_version", "rule_name", "cause", "reference", "percentile", "lowest_so_far", "sample")
    assert alerts.frame.select(facts).row(0) == (
        7, 3, "mine", "lowest all-in price at or below 90.00 USD", "previous", 5, 80, 12,
    )  # fmt: skip
    assert outbox.frame["channel"].to_list() == ["me", "team"]
    assert triggers.frame.select("alert_id", "price", "price_id").row(0) == (7, 80, alerts.frame["price_id"][0])


def test_without_a_channel_no_delivery_is_asked_for() -> None:
    assert [write.table.name for write in tables.alerts(rows.dropped(range(2)), None)] == ["price_drop_alerts"]


@pytest.mark.parametrize("size", [0, 1, tables.MAX_PAYLOAD, tables.MAX_PAYLOAD + 1, 3 * tables.MAX_PAYLOAD])
def test_a_long_payload_is_cut_and_its_size_kept(size: int) -> None:
    payload = bytes(i % 256 for i in range(size))
    row = tables.dead_letters([DeadLetter(7, "raw_prices", 3, 5, "too_large", "", payload)]).frame.row(0, named=True)
    assert row["payload"].startswith("\\x")
    assert bytes.fromhex(row["payload"][2:]) == payload[: tables.MAX_PAYLOAD]
    assert row["size"] == size
