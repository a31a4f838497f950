"""How long a partition of the Kafka source rests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connectors.kafka import rested

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("milliseconds", "worked", "rest"),
    [
        (0.0, 0.0, 0.0),
        (0.0, 0.0024, 5.0),  # twice the work, to the next of moments that all partitions share
        (3.0, 0.0024, 7.0),
        (0.0, 0.0099, 20.0),
        (0.0, 7.0, 50.0),  # the most, however long an epoch's end took
    ],
)
def test_a_partition_rests_twice_as_long_as_the_work_took(milliseconds: float, worked: float, rest: float) -> None:
    now = NOON.timestamp() + milliseconds / 1000
    found = rested(now, worked) - NOON - timedelta(milliseconds=milliseconds)
    assert found / timedelta(milliseconds=1) == pytest.approx(rest, abs=0.01)
