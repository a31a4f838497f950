from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from dash_app.loaders.alerts import OPTIONS
from dash_app.views.head import event_options

_EVENING = datetime(2026, 12, 5, 1, 30, tzinfo=UTC)  # half past eight in New York, the day before


@pytest.mark.parametrize(
    ("zone", "short", "label"),
    [
        ("America/New_York", False, "Nora Vale · Grand Hall · Dec 4, 2026"),
        ("America/New_York", True, "Nora Vale · Dec 4"),
        ("UTC", False, "Nora Vale · Grand Hall · Dec 5, 2026"),
    ],
)
def test_a_choice_has_the_date_that_its_page_has(zone: str, short: bool, label: str) -> None:
    events = pl.DataFrame([("e", "Nora Vale", "Grand Hall", _EVENING)], schema=OPTIONS, orient="row")
    assert event_options(events, zone, short=short) == [{"value": "e", "label": label}]


def test_a_choice_without_name_or_date_is_its_id() -> None:
    events = pl.DataFrame([("e", None, None, None)], schema=OPTIONS, orient="row")
    assert event_options(events, "UTC") == [{"value": "e", "label": "e"}]
