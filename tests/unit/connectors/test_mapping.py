"""A mapping in TOML: clear about its own mistakes, strict with rows, and never the inventor of a price."""

from __future__ import annotations

import json
import tomllib
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from analytics import quality
from analytics.decode import decode_values
from connectors.mapping import FIELDS, REQUIRED, Mapped, Mapping, MappingError, Unmappable

BASE = """
[constants]
source = "partner"
[fields]
event_id = "id"
price = "price"
timestamp = { from = "seen", time_zone = "America/New_York" }
"""
ROW = {"id": 7, "price": 25, "seen": "2026-11-23T19:30:00Z"}


def mapping(more: str = "", base: str = BASE) -> Mapping:
    return Mapping.parse(tomllib.loads(base + more))


def take(more: str = "", **row: Any) -> dict[str, Any]:
    """The one event of one row."""
    mapped = mapping(more).events({**ROW, **row})
    assert len(mapped.events) == 1, mapped
    return mapped.events[0]


def price(spec: str, value: Any, currency: str = "USD") -> Any:
    base = BASE.replace('price = "price"', f"price = {spec}") + 'currency = "currency"\n'
    return mapping(base=base).events({**ROW, "price": value, "currency": currency}).events[0]["price"]


def moment(spec: str, value: Any) -> Any:
    return take(f"event_date = {spec}", at=value)["event_date"]


def test_the_least_mapping_gives_the_required_fields() -> None:
    assert take() == {"source": "partner", "event_id": "7", "price": 25.0, "timestamp": "2026-11-23T19:30:00+00:00"}


def test_a_path_walks_objects_and_lists() -> None:
    offers = [{"price": 5}, {"price": "6.50"}]
    assert take('fees = "offers.1.price"', offers=offers)["fees"] == 6.5
    for path in ("offers.2.price", "offers.-1.price", "offers.x.price", "offers.0.price.deeper", "id.deeper"):
        assert "fees" not in take(f'fees = "{path}"', offers=offers), path


def test_a_column_whose_name_has_dots_is_found_before_any_walk() -> None:
    row = {"Avg. price": 12, "a.b": 1, "a": {"b": 2}}
    assert take('fees = "Avg. price"', **row)["fees"] == 12
    assert take('fees = "a.b"', **row)["fees"] == 1


def test_a_template_is_filled_in_and_has_nothing_when_a_part_has_nothing() -> None:
    spec = 'event_name = "{team.name} v {rivals.0} ({id})"'
    assert take(spec, team={"name": " Royals "}, rivals=["Hawks"])["event_name"] == "Royals v Hawks (7)"
    assert "event_name" not in take(spec, team={"name": ""}, rivals=["Hawks"])
    assert "event_name" not in take(spec, team={"name": "Royals"})


def test_a_template_may_have_transforms() -> None:
    spec = 'event_date = { from = "{day} {hour}", time = "%d/%m/%Y %H:%M", time_zone = "Europe/Berlin" }'
    assert take(spec, day="24/12/2026", hour="18:00")["event_date"] == "2026-12-24T17:00:00+00:00"


def test_a_constant_fills_in_where_a_row_says_nothing() -> None:
    base = BASE.replace("[fields]", 'currency = "CAD"\n[fields]\ncurrency = { from = "money", case = "upper" }')
    for said, taken in (("eur", "EUR"), (None, "CAD"), (" ", "CAD")):
        assert mapping(base=base).events({**ROW, "money": said}).events[0]["currency"] == taken


def test_what_the_caller_gives_is_weaker_than_row_and_constants() -> None:
    table = tomllib.loads(BASE)
    del table["constants"]
    with pytest.raises(MappingError, match="source is missing"):
        Mapping.parse(table)
    given_by_caller = {"source": "feed", "timestamp": "2026-01-01T00:00:00+00:00"}
    read = Mapping.parse(table, given=tuple(given_by_caller))
    event = read.events(ROW, given_by_caller).events[0]
    assert (event["source"], event["timestamp"]) == ("feed", "2026-11-23T19:30:00+00:00")
    event = read.events({**ROW, "seen": None}, given_by_caller).events[0]
    assert event["timestamp"] == given_by_caller["timestamp"]
    assert mapping().events(ROW, given_by_caller).events[0]["source"] == "partner"


