"""Messages that must be refused, each with its reason; and odd ones that must not be."""

from __future__ import annotations

from typing import Any

from tests.support.logs import at, message

DEEP = 10_000


def told(field: str, text: bytes) -> bytes:
    """A good event but for one field, written as it stands."""
    return message(**{field: "@@"}).replace(b'"@@"', text)


def _without(field: str) -> bytes:
    return message(**{field: None})


POISON: dict[str, tuple[str, bytes]] = {
    "nothing": ("empty", b""),
    "blanks": ("empty", b" \r\n\t"),
    "cut short": ("not_json", message()[:-1]),
    "a brace": ("not_json", b"{"),
    "more after it": ("not_json", message() + b"{}"),
    "two in one": ("not_json", message() + b"\n" + message()),
    "byte order mark": ("not_json", b"\xef\xbb\xbf" + message()),
    "single quotes": ("not_json", message().replace(b'"', b"'")),
    "trailing comma": ("not_json", message()[:-1] + b",}"),
    "price NaN": ("not_json", told("price", b"NaN")),
    "price Infinity": ("not_json", told("price", b"-Infinity")),
    "raw line break in text": ("not_json", told("section", b'"a\nb"')),
    "raw NUL": ("not_json", told("section", b'"a\x00b"')),
    "lone surrogate, escaped": ("not_json", told("event_id", rb'"\ud800"')),
    "lone surrogate, low half": ("not_json", told("seller_notes", rb'"\udc00x"')),
    "lone surrogate, raw": ("not_utf8", told("event_id", b'"\xed\xa0\x80"')),
    "latin-1": ("not_utf8", told("venue", b'"Caf\xe9"')),
    "utf-16": ("not_utf8", message().decode().encode("utf-16")),
    "gzip": ("not_utf8", bytes.fromhex("1f8b0800000000000003")),
    "too many bytes": ("too_large", told("seller_notes", b'"' + b"x" * (1 << 20) + b'"')),
    "too deep": ("too_deep", told("unknown", b"[" * DEEP + b"]" * DEEP)),
    "an array": ("wrong_type", b"[" + message() + b"]"),
    "an array that never ends": ("wrong_type", b"[" * DEEP),
    "null": ("wrong_type", b"null"),
    "a number": ("wrong_type", b"1"),
    "a text": ("wrong_type", b'"x"'),
    "event_id is null": ("wrong_type", told("event_id", b"null")),
    "event_id is a float": ("wrong_type", told("event_id", b"1.5")),
    "event_id is true": ("wrong_type", told("event_id", b"true")),
    "source is a number": ("wrong_type", told("source", b"1")),
    "section is a list": ("wrong_type", told("section", b'["101"]')),
    "listing_id is an object": ("wrong_type", told("listing_id", b"{}")),
    "event_name is a number": ("wrong_type", told("event_name", b"1")),
    "price is null": ("wrong_type", told("price", b"null")),
    "price is true": ("wrong_type", told("price", b"true")),
    "price is a list": ("wrong_type", told("price", b"[100]")),
    "fees is an object": ("wrong_type", told("fees", b"{}")),
    "quantity is a text": ("wrong_type", told("quantity", b'"2"')),
    "quantity is a fraction": ("wrong_type", told("quantity", b"1.5")),
    "currency is a number": ("wrong_type", told("currency", b"840")),
    "timestamp is a number": ("wrong_type", told("timestamp", b"1795435200")),
    "no event_id": ("missing_field", _without("event_id")),
    "no source": ("missing_field", _without("source")),
    "no price": ("missing_field", _without("price")),
    "no timestamp": ("missing_field", _without("timestamp")),
    "an empty object": ("missing_field", b"{}"),
    "event_id is empty": ("bad_value", message(event_id="")),
    "event_id too long": ("bad_value", message(event_id="é" * 201)),
    "event_id beyond 64 bits": ("bad_value", told("event_id", b"1" + b"0" * 30)),
    "event_id beyond a double": ("bad_value", told("event_id", b"1" + b"0" * 400)),
    "event_id of 5,000 digits": ("bad_value", told("event_id", b"1" * 5000)),
    "seat beyond a double": ("bad_value", told("seat", b"-1" + b"0" * 400)),
    "seat 1e308": ("bad_value", told("seat", b"1e308")),
    "source too long": ("bad_value", message(source="x" * 201)),
    "section too long": ("bad_value", message(section="x" * 201)),
    "event_name too long": ("bad_value", message(event_name="x" * 8193)),
    "price 1e400": ("bad_value", told("price", b"1e400")),
    "price of 400 digits": ("bad_value", told("price", b"1" + b"0" * 400)),
    "price a billion": ("bad_value", message(price=1_000_000_000)),
    "price minus a billion": ("bad_value", message(price=-1e9)),
    "fees a billion": ("bad_value", message(fees=1e9)),
    "a decimal of 40 characters": ("bad_value", message(price="0." + "1" * 38)),
    "timestamp in words": ("bad_value", message(timestamp="yesterday")),
    "timestamp empty": ("bad_value", message(timestamp="")),
    "timestamp a day": ("bad_value", message(timestamp="2026-11-23")),
    "timestamp 30 February": ("bad_value", message(timestamp="2026-02-30T00:00:00Z")),
    "timestamp second 60": ("bad_value", message(timestamp="2026-11-23T11:59:60Z")),
    "timestamp hour 24": ("bad_value", message(timestamp="2026-11-23T24:00:00Z")),
    "timestamp offset of 25 hours": ("bad_value", message(timestamp="2026-11-23T12:00:00+25:00")),
    "event_date in words": ("bad_value", message(event_date="soon")),
    "date in words": ("bad_value", message(date="soon")),
    "currency of two letters": ("bad_value", message(currency="US")),
    "currency of four letters": ("bad_value", message(currency="USDT")),
    "quantity 0": ("bad_value", message(quantity=0)),
    "quantity -1": ("bad_value", message(quantity=-1)),
    "quantity huge": ("bad_value", told("quantity", b"9" * 40)),
    "level unknown": ("bad_value", message(level="seat")),
    "listing_count negative": ("bad_value", message(listing_count=-1)),
    "listing_count huge": ("bad_value", message(listing_count=10**13)),
    "timestamp before 1970": ("bad_timestamp", message(timestamp="1969-12-31T23:59:59.999999Z")),
    "timestamp in year 1": ("bad_timestamp", message(timestamp="0001-01-01T00:00:00+14:00")),
    "timestamp in year 9999": ("bad_timestamp", message(timestamp="9999-12-31T23:59:59-14:00")),
    "event_date before 1970": ("bad_timestamp", message(event_date="1900-01-01T00:00:00Z")),
    "date after 2200": ("bad_timestamp", message(date="2300-01-01T00:00:00Z")),
    "ahead of its log time": ("ahead_of_time", message(timestamp=at(301))),
    "ten years ahead": ("ahead_of_time", message(timestamp="2036-11-23T12:00:00Z")),
    "price in words": ("bad_number", message(price="a lot")),
    "price 'NaN'": ("bad_number", message(price="NaN")),
    "price '1e3'": ("bad_number", message(price="1e3")),
    "price empty": ("bad_number", message(price="")),
    "price with a blank": ("bad_number", message(price=" 12")),
    "price with a comma": ("bad_number", message(price="12,50")),
    "price with a sign": ("bad_number", message(price="$12")),
    "price in other digits": ("bad_number", message(price="١٢")),
    "price of ten digits in text": ("bad_number", message(price="1234567890")),
    "fees in words": ("bad_number", message(fees="none")),
    "highest_price in words": ("bad_number", message(highest_price="?")),
    "currency in small letters": ("bad_currency", message(currency="usd")),
    "currency with a sign": ("bad_currency", message(currency="U$D")),
    "currency with an umlaut": ("bad_currency", message(currency="ÄÖÜ")),
    "currency with a line break": ("bad_currency", message(currency="US\n")),
    "NUL in a name": ("bad_text", message(event_name="a\x00b")),
    "NUL in an id": ("bad_text", message(event_id="\x00")),
    "separator in a section": ("bad_text", message(section="a\x1fb")),
    "separator in notes": ("bad_text", message(seller_notes="a\x1db")),
}

