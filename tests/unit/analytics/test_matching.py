"""Matching: which events, and which seats, are the same across sources."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from analytics.matching import PAIR_SCHEMA, THRESHOLD, EventFacts, compare, is_addon, latest, match_event, same_seats
from tests.support.logs import at, event, frame

ROOT = Path(__file__).parents[3]
DAY = date(2027, 6, 1)
EVENING = datetime(2027, 6, 1, 20, tzinfo=UTC)


class Pair(NamedTuple):
    """A labelled pair of `event_pairs.txt`."""

    label: str
    why: str
    one: EventFacts
    other: EventFacts


def labelled() -> Iterator[Pair]:
    text = (Path(__file__).parent / "event_pairs.txt").read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for title, one, other in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        label, _, why = title.partition(": ")
        yield Pair(label, why, side(one, "a"), side(other, "b"))


def side(line: str, source: str) -> EventFacts:
    name, venue, place, when, *acts = (part.strip() for part in line.split("|"))
    city, _, state = place.partition(", ")
    day, _, hour = when.partition(" ")
    timed = f"2027-{day}T{hour}:00-05:00" if ":" in hour else None
    return EventFacts(
        id=f"{source}-1",
        name=name,
        source=source,
        venue=venue or None,
        city=city or None,
        state=state or None,
        local_date=None if day == "?" else date.fromisoformat(f"2027-{day}"),
        starts=datetime.fromisoformat(timed) if timed else None,
        performers=tuple(act.strip() for act in ";".join(acts).split(";") if act.strip()),
    )


PAIRS = list(labelled())


def show(**facts: Any) -> EventFacts:
    """A show as most tests need one; what is given replaces."""
    usual = EventFacts("e1", "Nora Vale", "stubhub", "Grand Hall", "Chicago", "IL", DAY, EVENING, ("Nora Vale",))
    return replace(usual, **facts)


CANDIDATE = show(id="new", source="seatgeek")


def test_no_match_is_false_and_few_are_missed() -> None:
    """164 labelled pairs: precision 1.00, recall 0.96. A false match is worse than a missed one."""
    matched = {pair.why for pair in PAIRS if match_event(pair.one, [pair.other]) is not None}
    right = {pair.why for pair in PAIRS if pair.label != "other"}
    assert len({pair.why for pair in PAIRS}) == len(PAIRS) == 164, "every pair has a name of its own"
    assert matched - right == set(), f"precision {len(matched & right) / len(matched):.2f}: false matches"
    missed = {pair.why for pair in PAIRS if pair.label == "missed"}
    assert right - matched == missed, f"recall {len(matched & right) / len(right):.2f}: other misses than are known"
    assert round(1 - len(missed) / len(right), 2) == 0.96
    guide = " ".join((ROOT / "docs/guides/watchlist.md").read_text().split())
    assert f"{len(PAIRS)} pairs" in guide
    assert f"{len(matched)} of {len(right)} same shows" in guide


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.why)
def test_it_does_not_matter_which_side_is_known_already(pair: Pair) -> None:
    there, back = match_event(pair.one, [pair.other]), match_event(pair.other, [pair.one])
    assert (there and there.score) == (back and back.score)


def test_the_evidence_says_what_agreed_and_is_ready_for_json() -> None:
    known = show(name="Nora Vale: The Long Road", venue="The Grand Hall (Chicago)", starts=EVENING + timedelta(hours=1))
    found = match_event(CANDIDATE, [known])
    assert found is not None
    assert found.event is known
    assert THRESHOLD <= found.score < 1
    assert json.loads(json.dumps(found.evidence)) == {
        "venue": {"similarity": 1.0, "values": ["Grand Hall", "The Grand Hall (Chicago)"]},
        "date": {"similarity": 1.0, "values": ["2027-06-01", "2027-06-01"]},
        "city": {"similarity": 1.0, "values": ["Chicago", "Chicago"]},
        "start": {"similarity": 0.92, "values": ["2027-06-01T20:00:00+00:00", "2027-06-01T21:00:00+00:00"]},
        "name": {
            "similarity": 0.96, "values": ["Nora Vale", "Nora Vale: The Long Road"], "by": "name without its subtitle",
        },
    }  # fmt: skip


def test_doubts_multiply() -> None:
    """A subtitle, a hall named with its house, an hour between doors and show: two of them pass, three do not."""
    known = show(name="Nora Vale: Live", venue="Lakeside Center - Grand Hall", starts=EVENING + timedelta(hours=1))
    assert match_event(CANDIDATE, [known]) is None
    for less in ({"name": "Nora Vale"}, {"venue": "Grand Hall"}, {"starts": EVENING}):
        found = match_event(CANDIDATE, [replace(known, **less)])
        assert found is not None, less
        assert THRESHOLD <= found.score < 0.9


def test_a_matinee_and_an_evening_are_told_apart_by_the_hour() -> None:
    matinee, evening = show(id="matinee", starts=EVENING - timedelta(hours=6)), show(id="evening")
    found = match_event(CANDIDATE, [matinee, evening])
    assert found is not None
    assert found.event.id == "evening"
    assert match_event(replace(CANDIDATE, starts=None), [matinee, evening]) is None, "which of the two is not known"


def test_what_one_source_says_of_the_hour_counts_for_the_whole_event() -> None:
    """A source that does not know the hour must not lend its event to another show of the day."""
    untimed, matinee = show(starts=None), show(source="ticketmaster", starts=EVENING - timedelta(hours=6))
    assert match_event(CANDIDATE, [untimed]) is not None
    assert match_event(CANDIDATE, [untimed, matinee]) is None


def test_an_event_has_one_listing_of_a_source() -> None:
    same_source = show(source="seatgeek")
    assert match_event(CANDIDATE, [same_source]) is None
    assert match_event(CANDIDATE, [same_source, show(source="ticketmaster")]) is None, "the event has one already"
    assert match_event(CANDIDATE, [show(source=None)]) is not None, "nobody's listing takes no place"


@pytest.mark.parametrize("start", [EVENING, None])
@pytest.mark.parametrize(
    "name",
    [
        "PARKING PASSES ONLY Nora Vale", "Nora Vale - VIP Packages", "Nora Vale Meet & Greet", "City Hawks Season Tickets",
        "Nora Vale (Hotel + Room)", "Harvest Fest - 3-Day Pass", "Susquehanna Breakdown RV Pass", "Harvest Fest Weekend Pass",
    ],
)  # fmt: skip
def test_what_is_sold_beside_a_show_is_never_the_show(name: str, start: datetime | None) -> None:
    assert is_addon(name)
    addon = show(name=name, starts=start)
    assert match_event(CANDIDATE, [addon]) is None
    assert match_event(replace(CANDIDATE, name=name), [addon]) is None, "not even when the names are the same"


@pytest.mark.parametrize("name", ["Nora Vale", "Season of Light", "The Suite Life", "Hotel Lumière", "Passing Strange"])
def test_a_show_is_not_taken_for_an_addon(name: str) -> None:
    assert not is_addon(name)


@pytest.mark.parametrize("name", ["!!!", "The The", "2027", "?", "Северный Ветер", "夜の音楽", "A" * 5000, "(" * 5000])
def test_any_name_is_its_own_match(name: str) -> None:
    found = match_event(replace(CANDIDATE, name=name), [show(name=name)])
    assert found is not None
    assert found.score == 1.0


CALM = settings(max_examples=60)  # no test decides by a clock

WORDS = st.sampled_from([
    "Nora", "Vale", "The", "at", "vs", "Part", "One", "2", "Hawks", "-", ":", "(", ")", "&", "Rovers", "Tour", "with",
    "Tribute", "VIP", "Ferry", "Midnight", "!", "é", "Matinee", "2027",
])  # fmt: skip
NAMES = st.lists(WORDS, min_size=1, max_size=7).map(" ".join)
MAYBE_HOUR = st.none() | st.integers(10, 23).map(lambda hour: EVENING.replace(hour=hour))
SHOWS = st.builds(
    EventFacts,
    id=st.sampled_from(["e1", "e2", "e3"]),
    name=NAMES,
    source=st.sampled_from(["stubhub", "ticketmaster", None]),
    venue=st.none() | st.sampled_from(["Grand Hall", "Grand Theatre", "The Grand Hall", "Hall 1", "Hall 2"]),
    city=st.none() | st.sampled_from(["Chicago", "chicago, IL", "Boston", "Montréal"]),
    state=st.none() | st.sampled_from(["IL", "Illinois", "MA"]),
    local_date=st.none() | st.sampled_from([DAY, DAY + timedelta(days=1)]),
    starts=MAYBE_HOUR,
    performers=st.lists(st.sampled_from(["Nora Vale", "Midnight Ferry", "Hawks", "Rovers"]), max_size=2).map(tuple),
)


@CALM
@given(SHOWS, SHOWS)
def test_likeness_is_symmetric_and_a_score(one: EventFacts, other: EventFacts) -> None:
    there, back = compare(one, other), compare(other, one)
    assert (there and there.score) == (back and back.score)
    assert there is None or 0 < there.score <= 1


@CALM
@given(SHOWS, SHOWS)
def test_another_date_is_never_matched_whatever_else_agrees(one: EventFacts, other: EventFacts) -> None:
    assume(one.local_date != other.local_date or one.local_date is None)
    assert compare(one, other) is None
    assert match_event(one, [replace(one, id="e9", source="x", local_date=other.local_date)]) is None


@CALM
@given(SHOWS, st.sampled_from([("Chicago", "Boston"), ("Portland", "Seattle"), ("Hollywood", "West Hollywood")]))
def test_another_city_is_never_matched_whatever_else_agrees(one: EventFacts, cities: tuple[str, str]) -> None:
    here = replace(one, local_date=DAY, city=cities[0])
    assert compare(here, replace(here, city=cities[1])) is None


@CALM
@given(st.permutations([show(id=f"e{i}", name=name) for i, name in enumerate(("Nora Vale", "Ferry", "Hawks"))]))
def test_the_order_of_what_is_known_is_irrelevant(known: list[EventFacts]) -> None:
    found = match_event(CANDIDATE, known)
    assert found is not None
    assert found.event.id == "e0"


@CALM
@given(SHOWS, st.lists(SHOWS, max_size=6), st.randoms(use_true_random=False))
def test_the_order_is_irrelevant_to_whatever_is_found(one: EventFacts, known: list[EventFacts], draw: Random) -> None:
    shuffled = draw.sample(known, len(known))
    there, again = match_event(one, known), match_event(one, shuffled)
    assert (there and (there.score, there.event.id)) == (again and (again.score, again.event.id))


@CALM
@given(NAMES)
def test_case_accents_and_articles_change_nothing(name: str) -> None:
    assume(not is_addon(name))
    dressed = replace(CANDIDATE, name="  ".join(name.upper().split()), venue="THE GRÄND-HALL", city="chicágo")
    found = match_event(dressed, [show(name=name)])
    assert found is not None
    assert found.score == 1.0


# -- seats ------------------------------------------------------------------------------------------------------------


def offer(source: str, section: Any = "101", row: Any = "C", seat: Any = "12-13", **more: Any) -> dict[str, Any]:
    """A listing of seats; its own id unless one is given."""
    own = f"{source}/{section}/{row}/{seat}"
    return event(source=source, section=section, row=row, seat=seat, **{"quantity": 2, "listing_id": own, **more})


def linked(*offers: dict[str, Any]) -> pl.DataFrame:
    return same_seats(frame(*offers))


@pytest.mark.parametrize(
    ("one", "other", "score"),
    [
        (("101", "C", "12-13"), ("101", "C", "12-13"), 1.0),
        (("Sec 101", "Row C", "12-13"), ("Section 101", "c", "12,13"), 1.0),
        (("Sec. 0101", "ROW 03", "Seats 12 & 13"), ("101", "3", "12 to 13"), 1.0),
        (("101-A", "CC", "12 13"), ("Section 101A", "Row CC", "13-12"), 1.0),
        (("Orch Left", "C", "12–13"), ("Left Orchestra", "C", "#12, #13"), 1.0),
        (("Loge 12 Box 3", "C", "12"), ("Box 12 Loge 3", "C", "12"), 1.0),
        (("101", "C", "12-13"), ("101", "C", "12-15"), 0.5),
        (("101", "C", "12-13"), ("101", "C", "13-14"), 1 / 3),
        (("101", "C", "12-13"), ("101", "C", "14-15"), None),
        (("101", "C", "12-13"), ("101", "D", "12-13"), None),
        (("101", "C", "12-13"), ("102", "C", "12-13"), None),
        (("Box 3 Loge 12", "C", "12"), ("Box 12 Loge 3", "C", "12"), None),
        (("101", "C", None), ("101", "C", None), None),
        (("101", None, "12-13"), ("101", None, "12-13"), None),
        ((None, "C", "12-13"), (None, "C", "12-13"), None),
        (("GA", None, None), ("GA", None, None), None),
        (("General Admission", "GA", "1-2"), ("General Admission", "GA", "1-2"), None),
        (("Lawn", "GA1", "1-2"), ("Lawn", "GA1", "1-2"), None),
        (("101", "C", "*"), ("101", "C", "*"), None),
        (("101", "C", "any two"), ("101", "C", "any two"), None),
        (("101", "C", "1-900"), ("101", "C", "1-900"), None),
        (("101", "C", "A12"), ("101", "C", "A12"), None),
    ],
)
def test_section_row_and_seats_identify(one: Any, other: Any, score: float | None) -> None:
    pairs = linked(offer("seatgeek", *one), offer("stubhub", *other))
    assert pairs["score"].to_list() == ([] if score is None else [score])


def test_two_tickets_on_one_side_of_the_house() -> None:
    """Two tickets for "12-14" are 12 and 14; 13 is across the aisle."""
    pairs = linked(offer("seatgeek", seat="12-14"), offer("stubhub", seat="12,14"), offer("tm", seat="13", quantity=1))
    assert pairs.select("source", "other_source", "score").rows() == [("seatgeek", "stubhub", 1.0)]


def test_a_pair_names_both_listings_and_shows_the_evidence() -> None:
    pairs = linked(
        offer("stubhub", "Sec 101", total_price=150, seller_notes="Aisle seats!"),
        offer("seatgeek", seat="13-14", total_price=100, seller_notes="aisle seats"),
    )
    assert pairs.schema == PAIR_SCHEMA
    assert pairs.rows(named=True) == [
        {
            "event_id": "e1",
            "listing": "e1\x1fseatgeek\x1fUSD\x1f#seatgeek/101/C/13-14",
            "source": "seatgeek",
            "other_listing": "e1\x1fstubhub\x1fUSD\x1f#stubhub/Sec 101/C/12-13",
            "other_source": "stubhub",
            "score": 1 / 3,
            "section": "101",
            "row": "c",
            "seats": [13],
            "price_gap": 0.5,
            "notes_alike": 1.0,
        }
    ]


def test_prices_in_two_currencies_have_no_gap() -> None:
    pairs = linked(offer("stubhub", currency="EUR"), offer("seatgeek"))
    assert pairs.select("price_gap", "notes_alike").rows() == [(None, None)]


@pytest.mark.parametrize("price", [0.01, 100, 999_999])
def test_price_never_decides(price: float) -> None:
    same, elsewhere = offer("stubhub", price=price), offer("tm", row="D", price=100)
    pairs = linked(offer("seatgeek", price=100), same, elsewhere)
    assert pairs.select("other_source", "score").rows() == [("stubhub", 1.0)]


def test_only_the_newest_row_of_a_listing_counts() -> None:
    moved = [offer("seatgeek", row=row, listing_id="L", timestamp=at(s)) for s, row in ((0, "C"), (9, "E"), (5, "D"))]
    rows = frame(*moved)
    assert latest(rows)["row"].to_list() == ["E"]
    assert same_seats(pl.concat([rows, frame(offer("stubhub", row="C"), part=1)])).is_empty()
    assert same_seats(pl.concat([rows, frame(offer("stubhub", row="E"), part=1)])).height == 1


def test_of_equal_times_the_later_in_the_log_is_the_newest() -> None:
    rows = frame(*(offer("seatgeek", row=row, listing_id="L") for row in "CD"))
    assert latest(rows)["row"].to_list() == latest(rows.reverse())["row"].to_list() == ["D"]


def test_event_level_rows_are_no_listings() -> None:
    assert linked(offer("seatgeek", level="event"), offer("stubhub", level="event")).is_empty()


def test_no_rows_give_no_pairs_of_the_same_form() -> None:
    assert same_seats(frame(offer("seatgeek")).clear()).schema == PAIR_SCHEMA


def test_a_seat_that_everybody_offers_links_nothing() -> None:
    """A placeholder such as row 1, seats 1-2; all pairs of it would be a hundred million."""
    crowd = [offer(source, listing_id=str(n)) for source in ("seatgeek", "stubhub") for n in range(200)]
    assert linked(*crowd).is_empty()
    assert linked(*crowd, offer("tm", row="D"), offer("stubhub", row="D")).height == 1
    assert linked(*crowd[:4], *crowd[200:204]).height == 16, "eight offers are within what can be"


OFFERS = st.lists(
    st.builds(
        offer,
        source=st.sampled_from(["seatgeek", "stubhub", "tm"]),
        section=st.sampled_from(["101", "Sec 101", "102", "GA"]),
        row=st.sampled_from(["C", "Row C", "D", None]),
        seat=st.sampled_from(["1", "1-2", "2,3", "2-5", "4-6", None]),
        quantity=st.sampled_from([1, 2]),
        event_id=st.sampled_from(["e1", "e2"]),
        price=st.sampled_from([50, 100, 5000]),
        listing_id=st.sampled_from(["a", "b", "c", "d", "e"]),
        seller_notes=st.sampled_from([None, "aisle"]),
    ),
    min_size=2,
    max_size=14,
)


@CALM
@given(OFFERS, st.randoms(use_true_random=False))
def test_laws_of_pairs(offers: list[dict[str, Any]], draw: Random) -> None:
    rows = frame(*offers)
    pairs = same_seats(rows)
    shuffled = rows.sample(fraction=1, shuffle=True, seed=draw.randrange(1 << 30))
    assert same_seats(shuffled).equals(pairs), "the order of the rows is irrelevant"

    about = {row["listing"]: row for row in latest(rows).iter_rows(named=True)}
    for pair in pairs.iter_rows(named=True):
        one, other = about[pair["listing"]], about[pair["other_listing"]]
        assert one["event_id"] == other["event_id"] == pair["event_id"], "never across events"
        assert one["source"] < other["source"], "never within a source, and each pair once"
        assert 0 < pair["score"] <= 1

    cheap = rows.with_columns(price=pl.lit(1), total_price=pl.col("total_price") * 0 + 1, seller_notes=pl.lit("x"))
    identity = pairs.columns[:9]
    assert same_seats(cheap).select(identity).equals(pairs.select(identity)), "price and text never decide"

    swap = {"seatgeek": "tm", "tm": "seatgeek", "stubhub": "stubhub"}
    renamed = frame(*({**o, "source": swap[o["source"]]} for o in offers))
    undone = {frozenset((sorted_key(p["listing"], swap), sorted_key(p["other_listing"], swap)))
              for p in same_seats(renamed).iter_rows(named=True)}  # fmt: skip
    assert undone == {frozenset((p["listing"], p["other_listing"])) for p in pairs.iter_rows(named=True)}, "symmetric"


def sorted_key(listing: str, swap: dict[str, str]) -> str:
    event_id, source, *rest = listing.split("\x1f")
    return "\x1f".join((event_id, swap[source], *rest))