def test_several_observations_of_one_row() -> None:
    # A line as mh-c/broadway-gross-crawler (MIT) writes them.
    row = {
        "week": "2018-08-26",
        "name": "ALADDIN",
        "average_ticket": "$100.71",
        "top_ticket": "$200",
        "grosses": "$1,339,909",
    }
    read = mapping(
        base="""
        [constants]
        source = "broadway"
        currency = "USD"
        [fields]
        event_id = "{name}-{week}"
        event_name = "name"
        timestamp = { from = "week", time_zone = "America/New_York" }
        [[observation]]
        listing_id = { value = "average" }
        price = "average_ticket"
        [[observation]]
        listing_id = { value = "top" }
        price = "top_ticket"
        """
    )
    found = read.events(row)
    assert [(e["listing_id"], e["price"], e["event_id"], e["timestamp"]) for e in found.events] == [
        ("average", 100.71, "ALADDIN-2018-08-26", "2018-08-26T04:00:00+00:00"),
        ("top", 200.0, "ALADDIN-2018-08-26", "2018-08-26T04:00:00+00:00"),
    ]
    found = read.events({**row, "top_ticket": ""})
    assert [e["listing_id"] for e in found.events] == ["average"]
    assert found.unpriced == ["no price at 'top_ticket'"]


@pytest.mark.parametrize("nothing", [None, "", "  ", {}, 0, "0", "$0.00", 1e-9], ids=repr)
def test_no_price_is_told_and_is_never_zero(nothing: Any) -> None:
    row = {**ROW, "price": nothing} if nothing != {} else {"id": 7, "seen": ROW["seen"]}
    assert mapping().events(row) == Mapped([], ["no price at 'price'"])


def test_what_stands_for_nothing_can_be_mapped_to_nothing() -> None:
    read = mapping(base=BASE.replace('"price"', '{ from = "price", map = { "N/A" = "" } }'))
    assert read.events({**ROW, "price": "N/A"}).unpriced
    assert read.events({**ROW, "price": "10"}).events[0]["price"] == 10


def test_fees_may_be_zero() -> None:
    assert take('fees = "fees"', fees="0.00")["fees"] == 0
    assert "total_price" not in take('total_price = "all_in"', all_in=0)


def test_a_row_without_price_is_unpriced_whatever_else_is_wrong_with_it() -> None:
    assert mapping('event_date = "at"').events({"price": None, "at": "TBA"}).unpriced


@pytest.mark.parametrize(
    ("spec", "said", "currency", "meant"),
    [
        ('"price"', "$1,339,909", "USD", 1_339_909),
        ('"price"', "US$ 1,234.50", "USD", 1234.5),
        ('"price"', "1 234.50 USD", "USD", 1234.5),
        ('"price"', "CHF 1'234.50", "CHF", 1234.5),
        ('"price"', 245.5, "USD", 245.5),
        ('"price"', "0.000001", "BTC", 0.000001),
        ('{ from = "price", decimal = "," }', "1.234,56 €", "EUR", 1234.56),
        ('{ from = "price", decimal = "," }', "1\u202f234,56 €", "EUR", 1234.56),
        ('{ from = "price", decimal = "," }', "1.234", "EUR", 1234),
        ('{ from = "price", decimal = "," }', "1 299 kr.", "SEK", 1299),
        ('{ from = "price", scale = 0.01 }', 24550, "USD", 245.5),
        ('{ from = "price", scale = 0.01 }', "29", "USD", 0.29),
        ('{ from = "price", scale = 1000 }', 1.1, "USD", 1100),
    ],
)
def test_money_as_people_write_it(spec: str, said: Any, currency: str, meant: float) -> None:
    assert price(spec, said, currency) == meant