NASTY = (
    "'; DROP TABLE price_history; --", "<script>alert(1)</script>", "@everyone", "=cmd|' /C calc'!A0", "\u202egnp.exe",
    "\\N", "\\.", "a\tb", 'a"b', "a,b", "a\nb", "a\r\nb", "\\x41", "{}", "NULL", "🎫" * 40, " ", "\x7f", "\u2028", "\ufeffx",
)  # fmt: skip
"""Texts to be stored as they are."""

ODD: dict[str, Any] = {
    **{f"text {text!r:.20}": message(section=text, event_name=text, seller_notes=text) for text in NASTY},
    "price as text": message(price="245.50", fees="-0.0", total_price="250.000001"),
    "price as text of 18 decimals": message(price="1." + "0" * 17 + "1"),
    "whole price": message(price=7),
    "half a micro": message(price=0.0000025, fees=1.0000005),
    "no fees": message(price=1.1, fees=2.2),
    "event_id a number": message(event_id=123),
    "ids and seats as numbers": message(listing_id=9_007_199_254_740_993, row=-3, seat=12.5, section=114.0),
    "seat 1e3": told("seat", b"1e3"),
    "empty texts": message(section="", row="", seat="", listing_id="", event_name="", venue="", listing_url="", url="u"),
    "nulls": told("section", b'null, "row": null, "fees": null, "quantity": null, "level": null, "currency": null'),
    "time without an offset": message(timestamp="2026-11-23T12:00:00"),
    "time with a blank": message(timestamp="2026-11-23 12:00:00.5+00:00"),
    "time in small letters": message(timestamp="2026-11-23t12:00:00z"),
    "time with an offset": message(timestamp="2026-11-23T17:30:00+05:30"),
    "time with a short offset": message(timestamp="2026-11-23T11:00:00-0030"),
    "time in nanoseconds": message(timestamp="2026-11-23T12:00:00.123456789Z"),
    "time half a micro": message(timestamp="2026-11-23T12:00:00.1234565Z"),
    "time near the next second": message(timestamp="2026-11-23T12:00:00.9999999Z"),
    "five minutes ahead": message(timestamp=at(300)),
    "old spellings": message(date=at(86_400), url="https://x.example/1"),
    "both spellings": message(event_date=at(1), date=at(2), listing_url="a", url="b"),
    "an event-level row": message(level="event", average_price=120, median_price="110", highest_price=300.5, listing_count=7),
    "unknown fields": told("unknown", b'{"a": [1, null, {"b": "c"}]}'),
    "escaped text": told("section", rb'"\u0041\ud83c\udfab\/"'),
    "a price that is too high": message(price=99_000_000),
    "parking": message(section="PARKING LOT 5"),
    "a hundredth of the price before": message(price=1),
    "a hundred times the price before": message(price=10_000),
    "another currency": message(price=100, currency="EUR"),
    "price zero": message(price=0),
}  # fmt: skip
"""Messages to be accepted (some then quarantined)."""

