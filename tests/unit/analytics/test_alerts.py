"""What rules mean, to the letter of the specification."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from analytics.rules import RuleError
from tests.support.judging import DAY, HOUR, MINUTE, START, T0, Desk, rule


def desk(*rules: object, **options: int) -> Desk:
    made = Desk(**options)
    made.add(*rules)  # type: ignore[arg-type]
    return made


def test_at_or_below_fires_once_and_again_only_after_the_price_has_gone_back_over_the_margin() -> None:
    at = desk(rule(target_price=100))
    assert at.path([120, 100, 99, 101, 100, 102, 100, 102.01, 100]) == [1, 8]


def test_an_oscillation_round_the_target_alerts_once() -> None:
    assert desk(rule(target_price=100)).path([99, 101] * 1000) == [0]


def test_a_slow_drip_fires_once_for_every_ten_percent_since_the_last_alert() -> None:
    path = [100 * 0.99**step for step in range(41)]
    fired = desk(rule(condition="drop", percent=10)).path(path)
    expected, reference = [], path[0]
    for index, price in enumerate(path):
        if round(price, 6) <= reference * 0.9 + 1e-9:
            expected.append(index)
            reference = price
    assert fired == expected
    assert len(fired) == 3


def test_a_drop_since_the_previous_price_never_fires_on_a_slow_drip() -> None:
    assert desk(rule(condition="drop", percent=10, reference="previous")).path([100 * 0.99**i for i in range(50)]) == []


def test_already_true_when_it_is_made_fires_unless_told_not_to() -> None:
    for skip, fired in ((False, [0]), (True, [])):
        at = Desk()
        at.see(90)
        at.add(rule(target_price=100, skip_if_true=skip))
        assert at.path([90, 90, 89]) == fired
    assert at.reason() == "not_rearmed"
    assert at.path([103, 99]) == [1], "what was true is over, and comes again"


def test_a_new_event_below_the_target_is_news_even_for_a_rule_that_skips_what_already_holds() -> None:
    assert desk(rule(target_price=100, skip_if_true=True)).path([90]) == [0]


def test_equal_to_the_low_at_or_below_fires_and_new_low_does_not() -> None:
    at = desk(rule(1, 1, target_price=100), rule(2, 2, condition="new_low"))
    at.path([120, 100, 120])
    at.alerts.clear()
    at.see(100)
    assert [a.rule.id for a in at.alerts] == [1]
    at.see(99.99)
    assert [a.rule.id for a in at.alerts] == [1, 2]


def test_a_new_low_of_days_forgets_older_lows_and_keeps_one_that_stood_until_lately() -> None:
    at = desk(rule(condition="new_low", days=2))
    assert not at.see(50, 0)
    assert not at.see(80, 1)
    assert not at.see(79, 24 * 60), "50 is a low of the last two days"
    assert at.see(78, 2 * 24 * 60 + 5), "50 is older than two days, 79 stood until now"
    assert not at.see(78, 2 * 24 * 60 + 6)


def test_watching_the_lowest_of_a_section() -> None:
    at = desk(rule(target_price=100, section="Section 101", max_row="F"))
    assert not at.see(90, listing="other section", section="102")
    assert not at.see(90, listing="too far back", section="101", row="G")
    assert not at.see(90, listing="row unknown", section="101", row=None)
    assert not at.see(90, listing="other currency", section="101", currency="CAD")
    assert at.see(95, listing="mine", section="Sec. 101", row="f")
    assert not at.see(80, listing="lower still", section="101", row="A"), "fired, and not armed again"


def test_the_lowest_goes_up_when_the_cheapest_listing_does_or_is_not_seen_for_a_day() -> None:
    at = desk(rule(condition="rise", amount=20))
    at.see(100, 0, "a")
    at.see(150, 1, "b")
    [alert] = at.see(140, 2, "a")
    assert (alert.new, alert.old, alert.own) == (140_000_000, 100_000_000, True)
    assert not at.see(150, 3, "b")
    [alert] = at.see(190, 3 + 26 * 60, "b")
    assert (alert.new, alert.old) == (190_000_000, 140_000_000)


def test_k_listings_must_qualify() -> None:
    at = desk(rule(target_price=100, listings=3))
    assert [bool(at.see(p, listing=x)) for p, x in ((90, "a"), (95, "b"), (120, "c"), (99, "d"))] == [0, 0, 0, 1]


def test_a_price_must_stand_for_so_many_looks() -> None:
    at = desk(rule(target_price=100, observations=3))
    assert at.path([90, 120, 90, 90, 120, 90, 89, 90, 90]) == [7], "flicker is not held"
    assert at.reason() == "not_rearmed"


def test_other_listings_do_not_confirm_a_price_that_stands_elsewhere() -> None:
    at = desk(rule(target_price=100, observations=2))
    assert not at.see(90, listing="cheap")
    assert not at.see(200, listing="dear")
    assert not at.see(201, listing="dear")
    assert at.see(90, listing="cheap")


def test_a_drop_is_held_against_the_price_before_it() -> None:
    at = desk(rule(condition="drop", percent=10, reference="previous", observations=2))
    assert at.path([100, 85, 100, 85, 85]) == [4]
    assert at.alerts[0].old == 100_000_000


@pytest.mark.parametrize(
    ("definition", "path", "fired"),
    [
        ({"rearm": "once"}, [99, 200, 99], [0]),
        ({"rearm": "cooldown", "cooldown_minutes": 3}, [99, 98, 99, 99, 99, 200, 99], [0, 3, 6]),
        ({"rearm": "lower", "step": "5"}, [99, 98, 94, 90, 89], [0, 2, 4]),
        ({"margin_percent": 10}, [99, 105, 99, 110.01, 99], [0, 4]),
    ],
)
def test_rearming(definition: dict[str, object], path: list[float], fired: list[int]) -> None:
    assert desk(rule(target_price=100, **definition)).path(path) == fired


@pytest.mark.parametrize(
    ("reference", "fired_at"),
    [("last_alert", [2, 4]), ("previous", [2, 4]), ("first_seen", [2]), ("lowest", [4])],
)
def test_references_of_a_drop(reference: str, fired_at: list[int]) -> None:
    # 100 first; lowest before the last step is 90
    at = desk(rule(condition="drop", amount=10, reference=reference))
    if reference == "lowest":
        assert at.path([100, 95, 92, 100, 80]) == fired_at
    else:
        assert at.path([100, 100, 90, 91, 80]) == fired_at


def test_a_drop_below_the_median_of_days() -> None:
    at = desk(rule(condition="drop", percent=20, reference="median", days=2))
    for hour in range(10):
        at.see(100 if hour % 3 else 300, hour * 60)
    [alert] = at.see(80, 10 * 60)
    assert (alert.old, alert.reference) == (100_000_000, "median")


def test_back_fires_when_a_section_is_seen_again_after_it_was_gone() -> None:
    at = desk(rule(condition="back", section="101", gone_minutes=60))
    assert not at.see(100, 0, "a")
    assert not at.see(100, 50, "a")
    assert not at.see(90, 100, "b", section="7")
    assert at.see(100, 110, "c")


@pytest.mark.parametrize("rearm", ["always", "once", "lower", "margin"])
def test_back_fires_at_the_price_that_was_there_before(rearm: str) -> None:
    at = desk(rule(condition="back", gone_minutes=60, rearm=rearm))
    assert not at.see(100, 0)
    assert at.see(100, 60)


@pytest.mark.parametrize(("rearm", "armed_at"), [("margin", 103), ("lower", 90)])
def test_back_is_armed_again_by_a_price_between(rearm: str, armed_at: float) -> None:
    for between, again in ((100, False), (armed_at, True)):
        at = desk(rule(condition="back", gone_minutes=60, rearm=rearm))
        at.see(100, 0)
        assert at.see(100, 60)
        assert not at.see(100, 61)
        assert not at.see(between, 62)
        assert bool(at.see(100, 122)) is again


def test_a_deal_is_as_cheap_as_a_percentile_of_the_comparable_listings() -> None:
    at = desk(rule(condition="deal", percentile=10, watch="each"))
    for seat in range(20):
        assert not at.see(100 + seat, listing=f"L{seat}")
    [alert] = at.see(100.5, listing="new")
    assert (alert.percentile, alert.sample) == (50_000, 20)
    assert not at.see(103, listing="dearer")


def test_a_party_pays_for_all_and_needs_listings_for_all() -> None:
    at = desk(rule(target_price=400, party=4))
    assert not at.see(90, listing="pair", quantity=2)
    assert at.see(100, listing="four", quantity=4)
    assert at.alerts[0].new == 400_000_000


def test_base_price_when_the_rule_says_so() -> None:
    assert desk(rule(target_price=100, price="base")).see(120, price=100)


def test_a_listing_that_no_longer_has_enough_tickets_leaves_the_lowest() -> None:
    at = desk(rule(condition="rise", amount=1, min_quantity=2))
    at.see(100, listing="a", quantity=2)
    at.see(150, listing="b", quantity=2)
    assert not at.see(100, listing="a", quantity=1)
    assert at.see(150, listing="b", quantity=2)


def test_muted_keeps_silent_and_tells_when_it_is_over() -> None:
    until = START + timedelta(minutes=5)
    at = desk(rule(target_price=100, muted_until=until.isoformat()))
    assert at.path([90] * 8) == [5]
    assert [d.reason for d in at.decisions] == ["muted", "fired", "not_rearmed"]


def test_the_event_ends_its_rules_and_putting_it_off_brings_them_back() -> None:
    at = desk(rule(target_price=100))
    assert not at.see(150, 0, starts=T0 + 10 * MINUTE)
    assert not at.see(90, 10, starts=T0 + 10 * MINUTE)
    assert at.reason() == "expired"
    assert at.see(90, 11, starts=T0 + 20 * DAY)


def test_an_earlier_end() -> None:
    at = desk(rule(target_price=100, expires_at=(START + timedelta(minutes=3)).isoformat()))
    assert at.path([150, 150, 150, 90]) == []


def test_ten_alerts_a_minute_are_enough() -> None:
    at = desk(rule(condition="drop", amount="0.01"))
    fired = [bool(at.see(100 - i / 10, i / 60)) for i in range(60)]
    assert sum(fired) == 10
    assert at.reason() == "too_many"


def test_lowest_prices_are_not_compared_while_an_event_is_coming_in() -> None:
    at = desk(rule(condition="drop", percent=10), settle=10 * MINUTE)
    assert at.path([300, 200, 100]) == []
    assert not at.see(100, 10)
    assert at.see(90, 11)


def test_a_rule_made_later_measures_from_what_stood_when_it_was_made() -> None:
    at = Desk()
    at.see(100)
    at.add(rule(condition="drop", percent=10))
    [alert] = at.see(85)
    assert alert.old == 100_000_000


def test_a_rule_on_a_venue_or_a_name_finds_its_events() -> None:
    at = desk(rule(1, 1, event_id=None, venue="TOWN hall", target_price=100),
              rule(2, 2, event_id=None, query="band the", target_price=100),
              rule(3, 3, event_id=None, query="other", target_price=100))  # fmt: skip
    at.see(90, event="x", name=None, venue=None)
    assert at.alerts == []
    at.see(90, event="x")
    assert sorted(a.rule.id for a in at.alerts) == [1, 2]


def test_an_edit_begins_anew_and_muting_forgets_nothing() -> None:
    at = desk(rule(target_price=100))
    at.see(90)
    at.add(rule(version=2, target_price=100, active=False))
    assert not at.see(90)
    at.add(rule(version=3, target_price=100))
    assert not at.see(90), "it had fired, and is not armed again"
    at.add(rule(version=4, target_price=95))
    assert at.see(90)
    at.add(gone=1)
    assert at.path([200, 90]) == []


def test_rules_in_another_currency_look_at_their_own_prices_only() -> None:
    at = desk(rule(target_price=100, currency="CAD"))
    assert not at.see(90)
    assert at.see(90, listing="c", currency="CAD")


def test_what_was_observed_before_a_rule_was_made_is_not_its_business() -> None:
    at = desk(rule(target_price=100, since=START + timedelta(hours=1)))
    assert at.path([90] * 3) == []
    assert at.see(90, 60)


def test_an_alert_says_what_it_is_measured_against() -> None:
    at = desk(rule(target_price=100))
    for seat in range(12):
        at.see(150 + seat, listing=f"L{seat}")
    at.see(120, listing="a")
    [alert] = at.see(100, listing="a")
    assert alert.old == 120_000_000
    assert alert.reference == "previous"
    assert alert.lowest == 100_000_000
    assert (alert.percentile, alert.sample) == (0, 12)


def test_flicker_after_an_alert_is_noted_once() -> None:
    at = desk(rule(target_price=100))
    at.path([99, 101] * 50)
    assert [d.reason for d in at.decisions] == ["fired", "not_rearmed"]


def test_rules_that_look_alike_each_think_for_themselves() -> None:
    at = desk(*(rule(n, n, target_price=60 + n) for n in range(1, 31)), rule(99, 99, condition="back", gone_minutes=5))
    at.path([100, 85.5, 75, 100])
    assert [a.rule.id for a in at.alerts] == [26, 27, 28, 29, 30, *range(15, 26)]
    assert at.see(100, 30)[-1].rule.id == 99


def test_a_restart_changes_nothing() -> None:
    prices = [120, 99, 99, 103, 99, 90, 130, 85, 100, 70, 120, 60]
    rules = [
        rule(1, 1, target_price=100), rule(2, 2, condition="drop", percent=10), rule(3, 3, condition="new_low", days=1),
        rule(4, 4, condition="drop", percent=20, reference="median", days=1), rule(5, 5, target_price=90, observations=2),
        rule(6, 6, watch="each", condition="drop", percent=10), rule(7, 7, target_price=100, active=False),
        rule(8, 8, event_id=None, query="never", target_price=100),
    ]  # fmt: skip
    whole, cut = desk(*rules), desk(*rules)
    for index, price in enumerate(prices):
        whole.see(price, index * 31, f"L{index % 2}")
        cut.see(price, index * 31, f"L{index % 2}")
        cut.restart()
    assert [(a.rule.id, a.price_id) for a in cut.alerts] == [(a.rule.id, a.price_id) for a in whole.alerts]
    assert cut.decisions == whole.decisions


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({}, "needs a target price"),
        ({"target_price": -1}, "out of range"),
        ({"condition": "drop"}, "an amount or a percentage"),
        ({"condition": "drop", "percent": 100}, "by more than 99 %"),
        ({"condition": "drop", "percent": 10, "reference": "median"}, "needs `days`"),
        ({"condition": "deal", "percentile": 10}, "set watch to `each`"),
        ({"target_price": 100, "rearm": "always"}, "at every look"),
        ({"target_price": 100, "rearm": "cooldown"}, "go together"),
        ({"target_price": 100, "quiet": {"from": "22:00", "to": "07:00", "time_zone": "Mars/North"}}, "no time zone"),
        ({"target_price": 100, "expires_at": "2027-01-01T00:00:00"}, "needs an offset"),
        ({"target_price": 100, "colour": "red"}, "unknown field"),
        ({"condition": "drop", "percent": "0.00001"}, "above 0"),
        ({"condition": "drop", "amount": "0.0000001"}, "above 0"),
        ({"condition": "back", "observations": 2}, "back at the first look"),
        ({"target_price": 100, "watch": "all"}, "watch"),
        ({"target_price": 100, "condition": "new_low"}, "has none"),
    ],
)
def test_a_rule_that_means_nothing_is_refused_with_advice(columns: dict[str, object], says: str) -> None:
    with pytest.raises(RuleError, match=says):
        rule(**columns)


def test_the_rule_of_the_earlier_version() -> None:
    old = rule(target_price=100, section="101", max_row="10", notification_method="discord", notification_target="x")
    assert (old.condition, old.sections, old.max_row, old.rearm) == ("at_or_below", ("101",), "10", "margin")
    assert old.channels == ("rule:1",)
    assert HOUR == 60 * MINUTE
    assert old.since == int((datetime(2026, 1, 1, tzinfo=UTC) - timedelta(minutes=5)).timestamp() * 1_000_000)