@pytest.mark.parametrize(
    ("spec", "said", "why"),
    [
        ('"price"', "12,50", "decimal mark '.'"),
        ('"price"', "1.234,56", "decimal mark '.'"),
        ('{ from = "price", decimal = "," }', "12.50", "decimal mark ','"),
        ('"price"', "1,23,456", "decimal mark"),
        ('"price"', "1,234 567", "decimal mark"),
        ('"price"', "25-30", "decimal mark"),
        ('"price"', "25 - 30", "decimal mark"),
        ('"price"', "from $25", "decimal mark"),
        ('"price"', "1.2M", "decimal mark"),
        ('"price"', "12K", "decimal mark"),
        ('"price"', "78.4%", "decimal mark"),
        ('"price"', "1e3", "decimal mark"),
        ('"price"', "٣", "decimal mark"),
        ('"price"', "€25", "is in EUR, and the currency here is USD"),
        ('"price"', "25 CAD", "is in CAD, and the currency here is USD"),
        ('"price"', "-$5.25", "below zero"),
        ('"price"', -5, "below zero"),
        ('"price"', True, "yes or no"),
        ('"price"', [25], "not a value"),
        ('"price"', {"amount": 25}, "not a value"),
        ('"price"', float("nan"), "price"),
        ('"price"', float("inf"), "below a billion"),
        ('"price"', "1,000,000,000", "below a billion"),
    ],
)
def test_a_guess_is_no_price(spec: str, said: Any, why: str) -> None:
    with pytest.raises(Unmappable, match=why):
        price(spec, said)


@given(
    cents=st.integers(1, 99_999_999_900),
    style=st.sampled_from([("", "."), (",", "."), (" ", "."), ("", ","), (".", ","), ("\u202f", ","), ("’", ".")]),
    unit=st.sampled_from(["{}", "${}", "USD {}", "{} USD", "US${}", " {} "]),
)
def test_every_way_of_writing_an_amount_is_that_amount(cents: int, style: tuple[str, str], unit: str) -> None:
    mark, decimal = style
    text = f"{cents // 100:,}".replace(",", mark) + decimal + f"{cents % 100:02d}"
    assert price(f'{{ from = "price", decimal = "{decimal}" }}', unit.format(text)) == float(Decimal(cents) / 100)


@pytest.mark.parametrize(
    ("spec", "said", "meant"),
    [
        ('"at"', "2026-11-23T19:30:00-05:00", "2026-11-24T00:30:00+00:00"),
        ('{ from = "at", time_zone = "America/New_York" }', "2026-11-23T19:30:00", "2026-11-24T00:30:00+00:00"),
        ('{ from = "at", time_zone = "America/New_York" }', "2026-11-23T19:30:00Z", "2026-11-23T19:30:00+00:00"),
        ('{ from = "at", time_zone = "America/New_York" }', "2026-07-01", "2026-07-01T04:00:00+00:00"),
        ('{ from = "at", time = "%m/%d/%Y", time_zone = "UTC" }', "11/23/2026", "2026-11-23T00:00:00+00:00"),
        ('{ from = "at", time = "%Y%m%d", time_zone = "UTC" }', 20261123, "2026-11-23T00:00:00+00:00"),
        ('{ from = "at", time = "%d.%m.%Y %H:%M %z" }', "23.11.2026 20:30 +0100", "2026-11-23T19:30:00+00:00"),
        ('{ from = "at", time = "seconds" }', 1795462200, "2026-11-23T19:30:00+00:00"),
        ('{ from = "at", time = "seconds" }', "1795462200.25", "2026-11-23T19:30:00.250000+00:00"),
        ('{ from = "at", time = "milliseconds" }', 1795462200250, "2026-11-23T19:30:00.250000+00:00"),
        ("{ value = 2026-11-23T19:30:00Z }", None, "2026-11-23T19:30:00+00:00"),
        ('{ value = 2026-11-23, time_zone = "UTC" }', None, "2026-11-23T00:00:00+00:00"),
    ],
)
def test_times_as_sources_write_them(spec: str, said: Any, meant: str) -> None:
    assert moment(spec, said) == meant


