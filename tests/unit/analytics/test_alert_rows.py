"""The default rule, and the identity of an alert."""

from __future__ import annotations

from uuid import UUID

import polars as pl
import pytest

from analytics import alert_rows, changes
from analytics.schema import row_id
from tests.support.logs import event, frame


def fired(before: str, after: str, at_least: float) -> pl.DataFrame:
    rows = frame(event(price=before), event(price=after))
    return alert_rows.price_drops(changes.compare(rows), at_least)


@pytest.mark.parametrize(
    ("before", "after", "at_least", "fires"),
    [
        ("100", "95", 5, True),
        ("100", "95.01", 5, False),
        ("100", "94.99", 5, True),
        ("100", "95.00005", 5, True),  # 4.99995 % is 5.0000 % in four decimals
        ("100", "95.000051", 5, False),
        ("100", "105", 5, False),
        ("100", "100", 5, False),
        ("100", "99.9", 0.1, True),
        ("100", "99.9001", 0.1, False),
        ("100", "0.000001", 99.9999, True),
    ],
)
def test_a_drop_of_at_least_so_many_percent_fires(before: str, after: str, at_least: float, fires: bool) -> None:
    assert fired(before, after, at_least).height == fires


def test_the_first_sight_of_a_listing_never_fires() -> None:
    rows = frame(event(price=1))
    assert alert_rows.price_drops(changes.with_changes(rows, [changes.NOTHING]), 5).is_empty()


def test_an_alert_s_identity_is_known_and_stable() -> None:
    """md5 of "default-drop:<id>": tables and consumers rest on it, so it may never change."""
    assert alert_rows.alert_id("default-drop", row_id(1, 2, 3)) == UUID("83d0de17-cb9a-a2c5-85c5-da0bb588b1f8")
    drop = fired("100", "50", 5)
    assert drop["alert_id"].to_list() == [str(alert_rows.alert_id(alert_rows.DEFAULT_RULE, drop["id"][0]))]
    assert drop["alert_type"].to_list() == ["price_drop"]


def test_alerts_of_other_rules_and_rows_are_others() -> None:
    made = {alert_rows.alert_id(rule, price) for rule in ("default-drop", "mine") for price in range(100)}
    assert len(made) == 200


def test_without_drops_the_columns_are_there_all_the_same() -> None:
    assert fired("100", "100", 5).schema == fired("100", "50", 5).schema