PARKING = [
    ("section", "Parking"), ("section", "PARKING LOT 5"), ("section", "Lot C - Parking"), ("section", "car park"),
    ("section", "Carparks"), ("section", "East Garage"), ("section", "Shuttle"), ("section", "VALET"),
    ("section", "Park & Ride"), ("section", "Hotel Package"), ("section", "(parking)"), ("row", "Garage"), ("row", "parking"),
    ("event_name", "Parking: Nora Vale"), ("event_name", "Nora Vale - Parking"), ("event_name", "Nora Vale (Parking)"),
    ("event_name", "PARKING PASSES ONLY Nora Vale"), ("event_name", "Nora Vale Parking Pass"),
    ("event_name", "Shuttle tickets to Nora Vale"), ("event_name", "Nora Vale Hotel Packages"),
    ("seller_notes", "Parking pass only, no entry"), ("seller_notes", "parking only"), ("seller_notes", "This is not a ticket."),
    ("seller_notes", "Does not include a ticket"), ("seller_notes", "not valid for admission"),
    ("seller_notes", "doesn't include event entry"),
]  # fmt: skip
"""What is sold beside tickets, and says so."""

TICKETS = [
    ("section", "Parker Hall"), ("section", "Parkview 12"), ("section", "Lot 49"), ("section", "Carpark2"),
    ("section", "Ballpark"),
    ("row", "P"), ("event_name", "Linkin Park"), ("event_name", "Parking Lot Festival"), ("event_name", "UK Garage Night"),
    ("event_name", "The Shuttle"), ("event_name", "Garage: the Musical"), ("event_name", "Live at the Car Park, Level 5"),
    ("seller_notes", "Close to parking and the garage"), ("seller_notes", "parking not included"),
    ("seller_notes", "Includes a free parking pass"), ("seller_notes", "mobile tickets only"), ("event_name", "Spark Parkings"),
]  # fmt: skip
"""What only speaks of it."""