@pytest.mark.parametrize(
    ("spec", "said", "why"),
    [
        ('"at"', "2026-11-23T19:30:00", "no offset: write time_zone"),
        ('"at"', 1795462200, 'write time = "seconds"'),
        ('"at"', "TBA", "'TBA' is not what was expected"),
        ('{ from = "at", time = "%m/%d/%Y", time_zone = "UTC" }', "23/11/2026", "not what was expected"),
        ('{ from = "at", time = "seconds" }', 1795462200250, "event_date"),
        ('{ from = "at", time = "seconds" }', "soon", "not what was expected"),
        ('"at"', "0001-01-01T00:00:00Z", "between 1970 and 2200"),
        ('"at"', "9999-12-31T23:59:59-12:00", "between 1970 and 2200"),
    ],
)
def test_a_guess_is_no_time(spec: str, said: Any, why: str) -> None:
    with pytest.raises(Unmappable, match=why):
        moment(spec, said)


def test_values_are_translated_and_cased() -> None:
    spec = 'level = { from = "kind", map = { true = "listing", E = "event" } }\nstate = { from = "st", case = "upper" }'
    assert take(spec, kind="E", st=" il ")["state"] == "IL"
    assert take(spec, kind="E")["level"] == "event"
    assert take(spec, kind=True)["level"] == "listing"
    with pytest.raises(Unmappable, match="level: 'X' is neither"):
        take(spec, kind="X")


def test_numbers_are_texts_where_the_contract_has_texts() -> None:
    found = take('section = "s"\nrow = "r"\nlisting_id = "l"', s=101, r=4.0, l=10**15)
    assert (found["section"], found["row"], found["listing_id"]) == ("101", "4", "1000000000000000")


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("quantity", 0), ("quantity", 1.5), ("quantity", "two"), ("quantity", 10**7), ("listing_count", -1),
        ("currency", "dollars"), ("currency", "usd"), ("level", "seat"), ("section", "x" * 201), ("section", ["101"]),
        ("listing_url", "/listing/5"), ("listing_url", "javascript:alert(1)"), ("seller_notes", "x" * 8193),
        ("venue", "a\x00b"), ("venue", "\ud800"),
    ],
)  # fmt: skip
def test_a_value_that_the_contract_does_not_know_makes_a_row_unmappable(field: str, said: Any) -> None:
    with pytest.raises(Unmappable, match=f"^{field}: "):
        take(f'{field} = "it"', it=said)


@pytest.mark.parametrize("field", ["event_id", "timestamp", "source", "currency"])
def test_a_required_field_without_value_makes_a_row_unmappable(field: str) -> None:
    base = """
    [fields]
    event_id = "event_id"
    timestamp = "timestamp"
    source = "source"
    currency = "currency"
    price = "price"
    """
    row = {"event_id": "e", "timestamp": ROW["seen"], "source": "s", "currency": "USD", "price": 1}
    assert mapping(base=base).events(row).events
    with pytest.raises(Unmappable, match=f"{field} is missing"):
        mapping(base=base).events({**row, field: None})


