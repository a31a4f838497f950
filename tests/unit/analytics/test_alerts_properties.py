"""The engine against a naive reading of the specification, on random price paths and sets of rules."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.alerts import Verdicts
from analytics.changes import Place
from analytics.rules import Rule, RuleError
from tests.support import naive_rules
from tests.support.judging import MINUTE, T0, Desk, rule

prices = st.sampled_from([60, 79, 80, 88, 89, 90, 95, 98, 99, 99.5, 100, 100.5, 101, 102, 103, 105, 110, 120, 150])
steps = st.sampled_from([1, 1, 5, 20, 30, 61, 200, 1500])


@st.composite
def logs(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    rows, time = [], T0
    places = {
        (event, f"L{n}"): draw(st.tuples(st.sampled_from(["101", "102"]), st.just("C"), st.sampled_from(["a", "b"]),
                                         st.sampled_from(["USD", "USD", "USD", "CAD"]),
                                         st.sampled_from(["listing", "listing", "listing", "event"])))
        for event in ("e1", "e2") for n in range(3)
    }  # fmt: skip
    for _ in range(draw(st.integers(1, 40))):
        time += draw(steps) * MINUTE // draw(st.sampled_from([1, 1, 60]))
        which = draw(st.sampled_from(sorted(places)))
        total = round(draw(prices) * 1_000_000)
        rows.append((*which, time, total - 5_000_000, total, draw(st.sampled_from([2, 2, 2, 1, 4])), *places[which]))
    return rows


@st.composite
def some_rules(draw: st.DrawFn) -> list[Rule]:
    made: list[Rule] = []
    for number in range(1, draw(st.integers(1, 5)) + 1):
        condition = draw(st.sampled_from(["at_or_below", "drop", "rise", "new_low", "back"]))
        columns: dict[str, Any] = {"condition": condition, "event_id": draw(st.sampled_from(["e1", "e1", "e2", None]))}
        columns["section"] = draw(st.sampled_from([None, None, "101"]))
        columns["source"] = draw(st.sampled_from([None, None, "a"]))
        # What left the scope before a rule was made is not remembered, so that it can be `back`.
        columns["min_quantity"] = None if condition == "back" else draw(st.sampled_from([None, None, 2]))
        columns["price"] = draw(st.sampled_from(["all_in", "base"]))
        columns["watch"] = draw(st.sampled_from(["lowest", "lowest", "each"]))
        columns["observations"] = draw(st.sampled_from([1, 1, 2, 3]))
        columns["listings"] = draw(st.sampled_from([1, 1, 2]))
        columns["skip_if_true"] = condition == "at_or_below" and draw(st.booleans())
        rearm = draw(st.sampled_from([None, "once", "cooldown", "margin", "lower", "always"]))
        columns |= {"rearm": rearm}
        if rearm == "cooldown":
            columns["cooldown_minutes"] = draw(st.sampled_from([1, 30, 100]))
        if condition == "at_or_below":
            columns["target_price"] = draw(st.sampled_from([80, 99, 100]))
        elif condition in ("drop", "rise"):
            columns |= draw(st.sampled_from([{"percent": 10}, {"percent": "1.5"}, {"amount": 10}]))
            columns["reference"] = draw(st.sampled_from(["last_alert", "previous", "first_seen", "median", "lowest"]))
            if columns["reference"] == "median":
                columns["days"] = draw(st.sampled_from([1, 2]))
        elif condition == "new_low":
            columns["days"] = draw(st.sampled_from([None, 1, 2]))
        columns = {k: v for k, v in columns.items() if v is not None or k == "event_id"}
        try:
            made.append(rule(number, number, **columns))
        except RuleError:
            continue
    return made


def run(
    rules: list[tuple[int, Rule]], rows: list[tuple[Any, ...]], settle: int, cuts: set[int]
) -> list[tuple[int, int]]:
    desk = Desk(settle=settle)
    fired = []
    for index, (event, listing, time, price, total, quantity, *place) in enumerate(rows):
        desk.next_id = index
        desk.add(*(r for begins, r in rules if begins == index))
        listings = desk.listings.setdefault(event, {})
        known = listings.get(listing)
        new = (time, price, total, quantity, known[4] if known else Place(*place, first_seen=time))
        verdicts = Verdicts()
        desk.judge.see(verdicts, event, listings, listing, index, new, lambda: (None, None, None))
        listings[listing] = new
        fired += [(alert.rule.id, alert.price_id) for alert in verdicts.alerts]
        if index in cuts:
            desk.restart()
    return fired


@settings(max_examples=300)
@given(logs(), some_rules(), st.sampled_from([0, 10 * MINUTE]), st.data())
def test_the_engine_fires_what_the_specification_says(
    rows: list[tuple[Any, ...]], rules: list[Rule], settle: int, data: st.DataObject
) -> None:
    # Versions begin in their order, as the log has it.
    begins = sorted(data.draw(st.lists(st.integers(0, 10), min_size=len(rules), max_size=len(rules))))
    on = list(zip(begins, rules, strict=True))
    cuts = data.draw(st.sets(st.integers(0, len(rows))))
    expected = naive_rules.judge(on, rows, settle)
    assert sorted(run(on, rows, settle, set())) == sorted(expected)
    assert run(on, rows, settle, cuts) == run(on, rows, settle, set()), "a restart changed what fires"
