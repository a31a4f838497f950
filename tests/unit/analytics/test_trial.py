"""Rules tried on stored history."""

from __future__ import annotations

import pytest

from analytics.rules import Rule
from analytics.trial import Observed, Trial, lowest_path, trial
from tests.support.judging import DAY, HOUR, T0, rule


def tried(rule: Rule, *looks: tuple[float, float] | tuple[float, float, str]) -> Trial:
    """Try a rule on (hour, price[, listing]) looks."""
    return trial(rule, [
        Observed(index, "e1", look[2] if len(look) > 2 else "L1", T0 + round(look[0] * HOUR), round(look[1] * 1_000_000),  # type: ignore[misc]
                 round(look[1] * 1_000_000), 2, "101", "C", "mock", "USD", "listing", "The Band", "Town Hall", None)
        for index, look in enumerate(looks, start=100)
    ])  # fmt: skip


def test_how_often_and_when_it_would_have_fired_and_what_stood() -> None:
    made = tried(rule(target_price=100), (0, 150), (24, 99), (25, 140), (48, 95), (49, 95), (72, 150), (96, 80))
    assert [(f.price_id, f.time, f.price, f.stood) for f in made.firings] == [
        (101, T0 + DAY, 99_000_000, False), (103, T0 + 2 * DAY, 95_000_000, True), (106, T0 + 4 * DAY, 80_000_000, None),
    ]  # fmt: skip
    assert [f.saving for f in made.firings] == [0, 4_000_000, 19_000_000], "against the typical price of 99"
    assert made.summary() == (
        "Would have fired 3 times in 4 days, the last at 80.00 USD; "
        "1 of 2 of those prices still stood at the next look."
    )


def test_a_target_below_anything_seen_is_answered_with_one_that_could_be_met() -> None:
    made = tried(rule(target_price=90), (0, 120), (24 * 40, 115.24))
    assert made.summary() == "Never in 40 days: the lowest was 115.24 USD; 5 % over the low would be 121.00 USD."


@pytest.mark.parametrize(
    ("hours", "said"),
    [(0, "1 minute"), (0.5, "30 minutes"), (1, "1 hour"), (2, "2 hours"), (47, "47 hours"), (48, "2 days")],
)
def test_a_short_history_is_told_in_smaller_units(hours: float, said: str) -> None:
    assert tried(rule(target_price=90), (0, 120), (hours, 115)).summary().startswith(f"Never in {said}:")


def test_no_history_says_nothing() -> None:
    assert "nothing can be said" in tried(rule(event_id="other", target_price=90), (0, 80)).summary()
    assert "nothing can be said" in tried(rule(section="7", target_price=90), (0, 80)).summary()


def test_a_wide_rule_and_one_that_is_muted_are_tried_as_they_would_be_in_force() -> None:
    made = tried(rule(event_id=None, query="band", condition="new_low", active=False), (0, 80), (1, 70), (2, 75))
    assert [f.price for f in made.firings] == [70_000_000]
    assert made.observations == 3
    assert made.summary().startswith("Would have fired once in 2 hours")


def test_the_path_to_draw_has_every_move_and_the_last_look() -> None:
    made = rule(target_price=100, watch="each")
    looks = [(0, 150), (1, 150), (2, 120), (3, 120), (4, 130), (5, 130)]
    observed = [
        Observed(
            hour, "e1", "L1", T0 + hour * HOUR, price, price, 2, "101", "C", "mock", "USD", "listing", None, None, None
        )
        for hour, price in looks
    ]
    assert lowest_path(made, observed) == [
        (T0 + hour * HOUR, price) for hour, price in (looks[0], looks[2], looks[4], looks[5])
    ]
    assert lowest_path(made, observed[:1]) == [(T0, 150)]
    assert lowest_path(made, []) == []
    assert lowest_path(rule(target_price=100, section="7"), observed) == []


def test_only_a_hopeless_target_has_another_within_reach() -> None:
    assert tried(rule(target_price=90), (0, 120), (1, 100)).within_reach == 105_000_000
    assert tried(rule(target_price=100), (0, 120), (1, 100)).within_reach is None
    assert tried(rule(condition="back"), (0, 120), (1, 100)).within_reach is None