@pytest.mark.parametrize(
    ("more", "names", "says"),
    [
        ('url = "x"', "url", "listing_url"),
        ("fees = 5", "fees", '{ from = "a path" }'),
        ('fees = { path = "x" }', "fees", '{ from = "a path" }'),
        ('fees = { from = "x", value = 1 }', "fees", '{ from = "a path" }'),
        ('fees = ""', "fees.from", "offers.0.price"),
        ('fees = { from = "x", case = "upper" }', "'case'", "from, value, map, decimal, scale"),
        ('fees = { from = "x", decimal = ";" }', "fees.decimal", "'.' or ','"),
        ('fees = { from = "x", scale = 0 }', "fees.scale", "0.01"),
        ('fees = { from = "x", scale = "a" }', "fees.scale", "0.01"),
        ("fees = { value = [1] }", "fees", "not a value"),
        ('venue = { from = "x", case = "title" }', "venue.case", "'upper' or 'lower'"),
        ('venue = { from = "x", map = "y" }', "venue.map", '{ "Mezz" = "Mezzanine" }'),
        ('venue = "{x"', "venue.from", '"{team}-{date}"'),
        ('venue = "x}y"', "venue.from", '"{team}-{date}"'),
        ('venue = "{}"', "venue.from", '"{team}-{date}"'),
        ('event_date = { from = "x", time = "ISO" }', "event_date.time", '"%m/%d/%Y %H:%M"'),
        ('event_date = { from = "x", time = "%Q" }', "event_date.time", '"%m/%d/%Y %H:%M"'),
        ('event_date = { from = "x", time = ["seconds"] }', "event_date.time", '"seconds"'),
        ('event_date = { from = "x", time_zone = "Mars/Base" }', "event_date.time_zone", '"America/New_York"'),
        ('event_date = { from = "x", time_zone = "../etc" }', "event_date.time_zone", '"America/New_York"'),
        ('level = { value = "seat" }', "level", "'listing'"),
        ("[other]", "'other'", "constants, fields, observation"),
        ("[observation]", "observation", "[[observation]]"),
        (2 * "[[observation]]\nlisting_id = { value = 'a' }\n", "one listing", "listing_id"),
        (
            "".join(f"[[observation]]\nlevel = {{ value = 'event' }}\nsection = '{place}'\n" for place in "ab"),
            "one listing",
            'level "listing"',
        ),
    ],
)  # fmt: skip
def test_a_wrong_mapping_is_told_with_its_key_and_what_to_write(more: str, names: str, says: str) -> None:
    with pytest.raises(MappingError) as error:
        mapping(more)
    assert names in str(error.value)
    assert says in str(error.value)


@pytest.mark.parametrize(
    "base",
    [
        BASE.replace('"partner"', '"partner"\nprice = 5'),
        BASE.replace('"partner"', '"partner"\ncurrency = "dollar"'),
        BASE.replace('"partner"', '" "'),
        BASE.replace('"partner"', '["partner"]'),
        BASE.replace('price = "price"', "price = { value = 5 }"),
        "fields = 5",
        *(BASE.replace(f"{name} =", "venue =") for name in REQUIRED),
    ],
)
def test_constants_and_required_fields_are_checked_when_the_mapping_is_read(base: str) -> None:
    with pytest.raises(MappingError):
        mapping(base=base)


_plain = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=12)
_times = st.sampled_from(["2026-11-23T19:30:00Z", "2026-11-23", "1969-12-31T23:59:59Z", "2199-12-31T23:59:59Z"])
_amounts = st.sampled_from(["$1,339,909", "1.234,56 €", "0", "-1", "999999999", "1e5"]) | st.decimals(0, 10**9).map(str)
_levels = st.sampled_from(["event", "listing", "USD", "EUR"])
_values = (
    _plain | _times | _amounts | _levels | st.lists(_plain, max_size=2) | st.dictionaries(st.text(), _plain, max_size=2)
)
EVERYTHING = Mapping.parse(
    {
        "constants": {"source": "s", "currency": "USD", "timestamp": "2026-01-01T00:00:00Z"},
        "fields": {name: {"from": name, "time_zone": "UTC"} if name in ("event_date", "timestamp") else name for name in FIELDS},
    }
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(FIELDS), _values, max_size=4))
@example({"event_date": "2200-01-01T00:00:00Z"})
@example({"price": 999_999_999, "quantity": "1,000,000", "venue": "x" * 8192, "section": "x" * 200})
def test_a_row_is_told_unpriced_or_unmappable_or_becomes_an_event_that_decodes(odd: dict[str, Any]) -> None:
    try:
        mapped = EVERYTHING.events({"event_id": "e", "price": "25", **odd})
    except Unmappable:
        return
    assert len(mapped.events) + len(mapped.unpriced) == 1
    decoded = decode_values([json.dumps(event).encode() for event in mapped.events])
    assert decoded.rejects == []
    assert decoded.rows.height == len(mapped.events)
    assert set(quality.split(decoded.rows)[1]["reason"]) <= {"implausibly_high"}
